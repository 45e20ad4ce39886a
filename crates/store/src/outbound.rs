//! Deliveries that the intermediary itself takes to a passive recipient.

use std::fmt;

use time::OffsetDateTime;

use crate::delivery::StoredDelivery;

/// The way of a delivery to a passive recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// Where the recipient listens.
    pub receiver: String,
    /// Languages the sender wants to read, as in its order.
    pub languages: Option<String>,
    /// Until then nobody else tries: whoever handed the delivery in is at it. Over with the process.
    pub leased_until: OffsetDateTime,
    /// What is not delivered by then has failed.
    pub deadline: OffsetDateTime,
}

/// A delivery on its way to a passive recipient.
#[non_exhaustive]
pub struct OutboundDelivery {
    /// The delivery.
    pub delivery: StoredDelivery,
    /// Where the recipient listens.
    pub receiver: String,
    /// Languages the sender wants to read.
    pub languages: Option<String>,
    /// What is not delivered by then has failed.
    pub deadline: OffsetDateTime,
    /// Attempts that failed so far.
    pub attempts: u32,
    /// The feedback code of the last of them.
    pub failure: Option<u16>,
    /// Whether an earlier attempt may have reached the recipient, be it one that nobody knows the end of.
    pub in_doubt: bool,
}

/// How the way of a delivery to a passive recipient ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboundEnd {
    /// The recipient took it: the card's Reception.
    Received,
    /// It is given up.
    Undeliverable {
        /// The feedback code that says why (OSCI-Transport 1.2, codes 9805 to 9811).
        code: u16,
    },
}

impl fmt::Debug for OutboundDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboundDelivery")
            .field("delivery", &self.delivery)
            .field("receiver", &self.receiver)
            .field("deadline", &self.deadline)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
