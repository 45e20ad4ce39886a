use rohrpost_xmlsec::tree::Element;

use super::{Block, BlockError, read};
use crate::ns::{ACTOR_NEXT, NS5};
use crate::xml::escape_attribute;

/// The languages a client wants to read texts in, the dearest first (header block `DesiredLanguages`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredLanguages {
    tags: Vec<String>,
}

impl DesiredLanguages {
    /// A list of language tags (RFC 5646), the dearest first. Only the first sixteen count.
    pub fn new<T: Into<String>>(tags: impl IntoIterator<Item = T>) -> Self {
        Self { tags: tags.into_iter().map(Into::into).take(MOST_TAGS).collect() }
    }

    /// The tags, the dearest first. May be empty.
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// Reads the block.
    ///
    /// # Errors
    /// If the list is missing or the element is not empty.
    pub fn from_element(element: &Element) -> Result<Self, BlockError> {
        read::nothing_in(element)?;
        let list = read::attribute(element, "LanguagesList")?;
        Ok(Self::new(list.split(read::is_white).filter(|tag| !tag.is_empty())))
    }

    /// Writes the block.
    pub fn to_block(&self) -> Block {
        let list = self.tags.join(" ");
        let list = escape_attribute(&list);
        Block::written(
            ID,
            format!(
                r#"<osci:DesiredLanguages{NS5} Id="{ID}" LanguagesList="{list}"{ACTOR_NEXT}></osci:DesiredLanguages>"#
            ),
        )
    }
}

const ID: &str = "desiredlanguages";
const MOST_TAGS: usize = 16;
