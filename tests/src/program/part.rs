//! Results: of one part, of a whole run; as lines, JSON and pages.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rohrpost_tests::load::now;
use rohrpost_tests::root;
use serde_json::{Value, json};

/// What came of one part of a run.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    /// What was done, with its numbers: one line.
    pub(crate) summary: String,
    /// Why it did not hold; empty if it did.
    pub(crate) failures: Vec<String>,
    pub(crate) took: Duration,
    /// Explanation and table for a page of its own, if it has one.
    pub(crate) page: Option<String>,
    /// The rows of the table.
    pub(crate) rows: Vec<Value>,
}

impl Part {
    /// A part that began at `began` and ends now.
    pub(crate) fn new(name: &'static str, summary: String, failures: Vec<String>, began: Instant) -> Self {
        Self { name, summary, failures, took: began.elapsed(), page: None, rows: Vec::new() }
    }

    fn verdict(&self) -> &'static str {
        if self.failures.is_empty() { "PASS" } else { "FAIL" }
    }
}

/// All parts of a run.
#[derive(Default)]
pub(crate) struct Report {
    parts: Vec<Part>,
}

impl Report {
    /// Adds a part and prints its result.
    pub(crate) fn add(&mut self, part: Part) {
        println!("{} {}: {} ({:.0} s)", part.verdict(), part.name, part.summary, part.took.as_secs_f64());
        part.failures.iter().for_each(|failure| println!("     {failure}"));
        self.parts.push(part);
    }

    /// The same, and writes its page.
    pub(crate) fn add_with_page(&mut self, part: Part, file: Option<&Path>) {
        let page = format!("{}{}", part.page.as_deref().unwrap_or_default(), provenance(std::slice::from_ref(&part)));
        self.add(part);
        crate::write(file, &page);
    }

    pub(crate) fn is_good(&self) -> bool {
        self.parts.iter().all(|part| part.failures.is_empty())
    }

    pub(crate) fn to_json(&self) -> Value {
        let part = |part: &Part| {
            json!({
                "name": part.name,
                "passed": part.failures.is_empty(),
                "summary": part.summary,
                "failures": part.failures,
                "seconds": part.took.as_secs_f64(),
                "rows": part.rows,
            })
        };
        json!({
            "passed": self.is_good(),
            "date": today(),
            "commit": commit(),
            "parts": self.parts.iter().map(part).collect::<Vec<_>>(),
        })
    }

    /// The page about a whole run.
    pub(crate) fn page(&self) -> String {
        let about = "# The long tests, last full run\n\n\
            Written by `cargo run --release -p rohrpost-tests -- nightly --results tests/NIGHTLY.md`, which also writes\n\
            [PLANTED.md](PLANTED.md) (which test finds which planted bug) and [CONTROLS.md](CONTROLS.md) (which test fails\n\
            without which control).\n";
        format!("{about}{}", provenance(&self.parts))
    }
}

/// Date, commit and a table of results.
fn provenance(parts: &[Part]) -> String {
    let mut text = format!("\n## Run of {}, commit {}\n\n", today(), commit());
    text.push_str("| part | result | what was done | minutes |\n|---|---|---|---|\n");
    for part in parts {
        let minutes = part.took.as_secs_f64() / 60.0;
        let _ = writeln!(text, "| {} | {} | {} | {minutes:.1} |", part.name, part.verdict(), part.summary);
    }
    for part in parts {
        for failure in &part.failures {
            let _ = writeln!(text, "\n- {}: {failure}", part.name);
        }
    }
    text
}

pub(super) fn today() -> String {
    now().date().to_string()
}

/// The commit of the tree, and whether it was changed since.
pub(super) fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(root()).output();
        output.ok().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    let changed = if git(&["status", "--porcelain", "--untracked-files=no", "--", "crates"]).is_empty() {
        ""
    } else {
        " (changed)"
    };
    format!("{}{changed}", git(&["rev-parse", "--short=10", "HEAD"]))
}
