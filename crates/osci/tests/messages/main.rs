//! Messages are composed, read again and checked.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod chunks;
mod forwarding;
mod recipient;

use std::io::{BufReader, Read as _};
use std::sync::Arc;

use expect_test::expect;
use proptest::prelude::*;
use rohrpost_crypto::{Curve, DigestAlgorithm, PrivateKey, SignatureAlgorithm};
use rohrpost_osci::card::{InspectionReport, ProcessCard, ProcessCardBundle, Timestamp};
use rohrpost_osci::compose::{OutAttachment, OutContent, OutDelivery, Outgoing, Signing};
use rohrpost_osci::dialog::ControlBlock;
use rohrpost_osci::envelope::{Envelope, Limits, SignedBy};
use rohrpost_osci::feedback::{Code, Feedback, Language};
use rohrpost_osci::header::{
    CertificateEntry, CertificateRole, CertificateUse, CustomBlock, DesiredLanguages, Feature, FeatureDescription,
    IntermediaryCertificates, NonIntermediaryCertificates, TimestampQuality,
};
use rohrpost_osci::ids::{Challenge, ConversationId, MessageId};
use rohrpost_osci::message::{
    ExitDialog, FetchDelivery, FetchProcessCard, GetMessageId, InitDialog, PartialStoreDelivery, Request,
    RequestHeader, Response, ResponseHeader, ResponseToExitDialog, ResponseToFetchDelivery, ResponseToFetchProcessCard,
    ResponseToForwardDelivery, ResponseToGetMessageId, ResponseToInitDialog, ResponseToMediateDelivery,
    ResponseToPartialFetchDelivery, ResponseToPartialStoreDelivery, ResponseToStoreDelivery, StoreDelivery, StoreWish,
};
use rohrpost_osci::mime::{self, Boundary, Multipart};
use rohrpost_osci::ns::{self, NS5, NS6};
use rohrpost_osci::selection::{CardSelection, DeliverySelection};
use rohrpost_osci::signature::{self, MessageParts, TransportSignatureError};
use rohrpost_osci::source::reader;
use rohrpost_osci::xml::XmlWriter;
use time::macros::datetime;

use self::chunks::{fetch_chunk, fetched_chunk, octets, store_chunk, stored_chunk};
use self::forwarding::{forward, mediate};

const PACKAGE: &str = r#"<osci:ContentPackage><osci:ContentContainer Id="contentcontainer0"><osci:Content><osci:Base64Content Id="content0">QW55</osci:Base64Content></osci:Content></osci:ContentContainer></osci:ContentPackage>"#;

fn key() -> PrivateKey {
    PrivateKey::generate_ec(Curve::P256).unwrap()
}

fn write(message: &Outgoing, signing: Option<&Signing<'_>>) -> Vec<u8> {
    message.write(signing, &Boundary::new("BND").unwrap(), Vec::new()).unwrap()
}

fn write_signed(message: &Outgoing, key: &PrivateKey, by: SignedBy) -> Vec<u8> {
    let signer = key.signer(SignatureAlgorithm::EcdsaSha256).unwrap();
    let signing = Signing { signer: &signer, by, certificate_id: Some("signer"), digest: DigestAlgorithm::Sha512 };
    write(message, Some(&signing))
}

fn read(octets: &[u8]) -> (Multipart, Envelope) {
    let multipart = Multipart::scan(&octets, &mime::Limits::default()).unwrap();
    let root = BufReader::new(reader(octets, multipart.root().range.clone()));
    let envelope = Envelope::read(root, &Limits::default()).unwrap();
    (multipart, envelope)
}

fn check(octets: &[u8], key: &PrivateKey) -> Result<(), TransportSignatureError> {
    let (multipart, envelope) = read(octets);
    let mut parts = MessageParts::new(&multipart, octets);
    signature::check(&envelope, &mut parts, key.public_key(), &Limits::default()).map(drop)
}

fn control() -> ControlBlock {
    ControlBlock {
        response: Some(Challenge::new("R").unwrap()),
        challenge: Some(Challenge::new("C").unwrap()),
        conversation_id: Some(ConversationId::new("4711").unwrap()),
        sequence_number: Some(1),
    }
}

fn certificates() -> NonIntermediaryCertificates {
    NonIntermediaryCertificates::new(vec![
        CertificateEntry::new(CertificateRole::Originator, CertificateUse::Cipher, 0, b"originator"),
        CertificateEntry::new(CertificateRole::Addressee, CertificateUse::Cipher, 0, b"addressee"),
    ])
    .unwrap()
}

fn custom() -> CustomBlock {
    let text = format!(r#"<a:Meta xmlns:a="urn:a"{NS5} Id="meta"><a:b>1 &gt; 0</a:b></a:Meta>"#);
    CustomBlock::new(text).unwrap()
}

fn request() -> RequestHeader {
    RequestHeader {
        control: control(),
        languages: Some(DesiredLanguages::new(["de"])),
        certificates: certificates(),
        features: Some(FeatureDescription::announcing([Feature::DisableBase64])),
        custom: Vec::new(),
    }
}

fn response() -> ResponseHeader {
    ResponseHeader {
        control: control(),
        intermediary: Some(IntermediaryCertificates {
            cipher: None,
            signature: Some(CertificateEntry::new(
                CertificateRole::Intermediary,
                CertificateUse::Signature,
                0,
                b"intermediary",
            )),
        }),
        ..ResponseHeader::default()
    }
}

fn feedback() -> Feedback {
    Feedback::new(Code::ExecutedDialogOpen, Language::English)
}

fn delivery() -> OutDelivery {
    let mut attachment = OutAttachment::new("größe ä.txt", "text/plain", Arc::new(b"Hallo".to_vec()));
    attachment.extra_headers.extend(mime::Header::new("Content-Description", "greeting"));
    OutDelivery { package: package(PACKAGE), attachments: vec![attachment] }
}

fn package(text: &str) -> OutContent {
    let source = format!("<!-- before -->{text}<!-- after -->");
    let range = 15..15 + text.len() as u64;
    OutContent { source: Arc::new(source.into_bytes()), range, in_scope: ns::envelope_context() }
}

fn store() -> StoreDelivery {
    StoreDelivery {
        header: request(),
        creation: TimestampQuality::Plain,
        reception: TimestampQuality::Cryptographic,
        message_id: Some(MessageId::new("12345").unwrap()),
        subject: Some("A & B <ü>".to_owned()),
    }
}

fn card(id: &str) -> ProcessCardBundle {
    let card = ProcessCard {
        recent_modification: datetime!(2024-05-01 10:00 UTC).into(),
        creation: Some(Timestamp::Plain(datetime!(2024-05-01 10:00 UTC).into())),
        forwarding: None,
        reception: None,
        subject: Some("A & B".to_owned()),
    };
    ProcessCardBundle { message_id: MessageId::new(id).unwrap(), card, report: InspectionReport::default() }
}

#[test]
fn requests_survive() {
    let header = request();
    let requests = [
        (Request::InitDialog(InitDialog { header: header.clone() }), InitDialog { header: header.clone() }.compose()),
        (Request::ExitDialog(ExitDialog { header: header.clone() }), ExitDialog { header: header.clone() }.compose()),
        (
            Request::GetMessageId(GetMessageId { header: header.clone() }),
            GetMessageId { header: header.clone() }.compose(),
        ),
        (Request::StoreDelivery(store()), store().compose(delivery())),
        {
            let order = FetchDelivery {
                header: header.clone(),
                selection: DeliverySelection::ById(MessageId::new("12345").unwrap()),
            };
            (Request::FetchDelivery(order.clone()), order.compose())
        },
        {
            let order = FetchProcessCard { header, selection: CardSelection::default() };
            (Request::FetchProcessCard(order.clone()), order.compose())
        },
        (Request::ForwardDelivery(forward()), forward().compose(delivery())),
        (Request::MediateDelivery(mediate(true)), mediate(true).compose(delivery())),
        (Request::MediateDelivery(mediate(false)), mediate(false).compose(delivery())),
        (Request::PartialStoreDelivery(store_chunk()), store_chunk().compose(octets())),
        {
            let asks = PartialStoreDelivery { wish: StoreWish::InfoOnly, subject: None, ..store_chunk() };
            (Request::PartialStoreDelivery(asks.clone()), asks.compose(None))
        },
        (Request::PartialFetchDelivery(fetch_chunk()), fetch_chunk().compose()),
    ];
    let key = key();
    for (request, outgoing) in requests {
        let outgoing = outgoing.unwrap();
        let plain = write(&outgoing, None);
        let (_, envelope) = read(&plain);
        assert_eq!(format!("{:?}", Request::parse(&envelope).unwrap()), format!("{request:?}"));
        assert!(matches!(check(&plain, &key), Err(TransportSignatureError::Absent)));
        assert!(Response::parse(&envelope).is_err());

        let signed = write_signed(&outgoing, &key, SignedBy::Client);
        check(&signed, &key).unwrap();
        assert!(matches!(check(&signed, &self::key()), Err(TransportSignatureError::Value)));
    }
}

#[test]
fn responses_survive() {
    let header = response();
    let fetched = ResponseHeader { certificates: certificates(), custom: vec![custom()], ..header.clone() };
    let init = ResponseToInitDialog { header: header.clone(), feedback: feedback() };
    let exit = ResponseToExitDialog { header: header.clone(), feedback: feedback() };
    let id = ResponseToGetMessageId {
        header: header.clone(),
        feedback: feedback(),
        message_id: Some(MessageId::new("1 2 3").unwrap()),
    };
    let stored = ResponseToStoreDelivery { header: header.clone(), feedback: feedback(), card: None };
    let selection = Some(DeliverySelection::Oldest);
    let fetched = ResponseToFetchDelivery { header: fetched, feedback: feedback(), selection, card: None };
    let selection = Some(CardSelection::default());
    let cards =
        ResponseToFetchProcessCard { header: header.clone(), feedback: feedback(), selection, cards: Vec::new() };
    let forwarded = ResponseToForwardDelivery { header, feedback: feedback(), card: Some(card("12345")) };
    let refused = ResponseToForwardDelivery { card: None, ..forwarded.clone() };
    let mediated = ResponseToMediateDelivery {
        header: fetched.header.clone(),
        feedback: feedback(),
        request_card: Some(card("12345")),
        reply_card: Some(card("67890")),
    };
    let without_cards = ResponseToMediateDelivery { request_card: None, reply_card: None, ..mediated.clone() };
    let responses = [
        (init.compose(), Response::InitDialog(init)),
        (exit.compose(), Response::ExitDialog(exit)),
        (id.compose(), Response::GetMessageId(id)),
        (stored.compose(), Response::StoreDelivery(stored)),
        (fetched.compose(Some(delivery())), Response::FetchDelivery(fetched.clone())),
        (fetched.compose(None), Response::FetchDelivery(fetched)),
        (cards.compose(), Response::FetchProcessCard(cards)),
        (forwarded.compose(), Response::ForwardDelivery(forwarded)),
        (refused.compose(), Response::ForwardDelivery(refused)),
        (mediated.compose(Some(delivery())), Response::MediateDelivery(Box::new(mediated))),
        (without_cards.compose(Some(delivery())), Response::MediateDelivery(Box::new(without_cards.clone()))),
        (without_cards.compose(None), Response::MediateDelivery(Box::new(without_cards))),
        (stored_chunk().compose(), Response::PartialStoreDelivery(Box::new(stored_chunk()))),
        {
            let waits = ResponseToPartialStoreDelivery { inside: None, card: None, chunk: None, ..stored_chunk() };
            (waits.compose(), Response::PartialStoreDelivery(Box::new(waits)))
        },
        (fetched_chunk().compose(octets()), Response::PartialFetchDelivery(fetched_chunk())),
        {
            let refused = ResponseToPartialFetchDelivery { chunk: None, message_id: None, ..fetched_chunk() };
            (refused.compose(None), Response::PartialFetchDelivery(refused))
        },
    ];
    let key = key();
    for (outgoing, response) in responses {
        let outgoing = outgoing.unwrap();
        let signed = write_signed(&outgoing, &key, SignedBy::Supplier);
        let (_, envelope) = read(&signed);
        assert_eq!(format!("{:?}", Response::parse(&envelope).unwrap()), format!("{response:?}"));
        assert!(Request::parse(&envelope).is_err());
        check(&signed, &key).unwrap();
    }
}

#[test]
fn a_delivery_keeps_its_values() {
    let octets = write(&store().compose(delivery()).unwrap(), None);
    let (multipart, envelope) = read(&octets);
    let Ok(Request::StoreDelivery(read)) = Request::parse(&envelope) else { panic!("a StoreDelivery was written") };
    assert_eq!(read, store());
    let part = multipart.attachment("größe ä.txt").unwrap();
    assert_eq!(part.content_type, "text/plain");
    assert_eq!(part.extra_headers[0].value(), "greeting");
    let place = envelope.body().package().unwrap();
    let root = &octets[multipart.root().range.start as usize..];
    assert_eq!(&root[place.range.start as usize..place.range.end as usize], PACKAGE.as_bytes());
    assert_eq!(place.in_scope, ns::envelope_context());
}

#[test]
fn a_store_delivery_as_text() {
    let octets = write(&store().compose(delivery()).unwrap(), None);
    let text = String::from_utf8(octets).unwrap().replace(NS6, " NS6").replace(NS5, " NS5").replace("\r\n", "\n");
    expect![[r#"
        MIME-Version: 1.0
        Content-Type: Multipart/Related; boundary=BND; type=text/xml

        --BND
        Content-Type: text/xml; charset=UTF-8
        Content-Transfer-Encoding: 8bit
        Content-ID: <osci@message>

        <?xml version="1.0" encoding="UTF-8"?>

        "#]]
    .assert_eq(&text[..text.find("<soap:Envelope").unwrap()]);
    expect![[r#"
        <soap:Envelope NS5 xsi:schemaLocation="http://schemas.xmlsoap.org/soap/envelope/ soapStoreDelivery.xsd http://www.w3.org/2000/09/xmldsig# oscisig.xsd http://www.w3.org/2001/04/xmlenc# oscienc.xsd">
        <soap:Header>
        <osci:ControlBlock NS5 ConversationId="4711" Id="controlblock" SequenceNumber="1" soap:actor="http://schemas.xmlsoap.org/soap/actor/next" soap:mustUnderstand="1">
        <osci:Response>R</osci:Response>
        <osci:Challenge>C</osci:Challenge>
        </osci:ControlBlock>
        <osci:DesiredLanguages NS5 Id="desiredlanguages" LanguagesList="de" soap:actor="http://schemas.xmlsoap.org/soap/actor/next" soap:mustUnderstand="1">
        </osci:DesiredLanguages>
        <osci:QualityOfTimestamp NS5 Id="qualityoftimestamp_creation" Quality="plain" Service="creation" soap:actor="http://schemas.xmlsoap.org/soap/actor/next" soap:mustUnderstand="1">
        </osci:QualityOfTimestamp>
        <osci:QualityOfTimestamp NS5 Id="qualityoftimestamp_reception" Quality="cryptographic" Service="reception" soap:actor="http://schemas.xmlsoap.org/soap/actor/next" soap:mustUnderstand="1">
        </osci:QualityOfTimestamp>
        <osci:storeDelivery NS5 Id="storedelivery" soap:actor="http://schemas.xmlsoap.org/soap/actor/next" soap:mustUnderstand="1">
        <osci:MessageId>MTIzNDU=</osci:MessageId>
        <osci:Subject>A &amp; B &lt;ü&gt;</osci:Subject>
        </osci:storeDelivery>
        <osci:NonIntermediaryCertificates NS5 Id="nonintermediarycertificates" soap:actor="http://www.w3.org/2001/12/soap-envelope/actor/none" soap:mustUnderstand="1">
        <osci:CipherCertificateOriginator Id="originator_cipher_9eef369ab9429f81c3994daffef40878d331b4304df54354a502bca4047d4f9d">
        <ds:X509Data>
        <ds:X509Certificate>b3JpZ2luYXRvcg==</ds:X509Certificate>
        </ds:X509Data>
        </osci:CipherCertificateOriginator>
        <osci:CipherCertificateAddressee Id="addressee_cipher_5d55799bc91767f1aa2e9eadbe5180b0dfed060836e88520070ea8f4f0dccf68">
        <ds:X509Data>
        <ds:X509Certificate>YWRkcmVzc2Vl</ds:X509Certificate>
        </ds:X509Data>
        </osci:CipherCertificateAddressee>
        </osci:NonIntermediaryCertificates>
        <osci2017:FeatureDescription NS6 Id="featuredescription">
        <osci2017:SupportedFeatures>
        <osci2017:Feature Key="DisableBase64" Version="1.2.0">
        </osci2017:Feature>
        </osci2017:SupportedFeatures>
        </osci2017:FeatureDescription>
        </soap:Header>
        <soap:Body NS5 Id="body">
        <osci:ContentPackage>
        <osci:ContentContainer Id="contentcontainer0">
        <osci:Content>
        <osci:Base64Content Id="content0">QW55</osci:Base64Content>
        </osci:Content>
        </osci:ContentContainer>
        </osci:ContentPackage>
        </soap:Body>
        </soap:Envelope>
        --BND
        Content-Type: text/plain
        Content-Transfer-Encoding: 8-bit
        Content-ID: <größe ä.txt>
        Content-Length: 5
        Content-Description: greeting

        Hallo
        --BND--
    "#]].assert_eq(&text[text.find("<soap:Envelope").unwrap()..].replace("><", ">\n<"));
}

#[test]
fn a_signed_response_as_text() {
    let id = ResponseToGetMessageId {
        header: response(),
        feedback: feedback(),
        message_id: Some(MessageId::new("12345").unwrap()),
    };
    let octets = write_signed(&id.compose().unwrap(), &key(), SignedBy::Supplier);
    let text = String::from_utf8(octets).unwrap().replace(NS5, " NS5");
    let value = text.find("<ds:SignatureValue>").unwrap()..text.find("</ds:SignatureValue>").unwrap();
    let text = text.replace(&text[value], "<ds:SignatureValue>…");
    expect![[r##"
        <soap:Envelope NS5 xsi:schemaLocation="http://schemas.xmlsoap.org/soap/envelope/ soapResponseToGetMessageId.xsd http://www.w3.org/2000/09/xmldsig# oscisig.xsd http://www.w3.org/2001/04/xmlenc# oscienc.xsd">
        <soap:Header>
        <osci:ControlBlock NS5 ConversationId="4711" Id="controlblock" SequenceNumber="1" soap:actor="http://schemas.xmlsoap.org/soap/actor/next" soap:mustUnderstand="1">
        <osci:Response>R</osci:Response>
        <osci:Challenge>C</osci:Challenge>
        </osci:ControlBlock>
        <osci:SupplierSignature Id="suppliersignature" soap:actor="http://schemas.xmlsoap.org/soap/actor/next" soap:mustUnderstand="1">
        <ds:Signature>
        <ds:SignedInfo>
        <ds:CanonicalizationMethod Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315">
        </ds:CanonicalizationMethod>
        <ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256">
        </ds:SignatureMethod>
        <ds:Reference URI="#controlblock">
        <ds:Transforms>
        <ds:Transform Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315">
        </ds:Transform>
        </ds:Transforms>
        <ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha512">
        </ds:DigestMethod>
        <ds:DigestValue>CIppZxe89xm5q44In8dJ8ToGvn19ZsS5HTH58xkIQh8GmfVkM2zrhMRtiyLPHd+nk8pczSFHuR8w
        YBv66kDTpA==</ds:DigestValue>
        </ds:Reference>
        <ds:Reference URI="#intermediarycertificates">
        <ds:Transforms>
        <ds:Transform Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315">
        </ds:Transform>
        </ds:Transforms>
        <ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha512">
        </ds:DigestMethod>
        <ds:DigestValue>wNvo7PFssPpe4pL5MBSRVhZQq7lsWoJwEvoW2ptAEw6xEaWec1/ff+ofjciQxlLNGpRjAavedMot
        qXJyGCYgew==</ds:DigestValue>
        </ds:Reference>
        <ds:Reference URI="#body">
        <ds:Transforms>
        <ds:Transform Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315">
        </ds:Transform>
        </ds:Transforms>
        <ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha512">
        </ds:DigestMethod>
        <ds:DigestValue>oRrF4Ycu4FJ+nh1e4eaOUDu4qkTugKqeQKl7L3qAfKk7m6jB3JKysOkUN8B6lceFDjBnh+Oou9Lc
        2xCNqjFEHQ==</ds:DigestValue>
        </ds:Reference>
        </ds:SignedInfo>
        <ds:SignatureValue>…</ds:SignatureValue>
        <ds:KeyInfo>
        <ds:RetrievalMethod URI="#signer">
        </ds:RetrievalMethod>
        </ds:KeyInfo>
        </ds:Signature>
        </osci:SupplierSignature>
        <osci:IntermediaryCertificates NS5 Id="intermediarycertificates" soap:actor="http://www.w3.org/2001/12/soap-envelope/actor/none" soap:mustUnderstand="1">
        <osci:SignatureCertificateIntermediary Id="intermed_signature_37aa37290af965ab652c6843ca9310bba154d0561a763685bbb6cc4063f5d9b2">
        <ds:X509Data>
        <ds:X509Certificate>aW50ZXJtZWRpYXJ5</ds:X509Certificate>
        </ds:X509Data>
        </osci:SignatureCertificateIntermediary>
        </osci:IntermediaryCertificates>
        </soap:Header>
        <soap:Body NS5 Id="body">
        <osci:responseToGetMessageId>
        <osci:Feedback>
        <osci:Entry xml:lang="en">
        <osci:Code>0801</osci:Code>
        <osci:Text>The order is executed, the dialog stays open.</osci:Text>
        </osci:Entry>
        </osci:Feedback>
        <osci:MessageId>MTIzNDU=</osci:MessageId>
        </osci:responseToGetMessageId>
        </soap:Body>
        </soap:Envelope>
        --BND--
    "##]].assert_eq(&text[text.find("<soap:Envelope").unwrap()..].replace("><", ">\n<").replace("\r\n", "\n"));
}

#[test]
fn further_declarations_of_the_sender_stay_with_the_content() {
    let in_scope = ns::envelope_context().with("x", "urn:x").with("osci2017", ns::OSCI2017);
    let mut delivery = delivery();
    delivery.package.in_scope = in_scope.clone();
    let fetched = ResponseToFetchDelivery { header: response(), feedback: feedback(), selection: None, card: None };
    let key = key();
    let octets = write_signed(&fetched.compose(Some(delivery)).unwrap(), &key, SignedBy::Supplier);
    check(&octets, &key).unwrap();
    let text = String::from_utf8_lossy(&octets);
    assert!(text.contains(&format!(
        r#"<soap:Body{NS5} Id="body"><osci:ContentPackage xmlns:osci2017="{}" xmlns:x="urn:x"><osci:ContentContainer Id="#,
        ns::OSCI2017
    )));
}

#[test]
fn what_the_signature_does_not_cover_is_found() {
    let key = key();
    let mut store = store();
    store.header.custom.push(custom());
    let octets = write_signed(&store.compose(delivery()).unwrap(), &key, SignedBy::Client);
    let text = String::from_utf8(octets).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        check(text.replace(from, to).as_bytes(), &key)
    };
    let digest = |result: Result<(), TransportSignatureError>, expected: &str| match result {
        Err(TransportSignatureError::Digest { uri }) => assert_eq!(uri, expected),
        other => panic!("{other:?}"),
    };
    digest(changed("A &amp; B", "A &amp; C"), "#storedelivery");
    digest(changed(">QW55<", ">QW56<"), "#body");
    digest(changed("\r\nHallo\r\n", "\r\nHello\r\n"), "cid:größe ä.txt");
    digest(changed("<a:b>1 ", "<a:b>2 "), "#meta");
    let stranger = r#"<x:y xmlns:x="urn:x" Id="new"></x:y></soap:Header>"#;
    assert!(
        matches!(changed("</soap:Header>", stranger), Err(TransportSignatureError::Incomplete { uri }) if uri == "#new")
    );
    let part = "\r\n--BND\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\nContent-ID: <new>\r\n\r\nx\r\n--BND--";
    assert!(
        matches!(changed("\r\n--BND--", part), Err(TransportSignatureError::Incomplete { uri }) if uri == "cid:new")
    );
    let told = changed("\r\n--BND--", part).unwrap_err();
    assert!(!format!("{told} {told:?}").contains("new"), "names of attachments are content");
    let encoded = text.replace("Content-Transfer-Encoding: 8-bit", "Content-Transfer-Encoding: base64");
    assert_ne!(encoded, text);
    digest(check(encoded.as_bytes(), &key), "cid:größe ä.txt");
    let from = text.find("<a:Meta").unwrap();
    let to = text.find("</a:Meta>").unwrap() + "</a:Meta>".len();
    assert!(matches!(
        check(text.replace(&text[from..to], "").as_bytes(), &key),
        Err(TransportSignatureError::Surplus { uri }) if uri == "#meta"
    ));
    assert!(matches!(changed("URI=\"#body\"", "URI=\"#nobody\""), Err(TransportSignatureError::Incomplete { .. })));
    // The same octets in another notation.
    changed("<osci:Base64Content Id=\"content0\">QW55<", "<osci:Base64Content  Id='content0' >Q&#x57;<![CDATA[55]]><")
        .unwrap();
}

/// Text that XML can carry, rich in characters that need care.
fn text() -> impl Strategy<Value = String> {
    let range = |from, to| proptest::char::range(from, to);
    let careful = proptest::sample::select(vec!['\n', '\t', '\r', '&', ']', '>', '<', '"', '😀']);
    let char = prop_oneof![careful, range(' ', '~'), range('\u{A0}', '\u{D7FF}')];
    proptest::collection::vec(char, 0..40).prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn deliveries_survive(
        subject in proptest::option::of(text()),
        id in "[!-~ä€]{1,60}",
        meta in text(),
        name in "[a-zA-Z0-9 äöü()&<;%+]{0,20}[a-z]",
        octets in proptest::collection::vec(any::<u8>(), 0..2000),
    ) {
        let mut custom = XmlWriter::new();
        custom.open_declaring("a:Meta", " xmlns:a=\"urn:a\"", &[("Id", "meta"), ("note", &meta)]);
        custom.leaf("a:b", &[], &meta).close();
        let custom = CustomBlock::new(custom.finish()).unwrap();
        let received = CustomBlock::new(custom.to_block().unwrap().canonical()).unwrap();
        let mut store = store();
        store.header.custom = vec![custom];
        store.subject = subject;
        store.message_id = Some(MessageId::new(id).unwrap());
        let mut delivery = delivery();
        delivery.attachments.push(OutAttachment::new(name.clone(), "application/octet-stream", Arc::new(octets.clone())));

        let key = key();
        let sent = write_signed(&store.compose(delivery).unwrap(), &key, SignedBy::Client);
        check(&sent, &key).unwrap();
        let (multipart, envelope) = read(&sent);
        let Ok(Request::StoreDelivery(read)) = Request::parse(&envelope) else { panic!("a StoreDelivery was written") };
        store.header.custom = vec![received];
        prop_assert_eq!(read, store);
        let mut bytes = Vec::new();
        multipart.attachment(&name).unwrap().reader(&sent).read_to_end(&mut bytes).unwrap();
        prop_assert_eq!(bytes, octets);
    }
}
