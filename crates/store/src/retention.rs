//! How long things are kept.

use time::Duration;

/// What may be removed and when. `None` keeps for ever; the default keeps everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Bodies of received deliveries, counted from reception. The card stays.
    pub received_bodies: Option<Duration>,
    /// Deliveries nobody received, counted from acceptance. The body goes, the card stays and says expired.
    pub unreceived_bodies: Option<Duration>,
    /// Cards whose body is gone, counted from the last change of the card.
    pub cards: Option<Duration>,
    /// What comes or is fetched in chunks and nobody went on with, counted from the last use.
    pub unfinished: Option<Duration>,
    /// How long a message id that was issued but not used stays valid. The ids of removed cards are remembered that long
    /// beyond the card's own time; afterwards no valid token with such an id can exist.
    pub unused_ids: Option<Duration>,
}

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RetentionReport {
    /// Bodies of received deliveries.
    pub bodies: u64,
    /// Deliveries that expired without having been received.
    pub expired: u64,
    /// Cards.
    pub cards: u64,
    /// Remembered ids.
    pub ids: u64,
    /// Uploads, ended or not, that were forgotten.
    pub uploads: u64,
    /// Answers kept for being fetched in chunks.
    pub prepared: u64,
}
