//! The deterministic simulation over a range of seeds.

use std::ops::Range;
use std::time::Instant;

use rohrpost_tests::simulation::{Failure, Summary, run_all};
use serde_json::json;

use super::part::Part;

/// Seeds between two looks at whether one failed, where the first failure is enough.
const STEP: u64 = 16;

/// Runs all seeds, or those up to the first failure.
pub(crate) fn run(seeds: Range<u64>, until_failure: bool) -> Part {
    let began = Instant::now();
    let (from, to) = (seeds.start, seeds.end);
    let (summary, failures) = if until_failure { first(seeds) } else { run_all(seeds, progress(to - from)) };
    let told = failures.iter().map(|failure| format!("seed {}: {}", failure.seed, failure.reason)).collect();
    if let Some(failure) = failures.first() {
        eprintln!("{failure}");
    }
    let mut part = Part::new("simulation", format!("seeds {from}..{to}: {}", one_line(&summary)), told, began);
    part.rows = failures.iter().map(|failure| json!({"seed": failure.seed, "reason": failure.reason})).collect();
    part
}

fn first(seeds: Range<u64>) -> (Summary, Vec<Failure>) {
    let mut sum = Summary::default();
    for start in seeds.clone().step_by(STEP as usize) {
        let (summary, failures) = run_all(start..(start + STEP).min(seeds.end), |_| {});
        sum += summary;
        if !failures.is_empty() {
            return (sum, failures);
        }
    }
    (sum, Vec::new())
}

fn progress(count: u64) -> impl Fn(u64) + Sync {
    move |done| {
        if done.is_multiple_of(500) {
            eprintln!("  {done} of {count} seeds");
        }
    }
}

/// What happened, if anything did.
fn one_line(summary: &Summary) -> String {
    let counts = summary.counts();
    let told: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    told.join(", ")
}
