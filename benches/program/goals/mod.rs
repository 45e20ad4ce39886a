//! One module per goal.

mod g01;
mod g02;
mod g03;
mod g04;
mod g05;
mod g06;
mod g07;
mod g08;
mod g09;
mod g10;
mod g11;
mod g12;
mod g13;
mod g14;
mod g15;

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rohrpost_benches::{Bits, scratch};
use serde_json::Value;
use tempfile::TempDir;

use crate::line::{Bar, Line};
use crate::machine::{QUIET, has_fast_rsa, wait_until_quiet};
use crate::saturation::{self, Round};
use crate::{Options, PORTABLE_RSA, server};

/// How long to wait for a quiet moment before a figure of waiting is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A goal.
pub(crate) struct Goal {
    /// E.g. `G1`.
    pub(crate) name: &'static str,
    /// What it is about, for tables and plots.
    pub(crate) title: &'static str,
    measure: fn(&mut Bench) -> Result<Vec<Line>>,
}

/// All of them. The order is that of measuring: what needs a fresh disk cache or much of it comes last.
pub(crate) const GOALS: [Goal; 15] = [
    Goal {
        name: "G1",
        title: "RSA efficiency at saturation: RSA time / CPU time of the server",
        measure: g01::measure,
    },
    Goal { name: "G2", title: "Rate at saturation / rate that RSA alone allows", measure: g02::measure },
    Goal { name: "G3", title: "CPU beside RSA per order, in RSA-2048 operations", measure: g03::measure },
    Goal { name: "G4", title: "Private-key operations per order", measure: g04::measure },
    Goal {
        name: "G5",
        title: "Waits for the disk per message at 32 clients; lost after kill -9",
        measure: g05::measure,
    },
    Goal { name: "G6", title: "Commit rate of the store / rate of a bare log", measure: g06::measure },
    Goal { name: "G7", title: "Megabytes of memory that a 1 GB message takes more than 1 MB", measure: g07::measure },
    Goal { name: "G8", title: "CPU of a 100 MB message / (SHA-256 + AES-GCM) of its bytes", measure: g08::measure },
    Goal { name: "G9", title: "CPU of a commit with many stored / with 10^3 stored", measure: g09::measure },
    Goal { name: "G10", title: "99th percentile of auditors' queries in ms", measure: g10::measure },
    Goal { name: "G11", title: "Median latency without load / (RSA + wait for the disk)", measure: g11::measure },
    Goal { name: "G12", title: "Goodput at twice the capacity / capacity", measure: g12::measure },
    Goal { name: "G13", title: "SHA-256 / (C14N + SHA-256) of a 10 MB text", measure: g13::measure },
    Goal { name: "G14", title: "Idle memory in MB; start to first answer in s", measure: g14::measure },
    Goal { name: "G15", title: "CPU of our client side / of the reference library", measure: g15::measure },
];

/// The goals of these names.
pub(crate) fn named(names: &[String]) -> Result<Vec<&'static Goal>> {
    if names.iter().any(|name| name.eq_ignore_ascii_case("all")) {
        return Ok(GOALS.iter().collect());
    }
    let mut wanted = Vec::new();
    for name in names {
        match GOALS.iter().find(|goal| goal.name.eq_ignore_ascii_case(name)) {
            Some(goal) => wanted.push(goal),
            None => bail!("there is no goal {name}: give `all` or names from G1 to G{}", GOALS.len()),
        }
    }
    Ok(wanted)
}

/// What goals are measured with, and what they share.
pub(crate) struct Bench {
    pub(crate) options: Options,
    /// The binary under test.
    pub(crate) server: PathBuf,
    /// For files, on the disk of the build.
    pub(crate) folder: TempDir,
    saturation: HashMap<&'static str, Vec<Round>>,
    stores: Option<g09::Stores>,
    /// What this program gives with all that the processor has for RSA.
    native: Option<Value>,
}

impl Bench {
    pub(crate) fn new(options: Options) -> Result<Self> {
        let server = options.server.clone().map_or_else(server::binary, Ok)?;
        Ok(Self { options, server, folder: scratch(), saturation: HashMap::new(), stores: None, native: None })
    }

    /// Measures goals one after the other and prints their lines as soon as they are known.
    pub(crate) fn measure(&mut self, wanted: &[&Goal]) -> Vec<Line> {
        let mut all = Vec::new();
        for goal in wanted {
            let began = Instant::now();
            eprintln!("{}: {}", goal.name, goal.title);
            let lines = (goal.measure)(self).unwrap_or_else(|error| {
                // What cannot be measured was not met.
                let mut line = Line::new(goal.name, "error", Bar::Exactly(0.0));
                line.note("error", format!("{error:#}"));
                line.add(1.0, 0.0);
                eprintln!("  error: {error:#}");
                vec![line]
            });
            lines.iter().for_each(|line| println!("{line}"));
            eprintln!("  took {:.0} s", began.elapsed().as_secs_f64());
            all.extend(lines);
        }
        all
    }

    /// Lines of goals as this program gives them with all that the processor has for RSA: for looking at. None where that makes
    /// no difference.
    fn with_native_rsa(&mut self, goal: &'static str) -> Result<Vec<Line>> {
        if self.options.native_rsa || !has_fast_rsa() {
            return Ok(Vec::new());
        }
        if self.native.is_none() {
            self.native = Some(self.run_with_native_rsa()?);
        }
        let figures = self.native.iter().flat_map(|run| run["figures"].as_array()).flatten();
        Ok(figures.filter(|found| found["goal"] == goal).map(|found| Line::again(goal, "_ifma", found)).collect())
    }

    fn run_with_native_rsa(&self) -> Result<Value> {
        eprintln!("  again with AVX-512 IFMA");
        let (json, history) = (self.folder.path().join("native.json"), self.folder.path().join("native.jsonl"));
        let output = Command::new(std::env::current_exe()?)
            .args(["G1", "G3", "--native-rsa", "--quick", "--json"])
            .arg(&json)
            .arg("--history")
            .arg(history)
            .arg("--server")
            .arg(&self.server)
            .env_remove(PORTABLE_RSA.0)
            .output()?;
        let figures =
            fs::read_to_string(&json).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        Ok(serde_json::from_str(&figures)?)
    }

    /// Rounds of full load, measured once.
    fn saturation(&mut self, bits: Bits) -> Result<Vec<Round>> {
        if let Some(rounds) = self.saturation.get(bits.name()) {
            return Ok(rounds.clone());
        }
        let rounds = saturation::run(self, bits)?;
        self.saturation.insert(bits.name(), rounds.clone());
        Ok(rounds)
    }

    /// Rounds of which only quiet ones count, because they measure waiting. `round` returns its value and the others' share.
    fn quiet_rounds(&self, mut line: Line, mut round: impl FnMut(&mut Line) -> Result<(f64, f64)>) -> Result<Line> {
        let mut counted = 0;
        let mut last = Instant::now();
        while counted < self.options.rounds {
            let left = PATIENCE.saturating_sub(last.elapsed());
            if left.is_zero() || !wait_until_quiet(&[], left) {
                let reason = format!("other programs had more than {:.0} % of the machine", QUIET * 100.0);
                return Ok(line.skipped(reason));
            }
            let (value, others) = round(&mut line)?;
            if others < QUIET {
                line.add(value, others);
                counted += 1;
                last = Instant::now();
            } else {
                eprintln!("  others had {:.0} % of the machine: the round does not count", others * 100.0);
            }
        }
        Ok(line)
    }
}
