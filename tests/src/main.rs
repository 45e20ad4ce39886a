//! The long tests: what takes too much time for every change, and shows that the tests themselves bite.
//!
//! ```text
//! cargo run --release -p rohrpost-tests -- nightly                     everything below, and more
//! cargo run --release -p rohrpost-tests -- kills --kills 1000          SIGKILL under load
//! cargo run --release -p rohrpost-tests -- simulate --seeds 0..10000   deterministic simulation
//! cargo run --release -p rohrpost-tests -- oracles                     what the time of an answer tells
//! cargo run --release -p rohrpost-tests -- planted                     every planted bug is found
//! cargo run --release -p rohrpost-tests -- controls                    every control of SECURITY.md matters
//! ```
//!
//! Each prints how it goes on and a line with its result; `--json` prints a summary at the end, `--results FILE` writes it
//! as a page for the documentation. The exit code is 0 if everything held.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to who runs it")]

mod program {
    pub(crate) mod cargo;
    pub(crate) mod controls;
    pub(crate) mod external;
    pub(crate) mod oracles;
    pub(crate) mod part;
    pub(crate) mod planted;
    pub(crate) mod simulate;
}

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use program::part::{Part, Report};
use program::{controls, external, oracles, planted, simulate};

/// The long tests of Rohrpost.
#[derive(Parser)]
#[command(name = "rohrpost-tests")]
struct Arguments {
    /// Print a summary as JSON.
    #[arg(long, global = true)]
    json: bool,
    /// Write the results into this file, as Markdown.
    #[arg(long, global = true, value_name = "FILE")]
    results: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything: kills, simulation, planted bugs, controls, growth to 10^7 deliveries, longer fuzzing of the seeds.
    /// Writes the tables of bugs and controls beside the file of `--results`.
    Nightly {
        /// Number of kills.
        #[arg(long, default_value_t = 1_000)]
        kills: u64,
        /// Seeds of the simulation.
        #[arg(long, default_value = "0..10000", value_parser = range, value_name = "FROM..TO")]
        seeds: Range<u64>,
        /// Seconds for the mutations of each fuzz target.
        #[arg(long, default_value_t = 30)]
        fuzz_seconds: u64,
    },
    /// Kills the real process under load.
    Kills {
        /// Number of kills.
        #[arg(long, default_value_t = 1_000)]
        kills: u64,
    },
    /// Runs the deterministic simulation.
    Simulate {
        /// The seeds.
        #[arg(long, default_value = "0..10000", value_parser = range, value_name = "FROM..TO")]
        seeds: Range<u64>,
        /// End soon after the first failure.
        #[arg(long)]
        until_failure: bool,
    },
    /// Compares the time that messages take which cannot be decrypted for different reasons.
    Oracles {
        /// Messages of each kind.
        #[arg(long, default_value_t = 5_000)]
        samples: usize,
    },
    /// Plants every bug of `tests/planted.toml` and demands that it is found.
    Planted {
        /// Only those whose name contains this.
        #[arg(long)]
        only: Option<String>,
    },
    /// Removes every control of `tests/controls.toml` in a scratch copy and demands that its test fails.
    Controls {
        /// Only those of this threat; may be given several times.
        #[arg(long)]
        only: Vec<u32>,
        /// Go on where earlier runs ended: what they saw is not done again.
        #[arg(long = "continue")]
        goes_on: bool,
    },
}

fn main() -> ExitCode {
    let Arguments { json, results, command } = Arguments::parse();
    let mut report = Report::default();
    match command {
        Command::Nightly { kills, seeds, fuzz_seconds } => {
            let beside = |name: &str| results.as_ref().map(|file| file.with_file_name(name));
            report.add(external::kills(kills));
            report.add(simulate::run(seeds, false));
            report.add_with_page(planted::run(None), beside("PLANTED.md").as_deref());
            report.add_with_page(controls::run(&[], false), beside("CONTROLS.md").as_deref());
            report.add(oracles::run(5_000));
            report.add(external::growth());
            report.add(external::fuzz(fuzz_seconds));
            write(results.as_deref(), &report.page());
        }
        Command::Kills { kills } => one(&mut report, external::kills(kills), results.as_deref()),
        Command::Simulate { seeds, until_failure } => {
            one(&mut report, simulate::run(seeds, until_failure), results.as_deref());
        }
        Command::Oracles { samples } => one(&mut report, oracles::run(samples), results.as_deref()),
        Command::Planted { only } => one(&mut report, planted::run(only.as_deref()), results.as_deref()),
        Command::Controls { only, goes_on } => one(&mut report, controls::run(&only, goes_on), results.as_deref()),
    }
    if json {
        println!("{:#}", report.to_json());
    }
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(report: &mut Report, part: Part, results: Option<&Path>) {
    report.add_with_page(part, results);
}

fn write(file: Option<&Path>, text: &str) {
    if let Some(file) = file {
        std::fs::write(file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

/// `FROM..TO`
fn range(text: &str) -> Result<Range<u64>, String> {
    let parse = |number: &str| number.parse::<u64>().map_err(|error| format!("{number:?}: {error}"));
    let (from, to) = text.split_once("..").ok_or("a range is FROM..TO")?;
    Ok(parse(from)?..parse(to)?)
}
