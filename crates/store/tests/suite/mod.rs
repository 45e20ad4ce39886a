//! What every store must do, written against the trait. A back end runs it by naming its cases, see `sqlite.rs`.
#![allow(clippy::unwrap_used, reason = "a failing helper fails the test")]
#![allow(dead_code, reason = "not every test program uses every helper")]

pub(crate) mod cards;
pub(crate) mod chunks;
pub(crate) mod concurrency;
pub(crate) mod log;
pub(crate) mod mailbox;
pub(crate) mod outbound;
pub(crate) mod rechecks;
pub(crate) mod retention;
pub(crate) mod stamps;

use std::path::Path;
use std::sync::Arc;

use rohrpost_audit::{Event, Leaf, LogSigner, LogVerifier, Report, SigningKey, verify_export};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::source::{ReadAt, read_range};
use rohrpost_store::{BodySource, Delivery, FetchRule, Fingerprint, Store, StoredDelivery};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

pub(crate) const START: OffsetDateTime = datetime!(2024-05-01 10:00 UTC);

/// Opens a store in a folder; the second time, the same one.
pub(crate) type Open = fn(&Path) -> Arc<dyn Store>;

/// A store in a folder of its own.
pub(crate) struct Fixture {
    pub(crate) dir: tempfile::TempDir,
    open: Open,
    store: Option<Arc<dyn Store>>,
}

impl Fixture {
    pub(crate) fn new(open: Open) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Some(open(&dir.path().join("data")));
        Self { dir, open, store }
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        self.store.as_ref().unwrap()
    }

    /// Closes and opens the store.
    pub(crate) fn reopen(&mut self) {
        drop(self.store.take());
        self.store = Some((self.open)(&self.dir.path().join("data")));
    }

    /// Exports the log, demands that it is good, and gives its entries.
    pub(crate) fn log(&self) -> Vec<Leaf> {
        let (report, leaves) = exported(self.store().as_ref(), &self.dir.path().join("log"));
        assert_eq!(report.problems, []);
        assert_eq!(report.size, leaves.len() as u64);
        leaves
    }

    pub(crate) fn events(&self) -> Vec<(Event, String)> {
        self.log().into_iter().map(|leaf| (leaf.event, leaf.message_id.unwrap_or_default())).collect()
    }
}

pub(crate) fn signer() -> LogSigner {
    LogSigner::new("log.example", SigningKey::from_seed(&[7; 32])).unwrap()
}

pub(crate) fn verifier() -> LogVerifier {
    signer().verifier().clone()
}

/// Exports, verifies and reads back.
pub(crate) fn exported(store: &dyn Store, dir: &Path) -> (Report, Vec<Leaf>) {
    store.export_audit(dir, &mut |_, _| {}).unwrap();
    let report = verify_export(dir, &verifier()).unwrap();
    let mut leaves = Vec::new();
    for number in 0..report.size.div_ceil(256) {
        let full = dir.join(format!("tile/entries/{number:03}"));
        let path =
            if full.exists() { full } else { dir.join(format!("tile/entries/{number:03}.p/{}", report.size % 256)) };
        let bundle = std::fs::read(path).unwrap();
        let mut rest = bundle.as_slice();
        while let Some((length, tail)) = rest.split_first_chunk::<2>() {
            let (record, tail) = tail.split_at(u16::from_be_bytes(*length).into());
            leaves.push(Leaf::parse(record).unwrap());
            rest = tail;
        }
    }
    (report, leaves)
}

pub(crate) fn id(text: impl Into<String>) -> MessageId {
    MessageId::new(text).unwrap()
}

/// Time in seconds after the start.
pub(crate) fn at(seconds: i64) -> OffsetDateTime {
    START + Duration::seconds(seconds)
}

/// A person, known by the fingerprint of a certificate.
pub(crate) fn person(name: &str) -> Fingerprint {
    Fingerprint::of_der(name.as_bytes())
}

/// A small delivery from alice to bob.
pub(crate) fn delivery(message_id: &str, seconds: i64) -> Delivery {
    let body = format!("body of {message_id}").into_bytes();
    let mut delivery = Delivery::new(id(message_id), person("bob"), at(seconds), BodySource::Inline(body));
    delivery.originator = Some(person("alice"));
    delivery.subject = Some(format!("subject of {message_id}"));
    delivery
}

pub(crate) fn accept(fixture: &Fixture, message_id: &str, seconds: i64) {
    fixture.store().accept(delivery(message_id, seconds)).unwrap();
}

pub(crate) fn body(delivery: &StoredDelivery) -> Vec<u8> {
    read_range(delivery.body.as_ref(), 0..delivery.body.len()).unwrap()
}

/// Fetches for bob and names what came, and whether more waits.
pub(crate) fn fetch(fixture: &Fixture, rule: FetchRule<'_>) -> Option<(String, bool)> {
    let found = fixture.store().next_delivery(&person("bob"), rule).unwrap()?;
    let name = found.card.message_id.as_str().to_owned();
    assert_eq!(body(&found).len() as u64, found.body.len());
    Some((name, found.more))
}

pub(crate) const OLDEST: FetchRule<'static> = FetchRule::Oldest { not_in: &[] };

pub(crate) fn some(name: &str, more: bool) -> Option<(String, bool)> {
    Some((name.to_owned(), more))
}
