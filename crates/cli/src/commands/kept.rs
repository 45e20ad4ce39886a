//! A delivery on disk, and what is told about it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rohrpost_client::{ContentSignature, Contents, Delivery};
use rohrpost_crypto::policy::Ruling;
use rohrpost_osci::content::{Attachment, Content};
use rohrpost_pki::{Certificate, Verdict};
use serde_json::{Value, json};

use super::folder::Folder;
use super::party;

/// A delivery that is durable.
pub(super) struct Kept {
    pub(super) message_id: String,
    /// For machines.
    pub(super) json: Value,
    /// For people.
    pub(super) text: String,
    /// The worst of its content signatures.
    pub(super) verdict: Option<Verdict>,
}

/// A file in the folder of its delivery.
pub(super) struct Item {
    name: String,
    /// Whether some signature stands for it.
    signed: bool,
    about: Value,
}

impl Kept {
    /// Writes everything that can be read into a folder of its own within `target`.
    pub(super) fn write(target: PathBuf, delivery: &Delivery, contents: &Contents) -> Result<Self> {
        let mut folder = Folder::new(target)?;
        let items = fill(&mut folder, contents)?;
        let folder = folder.finish(delivery.message_id.as_str())?;
        Ok(Self {
            message_id: delivery.message_id.to_string(),
            json: json(&folder, &items, delivery, contents),
            text: text(&folder, &items, delivery, contents),
            verdict: contents.verdict(),
        })
    }
}

/// Writes everything that can be read.
pub(super) fn fill(folder: &mut Folder, contents: &Contents) -> Result<Vec<Item>> {
    let mut items = data(folder, contents)?;
    items.extend(attachments(folder, contents)?);
    Ok(items)
}

fn data(folder: &mut Folder, contents: &Contents) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    for (container, signed) in contents.walk() {
        for content in &container.contents {
            if let Content::Data(data) = content {
                let name = folder.write_data(&format!("{}-{}", container.id, data.id), &data.bytes)?;
                let about = json!({ "container": container.id, "content": data.id, "signed": signed });
                items.push(Item { name, signed, about });
            }
        }
    }
    Ok(items)
}

fn attachments(folder: &mut Folder, contents: &Contents) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    let referring = contents.referring();
    for attachment in &contents.attachments {
        let Some(bytes) = attachment.bytes() else { continue };
        let (container, signed) = match referring.get(attachment.content_id.as_str()) {
            Some((container, signed)) => (Some(*container), *signed),
            None => (None, false),
        };
        // What no readable container refers to is a ciphertext for somebody else.
        let sealed = container.is_none() && contents.sealed() > 0;
        let wanted = if sealed { format!("{}.sealed", attachment.content_id) } else { attachment.content_id.clone() };
        let name = folder.write(&wanted, bytes)?;
        let about = json!({
            "attachment": attachment.content_id,
            "media_type": attachment.content_type,
            "container": container.map(|container| &container.id),
            "sealed": sealed,
            "signed": signed,
        });
        items.push(Item { name, signed, about });
    }
    Ok(items)
}

fn json(folder: &Path, items: &[Item], delivery: &Delivery, contents: &Contents) -> Value {
    let mut about = contents_json(folder, items, contents);
    about["message_id"] = json!(delivery.message_id.as_str());
    about["folder"] = json!(folder);
    about["card"] = party::card_json(&delivery.card);
    about["more"] = json!(delivery.more);
    about
}

/// What there is in a folder, and what is to be said about it; paths begin with `folder`.
pub(super) fn contents_json(folder: &Path, items: &[Item], contents: &Contents) -> Value {
    let file = |item: &Item| {
        let mut file = item.about.clone();
        file["file"] = json!(folder.join(&item.name));
        file
    };
    let signatures = contents.signatures.iter();
    json!({
        "files": items.iter().map(file).collect::<Value>(),
        "sealed_containers": contents.sealed(),
        "unreadable_attachments": unreadable(contents),
        "signatures": signatures.map(signature_json).collect::<Value>(),
        "verdict": contents.verdict().map(|verdict| verdict.to_string()),
        "sealing": contents.sealing.map(Ruling::name),
    })
}

fn text(folder: &Path, items: &[Item], delivery: &Delivery, contents: &Contents) -> String {
    let mut text = format!("{}\n  in {}\n", delivery.message_id, folder.display());
    let mut line = |words: &str| writeln!(text, "  {words}").expect("a string takes everything");
    // Names are the sender's and may look like anything else that is told here.
    items
        .iter()
        .for_each(|item| line(&format!("file {}{}", item.name, if item.signed { "" } else { " (not signed)" })));
    if contents.sealed() > 0 {
        line(&format!("containers sealed for others: {}", contents.sealed()));
    }
    if unreadable(contents) > 0 {
        line(&format!("attachments that cannot be decrypted: {}", unreadable(contents)));
    }
    contents.signatures.iter().for_each(|signature| line(&signature_text(signature)));
    text
}

fn unreadable(contents: &Contents) -> usize {
    contents.attachments.iter().filter(|attachment: &&Attachment| attachment.bytes().is_none()).count()
}

fn signature_json(signature: &ContentSignature) -> Value {
    json!({
        "container": signature.signature.container_id,
        "signer": signature.signer.as_ref().map(Certificate::subject),
        "verdict": signature.verdict().to_string(),
        "fault": signature.signature.outcome.as_ref().err().map(ToString::to_string),
        "algorithms": signature.ruling.name(),
        "certificate": signature.inspection.as_ref().map(|inspection| inspection.verdict.to_string()),
    })
}

fn signature_text(signature: &ContentSignature) -> String {
    let signer = party::plain(signature.signer.as_ref().map_or("somebody unknown", Certificate::subject));
    let container = party::plain(&signature.signature.container_id);
    match (&signature.signature.outcome, &signature.inspection) {
        (Err(fault), _) => format!("signature of {signer} over {container} DOES NOT HOLD: {fault}"),
        (Ok(()), Some(inspection)) => {
            format!("signature of {signer} over {container} holds; certificate {}", inspection.verdict)
        }
        (Ok(()), None) => format!("signature of {signer} over {container} holds; certificate not judged"),
    }
}
