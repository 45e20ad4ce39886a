//! Replays the committed seeds of every fuzz target, and some deterministic mutations of them, on stable.
//!
//! `ROHRPOST_FUZZ_SECONDS` is how long the mutations of each target go on.
//!
//! An input that fails is written into the target directory; put it into the folder of seeds once it is understood.

#![allow(clippy::unwrap_used, reason = "a failing helper fails the test")]

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rohrpost_tests::fuzz::{TARGETS, Target};

/// Mutations of each target's seeds, unless they take too long.
const MUTATIONS: u32 = 2_000;
/// Bound on the time for the mutations of one target.
const PATIENCE: Duration = Duration::from_secs(2);
/// Mutated inputs are cut to this length.
const MAX_LEN: usize = 64 * 1024;

#[test]
fn every_target_has_a_binary_and_seeds_and_nothing_else_has() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(targets.len(), TARGETS.len(), "names are unique");
    assert_eq!(stems(&fuzz().join("seeds")), targets, "folders of seeds");
    assert_eq!(stems(&fuzz().join("fuzz_targets")), targets, "sources of targets");
    for target in TARGETS {
        assert!(!seeds(target).is_empty(), "{} has no seeds", target.name);
        let source = fs::read_to_string(fuzz().join(format!("fuzz_targets/{}.rs", target.name))).unwrap();
        assert!(source.contains(&format!("rohrpost_tests::fuzz::{}(", target.name)), "{} runs itself", target.name);
    }
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    let binaries: BTreeSet<String> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\""))
        .map(str::to_owned)
        .collect();
    assert_eq!(binaries, targets, "binaries in the manifest");
}

#[test]
fn seeds_are_fine() {
    each_target(|target| {
        for (path, seed) in seeds(target) {
            check(target, &seed, &path.display().to_string());
        }
    });
}

#[test]
fn mutated_seeds_are_fine() {
    each_target(|target| {
        let seeds: Vec<Vec<u8>> = seeds(target).into_iter().map(|(_, seed)| seed).collect();
        let mut random = Random::new(target.name);
        let longer = std::env::var("ROHRPOST_FUZZ_SECONDS").ok().map(|text| text.parse().unwrap());
        let until = Instant::now() + longer.map_or(PATIENCE, Duration::from_secs);
        for number in 0..if longer.is_some() { u32::MAX } else { MUTATIONS } {
            if Instant::now() > until {
                break;
            }
            check(target, &mutated(&seeds, &mut random), &format!("mutation {number}"));
        }
    });
}

/// Runs one target after the other on every core.
fn each_target(run: impl Fn(&'static Target) + Sync) {
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(target) = TARGETS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    run(target);
                }
            });
        }
    });
}

fn check(target: &Target, input: &[u8], origin: &str) {
    if catch_unwind(|| (target.run)(input)).is_err() {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", target.name));
        fs::write(&path, input).unwrap();
        panic!("{}: {origin} fails, see {}", target.name, path.display());
    }
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// Names in a folder without their extension.
fn stems(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

fn seeds(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(fuzz().join("seeds").join(target.name)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// A seed with one to four changes.
fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        change(&mut input, &seeds[random.below(seeds.len())], random);
    }
    input.truncate(MAX_LEN);
    input
}

fn change(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    const TOKENS: &[&[u8]] = &[
        b"<",
        b">",
        b"\"",
        b"&",
        b"&#xD;",
        b"]]>",
        b"<!--",
        b"\r\n",
        b"\r\n--",
        b"=",
        b"\0",
        b"\xFF",
        b"\xC3",
        b" Id=\"a\"",
    ];
    let range = random.range(input.len());
    match random.below(8) {
        0 if range.start < input.len() => input[range.start] ^= 1 << random.below(8),
        1 if range.start < input.len() => input[range.start] = random.byte(),
        2 => drop(input.drain(range)),
        3 => {
            let piece = input[range.clone()].to_vec();
            input.splice(range.end..range.end, piece);
        }
        4 => input.truncate(range.start),
        5 => {
            let piece = other[random.range(other.len())].to_vec();
            input.splice(range, piece);
        }
        6 => {
            let token = TOKENS[random.below(TOKENS.len())];
            input.splice(range.start..range.start, token.iter().copied());
        }
        _ => input.insert(range.start, random.byte()),
    }
}

/// xorshift64*: the same mutations in every run.
struct Random(u64);

impl Random {
    fn new(name: &str) -> Self {
        Self(
            name.bytes()
                .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)),
        )
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).expect("lengths fit");
        usize::try_from((self.next() >> 11) % bound).expect("smaller than a length")
    }

    /// A range in something of this length, rather short than long.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let most = if self.below(4) == 0 { length } else { 16 };
        start..start + self.below(most.min(length - start) + 1)
    }
}
