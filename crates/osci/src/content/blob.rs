use std::io::{self, Write};
use std::sync::Arc;

use crate::source::ReadAt;

/// Makes places for decoded, decrypted and built content: the caller decides whether they are memory or files.
pub trait Blobs {
    /// A new, empty place.
    ///
    /// # Errors
    /// If there is none to be had.
    fn create(&self) -> io::Result<Box<dyn BlobWriter>>;
}

/// A place that is being filled. Dropped before [`Self::finish`], it vanishes with what it holds.
pub trait BlobWriter: Write {
    /// Makes what was written readable.
    ///
    /// # Errors
    /// If the rest cannot be written.
    fn finish(self: Box<Self>) -> io::Result<Arc<dyn ReadAt>>;
}

/// Blobs in memory: for tests, and where the size is known to be small.
#[derive(Debug, Clone, Copy, Default)]
pub struct InMemory;

impl Blobs for InMemory {
    fn create(&self) -> io::Result<Box<dyn BlobWriter>> {
        Ok(Box::new(Vec::new()))
    }
}

impl BlobWriter for Vec<u8> {
    fn finish(self: Box<Self>) -> io::Result<Arc<dyn ReadAt>> {
        Ok(Arc::new(*self))
    }
}
