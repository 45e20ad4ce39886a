//! A sliding window over a source: every byte is fetched once, in order, into a buffer of bounded size. What lies in memory is
//! looked at where it lies.

use std::io;

use memchr::memmem::Finder;

use crate::source::ReadAt;

/// At most so large: enough to make system calls rare, small enough to have one per message.
const WINDOW: usize = 128 * 1024;

pub(super) struct Window<'a> {
    source: &'a dyn ReadAt,
    buffer: Vec<u8>,
    /// Offset in the source of the first byte in `buffer`.
    base: u64,
    at_end: bool,
}

impl<'a> Window<'a> {
    pub(super) fn new(source: &'a dyn ReadAt) -> Self {
        Self { source, buffer: Vec::new(), base: 0, at_end: false }
    }

    /// The bytes from `position` on: at least `wanted` of them, fewer only at the end of the source.
    /// Positions never go back behind an earlier one, and `wanted` is at most half the window.
    pub(super) fn from(&mut self, position: u64, wanted: usize) -> io::Result<&[u8]> {
        debug_assert!(position >= self.base && wanted <= WINDOW / 2);
        if let Some(bytes) = self.source.in_memory() {
            let skip = usize::try_from(position).map_or(bytes.len(), |position| position.min(bytes.len()));
            return Ok(&bytes[skip..]);
        }
        while !self.at_end && self.available(position) < wanted {
            self.refill(position)?;
        }
        let skip = self.buffer.len() - self.available(position);
        Ok(&self.buffer[skip..])
    }

    /// Where the next occurrence of the needle begins.
    pub(super) fn find(&mut self, mut position: u64, needle: &Finder<'_>) -> io::Result<Option<u64>> {
        let overlap = needle.needle().len() - 1;
        loop {
            let bytes = self.from(position, overlap + 1)?;
            if let Some(found) = needle.find(bytes) {
                return Ok(Some(position + found as u64));
            }
            if bytes.len() <= overlap {
                return Ok(None);
            }
            position += (bytes.len() - overlap) as u64;
        }
    }

    fn available(&self, position: u64) -> usize {
        let skip = usize::try_from(position - self.base).unwrap_or(usize::MAX);
        self.buffer.len().saturating_sub(skip)
    }

    fn refill(&mut self, position: u64) -> io::Result<()> {
        let keep = self.available(position);
        let drop = self.buffer.len() - keep;
        self.buffer.drain(..drop);
        self.base = position;
        // Most messages are small; a whole window would cost more than scanning them.
        let left = self.source.len().saturating_sub(position + keep as u64);
        let room = usize::try_from(left).map_or(WINDOW, |left| WINDOW.min(keep.saturating_add(left).saturating_add(1)));
        self.buffer.resize(room.max(keep + 1), 0);
        let read = retry(|| self.source.read_at(position + keep as u64, &mut self.buffer[keep..]));
        self.buffer.truncate(keep + *read.as_ref().unwrap_or(&0));
        self.at_end = read? == 0;
        Ok(())
    }
}

fn retry(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
