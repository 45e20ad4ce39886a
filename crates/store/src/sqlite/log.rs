//! The log in the database: appending inside a transaction, reading for proofs and exports.

use rohrpost_audit::{
    Checkpoint, ExportReport, Frontier, Hash, HashReader, Leaf, LeafProof, LogReader, LogSigner, export, inclusion,
};
use rohrpost_planted::planted;
use rusqlite::{Connection, OptionalExtension as _, params};
use std::path::Path;

use super::schema::failed;
use crate::error::{ExportError, StorageError};

/// Longest message id under which an entry can be found. Longer ones never are ids of deliveries.
const MAX_INDEXED_ID: usize = 512;

/// Reads log hashes and records through a connection, best inside a transaction.
pub(super) struct Log<'c>(pub(super) &'c Connection);

impl HashReader for Log<'_> {
    type Error = StorageError;

    fn hashes(&self, level: u8, start: u64, count: usize) -> Result<Vec<Hash>, StorageError> {
        let sql = if level == 0 {
            "SELECT hash FROM leaf WHERE seq >= ?2 AND seq < ?3 AND ?1 = 0 ORDER BY seq"
        } else {
            "SELECT hash FROM node WHERE level = ?1 AND position >= ?2 AND position < ?3 ORDER BY position"
        };
        let hashes: Vec<Hash> = self.rows(sql, params![level, start as i64, start as i64 + count as i64], |row| {
            Ok(Hash::from_bytes(row.get(0)?))
        })?;
        expect_count(&hashes, count)?;
        Ok(hashes)
    }
}

impl LogReader for Log<'_> {
    fn records(&self, start: u64, count: usize) -> Result<Vec<Vec<u8>>, StorageError> {
        let sql = "SELECT record FROM leaf WHERE seq >= ?1 AND seq < ?2 ORDER BY seq";
        let records = self.rows(sql, params![start as i64, start as i64 + count as i64], |row| row.get(0))?;
        expect_count(&records, count)?;
        Ok(records)
    }
}

impl Log<'_> {
    /// Number of entries.
    pub(super) fn size(&self) -> Result<u64, StorageError> {
        self.0
            .query_row("SELECT coalesce(max(seq) + 1, 0) FROM leaf", [], |row| row.get::<_, i64>(0))
            .map(|size| size as u64)
            .map_err(failed("read the log"))
    }

    /// The newest signed checkpoint.
    pub(super) fn note(&self) -> Result<Option<String>, StorageError> {
        self.0
            .query_row("SELECT note FROM checkpoint", [], |row| row.get(0))
            .optional()
            .map_err(failed("read the checkpoint"))
    }

    pub(super) fn existing_note(&self) -> Result<String, StorageError> {
        self.note()?.ok_or_else(|| StorageError::Corrupt("the log has no checkpoint".to_owned()))
    }

    /// Every entry about a message with its proof against the newest checkpoint.
    pub(super) fn prove(&self, message_id: &str) -> Result<Vec<LeafProof>, StorageError> {
        // One transaction, so that the checkpoint covers the entries.
        let transaction = self.0.unchecked_transaction().map_err(failed("begin reading"))?;
        let log = Log(&transaction);
        let checkpoint = log.existing_note()?;
        let size = peek(&checkpoint)?.size;
        let sql = "SELECT seq, record FROM leaf WHERE message_id = ?1 ORDER BY seq";
        let entries: Vec<(i64, Vec<u8>)> = log.rows(sql, [message_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        entries
            .into_iter()
            .map(|(seq, record)| {
                let index = seq as u64;
                let path = inclusion(&log, index, size)?;
                Ok(LeafProof { index, record, path, checkpoint: checkpoint.clone() })
            })
            .collect()
    }

    pub(super) fn export(&self, dir: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<ExportReport, ExportError> {
        let transaction = self.0.unchecked_transaction().map_err(failed("begin reading")).map_err(ExportError::Log)?;
        let log = Log(&transaction);
        let note = log.existing_note().map_err(ExportError::Log)?;
        export(&log, &note, dir, progress)
    }

    fn rows<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        map: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StorageError> {
        let mut statement = self.0.prepare_cached(sql).map_err(failed("read the log"))?;
        let rows = statement.query_map(params, map).map_err(failed("read the log"))?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed("read the log"))
    }
}

/// An entry of the log in the form in which it is written.
pub(super) struct Entry {
    record: Vec<u8>,
    hash: Hash,
    message_id: Option<String>,
}

impl From<&Leaf> for Entry {
    fn from(leaf: &Leaf) -> Self {
        let record = leaf.to_bytes();
        let hash = Hash::of_leaf(&record);
        let message_id = leaf.message_id.clone().filter(|id| id.len() <= MAX_INDEXED_ID);
        Self { record, hash, message_id }
    }
}

/// Appends entries. Lives as long as the writer; what a rolled back transaction appended is forgotten by putting back a copy
/// of `frontier`.
pub(super) struct Appender {
    signer: LogSigner,
    pub(super) frontier: Frontier,
}

impl Appender {
    /// Takes up the log where it ended, after checking it against its signed checkpoint.
    pub(super) fn load(connection: &Connection, signer: LogSigner) -> Result<Self, StorageError> {
        let log = Log(connection);
        let size = log.size()?;
        let frontier = Frontier::load(&log, size)?;
        let appender = Self { signer, frontier };
        match log.note()? {
            Some(note) => appender.check(&note)?,
            None if size == 0 => appender.seal(connection)?,
            None => return Err(StorageError::Corrupt("the log has entries but no checkpoint".to_owned())),
        }
        Ok(appender)
    }

    /// Reads the end of the log anew, after a transaction failed in a way that leaves its outcome open.
    pub(super) fn reload(&mut self, connection: &Connection) -> Result<(), StorageError> {
        if planted("log-not-reloaded-after-failure") {
            return Ok(());
        }
        let log = Log(connection);
        self.frontier = Frontier::load(&log, log.size()?)?;
        Ok(())
    }

    /// Writes an entry and returns its number.
    pub(super) fn append(&mut self, connection: &Connection, entry: &Entry) -> Result<u64, StorageError> {
        let seq = self.frontier.size();
        connection
            .prepare_cached("INSERT INTO leaf (seq, hash, message_id, record) VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut insert| {
                insert.execute(params![seq as i64, entry.hash.as_bytes(), entry.message_id, entry.record])
            })
            .map_err(failed("append to the log"))?;
        for node in self.frontier.append(entry.hash) {
            connection
                .prepare_cached("INSERT INTO node (level, position, hash) VALUES (?1, ?2, ?3)")
                .and_then(|mut insert| insert.execute(params![node.level, node.index as i64, node.hash.as_bytes()]))
                .map_err(failed("append to the log"))?;
        }
        Ok(seq)
    }

    /// Signs the log as it is now.
    pub(super) fn seal(&self, connection: &Connection) -> Result<(), StorageError> {
        let checkpoint = Checkpoint {
            origin: self.signer.verifier().name().to_owned(),
            size: self.frontier.size(),
            root: self.frontier.root(),
        };
        connection
            .prepare_cached("INSERT OR REPLACE INTO checkpoint (only_one, note) VALUES (1, ?1)")
            .and_then(|mut replace| replace.execute([checkpoint.sign(&self.signer)]))
            .map_err(failed("write the checkpoint"))?;
        Ok(())
    }

    fn check(&self, note: &str) -> Result<(), StorageError> {
        let checkpoint = Checkpoint::open(note.as_bytes(), self.signer.verifier()).map_err(|error| {
            StorageError::ForeignLog { expected: self.signer.verifier().to_string(), reason: error.to_string() }
        })?;
        if checkpoint.size == self.frontier.size() && checkpoint.root == self.frontier.root() {
            Ok(())
        } else {
            Err(StorageError::Corrupt("the log does not match its signed checkpoint".to_owned()))
        }
    }
}

fn peek(note: &str) -> Result<Checkpoint, StorageError> {
    Checkpoint::peek(note.as_bytes())
        .map_err(|error| StorageError::Corrupt(format!("the checkpoint cannot be read: {error}")))
}

fn expect_count<T>(found: &[T], count: usize) -> Result<(), StorageError> {
    if found.len() == count { Ok(()) } else { Err(StorageError::Corrupt("entries of the log are missing".to_owned())) }
}
