//! Cards whose certificates have to be looked at again.

use rohrpost_audit::Event;
use rohrpost_osci::ids::MessageId;
use rusqlite::{Connection, OptionalExtension as _, params};
use time::OffsetDateTime;

use super::marks::update;
use super::pool::Pool;
use super::rows;
use super::schema::failed;
use super::writer::{Batch, Writer};
use crate::error::StorageError;
use crate::recheck::{Amendment, DueRecheck, Recheck};
use crate::stamp;

pub(super) const DUE: &str =
    "SELECT seq, due, until, certificates FROM recheck INDEXED BY recheck_due WHERE due <= ?1 ORDER BY due LIMIT 1";

/// Notes what has to be looked at again, in the place of what was noted before.
pub(super) fn set(connection: &Connection, seq: i64, recheck: &Recheck) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO recheck (seq, due, until, certificates) VALUES (?1, ?2, ?3, ?4)";
    let (due, until) = (stamp::to_millis(recheck.due), stamp::to_millis(recheck.until));
    connection.prepare_cached(sql)?.execute(params![seq, due, until, recheck.certificates]).map(drop)
}

/// Nothing of the card has to be looked at any more.
pub(super) fn delete(connection: &Connection, seq: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM recheck WHERE seq = ?1")?.execute([seq]).map(drop)
}

pub(super) fn due(pool: &Pool, now: OffsetDateTime) -> Result<Option<DueRecheck>, StorageError> {
    pool.read(|connection| {
        let found: Option<(i64, i64, i64, Vec<u8>)> = connection
            .prepare_cached(DUE)
            .and_then(|mut select| {
                let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
                select.query_row([stamp::to_millis(now)], columns).optional()
            })
            .map_err(failed("look for certificates to look at again"))?;
        let Some((seq, due, until, certificates)) = found else { return Ok(None) };
        let recheck = Recheck { due: stamp::from_millis(due), until: stamp::from_millis(until), certificates };
        Ok(rows::by_seq(connection, seq)?.map(|row| DueRecheck { card: row.card, recheck }))
    })
}

pub(super) fn amend(
    writer: &Writer,
    message_id: &MessageId,
    amendment: Amendment,
    at: OffsetDateTime,
) -> Result<bool, StorageError> {
    let message_id = message_id.clone();
    writer.change(move |batch| amend_one(batch, &message_id, amendment, at))
}

fn amend_one(
    batch: &mut Batch<'_>,
    message_id: &MessageId,
    amendment: Amendment,
    at: OffsetDateTime,
) -> Result<bool, StorageError> {
    let connection = batch.connection;
    let Some(row) = rows::by_id(connection, message_id)? else { return Ok(false) };
    match &amendment.again {
        Some(recheck) => set(connection, row.seq, recheck),
        None => delete(connection, row.seq),
    }
    .map_err(failed("note when to look again"))?;
    if let Some((entries, mut leaf)) = amendment.inspections {
        let at = at.max(row.card.created);
        connection
            .prepare_cached("INSERT OR REPLACE INTO inspection (seq, entries) VALUES (?1, ?2)")
            .and_then(|mut replace| replace.execute(params![row.seq, entries]))
            .map_err(failed("amend a card"))?;
        update(connection, "UPDATE card SET modified = max(modified, ?2) WHERE seq = ?1", &row, at)?;
        leaf.event = Event::Inspected;
        leaf.time = stamp::truncate(at);
        leaf.message_id = Some(row.card.message_id.as_str().to_owned());
        batch.append(&leaf)?;
    }
    Ok(true)
}
