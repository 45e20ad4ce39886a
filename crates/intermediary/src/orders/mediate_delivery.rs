//! MediateDelivery: to a passive recipient, whose reply is handed out at once, like a delivery that is fetched: it is kept until
//! the client has acknowledged it.

use rohrpost_audit::{Event, Leaf};
use rohrpost_osci::card::ProcessCardBundle;
use rohrpost_osci::compose::OutDelivery;
use rohrpost_osci::feedback::Code;
use rohrpost_osci::header::{
    CertificateRole, CertificateUse, CustomBlock, NonIntermediaryCertificates, TimestampQuality,
};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::{MediateCard, MediateDelivery};
use rohrpost_osci::source::ReadAt;
use rohrpost_pipeline::verify::Verified;
use rohrpost_store::{FetchRule, Fingerprint, Outbound, StoredDelivery};
use std::sync::Arc;

use super::taking::{Taking, attachments, content};
use super::{Done, HandOut, Order, bundle};
use crate::entrance::Entrance;
use crate::forwarding::{Courier, Letter, Purpose, Reply, Replying};
use crate::hand_out::out_delivery;
use crate::handle::{Stop, signature_verdict};
use crate::timestamps::Wish;

/// What a mediated delivery brought back.
pub(crate) enum Mediated {
    /// With process cards: the reply as it is kept for the client.
    Kept { request_card: Box<ProcessCardBundle>, reply: Option<Box<StoredDelivery>> },
    /// Without: the reply as it came.
    Passing { certificates: NonIntermediaryCertificates, custom: Vec<CustomBlock>, delivery: OutDelivery },
}

pub(super) fn execute(order: &Order<'_>, request: &MediateDelivery, entrance: &mut Entrance<'_>) -> Result<Done, Stop> {
    let courier = order.courier()?;
    let Some(mailbox) = order.proven_mailbox(entrance) else { return Ok(Done::refused(Code::OrderFailed)) };
    let Some(name) = order.receiver(&courier, &request.receiver) else {
        return Ok(Done::refused(Code::ForwardingFailedBeforeRecipient));
    };
    let Some(_visit) = order.visit(&name) else {
        return Ok(Done::refused(Code::ForwardingFailedBeforeRecipient));
    };
    entrance.go_far();
    match &request.card {
        Some(card) => with_cards(order, (request, card), mailbox, (&*courier, &name)),
        None => without_cards(order, request, (&*courier, &name)),
    }
}

fn with_cards(
    order: &Order<'_>,
    (request, card): (&MediateDelivery, &MediateCard),
    mailbox: Fingerprint,
    (courier, name): (&dyn Courier, &str),
) -> Result<Done, Stop> {
    let (intermediary, now) = (order.intermediary, order.context.now);
    let message_id = match order.usable_id(Some(&card.message_id)) {
        Ok(message_id) => message_id,
        Err(code) => return Ok(Done::refused(code)),
    };
    // The client waits for the reply, so nobody tries again without it.
    let outbound = Outbound {
        receiver: request.receiver.clone(),
        languages: order.languages(),
        leased_until: now + intermediary.settings.forwarding.lease(),
        deadline: now,
    };
    let wish = (card.creation, card.reception);
    if let Err(code) = order.taking(message_id, card.subject.as_ref(), Some(outbound), wish).take()? {
        return Ok(Done::refused(code));
    }
    let parts = &intermediary.parts;
    let missing = || Stop::internal("a delivery that was just accepted is not there");
    let outbound = parts.store.outbound(message_id).map_err(Stop::internal)?.ok_or_else(missing)?;
    let reply_id = parts.message_ids.issue(&*parts.random, now);
    let mut kept = None;
    let mut keep = |reply: Reply| {
        kept = Some(keep_reply(order, &reply, &reply_id, mailbox)?);
        Ok(())
    };
    let replying = Replying { id: reply_id.clone(), keep: &mut keep };
    let attempt = intermediary.attempt(courier, name, outbound, Some(replying), now)?;
    let (mut codes, request_card) = (attempt.codes, Box::new(bundle(attempt.card)));
    let reply = kept.and_then(|kept| kept.map_err(|code| codes.push(code)).ok());
    Ok(Done { codes, ..Done::with(HandOut::Mediated(Mediated::Kept { request_card, reply })) })
}

/// Keeps the reply in the client's mailbox, or says why it cannot be handed out.
fn keep_reply(
    order: &Order<'_>,
    reply: &Reply,
    reply_id: &MessageId,
    mailbox: Fingerprint,
) -> Result<Result<Box<StoredDelivery>, Code>, Stop> {
    if order.intermediary.check_delivery(reply.verified.read()).is_err() {
        return Ok(Err(Code::ForwardingFailedAfterRecipient));
    }
    let taking = Taking {
        intermediary: order.intermediary,
        verified: &reply.verified,
        certificates: &reply.certificates,
        judged: &reply.judged,
        mailbox: Some(mailbox),
        message_id: reply_id,
        subject: reply.with_card.as_ref().and_then(|card| card.subject.as_ref()),
        outbound: None,
        upload: None,
        stamps: Wish {
            creation: reply.with_card.as_ref().map_or(TimestampQuality::Plain, |card| card.creation),
            reception: reply.with_card.as_ref().map_or(TimestampQuality::Plain, |card| card.reception),
            can_wait: false,
        },
        order: "responseToProcessDelivery",
        warnings: &[],
        correlation: &order.context.correlation_id,
        now: reply.at,
    };
    if taking.take()?.is_err() {
        return Ok(Err(Code::ForwardingFailedAfterRecipient));
    }
    let kept = order.intermediary.parts.store.next_delivery(&mailbox, FetchRule::ById(reply_id));
    let missing = || Stop::internal("a reply that was just accepted is not there");
    Ok(Ok(Box::new(kept.map_err(Stop::internal)?.ok_or_else(missing)?)))
}

/// Nothing is kept: neither cards nor contents. The log says that it happened.
fn without_cards(
    order: &Order<'_>,
    request: &MediateDelivery,
    (courier, name): (&dyn Courier, &str),
) -> Result<Done, Stop> {
    let letter = Letter {
        certificates: request.header.certificates.clone(),
        custom: request.header.custom.clone(),
        languages: request.header.languages.clone(),
        delivery: passing(&order.received.verified)?,
        purpose: Purpose::Process(None),
    };
    let now = order.context.now;
    let noted = || {
        let mut leaf = Leaf::new(now, Event::Forwarded);
        leaf.order = Some("mediateDelivery".to_owned());
        leaf.correlation = Some(order.context.correlation_id.clone());
        leaf.verdicts = signature_verdict(&order.received.verified);
        let addressee = request.header.certificates.first(CertificateRole::Addressee, CertificateUse::Cipher);
        if let Some(entry) = addressee {
            leaf.add_certificate(rohrpost_audit::Role::AddresseeCipher, Fingerprint::of_der(&entry.der), None);
        }
        order.intermediary.parts.store.record(leaf).map(drop).map_err(Stop::internal)
    };
    match order.intermediary.hand_over(courier, name, letter, now, noted)? {
        Err(failure) => {
            tracing::warn!(code = %failure.code, reason = failure.reason, "a mediated delivery failed");
            Ok(Done::refused(failure.code))
        }
        Ok(taken) => {
            let reply = taken.reply.ok_or_else(|| Stop::internal("a mediated delivery without reply"))?;
            if order.intermediary.check_delivery(reply.verified.read()).is_err() {
                return Ok(Done::refused(Code::ForwardingFailedAfterRecipient));
            }
            let delivery = passing(&reply.verified)?;
            let (certificates, custom) = (reply.certificates, reply.custom);
            let hand_out = HandOut::Mediated(Mediated::Passing { certificates, custom, delivery });
            Ok(Done { codes: taken.warnings, ..Done::with(hand_out) })
        }
    }
}

/// The content of a message as it stands there.
fn passing(verified: &Verified) -> Result<OutDelivery, Stop> {
    let opened = verified.read().opened();
    let body: Arc<dyn ReadAt> = Arc::new(opened.message().clone());
    Ok(out_delivery(&body, &content(verified.read().envelope(), opened)?, &attachments(verified)?))
}
