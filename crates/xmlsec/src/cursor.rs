//! Walking through the children of an element whose content is a closed list.

use crate::tree::{Element, Node};

/// The rest of an element's children, in order.
pub(crate) struct Cursor<'a> {
    rest: &'a [Node],
}

/// The content is not the closed list it must be.
#[derive(Debug)]
pub(crate) enum Unexpected {
    /// This element is missing, or stands elsewhere.
    Missing(&'static str),
    /// Something else is there: an element of this list is the one it is in.
    Foreign,
}

impl<'a> Cursor<'a> {
    /// Goes through `element`, in which no text but white space may stand.
    pub(crate) fn new(element: &'a Element) -> Result<Self, Unexpected> {
        if element.has_only_elements() { Ok(Self { rest: element.nodes() }) } else { Err(Unexpected::Foreign) }
    }

    /// The next child, if it is this one.
    pub(crate) fn optional(&mut self, uri: &str, local: &str) -> Option<&'a Element> {
        let (at, element) = self.peek()?;
        element.is(uri, local).then(|| {
            self.rest = &self.rest[at + 1..];
            element
        })
    }

    /// The next child, which must be this one.
    pub(crate) fn required(&mut self, uri: &str, local: &'static str) -> Result<&'a Element, Unexpected> {
        self.optional(uri, local).ok_or(Unexpected::Missing(local))
    }

    /// Nothing may follow.
    pub(crate) fn end(self) -> Result<(), Unexpected> {
        if self.peek().is_none() { Ok(()) } else { Err(Unexpected::Foreign) }
    }

    fn peek(&self) -> Option<(usize, &'a Element)> {
        self.rest.iter().enumerate().find_map(|(at, node)| match node {
            Node::Element(element) => Some((at, element)),
            Node::Text(_) => None,
        })
    }
}

/// An element without child elements and without text other than white space.
pub(crate) fn empty(element: &Element) -> Result<(), Unexpected> {
    Cursor::new(element)?.end()
}

/// The text of an element without child elements.
pub(crate) fn leaf(element: &Element) -> Result<&str, Unexpected> {
    element.leaf_text().ok_or(Unexpected::Foreign)
}
