//! Connections and numbered migrations, forward only.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rohrpost_planted::planted;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::StorageError;

/// In order; number `n` brings the schema to version `n + 1`. Never change one that was released.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
];
const KNOWN: u32 = MIGRATIONS.len() as u32;
/// `RoPo`: tells our databases from others.
const APPLICATION_ID: i32 = 0x526f_506f;

/// Opens the database for the one writer, creating or migrating it.
pub(super) fn open_writer(path: &Path, vfs: Option<&str>) -> Result<Connection, StorageError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = connect(path, flags, vfs)?;
    settings(&connection)?;
    write_ahead(&connection)?;
    let synchronous = if planted("commit-not-fsynced") { "NORMAL" } else { "FULL" };
    connection.pragma_update(None, "synchronous", synchronous).map_err(failed("set synchronous"))?;
    connection.pragma_update(None, "cache_size", -65_536).map_err(failed("set cache_size"))?;
    // What retention removes shall be gone from the file, not only from the tables.
    connection.pragma_update(None, "secure_delete", true).map_err(failed("set secure_delete"))?;
    // 32 MB: a page that many deliveries change, as those of indexes, goes to its place once for all of them.
    connection.pragma_update(None, "wal_autocheckpoint", 8_000).map_err(failed("set wal_autocheckpoint"))?;
    migrate(&mut connection)?;
    // 4 MB: with every commit that moved pages about, SQLite looks through all of its cache, and the system's is behind it. What a
    // transaction changes stays in memory, however much it is: it goes to the disk once.
    connection.pragma_update(None, "cache_size", -4_096).map_err(failed("set cache_size"))?;
    connection.pragma_update(None, "cache_spill", false).map_err(failed("set cache_spill"))?;
    Ok(connection)
}

/// Opens the database for reading beside the writer, in this or another process.
pub(super) fn open_reader(path: &Path, vfs: Option<&str>) -> Result<Connection, StorageError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = connect(path, flags, vfs)?;
    settings(&connection)?;
    // Who reads moves nothing, not even as the last one: only the writer knows that the write-ahead log is on the disk.
    let stays = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(stays, true).map_err(failed("leave the write-ahead log alone"))?;
    connection.pragma_update(None, "query_only", true).map_err(failed("set query_only"))?;
    let found = version(&connection)?;
    if found == KNOWN { Ok(connection) } else { Err(StorageError::SchemaVersion { found, known: KNOWN }) }
}

/// Turns what SQLite says into what an operator can use.
pub(super) fn failed(action: &'static str) -> impl FnOnce(rusqlite::Error) -> StorageError {
    move |error| {
        let damaged = match &error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..) => true,
            other => matches!(other.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)),
        };
        if damaged {
            StorageError::Corrupt(format!("the database cannot {action}: {error}"))
        } else {
            StorageError::Database { action, source: Arc::new(error) }
        }
    }
}

fn connect(path: &Path, flags: OpenFlags, vfs: Option<&str>) -> Result<Connection, StorageError> {
    let opened = match vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs),
        None => Connection::open_with_flags(path, flags),
    };
    opened.map_err(failed("open"))
}

fn settings(connection: &Connection) -> Result<(), StorageError> {
    connection.busy_timeout(std::time::Duration::from_secs(10)).map_err(failed("set busy_timeout"))?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "temp_store", "MEMORY").map_err(failed("set temp_store"))
}

/// Without a write-ahead log a commit would be the removal of a file, which a power cut takes back. SQLite names the new mode
/// before it has made the switch durable: whether that succeeds shows only when the statement is run to its end.
fn write_ahead(connection: &Connection) -> Result<(), StorageError> {
    let sql = "PRAGMA journal_mode = WAL";
    let modes = if planted("switch-to-write-ahead-log-not-awaited") {
        connection.query_row(sql, [], |row| row.get(0)).map(|mode| vec![mode])
    } else {
        let mut statement = connection.prepare(sql).map_err(failed("switch to a write-ahead log"))?;
        statement.query_map([], |row| row.get::<_, String>(0)).and_then(Iterator::collect)
    };
    let modes: Vec<String> = modes.map_err(failed("switch to a write-ahead log"))?;
    if modes == ["wal"] {
        return Ok(());
    }
    let reason = io::Error::other(format!("the journal stays in the mode {}", modes.concat()));
    Err(StorageError::Database { action: "switch to a write-ahead log", source: Arc::new(reason) })
}

fn version(connection: &Connection) -> Result<u32, StorageError> {
    let id: i32 = pragma(connection, "application_id")?;
    let version: u32 = pragma(connection, "user_version")?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(failed("read its schema"))?;
    match (id, version, tables) {
        (APPLICATION_ID, version, _) => Ok(version),
        (0, 0, 0) => Ok(0),
        _ => Err(StorageError::Corrupt("the database belongs to another program".to_owned())),
    }
}

fn pragma<T: rusqlite::types::FromSql>(connection: &Connection, name: &str) -> Result<T, StorageError> {
    connection.pragma_query_value(None, name, |row| row.get(0)).map_err(failed("read its version"))
}

fn migrate(connection: &mut Connection) -> Result<(), StorageError> {
    let found = version(connection)?;
    if found > KNOWN {
        return Err(StorageError::SchemaVersion { found, known: KNOWN });
    }
    for (number, migration) in (1_u32..).zip(MIGRATIONS).skip(found as usize) {
        let transaction = connection.transaction().map_err(failed("begin a migration"))?;
        transaction.execute_batch(migration).map_err(failed("migrate"))?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed("migrate"))?;
        transaction.pragma_update(None, "user_version", number).map_err(failed("migrate"))?;
        transaction.commit().map_err(failed("commit a migration"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrates_once_and_refuses_what_it_does_not_know() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        assert!(open_reader(&path, None).is_err());
        drop(open_writer(&path, None).unwrap());
        let connection = open_writer(&path, None).unwrap();
        assert!(open_reader(&path, None).is_ok());
        connection.pragma_update(None, "user_version", KNOWN + 1).unwrap();
        for result in [open_writer(&path, None), open_reader(&path, None)] {
            assert!(matches!(result, Err(StorageError::SchemaVersion { found, known: KNOWN }) if found == KNOWN + 1));
        }
        connection.pragma_update(None, "application_id", 7).unwrap();
        assert!(matches!(open_writer(&path, None), Err(StorageError::Corrupt(_))));
    }
}
