//! Whether the store can be read and its log is ours.

use std::fs;
use std::path::Path;

use rohrpost_store::{SqliteReader, SqliteStore};

use super::finding::{Finding, chain, text};
use super::keys::exposed;
use crate::commands::audit;
use crate::config::RawConfig;
use crate::node::{LOG_KEY, MESSAGE_ID_KEY};

const CHECK: &str = "store";

pub(super) fn examine(raw: &RawConfig, base: &Path) -> Vec<Finding> {
    let directory = base.join(&raw.storage.directory);
    if !SqliteStore::is_in(&directory) {
        return vec![Finding::ok(
            CHECK,
            text!("Noch kein Speicher; der erste Start legt ihn an.", "No store yet; the first start makes it."),
        )];
    }
    let mut findings = Vec::new();
    for (name, loss) in [
        (
            LOG_KEY,
            text!("Ohne ihn kann das Protokoll nicht fortgesetzt werden.", "Without it the log cannot be continued."),
        ),
        (
            MESSAGE_ID_KEY,
            text!("Ausgegebene Nachrichtenkennungen werden ungültig.", "Message ids that were issued become invalid."),
        ),
    ] {
        let file = directory.join(name);
        if file.exists() {
            findings.extend(exposed(CHECK, &file));
        } else {
            findings.push(
                Finding::problem(CHECK, text!("{name} fehlt.", "{name} is missing."))
                    .cause(loss)
                    .remedy(text!("Aus einer Sicherung wiederherstellen.", "Restore it from a backup.")),
            );
        }
    }
    let stats = SqliteReader::open(&directory).and_then(|reader| reader.stats());
    match stats {
        Ok(stats) => {
            let (waiting, entries) = (stats.waiting, stats.log_size);
            findings.push(Finding::ok(
                CHECK,
                text!("{waiting} Zustellungen warten, {entries} Einträge im Protokoll", "{waiting} deliveries waiting, {entries} entries in the log"),
            ));
            findings.extend(log(&directory));
        }
        Err(error) => findings.push(
            Finding::problem(CHECK, text!("Der Speicher ist nicht lesbar.", "The store cannot be read."))
                .because(chain(&error.into()))
                .remedy(text!(
                    "Als Benutzer des Servers und mit dessen Programmversion prüfen; sonst aus einer Sicherung wiederherstellen.",
                    "Examine it as the user and with the program version of the server; else restore a backup."
                )),
        ),
    }
    findings.extend(leftovers(&directory.join("incoming")));
    findings
}

fn log(directory: &Path) -> Option<Finding> {
    // A key that is missing was reported already.
    if !directory.join(LOG_KEY).exists() {
        return None;
    }
    let checked = audit::open(directory).and_then(|(log, verifier)| audit::opened(&log.checkpoint()?, &verifier));
    Some(match checked {
        Ok(checkpoint) => {
            let size = checkpoint.size;
            Finding::ok(
                "log",
                text!("Das Siegel über {size} Einträge ist echt.", "The seal over {size} entries is genuine."),
            )
        }
        Err(error) => Finding::problem(
            "log",
            text!("Das Protokoll ist nicht mit seinem Schlüssel gesiegelt.", "The log is not sealed with its key."),
        )
        .because(chain(&error))
        .remedy(text!(
            "Das Verzeichnis unverändert lassen, klären, wer es geändert hat, und mit `rohrpost audit verify` prüfen.",
            "Leave the folder as it is, find out who changed it, and examine it with `rohrpost audit verify`."
        )),
    })
}

/// What an interrupted server left; a running one has files there, too.
fn leftovers(incoming: &Path) -> Option<Finding> {
    let count = fs::read_dir(incoming).ok()?.count();
    (count > 0).then(|| {
        Finding::ok(
            CHECK,
            text!(
                "{count} Dateien in incoming: in Arbeit, oder der nächste Start räumt sie weg.",
                "{count} files in incoming: being worked on, or removed by the next start."
            ),
        )
    })
}
