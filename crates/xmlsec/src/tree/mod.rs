//! Small, bounded element trees for the parts of a document that are looked at as a whole.

mod build;

use std::fmt;
use std::io::{self, BufRead, Write};
use std::sync::Arc;

use crate::c14n::{Canonicalizer, Dialect};
use crate::reader::{Attribute, Limits, Name, NsContext, StartTag, StrictReader, XmlError};

pub(crate) use build::Builder;

/// An element with everything in it, and with the namespaces in scope at it.
///
/// ```
/// use rohrpost_xmlsec::tree::Element;
/// use rohrpost_xmlsec::{Limits, NsContext};
/// # fn main() -> Result<(), rohrpost_xmlsec::XmlError> {
/// let list = Element::parse(&b"<l xmlns='urn:l'><i Id='a'>1</i><i>2</i></l>"[..], &Limits::default(), &NsContext::empty())?;
/// assert_eq!(list.children().count(), 2);
/// assert_eq!(list.child("urn:l", "i").map(|item| item.text()).as_deref(), Some("1"));
/// assert_eq!(list.find_id("a").and_then(|item| item.leaf_text()), Some("1"));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Element {
    tag: StartTag,
    in_scope: Arc<NsContext>,
    nodes: Vec<Node>,
}

/// What an element contains.
#[derive(Clone)]
pub enum Node {
    /// An element.
    Element(Element),
    /// Text, unescaped; never empty, never two in a row.
    Text(String),
}

impl Element {
    /// Parses one element, given alone, with `in_scope` in scope around it.
    ///
    /// # Errors
    /// [`XmlError`].
    pub fn parse<R: BufRead>(fragment: R, limits: &Limits, in_scope: &NsContext) -> Result<Self, XmlError> {
        Self::read_all(StrictReader::fragment(fragment, limits, in_scope))
    }

    /// Parses a whole document.
    ///
    /// # Errors
    /// [`XmlError`].
    pub fn parse_document<R: BufRead>(document: R, limits: &Limits) -> Result<Self, XmlError> {
        Self::read_all(StrictReader::new(document, limits))
    }

    /// Reads the element whose start tag `reader` handed out last, up to its end.
    ///
    /// # Errors
    /// [`XmlError`]; [`Fault::NotAtElement`](crate::reader::Fault) if the last event was no start.
    pub fn read_element<R: BufRead>(reader: &mut StrictReader<R>) -> Result<Self, XmlError> {
        let nodes = reader.limits().tree_nodes;
        Self::read_element_of(reader, nodes)
    }

    /// The same with a bound of its own on nodes ([`Limits::tree_nodes`]), for elements that share one.
    ///
    /// # Errors
    /// The same.
    pub fn read_element_of<R: BufRead>(reader: &mut StrictReader<R>, nodes: usize) -> Result<Self, XmlError> {
        Builder::read(reader, nodes, &mut |_, _| Ok(false))
    }

    fn read_all<R: BufRead>(mut reader: StrictReader<R>) -> Result<Self, XmlError> {
        reader.next()?;
        let element = Self::read_element(&mut reader)?;
        reader.next()?;
        Ok(element)
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        self.tag.name()
    }

    /// Whether it is the element `local` of the namespace `uri`.
    pub fn is(&self, uri: &str, local: &str) -> bool {
        self.name().is(uri, local)
    }

    /// Its start tag.
    pub fn start_tag(&self) -> &StartTag {
        &self.tag
    }

    /// Its attributes in document order.
    pub fn attributes(&self) -> &[Attribute] {
        self.tag.attributes()
    }

    /// Value of the attribute `name` that has no prefix.
    pub fn attr(&self, name: &str) -> Option<&str> {
        self.tag.attr(name)
    }

    /// Value of the attribute `local` in the namespace `uri`.
    pub fn attr_ns(&self, uri: &str, local: &str) -> Option<&str> {
        self.tag.attr_ns(uri, local)
    }

    /// The namespaces in scope within it.
    pub fn in_scope(&self) -> &NsContext {
        &self.in_scope
    }

    /// Its content in document order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Its child elements in document order.
    pub fn children(&self) -> impl Iterator<Item = &Self> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// Its first child element `local` of the namespace `uri`.
    pub fn child(&self, uri: &str, local: &str) -> Option<&Self> {
        self.children().find(|child| child.is(uri, local))
    }

    /// Its child elements `local` of the namespace `uri`.
    pub fn children_named<'a>(&'a self, uri: &'a str, local: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children().filter(move |child| child.is(uri, local))
    }

    /// The text directly in it, joined.
    pub fn text(&self) -> String {
        self.nodes.iter().filter_map(Node::as_text).collect()
    }

    /// Its text, if it contains no element.
    pub fn leaf_text(&self) -> Option<&str> {
        match self.nodes.as_slice() {
            [] => Some(""),
            [Node::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether the text directly in it is white space only.
    pub fn has_only_elements(&self) -> bool {
        self.nodes.iter().filter_map(Node::as_text).all(|text| text.trim_ascii().is_empty())
    }

    /// The element with this `Id`: itself or one within.
    pub fn find_id(&self, id: &str) -> Option<&Self> {
        if self.attr("Id") == Some(id) {
            return Some(self);
        }
        self.children().find_map(|child| child.find_id(id))
    }

    /// Whether an attribute within contains `>`, so that the two dialects of C14N differ.
    pub fn has_gt_in_attribute(&self) -> bool {
        self.attributes().iter().any(|attribute| attribute.value().contains('>'))
            || self.tag.declarations().iter().any(|declaration| declaration.uri().contains('>'))
            || self.children().any(Self::has_gt_in_attribute)
    }

    /// Its canonical form as an apex where `rendered` counts as declared already. With the empty
    /// context this is the standard's canonical form of the element.
    pub fn to_canonical(&self, rendered: &NsContext, dialect: Dialect) -> String {
        let mut canonicalizer = Canonicalizer::unbuffered(Vec::with_capacity(ROOM), dialect, rendered);
        self.write_canonical(&mut canonicalizer, true).expect("a Vec takes everything");
        String::from_utf8(canonicalizer.into_sink()).expect("made of strings")
    }

    /// Its canonical form without the declarations on and around it; those that elements within
    /// make anew stay. (How OSCI peers digest an `EncryptedData` in a signed container.)
    pub fn to_canonical_without_inherited(&self, dialect: Dialect) -> String {
        self.to_canonical(&self.in_scope, dialect)
    }

    /// Writes it to a canonicaliser, `as_apex` or as part of an element begun there.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn write_canonical<W: Write>(&self, canonicalizer: &mut Canonicalizer<W>, as_apex: bool) -> io::Result<()> {
        canonicalizer.start(&self.tag, as_apex.then_some(&*self.in_scope))?;
        for node in &self.nodes {
            match node {
                Node::Element(element) => element.write_canonical(canonicalizer, false)?,
                Node::Text(text) => canonicalizer.text(text)?,
            }
        }
        canonicalizer.end()
    }
}

/// Bytes that most canonical forms have at most.
const ROOM: usize = 4 * 1024;

impl Node {
    /// The text, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Element(_) => None,
        }
    }
}

impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} with {} nodes", self.tag, self.nodes.len())
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Element(element) => element.fmt(f),
            Self::Text(text) => write!(f, "{} bytes of text", text.len()), // it may be content
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::Bound;

    fn parse(text: &str) -> Element {
        Element::parse(text.as_bytes(), &Limits::default(), &NsContext::from_pairs([("o", "urn:o")])).unwrap()
    }

    #[test]
    fn text_pieces_join() {
        let element = parse("<a>x&amp;<!-- -->y<![CDATA[<]]>\r\n<b/>z</a>");
        assert_eq!(element.nodes()[0].as_text(), Some("x&y<\n"));
        assert_eq!(element.text(), "x&y<\nz");
        assert_eq!(element.leaf_text(), None);
        assert_eq!(element.nodes().len(), 3);
    }

    #[test]
    fn canonical_forms() {
        let element = parse("<o:a o:z='>' y='2'><b xmlns='urn:b' xmlns:o='urn:o'><c/></b></o:a>");
        assert_eq!(
            element.to_canonical(&NsContext::empty(), Dialect::Textbook),
            r#"<o:a xmlns:o="urn:o" y="2" o:z=">"><b xmlns="urn:b"><c></c></b></o:a>"#
        );
        assert_eq!(
            element.to_canonical_without_inherited(Dialect::EscapeGtInAttributes),
            r#"<o:a y="2" o:z="&gt;"><b xmlns="urn:b"><c></c></b></o:a>"#
        );
        let inner = element.child("urn:b", "b").and_then(|b| b.child("urn:b", "c")).unwrap();
        assert_eq!(
            inner.to_canonical(&NsContext::empty(), Dialect::Textbook),
            r#"<c xmlns="urn:b" xmlns:o="urn:o"></c>"#
        );
        assert!(element.has_gt_in_attribute() && !inner.has_gt_in_attribute());
    }

    #[test]
    fn trees_are_bounded() {
        let limits = Limits { tree_nodes: 3, ..Limits::default() };
        let parse = |text: &str, limits: &Limits| Element::parse(text.as_bytes(), limits, &NsContext::empty());
        assert!(parse("<a><b/>t</a>", &limits).is_ok());
        for text in ["<a><b/>t<c/></a>", "<a b='' c='' d=''/>", "<a><b/>t<c/>u</a>"] {
            assert!(matches!(parse(text, &limits), Err(XmlError::Limit { bound: Bound::Tree, .. })), "{text}");
        }
        let limits = Limits { tree_bytes: 3, ..Limits::default() };
        assert!(parse("<a>12</a>", &limits).is_ok());
        assert!(parse("<a>1&lt;3</a>", &limits).is_err());
    }
}
