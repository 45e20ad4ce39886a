//! `rohrpost send`: stores a delivery at an intermediary.

use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};
use rohrpost_client::{Bytes, NewAttachment, NewContainer, Shipment};
use rohrpost_osci::ids::MessageId;
use serde_json::json;

use super::party;
use crate::args::SendArgs;
use crate::config::keys;
use crate::failure::{Failure, Kind};
use crate::output::Output;

/// Builds the delivery, stores it and prints what became of it.
pub(crate) fn run(args: &SendArgs, output: Output) -> Result<()> {
    let client = party::with_progress(&party::client(&args.party)?, output, "sending");
    let shipment = shipment(args)?;
    let stored = party::runtime()?.block_on(client.store(shipment)).map_err(party::failure)?;
    let report = json!({
        "message_id": stored.message_id.as_str(),
        "repeated": stored.repeated,
        "feedback": party::feedback_json(&stored.feedback),
        "card": stored.card.as_ref().map(party::card_json),
    });
    output.result(&report, || {
        let mut text = format!("stored as {}\n", stored.message_id);
        if stored.repeated {
            text.push_str("an earlier try had stored it; its answer had been lost\n");
        }
        for entry in stored.feedback.entries() {
            text.push_str(&format!("{} {}\n", entry.code, party::plain(entry.text.as_deref().unwrap_or_default())));
        }
        text
    })
}

fn shipment(args: &SendArgs) -> Result<Shipment> {
    let mut container = NewContainer::new().data(content(&args.content)?);
    for file in &args.attachments {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.with_context(|| unreadable(file))?;
        let bytes = Bytes::from_file(file).with_context(|| unreadable(file))?;
        container = container.attachment(NewAttachment::new(name, media_type(file), bytes));
    }
    if let Some(file) = &args.author {
        container = container.signed_by(party::signature(file, &args.party.pin_file)?);
    }
    for file in &args.readers {
        container = container.sealed_for(keys::certificate(file)?);
    }
    let mut shipment = Shipment::to(keys::certificate(&args.to)?).with_container(container);
    if let Some(subject) = &args.subject {
        shipment = shipment.with_subject(subject);
    }
    if let Some(id) = &args.message_id {
        let id = MessageId::new(id)
            .with_context(|| Failure::new(Kind::Configuration, format!("--message-id cannot be {id:?}")))?;
        shipment = shipment.with_message_id(id);
    }
    Ok(shipment)
}

fn content(file: &Path) -> Result<Bytes> {
    if file == Path::new("-") {
        return Bytes::from_reader(io::stdin().lock(), &party::spools()).context("standard input cannot be read");
    }
    Bytes::from_file(file).with_context(|| unreadable(file))
}

fn unreadable(file: &Path) -> Failure {
    Failure::new(Kind::Configuration, format!("cannot read {}", file.display()))
        .remedy("check the path and the rights of the file")
}

/// The media type by the ending of the name; readers are told no more than that.
pub(super) fn media_type(file: &Path) -> &'static str {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    match ending.as_str() {
        "csv" => "text/csv",
        "htm" | "html" => "text/html",
        "jpeg" | "jpg" => "image/jpeg",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "tif" | "tiff" => "image/tiff",
        "txt" => "text/plain",
        "xml" => "text/xml",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}
