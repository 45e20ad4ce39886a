//! XML: what the strict reader refuses, through the front door (XML 1.0; Namespaces in XML 1.0; OSCI-Transport 1.2, security).

use super::stage::{Case, Order, executed, fault, refused, replace, run, swap};

const GET: Order = Order::GetMessageId;
const ORDER: &str = "<osci:getMessageId>";

fn bad(name: &str) -> Case {
    Case::new(name, GET, fault(9100))
}

/// Something in front of the document element.
fn before(name: &str, text: &'static str) -> Case {
    bad(name).envelope(move |xml| xml.insert_str(0, text))
}

/// Something within the body, in the place of the order's content.
fn inside(name: &str, text: &'static str) -> Case {
    bad(name).replace(ORDER, format!("{ORDER}{text}"))
}

/// Something else in the place of the order's element.
fn order(name: &str, text: &'static str) -> Case {
    bad(name).replace("<osci:getMessageId></osci:getMessageId>", text)
}

/// Other octets in the place of the order's content.
fn octets(name: &str, octets: &'static [u8]) -> Case {
    bad(name).message(move |bytes| swap(bytes, b"</osci:getMessageId>", &[octets, b"</osci:getMessageId>"].concat()))
}

#[test]
pub(super) fn prologue() {
    run(vec![
        before("a document type", "<!DOCTYPE soap:Envelope>"),
        before("an internal subset", "<!DOCTYPE x [<!ENTITY a \"b\">]>"),
        before(
            "entities in entities",
            "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;\">]>",
        ),
        before("an external entity", "<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>"),
        before("an external subset", "<!DOCTYPE x SYSTEM \"http://127.0.0.1/x.dtd\">"),
        before("a parameter entity", "<!DOCTYPE x [<!ENTITY % a SYSTEM \"http://127.0.0.1/\"> %a;]>"),
        before("a default attribute", "<!DOCTYPE x [<!ATTLIST soap:Body Id CDATA \"body\">]>"),
        before("a style sheet instruction", "<?xml-stylesheet href=\"x\"?>"),
        before("text", "text"),
        before("another element", "<a/>"),
        before("version 1.1", "<?xml version=\"1.1\"?>"),
        before("declared as Latin-1", "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>"),
        before("declared as UTF-7", "<?xml version=\"1.0\" encoding=\"UTF-7\"?>"),
        before("a declaration without version", "<?xml encoding=\"UTF-8\"?>"),
        before("a wrong standalone", "<?xml version=\"1.0\" standalone=\"maybe\"?>"),
        before("two declarations", "<?xml version=\"1.0\"?><?xml version=\"1.0\"?>"),
        before("a declaration behind a blank", " <?xml version=\"1.0\"?>"),
        before("a declaration in capitals", "<?XML version=\"1.0\"?>"),
        bad("UTF-16").envelope(|_| {}).message(|bytes| {
            let at = super::stage::find(bytes, b"<soap:Envelope");
            let utf16: Vec<u8> = [0xFF, 0xFE].into_iter().chain(bytes[at..].iter().flat_map(|b| [*b, 0])).collect();
            bytes.splice(at.., utf16.into_iter().chain(*b"\r\n--BND--\r\n"));
        }),
        Case::new("a byte order mark", GET, executed(&[800])).envelope(|xml| xml.insert(0, '\u{FEFF}')),
        Case::new("a declaration", GET, executed(&[800]))
            .envelope(|xml| xml.insert_str(0, "<?xml version='1.0' encoding='utf-8' standalone='yes'?>\r\n")),
        Case::new("comments and blanks", GET, executed(&[800]))
            .envelope(|xml| xml.insert_str(0, "<!-- a -->\n <!---->")),
    ]);
}

#[test]
pub(super) fn epilogue() {
    let behind = |name: &str, text: &'static str| bad(name).envelope(move |xml| xml.push_str(text));
    run(vec![
        behind("a second document", "<a/>"),
        behind("text behind", "text"),
        behind("a reference behind", "&#65;"),
        behind("an end tag behind", "</soap:Envelope>"),
        behind("character data behind", "<![CDATA[x]]>"),
        behind("an instruction behind", "<?a?>"),
        bad("no end").replace("</soap:Envelope>", ""),
        bad("half an end").replace("</soap:Envelope>", "</soap:Envelope"),
        bad("nothing").envelope(String::clear),
        bad("blanks").envelope(|xml| *xml = "  \n ".to_owned()),
        Case::new("blanks and a comment behind", GET, executed(&[800]))
            .envelope(|xml| xml.push_str("\n<!-- end -->\n")),
    ]);
}

#[test]
pub(super) fn markup() {
    run(vec![
        inside("an instruction", "<?a b?>"),
        inside("an unknown entity", "&nbsp;"),
        inside("a bare ampersand", "a & b"),
        inside("a reference without semicolon", "&amp"),
        inside("a reference to nothing", "&;"),
        inside("a character reference without digits", "&#;"),
        inside("a character that is none", "&#0;"),
        inside("a control character by reference", "&#1;"),
        inside("a surrogate by reference", "&#xD800;"),
        inside("a noncharacter by reference", "&#xFFFE;"),
        inside("beyond Unicode", "&#x110000;"),
        inside("a huge reference", "&#99999999999999999999;"),
        inside("the end of character data", "a ]]> b"),
        inside("a comment with two hyphens", "<!-- a -- b -->"),
        inside("a comment that ends in three", "<!-- a --->"),
        inside("an endless comment", "<!-- a"),
        inside("endless character data", "<![CDATA[ a"),
        inside("a declaration inside", "<!ELEMENT a ANY>"),
        inside("a bare less-than", "a < b"),
        inside("an empty tag", "<>"),
        inside("a tag of blanks", "< a/>"),
        inside("two elements that overlap", "<osci:a><osci:b></osci:a></osci:b>"),
        inside("a missing end tag", "<osci:a>"),
        inside("a missing start tag", "</osci:a>"),
        octets("octets that are no UTF-8", b"\xFF"),
        octets("an overlong form", b"\xC0\xBC"),
        octets("a surrogate in UTF-8", b"\xED\xA0\x80"),
        octets("half a character", b"\xC3"),
        octets("Latin-1", b"Stra\xDFe"),
        octets("a zero", b"\0"),
        octets("a control character", b"\x0B"),
        octets("a noncharacter", b"\xEF\xBF\xBF"),
    ]);
}

#[test]
pub(super) fn tags_and_attributes() {
    let order = |name, text| order(name, text);
    run(vec![
        order("an attribute without quotes", "<osci:getMessageId a=b></osci:getMessageId>"),
        order("an attribute without value", "<osci:getMessageId a></osci:getMessageId>"),
        order("two attributes without blank", "<osci:getMessageId a=\"1\"b=\"2\"></osci:getMessageId>"),
        order("an attribute twice", "<osci:getMessageId a=\"1\" a=\"1\"></osci:getMessageId>"),
        order(
            "an attribute twice by its namespace",
            "<osci:getMessageId xmlns:p=\"urn:a\" xmlns:q=\"urn:a\" p:a=\"1\" q:a=\"1\"></osci:getMessageId>",
        ),
        order("a less-than in an attribute", "<osci:getMessageId a=\"<\"></osci:getMessageId>"),
        order("an entity in an attribute", "<osci:getMessageId a=\"&x;\"></osci:getMessageId>"),
        order("an unclosed attribute", "<osci:getMessageId a=\"></osci:getMessageId>"),
        order("an undeclared prefix", "<xyz:getMessageId></xyz:getMessageId>"),
        order("an undeclared prefix of an attribute", "<osci:getMessageId xyz:a=\"1\"></osci:getMessageId>"),
        order("two colons", "<osci:a:b></osci:a:b>"),
        order("a colon first", "<:a></:a>"),
        order("a colon last", "<osci:></osci:>"),
        order("a name that begins with a digit", "<1a></1a>"),
        order("a prefix taken back", "<osci:getMessageId xmlns:a=\"\"></osci:getMessageId>"),
        order("the prefix xmlns declared", "<osci:getMessageId xmlns:xmlns=\"urn:a\"></osci:getMessageId>"),
        order("the prefix xml bent", "<osci:getMessageId xmlns:xml=\"urn:a\"></osci:getMessageId>"),
        order(
            "another prefix for xml",
            "<osci:getMessageId xmlns:a=\"http://www.w3.org/XML/1998/namespace\"></osci:getMessageId>",
        ),
        order("a declaration twice", "<osci:getMessageId xmlns:a=\"urn:a\" xmlns:a=\"urn:a\"></osci:getMessageId>"),
        order("an end tag with an attribute", "<osci:getMessageId></osci:getMessageId a=\"1\">"),
        order(
            "an end tag with another prefix",
            "<osci:getMessageId xmlns:o=\"http://www.osci.de/2002/04/osci\"></o:getMessageId>",
        ),
        order("an empty end tag", "<osci:getMessageId></>"),
        // Well-formed, but not the same canonical form.
        Case::new("another prefix", GET, refused(&[9601])).replace(
            "<osci:getMessageId></osci:getMessageId>",
            "<o:getMessageId xmlns:o=\"http://www.osci.de/2002/04/osci\"></o:getMessageId>",
        ),
        Case::new("blanks between elements", GET, refused(&[9601])).replace(ORDER, format!("\n{ORDER}")),
        Case::new("an unknown attribute", GET, refused(&[9601])).replace(ORDER, "<osci:getMessageId a=\"1\">"),
        // The same canonical form.
        Case::new("an empty-element tag", GET, executed(&[800]))
            .replace("<osci:getMessageId></osci:getMessageId>", "<osci:getMessageId   />"),
        Case::new("a comment", GET, executed(&[800])).replace(ORDER, format!("<!-- a -->{ORDER}")),
        Case::new("empty character data", GET, executed(&[800])).replace(ORDER, format!("{ORDER}<![CDATA[]]>")),
        Case::new("other quotes and order", GET, executed(&[800])).envelope(|xml| {
            replace(xml, "Id=\"controlblock\" SequenceNumber=\"0\"", "SequenceNumber='&#48;' Id='controlblock'");
        }),
    ]);
}

#[test]
pub(super) fn bounds() {
    let deep: &'static str = "<osci:a>".repeat(500).leak();
    let deep_and_closed: &'static str = ("<osci:a>".repeat(300) + &"</osci:a>".repeat(300)).leak();
    let attributes: &'static str = (0..500).fold("<osci:a".to_owned(), |tag, n| format!("{tag} a{n}=\"\"")).leak();
    let attributes: &'static str = format!("{attributes}/>").leak();
    let declarations: &'static str =
        (0..500).fold("<osci:a".to_owned(), |tag, n| format!("{tag} xmlns:a{n}=\"urn:{n}\"")).leak();
    let declarations: &'static str = format!("{declarations}/>").leak();
    let name: &'static str = format!("<osci:{}/>", "a".repeat(100_000)).leak();
    let value: &'static str = format!("<osci:a b=\"{}\"/>", "a".repeat(200_000)).leak();
    let comment: &'static str = format!("<!--{}-->", "a".repeat(2 << 20)).leak();
    let ids: &'static str = (0..60_000).fold(String::new(), |all, n| format!("{all}<osci:a Id=\"i{n}\"/>")).leak();
    let body: &'static str = format!("<osci:a>{}</osci:a>", "a".repeat(20 << 20)).leak();
    let elements: &'static str = "<osci:a/>".repeat(300_000).leak();
    run(vec![
        inside("500 elements deep", deep),
        inside("300 elements deep and closed", deep_and_closed),
        inside("500 attributes", attributes),
        inside("500 declarations", declarations),
        inside("a name of 100000 characters", name),
        inside("an attribute of 200000 characters", value),
        inside("a comment of 2 MiB", comment),
        inside("60000 Ids", ids),
        inside("a body of 20 MiB", body),
        inside("300000 elements", elements),
    ]);
}

#[test]
pub(super) fn ids() {
    let store = |name: &str| Case::new(name, Order::StoreDelivery, fault(9100));
    run(vec![
        // The same Id twice, wherever: what a signature refers to would depend on the reader.
        store("header and header").replace("Id=\"featuredescription\"", "Id=\"storedelivery\""),
        store("header and body").replace("Id=\"body\"", "Id=\"storedelivery\""),
        store("header and content").replace("Id=\"data\"", "Id=\"storedelivery\""),
        store("body and content").replace("Id=\"data\"", "Id=\"body\""),
        store("content and content").replace("Id=\"data\"", "Id=\"container\""),
        store("certificate and header").envelope(|xml| {
            let entry = super::stage::cut(&mut xml.clone(), "Id=\"addressee_cipher_", "\"");
            replace(xml, &entry, "Id=\"desiredlanguages\"");
        }),
        store("signature and header").replace("Id=\"clientsignature\"", "Id=\"controlblock\""),
        store("certificate and certificate").envelope(|xml| {
            let one = super::stage::cut(&mut xml.clone(), "Id=\"addressee_cipher_", "\"");
            let other = super::stage::cut(&mut xml.clone(), "Id=\"originator_cipher_", "\"");
            replace(xml, &one, &other);
        }),
        store("a header block without Id").replace(" Id=\"desiredlanguages\"", ""),
        store("a header block with an empty Id").replace(" Id=\"desiredlanguages\"", " Id=\"\""),
        store("a body without Id").replace(" Id=\"body\"", ""),
        store("a certificate without Id").envelope(|xml| {
            super::stage::cut(xml, " Id=\"addressee_cipher_", "\"");
        }),
        store("an id attribute in another case").replace(" Id=\"body\"", " ID=\"body\""),
        store("an xml:id instead").replace(" Id=\"body\"", " xml:id=\"body\""),
        store("a header block called like the order of an answer").draft(|draft| {
            draft.replace_in_body("Id=\"data\"", "Id=\"responsetofetchdelivery\"");
        }),
        store("content called like our control block").draft(|draft| {
            draft.replace_in_body("Id=\"data\"", "Id=\"suppliersignature\"");
        }),
        store("content called like a certificate of ours").draft(|draft| {
            draft.replace_in_body("Id=\"data\"", "Id=\"intermed_signature_0\"");
        }),
        Case::new("Ids that differ in case", Order::StoreDelivery, executed(&[800])).draft(|draft| {
            draft.replace_in_body("Id=\"data\"", "Id=\"Container\"");
        }),
    ]);
}
