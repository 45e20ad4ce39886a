//! Does a commit cost more when much is stored? The store alone, deliveries of 10 KB in batches of 32, in a store that holds
//! 10^3 deliveries and in one that holds 10^6, in turn.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use rohrpost_benches::{Clock, delivery, small_delivery, spread, store};
use rohrpost_store::{SqliteStore, Store as _};
use tempfile::TempDir;

use super::Bench;
use crate::line::{Bar, Line};
use crate::machine::Watch;

const BATCH: u64 = 32;
/// Batches in each store per round: so many that several times the write-ahead log is moved to its place. That happens every 30
/// batches or so, costs as much as half of them, and is not to fall into one round and miss the next.
const BATCHES: u64 = 72;
/// Turns of the stores in a round.
const TURNS: u64 = 12;
const FILLERS: usize = 64;
/// Deliveries made at a time while a store is filled.
const STEP: usize = 50_000;

/// A store with many deliveries.
pub(super) struct Filled {
    pub(super) store: SqliteStore,
    pub(super) stored: u64,
    next: u64,
    _folder: Option<TempDir>,
}

/// Few, many, and in the long profile very many.
pub(super) struct Stores {
    pub(super) few: Filled,
    pub(super) many: Filled,
    pub(super) very_many: Option<Filled>,
}

impl Bench {
    /// The filled stores, which take their time and serve several goals.
    pub(super) fn stores(&mut self) -> Result<&mut Stores> {
        if self.stores.is_none() {
            let many = if self.options.quick { 50_000 } else { 1_000_000 };
            self.stores = Some(Stores {
                few: Filled::fresh(self, 1_000)?,
                many: Filled::kept(many)?,
                very_many: if self.options.nightly { Some(Filled::kept(10_000_000)?) } else { None },
            });
        }
        Ok(self.stores.as_mut().expect("it was just filled"))
    }
}

pub(super) fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let rounds = bench.options.rounds;
    let stores = bench.stores()?;
    let mut lines = vec![compare(rounds, &mut stores.few, &mut stores.many, 1.5)];
    if let Some(very_many) = &mut stores.very_many {
        lines.push(compare(rounds, &mut stores.few, very_many, 2.0));
    }
    Ok(lines)
}

fn compare(rounds: usize, few: &mut Filled, many: &mut Filled, bar: f64) -> Line {
    let mut line = Line::new("G9", format!("10^{}", many.stored.ilog10()), Bar::AtMost(bar));
    few.batches(4);
    many.batches(4);
    for _ in 0..rounds {
        let watch = Watch::new(&[]);
        let (mut in_few, mut in_many) = (0.0, 0.0);
        for _ in 0..TURNS {
            in_few += few.batches(BATCHES / TURNS);
            in_many += many.batches(BATCHES / TURNS);
        }
        let each = (BATCHES * BATCH) as f64;
        line.add(in_many / in_few, watch.others());
        line.note("microseconds_few", (in_few / each * 1e6).round());
        line.note("microseconds_many", (in_many / each * 1e6).round());
    }
    line
}

impl Filled {
    /// A fresh one.
    fn fresh(bench: &Bench, count: u64) -> Result<Self> {
        let folder = tempfile::tempdir_in(bench.folder.path())?;
        let filled = Self::in_folder(folder.path(), count);
        Ok(Self { _folder: Some(folder), ..filled })
    }

    /// One that is kept for the next run, because filling it takes its time. What was measured in it stays in it; when that has
    /// become too much it is made anew.
    fn kept(count: u64) -> Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../target/bench/stores/{count}"));
        let filled = Self::in_folder(&folder, count);
        if filled.next < count + count / 10 {
            return Ok(filled);
        }
        drop(filled);
        fs::remove_dir_all(&folder)?;
        Ok(Self::in_folder(&folder, count))
    }

    fn in_folder(folder: &Path, count: u64) -> Self {
        let store = store(folder);
        // Each delivery has one entry in the log, and nothing else has.
        let found = store.stats().expect("the store has figures").log_size;
        let began = Instant::now();
        for start in (found..count).step_by(STEP) {
            let all: Vec<_> = (start..count.min(start + STEP as u64)).map(small_delivery).collect();
            spread(FILLERS, all, |delivery| store.accept(delivery).expect("the store accepts"));
            eprintln!("  {start} of {count} deliveries stored, {:.0} s", began.elapsed().as_secs_f64());
        }
        Self { store, stored: count, next: found.max(count), _folder: None }
    }

    /// CPU seconds of this process for so many batches.
    fn batches(&mut self, count: u64) -> f64 {
        let all: Vec<Vec<_>> = (0..count)
            .map(|batch| (self.next + batch * BATCH..self.next + (batch + 1) * BATCH).map(delivery).collect())
            .collect();
        self.next += count * BATCH;
        let accept = |delivery| self.store.accept(delivery).expect("the store accepts");
        let threads = usize::try_from(BATCH).unwrap_or(1);
        Clock::Process.time(|| all.into_iter().for_each(|batch| spread(threads, batch, accept))).as_secs_f64()
    }
}
