//! The strict XML reader, element trees and canonical XML.

use std::io::BufReader;

use rohrpost_xmlsec::c14n::{Canonicalizer, Dialect, canonicalize};
use rohrpost_xmlsec::reader::{Event, Fault, StrictReader};
use rohrpost_xmlsec::tree::{Element, Node};
use rohrpost_xmlsec::{Limits, NsContext, XmlError};

/// Bytes as a whole document.
pub fn strict_xml(data: &[u8]) {
    let limits = Limits::default();
    let read = Document::read(StrictReader::new(data, &limits));
    for size in [1, 2, 3, 7] {
        let pieces = Document::read(StrictReader::new(BufReader::with_capacity(size, data), &limits));
        assert_eq!(kind(&pieces), kind(&read), "in pieces of {size}");
    }
    let canonical = canonical_document(data, &limits, Dialect::Textbook);
    let Ok(document) = read else {
        assert!(canonical.is_err(), "whoever reads the document gets the same answer");
        return;
    };
    let canonical = canonical.expect("the same document is read");
    canonical_is_a_fixed_point(data, &canonical);
    tree_agrees(data, &canonical);
    let root = &data[document.start..document.end];
    let fragment = canonicalize(root, &NsContext::empty(), &NsContext::empty(), Dialect::Textbook, &limits, Vec::new());
    assert_eq!(fragment.expect("the root alone is an element"), canonical.text, "as a fragment");
    children_agree(data, &limits);
}

/// What the events say, texts joined, and where the root lies.
#[derive(Debug, PartialEq)]
struct Document {
    events: String,
    start: usize,
    end: usize,
}

impl Document {
    fn read<R: std::io::BufRead>(mut reader: StrictReader<R>) -> Result<Self, XmlError> {
        let mut document = Self { events: String::new(), start: usize::MAX, end: 0 };
        loop {
            let mut behind = None;
            match reader.next()? {
                Event::Start(tag) => {
                    document.events += &format!("\u{1}{}", tag.name().qname());
                    for attribute in tag.attributes() {
                        document.events += &format!("\u{2}{}={}", attribute.name().qname(), attribute.value());
                    }
                    document.events += "\u{3}";
                }
                Event::Text(text) => {
                    assert!(!text.is_empty(), "no empty pieces");
                    document.events += text;
                }
                Event::End(name) => {
                    document.events += &format!("\u{4}{}", name.qname());
                    behind = Some(());
                }
                Event::Eof => return Ok(document),
            }
            let (from, to) = (offset(reader.event_start()), offset(reader.offset()));
            assert!(from <= to, "events have an extent");
            document.start = document.start.min(from);
            if behind.is_some() {
                document.end = to;
            }
        }
    }
}

/// The same events or the same error. How text is cut is the source's choice, so where an error in text is noticed, and
/// which of several, may vary.
fn kind(result: &Result<Document, XmlError>) -> String {
    match result {
        Err(XmlError::NotWellFormed {
            fault: Fault::NotUtf8 | Fault::Character | Fault::CdataEndInText | Fault::Truncated,
            ..
        }) => "text".to_owned(),
        Err(XmlError::NotWellFormed { fault, .. }) => format!("{fault:?}"),
        Err(XmlError::Limit { bound, .. }) => format!("{bound:?}"),
        other => format!("{other:?}"),
    }
}

struct Canonical {
    text: Vec<u8>,
    saw_gt: bool,
}

fn canonical_document(data: &[u8], limits: &Limits, dialect: Dialect) -> Result<Canonical, XmlError> {
    let mut reader = StrictReader::new(data, limits);
    reader.next()?;
    let mut canonicalizer = Canonicalizer::new(Vec::new(), dialect, &NsContext::empty());
    canonicalizer.copy_element(&mut reader)?;
    assert!(matches!(reader.next()?, Event::Eof), "nothing follows the root");
    let saw_gt = canonicalizer.saw_gt_in_attribute();
    Ok(Canonical { text: canonicalizer.finish().map_err(XmlError::Output)?, saw_gt })
}

/// A canonical form is a document whose canonical form is itself, in both dialects.
fn canonical_is_a_fixed_point(data: &[u8], textbook: &Canonical) {
    let limits = generous();
    let again = canonical_document(&textbook.text, &limits, Dialect::Textbook).expect("canonical XML is XML");
    assert_eq!(text(&again.text), text(&textbook.text));
    let escaped =
        canonical_document(data, &limits, Dialect::EscapeGtInAttributes).expect("the dialect decides nothing");
    let again = canonical_document(&escaped.text, &limits, Dialect::EscapeGtInAttributes).expect("it is XML, too");
    assert_eq!(text(&again.text), text(&escaped.text));
    assert_eq!(escaped.saw_gt, textbook.saw_gt);
    assert_eq!(escaped.text != textbook.text, escaped.saw_gt, "the dialects differ exactly where `>` was seen");
    let back = canonical_document(&escaped.text, &limits, Dialect::Textbook).expect("it is XML, too");
    assert_eq!(text(&back.text), text(&textbook.text), "both dialects are forms of the same document");
}

/// Building a tree first gives the same canonical form, and the tree is what it says it is.
fn tree_agrees(data: &[u8], canonical: &Canonical) {
    let tree = match Element::parse_document(data, &Limits::default()) {
        Ok(tree) => tree,
        Err(XmlError::Limit { .. }) => return,
        Err(error) => panic!("a tree of an accepted document: {error}"),
    };
    assert_eq!(tree.to_canonical(&NsContext::empty(), Dialect::Textbook), text(&canonical.text));
    assert_eq!(tree.has_gt_in_attribute(), canonical.saw_gt);
    texts_are_joined(&tree);
}

fn texts_are_joined(element: &Element) {
    let mut after_text = false;
    for node in element.nodes() {
        match node {
            Node::Text(text) => {
                assert!(!text.is_empty() && !after_text, "one node for adjacent text");
                after_text = true;
            }
            Node::Element(child) => {
                texts_are_joined(child);
                after_text = false;
            }
        }
    }
}

/// Every child of the root, cut out of the document and read in its context, has the canonical form it has in place.
fn children_agree(data: &[u8], limits: &Limits) {
    let mut reader = StrictReader::new(data, limits);
    let (mut slices, mut start) = (Vec::new(), 0);
    loop {
        let starts = match reader.next().expect("the document was read before") {
            Event::Eof => break,
            Event::Text(_) => continue,
            Event::Start(_) => true,
            Event::End(_) => false,
        };
        match reader.depth() {
            2 if starts => start = offset(reader.event_start()),
            1 if !starts => slices.push(start..offset(reader.offset())),
            _ => {}
        }
    }
    let Ok(root) = Element::parse_document(data, limits) else { return };
    assert_eq!(root.children().count(), slices.len());
    let bare = NsContext::empty();
    for (child, slice) in root.children().zip(slices) {
        let alone = canonicalize(&data[slice], root.in_scope(), &bare, Dialect::Textbook, limits, Vec::new());
        let alone = alone.expect("a child alone is an element");
        assert_eq!(text(&alone), child.to_canonical(&bare, Dialect::Textbook), "cut out");
        let reread = Element::parse(alone.as_slice(), &generous(), &bare).expect("a subset with its namespaces is XML");
        assert_eq!(reread.to_canonical(&bare, Dialect::Textbook), text(&alone), "a subset is a fixed point");
    }
}

/// Escaping makes tags longer.
fn generous() -> Limits {
    let mut limits = Limits::default();
    limits.token_len *= 16;
    limits.attribute_value_len *= 16;
    limits.namespaces *= 2;
    limits
}

fn text(canonical: &[u8]) -> &str {
    std::str::from_utf8(canonical).expect("canonical XML is UTF-8")
}

fn offset(position: u64) -> usize {
    usize::try_from(position).expect("offsets in a slice fit")
}
