//! What `send`, `fetch`, `cards` and `receive` share: keys and authorities, a client from the command line, errors with exit codes, cards as JSON.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use indicatif::ProgressBar;
use rohrpost_client::transport::{Moved, Tls};
use rohrpost_client::{Client, Clock, Config, Error, PeerError};
use rohrpost_crypto::policy::Policy;
use rohrpost_gateway::clock::{Clock as _, SystemClock};
use rohrpost_osci::card::{ProcessCardBundle, Timestamp};
use rohrpost_osci::datetime::DateTime;
use rohrpost_osci::feedback::{Code, Feedback};
use rohrpost_pipeline::keyring::{CipherPair, KeyRing, SignaturePair};
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_pki::{Certificate, Inspector};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::args::PartyArgs;
use crate::config::{self, keys};
use crate::failure::{Failure, Kind};
use crate::output::Output;

/// A client as the command line describes it.
pub(crate) fn client(args: &PartyArgs) -> Result<Client> {
    let cipher = cipher(&args.cipher, &args.pin_file)?;
    let signature = match &args.signature {
        Some(file) => Some(signature(file, &args.pin_file)?),
        None => None,
    };
    let intermediary = keys::certificate(&args.intermediary_cipher)?;
    let keys = KeyRing::new(vec![cipher], signature);
    let clock = Clock::new(|| SystemClock.now());
    let mut config = Config::new(&args.url, intermediary, keys, spools(), clock);
    // Somebody waits at the other end of the command line, or a script that has its own idea of repetition.
    config.retries.tries = 3;
    if let Some(file) = &args.intermediary_signature {
        config.intermediary_signature = Some(keys::certificate(file)?);
    }
    if !args.anchors.is_empty() {
        config.inspector = Some(inspector(&args.anchors, &args.intermediates)?.into());
    }
    if let Some(file) = &args.tls_authorities {
        config.tls = Some(Tls::trusting(keys::certificates(file)?));
    }
    Client::new(config).map_err(failure)
}

/// Judges certificates under the authorities of the command line.
pub(crate) fn inspector(anchors: &[PathBuf], intermediates: &[PathBuf]) -> Result<Inspector> {
    let all = |files: &[PathBuf]| -> Result<Vec<Certificate>> {
        Ok(files.iter().map(|file| keys::certificates(file)).collect::<Result<Vec<_>>>()?.concat())
    };
    let anchors = config::trusted(all(anchors)?)?;
    Ok(Inspector::new(anchors, Policy::standard()).with_intermediates(all(intermediates)?))
}

/// Where messages and opened content lie while they are sent and received. Whoever ends the command with ctrl-c leaves nothing of
/// them behind.
pub(crate) fn spools() -> SpoolDir {
    SpoolDir::new(std::env::temp_dir()).unnamed()
}

/// A key pair that opens messages or content.
pub(crate) fn cipher(file: &Path, pin_file: &Path) -> Result<CipherPair> {
    config::cipher(keys::pkcs12_file(file, pin_file)?.into(), &file.display().to_string())
}

/// A key pair that signs messages or content.
pub(crate) fn signature(file: &Path, pin_file: &Path) -> Result<SignaturePair> {
    config::signature(keys::pkcs12_file(file, pin_file)?.into(), &file.display().to_string())
}

/// Something to run requests on.
pub(crate) fn runtime() -> Result<Runtime> {
    Builder::new_multi_thread().enable_all().build().context("threads cannot be started")
}

/// A time from the command line.
pub(crate) fn time(text: &str, option: &str) -> Result<DateTime> {
    DateTime::parse(text).map_err(|_| {
        Failure::new(Kind::Configuration, format!("{option} cannot be {text:?}"))
            .remedy("write a time like 2026-12-01T12:00:00Z")
            .into()
    })
}

/// The same client, showing how a large message moves.
pub(crate) fn with_progress(client: &Client, output: Output, what: &'static str) -> Client {
    let bar = std::sync::OnceLock::<ProgressBar>::new();
    client.with_progress(move |moved| {
        let (bytes, total) = match moved {
            Moved::Sent { bytes, total } => (bytes, Some(total)),
            Moved::Received { bytes, total } => (bytes, total),
            _ => return,
        };
        if total.is_some_and(|total| total < WORTH_SHOWING) {
            return;
        }
        let bar = bar.get_or_init(|| output.progress(total, what));
        bar.set_position(bytes);
        if Some(bytes) == total {
            bar.finish_and_clear();
        }
    })
}

/// Smaller messages are there before anybody could read the bar.
const WORTH_SHOWING: u64 = 1 << 20;

/// The error of a client as a failure of the command.
pub(crate) fn failure(error: Error) -> anyhow::Error {
    let mut what = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(deeper) = source {
        let text = deeper.to_string();
        if !what.contains(&text) {
            what = format!("{what}: {text}");
        }
        source = deeper.source();
    }
    let mut failure = Failure::new(kind(&error), plain(&what)).cause(error.cause()).remedy(error.remedy());
    failure.correlation_id = error.correlation_id().map(str::to_owned);
    failure.into()
}

fn kind(error: &Error) -> Kind {
    match error {
        Error::Unusable(_) => Kind::Configuration,
        Error::Connection(_) | Error::Busy { .. } | Error::DialogStale(_) => Kind::Connection,
        Error::Refused(refusal) => {
            let nothing = [Code::NoMatchingDelivery, Code::NoMatchingProcessCard];
            let is_empty = nothing.into_iter().any(|code| refusal.feedback.contains(code));
            if is_empty { Kind::Nothing } else { Kind::Refused }
        }
        Error::Fault(_) => Kind::Refused,
        Error::Peer(PeerError::Unsigned | PeerError::Unencrypted | PeerError::Signature { .. }) => Kind::Untrue,
        Error::OutcomeUnknown { source, .. } => kind(source),
        _ => Kind::Other,
    }
}

/// The words of a peer on one line: they must not steer the terminal, nor look like something else.
pub(crate) fn plain(text: &str) -> String {
    text.replace(|c: char| c.is_control() || is_invisible(c), " ")
}

/// Marks that turn the direction of text, and other characters without width: `exe.fdp` must look like what it is.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

/// The entries of a feedback.
pub(crate) fn feedback_json(feedback: &Feedback) -> Value {
    let entry = |entry: &rohrpost_osci::feedback::Entry| json!({ "code": entry.code.to_string(), "text": entry.text });
    feedback.entries().iter().map(entry).collect()
}

/// A process card.
pub(crate) fn card_json(card: &ProcessCardBundle) -> Value {
    let inspections = card.report.inspections().unwrap_or_default();
    let inspections: Vec<Value> = inspections
        .iter()
        .map(|inspection| {
            json!({
                "subject": inspection.subject_name,
                "issuer": inspection.issuer_name,
                "serial": inspection.serial_number,
                "math": inspection.math.as_str(),
                "offline": inspection.offline.as_str(),
            })
        })
        .collect();
    let stamp = |stamp: &Option<Timestamp>| stamp.as_ref().map(stamp_text);
    json!({
        "message_id": card.message_id.as_str(),
        "subject": card.card.subject,
        "created": stamp(&card.card.creation),
        "forwarded": stamp(&card.card.forwarding),
        "received": stamp(&card.card.reception),
        "modified": card.card.recent_modification.as_str(),
        "inspections": inspections,
    })
}

/// A time stamp for people and machines.
pub(crate) fn stamp_text(stamp: &Timestamp) -> String {
    match stamp {
        Timestamp::Plain(at) => at.to_string(),
        Timestamp::Cryptographic { algorithm, token } => format!("{algorithm} ({} bytes)", token.len()),
    }
}
