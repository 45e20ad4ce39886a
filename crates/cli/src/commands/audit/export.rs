//! `rohrpost audit export`.

use std::path::Path;

use anyhow::Result;
use rohrpost_audit::ExportError;
use serde_json::json;

use super::open;
use crate::args::ConfigArgs;
use crate::config;
use crate::failure::{Failure, Kind};
use crate::output::Output;

/// Writes the log as files.
pub(super) fn run(args: &ConfigArgs, to: &Path, output: Output) -> Result<()> {
    let (log, verifier) = open(&config::data_directory(args)?)?;
    let bar = output.counter("entries");
    let exported = log.export_audit(to, &mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let report = exported.map_err(explain)?;
    let added = report.size - report.previous_size;
    let value = json!({
        "directory": to, "size": report.size, "added": added, "files": report.files, "key": verifier.to_string(),
    });
    output.result(&value, || {
        format!(
            "The log with its {} entries is in {} ({added} new since the last export there, {} files written).\n\
             It consists of plain files (C2SP tlog-tiles): copy it anywhere, or let any web server serve it.\n\n\
             An auditor checks it with nothing but these files and the public key:\n  \
             rohrpost audit verify {} --key FILE      (FILE: from `rohrpost audit checkpoint --key-to FILE`)",
            report.size,
            to.display(),
            report.files,
            to.display(),
        )
    })
}

fn explain(error: rohrpost_store::ExportError) -> anyhow::Error {
    let failure = match &error {
        ExportError::Io { .. } => Failure::new(Kind::Configuration, error.to_string())
            .remedy("check that the folder can be written and has space"),
        ExportError::ForeignFolder(_) => Failure::new(Kind::Configuration, error.to_string()).cause(
            "a folder is only continued if it holds an earlier state of the same log; if it should, the log was \
             rewritten or the folder was changed: `rohrpost audit verify` tells which",
        ),
        _ => Failure::new(Kind::Other, error.to_string()).remedy("stop the server and look at its data directory"),
    };
    anyhow::Error::from(error).context(failure)
}
