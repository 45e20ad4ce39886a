//! Tokens of time-stamp services. Nothing in here is done for cards whose stamps are plain.

use rohrpost_audit::{Commitment, Event, Fingerprint, Leaf};
use rohrpost_osci::ids::MessageId;
use rusqlite::{Connection, OptionalExtension as _, params};
use time::OffsetDateTime;

use super::marks::{leaf_about, update};
use super::pool::Pool;
use super::rows::{self, CardRow};
use super::schema::failed;
use super::writer::Writer;
use crate::error::StorageError;
use crate::stamp;
use crate::stamping::{Stamp, StampedEvent, Stamps, WantedStamp};

pub(super) const WANTED: &str =
    "SELECT seq, event FROM stamp INDEXED BY stamp_wanted WHERE wanted IS NOT NULL ORDER BY wanted LIMIT 1";

const CREATION: i64 = 1;
const RECEPTION: i64 = 2;

/// For a card that was just made. What is wanted for its creation is waited for from now on.
pub(super) fn insert(
    connection: &Connection,
    seq: i64,
    stamps: &Stamps,
    created: OffsetDateTime,
) -> rusqlite::Result<()> {
    for (event, stamp) in [(CREATION, &stamps.creation), (RECEPTION, &stamps.reception)] {
        if *stamp == Stamp::Plain {
            continue;
        }
        let wanted = (*stamp == Stamp::Wanted && event == CREATION).then(|| stamp::to_millis(created));
        connection
            .prepare_cached("INSERT INTO stamp (seq, event, wanted, token) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![seq, event, wanted, stamp.token()])?;
    }
    connection.prepare_cached("UPDATE card SET stamped = 1 WHERE seq = ?1")?.execute([seq]).map(drop)
}

pub(super) fn read(connection: &Connection, seq: i64) -> rusqlite::Result<Stamps> {
    let mut select = connection.prepare_cached("SELECT event, token FROM stamp WHERE seq = ?1")?;
    let mut found = select.query([seq])?;
    let mut stamps = Stamps::default();
    while let Some(row) = found.next()? {
        let stamp = row.get::<_, Option<Vec<u8>>>(1)?.map_or(Stamp::Wanted, Stamp::Token);
        match row.get(0)? {
            CREATION => stamps.creation = stamp,
            _ => stamps.reception = stamp,
        }
    }
    Ok(stamps)
}

/// A delivery was received: if a token is wanted for that, it is waited for from now on.
pub(super) fn received(connection: &Connection, row: &CardRow, at: OffsetDateTime) -> Result<(), StorageError> {
    if row.card.stamps.reception != Stamp::Wanted {
        return Ok(());
    }
    connection
        .prepare_cached("UPDATE stamp SET wanted = ?3 WHERE seq = ?1 AND event = ?2")
        .and_then(|mut update| update.execute([row.seq, RECEPTION, stamp::to_millis(at)]))
        .map(drop)
        .map_err(failed("wait for a time stamp"))
}

/// For a card that goes.
pub(super) fn delete(connection: &Connection, row: &CardRow) -> rusqlite::Result<()> {
    if row.card.stamps.are_plain() {
        return Ok(());
    }
    connection.prepare_cached("DELETE FROM stamp WHERE seq = ?1")?.execute([row.seq]).map(drop)
}

pub(super) fn wanted(pool: &Pool) -> Result<Option<WantedStamp>, StorageError> {
    pool.read(|connection| {
        let found: Option<(i64, i64)> = connection
            .prepare_cached(WANTED)
            .and_then(|mut select| select.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional())
            .map_err(failed("look for wanted time stamps"))?;
        let Some((seq, event)) = found else { return Ok(None) };
        let gone = || StorageError::Corrupt(format!("a time stamp is wanted for card {seq}, which is not there"));
        let card = rows::by_seq(connection, seq)?.ok_or_else(gone)?.card;
        let event = if event == CREATION { StampedEvent::Creation } else { StampedEvent::Reception };
        Ok(Some(WantedStamp { card, event, commitments: commitments(connection, seq)? }))
    })
}

pub(super) fn count(connection: &Connection) -> Result<u64, StorageError> {
    connection
        .query_row("SELECT count(*) FROM stamp INDEXED BY stamp_wanted WHERE wanted IS NOT NULL", [], |row| {
            row.get::<_, i64>(0)
        })
        .map(|count| count as u64)
        .map_err(failed("count wanted time stamps"))
}

/// The number of a card is that of the log entry of its acceptance.
fn commitments(connection: &Connection, seq: i64) -> Result<Vec<Commitment>, StorageError> {
    let record: Vec<u8> = connection
        .prepare_cached("SELECT record FROM leaf WHERE seq = ?1")
        .and_then(|mut select| select.query_row([seq], |row| row.get(0)))
        .map_err(failed("read the log"))?;
    let leaf = Leaf::parse(&record).map_err(|error| StorageError::Corrupt(format!("entry {seq}: {error}")))?;
    Ok(leaf.commitments)
}

pub(super) fn stamp(
    writer: &Writer,
    message_id: &MessageId,
    event: StampedEvent,
    token: Vec<u8>,
    at: OffsetDateTime,
) -> Result<bool, StorageError> {
    let message_id = message_id.clone();
    writer.change(move |batch| {
        let connection = batch.connection;
        let Some(row) = rows::by_id(connection, &message_id)? else { return Ok(false) };
        let (number, logged) = match event {
            StampedEvent::Creation => (CREATION, Event::CreationStamped),
            StampedEvent::Reception => (RECEPTION, Event::ReceptionStamped),
        };
        let changed = connection
            .prepare_cached(
                "UPDATE stamp SET wanted = NULL, token = ?3 WHERE seq = ?1 AND event = ?2 AND wanted IS NOT NULL",
            )
            .and_then(|mut update| update.execute(params![row.seq, number, token]))
            .map_err(failed("keep a time stamp"))?;
        if changed == 0 {
            return Ok(false);
        }
        let at = at.max(row.card.modified);
        update(connection, "UPDATE card SET modified = max(modified, ?2) WHERE seq = ?1", &row, at)?;
        let mut leaf = leaf_about(&row.card, logged, at);
        leaf.token = Some(Fingerprint::of_der(&token));
        batch.append(&leaf)?;
        Ok(true)
    })
}
