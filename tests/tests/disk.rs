//! A store on a disk that fails: at every operation, in every way.
#![allow(clippy::unwrap_used, reason = "a failing helper fails the test")]

use rohrpost_audit::{LogSigner, SigningKey};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::source::{ReadAt as _, read_range};
use rohrpost_store::{BodySource, Delivery, FetchRule, Fingerprint, SqliteOptions, SqliteStore, StorageError, Store};
use rohrpost_tests::disk::{DIRECTORY, Fault, SimulatedDisk};
use time::OffsetDateTime;

fn open(disk: &SimulatedDisk) -> Result<SqliteStore, StorageError> {
    let signer = LogSigner::new("log.example", SigningKey::from_seed(&[7; 32])).unwrap();
    SqliteStore::open_on(disk.platform(), DIRECTORY.as_ref(), signer, SqliteOptions::default())
}

fn mailbox() -> Fingerprint {
    Fingerprint::of_der(b"bob")
}

/// A body that is a file and belongs to no other delivery.
fn large(name: &str) -> Vec<u8> {
    name.bytes().cycle().take(70_000).collect()
}

fn accept(store: &SqliteStore, name: &str) {
    let body = BodySource::Inline(large(name));
    let delivery = Delivery::new(MessageId::new(name).unwrap(), mailbox(), OffsetDateTime::UNIX_EPOCH, body);
    store.accept(delivery).unwrap();
}

fn has(store: &SqliteStore, name: &str) -> bool {
    let found = store.next_delivery(&mailbox(), FetchRule::ById(&MessageId::new(name).unwrap()));
    found.unwrap().is_some_and(|found| read_range(&found.body, 0..found.body.len()).unwrap() == large(name))
}

/// What starts are counted for is that no two files ever get the same name.
#[test]
fn a_start_that_cannot_be_counted_is_none() {
    for fault in [Fault::SyncFails, Fault::Io, Fault::NoSpace] {
        for nth in 0.. {
            let disk = SimulatedDisk::new(nth);
            accept(&open(&disk).unwrap(), "first");
            disk.fail(nth, fault);
            let opened = open(&disk);
            if disk.spare() {
                break;
            }
            let went_on = opened.is_ok();
            if let Ok(store) = opened {
                accept(&store, "second");
            }
            let store = open(&disk).unwrap();
            accept(&store, "third");
            assert!(has(&store, "first") && has(&store, "second") == went_on, "{fault:?} at the {nth}th operation");
        }
    }
}
