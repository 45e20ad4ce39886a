//! The source below the reader: position, and pieces that were handed out but not yet consumed.

use std::io::{BufRead, ErrorKind};

use super::error::{Bound, Fault, XmlError};

/// At most this much of a text is handed out at once: small enough to stay in the first-level cache.
pub(super) const WINDOW: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Input<R> {
    inner: R,
    position: u64,
    held: usize,
}

impl<R: BufRead> Input<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, position: 0, held: 0 }
    }

    /// Bytes handed out so far.
    pub(super) fn position(&self) -> u64 {
        self.position + self.held as u64
    }

    pub(super) fn into_inner(mut self) -> R {
        self.release();
        self.inner
    }

    /// Consumes what [`hold`](Self::hold) lent.
    pub(super) fn release(&mut self) {
        let held = std::mem::take(&mut self.held);
        self.consume(held);
    }

    /// What is buffered now; empty only at the end of the input.
    pub(super) fn buffer(&mut self) -> Result<&[u8], XmlError> {
        // Asking twice is needed because the loop may not return a borrow (and costs nothing).
        loop {
            match self.inner.fill_buf() {
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(XmlError::Input(error)),
            }
        }
        self.inner.fill_buf().map_err(XmlError::Input)
    }

    pub(super) fn peek(&mut self) -> Result<Option<u8>, XmlError> {
        Ok(self.buffer()?.first().copied())
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.inner.consume(count);
        self.position += count as u64;
    }

    /// Lends the next `count` buffered bytes until [`release`](Self::release).
    pub(super) fn hold(&mut self, count: usize) -> Result<&[u8], XmlError> {
        self.held = count;
        let buffer = self.inner.fill_buf().map_err(XmlError::Input)?;
        Ok(&buffer[..count.min(buffer.len())])
    }

    /// The next byte, which must exist.
    pub(super) fn take(&mut self) -> Result<u8, XmlError> {
        let byte = self.peek()?.ok_or_else(|| self.truncated())?;
        self.consume(1);
        Ok(byte)
    }

    /// Whether the next bytes are `expected`; consumes as far as they agree.
    pub(super) fn take_exact(&mut self, expected: &[u8]) -> Result<bool, XmlError> {
        for &byte in expected {
            if self.peek()? != Some(byte) {
                return Ok(false);
            }
            self.consume(1);
        }
        Ok(true)
    }

    /// Appends to `token` up to the first `stop`, which is consumed and left out.
    pub(super) fn take_until(
        &mut self,
        stop: u8,
        token: &mut Vec<u8>,
        limit: usize,
        bound: Bound,
    ) -> Result<(), XmlError> {
        loop {
            let buffer = self.buffer()?;
            if buffer.is_empty() {
                return Err(self.truncated());
            }
            let found = memchr::memchr(stop, buffer);
            let length = found.unwrap_or(buffer.len());
            if token.len() + length > limit {
                return Err(self.too_long(bound));
            }
            token.extend_from_slice(&buffer[..length]);
            self.consume(length + usize::from(found.is_some()));
            if found.is_some() {
                return Ok(());
            }
        }
    }

    /// Appends a tag to `token`, up to the `>` that is outside quotes.
    pub(super) fn take_tag(&mut self, token: &mut Vec<u8>, limit: usize) -> Result<(), XmlError> {
        let mut quote = None;
        loop {
            let buffer = self.buffer()?;
            if buffer.is_empty() {
                return Err(self.truncated());
            }
            let (length, ended) = tag_part(buffer, &mut quote);
            let inside = &buffer[..length - usize::from(ended)];
            if token.len() + inside.len() > limit {
                return Err(self.too_long(Bound::Token));
            }
            token.extend_from_slice(inside);
            self.consume(length);
            if ended {
                return Ok(());
            }
        }
    }

    pub(super) fn truncated(&self) -> XmlError {
        XmlError::NotWellFormed { fault: Fault::Truncated, at: self.position() }
    }

    fn too_long(&self, bound: Bound) -> XmlError {
        XmlError::Limit { bound, at: self.position() }
    }
}

/// How much of `buffer` belongs to the tag, and whether that ends with the closing `>`.
fn tag_part(buffer: &[u8], quote: &mut Option<u8>) -> (usize, bool) {
    let mut position = 0;
    loop {
        let rest = &buffer[position..];
        let found = match *quote {
            Some(mark) => memchr::memchr(mark, rest),
            None => memchr::memchr3(b'>', b'"', b'\'', rest),
        };
        let Some(found) = found else { return (buffer.len(), false) };
        position += found + 1;
        match (*quote, rest[found]) {
            (None, b'>') => return (position, true),
            (None, mark) => *quote = Some(mark),
            (Some(_), _) => *quote = None,
        }
    }
}
