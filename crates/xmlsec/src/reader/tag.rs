//! Start tags as the reader hands them out.

use std::fmt;

use super::names::Name;
use super::ns::Declaration;

/// An attribute that is not a namespace declaration.
#[derive(Clone, Default)]
pub struct Attribute {
    pub(crate) name: Name,
    pub(crate) value: String,
}

impl Attribute {
    /// An attribute made by us.
    pub fn new(name: Name, value: impl Into<String>) -> Self {
        Self { name, value: value.into() }
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Its value, normalised as XML 1.0, 3.3.3 says for an undeclared attribute.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.qname()) // values may be content
    }
}

/// A start tag: name, attributes and namespace declarations.
///
/// The reader has one and fills it again for every element, so that reading allocates nothing in
/// the long run; clone it to keep it.
#[derive(Default)]
pub struct StartTag {
    pub(crate) name: Name,
    /// Buffers; only the first `used` count.
    pub(crate) buffers: Vec<Attribute>,
    pub(crate) used: usize,
    pub(crate) declarations: Vec<Declaration>,
}

impl StartTag {
    /// A tag made by us.
    pub fn new(name: Name, attributes: Vec<Attribute>) -> Self {
        let used = attributes.len();
        Self { name, buffers: attributes, used, declarations: Vec::new() }
    }

    /// The element's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The attributes in document order, without namespace declarations.
    pub fn attributes(&self) -> &[Attribute] {
        &self.buffers[..self.used]
    }

    /// The namespace declarations of this very tag, ordered by prefix.
    pub fn declarations(&self) -> &[Declaration] {
        &self.declarations
    }

    /// Value of the attribute `name` that has no prefix.
    pub fn attr(&self, name: &str) -> Option<&str> {
        self.attributes().iter().find(|a| a.name.qname() == name).map(Attribute::value)
    }

    /// Value of the attribute `local` in the namespace `uri`.
    pub fn attr_ns(&self, uri: &str, local: &str) -> Option<&str> {
        self.attributes().iter().find(|a| a.name.is(uri, local)).map(Attribute::value)
    }

    pub(crate) fn clear(&mut self) {
        self.used = 0;
        self.declarations.clear();
    }

    /// The next attribute buffer, emptied.
    pub(crate) fn next_attribute(&mut self) -> &mut Attribute {
        if self.used == self.buffers.len() {
            self.buffers.push(Attribute::default());
        }
        let attribute = &mut self.buffers[self.used];
        attribute.value.clear();
        self.used += 1;
        attribute
    }
}

impl Clone for StartTag {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            buffers: self.attributes().to_vec(),
            used: self.used,
            declarations: self.declarations.clone(),
        }
    }
}

impl fmt::Debug for StartTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{:?} {:?}>", self.name, self.attributes())
    }
}
