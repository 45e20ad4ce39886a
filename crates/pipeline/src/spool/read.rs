//! A finished spool, and reading it.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rohrpost_osci::source::{self, RangeReader, ReadAt};
use tempfile::{NamedTempFile, TempPath};

use super::temporary;

/// A finished spool, readable at any position by many threads at once. Cheap to clone.
#[derive(Clone)]
pub struct Spool(pub(super) Arc<Storage>);

pub(super) enum Storage {
    Memory(Vec<u8>),
    /// Without a path it has no name.
    File {
        file: File,
        path: Option<TempPath>,
        directory: Arc<Path>,
        len: u64,
    },
}

/// What a spool is made of, see [`Spool::into_parts`].
#[derive(Debug)]
pub enum SpoolParts {
    /// The bytes themselves.
    Memory(Vec<u8>),
    /// A file (mode 0600, removed when the path is dropped and not persisted) and its length in bytes.
    File(TempPath, u64),
}

impl Spool {
    /// A spool in memory, for short answers and tests.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Storage::Memory(bytes)))
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match &*self.0 {
            Storage::Memory(bytes) => bytes.len() as u64,
            Storage::File { len, .. } => *len,
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, if they are in memory: what may be used without touching the disk.
    pub fn in_memory(&self) -> Option<&[u8]> {
        match &*self.0 {
            Storage::Memory(bytes) => Some(bytes),
            Storage::File { .. } => None,
        }
    }

    /// Reads from `offset` into `buf` and returns the number of bytes read; 0 at and beyond the end.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        match &*self.0 {
            Storage::Memory(bytes) => {
                let start = usize::try_from(offset).map_or(bytes.len(), |o| o.min(bytes.len()));
                let len = buf.len().min(bytes.len() - start);
                buf[..len].copy_from_slice(&bytes[start..start + len]);
                Ok(len)
            }
            Storage::File { file, .. } => FileExt::read_at(file, buf, offset),
        }
    }

    /// Reads `range` from front to back; what lies beyond the end is cut off. Holds the spool, but
    /// has its own position.
    pub fn reader(&self, range: Range<u64>) -> SpoolReader {
        source::reader(self.clone(), range)
    }

    /// Takes the spool apart, so that a store can adopt the file by renaming it.
    ///
    /// Handles that are still alive elsewhere keep working: memory is copied for them and the file gets
    /// a second name in the same directory.
    ///
    /// # Errors
    /// When the second name cannot be made.
    pub fn into_parts(self) -> io::Result<SpoolParts> {
        match Arc::try_unwrap(self.0) {
            Ok(Storage::Memory(bytes)) => Ok(SpoolParts::Memory(bytes)),
            Ok(Storage::File { path: Some(path), len, .. }) => Ok(SpoolParts::File(path, len)),
            Ok(Storage::File { file, path: None, directory, len }) => {
                Ok(SpoolParts::File(copy(&file, &directory, len)?, len))
            }
            Err(shared) => match &*shared {
                Storage::Memory(bytes) => Ok(SpoolParts::Memory(bytes.clone())),
                Storage::File { path: Some(path), len, .. } => Ok(SpoolParts::File(second_name(path)?, *len)),
                Storage::File { file, path: None, directory, len } => {
                    Ok(SpoolParts::File(copy(file, directory, *len)?, *len))
                }
            },
        }
    }
}

impl ReadAt for Spool {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        Self::read_at(self, offset, buf)
    }

    fn len(&self) -> u64 {
        Self::len(self)
    }

    fn in_memory(&self) -> Option<&[u8]> {
        Self::in_memory(self)
    }
}

impl From<Vec<u8>> for Spool {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from_bytes(bytes)
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Sequential reading of a part of a [`Spool`].
pub type SpoolReader = RangeReader<Spool>;

/// A file of that content with a name.
fn copy(file: &File, directory: &Path, len: u64) -> io::Result<TempPath> {
    let mut named = temporary().tempfile_in(directory)?;
    let copied = io::copy(&mut source::reader(file, 0..len), &mut named)?;
    if copied == len { Ok(named.into_temp_path()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn second_name(path: &Path) -> io::Result<TempPath> {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    temporary().make_in(directory, |name| fs::hard_link(path, name)).map(NamedTempFile::into_temp_path)
}
