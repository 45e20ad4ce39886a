//! Time stamps of a service on process cards (OSCI-Transport 1.2, QualityOfTimestamp; RFC 3161).
//!
//! The token for a card's Creation is got before the delivery is accepted; if that fails and the operator wants it so, the card is
//! plain at first and amended later. The token for its Reception always comes later: what has happened cannot be refused, and nobody
//! is to wait for a service that acknowledges or fetches.

use std::fmt::Write as _;
use std::sync::Arc;

use rohrpost_audit::Commitment;
use rohrpost_crypto::sha256;
use rohrpost_osci::card::Timestamp;
use rohrpost_osci::datetime::DateTime;
use rohrpost_osci::feedback::Code;
use rohrpost_osci::header::TimestampQuality;
use rohrpost_osci::ids::MessageId;
use rohrpost_pipeline::gate::leave;
use rohrpost_pki::revocation::FetchError;
use rohrpost_pki::timestamp::{TimestampError, TimestampToken};
use rohrpost_store::{Delivery, Stamp, StampedEvent, Stamps, StorageError, WantedStamp};
use thiserror::Error;
use time::OffsetDateTime;
use tracing::{info, warn};

use crate::Intermediary;

/// The algorithm of a cryptographic time stamp on a card: a token of RFC 3161, DER-encoded.
pub const RFC_3161: &str = "urn:ietf:rfc:3161";

/// Gets time stamps from a service that is trusted.
pub trait TimestampService: Send + Sync {
    /// A stamp of a SHA-256 value that was verified: it is for this value, of now, and by somebody who is trusted.
    ///
    /// Blocks for a time that the implementation bounds.
    ///
    /// # Errors
    /// [`NoStamp`] if there is none.
    fn stamp(&self, imprint: [u8; 32], now: OffsetDateTime) -> Result<TimestampToken, NoStamp>;
}

/// Why there is no stamp.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoStamp {
    /// The service gave no answer.
    #[error("the time-stamp service {0}")]
    Unavailable(#[from] FetchError),
    /// Its answer is no stamp that counts.
    #[error("the answer of the time-stamp service is no stamp: {0}")]
    Unusable(#[from] TimestampError),
}

/// What is made of orders that want cryptographic time stamps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timestamps {
    /// If there is no service.
    pub without_service: WithoutService,
    /// If the service gives no stamp.
    pub service_down: ServiceDown,
    /// Orders that may wait for the service at a time; it counts as down for more.
    pub at_once: usize,
}

impl Default for Timestamps {
    fn default() -> Self {
        Self { without_service: WithoutService::Plain, service_down: ServiceDown::StampLater, at_once: 16 }
    }
}

/// What is made of a wish for cryptographic time stamps where there is no service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WithoutService {
    /// The card has plain ones.
    Plain,
    /// The order is refused (9811).
    Refuse,
}

/// What is made of a wish for cryptographic time stamps while the service gives none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServiceDown {
    /// The card has plain ones until the service gives them.
    StampLater,
    /// The order is refused (9811). Only for the creation: what was received was received.
    Refuse,
}

/// The text whose SHA-256 is stamped. Everything in it stands on the card or in the log entry of the acceptance, so that whoever has
/// both can compute it: the event, the message id, the time by the intermediary's clock, and the commitments to content and subject
/// in their order. Every line ends with a line feed.
///
/// ```text
/// rohrpost time stamp 1
/// event creation
/// message 4711
/// time 2026-11-25T12:00:00.000Z
/// commitment body 5f78…
/// ```
pub fn stamped_text(
    event: StampedEvent,
    message_id: &MessageId,
    time: OffsetDateTime,
    commitments: &[Commitment],
) -> String {
    let event = match event {
        StampedEvent::Creation => "creation",
        StampedEvent::Reception => "reception",
    };
    let time = DateTime::from(time);
    let mut text = format!("rohrpost time stamp 1\nevent {event}\nmessage {message_id}\ntime {}\n", time.as_str());
    for commitment in commitments {
        writeln!(text, "commitment {} {}", commitment.label(), commitment.hash()).expect("a string takes everything");
    }
    text
}

/// Which stamps an order wants, and whether whoever gave it can wait for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) creation: TimestampQuality,
    pub(crate) reception: TimestampQuality,
    /// Otherwise the stamps come later, and nothing is refused for want of them.
    pub(crate) can_wait: bool,
}

/// What came of looking for a stamp that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamping {
    /// None is waited for.
    Nothing,
    /// One was got.
    Done,
    /// One is waited for, but the service gave none, or there is no service.
    InVain,
}

impl Intermediary {
    /// The stamps for the card of a delivery, or the code it is refused with. Waits for the service if that is wanted.
    pub(crate) fn stamps(&self, wish: Wish, delivery: &Delivery, now: OffsetDateTime) -> Result<Stamps, Code> {
        use TimestampQuality::Cryptographic;
        let Wish { creation, reception, can_wait } = wish;
        if creation != Cryptographic && reception != Cryptographic {
            return Ok(Stamps::default());
        }
        if self.parts.timestamps.is_none() {
            return match self.settings.timestamps.without_service {
                WithoutService::Refuse if can_wait => Err(Code::OrderFailed),
                _ => Ok(Stamps::default()),
            };
        }
        let later = |quality| if quality == Cryptographic { Stamp::Wanted } else { Stamp::Plain };
        let stamps = Stamps { creation: later(creation), reception: later(reception) };
        if creation != Cryptographic || !can_wait {
            return Ok(stamps);
        }
        // Nobody is asked on behalf of what is refused anyway.
        if self.parts.store.is_used(&delivery.message_id).unwrap_or(false) {
            return Ok(stamps);
        }
        let text = stamped_text(StampedEvent::Creation, &delivery.message_id, now, &delivery.leaf.commitments);
        match (self.ask(&text, now), self.settings.timestamps.service_down) {
            (Some(token), _) => Ok(Stamps { creation: Stamp::Token(token), ..stamps }),
            (None, ServiceDown::StampLater) => Ok(stamps),
            (None, ServiceDown::Refuse) => Err(Code::OrderFailed),
        }
    }

    /// Gets the stamp that was waited for longest. Waits for the network; meant to be called now and then beside the orders, by one at
    /// a time.
    ///
    /// # Errors
    /// If the store fails.
    pub fn stamp_next(&self, now: OffsetDateTime) -> Result<Stamping, StorageError> {
        let Some(wanted) = self.parts.store.wanted_stamp()? else { return Ok(Stamping::Nothing) };
        let WantedStamp { card, event, commitments, .. } = wanted;
        let time = match event {
            StampedEvent::Creation => card.created,
            StampedEvent::Reception => card.received.unwrap_or(card.modified),
        };
        let text = stamped_text(event, &card.message_id, time, &commitments);
        let Some(token) = self.ask(&text, now) else { return Ok(Stamping::InVain) };
        self.parts.store.stamp(&card.message_id, event, token, now)?;
        info!(message_id = %card.message_id, ?event, "got the time stamp that a process card waited for");
        Ok(Stamping::Done)
    }

    fn ask(&self, text: &str, now: OffsetDateTime) -> Option<Vec<u8>> {
        let service = Arc::clone(self.parts.timestamps.as_ref()?);
        let Some(_slot) = self.stamping.take(self.settings.timestamps.at_once) else {
            warn!("more orders wait for the time-stamp service than timestamps.at_once allows");
            return None;
        };
        let imprint = sha256(text.as_bytes());
        match leave(|| service.stamp(imprint, now)) {
            Ok(token) => Some(token.der().to_vec()),
            Err(error) => {
                warn!(%error, "no time stamp");
                None
            }
        }
    }
}

/// A stamp of a card as it goes out.
pub(crate) fn timestamp(time: OffsetDateTime, stamp: &Stamp) -> Timestamp {
    match stamp.token() {
        None => Timestamp::Plain(time.into()),
        Some(token) => Timestamp::Cryptographic { algorithm: RFC_3161.to_owned(), token: token.to_vec() },
    }
}
