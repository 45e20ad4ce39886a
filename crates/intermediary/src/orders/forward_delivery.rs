//! ForwardDelivery: to a passive recipient, while the sender waits. What cannot be delivered at once is kept and tried again if
//! the operator wants that; otherwise the sender learns that it failed.

use std::sync::Arc;

use rohrpost_osci::feedback::Code;
use rohrpost_osci::header::{CertificateRole, CertificateUse};
use rohrpost_osci::message::ForwardDelivery;
use rohrpost_store::Outbound;

use super::{Done, HandOut, Order, bundle};
use crate::entrance::Entrance;
use crate::forwarding::{Courier, Visit};
use crate::handle::Stop;

pub(super) fn execute(order: &Order<'_>, request: &ForwardDelivery, entrance: &Entrance<'_>) -> Result<Done, Stop> {
    let (intermediary, now) = (order.intermediary, order.context.now);
    let courier = order.courier()?;
    let message_id = match order.usable_id(request.message_id.as_ref()) {
        Ok(message_id) => message_id,
        Err(code) => return Ok(Done::refused(code)),
    };
    let Some(name) = order.receiver(&courier, &request.receiver) else {
        return Ok(Done::refused(Code::ForwardingFailedBeforeRecipient));
    };
    let forwarding = &intermediary.settings.forwarding;
    let visit = order.visit(&name);
    if visit.is_none() && forwarding.retries.is_none() {
        return Ok(Done::refused(Code::ForwardingFailedBeforeRecipient));
    }
    let outbound = Outbound {
        receiver: request.receiver.clone(),
        languages: order.languages(),
        // Without a place it is left to whoever delivers what was left.
        leased_until: if visit.is_some() { now + forwarding.lease() } else { now },
        deadline: forwarding.retries.map_or(now, |retries| now + retries.give_up_after),
    };
    let wish = (request.creation, request.reception);
    if let Err(code) = order.taking(message_id, request.subject.as_ref(), Some(outbound), wish).take()? {
        return Ok(Done::refused(code));
    }
    let store = &intermediary.parts.store;
    if visit.is_none() {
        let card = store.card(message_id).map_err(Stop::internal)?;
        return Ok(card.map_or_else(Done::plain, |card| Done::with(HandOut::Card(Box::new(bundle(card))))));
    }
    let missing = || Stop::internal("a delivery that was just accepted is not there");
    let outbound = store.outbound(message_id).map_err(Stop::internal)?.ok_or_else(missing)?;
    entrance.go_far();
    let attempt = intermediary.attempt(&*courier, &name, outbound, None, now)?;
    Ok(Done { codes: attempt.codes, ..Done::with(HandOut::Card(Box::new(bundle(attempt.card)))) })
}

impl Order<'_> {
    /// Who takes messages to passive recipients.
    ///
    /// # Errors
    /// If nobody does: the order is not offered.
    pub(super) fn courier(&self) -> Result<Arc<dyn Courier>, Stop> {
        let courier = self.intermediary.parts.courier.clone();
        courier.ok_or_else(|| Stop::new(Code::NotAnOrder, "nothing is forwarded here"))
    }

    /// The receiver that the order names, if something may be sent there and there is somebody to encrypt for.
    pub(super) fn receiver(&self, courier: &Arc<dyn Courier>, receiver: &str) -> Option<String> {
        let certificates = &self.received.request.header().certificates;
        if certificates.first(CertificateRole::Addressee, CertificateUse::Cipher).is_none() {
            tracing::debug!("nothing leaves in clear, and there is no certificate of the addressee to encrypt for");
            return None;
        }
        let known = courier.known(receiver);
        if known.is_none() {
            let receiver: String = receiver.chars().take(200).collect();
            tracing::warn!(
                ?receiver,
                "not allowed as a passive recipient: if it should be, add it to forwarding.receivers"
            );
        }
        known
    }

    /// A place among those who wait for passive recipients.
    pub(super) fn visit(&self, name: &str) -> Option<Visit<'_>> {
        let visit = self.intermediary.receivers.visit(name, self.intermediary.settings.forwarding.at_once);
        if visit.is_none() {
            tracing::warn!(
                name,
                "more orders wait for passive recipients than forwarding.at_once allows, or half of them for this one"
            );
        }
        visit
    }

    /// The languages the sender wants to read.
    pub(super) fn languages(&self) -> Option<String> {
        self.received.request.header().languages.as_ref().map(|languages| languages.tags().join(" "))
    }
}
