//! Stamps on cards.

use rohrpost_audit::{Event, Fingerprint, Leaf, Role};
use rohrpost_osci::ids::MessageId;
use rohrpost_planted::planted;
use rusqlite::{Connection, params};
use time::OffsetDateTime;

use super::bodies::Bodies;
use super::prepared;
use super::rows::{self, CardRow, KEPT, WAITING};
use super::schema::failed;
use super::stamps;
use super::writer::{Batch, Writer};
use crate::delivery::Card;
use crate::error::StorageError;
use crate::stamp;

pub(super) fn forwarded(
    writer: &Writer,
    message_id: &MessageId,
    at: OffsetDateTime,
) -> Result<Option<Card>, StorageError> {
    let message_id = message_id.clone();
    writer.change(move |batch| {
        let Some(row) = rows::by_id(batch.connection, &message_id)? else { return Ok(None) };
        if row.card.forwarded.is_some() && !planted("later-hand-out-counts") {
            return Ok(Some(row.card));
        }
        // The request that hands out may have begun a moment before the delivery was accepted.
        let at = at.max(row.card.created);
        update(
            batch.connection,
            "UPDATE card SET forwarded = ?2, modified = max(modified, ?2) WHERE seq = ?1",
            &row,
            at,
        )?;
        if !planted("leaf-of-hand-out-forgotten") {
            batch.append(&leaf_about(&row.card, Event::Forwarded, at))?;
        }
        Ok(rows::by_seq(batch.connection, row.seq)?.map(|row| row.card))
    })
}

pub(super) fn received(
    writer: &Writer,
    bodies: &Bodies,
    message_ids: &[MessageId],
    at: OffsetDateTime,
) -> Result<u64, StorageError> {
    if message_ids.is_empty() {
        return Ok(0);
    }
    let message_ids = message_ids.to_vec();
    let (changed, files) = writer.change(move |batch| {
        let (mut changed, mut files) = (0, Vec::new());
        for message_id in &message_ids {
            changed += u64::from(receive(batch, message_id, at, &mut files)?);
        }
        Ok::<_, StorageError>((changed, files))
    })?;
    files.iter().for_each(|file| bodies.remove(file));
    Ok(changed)
}

/// Notes one; adds the files that may go when that is durable.
fn receive(
    batch: &mut Batch<'_>,
    message_id: &MessageId,
    at: OffsetDateTime,
    files: &mut Vec<String>,
) -> Result<bool, StorageError> {
    let Some(row) = rows::by_id(batch.connection, message_id)? else { return Ok(false) };
    files.extend(prepared::delete(batch.connection, row.seq)?);
    if row.card.received.is_some() && !planted("reception-twice") {
        return Ok(false);
    }
    let at = if planted("stamps-go-back") { at } else { at.max(row.card.forwarded.unwrap_or(row.card.created)) };
    update(batch.connection, "UPDATE card SET received = ?2, modified = max(modified, ?2) WHERE seq = ?1", &row, at)?;
    stamps::received(batch.connection, &row, at)?;
    if row.state == WAITING && !planted("received-still-waits") {
        leave_mailbox(batch.connection, &row, KEPT)?;
    }
    batch.append(&leaf_about(&row.card, Event::Received, at))?;
    Ok(true)
}

/// A delivery no longer waits: its state changes and its mailbox has one less.
pub(super) fn leave_mailbox(connection: &Connection, row: &CardRow, state: i64) -> Result<(), StorageError> {
    set_state(connection, row.seq, state)?;
    let addressee = row.card.addressee.as_bytes();
    let change = || {
        connection
            .prepare_cached("UPDATE mailbox SET waiting = waiting - 1, bytes = bytes - ?2 WHERE addressee = ?1")?
            .execute(params![addressee, if planted("mailbox-counter-drifts") { 0 } else { row.bytes }])?;
        connection.prepare_cached("DELETE FROM mailbox WHERE addressee = ?1 AND waiting <= 0")?.execute([addressee])
    };
    change().map(drop).map_err(failed("count a mailbox"))
}

pub(super) fn set_state(connection: &Connection, seq: i64, state: i64) -> Result<(), StorageError> {
    connection
        .prepare_cached("UPDATE card SET state = ?2 WHERE seq = ?1")
        .and_then(|mut update| update.execute([seq, state]))
        .map(drop)
        .map_err(failed("change a card"))
}

/// An entry of the log about a card: which message, whose mailbox, nothing else.
pub(super) fn leaf_about(card: &Card, event: Event, at: OffsetDateTime) -> Leaf {
    let mut leaf = Leaf::new(at, event);
    leaf.message_id = Some(card.message_id.as_str().to_owned());
    let addressee: Fingerprint = card.addressee;
    leaf.add_certificate(Role::AddresseeCipher, addressee, None);
    leaf
}

/// Sets a stamp; `sql` gets the number and the time.
pub(super) fn update(
    connection: &Connection,
    sql: &'static str,
    row: &CardRow,
    at: OffsetDateTime,
) -> Result<(), StorageError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut update| update.execute([row.seq, stamp::to_millis(at)]))
        .map(drop)
        .map_err(failed("stamp a card"))
}
