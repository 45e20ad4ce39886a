//! Certificates of accepted deliveries that have to be looked at again.

use std::fmt;

use rohrpost_audit::Leaf;
use time::OffsetDateTime;

use crate::delivery::Card;

/// When to look again, at what.
#[derive(Clone, PartialEq, Eq)]
pub struct Recheck {
    /// Not before.
    pub due: OffsetDateTime,
    /// Not after: what is not known by then stays unknown.
    pub until: OffsetDateTime,
    /// The certificates, in a form that only their giver has to understand.
    pub certificates: Vec<u8>,
}

/// A card whose certificates are due to be looked at again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DueRecheck {
    /// The card.
    pub card: Card,
    /// What was asked for.
    pub recheck: Recheck,
}

/// What came of looking again.
#[derive(Debug, Clone, Default)]
pub struct Amendment {
    /// The new `Inspection` elements of the card with an entry for the log, of which the store fills in event, time and message
    /// id; nothing if the card stays as it is.
    pub inspections: Option<(String, Leaf)>,
    /// What is still to be looked at; nothing if this is over.
    pub again: Option<Recheck>,
}

impl fmt::Debug for Recheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recheck").field("due", &self.due).field("until", &self.until).finish_non_exhaustive()
    }
}
