//! Whatever happens, nothing that was confirmed is lost: many seeds of the simulation.

use rohrpost_tests::simulation::{Summary, run_all, run_with_history};

/// Which seeds, unless `ROHRPOST_SEEDS` names others as `first..end`.
const SEEDS: (u64, u64) = (0, 200);

/// Seeds after which it ends if one of them failed.
const STEP: usize = 20;

fn seeds() -> (u64, u64) {
    let Ok(text) = std::env::var("ROHRPOST_SEEDS") else { return SEEDS };
    let parsed = text.split_once("..").and_then(|(first, end)| Some((first.parse().ok()?, end.parse().ok()?)));
    parsed.expect("ROHRPOST_SEEDS is like 0..10000")
}

#[test]
fn nothing_is_lost_whatever_happens() {
    let (first, end) = seeds();
    let mut summary = Summary::default();
    for start in (first..end).step_by(STEP) {
        let (part, failures) = run_all(start..end.min(start + STEP as u64), |_| {});
        if let Some(failure) = failures.first() {
            let others: Vec<String> =
                failures.iter().map(|failure| format!("{}: {}", failure.seed, failure.reason)).collect();
            panic!("{failure}\nfrom {start} on, {} of {STEP} seeds failed:\n{}", failures.len(), others.join("\n"));
        }
        summary += part;
    }
    // A simulation in which something never happens proves nothing about it.
    if end - first >= 200 {
        for (name, count) in summary.counts() {
            assert!(count > 0, "never happened: {name}\n{summary}");
        }
    }
    let mut out = std::io::stderr().lock();
    std::io::Write::write_all(&mut out, summary.to_string().as_bytes()).expect("stderr takes it");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [3, 4, 5] {
        assert_eq!(run_with_history(seed), run_with_history(seed));
    }
}
