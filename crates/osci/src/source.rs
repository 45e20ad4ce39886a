//! Random access to received bytes: [`ReadAt`], views of a part of them, and sequential readers over them.
//!
//! A message is read from a spool more than once (digest, copy, decrypt) and by several threads; positions therefore
//! belong to the reader, never to the source.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

/// Bytes that can be read at any offset without moving anything.
pub trait ReadAt: Send + Sync {
    /// Reads up to `buf.len()` bytes from `offset` on; 0 at or behind the end, fewer than asked for at any time.
    ///
    /// # Errors
    /// Whatever the medium reports.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// The number of bytes.
    fn len(&self) -> u64;

    /// Whether there is not a single byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A sequential reader over `range` of `source`. A range that reaches behind the end stops at the end.
pub fn reader<S: ReadAt>(source: S, range: Range<u64>) -> RangeReader<S> {
    RangeReader { source, position: range.start, end: range.end }
}

/// Reads all of `range` into memory; for ranges whose size was checked before.
///
/// # Errors
/// As the source, and `UnexpectedEof` if the source ends before the range does.
pub fn read_range(source: &dyn ReadAt, range: Range<u64>) -> io::Result<Vec<u8>> {
    let wanted = range.end.saturating_sub(range.start);
    let mut bytes = Vec::with_capacity(usize::try_from(wanted.min(1 << 20)).unwrap_or(0));
    reader(source, range).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != wanted {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// See [`reader`].
#[derive(Debug, Clone)]
pub struct RangeReader<S> {
    source: S,
    position: u64,
    end: u64,
}

impl<S> RangeReader<S> {
    /// Offset in the source of the next byte.
    pub fn position(&self) -> u64 {
        self.position
    }
}

impl<S: ReadAt> Read for RangeReader<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_sub(self.position);
        let wanted = usize::try_from(left).map_or(buf.len(), |left| left.min(buf.len()));
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.source.read_at(self.position, &mut buf[..wanted])?;
        self.position += read as u64;
        Ok(read)
    }
}

/// A part of a source as a source of its own.
#[derive(Debug, Clone)]
pub struct Slice<S> {
    source: S,
    range: Range<u64>,
}

impl<S: ReadAt> Slice<S> {
    /// The view of `range`, cut at the end of the source.
    pub fn new(source: S, range: Range<u64>) -> Self {
        let end = range.end.min(source.len());
        let start = range.start.min(end);
        Self { source, range: start..end }
    }
}

impl<S: ReadAt> ReadAt for Slice<S> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.len().saturating_sub(offset);
        let wanted = usize::try_from(left).map_or(buf.len(), |left| left.min(buf.len()));
        if wanted == 0 {
            return Ok(0);
        }
        self.source.read_at(self.range.start + offset, &mut buf[..wanted])
    }

    fn len(&self) -> u64 {
        self.range.end - self.range.start
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..));
        let rest = rest.unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.as_slice().read_at(offset, buf)
    }

    fn len(&self) -> u64 {
        ReadAt::len(self.as_slice())
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        T::read_at(self, offset, buf)
    }

    fn len(&self) -> u64 {
        T::len(self)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Arc<T> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        T::read_at(self, offset, buf)
    }

    fn len(&self) -> u64 {
        T::len(self)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Box<T> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        T::read_at(self, offset, buf)
    }

    fn len(&self) -> u64 {
        T::len(self)
    }
}

impl ReadAt for File {
    #[cfg(unix)]
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buf, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(self, buf, offset)
    }

    /// Asks the file system each time; 0 if it does not answer.
    fn len(&self) -> u64 {
        self.metadata().map_or(0, |metadata| metadata.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_and_readers_stay_inside_their_range() {
        let source = Arc::new(b"0123456789".to_vec());
        let slice = Slice::new(Arc::clone(&source), 2..6);
        let mut text = String::new();
        reader(&slice, 1..100).read_to_string(&mut text).unwrap();
        assert_eq!(text, "345");
        assert_eq!(ReadAt::len(&Slice::new(&slice, 3..100)), 1);
        assert!(Slice::new(&slice, 50..60).is_empty());
        assert_eq!(slice.read_at(4, &mut [0; 4]).unwrap(), 0);
        assert_eq!(source.read_at(u64::MAX, &mut [0; 4]).unwrap(), 0);
    }

    #[test]
    fn read_range_tells_a_short_source() {
        assert_eq!(read_range(&b"abcdef".to_vec(), 1..3).unwrap(), b"bc");
        let error = read_range(&b"abc".to_vec(), 1..9).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn every_kind_of_owner_reads_alike() {
        let sources: [Box<dyn ReadAt>; 3] = [
            Box::new(b"xyz".to_vec()),
            Box::new(Arc::new(b"xyz".to_vec())),
            Box::new(Slice::new(b"wxyz!".to_vec(), 1..4)),
        ];
        for source in &sources {
            assert_eq!(read_range(source, 0..3).unwrap(), b"xyz");
        }
    }
}
