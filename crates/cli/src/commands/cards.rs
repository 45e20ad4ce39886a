//! `rohrpost cards`: lists process cards.

use std::num::NonZeroU32;

use anyhow::Result;
use rohrpost_client::Cards;
use rohrpost_osci::card::{ProcessCardBundle, Timestamp};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::selection::{CardFilter, CardRule, CardSelection, Role};
use serde_json::{Value, json};

use super::party;
use crate::args::CardsArgs;
use crate::failure::{Failure, Kind};
use crate::output::{self, Output};

/// Fetches the cards and prints them, the oldest first.
pub(crate) fn run(args: &CardsArgs, output: Output) -> Result<()> {
    let selection = selection(args)?;
    let client = party::client(&args.party)?;
    let found = party::runtime()?.block_on(client.process_cards(selection)).map_err(party::failure)?;
    if found.cards.is_empty() {
        return Err(Failure::new(Kind::Nothing, "no process card matches")
            .cause("no delivery of ours matches, or its card was deleted")
            .remedy("check the selection")
            .into());
    }
    let cards: Vec<Value> = found.cards.iter().map(party::card_json).collect();
    output.result(&json!({ "cards": cards, "more": found.more }), || table(&found))
}

fn selection(args: &CardsArgs) -> Result<CardSelection> {
    let limit = match args.limit {
        Some(limit) => Some(NonZeroU32::new(limit).ok_or_else(|| wrong("--limit cannot be 0", "give at least 1"))?),
        None => None,
    };
    Ok(CardSelection { rule: rule(args)?, limit })
}

fn rule(args: &CardsArgs) -> Result<CardRule> {
    let filter = |since: &str, option| -> Result<CardFilter> {
        let role = args.role.as_deref().map(|role| match role {
            "originator" => Role::Originator,
            _ => Role::Addressee,
        });
        Ok(CardFilter { since: party::time(since, option)?, role, no_reception: args.unreceived })
    };
    match (&args.since, &args.modified_since) {
        (Some(since), _) => return Ok(CardRule::Accepted(filter(since, "--since")?)),
        (_, Some(since)) => return Ok(CardRule::Modified(filter(since, "--modified-since")?)),
        _ if args.role.is_some() || args.unreceived => {
            let what = "--role and --unreceived need a time";
            return Err(wrong(what, "add --since or --modified-since, e.g. --since 2026-01-01T00:00:00Z"));
        }
        _ => {}
    }
    if args.message_ids.is_empty() {
        return Ok(CardRule::All);
    }
    args.message_ids.iter().map(|id| message_id(id)).collect::<Result<_>>().map(CardRule::ByIds)
}

/// A message id from the command line.
pub(super) fn message_id(text: &str) -> Result<MessageId> {
    MessageId::new(text).map_err(|error| wrong(&format!("--message-id cannot be {text:?}"), &error.to_string()))
}

fn table(found: &Cards) -> String {
    let header = ["message id", "subject", "accepted", "forwarded", "received"];
    let table = output::table(header, found.cards.iter().map(row));
    let more = if found.more { "\nthere are more; narrow the selection or raise --limit" } else { "" };
    format!("{table}{more}")
}

fn row(bundle: &ProcessCardBundle) -> [String; 5] {
    let card = &bundle.card;
    let stamp = |stamp: &Option<Timestamp>| stamp.as_ref().map(party::stamp_text).unwrap_or_default();
    [
        bundle.message_id.to_string(),
        party::plain(card.subject.as_deref().unwrap_or_default()),
        stamp(&card.creation),
        stamp(&card.forwarding),
        stamp(&card.reception),
    ]
}

fn wrong(what: &str, remedy: &str) -> anyhow::Error {
    Failure::new(Kind::Configuration, what).remedy(remedy).into()
}
