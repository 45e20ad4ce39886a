//! Takes over a delivery: body first, then everything else in one transaction.

use rohrpost_audit::{Event, Fingerprint, Salt};
use rohrpost_planted::planted;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::bodies::{Bodies, Placed};
use super::layout::Layout;
use super::log::Entry;
use super::rows::{OUTBOUND, WAITING};
use super::schema::failed;
use super::stamps;
use super::writer::{Batch, Writer};
use super::{outbox, rechecks, uploads};
use crate::contract::Accepting;
use crate::delivery::{BodySource, Delivery, MailboxLimits};
use crate::error::{AcceptError, StorageError};
use crate::stamp;

pub(super) const IS_USED: &str = "SELECT EXISTS (SELECT 1 FROM card WHERE message_id = ?1) \
     OR EXISTS (SELECT 1 FROM former_id WHERE message_id = ?1)";

pub(super) fn accept(writer: &Writer, bodies: &Bodies, delivery: Delivery) -> Result<(), AcceptError> {
    let row = Row::new(bodies, delivery)?;
    let file = match &row.placed {
        Placed::File { name, .. } => Some(name.clone()),
        Placed::Row(_) => None,
    };
    let result = writer.change_if(row.inserting());
    let result = result.map(|(_, chunks)| chunks.iter().for_each(|file| bodies.remove(file)));
    // Refused for certain. After a failure of the storage nobody knows what the disk says, so the next start decides.
    if let (Err(AcceptError::MessageIdUsed | AcceptError::MailboxFull { .. }), Some(name)) = (&result, file) {
        bodies.remove(&name);
    }
    result
}

/// For a delivery whose body lies in its row.
pub(super) fn begin(writer: &Writer, bodies: &Bodies, delivery: Delivery) -> Accepting {
    match Row::new(bodies, delivery) {
        Err(error) => Accepting::done(Err(error.into())),
        Ok(row) => {
            let pending = writer.begin_change_if(row.inserting());
            Accepting::new(|| pending.wait().map(drop))
        }
    }
}

/// A delivery with everything that can be made of it before its transaction.
struct Row {
    delivery: Delivery,
    placed: Placed,
    entry: Entry,
    layout: String,
}

impl Row {
    /// Brings the body to where it stays.
    fn new(bodies: &Bodies, mut delivery: Delivery) -> Result<Box<Self>, StorageError> {
        let source = std::mem::replace(&mut delivery.body, BodySource::Inline(Vec::new()));
        let placed = bodies.place(source)?;
        complete_leaf(&mut delivery, &placed);
        let (entry, layout) = (Entry::from(&delivery.leaf), Layout::take(&mut delivery).to_text());
        Ok(Box::new(Self { delivery, placed, entry, layout }))
    }

    /// The change that inserts it. The row comes back, so that its memory is freed by the thread that has it, with the files that may
    /// go then.
    fn inserting(self: Box<Self>) -> impl FnOnce(&mut Batch<'_>) -> Result<Inserted, AcceptError> + Send + 'static {
        move |batch| insert(batch, &self).map(|chunks| (self, chunks))
    }
}

type Inserted = (Box<Row>, Vec<String>);

/// Makes the rows; the files that may go when they are durable.
fn insert(batch: &mut Batch<'_>, row: &Row) -> Result<Vec<String>, AcceptError> {
    let Row { delivery, placed, entry, .. } = row;
    let connection = batch.connection;
    if !planted("id-checked-before-the-transaction-only") && is_used(connection, delivery.message_id.as_str())? {
        return Err(AcceptError::MessageIdUsed);
    }
    add_to_mailbox(connection, &delivery.addressee, placed.bytes(), &delivery.limits)?;
    let seq = batch.append_entry(entry)? as i64;
    if planted("leaf-of-acceptance-twice") {
        batch.append_entry(entry)?;
    }
    insert_card(connection, seq, delivery, placed).map_err(failed("store a card"))?;
    insert_body(connection, seq, row).map_err(failed("store a body"))?;
    if !delivery.stamps.are_plain() {
        stamps::insert(connection, seq, &delivery.stamps, delivery.accepted_at).map_err(failed("keep a time stamp"))?;
    }
    if let Some(way) = &delivery.outbound {
        outbox::insert(connection, seq, way).map_err(failed("put a delivery on its way"))?;
    }
    if let Some(recheck) = &delivery.recheck {
        rechecks::set(connection, seq, recheck).map_err(failed("note when to look again"))?;
    }
    match &delivery.upload {
        Some(end) => {
            let (owner, id, at) = (&end.owner, &delivery.message_id, delivery.accepted_at);
            Ok(uploads::finish(connection, owner, id, &end.codes, at)?)
        }
        None => Ok(Vec::new()),
    }
}

/// Whether there is or was a delivery with this id.
pub(super) fn is_used(connection: &Connection, message_id: &str) -> Result<bool, StorageError> {
    connection
        .prepare_cached(IS_USED)
        .and_then(|mut select| select.query_row([message_id], |row| row.get(0)))
        .map_err(failed("look up a message id"))
}

fn add_to_mailbox(
    connection: &Connection,
    addressee: &Fingerprint,
    bytes: u64,
    limits: &MailboxLimits,
) -> Result<(), AcceptError> {
    let (waiting, full) = mailbox(connection, addressee)?;
    let is_full = waiting >= limits.deliveries || full.saturating_add(bytes) > limits.bytes;
    if is_full && !planted("mailbox-limit-forgotten") {
        return Err(AcceptError::MailboxFull { deliveries: waiting, bytes: full });
    }
    let sql = "INSERT INTO mailbox (addressee, waiting, bytes) VALUES (?1, 1, ?2) \
               ON CONFLICT DO UPDATE SET waiting = waiting + 1, bytes = bytes + ?2";
    connection
        .prepare_cached(sql)
        .and_then(|mut insert| insert.execute(params![addressee.as_bytes(), bytes as i64]))
        .map_err(failed("count a mailbox"))?;
    Ok(())
}

fn mailbox(connection: &Connection, addressee: &Fingerprint) -> Result<(u64, u64), StorageError> {
    let found: Option<(i64, i64)> = connection
        .prepare_cached("SELECT waiting, bytes FROM mailbox WHERE addressee = ?1")
        .and_then(|mut select| {
            select.query_row([addressee.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(failed("read a mailbox"))?;
    let (waiting, bytes) = found.unwrap_or_default();
    Ok((waiting as u64, bytes as u64))
}

/// What the log must say the same as the rows.
fn complete_leaf(delivery: &mut Delivery, placed: &Placed) {
    let leaf = &mut delivery.leaf;
    leaf.event = Event::Accepted;
    leaf.time = stamp::truncate(delivery.accepted_at);
    leaf.message_id = Some(delivery.message_id.as_str().to_owned());
    leaf.bytes = Some(placed.bytes());
    leaf.attachments = u32::try_from(delivery.attachments.len()).ok();
    leaf.token = delivery.stamps.creation.token().map(Fingerprint::of_der);
}

fn insert_card(connection: &Connection, seq: i64, delivery: &Delivery, placed: &Placed) -> rusqlite::Result<()> {
    let sql = "INSERT INTO card (seq, state, created, modified, bytes, addressee, originator, message_id, subject) \
               VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8)";
    connection.prepare_cached(sql)?.execute(params![
        seq,
        if delivery.outbound.is_some() { OUTBOUND } else { WAITING },
        stamp::to_millis(delivery.accepted_at),
        placed.bytes() as i64,
        delivery.addressee.as_bytes(),
        delivery.originator.as_ref().map(Fingerprint::as_bytes),
        delivery.message_id.as_str(),
        delivery.subject,
    ])?;
    if !delivery.inspections.is_empty() {
        connection
            .prepare_cached("INSERT INTO inspection (seq, entries) VALUES (?1, ?2)")?
            .execute(params![seq, delivery.inspections])?;
    }
    Ok(())
}

fn insert_body(connection: &Connection, seq: i64, row: &Row) -> rusqlite::Result<()> {
    let (file, bytes) = match &row.placed {
        Placed::Row(bytes) => (None, Some(bytes)),
        Placed::File { name, .. } => (Some(name), None),
    };
    let salt = row.delivery.salt.as_ref().map(Salt::as_bytes);
    connection
        .prepare_cached("INSERT INTO body (seq, file, salt, layout, bytes) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![seq, file, salt, row.layout, bytes])?;
    Ok(())
}
