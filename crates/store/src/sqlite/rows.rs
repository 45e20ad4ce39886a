//! Rows of the table of cards.

use rohrpost_audit::Fingerprint;
use rohrpost_osci::ids::MessageId;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::schema::failed;
use super::stamps;
use crate::delivery::Card;
use crate::error::StorageError;
use crate::stamp;
use crate::stamping::Stamps;

/// On its way to a passive recipient.
pub(super) const OUTBOUND: i64 = -1;
/// Body gone.
pub(super) const GONE: i64 = 0;
/// Received, body kept.
pub(super) const KEPT: i64 = 1;
/// Waiting for its recipient.
pub(super) const WAITING: i64 = 2;

/// A card with what only the database knows.
pub(super) struct CardRow {
    pub(super) seq: i64,
    pub(super) state: i64,
    pub(super) bytes: i64,
    pub(super) card: Card,
}

const SELECT: &str = "SELECT card.seq, state, bytes, message_id, originator, addressee, subject, created, forwarded, \
     received, expired, modified, coalesce(entries, ''), failure, stamped FROM card LEFT JOIN inspection USING (seq) ";

/// The card of a message.
pub(super) fn by_id(connection: &Connection, message_id: &MessageId) -> Result<Option<CardRow>, StorageError> {
    one(connection, &format!("{SELECT} WHERE message_id = ?1"), message_id.as_str())
}

/// The card with this number.
pub(super) fn by_seq(connection: &Connection, seq: i64) -> Result<Option<CardRow>, StorageError> {
    one(connection, &format!("{SELECT} WHERE card.seq = ?1"), seq)
}

fn one(connection: &Connection, sql: &str, key: impl rusqlite::ToSql) -> Result<Option<CardRow>, StorageError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut select| select.query_row([key], |row| read(connection, row)).optional())
        .map_err(failed("read a card"))
}

fn read(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<CardRow> {
    let stamp = |column| row.get::<_, Option<i64>>(column).map(|millis| millis.map(stamp::from_millis));
    let card = Card {
        message_id: message_id(row, 3)?,
        originator: row.get::<_, Option<[u8; 32]>>(4)?.map(Fingerprint::from_bytes),
        addressee: Fingerprint::from_bytes(row.get(5)?),
        subject: row.get(6)?,
        created: stamp::from_millis(row.get(7)?),
        forwarded: stamp(8)?,
        received: stamp(9)?,
        expired: stamp(10)?,
        modified: stamp::from_millis(row.get(11)?),
        inspections: row.get(12)?,
        failure: row.get(13)?,
        stamps: match row.get::<_, Option<i64>>(14)? {
            None => Stamps::default(),
            Some(_) => stamps::read(connection, row.get(0)?)?,
        },
    };
    Ok(CardRow { seq: row.get(0)?, state: row.get(1)?, bytes: row.get(2)?, card })
}

/// A column with a message id.
pub(super) fn message_id(row: &Row<'_>, column: usize) -> rusqlite::Result<MessageId> {
    MessageId::new(row.get::<_, String>(column)?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}
