//! Properties that hold for every document.

mod common;

use std::io::BufReader;

use common::Generator;
use proptest::prelude::*;
use rohrpost_xmlsec::c14n::{Dialect, canonicalize, canonicalize_document, escape_attribute, escape_text};
use rohrpost_xmlsec::reader::{XmlError, check};
use rohrpost_xmlsec::tree::Element;
use rohrpost_xmlsec::{Limits, NsContext};

fn canonical(document: &[u8], dialect: Dialect, piece: usize) -> Result<String, String> {
    let source = BufReader::with_capacity(piece, document);
    let octets = canonicalize_document(source, dialect, &Limits::default(), Vec::new());
    octets.map(|octets| String::from_utf8(octets).expect("XML is UTF-8")).map_err(|error| kind(&error))
}

/// The error without what may depend on the pieces: its position, and which of several faults within one run of text is
/// found first.
fn kind(error: &XmlError) -> String {
    use rohrpost_xmlsec::reader::Fault::{CdataEndInText, Character, NotUtf8};
    match error {
        XmlError::NotWellFormed { fault: CdataEndInText | Character | NotUtf8, .. } => "in text".to_owned(),
        XmlError::NotWellFormed { fault, .. } => format!("{fault:?}"),
        XmlError::Limit { bound, .. } => format!("{bound:?}"),
        XmlError::Forbidden { construct, .. } => format!("{construct:?}"),
        error => format!("{error:?}"),
    }
}

/// Damages a document so that it often stays nearly well-formed.
fn damage(document: &str, at: usize, how: u8, with: &[u8]) -> Vec<u8> {
    let mut bytes = document.as_bytes().to_vec();
    let at = at % bytes.len();
    match how % 4 {
        0 => bytes.truncate(at),
        1 => drop(bytes.splice(at..at, with.iter().copied())),
        2 => drop(bytes.splice(at..(at + with.len()).min(document.len()), with.iter().copied())),
        _ => drop(bytes.remove(at)),
    }
    bytes
}

fn snippet() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "<",
        ">",
        "&",
        "'",
        "\"",
        "]]>",
        "<![CDATA[",
        "<!--",
        "-->",
        "--",
        "<?x?>",
        "<!DOCTYPE",
        "/>",
        "</x>",
        "&#0;",
        "&#x41;",
        "&amp;",
        " xmlns=''",
        " Id='1'",
        "xmlns:a='urn:a'",
        "\u{0}",
        "\u{FFFE}",
        "\r",
        "ä",
        ":",
        "=",
        " ",
    ]);
    prop_oneof![known.prop_map(|text| text.as_bytes().to_vec()), prop::collection::vec(any::<u8>(), 1..4)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn pieces_do_not_matter(seed: u64, piece in 1_usize..40) {
        let document = Generator::document(seed).with_comments;
        let whole = canonical(document.as_bytes(), Dialect::Textbook, 1 << 20);
        prop_assert!(whole.is_ok());
        prop_assert_eq!(canonical(document.as_bytes(), Dialect::Textbook, piece), whole.clone());
        prop_assert_eq!(canonical(document.as_bytes(), Dialect::Textbook, 1), whole);
    }

    #[test]
    fn comments_do_not_matter(seed: u64) {
        let document = Generator::document(seed);
        let without = canonical(document.without_comments.as_bytes(), Dialect::Textbook, 4096);
        prop_assert_eq!(canonical(document.with_comments.as_bytes(), Dialect::Textbook, 4096), without);
    }

    #[test]
    fn canonical_stays_canonical(seed: u64, textbook: bool) {
        let dialect = if textbook { Dialect::Textbook } else { Dialect::EscapeGtInAttributes };
        let document = Generator::document(seed).with_comments;
        let once = canonical(document.as_bytes(), dialect, 4096).unwrap();
        let again = canonical(once.as_bytes(), dialect, 4096).unwrap();
        prop_assert_eq!(&once, &again);
    }

    #[test]
    fn trees_and_streams_agree(seed: u64) {
        let document = Generator::document(seed).with_comments;
        let streamed = canonical(document.as_bytes(), Dialect::EscapeGtInAttributes, 4096).unwrap();
        let tree = Element::parse_document(document.as_bytes(), &Limits::default()).unwrap();
        prop_assert_eq!(tree.to_canonical(&NsContext::empty(), Dialect::EscapeGtInAttributes), streamed.clone());
        prop_assert_eq!(
            tree.has_gt_in_attribute(),
            canonical(document.as_bytes(), Dialect::Textbook, 4096).unwrap() != streamed
        );
    }

    /// An apex canonicalised where it stands is the same as one canonicalised with its context given.
    #[test]
    fn contexts_can_be_carried_along(seed: u64) {
        let document = Generator::document(seed).with_comments;
        let tree = Element::parse_document(document.as_bytes(), &Limits::default()).unwrap();
        let mut todo: Vec<&Element> = vec![&tree];
        while let Some(element) = todo.pop() {
            for child in element.children() {
                let alone = child.to_canonical(&NsContext::empty(), Dialect::Textbook);
                let bare = child.to_canonical(element.in_scope(), Dialect::Textbook);
                let rebuilt = canonicalize(bare.as_bytes(), element.in_scope(), &NsContext::empty(), Dialect::Textbook, &Limits::default(), Vec::new());
                prop_assert_eq!(String::from_utf8(rebuilt.unwrap()).unwrap(), alone);
                todo.push(child);
            }
        }
    }

    /// Damaged documents are refused, or read the same however they are cut; nothing panics.
    #[test]
    fn damaged_documents_are_judged_the_same(seed: u64, at: usize, how: u8, with in snippet()) {
        let document = damage(&Generator::document(seed).with_comments, at, how, &with);
        let whole = canonical(&document, Dialect::Textbook, 1 << 20);
        prop_assert_eq!(canonical(&document, Dialect::Textbook, 1), whole.clone());
        prop_assert_eq!(canonical(&document, Dialect::Textbook, 3), whole.clone());
        let checked = check(&document[..], &Limits::default());
        prop_assert_eq!(checked.map(drop).map_err(|error| kind(&error)), whole.clone().map(drop));
        if let Ok(once) = whole {
            prop_assert_eq!(canonical(once.as_bytes(), Dialect::Textbook, 4096), Ok(once));
        }
    }

    #[test]
    fn what_is_escaped_is_read_back(text in "[\\t\\n\\r -\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]{0,40}") {
        let document = format!("<a b=\"{}\">{}</a>", escape_attribute(&text), escape_text(&text));
        let element = Element::parse(document.as_bytes(), &Limits::default(), &NsContext::empty()).unwrap();
        prop_assert_eq!(element.attr("b"), Some(text.as_str()));
        prop_assert_eq!(element.text(), text);
        prop_assert_eq!(element.to_canonical(&NsContext::empty(), Dialect::EscapeGtInAttributes), document);
    }
}
