//! Whatever is done to an export, its verification notices.

#![allow(clippy::unwrap_used, reason = "a failing helper fails the test")]

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;
use rohrpost_audit::{
    Checkpoint, Event, Frontier, Hash, HashReader, Leaf, LogReader, LogSigner, Problem, export, verify_export,
    verify_export_since,
};
use rohrpost_crypto::ed25519::SigningKey;
use time::{Duration, OffsetDateTime};

const START: OffsetDateTime = time::macros::datetime!(2024-05-01 10:00 UTC);

/// A log in memory.
#[derive(Default, Clone)]
struct Log {
    records: Vec<Vec<u8>>,
    levels: [Vec<Hash>; 3],
    tree: Frontier,
}

impl Log {
    fn of(records: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut log = Self::default();
        for record in records {
            let hash = Hash::of_leaf(&record);
            log.levels[0].push(hash);
            for node in log.tree.append(hash) {
                log.levels[usize::from(node.level)].push(node.hash);
            }
            log.records.push(record);
        }
        log
    }

    fn with_leaves(size: usize) -> Self {
        Self::of((0..size).map(record))
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint { origin: "log.example".into(), size: self.tree.size(), root: self.tree.root() }
    }

    fn export_to(&self, dir: &Path) {
        let note = self.checkpoint().sign(&signer());
        export(self, &note, dir, &mut |_, _| {}).unwrap();
    }
}

impl HashReader for Log {
    type Error = Infallible;
    fn hashes(&self, level: u8, start: u64, count: usize) -> Result<Vec<Hash>, Infallible> {
        Ok(self.levels[usize::from(level)][start as usize..start as usize + count].to_vec())
    }
}

impl LogReader for Log {
    fn records(&self, start: u64, count: usize) -> Result<Vec<Vec<u8>>, Infallible> {
        Ok(self.records[start as usize..start as usize + count].to_vec())
    }
}

fn record(number: usize) -> Vec<u8> {
    let mut leaf = Leaf::new(START + Duration::seconds(number as i64), Event::Accepted);
    leaf.message_id = Some(format!("id-{number}"));
    leaf.to_bytes()
}

fn signer() -> LogSigner {
    LogSigner::new("log.example", SigningKey::from_seed(&[3; 32])).unwrap()
}

fn problems(dir: &Path) -> Vec<Problem> {
    verify_export(dir, signer().verifier()).unwrap().problems
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// Puts the tiles and entries of a forged log beside the checkpoint of the true one: the forger has everything but the key.
fn forge(true_log: &Log, forged: &Log) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    forged.export_to(dir.path());
    fs::write(dir.path().join("checkpoint"), true_log.checkpoint().sign(&signer())).unwrap();
    dir
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn an_untouched_export_is_good(size in 0_usize..700, earlier in any::<Index>()) {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::with_leaves(size);
        let earlier = earlier.index(size + 1);
        Log::of(log.records[..earlier].to_vec()).export_to(dir.path());
        log.export_to(dir.path());
        let report = verify_export(dir.path(), signer().verifier()).unwrap();
        prop_assert!(report.is_good(), "{:?}", report);
        prop_assert_eq!(report.size, size as u64);
        let range = size.checked_sub(1).map(|last| (START, START + Duration::seconds(last as i64)));
        prop_assert_eq!(report.time_range, range);
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed(size in 1_usize..700, file in any::<Index>(), byte in any::<Index>(), bit in 0..8) {
        let dir = tempfile::tempdir().unwrap();
        Log::with_leaves(size).export_to(dir.path());
        let file = file.get(&files(dir.path())).clone();
        let mut bytes = fs::read(&file).unwrap();
        bytes[byte.index(fs::metadata(&file).unwrap().len() as usize)] ^= 1_u8 << bit;
        fs::write(&file, bytes).unwrap();
        prop_assert!(!problems(dir.path()).is_empty());
    }

    #[test]
    fn a_missing_shortened_or_extended_file_is_noticed(size in 1_usize..700, file in any::<Index>(), cut in any::<Index>(), how in 0..4) {
        let dir = tempfile::tempdir().unwrap();
        Log::with_leaves(size).export_to(dir.path());
        let file = file.get(&files(dir.path())).clone();
        let mut bytes = fs::read(&file).unwrap();
        match how {
            0 => fs::remove_file(&file).unwrap(),
            1 => { bytes.truncate(cut.index(bytes.len())); fs::write(&file, bytes).unwrap(); }
            2 => { bytes.push(0); fs::write(&file, bytes).unwrap(); }
            _ => fs::rename(&file, file.with_extension("moved")).unwrap(),
        }
        prop_assert!(!problems(dir.path()).is_empty());
    }

    #[test]
    fn a_changed_leaf_is_noticed_even_with_all_tiles_made_anew(size in 1_usize..700, at in any::<Index>()) {
        let log = Log::with_leaves(size);
        let mut records = log.records.clone();
        records[at.index(size)] = record(100_000);
        prop_assert!(!problems(forge(&log, &Log::of(records)).path()).is_empty());
    }

    #[test]
    fn a_removed_leaf_is_noticed(size in 1_usize..700, at in any::<Index>()) {
        let log = Log::with_leaves(size);
        let mut records = log.records.clone();
        records.remove(at.index(size));
        prop_assert!(!problems(forge(&log, &Log::of(records)).path()).is_empty());
    }

    #[test]
    fn an_inserted_leaf_is_noticed(size in 1_usize..700, at in any::<Index>()) {
        let log = Log::with_leaves(size);
        let mut records = log.records.clone();
        records.insert(at.index(size + 1), record(100_000));
        prop_assert!(!problems(forge(&log, &Log::of(records)).path()).is_empty());
    }

    #[test]
    fn reordered_leaves_are_noticed(size in 2_usize..700, a in any::<Index>(), b in any::<Index>()) {
        let log = Log::with_leaves(size);
        let (a, b) = (a.index(size), b.index(size));
        prop_assume!(a != b);
        let mut records = log.records.clone();
        records.swap(a, b);
        prop_assert!(!problems(forge(&log, &Log::of(records)).path()).is_empty());
    }

    #[test]
    fn a_truncated_log_is_noticed(size in 1_usize..700, keep in any::<Index>()) {
        let log = Log::with_leaves(size);
        let shorter = Log::of(log.records[..keep.index(size)].to_vec());
        // The tail is cut from the files only.
        prop_assert!(!problems(forge(&log, &shorter).path()).is_empty());
        // The files are complete, but an older checkpoint, honestly signed once, is put back.
        prop_assert!(!problems(forge(&shorter, &log).path()).is_empty());
        // Files and checkpoint are an honest older export: only who has seen more can tell.
        let older = forge(&shorter, &shorter);
        prop_assert_eq!(problems(older.path()), []);
        let report = verify_export_since(older.path(), signer().verifier(), &[log.checkpoint()], &mut |_, _| {}).unwrap();
        let expected = Problem::Shortened { known: size as u64, found: shorter.records.len() as u64 };
        prop_assert_eq!(report.problems, [expected]);
    }

    #[test]
    fn history_signed_anew_is_noticed_by_who_has_seen_it(size in 1_usize..700, seen in any::<Index>(), at in any::<Index>()) {
        let log = Log::with_leaves(size);
        let seen = 1 + seen.index(size);
        let earlier = Log::of(log.records[..seen].to_vec()).checkpoint();
        let mut records = log.records.clone();
        records[at.index(seen)] = record(100_000);
        let dir = tempfile::tempdir().unwrap();
        Log::of(records).export_to(dir.path());
        prop_assert_eq!(problems(dir.path()), []);
        let report = verify_export_since(dir.path(), signer().verifier(), &[earlier], &mut |_, _| {}).unwrap();
        prop_assert_eq!(report.problems, [Problem::Rewritten(seen as u64)]);
    }
}

#[test]
fn a_known_checkpoint_that_fits_is_no_problem() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::with_leaves(600);
    log.export_to(dir.path());
    let known: Vec<_> =
        [0, 1, 255, 256, 599, 600].map(|size| Log::of(log.records[..size].to_vec()).checkpoint()).into();
    let report = verify_export_since(dir.path(), signer().verifier(), &known, &mut |_, _| {}).unwrap();
    assert_eq!(report.problems, []);
}

#[test]
fn strangers_in_the_folder_of_tiles_are_noticed() {
    for path in
        ["tile/entries/001.p/1", "tile/0/000.p/5", "tile/0/000", "tile/1/000.p/1", "tile/x", "tile/entries/000.p/2x"]
    {
        let dir = tempfile::tempdir().unwrap();
        Log::with_leaves(4).export_to(dir.path());
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x").unwrap();
        assert_eq!(problems(dir.path()).len(), 1, "{}", path.display());
    }
    // A partial tile of an earlier size may be left over, but not lie.
    let dir = tempfile::tempdir().unwrap();
    Log::with_leaves(4).export_to(dir.path());
    let tile = fs::read(dir.path().join("tile/0/000.p/4")).unwrap();
    fs::write(dir.path().join("tile/0/000.p/2"), &tile[..64]).unwrap();
    assert_eq!(problems(dir.path()), []);
    fs::write(dir.path().join("tile/0/000.p/2"), &tile[32..96]).unwrap();
    assert_eq!(problems(dir.path()), [Problem::Changed("tile/0/000.p/2".into())]);
}

#[test]
fn other_keys_and_missing_folders() {
    let dir = tempfile::tempdir().unwrap();
    let other = LogSigner::new("log.example", SigningKey::from_seed(&[4; 32])).unwrap();
    Log::with_leaves(4).export_to(dir.path());
    let report = verify_export(dir.path(), other.verifier()).unwrap();
    assert!(matches!(report.problems[..], [Problem::Checkpoint(_)]));
    assert!(verify_export(&dir.path().join("nowhere"), other.verifier()).is_err());
    fs::remove_file(dir.path().join("checkpoint")).unwrap();
    assert!(matches!(problems(dir.path())[..], [Problem::Checkpoint(_)]));
}
