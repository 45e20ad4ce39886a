//! Selects cards.

use rohrpost_audit::Fingerprint;
use rusqlite::{Connection, params};

use super::rows::{self, CardRow};
use super::schema::failed;
use crate::error::StorageError;
use crate::rules::{CardPage, CardRole, CardRule, CardSelection};
use crate::stamp;

pub(super) fn cards(
    connection: &Connection,
    requester: &Fingerprint,
    rule: &CardRule<'_>,
    limit: usize,
) -> Result<CardPage, StorageError> {
    let transaction = connection.unchecked_transaction().map_err(failed("begin reading"))?;
    // One more than wanted tells whether there are more.
    let wanted = limit.saturating_add(1);
    let mut found = match rule.selection {
        CardSelection::Ids(_) => by_ids(&transaction, requester, rule)?,
        _ => by_index(&transaction, requester, rule, wanted)?,
    };
    let more = found.len() > limit;
    found.truncate(limit);
    Ok(CardPage { cards: found.into_iter().map(|row| row.card).collect(), more })
}

fn by_ids(connection: &Connection, requester: &Fingerprint, rule: &CardRule<'_>) -> Result<Vec<CardRow>, StorageError> {
    let CardSelection::Ids(message_ids) = rule.selection else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for message_id in message_ids {
        found.extend(rows::by_id(connection, message_id)?.filter(|row| matches(row, requester, rule)));
    }
    found.sort_by_key(|row| (row.card.created, row.seq));
    found.dedup_by_key(|row| row.seq);
    Ok(found)
}

fn matches(row: &CardRow, requester: &Fingerprint, rule: &CardRule<'_>) -> bool {
    let role = match rule.role {
        CardRole::Any => row.card.concerns(requester),
        CardRole::Addressee => row.card.addressee == *requester,
        CardRole::Originator => row.card.originator.as_ref() == Some(requester),
    };
    role && !(rule.no_reception && row.card.received.is_some())
}

/// Walks the index of each role in order, takes as many as are wanted from each, and merges.
fn by_index(
    connection: &Connection,
    requester: &Fingerprint,
    rule: &CardRule<'_>,
    wanted: usize,
) -> Result<Vec<CardRow>, StorageError> {
    let (column, since) = match rule.selection {
        CardSelection::AcceptedSince(time) => ("created", stamp::to_millis(time)),
        CardSelection::ModifiedSince(time) => ("modified", stamp::to_millis(time)),
        CardSelection::All | CardSelection::Ids(_) => ("created", i64::MIN),
    };
    let roles: &[&str] = match rule.role {
        CardRole::Any => &["addressee", "originator"],
        CardRole::Addressee => &["addressee"],
        CardRole::Originator => &["originator"],
    };
    let limit = i64::try_from(wanted).unwrap_or(i64::MAX);
    let mut found: Vec<(i64, i64)> = Vec::new();
    for role in roles {
        let sql = in_order(column, role, rule.no_reception);
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
    found.into_iter().filter_map(|(_, seq)| rows::by_seq(connection, seq).transpose()).collect()
}

/// The first cards of a role in the order of a column, answered by one index from front to back.
pub(super) fn in_order(column: &str, role: &str, no_reception: bool) -> String {
    let unreceived = if no_reception { "AND received IS NULL" } else { "" };
    format!(
        "SELECT {column}, seq FROM card WHERE {role} = ?1 AND {column} >= ?2 {unreceived} \
         ORDER BY {column}, seq LIMIT ?3"
    )
}
