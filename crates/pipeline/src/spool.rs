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

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, mem};

use rohrpost_osci::source::ReadAt;
use tempfile::{NamedTempFile, TempPath};

/// Bytes kept in memory unless [`SpoolDir::with_memory_threshold`] says otherwise.
pub const DEFAULT_MEMORY_THRESHOLD: usize = 64 * 1024;

const FILE_PREFIX: &str = "spool-";
const WRITE_BUFFER: usize = 64 * 1024;

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
        SpoolWriter { settings: self.clone(), sink: Sink::Memory(Vec::with_capacity(room.unwrap_or(0))), len: 0 }
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

/// The writing end. Dropped without [`finish`](Self::finish) it leaves nothing behind.
pub struct SpoolWriter {
    settings: SpoolDir,
    sink: Sink,
    len: u64,
}

enum Sink {
    Memory(Vec<u8>),
    File(BufWriter<File>, Option<TempPath>),
}

impl SpoolWriter {
    /// Bytes written so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Ends writing. The bytes are readable afterwards, but not yet durable.
    ///
    /// # Errors
    /// When the last bytes cannot be written to the file.
    pub fn finish(self) -> io::Result<Spool> {
        let storage = match self.sink {
            Sink::Memory(bytes) => Storage::Memory(bytes),
            Sink::File(writer, path) => Storage::File {
                file: writer.into_inner().map_err(io::IntoInnerError::into_error)?,
                path,
                directory: self.settings.directory,
                len: self.len,
            },
        };
        Ok(Spool(Arc::new(storage)))
    }

    fn move_to_file(&mut self) -> io::Result<()> {
        if let Sink::Memory(bytes) = &mut self.sink {
            let (file, path) = if self.settings.unnamed {
                (tempfile::tempfile_in(&self.settings.directory)?, None)
            } else {
                let (file, path) = temporary().tempfile_in(&self.settings.directory)?.into_parts();
                (file, Some(path))
            };
            let mut writer = BufWriter::with_capacity(WRITE_BUFFER, file);
            writer.write_all(&mem::take(bytes))?;
            self.sink = Sink::File(writer, path);
        }
        Ok(())
    }
}

impl Write for SpoolWriter {
    /// Takes everything or fails. Beyond the limit the error carries [`SpoolError::TooLarge`].
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let limit = self.settings.limit;
        let len = self.len.saturating_add(bytes.len() as u64);
        if len > limit {
            return Err(SpoolError::TooLarge { limit }.into());
        }
        if len > self.settings.memory_threshold as u64 {
            self.move_to_file()?;
        }
        match &mut self.sink {
            Sink::Memory(memory) => memory.extend_from_slice(bytes),
            Sink::File(writer, _) => writer.write_all(bytes)?,
        }
        self.len = len;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Memory(_) => Ok(()),
            Sink::File(writer, _) => writer.flush(),
        }
    }
}

impl fmt::Debug for SpoolWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpoolWriter").field("len", &self.len).finish_non_exhaustive()
    }
}

/// A finished spool, readable at any position by many threads at once. Cheap to clone.
#[derive(Clone)]
pub struct Spool(Arc<Storage>);

enum Storage {
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
        SpoolReader { position: range.start, end: range.end.min(self.len()), spool: self.clone() }
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
#[derive(Debug)]
pub struct SpoolReader {
    spool: Spool,
    position: u64,
    end: u64,
}

impl SpoolReader {
    /// Bytes still to be read.
    pub fn remaining(&self) -> u64 {
        self.end.saturating_sub(self.position)
    }
}

impl Read for SpoolReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.remaining()).map_or(buf.len(), |rest| rest.min(buf.len()));
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.spool.read_at(self.position, &mut buf[..wanted])?;
        if read == 0 {
            // Somebody cut the file: a short answer must not look like a whole one.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += read as u64;
        Ok(read)
    }
}

fn temporary() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(FILE_PREFIX);
    builder
}

/// A file of that content with a name.
fn copy(file: &File, directory: &Path, len: u64) -> io::Result<TempPath> {
    let mut named = temporary().tempfile_in(directory)?;
    let copied = io::copy(&mut rohrpost_osci::source::reader(file, 0..len), &mut named)?;
    if copied == len { Ok(named.into_temp_path()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn second_name(path: &Path) -> io::Result<TempPath> {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    temporary().make_in(directory, |name| fs::hard_link(path, name)).map(NamedTempFile::into_temp_path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn files(directory: &Path) -> Vec<PathBuf> {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn spool(directory: &SpoolDir, bytes: &[u8]) -> Spool {
        let mut writer = directory.writer();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    fn read(spool: &Spool, range: Range<u64>) -> Vec<u8> {
        let mut bytes = Vec::new();
        spool.reader(range).read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_reserve_is_not_for_everything() {
        let dir = tempfile::tempdir().unwrap();
        let spools = SpoolDir::new(dir.path());
        let free = spools.free().unwrap();
        assert!(free > 0 && spools.has_room(0) && !spools.has_room(u64::MAX));
        assert!(!spools.clone().with_reserve(u64::MAX).has_room(0));
        let nowhere = SpoolDir::new("/nonexistent").with_reserve(1);
        assert!(nowhere.free().is_err() && nowhere.has_room(u64::MAX), "writing will tell");
    }

    #[test]
    fn stays_in_memory_up_to_the_threshold() {
        let directory = tempfile::tempdir().unwrap();
        let spools = SpoolDir::new(directory.path()).with_memory_threshold(4);
        let small = spool(&spools, b"1234");
        assert_eq!(small.in_memory(), Some(&b"1234"[..]));
        assert!(files(directory.path()).is_empty());

        let large = spool(&spools, b"12345");
        assert_eq!(large.in_memory(), None);
        assert_eq!(files(directory.path()).len(), 1);
        assert_eq!(read(&large, 0..5), b"12345");
    }

    #[test]
    fn file_is_readable_by_the_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let _spool = spool(&SpoolDir::new(directory.path()).with_memory_threshold(0), b"x");
        let file = files(directory.path()).remove(0);
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn nothing_survives_drop() {
        let directory = tempfile::tempdir().unwrap();
        let spools = SpoolDir::new(directory.path()).with_memory_threshold(0);
        let mut unfinished = spools.writer();
        unfinished.write_all(b"abc").unwrap();
        let finished = spool(&spools, b"abc");
        let clone = finished.clone();
        let reader = clone.reader(0..3);
        assert_eq!(files(directory.path()).len(), 2);
        drop((unfinished, finished, clone));
        assert_eq!(files(directory.path()).len(), 1, "a reader holds the spool");
        drop(reader);
        assert!(files(directory.path()).is_empty());
    }

    #[test]
    fn limit_is_a_typed_error_and_exact() {
        let spools = SpoolDir::new("/nonexistent").with_limit(5);
        let mut writer = spools.writer();
        writer.write_all(b"12345").unwrap();
        let error = writer.write_all(b"6").unwrap_err();
        assert_eq!(SpoolError::within(&error), Some(SpoolError::TooLarge { limit: 5 }));
        let wrapped = io::Error::other(error);
        assert_eq!(SpoolError::within(&wrapped), Some(SpoolError::TooLarge { limit: 5 }));
        assert_eq!(SpoolError::within(&io::ErrorKind::NotFound.into()), None);
        assert_eq!(writer.len(), 5, "a refused write leaves nothing");
        assert_eq!(read(&writer.finish().unwrap(), 0..9), b"12345");
    }

    #[test]
    fn missing_directory_is_reported_when_it_is_needed() {
        let mut writer = SpoolDir::new("/nonexistent").with_memory_threshold(1).writer();
        let error = writer.write_all(b"12").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn every_split_and_every_range_reads_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..=255).cycle().take(700).collect();
        for threshold in [0, 1, 350, 699, 700, 701] {
            let spools = SpoolDir::new(directory.path()).with_memory_threshold(threshold);
            for piece in [1, 7, 64, 700] {
                let mut writer = spools.writer();
                for chunk in bytes.chunks(piece) {
                    writer.write_all(chunk).unwrap();
                }
                let spool = writer.finish().unwrap();
                assert_eq!(spool.len(), 700);
                for range in [0..700, 0..0, 13..14, 600..900, 700..701, 900..1000] {
                    let from = (range.start as usize).min(700);
                    let to = (range.end as usize).min(700);
                    assert_eq!(read(&spool, range), &bytes[from..to]);
                }
            }
        }
    }

    #[test]
    fn positional_reads_do_not_disturb_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let spool = spool(&SpoolDir::new(directory.path()).with_memory_threshold(0), b"abcdef");
        let mut first = spool.reader(0..6);
        let mut two = [0; 2];
        first.read_exact(&mut two).unwrap();
        let mut other = [0; 3];
        assert_eq!(spool.read_at(3, &mut other).unwrap(), 3);
        assert_eq!(&other, b"def");
        first.read_exact(&mut two).unwrap();
        assert_eq!(&two, b"cd");
        assert_eq!(first.remaining(), 2);
    }

    #[test]
    fn file_can_be_adopted_by_rename() {
        let directory = tempfile::tempdir().unwrap();
        let spools = SpoolDir::new(directory.path()).with_memory_threshold(0);
        let SpoolParts::File(path, 3) = spool(&spools, b"abc").into_parts().unwrap() else {
            panic!("a file of three bytes expected");
        };
        let kept = directory.path().join("kept");
        path.persist(&kept).unwrap();
        assert_eq!(fs::read(&kept).unwrap(), b"abc");
        assert_eq!(files(directory.path()), [kept]);
    }

    #[test]
    fn adopting_a_shared_spool_leaves_the_other_handle_alone() {
        let directory = tempfile::tempdir().unwrap();
        let spools = SpoolDir::new(directory.path()).with_memory_threshold(0);
        let other = spool(&spools, b"abc");
        let SpoolParts::File(path, 3) = other.clone().into_parts().unwrap() else {
            panic!("a file of three bytes expected");
        };
        path.persist(directory.path().join("kept")).unwrap();
        assert_eq!(read(&other, 0..3), b"abc");
        drop(other);
        assert_eq!(files(directory.path()), [directory.path().join("kept")]);

        let memory = Spool::from_bytes(b"abc".to_vec());
        let SpoolParts::Memory(bytes) = memory.clone().into_parts().unwrap() else {
            panic!("memory expected");
        };
        assert_eq!(bytes, b"abc");
    }

    #[test]
    fn a_file_without_name_is_never_seen_but_can_be_given_one() {
        let directory = tempfile::tempdir().unwrap();
        let spools = SpoolDir::new(directory.path()).with_memory_threshold(0).unnamed();
        let unnamed = spool(&spools, b"abc");
        assert!(files(directory.path()).is_empty());
        assert_eq!(read(&unnamed, 1..3), b"bc");
        for handle in [unnamed.clone(), unnamed] {
            let SpoolParts::File(path, 3) = handle.into_parts().unwrap() else {
                panic!("a file of three bytes expected");
            };
            assert_eq!(fs::read(&path).unwrap(), b"abc");
        }
    }

    #[test]
    fn cut_file_is_an_error_not_an_end() {
        let directory = tempfile::tempdir().unwrap();
        let spool = spool(&SpoolDir::new(directory.path()).with_memory_threshold(0), b"abcdef");
        let file = fs::OpenOptions::new().write(true).open(files(directory.path()).remove(0)).unwrap();
        file.set_len(2).unwrap();
        let error = spool.reader(0..6).read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn leftovers_are_removed_and_foreign_files_are_not() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("spool-left"), b"x").unwrap();
        fs::write(directory.path().join("other"), b"x").unwrap();
        assert_eq!(SpoolDir::new(directory.path()).remove_leftovers().unwrap(), 1);
        assert_eq!(files(directory.path()), [directory.path().join("other")]);
    }

    #[test]
    fn debug_shows_no_bytes() {
        let text = format!("{:?}", Spool::from_bytes(b"secret".to_vec()));
        assert_eq!(text, "Spool { len: 6, .. }");
    }
}
