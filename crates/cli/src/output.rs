//! What a command prints: text for people or JSON for machines, on standard output; everything else on standard error.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the one module that prints")]

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::{Failure, Kind};

/// The chosen form of output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether the reader is a machine.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// The result of a command: `text` for people, `value` for machines.
    pub(crate) fn result(self, value: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(value)?)?;
        } else {
            writeln!(out, "{}", text().trim_end())?;
        }
        Ok(())
    }

    /// A step on the way, for people only.
    pub(crate) fn step(self, text: &str) {
        if !self.json {
            println!("{text}");
        }
    }

    /// A progress bar over `total` bytes; hidden unless a person watches.
    pub(crate) fn progress(self, total: Option<u64>, what: &str) -> ProgressBar {
        if self.json || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let template = match total {
            Some(_) => "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            None => "{msg} {spinner} {bytes} {bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        bar.with_message(what.to_owned())
    }

    /// Reports a failed command and gives its exit code.
    pub(crate) fn failure(self, error: &anyhow::Error) -> ExitCode {
        let failure = error.chain().find_map(|cause| cause.downcast_ref::<Failure>());
        let kind = failure.map_or(Kind::Other, |f| f.kind);
        let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
        let likely = failure.and_then(|f| f.cause.clone()).or_else(|| (!causes.is_empty()).then(|| causes.join(": ")));
        let remedy = failure.and_then(|f| f.remedy.clone());
        let correlation = failure.and_then(|f| f.correlation_id.clone());
        if self.json {
            let report: Value = json!({ "error": {
                "code": kind.code(), "what": error.to_string(), "cause": likely, "remedy": remedy, "correlation_id": correlation,
            }});
            println!("{report:#}");
        } else {
            eprintln!("error [{}]: {error}", kind.code());
            for (label, text) in [("cause", likely), ("what to do", remedy), ("correlation id", correlation)] {
                if let Some(text) = text {
                    eprintln!("  {label}: {text}");
                }
            }
        }
        ExitCode::from(kind as u8)
    }
}
