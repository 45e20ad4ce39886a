use std::fmt;
use std::io::{self, BufReader};
use std::ops::Range;
use std::sync::Arc;

use rohrpost_crypto::{Digest, DigestAlgorithm};
use rohrpost_xmlsec::c14n::{Canonicalizer, Dialect};
use rohrpost_xmlsec::reader::StrictReader;
use rohrpost_xmlsec::{Limits, NsContext, XmlError};

use crate::source::{RangeReader, ReadAt, reader};

/// An element of some document, left where it is.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) source: Arc<dyn ReadAt>,
    pub(super) range: Range<u64>,
    /// What is in scope within it, its own declarations included.
    pub(super) in_scope: Arc<NsContext>,
}

pub(super) type Source = BufReader<RangeReader<Arc<dyn ReadAt>>>;

/// Which declarations the canonical form gets on its first tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Declarations {
    /// All in scope, as Canonical XML says.
    InScope,
    /// None, as the reference implementation does for encrypted data in signed containers.
    None,
}

impl Place {
    /// A reader that stands before the element.
    pub(super) fn open(&self) -> StrictReader<Source> {
        let source = reader(Arc::clone(&self.source), self.range.clone());
        StrictReader::fragment(BufReader::with_capacity(BUFFER, source), &Limits::default(), &self.in_scope)
    }

    /// Digests of the canonical forms that peers may have signed.
    pub(super) fn digests(&self, declarations: Declarations, algorithm: DigestAlgorithm) -> io::Result<Vec<Digest>> {
        let (digest, differs) = self.digest(declarations, Dialect::EscapeGtInAttributes, algorithm)?;
        let mut digests = vec![digest];
        if differs {
            digests.push(self.digest(declarations, Dialect::Textbook, algorithm)?.0);
        }
        Ok(digests)
    }

    fn digest(
        &self,
        declarations: Declarations,
        dialect: Dialect,
        algorithm: DigestAlgorithm,
    ) -> io::Result<(Digest, bool)> {
        let bare = NsContext::empty();
        let rendered = match declarations {
            Declarations::InScope => &bare,
            Declarations::None => &self.in_scope,
        };
        let mut canonical = Canonicalizer::new(algorithm.hasher(), dialect, rendered);
        let mut xml = self.open();
        let copied = xml.next().map(drop).and_then(|()| canonical.copy_element(&mut xml));
        copied.map_err(into_io)?;
        let differs = canonical.saw_gt_in_attribute();
        Ok((canonical.finish()?.finish(), differs))
    }
}

/// Shows no content.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.range)
    }
}

const BUFFER: usize = 32 * 1024;

/// For elements that were read before: only reading them again can fail.
fn into_io(error: XmlError) -> io::Error {
    match error {
        XmlError::Input(error) | XmlError::Output(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}
