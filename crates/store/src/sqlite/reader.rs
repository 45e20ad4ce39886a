//! Reading beside the process that writes.

use std::path::Path;

use rohrpost_audit::{ExportReport, LeafProof};
use rohrpost_osci::ids::MessageId;

use super::log::Log;
use super::pool::Pool;
use super::schema::failed;
use super::{DATABASE, rows, stamps};
use crate::contract::Stats;
use crate::delivery::Card;
use crate::error::{ExportError, StorageError};

/// Reads a store beside the process that has it open: for auditors' commands on the same machine.
pub struct SqliteReader {
    pub(super) pool: Pool,
}

impl SqliteReader {
    /// Opens the store in `dir` for reading. Creates and changes nothing.
    ///
    /// # Errors
    /// If there is no store, it has another schema version than this program, or it is damaged.
    pub fn open(dir: &Path) -> Result<Self, StorageError> {
        Ok(Self { pool: Pool::open(&dir.join(DATABASE), None, 1)? })
    }

    /// See [`Store::card`](crate::Store::card).
    ///
    /// # Errors
    /// If the storage fails.
    pub fn card(&self, message_id: &MessageId) -> Result<Option<Card>, StorageError> {
        self.pool.read(|connection| Ok(rows::by_id(connection, message_id)?.map(|row| row.card)))
    }

    /// See [`Store::checkpoint`](crate::Store::checkpoint).
    ///
    /// # Errors
    /// If the storage fails.
    pub fn checkpoint(&self) -> Result<String, StorageError> {
        self.pool.read(|connection| Log(connection).existing_note())
    }

    /// See [`Store::prove`](crate::Store::prove).
    ///
    /// # Errors
    /// If the storage fails.
    pub fn prove(&self, message_id: &MessageId) -> Result<Vec<LeafProof>, StorageError> {
        self.pool.read(|connection| Log(connection).prove(message_id.as_str()))
    }

    /// See [`Store::export_audit`](crate::Store::export_audit).
    ///
    /// # Errors
    /// If the storage fails, the folder cannot be written or holds something else.
    pub fn export_audit(&self, dir: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<ExportReport, ExportError> {
        // The pool's error type must be ours, so the export's own travels inside.
        self.pool
            .long_read(|connection| Ok::<_, StorageError>(Log(connection).export(dir, progress)))
            .map_err(ExportError::Log)?
    }

    /// See [`Store::stats`](crate::Store::stats); a reader knows of no changes.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn stats(&self) -> Result<Stats, StorageError> {
        self.pool.read(|connection| {
            let (waiting, bytes): (i64, i64) = connection
                .query_row("SELECT coalesce(sum(waiting), 0), coalesce(sum(bytes), 0) FROM mailbox", [], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .map_err(failed("count mailboxes"))?;
            let outbound: i64 = connection
                .query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))
                .map_err(failed("count what is on its way"))?;
            Ok(Stats {
                outbound: outbound as u64,
                waiting: waiting as u64,
                waiting_bytes: bytes as u64,
                wanted_stamps: stamps::count(connection)?,
                log_size: Log(connection).size()?,
                ..Stats::default()
            })
        })
    }
}
