//! Base64 as it occurs in XML and MIME (RFC 2045, 6.8), streaming in both directions.
//!
//! Decoding skips every character outside the alphabet, as RFC 2045 says, but insists on correct
//! padding and on zero bits where nothing is encoded. Encoding writes lines of 76 characters, each
//! full line followed by LF; a shorter last line gets none.

use std::io::{self, Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

/// Padding is wrong, or characters follow it, or bits are set that encode nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed base64")]
pub struct Base64Malformed;

impl From<Base64Malformed> for io::Error {
    fn from(error: Base64Malformed) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// Decodes a whole text.
///
/// ```
/// assert_eq!(rohrpost_xmlsec::base64::decode(" aGVs\r\nbG8=\n")?, b"hello");
/// # Ok::<(), rohrpost_xmlsec::base64::Base64Malformed>(())
/// ```
///
/// # Errors
/// [`Base64Malformed`].
pub fn decode(text: impl AsRef<[u8]>) -> Result<Vec<u8>, Base64Malformed> {
    let text = text.as_ref();
    let mut decoder = Decoder::default();
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3 + 3);
    decoder.push(text, &mut decoded)?;
    decoder.finish(&mut decoded)?;
    Ok(decoded)
}

/// Encodes in lines, see the [module](self).
pub fn encode(data: impl AsRef<[u8]>) -> String {
    let data = data.as_ref();
    let mut writer = EncodeWriter::new(Vec::with_capacity(data.len() / 57 * 77 + 77));
    let written = writer.write_all(data).and_then(|()| writer.finish());
    String::from_utf8(written.expect("a Vec takes everything")).expect("base64 is ASCII")
}

/// Encodes without line breaks.
pub fn encode_unbroken(data: impl AsRef<[u8]>) -> String {
    STANDARD.encode(data)
}

/// Length of what [`encode`] makes of `length` bytes.
pub fn encoded_len(length: u64) -> u64 {
    length.div_ceil(3) * 4 + length / LINE as u64
}

/// Decoder for text that comes in pieces.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    /// Characters of the alphabet that do not make a group of four yet, at the front of the room
    /// in which pieces are cleaned.
    clean: Vec<u8>,
    padding: usize,
}

impl Decoder {
    /// Appends what a piece of text decodes to.
    ///
    /// # Errors
    /// [`Base64Malformed`].
    pub fn push(&mut self, text: &[u8], decoded: &mut Vec<u8>) -> Result<(), Base64Malformed> {
        let mut rest = text;
        while !rest.is_empty() {
            let piece = &rest[..rest.len().min(PIECE)];
            match memchr::memchr(b'=', piece) {
                None if self.padding == 0 => {
                    self.groups(piece, decoded)?;
                    rest = &rest[piece.len()..];
                }
                None => {
                    self.after_padding(piece)?;
                    rest = &rest[piece.len()..];
                }
                Some(at) => {
                    match self.padding {
                        0 => self.groups(&piece[..at], decoded)?,
                        _ => self.after_padding(&piece[..at])?,
                    }
                    self.pad()?;
                    rest = &rest[at + 1..];
                }
            }
        }
        Ok(())
    }

    /// Appends the last bytes. Nothing may be pushed afterwards.
    ///
    /// # Errors
    /// [`Base64Malformed`].
    pub fn finish(&mut self, decoded: &mut Vec<u8>) -> Result<(), Base64Malformed> {
        if !matches!((self.clean.len(), self.padding), (0, 0) | (2, 2) | (3, 1)) {
            return Err(Base64Malformed);
        }
        STANDARD_NO_PAD.decode_vec(&self.clean, decoded).map_err(|_| Base64Malformed)?;
        self.clean.clear();
        self.padding = 0;
        Ok(())
    }

    /// Decodes the whole groups in what is kept and `piece`. That it consists of clean lines is tried first.
    fn groups(&mut self, piece: &[u8], decoded: &mut Vec<u8>) -> Result<(), Base64Malformed> {
        let mut rest = piece;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.keep_line(&rest[..end]);
            rest = &rest[end + 1..];
        }
        self.keep_line(rest);
        let start = decoded.len();
        if self.decode_groups(decoded).is_err() {
            decoded.truncate(start);
            self.clean.retain(|&byte| ALPHABET[usize::from(byte)]);
            self.decode_groups(decoded)?;
        }
        let whole = self.clean.len() / 4 * 4;
        self.clean.drain(..whole);
        self.clean.retain(|&byte| ALPHABET[usize::from(byte)]);
        Ok(())
    }

    fn keep_line(&mut self, line: &[u8]) {
        self.clean.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
    }

    fn decode_groups(&self, decoded: &mut Vec<u8>) -> Result<(), Base64Malformed> {
        let whole = self.clean.len() / 4 * 4;
        let start = decoded.len();
        decoded.resize(start + whole / 4 * 3, 0);
        let written = STANDARD_NO_PAD.decode_slice(&self.clean[..whole], &mut decoded[start..]);
        written.map(drop).map_err(|_| Base64Malformed)
    }

    fn pad(&mut self) -> Result<(), Base64Malformed> {
        self.padding += 1;
        if self.clean.len() < 2 || self.clean.len() + self.padding > 4 { Err(Base64Malformed) } else { Ok(()) }
    }

    fn after_padding(&self, piece: &[u8]) -> Result<(), Base64Malformed> {
        if piece.iter().any(|&byte| ALPHABET[usize::from(byte)]) { Err(Base64Malformed) } else { Ok(()) }
    }
}

/// Reads what base64 text from `R` decodes to. Malformed text is an error of kind `InvalidData`.
#[derive(Debug)]
pub struct DecodeReader<R> {
    source: R,
    decoder: Decoder,
    text: Vec<u8>,
    decoded: Vec<u8>,
    position: usize,
    ended: bool,
}

impl<R: Read> DecodeReader<R> {
    /// Decodes what `source` gives.
    pub fn new(source: R) -> Self {
        Self {
            source,
            decoder: Decoder::default(),
            text: vec![0; PIECE],
            decoded: Vec::new(),
            position: 0,
            ended: false,
        }
    }

    fn refill(&mut self) -> io::Result<()> {
        self.decoded.clear();
        self.position = 0;
        while self.decoded.is_empty() && !self.ended {
            match self.source.read(&mut self.text) {
                Ok(0) => {
                    self.ended = true;
                    self.decoder.finish(&mut self.decoded)?;
                }
                Ok(length) => self.decoder.push(&self.text[..length], &mut self.decoded)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for DecodeReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.position == self.decoded.len() {
            self.refill()?;
        }
        let length = buffer.len().min(self.decoded.len() - self.position);
        buffer[..length].copy_from_slice(&self.decoded[self.position..self.position + length]);
        self.position += length;
        Ok(length)
    }
}

/// Writes what the base64 text written to it decodes to. Call [`finish`](Self::finish) at the end.
#[derive(Debug)]
pub struct DecodeWriter<W> {
    sink: W,
    decoder: Decoder,
    decoded: Vec<u8>,
    total: u64,
}

impl<W: Write> DecodeWriter<W> {
    /// Hands what was decoded to `sink`.
    pub fn new(sink: W) -> Self {
        Self { sink, decoder: Decoder::default(), decoded: Vec::new(), total: 0 }
    }

    /// Checks the end of the text and hands over the last bytes.
    ///
    /// # Errors
    /// `InvalidData` for malformed base64, otherwise those of the sink.
    pub fn finish(self) -> io::Result<W> {
        self.finish_counting().map(|(sink, _)| sink)
    }

    /// [`finish`](Self::finish), and how many bytes were decoded.
    ///
    /// # Errors
    /// The same.
    pub fn finish_counting(mut self) -> io::Result<(W, u64)> {
        self.decoded.clear();
        self.decoder.finish(&mut self.decoded)?;
        self.total += self.decoded.len() as u64;
        self.sink.write_all(&self.decoded)?;
        Ok((self.sink, self.total))
    }
}

impl<W: Write> Write for DecodeWriter<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let piece = &text[..text.len().min(PIECE)];
        self.decoded.clear();
        self.decoder.push(piece, &mut self.decoded)?;
        self.total += self.decoded.len() as u64;
        self.sink.write_all(&self.decoded)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// Writes what is written to it as base64 text. Call [`finish`](Self::finish) at the end.
#[derive(Debug)]
pub struct EncodeWriter<W> {
    sink: W,
    /// Bytes that do not fill a line yet.
    kept: Vec<u8>,
    text: Vec<u8>,
    line_end: &'static [u8],
}

impl<W: Write> EncodeWriter<W> {
    /// Encodes to `sink` in lines.
    pub fn new(sink: W) -> Self {
        Self { sink, kept: Vec::with_capacity(LINE), text: Vec::new(), line_end: b"\n" }
    }

    /// Encodes to `sink` without line breaks.
    pub fn unbroken(sink: W) -> Self {
        Self { line_end: b"", ..Self::new(sink) }
    }

    /// Writes what does not fill a line.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn finish(mut self) -> io::Result<W> {
        self.sink.write_all(STANDARD.encode(&self.kept).as_bytes())?;
        Ok(self.sink)
    }

    fn lines(&mut self, data: &[u8]) -> io::Result<()> {
        self.text.clear();
        for line in data.chunks_exact(LINE) {
            let start = self.text.len();
            self.text.resize(start + LINE_TEXT, 0);
            let written = STANDARD.encode_slice(line, &mut self.text[start..]);
            written.expect("57 bytes are 76 characters");
            self.text.extend_from_slice(self.line_end);
        }
        self.sink.write_all(&self.text)
    }
}

impl<W: Write> Write for EncodeWriter<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.kept.is_empty() && data.len() >= LINE {
            let length = data.len().min(PIECE) / LINE * LINE;
            self.lines(&data[..length])?;
            return Ok(length);
        }
        let length = data.len().min(LINE - self.kept.len());
        self.kept.extend_from_slice(&data[..length]);
        if self.kept.len() == LINE {
            let kept = std::mem::take(&mut self.kept);
            let written = self.lines(&kept);
            self.kept = kept;
            self.kept.clear();
            written?;
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// Bytes in a full line, and the characters they become.
const LINE: usize = 57;
const LINE_TEXT: usize = 76;
/// Bytes worked on at a time.
const PIECE: usize = 16 * 1024;

static ALPHABET: [bool; 256] = {
    let mut table = [false; 256];
    let characters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut index = 0;
    while index < characters.len() {
        table[characters[index] as usize] = true;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_76_characters_and_only_full_ones_end() {
        assert_eq!(encode([0; 57]), format!("{}\n", "A".repeat(76)));
        assert_eq!(encode([0; 58]), format!("{}\nAA==", "A".repeat(76)));
        assert_eq!(encode(b""), "");
        assert_eq!(encode_unbroken([0; 60]), "A".repeat(80));
    }

    #[test]
    fn foreign_characters_are_skipped() {
        for text in ["aGVsbG8=", "a G\tV\r\nsbG8\n=\n", "*aGVs-bG8=!", "aGVsbG8 = ~"] {
            assert_eq!(decode(text).as_deref(), Ok(&b"hello"[..]), "{text}");
        }
        assert_eq!(decode(" \n"), Ok(vec![]));
    }

    #[test]
    fn padding_is_strict() {
        for text in ["a", "aG", "aGV", "aG=", "aGVs=", "aG===", "=", "aG==aGVs", "aGV=a", "aGVsbG8", "aG=V", "aGV=="] {
            assert_eq!(decode(text), Err(Base64Malformed), "{text}");
        }
        assert_eq!(decode("aGVsbG9="), Err(Base64Malformed), "bits that encode nothing");
        assert_eq!(decode("aGVsbG8="), Ok(b"hello".to_vec()));
    }

    proptest! {
        #[test]
        fn streams_agree_with_the_whole(data in proptest::collection::vec(any::<u8>(), 0..400), cut in 1_usize..100) {
            let mut writer = EncodeWriter::new(Vec::new());
            data.chunks(cut).for_each(|piece| writer.write_all(piece).unwrap());
            let text = writer.finish().unwrap();
            prop_assert_eq!(&text[..], encode(&data).into_bytes());
            prop_assert_eq!(text.len() as u64, encoded_len(data.len() as u64));

            let mut decoder = DecodeWriter::new(Vec::new());
            text.chunks(cut).for_each(|piece| decoder.write_all(piece).unwrap());
            prop_assert_eq!(&decoder.finish().unwrap(), &data);

            let mut read = Vec::new();
            DecodeReader::new(io::BufReader::with_capacity(cut, &text[..])).read_to_end(&mut read).unwrap();
            prop_assert_eq!(&read, &data);
        }
    }
}
