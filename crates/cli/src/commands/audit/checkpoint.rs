//! `rohrpost audit checkpoint`.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{checkpoint_json, open, opened};
use crate::args::ConfigArgs;
use crate::config;
use crate::failure::{Failure, Kind};
use crate::output::Output;

/// Prints the newest checkpoint, and writes the public key if wanted.
pub(super) fn run(args: &ConfigArgs, key_to: Option<&Path>, output: Output) -> Result<()> {
    let (log, verifier) = open(&config::data_directory(args)?)?;
    let note = log.checkpoint()?;
    let checkpoint = opened(&note, &verifier)?;
    if let Some(file) = key_to {
        fs::write(file, format!("{verifier}\n"))
            .with_context(|| Failure::new(Kind::Configuration, format!("cannot write {}", file.display())))?;
    }
    let mut report = checkpoint_json(&checkpoint);
    report["checkpoint"] = json!(note);
    report["key"] = json!(verifier.to_string());
    report["key_file"] = json!(key_to);
    output.result(&report, || note.clone())?;
    output.aside(&format!(
        "\nThis signed statement covers all {} entries the log has now. Keep it where the operator cannot change it:\n\
         `rohrpost audit verify --since` then shows whether any of these entries was changed, removed or reordered later.",
        checkpoint.size,
    ));
    output.aside(&match key_to {
        Some(file) => format!("The public key is in {}; give it to auditors now, by a way of its own.", file.display()),
        None => format!("Public key of the log: {verifier}"),
    });
    Ok(())
}
