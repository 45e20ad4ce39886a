//! How large a message's framing may be, and what can be wrong with it.

use std::io;

use thiserror::Error;

/// Bounds of [`Multipart::scan`](super::Multipart::scan). They bound its memory; the size of the parts does not matter to it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one header block. At most 64 KiB, whatever is asked for.
    pub header_bytes: usize,
    /// Fields in one header block.
    pub headers: usize,
    /// Bytes of all header blocks together.
    pub all_header_bytes: usize,
    /// Parts, the root part included.
    pub parts: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { header_bytes: 64 * 1024, headers: 72, all_header_bytes: 6 * 1024 * 1024, parts: 10_000 }
    }
}

impl Limits {
    /// Narrower bounds for whoever hands on what it reads: together with the header fields that are added on the way, it is
    /// within the default.
    pub fn for_handing_on() -> Self {
        Self { header_bytes: 63 * 1024, headers: 64, all_header_bytes: 4 * 1024 * 1024, parts: 10_000 }
    }
}

/// Why bytes are no message.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MimeError {
    /// The source could not be read; not the sender's fault.
    #[error("the message could not be read")]
    Io(#[from] io::Error),
    /// The body does not begin with MIME headers, or they hold no `Content-Type`.
    #[error("the body is not a MIME message: MIME-Version and Content-Type belong into the body itself")]
    NotMime,
    /// A line ends with a line feed alone.
    #[error("a MIME line ends with LF instead of CRLF")]
    BareLineFeed,
    /// The source ends inside a header block.
    #[error("the message ends inside a header")]
    Truncated,
    /// A line that is no header field, or a broken parameter.
    #[error("a MIME header is malformed")]
    HeaderMalformed,
    /// A header with bytes that are not UTF-8.
    #[error("a MIME header is not UTF-8")]
    HeaderNotUtf8,
    /// A field or parameter that may occur once occurs again.
    #[error("the MIME header or parameter {name} occurs twice")]
    HeaderRepeated {
        /// Its name.
        name: &'static str,
    },
    /// A header block exceeds its bound, or all together exceed theirs.
    #[error("the MIME headers are too large")]
    HeaderTooLarge,
    /// Too many fields in one header block.
    #[error("a part has too many MIME headers")]
    TooManyHeaders,
    /// `MIME-Version` is present and not `1.0`.
    #[error("the MIME-Version is not 1.0")]
    UnknownVersion,
    /// The message is something else than `Multipart/Related`.
    #[error("the message is not Multipart/Related")]
    NotMultipartRelated,
    /// No usable `boundary` parameter.
    #[error("the boundary parameter is missing or unusable")]
    BoundaryUnusable,
    /// Text between the headers and the first boundary.
    #[error("the first boundary does not follow the headers")]
    Preamble,
    /// A boundary line with a blank at its end, or ended by LF alone.
    #[error("a boundary line does not end with CRLF")]
    BoundaryLineMalformed,
    /// The source ends before the closing boundary.
    #[error("the closing boundary is missing")]
    ClosingBoundaryMissing,
    /// The closing boundary is not followed by CRLF.
    #[error("the closing boundary is not followed by CRLF")]
    FinalLineBreakMissing,
    /// Not even a root part.
    #[error("the message has no part")]
    NoPart,
    /// More parts than [`Limits::parts`].
    #[error("the message has too many parts")]
    TooManyParts,
    /// The root part is not declared as XML.
    #[error("the root part is not XML")]
    RootNotXml,
    /// The root part is declared in another character set than UTF-8.
    #[error("the root part is not UTF-8")]
    RootNotUtf8,
    /// The root part is declared as base64.
    #[error("the root part is base64 encoded")]
    RootEncoded,
    /// A part without `Content-Type`.
    #[error("a part has no Content-Type")]
    ContentTypeMissing,
    /// A part without `Content-ID`.
    #[error("a part has no Content-ID")]
    ContentIdMissing,
    /// Two parts with the same `Content-ID`.
    #[error("two parts have the same Content-ID")]
    ContentIdRepeated,
    /// An attachment with the name that the root part has in every message we write.
    #[error("an attachment has the Content-ID of the root part")]
    ContentIdReserved,
    /// `Content-Length` is no number. (A wrong number is not looked at.)
    #[error("a Content-Length is not a number")]
    ContentLengthNotNumeric,
}
