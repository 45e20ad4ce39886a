//! Well-formed XML that is no order: the envelope, header blocks, bodies (OSCI-Transport 1.2, SOAP envelope and messages).

use rohrpost_osci::ns::MessageType;

use super::stage::{Case, Order, cut, executed, fault, refused, replace, run};
use crate::harness::{Draft, DraftBlock};

const GET: Order = Order::GetMessageId;
const STORE: Order = Order::StoreDelivery;

/// A properly signed message that is no message.
fn signed(name: impl Into<String>, order: Order, edit: impl Fn(&mut Draft) + 'static) -> Case {
    Case::new(name, order, fault(9100)).draft(edit)
}

/// The same, with some text of a block replaced.
fn block(name: &str, order: Order, id: &'static str, from: &'static str, to: &'static str) -> Case {
    signed(name, order, move |draft| draft.replace(id, from, to))
}

/// The same, with some text of the body replaced.
fn body(name: &str, order: Order, from: &'static str, to: &'static str) -> Case {
    signed(name, order, move |draft| draft.replace_in_body(from, to))
}

#[test]
pub(super) fn types() {
    let of_type = |message_type: MessageType, code| {
        Case::new(format!("the type {}", message_type.name()), GET, fault(code))
            .unsigned()
            .draft(move |draft| draft.schema_location = message_type.schema_location())
    };
    let offered = [
        MessageType::InitDialog,
        MessageType::ExitDialog,
        MessageType::GetMessageId,
        MessageType::StoreDelivery,
        MessageType::FetchDelivery,
        MessageType::FetchProcessCard,
        MessageType::MessageEncrypted,
    ];
    let location = |name: &str, edit: fn(&str) -> String| {
        Case::new(name, GET, fault(9100)).draft(move |draft| draft.schema_location = edit(&draft.schema_location))
    };
    let mut cases = vec![
        location("a type nobody knows", |text| text.replace("soapGetMessageId", "soapSendMoney")),
        location("two blanks in the schema location", |text| text.replacen(' ', "  ", 1)),
        location("a blank before the schema location", |text| format!(" {text}")),
        location("a part of the schema location", |text| text.split(' ').take(2).collect::<Vec<_>>().join(" ")),
        location("no schema location", |_| String::new()),
        location("the schema location of a fault", |text| text.replace("soapGetMessageId", "soapMessageFault")),
        Case::new("no attribute with a schema location", GET, fault(9100)).envelope(|xml| {
            cut(xml, " xsi:schemaLocation=\"", "\"");
        }),
        Case::new("another prefix for it", GET, fault(9100))
            .replace("xsi:schemaLocation", "xmlns:xs=\"http://www.w3.org/2001/XMLSchema-instance\" xs:schemaLocation"),
        Case::new("the prefix bound to something else", GET, fault(9100))
            .replace("xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"", "xmlns:xsi=\"urn:x\""),
        Case::new("a message in clear that says it is encrypted", GET, fault(9100))
            .draft(|draft| draft.schema_location = MessageType::MessageEncrypted.schema_location()),
    ];
    // Answers, orders to passive recipients, and orders that are not offered. Their header block decides nothing.
    for message_type in MessageType::ALL {
        if !offered.contains(&message_type) && message_type.order_block().is_none() {
            cases.push(of_type(message_type, 9300));
        }
    }
    for (name, code) in [
        // Who is to get it is missing.
        ("ForwardDelivery", 9100),
        ("MediateDelivery", 9100),
        ("AcceptDelivery", 9300),
        ("ProcessDelivery", 9300),
        ("PartialStoreDelivery", 9300),
    ] {
        let message_type = MessageType::ALL.into_iter().find(|known| known.name() == name).unwrap();
        let element = message_type.order_block().unwrap().1;
        cases.push(Case::new(format!("a delivery called {name}"), STORE, fault(code)).draft(move |draft| {
            draft.schema_location = message_type.schema_location();
            let text = draft.block("storedelivery").text.replace("storeDelivery", element);
            draft.block("storedelivery").text = if name.starts_with("Partial") {
                text.replacen("osci:", "osci2017:", 1)
                    .replacen(' ', " xmlns:osci2017=\"http://xoev.de/transport/osci12/7\" ", 1)
                    .replace("</osci:partial", "</osci2017:partial")
            } else {
                text
            };
        }));
    }
    run(cases);
}

#[test]
pub(super) fn envelope() {
    let xml = |name: &str, from: &'static str, to: &'static str| {
        Case::new(name, GET, fault(9100)).unsigned().replace(from, to)
    };
    run(vec![
        Case::new("another root", GET, fault(9100)).envelope(|xml| *xml = xml.replace("soap:Envelope", "soap:Envelop")),
        Case::new("SOAP 1.2", GET, fault(9100)).envelope(|xml| {
            *xml = xml.replace("http://schemas.xmlsoap.org/soap/envelope/\"", "http://www.w3.org/2003/05/soap-envelope\"");
        }),
        Case::new("no SOAP at all", GET, fault(9100)).envelope(|xml| *xml = "<a/>".to_owned()),
        Case::new("a fault", GET, fault(9100)).envelope(|xml| {
            *xml = "<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body><soap:Fault>\
                    <faultcode>soap:Client</faultcode><faultstring>x</faultstring></soap:Fault></soap:Body></soap:Envelope>"
                .to_owned();
        }),
        Case::new("no header", GET, fault(9100)).unsigned().envelope(|xml| {
            cut(xml, "<soap:Header>", "</soap:Header>");
        }),
        Case::new("an empty header", GET, fault(9100)).unsigned().envelope(|xml| {
            cut(xml, "<soap:Header>", "</soap:Header>");
            replace(xml, "<soap:Body", "<soap:Header></soap:Header><soap:Body");
        }),
        Case::new("two headers", GET, fault(9100)).replace("</soap:Header>", "</soap:Header><soap:Header></soap:Header>"),
        Case::new("no body", GET, fault(9100)).envelope(|xml| {
            cut(xml, "<soap:Body", "</soap:Body>");
        }),
        Case::new("two bodies", GET, fault(9100)).envelope(|xml| {
            let body = cut(xml, "<soap:Body", "</soap:Body>");
            let other = body.replace("Id=\"body\"", "Id=\"body2\"");
            replace(xml, "</soap:Envelope>", &format!("{body}{other}</soap:Envelope>"));
        }),
        Case::new("the body before the header", GET, fault(9100)).envelope(|xml| {
            let body = cut(xml, "<soap:Body", "</soap:Body>");
            replace(xml, "<soap:Header>", &format!("{body}<soap:Header>"));
        }),
        xml("text before the header", "<soap:Header>", "text<soap:Header>"),
        xml("text in the header", "<soap:Header>", "<soap:Header>text"),
        xml("text behind the header", "</soap:Header>", "</soap:Header>text"),
        xml("text behind the body", "</soap:Envelope>", "text</soap:Envelope>"),
        xml("text in the body", "<osci:getMessageId>", "text<osci:getMessageId>"),
        xml("an element behind the body", "</soap:Envelope>", "<osci:a Id=\"a\"/></soap:Envelope>"),
        xml("an element before the header", "<soap:Header>", "<osci:a Id=\"a\"/><soap:Header>"),
    ]);
}

#[test]
pub(super) fn header_blocks() {
    let again = |name: &str, order, id: &'static str| {
        signed(name, order, move |draft| {
            let twin = draft.block(id).text.replace(&format!("Id=\"{id}\""), "Id=\"twin\"");
            draft.blocks.push(DraftBlock::new("twin", twin));
        })
    };
    let without = |name: &str, order, id: &'static str| {
        signed(name, order, move |draft| draft.blocks.retain(|block| block.id != id))
    };
    run(vec![
        without("no control block", GET, "controlblock"),
        without("no order block", STORE, "storedelivery"),
        without("no certificates", STORE, "nonintermediarycertificates"),
        again("two control blocks", GET, "controlblock"),
        again("languages twice", GET, "desiredlanguages"),
        again("the order twice", STORE, "storedelivery"),
        again("certificates twice", STORE, "nonintermediarycertificates"),
        again("features twice", GET, "featuredescription"),
        again("a time stamp twice", STORE, "qualityoftimestamp_creation"),
        Case::new("the signature first", GET, fault(9100)).envelope(|xml| {
            let signature = cut(xml, "<osci:ClientSignature", "</osci:ClientSignature>");
            replace(xml, "<soap:Header>", &format!("<soap:Header>{signature}"));
        }),
        Case::new("two signatures", GET, fault(9100)).envelope(|xml| {
            let signature = cut(xml, "<osci:ClientSignature", "</osci:ClientSignature>");
            let other = signature.replace("clientsignature", "clientsignature2");
            replace(xml, "</soap:Header>", &format!("{signature}{other}</soap:Header>"));
        }),
        Case::new("the signature last", GET, executed(&[800])).envelope(|xml| {
            let signature = cut(xml, "<osci:ClientSignature", "</osci:ClientSignature>");
            replace(xml, "</soap:Header>", &format!("{signature}</soap:Header>"));
        }),
        Case::new("a signature of the answering side", GET, fault(9100))
            .signature(|signature, _| signature.element = "osci:SupplierSignature".to_owned()),
        block("languages without list", GET, "desiredlanguages", "LanguagesList=\"de\"", ""),
        block("languages with content", GET, "desiredlanguages", "></osci:Des", ">de</osci:Des"),
        block("an unknown quality", STORE, "qualityoftimestamp_creation", "Quality=\"plain\"", "Quality=\"best\""),
        block("an unknown service", STORE, "qualityoftimestamp_creation", "Service=\"creation\"", "Service=\"x\""),
        block("a feature without key", GET, "featuredescription", "Key=\"DisableBase64\"", ""),
        block("a size that is no number", GET, "featuredescription", " Id=", " MaxChunkSize=\"-1\" Id="),
        signed("a time stamp where none belongs", GET, |draft| {
            let text =
                "<osci:QualityOfTimestamp Id=\"qot\" Quality=\"plain\" Service=\"creation\"></osci:QualityOfTimestamp>";
            draft.blocks.push(DraftBlock::new("qot", text));
        }),
        Case::new("an answer signed as a request", GET, fault(9100))
            .draft(|draft| draft.schema_location = MessageType::ResponseToGetMessageId.schema_location()),
        signed("certificates of an intermediary", GET, |draft| {
            let text = "<osci:IntermediaryCertificates Id=\"ic\"></osci:IntermediaryCertificates>";
            draft.blocks.push(DraftBlock::new("ic", text));
        }),
        signed("the order of another message", GET, |draft| {
            draft.blocks.push(DraftBlock::new("x", "<osci:fetchDelivery Id=\"x\"></osci:fetchDelivery>"));
        }),
        signed("5 MiB of header", GET, |draft| {
            let text = format!("<a:b xmlns:a=\"urn:a\" Id=\"b\">{}</a:b>", "x".repeat(5 << 20));
            draft.blocks.push(DraftBlock::new("b", text));
        }),
        signed("100 header blocks", GET, |draft| {
            let more = (0..100)
                .map(|n| DraftBlock::new(format!("b{n}"), format!("<a:b xmlns:a=\"urn:a\" Id=\"b{n}\"></a:b>")));
            draft.blocks.extend(more);
        }),
        Case::new("an OSCI block nobody knows", GET, executed(&[800])).draft(|draft| {
            draft.blocks.push(DraftBlock::new("n", "<osci:Novelty Id=\"n\"></osci:Novelty>"));
        }),
        Case::new("no languages", GET, executed(&[800]))
            .draft(|draft| draft.blocks.retain(|block| block.id != "desiredlanguages")),
    ]);
}

#[test]
pub(super) fn certificates_in_the_header() {
    const NIC: &str = "nonintermediarycertificates";
    let bad = |name: &str, from: &'static str, to: &'static str| block(name, STORE, NIC, from, to);
    let entry = |name: &str, edit: fn(&mut String)| signed(name, STORE, move |draft| edit(&mut draft.block(NIC).text));
    run(vec![
        bad("an entry nobody knows", "CipherCertificateOriginator", "CipherCertificateOrig"),
        bad("text between entries", "<osci:CipherCertificateOriginator", "x<osci:CipherCertificateOriginator"),
        bad("other X.509 data", "<ds:X509Data>", "<ds:X509Data><ds:X509SKI>AA==</ds:X509SKI>"),
        bad("no X.509 data", "<ds:X509Data>", "<ds:X509Dat>"),
        bad("a certificate that is no base64", "<ds:X509Certificate>M", "<ds:X509Certificate>"),
        entry("two certificates in one entry", |text| {
            let one = cut(&mut text.clone(), "<ds:X509Certificate>", "</ds:X509Certificate>");
            replace(text, &one, &one.repeat(2));
        }),
        entry("an empty certificate", |text| {
            cut(text, "<ds:X509Certificate>", "</ds:X509Certificate>");
            replace(text, "<ds:X509Data>", "<ds:X509Data><ds:X509Certificate></ds:X509Certificate>");
        }),
        entry("the originator twice", |text| {
            let one =
                cut(&mut text.clone(), "<osci:CipherCertificateOriginator", "</osci:CipherCertificateOriginator>");
            let other = one.replace("Id=\"", "Id=\"x");
            replace(text, &one, &format!("{one}{other}"));
        }),
        entry("the addressee twice", |text| {
            let one = cut(&mut text.clone(), "<osci:CipherCertificateAddressee", "</osci:CipherCertificateAddressee>");
            let other = one.replace("Id=\"", "Id=\"x");
            replace(text, &one, &format!("{one}{other}"));
        }),
        entry("no addressee", |text| {
            cut(text, "<osci:CipherCertificateAddressee", "</osci:CipherCertificateAddressee>");
        }),
        entry("a signature certificate of the addressee", |text| {
            let one = cut(&mut text.clone(), "<osci:CipherCertificateAddressee", "</osci:CipherCertificateAddressee>");
            let other = one.replace("Cipher", "Signature").replace("Id=\"", "Id=\"x");
            replace(text, "</osci:NonInt", &format!("{other}</osci:NonInt"));
        }),
        entry("a certificate of the intermediary", |text| {
            let one = cut(&mut text.clone(), "<osci:CipherCertificateAddressee", "</osci:CipherCertificateAddressee>");
            let other = one.replace("Addressee", "Intermediary").replace("Id=\"", "Id=\"x");
            replace(text, "</osci:NonInt", &format!("{other}</osci:NonInt"));
        }),
    ]);
}

#[test]
pub(super) fn orders() {
    let store = |name: &str, from: &'static str, to: &'static str| block(name, STORE, "storedelivery", from, to);
    let fetch = |name: &str, to: &'static str| {
        block(name, Order::FetchDelivery, "fetchdelivery", "></osci:fetchDelivery>", to).sealed()
    };
    let cards = |name: &str, to: &'static str| {
        body(name, Order::FetchProcessCard, "<osci:fetchProcessCard></osci:fetchProcessCard>", to).sealed()
    };
    run(vec![
        body("the body of another order", GET, "getMessageId></osci:getMessageId", "initDialog></osci:initDialog"),
        body("no order in the body", GET, "<osci:getMessageId></osci:getMessageId>", ""),
        body(
            "two orders in the body",
            GET,
            "</osci:getMessageId>",
            "</osci:getMessageId><osci:getMessageId></osci:getMessageId>",
        ),
        body(
            "the order in another namespace",
            GET,
            "<osci:getMessageId></osci:getMessageId>",
            "<ds:getMessageId></ds:getMessageId>",
        ),
        body("something in the order", GET, "<osci:getMessageId>", "<osci:getMessageId><osci:a></osci:a>"),
        body("text in the order", GET, "<osci:getMessageId>", "<osci:getMessageId>x"),
        body("something in InitDialog", Order::InitDialog, "<osci:initDialog>", "<osci:initDialog>x"),
        body("something in ExitDialog", Order::ExitDialog, "<osci:exitDialog>", "<osci:exitDialog>x"),
        store("a child nobody knows", "<osci:Subject>", "<osci:Priority>1</osci:Priority><osci:Subject>"),
        store("two message ids", "<osci:Subject>", "<osci:MessageId>YQ==</osci:MessageId><osci:Subject>"),
        store("two subjects", "<osci:Subject>", "<osci:Subject>a</osci:Subject><osci:Subject>"),
        store("markup in the subject", "Anmeldung", "<b>An</b>meldung"),
        store("text in the order block", "<osci:Subject>", "x<osci:Subject>"),
        store("a message id that is no base64", "<osci:MessageId>", "<osci:MessageId>="),
        store("a message id that is no UTF-8", "<osci:MessageId>", "<osci:MessageId>/w=="),
        store("an empty message id", "<osci:Subject>", "<osci:MessageId></osci:MessageId><osci:Subject>"),
        Case::new("a subject that was not escaped", STORE, fault(9100)).replace("Anmeldung", "An & Abmeldung"),
        body("no content package", STORE, "osci:ContentPackage>", "osci:ContentPacket>"),
        body("text in the package", STORE, "<osci:ContentPackage>", "<osci:ContentPackage>x"),
        body(
            "an element nobody knows in the package",
            STORE,
            "<osci:ContentPackage>",
            "<osci:ContentPackage><osci:a></osci:a>",
        ),
        body("an element nobody knows in a container", STORE, "<osci:Content ", "<osci:a></osci:a><osci:Content "),
        body(
            "data beside its content",
            STORE,
            "<osci:Content ",
            "<osci:Base64Content>YQ==</osci:Base64Content><osci:Content ",
        ),
        signed("two packages", STORE, |draft| {
            draft.replace_in_body("</soap:Body>", "<osci:ContentPackage></osci:ContentPackage></soap:Body>");
        }),
        signed("an order beside the package", STORE, |draft| {
            draft.replace_in_body("</soap:Body>", "<osci:getMessageId></osci:getMessageId></soap:Body>");
        }),
        body(
            "encrypted for a certificate that is not there",
            STORE,
            "</osci:ContentPackage>",
            "<xenc:EncryptedData Id=\"e\"><ds:KeyInfo><xenc:EncryptedKey><ds:KeyInfo>\
             <ds:RetrievalMethod URI=\"#nobody\"></ds:RetrievalMethod></ds:KeyInfo></xenc:EncryptedKey></ds:KeyInfo>\
             </xenc:EncryptedData></osci:ContentPackage>",
        ),
        fetch(
            "a rule nobody knows",
            "><osci:SelectionRule><osci:Newest></osci:Newest></osci:SelectionRule></osci:fetchDelivery>",
        ),
        fetch(
            "two rules",
            "><osci:SelectionRule></osci:SelectionRule><osci:SelectionRule></osci:SelectionRule></osci:fetchDelivery>",
        ),
        fetch(
            "a rule with two ids",
            "><osci:SelectionRule><osci:MessageId>YQ==</osci:MessageId><osci:MessageId>Yg==</osci:MessageId></osci:SelectionRule></osci:fetchDelivery>",
        ),
        fetch(
            "a day without time",
            "><osci:SelectionRule><osci:ReceptionOfDelivery>2026-11-24</osci:ReceptionOfDelivery></osci:SelectionRule></osci:fetchDelivery>",
        ),
        fetch(
            "a day that is none",
            "><osci:SelectionRule><osci:ReceptionOfDelivery>2026-02-30T12:00:00Z</osci:ReceptionOfDelivery></osci:SelectionRule></osci:fetchDelivery>",
        ),
        fetch("a quantity of deliveries", "><osci:Quantity Limit=\"1\"></osci:Quantity></osci:fetchDelivery>"),
        cards(
            "no cards at all",
            "<osci:fetchProcessCard><osci:Quantity Limit=\"0\"></osci:Quantity></osci:fetchProcessCard>",
        ),
        cards(
            "fewer cards than none",
            "<osci:fetchProcessCard><osci:Quantity Limit=\"-1\"></osci:Quantity></osci:fetchProcessCard>",
        ),
        cards(
            "a number of cards that is none",
            "<osci:fetchProcessCard><osci:Quantity Limit=\"many\"></osci:Quantity></osci:fetchProcessCard>",
        ),
        cards("no limit", "<osci:fetchProcessCard><osci:Quantity></osci:Quantity></osci:fetchProcessCard>"),
        cards(
            "an unknown role",
            "<osci:fetchProcessCard><osci:SelectionRule><osci:ReceptionOfDelivery Role=\"Reader\">2026-11-24T12:00:00Z</osci:ReceptionOfDelivery></osci:SelectionRule></osci:fetchProcessCard>",
        ),
        cards(
            "a rule by id and date",
            "<osci:fetchProcessCard><osci:SelectionRule><osci:MessageId>YQ==</osci:MessageId><osci:ReceptionOfDelivery>2026-11-24T12:00:00Z</osci:ReceptionOfDelivery></osci:SelectionRule></osci:fetchProcessCard>",
        ),
        Case::new("a package without content", STORE, executed(&[800])).draft(|draft| {
            cut(&mut draft.body, "<osci:ContentContainer", "</osci:ContentContainer>");
            draft.attachments.clear();
        }),
        Case::new("a message id that is not ours", STORE, refused(&[9801])).draft(|draft| {
            cut(&mut draft.block("storedelivery").text, "<osci:MessageId>", "</osci:MessageId>");
            draft.replace(
                "storedelivery",
                "<osci:Subject>",
                "<osci:MessageId>bmljaHQgdm9uIHVucw==</osci:MessageId><osci:Subject>",
            );
        }),
        Case::new("no message id", STORE, refused(&[9800])).draft(|draft| {
            cut(&mut draft.block("storedelivery").text, "<osci:MessageId>", "</osci:MessageId>");
        }),
    ]);
}
