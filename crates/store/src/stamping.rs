//! Stamps of time-stamp services on cards.

use std::fmt;

use rohrpost_audit::Commitment;

use crate::delivery::Card;

/// What a stamp is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StampedEvent {
    /// The card's Creation.
    Creation,
    /// The card's Reception.
    Reception,
}

/// What stands, or is to stand, on a card for an event.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Stamp {
    /// The time alone.
    #[default]
    Plain,
    /// The time alone until there is a token, which is waited for from the event on.
    Wanted,
    /// The token of a time-stamp service, DER-encoded.
    Token(Vec<u8>),
}

/// The stamps of a card that are more than a time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stamps {
    /// For its Creation.
    pub creation: Stamp,
    /// For its Reception. Before that, there is no token.
    pub reception: Stamp,
}

/// A stamp that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WantedStamp {
    /// The card that it is for.
    pub card: Card,
    /// The event, which has happened.
    pub event: StampedEvent,
    /// The commitments in the log entry of the acceptance.
    pub commitments: Vec<Commitment>,
}

impl Stamp {
    /// The token, if it is there.
    pub fn token(&self) -> Option<&[u8]> {
        match self {
            Self::Token(token) => Some(token),
            Self::Plain | Self::Wanted => None,
        }
    }
}

impl Stamps {
    /// Whether all are plain.
    pub fn are_plain(&self) -> bool {
        *self == Self::default()
    }

    /// Bytes of the tokens.
    pub fn bytes(&self) -> usize {
        [&self.creation, &self.reception].into_iter().filter_map(Stamp::token).map(<[u8]>::len).sum()
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("Plain"),
            Self::Wanted => f.write_str("Wanted"),
            Self::Token(token) => write!(f, "Token({} bytes)", token.len()),
        }
    }
}
