//! Encoding.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::PIECE;

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
pub(super) const LINE: usize = 57;
pub(super) const LINE_TEXT: usize = 76;
