//! Deliveries on their way in, chunk by chunk. What is kept here is no delivery yet, so it leaves no entries in the log.

use std::io;
use std::sync::Arc;

use rohrpost_audit::Fingerprint;
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::source::ReadAt;
use rusqlite::{Connection, OptionalExtension as _, params};
use time::OffsetDateTime;

use super::bodies::{Bodies, Placed};
use super::pool::Pool;
use super::schema::failed;
use super::writer::Writer;
use crate::chunks::{KeepChunkError, NewChunk, Upload, UploadKey, UploadLimits, UploadPlan};
use crate::error::StorageError;
use crate::stamp;

/// Units in which sizes are announced.
const UNIT: u64 = 1024;

/// An upload and what only the store knows of it.
struct Row {
    upload: i64,
    bytes: u64,
    found: Upload,
}

/// A chunk before it is placed.
struct Head {
    key: UploadKey,
    plan: UploadPlan,
    number: u32,
    sha256: [u8; 32],
    at: OffsetDateTime,
    limits: UploadLimits,
}

pub(super) fn keep(writer: &Writer, pool: &Pool, bodies: &Bodies, chunk: NewChunk) -> Result<Upload, KeepChunkError> {
    let NewChunk { key, plan, number, sha256, body, at, limits } = chunk;
    let head = Head { key, plan, number, sha256, at, limits };
    // Decided in the transaction; looked at before only to spare what is there already the way to the disk.
    pool.read(|connection| fits(connection, &head, 0).map(drop))?;
    let placed = bodies.place(body)?;
    let file = match &placed {
        Placed::File { name, .. } => Some(name.clone()),
        Placed::Row(_) => None,
    };
    let kept = writer.change(move |batch| insert(batch.connection, &head, &placed));
    if let (Err(KeepChunkError::Present(_) | KeepChunkError::Contradiction | KeepChunkError::Full), Some(name)) =
        (&kept, file)
    {
        bodies.remove(&name);
    }
    kept
}

pub(super) fn upload(pool: &Pool, key: &UploadKey) -> Result<Option<Upload>, StorageError> {
    pool.read(|connection| Ok(find(connection, key)?.map(|row| row.found)))
}

pub(super) fn chunk(
    pool: &Pool,
    bodies: &Bodies,
    key: &UploadKey,
    number: u32,
) -> Result<Option<Arc<dyn ReadAt>>, StorageError> {
    let sql = "SELECT file, chunk.bytes FROM chunk JOIN upload USING (upload) \
               WHERE owner = ?1 AND message_id = ?2 AND number = ?3";
    let found: Option<(Option<String>, Option<Vec<u8>>)> = pool.read(|connection| {
        connection
            .prepare_cached(sql)
            .and_then(|mut select| {
                let key = params![key.owner.as_bytes(), key.message_id.as_str(), number];
                select.query_row(key, |row| Ok((row.get(0)?, row.get(1)?))).optional()
            })
            .map_err(failed("read a chunk"))
    })?;
    match found {
        None => Ok(None),
        Some((Some(name), _)) => absent(bodies.open(&name)),
        Some((None, bytes)) => Ok(Some(Arc::new(bytes.unwrap_or_default()))),
    }
}

/// Notes how a delivery was refused that came in chunks, which go.
pub(super) fn end(
    writer: &Writer,
    bodies: &Bodies,
    key: &UploadKey,
    codes: &[u16],
    at: OffsetDateTime,
) -> Result<(), StorageError> {
    let (key, codes) = (key.clone(), codes.to_vec());
    let files = writer.change(move |batch| finish(batch.connection, &key.owner, &key.message_id, &codes, at))?;
    files.iter().for_each(|file| bodies.remove(file));
    Ok(())
}

/// Ends an upload, if there still is one; the files that may go when that is durable.
pub(super) fn finish(
    connection: &Connection,
    owner: &Fingerprint,
    message_id: &MessageId,
    codes: &[u16],
    at: OffsetDateTime,
) -> Result<Vec<String>, StorageError> {
    let key = UploadKey { owner: *owner, message_id: message_id.clone() };
    let Some(row) = find(connection, &key)? else { return Ok(Vec::new()) };
    let codes = codes.iter().map(u16::to_string).collect::<Vec<_>>().join(" ");
    connection
        .prepare_cached("UPDATE upload SET codes = ?2, bytes = 0, used = max(used, ?3) WHERE upload = ?1")
        .and_then(|mut update| update.execute(params![row.upload, codes, stamp::to_millis(at)]))
        .map_err(failed("end an upload"))?;
    delete_chunks(connection, row.upload)
}

pub(super) const OLD: &str = "SELECT upload FROM upload INDEXED BY upload_used WHERE used < ?2 LIMIT ?1";

/// Forgets uploads of which nothing came for too long; how many, and their files.
pub(super) fn forget(
    connection: &Connection,
    candidates: &[i64],
    limit: i64,
) -> Result<(u64, Vec<String>), StorageError> {
    let (mut forgotten, mut files) = (0, Vec::new());
    for upload in candidates {
        let gone = connection
            .prepare_cached("DELETE FROM upload WHERE upload = ?1 AND used < ?2")
            .and_then(|mut delete| delete.execute([*upload, limit]))
            .map_err(failed("forget an upload"))?;
        if gone > 0 {
            forgotten += 1;
            files.extend(delete_chunks(connection, *upload)?);
        }
    }
    Ok((forgotten, files))
}

fn insert(connection: &Connection, head: &Head, placed: &Placed) -> Result<Upload, KeepChunkError> {
    let mut row = match fits(connection, head, placed.bytes())? {
        Some(row) => row,
        None => begin(connection, head)?,
    };
    check_room(connection, head, placed.bytes())?;
    let (file, bytes) = match placed {
        Placed::Row(bytes) => (None, Some(bytes)),
        Placed::File { name, .. } => (Some(name), None),
    };
    let store = || {
        connection
            .prepare_cached("INSERT INTO chunk (upload, number, sha256, file, bytes) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![row.upload, head.number, head.sha256, file, bytes])?;
        connection
            .prepare_cached("UPDATE upload SET bytes = bytes + ?2, used = max(used, ?3) WHERE upload = ?1")?
            .execute(params![row.upload, placed.bytes() as i64, stamp::to_millis(head.at)])
    };
    store().map_err(failed("keep a chunk"))?;
    let at = row.found.received.partition_point(|number| *number < head.number);
    row.found.received.insert(at, head.number);
    Ok(row.found)
}

/// The upload that a chunk of so many bytes belongs to, if it has begun.
fn fits(connection: &Connection, head: &Head, bytes: u64) -> Result<Option<Row>, KeepChunkError> {
    let too_much = |there: u64| there + bytes >= (head.plan.message_size + 1).saturating_mul(UNIT);
    let Some(row) = find(connection, &head.key)? else {
        return if too_much(0) { Err(KeepChunkError::Contradiction) } else { Ok(None) };
    };
    if row.found.plan != head.plan {
        return Err(KeepChunkError::Contradiction);
    }
    if row.found.end.is_some() {
        return Err(KeepChunkError::Present(row.found));
    }
    let kept: Option<[u8; 32]> = connection
        .prepare_cached("SELECT sha256 FROM chunk WHERE upload = ?1 AND number = ?2")
        .and_then(|mut select| select.query_row(params![row.upload, head.number], |found| found.get(0)).optional())
        .map_err(failed("look for a chunk"))?;
    match kept {
        Some(sha256) if sha256 == head.sha256 => Err(KeepChunkError::Present(row.found)),
        Some(_) => Err(KeepChunkError::Contradiction),
        None if too_much(row.bytes) => Err(KeepChunkError::Contradiction),
        None => Ok(Some(row)),
    }
}

fn begin(connection: &Connection, head: &Head) -> Result<Row, KeepChunkError> {
    let (of_owner, _) = open(connection, OPEN_OF_OWNER, params![head.key.owner.as_bytes()])?;
    let (in_all, _) = open(connection, OPEN, params![])?;
    if of_owner >= head.limits.of_owner || in_all >= head.limits.in_all {
        return Err(KeepChunkError::Full);
    }
    let sql = "INSERT INTO upload (owner, message_id, used, chunk_size, total, message_size, bytes) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)";
    connection
        .prepare_cached(sql)
        .and_then(|mut insert| {
            insert.execute(params![
                head.key.owner.as_bytes(),
                head.key.message_id.as_str(),
                stamp::to_millis(head.at),
                head.plan.chunk_size as i64,
                head.plan.total,
                head.plan.message_size as i64,
            ])
        })
        .map_err(failed("begin an upload"))?;
    let found = Upload { plan: head.plan, received: Vec::new(), end: None };
    Ok(Row { upload: connection.last_insert_rowid(), bytes: 0, found })
}

fn check_room(connection: &Connection, head: &Head, bytes: u64) -> Result<(), KeepChunkError> {
    let (_, of_owner) = open(connection, OPEN_OF_OWNER, params![head.key.owner.as_bytes()])?;
    let (_, in_all) = open(connection, OPEN, params![])?;
    let has_room = of_owner.saturating_add(bytes) <= head.limits.bytes_of_owner
        && in_all.saturating_add(bytes) <= head.limits.bytes_in_all;
    if has_room { Ok(()) } else { Err(KeepChunkError::Full) }
}

pub(super) const OPEN: &str =
    "SELECT count(*), coalesce(sum(bytes), 0) FROM upload INDEXED BY upload_open WHERE codes IS NULL";
pub(super) const OPEN_OF_OWNER: &str =
    "SELECT count(*), coalesce(sum(bytes), 0) FROM upload INDEXED BY upload_open WHERE codes IS NULL AND owner = ?1";

/// Number and bytes of uploads that have not ended.
fn open(connection: &Connection, sql: &str, of: &[&dyn rusqlite::ToSql]) -> Result<(u64, u64), StorageError> {
    let (count, bytes): (i64, i64) = connection
        .prepare_cached(sql)
        .and_then(|mut select| select.query_row(of, |row| Ok((row.get(0)?, row.get(1)?))))
        .map_err(failed("count uploads"))?;
    Ok((count as u64, bytes as u64))
}

fn find(connection: &Connection, key: &UploadKey) -> Result<Option<Row>, StorageError> {
    let sql = "SELECT upload, bytes, chunk_size, total, message_size, codes FROM upload \
               WHERE owner = ?1 AND message_id = ?2";
    let row = connection
        .prepare_cached(sql)
        .and_then(|mut select| {
            let read = |row: &rusqlite::Row<'_>| {
                let (bytes, chunk_size, message_size): (i64, i64, i64) = (row.get(1)?, row.get(2)?, row.get(4)?);
                let plan =
                    UploadPlan { chunk_size: chunk_size as u64, total: row.get(3)?, message_size: message_size as u64 };
                let codes: Option<String> = row.get(5)?;
                Ok((row.get::<_, i64>(0)?, bytes as u64, plan, codes))
            };
            select.query_row(params![key.owner.as_bytes(), key.message_id.as_str()], read).optional()
        })
        .map_err(failed("look for an upload"))?;
    let Some((upload, bytes, plan, codes)) = row else { return Ok(None) };
    let found = match codes {
        None => Upload { plan, received: numbers(connection, upload)?, end: None },
        Some(codes) => {
            let codes = codes.split(' ').filter_map(|code| code.parse().ok()).collect();
            Upload { plan, received: (1..=plan.total).collect(), end: Some(codes) }
        }
    };
    Ok(Some(Row { upload, bytes, found }))
}

fn numbers(connection: &Connection, upload: i64) -> Result<Vec<u32>, StorageError> {
    connection
        .prepare_cached("SELECT number FROM chunk WHERE upload = ?1 ORDER BY number")
        .and_then(|mut select| select.query_map([upload], |row| row.get(0))?.collect())
        .map_err(failed("list chunks"))
}

fn delete_chunks(connection: &Connection, upload: i64) -> Result<Vec<String>, StorageError> {
    let files: rusqlite::Result<Vec<Option<String>>> = connection
        .prepare_cached("DELETE FROM chunk WHERE upload = ?1 RETURNING file")
        .and_then(|mut delete| delete.query_map([upload], |row| row.get(0))?.collect());
    Ok(files.map_err(failed("remove chunks"))?.into_iter().flatten().collect())
}

/// A file can vanish between reading its name and opening it.
pub(super) fn absent(opened: Result<Arc<dyn ReadAt>, StorageError>) -> Result<Option<Arc<dyn ReadAt>>, StorageError> {
    match opened {
        Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}
