//! What the worst documents within the limits may cost.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::{Duration, Instant};

use rohrpost_xmlsec::NsContext;
use rohrpost_xmlsec::reader::{Bound, Limits, XmlError, check};
use rohrpost_xmlsec::tree::Element;

/// Memory of this process in use now, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

const PREFIXES: usize = 60;

/// A start tag that declares all prefixes.
fn declaring(uri: impl Fn(usize) -> String) -> String {
    let declarations = (0..PREFIXES).map(|number| format!(" xmlns:p{number}='{}'", uri(number)));
    format!("<a{}>", declarations.collect::<String>())
}

/// Elements with an attribute of every prefix, all of one local name.
fn attributes(elements: usize) -> String {
    let attributes: String = (0..PREFIXES).map(|number| format!(" p{number}:x=''")).collect();
    format!("<b{attributes}/>").repeat(elements)
}

#[test]
fn a_tree_keeps_no_scope_for_every_element() {
    let scopes: String = (0..150_000).map(|number| format!("<b xmlns:c='u{}'/>", number % 7)).collect();
    let text = format!("{}{scopes}</a>", declaring(|number| format!("u{number}")));
    let before = resident();
    let tree = Element::parse(text.as_bytes(), &Limits::default(), &NsContext::empty());
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{} bytes of text became {grown} bytes", text.len());
    assert!(matches!(tree, Err(XmlError::Limit { bound: Bound::Tree, .. })));
    // What every element says anew costs nothing.
    let text = format!("<a xmlns:c='u'>{}</a>", "<b xmlns:c='u'/>".repeat(60_000));
    let tree = Element::parse(text.as_bytes(), &Limits::default(), &NsContext::empty()).unwrap();
    assert_eq!(tree.children().count(), 60_000);
}

#[test]
fn attributes_in_long_namespaces_are_cheap() {
    let time = |text: &str| {
        let began = Instant::now();
        (check(text.as_bytes(), &Limits::default()), began.elapsed())
    };
    let named = |length: usize| move |number: usize| format!("{}{number:02}", "u".repeat(length));
    let within = |length: usize| format!("{}{}</a>", declaring(named(length)), attributes(1_000));
    let (short, long) = (time(&within(1)), time(&within(120)));
    assert!(short.0.is_ok() && long.0.is_ok());
    assert!(long.1 < 4 * short.1 + Duration::from_millis(200), "{:?} against {:?}", long.1, short.1);
    // One in each of many elements, as a tag has only so much room.
    let uri = named(20_000);
    let tags: String = (0..PREFIXES).map(|number| format!("<a xmlns:p{number}='{}'>", uri(number))).collect();
    let beyond = format!("{tags}{}{}", attributes(1_000), "</a>".repeat(PREFIXES));
    assert!(matches!(time(&beyond).0, Err(XmlError::Limit { bound: Bound::Namespaces, .. })));
}
