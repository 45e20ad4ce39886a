use std::fmt;
use std::sync::LazyLock;

use rohrpost_xmlsec::c14n::{self, Dialect};
use rohrpost_xmlsec::{Limits, NsContext};

use super::BlockError;
use crate::ns;

/// A header block ready to be hashed and written: canonical text and `Id`.
#[derive(Clone, PartialEq, Eq)]
pub struct Block {
    id: String,
    canonical: String,
}

impl Block {
    /// Takes over a block of another message, given its `Id` and its canonical text there: the same element, with every
    /// declaration that our own envelope adds to its scope.
    ///
    /// # Errors
    /// If the text is not one well-formed element.
    pub fn adopt(id: impl Into<String>, canonical: &str) -> Result<Self, BlockError> {
        static SCOPE: LazyLock<NsContext> = LazyLock::new(ns::envelope_context);
        let bare = NsContext::empty();
        let text = Vec::with_capacity(canonical.len() + ns::NS5.len());
        let limits = Limits::default();
        let text =
            c14n::canonicalize(canonical.as_bytes(), &SCOPE, &bare, Dialect::EscapeGtInAttributes, &limits, text)?;
        Ok(Self { id: id.into(), canonical: String::from_utf8(text).expect("canonical XML is UTF-8") })
    }

    /// The `Id` of the element.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The canonical text of the element.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// A block written by this crate.
    pub(crate) fn written(id: impl Into<String>, canonical: String) -> Self {
        Self { id: id.into(), canonical }
    }
}

/// Shows no content.
impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({}, {} bytes)", self.id, self.canonical.len())
    }
}
