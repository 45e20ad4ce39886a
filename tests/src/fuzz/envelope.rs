//! The envelope of a message, and what is made of it.

use std::collections::HashSet;
use std::io::BufReader;
use std::sync::Arc;

use rohrpost_crypto::DigestAlgorithm;
use rohrpost_osci::compose::{OutBody, OutContent, Outgoing};
use rohrpost_osci::dialog::ControlBlock;
use rohrpost_osci::envelope::{BlockKind, Envelope, EnvelopeError, Limits};
use rohrpost_osci::header::{Block, control_block_from, control_block_to_block};
use rohrpost_osci::message::{Request, Response};
use rohrpost_osci::mime::{self, Boundary, Multipart};
use rohrpost_osci::ns::{self, MessageType};
use rohrpost_osci::source::reader;
use rohrpost_xmlsec::c14n::{Dialect, canonicalize};
use rohrpost_xmlsec::tree::Element;
use rohrpost_xmlsec::{Limits as XmlLimits, NsContext};

/// Bytes as the root part of a message.
pub fn envelope(data: &[u8]) {
    let read = Envelope::read(data, &Limits::default());
    pieces_do_not_matter(data, &read);
    let Ok(envelope) = read else { return };
    ids_are_there_and_differ(&envelope);
    canonical_forms_are_canonical(&envelope);
    orders_survive(&envelope);
    content_is_handed_on(data, &envelope);
}

/// Bytes as the element `ControlBlock`.
pub fn control_block(data: &[u8]) {
    let Ok(element) = Element::parse(data, &XmlLimits::default(), &ns::envelope_context()) else { return };
    let Ok(control) = control_block_from(&element) else { return };
    let block = control_block_to_block(&control);
    let text = block.canonical();
    assert_eq!(Block::adopt(block.id(), text).expect("well-formed").canonical(), text, "written canonically");
    let again = Element::parse(text.as_bytes(), &XmlLimits::default(), &NsContext::empty()).expect("well-formed");
    assert_eq!(control_block_from(&again).expect("it was one before"), control);
}

fn pieces_do_not_matter(data: &[u8], read: &Result<Envelope, EnvelopeError>) {
    let capacity = 1 + data.len() % 13;
    let again = Envelope::read(BufReader::with_capacity(capacity, data), &Limits::default());
    let summary = |read: &Result<Envelope, EnvelopeError>| match read {
        Ok(envelope) => Ok(format!("{:?} {:?} {:?}", envelope.blocks(), envelope.signature(), envelope.body())),
        // Which of several mistakes is met first does depend on the pieces.
        Err(_) => Err(()),
    };
    assert_eq!(summary(&again), summary(read), "in small pieces");
}

fn ids_are_there_and_differ(envelope: &Envelope) {
    let ids = envelope.blocks().iter().map(|block| block.id.as_str()).chain([envelope.body().id.as_str()]);
    let mut seen = HashSet::new();
    ids.for_each(|id| assert!(!id.is_empty() && seen.insert(id), "ids differ"));
    assert_eq!(envelope.blocks_of(BlockKind::ControlBlock).count(), 1);
}

/// What is hashed is its own canonical form, and what is used was read from it.
fn canonical_forms_are_canonical(envelope: &Envelope) {
    let bare = NsContext::empty();
    for block in envelope.blocks() {
        let text = block.canonical.as_bytes();
        let dialect = Dialect::EscapeGtInAttributes;
        let again = canonicalize(text, &bare, &bare, dialect, &XmlLimits::default(), Vec::new());
        assert_eq!(again.expect("well-formed"), text);
        assert_eq!(block.tree.to_canonical(&bare, dialect), block.canonical);
        let sha256 = DigestAlgorithm::Sha256;
        let textbook = sha256.digest(block.tree.to_canonical(&bare, Dialect::Textbook).as_bytes());
        assert_eq!(block.textbook_digest(sha256).unwrap_or_else(|| block.digest(sha256)), textbook);
    }
}

/// An order or answer that was read and written says the same again.
fn orders_survive(envelope: &Envelope) {
    let (request, response) = (Request::parse(envelope), Response::parse(envelope));
    assert!(request.is_err() || response.is_err(), "a message has one direction");
    let composed = match (&request, &response) {
        (Ok(Request::InitDialog(order)), _) => order.compose(),
        (Ok(Request::ExitDialog(order)), _) => order.compose(),
        (Ok(Request::GetMessageId(order)), _) => order.compose(),
        (Ok(Request::FetchDelivery(order)), _) => order.compose(),
        (Ok(Request::FetchProcessCard(order)), _) => order.compose(),
        (_, Ok(Response::InitDialog(answer))) => answer.compose(),
        (_, Ok(Response::ExitDialog(answer))) => answer.compose(),
        (_, Ok(Response::GetMessageId(answer))) => answer.compose(),
        (_, Ok(Response::StoreDelivery(answer))) => answer.compose(),
        (_, Ok(Response::FetchProcessCard(answer))) => answer.compose(),
        _ => return,
    };
    // Blocks that had an `Id` of their own get ours; a custom block may have taken it.
    let Ok((octets, Ok(again))) = composed.map(|message| written(&message)) else { return };
    let multipart = Multipart::scan(&octets, &mime::Limits::default()).expect("it was written");
    assert!(multipart.attachments().is_empty());
    match (request, response) {
        (Ok(order), _) => {
            let again = Request::parse(&again).expect("it was one before");
            assert_eq!(format!("{again:?}"), format!("{order:?}"));
        }
        (_, Ok(answer)) => {
            let again = Response::parse(&again).expect("it was one before");
            assert_eq!(format!("{again:?}"), format!("{answer:?}"));
        }
        _ => {}
    }
}

/// A content package in a message of our own is, as far as signatures inside of it can tell, the one that was received.
fn content_is_handed_on(data: &[u8], envelope: &Envelope) {
    let Some(place) = envelope.body().package() else { return };
    let content = OutContent::received(Arc::new(data.to_vec()), 0, place);
    let inside = |data: &[u8], content: &OutContent| -> Vec<u8> {
        let text = &data[index(content.range.start)..index(content.range.end)];
        let package = Element::parse(text, &XmlLimits::default(), &content.in_scope).expect("it was read before");
        let scope = &package.in_scope().clone();
        let children = package.children().map(|child| child.to_canonical(&NsContext::empty(), Dialect::Textbook));
        let declared = ns::ENVELOPE.iter().all(|(prefix, uri)| scope.uri(prefix) == Some(uri));
        // Declarations that the sender did not make cannot be taken away from our envelope.
        if declared { children.collect::<String>().into_bytes() } else { Vec::new() }
    };
    let expected = inside(data, &content);
    let body = OutBody::Content(content);
    let message = Outgoing::new(MessageType::ResponseToFetchDelivery, &ControlBlock::default(), body);
    let (octets, Ok(again)) = written(&message) else { return };
    let multipart = Multipart::scan(&octets, &mime::Limits::default()).expect("it was written");
    let place = again.body().package().expect("it was one before");
    let start = multipart.root().range.start;
    let content = OutContent::received(Arc::new(octets.clone()), start, place);
    let received = inside(&octets, &content);
    assert!(expected.is_empty() || received == expected, "content is unchanged");
}

fn written(message: &Outgoing) -> (Vec<u8>, Result<Envelope, EnvelopeError>) {
    let boundary = Boundary::new("fuzz_b6f1f2c0e5").expect("plain");
    let octets = message.write(None, &boundary, Vec::new()).expect("in memory");
    let range = Multipart::scan(&octets, &mime::Limits::default()).expect("it was written").root().range.clone();
    let envelope = Envelope::read(BufReader::new(reader(&octets, range)), &Limits::default());
    if let Err(error) = &envelope {
        assert!(matches!(error, EnvelopeError::Xml(_)), "only Ids can collide: {error:?}");
    }
    (octets, envelope)
}

fn index(position: u64) -> usize {
    usize::try_from(position).expect("positions of a slice fit")
}
