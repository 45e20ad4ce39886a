//! `rohrpost doctor`: looks at everything an intermediary stands on, beside a running server or before the first start, and
//! says of each finding what it means and what to do. Changes nothing that stays.

mod clock;
mod disk;
mod finding;
mod keys;
mod limits;
mod ports;
mod revocation;
mod store;
mod timestamps;

use anyhow::Result;
use comfy_table::Cell;
use rohrpost_gateway::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use self::finding::{Finding, Language, Level, text};
use crate::args::DoctorArgs;
use crate::config;
use crate::failure::{Failure, Kind};
use crate::output::{Output, Tone, table};

/// Examines, reports, and fails with what is the worst: 1 for warnings, 2 for problems.
pub(crate) fn run(args: &DoctorArgs, output: Output) -> Result<()> {
    let language = Language::of(args.language.as_deref());
    let findings = examine(args);
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (warnings, problems) = (count(Level::Warning), count(Level::Problem));
    let report = json!({
        "ok": count(Level::Ok), "warnings": warnings, "problems": problems,
        "findings": findings.iter().map(|finding| value(finding, language)).collect::<Vec<_>>(),
    });
    let summary = text!("{problems} Probleme, {warnings} Warnungen", "{problems} problems, {warnings} warnings");
    let kind = match (problems, warnings) {
        (0, 0) => {
            let good = text!("Alles in Ordnung.", "All is well.");
            return output
                .result(&report, || format!("{}\n\n{}", rows(&findings, language, output), good.in_(language)));
        }
        (0, _) => Kind::Other,
        _ => Kind::Configuration,
    };
    output.step(&rows(&findings, language, output));
    Err(Failure::new(kind, summary.in_(language)).report(report).into())
}

fn examine(args: &DoctorArgs) -> Vec<Finding> {
    let now = SystemClock.now();
    let raw = match config::raw(&args.config) {
        Ok(raw) => raw,
        Err(error) => return vec![unusable(&error)],
    };
    let base = config::base(&args.config);
    let mut findings = vec![match config::load(&args.config) {
        Ok(_) => {
            Finding::ok("configuration", text!("Die Konfiguration ist brauchbar.", "The configuration can be used."))
        }
        Err(error) => unusable(&error),
    }];
    findings.extend(keys::examine(&raw, &base, now));
    findings.extend(revocation::examine(&raw, &base, now));
    findings.extend(timestamps::examine(&raw, &base, now));
    findings.extend(clock::examine(&raw, &base, now));
    findings.extend(disk::examine(&raw, &base));
    findings.extend(store::examine(&raw, &base));
    findings.extend(ports::examine(&raw, &base));
    findings.extend(limits::examine(&raw));
    findings
}

fn unusable(error: &anyhow::Error) -> Finding {
    let remedy = error.downcast_ref::<Failure>().and_then(|failure| failure.remedy.clone());
    let finding = Finding::problem(
        "configuration",
        text!("Die Konfiguration ist nicht brauchbar.", "The configuration cannot be used."),
    );
    finding
        .because(finding::chain(error))
        .remedy(text!(
            "Den genannten Schlüssel berichtigen; `rohrpost config print-default` erklärt jeden.",
            "Mend the key that is named; `rohrpost config print-default` explains each."
        ))
        .hint(remedy)
}

fn value(finding: &Finding, language: Language) -> Value {
    json!({
        "check": finding.check,
        "level": finding.level.as_str(),
        "what": finding.what.in_(language),
        "cause": finding.cause.as_ref().map(|text| text.in_(language)),
        "remedy": finding.remedy.as_ref().map(|text| text.in_(language)),
    })
}

fn rows(findings: &[Finding], language: Language, output: Output) -> String {
    let row = |finding: &Finding| {
        let (tone, word) = match finding.level {
            Level::Ok => (Tone::Good, text!("gut", "ok")),
            Level::Warning => (Tone::Warning, text!("Warnung", "warning")),
            Level::Problem => (Tone::Bad, text!("Problem", "problem")),
        };
        let mut words = finding.what.in_(language).to_owned();
        let labels = [
            (text!("Wahrscheinlich", "likely cause"), &finding.cause),
            (text!("Abhilfe", "what to do"), &finding.remedy),
        ];
        for (label, text) in labels {
            if let Some(text) = text {
                words.push_str(&format!("\n{}: {}", label.in_(language), text.in_(language)));
            }
        }
        [Cell::from(finding.check), output.cell(tone, word.in_(language)), Cell::from(words)]
    };
    let header = match language {
        Language::German => ["Prüfung", "", "Befund"],
        Language::English => ["check", "", "finding"],
    };
    table(header, findings.iter().map(row))
}
