//! The store in one folder, on SQLite.
//!
//! ```text
//! rohrpost.db     cards, small bodies, the log (with -wal and -shm while in use)
//! rohrpost.lock   held by the one process that may write
//! bodies/         large bodies
//! incoming/       spool for messages on their way in; emptied at every start
//! ```

mod accept;
mod bodies;
mod cards;
mod contract;
mod fetch;
mod layout;
mod log;
mod marks;
mod outbox;
mod pool;
mod prepared;
mod reader;
mod rechecks;
mod retain;
mod rows;
mod schema;
mod stamps;
mod uploads;
mod writer;

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rohrpost_audit::LogSigner;
use rohrpost_planted::planted;
use rusqlite::Connection;

pub use self::reader::SqliteReader;

use self::bodies::Bodies;
use self::log::Appender;
use self::pool::Pool;
use self::schema::failed;
use self::writer::Writer;
use crate::disk::{Disk, DiskLock, Platform};
use crate::error::StorageError;
use crate::waiting::Waiting;

const DATABASE: &str = "rohrpost.db";
const WRITE_AHEAD_LOG: &str = "rohrpost.db-wal";
const LOCK: &str = "rohrpost.lock";

/// How a store works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqliteOptions {
    /// Connections for reading.
    pub readers: usize,
    /// How long the writer waits for further changes before it asks the disk, while waiting pays; zero for never. A single
    /// caller hardly notices, many callers share one wait for the disk.
    pub linger: Duration,
    /// Bodies up to this many bytes lie in the database, larger ones are files.
    pub max_inline: u64,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { readers: 4, linger: Duration::from_millis(1), max_inline: 64 * 1024 }
    }
}

/// The store in one folder. One process may have it open; share it between threads by reference or `Arc`.
pub struct SqliteStore {
    // Dropped in this order: the writer's connection is the last and moves the write-ahead log into the database, then the lock is
    // given up.
    reader: SqliteReader,
    writer: Writer,
    bodies: Bodies,
    recovery: Recovery,
    _lock: DiskLock,
}

/// What opening a store found and put right.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Recovery {
    /// Files of deliveries that were never acknowledged, removed.
    pub orphans: u64,
    /// Names of files that rows mention and that are not there. Not put right: an operator must look for them in a backup.
    pub missing: Vec<String>,
}

impl SqliteStore {
    /// Opens the store in `dir`, creating it if there is none, migrating it if it is older, and recovering what a crash left.
    ///
    /// The log is signed with `signer`: always the same key and name for one store.
    ///
    /// # Errors
    /// If another process has it open, the data is damaged or was written by a newer version, the log was signed by another
    /// key, or the disk fails.
    pub fn open(dir: &Path, signer: LogSigner, options: SqliteOptions) -> Result<Self, StorageError> {
        Self::open_on(Platform::default(), dir, signer, options)
    }

    /// Lets threads wait for their changes in this way.
    #[must_use]
    pub fn with_waiting(mut self, waiting: Arc<dyn Waiting>) -> Self {
        self.writer.set_waiting(waiting);
        self
    }

    /// [`open`](Self::open) on another platform than the machine: for simulations.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_on(
        platform: Platform,
        dir: &Path,
        signer: LogSigner,
        options: SqliteOptions,
    ) -> Result<Self, StorageError> {
        let Platform { disk, vfs, pace } = platform;
        let (disk, vfs) = (&disk, vfs.as_deref());
        let lock = lock(disk.as_ref(), dir)?;
        let path = dir.join(DATABASE);
        let bodies = Bodies::new(Arc::clone(disk), dir, options.max_inline);
        bodies.create_folders()?;
        if is_missing(disk.as_ref(), &path)? && !bodies.names()?.is_empty() {
            // Without its database every body would look like an orphan.
            return Err(StorageError::Corrupt("there are bodies but the database is missing".to_owned()));
        }
        // Made before the database does it, which would let everybody read it. Its companions inherit the mode.
        disk.create_file(&path).map_err(|error| StorageError::io(&path, error))?;
        settle_write_ahead_log(disk.as_ref(), &dir.join(WRITE_AHEAD_LOG))?;
        let connection = schema::open_writer(&path, vfs)?;
        bodies.begin_names(if planted("names-of-bodies-begin-again") { 1 } else { count_start(&connection)? });
        // SQLite makes the names of its files durable, but does not look whether that succeeds.
        disk.sync_folder(dir).map_err(|error| StorageError::io(dir, error))?;
        if !planted("spool-not-emptied") {
            bodies.empty_incoming()?;
        }
        let recovery = recover(&connection, &bodies)?;
        outbox::release(&connection)?;
        let appender = Appender::load(&connection, signer)?;
        Ok(Self {
            writer: Writer::start(connection, appender, options.linger, pace),
            reader: SqliteReader { pool: Pool::open(&path, vfs, options.readers)? },
            bodies,
            recovery,
            _lock: lock,
        })
    }

    /// Whether there is a store in `dir`, or one whose making was interrupted.
    pub fn is_in(dir: &Path) -> bool {
        dir.join(DATABASE).exists()
    }

    /// The folder for incoming messages on the same file system: bodies from there are renamed, not copied. Emptied at
    /// every start.
    pub fn incoming(&self) -> &Path {
        self.bodies.incoming()
    }

    /// What opening the store found.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }
}

/// Makes sure that nobody else writes. The lock goes with the process, however it ends.
fn lock(disk: &dyn Disk, dir: &Path) -> Result<DiskLock, StorageError> {
    disk.create_folder(dir).map_err(|error| StorageError::io(dir, error))?;
    // A folder that was just made must not vanish with the power.
    let above = dir.join("..");
    disk.sync_folder(&above).map_err(|error| StorageError::io(&above, error))?;
    let path = dir.join(LOCK);
    let held = disk.lock(&path).map_err(|error| StorageError::io(&path, error))?;
    held.ok_or_else(|| StorageError::InUse(dir.to_owned()))
}

/// Whether there is no file, or an empty one.
fn is_missing(disk: &dyn Disk, path: &Path) -> Result<bool, StorageError> {
    match disk.open(path) {
        Ok(file) => Ok(file.is_empty()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(StorageError::io(path, error)),
    }
}

/// Brings the write-ahead log of an earlier process to the disk as it is seen now. That process may have died of a sync that
/// failed: then its last bytes are seen, will be taken for a transaction and followed by others, and are not on the disk.
fn settle_write_ahead_log(disk: &dyn Disk, path: &Path) -> Result<(), StorageError> {
    if planted("write-ahead-log-of-the-dead-trusted") {
        return Ok(());
    }
    let settled = match disk.rewrite(path) {
        Ok(true) => disk.sync_file(path),
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    settled.map_err(|error| StorageError::io(path, error))
}

/// Two statements: a row that is returned by a change comes before it is known whether the change can be kept, and a count that is
/// not kept would name files a second time.
fn count_start(connection: &Connection) -> Result<u32, StorageError> {
    connection
        .execute("UPDATE start SET count = count + 1", [])
        .and_then(|_| connection.query_row("SELECT count FROM start", [], |row| row.get(0)))
        .map_err(failed("count its starts"))
}

/// Files of deliveries whose transaction never came: their senders were told nothing and will send again.
fn recover(connection: &Connection, bodies: &Bodies) -> Result<Recovery, StorageError> {
    let sql = "SELECT file FROM body WHERE file IS NOT NULL UNION ALL SELECT file FROM chunk WHERE file IS NOT NULL \
               UNION ALL SELECT file FROM prepared WHERE file IS NOT NULL";
    let mut select = connection.prepare(sql).map_err(failed("list bodies"))?;
    let mentioned: rusqlite::Result<HashSet<String>> =
        select.query_map([], |row| row.get(0)).and_then(Iterator::collect);
    let found = bodies.remove_orphans(mentioned.map_err(failed("list bodies"))?)?;
    Ok(Recovery { orphans: found.orphans, missing: found.missing })
}

#[cfg(test)]
mod tests {
    use super::cards::Order;
    use super::*;
    use crate::rules::CardRole;

    /// What SQLite does for a query, step by step.
    fn plan(connection: &Connection, sql: &str) -> String {
        let mut select = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = select.raw_query().mapped(|row| row.get::<_, String>(3));
        steps.collect::<rusqlite::Result<Vec<_>>>().unwrap().join("; ")
    }

    /// The cost of these must not grow with what is stored.
    #[test]
    fn frequent_queries_walk_one_index() {
        let dir = tempfile::tempdir().unwrap();
        let connection = schema::open_writer(&dir.path().join("x.db"), None).unwrap();
        let mut expected = vec![
            (fetch::OLDEST.to_owned(), "card_waiting"),
            (fetch::SINCE.to_owned(), "card_to "),
            (accept::IS_USED.to_owned(), "sqlite_autoindex_card_1"),
            (outbox::DUE.to_owned(), "outbox_due"),
            (rechecks::DUE.to_owned(), "recheck_due"),
            (stamps::WANTED.to_owned(), "stamp_wanted"),
        ];
        for no_reception in [false, true] {
            for role in [CardRole::Any, CardRole::Addressee, CardRole::Originator] {
                expected.push((cards::one_of(role, no_reception), "sqlite_autoindex_card_1"));
            }
            for (order, role, index) in [
                (Order::Made, "addressee", "card_to "),
                (Order::MadeOnly, "addressee", "card_to "),
                (Order::Changed, "addressee", "card_to_changed"),
                (Order::Made, "originator", "card_from "),
                (Order::MadeOnly, "originator", "card_from "),
                (Order::Changed, "originator", "card_from_changed"),
            ] {
                expected.push((cards::in_order(order, role, no_reception), index));
            }
        }
        for (sql, index) in expected {
            let plan = plan(&connection, &sql);
            assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
            assert!(!plan.split("; ").any(|step| step.starts_with("SCAN card")), "{sql}: {plan}");
        }
        for (sql, index) in [
            (uploads::OPEN, "upload_open"),
            (uploads::OPEN_OF_OWNER, "upload_open (owner=?)"),
            (uploads::OLD, "upload_used"),
            (prepared::OLD, "prepared_used"),
        ] {
            let plan = plan(&connection, sql);
            assert!(plan.contains(index) && plan.contains("COVERING INDEX"), "{sql}: {plan}");
        }
        for sql in [retain::RECEIVED, retain::UNRECEIVED, retain::CARDS] {
            let plan = plan(&connection, sql);
            assert!(plan.contains("COVERING INDEX") && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
        }
    }
}
