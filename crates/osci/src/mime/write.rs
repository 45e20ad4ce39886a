//! Writes a message part by part.

use std::fmt;
use std::io::{self, Read, Write};

use rohrpost_crypto::Random;
use rohrpost_xmlsec::base64::{EncodeWriter, encode_unbroken, encoded_len};
use thiserror::Error;

use super::header::{Header, MediaType, is_field_text};
use super::read::{Encoding, ROOT_ID, is_base64_type, is_boundary, is_extra};

/// The line that separates parts. Random, so that no content contains it.
#[derive(Clone, PartialEq, Eq)]
pub struct Boundary(String);

/// The string cannot be a boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a boundary is 1 to 256 printable ASCII characters that need no quoting")]
pub struct BoundaryInvalid;

impl Boundary {
    /// The usual form: a fixed prefix and 24 random bytes.
    pub fn from_random(random: [u8; 24]) -> Self {
        Self(format!("MIME_boundary_{}", encode_unbroken(random)))
    }

    /// A boundary that no content contains.
    pub fn generate(random: &dyn Random) -> Self {
        let mut bytes = [0; 24];
        random.fill(&mut bytes);
        Self::from_random(bytes)
    }

    /// A given boundary. Some readers support no quoting, hence neither blanks nor `;` nor quotes.
    ///
    /// # Errors
    /// If it would need quoting or is too long.
    pub fn new(text: impl Into<String>) -> Result<Self, BoundaryInvalid> {
        let text = text.into();
        let plain = is_boundary(&text) && !text.contains([' ', ';', '"', '\\']);
        plain.then_some(Self(text)).ok_or(BoundaryInvalid)
    }

    /// The characters of the boundary.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Boundary({})", self.0)
    }
}

/// The headers of an attachment.
#[derive(Clone, PartialEq, Eq)]
pub struct PartHead<'a> {
    /// The attachment's name, written between angle brackets. Opaque, may contain blanks and non-ASCII characters.
    pub content_id: &'a str,
    /// Its media type.
    pub content_type: &'a str,
    /// How its bytes are to be written; base64 in any case if the type is `text/base64`.
    pub encoding: Encoding,
    /// Further headers, kept from where the attachment came from. Those that have a place of their own are left out.
    pub extra_headers: &'a [Header],
}

impl<'a> PartHead<'a> {
    /// An attachment written as it is, without further headers.
    pub fn raw(content_id: &'a str, content_type: &'a str) -> Self {
        Self { content_id, content_type, encoding: Encoding::Raw, extra_headers: &[] }
    }

    /// How the bytes are written: readers decode some types whatever the transfer encoding says.
    fn transmitted(&self) -> Encoding {
        let by_type = is_base64_type(MediaType::parse(self.content_type).as_ref());
        if by_type { Encoding::Base64 } else { self.encoding }
    }
}

/// Writes the parts of one message in order: root, attachments, end.
///
/// What a caller did wrong (a line break in a header, a length that is not true) is an [`io::Error`] of kind
/// `InvalidInput`; the half-written message must be discarded then.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    boundary: String,
}

impl<W: Write> Writer<W> {
    /// Writes the headers of the message.
    ///
    /// # Errors
    /// As `out`.
    pub fn new(mut out: W, boundary: &Boundary) -> io::Result<Self> {
        let boundary = boundary.0.clone();
        write!(
            out,
            "MIME-Version: 1.0\r\nContent-Type: Multipart/Related; boundary={boundary}; type=text/xml\r\n\r\n--{boundary}"
        )?;
        Ok(Self { out, boundary })
    }

    /// Writes the headers of the root part and the XML declaration; the document element has to be written to the
    /// returned writer, before any attachment.
    ///
    /// # Errors
    /// As the underlying writer.
    pub fn root(&mut self) -> io::Result<&mut W> {
        write!(
            self.out,
            "\r\nContent-Type: text/xml; charset=UTF-8\r\nContent-Transfer-Encoding: 8bit\r\n\
              Content-ID: <{ROOT_ID}>\r\n\r\n<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\r\n",
        )?;
        Ok(&mut self.out)
    }

    /// Writes an attachment of `length` bytes, taken from `content`.
    ///
    /// # Errors
    /// As the underlying reader and writer; `InvalidInput` for a header that cannot be written or if `content` has
    /// not exactly `length` bytes.
    pub fn attachment(&mut self, head: &PartHead<'_>, length: u64, content: &mut dyn Read) -> io::Result<()> {
        let encoding = head.transmitted();
        let (transfer, transmitted) = match encoding {
            Encoding::Raw => ("8-bit", length),
            Encoding::Base64 => ("base64", encoded_len(length)),
        };
        self.part_start(head, transfer)?;
        write!(self.out, "Content-Length: {transmitted}\r\n")?;
        for header in head.extra_headers.iter().filter(|header| is_extra(header)) {
            write!(self.out, "{}: {}\r\n", header.name(), header.value())?;
        }
        self.out.write_all(b"\r\n")?;
        let mut content = content.take(length.saturating_add(1));
        let copied = match encoding {
            Encoding::Raw => io::copy(&mut content, &mut self.out)?,
            Encoding::Base64 => {
                let mut encoder = EncodeWriter::new(&mut self.out);
                let copied = io::copy(&mut content, &mut encoder)?;
                encoder.finish()?;
                copied
            }
        };
        if copied != length {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the attachment has another length than announced",
            ));
        }
        Ok(())
    }

    /// Starts the last part, which carries a ciphertext whose length is not known yet. An empty line sets it off from
    /// the root part, as the reference implementation does.
    ///
    /// # Errors
    /// As the underlying writer; `InvalidInput` for a name that cannot be written.
    pub fn ciphertext(mut self, content_id: &str, encoding: Encoding) -> io::Result<OpenPart<W>> {
        let (content_type, transfer) = match encoding {
            Encoding::Raw => ("application/octet-stream", "binary"),
            Encoding::Base64 => ("text/base64", "7bit"),
        };
        self.out.write_all(b"\r\n")?;
        self.part_start(&PartHead::raw(content_id, content_type), transfer)?;
        self.out.write_all(b"\r\n")?;
        let Self { out, boundary } = self;
        let out = match encoding {
            Encoding::Raw => Encoded::Raw(out),
            Encoding::Base64 => Encoded::Base64(EncodeWriter::new(out)),
        };
        Ok(OpenPart { out, boundary })
    }

    /// Writes the closing boundary and hands the underlying writer back, not flushed.
    ///
    /// # Errors
    /// As the underlying writer.
    pub fn finish(self) -> io::Result<W> {
        close(self.out, &self.boundary)
    }

    fn part_start(&mut self, head: &PartHead<'_>, transfer_encoding: &str) -> io::Result<()> {
        if matches!(head.content_id, "" | ROOT_ID)
            || !is_field_text(head.content_id)
            || !is_field_text(head.content_type)
        {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a part's name or type cannot stand in a header"));
        }
        write!(
            self.out,
            "\r\n--{}\r\nContent-Type: {}\r\nContent-Transfer-Encoding: {transfer_encoding}\r\nContent-ID: <{}>\r\n",
            self.boundary, head.content_type, head.content_id
        )
    }
}

/// The last part of a message: what is written to it is encoded as its headers say.
#[derive(Debug)]
pub struct OpenPart<W: Write> {
    out: Encoded<W>,
    boundary: String,
}

#[derive(Debug)]
enum Encoded<W: Write> {
    Raw(W),
    Base64(EncodeWriter<W>),
}

impl<W: Write> OpenPart<W> {
    /// Ends the part and the message; hands the underlying writer back, not flushed.
    ///
    /// # Errors
    /// As the underlying writer.
    pub fn finish(self) -> io::Result<W> {
        let out = match self.out {
            Encoded::Raw(out) => out,
            Encoded::Base64(encoder) => encoder.finish()?,
        };
        close(out, &self.boundary)
    }
}

impl<W: Write> Write for OpenPart<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match &mut self.out {
            Encoded::Raw(out) => out.write(data),
            Encoded::Base64(encoder) => encoder.write(data),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.out {
            Encoded::Raw(out) => out.flush(),
            Encoded::Base64(encoder) => encoder.flush(),
        }
    }
}

fn close<W: Write>(mut out: W, boundary: &str) -> io::Result<W> {
    write!(out, "\r\n--{boundary}--\r\n")?;
    Ok(out)
}
