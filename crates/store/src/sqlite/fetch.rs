//! Selects one delivery and opens it.

use std::io;
use std::sync::Arc;

use rohrpost_audit::{Fingerprint, Salt};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::source::ReadAt;
use rohrpost_planted::planted;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::bodies::Bodies;
use super::layout::Layout;
use super::pool::Pool;
use super::rows::{self, GONE};
use super::schema::failed;
use crate::delivery::StoredDelivery;
use crate::error::StorageError;
use crate::rules::FetchRule;
use crate::stamp;

/// A file can vanish between reading its name and opening it, if retention strikes just then; the second look knows.
const LOOKS: usize = 3;

pub(super) const OLDEST: &str =
    "SELECT seq, message_id FROM card INDEXED BY card_waiting WHERE addressee = ?1 AND state = 2 ORDER BY seq";
pub(super) const SINCE: &str = "SELECT seq FROM card INDEXED BY card_to WHERE addressee = ?1 AND state > 0 AND created >= ?2 ORDER BY created, seq LIMIT 1";

pub(super) fn next_delivery(
    pool: &Pool,
    bodies: &Bodies,
    mailbox: &Fingerprint,
    rule: FetchRule<'_>,
) -> Result<Option<StoredDelivery>, StorageError> {
    let mut result = Ok(None);
    for _ in 0..LOOKS {
        result = pool.read(|connection| look(connection, bodies, mailbox, rule));
        match &result {
            Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            _ => return result,
        }
    }
    result
}

fn look(
    connection: &Connection,
    bodies: &Bodies,
    mailbox: &Fingerprint,
    rule: FetchRule<'_>,
) -> Result<Option<StoredDelivery>, StorageError> {
    // One transaction: card, body and what else waits belong to one moment.
    let transaction = connection.unchecked_transaction().map_err(failed("begin reading"))?;
    let connection = &transaction;
    let skipped: &[MessageId] = match rule {
        FetchRule::Oldest { not_in } => not_in,
        FetchRule::ById(_) | FetchRule::Since(_) => &[],
    };
    // Two are enough to know one and whether there are more beside any one.
    let waiting = waiting(connection, mailbox, skipped, 2)?;
    let chosen = match rule {
        FetchRule::Oldest { .. } => waiting.first().copied(),
        FetchRule::ById(message_id) => rows::by_id(connection, message_id)?
            .filter(|row| row.card.addressee == *mailbox && row.state > GONE)
            .map(|row| row.seq),
        FetchRule::Since(time) => since(connection, mailbox, stamp::to_millis(time))?,
    };
    let Some(seq) = chosen else { return Ok(None) };
    let more = waiting.iter().any(|other| *other != seq);
    open(connection, bodies, seq, more)
}

/// The first deliveries of a mailbox that wait and are not to be skipped.
fn waiting(
    connection: &Connection,
    mailbox: &Fingerprint,
    skipped: &[MessageId],
    count: usize,
) -> Result<Vec<i64>, StorageError> {
    let search = || {
        let mut select = connection.prepare_cached(OLDEST)?;
        let mut rows = select.query([mailbox.as_bytes()])?;
        let mut found = Vec::with_capacity(count);
        while found.len() < count {
            let Some(row) = rows.next()? else { break };
            if planted("handed-out-is-not-skipped") || !skipped.contains(&rows::message_id(row, 1)?) {
                found.push(row.get(0)?);
            }
        }
        Ok(found)
    };
    search().map_err(failed("read a mailbox"))
}

fn since(connection: &Connection, mailbox: &Fingerprint, millis: i64) -> Result<Option<i64>, StorageError> {
    connection
        .prepare_cached(SINCE)
        .and_then(|mut select| select.query_row(params![mailbox.as_bytes(), millis], |row| row.get(0)).optional())
        .map_err(failed("read a mailbox"))
}

/// A delivery with its card.
pub(super) fn open(
    connection: &Connection,
    bodies: &Bodies,
    seq: i64,
    more: bool,
) -> Result<Option<StoredDelivery>, StorageError> {
    let Some(row) = rows::by_seq(connection, seq)? else { return Ok(None) };
    type Columns = (Option<String>, Option<[u8; 32]>, String, Option<Vec<u8>>);
    let (file, salt, layout, bytes): Columns = connection
        .prepare_cached("SELECT file, salt, layout, bytes FROM body WHERE seq = ?1")
        .and_then(|mut select| select.query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))))
        .map_err(failed("read a body"))?;
    let body: Arc<dyn ReadAt> = match (file, bytes) {
        (Some(name), _) => bodies.open(&name)?,
        (None, Some(bytes)) => Arc::new(bytes),
        (None, None) => return Err(StorageError::Corrupt(format!("delivery {seq} has no body"))),
    };
    if body.len() != row.bytes as u64 {
        let (found, expected) = (body.len(), row.bytes);
        return Err(StorageError::Corrupt(format!(
            "the body of delivery {seq} has {found} bytes instead of {expected}"
        )));
    }
    let parts = Layout::parse(&layout)?;
    Ok(Some(StoredDelivery {
        card: row.card,
        certificates: parts.certificates,
        custom_headers: parts.custom_headers,
        content: parts.content,
        attachments: parts.attachments,
        body,
        salt: salt.map(Salt::from_bytes),
        more,
    }))
}
