//! Deliveries on their way to passive recipients: who may try when, and how it ended.

use rohrpost_audit::Event;
use rohrpost_osci::ids::MessageId;
use rohrpost_planted::planted;
use rusqlite::{Connection, OptionalExtension as _, params};
use time::OffsetDateTime;

use super::bodies::Bodies;
use super::fetch;
use super::marks::{leaf_about, leave_mailbox, update};
use super::pool::Pool;
use super::retain::delete_body;
use super::rows::{self, CardRow, GONE, OUTBOUND};
use super::schema::failed;
use super::stamps;
use super::writer::{Batch, Writer};
use crate::delivery::Card;
use crate::error::StorageError;
use crate::outbound::{Outbound, OutboundDelivery, OutboundEnd};
use crate::stamp;

pub(super) const DUE: &str = "SELECT seq FROM outbox INDEXED BY outbox_due WHERE due <= ?1 ORDER BY due LIMIT 1";

/// Puts a delivery whose card was just made on its way.
pub(super) fn insert(connection: &Connection, seq: i64, way: &Outbound) -> rusqlite::Result<()> {
    let sql = "INSERT INTO outbox (seq, due, deadline, attempts, in_doubt, receiver, languages) \
               VALUES (?1, ?2, ?3, 0, 0, ?4, ?5)";
    connection.prepare_cached(sql)?.execute(params![
        seq,
        stamp::to_millis(way.leased_until),
        stamp::to_millis(way.deadline),
        way.receiver,
        way.languages,
    ])?;
    Ok(())
}

/// Ends the leases of a process before this one: whoever had them is gone.
pub(super) fn release(connection: &Connection) -> Result<(), StorageError> {
    if planted("leases-outlive-their-process") {
        return Ok(());
    }
    connection.execute("UPDATE outbox SET due = 0", []).map(drop).map_err(failed("release what is on its way"))
}

pub(super) fn outbound(
    pool: &Pool,
    bodies: &Bodies,
    message_id: &MessageId,
) -> Result<Option<OutboundDelivery>, StorageError> {
    pool.read(|connection| match rows::by_id(connection, message_id)? {
        Some(row) if row.state == OUTBOUND => open(connection, bodies, row.seq),
        _ => Ok(None),
    })
}

pub(super) fn lease(
    writer: &Writer,
    pool: &Pool,
    bodies: &Bodies,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<Option<OutboundDelivery>, StorageError> {
    let (now, until) = (stamp::to_millis(now), stamp::to_millis(until));
    // Usually there is nothing, and finding that costs no change.
    if pool.read(|connection| due(connection, now))?.is_none() {
        return Ok(None);
    }
    let leased = writer.change(move |batch| {
        let Some(seq) = due(batch.connection, now)? else { return Ok::<_, StorageError>(None) };
        let before = in_doubt(batch.connection, seq)?;
        // Until somebody says how it ended.
        rest(batch.connection, seq, until, true)?;
        Ok(Some((seq, before)))
    })?;
    let Some((seq, in_doubt)) = leased else { return Ok(None) };
    let found = pool.read(|connection| open(connection, bodies, seq))?;
    Ok(found.map(|found| OutboundDelivery { in_doubt, ..found }))
}

pub(super) fn defer(
    writer: &Writer,
    message_id: &MessageId,
    until: OffsetDateTime,
    in_doubt: bool,
) -> Result<(), StorageError> {
    let message_id = message_id.clone();
    writer.change(move |batch| match on_its_way(batch.connection, &message_id)? {
        Some(row) => rest(batch.connection, row.seq, stamp::to_millis(until), in_doubt),
        None => Ok(()),
    })
}

pub(super) fn postpone(
    writer: &Writer,
    message_id: &MessageId,
    until: OffsetDateTime,
    code: u16,
    in_doubt: bool,
    at: OffsetDateTime,
) -> Result<bool, StorageError> {
    let message_id = message_id.clone();
    writer.change(move |batch| {
        let Some(row) = on_its_way(batch.connection, &message_id)? else { return Ok(false) };
        rest(batch.connection, row.seq, stamp::to_millis(until), in_doubt)?;
        batch
            .connection
            .prepare_cached("UPDATE outbox SET failure = ?2, attempts = attempts + 1 WHERE seq = ?1")
            .and_then(|mut update| update.execute(params![row.seq, code]))
            .map_err(failed("note why an attempt failed"))?;
        let mut leaf = leaf_about(&row.card, Event::Postponed, at.max(row.card.modified));
        leaf.feedback = vec![code];
        batch.append(&leaf)?;
        Ok(true)
    })
}

pub(super) fn finish(
    writer: &Writer,
    bodies: &Bodies,
    message_id: &MessageId,
    end: OutboundEnd,
    at: OffsetDateTime,
) -> Result<Option<Card>, StorageError> {
    let message_id = message_id.clone();
    let ended = writer.change(move |batch| finish_one(batch, &message_id, end, at))?;
    Ok(ended.map(|(card, files)| {
        files.iter().for_each(|file| bodies.remove(file));
        card
    }))
}

fn finish_one(
    batch: &mut Batch<'_>,
    message_id: &MessageId,
    end: OutboundEnd,
    at: OffsetDateTime,
) -> Result<Option<(Card, Vec<String>)>, StorageError> {
    let connection = batch.connection;
    let Some(row) = on_its_way(connection, message_id)? else { return Ok(None) };
    let at = at.max(row.card.forwarded.unwrap_or(row.card.created));
    let leaf = match end {
        OutboundEnd::Received => {
            let sql = "UPDATE card SET received = ?2, modified = max(modified, ?2) WHERE seq = ?1";
            update(connection, sql, &row, at)?;
            stamps::received(connection, &row, at)?;
            leaf_about(&row.card, Event::Received, at)
        }
        OutboundEnd::Undeliverable { code } => {
            let sql = "UPDATE card SET expired = ?2, modified = max(modified, ?2) WHERE seq = ?1";
            update(connection, sql, &row, at)?;
            connection
                .prepare_cached("UPDATE card SET failure = ?2 WHERE seq = ?1")
                .and_then(|mut update| update.execute(params![row.seq, code]))
                .map_err(failed("note why a delivery failed"))?;
            let mut leaf = leaf_about(&row.card, Event::Undeliverable, at);
            leaf.feedback = vec![code];
            leaf
        }
    };
    batch.append(&leaf)?;
    leave_mailbox(connection, &row, GONE)?;
    connection
        .prepare_cached("DELETE FROM outbox WHERE seq = ?1")
        .and_then(|mut delete| delete.execute([row.seq]))
        .map_err(failed("end the way of a delivery"))?;
    let files = delete_body(connection, row.seq)?;
    Ok(rows::by_seq(connection, row.seq)?.map(|row| (row.card, files)))
}

fn on_its_way(connection: &Connection, message_id: &MessageId) -> Result<Option<CardRow>, StorageError> {
    Ok(rows::by_id(connection, message_id)?.filter(|row| row.state == OUTBOUND))
}

fn due(connection: &Connection, now: i64) -> Result<Option<i64>, StorageError> {
    connection
        .prepare_cached(DUE)
        .and_then(|mut select| select.query_row([now], |row| row.get(0)).optional())
        .map_err(failed("look for what is due"))
}

fn rest(connection: &Connection, seq: i64, due: i64, in_doubt: bool) -> Result<(), StorageError> {
    connection
        .prepare_cached("UPDATE outbox SET due = ?2, in_doubt = ?3 WHERE seq = ?1")
        .and_then(|mut update| update.execute(params![seq, due, in_doubt]))
        .map(drop)
        .map_err(failed("lease a delivery"))
}

/// Whether an attempt may have reached the recipient. The first one is that of whoever handed the delivery in, who leases nothing:
/// if it ended without being noted, the card says whether there was anything to send.
fn in_doubt(connection: &Connection, seq: i64) -> Result<bool, StorageError> {
    let sql = "SELECT in_doubt OR (outbox.failure IS NULL AND forwarded IS NOT NULL) \
               FROM outbox JOIN card USING (seq) WHERE seq = ?1";
    connection
        .prepare_cached(sql)
        .and_then(|mut select| select.query_row([seq], |row| row.get(0)))
        .map_err(failed("read what is on its way"))
}

fn open(connection: &Connection, bodies: &Bodies, seq: i64) -> Result<Option<OutboundDelivery>, StorageError> {
    type Columns = (i64, u32, Option<u16>, String, Option<String>);
    let found: Option<Columns> = connection
        .prepare_cached("SELECT deadline, attempts, failure, receiver, languages FROM outbox WHERE seq = ?1")
        .and_then(|mut select| {
            select
                .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
                .optional()
        })
        .map_err(failed("read what is on its way"))?;
    let Some((deadline, attempts, failure, receiver, languages)) = found else { return Ok(None) };
    let delivery = fetch::open(connection, bodies, seq, false)?;
    let (deadline, in_doubt) = (stamp::from_millis(deadline), in_doubt(connection, seq)?);
    Ok(delivery.map(|delivery| OutboundDelivery {
        delivery,
        receiver,
        languages,
        deadline,
        attempts,
        failure,
        in_doubt,
    }))
}
