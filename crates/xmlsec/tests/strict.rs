//! What the reader refuses, and what it must not refuse. This list only grows.

use rohrpost_xmlsec::NsContext;
use rohrpost_xmlsec::reader::{Bound, Construct, Event, Fault, Limits, StrictReader, XmlError, check};

/// What a table says about a document.
#[derive(Debug, PartialEq)]
enum Verdict {
    Fault(Fault),
    Forbidden(Construct),
    Limit(Bound),
    DuplicateId,
    Other,
}

fn verdict(error: &XmlError) -> Verdict {
    match error {
        XmlError::NotWellFormed { fault, .. } => Verdict::Fault(*fault),
        XmlError::Forbidden { construct, .. } => Verdict::Forbidden(*construct),
        XmlError::Limit { bound, .. } => Verdict::Limit(*bound),
        XmlError::DuplicateId { .. } => Verdict::DuplicateId,
        _ => Verdict::Other,
    }
}

/// The verdict must not depend on how the input is cut.
fn refused(document: &[u8], limits: &Limits) -> Option<Verdict> {
    let whole = check(document, limits).err().map(|error| verdict(&error));
    for size in [1, 2, 3, 7] {
        let pieces = std::io::BufReader::with_capacity(size, document);
        let cut = check(pieces, limits).err().map(|error| verdict(&error));
        assert_eq!(cut, whole, "in pieces of {size}: {}", String::from_utf8_lossy(document));
    }
    whole
}

#[test]
fn ill_formed_and_forbidden_documents() {
    use Fault::*;
    let doctype = Verdict::Forbidden(Construct::Doctype);
    let instruction = Verdict::Forbidden(Construct::ProcessingInstruction);
    let table: Vec<(&str, Verdict)> = vec![
        // the document as a whole
        ("", Verdict::Fault(Empty)),
        (" \n", Verdict::Fault(Empty)),
        ("<!-- only -->", Verdict::Fault(Empty)),
        ("<?xml version='1.0'?>", Verdict::Fault(Empty)),
        ("<a>", Verdict::Fault(Truncated)),
        ("<a><b></b>", Verdict::Fault(Truncated)),
        ("<a>text", Verdict::Fault(Truncated)),
        ("<a", Verdict::Fault(Truncated)),
        ("<", Verdict::Fault(Truncated)),
        ("<a/", Verdict::Fault(Truncated)),
        ("<a></a", Verdict::Fault(Truncated)),
        ("<a b='", Verdict::Fault(Truncated)),
        ("<a><!-- ", Verdict::Fault(Truncated)),
        ("<a><![CDATA[ ]]", Verdict::Fault(Truncated)),
        ("<a>&amp", Verdict::Fault(Truncated)),
        ("<a/><b/>", Verdict::Fault(SecondRoot)),
        ("<a></a><a></a>", Verdict::Fault(SecondRoot)),
        ("<a/>text", Verdict::Fault(TextOutsideRoot)),
        ("text<a/>", Verdict::Fault(TextOutsideRoot)),
        ("<a/>&#32;", Verdict::Fault(TextOutsideRoot)),
        ("<a/>\0", Verdict::Fault(TextOutsideRoot)),
        ("<![CDATA[ ]]><a/>", Verdict::Fault(CdataOutsideRoot)),
        ("<a/><![CDATA[]]>", Verdict::Fault(CdataOutsideRoot)),
        // forbidden on principle
        ("<!DOCTYPE a><a/>", doctype),
        ("<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>", Verdict::Forbidden(Construct::Doctype)),
        ("<!DOCTYPE a SYSTEM 'http://example.org/a.dtd'><a/>", Verdict::Forbidden(Construct::Doctype)),
        ("<a><!DOCTYPE a></a>", Verdict::Forbidden(Construct::Doctype)),
        ("<a/><!DOCTYPE a>", Verdict::Forbidden(Construct::Doctype)),
        ("<?pi?><a/>", instruction),
        ("<a><?pi x?></a>", Verdict::Forbidden(Construct::ProcessingInstruction)),
        ("<a/><?pi?>", Verdict::Forbidden(Construct::ProcessingInstruction)),
        ("<?xml-stylesheet href='a'?><a/>", Verdict::Forbidden(Construct::ProcessingInstruction)),
        ("<?XML version='1.0'?><a/>", Verdict::Forbidden(Construct::ProcessingInstruction)),
        // XML declaration
        (" <?xml version='1.0'?><a/>", Verdict::Forbidden(Construct::ProcessingInstruction)),
        ("<!-- --><?xml version='1.0'?><a/>", Verdict::Forbidden(Construct::ProcessingInstruction)),
        ("<a><?xml version='1.0'?></a>", Verdict::Forbidden(Construct::ProcessingInstruction)),
        ("<?xml version='1.0'?><?xml version='1.0'?><a/>", Verdict::Forbidden(Construct::ProcessingInstruction)),
        ("<?xml version='1.1'?><a/>", Verdict::Fault(XmlDeclaration)),
        ("<?xml version='2.0'?><a/>", Verdict::Fault(XmlDeclaration)),
        ("<?xml encoding='UTF-8'?><a/>", Verdict::Fault(XmlDeclaration)),
        ("<?xml version='1.0\"?><a/>", Verdict::Fault(XmlDeclaration)),
        ("<?xml version='1.0'encoding='UTF-8'?><a/>", Verdict::Fault(XmlDeclaration)),
        ("<?xml encoding='UTF-8' version='1.0'?><a/>", Verdict::Fault(XmlDeclaration)),
        ("<?xml version='1.0' standalone='maybe'?><a/>", Verdict::Fault(XmlDeclaration)),
        ("<?xml version='1.0' other='1'?><a/>", Verdict::Fault(XmlDeclaration)),
        ("<?xml version='1.0'><a/>", Verdict::Fault(XmlDeclaration)),
        ("<?xml version='1.0' encoding='ISO-8859-1'?><a/>", Verdict::Fault(Encoding)),
        ("<?xml version='1.0' encoding='UTF-16'?><a/>", Verdict::Fault(Encoding)),
        ("<?xml version='1.0' encoding=''?><a/>", Verdict::Fault(Encoding)),
        // names
        ("<1a/>", Verdict::Fault(Name)),
        ("< a/>", Verdict::Fault(Name)),
        ("<>", Verdict::Fault(Name)),
        ("</>", Verdict::Fault(EndTag)),
        ("<a:b:c xmlns:a='u'/>", Verdict::Fault(Name)),
        ("<:a/>", Verdict::Fault(Name)),
        ("<a: xmlns:a='u'/>", Verdict::Fault(Name)),
        ("<a -b='1'/>", Verdict::Fault(Name)),
        ("<a b$='1'/>", Verdict::Fault(Name)),
        ("<a xmlns:='u'/>", Verdict::Fault(Name)),
        ("<a xmlns:1='u'/>", Verdict::Fault(Name)),
        ("<a×/>", Verdict::Fault(Name)),
        ("<a/ >", Verdict::Fault(Name)),
        // tags
        ("<a></b>", Verdict::Fault(EndTag)),
        ("<a><b></a></b>", Verdict::Fault(EndTag)),
        ("</a>", Verdict::Fault(EndTag)),
        ("<a/></a>", Verdict::Fault(EndTag)),
        ("<a></ a>", Verdict::Fault(EndTag)),
        ("<a></a b='1'>", Verdict::Fault(EndTag)),
        ("<p:a xmlns:p='u' xmlns:q='u'></q:a>", Verdict::Fault(EndTag)),
        ("<a></A>", Verdict::Fault(EndTag)),
        ("<a b='1'c='2'/>", Verdict::Fault(MissingSpace)),
        ("<a b='1'xmlns='u'/>", Verdict::Fault(MissingSpace)),
        ("<a b='<'/>", Verdict::Fault(LessThanInTag)),
        ("<a <b/></a>", Verdict::Fault(LessThanInTag)),
        ("<a b/>", Verdict::Fault(AttributeValue)),
        ("<a b=/>", Verdict::Fault(AttributeValue)),
        ("<a b=1/>", Verdict::Fault(AttributeValue)),
        ("<a b='1' /  >", Verdict::Fault(AttributeValue)),
        ("<a b='1' 'c'/>", Verdict::Fault(AttributeValue)),
        ("<a =''/>", Verdict::Fault(Name)),
        ("<a b='1' b='1'/>", Verdict::Fault(DuplicateAttribute)),
        ("<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>", Verdict::Fault(DuplicateAttribute)),
        ("<a xmlns='u' xmlns='u'/>", Verdict::Fault(DuplicateAttribute)),
        ("<a xmlns:p='u' xmlns:p='v'/>", Verdict::Fault(DuplicateAttribute)),
        // namespaces
        ("<p:a/>", Verdict::Fault(UndeclaredPrefix)),
        ("<a p:b='1'/>", Verdict::Fault(UndeclaredPrefix)),
        ("<a><b xmlns:p='u'/><p:c/></a>", Verdict::Fault(UndeclaredPrefix)),
        ("<a xmlns:p=''/>", Verdict::Fault(Declaration)),
        ("<a xmlns:xml='urn:other'/>", Verdict::Fault(Declaration)),
        ("<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>", Verdict::Fault(Declaration)),
        ("<a xmlns='http://www.w3.org/XML/1998/namespace'/>", Verdict::Fault(Declaration)),
        ("<a xmlns:xmlns='urn:x'/>", Verdict::Fault(Declaration)),
        ("<a xmlns:p='http://www.w3.org/2000/xmlns/'/>", Verdict::Fault(Declaration)),
        ("<a xmlns='http://www.w3.org/2000/xmlns/'/>", Verdict::Fault(Declaration)),
        ("<xmlns:a/>", Verdict::Fault(Declaration)),
        // characters and references
        ("<a>\u{1}</a>", Verdict::Fault(Character)),
        ("<a>\0</a>", Verdict::Fault(Character)),
        ("<a>\u{C}</a>", Verdict::Fault(Character)),
        ("<a>x\u{FFFE}</a>", Verdict::Fault(Character)),
        ("<a b='\u{1}'/>", Verdict::Fault(Character)),
        ("<a b='\u{FFFF}'/>", Verdict::Fault(Character)),
        ("<a><!-- \u{8} --></a>", Verdict::Fault(Character)),
        ("<a><![CDATA[\u{7}]]></a>", Verdict::Fault(Character)),
        ("<a>&#0;</a>", Verdict::Fault(CharacterReference)),
        ("<a>&#1;</a>", Verdict::Fault(CharacterReference)),
        ("<a>&#xD800;</a>", Verdict::Fault(CharacterReference)),
        ("<a>&#xFFFF;</a>", Verdict::Fault(CharacterReference)),
        ("<a>&#x110000;</a>", Verdict::Fault(CharacterReference)),
        ("<a>&#;</a>", Verdict::Fault(CharacterReference)),
        ("<a>&#x;</a>", Verdict::Fault(CharacterReference)),
        ("<a>&#12a;</a>", Verdict::Fault(CharacterReference)),
        ("<a>&#X41;</a>", Verdict::Fault(CharacterReference)),
        ("<a>& </a>&", Verdict::Fault(Truncated)),
        ("<a>& b;</a>", Verdict::Fault(UnknownEntity)),
        ("<a>&;</a>", Verdict::Fault(UnknownEntity)),
        ("<a>&nbsp;</a>", Verdict::Fault(UnknownEntity)),
        ("<a b='&e;'/>", Verdict::Fault(UnknownEntity)),
        ("<a b='&#2;'/>", Verdict::Fault(CharacterReference)),
        ("<a b='&'/>", Verdict::Fault(CharacterReference)),
        ("<a b='a & b'/>", Verdict::Fault(CharacterReference)),
        ("<a>&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;</a>", Verdict::Fault(CharacterReference)),
        ("<a>]]></a>", Verdict::Fault(CdataEndInText)),
        ("<a>x]]]></a>", Verdict::Fault(CdataEndInText)),
        ("<a>ä > ]]></a>", Verdict::Fault(CdataEndInText)),
        // other markup
        ("<a><!-- -- --></a>", Verdict::Fault(Comment)),
        ("<a><!-- ---></a>", Verdict::Fault(Comment)),
        ("<a><!- x --></a>", Verdict::Fault(Markup)),
        ("<a><!x></a>", Verdict::Fault(Markup)),
        ("<a><!ENTITY e 'x'></a>", Verdict::Fault(Markup)),
        ("<a><![cdata[x]]></a>", Verdict::Fault(Markup)),
        ("<a><![INCLUDE[x]]></a>", Verdict::Fault(Markup)),
        // Ids
        ("<a Id='x'><b Id='x'/></a>", Verdict::DuplicateId),
        ("<a><b Id='x'/><c><d Id='&#120;'/></c></a>", Verdict::DuplicateId),
        ("<a Id=''><b Id=''/></a>", Verdict::DuplicateId),
    ];
    assert!(table.len() >= 60);
    for (document, expected) in table {
        assert_eq!(refused(document.as_bytes(), &Limits::default()), Some(expected), "{document:?}");
    }
}

#[test]
fn what_is_not_utf8() {
    for document in [
        &b"<a>\xE4</a>"[..],
        b"<a>\xC3</a>",
        b"<a>\xC0\x80</a>",
        b"<a>\xED\xA0\x80</a>",
        b"<a>\xF4\x90\x80\x80</a>",
        b"<a>\xF0\x9F\x98</a>",
        b"<a>\x80</a>",
        b"<a b='\xE4'/>",
        b"<\xE4/>",
        b"<a><!-- \xFF --></a>",
        b"<a><![CDATA[\xE2\x82]]></a>",
    ] {
        assert_eq!(refused(document, &Limits::default()), Some(Verdict::Fault(Fault::NotUtf8)), "{document:x?}");
    }
    for document in [&b"\xFE\xFF\0<\0a\0/\0>"[..], b"\xFF\xFE<\0a\0/\0>\0", b"<\0a\0/\0>\0", b"\xEF\xBB<a/>"] {
        assert!(refused(document, &Limits::default()).is_some(), "{document:x?}");
    }
}

#[test]
fn acceptable_documents() {
    for document in [
        "<a/>",
        "\u{FEFF}<a/>",
        "\u{FEFF}<?xml version='1.0'?><a/>",
        "<?xml version=\"1.0\" encoding=\"utf-8\" standalone='yes' ?>\r\n\r\n<a/>\r\n",
        "<?xml version = '1.0' encoding = 'UTF-8'?><!-- c --><a/><!-- d -->\n",
        "<a xmlns:xml='http://www.w3.org/XML/1998/namespace' xml:lang='de' xml:space='preserve'/>",
        "<a b='>' c=\"'\" d='\"'/>",
        "<a\n\tb = '1'\r\n/>",
        "<a></a \n>",
        "<p:a xmlns:p='u'><p:a xmlns:p='v' xmlns=''/></p:a>",
        "<a xmlns:p='u' b='1' p:b='2' B='3'/>",
        "<größe straße='ß'>\u{10FFFF}\u{FFFD}\u{85}\u{2028}</größe>",
        "<a>]] > ]&gt; ]]&gt; ]]<!-- -->><![CDATA[]]]]></a>",
        "<a>]]<b/>></a>",
        "<a>]]é>]]\u{1F600}></a>",
        "<a><!-- > -> - --><!----><!-->--><!-- - --></a>",
        "<a Id='x'><b id='x' ID='x'/><c xmlns:p='u' p:Id='x'/><d Id='X'/></a>",
        "<a>&#x10FFFF;&#xE000;&#9;&#xD;&lt;&gt;&amp;&apos;&quot;</a>",
        "<_-.0/>",
    ] {
        assert_eq!(refused(document.as_bytes(), &Limits::default()), None, "{document:?}");
    }
}

#[test]
fn limits_hold_before_the_work() {
    let limits = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        limits
    };
    let table: Vec<(Limits, &str, &str, Bound)> = vec![
        (limits(|l| l.depth = 2), "<a><b/><c/></a>", "<a><b><c/></b></a>", Bound::Depth),
        (limits(|l| l.attributes = 2), "<a b='' c='' xmlns='u'/>", "<a b='' c='' d=''/>", Bound::Attributes),
        (
            limits(|l| l.namespaces = 2),
            "<a xmlns='u' xmlns:b='u'/>",
            "<a xmlns='u' xmlns:b='u' xmlns:c='u'/>",
            Bound::Namespaces,
        ),
        (
            limits(|l| l.namespaces = 2),
            "<a xmlns='u'><b xmlns:b='u'/><b xmlns:c='u'/></a>",
            "<a xmlns='u' xmlns:b='u'><b xmlns:c='u'/></a>",
            Bound::Namespaces,
        ),
        (
            limits(|l| l.namespace_bytes = 6),
            "<a xmlns='1234'><b xmlns:c='u'/><b xmlns:d='u'/></a>",
            "<a xmlns='1234'><b xmlns:cc='u'/></a>",
            Bound::Namespaces,
        ),
        (limits(|l| l.name_len = 3), "<abc d12=''/>", "<abcd/>", Bound::Name),
        (limits(|l| l.name_len = 3), "<a xmlns:abc='u'/>", "<a xmlns:abcd='u'/>", Bound::Name),
        (limits(|l| l.name_len = 3), "<a/>", "<a abcd='u'/>", Bound::Name),
        (limits(|l| l.token_len = 9), "<abcdefgh/>", "<abcdefghijk", Bound::Token),
        (limits(|l| l.token_len = 9), "<a b='>>'/>", "<a b='>>>>>>", Bound::Token),
        (limits(|l| l.token_len = 9), "<a><!-- 567 --></a>", "<a><!-- 5678901234", Bound::Token),
        (limits(|l| l.token_len = 9), "<a></a      >", "<a></a             >", Bound::Token),
        (limits(|l| l.attribute_value_len = 3), "<a b='123'/>", "<a b='1234'/>", Bound::AttributeValue),
        (limits(|l| l.attribute_value_len = 3), "<a b='&#x31;23'/>", "<a b='1&#x32;34'/>", Bound::AttributeValue),
        (limits(|l| l.attribute_value_len = 3), "<a xmlns='123'/>", "<a xmlns='1234'/>", Bound::AttributeValue),
        (limits(|l| l.ids = 2), "<a Id='1'><b Id='2'/></a>", "<a Id='1'><b Id='2'/><b Id='3'/></a>", Bound::Ids),
        (limits(|l| l.id_bytes = 3), "<a Id='1'><b Id='23'/></a>", "<a Id='1'><b Id='234'/></a>", Bound::Ids),
    ];
    for (limits, within, beyond, bound) in table {
        assert_eq!(refused(within.as_bytes(), &limits), None, "{within}");
        assert_eq!(refused(beyond.as_bytes(), &limits), Some(Verdict::Limit(bound)), "{beyond}");
    }
}

/// Everything a reader says, written down.
fn tell<R: std::io::BufRead>(mut reader: StrictReader<R>) -> String {
    let mut told = String::new();
    let mut in_text = false;
    loop {
        let event = reader.next().expect("an acceptable document");
        if in_text && !matches!(event, Event::Text(_)) {
            told.push('"');
        }
        let starts_text = !std::mem::replace(&mut in_text, matches!(event, Event::Text(_)));
        match event {
            Event::Start(tag) => {
                told.push_str(&format!("<{}|{}", tag.name().uri().unwrap_or(""), tag.name().local()));
                for attribute in tag.attributes() {
                    told.push_str(&format!(" {}={:?}", attribute.name().qname(), attribute.value()));
                }
                told.push('>');
            }
            Event::Text(text) => {
                assert!(!text.is_empty());
                told.push_str(if starts_text { "\"" } else { "" });
                told.push_str(text);
            }
            Event::End(name) => told.push_str(&format!("</{}>", name.qname())),
            Event::Eof => return told,
        }
    }
}

#[test]
fn what_is_read() {
    for (document, expected) in [
        ("<a>x&lt;y&#13;\r\nz\rw<![CDATA[<&]]]]><![CDATA[>\r]]></a>", "<|a>\"x<y\r\nz\nw<&]]>\n\"</a>"),
        ("<a b=' x&#9;\t\r\n\n&#10;&amp;y '/>", "<|a b=\" x\\t   \\n&y \"></a>"),
        (
            "<p:a xmlns:p='u' xmlns='v' c='' p:d=''><e/><p:f xmlns:p='w'/></p:a>",
            "<u|a c=\"\" p:d=\"\"><v|e></e><w|f></p:f></p:a>",
        ),
        ("<a xmlns='v'><b xmlns=''/></a>", "<v|a><|b></b></a>"),
        ("<a>x<!-- -->y</a>", "<|a>\"xy\"</a>"),
        ("<a>\u{20AC}\u{1F600}ä</a>", "<|a>\"\u{20AC}\u{1F600}ä\"</a>"),
        ("<a><![CDATA[]]]]]></a>", "<|a>\"]]]\"</a>"),
        ("<a><![CDATA[]]></a>", "<|a></a>"),
        ("<a><![CDATA[]]x]y]]></a>", "<|a>\"]]x]y\"</a>"),
    ] {
        for size in [1, 2, 3, 5, 1000] {
            let source = std::io::BufReader::with_capacity(size, document.as_bytes());
            assert_eq!(
                tell(StrictReader::new(source, &Limits::default())),
                expected,
                "in pieces of {size}: {document}"
            );
        }
    }
}

#[test]
fn a_fragment_stands_alone() {
    let context = NsContext::from_pairs([("p", "urn:p"), ("", "urn:d")]);
    let read = |text: &'static str| StrictReader::fragment(text.as_bytes(), &Limits::default(), &context);
    assert_eq!(tell(read("<p:a><b/></p:a>")), "<urn:p|a><urn:d|b></b></p:a>");
    for text in [
        "",
        " <a/>",
        "<a/> ",
        "<a/>x",
        "<a/><b/>",
        "<!-- --><a/>",
        "<a/><!-- -->",
        "\u{FEFF}<a/>",
        "<?xml version='1.0'?><a/>",
        "<q:a/>",
    ] {
        let mut reader = read(text);
        let mut result = Ok(());
        while result.is_ok() {
            match reader.next() {
                Ok(Event::Eof) => break,
                Ok(_) => {}
                Err(error) => result = Err(error),
            }
        }
        assert!(result.is_err(), "{text:?}");
    }
}

#[test]
fn offsets_tell_where_elements_lie() {
    let document = "\u{FEFF}<?xml version='1.0'?>\n<a> <b c='>'>ä</b><d/>\r\n</a>";
    let mut reader = StrictReader::new(document.as_bytes(), &Limits::default());
    let mut starts = Vec::new();
    let mut elements = Vec::new();
    loop {
        match reader.next().unwrap() {
            Event::Start(_) => starts.push(reader.event_start()),
            Event::End(_) => {
                let range = starts.pop().unwrap() as usize..reader.offset() as usize;
                elements.push(&document[range]);
            }
            Event::Text(_) => {}
            Event::Eof => break,
        }
    }
    assert_eq!(elements, ["<b c='>'>ä</b>", "<d/>", "<a> <b c='>'>ä</b><d/>\r\n</a>"]);
    assert_eq!(reader.offset(), document.len() as u64);
}

#[test]
fn reading_ends_at_an_error() {
    let mut reader = StrictReader::new(&b"<a><b></a>"[..], &Limits::default());
    while reader.next().is_ok() {}
    assert!(matches!(reader.next(), Err(XmlError::NotWellFormed { fault: Fault::AfterError, .. })));
}

#[test]
fn scope_and_ids_can_be_asked() {
    let mut reader = StrictReader::new(&b"<a xmlns:p='u' Id='1'><b xmlns='v' Id='2'/></a>"[..], &Limits::default());
    reader.next().unwrap();
    assert_eq!(reader.in_scope(), &NsContext::from_pairs([("p", "u")]));
    reader.next().unwrap();
    assert_eq!(reader.in_scope(), &NsContext::from_pairs([("p", "u"), ("", "v")]));
    assert_eq!(reader.start_tag().and_then(|tag| tag.attr("Id")), Some("2"));
    reader.next().unwrap();
    assert_eq!(reader.in_scope(), &NsContext::from_pairs([("p", "u")]));
    assert!(reader.start_tag().is_none());
    assert!(reader.contains_id("1") && reader.contains_id("2") && !reader.contains_id("3"));
    assert_eq!(reader.ids().count(), 2);
}
