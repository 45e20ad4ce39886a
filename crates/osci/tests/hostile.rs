//! Messages made to cost much, or to spoil what an intermediary makes of them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Read as _;
use std::time::{Duration, Instant};

use rohrpost_osci::envelope::{Envelope, EnvelopeError, Limits};
use rohrpost_osci::mime::{self, Boundary, MimeError, Multipart, PartHead};
use rohrpost_osci::ns::{MessageType, NS5};
use rohrpost_xmlsec::reader::{Bound, XmlError};

/// The root part of a StoreDelivery with these entries of certificates, further header blocks and content.
fn delivery(entries: &str, blocks: &str, content: &str) -> String {
    let location = MessageType::StoreDelivery.schema_location();
    format!(
        "<soap:Envelope{NS5} xsi:schemaLocation=\"{location}\"><soap:Header>\
         <osci:ControlBlock Id=\"controlblock\" SequenceNumber=\"0\"><osci:Challenge>C</osci:Challenge></osci:ControlBlock>\
         <osci:storeDelivery Id=\"storedelivery\"><osci:MessageId>MQ==</osci:MessageId></osci:storeDelivery>\
         <osci:NonIntermediaryCertificates Id=\"nonintermediarycertificates\">\
         {addressee}{entries}</osci:NonIntermediaryCertificates>{blocks}</soap:Header>\
         <soap:Body Id=\"body\"><osci:ContentPackage>{content}</osci:ContentPackage></soap:Body></soap:Envelope>",
        addressee = entry("CipherCertificateAddressee", "addressee"),
    )
}

fn entry(element: &str, id: &str) -> String {
    format!(
        "<osci:{element} Id=\"{id}\"><ds:X509Data><ds:X509Certificate>AAAA</ds:X509Certificate></ds:X509Data></osci:{element}>"
    )
}

fn read(text: &str) -> Result<Envelope, EnvelopeError> {
    Envelope::read(text.as_bytes(), &Limits::for_handing_on())
}

fn readers(count: usize) -> String {
    (0..count).map(|number| entry("CipherCertificateOtherReader", &format!("r{number}"))).collect()
}

#[test]
fn certificates_are_counted() {
    assert!(read(&delivery(&readers(999), "", "")).is_ok());
    assert!(matches!(read(&delivery(&readers(20_000), "", "")), Err(EnvelopeError::Block(_))));
    let long = "A".repeat(100_000);
    let long = entry("CipherCertificateOtherReader", "r").replace("AAAA", &long);
    assert!(matches!(read(&delivery(&long, "", "")), Err(EnvelopeError::Block(_))));
}

#[test]
fn references_to_certificates_are_looked_up() {
    let content = |reference: &str| {
        let references = format!("<ds:RetrievalMethod URI=\"#{reference}\"/>").repeat(20_000);
        format!("<xenc:EncryptedData>{references}</xenc:EncryptedData>")
    };
    let time = |certificates: usize| {
        let text = delivery(&readers(certificates), "", &content(&format!("r{}", certificates - 1)));
        let began = Instant::now();
        read(&text).unwrap();
        began.elapsed()
    };
    let (few, many) = (time(1), time(999));
    assert!(many < 3 * few + Duration::from_millis(200), "{many:?} against {few:?}");
    assert!(matches!(read(&delivery("", "", &content("r"))), Err(EnvelopeError::UnresolvedCertificate)));
}

#[test]
fn all_header_blocks_together_are_one_tree() {
    let inside = "<b/>".repeat(30_000);
    let blocks: String = (0..15).map(|number| format!("<a xmlns=\"urn:a\" Id=\"x{number}\">{inside}</a>")).collect();
    let refused = read(&delivery("", &blocks, ""));
    assert!(matches!(refused, Err(EnvelopeError::Xml(XmlError::Limit { bound: Bound::Tree, .. }))));
    let blocks: String = blocks.replace(&inside, "<b/>");
    assert!(read(&delivery("", &blocks, "")).is_ok());
}

#[test]
fn elements_of_envelopes_and_signatures_are_no_header_blocks() {
    for block in [
        "<soap:Body Id=\"x\"/>",
        "<soap:Header Id=\"x\"/>",
        "<soap:Fault Id=\"x\"/>",
        "<soap:Envelope Id=\"x\"/>",
        "<ds:Signature Id=\"x\"/>",
        "<xenc:EncryptedData Id=\"x\"/>",
        "<osci:Feedback Id=\"x\"/>",
        "<osci:ProcessCardBundle Id=\"x\"/>",
        "<osci:MessageId Id=\"x\"/>",
        "<osci:ContentPackage Id=\"x\"/>",
        "<osci:responseToInitDialog Id=\"x\"/>",
        "<osci:fetchProcessCard Id=\"x\"/>",
        "<osci2017:ChunkInformation xmlns:osci2017=\"http://xoev.de/transport/osci12/7\" Id=\"x\"/>",
    ] {
        assert!(matches!(read(&delivery("", block, "")), Err(EnvelopeError::Misplaced { .. })), "{block}");
    }
    for block in ["<Body xmlns=\"urn:a\" Id=\"x\"/>", "<osci:SomethingNew Id=\"x\"/>", "<Nothing Id=\"x\"/>"] {
        assert!(read(&delivery("", block, "")).is_ok(), "{block}");
    }
}

#[test]
fn an_attachment_cannot_be_mistaken_for_the_root_part() {
    let message = |root: &str, attachment: &str| {
        format!(
            "Content-Type: multipart/related; boundary=B\r\n\r\n--B\r\nContent-Type: text/xml\r\nContent-ID: {root}\r\n\r\n<a/>\r\n\
             --B\r\nContent-Type: text/plain\r\nContent-ID: {attachment}\r\n\r\nx\r\n--B--\r\n"
        )
        .into_bytes()
    };
    let scan = |root, attachment| Multipart::scan(&message(root, attachment), &mime::Limits::default());
    // Whoever hands the attachment on names the root part as everybody does.
    assert!(matches!(scan("<root>", "<osci@message>"), Err(MimeError::ContentIdReserved)));
    assert!(matches!(scan("<root>", "osci@message"), Err(MimeError::ContentIdReserved)));
    assert!(scan("<root>", "<OSCI@message>").is_ok());
    let mut writer = mime::Writer::new(Vec::new(), &Boundary::new("B").unwrap()).unwrap();
    let written = writer.attachment(&PartHead::raw("osci@message", "text/plain"), 1, &mut &b"x"[..]);
    assert_eq!(written.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn an_attachment_that_is_base64_by_its_type_is_written_so() {
    for content_type in ["text/base64", "TEXT/Base64; name=x"] {
        let mut writer = mime::Writer::new(Vec::new(), &Boundary::new("B").unwrap()).unwrap();
        std::io::Write::write_all(writer.root().unwrap(), b"<a></a>").unwrap();
        writer.attachment(&PartHead::raw("a", content_type), 5, &mut &b"bytes"[..]).unwrap();
        let message = writer.finish().unwrap();
        let parts = Multipart::scan(&message, &mime::Limits::default()).unwrap();
        let mut read = String::new();
        parts.attachments()[0].reader(&message).read_to_string(&mut read).unwrap();
        assert_eq!(read, "bytes");
    }
}
