//! Executes cells, several at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use time::OffsetDateTime;

use crate::matrix::{Cell, cells};
use crate::recipient::Recipient;
use crate::report::Report;
use crate::setup::{Setup, Wire};
use crate::trial::{Bench, Outcome};

/// Tries all cells whose name `chosen` accepts. `done` is told how many of how many are through.
///
/// # Errors
/// If the keys of the setup cannot be used.
pub fn run(
    setup: &Setup,
    wire: &dyn Wire,
    recipient: Option<&Recipient>,
    now: OffsetDateTime,
    chosen: impl Fn(&str) -> bool,
    done: &(dyn Fn(usize, usize) + Sync),
) -> Result<Report, String> {
    let bench = Bench { setup, wire, keys: setup.keys()?, now };
    let (never, possible): (Vec<Cell>, Vec<Cell>) =
        cells().filter(|cell| chosen(&cell.to_string())).partition(|cell| cell.never().is_some());
    let results: Mutex<Vec<(usize, Outcome)>> = Mutex::default();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((at, cell)) = take(&next, &possible) {
            let outcome = bench.execute(*cell);
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            results.push((at, outcome));
            done(results.len(), possible.len());
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(at, _)| *at);
    let results = results.into_iter().map(|(at, outcome)| (possible[at], outcome)).collect();
    let deviations = recipient.map(Recipient::deviations).unwrap_or_default();
    Ok(Report { url: setup.url.clone(), results, never: never.len(), deviations })
}

/// Enough to keep the other side busy while ours computes.
const AT_ONCE: usize = 4;

fn take<'a>(next: &AtomicUsize, cells: &'a [Cell]) -> Option<(usize, &'a Cell)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    cells.get(at).map(|cell| (at, cell))
}
