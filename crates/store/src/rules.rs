//! Which delivery, which cards (OSCI-Transport 1.2, selection rules).

use rohrpost_osci::ids::MessageId;
use time::OffsetDateTime;

use crate::delivery::Card;

/// Selects one delivery of a mailbox.
#[derive(Debug, Clone, Copy)]
pub enum FetchRule<'a> {
    /// The one accepted first among those not yet received.
    Oldest {
        /// Already handed out in this dialog, awaiting acknowledgement: to be skipped.
        not_in: &'a [MessageId],
    },
    /// This one, received or not.
    ById(&'a MessageId),
    /// The one accepted first at or after this time, received or not.
    Since(OffsetDateTime),
}

/// Selects cards.
#[derive(Debug, Clone, Copy)]
pub struct CardRule<'a> {
    /// By what.
    pub selection: CardSelection<'a>,
    /// Which part the requester must have played.
    pub role: CardRole,
    /// Only cards of deliveries that were not received.
    pub no_reception: bool,
}

impl CardRule<'static> {
    /// All cards the requester may see.
    pub const ALL: Self = Self { selection: CardSelection::All, role: CardRole::Any, no_reception: false };
}

/// The main part of a rule for cards.
#[derive(Debug, Clone, Copy)]
pub enum CardSelection<'a> {
    /// Every card. In the order of acceptance.
    All,
    /// The cards of these messages. In the order of acceptance.
    Ids(&'a [MessageId]),
    /// Deliveries accepted at or after this time. In the order of acceptance.
    AcceptedSince(OffsetDateTime),
    /// Cards changed at or after this time. In the order of the last change.
    ModifiedSince(OffsetDateTime),
}

/// The part a requester played in a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardRole {
    /// Sender or recipient.
    Any,
    /// Sender.
    Originator,
    /// Recipient.
    Addressee,
}

/// Selected cards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardPage {
    /// In the order the selection prescribes.
    pub cards: Vec<Card>,
    /// Whether the limit cut off further ones.
    pub more: bool,
}
