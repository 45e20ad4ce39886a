//! Attempts to deliver what was taken over, and what becomes of it: received, tried again, or undeliverable with a reason. The
//! store says whose turn it is, so that no two attempts overlap and a crash leaves nothing behind that nobody takes up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rohrpost_osci::feedback::Code;
use rohrpost_osci::header::DesiredLanguages;
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::RequestWithCard;
use rohrpost_planted::planted;
use rohrpost_store::{Card, OutboundDelivery, OutboundEnd};
use time::OffsetDateTime;
use tracing::{info, warn};

use super::exchange::Taken;
use super::{Courier, Failure, Letter, Purpose, Reply, Retries};
use crate::Intermediary;
use crate::hand_out::HandedOut;
use crate::handle::Stop;

/// What came of an attempt.
pub(crate) struct Attempt {
    /// The card afterwards.
    pub(crate) card: Card,
    /// Codes for the sender: warnings, or why it is undeliverable.
    pub(crate) codes: Vec<Code>,
}

/// What becomes of the reply to a delivery that is to be replied to.
pub(crate) struct Replying<'a> {
    /// The id the reply gets.
    pub(crate) id: MessageId,
    /// Keeps the reply, before anything says that the delivery was received; otherwise a crash could lose it.
    pub(crate) keep: &'a mut dyn FnMut(Reply) -> Result<(), Stop>,
}

/// What attempts have in common while the process lives.
#[derive(Default)]
pub(crate) struct Slots {
    busy: AtomicUsize,
    /// Receivers that cannot be reached.
    closed: Mutex<HashMap<String, Closed>>,
}

/// A receiver that cannot be reached: what waits for it is not tried one by one.
struct Closed {
    failures: u32,
    until: OffsetDateTime,
}

/// One of the orders that may wait for recipients at a time.
pub(crate) struct Slot<'a>(&'a Slots);

/// Receivers remembered at most; beyond, all are tried.
const MOST_CLOSED: usize = 10_000;

impl Slots {
    /// A place among `at_once`, if there is one.
    pub(crate) fn take(&self, at_once: usize) -> Option<Slot<'_>> {
        let taken = self.busy.fetch_add(1, Ordering::AcqRel);
        let slot = Slot(self);
        (taken < at_once).then_some(slot)
    }

    /// Orders that wait for recipients.
    pub(crate) fn busy(&self) -> usize {
        self.busy.load(Ordering::Acquire)
    }

    fn closed_until(&self, receiver: &str) -> Option<OffsetDateTime> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner).get(receiver).map(|closed| closed.until)
    }

    /// It could not be reached at `at`. Failures of attempts that began before it was closed count as one.
    fn close(&self, receiver: &str, at: OffsetDateTime, retries: &Retries, chance: u32) {
        let mut all = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_CLOSED {
            all.clear();
        }
        let closed = all.entry(receiver.to_owned()).or_insert(Closed { failures: 0, until: at });
        if closed.until <= at {
            closed.failures = closed.failures.saturating_add(1);
            closed.until = at + retries.pause(closed.failures, chance);
        }
    }

    fn open(&self, receiver: &str) {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner).remove(receiver);
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Intermediary {
    /// Tries one delivery that is on its way and that nobody else tries now; whether there was one. Blocks as long as the recipient
    /// does. Call it until there is none, again and again, from several threads if you like.
    ///
    /// # Errors
    /// If the store fails: what happened is not noted then, and the attempt is made again later.
    pub fn deliver_next(&self, now: OffsetDateTime) -> Result<bool, rohrpost_store::StorageError> {
        let until = now + self.settings.forwarding.longest_attempt;
        let Some(outbound) = self.parts.store.lease_outbound(now, until)? else { return Ok(false) };
        let id = outbound.delivery.card.message_id.clone();
        match self.resume(outbound, now) {
            Ok(()) => Ok(true),
            Err(stop) => {
                warn!(message_id = %id, cause = %stop.cause(), "what came of a delivery to a recipient could not be noted");
                Ok(true)
            }
        }
    }

    /// A delivery that was left on its way: by an attempt that failed or by a process that ended.
    fn resume(&self, outbound: OutboundDelivery, now: OffsetDateTime) -> Result<(), Stop> {
        let id = outbound.delivery.card.message_id.clone();
        // Without a failure that is known, it may have been interrupted at any point after its card got the stamp.
        let code = match (outbound.failure.and_then(|code| Code::try_from(code).ok()), outbound.delivery.card.forwarded)
        {
            (Some(code), _) => code,
            (None, Some(_)) => Code::ForwardingFailedAfterRecipient,
            (None, None) => Code::ForwardingFailedBeforeRecipient,
        };
        let give_up = |reason: &str| {
            let failure = Failure { code, may_pass: false, reason: reason.to_owned(), at: now };
            self.settle(&id, &Way::of(&outbound), failure).map(drop)
        };
        if outbound.deadline <= outbound.delivery.card.created {
            return give_up("its sender waited for the end and was left without one");
        }
        let Some(courier) = self.parts.courier.clone().filter(|courier| courier.knows(&outbound.receiver)) else {
            return give_up("nothing may be sent to its receiver any more");
        };
        if let Some(until) = self.slots.closed_until(&outbound.receiver).filter(|until| now < *until) {
            return match until <= outbound.deadline {
                true => self.parts.store.defer_outbound(&id, until).map_err(Stop::internal),
                false => give_up("its receiver cannot be reached"),
            };
        }
        self.attempt(&*courier, outbound, None, now).map(drop)
    }

    /// Hands a delivery over and notes what came of it.
    pub(crate) fn attempt(
        &self,
        courier: &dyn Courier,
        outbound: OutboundDelivery,
        replying: Option<Replying<'_>>,
        now: OffsetDateTime,
    ) -> Result<Attempt, Stop> {
        let id = outbound.delivery.card.message_id.clone();
        let way = Way::of(&outbound);
        let OutboundDelivery { delivery, languages, .. } = outbound;
        let handed_out = HandedOut::new(delivery, now)?;
        let languages = languages.map(|tags| DesiredLanguages::new(tags.split(' ')));
        let purpose = match &replying {
            None => Purpose::Accept(handed_out.card),
            Some(Replying { id, .. }) => {
                Purpose::Process(Some(RequestWithCard { reply_id: id.clone(), card: handed_out.card }))
            }
        };
        let letter = Letter {
            certificates: handed_out.certificates,
            custom: handed_out.custom,
            languages,
            delivery: handed_out.delivery,
            purpose,
        };
        let forwarded = || self.parts.store.mark_forwarded(&id, now).map(drop).map_err(Stop::internal);
        match self.hand_over(courier, &way.receiver, letter, now, forwarded)? {
            Ok(Taken { warnings, reply, at }) => {
                if let (Some(reply), Some(replying)) = (reply, replying) {
                    (replying.keep)(reply)?;
                }
                self.slots.open(&way.receiver);
                let card = self.finish(&id, OutboundEnd::Received, at)?;
                info!(message_id = %id, "delivered to a passive recipient");
                Ok(Attempt { card, codes: warnings })
            }
            Err(failure) => self.settle(&id, &way, failure),
        }
    }

    fn settle(&self, id: &MessageId, way: &Way, failure: Failure) -> Result<Attempt, Stop> {
        let Failure { code, may_pass, reason, at } = failure;
        let chance = u32::from_le_bytes(self.random());
        let retries = self.settings.forwarding.retries.filter(|_| may_pass);
        if let Some(retries) = retries.as_ref().filter(|_| code == Code::ForwardingFailedBeforeRecipient) {
            self.slots.close(&way.receiver, at, retries, chance);
        }
        let pause = retries.map(|retries| retries.pause(way.attempts.saturating_add(1), chance));
        let next = pause.map(|pause| at + pause).filter(|next| *next <= way.deadline);
        let Some(next) = next else {
            warn!(message_id = %id, code = %code, attempts = way.attempts + 1, reason, "undeliverable to its passive recipient");
            let card = self.finish(id, OutboundEnd::Undeliverable { code: code.number() }, at)?;
            return Ok(Attempt { card, codes: vec![code] });
        };
        warn!(message_id = %id, code = %code, attempts = way.attempts + 1, reason, %next, "not delivered yet to its passive recipient");
        if !planted("failed-attempt-not-noted") {
            self.parts.store.postpone_outbound(id, next, code.number(), at).map_err(Stop::internal)?;
        }
        let card = self.parts.store.card(id).map_err(Stop::internal)?.ok_or_else(|| gone(id))?;
        Ok(Attempt { card, codes: Vec::new() })
    }

    fn finish(&self, id: &MessageId, end: OutboundEnd, at: OffsetDateTime) -> Result<Card, Stop> {
        let card = self.parts.store.finish_outbound(id, end, at).map_err(Stop::internal)?;
        card.ok_or_else(|| gone(id))
    }
}

/// Where a delivery goes, and since when.
struct Way {
    receiver: String,
    deadline: OffsetDateTime,
    attempts: u32,
}

impl Way {
    fn of(outbound: &OutboundDelivery) -> Self {
        let OutboundDelivery { receiver, deadline, attempts, .. } = outbound;
        Self { receiver: receiver.clone(), deadline: *deadline, attempts: *attempts }
    }
}

fn gone(id: &MessageId) -> Stop {
    Stop::internal(format!("{id} is not on its way any more"))
}
