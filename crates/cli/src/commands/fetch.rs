//! `rohrpost fetch`: fetches deliveries and keeps them as files, before it acknowledges them.

use anyhow::{Context as _, Result};
use rohrpost_client::Dialog;
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_pipeline::keyring::CipherPair;
use rohrpost_pki::Verdict;
use serde_json::json;

use super::kept::Kept;
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
    let (kept, ended) = party::runtime()?.block_on(async {
        let mut dialog = client.open_dialog().await.map_err(party::failure)?;
        let mut kept = Vec::new();
        let mut ended = fetch(&mut dialog, args, &selection, &readers, &mut kept).await;
        if ended.is_ok() && !args.no_acknowledge {
            ended = dialog.exit().await.map_err(party::failure);
        }
        anyhow::Ok((kept, ended))
    })?;
    // What is on disk is told first, whatever happened after it.
    report(&kept, ended, output)
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
    kept: &mut Vec<Kept>,
) -> Result<()> {
    loop {
        let fetched = match &args.resume {
            Some(file) => dialog.fetch_in_chunks(selection.clone(), file).await,
            None => dialog.fetch(selection.clone()).await,
        };
        let Some(delivery) = fetched.map_err(party::failure)? else { break };
        let contents = delivery.open(readers).await.map_err(party::failure)?;
        let target = args.to.clone();
        // Files are durable before anything further is sent: that would acknowledge the delivery.
        kept.push(tokio::task::spawn_blocking(move || Kept::write(target, &delivery, &contents)).await??);
        if let Some(file) = args.resume.as_ref().filter(|file| file.exists()) {
            std::fs::remove_file(file).with_context(|| {
                Failure::new(Kind::Other, format!("cannot remove {}", file.display())).remedy("remove it")
            })?;
        }
        if !args.all {
            break;
        }
    }
    Ok(())
}

fn report(kept: &[Kept], ended: Result<()>, output: Output) -> Result<()> {
    if kept.is_empty() {
        ended?;
        return Err(Failure::new(Kind::Nothing, "there is no delivery to fetch")
            .cause("the mailbox is empty, or holds no such delivery")
            .remedy("try again later")
            .into());
    }
    let report = json!({ "deliveries": kept.iter().map(|kept| &kept.json).collect::<Vec<_>>() });
    let text = || kept.iter().map(|kept| kept.text.as_str()).collect::<String>();
    let wrong = kept.iter().filter(|kept| kept.verdict == Some(Verdict::Invalid));
    let wrong: Vec<&str> = wrong.map(|kept| kept.message_id.as_str()).collect();
    if ended.is_ok() && wrong.is_empty() {
        return output.result(&report, text);
    }
    output.step(&text());
    match ended.map_err(|error| error.downcast::<Failure>()) {
        Err(Ok(failure)) => Err(failure.report(report).into()),
        Err(Err(error)) => {
            let what = format!("not everything was fetched: {error}");
            Err(error.context(Failure::new(Kind::Other, what).report(report)))
        }
        Ok(()) => {
            Err(Failure::new(Kind::Untrue, format!("a signature over content does not hold: {}", wrong.join(", ")))
                .cause("the content was changed after it was signed, or the signer's certificate is no good")
                .remedy("do not rely on that content; ask its sender. It was kept all the same")
                .report(report)
                .into())
        }
    }
}
