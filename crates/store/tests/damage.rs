//! Damaged, foreign and locked stores give errors that say what is wrong, and never a panic.
#![allow(clippy::unwrap_used, reason = "a failing helper fails the test")]

mod suite;

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use rohrpost_audit::{LogSigner, Problem, SigningKey};
use rohrpost_store::{
    BodySource, CardRule, FetchRule, Retention, SqliteOptions, SqliteReader, SqliteStore, StorageError, Store,
};
use rusqlite::Connection;
use suite::{delivery, exported, id, person, signer};

fn open(dir: &Path) -> Result<SqliteStore, StorageError> {
    SqliteStore::open(dir, signer(), SqliteOptions::default())
}

fn error(dir: &Path) -> StorageError {
    match open(dir) {
        Err(error) => error,
        Ok(_) => panic!("the store opens"),
    }
}

/// A closed store with some deliveries, one of them in a file.
fn filled() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    for number in 0..20 {
        let mut given = delivery(&format!("m{number}"), number);
        if number == 7 {
            given.body = BodySource::Inline(vec![7; 100_000]);
        }
        store.accept(given).unwrap();
    }
    dir
}

fn change(dir: &Path, sql: &str) {
    let connection = Connection::open(dir.join("rohrpost.db")).unwrap();
    connection.execute_batch(sql).unwrap();
}

#[test]
fn only_the_owner_can_read_what_is_stored() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    // A folder that was there before keeps its rights, so each file has to guard itself.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let store = open(dir.path()).unwrap();
    let mut given = delivery("m", 0);
    given.body = BodySource::Inline(vec![7; 100_000]);
    store.accept(given).unwrap();
    let mut files = 0;
    let mut folders = vec![dir.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let (path, metadata) = entry.map(|entry| (entry.path(), entry.metadata().unwrap())).unwrap();
            if metadata.is_dir() {
                folders.push(path);
            } else {
                files += 1;
                assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{}", path.display());
            }
        }
    }
    assert!(files >= 5, "database, its two companions, lock and body");
}

#[test]
fn a_file_that_is_no_database() {
    for content in [b"this is no database, but a rather long text ".repeat(100), vec![0xFF; 8192]] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("rohrpost.db"), content).unwrap();
        assert!(matches!(error(dir.path()), StorageError::Corrupt(text) if text.contains("not a database")));
        assert!(matches!(SqliteReader::open(dir.path()), Err(StorageError::Corrupt(_))));
    }
}

#[test]
fn a_database_of_another_program_or_version() {
    let dir = tempfile::tempdir().unwrap();
    change(dir.path(), "CREATE TABLE letters (x)");
    assert!(matches!(error(dir.path()), StorageError::Corrupt(text) if text.contains("another program")));
    let dir = filled();
    change(dir.path(), "PRAGMA user_version = 99");
    assert!(matches!(error(dir.path()), StorageError::SchemaVersion { found: 99, .. }));
    assert!(matches!(SqliteReader::open(dir.path()), Err(StorageError::SchemaVersion { found: 99, .. })));
}

#[test]
fn only_one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    assert!(matches!(error(dir.path()), StorageError::InUse(path) if path == dir.path()));
    drop(store);
    assert!(open(dir.path()).is_ok());
}

#[test]
fn a_reader_sees_what_the_store_does() {
    let dir = tempfile::tempdir().unwrap();
    assert!(SqliteReader::open(dir.path()).is_err());
    let store = open(dir.path()).unwrap();
    let reader = SqliteReader::open(dir.path()).unwrap();
    store.accept(delivery("a", 0)).unwrap();
    assert_eq!(reader.card(&id("a")).unwrap(), store.card(&id("a")).unwrap());
    assert_eq!(reader.checkpoint().unwrap(), store.checkpoint().unwrap());
    assert_eq!(reader.prove(&id("a")).unwrap().len(), 1);
    assert_eq!(reader.stats().unwrap().waiting, 1);
    let log = dir.path().join("log");
    assert_eq!(reader.export_audit(&log, &mut |_, _| {}).unwrap().size, 1);
    drop(store);
    // The last one out cleans up; the reader can do without the writer.
    assert_eq!(SqliteReader::open(dir.path()).unwrap().stats().unwrap().log_size, 1);
}

#[test]
fn another_key_or_name() {
    let dir = filled();
    for (name, seed) in [("log.example", 8), ("other.example", 7)] {
        let signer = LogSigner::new(name, SigningKey::from_seed(&[seed; 32])).unwrap();
        let result = SqliteStore::open(dir.path(), signer, SqliteOptions::default());
        assert!(matches!(result, Err(StorageError::ForeignLog { .. })));
    }
    assert!(open(dir.path()).is_ok());
}

#[test]
fn a_log_that_was_changed_in_the_database() {
    for sql in [
        "DELETE FROM leaf WHERE seq = 19",
        "DELETE FROM leaf WHERE seq = 3",
        "UPDATE leaf SET hash = zeroblob(32) WHERE seq = 3",
        "UPDATE leaf SET seq = 20 WHERE seq = 3",
        "DELETE FROM checkpoint",
    ] {
        let dir = filled();
        change(dir.path(), sql);
        assert!(matches!(error(dir.path()), StorageError::Corrupt(_)), "{sql}");
    }
    for sql in ["UPDATE checkpoint SET note = 'x'", "UPDATE checkpoint SET note = replace(note, '20', '19')"] {
        let dir = filled();
        change(dir.path(), sql);
        assert!(matches!(error(dir.path()), StorageError::ForeignLog { .. }), "{sql}");
    }
    // The text of an entry is not read at every start; whoever verifies an export notices.
    let dir = filled();
    change(
        dir.path(),
        r#"UPDATE leaf SET record = CAST(replace(CAST(record AS TEXT), 'm3', 'm4') AS BLOB) WHERE seq = 3"#,
    );
    let (report, _) = exported(&open(dir.path()).unwrap(), &dir.path().join("log"));
    assert_eq!(report.problems, [Problem::Changed("tile/0/000.p/20".into()), Problem::RootMismatch]);
}

#[test]
fn a_missing_database_does_not_make_orphans_of_all_bodies() {
    let dir = filled();
    fs::remove_file(dir.path().join("rohrpost.db")).unwrap();
    for _ in 0..2 {
        assert!(matches!(error(dir.path()), StorageError::Corrupt(text) if text.contains("database is missing")));
    }
    assert!(dir.path().join("bodies/00").read_dir().unwrap().count() == 1);
}

#[test]
fn a_missing_or_shortened_body() {
    let dir = filled();
    let file = dir.path().join("bodies/00").read_dir().unwrap().next().unwrap().unwrap().path();
    fs::write(&file, "short").unwrap();
    let store = open(dir.path()).unwrap();
    let fetch = |name: &str| store.next_delivery(&person("bob"), FetchRule::ById(&id(name)));
    assert!(matches!(fetch("m7"), Err(StorageError::Corrupt(_))));
    assert!(fetch("m8").unwrap().is_some());
    drop(store);
    fs::remove_file(&file).unwrap();
    let store = open(dir.path()).unwrap();
    assert_eq!(store.recovery().missing.len(), 1);
    let fetch = |name: &str| store.next_delivery(&person("bob"), FetchRule::ById(&id(name)));
    assert!(matches!(fetch("m7"), Err(StorageError::Io { path, .. }) if path == file));
    assert!(fetch("m8").unwrap().is_some());
}

#[test]
fn what_retention_removes_is_gone_from_the_file() {
    let dir = filled();
    let holds = |text: &str| {
        let database = fs::read(dir.path().join("rohrpost.db")).unwrap();
        database.windows(text.len()).any(|window| window == text.as_bytes())
    };
    assert!(holds("body of m3") && holds("subject of m3"));
    let store = open(dir.path()).unwrap();
    let rules = Retention {
        unreceived_bodies: Some(time::Duration::ZERO),
        cards: Some(time::Duration::ZERO),
        ..Retention::default()
    };
    assert_eq!(store.retention(suite::at(1_000), &rules).unwrap().expired, 20);
    assert_eq!(store.retention(suite::at(2_000), &rules).unwrap().cards, 20);
    drop(store);
    assert!(!holds("body of m") && !holds("subject of m"));
    assert!(holds("\"message_id\":\"m3\""), "the log stays");
}

#[test]
fn damage_anywhere_is_an_error_or_harmless_but_never_a_panic() {
    let dir = filled();
    let original = fs::read(dir.path().join("rohrpost.db")).unwrap();
    let strategy = (0..original.len(), any::<u8>(), 1..2_000_usize);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(64));
    let noticed = std::cell::Cell::new(0);
    runner
        .run(&strategy, |(position, byte, length)| {
            let mut bytes = original.clone();
            let end = (position + length).min(bytes.len());
            bytes[position..end].fill(byte);
            fs::write(dir.path().join("rohrpost.db"), bytes).unwrap();
            let result = open(dir.path()).and_then(|store| use_everything(&store));
            if let Err(error) = result {
                noticed.set(noticed.get() + 1);
                assert!(!error.to_string().is_empty());
            }
            Ok(())
        })
        .unwrap();
    assert!(noticed.get() > 0);
    // Half a file.
    fs::write(dir.path().join("rohrpost.db"), &original[..original.len() / 2]).unwrap();
    assert!(matches!(open(dir.path()).and_then(|store| use_everything(&store)), Err(StorageError::Corrupt(_))));
}

fn use_everything(store: &SqliteStore) -> Result<(), StorageError> {
    store.stats()?;
    store.cards(&person("alice"), &CardRule::ALL, 100)?;
    for number in 0..20 {
        store.prove(&id(format!("m{number}")))?;
        store.next_delivery(&person("bob"), FetchRule::ById(&id(format!("m{number}"))))?;
    }
    let _ = store.accept(delivery("new", 100));
    store.mark_received(&[id("m1")], suite::at(100))?;
    Ok(())
}

#[test]
fn only_who_may_write_moves_the_write_ahead_log() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [dir, killed] = [0, 1].map(|at| dirs[at].path());
    let store = SqliteStore::open(dir, signer(), SqliteOptions::default()).unwrap();
    store.accept(delivery("m-1", 0)).unwrap();
    for name in ["rohrpost.db", "rohrpost.db-wal"] {
        fs::copy(dir.join(name), killed.join(name)).unwrap();
    }
    drop(store);
    assert!(!dir.join("rohrpost.db-wal").exists(), "the store leaves one file when it is closed");

    let log = fs::read(killed.join("rohrpost.db-wal")).unwrap();
    assert_eq!(SqliteReader::open(killed).unwrap().stats().unwrap().waiting, 1);
    assert_eq!(fs::read(killed.join("rohrpost.db-wal")).unwrap(), log, "reading changes nothing");
}
