//! Where canonical forms go: into bounded text or into a digest.

use std::io::{self, BufRead, Write};

use rohrpost_crypto::Hasher;
use rohrpost_xmlsec::c14n::{Canonicalizer, Dialect};
use rohrpost_xmlsec::reader::StrictReader;
use rohrpost_xmlsec::{NsContext, XmlError};

/// Writes the element just opened, up to its end, in canonical form with everything in scope on the first tag. Says also whether an
/// attribute contained `>`.
pub(super) fn canonical<R: BufRead, W: Write>(
    xml: &mut StrictReader<R>,
    sink: W,
    dialect: Dialect,
) -> Result<(W, bool), XmlError> {
    let mut out = Canonicalizer::new(sink, dialect, &NsContext::empty());
    out.copy_element(xml)?;
    let saw_gt = out.saw_gt_in_attribute();
    Ok((out.finish().map_err(XmlError::Output)?, saw_gt))
}

/// A buffer that refuses to grow beyond its limit.
pub(super) struct Bounded {
    pub(super) bytes: Vec<u8>,
    pub(super) limit: usize,
}

impl Bounded {
    pub(super) fn into_text(self) -> String {
        String::from_utf8(self.bytes).expect("canonical XML is UTF-8")
    }
}

impl Write for Bounded {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + data.len() > self.limit {
            return Err(io::Error::from(io::ErrorKind::QuotaExceeded));
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a [`Bounded`] refused to grow.
pub(super) fn is_full(error: &XmlError) -> bool {
    matches!(error, XmlError::Output(inner) if inner.kind() == io::ErrorKind::QuotaExceeded)
}

/// Counts, and hashes if there is anything to hash for.
pub(super) struct Hashing {
    pub(super) hasher: Option<Hasher>,
    pub(super) bytes: u64,
}

impl Write for Hashing {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(data);
        }
        self.bytes += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
