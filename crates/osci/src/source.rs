//! Random access to received bytes: [`ReadAt`], views of a part of them, and sequential readers over them.
//!
//! A message is read from a spool more than once (digest, copy, decrypt) and by several threads; positions therefore
//! belong to the reader, never to the source.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
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

    /// All bytes, if they lie in memory: what may be looked at without copying it.
    fn in_memory(&self) -> Option<&[u8]> {
        None
    }

    /// Whether there is not a single byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A sequential reader over `range` of `source`. A range that reaches behind the end stops at the end.
pub fn reader<S: ReadAt>(source: S, range: Range<u64>) -> RangeReader<S> {
    RangeReader { position: range.start, end: range.end.min(source.len()), source }
}

/// As [`reader`], buffered: what lies in memory is read where it lies.
pub fn buffered(source: &dyn ReadAt, range: Range<u64>) -> Buffered<'_> {
    match source.in_memory() {
        Some(bytes) => Buffered(Kind::Memory(part(bytes, &range))),
        None => Buffered(Kind::Medium(BufReader::with_capacity(BUFFER, reader(source, range)))),
    }
}

/// The bytes of `range` that there are.
fn part<'a>(bytes: &'a [u8], range: &Range<u64>) -> &'a [u8] {
    let [start, end] =
        [range.start, range.end].map(|at| usize::try_from(at).map_or(bytes.len(), |at| at.min(bytes.len())));
    &bytes[start.min(end)..end]
}

const BUFFER: usize = 64 * 1024;

/// See [`buffered`].
pub struct Buffered<'a>(Kind<'a>);

enum Kind<'a> {
    Memory(&'a [u8]),
    Medium(BufReader<RangeReader<&'a dyn ReadAt>>),
}

impl Read for Buffered<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Memory(bytes) => bytes.read(buf),
            Kind::Medium(medium) => medium.read(buf),
        }
    }
}

impl BufRead for Buffered<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match &mut self.0 {
            Kind::Memory(bytes) => Ok(bytes),
            Kind::Medium(medium) => medium.fill_buf(),
        }
    }

    fn consume(&mut self, amount: usize) {
        match &mut self.0 {
            Kind::Memory(bytes) => *bytes = &bytes[amount..],
            Kind::Medium(medium) => medium.consume(amount),
        }
    }
}

/// Shows no content.
impl fmt::Debug for Buffered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffered").finish_non_exhaustive()
    }
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

    /// Bytes still to be read.
    pub fn remaining(&self) -> u64 {
        self.end.saturating_sub(self.position)
    }
}

impl<S: ReadAt> Read for RangeReader<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.remaining()).map_or(buf.len(), |left| left.min(buf.len()));
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.source.read_at(self.position, &mut buf[..wanted])?;
        if read == 0 {
            // Somebody cut the source: a short answer must not look like a whole one.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
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

    fn in_memory(&self) -> Option<&[u8]> {
        self.source.in_memory().map(|bytes| part(bytes, &self.range))
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

    fn in_memory(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.as_slice().read_at(offset, buf)
    }

    fn len(&self) -> u64 {
        ReadAt::len(self.as_slice())
    }

    fn in_memory(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        T::read_at(self, offset, buf)
    }

    fn len(&self) -> u64 {
        T::len(self)
    }

    fn in_memory(&self) -> Option<&[u8]> {
        T::in_memory(self)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Arc<T> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        T::read_at(self, offset, buf)
    }

    fn len(&self) -> u64 {
        T::len(self)
    }

    fn in_memory(&self) -> Option<&[u8]> {
        T::in_memory(self)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Box<T> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        T::read_at(self, offset, buf)
    }

    fn len(&self) -> u64 {
        T::len(self)
    }

    fn in_memory(&self) -> Option<&[u8]> {
        T::in_memory(self)
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
    fn memory_is_read_where_it_lies() {
        let bytes = b"0123456789".to_vec();
        let slice = Slice::new(&bytes, 2..8);
        for (range, expected) in [(0..3, "234"), (4..100, "67"), (6..7, ""), (90..100, "")] {
            let mut buffered = buffered(&slice, range.clone());
            assert_eq!(buffered.fill_buf().unwrap(), expected.as_bytes());
            assert!(expected.is_empty() || bytes.as_ptr_range().contains(&buffered.fill_buf().unwrap().as_ptr()));
            let mut text = String::new();
            buffered.read_to_string(&mut text).unwrap();
            assert_eq!(text, expected, "{range:?}");
        }
    }

    #[test]
    fn other_media_are_buffered() {
        let file = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
        assert!(file.in_memory().is_none());
        let mut text = String::new();
        buffered(&file, 1..8).read_to_string(&mut text).unwrap();
        assert_eq!(text, "package");
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
