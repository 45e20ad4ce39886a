//! `rohrpost config`.

use anyhow::Result;
use comfy_table::Cell;
use serde_json::{Value, json};

use crate::args::ConfigArgs;
use crate::config::{self, DEFAULT, Finding};
use crate::failure::{Failure, Kind};
use crate::output::{Output, Tone, table};

/// Prints the commented defaults.
pub(crate) fn print_default(output: Output) -> Result<()> {
    output.result(&json!({ "toml": DEFAULT }), || DEFAULT.to_owned())
}

/// Reads a configuration with everything it names, and tells all that is wrong at once.
pub(crate) fn check(args: &ConfigArgs, output: Output) -> Result<()> {
    let findings = config::examine(args)?;
    let errors: Vec<&anyhow::Error> = findings.iter().filter_map(|finding| finding.outcome.as_ref().err()).collect();
    let report = report(&findings, errors.is_empty());
    let text = || text(&findings, output);
    let Some(first) = errors.first() else {
        // What no piece shows: whether they make a whole.
        config::load(args)?;
        return output.result(&report, || format!("{}\n\nThe configuration can be used.", text()));
    };
    output.step(&text());
    let cause = |error: &anyhow::Error| error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    let parts = if errors.len() == 1 { "one part is".to_owned() } else { format!("{} parts are", errors.len()) };
    let what = format!("the configuration cannot be used: {parts} wrong");
    let mut failure = Failure::new(Kind::Configuration, what).cause(cause(first)).report(report);
    failure.remedy = first.downcast_ref::<Failure>().and_then(|first| first.remedy.clone());
    Err(failure.into())
}

fn report(findings: &[Finding], valid: bool) -> Value {
    let finding = |Finding { key, outcome, warnings }: &Finding| {
        let error = outcome.as_ref().err();
        json!({
            "key": key,
            "ok": outcome.is_ok(),
            "finding": outcome.as_ref().ok(),
            "error": error.map(|error| error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ")),
            "remedy": error.and_then(|error| error.downcast_ref::<Failure>()?.remedy.clone()),
            "warnings": warnings,
        })
    };
    json!({ "valid": valid, "findings": findings.iter().map(finding).collect::<Vec<_>>() })
}

fn text(findings: &[Finding], output: Output) -> String {
    let mut rows = Vec::new();
    for Finding { key, outcome, warnings } in findings {
        let (mark, text) = match outcome {
            Ok(text) => (output.cell(Tone::Good, "ok"), text.clone()),
            Err(error) => (output.cell(Tone::Bad, "error"), explained(error)),
        };
        rows.push([Cell::from(key), mark, Cell::from(text)]);
        rows.extend(
            warnings.iter().map(|text| [Cell::from(""), output.cell(Tone::Warning, "warning"), Cell::from(text)]),
        );
    }
    table(["key", "", "finding"], rows)
}

fn explained(error: &anyhow::Error) -> String {
    let mut text = error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    if let Some(remedy) = error.downcast_ref::<Failure>().and_then(|failure| failure.remedy.as_ref()) {
        text.push_str(&format!("\nwhat to do: {remedy}"));
    }
    text
}
