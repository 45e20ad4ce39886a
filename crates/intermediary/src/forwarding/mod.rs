//! Deliveries to passive recipients: they are taken to where the recipient listens, instead of waiting in a mailbox
//! (OSCI-Transport 1.2, ForwardDelivery and MediateDelivery).

mod exchange;
mod outbox;
mod receivers;

use rohrpost_pipeline::spool::{Spool, SpoolDir};
use time::{Duration, OffsetDateTime};

pub(crate) use exchange::{Failure, Letter, Purpose, Reply};
pub(crate) use outbox::Replying;
pub(crate) use receivers::{Receivers, Visit};

/// Takes messages to passive recipients and brings their answers. Knows where the operator allows to send to. Its methods block.
pub trait Courier: Send + Sync {
    /// The name of the receiver behind an address, if the operator allows to send there: the same for all spellings of the
    /// address.
    fn known(&self, receiver: &str) -> Option<String>;

    /// Sends a message to a receiver by its name and waits for the answer, which is written to a spool of `answers`.
    ///
    /// # Errors
    /// [`Undelivered`]: there is no answer.
    fn carry(&self, name: &str, message: &Spool, answers: &SpoolDir) -> Result<Returned, Undelivered>;
}

/// The answer of a passive recipient.
#[derive(Debug)]
pub struct Returned {
    /// The message, however it is protected.
    pub message: Spool,
    /// When it had arrived.
    pub at: OffsetDateTime,
}

/// There is no answer.
#[derive(Debug)]
pub struct Undelivered {
    /// Whether the recipient can have got the message all the same.
    pub may_have_arrived: bool,
    /// Whether another attempt may end differently.
    pub may_pass: bool,
    /// Whether other messages to this receiver would fare the same: nobody is there, or nobody answers.
    pub down: bool,
    /// What happened, for the operator.
    pub reason: String,
    /// When that was clear.
    pub at: OffsetDateTime,
}

/// How deliveries are taken to passive recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarding {
    /// Keep what cannot be delivered at once and try again. Without it the sender is told of the failure, and that is all: the
    /// protocol wants forwarding to be synchronous.
    pub retries: Option<Retries>,
    /// How long one attempt may take at most, waiting for the recipient included.
    pub longest_attempt: Duration,
    /// Orders that may wait for recipients at a time.
    pub at_once: usize,
}

impl Forwarding {
    /// How long nobody else tries what somebody is trying. Generous: an attempt that outlives it would be taken for one that was
    /// interrupted, and it ends with the process anyway.
    pub(crate) fn lease(&self) -> Duration {
        self.longest_attempt * 2 + Duration::minutes(30)
    }
}

impl Default for Forwarding {
    fn default() -> Self {
        Self { retries: None, longest_attempt: Duration::minutes(15), at_once: 16 }
    }
}

/// When to try again, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Pause after the first failure; each further one is twice as long.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// What is not delivered after so long is undeliverable.
    pub give_up_after: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            first_pause: Duration::seconds(30),
            longest_pause: Duration::hours(1),
            give_up_after: Duration::hours(48),
        }
    }
}

impl Retries {
    /// The pause after so many failures: doubled each time, and between half and all of that, so that many deliveries do not come
    /// at once. `chance` is any number.
    fn pause(&self, failures: u32, chance: u32) -> Duration {
        let doubled = self.first_pause.saturating_mul(1 << failures.saturating_sub(1).min(20));
        let pause = doubled.min(self.longest_pause);
        pause / 2 + pause * f64::from(chance) / f64::from(u32::MAX) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let retries = Retries {
            first_pause: Duration::seconds(10),
            longest_pause: Duration::seconds(60),
            give_up_after: Duration::HOUR,
        };
        for (failures, most) in [(0, 10), (1, 10), (2, 20), (3, 40), (4, 60), (5, 60), (u32::MAX, 60)] {
            assert_eq!(retries.pause(failures, u32::MAX), Duration::seconds(most), "{failures}");
            assert_eq!(retries.pause(failures, 0), Duration::seconds(most) / 2, "{failures}");
        }
    }
}
