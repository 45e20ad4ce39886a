//! What clients did and saw, and what follows from it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard};

use rohrpost_client::Stored;
use rohrpost_osci::card::{ProcessCard, ProcessCardBundle, Timestamp};
use rohrpost_tests::load::{Parcel, now};
use time::OffsetDateTime;

/// All deliveries, by message id.
#[derive(Default)]
pub struct Ledger(Mutex<BTreeMap<String, Entry>>);

/// One delivery.
#[derive(Clone)]
pub struct Entry {
    pub parcel: Parcel,
    /// Number of the mailbox.
    pub to: usize,
    /// Before it was sent for the first time.
    asked: OffsetDateTime,
    /// When its sender knew that it is stored.
    pub acknowledged: Option<OffsetDateTime>,
    /// Whether the first thing its sender learnt was that it had been stored before.
    repeated: bool,
    /// How often it was handed out to a client that took the whole answer.
    pub handed_out: u32,
    pub received: Received,
    /// What cards said so far.
    pub seen: Stamps,
}

/// Whether the intermediary must have noted that a delivery was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Received {
    /// Nobody ever sent a further request in a dialog in which it was handed out.
    No,
    /// Somebody did, and never got an answer.
    Perhaps,
    /// Somebody did, and got one.
    Yes,
}

/// Times on a card.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamps {
    pub created: Option<OffsetDateTime>,
    pub forwarded: Option<OffsetDateTime>,
    pub received: Option<OffsetDateTime>,
    pub modified: Option<OffsetDateTime>,
}

impl Stamps {
    pub fn of(card: &ProcessCard) -> Self {
        let at = |stamp: &Option<Timestamp>| match stamp {
            Some(Timestamp::Plain(time)) => Some(time.at()),
            Some(other) => panic!("an unexpected kind of time stamp: {other:?}"),
            None => None,
        };
        Self {
            created: at(&card.creation),
            forwarded: at(&card.forwarding),
            received: at(&card.reception),
            modified: Some(card.recent_modification.at()),
        }
    }

    /// Whether a card with these stamps can have become one with `later`.
    fn can_become(&self, later: &Self) -> bool {
        let keeps = |earlier: Option<OffsetDateTime>, later| earlier.is_none() || earlier == later;
        keeps(self.created, later.created)
            && keeps(self.forwarded, later.forwarded)
            && keeps(self.received, later.received)
            && self.modified <= later.modified
    }

    fn is_in_order(&self) -> bool {
        let known: Vec<_> = [self.created, self.forwarded, self.received].into_iter().flatten().collect();
        self.created.is_some() && known.is_sorted() && known.last().copied() <= self.modified
    }
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.0.lock().unwrap()
    }

    pub fn entries(&self) -> BTreeMap<String, Entry> {
        self.lock().clone()
    }

    pub fn entry(&self, id: &str) -> Entry {
        self.lock().get(id).unwrap_or_else(|| panic!("nobody ever sent {id}")).clone()
    }

    /// Number of deliveries whose senders know that they are stored.
    pub fn stored(&self) -> usize {
        self.lock().values().filter(|entry| entry.acknowledged.is_some()).count()
    }

    /// Bytes of everything that was ever sent, with room for what messages have around them.
    pub fn bytes_sent(&self) -> u64 {
        self.lock().values().map(|entry| entry.parcel.data * 2 + entry.parcel.attachment.unwrap_or(0) + 64 * 1024).sum()
    }

    /// Somebody is about to send it.
    pub fn send(&self, id: &str, parcel: Parcel, to: usize) {
        let entry = Entry {
            parcel,
            to,
            asked: whole_milliseconds(now()),
            acknowledged: None,
            repeated: false,
            handed_out: 0,
            received: Received::No,
            seen: Stamps::default(),
        };
        assert!(self.lock().insert(id.to_owned(), entry).is_none(), "the id {id} was issued twice");
    }

    /// Its sender was told that it is stored.
    pub fn acknowledge(&self, id: &str, stored: &Stored, before: &Stamps) {
        let card = stored.card.as_ref().expect("who stores gets a card");
        self.see(id, card, before);
        let mut entries = self.lock();
        let entry = entries.get_mut(id).unwrap();
        entry.repeated |= stored.repeated && entry.acknowledged.is_none();
        entry.acknowledged.get_or_insert_with(now);
    }

    /// A card was seen by a request that began when `before` was known.
    pub fn see(&self, id: &str, card: &ProcessCardBundle, before: &Stamps) {
        let at = now();
        let stamps = Stamps::of(&card.card);
        let mut entries = self.lock();
        let entry = entries.get_mut(id).unwrap_or_else(|| panic!("nobody ever sent {id}"));
        assert_eq!(card.card.subject, Some(entry.parcel.subject()));
        assert!(before.can_become(&stamps), "the card of {id} was {before:?} and is {stamps:?}");
        assert!(stamps.is_in_order(), "{id}: {stamps:?}");
        assert!(stamps.created >= Some(entry.asked), "{id} was accepted before it was sent");
        assert!(stamps.modified <= Some(at), "the card of {id} is of the future");
        assert!(entry.acknowledged.is_none_or(|at| stamps.created <= Some(at)), "{id}: created after acknowledgement");
        // Others may have seen a later state meanwhile.
        if entry.seen.can_become(&stamps) {
            entry.seen = stamps;
        } else {
            assert!(stamps.can_become(&entry.seen), "{id}: {stamps:?} and {:?} exclude each other", entry.seen);
        }
    }

    /// It was handed out; `fresh` if only what was not received may be handed out.
    pub fn hand_out(&self, id: &str, fresh: bool) {
        let mut entries = self.lock();
        let entry = entries.get_mut(id).unwrap();
        assert!(!fresh || entry.received != Received::Yes, "{id} was received and is handed out as new");
        entry.handed_out += 1;
    }

    /// A further request was sent in the dialog that it was handed out in.
    pub fn receive(&self, id: &str, certainty: Received) {
        let mut entries = self.lock();
        let entry = entries.get_mut(id).unwrap();
        entry.received = entry.received.max(certainty);
    }
}

/// Figures of a run.
impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.lock();
        let count = |test: fn(&Entry) -> bool| entries.values().filter(|entry| test(entry)).count();
        write!(
            f,
            "{} deliveries ({} large), {} stored by a try whose answer was lost, {} handed out twice, {} perhaps received",
            entries.len(),
            count(|entry| entry.parcel.is_large()),
            count(|entry| entry.repeated),
            count(|entry| entry.handed_out > 1),
            count(|entry| entry.received == Received::Perhaps),
        )
    }
}

fn whole_milliseconds(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_millisecond(time.millisecond()).unwrap()
}
