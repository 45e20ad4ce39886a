//! Attempts to deliver what was taken over, and what becomes of it: received, tried again, or undeliverable with a reason. The
//! store says whose turn it is, so that no two attempts overlap and a crash leaves nothing behind that nobody takes up.

use rohrpost_osci::feedback::Code;
use rohrpost_osci::header::DesiredLanguages;
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::RequestWithCard;
use rohrpost_planted::planted;
use rohrpost_store::{Card, OutboundDelivery, OutboundEnd, StorageError};
use time::{Duration, OffsetDateTime};
use tracing::{error, info, warn};

use super::exchange::Taken;
use super::{Courier, Failure, Letter, Purpose, Reply};
use crate::Intermediary;
use crate::admission::Mode;
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

/// Nobody tries again for so long what somebody else is trying at this receiver.
const OCCUPIED: Duration = Duration::seconds(5);
/// Nobody tries again for so long what is for a blocked mailbox.
const BLOCKED: Duration = Duration::minutes(5);

impl Intermediary {
    /// Tries one delivery that is on its way and that nobody else tries now; whether there was one. Blocks as long as the recipient
    /// does. Call it until there is none, again and again, from several threads if you like. During maintenance there is none.
    ///
    /// # Errors
    /// If the store fails: what happened is not noted then, and the attempt is made again later.
    pub fn deliver_next(&self, now: OffsetDateTime) -> Result<bool, StorageError> {
        let admission = self.admission();
        if admission.mode != Mode::Normal {
            return Ok(false);
        }
        let until = now + self.settings.forwarding.lease();
        let Some(outbound) = self.parts.store.lease_outbound(now, until)? else { return Ok(false) };
        let (id, way) = (outbound.delivery.card.message_id.clone(), Way::of(&outbound));
        let done = match admission.blocked.contains(&outbound.delivery.card.addressee) {
            true => self.rest(&id, &way, now, now + BLOCKED),
            false => self.resume(outbound, now),
        };
        if let Err(stop) = done {
            error!(message_id = %id, cause = %stop.cause(), "a delivery to a passive recipient could not be attempted");
            if now > way.deadline {
                // It would be tried for ever.
                let end = OutboundEnd::Undeliverable { code: way.told(Code::OrderFailed).number() };
                self.parts.store.finish_outbound(&id, end, now)?;
            }
        }
        Ok(true)
    }

    /// A delivery that was left on its way: by an attempt that failed or by a process that ended.
    fn resume(&self, outbound: OutboundDelivery, now: OffsetDateTime) -> Result<(), Stop> {
        let (id, way) = (outbound.delivery.card.message_id.clone(), Way::of(&outbound));
        let failed = |may_pass, reason: &str| {
            let failure = Failure { may_pass, reason: reason.to_owned(), ..Failure::unsent(now) };
            self.settle(&id, &way, failure).map(drop)
        };
        if way.deadline <= outbound.delivery.card.created {
            return failed(false, "its sender waited for the end and was left without one");
        }
        let known = self.parts.courier.as_ref().and_then(|courier| Some((courier, courier.known(&way.receiver)?)));
        let Some((courier, name)) = known else {
            return failed(true, "its receiver is not listed under forwarding.receivers any more");
        };
        if let Some(until) = self.receivers.closed_until(&name).filter(|until| now < *until) {
            return self.rest(&id, &way, now, until);
        }
        match self.receivers.visit_again(&name) {
            Some(_visit) => self.attempt(&**courier, &name, outbound, None, now).map(drop),
            None => self.rest(&id, &way, now, now + OCCUPIED),
        }
    }

    /// Leaves a delivery alone for a while, or gives it up if that is too long.
    fn rest(&self, id: &MessageId, way: &Way, now: OffsetDateTime, until: OffsetDateTime) -> Result<(), Stop> {
        if until <= way.deadline {
            return self.parts.store.defer_outbound(id, until, way.in_doubt).map_err(Stop::internal);
        }
        let failure = Failure { reason: "its receiver is down or closed".to_owned(), ..Failure::unsent(now) };
        self.settle(id, way, failure).map(drop)
    }

    /// Hands a delivery over and notes what came of it.
    pub(crate) fn attempt(
        &self,
        courier: &dyn Courier,
        name: &str,
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
        match self.hand_over(courier, name, letter, now, forwarded)? {
            Ok(Taken { warnings, reply, at }) => {
                if let (Some(reply), Some(replying)) = (reply, replying) {
                    (replying.keep)(reply)?;
                }
                self.receivers.open(name);
                let card = self.finish(&id, OutboundEnd::Received, at)?;
                info!(message_id = %id, "delivered to a passive recipient");
                Ok(Attempt { card, codes: warnings })
            }
            Err(failure) => {
                if let Some(retries) = self.settings.forwarding.retries.as_ref().filter(|_| failure.down) {
                    self.receivers.close(name, failure.at, retries, u32::from_le_bytes(self.random()));
                }
                self.settle(&id, &way, failure)
            }
        }
    }

    fn settle(&self, id: &MessageId, way: &Way, failure: Failure) -> Result<Attempt, Stop> {
        let Failure { code, may_pass, reason, at, .. } = failure;
        let in_doubt = way.in_doubt || code == Code::ForwardingFailedAfterRecipient;
        let code = way.told(code);
        let chance = u32::from_le_bytes(self.random());
        let retries = self.settings.forwarding.retries.filter(|_| may_pass);
        let pause = retries.map(|retries| retries.pause(way.attempts.saturating_add(1), chance));
        let next = pause.map(|pause| at + pause).filter(|next| *next <= way.deadline);
        let Some(next) = next else {
            warn!(message_id = %id, code = %code, attempts = way.attempts + 1, reason, "undeliverable to its passive recipient");
            let card = self.finish(id, OutboundEnd::Undeliverable { code: code.number() }, at)?;
            return Ok(Attempt { card, codes: vec![code] });
        };
        warn!(message_id = %id, code = %code, attempts = way.attempts + 1, reason, %next, "not delivered yet to its passive recipient");
        if !planted("failed-attempt-not-noted") {
            self.parts.store.postpone_outbound(id, next, code.number(), in_doubt, at).map_err(Stop::internal)?;
        }
        let card = self.parts.store.card(id).map_err(Stop::internal)?.ok_or_else(|| gone(id))?;
        Ok(Attempt { card, codes: Vec::new() })
    }

    fn finish(&self, id: &MessageId, end: OutboundEnd, at: OffsetDateTime) -> Result<Card, Stop> {
        let ended = self.parts.store.finish_outbound(id, end, at).map_err(Stop::internal)?;
        match ended {
            Some(card) => Ok(card),
            // Somebody else was quicker, because the attempt outlived its lease. Its card says how it ended.
            None => self.parts.store.card(id).map_err(Stop::internal)?.ok_or_else(|| gone(id)),
        }
    }
}

/// Where a delivery goes, and since when.
struct Way {
    receiver: String,
    deadline: OffsetDateTime,
    attempts: u32,
    /// Whether an attempt before may have reached the recipient.
    in_doubt: bool,
}

impl Way {
    fn of(outbound: &OutboundDelivery) -> Self {
        let OutboundDelivery { receiver, deadline, attempts, in_doubt, .. } = outbound;
        Self { receiver: receiver.clone(), deadline: *deadline, attempts: *attempts, in_doubt: *in_doubt }
    }

    /// What is said about a failure. If an earlier attempt may have arrived, a later one that did not proves nothing, nor does a
    /// refusal: the recipient may have it already.
    fn told(&self, code: Code) -> Code {
        if self.in_doubt { Code::ForwardingFailedAfterRecipient } else { code }
    }
}

fn gone(id: &MessageId) -> Stop {
    Stop::internal(format!("{id} has no card"))
}
