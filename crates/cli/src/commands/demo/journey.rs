//! The way of the message: stored by one office, fetched by the other, over real HTTP.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rohrpost_client::{Contents, Delivery, NewAttachment, NewContainer, Shipment, stream};
use rohrpost_gateway::clock::{Clock as _, SystemClock};
use rohrpost_osci::card::{MathResult, OfflineResult, ProcessCardBundle, Timestamp};
use rohrpost_osci::content::Content;
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::selection::{CardRule, CardSelection, DeliverySelection};
use rohrpost_osci::source::ReadAt;
use rohrpost_pki::Verdict;

use super::letter::{ATTACHMENT, SUBJECT, confirmation, notice};
use super::stage::Stage;
use super::story::Story;
use crate::commands::party;
use crate::output::table;

/// What was sent.
pub(super) struct Sent {
    pub(super) message_id: MessageId,
    pub(super) notice: Vec<u8>,
    pub(super) attachment: Vec<u8>,
}

/// The sender writes, signs, seals and stores.
pub(super) async fn send(stage: &Stage, url: &str, story: &mut Story) -> Result<Sent> {
    story.chapter(&format!("{} sends", stage.sender.name));
    let began = SystemClock.now();
    let (notice, attachment) = (notice(began.date()).into_bytes(), confirmation(began.date()));
    let drafts = stage.subfolder("sent")?;
    keep(&drafts, "notice.xml", &notice)?;
    keep(&drafts, ATTACHMENT, &attachment)?;
    let receiver = stage.receiver.cipher.certificate.clone();
    let container = NewContainer::new()
        .data(notice.clone())
        .attachment(NewAttachment::new(ATTACHMENT, "application/pdf", attachment.clone()))
        .signed_by(stage.sender.signature.clone())
        .sealed_for(receiver.clone());
    let shipment = Shipment::to(receiver).with_subject(SUBJECT).with_container(container);
    let stored = stage.client(&stage.sender, url)?.store(shipment).await.map_err(party::failure)?;
    let took = (SystemClock.now() - began).whole_milliseconds();
    story.tell(&format!(
        "Somebody has moved, so the new authority writes to the old one: {} bytes of XML and, as attachment,\n\
         {} bytes of PDF. Two envelopes protect them:\n\
         - inside, the content: signed by its author (Musterstadt), sealed for its reader (Beispielhausen);\n\
         - outside, the order \"StoreDelivery\" around it: signed by Musterstadt, sealed for the intermediary.\n",
        notice.len(),
        attachment.len(),
    ));
    let created = stored.card.as_ref().and_then(|card| card.card.creation.as_ref());
    story.check(
        created.is_some(),
        format!("stored as {} in {took} ms, and on disk before that was said", stored.message_id),
    );
    Ok(Sent { message_id: stored.message_id, notice, attachment })
}

/// Somebody else asks for it in vain; the receiver fetches, verifies, and acknowledges.
pub(super) async fn fetch(stage: &Stage, url: &str, sent: &Sent, story: &mut Story) -> Result<()> {
    story.chapter(&format!("{} fetches", stage.receiver.name));
    story.tell(
        "A mailbox belongs to a cipher key. In a dialog, the intermediary sends what only this key can read\n\
         and hands out nothing to whoever cannot.\n",
    );
    let selection = || DeliverySelection::ById(sent.message_id.clone());
    let mut dialog = stage.client(&stage.sender, url)?.open_dialog().await.map_err(party::failure)?;
    let foreign = dialog.fetch(selection()).await.map_err(party::failure)?;
    dialog.exit().await.map_err(party::failure)?;
    story.check(foreign.is_none(), "nobody else gets it: not even the sender, who knows the message id");

    let mut dialog = stage.client(&stage.receiver, url)?.open_dialog().await.map_err(party::failure)?;
    let delivery = dialog.fetch(selection()).await.map_err(party::failure)?;
    story.check(delivery.is_some(), "the owner of the mailbox gets it");
    if let Some(delivery) = &delivery {
        let contents = delivery.open(&[]).await.map_err(party::failure)?;
        verify(stage, sent, delivery, &contents, story)?;
    }
    // What was fetched is kept by now; only then is it acknowledged.
    dialog.exit().await.map_err(party::failure)
}

fn verify(stage: &Stage, sent: &Sent, delivery: &Delivery, contents: &Contents, story: &mut Story) -> Result<()> {
    let by_intermediary = delivery.intermediary.as_ref() == Some(&stage.intermediary.signature.certificate);
    story.check(by_intermediary, "the answer is signed by the intermediary we know");
    let sealed = contents.package.containers.is_empty() && !contents.package.encrypted.is_empty();
    story.check(sealed && contents.sealed() == 0, "the content came sealed, and the reader's private key opens it");

    let notice = first_data(contents).map(read).transpose()?;
    let attachment = contents.attachment(ATTACHMENT).and_then(|found| found.bytes()).map(read).transpose()?;
    story.check(notice.as_ref() == Some(&sent.notice), "the notice is what was sent, byte for byte");
    story.check(attachment.as_ref() == Some(&sent.attachment), "so is the attachment");
    let folder = stage.subfolder("received")?;
    keep(&folder, "notice.xml", &notice.unwrap_or_default())?;
    keep(&folder, ATTACHMENT, &attachment.unwrap_or_default())?;

    let author = &stage.sender.signature.certificate;
    let signed = |signature: &rohrpost_client::ContentSignature| {
        signature.signature.outcome.is_ok() && signature.signer.as_ref() == Some(author)
    };
    let all = !contents.signatures.is_empty() && contents.signatures.iter().all(signed);
    story.check(all, "the author's signature stands for both, and was made with Musterstadt's key");
    story.check(contents.verdict() == Some(Verdict::Valid), "the author's certificate was valid at that time");
    Ok(())
}

/// The sender asks what became of it.
pub(super) async fn card(stage: &Stage, url: &str, sent: &Sent, story: &mut Story) -> Result<ProcessCardBundle> {
    story.chapter("The process card (Laufzettel)");
    story.tell("Both offices can ask for it at any time. This is what Musterstadt gets:\n");
    let selection = CardSelection { rule: CardRule::ByIds(vec![sent.message_id.clone()]), limit: None };
    let client = stage.client(&stage.sender, url)?;
    let cards = client.process_cards(selection).await.map_err(party::failure)?.cards;
    let card = cards.into_iter().next().context("the intermediary has no process card of a delivery it accepted")?;
    story.tell(&stamps_table(&card));
    let inspections = card.report.inspections().unwrap_or_default();
    story.tell("\nand what the intermediary found when it inspected the certificates:\n");
    story.tell(&table(
        ["certificate", "issuer's signature", "validity and usage"],
        inspections.iter().map(|found| [&*found.subject_name, found.math.as_str(), found.offline.as_str()]),
    ));
    story.tell("");
    let stamps: Vec<_> = stamps(&card).into_iter().map(|(_, stamp, _)| at(stamp)).collect();
    let complete = stamps.iter().all(Option::is_some) && stamps.is_sorted();
    story.check(complete, "sent, handed out, acknowledged: all three stamps, in this order");
    let good =
        |found: &rohrpost_osci::card::Inspection| found.math == MathResult::Ok && found.offline == OfflineResult::Valid;
    story.check(!inspections.is_empty() && inspections.iter().all(good), "every certificate in the message is valid");
    Ok(card)
}

fn stamps(card: &ProcessCardBundle) -> [(&'static str, &Option<Timestamp>, &'static str); 3] {
    [
        ("Creation", &card.card.creation, "accepted and durable: the sender may rely on it"),
        ("Forwarding", &card.card.forwarding, "handed out to the owner of the mailbox"),
        ("Reception", &card.card.reception, "acknowledged by the owner's next request"),
    ]
}

fn stamps_table(card: &ProcessCardBundle) -> String {
    let time = |stamp: &Option<Timestamp>| stamp.as_ref().map_or_else(|| "-".to_owned(), party::stamp_text);
    table(
        ["stamp", "time (UTC)", "meaning"],
        stamps(card).map(|(name, stamp, meaning)| [name.to_owned(), time(stamp), meaning.to_owned()]),
    )
}

fn at(stamp: &Option<Timestamp>) -> Option<time::OffsetDateTime> {
    match stamp {
        Some(Timestamp::Plain(at)) => Some(at.at()),
        _ => None,
    }
}

fn first_data(contents: &Contents) -> Option<&Arc<dyn ReadAt>> {
    contents.containers().into_iter().flat_map(|container| &container.contents).find_map(|content| match content {
        Content::Data(data) => Some(&data.bytes),
        _ => None,
    })
}

fn read(bytes: &Arc<dyn ReadAt>) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    stream(bytes).read_to_end(&mut all)?;
    Ok(all)
}

fn keep(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
