//! A log made by another implementation: we verify it, and make the same bytes.
#![allow(clippy::unwrap_used, reason = "a failing helper fails the test")]

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rohrpost_audit::{
    Checkpoint, Event, Frontier, Hash, HashReader, Leaf, LogReader, LogSigner, LogVerifier, SigningKey, consistency,
    export, inclusion, verify_consistency, verify_export, verify_inclusion,
};
use time::Duration;
use time::macros::datetime;

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/tlog_tiles")
}

fn text(name: &str) -> String {
    fs::read_to_string(vectors().join(name)).unwrap()
}

/// The same log, made by us.
#[derive(Default)]
struct Ours {
    records: Vec<Vec<u8>>,
    levels: [Vec<Hash>; 2],
    tree: Frontier,
}

impl Ours {
    fn new() -> Self {
        let mut log = Self::default();
        for number in 0..300 {
            let mut leaf = Leaf::new(datetime!(2024-05-01 10:00 UTC) + Duration::seconds(number), Event::Accepted);
            leaf.count = Some(number as u64);
            log.records.push(leaf.to_bytes());
            let hash = Hash::of_leaf(&leaf.to_bytes());
            log.levels[0].push(hash);
            for node in log.tree.append(hash) {
                log.levels[usize::from(node.level)].push(node.hash);
            }
        }
        log
    }
}

impl HashReader for Ours {
    type Error = Infallible;
    fn hashes(&self, level: u8, start: u64, count: usize) -> Result<Vec<Hash>, Infallible> {
        Ok(self.levels[usize::from(level)][start as usize..start as usize + count].to_vec())
    }
}

impl LogReader for Ours {
    fn records(&self, start: u64, count: usize) -> Result<Vec<Vec<u8>>, Infallible> {
        Ok(self.records[start as usize..start as usize + count].to_vec())
    }
}

#[test]
fn their_log_is_good() {
    let verifier = LogVerifier::from_text(&text("vkey")).unwrap();
    let report = verify_export(&vectors().join("log"), &verifier).unwrap();
    assert_eq!(report.problems, []);
    assert_eq!((report.size, report.origin.as_str()), (300, "foreign.example/log"));
    assert_eq!(report.time_range, Some((datetime!(2024-05-01 10:00 UTC), datetime!(2024-05-01 10:04:59 UTC))));
}

#[test]
fn our_files_are_theirs() {
    let signer = LogSigner::new("foreign.example/log", SigningKey::from_seed(&[42; 32])).unwrap();
    assert_eq!(signer.verifier().to_string(), text("vkey"));
    let log = Ours::new();
    let checkpoint = Checkpoint { origin: "foreign.example/log".into(), size: 300, root: log.tree.root() };
    let dir = tempfile::tempdir().unwrap();
    export(&log, &checkpoint.sign(&signer), dir.path(), &mut |_, _| {}).unwrap();
    for file in
        ["checkpoint", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/44"]
    {
        let theirs = fs::read(vectors().join("log").join(file)).unwrap();
        assert!(fs::read(dir.path().join(file)).unwrap() == theirs, "{file}");
    }
}

#[test]
fn our_proofs_are_theirs() {
    let log = Ours::new();
    let root = log.tree.root();
    let mut count = 0;
    for line in text("proofs").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let number: u64 = words[1].parse().unwrap();
        let hashes: Vec<Hash> =
            words[3..].iter().map(|word| Hash::from_slice(&STANDARD.decode(word).unwrap()).unwrap()).collect();
        match words[0] {
            "inclusion" => {
                assert_eq!(inclusion(&log, number, 300).unwrap(), hashes, "{number}");
                let leaf = Hash::of_leaf(&log.records[number as usize]);
                verify_inclusion(leaf, number, 300, &root, &hashes).unwrap();
            }
            _ => {
                let (old, path) = hashes.split_first().unwrap();
                assert_eq!(consistency(&log, number, 300).unwrap(), path, "{number}");
                verify_consistency((number, old), (300, &root), path).unwrap();
            }
        }
        count += 1;
    }
    assert_eq!(count, 15);
}
