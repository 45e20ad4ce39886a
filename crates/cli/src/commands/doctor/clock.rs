//! Whether the time can be right.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use time::{Duration, OffsetDateTime};

use super::finding::{Finding, text};
use crate::config::RawConfig;
use crate::output::stamp;

/// Differences that no file system and no adjustment explains.
const TOLERANCE: Duration = Duration::minutes(2);

pub(super) fn examine(raw: &RawConfig, base: &Path, now: OffsetDateTime) -> Vec<Finding> {
    let mut findings = Vec::new();
    let directory = base.join(&raw.storage.directory);
    let written = ["rohrpost.db", "rohrpost.db-wal"].iter().filter_map(|name| {
        fs::metadata(directory.join(name)).and_then(|about| about.modified()).ok().map(OffsetDateTime::from)
    });
    let here = stamp(now);
    if let Some(last) = written.max().filter(|last| *last > now + TOLERANCE) {
        let last = stamp(last);
        findings.push(
            Finding::problem(
                "clock",
                text!("Es ist {here}, aber der Speicher wurde um {last} geändert.", "It is {here}, but the store was changed at {last}."),
            )
            .cause(text!("Die Uhr wurde zurückgestellt oder geht nach.", "The clock was set back, or is slow."))
            .remedy(text!(
                "Die Uhr stellen (NTP), bevor der Server weiterläuft: Zeiten in Laufzetteln und Protokoll wären falsch.",
                "Set the clock (NTP) before the server goes on: times in process cards and log would be wrong."
            )),
        );
    }
    findings.push(match synchronised() {
        Some(false) => {
            Finding::warning("clock", text!("Die Uhr ist nicht synchronisiert.", "The clock is not synchronised."))
                .cause(text!(
                    "Kein Zeitdienst läuft oder er erreicht niemanden.",
                    "No time service runs, or it reaches nobody."
                ))
                .remedy(text!("chrony oder systemd-timesyncd einrichten.", "Set up chrony or systemd-timesyncd."))
        }
        Some(true) => Finding::ok("clock", text!("{here}, synchronisiert", "{here}, synchronised")),
        None => Finding::ok(
            "clock",
            text!(
                "{here}; ob synchronisiert, ist hier nicht bekannt",
                "{here}; whether synchronised is not known here"
            ),
        ),
    });
    findings
}

/// What systemd knows, if it runs here.
fn synchronised() -> Option<bool> {
    if !Path::new("/run/systemd/system").exists() {
        return None;
    }
    let mut ask = Command::new("timedatectl");
    let output = ask.args(["show", "--property=NTPSynchronized", "--value"]).stderr(Stdio::null()).output().ok()?;
    match output.stdout.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}
