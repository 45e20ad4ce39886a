//! Requests that are refused, each for a reason that could be told by quoting the request.

use std::sync::Arc;

use rohrpost_crypto::{DigestAlgorithm, SystemRandom};
use rohrpost_osci::algorithms::Encryption;
use rohrpost_osci::compose::{OutAttachment, OutContent, OutDelivery, Signing};
use rohrpost_osci::dialog::ControlBlock;
use rohrpost_osci::encrypted::{EncryptedWriter, Recipient};
use rohrpost_osci::envelope::SignedBy;
use rohrpost_osci::header::{
    CertificateEntry, CertificateRole, CertificateUse, NonIntermediaryCertificates, TimestampQuality,
};
use rohrpost_osci::ids::{Challenge, MessageId};
use rohrpost_osci::message::{RequestHeader, StoreDelivery};
use rohrpost_osci::mime::{Boundary, Encoding};
use rohrpost_osci::ns::envelope_context;
use rohrpost_tests::load::{Person, certificate};
use std::io::Write as _;

use super::birds::{Bird, Flock};

/// Number of message ids needed.
pub(crate) const COUNT: usize = 2;

/// Replaces a piece of a message, once.
type Change = fn(&str, &Bird) -> (String, String);

/// The requests with what is wrong with them.
pub(crate) fn requests(
    flock: &mut Flock,
    alice: &Person,
    bob: &Person,
    ids: &[MessageId],
) -> Vec<(&'static str, Vec<u8>)> {
    let name = flock.hatch("file name");
    let subject = flock.hatch("subject");
    let content = flock.hatch("file");
    let good = store(alice, bob, &ids[0], &name, &subject, &content);
    let good = String::from_utf8(good).unwrap();
    let changes: [(&'static str, Change); 15] = [
        ("an attachment that is not signed", |name, bird| (format!("<{name}>"), format!("<{}>", bird.text()))),
        ("another attachment", |_, bird| ("attached: ".into(), format!("attached: {}", bird.text()))),
        ("another subject", |_, bird| ("</osci:Subject>".into(), format!("{}</osci:Subject>", bird.text()))),
        ("an unknown element", |_, bird| ("</soap:Body>".into(), format!("<{0}>{0}</{0}></soap:Body>", bird.text()))),
        ("text in the body", |_, bird| ("</soap:Body>".into(), format!("{}</soap:Body>", bird.text()))),
        ("an unknown prefix", |_, bird| ("</soap:Body>".into(), format!("<{}:x/></soap:Body>", bird.text()))),
        ("an Id used twice", |_, bird| {
            (
                "<osci:Content>".into(),
                format!(r#"<osci:Content Id="{0}"></osci:Content><osci:Content Id="{0}">"#, bird.text()),
            )
        }),
        ("an attribute used twice", |_, bird| {
            ("<osci:Content>".into(), format!(r#"<osci:Content {0}="{0}" {0}="{0}">"#, bird.text()))
        }),
        ("a document type", |_, bird| {
            ("<soap:Envelope".into(), format!(r#"<!DOCTYPE x [<!ENTITY {0} "{0}">]><soap:Envelope"#, bird.text()))
        }),
        ("a processing instruction", |_, bird| {
            ("<soap:Envelope".into(), format!("<?{0} {0}?><soap:Envelope", bird.text()))
        }),
        ("an entity", |_, bird| ("</osci:Subject>".into(), format!("&{};</osci:Subject>", bird.text()))),
        ("another kind of message", |_, bird| ("soapStoreDelivery.xsd".into(), format!("{}.xsd", bird.text()))),
        ("a MIME header that is none", |_, bird| {
            ("Content-ID: <osci@message>".into(), format!("{}\r\nContent-ID: <osci@message>", bird.text()))
        }),
        ("a MIME header that is there twice", |_, bird| {
            let header = format!("Content-ID: <{}>", bird.text());
            ("Content-ID: <osci@message>".into(), format!("{header}\r\n{header}"))
        }),
        ("a foreign message id", |_, bird| ("<osci:MessageId>".into(), format!("<osci:MessageId>{}", bird.text()))),
    ];
    let mut requests: Vec<(&'static str, Vec<u8>)> = Vec::new();
    for (what, change) in changes {
        let bird = flock.hatch(what);
        let (from, to) = change(&name.text(), &bird);
        assert!(good.contains(&from), "{what}: {from}");
        requests.push((what, good.replacen(&from, &to, 1).into_bytes()));
    }
    requests.push(("no MIME message", flock.hatch("no MIME message").text().into_bytes()));
    requests.push(("only its beginning", good.as_bytes()[..good.len() - 20].to_vec()));
    let cut = good.find("</osci:Subject>").unwrap();
    requests.push(("an envelope that breaks off", [&good[..cut], "\r\n--b--\r\n"].concat().into_bytes()));
    let mut sealed = seal(good.as_bytes());
    requests.push(("sealed", sealed.clone()));
    let middle = sealed.len() - 200;
    sealed[middle] ^= 1;
    requests.push(("sealed and damaged", sealed));
    requests.push(("sealed rubbish", seal(flock.hatch("sealed rubbish").bytes())));
    let named_twice = store(alice, bob, &ids[1], &name, &subject, &content);
    let named_twice = String::from_utf8(named_twice).unwrap().replace("<osci@message>", &format!("<{}>", name.text()));
    requests.push(("two parts of the same name", named_twice.into_bytes()));
    requests
}

/// A good order in clear, signed.
fn store(alice: &Person, bob: &Person, id: &MessageId, name: &Bird, subject: &Bird, content: &Bird) -> Vec<u8> {
    let entry = |role, purpose, certificate: &rohrpost_pki::Certificate| {
        CertificateEntry::new(role, purpose, 0, certificate.der())
    };
    let signer = entry(CertificateRole::Originator, CertificateUse::Signature, &alice.signature.certificate);
    let signer_id = signer.id.clone();
    let certificates = vec![
        entry(CertificateRole::Originator, CertificateUse::Cipher, &alice.cipher.certificate),
        signer,
        entry(CertificateRole::Addressee, CertificateUse::Cipher, &bob.cipher.certificate),
    ];
    let control = ControlBlock {
        challenge: Some(Challenge::generate(&SystemRandom)),
        sequence_number: Some(0),
        ..ControlBlock::default()
    };
    let header = RequestHeader {
        control,
        certificates: NonIntermediaryCertificates::new(certificates).unwrap(),
        ..RequestHeader::default()
    };
    let order = StoreDelivery {
        header,
        creation: TimestampQuality::Plain,
        reception: TimestampQuality::Plain,
        message_id: Some(id.clone()),
        subject: Some(subject.text()),
    };
    let package = format!(
        r#"<osci:ContentPackage><osci:ContentContainer Id="c"><osci:Content><osci:Base64Content Id="d">{}</osci:Base64Content></osci:Content></osci:ContentContainer></osci:ContentPackage>"#,
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, content.bytes())
    );
    let package = OutContent {
        range: 0..package.len() as u64,
        source: Arc::new(package.into_bytes()),
        in_scope: envelope_context(),
    };
    let bytes = format!("attached: {}", content.text()).into_bytes();
    let attachments = vec![OutAttachment::new(name.text(), "text/plain", Arc::new(bytes))];
    let outgoing = order.compose(OutDelivery { package, attachments }).unwrap();
    let signing = Signing {
        signer: &*alice.signature.key,
        by: SignedBy::Client,
        certificate_id: Some(&signer_id),
        digest: DigestAlgorithm::Sha256,
    };
    outgoing.write(Some(&signing), &Boundary::new("b").unwrap(), Vec::new()).unwrap()
}

fn seal(message: &[u8]) -> Vec<u8> {
    let certificate = certificate("intermediary-2048-cipher");
    let key = certificate.public_key().unwrap();
    let recipient = Recipient { certificate: certificate.der(), public_key: &key };
    let boundary = Boundary::new("outer").unwrap();
    let (encryption, carrier) = (Encryption::STANDARD, Encoding::Raw);
    let writer = EncryptedWriter::new(Vec::new(), &boundary, &encryption, carrier, &recipient, &SystemRandom);
    let mut writer = writer.unwrap();
    writer.write_all(message).unwrap();
    writer.finish().unwrap()
}
