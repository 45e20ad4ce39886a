//! Where canonical forms go: into bounded text or into a digest.

use std::io::{self, BufRead, Write};

use rohrpost_crypto::Hasher;
use rohrpost_xmlsec::c14n::{Canonicalizer, Dialect};
use rohrpost_xmlsec::reader::StrictReader;
use rohrpost_xmlsec::tree::Element;
use rohrpost_xmlsec::{NsContext, XmlError};

/// What is written and hashed.
pub(super) const DIALECT: Dialect = Dialect::EscapeGtInAttributes;

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

/// An element that is kept.
pub(super) struct Captured {
    pub(super) tree: Element,
    /// Its canonical form, made from the tree: what is hashed is what is read.
    pub(super) canonical: String,
    pub(super) saw_gt: bool,
}

/// Keeps the element just opened, if it has no more than so many nodes and its canonical form no more than so many bytes.
pub(super) fn captured<R: BufRead>(
    xml: &mut StrictReader<R>,
    nodes: usize,
    bytes: usize,
) -> Result<Captured, XmlError> {
    let start = xml.event_start();
    let tree = Element::read_element_of(xml, nodes)?;
    let read = usize::try_from(xml.offset() - start).unwrap_or(usize::MAX);
    let sink = Bounded { bytes: Vec::with_capacity(read.saturating_add(SCOPE).min(MOST_ROOM)), limit: bytes };
    let mut out = Canonicalizer::unbuffered(sink, DIALECT, &NsContext::empty());
    tree.write_canonical(&mut out, true).map_err(XmlError::Output)?;
    let saw_gt = out.saw_gt_in_attribute();
    Ok(Captured { tree, canonical: out.into_sink().into_text(), saw_gt })
}

/// Bytes that the declarations in scope usually take.
const SCOPE: usize = 512;

/// Bytes that are found at once for a canonical form about as long as what was read; longer ones grow.
const MOST_ROOM: usize = 16 * 1024;

/// A buffer that refuses to grow beyond its limit.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
}

impl Bounded {
    fn into_text(self) -> String {
        String::from_utf8(self.bytes).expect("canonical XML is UTF-8")
    }
}

impl Write for Bounded {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_all(data).map(|()| data.len())
    }

    fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        if self.bytes.len() + data.len() > self.limit {
            return Err(io::Error::from(io::ErrorKind::QuotaExceeded));
        }
        self.bytes.extend_from_slice(data);
        Ok(())
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
