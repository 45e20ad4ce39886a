//! Rules of Canonical XML, one by one, and how canonical octets are written.

use std::io::{self, BufRead, Read, Write};

use rohrpost_xmlsec::c14n::{
    Canonicalizer, Dialect, canonicalize, canonicalize_document, escape_attribute, escape_text,
};
use rohrpost_xmlsec::reader::{Event, Fault, StrictReader};
use rohrpost_xmlsec::{Limits, NsContext, XmlError};

fn document(text: &str, dialect: Dialect) -> String {
    let octets = canonicalize_document(text.as_bytes(), dialect, &Limits::default(), Vec::new());
    String::from_utf8(octets.expect("acceptable")).expect("UTF-8")
}

#[test]
fn rules() {
    for (text, canonical) in [
        ("<?xml version='1.0'?>\n<!-- c -->\n<a/>\n", "<a></a>"),
        ("<a  c = '1'\n b='2' />", "<a b=\"2\" c=\"1\"></a>"),
        ("<a b='\"&apos;&#9;&#10;&#13;&lt;&amp;>'/>", "<a b=\"&quot;'&#x9;&#xA;&#xD;&lt;&amp;>\"></a>"),
        ("<a>&gt;&#13;\"'&#9;&quot;</a>", "<a>&gt;&#xD;\"'\t\"</a>"),
        ("<a>&#xE4;<![CDATA[<&>]]></a>", "<a>ä&lt;&amp;&gt;</a>"),
        ("<a xmlns:b='u' xmlns='v' xmlns:a='w'/>", "<a xmlns=\"v\" xmlns:a=\"w\" xmlns:b=\"u\"></a>"),
        (
            "<a xmlns='u'><b xmlns='u'/><c xmlns=''/><d xmlns='v'><e xmlns='u'/></d></a>",
            "<a xmlns=\"u\"><b></b><c xmlns=\"\"></c><d xmlns=\"v\"><e xmlns=\"u\"></e></d></a>",
        ),
        ("<a xmlns=''><b xmlns=''/></a>", "<a><b></b></a>"),
        (
            "<a xmlns:p='u'><b xmlns:p='v'><c xmlns:p='u'/></b><c xmlns:p='u'/></a>",
            "<a xmlns:p=\"u\"><b xmlns:p=\"v\"><c xmlns:p=\"u\"></c></b><c></c></a>",
        ),
        (
            "<a xmlns:z='a' xmlns:y='b' z:x='3' y:x='4' x='1' xml:lang='5' b='0'/>",
            "<a xmlns:y=\"b\" xmlns:z=\"a\" b=\"0\" x=\"1\" z:x=\"3\" y:x=\"4\" xml:lang=\"5\"></a>",
        ),
        ("<a xmlns:p='u?a&amp;b&quot;'/>", "<a xmlns:p=\"u?a&amp;b&quot;\"></a>"),
        ("<a xmlns:xml='http://www.w3.org/XML/1998/namespace' xml:id='1'/>", "<a xml:id=\"1\"></a>"),
    ] {
        assert_eq!(document(text, Dialect::Textbook), canonical, "{text}");
    }
    assert_eq!(document("<a b='>'>></a>", Dialect::EscapeGtInAttributes), "<a b=\"&gt;\">&gt;</a>");
}

#[test]
fn an_apex_inherits_what_is_not_rendered() {
    let outer = NsContext::from_pairs([("", "urn:d"), ("a", "urn:a"), ("b", "urn:b")]);
    let table = [
        ("<x/>", NsContext::empty(), "<x xmlns=\"urn:d\" xmlns:a=\"urn:a\" xmlns:b=\"urn:b\"></x>"),
        ("<x/>", outer.clone(), "<x></x>"),
        (
            "<x/>",
            NsContext::from_pairs([("a", "urn:a"), ("b", "urn:other")]),
            "<x xmlns=\"urn:d\" xmlns:b=\"urn:b\"></x>",
        ),
        ("<x xmlns='' xmlns:a='urn:y'/>", outer.clone(), "<x xmlns=\"\" xmlns:a=\"urn:y\"></x>"),
        ("<x xmlns='' xmlns:a='urn:y'/>", NsContext::empty(), "<x xmlns:a=\"urn:y\" xmlns:b=\"urn:b\"></x>"),
        (
            "<x xmlns='urn:d' a:y=''><z xmlns:c='urn:c' xmlns:a='urn:a'/></x>",
            outer.clone(),
            "<x a:y=\"\"><z xmlns:c=\"urn:c\"></z></x>",
        ),
    ];
    for (text, rendered, canonical) in table {
        let octets =
            canonicalize(text.as_bytes(), &outer, &rendered, Dialect::Textbook, &Limits::default(), Vec::new());
        assert_eq!(String::from_utf8(octets.unwrap()).unwrap(), canonical, "{text} in {rendered:?}");
    }
}

#[test]
fn elements_are_copied_from_a_running_reader() {
    let text = "<r xmlns:p='u'><p:a>1</p:a><p:b><c xmlns='v'/></p:b>2</r>";
    let mut reader = StrictReader::new(text.as_bytes(), &Limits::default());
    let mut canonicalizer = Canonicalizer::new(Vec::new(), Dialect::Textbook, &NsContext::empty());
    let refused = canonicalizer.copy_element(&mut reader);
    assert!(matches!(refused, Err(XmlError::NotWellFormed { fault: Fault::NotAtElement, .. })));
    let mut found = Vec::new();
    while !matches!(reader.next().unwrap(), Event::Eof) {
        if reader.depth() == 2 && reader.start_tag().is_some() {
            let mut canonicalizer = Canonicalizer::new(Vec::new(), Dialect::Textbook, &NsContext::empty());
            canonicalizer.copy_element(&mut reader).unwrap();
            assert!(!canonicalizer.saw_gt_in_attribute());
            found.push(String::from_utf8(canonicalizer.finish().unwrap()).unwrap());
        }
    }
    assert_eq!(found, ["<p:a xmlns:p=\"u\">1</p:a>", "<p:b xmlns:p=\"u\"><c xmlns=\"v\"></c></p:b>"]);
}

#[test]
fn greater_than_in_attributes_is_noticed() {
    for (text, seen) in
        [("<a b='>'/>", true), ("<a b='1'>></a>", false), ("<a xmlns='u>'/>", true), ("<a><b c='&gt;'/></a>", true)]
    {
        let mut reader = StrictReader::new(text.as_bytes(), &Limits::default());
        reader.next().unwrap();
        let mut canonicalizer = Canonicalizer::new(io::sink(), Dialect::Textbook, &NsContext::empty());
        canonicalizer.copy_element(&mut reader).unwrap();
        assert_eq!(canonicalizer.saw_gt_in_attribute(), seen, "{text}");
    }
}

#[test]
fn escaping() {
    assert_eq!(escape_text("a<b>&\"\r\n\t"), "a&lt;b&gt;&amp;\"&#xD;\n\t");
    assert_eq!(escape_attribute("ä<b>&\"'\r\n\t"), "ä&lt;b&gt;&amp;&quot;'&#xD;&#xA;&#x9;");
    assert!(matches!(escape_text("plain"), std::borrow::Cow::Borrowed("plain")));
}

/// A document with one text node of any length, made while it is read.
struct LongText {
    left: usize,
    buffer: Vec<u8>,
    position: usize,
}

impl BufRead for LongText {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position == self.buffer.len() && self.left > 0 {
            self.left -= 1;
            self.buffer.clear();
            self.buffer.extend(std::iter::repeat_n("QUJDREVG\r\nä".as_bytes(), 3000).flatten());
            if self.left == 0 {
                self.buffer.extend_from_slice(b"</a>");
            }
            self.position = 0;
        }
        Ok(&self.buffer[self.position..])
    }

    fn consume(&mut self, count: usize) {
        self.position += count;
    }
}

impl Read for LongText {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        unreachable!("the reader asks for buffers")
    }
}

/// Counts, and notes the largest piece.
#[derive(Default)]
struct Counter {
    total: usize,
    largest: usize,
}

impl Write for Counter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.total += data.len();
        self.largest = self.largest.max(data.len());
        Ok(data.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_long_text_is_never_in_memory() {
    let source = LongText { left: 500, buffer: b"<a>".to_vec(), position: 0 };
    let counter = canonicalize_document(source, Dialect::Textbook, &Limits::default(), Counter::default()).unwrap();
    assert_eq!(counter.total, "<a></a>".len() + 500 * 3000 * "QUJDREVG\nä".len());
    assert!(counter.largest <= 16 * 1024 + 4096, "{}", counter.largest);
}

/// Takes so many bytes and then fails.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(data.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(data.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn errors_of_source_and_sink_come_through() {
    let text = format!("<a>{}</a>", "text&amp;".repeat(10_000));
    for room in [0, 1000, 5000, 60_000] {
        let written = canonicalize_document(text.as_bytes(), Dialect::Textbook, &Limits::default(), Full(room));
        assert!(matches!(written, Err(XmlError::Output(error)) if error.kind() == io::ErrorKind::StorageFull));
    }

    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let source = io::BufReader::new(b"<a>text".chain(Broken));
    let read = canonicalize_document(source, Dialect::Textbook, &Limits::default(), io::sink());
    assert!(matches!(read, Err(XmlError::Input(error)) if error.kind() == io::ErrorKind::ConnectionReset));
}
