//! ForwardDelivery: to a passive recipient, while the sender waits. What cannot be delivered at once is kept and tried again if
//! the operator wants that; otherwise the sender learns that it failed.

use std::sync::Arc;

use rohrpost_osci::feedback::Code;
use rohrpost_osci::message::ForwardDelivery;
use rohrpost_store::Outbound;

use super::{Done, HandOut, Order, bundle};
use crate::forwarding::Courier;
use crate::handle::Stop;

pub(super) fn execute(order: &Order<'_>, request: &ForwardDelivery) -> Result<Done, Stop> {
    let (intermediary, now) = (order.intermediary, order.context.now);
    let courier = order.courier()?;
    let message_id = match order.usable_id(request.message_id.as_ref()) {
        Ok(message_id) => message_id,
        Err(code) => return Ok(Done::refused(code)),
    };
    if !order.may_send_to(&courier, &request.receiver) {
        return Ok(Done::refused(Code::ForwardingFailedBeforeRecipient));
    }
    let forwarding = &intermediary.settings.forwarding;
    let slot = intermediary.slots.take(forwarding.at_once);
    if slot.is_none() && forwarding.retries.is_none() {
        tracing::warn!("more orders wait for passive recipients than forwarding.at_once allows");
        return Ok(Done::refused(Code::ForwardingFailedBeforeRecipient));
    }
    let outbound = Outbound {
        receiver: request.receiver.clone(),
        languages: order.languages(),
        // Without a place it is left to whoever delivers what was left.
        leased_until: if slot.is_some() { now + forwarding.longest_attempt } else { now },
        deadline: forwarding.retries.map_or(now, |retries| now + retries.give_up_after),
    };
    let wish = (request.creation, request.reception);
    if let Err(code) = order.taking(message_id, request.subject.as_ref(), Some(outbound), wish).take()? {
        return Ok(Done::refused(code));
    }
    let store = &intermediary.parts.store;
    if slot.is_none() {
        let card = store.card(message_id).map_err(Stop::internal)?;
        return Ok(card.map_or_else(Done::plain, |card| Done::with(HandOut::Card(Box::new(bundle(card))))));
    }
    let missing = || Stop::internal("a delivery that was just accepted is not there");
    let outbound = store.outbound(message_id).map_err(Stop::internal)?.ok_or_else(missing)?;
    let attempt = intermediary.attempt(&*courier, outbound, None, now)?;
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

    pub(super) fn may_send_to(&self, courier: &Arc<dyn Courier>, receiver: &str) -> bool {
        let allowed = courier.knows(receiver);
        if !allowed {
            tracing::warn!(
                "an order names a receiver that is not allowed: add it to forwarding.receivers if it should be"
            );
        }
        allowed
    }

    /// The languages the sender wants to read.
    pub(super) fn languages(&self) -> Option<String> {
        self.received.request.header().languages.as_ref().map(|languages| languages.tags().join(" "))
    }
}
