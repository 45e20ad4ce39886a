//! Content goes to spools.

use std::io::{self, Write};
use std::sync::Arc;

use rohrpost_osci::content::{BlobWriter, Blobs};
use rohrpost_osci::source::ReadAt;
use rohrpost_pipeline::spool::{SpoolDir, SpoolWriter};

pub(crate) struct SpoolBlobs(pub(crate) SpoolDir);

impl Blobs for SpoolBlobs {
    fn create(&self) -> io::Result<Box<dyn BlobWriter>> {
        Ok(Box::new(SpoolBlob(self.0.writer())))
    }
}

struct SpoolBlob(SpoolWriter);

impl Write for SpoolBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl BlobWriter for SpoolBlob {
    fn finish(self: Box<Self>) -> io::Result<Arc<dyn ReadAt>> {
        Ok(Arc::new(self.0.finish()?))
    }
}
