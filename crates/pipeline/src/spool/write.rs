//! The writing end of a spool.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::{fmt, mem};

use tempfile::TempPath;

use super::read::Storage;
use super::{Spool, SpoolDir, SpoolError, temporary};

const WRITE_BUFFER: usize = 64 * 1024;

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
    /// An empty one with so many bytes of memory.
    pub(super) fn new(settings: SpoolDir, room: usize) -> Self {
        Self { settings, sink: Sink::Memory(Vec::with_capacity(room)), len: 0 }
    }

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
