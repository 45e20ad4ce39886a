use std::fmt;

use super::{Block, BlockError, read};
use crate::ns::{OSCI, OSCI2017};

/// A header block that is none of OSCI's own: any element of a foreign namespace directly below the SOAP header, and any
/// unknown one of OSCI's. It is signed with the message, kept with the delivery and handed on.
#[derive(Clone, PartialEq, Eq)]
pub struct CustomBlock {
    id: String,
    canonical: String,
}

impl CustomBlock {
    /// The `Id` that marks a block with the message meta data of XTA 2.
    pub const META_DATA_ID: &'static str = "MetaData";

    /// Takes the text of one element with an `Id`, in which every prefix is declared. Canonical form is not asked for, but the
    /// text is kept as it is.
    ///
    /// # Errors
    /// If the text is not one well-formed element, if it has no `Id`, if OSCI gives the element a meaning of its own, or if it
    /// grows beyond what a header block may have when it is written.
    pub fn new(text: impl Into<String>) -> Result<Self, BlockError> {
        let canonical = text.into();
        let element = read::parse(&canonical)?;
        let name = element.name();
        if matches!(name.uri(), Some(OSCI | OSCI2017)) {
            return Err(read::bad_value(&element, "not a custom header block"));
        }
        let id = read::attribute(&element, "Id")?.to_owned();
        let block = Self { id, canonical };
        // Our own declarations are added when it is written, which must not come as a surprise.
        block.to_block()?;
        Ok(block)
    }

    /// Its `Id`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its text; for a received block the canonical form in the message it came with, all declarations in scope on the first tag.
    pub fn text(&self) -> &str {
        &self.canonical
    }

    /// The block as it is written into a message of our own.
    ///
    /// # Errors
    /// If the text grows beyond what a header block may have.
    pub fn to_block(&self) -> Result<Block, BlockError> {
        Block::adopt(&self.id, &self.canonical)
    }

    /// A block that was received and kept: its text as it was, whatever namespace it is in. OSCI elements nobody knows count
    /// as custom blocks too.
    ///
    /// # Errors
    /// If the text is not one well-formed element with an `Id`.
    pub fn kept(text: impl Into<String>) -> Result<Self, BlockError> {
        let canonical = text.into();
        let id = read::attribute(&read::parse(&canonical)?, "Id")?.to_owned();
        Ok(Self { id, canonical })
    }

    /// A block just read.
    pub(crate) fn received(id: String, canonical: String) -> Self {
        Self { id, canonical }
    }
}

/// Shows no content: custom blocks belong to the application.
impl fmt::Debug for CustomBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CustomBlock({}, {} bytes)", self.id, self.canonical.len())
    }
}
