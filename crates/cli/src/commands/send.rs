//! `rohrpost send`: stores a delivery at an intermediary, or has it forwarded to a passive recipient.

use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};
use rohrpost_client::{Bytes, Client, NewAttachment, NewContainer, Shipment, Stored, Upload};
use rohrpost_osci::feedback::Feedback;
use rohrpost_osci::ids::MessageId;
use rohrpost_pki::Verdict;
use serde_json::json;

use super::kept::Kept;
use super::party;
use crate::args::SendArgs;
use crate::config::keys;
use crate::failure::{Failure, Kind};
use crate::output::Output;

/// Builds the delivery, hands it to the intermediary and prints what became of it.
pub(crate) fn run(args: &SendArgs, output: Output) -> Result<()> {
    let client = party::with_progress(&party::client(&args.party)?, output, "sending");
    if let Some(file) = &args.resume {
        return resume(&client, args, file, output);
    }
    let shipment = shipment(args)?;
    if let (Some(receiver), Some(folder)) = (&args.mediate, &args.reply) {
        return mediate(&client, receiver, shipment, folder, output);
    }
    let stored = party::runtime()?.block_on(async {
        match &args.forward {
            Some(receiver) => client.forward(receiver, shipment).await,
            None => client.store(shipment).await,
        }
    });
    told(args, &stored.map_err(party::failure)?, output)
}

/// Stores a delivery in chunks, and goes on with one that is in the file already.
fn resume(client: &Client, args: &SendArgs, file: &Path, output: Output) -> Result<()> {
    let stored = party::runtime()?.block_on(async {
        let upload = if file.exists() {
            Upload::from_file(file).map_err(party::failure)?
        } else {
            client.prepare_upload(shipment(args)?, file).await.map_err(party::failure)?
        };
        client.upload(&upload).await.map_err(party::failure)
    })?;
    std::fs::remove_file(file).with_context(|| unreadable(file))?;
    told(args, &stored, output)
}

fn told(args: &SendArgs, stored: &Stored, output: Output) -> Result<()> {
    let is_received = stored.is_received();
    let report = json!({
        "message_id": stored.message_id.as_str(),
        "repeated": stored.repeated,
        "received": is_received,
        "feedback": party::feedback_json(&stored.feedback),
        "card": stored.card.as_ref().map(party::card_json),
    });
    output.result(&report, || {
        let mut text = match (&args.forward, is_received) {
            (None, _) => format!("stored as {}\n", stored.message_id),
            (Some(_), true) => format!("received by its recipient as {}\n", stored.message_id),
            (Some(_), false) => {
                format!("kept as {}: not received yet by its recipient, see its process card\n", stored.message_id)
            }
        };
        if stored.repeated {
            text.push_str("an earlier try had handed it in; its answer had been lost\n");
        }
        text + &feedback(&stored.feedback)
    })
}

/// Sends a delivery and keeps the reply, before it is acknowledged.
fn mediate(client: &Client, receiver: &str, shipment: Shipment, folder: &Path, output: Output) -> Result<()> {
    // Before anything is sent: a reply that cannot be kept would be lost.
    std::fs::create_dir_all(folder).with_context(|| {
        Failure::new(Kind::Configuration, format!("cannot create {}", folder.display())).remedy("check path and rights")
    })?;
    let target = folder.to_owned();
    let (mediated, kept) = party::runtime()?.block_on(async {
        let mut dialog = client.open_dialog().await.map_err(party::failure)?;
        let mediated = dialog.mediate(receiver, shipment).await.map_err(party::failure)?;
        let contents = mediated.reply.open(&[]).await.map_err(party::failure)?;
        let (mediated, kept) = tokio::task::spawn_blocking(move || {
            let kept = Kept::write(target, &mediated.reply, &contents);
            (mediated, kept)
        })
        .await?;
        let kept = kept?;
        dialog.exit().await.map_err(party::failure)?;
        anyhow::Ok((mediated, kept))
    })?;
    let report = json!({
        "card": mediated.card.as_ref().map(party::card_json),
        "feedback": party::feedback_json(&mediated.reply.feedback),
        "reply": kept.json,
    });
    if kept.verdict == Some(Verdict::Invalid) {
        return Err(Failure::new(Kind::Untrue, "a signature over the reply's content does not hold")
            .cause("the content was changed after it was signed, or the signer's certificate is no good")
            .remedy("do not rely on it; ask the recipient. It was kept all the same")
            .report(report)
            .into());
    }
    output.result(&report, || kept.text.clone() + &feedback(&mediated.reply.feedback))
}

fn feedback(feedback: &Feedback) -> String {
    let entries = feedback.entries().iter();
    entries
        .map(|entry| format!("{} {}\n", entry.code, party::plain(entry.text.as_deref().unwrap_or_default())))
        .collect()
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
