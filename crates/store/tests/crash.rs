//! A killed process and a torn write-ahead log lose nothing that was acknowledged and leave nothing half done.
#![allow(clippy::unwrap_used, reason = "a failing helper fails the test")]

mod suite;

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration as Wait;

use proptest::prelude::*;
use rohrpost_audit::Event;
use rohrpost_store::{AcceptError, BodySource, CardRule, FetchRule, SqliteOptions, SqliteStore, Store};
use suite::{at, body, delivery, exported, id, person, signer};

const CHILD: &str = "ROHRPOST_CRASH_TEST_DIR";
const ROUND: &str = "ROHRPOST_CRASH_TEST_ROUND";
const KILLS: u64 = 10;

fn open(dir: &Path) -> SqliteStore {
    SqliteStore::open(dir, signer(), SqliteOptions::default()).unwrap()
}

/// Every third body is a file. The content follows from the id, so that mixing up would show.
fn bytes_of(name: &str) -> Vec<u8> {
    let number: usize = name.rsplit('-').next().unwrap().parse().unwrap();
    let size = if number.is_multiple_of(3) { 70_000 } else { 100 };
    name.bytes().cycle().take(size).collect()
}

fn accept(store: &SqliteStore, name: &str) -> Result<(), AcceptError> {
    let mut given = delivery(name, 0);
    let mut file = tempfile::NamedTempFile::new_in(store.incoming()).unwrap();
    file.write_all(&bytes_of(name)).unwrap();
    given.body = BodySource::File(file.into_temp_path());
    store.accept(given)
}

/// Not a test by itself: what the child process of the next test does until it is killed.
#[test]
fn child() {
    let (Some(dir), Some(round)) = (std::env::var_os(CHILD), std::env::var_os(ROUND)) else { return };
    let (store, round) = (open(Path::new(&dir)), round.into_string().unwrap());
    let say = |line: String| std::io::stdout().write_all(line.as_bytes()).unwrap();
    let (store, round, say) = (&store, &round, &say);
    let next = &AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(move || {
                loop {
                    let name = format!("m-{round}-{}", next.fetch_add(1, Ordering::Relaxed));
                    accept(store, &name).unwrap();
                    say(format!("accepted {name}\n"));
                    if name.ends_with('4') {
                        store.mark_received(&[id(&*name)], at(1)).unwrap();
                        say(format!("received {name}\n"));
                    }
                }
            });
        }
    });
}

#[test]
fn a_killed_process_loses_nothing_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (mut accepted, mut received) = (BTreeSet::new(), HashSet::new());
    for round in 0..KILLS {
        for line in run_and_kill(&data, round) {
            match line.split_once(' ') {
                Some(("accepted", name)) => accepted.insert(name.to_owned()),
                Some(("received", name)) => received.insert(name.to_owned()),
                _ => continue,
            };
        }
        check(&data, &dir.path().join("log"), &accepted, &received);
    }
    assert!(accepted.len() as u64 > KILLS, "the child got to work");
}

/// Starts the child, lets it acknowledge a few, kills it at a moment that differs from round to round, and returns what it
/// said.
fn run_and_kill(data: &Path, round: u64) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(CHILD, data)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    while !first.starts_with("accepted") {
        first.clear();
        assert!(output.read_line(&mut first).unwrap() > 0, "the child ended by itself");
    }
    let reader = thread::spawn(move || {
        let mut text = first;
        std::io::Read::read_to_string(&mut output, &mut text).unwrap();
        text
    });
    thread::sleep(Wait::from_micros(500 + round * 9_700));
    child.kill().unwrap();
    child.wait().unwrap();
    let text = reader.join().unwrap();
    // A last line without its end was cut by the kill.
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    complete.lines().map(str::to_owned).collect()
}

fn check(data: &Path, log: &Path, accepted: &BTreeSet<String>, received: &HashSet<String>) {
    let store = open(data);
    assert_eq!(store.recovery().missing, Vec::<String>::new());
    assert_eq!(fs::read_dir(store.incoming()).unwrap().count(), 0);
    let cards = store.cards(&person("bob"), &CardRule::ALL, usize::MAX).unwrap().cards;
    let names: HashSet<String> = cards.iter().map(|card| card.message_id.as_str().to_owned()).collect();
    assert_eq!(names.len(), cards.len(), "none is doubled");
    for name in accepted {
        assert!(names.contains(name), "{name} was acknowledged and is lost");
        assert!(matches!(accept(&store, name), Err(AcceptError::MessageIdUsed)), "a retry finds it");
    }
    let mut large = 0;
    for card in &cards {
        let found = store.next_delivery(&person("bob"), FetchRule::ById(&card.message_id)).unwrap().unwrap();
        let expected = bytes_of(card.message_id.as_str());
        assert!(body(&found) == expected);
        large += usize::from(expected.len() > 65_536);
        assert!(card.received.is_some() || !received.contains(card.message_id.as_str()));
    }
    assert_eq!(files(data), large, "no orphans");
    let (report, leaves) = exported(&store, log);
    assert_eq!(report.problems, []);
    let count = |event| leaves.iter().filter(|leaf| leaf.event == event).count();
    assert_eq!(count(Event::Accepted), cards.len());
    assert_eq!(count(Event::Received), cards.iter().filter(|card| card.received.is_some()).count());
    assert_eq!(store.stats().unwrap().waiting as usize, cards.iter().filter(|card| card.received.is_none()).count());
}

fn files(data: &Path) -> usize {
    fs::read_dir(data.join("bodies")).unwrap().map(|shard| fs::read_dir(shard.unwrap().path()).unwrap().count()).sum()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_store_that_was_never_closed_opens_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("data"));
    let mut accepted = BTreeSet::new();
    for round in 0..6 {
        for number in 0..5 {
            let name = format!("m-{round}-{number}");
            accept(&store, &name).unwrap();
            accepted.insert(name);
        }
        let snapshot = dir.path().join(format!("copy-{round}"));
        copy(&dir.path().join("data"), &snapshot);
        // What a crash between body and transaction leaves, and a spool that nobody will finish.
        fs::write(snapshot.join("bodies/ff/00000009000000ff"), "orphan").unwrap();
        fs::write(snapshot.join("incoming/spool-x"), "half").unwrap();
        check(&snapshot, &dir.path().join(format!("log-{round}")), &accepted, &HashSet::new());
    }
}

/// A store with 30 deliveries of which everything still is in the write-ahead log.
fn unfinished() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let store = open(&data);
    for number in 0..30 {
        accept(&store, &format!("m-{number}")).unwrap();
        if number % 10 == 4 {
            store.mark_received(&[id(format!("m-{number}"))], at(1)).unwrap();
        }
    }
    let copied = dir.path().join("copy");
    copy(&data, &copied);
    (dir, copied)
}

#[test]
fn a_write_ahead_log_torn_anywhere_gives_an_earlier_state() {
    let (dir, unfinished) = unfinished();
    let whole = fs::metadata(unfinished.join("rohrpost.db-wal")).unwrap().len();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(16));
    let counter = std::cell::Cell::new(0);
    runner
        .run(&(0..whole, any::<bool>()), |(position, garbage)| {
            counter.set(counter.get() + 1);
            let case = dir.path().join(format!("case-{}", counter.get()));
            copy(&unfinished, &case);
            let path = case.join("rohrpost.db-wal");
            let mut wal = fs::read(&path).unwrap();
            if garbage {
                wal[position as usize..].fill(0xA5);
            } else {
                wal.truncate(position as usize);
            }
            fs::write(&path, wal).unwrap();
            // Nothing can be demanded but that what is there is whole, and bodies of what is not there are gone.
            check(&case, &case.join("log"), &BTreeSet::new(), &HashSet::new());
            fs::remove_dir_all(&case).unwrap();
            Ok(())
        })
        .unwrap();
}
