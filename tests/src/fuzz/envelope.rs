//! The SOAP envelope of a message.

use std::collections::HashSet;
use std::io::BufReader;

use rohrpost_crypto::DigestAlgorithm;
use rohrpost_osci::envelope::{BlockKind, BodyContent, Envelope, HeaderBlock, Limits, PackagePlace, SignedBy};
use rohrpost_osci::message::{MessageError, Request, Response};
use rohrpost_osci::ns::{Direction, OSCI, SOAP};
use rohrpost_xmlsec::c14n::Dialect;
use rohrpost_xmlsec::tree::Element;
use rohrpost_xmlsec::{Limits as XmlLimits, NsContext};

const DIALECT: Dialect = Dialect::EscapeGtInAttributes;

/// Bytes as the root part of a message.
pub fn envelope(data: &[u8]) {
    let limits = Limits::default();
    let read = Envelope::read(data, &limits);
    let pieces = Envelope::read(BufReader::with_capacity(5, data), &limits);
    let Ok(envelope) = read else {
        assert!(pieces.is_err(), "how it arrives makes no difference");
        return;
    };
    same(&envelope, &pieces.expect("the same document"));
    ids_are_unique(&envelope);
    envelope.blocks().iter().for_each(block_is_its_text);
    signature_fits(&envelope);
    if let Some(place) = envelope.body().package() {
        package_is_in_place(data, place);
    }
    agrees_with_tree(data, &envelope);
    is_one_message_at_most(&envelope);
}

/// What `Debug` does not show of blocks, content and signature is compared by itself.
fn same(one: &Envelope, other: &Envelope) {
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
    let signature = |envelope: &Envelope| {
        let signature = &envelope.signature()?.signature;
        let key = signature.key_reference().map(str::to_owned);
        Some((signature.signed_info().to_vec(), signature.value().to_vec(), key, signature.references().to_vec()))
    };
    assert_eq!(signature(one), signature(other));
    let blocks =
        |envelope: &Envelope| -> Vec<String> { envelope.blocks().iter().map(|b| b.canonical.clone()).collect() };
    assert_eq!(blocks(one), blocks(other));
}

fn ids_are_unique(envelope: &Envelope) {
    let mut ids: HashSet<&str> = envelope.blocks().iter().map(|block| block.id.as_str()).collect();
    ids.insert(&envelope.body().id);
    assert_eq!(ids.len(), envelope.blocks().len() + 1, "every Id is unique");
    assert!(ids.iter().all(|id| !id.is_empty()));
    let mut kinds = HashSet::new();
    let single = |kind| !matches!(kind, BlockKind::Custom | BlockKind::QualityOfTimestamp);
    assert!(envelope.blocks().iter().all(|block| !single(block.kind) || kinds.insert(block.kind)));
    assert!(kinds.contains(&BlockKind::ControlBlock), "no message without control block");
}

/// What is hashed is what is used.
fn block_is_its_text(block: &HeaderBlock) {
    let bare = NsContext::empty();
    let read = Element::parse(block.canonical.as_bytes(), &XmlLimits::default(), &bare).expect("a block is XML");
    assert_eq!(read.to_canonical(&bare, DIALECT), block.canonical);
    assert_eq!(block.tree.to_canonical(&bare, DIALECT), block.canonical);
    assert_eq!(block.tree.attr("Id"), Some(block.id.as_str()));
    let digest = |text: &str| DigestAlgorithm::Sha256.digest(text.as_bytes());
    assert_eq!(block.digest(DigestAlgorithm::Sha256), digest(&block.canonical));
    let textbook = block.tree.to_canonical(&bare, Dialect::Textbook);
    let differs = textbook != block.canonical;
    assert_eq!(block.textbook_digest(DigestAlgorithm::Sha256), differs.then(|| digest(&textbook)));
}

fn signature_fits(envelope: &Envelope) {
    let Some(signature) = envelope.signature() else {
        assert!(envelope.body().digest.is_none(), "nothing states how to digest the body");
        return;
    };
    let response = envelope.message_type().direction() == Direction::Response;
    assert_eq!(signature.by == SignedBy::Supplier, response, "the answering side signs answers");
    let reference = signature.signature.reference(&format!("#{}", envelope.body().id));
    let stated = envelope.body().digest.as_ref().map(|(algorithm, _)| *algorithm);
    assert_eq!(stated, reference.map(|reference| reference.digest_algorithm));
}

fn package_is_in_place(data: &[u8], place: &PackagePlace) {
    let index = |offset: u64| usize::try_from(offset).expect("offsets in a slice fit");
    let text = &data[index(place.range.start)..index(place.range.end)];
    let package = Element::parse(text, &XmlLimits::default(), &place.in_scope).expect("a package alone is XML");
    assert!(package.is(OSCI, "ContentPackage"));
    assert_eq!(place.is_empty, package.children().next().is_none());
}

/// The whole document as a tree says the same.
fn agrees_with_tree(data: &[u8], envelope: &Envelope) {
    let bare = NsContext::empty();
    let document = Element::parse_document(data, &XmlLimits::default()).expect("it was read before");
    let header = document.child(SOAP, "Header").expect("a header");
    let is_signature = |e: &&Element| e.is(OSCI, "ClientSignature") || e.is(OSCI, "SupplierSignature");
    assert_eq!(header.children().filter(is_signature).count(), usize::from(envelope.signature().is_some()));
    let blocks: Vec<String> =
        header.children().filter(|e| !is_signature(e)).map(|e| e.to_canonical(&bare, DIALECT)).collect();
    let read: Vec<&str> = envelope.blocks().iter().map(|block| block.canonical.as_str()).collect();
    assert_eq!(read, blocks);
    let body = document.child(SOAP, "Body").expect("a body");
    assert_eq!(body.attr("Id"), Some(envelope.body().id.as_str()));
    if let Some((algorithm, digest)) = &envelope.body().digest {
        assert_eq!(*digest, algorithm.digest(body.to_canonical(&bare, DIALECT).as_bytes()));
        let textbook = body.to_canonical(&bare, Dialect::Textbook);
        let other = envelope.body().textbook_digest(data, *algorithm, &Limits::default()).expect("it was read before");
        assert!(other.is_none_or(|other| other == algorithm.digest(textbook.as_bytes())));
        assert_eq!(other.is_some(), textbook != body.to_canonical(&bare, DIALECT));
    }
    match &envelope.body().content {
        BodyContent::Empty => assert_eq!(body.children().count(), 0),
        BodyContent::Order(order) => {
            let only = body.children().next().expect("the order");
            assert_eq!(order.to_canonical(&bare, DIALECT), only.to_canonical(&bare, DIALECT));
        }
        BodyContent::Package(_) => assert_eq!(body.children().count(), 1),
    }
    for id in envelope.reserved_ids() {
        assert!(document.find_id(id).is_some(), "a reserved Id is one of the document");
    }
}

fn is_one_message_at_most(envelope: &Envelope) {
    let (request, response) = (Request::parse(envelope), Response::parse(envelope));
    let direction = envelope.message_type().direction();
    if !matches!(request, Err(MessageError::WrongDirection(_))) {
        assert_eq!(direction, Direction::RequestToIntermediary);
    }
    if !matches!(response, Err(MessageError::WrongDirection(_))) {
        assert_eq!(direction, Direction::Response);
    }
    assert!(request.is_err() || response.is_err());
}
