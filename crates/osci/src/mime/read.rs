//! Finds the parts of a message in one pass over its bytes.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

use memchr::memmem::Finder;
use rohrpost_xmlsec::base64::DecodeReader;

use super::error::{Limits, MimeError};
use super::header::{Header, MediaType, read_block, single};
use super::window::Window;
use crate::source::{RangeReader, ReadAt, reader};

/// How the bytes of a part are written in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    Raw,
    /// Base64 with line breaks.
    Base64,
}

/// One part: what its headers say and where its bytes are.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part {
    /// `Content-ID` without the angle brackets. An opaque name; compared character by character.
    pub content_id: String,
    /// `Content-Type` with its parameters, as written.
    pub content_type: String,
    /// How `range` has to be decoded.
    pub encoding: Encoding,
    /// Headers other than the content's type, id, length and encoding, in their order.
    pub extra_headers: Vec<Header>,
    /// The bytes in the source, still encoded.
    pub range: Range<u64>,
}

impl Part {
    /// A part that was scanned earlier, described again from what was kept of it.
    pub fn kept(
        content_id: String,
        content_type: String,
        encoding: Encoding,
        extra_headers: Vec<Header>,
        range: Range<u64>,
    ) -> Self {
        Self { content_id, content_type, encoding, extra_headers, range }
    }

    /// The decoded bytes of this part of `source`, which must be the scanned one.
    ///
    /// Malformed base64 shows up as an [`io::Error`] of kind `InvalidData`; it is the sender's fault.
    pub fn reader<S: ReadAt>(&self, source: S) -> PartReader<S> {
        let raw = reader(source, self.range.clone());
        PartReader(match self.encoding {
            Encoding::Raw => Decoding::Raw(raw),
            Encoding::Base64 => Decoding::Base64(DecodeReader::new(raw)),
        })
    }
}

/// The decoded bytes of a part.
#[derive(Debug)]
pub struct PartReader<S>(Decoding<S>);

#[derive(Debug)]
enum Decoding<S> {
    Raw(RangeReader<S>),
    Base64(DecodeReader<RangeReader<S>>),
}

impl<S: ReadAt> Read for PartReader<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Decoding::Raw(raw) => raw.read(buf),
            Decoding::Base64(decoder) => decoder.read(buf),
        }
    }
}

/// The parts of one message. The first is the root: the SOAP document.
#[derive(Clone)]
pub struct Multipart {
    parts: Vec<Part>,
    by_id: HashMap<String, usize>,
    end: u64,
}

impl Multipart {
    /// Reads all headers and finds all boundaries, in one sequential pass and in constant memory. Whatever follows
    /// the closing boundary's line is not looked at; it begins at [`end`](Self::end).
    ///
    /// As liberal as the reference implementation, and beyond it: parameter names in any case, blanks after
    /// `boundary=`, attachments without `Content-Transfer-Encoding`.
    ///
    /// # Errors
    /// See [`MimeError`]; all but `Io` mean that the bytes are no OSCI message.
    pub fn scan(source: &dyn ReadAt, limits: &Limits) -> Result<Self, MimeError> {
        let mut scanner = Scanner::new(source, limits);
        let boundary = scanner.top()?;
        let mut parts: Vec<Part> = Vec::new();
        let mut by_id = HashMap::new();
        let mut delimiter = scanner.first_boundary(&boundary)?;
        let needle = [b"\r\n--", boundary.as_bytes()].concat();
        let needle = Finder::new(&needle);
        while delimiter == Delimiter::Part {
            if parts.len() == limits.parts {
                return Err(MimeError::TooManyParts);
            }
            let mut part = scanner.part_head(parts.is_empty())?;
            (part.range, delimiter) = scanner.part_body(&needle)?;
            if by_id.insert(part.content_id.clone(), parts.len()).is_some() {
                return Err(MimeError::ContentIdRepeated);
            }
            if !parts.is_empty() && part.content_id == ROOT_ID {
                return Err(MimeError::ContentIdReserved);
            }
            parts.push(part);
        }
        if parts.is_empty() {
            return Err(MimeError::NoPart);
        }
        Ok(Self { parts, by_id, end: scanner.position })
    }

    /// Where the closing boundary's line ends, in bytes from the start.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The SOAP document.
    pub fn root(&self) -> &Part {
        &self.parts[0]
    }

    /// All parts but the root, in their order in the message, which means nothing.
    pub fn attachments(&self) -> &[Part] {
        &self.parts[1..]
    }

    /// The attachment of that name, compared literally.
    pub fn attachment(&self, content_id: &str) -> Option<&Part> {
        let index = *self.by_id.get(content_id)?;
        (index > 0).then(|| &self.parts[index])
    }
}

/// Without names: an attachment's name is content.
impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { encoding, range, .. } = self;
        f.debug_struct("Part").field("encoding", encoding).field("range", range).finish_non_exhaustive()
    }
}

impl fmt::Debug for Multipart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Multipart").field(&self.parts).finish()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delimiter {
    Part,
    Close,
}

struct Scanner<'a> {
    window: Window<'a>,
    limits: &'a Limits,
    position: u64,
    header_bytes_left: usize,
}

impl<'a> Scanner<'a> {
    fn new(source: &'a dyn ReadAt, limits: &'a Limits) -> Self {
        Self { window: Window::new(source), limits, position: 0, header_bytes_left: limits.all_header_bytes }
    }

    /// The headers of the message; returns the boundary.
    fn top(&mut self) -> Result<String, MimeError> {
        self.skip_empty_lines()?;
        // What begins like this is a bare XML document: say so instead of complaining about a header.
        if matches!(self.window.from(self.position, 1)?.first(), None | Some(b'<' | 0xEF)) {
            return Err(MimeError::NotMime);
        }
        let headers = self.header_block()?;
        if single(&headers, "MIME-Version")?.is_some_and(|version| version != "1.0") {
            return Err(MimeError::UnknownVersion);
        }
        let content_type = single(&headers, "Content-Type")?.ok_or(MimeError::NotMime)?;
        let content_type = MediaType::parse(content_type)?;
        if !content_type.is("multipart/related") {
            return Err(MimeError::NotMultipartRelated);
        }
        let boundary = content_type.parameter("boundary")?;
        let usable = boundary.filter(|boundary| is_boundary(boundary));
        usable.map(str::to_owned).ok_or(MimeError::BoundaryUnusable)
    }

    fn first_boundary(&mut self, boundary: &str) -> Result<Delimiter, MimeError> {
        self.skip_empty_lines()?;
        let length = boundary.len() + 2;
        let line = self.window.from(self.position, length)?;
        let matches = line.strip_prefix(b"--").is_some_and(|line| line.starts_with(boundary.as_bytes()));
        if !matches {
            return Err(MimeError::Preamble);
        }
        self.position += length as u64;
        self.delimiter()?.ok_or(MimeError::Preamble)
    }

    fn part_head(&mut self, is_root: bool) -> Result<Part, MimeError> {
        let headers = self.header_block()?;
        let content_type = single(&headers, "Content-Type")?.filter(|value| !value.is_empty());
        let content_type = content_type.ok_or(MimeError::ContentTypeMissing)?;
        let content_id = single(&headers, "Content-ID")?.map_or("", without_brackets);
        let encoding = single(&headers, "Content-Transfer-Encoding")?.unwrap_or("");
        let length = single(&headers, "Content-Length")?.unwrap_or("0");
        let media_type = MediaType::parse(content_type);
        if content_id.is_empty() {
            return Err(MimeError::ContentIdMissing);
        }
        if length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
            return Err(MimeError::ContentLengthNotNumeric);
        }
        let base64 = encoding.eq_ignore_ascii_case("base64") || is_base64_type(media_type.as_ref());
        if is_root {
            check_root(&media_type?, base64)?;
        }
        Ok(Part {
            content_id: content_id.to_owned(),
            content_type: content_type.to_owned(),
            encoding: if base64 { Encoding::Base64 } else { Encoding::Raw },
            extra_headers: headers.iter().filter(|header| is_extra(header)).cloned().collect(),
            range: 0..0,
        })
    }

    /// From behind the headers to the next boundary. The line break before a boundary belongs to the boundary, even if
    /// it is the one that ended the headers.
    fn part_body(&mut self, needle: &Finder<'_>) -> Result<(Range<u64>, Delimiter), MimeError> {
        let start = self.position;
        let mut from = start - 2;
        loop {
            let found = self.window.find(from, needle)?;
            let found = found.ok_or(MimeError::ClosingBoundaryMissing)?;
            self.position = found + needle.needle().len() as u64;
            if let Some(delimiter) = self.delimiter()? {
                return Ok((start..found.max(start), delimiter));
            }
            // The needle holds no other line break, so nothing can begin inside of it.
            from = self.position;
        }
    }

    /// What the text behind `--boundary` makes of it; `None` if it is no boundary but content that looks like one.
    fn delimiter(&mut self) -> Result<Option<Delimiter>, MimeError> {
        let (delimiter, length) = match self.window.from(self.position, 4)? {
            [b'\r', b'\n', ..] => (Delimiter::Part, 2),
            [b'-', b'-', b'\r', b'\n', ..] => (Delimiter::Close, 4),
            [b' ' | b'\t' | b'\n', ..] | [b'-', b'-', b' ' | b'\t' | b'\n', ..] => {
                return Err(MimeError::BoundaryLineMalformed);
            }
            [b'-', b'-'] | [b'-', b'-', b'\r'] => return Err(MimeError::FinalLineBreakMissing),
            [] | [b'-' | b'\r'] => return Err(MimeError::ClosingBoundaryMissing),
            _ => return Ok(None),
        };
        self.position += length;
        Ok(Some(delimiter))
    }

    fn header_block(&mut self) -> Result<Vec<Header>, MimeError> {
        let most = self.limits.header_bytes.min(64 * 1024).min(self.header_bytes_left);
        let (headers, end) = read_block(&mut self.window, self.position, most, self.limits.headers)?;
        let used = usize::try_from(end - self.position).unwrap_or(usize::MAX);
        self.header_bytes_left = self.header_bytes_left.saturating_sub(used);
        self.position = end;
        Ok(headers)
    }

    fn skip_empty_lines(&mut self) -> Result<(), MimeError> {
        while self.window.from(self.position, 2)?.starts_with(b"\r\n") {
            self.position += 2;
        }
        Ok(())
    }
}

fn check_root(media_type: &MediaType<'_>, base64: bool) -> Result<(), MimeError> {
    if base64 {
        return Err(MimeError::RootEncoded);
    }
    let (_, subtype) = media_type.essence.split_once('/').unwrap_or_default();
    let subtype = subtype.to_ascii_lowercase();
    if subtype != "xml" && !subtype.ends_with("+xml") {
        return Err(MimeError::RootNotXml);
    }
    match media_type.parameter("charset")? {
        Some(charset) if !charset.eq_ignore_ascii_case("utf-8") => Err(MimeError::RootNotUtf8),
        _ => Ok(()),
    }
}

/// The `Content-ID` of the root part in every message that we write.
pub(super) const ROOT_ID: &str = "osci@message";

/// Whether a part's type alone makes it base64 (OSCI-Transport 1.2, older peers).
pub(super) fn is_base64_type(media_type: Result<&MediaType<'_>, &MimeError>) -> bool {
    media_type.is_ok_and(|media_type| media_type.is("text/base64"))
}

/// Whether the field is none of those that [`Part`] has a place for.
pub(super) fn is_extra(header: &Header) -> bool {
    !["Content-Type", "Content-ID", "Content-Length", "Content-Transfer-Encoding"]
        .iter()
        .any(|known| header.name.eq_ignore_ascii_case(known))
}

fn without_brackets(content_id: &str) -> &str {
    let inner = content_id.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    inner.unwrap_or(content_id)
}

/// RFC 2046, section 5.1.1 allows 70 characters; peers are given more, but no blank at the end.
pub(super) fn is_boundary(boundary: &str) -> bool {
    let printable = boundary.bytes().all(|b| matches!(b, b' '..=b'~'));
    !boundary.is_empty() && boundary.len() <= 256 && printable && !boundary.ends_with(' ')
}
