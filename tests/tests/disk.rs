//! A store on a disk that fails: at every operation, in every way, and then ends in every way.
#![allow(clippy::unwrap_used, reason = "a failing helper fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration as Wait;

use rohrpost_audit::{Event, Leaf, LogSigner, SigningKey, verify_export};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::source::{ReadAt as _, read_range};
use rohrpost_store::disk::Pace;
use rohrpost_store::{
    AcceptError, BodySource, CardRule, Delivery, FetchRule, Fingerprint, Retention, SqliteOptions, SqliteStore,
    StorageError, Store,
};
use rohrpost_tests::disk::{DIRECTORY, Fault, SimulatedDisk};
use time::{Duration, OffsetDateTime};

const SLOW: Fault = Fault::SlowSync(Wait::from_secs(3));

fn signer() -> LogSigner {
    LogSigner::new("log.example", SigningKey::from_seed(&[7; 32])).unwrap()
}

fn open(disk: &SimulatedDisk) -> Result<SqliteStore, StorageError> {
    SqliteStore::open_on(disk.platform(), DIRECTORY.as_ref(), signer(), SqliteOptions::default())
}

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::seconds(seconds)
}

fn id(name: &str) -> MessageId {
    MessageId::new(name).unwrap()
}

fn mailbox() -> Fingerprint {
    Fingerprint::of_der(b"bob")
}

/// Belongs to no other delivery; large if the name says so.
fn content(name: &str) -> Vec<u8> {
    name.bytes().cycle().take(if name.starts_with("large") { 70_000 } else { 300 }).collect()
}

/// Stores a delivery; if its name says so, from a spool file.
fn accept(store: &SqliteStore, name: &str) -> Result<(), AcceptError> {
    let body = if name.ends_with("spool") {
        let mut file = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
        file.write_all(&content(name)).unwrap();
        BodySource::File(file.into_temp_path())
    } else {
        BodySource::Inline(content(name))
    };
    store.accept(Delivery::new(id(name), mailbox(), at(0), body))
}

/// What must be, what must not be, and what may be.
#[derive(Default)]
struct Known {
    stored: BTreeSet<String>,
    refused: BTreeSet<String>,
    received: BTreeSet<String>,
    /// Ended without a certain answer.
    open: BTreeSet<String>,
    /// Body removed, or perhaps.
    removed: bool,
}

impl Known {
    fn note(&mut self, name: &str, result: &Result<(), AcceptError>, alive: bool) {
        let names = match result {
            Ok(()) if alive => &mut self.stored,
            Err(AcceptError::Storage(StorageError::Stopped)) => &mut self.open,
            Err(_) if alive => &mut self.refused,
            _ => &mut self.open,
        };
        names.insert(name.to_owned());
    }
}

/// Some of everything a store does. After an error it ends, or goes on: on the same store, unless that says that it cannot.
fn work(disk: &SimulatedDisk, mut store: SqliteStore, ending: Ending) -> Known {
    let mut known = Known::default();
    for round in 0..2 {
        for name in ["a", "large-b", "c", "large-d"] {
            let name = &format!("{name}-{round}{}", if name == "large-d" { "-spool" } else { "" });
            let result = accept(&store, name);
            known.note(name, &result, !disk.is_stopped());
            if result.is_err() && !matches!(ending, Ending::Closed) {
                return known;
            }
            store = match go_on(disk, store) {
                Some(store) => store,
                None => return known,
            };
        }
        let first = format!("a-{round}");
        let _ = store.mark_forwarded(&id(&first), at(1));
        let received = store.mark_received(&[id(&first), id("nobody")], at(2));
        match received {
            Ok(count) if !disk.is_stopped() && known.stored.contains(&first) => {
                assert_eq!(count, 1);
                known.received.insert(first.clone());
            }
            _ => drop(known.open.insert(format!("received {first}"))),
        }
        let again = accept(&store, &first);
        assert!(!known.stored.contains(&first) || again.is_err(), "stored twice");
        if !known.stored.contains(&first) {
            known.refused.remove(&first);
            known.note(&first, &again, !disk.is_stopped());
        }
        store = match go_on(disk, store) {
            Some(store) => store,
            None => return known,
        };
    }
    let rules = Retention { received_bodies: Some(Duration::hours(1)), ..Retention::default() };
    known.removed = true;
    let _ = store.retention(at(100_000), &rules);
    known
}

/// After a fault that is over: the store goes on, or says that it cannot and does after it was opened again.
fn go_on(disk: &SimulatedDisk, store: SqliteStore) -> Option<SqliteStore> {
    if disk.is_stopped() {
        return None;
    }
    match disk.undisturbed(|| store.stats()) {
        Ok(_) => Some(store),
        Err(StorageError::Stopped) => {
            drop(store);
            disk.undisturbed(|| open(disk))
                .map_or_else(|error| panic!("it does not open again: {}", chain(&error)), Some)
        }
        Err(error) => panic!("neither goes on nor says so: {}", chain(&error)),
    }
}

fn chain(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {}", chain(cause)))
}

/// A store in which something was stored before and received.
fn prepared(seed: u64) -> SimulatedDisk {
    let disk = SimulatedDisk::new(seed);
    let store = open(&disk).unwrap();
    accept(&store, "old").unwrap();
    accept(&store, "large-old").unwrap();
    store.mark_received(&[id("large-old")], at(1)).unwrap();
    disk
}

/// Compares what is there with what was told.
fn check(disk: &SimulatedDisk, known: &Known, log: &Path) -> Result<(), String> {
    let store = open(disk).map_err(|error| format!("it does not open: {}", chain(&error)))?;
    let missing = &store.recovery().missing;
    if !missing.is_empty() {
        return Err(format!("bodies are missing: {missing:?}"));
    }
    let cards = store.cards(&mailbox(), &CardRule::ALL, usize::MAX).unwrap().cards;
    let cards: BTreeMap<&str, _> = cards.iter().map(|card| (card.message_id.as_str(), card)).collect();
    for name in known.stored.iter().map(String::as_str).chain(["old", "large-old"]) {
        let card = cards.get(name).ok_or_else(|| format!("{name} is lost"))?;
        if known.received.contains(name) && card.received.is_none() {
            return Err(format!("the reception of {name} is lost"));
        }
    }
    let mut files = 0;
    for (name, card) in &cards {
        if known.refused.contains(*name) {
            return Err(format!("{name} was refused and is stored"));
        }
        let found = store.next_delivery(&mailbox(), FetchRule::ById(&card.message_id));
        let found = found.map_err(|error| format!("{name} cannot be read: {}", chain(&error)))?;
        match found {
            Some(found) if read_range(&found.body, 0..found.body.len()).unwrap() == content(name) => {
                files += usize::from(found.body.len() > 65_536);
            }
            Some(_) => return Err(format!("{name} has another body")),
            None if known.removed && card.received.is_some() => {}
            None => return Err(format!("the body of {name} is lost")),
        }
    }
    let found = disk.files_below(&Path::new(DIRECTORY).join("bodies"));
    if found.len() != files {
        return Err(format!("{} files for {files} bodies", found.len()));
    }
    let count = |event| leaves(&store, log).iter().filter(|leaf| leaf.event == event).count();
    let received = cards.values().filter(|card| card.received.is_some()).count();
    if (count(Event::Accepted), count(Event::Received)) != (cards.len(), received) {
        return Err("log and cards disagree".to_owned());
    }
    let waiting = store.stats().unwrap().waiting as usize;
    if waiting != cards.len() - received {
        return Err(format!("{waiting} are counted as waiting"));
    }
    accept(&store, "afterwards").map_err(|error| format!("it takes nothing more: {}", chain(&error)))
}

fn leaves(store: &SqliteStore, log: &Path) -> Vec<Leaf> {
    store.export_audit(log, &mut |_, _| {}).unwrap();
    let report = verify_export(log, signer().verifier()).unwrap();
    assert_eq!(report.problems, []);
    let bundle = std::fs::read(log.join(format!("tile/entries/000.p/{}", report.size))).unwrap();
    let (mut leaves, mut rest) = (Vec::new(), bundle.as_slice());
    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
        let (record, tail) = tail.split_at(u16::from_be_bytes(*length).into());
        leaves.push(Leaf::parse(record).unwrap());
        rest = tail;
    }
    leaves
}

/// How a run ends when the fault itself has not ended it.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Closed,
    Killed,
    PowerCut,
}

/// One run: the fault at the `nth` operation it can hit. Says whether there was one.
fn run(start: &SimulatedDisk, fault: Fault, nth: u64, ending: Ending) -> Result<bool, String> {
    let log = tempfile::tempdir_in("/dev/shm").unwrap();
    let disk = start.copy(nth);
    disk.fail(nth, fault);
    let known = match open(&disk) {
        Ok(store) => work(&disk, store, ending),
        Err(StorageError::Io { .. } | StorageError::Database { .. }) => Known::default(),
        Err(error) => return Err(format!("not a failure of the disk: {}", chain(&error))),
    };
    let happened = !disk.spare();
    match ending {
        Ending::Killed => disk.stop(Fault::Kill),
        Ending::PowerCut => disk.stop(Fault::PowerCut),
        Ending::Closed => {}
    }
    if disk.is_stopped() {
        disk.restart();
    }
    check(&disk, &known, log.path()).map(|()| happened)
}

/// Every operation, or every so many-eth of them, each ending beginning with another one; `ROHRPOST_DISK=all` leaves out none.
fn everywhere(fault: Fault, step: usize) {
    let start = prepared(0);
    let step = if std::env::var("ROHRPOST_DISK").is_ok_and(|value| value == "all") { 1 } else { step };
    for (first, ending) in [Ending::Closed, Ending::Killed, Ending::PowerCut].into_iter().enumerate() {
        for nth in (first as u64 % step as u64..).step_by(step) {
            match run(&start, fault, nth, ending) {
                Ok(true) => {}
                Ok(false) => {
                    assert!(nth > 10, "{fault:?} hits next to nothing");
                    break;
                }
                Err(reason) => panic!("{fault:?} at operation {nth}, then {ending:?}: {reason}"),
            }
        }
    }
}

#[test]
fn no_space() {
    everywhere(Fault::NoSpace, 4);
}

#[test]
fn failing_changes() {
    everywhere(Fault::Io, 3);
}

#[test]
fn failing_reads() {
    everywhere(Fault::ReadIo, 31);
}

#[test]
fn short_writes() {
    everywhere(Fault::ShortWrite, 3);
}

#[test]
fn failing_syncs() {
    everywhere(Fault::SyncFails, 1);
}

#[test]
fn slow_syncs() {
    everywhere(SLOW, 7);
}

#[test]
fn kills() {
    everywhere(Fault::Kill, 4);
}

#[test]
fn power_cuts() {
    everywhere(Fault::PowerCut, 3);
}

/// The first start makes folders and schema; whatever ends it, the next one makes a whole store of what is there.
#[test]
fn first_starts() {
    let starts = |fault: Fault| {
        for nth in (0..).step_by(7) {
            let disk = SimulatedDisk::new(nth);
            disk.fail(nth, fault);
            let result = open(&disk);
            if disk.spare() {
                assert!(result.is_ok());
                return;
            }
            drop(result);
            if disk.is_stopped() {
                disk.restart();
            }
            let store = open(&disk).unwrap_or_else(|error| panic!("{fault:?} at {nth}: {}", chain(&error)));
            accept(&store, "large").unwrap();
        }
    };
    thread::scope(|scope| {
        for fault in [Fault::NoSpace, Fault::Io, Fault::ShortWrite, Fault::SyncFails, Fault::Kill, Fault::PowerCut] {
            scope.spawn(move || starts(fault));
        }
    });
}

/// A first start that goes on in spite of a failure promises as much as any other: what is stored then survives a power cut.
#[test]
fn a_first_start_without_a_write_ahead_log_is_none() {
    let starts = |fault: Fault| {
        for nth in 0.. {
            let disk = SimulatedDisk::new(nth);
            disk.fail(nth, fault);
            let opened = open(&disk);
            if disk.spare() {
                return;
            }
            let Ok(store) = opened else { continue };
            for name in ["1", "2", "3"] {
                accept(&store, name).unwrap();
            }
            disk.stop(Fault::PowerCut);
            drop(store);
            disk.restart();
            let store = open(&disk).unwrap();
            for name in ["1", "2", "3"] {
                assert!(store.card(&id(name)).unwrap().is_some(), "{fault:?} at the {nth}th operation: {name} is lost");
            }
        }
    };
    thread::scope(|scope| {
        for fault in [Fault::NoSpace, Fault::Io, Fault::ReadIo, Fault::ShortWrite, Fault::SyncFails] {
            scope.spawn(move || starts(fault));
        }
    });
}

/// After a failed sync the process sees bytes that are not on the disk; if it is killed, the next one sees them too.
#[test]
fn what_a_failed_sync_left_in_sight_is_not_built_on() {
    for seed in 0..20 {
        let disk = SimulatedDisk::new(seed);
        let store = open(&disk).unwrap();
        accept(&store, "before").unwrap();
        disk.fail_often(100_000, &[Fault::SyncFails]);
        accept(&store, "failing").unwrap_err();
        disk.stop(Fault::Kill);
        drop(store);
        disk.fail_often(0, &[]);
        disk.restart();
        let store = open(&disk).unwrap();
        accept(&store, "after").unwrap();
        disk.stop(Fault::PowerCut);
        drop(store);
        disk.restart();
        let store = open(&disk).unwrap();
        for name in ["before", "after"] {
            assert!(store.card(&id(name)).unwrap().is_some(), "seed {seed}: {name} is lost");
        }
    }
}

/// What starts are counted for is that no two files ever get the same name.
#[test]
fn a_start_that_cannot_be_counted_is_none() {
    let start = SimulatedDisk::new(0);
    accept(&open(&start).unwrap(), "large-1").unwrap();
    for fault in [Fault::SyncFails, Fault::Io, Fault::NoSpace] {
        for nth in 0.. {
            let disk = start.copy(nth);
            disk.fail(nth, fault);
            let opened = open(&disk);
            if disk.spare() {
                break;
            }
            let went_on = opened.is_ok();
            if let Ok(store) = opened {
                accept(&store, "large-2").unwrap();
            }
            let store = open(&disk).unwrap();
            accept(&store, "large-3").unwrap();
            let has = |name: &str| {
                let found = store.next_delivery(&mailbox(), FetchRule::ById(&id(name))).unwrap();
                found.is_some_and(|found| read_range(&found.body, 0..found.body.len()).unwrap() == content(name))
            };
            assert!(has("large-1") && has("large-2") == went_on, "{fault:?} at the {nth}th operation");
        }
    }
}

/// A spool on another file system is copied; a crash in the midst of that leaves nothing that no start removes.
#[test]
fn a_spool_elsewhere_is_copied_and_leaves_nothing() {
    let start = prepared(1);
    for nth in 0.. {
        let disk = start.copy(nth);
        disk.set_spools_elsewhere();
        let store = open(&disk).unwrap();
        disk.fail(nth, Fault::Kill);
        let mut known = Known::default();
        known.note("large-spool", &accept(&store, "large-spool"), !disk.is_stopped());
        if disk.spare() {
            assert!(known.stored.contains("large-spool"));
            break;
        }
        drop(store);
        disk.restart();
        let log = tempfile::tempdir().unwrap();
        check(&disk, &known, log.path()).unwrap();
        assert_eq!(disk.files_below(&Path::new(DIRECTORY).join("incoming")), Vec::<String>::new());
    }
}

/// Two callers whose changes share a transaction.
struct Both(Barrier);

impl Pace for Both {
    fn queued(&self, commit: &dyn Fn()) {
        if self.0.wait().is_leader() {
            commit();
        }
    }
}

/// The second of two with the same id is refused because of the first; if that is not kept, the refusal would be the loss of both.
#[test]
fn nobody_is_refused_for_the_sake_of_what_was_not_kept() {
    let disk = prepared(1);
    let platform = disk.platform_at(Arc::new(Both(Barrier::new(2))));
    let store = SqliteStore::open_on(platform, DIRECTORY.as_ref(), signer(), SqliteOptions::default()).unwrap();
    disk.fail(0, Fault::SyncFails);
    let results = thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(|| accept(&store, "twice")));
        threads.map(|thread| thread.join().unwrap())
    });
    assert!(results.iter().all(|result| matches!(result, Err(AcceptError::Storage(_)))), "{results:?}");
}

/// A full disk is survived without a restart, as soon as there is space again.
#[test]
fn a_full_disk_is_survived() {
    let disk = prepared(1);
    let store = open(&disk).unwrap();
    disk.set_full(true);
    for name in ["a", "large-b", "large-c-spool"] {
        assert!(
            matches!(accept(&store, name), Err(AcceptError::Storage(_))),
            "{name} is taken although the disk is full"
        );
    }
    assert!(store.next_delivery(&mailbox(), FetchRule::ById(&id("large-old"))).unwrap().is_some());
    disk.set_full(false);
    for name in ["a", "large-b", "large-c-spool"] {
        accept(&store, name).unwrap_or_else(|error| panic!("{name}: {}", chain(&error)));
    }
    drop(store);
    let known = Known { stored: ["a", "large-b", "large-c-spool"].map(str::to_owned).into(), ..Known::default() };
    let log = tempfile::tempdir().unwrap();
    check(&disk, &known, log.path()).unwrap();
}
