//! Removes what has been kept long enough, a few at a time.

use rohrpost_audit::{Event, Leaf};
use rohrpost_planted::planted;
use rusqlite::{Connection, OptionalExtension as _, params};
use time::{Duration, OffsetDateTime};

use super::bodies::Bodies;
use super::marks::{leaf_about, leave_mailbox, set_state, update};
use super::pool::Pool;
use super::rechecks;
use super::rows::{self, GONE, KEPT, WAITING};
use super::schema::failed;
use super::stamps;
use super::writer::{Batch, Writer};
use super::{prepared, uploads};
use crate::error::StorageError;
use crate::retention::{Retention, RetentionReport};
use crate::stamp;

/// Removals in one change: short enough not to hold up an acceptance.
const STEP: usize = 64;
/// Candidates read at once: 8 bytes each.
const PAGE: i64 = 100_000;

pub(super) fn run(
    writer: &Writer,
    pool: &Pool,
    bodies: &Bodies,
    now: OffsetDateTime,
    rules: &Retention,
) -> Result<RetentionReport, StorageError> {
    let mut report = RetentionReport::default();
    let received = before(now, rules.received_bodies);
    let unreceived = before(now, rules.unreceived_bodies);
    for (sql, limit) in [(RECEIVED, received), (UNRECEIVED, unreceived)] {
        in_steps(pool, sql, limit, |steps| {
            let removed = writer.change(move |batch| remove_bodies(batch, &steps, now, received, unreceived))?;
            removed.files.iter().for_each(|file| bodies.remove(file));
            report.bodies += removed.bodies;
            report.expired += removed.expired;
            Ok(())
        })?;
    }
    let cards = before(now, rules.cards);
    in_steps(pool, CARDS, cards, |steps| {
        report.cards += writer.change(move |batch| remove_cards(batch, &steps, now, cards))?;
        Ok(())
    })?;
    let unfinished = before(now, rules.unfinished);
    in_steps(pool, uploads::OLD, unfinished, |steps| {
        let (count, files) = writer.change(move |batch| uploads::forget(batch.connection, &steps, unfinished))?;
        files.iter().for_each(|file| bodies.remove(file));
        report.uploads += count;
        Ok(())
    })?;
    in_steps(pool, prepared::OLD, unfinished, |steps| {
        let (count, files) = writer.change(move |batch| prepared::forget(batch.connection, &steps, unfinished))?;
        files.iter().for_each(|file| bodies.remove(file));
        report.prepared += count;
        Ok(())
    })?;
    if let Some(lifetime) = rules.unused_ids {
        report.ids = release_ids(writer, now, lifetime)?;
    }
    Ok(report)
}

pub(super) const RECEIVED: &str =
    "SELECT seq FROM card INDEXED BY card_received WHERE state = 1 AND received < ?2 LIMIT ?1";
pub(super) const UNRECEIVED: &str =
    "SELECT seq FROM card INDEXED BY card_waiting WHERE state = 2 AND created < ?2 LIMIT ?1";
pub(super) const CARDS: &str = "SELECT seq FROM card INDEXED BY card_idle WHERE state = 0 AND modified < ?2 LIMIT ?1";

/// Everything before this moment is old. Without a rule nothing is.
fn before(now: OffsetDateTime, age: Option<Duration>) -> i64 {
    age.and_then(|age| now.checked_sub(age)).map_or(i64::MIN, stamp::to_millis)
}

/// Finds candidates on a reading connection and hands them on in steps. Whether one really is due is decided in the change;
/// one that is not will not be found again, so this comes to an end.
fn in_steps(
    pool: &Pool,
    sql: &str,
    limit: i64,
    mut remove: impl FnMut(Vec<i64>) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    if limit == i64::MIN {
        return Ok(());
    }
    loop {
        let mut found: Vec<i64> = pool.long_read(|connection| {
            let mut select = connection.prepare(sql).map_err(failed("look for what is old"))?;
            let rows = select.query_map([PAGE, limit], |row| row.get(0));
            rows.and_then(Iterator::collect).map_err(failed("look for what is old"))
        })?;
        found.sort_unstable();
        found.chunks(STEP).try_for_each(|step| remove(step.to_vec()))?;
        if (found.len() as i64) < PAGE {
            return Ok(());
        }
    }
}

#[derive(Default)]
struct Removed {
    bodies: u64,
    expired: u64,
    files: Vec<String>,
}

fn remove_bodies(
    batch: &mut Batch<'_>,
    candidates: &[i64],
    now: OffsetDateTime,
    received: i64,
    unreceived: i64,
) -> Result<Removed, StorageError> {
    let mut removed = Removed::default();
    for seq in candidates {
        // It may have been acknowledged since it was found.
        let Some(row) = rows::by_seq(batch.connection, *seq)? else { continue };
        let event = match (row.state, row.card.received) {
            (KEPT, Some(at)) if stamp::to_millis(at) < received => Event::BodyRemoved,
            (WAITING, None) if stamp::to_millis(row.card.created) < unreceived => Event::Expired,
            _ => continue,
        };
        removed.files.extend(delete_body(batch.connection, *seq)?);
        if planted("files-of-removed-bodies-stay") {
            removed.files.clear();
        }
        if !planted("leaf-of-removal-forgotten") {
            batch.append(&leaf_about(&row.card, event.clone(), now))?;
        }
        if event == Event::Expired {
            let sql = "UPDATE card SET expired = ?2, modified = max(modified, ?2) WHERE seq = ?1";
            update(batch.connection, sql, &row, now)?;
            leave_mailbox(batch.connection, &row, GONE)?;
            removed.expired += 1;
        } else {
            set_state(batch.connection, *seq, GONE)?;
            removed.bodies += 1;
        }
    }
    Ok(removed)
}

/// Returns the names of its files, which may go once the change is durable.
pub(super) fn delete_body(connection: &Connection, seq: i64) -> Result<Vec<String>, StorageError> {
    let file = connection
        .prepare_cached("DELETE FROM body WHERE seq = ?1 RETURNING file")
        .and_then(|mut delete| delete.query_row([seq], |row| row.get::<_, Option<String>>(0)).optional())
        .map_err(failed("remove a body"))?;
    Ok(file.flatten().into_iter().chain(prepared::delete(connection, seq)?).collect())
}

fn remove_cards(
    batch: &mut Batch<'_>,
    candidates: &[i64],
    now: OffsetDateTime,
    limit: i64,
) -> Result<u64, StorageError> {
    let mut removed = 0;
    for seq in candidates {
        let Some(row) = rows::by_seq(batch.connection, *seq)? else { continue };
        if row.state != GONE || stamp::to_millis(row.card.modified) >= limit {
            continue;
        }
        let delete = || {
            let connection = batch.connection;
            connection.prepare_cached("DELETE FROM card WHERE seq = ?1")?.execute([seq])?;
            connection.prepare_cached("DELETE FROM inspection WHERE seq = ?1")?.execute([seq])?;
            rechecks::delete(connection, *seq)?;
            stamps::delete(connection, &row)?;
            if planted("id-free-again-with-its-card") {
                return Ok(0);
            }
            connection
                .prepare_cached("INSERT INTO former_id (message_id, released) VALUES (?1, ?2)")?
                .execute(params![row.card.message_id.as_str(), stamp::to_millis(now)])
        };
        delete().map_err(failed("remove a card"))?;
        batch.append(&leaf_about(&row.card, Event::CardRemoved, now))?;
        removed += 1;
    }
    Ok(removed)
}

fn release_ids(writer: &Writer, now: OffsetDateTime, lifetime: Duration) -> Result<u64, StorageError> {
    let limit = before(now, Some(lifetime));
    let mut released = 0;
    loop {
        let step = writer.change(move |batch| release_step(batch, now, limit))?;
        released += step;
        if step < STEP as u64 {
            return Ok(released);
        }
    }
}

fn release_step(batch: &mut Batch<'_>, now: OffsetDateTime, limit: i64) -> Result<u64, StorageError> {
    let sql = "DELETE FROM former_id WHERE message_id IN \
               (SELECT message_id FROM former_id WHERE released < ?1 ORDER BY released LIMIT ?2)";
    let count = batch
        .connection
        .prepare_cached(sql)
        .and_then(|mut delete| delete.execute(params![limit, STEP as i64]))
        .map_err(failed("release message ids"))? as u64;
    if count > 0 {
        let mut leaf = Leaf::new(now, Event::IdsReleased);
        leaf.count = Some(count);
        batch.append(&leaf)?;
    }
    Ok(count)
}
