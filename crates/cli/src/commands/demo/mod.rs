//! `rohrpost demo`: two registration authorities, their intermediary and one message between them, on this machine.
//!
//! Everything is real but the people: keys, HTTP, encryption, the store, the log. What is claimed is checked, and the
//! command fails if a check does.

mod blindness;
mod journey;
mod letter;
mod proof;
mod stage;
mod story;

use std::path::Path;

use anyhow::Result;
use rohrpost_gateway::clock::{Clock as _, SystemClock};
use rohrpost_osci::ids::MessageId;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use self::stage::{Office, Stage};
use self::story::Story;
use crate::args::DemoArgs;
use crate::commands::{party, serve};
use crate::failure::{Failure, Kind};
use crate::node::Node;
use crate::output::{Output, Tone};

/// Plays it, and stays up unless told otherwise.
pub(crate) fn run(args: &DemoArgs, output: Output) -> Result<()> {
    party::runtime()?.block_on(play(args, output))
}

async fn play(args: &DemoArgs, output: Output) -> Result<()> {
    let began = SystemClock.now();
    let mut story = Story::new(output);
    output.step(&output.paint(Tone::Strong, "One message between two authorities, over OSCI-Transport 1.2"));
    story.tell(INTRODUCTION);
    let stage = Stage::set(args)?;
    introduce(&stage, &mut story);
    let config = stage.config(args)?;
    let log = serve::LogSettings::of(&config);
    let node = Node::start(config).await?;
    let url = node.osci_urls().first().cloned().unwrap_or_default();
    story.tell(&format!("\nThe intermediary listens at {url} and knows nothing of what follows."));

    let (message_id, report) = travel(&stage, &url, &mut story).await?;
    let seconds = (SystemClock.now() - began).as_seconds_f64();
    let value = json!({
        "good": story.broken().is_empty(),
        "seconds": seconds,
        "osci": url,
        "management": node.management_url(),
        "message_id": message_id.as_str(),
        "stage": stage.report(),
        "checks": story.report(),
        "process_card": report.card,
        "log": report.log,
    });
    let broken = story.broken();
    if !broken.is_empty() {
        node.stop().await;
        return Err(Failure::new(Kind::Untrue, "the demo found something that must not be")
            .cause(broken.join("; "))
            .remedy("this is a defect: please report it, with the output of `rohrpost --json demo --once`")
            .report(value)
            .into());
    }
    output.result(&value, || summary(&story, seconds, output))?;
    if !args.once {
        output.step(&next_steps(&stage, &url, &node, &message_id));
        serve::start_logging(&log)?;
        interrupted().await?;
    }
    node.stop().await;
    Ok(())
}

/// What the parts found, for machines.
struct Report {
    card: Value,
    log: Value,
}

async fn travel(stage: &Stage, url: &str, story: &mut Story) -> Result<(MessageId, Report)> {
    let sent = journey::send(stage, url, story).await?;
    blindness::look(stage, story)?;
    let kept = proof::checkpoint(stage)?;
    journey::fetch(stage, url, &sent, story).await?;
    let card = journey::card(stage, url, &sent, story).await?;
    let log = proof::prove(stage, &sent, &kept, story)?;
    Ok((sent.message_id, Report { card: party::card_json(&card), log }))
}

const INTRODUCTION: &str = "
German authorities exchange registry messages through intermediaries: a sender hands over a sealed message, the
intermediary keeps it in the mailbox of the addressee, notes what happens to it, and cannot read it. Here is one such
message from start to end. Everything about it is real but the people.";

fn introduce(stage: &Stage, story: &mut Story) {
    story.chapter("Who is who");
    let made = if stage.fresh { "A test authority has just certified" } else { "An earlier demo has certified" };
    story.tell(&format!(
        "{made} a cipher key (others encrypt for it) and a signature key for each of\n\
         - {}, the originator, who is also the author of the content\n\
         - {}, the addressee, who is also its reader\n\
         - {}, in between\n\n\
         Everything is in {}{}",
        stage.sender.name,
        stage.receiver.name,
        stage.intermediary.name,
        stage.directory.display(),
        if stage.is_temporary() { ", and gone afterwards (keep it with --directory DIR)." } else { "." },
    ));
}

fn summary(story: &Story, seconds: f64, output: Output) -> String {
    let good = output.paint(Tone::Good, format!("All {} checks hold.", story.checked()));
    format!("\n{good} It took {seconds:.1} seconds.")
}

fn next_steps(stage: &Stage, url: &str, node: &Node, message_id: &MessageId) -> String {
    let program = std::env::current_exe().map_or_else(|_| "rohrpost".to_owned(), |path| path.display().to_string());
    let file = |path: &Path| path.strip_prefix(&stage.directory).unwrap_or(path).display().to_string();
    let as_party = |office: &Office| {
        format!(
            "--url {url} \\\n    --intermediary-cipher {} --pin-file {} \\\n    --cipher {} --signature {}",
            file(&stage.intermediary.cipher_certificate),
            file(&stage.pin_file),
            file(&office.cipher_file),
            file(&office.signature_file),
        )
    };
    let (sender, receiver) = (as_party(&stage.sender), as_party(&stage.receiver));
    let (to, author) = (file(&stage.receiver.cipher_certificate), file(&stage.sender.signature_file));
    let later = if stage.is_temporary() {
        String::new()
    } else {
        format!("\nLater, `{program} serve --config rohrpost.toml` starts the intermediary again.")
    };
    format!(
        "
The intermediary stays up until Ctrl-C. In another terminal:

  cd {}

  # send the notice once more, as Musterstadt, signed by its author and sealed for its reader
  {program} send {sender} \\
    --author {author} --content sent/notice.xml \\
    --to {to} --reader {to}

  # fetch it, as Beispielhausen
  {program} fetch {receiver} \\
    --anchor certs/root.pem --to inbox

  # what became of all of Musterstadt's messages
  {program} cards {sender}

  # prove what the log says about the message of the demo; see the figures of the intermediary
  {program} audit prove {message_id} --config rohrpost.toml
  curl {}/metrics

Java applications with the public OSCI library need the address above, the two certificates of the intermediary and
the PKCS#12 files of an office with their PIN; all are in certs.{later}
",
        stage.directory.display(),
        node.management_url(),
    )
}

async fn interrupted() -> Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
