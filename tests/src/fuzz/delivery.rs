//! Deliveries as their reader sees them: content opened with keys, signatures checked.

use std::collections::HashSet;
use std::sync::LazyLock;

use rohrpost_crypto::SoftwareDecryptor;
use rohrpost_osci::content::{Container, Content, ContentKey, InMemory, Package, Sealed, SignatureVerdict};
use rohrpost_osci::header::CertificateUse;
use rohrpost_osci::message::Request;
use rohrpost_osci::ns::{OSCI, XENC};
use rohrpost_osci::source::read_range;
use rohrpost_pki::{Certificate, pem};
use rohrpost_xmlsec::Limits;
use rohrpost_xmlsec::base64::decode;
use rohrpost_xmlsec::dsig::{Limits as SignatureLimits, Signature};
use rohrpost_xmlsec::tree::Element;

use super::certificates::test_key;
use super::message::{Message, handed_on};

/// Bytes as a message with content, read with some keys of the test PKI.
pub fn delivery(data: &[u8]) {
    let Some(message) = Message::read(data) else { return };
    let Some(verdicts) = read(&message) else { return };
    let Ok(Request::StoreDelivery(order)) = Request::parse(&message.envelope) else { return };
    let Some(arrived) = handed_on(&message, &order) else { return };
    let arrived = Message::read(&arrived).expect("what is handed on can be read");
    let after = read(&arrived).expect("its content, too");
    assert_eq!(after.len(), verdicts.len());
    for (before, after) in verdicts.iter().zip(&after) {
        assert!(before.outcome.is_err() || after.outcome.is_ok(), "a signature outlives its transport: {after:?}");
    }
}

fn read(message: &Message) -> Option<Vec<SignatureVerdict>> {
    let place = message.package()?;
    let mut package = Package::read(&place, &InMemory).ok()?;
    let bytes = read_range(&*place.source, place.range.clone()).expect("the package lies in the source");
    let tree = Element::parse(bytes.as_slice(), &Limits::default(), &place.in_scope).expect("it was read before");
    assert_eq!(package.containers.len(), tree.children_named(OSCI, "ContentContainer").count());
    assert_eq!(package.encrypted.len(), tree.children_named(XENC, "EncryptedData").count());
    for (container, element) in package.containers.iter().zip(tree.children_named(OSCI, "ContentContainer")) {
        container_agrees(container, element);
    }
    let certificates = message.envelope.certificates().cloned().unwrap_or_default();
    let keys: Vec<ContentKey<'_>> =
        KEYS.iter().map(|key| ContentKey { certificate: &key.certificate, decryptor: &key.decryptor }).collect();
    package.decrypt(&keys, &certificates, &InMemory).expect("memory takes everything");
    let tried = |sealed: Result<(), Sealed>| sealed != Err(Sealed::Untried);
    assert!(package.encrypted.iter().all(|encrypted| tried(encrypted.content.as_ref().map(|_| ()).map_err(|e| *e))));
    // A base64 attachment that is none ends it here.
    let attachments = package.attachments(&message.multipart, &message.source, &InMemory).ok()?;
    assert_eq!(attachments.len(), message.multipart.attachments().len());
    let key_of = |der: &[u8]| Certificate::from_der(der).ok()?.public_key().ok();
    let verdicts = package.verify(&attachments, &certificates, &key_of).expect("memory can be read again");
    let valid = verdicts.iter().filter(|verdict| verdict.outcome.is_ok());
    for verdict in valid {
        let entry = verdict.signer.as_ref().and_then(|signer| certificates.by_id(signer));
        assert_eq!(entry.map(|entry| entry.purpose), Some(CertificateUse::Signature), "somebody signed it");
    }
    let of = |container: &Container| verdicts.iter().filter(|verdict| verdict.container_id == container.id).count();
    assert!(
        package.containers.iter().all(|container| of(container) >= container.signatures.len()),
        "no signature is skipped"
    );
    package.containers.iter().for_each(|container| covered(container, &verdicts));
    Some(verdicts)
}

/// The container says what the tree says.
fn container_agrees(container: &Container, element: &Element) {
    assert_eq!(element.attr("Id"), Some(container.id.as_str()));
    let contents: Vec<&Element> = element.children_named(OSCI, "Content").collect();
    assert_eq!(container.contents.len(), contents.len());
    for (content, element) in container.contents.iter().zip(contents) {
        match content {
            Content::Data(data) => {
                let text = element.child(OSCI, "Base64Content").expect("the data").text();
                let bytes = read_range(&*data.bytes, 0..data.bytes.len()).expect("memory");
                assert_eq!(Ok(bytes), decode(text));
            }
            Content::Attachment(reference) => {
                assert_eq!(element.attr("href"), Some(format!("cid:{}", reference.content_id).as_str()));
            }
            Content::Container(nested) => {
                container_agrees(&nested.container, element.child(OSCI, "ContentContainer").expect("the container"));
            }
        }
    }
}

/// A valid signature names every content of its container.
fn covered(container: &Container, verdicts: &[SignatureVerdict]) {
    let all_valid = verdicts.iter().filter(|v| v.container_id == container.id).all(|v| v.outcome.is_ok());
    for element in container.signatures.iter().filter(|_| all_valid) {
        let signature = Signature::parse(element, &SignatureLimits::default()).expect("it was verified");
        let named: HashSet<&str> = signature.references().iter().map(|reference| reference.uri.as_str()).collect();
        for content in &container.contents {
            let id = match content {
                Content::Data(data) => &data.id,
                Content::Attachment(reference) => &reference.id,
                Content::Container(nested) => &nested.id,
            };
            assert!(named.contains(format!("#{id}").as_str()), "nothing in a signed container is unsigned");
        }
    }
}

struct Key {
    certificate: Vec<u8>,
    decryptor: SoftwareDecryptor,
}

static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let key = |name: &str| {
        let file =
            std::fs::read(crate::certs_test(&format!("pem/{name}.cert.pem"))).expect("the test PKI is committed");
        let certificate = pem::certificates(&file).expect("a certificate")[0].der().to_vec();
        Key { certificate, decryptor: test_key(name).decryptor().expect("an RSA key") }
    };
    ["bob-cipher", "carol-cipher", "dave-cipher"].map(key).into()
});
