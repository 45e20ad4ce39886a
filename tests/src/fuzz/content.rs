//! A content package, as its reader takes it apart.

use std::sync::Arc;

use rohrpost_osci::compose::OutContent;
use rohrpost_osci::content::{Container, Content, ContentError, EncryptedContainer, InMemory, Package};
use rohrpost_osci::header::NonIntermediaryCertificates;
use rohrpost_osci::ns;
use rohrpost_osci::source::read_range;

/// Bytes as the element `ContentPackage`.
pub fn content(data: &[u8]) {
    let read = package(data, 0);
    match (&read, package(data, 1 + data.len() % 5)) {
        (Ok(one), Ok(other)) => assert_eq!(summary(one), summary(&other), "at another place"),
        (Err(_), Err(_)) => {}
        _ => panic!("the place matters"),
    }
    let Ok(mut package) = read else { return };
    let before = summary(&package);
    let certificates = NonIntermediaryCertificates::default();
    package.decrypt(&[], &certificates, &InMemory).expect("in memory");
    let verdicts = package.verify(&[], &certificates, &|_| None).expect("in memory");
    assert!(verdicts.iter().all(|verdict| verdict.outcome.is_err()), "nobody's signature is valid");
    assert_eq!(summary(&package), before, "reading changes nothing");
}

/// The package, `offset` bytes into a larger source.
fn package(data: &[u8], offset: usize) -> Result<Package, ContentError> {
    let source = [&vec![b'<'; offset], data, b"<a>"].concat();
    let range = offset as u64..(offset + data.len()) as u64;
    let place = OutContent { source: Arc::new(source), range, in_scope: ns::envelope_context() };
    Package::read(&place, &InMemory)
}

/// Everything that does not depend on the place.
fn summary(package: &Package) -> Vec<String> {
    let mut out = Vec::new();
    package.containers.iter().for_each(|container| of_container(container, &mut out));
    package.encrypted.iter().for_each(|encrypted| of_encrypted(encrypted, &mut out));
    out
}

fn of_container(container: &Container, out: &mut Vec<String>) {
    out.push(format!("{} {}", container.id, container.signatures.len()));
    for content in &container.contents {
        match content {
            Content::Data(data) => {
                let bytes = read_range(&data.bytes, 0..data.bytes.len()).expect("in memory");
                out.push(format!("{} {bytes:?}", data.id));
            }
            Content::Attachment(reference) => out.push(format!("{} {}", reference.id, reference.content_id)),
            Content::Container(nested) => {
                out.push(nested.id.clone());
                of_container(&nested.container, out);
            }
        }
    }
    container.encrypted.iter().for_each(|encrypted| of_encrypted(encrypted, out));
    out.push("end".to_owned());
}

fn of_encrypted(encrypted: &EncryptedContainer, out: &mut Vec<String>) {
    let keys = encrypted.encryption.as_ref().map(|data| (data.cipher, data.keys.len()));
    out.push(format!("{:?} {keys:?} {}", encrypted.id, encrypted.content.is_ok()));
}
