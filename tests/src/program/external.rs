//! Parts that are programs of their own.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use rohrpost_tests::root;

use super::cargo::without_package_variables;
use super::part::Part;

/// The tests that kill the real processes: that of mailboxes so many times, those of passive recipients and of uploads in chunks a
/// tenth as often.
pub(crate) fn kills(kills: u64) -> Part {
    let began = Instant::now();
    let (mut summary, mut failures) = (Vec::new(), Vec::new());
    for (test, variable, kills) in [
        ("kill", "ROHRPOST_KILLS", kills),
        ("forward", "ROHRPOST_FORWARD_KILLS", kills.div_ceil(10)),
        ("chunks", "ROHRPOST_CHUNK_UPLOADS", kills.div_ceil(10)),
    ] {
        let args = ["test", "--release", "-p", "rohrpost-tests", "--test", test, "--", "--nocapture"];
        let (ok, lines) = run(&args, &[(variable, kills.to_string())]);
        let figures = lines.into_iter().find(|line| line.contains(" kills"));
        if !ok || figures.is_none() {
            failures.push(format!("see the output of the test {test}"));
        }
        summary.push(figures.unwrap_or_else(|| format!("{test}: {kills} kills")));
    }
    Part::new("kills", summary.join("; "), failures, began)
}

/// The cost of a delivery among 10^7 others.
pub(crate) fn growth() -> Part {
    let began = Instant::now();
    let (ok, lines) = run(&["run", "--release", "-p", "rohrpost-benches", "--", "G9", "--nightly"], &[]);
    let figures = lines.iter().rev().find(|line| line.contains("G9")).cloned();
    let failures = if ok { Vec::new() } else { vec!["see the output of the benchmark".to_owned()] };
    Part::new("growth", figures.unwrap_or_else(|| "no figures".to_owned()), failures, began)
}

/// The committed seeds of every fuzz target and mutations of them, for longer than with every change.
pub(crate) fn fuzz(seconds: u64) -> Part {
    let began = Instant::now();
    let args = ["test", "--release", "-p", "rohrpost-tests", "--test", "fuzz_seeds"];
    let (ok, _) = run(&args, &[("ROHRPOST_FUZZ_SECONDS", seconds.to_string())]);
    let targets = rohrpost_tests::fuzz::TARGETS.len();
    let failures = if ok { Vec::new() } else { vec!["see the output of the test".to_owned()] };
    Part::new("fuzz", format!("{targets} targets, {seconds} s of mutated seeds each"), failures, began)
}

/// Runs cargo, shows what it prints and returns it.
fn run(args: &[&str], variables: &[(&str, String)]) -> (bool, Vec<String>) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(&args[..1]).args(["--locked", "--offline"]).args(&args[1..]).current_dir(root());
    cargo.envs(variables.iter().map(|(name, value)| (name, value)));
    without_package_variables(&mut cargo);
    let mut child = cargo.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("cargo runs");
    let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let show = |line: String| {
        eprintln!("  {line}");
        line
    };
    let lines = std::thread::scope(|scope| {
        let stdout = scope.spawn(|| BufReader::new(stdout).lines().map_while(Result::ok).map(show).collect::<Vec<_>>());
        let mut lines: Vec<String> = BufReader::new(stderr).lines().map_while(Result::ok).map(show).collect();
        lines.extend(stdout.join().expect("it only reads"));
        lines
    });
    (child.wait().expect("cargo ends").success(), lines)
}
