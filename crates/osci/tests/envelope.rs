//! Envelopes that are not what they seem: malformed ones, and signed ones whose parts were moved around.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::error::Error as _;
use std::io::BufReader;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use rohrpost_crypto::{Curve, Digest, DigestAlgorithm, PrivateKey, SignatureAlgorithm};
use rohrpost_osci::compose::{OutAttachment, OutContent, OutDelivery, Signing};
use rohrpost_osci::dialog::ControlBlock;
use rohrpost_osci::envelope::{BlockKind, BodyContent, Envelope, EnvelopeError, Limits, SignedBy};
use rohrpost_osci::header::{
    CertificateEntry, CertificateRole, CertificateUse, CustomBlock, NonIntermediaryCertificates,
};
use rohrpost_osci::ids::{Challenge, MessageId};
use rohrpost_osci::message::{Request, RequestHeader, StoreDelivery};
use rohrpost_osci::mime::{self, Boundary, Multipart};
use rohrpost_osci::ns::{self, MessageType, NS5};
use rohrpost_osci::signature::{self, MessageParts};
use rohrpost_osci::source::reader;

static KEY: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate_ec(Curve::P256).unwrap());

/// A signed StoreDelivery with two attachments and a custom block.
static SIGNED: LazyLock<String> = LazyLock::new(|| {
    let certificates = vec![
        CertificateEntry::new(CertificateRole::Originator, CertificateUse::Signature, 0, b"originator"),
        CertificateEntry::new(CertificateRole::Addressee, CertificateUse::Cipher, 0, b"addressee"),
    ];
    let custom = CustomBlock::new(r#"<a:Meta xmlns:a="urn:a" Id="meta"><a:b></a:b></a:Meta>"#).unwrap();
    let header = RequestHeader {
        control: ControlBlock { challenge: Some(Challenge::new("C").unwrap()), ..ControlBlock::default() },
        certificates: NonIntermediaryCertificates::new(certificates).unwrap(),
        custom: vec![custom],
        ..RequestHeader::default()
    };
    let store = StoreDelivery {
        header,
        creation: Default::default(),
        reception: Default::default(),
        message_id: Some(MessageId::new("1").unwrap()),
        subject: None,
    };
    let source = Arc::new(PACKAGE.as_bytes().to_vec());
    let range = 0..PACKAGE.len() as u64;
    let attachment = |name: &str| OutAttachment::new(name, "text/plain", Arc::new(name.as_bytes().to_vec()));
    let delivery = OutDelivery {
        package: OutContent { source, range, in_scope: ns::envelope_context() },
        attachments: vec![attachment("one"), attachment("two")],
    };
    let signer = KEY.signer(SignatureAlgorithm::EcdsaSha256).unwrap();
    let signing =
        Signing { signer: &signer, by: SignedBy::Client, certificate_id: None, digest: DigestAlgorithm::Sha256 };
    let boundary = Boundary::new("BND").unwrap();
    String::from_utf8(store.compose(delivery).unwrap().write(Some(&signing), &boundary, Vec::new()).unwrap()).unwrap()
});

const PACKAGE: &str = r#"<osci:ContentPackage><osci:ContentContainer Id="c"><osci:Content><osci:Base64Content Id="d">QW55</osci:Base64Content></osci:Content></osci:ContentContainer></osci:ContentPackage>"#;

/// "accepted", or the whole chain of errors.
fn outcome(octets: &str) -> String {
    match read_and_check(octets.as_bytes()) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error,
    }
}

type Meaning = (StoreDelivery, Option<(DigestAlgorithm, Digest)>);

/// What an accepted message says.
fn read_and_check(octets: &[u8]) -> Result<Meaning, String> {
    let multipart = Multipart::scan(&octets, &mime::Limits::default()).map_err(|error| error.to_string())?;
    let root = BufReader::new(reader(octets, multipart.root().range.clone()));
    let envelope = Envelope::read(root, &Limits::default()).map_err(|error| told(&error))?;
    let Request::StoreDelivery(store) = Request::parse(&envelope).map_err(|error| error.to_string())? else {
        return Err("another order".to_owned());
    };
    let mut parts = MessageParts::new(&multipart, octets);
    let checked = signature::check(&envelope, &mut parts, KEY.public_key(), &Limits::default());
    checked.map_err(|error| error.to_string())?;
    Ok((store, envelope.body().digest))
}

fn told(error: &EnvelopeError) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", without_position(&cause.to_string())),
        None => error.to_string(),
    }
}

fn without_position(text: &str) -> String {
    let mut words: Vec<&str> = text.split(' ').collect();
    words.retain(|word| !word.trim_end_matches(':').bytes().all(|byte| byte.is_ascii_digit()));
    words.join(" ")
}

/// The text from `from` up to and with `to`.
fn piece(from: &str, to: &str) -> String {
    let start = SIGNED.find(from).unwrap_or_else(|| panic!("{from}"));
    let end = start + SIGNED[start..].find(to).unwrap_or_else(|| panic!("{to}")) + to.len();
    SIGNED[start..end].to_owned()
}

fn replaced(from: &str, to: &str) -> String {
    assert_eq!(SIGNED.matches(from).count(), 1, "{from}");
    SIGNED.replace(from, to)
}

#[test]
fn the_untouched_message_is_accepted() {
    assert_eq!(outcome(&SIGNED), "accepted");
}

/// What was signed is kept somewhere in the message, and something else stands in its place.
#[test]
fn wrapped_parts_are_never_taken_for_signed() {
    let body = piece("<soap:Body", "</soap:Body>");
    let other_id = |text: &str, from: &str, to: &str| text.replace(&format!("Id=\"{from}\""), &format!("Id=\"{to}\""));
    let forged = |id: &str| {
        other_id(&body, "body", id).replace("QW55", "TEVT").replace("\"c\"", "\"x\"").replace("\"d\"", "\"y\"")
    };
    let order = piece("<osci:storeDelivery", "</osci:storeDelivery>");
    let control = piece("<osci:ControlBlock", "</osci:ControlBlock>");
    let signature = piece("<osci:ClientSignature", "</osci:ClientSignature>");
    let in_header = |what: &str| format!(r#"<w:w xmlns:w="urn:w" Id="w">{what}</w:w></soap:Header>"#);
    let without_header = |text: &str| text.replace("</soap:Header>", "");

    let duplicate =
        "the root part is not acceptable XML: the Id of the element at byte was already used in this document";
    let cases = [
        (
            "body in a header, another body with another Id",
            without_header(&replaced("</soap:Header>", "")).replace(&body, &(in_header(&body) + &forged("other"))),
            "the signature does not cover #other",
        ),
        (
            "body in a header, another body with the same Id",
            replaced("</soap:Header>", "").replace(&body, &(in_header(&body) + &forged("body"))),
            duplicate,
        ),
        (
            "second body behind the signed one",
            replaced(&body, &(body.clone() + &forged("other"))),
            "Body may not stand in Envelope",
        ),
        (
            "second body before the signed one",
            replaced(&body, &(forged("other") + &body)),
            "Body may not stand in Envelope",
        ),
        (
            "signed body in an element behind another body",
            replaced(&body, &format!("{}<w>{body}</w>", forged("other"))),
            "w may not stand in Envelope",
        ),
        (
            "signed body inside another body",
            replaced(&body, &forged("other").replace("<osci:ContentPackage>", &format!("{body}<osci:ContentPackage>"))),
            "Body may not stand in Body",
        ),
        (
            "order in a custom block, another order in its place",
            replaced(&order, &other_id(&order, "storedelivery", "other").replace(">MQ==<", ">Mg==<"))
                .replace("<a:b></a:b>", &order),
            "the signature does not cover #other",
        ),
        (
            "order twice",
            replaced(&order, &(order.clone() + &other_id(&order, "storedelivery", "other"))),
            "storeDelivery occurs more than once",
        ),
        (
            "control block in a custom block without Id",
            replaced(
                &control,
                &(other_id(&control, "controlblock", "other") + &format!(r#"<w:w xmlns:w="urn:w">{control}</w:w>"#)),
            ),
            "w has no Id",
        ),
        (
            "control block twice",
            replaced(&control, &(control.clone() + &other_id(&control, "controlblock", "x"))),
            "ControlBlock occurs more than once",
        ),
        (
            "two signatures",
            replaced(&signature, &(signature.clone() + &other_id(&signature, "clientsignature", "x"))),
            "ClientSignature occurs more than once",
        ),
        (
            "a supplier's signature beside the client's",
            replaced(
                &signature,
                &(signature.clone() + &signature.replace("Client", "Supplier").replace("client", "supplier")),
            ),
            "SupplierSignature may not stand in Header",
        ),
        (
            "attachments exchanged",
            SIGNED.replace("<one>", "<x>").replace("<two>", "<one>").replace("<x>", "<two>"),
            "the digest of an attachment is wrong",
        ),
        ("Id renamed away", replaced(r#"Id="storedelivery""#, r#"ID="storedelivery""#), "storeDelivery has no Id"),
        (
            "Id with a prefix",
            replaced(r#"Id="storedelivery""#, r#"osci:Id="storedelivery""#),
            "storeDelivery has no Id",
        ),
        ("Id of the signature block reused", replaced(r#"Id="meta""#, r#"Id="clientsignature""#), duplicate),
        (
            "custom block with the Id of another reference",
            replaced(r#"Id="meta""#, r#"Id="one""#),
            "the signature does not cover #one",
        ),
    ];
    for (name, octets, expected) in cases {
        assert_eq!(outcome(&octets), expected, "{name}");
    }
}

#[test]
fn malformed_envelopes_are_refused() {
    let xml = |fault: &str| format!("the root part is not acceptable XML: {fault}");
    let location = MessageType::StoreDelivery.schema_location();
    let cases = [
        (
            "type unknown",
            replaced("soapStoreDelivery", "soapStoredelivery"),
            "the envelope states an unknown message type".to_owned(),
        ),
        (
            "double blank",
            replaced(&location, &location.replacen(' ', "  ", 1)),
            "the envelope states an unknown message type".to_owned(),
        ),
        (
            "no type",
            replaced(" xsi:schemaLocation", " xsi:noNamespaceSchemaLocation"),
            "the envelope states no message type".to_owned(),
        ),
        (
            "prefix of the type",
            SIGNED.replacen("xmlns:xsi=", "xmlns:x=", 1).replacen("xsi:schema", "x:schema", 1),
            "the envelope states no message type".to_owned(),
        ),
        (
            "encrypted once more",
            replaced("soapStoreDelivery", "soapMessageEncrypted"),
            "the message is encrypted once more".to_owned(),
        ),
        (
            "a response",
            replaced("soapStoreDelivery", "soapResponseToStoreDelivery"),
            "ClientSignature may not stand in Header".to_owned(),
        ),
        ("no envelope", SIGNED.replace("soap:Envelope", "soap:Letter"), "the root part is no SOAP envelope".to_owned()),
        (
            "SOAP 1.2",
            SIGNED.replace(ns::SOAP, "http://www.w3.org/2003/05/soap-envelope"),
            "the root part is no SOAP envelope".to_owned(),
        ),
        (
            "header missing",
            SIGNED.replace(&piece("<soap:Header>", "</soap:Header>"), ""),
            "Header is missing".to_owned(),
        ),
        (
            "header second",
            SIGNED.replace("<soap:Header>", "<soap:Header></soap:Header><soap:Header>"),
            "ControlBlock is missing".to_owned(),
        ),
        ("body missing", SIGNED.replace(&piece("<soap:Body", "</soap:Body>"), ""), "Body is missing".to_owned()),
        (
            "control block missing",
            SIGNED.replace(&piece("<osci:ControlBlock", "</osci:ControlBlock>"), ""),
            "the signature stands before the control block".to_owned(),
        ),
        ("no Id at the body", replaced(r#" Id="body""#, ""), "Body has no Id".to_owned()),
        ("empty Id", replaced(r#" Id="meta""#, r#" Id="""#), "Meta has no Id".to_owned()),
        (
            "text in the header",
            replaced("</soap:Header>", "x</soap:Header>"),
            "Header contains text where only elements may be".to_owned(),
        ),
        (
            "text in the envelope",
            replaced("</soap:Envelope>", "x</soap:Envelope>"),
            "Envelope contains text where only elements may be".to_owned(),
        ),
        (
            "text in the package",
            replaced("<osci:ContentPackage>", "<osci:ContentPackage>x"),
            "ContentPackage contains text where only elements may be".to_owned(),
        ),
        (
            "text in a container",
            replaced("<osci:Content>", "x<osci:Content>"),
            "ContentContainer contains text where only elements may be".to_owned(),
        ),
        (
            "text in a content",
            replaced("<osci:Content>", "<osci:Content>x"),
            "Content contains text where only elements may be".to_owned(),
        ),
        (
            "two packages",
            replaced("<osci:ContentPackage>", "<osci:ContentPackage></osci:ContentPackage><osci:ContentPackage>"),
            "ContentPackage occurs more than once".to_owned(),
        ),
        ("no package", SIGNED.replace(PACKAGE, ""), "ContentPackage is missing".to_owned()),
        (
            "content in the body",
            SIGNED
                .replace("osci:ContentPackage>", "osci:ContentContainer>")
                .replace(r#"<osci:ContentContainer>"#, r#"<osci:ContentContainer Id="q">"#),
            "ContentContainer may not stand in Body".to_owned(),
        ),
        ("element in data", replaced(">QW55<", "><a></a>QW55<"), "a may not stand in Base64Content".to_owned()),
        (
            "doctype",
            replaced("<soap:Envelope", "<!DOCTYPE a><soap:Envelope"),
            xml("forbidden XML at byte a document type declaration"),
        ),
        (
            "processing instruction",
            replaced("<soap:Header>", "<?a b?><soap:Header>"),
            xml("forbidden XML at byte a processing instruction"),
        ),
        (
            "unclosed",
            SIGNED.replace("</soap:Envelope>", ""),
            xml("not well-formed XML at byte the input ends inside the document"),
        ),
        (
            "more behind it",
            replaced("</soap:Envelope>", "</soap:Envelope><a/>"),
            xml("not well-formed XML at byte a second root element"),
        ),
        (
            "transform",
            replaced(
                "<ds:Reference URI=\"#body\">\n<ds:Transforms>\n<ds:Transform Algorithm=\"http://www.w3.org/TR/2001/REC-xml-c14n-20010315\">",
                "<ds:Reference URI=\"#body\">\n<ds:Transforms>\n<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\">",
            ),
            "the signature transforms #body in a way that is not allowed".to_owned(),
        ),
        (
            "digest algorithm",
            SIGNED.replacen("2001/04/xmlenc#sha256", "2001/04/xmldsig-more#sha384", 1),
            "the transport signature is malformed: the digest algorithm of a reference is not known".to_owned(),
        ),
        (
            "signature algorithm",
            replaced("ecdsa-sha256", "ecdsa-sha384"),
            "the transport signature is malformed: the signature algorithm is not known".to_owned(),
        ),
        (
            "two references to one thing",
            replaced("URI=\"cid:one\"", "URI=\"cid:two\""),
            "the transport signature is malformed: two references have the same URI".to_owned(),
        ),
        (
            "a block that only answers have",
            replaced(
                "<osci:storeDelivery",
                "<osci:IntermediaryCertificates Id=\"i\"></osci:IntermediaryCertificates><osci:storeDelivery",
            ),
            "the message may not carry the header block IntermediaryCertificates".to_owned(),
        ),
    ];
    for (name, octets, expected) in cases {
        assert_eq!(outcome(&octets), expected, "{name}");
    }
}

fn read(root: &str, limits: &Limits) -> Result<Envelope, EnvelopeError> {
    Envelope::read(root.as_bytes(), limits)
}

fn envelope(message_type: MessageType, header: &str, body: &str) -> String {
    let location = message_type.schema_location();
    format!(
        r#"<soap:Envelope{NS5} xsi:schemaLocation="{location}"><soap:Header><osci:ControlBlock Id="cb"/>{header}</soap:Header><soap:Body Id="b">{body}</soap:Body></soap:Envelope>"#
    )
}

#[test]
fn bounds_hold() {
    let limits = Limits { header_bytes: 2000, header_blocks: 3, body_bytes: 1000, ..Limits::default() };
    let block = |id: usize, text: &str| format!(r#"<x:x xmlns:x="urn:x" Id="i{id}">{text}</x:x>"#);
    let init = |header: &str| read(&envelope(MessageType::InitDialog, header, "<osci:initDialog/>"), &limits);
    assert!(init(&block(0, "x")).is_ok());
    assert!(matches!(init(&block(0, &"x".repeat(2000))), Err(EnvelopeError::HeaderTooLarge { limit: 2000 })));
    let many: String = (0..3).map(|id| block(id, "")).collect();
    assert!(matches!(init(&many), Err(EnvelopeError::HeaderTooLarge { limit: 3 })));
    let order = format!("<osci:initDialog>{}</osci:initDialog>", "x".repeat(1000));
    let error = read(&envelope(MessageType::InitDialog, "", &order), &limits).unwrap_err();
    assert!(matches!(error, EnvelopeError::BodyTooLarge { limit: 1000 }), "{error:?}");
    let package = PACKAGE.replace("QW55", &"QW55".repeat(1000));
    assert!(read(&envelope(MessageType::StoreDelivery, "", &package), &limits).is_ok(), "content is not kept");
}

#[test]
fn the_place_of_a_package_is_where_it_stands() {
    let package = PACKAGE.replace("<osci:ContentPackage>", "<osci:ContentPackage xmlns:y='urn:y'>");
    let body = format!("<!-- ä --> {package}\n");
    let text = format!("\u{FEFF}{}", envelope(MessageType::StoreDelivery, "", &body))
        .replace("<soap:Body", "<soap:Body xmlns:z='urn:z'");
    let envelope = read(&text, &Limits::default()).unwrap();
    let place = envelope.body().package().unwrap();
    assert_eq!(&text.as_bytes()[place.range.start as usize..place.range.end as usize], package.as_bytes());
    assert_eq!(place.in_scope, ns::envelope_context().with("z", "urn:z"));
    assert!(!place.is_empty);
    assert_eq!(envelope.body().digest, None);
}

#[test]
fn bodies_are_what_the_message_type_says() {
    let content = |message_type, body: &str| {
        read(&envelope(message_type, "", body), &Limits::default()).map(|envelope| match &envelope.body().content {
            BodyContent::Empty => "empty",
            BodyContent::Order(_) => "order",
            BodyContent::Package(place) if place.is_empty => "empty package",
            BodyContent::Package(_) => "package",
        })
    };
    let empty = "<osci:ContentPackage/>";
    assert_eq!(content(MessageType::InitDialog, "<osci:initDialog/>").unwrap(), "order");
    assert_eq!(content(MessageType::FetchDelivery, " ").unwrap(), "empty");
    assert_eq!(content(MessageType::StoreDelivery, empty).unwrap(), "empty package");
    assert_eq!(content(MessageType::ResponseToFetchDelivery, "").unwrap(), "empty");
    assert_eq!(content(MessageType::ResponseToFetchDelivery, empty).unwrap(), "empty package");
    assert_eq!(content(MessageType::ResponseToFetchDelivery, PACKAGE).unwrap(), "package");
    assert!(content(MessageType::InitDialog, "<osci:initDialog/><osci:initDialog/>").is_err());
    assert!(content(MessageType::InitDialog, "text").is_err());
}

#[test]
fn ids_that_an_intermediary_needs_are_reported() {
    let custom = r#"<x:x xmlns:x="urn:x" Id="intermediarycertificates"><x:y Id="harmless"/><x:y Id="intermed_signature_1"/></x:x>"#;
    let body = PACKAGE.replace("\"c\"", "\"body\"").replace("\"d\"", "\"responsetofetchdelivery\"");
    let message = read(&envelope(MessageType::StoreDelivery, custom, &body), &Limits::default()).unwrap();
    assert_eq!(
        message.reserved_ids(),
        ["intermediarycertificates", "intermed_signature_1", "body", "responsetofetchdelivery"]
    );
    let own = r#"<osci:DesiredLanguages Id="desiredlanguages" LanguagesList="de"/>"#;
    let message = read(&envelope(MessageType::StoreDelivery, own, PACKAGE), &Limits::default()).unwrap();
    assert!(message.reserved_ids().is_empty());
}

#[test]
fn certificates_that_content_needs_must_be_there() {
    let container = |inside: &str| {
        format!(
            r#"<osci:ContentPackage><osci:ContentContainer Id="c">{inside}</osci:ContentContainer></osci:ContentPackage>"#
        )
    };
    let certificates = r#"<osci:NonIntermediaryCertificates Id="n"><osci:CipherCertificateOriginator Id="o"><ds:X509Data><ds:X509Certificate>QQ==</ds:X509Certificate></ds:X509Data></osci:CipherCertificateOriginator></osci:NonIntermediaryCertificates>"#;
    let signature = |uri: &str| {
        container(&format!(
            r#"<ds:Signature><ds:KeyInfo><ds:RetrievalMethod URI="{uri}"/></ds:KeyInfo></ds:Signature>"#
        ))
    };
    let read = |message_type, header: &str, body: &str| read(&envelope(message_type, header, body), &Limits::default());
    assert!(read(MessageType::StoreDelivery, certificates, &signature("#o")).is_ok());
    for (header, uri) in [(certificates, "#p"), (certificates, "o"), (certificates, ""), ("", "#o")] {
        let error = read(MessageType::StoreDelivery, header, &signature(uri)).unwrap_err();
        assert!(matches!(error, EnvelopeError::UnresolvedCertificate), "{uri} {error:?}");
    }
    assert!(
        read(MessageType::ResponseToFetchDelivery, certificates, &signature("#p")).is_ok(),
        "left to who reads content"
    );
}

/// `>` in attributes: peers disagree about its canonical form, both are accepted.
#[test]
fn both_canonical_forms_are_accepted() {
    let custom = r#"<x:x xmlns:x="urn:x" Id="x" a="1 > 0"></x:x>"#;
    let message = read(&envelope(MessageType::InitDialog, custom, "<osci:initDialog/>"), &Limits::default()).unwrap();
    let block = message.blocks_of(BlockKind::Custom).next().unwrap();
    assert!(block.canonical.contains(r#" a="1 &gt; 0""#));
    let textbook = block.canonical.replace("&gt;", ">");
    let sha256 = DigestAlgorithm::Sha256;
    assert_eq!(block.textbook_digest(sha256).unwrap(), sha256.digest(textbook.as_bytes()));
    assert_eq!(message.blocks()[0].textbook_digest(sha256), None);

    let package = PACKAGE.replace("<osci:ContentContainer ", "<osci:ContentContainer x='>' ");
    let text = envelope(MessageType::StoreDelivery, "", &package);
    let message = read(&text, &Limits::default()).unwrap();
    let digest = message.body().textbook_digest(text.as_bytes(), sha256, &Limits::default()).unwrap();
    let canonical =
        format!(r#"<soap:Body{NS5} Id="b">{}</soap:Body>"#, package.replace("x='>' Id=\"c\"", "Id=\"c\" x=\">\""));
    assert_eq!(digest, Some(sha256.digest(canonical.as_bytes())));
}

proptest! {
    /// However the octets arrive, the result is the same.
    #[test]
    fn pieces_do_not_matter(capacity in 1_usize..300) {
        let octets = SIGNED.as_bytes();
        let multipart = Multipart::scan(&octets, &mime::Limits::default()).unwrap();
        let root = || reader(octets, multipart.root().range.clone());
        let whole = Envelope::read(BufReader::new(root()), &Limits::default()).unwrap();
        let pieces = Envelope::read(BufReader::with_capacity(capacity, root()), &Limits::default()).unwrap();
        prop_assert_eq!(format!("{:?}", whole.blocks()), format!("{:?}", pieces.blocks()));
        prop_assert_eq!(format!("{:?}", whole.body()), format!("{:?}", pieces.body()));
        prop_assert_eq!(&whole.body().digest, &pieces.body().digest);
        for (one, other) in whole.blocks().iter().zip(pieces.blocks()) {
            prop_assert_eq!(&one.canonical, &other.canonical);
        }
    }

    /// Whatever is done to one octet: the message is refused, or it still says what was signed.
    #[test]
    fn no_octet_of_what_is_signed_can_change(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (start, end) = (SIGNED.find("<soap:Header>").unwrap(), SIGNED.find("</soap:Envelope>").unwrap());
        let mut octets = SIGNED.clone().into_bytes();
        octets[start + at.index(end - start)] = byte;
        if let Ok(message) = read_and_check(&octets) {
            prop_assert_eq!(message, read_and_check(SIGNED.as_bytes()).unwrap());
        }
    }
}
