//! Answers that are fetched in chunks, kept as they were made: a chunk must fit to those fetched before, whatever happened meanwhile.

use std::sync::Arc;

use rohrpost_osci::ids::MessageId;
use rohrpost_osci::source::ReadAt;
use rusqlite::{Connection, OptionalExtension as _, params};
use time::OffsetDateTime;

use super::bodies::{Bodies, Placed};
use super::pool::Pool;
use super::rows::{self, GONE};
use super::schema::failed;
use super::uploads::absent;
use super::writer::Writer;
use crate::delivery::BodySource;
use crate::error::StorageError;
use crate::stamp;

/// How exactly the last use is noted, in milliseconds: not every chunk costs a change.
const COARSE: i64 = 60_000;

pub(super) fn prepared(
    writer: &Writer,
    pool: &Pool,
    bodies: &Bodies,
    message_id: &MessageId,
    at: OffsetDateTime,
) -> Result<Option<Arc<dyn ReadAt>>, StorageError> {
    let found = pool.read(|connection| find(connection, message_id))?;
    let Some((seq, used, file, bytes)) = found else { return Ok(None) };
    let at = stamp::to_millis(at);
    if used + COARSE <= at {
        writer.change(move |batch| {
            batch
                .connection
                .prepare_cached("UPDATE prepared SET used = max(used, ?2) WHERE seq = ?1")
                .and_then(|mut update| update.execute([seq, at]))
                .map(drop)
                .map_err(failed("note a use"))
        })?;
    }
    match file {
        Some(name) => absent(bodies.open(&name)),
        None => Ok(Some(Arc::new(bytes.unwrap_or_default()))),
    }
}

pub(super) fn keep(
    writer: &Writer,
    bodies: &Bodies,
    message_id: &MessageId,
    answer: BodySource,
    at: OffsetDateTime,
    limit: u64,
) -> Result<bool, StorageError> {
    let placed = bodies.place(answer)?;
    let file = match &placed {
        Placed::File { name, .. } => Some(name.clone()),
        Placed::Row(_) => None,
    };
    let message_id = message_id.clone();
    let kept =
        writer.change(move |batch| insert(batch.connection, &message_id, &placed, stamp::to_millis(at), limit))?;
    if let (Kept::No | Kept::Before, Some(name)) = (&kept, file) {
        bodies.remove(&name);
    }
    Ok(!matches!(kept, Kept::No))
}

pub(super) const OLD: &str = "SELECT seq FROM prepared INDEXED BY prepared_used WHERE used < ?2 LIMIT ?1";

/// Removes answers that nobody asked for any more; how many, and their files.
pub(super) fn forget(
    connection: &Connection,
    candidates: &[i64],
    limit: i64,
) -> Result<(u64, Vec<String>), StorageError> {
    let (mut forgotten, mut files) = (0, Vec::new());
    for seq in candidates {
        let gone: Option<Option<String>> = connection
            .prepare_cached("DELETE FROM prepared WHERE seq = ?1 AND used < ?2 RETURNING file")
            .and_then(|mut delete| delete.query_row([*seq, limit], |row| row.get(0)).optional())
            .map_err(failed("remove an answer"))?;
        forgotten += u64::from(gone.is_some());
        files.extend(gone.flatten());
    }
    Ok((forgotten, files))
}

/// Removes the answer about a card; its file may go when that is durable.
pub(super) fn delete(connection: &Connection, seq: i64) -> Result<Option<String>, StorageError> {
    let file = connection
        .prepare_cached("DELETE FROM prepared WHERE seq = ?1 RETURNING file")
        .and_then(|mut delete| delete.query_row([seq], |row| row.get::<_, Option<String>>(0)).optional())
        .map_err(failed("remove an answer"))?;
    Ok(file.flatten())
}

enum Kept {
    Now,
    /// Somebody else was faster.
    Before,
    /// Too much is kept, or there is no such delivery.
    No,
}

fn insert(
    connection: &Connection,
    message_id: &MessageId,
    placed: &Placed,
    at: i64,
    limit: u64,
) -> Result<Kept, StorageError> {
    if find(connection, message_id)?.is_some() {
        return Ok(Kept::Before);
    }
    let Some(row) = rows::by_id(connection, message_id)?.filter(|row| row.state > GONE) else { return Ok(Kept::No) };
    let kept: i64 = connection
        .prepare_cached("SELECT coalesce(sum(length), 0) FROM prepared")
        .and_then(|mut select| select.query_row([], |row| row.get(0)))
        .map_err(failed("count answers"))?;
    if (kept as u64).saturating_add(placed.bytes()) > limit {
        return Ok(Kept::No);
    }
    let (file, bytes) = match placed {
        Placed::Row(bytes) => (None, Some(bytes)),
        Placed::File { name, .. } => (Some(name), None),
    };
    connection
        .prepare_cached("INSERT INTO prepared (seq, used, length, file, bytes) VALUES (?1, ?2, ?3, ?4, ?5)")
        .and_then(|mut insert| insert.execute(params![row.seq, at, placed.bytes() as i64, file, bytes]))
        .map_err(failed("keep an answer"))?;
    Ok(Kept::Now)
}

type Found = (i64, i64, Option<String>, Option<Vec<u8>>);

fn find(connection: &Connection, message_id: &MessageId) -> Result<Option<Found>, StorageError> {
    let sql = "SELECT seq, used, file, prepared.bytes FROM prepared JOIN card USING (seq) WHERE message_id = ?1";
    connection
        .prepare_cached(sql)
        .and_then(|mut select| {
            select
                .query_row([message_id.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
                .optional()
        })
        .map_err(failed("look for an answer"))
}
