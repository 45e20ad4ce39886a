//! `rohrpost audit verify`: an export or a single proof, checked with nothing but the public key.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rohrpost_audit::{Checkpoint, LeafProof, LogVerifier, Report, verify_export_since};
use serde_json::{Value, json};

use super::prove::{check, entries_table, meaning};
use super::{checkpoint_json, existing, key, leaf_json, read};
use crate::failure::{Failure, Kind};
use crate::output::{Output, Tone, facts, stamp};

/// Checks the export in a folder, or the proof in a file.
pub(super) fn run(path: &Path, key_file: &Path, since: &[PathBuf], output: Output) -> Result<()> {
    let verifier = key(key_file)?;
    if existing(path)?.is_dir() { export(path, &verifier, since, output) } else { proof(path, &verifier, output) }
}

fn export(directory: &Path, verifier: &LogVerifier, since: &[PathBuf], output: Output) -> Result<()> {
    let known = since.iter().map(|file| known(file, verifier)).collect::<Result<Vec<_>>>()?;
    let bar = output.counter("entries");
    let report = verify_export_since(directory, verifier, &known, &mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let report =
        report.with_context(|| Failure::new(Kind::Configuration, format!("cannot read {}", directory.display())))?;
    let value = report_json(&report, &known);
    if report.is_good() {
        return output.result(&value, || good(&report, &known, output));
    }
    output.step(&bad(&report, output));
    let count = report.problems.len();
    let things = if count == 1 { "thing is" } else { "things are" };
    Err(Failure::new(Kind::Untrue, format!("the export does not hold: {count} {things} wrong with it"))
        .cause(report.problems.iter().take(3).map(ToString::to_string).collect::<Vec<_>>().join("; "))
        .remedy(
            "export again into an empty folder and verify that; if it still fails, the log itself was changed: keep the \
             data directory as evidence and compare with checkpoints kept elsewhere",
        )
        .report(value)
        .into())
}

/// A checkpoint kept from earlier. It must be signed, or it says nothing about the log.
fn known(file: &Path, verifier: &LogVerifier) -> Result<Checkpoint> {
    Checkpoint::open(read(file)?.as_bytes(), verifier).with_context(|| {
        Failure::new(Kind::Untrue, format!("{} is no checkpoint signed with this key", file.display()))
            .remedy("give a file as printed by `rohrpost audit checkpoint`, and the key that was valid then")
    })
}

fn proof(file: &Path, verifier: &LogVerifier, output: Output) -> Result<()> {
    let proof = LeafProof::from_text(&read(file)?).with_context(|| {
        Failure::new(Kind::Untrue, format!("{} is no proof of a log entry", file.display()))
            .remedy("give a file written by `rohrpost audit prove --to DIR`, or the folder of an export")
    })?;
    let proven = check(proof, verifier)?;
    let mut value = checkpoint_json(&proven.checkpoint);
    value["good"] = json!(true);
    value["index"] = json!(proven.proof.index);
    value["entry"] = leaf_json(&proven.leaf)?;
    output.result(&value, || format!("{}\n{}", entries_table([&proven]), meaning(&proven.checkpoint, 1)))
}

fn report_json(report: &Report, known: &[Checkpoint]) -> Value {
    json!({
        "good": report.is_good(),
        "log": report.origin,
        "size": report.size,
        "root": report.root.to_string(),
        "from": report.time_range.map(|(first, _)| stamp(first)),
        "to": report.time_range.map(|(_, last)| stamp(last)),
        "continues": known.iter().map(|checkpoint| checkpoint.size).collect::<Vec<_>>(),
        "problems": report.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn good(report: &Report, known: &[Checkpoint], output: Output) -> String {
    let period = report
        .time_range
        .map_or_else(|| "none yet".to_owned(), |(first, last)| format!("{} to {}", stamp(first), stamp(last)));
    let mut text = output.paint(Tone::Good, "The export holds.");
    text.push('\n');
    text.push_str(&facts([
        ("log", report.origin.clone()),
        ("entries", report.size.to_string()),
        ("times", period),
        ("root", report.root.to_string()),
    ]));
    text.push_str(
        "\nChecked: the signature on the checkpoint; every entry is readable; the hashes of all entries, in this order,\n\
         lead to the signed root; every tile agrees with them; no file is missing, none is too many.\n\
         Proven: nothing in this export was changed, removed, inserted or reordered since the checkpoint was signed.\n",
    );
    text.push_str(&match known {
        [] => "Not proven: that it is the newest state, or that the holder of the signing key did not rewrite the log as a whole.\n\
               For that, give a checkpoint kept elsewhere: --since FILE."
            .to_owned(),
        _ => {
            let sizes: Vec<String> = known.iter().map(|checkpoint| checkpoint.size.to_string()).collect();
            format!(
                "Proven as well: it continues the given checkpoint(s) of {} entries, so these entries were not rewritten since.",
                sizes.join(", ")
            )
        }
    });
    text
}

fn bad(report: &Report, output: Output) -> String {
    let mut text = output.paint(Tone::Bad, "The export does not hold.");
    text.push('\n');
    for problem in &report.problems {
        text.push_str(&format!("  - {problem}\n"));
    }
    text
}
