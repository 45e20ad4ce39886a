//! FetchProcessCard: the cards of deliveries the client sent or was sent (OSCI-Transport 1.2, selecting process cards).

use rohrpost_osci::card::{InspectionReport, ProcessCard, ProcessCardBundle, Timestamp};
use rohrpost_osci::feedback::Code;
use rohrpost_osci::message::FetchProcessCard;
use rohrpost_osci::selection::{self, CardFilter, Role};
use rohrpost_store::{Card, CardRole, CardRule, CardSelection, Stamps};

use super::{Done, HandOut, Order};
use crate::entrance::Entrance;
use crate::handle::Stop;
use crate::timestamps::timestamp;

pub(super) fn execute(
    order: &Order<'_>,
    request: &FetchProcessCard,
    entrance: &mut Entrance<'_>,
) -> Result<Done, Stop> {
    let Some(requester) = order.proven_mailbox(entrance) else { return Ok(Done::refused(Code::OrderFailed)) };
    let own_limit = order.intermediary.settings.max_cards_per_answer;
    let limit = request.selection.limit.map_or(own_limit, |wanted| own_limit.min(wanted.get() as usize));
    let rule = rule(&request.selection.rule);
    let page = order.intermediary.parts.store.cards(&requester, &rule, limit).map_err(Stop::internal)?;
    if page.cards.is_empty() {
        return Ok(Done::refused(Code::NoMatchingProcessCard));
    }
    let fitting = fitting(&page.cards, order.intermediary.settings.envelope.xml.tree_bytes / 2);
    let more = page.more || fitting < page.cards.len();
    let cards = page.cards.into_iter().take(fitting).map(bundle).collect();
    Ok(Done::with(HandOut::Cards(cards)).warning_if(more, Code::FurtherProcessCards))
}

/// How many of the cards an answer may hold that is read into a tree by somebody with our own bounds; one at least.
fn fitting(cards: &[Card], room: usize) -> usize {
    let size = |card: &Card| {
        // Tokens in base64.
        let stamps = card.stamps.bytes().div_ceil(3) * 4;
        card.inspections.len() + card.subject.as_ref().map_or(0, String::len) + stamps + BUNDLE
    };
    let sizes = cards.iter().map(size);
    let sums = sizes.scan(0, |sum: &mut usize, size| {
        *sum = sum.saturating_add(size);
        Some(*sum)
    });
    sums.take_while(|sum| *sum <= room).count().max(1)
}

/// Bytes of a card beside subject, inspections and tokens, more or less.
const BUNDLE: usize = 1024;

fn rule(wanted: &selection::CardRule) -> CardRule<'_> {
    let filtered = |selection, filter: &CardFilter| CardRule {
        selection,
        role: match filter.role {
            None => CardRole::Any,
            Some(Role::Originator) => CardRole::Originator,
            Some(Role::Addressee) => CardRole::Addressee,
        },
        no_reception: filter.no_reception,
    };
    match wanted {
        selection::CardRule::All => CardRule::ALL,
        selection::CardRule::ByIds(ids) => CardRule { selection: CardSelection::Ids(ids), ..CardRule::ALL },
        selection::CardRule::Accepted(filter) => filtered(CardSelection::AcceptedSince(filter.since.at()), filter),
        selection::CardRule::Modified(filter) => filtered(CardSelection::ModifiedSince(filter.since.at()), filter),
    }
}

/// A stored card as it goes out.
pub(crate) fn bundle(card: Card) -> ProcessCardBundle {
    let Stamps { creation, reception } = &card.stamps;
    ProcessCardBundle {
        message_id: card.message_id,
        report: InspectionReport::from_stored(card.inspections),
        card: ProcessCard {
            recent_modification: card.modified.into(),
            creation: Some(timestamp(card.created, creation)),
            forwarding: card.forwarded.map(|at| Timestamp::Plain(at.into())),
            reception: card.received.map(|at| timestamp(at, reception)),
            subject: card.subject,
        },
    }
}
