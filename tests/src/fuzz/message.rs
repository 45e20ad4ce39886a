//! Whole messages: read, composed again and read again; deliveries handed on.

use std::io::{self, Read as _};
use std::sync::Arc;

use rohrpost_osci::card::{InspectionReport, ProcessCard, ProcessCardBundle};
use rohrpost_osci::compose::{OutAttachment, OutContent, OutDelivery, Outgoing};
use rohrpost_osci::datetime::DateTime;
use rohrpost_osci::envelope::{Envelope, Limits};
use rohrpost_osci::fault::Fault;
use rohrpost_osci::feedback::{Code, Feedback, Language};
use rohrpost_osci::header::BlockError;
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::{
    RecipientRequest, RecipientResponse, Request, Response, ResponseHeader, ResponseToFetchDelivery, StoreDelivery,
    StoreWish,
};
use rohrpost_osci::mime::{Boundary, Limits as MimeLimits, Multipart, Part};
use rohrpost_osci::ns::envelope_context;
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_osci::source::{ReadAt, read_range};
use rohrpost_xmlsec::c14n::{Dialect, canonicalize};
use rohrpost_xmlsec::tree::Element;
use rohrpost_xmlsec::{Limits as XmlLimits, XmlError};

/// Bytes as a SOAP fault.
pub fn fault(data: &[u8]) {
    let Ok(multipart) = Multipart::scan(&data, &MimeLimits::default()) else { return };
    let Ok(Some(fault)) = Fault::parse(&data, &multipart) else { return };
    let written = fault.write(Vec::new()).expect("a Vec takes everything");
    let multipart = Multipart::scan(&written, &MimeLimits::default()).expect("what we write can be read");
    assert_eq!(Fault::parse(&written, &multipart).expect("and is a fault"), Some(fault));
}

/// Bytes as an order, as a delivery for a passive recipient, or as the answer to either, in the clear.
pub fn message(data: &[u8]) {
    let Some(read) = Message::read(data) else { return };
    between_intermediary_and_recipient(&read);
    let envelope = &read.envelope;
    if let Ok(request) = Request::parse(envelope) {
        assert_eq!(request.message_type(), envelope.message_type());
        let same = |one: &Request, other: &Request| {
            let (one, other) = (one.header(), other.header());
            (&one.control, &one.languages, &one.certificates, &one.features)
                == (&other.control, &other.languages, &other.certificates, &other.features)
        };
        composed_again(&read, &request, compose_request, |envelope| Request::parse(envelope).ok(), same);
        if let Request::StoreDelivery(order) = &request {
            arrives(&read, order);
        }
    }
    if let Ok(response) = Response::parse(envelope) {
        let same = |one: &Response, other: &Response| {
            let feedback = one.feedback() == other.feedback();
            let (one, other) = (one.header(), other.header());
            feedback
                && (&one.control, &one.intermediary, &one.certificates, &one.features)
                    == (&other.control, &other.intermediary, &other.certificates, &other.features)
        };
        composed_again(&read, &response, compose_response, |envelope| Response::parse(envelope).ok(), same);
    }
}

fn between_intermediary_and_recipient(read: &Message) {
    let envelope = &read.envelope;
    if let Ok(request) = RecipientRequest::parse(envelope) {
        assert_eq!(request.message_type(), envelope.message_type());
        assert!(Request::parse(envelope).is_err(), "a message has one direction");
        let compose = |request: &RecipientRequest, from: &Message| {
            Some(match request {
                RecipientRequest::AcceptDelivery(request) => request.compose(from.delivery()?),
                RecipientRequest::ProcessDelivery(request) => request.compose(from.delivery()?),
                other => panic!("{other:?} is not composed here"),
            })
        };
        let same = |one: &RecipientRequest, other: &RecipientRequest| {
            let common = |request: &RecipientRequest| {
                let header = request.header();
                (header.control.clone(), header.languages.clone(), header.certificates.clone(), header.features.clone())
            };
            common(one) == common(other)
                && (one.intermediary(), one.card()) == (other.intermediary(), other.card())
                && one.header().custom.len() == other.header().custom.len()
        };
        composed_again(read, &request, compose, |envelope| RecipientRequest::parse(envelope).ok(), same);
    }
    if let Ok(response) = RecipientResponse::parse(envelope) {
        assert_eq!(response.message_type(), envelope.message_type());
        assert!(Response::parse(envelope).is_err(), "a message has one direction");
        let compose = |response: &RecipientResponse, from: &Message| {
            Some(match response {
                RecipientResponse::AcceptDelivery(answer) => answer.compose(),
                RecipientResponse::ProcessDelivery(answer) => answer.compose(from.delivery()),
                other => panic!("{other:?} is not composed here"),
            })
        };
        let same = |one: &RecipientResponse, other: &RecipientResponse| {
            let (before, after) = (one.header(), other.header());
            (one.feedback(), &before.control, &before.certificates, &before.features)
                == (other.feedback(), &after.control, &after.certificates, &after.features)
        };
        composed_again(read, &response, compose, |envelope| RecipientResponse::parse(envelope).ok(), same);
    }
}

/// A message and where its bytes are.
pub(super) struct Message {
    pub(super) source: Arc<dyn ReadAt>,
    pub(super) multipart: Multipart,
    pub(super) envelope: Envelope,
}

impl Message {
    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let multipart = Multipart::scan(&data, &MimeLimits::default()).ok()?;
        let root = multipart.root().reader(data);
        let envelope = Envelope::read(io::BufReader::new(root), &Limits::default()).ok()?;
        Some(Self { source: Arc::new(data.to_vec()), multipart, envelope })
    }

    /// What another message with the same content would carry; `None` if an attachment cannot be decoded.
    fn delivery(&self) -> Option<OutDelivery> {
        let package = self.package()?;
        let attachment = |part: &Part| {
            let length = io::copy(&mut part.reader(&*self.source), &mut io::sink()).ok()?;
            Some(OutAttachment::received(Arc::clone(&self.source), part, length, None))
        };
        let attachments = self.multipart.attachments().iter().map(attachment).collect::<Option<_>>()?;
        Some(OutDelivery { package, attachments })
    }

    /// The only attachment; `None` if there is another number of them or it cannot be decoded.
    fn chunk(&self) -> Option<Arc<dyn ReadAt>> {
        let [part] = self.multipart.attachments() else { return None };
        let mut chunk = Vec::new();
        part.reader(&*self.source).read_to_end(&mut chunk).ok()?;
        Some(Arc::new(chunk))
    }

    pub(super) fn package(&self) -> Option<OutContent> {
        let place = self.envelope.body().package()?;
        Some(OutContent::received(Arc::clone(&self.source), self.multipart.root().range.start, place))
    }

    /// The package as it stands in an envelope of ours.
    fn canonical_package(&self) -> Option<String> {
        let OutContent { source, range, in_scope } = self.package()?;
        let bytes = read_range(&*source, range).expect("the package lies in the source");
        let (bare, limits) = (envelope_context(), XmlLimits::default());
        let canonical = canonicalize(&bytes[..], &in_scope, &bare, Dialect::EscapeGtInAttributes, &limits, Vec::new());
        Some(String::from_utf8(canonical.expect("it was read before")).expect("canonical XML is UTF-8"))
    }
}

type Composed = Option<Result<Outgoing, BlockError>>;

fn compose_request(request: &Request, from: &Message) -> Composed {
    Some(match request {
        Request::InitDialog(order) => order.compose(),
        Request::ExitDialog(order) => order.compose(),
        Request::GetMessageId(order) => order.compose(),
        Request::StoreDelivery(order) => order.compose(from.delivery()?),
        Request::FetchDelivery(order) => order.compose(),
        Request::FetchProcessCard(order) => order.compose(),
        Request::ForwardDelivery(order) => order.compose(from.delivery()?),
        Request::MediateDelivery(order) => order.compose(from.delivery()?),
        Request::PartialStoreDelivery(order) => match order.wish {
            StoreWish::InfoOnly => order.compose(None),
            StoreWish::Chunk(_) => order.compose(Some(from.chunk()?)),
        },
        Request::PartialFetchDelivery(order) => order.compose(),
        other => panic!("{other:?} is not composed here"),
    })
}

fn compose_response(response: &Response, from: &Message) -> Composed {
    Some(match response {
        Response::InitDialog(answer) => answer.compose(),
        Response::ExitDialog(answer) => answer.compose(),
        Response::GetMessageId(answer) => answer.compose(),
        Response::StoreDelivery(answer) => answer.compose(),
        Response::FetchDelivery(answer) => answer.compose(from.delivery()),
        Response::FetchProcessCard(answer) => answer.compose(),
        Response::ForwardDelivery(answer) => answer.compose(),
        Response::MediateDelivery(answer) => answer.compose(from.delivery()),
        Response::PartialStoreDelivery(answer) => answer.compose(),
        Response::PartialFetchDelivery(answer) => answer.compose(from.chunk()),
        other => panic!("{other:?} is not composed here"),
    })
}

/// Composing what was read gives a message that reads as the same; composing that again gives the same bytes.
fn composed_again<T: std::fmt::Debug>(
    read: &Message,
    value: &T,
    compose: impl Fn(&T, &Message) -> Composed,
    parse: impl Fn(&Envelope) -> Option<T>,
    same: impl Fn(&T, &T) -> bool,
) {
    let Some(outgoing) = compose(value, read) else { return };
    let first = write(&outgoing.expect("what was read can be written"));
    // Our own Ids may be taken by content or custom blocks of others.
    let Some(first) = first.filter(|first| !has_duplicate_ids(first)) else { return };
    let message = Message::read(&first).expect("what we compose can be read");
    assert_eq!(message.envelope.message_type(), read.envelope.message_type());
    let again = parse(&message.envelope).expect("and is the same kind of message");
    assert!(same(&again, value), "{again:?} from {value:?}");
    let second = write(&compose(&again, &message).expect("attachments were written").expect("and written again"));
    assert_eq!(second.as_deref(), Some(&first[..]), "composing is stable");
}

/// The delivery arrives as it was sent.
fn arrives(read: &Message, order: &StoreDelivery) {
    let Some(written) = handed_on(read, order) else { return };
    let message = Message::read(&written).expect("what is handed on can be read");
    let Ok(Response::FetchDelivery(fetched)) = Response::parse(&message.envelope) else {
        panic!("what is handed on is an answer: {:?}", Response::parse(&message.envelope).err());
    };
    assert_eq!(message.canonical_package(), read.canonical_package(), "the content is unchanged");
    assert_eq!(fetched.header.certificates, order.header.certificates);
    assert_eq!(fetched.header.custom.len(), order.header.custom.len());
    assert_eq!(message.multipart.attachments().len(), read.multipart.attachments().len());
}

/// What an intermediary does: the delivery goes to its addressee in an answer, content and custom blocks unchanged. `None` if it
/// is one that is refused.
pub(super) fn handed_on(read: &Message, order: &StoreDelivery) -> Option<Vec<u8>> {
    if !read.envelope.reserved_ids().is_empty() {
        return None;
    }
    let delivery = read.delivery()?;
    let card = ProcessCard {
        recent_modification: DateTime::from(time::macros::datetime!(2026-12-01 12:00 UTC)),
        creation: None,
        forwarding: None,
        reception: None,
        subject: order.subject.clone(),
    };
    let message_id = MessageId::new("id").expect("an id");
    let answer = ResponseToFetchDelivery {
        header: ResponseHeader {
            certificates: order.header.certificates.clone(),
            custom: order.header.custom.clone(),
            ..ResponseHeader::default()
        },
        feedback: Feedback::new(Code::ExecutedDialogOpen, Language::German),
        selection: Some(DeliverySelection::ById(message_id.clone())),
        card: Some(ProcessCardBundle { message_id, card, report: InspectionReport::default() }),
    };
    write(&answer.compose(Some(delivery)).expect("what was stored can be handed on"))
}

/// `None` if an attachment has the name of our root part or a header block is too large.
fn write(message: &Outgoing) -> Option<Vec<u8>> {
    let names_root = message.attachments.iter().any(|attachment| attachment.content_id == "osci@message");
    let boundary = Boundary::from_random([7; 24]);
    let written = message.write(None, &boundary, Vec::new()).expect("a Vec takes everything");
    (!names_root).then_some(written)
}

fn has_duplicate_ids(data: &[u8]) -> bool {
    let multipart = Multipart::scan(&data, &MimeLimits::default()).expect("what we compose can be read");
    let root = io::BufReader::new(multipart.root().reader(data));
    let document = Element::parse_document(root, &XmlLimits::default());
    matches!(document, Err(XmlError::DuplicateId { .. }))
}
