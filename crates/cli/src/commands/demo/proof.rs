//! What an auditor does: exports the log, verifies it with the public key alone, and sees that a change would be found.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rohrpost_audit::{Checkpoint, Event, LogVerifier, verify_export, verify_export_since};
use serde_json::{Value, json};

use super::journey::Sent;
use super::stage::Stage;
use super::story::Story;
use crate::commands::audit::{self, prove};

/// Takes the checkpoint an auditor would keep.
pub(super) fn checkpoint(stage: &Stage) -> Result<Checkpoint> {
    let (log, verifier) = audit::open(&stage.directory.join("data"))?;
    audit::opened(&log.checkpoint()?, &verifier)
}

/// Proves what happened, to somebody who trusts only the public key and the checkpoint kept before.
pub(super) fn prove(stage: &Stage, sent: &Sent, kept: &Checkpoint, story: &mut Story) -> Result<Value> {
    story.chapter("The log, and why nobody can rewrite it");
    story.tell(
        "Every change became one entry of a Merkle tree, in the same transaction as the change itself. The signed\n\
         root vouches for all entries and their order. An auditor exports the log as plain files, goes home, and\n\
         needs nothing but these files and the public key:\n",
    );
    let (log, verifier) = audit::open(&stage.directory.join("data"))?;
    let (export, key) = (stage.directory.join("log-export"), stage.directory.join("log.pub"));
    log.export_audit(&export, &mut |_, _| {})?;
    fs::write(&key, format!("{verifier}\n")).with_context(|| format!("cannot write {}", key.display()))?;
    let verifier = LogVerifier::from_text(&fs::read_to_string(&key)?)?;

    let proven = log
        .prove(&sent.message_id)?
        .into_iter()
        .map(|proof| prove::check(proof, &verifier))
        .collect::<Result<Vec<_>>>()?;
    story.tell(&prove::entries_table(&proven));
    story.tell("");
    let events: Vec<Event> = proven.iter().map(|proven| proven.leaf.event.clone()).collect();
    let expected = [Event::Accepted, Event::Forwarded, Event::Received];
    story.check(events == expected, "one entry per change of this message, each proven to be in the tree");

    let report = verify_export_since(&export, &verifier, std::slice::from_ref(kept), &mut |_, _| {})?;
    story.check(report.is_good(), format!("the export with its {} entries leads to the signed root", report.size));
    let covered = proven.iter().all(|proven| proven.checkpoint.root == report.root);
    story.check(covered, "the proofs and the export speak of the same root");
    let continues = format!("it continues the checkpoint of {} entries taken right after sending", kept.size);
    story.check(report.is_good() && kept.size < report.size, continues);
    let found = !verify_export(&changed_copy(stage, &export)?, &verifier)?.is_good();
    story.check(found, "with a single bit changed in a copy of it, verification fails");
    Ok(json!({
        "size": report.size,
        "root": report.root.to_string(),
        "export": export,
        "key_file": key,
        "events": events.iter().map(Event::as_str).collect::<Vec<_>>(),
    }))
}

/// The export with one bit of its first entry changed.
fn changed_copy(stage: &Stage, export: &Path) -> Result<PathBuf> {
    let copy = stage.directory.join("log-export-changed");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    copy_folder(export, &copy)?;
    let entries = copy.join("tile/entries");
    let first = first_file(&entries)?.context("the export holds no entries")?;
    let mut bytes = fs::read(&first)?;
    if let Some(byte) = bytes.iter_mut().rev().nth(20) {
        *byte ^= 1;
    }
    fs::write(&first, bytes)?;
    Ok(copy)
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn first_file(folder: &Path) -> std::io::Result<Option<PathBuf>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.sort();
    for path in paths {
        if path.is_file() {
            return Ok(Some(path));
        }
        if let Some(found) = first_file(&path)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
