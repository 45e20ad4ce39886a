//! Content goes to spools.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

use rohrpost_osci::content::{BlobWriter, Blobs};
use rohrpost_osci::source::{ReadAt, Slice};
use rohrpost_pipeline::spool::{SpoolDir, SpoolWriter};

/// Places for content in spools. A delivery may hold tens of thousands of contents, so only some of them get memory or a file of
/// their own; the others share one file.
pub(crate) struct SpoolBlobs {
    spools: SpoolDir,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    /// Bytes of memory that blobs may still take.
    memory: u64,
    /// Files that blobs may still have for themselves.
    files: usize,
    /// Where the others lie, one after the other.
    file: Option<(Arc<File>, u64)>,
}

/// Bytes in memory, all blobs of one delivery together.
const MEMORY: u64 = 4 << 20;
/// Files of their own.
const FILES: usize = 64;

impl SpoolBlobs {
    pub(crate) fn new(spools: SpoolDir) -> Self {
        Self { spools, shared: Arc::new(Mutex::new(Shared { memory: MEMORY, files: FILES, file: None })) }
    }
}

impl Blobs for SpoolBlobs {
    fn create(&self) -> io::Result<Box<dyn BlobWriter>> {
        let (spools, shared) = (self.spools.clone(), Arc::clone(&self.shared));
        Ok(Box::new(SpoolBlob { writer: spools.writer(), spools, shared }))
    }
}

struct SpoolBlob {
    writer: SpoolWriter,
    spools: SpoolDir,
    shared: Arc<Mutex<Shared>>,
}

impl Write for SpoolBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl BlobWriter for SpoolBlob {
    fn finish(self: Box<Self>) -> io::Result<Arc<dyn ReadAt>> {
        let Self { writer, spools, shared } = *self;
        let spool = writer.finish()?;
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let free = match spool.in_memory() {
            Some(bytes) => shared.memory.checked_sub(bytes.len() as u64).map(|left| shared.memory = left),
            None => shared.files.checked_sub(1).map(|left| shared.files = left),
        };
        match free {
            Some(()) => Ok(Arc::new(spool)),
            None => shared.append(&spools, &mut spool.reader(0..spool.len())),
        }
    }
}

impl Shared {
    fn append(&mut self, spools: &SpoolDir, content: &mut dyn Read) -> io::Result<Arc<dyn ReadAt>> {
        let (file, end) = match &mut self.file {
            Some(file) => file,
            none => none.insert((Arc::new(spools.file()?), 0)),
        };
        let start = *end;
        let mut writing = &**file;
        writing.seek(SeekFrom::Start(start))?;
        *end += io::copy(content, &mut writing)?;
        Ok(Arc::new(Slice::new(Arc::clone(file), start..*end)))
    }
}

#[cfg(test)]
mod tests {
    use rohrpost_osci::source::read_range;

    use super::*;

    #[test]
    fn many_blobs_take_neither_memory_nor_files() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = SpoolBlobs::new(SpoolDir::new(directory.path()).with_memory_threshold(1000));
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let before = open();
        let content = |number: usize| vec![u8::try_from(number % 251).unwrap(); 1000 + number % 2];
        let made: Vec<_> = (0..10_000)
            .map(|number| {
                let mut blob = blobs.create().unwrap();
                blob.write_all(&content(number)).unwrap();
                blob.finish().unwrap()
            })
            .collect();
        assert!(open() - before < FILES + 50, "{} files", open() - before);
        assert!(blobs.shared.lock().unwrap().memory < 1000);
        for (number, blob) in made.iter().enumerate() {
            assert_eq!(read_range(&**blob, 0..blob.len()).unwrap(), content(number), "{number}");
        }
    }
}
