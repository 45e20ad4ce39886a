//! `rohrpost audit prove`.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use rohrpost_audit::{Checkpoint, Leaf, LeafProof, LogVerifier};
use rohrpost_osci::ids::MessageId;
use serde_json::{Value, json};

use super::{checkpoint_json, leaf_json, open};
use crate::args::ConfigArgs;
use crate::config;
use crate::failure::{Failure, Kind};
use crate::output::{Output, stamp, table};

/// One entry with its proof, checked.
pub(crate) struct Proven {
    pub(crate) proof: LeafProof,
    pub(crate) leaf: Leaf,
    pub(crate) checkpoint: Checkpoint,
}

/// Prints what the log says about a message, with proof.
pub(super) fn run(message_id: &str, to: Option<&Path>, args: &ConfigArgs, output: Output) -> Result<()> {
    let (log, verifier) = open(&config::data_directory(args)?)?;
    let nothing = || {
        Failure::new(Kind::Nothing, "the log has no entry about this message")
            .remedy("check the message id; it is case-sensitive and stands on the process card")
    };
    let id = MessageId::new(message_id).with_context(nothing)?;
    let proofs = log.prove(&id)?;
    let proven = proofs.into_iter().map(|proof| check(proof, &verifier)).collect::<Result<Vec<_>>>()?;
    let checkpoint = &proven.first().with_context(nothing)?.checkpoint;
    let files = to.map(|to| write(&proven, message_id, to)).transpose()?.unwrap_or_default();
    let mut report = checkpoint_json(checkpoint);
    report["message_id"] = json!(message_id);
    report["key"] = json!(verifier.to_string());
    report["entries"] = proven.iter().map(entry_json).collect::<Result<Value>>()?;
    report["files"] = json!(files);
    output.result(&report, || {
        let mut text = format!("{}\n{}", entries_table(&proven), meaning(checkpoint, proven.len()));
        if !files.is_empty() {
            text.push_str(
                "\n\nProofs to hand on; each can be checked alone with `rohrpost audit verify FILE --key KEY`:",
            );
            files.iter().for_each(|file| text.push_str(&format!("\n  {file}")));
        }
        text
    })
}

/// Checks the path from an entry to the root and the signature on the root.
pub(crate) fn check(proof: LeafProof, verifier: &LogVerifier) -> Result<Proven> {
    let (leaf, checkpoint) = proof.verify(verifier).with_context(|| {
        Failure::new(Kind::Untrue, format!("the proof of entry {} does not hold", proof.index)).remedy(
            "do not rely on this entry; find out who changed the log and compare with checkpoints kept elsewhere",
        )
    })?;
    Ok(Proven { proof, leaf, checkpoint })
}

/// Entries for people.
pub(crate) fn entries_table<'a>(entries: impl IntoIterator<Item = &'a Proven>) -> String {
    let list = |items: Vec<String>| if items.is_empty() { "-".to_owned() } else { items.join(", ") };
    table(
        ["entry", "time (UTC)", "event", "bytes", "certificates", "feedback"],
        entries.into_iter().map(|Proven { proof, leaf, .. }| {
            let certificates = leaf.certificates.iter().map(|entry| {
                let short: String = entry.fingerprint.to_string().chars().take(8).collect();
                entry.verdict.as_ref().map_or_else(
                    || format!("{} {short}", entry.role),
                    |verdict| format!("{} {short} {verdict}", entry.role),
                )
            });
            [
                proof.index.to_string(),
                stamp(leaf.time),
                leaf.event.to_string(),
                leaf.bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string()),
                certificates.collect::<Vec<_>>().join("\n"),
                list(leaf.feedback.iter().map(u16::to_string).collect()),
            ]
        }),
    )
}

/// What the proofs show, in words.
pub(super) fn meaning(checkpoint: &Checkpoint, entries: usize) -> String {
    let these = if entries == 1 { "this entry" } else { "each of these entries" };
    format!(
        "\nProven: {these} is part of the log \"{}\" as its signed checkpoint of {} entries describes it\n\
         (path of hashes to the root {}, Ed25519 signature on the root).\n\
         Who holds this checkpoint can tell if an entry is ever changed, moved or removed.",
        checkpoint.origin, checkpoint.size, checkpoint.root
    )
}

fn entry_json(proven: &Proven) -> Result<Value> {
    Ok(json!({
        "index": proven.proof.index,
        "entry": leaf_json(&proven.leaf)?,
        "proof": proven.proof.to_text(),
    }))
}

/// One file per entry in the standard form (C2SP tlog-proof).
fn write(proven: &[Proven], message_id: &str, to: &Path) -> Result<Vec<String>> {
    let unwritable = |path: &Path| {
        Failure::new(Kind::Configuration, format!("cannot write {}", path.display())).remedy("check the path")
    };
    fs::create_dir_all(to).with_context(|| unwritable(to))?;
    // Ids of other systems may hold anything; a file name may not.
    let name: String = message_id.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    proven
        .iter()
        .map(|Proven { proof, leaf, .. }| {
            let file = to.join(format!("{name}-{}-{}.tlog-proof", proof.index, leaf.event.as_str().replace('/', "-")));
            fs::write(&file, proof.to_text()).with_context(|| unwritable(&file))?;
            Ok(file.display().to_string())
        })
        .collect()
}
