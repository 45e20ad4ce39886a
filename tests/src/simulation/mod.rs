//! The intermediary in a simulated world: several clients, a network that delays, reorders, duplicates, loses and cuts, a disk
//! that fails, kills and power cuts at any moment, and an oracle that looks into the store after every step.
//!
//! Everything follows from the seed: one thread runs at a time, time is virtual, chance is [`Chance`](crate::chance::Chance).
//! (The bytes of encrypted session keys and the salts of SQLite's log differ from run to run; nothing depends on them.) A run that
//! fails can be repeated as often as it takes:
//!
//! ```
//! match rohrpost_tests::simulation::run(42) {
//!     Ok(summary) => println!("{summary}"),
//!     Err(failure) => println!("{failure}"),
//! }
//! ```
//!
//! # What must hold
//!
//! * A delivery that was confirmed is never lost, whatever comes; one that was refused is not there; none is there twice.
//! * Its content is what was sent, and only its addressee gets it, in the order of acceptance.
//! * It is received only after its client got it and went on in the same dialog; from then on it is not the oldest of anybody.
//! * Stamps never change, and survive every end of the process once they were told.
//! * Cards, mailboxes, files and log say the same; the log continues every checkpoint that was ever seen.
//! * A store that nobody disturbs takes everything and gives everything out.
//!
//! # How it is built
//!
//! `world` moves time from event to event; `client` wishes, repeats and gives up; `party` writes and reads its messages; `turns` lets
//! requests share a transaction; `oracle` judges. The disk is [`SimulatedDisk`](crate::disk::SimulatedDisk).

mod client;
mod keys;
mod oracle;
mod party;
mod plan;
mod summary;
mod turns;
mod world;

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

pub use summary::Summary;

/// Bodies larger than this are files: small, so that many are.
const MAX_INLINE: u64 = 12 * 1024;

/// A run in which something did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Repeats it.
    pub seed: u64,
    /// What did not hold.
    pub reason: String,
    /// What had happened until then, one line per event.
    pub history: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.reason)?;
        self.history.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

impl std::error::Error for Failure {}

/// Lets one world run from beginning to end.
///
/// # Errors
/// If something does not hold that must.
pub fn run(seed: u64) -> Result<Summary, Failure> {
    run_with_history(seed).map(|(summary, _)| summary)
}

/// Runs many seeds on all cores: the sum of what happened, and the failures in the order of their seeds. `done` is told after each run
/// how many there were.
pub fn run_all(seeds: Range<u64>, done: impl Fn(u64) + Sync) -> (Summary, Vec<Failure>) {
    let next = AtomicU64::new(seeds.start);
    let results = Mutex::new((Summary::default(), Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let result = run(seed);
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            match result {
                Ok(summary) => results.0 += summary,
                Err(failure) => results.1.push(failure),
            }
            done(results.0.runs + results.1.len() as u64);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(work);
        }
    });
    let (summary, mut failures) = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    failures.sort_by_key(|failure: &Failure| failure.seed);
    (summary, failures)
}

/// As [`run`], and tells what happened.
///
/// # Errors
/// As [`run`].
pub fn run_with_history(seed: u64) -> Result<(Summary, Vec<String>), Failure> {
    let mut world = world::World::new(seed);
    match world.run() {
        Ok(()) => Ok((world.summary(), world.into_history())),
        Err(reason) => Err(Failure { seed, reason, history: world.into_history() }),
    }
}
