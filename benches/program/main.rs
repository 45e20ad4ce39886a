//! The benchmark: how near the product is to what its machine allows, one line per goal.
//!
//! `cargo run --release -p rohrpost-benches -- all`; `README.md` of this package explains goals and figures.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

mod goals;
mod http;
mod letters;
mod line;
mod load;
mod machine;
mod plot;
mod records;
mod roof;
mod saturation;
mod server;

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::goals::Bench;

/// As in the product, because some goals measure its rooms in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How near Rohrpost is to what this machine allows.
///
/// Prints one line per goal and case; ends with an error if a bar was missed. SKIP means that the machine was too busy, or
/// something is missing, for a figure that could be believed.
#[derive(Debug, Parser)]
#[command(name = "rohrpost-benches", args_conflicts_with_subcommands = true)]
struct Args {
    /// Goals to measure: `all`, or names like G1 g7.
    #[arg(required = true)]
    goals: Vec<String>,
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    hidden: Option<Hidden>,
}

/// How to measure.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Rounds that a median is taken of.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Rougher and faster: three short rounds, smaller messages, less in the store. Not for conclusions.
    #[arg(long)]
    quick: bool,
    /// The long profile: also 10^7 stored deliveries (G9, G10).
    #[arg(long)]
    nightly: bool,
    /// Where the figures go as JSON.
    #[arg(long, default_value = "target/bench/figures.json")]
    json: PathBuf,
    /// A file of JSON lines to which the figures are appended; the plots are drawn from it, into the folder `plots` beside it.
    #[arg(long, default_value = "target/bench/history.jsonl")]
    history: PathBuf,
    /// Also writes the figures as a page of Markdown.
    #[arg(long)]
    results: Option<PathBuf>,
    /// The day for history and results, as YYYY-MM-DD; today if absent.
    #[arg(long)]
    date: Option<String>,
    /// Uses whatever the processor has for RSA. Without this, what only some processors have (AVX-512 IFMA, three times as
    /// fast) is switched off for server and roofs, because the bars are for processors without it.
    #[arg(long)]
    native_rsa: bool,
    /// The server's binary; built if absent.
    #[arg(long)]
    server: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Hidden {
    /// The load generator, a process of its own.
    #[command(hide = true)]
    Load(load::LoadArgs),
}

/// Takes AVX-512 IFMA from AWS-LC: bit 21 of what `cpuid` says in leaf 7.
const PORTABLE_RSA: (&str, &str) = ("OPENSSL_ia32cap", ":~0x200000");

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether no bar was missed.
fn run() -> Result<bool> {
    let args = Args::parse();
    if let Some(Hidden::Load(load)) = args.hidden {
        load::run(load)?;
        return Ok(true);
    }
    let wanted = goals::named(&args.goals)?;
    let mut options = args.options;
    if !options.native_rsa && machine::has_fast_rsa() && std::env::var_os(PORTABLE_RSA.0).is_none() {
        // The library reads this once, before anything here could set it.
        let own = std::env::current_exe()?;
        let error = Command::new(own).args(std::env::args_os().skip(1)).env(PORTABLE_RSA.0, PORTABLE_RSA.1).exec();
        return Err(error).context("the program cannot start itself again");
    }
    if options.quick {
        options.rounds = options.rounds.min(3);
    }
    let mut bench = Bench::new(options)?;
    let lines = bench.measure(&wanted);
    records::write(&bench.options, &lines)?;
    let count = |wanted: line::Verdict| lines.iter().filter(|line| line.verdict() == wanted).count();
    let [passed, failed, skipped] = [line::Verdict::Pass, line::Verdict::Fail, line::Verdict::Skip].map(count);
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(failed == 0)
}
