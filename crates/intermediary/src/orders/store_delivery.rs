//! StoreDelivery: into the mailbox of the addressee, durable before anything says "accepted".

use std::collections::HashSet;
use std::io;
use std::ops::Range;

use rohrpost_audit::{Commitment, Event, Leaf, Salt};
use rohrpost_crypto::DigestAlgorithm;
use rohrpost_osci::card::{InspectionReport, ProcessCard, ProcessCardBundle, Timestamp};
use rohrpost_osci::envelope::{BlockKind, Envelope};
use rohrpost_osci::feedback::Code;
use rohrpost_osci::header::{CertificateRole, CertificateUse};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::StoreDelivery;
use rohrpost_osci::mime::{Encoding, Part};
use rohrpost_pipeline::gate::leave;
use rohrpost_pipeline::open::Opened;
use rohrpost_pipeline::spool::SpoolParts;
use rohrpost_pipeline::verify::SignatureState;
use rohrpost_planted::planted;
use rohrpost_store::{AcceptError, Attachment, BodySource, Content, Delivery, Fingerprint, StorageError};

use super::{Done, HandOut, Order};
use crate::certificates;
use crate::handle::{Received, Stop, signature_verdict};

pub(super) fn execute(order: &Order<'_>, request: &StoreDelivery) -> Result<Done, Stop> {
    let now = order.context.now;
    let parts = &order.intermediary.parts;
    let Some(message_id) = &request.message_id else { return Ok(Done::refused(Code::MessageIdMissing)) };
    if !parts.message_ids.recognises(message_id, now) {
        return Ok(Done::refused(Code::MessageIdIllegal));
    }
    if !parts.spools.has_room(0) {
        // What was accepted can still be fetched, acknowledged and logged with what is left.
        tracing::error!("no space for deliveries: make some, or less is left free than storage.reserve_bytes");
        return Ok(Done::refused(Code::OrderFailed));
    }
    let report = report(order);
    let delivery = delivery(order, request, message_id, &report)?;
    if header_when_handed_out(&delivery) > order.intermediary.settings.envelope.header_bytes {
        tracing::debug!("a delivery whose header no client would read is not accepted");
        return Ok(Done::refused(Code::OrderFailed));
    }
    let accepted = match delivery.body {
        BodySource::Inline(_) => parts.store.accept(delivery),
        // Moving and syncing a file is no work for the processor.
        BodySource::File(_) => leave(|| parts.store.accept(delivery)),
    };
    match accepted {
        Ok(()) => {}
        Err(AcceptError::MessageIdUsed) => return Ok(Done::refused(Code::MessageIdIllegal)),
        Err(AcceptError::MailboxFull { .. }) => return Ok(Done::refused(Code::OrderFailed)),
        Err(_) if planted("failure-to-store-taken-for-success") => {}
        // Perhaps it is stored: no answer may say that it is not.
        Err(AcceptError::Storage(error @ StorageError::Stopped)) => return Err(Stop::internal(error)),
        Err(error) => {
            tracing::error!(%error, "a delivery could not be stored");
            return Ok(Done::refused(Code::OrderFailed));
        }
    }
    let card = ProcessCard {
        recent_modification: now.into(),
        creation: Some(Timestamp::Plain(now.into())),
        forwarding: None,
        reception: None,
        subject: request.subject.clone(),
    };
    Ok(Done::with(HandOut::Card(Box::new(ProcessCardBundle { message_id: message_id.clone(), card, report }))))
}

/// One entry for each certificate and use, however often it occurs.
fn report(order: &Order<'_>) -> InspectionReport {
    let mut seen = HashSet::new();
    let distinct = order.judged.iter().filter(|judged| match &judged.finding {
        Ok((certificate, _)) => seen.insert((certificate.fingerprint(), judged.purpose)),
        Err(_) => false,
    });
    InspectionReport::new(
        &distinct.filter_map(|judged| certificates::report(judged, order.context.now)).collect::<Vec<_>>(),
    )
}

/// How long the header will be that the addressee gets. What it could not read would block its mailbox.
fn header_when_handed_out(delivery: &Delivery) -> usize {
    let custom: usize = delivery.custom_headers.iter().map(String::len).sum();
    let subject = delivery.subject.as_ref().map_or(0, |subject| LONGEST_ESCAPE * subject.len());
    delivery.certificates.as_ref().map_or(0, String::len) + delivery.inspections.len() + custom + subject + OWN_BLOCKS
}

/// Bytes that one character of a text may take when it is escaped.
const LONGEST_ESCAPE: usize = 6;
/// Room for the blocks that we add: control block, signature, certificates and features.
const OWN_BLOCKS: usize = 64 * 1024;

fn delivery(
    order: &Order<'_>,
    request: &StoreDelivery,
    message_id: &MessageId,
    report: &InspectionReport,
) -> Result<Delivery, Stop> {
    let envelope = order.received.verified.read().envelope();
    let opened = order.received.opened();
    let certificate = |role, purpose| {
        let entry = request.header.certificates.first(role, purpose);
        entry.map(|entry| Fingerprint::of_der(&entry.der))
    };
    let addressee = certificate(CertificateRole::Addressee, CertificateUse::Cipher)
        .ok_or_else(|| Stop::new(Code::NotAMessage, "no cipher certificate of the addressee"))?;
    let attachments = attachments(order.received).map_err(|error| match error.kind() {
        // Malformed base64: the sender's fault.
        io::ErrorKind::InvalidData => Stop::new(Code::NotAMessage, error),
        _ => Stop::internal(error),
    })?;
    let mut delivery = Delivery::new(message_id.clone(), addressee, order.context.now, body(opened)?);
    delivery.originator = certificate(CertificateRole::Originator, CertificateUse::Cipher);
    delivery.subject.clone_from(&request.subject);
    delivery.inspections = report.as_str().to_owned();
    delivery.certificates = texts(envelope, BlockKind::NonIntermediaryCertificates).next();
    delivery.custom_headers = texts(envelope, BlockKind::Custom).collect();
    delivery.content = content(envelope, opened)?;
    delivery.attachments = attachments;
    delivery.limits = order.intermediary.settings.mailbox;
    delivery.leaf = leaf(order);
    commit(&mut delivery, opened, order).map_err(Stop::internal)?;
    Ok(delivery)
}

/// Binds the log to subject and content without revealing them: salted hashes, whose salt goes when the body goes. `body` is the
/// SHA-256 of the body in the canonical form that is signed; without a signature of that kind `content` is the SHA-256 of the
/// package as received. Both are followed by the SHA-256 of the attachments in their order.
fn commit(delivery: &mut Delivery, opened: &Opened, order: &Order<'_>) -> io::Result<()> {
    let salt = Salt::from_bytes(order.intermediary.random());
    // What the sender signed is what the log is bound to, and a large body is not hashed again.
    let body = format!("#{}", order.received.verified.read().envelope().body().id);
    let (name, mut content) = match verified_digest(order.received, &body) {
        Some(digest) => ("body", digest.to_vec()),
        None => ("content", package_digest(opened, delivery.content.range.clone())?),
    };
    delivery.attachments.iter().for_each(|attachment| content.extend_from_slice(&attachment.sha256));
    delivery.leaf.commitments.push(Commitment::new(name, &salt, &content));
    if let Some(subject) = &delivery.subject {
        delivery.leaf.commitments.push(Commitment::new("subject", &salt, subject.as_bytes()));
    }
    delivery.salt = Some(salt);
    Ok(())
}

/// The SHA-256 of the package as received.
fn package_digest(opened: &Opened, range: Range<u64>) -> io::Result<Vec<u8>> {
    let mut hasher = DigestAlgorithm::Sha256.hasher();
    io::copy(&mut opened.message().reader(range), &mut hasher)?;
    Ok(hasher.finish().as_bytes().to_vec())
}

/// The stored body is the opened message itself: a file of the spool changes hands, it is not copied.
fn body(opened: &Opened) -> Result<BodySource, Stop> {
    match opened.message().clone().into_parts().map_err(Stop::internal)? {
        SpoolParts::Memory(bytes) => Ok(BodySource::Inline(bytes)),
        SpoolParts::File(path, _) => Ok(BodySource::File(path)),
    }
}

fn content(envelope: &Envelope, opened: &Opened) -> Result<Content, Stop> {
    let package =
        envelope.body().package().ok_or_else(|| Stop::new(Code::NotAMessage, "a delivery without content package"))?;
    let root = opened.parts().root().range.start;
    Ok(Content {
        range: root + package.range.start..root + package.range.end,
        namespaces: package.in_scope.iter().map(|(prefix, uri)| (prefix.to_owned(), uri.to_owned())).collect(),
    })
}

fn attachments(received: &Received) -> io::Result<Vec<Attachment>> {
    received.opened().parts().attachments().iter().map(|part| attachment(received, part)).collect()
}

/// Digest and length of an attachment; what the signature check has hashed already is not hashed again.
fn attachment(received: &Received, part: &Part) -> io::Result<Attachment> {
    if let (Encoding::Raw, Some(sha256)) =
        (part.encoding, verified_digest(received, &format!("cid:{}", part.content_id)))
    {
        return Ok(Attachment::new(part, part.range.end - part.range.start, sha256));
    }
    let mut hasher = DigestAlgorithm::Sha256.hasher();
    let length = io::copy(&mut part.reader(received.opened().message()), &mut hasher)?;
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(hasher.finish().as_bytes());
    Ok(Attachment::new(part, length, sha256))
}

/// The SHA-256 of what a reference of the transport signature names, if that vouches for it.
fn verified_digest(received: &Received, uri: &str) -> Option<[u8; 32]> {
    let SignatureState::Covered { .. } = received.verified.signature() else { return None };
    let signature = &received.verified.read().envelope().signature()?.signature;
    let reference = signature.reference(uri)?;
    let is_sha256 = reference.digest_algorithm == DigestAlgorithm::Sha256;
    is_sha256.then(|| reference.digest.as_slice().try_into().ok()).flatten()
}

fn texts(envelope: &Envelope, kind: BlockKind) -> impl Iterator<Item = String> + '_ {
    envelope.blocks_of(kind).map(|block| block.canonical.clone())
}

fn leaf(order: &Order<'_>) -> Leaf {
    let mut leaf = Leaf::new(order.context.now, Event::Accepted);
    leaf.order = Some("storeDelivery".to_owned());
    leaf.correlation = Some(order.context.correlation_id.clone());
    for judged in order.judged {
        certificates::note(judged, &mut leaf);
    }
    leaf.verdicts = signature_verdict(&order.received.verified);
    leaf.algorithms = order.received.algorithms();
    leaf.feedback = order.warnings.iter().map(|code| code.number()).collect();
    leaf
}
