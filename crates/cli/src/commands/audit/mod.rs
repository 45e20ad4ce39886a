//! `rohrpost audit`: what the message log says, and proof that nobody has rewritten it.
//!
//! Commands read the data directory beside a running server or without one; they change nothing there.

mod checkpoint;
mod export;
pub(super) mod prove;
mod verify;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result};
use rohrpost_audit::{Checkpoint, Leaf, LogVerifier};
use rohrpost_store::{SqliteReader, SqliteStore};
use serde_json::{Value, json};

use crate::args::AuditCommand;
use crate::failure::{Failure, Kind};
use crate::node;
use crate::output::Output;

/// Runs the chosen command.
pub(crate) fn run(command: &AuditCommand, output: Output) -> Result<()> {
    match command {
        AuditCommand::Verify { path, key, since } => verify::run(path, key, since, output),
        AuditCommand::Prove { message_id, to, config } => prove::run(message_id, to.as_deref(), config, output),
        AuditCommand::Checkpoint { config, key_to } => checkpoint::run(config, key_to.as_deref(), output),
        AuditCommand::Export { config, to } => export::run(config, to, output),
    }
}

/// The log of a data directory with the public half of its key.
pub(super) fn open(directory: &Path) -> Result<(SqliteReader, LogVerifier)> {
    let absent = || {
        Failure::new(Kind::Configuration, format!("there is no message log in {}", directory.display()))
            .remedy("give the configuration of the server (--config FILE), and start it once if it never ran")
    };
    if !SqliteStore::is_in(directory) {
        return Err(absent().into());
    }
    let verifier = node::log_verifier(directory)?;
    let reader = SqliteReader::open(directory).with_context(|| {
        Failure::new(Kind::Other, format!("cannot read the message log in {}", directory.display()))
            .remedy("run the command as the user of the server, with the version of the program the server has")
    })?;
    Ok((reader, verifier))
}

/// Checks the signature of a checkpoint.
pub(super) fn opened(note: &str, verifier: &LogVerifier) -> Result<Checkpoint> {
    Checkpoint::open(note.as_bytes(), verifier).with_context(|| {
        Failure::new(Kind::Untrue, "the checkpoint is not signed with the key of this log").remedy(
            "keep the data directory as it is and find out who changed it; compare with checkpoints kept elsewhere",
        )
    })
}

/// The public key in a file that `audit checkpoint --key-to` wrote.
fn key(file: &Path) -> Result<LogVerifier> {
    let text = read(file)?;
    LogVerifier::from_text(&text).with_context(|| {
        Failure::new(Kind::Configuration, format!("{} holds no public key of a log", file.display()))
            .remedy("use the file written by `rohrpost audit checkpoint --key-to FILE`: one line, name+hash+key")
    })
}

/// Text of a small file that the command line names.
fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| {
        Failure::new(Kind::Configuration, format!("cannot read {}", file.display()))
            .remedy("check the path and the rights of the file")
    })
}

/// Refuses what is not there, so that a mistyped path is not taken for a removed log.
fn existing(path: &Path) -> Result<fs::Metadata> {
    fs::metadata(path).map_err(|error| {
        let what = match error.kind() {
            ErrorKind::NotFound => format!("{} does not exist", path.display()),
            _ => format!("cannot read {}", path.display()),
        };
        anyhow::Error::from(error).context(Failure::new(Kind::Configuration, what).remedy("check the path"))
    })
}

fn checkpoint_json(checkpoint: &Checkpoint) -> Value {
    json!({ "log": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.to_string() })
}

fn leaf_json(leaf: &Leaf) -> Result<Value> {
    Ok(serde_json::to_value(leaf)?)
}
