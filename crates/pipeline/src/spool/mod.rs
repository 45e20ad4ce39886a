//! Spools: where the bytes of a message wait while it is being worked on.
//!
//! A spool is written once, front to back, then read at any position by any number of readers. Small
//! ones stay in memory, larger ones go to a file, so that memory does not grow with the message:
//!
//! ```
//! use std::io::{Read, Write};
//! use rohrpost_pipeline::spool::SpoolDir;
//!
//! let spools = SpoolDir::new(std::env::temp_dir()).with_limit(1024 * 1024);
//! let mut writer = spools.writer();
//! writer.write_all(b"MIME-Version: 1.0\r\n")?;
//! let spool = writer.finish()?;
//!
//! let mut text = String::new();
//! spool.reader(14..17).read_to_string(&mut text)?;
//! assert_eq!(text, "1.0");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Nothing survives the last handle: the file is removed when writer and spool are dropped, unless
//! somebody took it over with [`Spool::into_parts`].

mod read;
#[cfg(test)]
mod tests;
mod write;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use read::{Spool, SpoolParts, SpoolReader};
pub use write::SpoolWriter;

/// Bytes kept in memory unless [`SpoolDir::with_memory_threshold`] says otherwise.
pub const DEFAULT_MEMORY_THRESHOLD: usize = 64 * 1024;

const FILE_PREFIX: &str = "spool-";

/// Where spools are made and how large they may become. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SpoolDir {
    directory: Arc<Path>,
    memory_threshold: usize,
    limit: u64,
    reserve: u64,
    unnamed: bool,
}

impl SpoolDir {
    /// Spools whose files lie in `directory`, which must exist when the first file is needed. No limit.
    ///
    /// A body that shall be stored by [`Spool::into_parts`] and rename needs a directory on the file
    /// system of the store.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into().into(),
            memory_threshold: DEFAULT_MEMORY_THRESHOLD,
            limit: u64::MAX,
            reserve: 0,
            unnamed: false,
        }
    }

    /// Goes to a file beyond `bytes`.
    #[must_use]
    pub fn with_memory_threshold(mut self, bytes: usize) -> Self {
        self.memory_threshold = bytes;
        self
    }

    /// Refuses to hold more than `bytes` in one spool.
    #[must_use]
    pub fn with_limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    /// Keeps `bytes` of the file system free for what must go on when it is full: [`has_room`](Self::has_room) says no before.
    /// Whoever writes spools decides whether to ask.
    #[must_use]
    pub fn with_reserve(mut self, bytes: u64) -> Self {
        self.reserve = bytes;
        self
    }

    /// Makes files without a name, which go with the process however it ends: for secrets in a directory that nobody cleans
    /// up. [`Spool::into_parts`] has to copy them.
    #[must_use]
    pub fn unnamed(mut self) -> Self {
        self.unnamed = true;
        self
    }

    /// The hard limit of one spool in bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes kept in memory before a file is used.
    pub fn memory_threshold(&self) -> usize {
        self.memory_threshold
    }

    /// Bytes of the file system that are to stay free.
    pub fn reserve(&self) -> u64 {
        self.reserve
    }

    /// Bytes of the file system that are free for us.
    ///
    /// # Errors
    /// When the operating system cannot tell.
    pub fn free(&self) -> io::Result<u64> {
        let about = rustix::fs::statvfs(&*self.directory)?;
        Ok(about.f_bavail.saturating_mul(about.f_frsize))
    }

    /// Whether `bytes` can be written without touching the reserve. Yes if nobody can tell: the write itself will.
    pub fn has_room(&self, bytes: u64) -> bool {
        self.free().map_or(true, |free| free >= self.reserve.saturating_add(bytes))
    }

    /// The directory of the files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// An empty spool to write to. Touches the disk only when the threshold is passed.
    pub fn writer(&self) -> SpoolWriter {
        self.writer_for(0)
    }

    /// The same for about so many bytes, for which memory is then found at once.
    pub fn writer_for(&self, bytes: u64) -> SpoolWriter {
        // What will go to a file needs little memory before.
        let room = usize::try_from(bytes).ok().filter(|bytes| *bytes <= self.memory_threshold);
        SpoolWriter::new(self.clone(), room.unwrap_or(0))
    }

    /// An empty file without a name, for whoever keeps many things in one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn file(&self) -> io::Result<File> {
        tempfile::tempfile_in(&self.directory)
    }

    /// Removes the files that a killed process left behind and returns how many there were. Call it at
    /// start, before the first writer; a process that still spools here would lose its files.
    ///
    /// # Errors
    /// When the directory cannot be listed or a file cannot be removed.
    pub fn remove_leftovers(&self) -> io::Result<usize> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let ours = entry.file_name().to_string_lossy().starts_with(FILE_PREFIX);
            if ours && entry.file_type()?.is_file() {
                fs::remove_file(entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// Why a spool could not take more bytes. Found inside the [`io::Error`] of a write by
/// [`SpoolError::within`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The message is larger than allowed. Nothing can be done but to refuse it.
    #[error("larger than the allowed {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
}

impl SpoolError {
    /// The spool's own error inside an I/O error, also when a caller wrapped that in further I/O errors.
    pub fn within(error: &io::Error) -> Option<Self> {
        let inner = error.get_ref()?;
        match inner.downcast_ref::<Self>() {
            Some(found) => Some(*found),
            None => inner.downcast_ref::<io::Error>().and_then(Self::within),
        }
    }
}

impl From<SpoolError> for io::Error {
    fn from(error: SpoolError) -> Self {
        Self::new(io::ErrorKind::FileTooLarge, error)
    }
}

fn temporary() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(FILE_PREFIX);
    builder
}
