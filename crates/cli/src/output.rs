//! What a command prints: text for people or JSON for machines, on standard output; everything else on standard error.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the one module that prints")]

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::{Attribute, Cell, Color, LineStyle, Row, Table, TableStyle};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use crate::failure::{Failure, Kind};

/// The chosen form of output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    colour: bool,
}

/// What a piece of text means; on a terminal it gets a colour.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tone {
    Good,
    Warning,
    Bad,
    Strong,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { json, colour: !json && wanted && io::stdout().is_terminal() }
    }

    /// Whether machines read it.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// The result of a command: `text` for people, `value` for machines.
    pub(crate) fn result(self, value: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let text = if self.json { serde_json::to_string_pretty(value)? } else { text() };
        match writeln!(io::stdout().lock(), "{}", text.trim_end()) {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }

    /// A step on the way, for people only.
    pub(crate) fn step(self, text: &str) {
        if !self.json {
            let _ = writeln!(io::stdout().lock(), "{text}");
        }
    }

    /// An explanation beside a result that may be piped elsewhere, for people only.
    pub(crate) fn aside(self, text: &str) {
        if !self.json {
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// The text in the colour of its meaning, if a terminal shows it.
    pub(crate) fn paint(self, tone: Tone, text: impl AsRef<str>) -> String {
        let text = text.as_ref();
        let code = match tone {
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "31;1",
            Tone::Strong => "1",
        };
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// A cell of a table in the colour of its meaning, if a terminal shows it.
    pub(crate) fn cell(self, tone: Tone, text: impl ToString) -> Cell {
        let cell = Cell::new(text);
        if !self.colour {
            return cell;
        }
        match tone {
            Tone::Good => cell.fg(Color::Green),
            Tone::Warning => cell.fg(Color::Yellow),
            Tone::Bad => cell.fg(Color::Red).add_attribute(Attribute::Bold),
            Tone::Strong => cell.add_attribute(Attribute::Bold),
        }
    }

    /// A progress bar over `total` bytes; hidden unless a person watches.
    pub(crate) fn progress(self, total: Option<u64>, what: &str) -> ProgressBar {
        let template = match total {
            Some(_) => "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            None => "{msg} {spinner} {bytes} {bytes_per_sec}",
        };
        self.bar(total, template, what)
    }

    /// A progress bar over things that are counted; its length may be set later.
    pub(crate) fn counter(self, what: &str) -> ProgressBar {
        self.bar(Some(0), "{msg} [{bar:30}] {pos}/{len} {per_sec} {eta}", what)
    }

    fn bar(self, total: Option<u64>, template: &str, what: &str) -> ProgressBar {
        if self.json || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        bar.with_message(what.to_owned())
    }

    /// Reports a failed command and gives its exit code.
    pub(crate) fn failure(self, error: &anyhow::Error) -> ExitCode {
        // The outermost failure decides, wherever it stands in the chain of contexts.
        let failure = error.downcast_ref::<Failure>();
        let kind = failure.map_or(Kind::Other, |f| f.kind);
        let what = failure.map_or_else(|| error.to_string(), ToString::to_string);
        let causes = causes(error, &what);
        let cause = failure.and_then(|f| f.cause.clone()).or_else(|| (!causes.is_empty()).then(|| causes.join(": ")));
        let remedy = failure.and_then(|f| f.remedy.clone());
        let correlation = failure.and_then(|f| f.correlation_id.clone());
        if self.json {
            let mut report = failure.and_then(|f| f.report.clone()).unwrap_or_else(|| Value::Object(Map::new()));
            report["error"] = json!({
                "code": kind.code(), "what": what, "cause": cause, "remedy": remedy, "correlation_id": correlation,
            });
            let _ = writeln!(io::stdout().lock(), "{report:#}");
        } else {
            eprintln!("error [{}]: {what}", kind.code());
            for (label, text) in [("cause", cause), ("what to do", remedy), ("correlation id", correlation)] {
                if let Some(text) = text {
                    eprintln!("  {label}: {text}");
                }
            }
        }
        ExitCode::from(kind as u8)
    }
}

/// The chain of causes, without what was said already and without repetitions.
fn causes(error: &anyhow::Error, what: &str) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        if cause != what && causes.last() != Some(&cause) {
            causes.push(cause);
        }
    }
    causes
}

/// A table with a line below its header and no frame.
pub(crate) fn table<R: Into<Row>>(header: impl Into<Row>, rows: impl IntoIterator<Item = R>) -> String {
    const RULE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));
    let mut table = Table::new();
    table.load_style(RULE).set_header(header).add_rows(rows);
    table.trim_fmt()
}

/// Names with their values, one per line.
pub(crate) fn facts<'a>(facts: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let facts: Vec<_> = facts.into_iter().collect();
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    facts.iter().map(|(name, value)| format!("  {name:<width$}  {value}\n")).collect()
}

/// A time as logs and protocols write it: UTC, in whole seconds or with milliseconds.
pub(crate) fn stamp(time: OffsetDateTime) -> String {
    let utc = time.to_offset(UtcOffset::UTC);
    let seconds = utc.truncate_to_second().format(&Rfc3339).unwrap_or_else(|_| utc.to_string());
    match utc.millisecond() {
        0 => seconds,
        fraction => format!("{}.{fraction:03}Z", seconds.trim_end_matches('Z')),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_have_no_or_three_digits_of_fraction() {
        assert_eq!(stamp(datetime!(2026-05-01 12:00:00.41 +2)), "2026-05-01T10:00:00.410Z");
        assert_eq!(stamp(datetime!(2026-05-01 12:00 UTC)), "2026-05-01T12:00:00Z");
    }

    #[test]
    fn causes_are_told_once() {
        let error = anyhow::anyhow!("deep").context("deep").context("what").context("around");
        assert_eq!(causes(&error, "what"), ["around", "deep"]);
    }
}
