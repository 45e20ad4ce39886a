//! `rohrpost fetch`: fetches deliveries and keeps them as files, before it acknowledges them.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use rohrpost_client::{Contents, Delivery, Dialog};
use rohrpost_osci::content::{Attachment, Content};
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_pipeline::keyring::CipherPair;
use rohrpost_pki::Verdict;
use serde_json::{Value, json};

use super::folder::Folder;
use super::{cards, party};
use crate::args::FetchArgs;
use crate::failure::{Failure, Kind};
use crate::output::Output;

/// Fetches one delivery or all.
pub(crate) fn run(args: &FetchArgs, output: Output) -> Result<()> {
    if args.all && args.no_acknowledge {
        return Err(Failure::new(Kind::Configuration, "--all and --no-acknowledge do not go together")
            .cause("fetching the next delivery acknowledges the one before it")
            .remedy("leave one of them out")
            .into());
    }
    let selection = selection(args)?;
    let readers = args.readers.iter().map(|file| party::cipher(file, &args.party.pin_file));
    let readers: Vec<CipherPair> = readers.collect::<Result<_>>()?;
    let client = party::with_progress(&party::client(&args.party)?, output, "receiving");
    std::fs::create_dir_all(&args.to).with_context(|| {
        Failure::new(Kind::Configuration, format!("cannot create {}", args.to.display()))
            .remedy("check path and rights")
    })?;
    let kept = party::runtime()?.block_on(async {
        let mut dialog = client.open_dialog().await.map_err(party::failure)?;
        let kept = fetch(&mut dialog, args, &selection, &readers).await?;
        if !args.no_acknowledge {
            dialog.exit().await.map_err(party::failure)?;
        }
        anyhow::Ok(kept)
    })?;
    report(&kept, output)
}

/// A delivery on disk.
struct Kept {
    message_id: String,
    json: Value,
    text: String,
    verdict: Option<Verdict>,
}

fn selection(args: &FetchArgs) -> Result<DeliverySelection> {
    match (&args.message_id, &args.since) {
        (Some(id), _) => Ok(DeliverySelection::ById(cards::message_id(id)?)),
        (_, Some(since)) => Ok(DeliverySelection::Since(party::time(since, "--since")?)),
        _ => Ok(DeliverySelection::Oldest),
    }
}

async fn fetch(
    dialog: &mut Dialog,
    args: &FetchArgs,
    selection: &DeliverySelection,
    readers: &[CipherPair],
) -> Result<Vec<Kept>> {
    let mut kept = Vec::new();
    while let Some(delivery) = dialog.fetch(selection.clone()).await.map_err(party::failure)? {
        let contents = delivery.open(readers).await.map_err(party::failure)?;
        let target = args.to.clone();
        // Files are durable before anything further is sent: that would acknowledge the delivery.
        kept.push(tokio::task::spawn_blocking(move || keep(target, &delivery, &contents)).await??);
        if !args.all {
            break;
        }
    }
    Ok(kept)
}

/// Writes everything that can be read into a folder of its own.
fn keep(target: PathBuf, delivery: &Delivery, contents: &Contents) -> Result<Kept> {
    let mut folder = Folder::new(target)?;
    let mut files = Vec::new();
    let all = contents.containers();
    for container in &all {
        for content in &container.contents {
            if let Content::Data(data) = content {
                let name = format!("{}-{}", container.id, data.id);
                let file = folder.write_data(&name, &data.bytes)?;
                files.push((file, json!({ "container": container.id, "content": data.id })));
            }
        }
    }
    let mut unreadable = 0;
    for attachment in &contents.attachments {
        match attachment.bytes() {
            Some(bytes) => {
                let file = folder.write(&attachment.content_id, bytes)?;
                files.push((file, attachment_json(attachment, contents)));
            }
            None => unreadable += 1,
        }
    }
    let folder = folder.finish(delivery.message_id.as_str())?;
    let signatures: Vec<Value> = contents.signatures.iter().map(signature_json).collect();
    let listed: Vec<Value> = files
        .iter()
        .map(|(name, about)| {
            let mut about = about.clone();
            about["file"] = json!(folder.join(name));
            about
        })
        .collect();
    let verdict = contents.verdict();
    let json = json!({
        "message_id": delivery.message_id.as_str(),
        "folder": folder,
        "files": listed,
        "sealed_containers": contents.sealed(),
        "unreadable_attachments": unreadable,
        "signatures": signatures,
        "verdict": verdict.map(|verdict| verdict.to_string()),
        "card": party::card_json(&delivery.card),
        "more": delivery.more,
    });
    let mut text = format!("{}\n  in {}\n", delivery.message_id, folder.display());
    for (file, _) in &files {
        text.push_str(&format!("  {file}\n"));
    }
    if contents.sealed() > 0 {
        text.push_str(&format!("  {} containers are sealed for others\n", contents.sealed()));
    }
    for signature in &contents.signatures {
        text.push_str(&format!("  {}\n", signature_text(signature)));
    }
    Ok(Kept { message_id: delivery.message_id.to_string(), json, text, verdict })
}

fn attachment_json(attachment: &Attachment, contents: &Contents) -> Value {
    let refers = |content: &Content| matches!(content, Content::Attachment(reference) if reference.content_id == attachment.content_id);
    let container = contents.containers().into_iter().find(|container| container.contents.iter().any(refers));
    json!({
        "attachment": attachment.content_id,
        "media_type": attachment.content_type,
        "container": container.map(|container| &container.id),
    })
}

fn signature_json(signature: &rohrpost_client::ContentSignature) -> Value {
    json!({
        "container": signature.signature.container_id,
        "signer": signature.signer.as_ref().map(rohrpost_pki::Certificate::subject),
        "verdict": signature.verdict().to_string(),
        "fault": signature.signature.outcome.as_ref().err().map(ToString::to_string),
        "algorithms": signature.ruling.name(),
        "certificate": signature.inspection.as_ref().map(|inspection| inspection.verdict.to_string()),
    })
}

fn signature_text(signature: &rohrpost_client::ContentSignature) -> String {
    let signer = signature.signer.as_ref().map_or("somebody unknown", rohrpost_pki::Certificate::subject);
    let container = &signature.signature.container_id;
    match (&signature.signature.outcome, &signature.inspection) {
        (Err(fault), _) => format!("signature of {signer} over {container} DOES NOT HOLD: {fault}"),
        (Ok(()), Some(inspection)) => {
            format!("signature of {signer} over {container} holds; certificate {}", inspection.verdict)
        }
        (Ok(()), None) => format!("signature of {signer} over {container} holds; certificate not judged"),
    }
}

fn report(kept: &[Kept], output: Output) -> Result<()> {
    if kept.is_empty() {
        return Err(Failure::new(Kind::Nothing, "there is no delivery to fetch")
            .cause("the mailbox is empty, or holds no such delivery")
            .remedy("try again later")
            .into());
    }
    let report = json!({ "deliveries": kept.iter().map(|kept| &kept.json).collect::<Vec<_>>() });
    let text = || kept.iter().map(|kept| kept.text.as_str()).collect::<String>();
    let wrong = kept.iter().filter(|kept| kept.verdict == Some(Verdict::Invalid));
    let wrong: Vec<&str> = wrong.map(|kept| kept.message_id.as_str()).collect();
    if wrong.is_empty() {
        return output.result(&report, text);
    }
    output.step(&text());
    Err(Failure::new(Kind::Untrue, format!("a signature over content does not hold: {}", wrong.join(", ")))
        .cause("the content was changed after it was signed, or the signer's certificate is no good")
        .remedy("do not rely on that content; ask its sender. It was kept and acknowledged all the same")
        .report(report)
        .into())
}
