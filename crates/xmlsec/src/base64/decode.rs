//! Decoding.

use std::io::{self, Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::{Base64Malformed, PIECE};

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
