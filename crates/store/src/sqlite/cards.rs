//! Selects cards.

use rohrpost_audit::Fingerprint;
use rohrpost_osci::ids::MessageId;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::rows::{self, CardRow};
use super::schema::failed;
use crate::error::StorageError;
use crate::rules::{CardPage, CardRole, CardRule, CardSelection};
use crate::stamp;

/// Bytes of subjects, inspections and time stamps in one page at most; a larger card is a page of its own. Senders decide how long they are.
const PAGE_BYTES: usize = 4 << 20;

/// Time and number of a card, by which cards are put in order before any of them is read as a whole.
type Place = (i64, i64);

pub(super) fn cards(
    connection: &Connection,
    requester: &Fingerprint,
    rule: &CardRule<'_>,
    limit: usize,
) -> Result<CardPage, StorageError> {
    let transaction = connection.unchecked_transaction().map_err(failed("begin reading"))?;
    // One more than wanted tells whether there are more.
    let wanted = limit.saturating_add(1);
    let found = match rule.selection {
        CardSelection::Ids(message_ids) => by_ids(&transaction, requester, rule, message_ids)?,
        _ => by_index(&transaction, requester, rule, wanted)?,
    };
    let mut page = CardPage { cards: Vec::new(), more: found.len() > limit };
    let mut bytes = 0;
    for (_, seq) in found.into_iter().take(limit) {
        let Some(CardRow { card, .. }) = rows::by_seq(&transaction, seq)? else { continue };
        bytes += card.inspections.len() + card.subject.as_ref().map_or(0, String::len) + card.stamps.bytes();
        if bytes > PAGE_BYTES && !page.cards.is_empty() {
            page.more = true;
            break;
        }
        page.cards.push(card);
    }
    Ok(page)
}

fn by_ids(
    connection: &Connection,
    requester: &Fingerprint,
    rule: &CardRule<'_>,
    message_ids: &[MessageId],
) -> Result<Vec<Place>, StorageError> {
    let sql = one_of(rule.role, rule.no_reception);
    let search = || {
        let mut select = connection.prepare_cached(&sql)?;
        let mut found = Vec::new();
        for message_id in message_ids {
            let place = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            found.extend(select.query_row(params![message_id.as_str(), requester.as_bytes()], place).optional()?);
        }
        Ok(found)
    };
    let mut found: Vec<Place> = search().map_err(failed("select cards"))?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The card of a message, if the requester played its part.
pub(super) fn one_of(role: CardRole, no_reception: bool) -> String {
    let part = match role {
        CardRole::Any => "(addressee = ?2 OR originator = ?2)",
        CardRole::Addressee => "addressee = ?2",
        CardRole::Originator => "originator = ?2",
    };
    format!("SELECT created, seq FROM card WHERE message_id = ?1 AND {part} {}", unreceived(no_reception))
}

fn unreceived(wanted: bool) -> &'static str {
    if wanted { "AND received IS NULL" } else { "" }
}

/// Walks the index of each role in order, takes as many as are wanted from each, and merges.
fn by_index(
    connection: &Connection,
    requester: &Fingerprint,
    rule: &CardRule<'_>,
    wanted: usize,
) -> Result<Vec<Place>, StorageError> {
    let (orders, since): (&[Order], _) = match rule.selection {
        CardSelection::AcceptedSince(time) => (&[Order::Made], stamp::to_millis(time)),
        CardSelection::ModifiedSince(time) => (&[Order::MadeOnly, Order::Changed], stamp::to_millis(time)),
        CardSelection::All | CardSelection::Ids(_) => (&[Order::Made], i64::MIN),
    };
    let roles: &[&str] = match rule.role {
        CardRole::Any => &["addressee", "originator"],
        CardRole::Addressee => &["addressee"],
        CardRole::Originator => &["originator"],
    };
    let limit = i64::try_from(wanted).unwrap_or(i64::MAX);
    let mut found: Vec<Place> = Vec::new();
    for (role, order) in roles.iter().flat_map(|role| orders.iter().map(move |order| (role, *order))) {
        let sql = in_order(order, role, rule.no_reception);
        let search = || {
            let mut select = connection.prepare_cached(&sql)?;
            let rows =
                select.query_map(params![requester.as_bytes(), since, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        found.extend(search().map_err(failed("select cards"))?);
    }
    found.sort_unstable();
    found.dedup();
    found.truncate(wanted);
    Ok(found)
}

/// Which cards, and in which order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    /// All, as they were made.
    Made,
    /// Those that were never changed, as they were made.
    MadeOnly,
    /// The others, as they were changed last.
    Changed,
}

/// The first cards of a role in an order, answered by one index from front to back.
pub(super) fn in_order(order: Order, role: &str, no_reception: bool) -> String {
    let (column, which) = match order {
        Order::Made => ("created", ""),
        Order::MadeOnly => ("created", "AND modified <= created"),
        Order::Changed => ("modified", "AND modified > created"),
    };
    format!(
        "SELECT {column}, seq FROM card WHERE {role} = ?1 AND {column} >= ?2 {which} {} ORDER BY {column}, seq LIMIT ?3",
        unreceived(no_reception)
    )
}
