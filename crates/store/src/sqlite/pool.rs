//! Connections for reading, beside the writer.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};

use rusqlite::Connection;

use super::schema;
use crate::error::StorageError;

/// A fixed number of connections; who finds none idle waits.
pub(super) struct Pool {
    path: PathBuf,
    vfs: Option<String>,
    idle: Mutex<Vec<Connection>>,
    returned: Condvar,
}

impl Pool {
    pub(super) fn open(path: &Path, vfs: Option<&str>, connections: usize) -> Result<Self, StorageError> {
        let idle = (0..connections.max(1)).map(|_| schema::open_reader(path, vfs)).collect::<Result<_, _>>()?;
        Ok(Self {
            path: path.to_owned(),
            vfs: vfs.map(str::to_owned),
            idle: Mutex::new(idle),
            returned: Condvar::new(),
        })
    }

    /// Runs a short read.
    pub(super) fn read<T, E>(&self, work: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E> {
        let guard = Guard { pool: self, connection: Some(self.take()) };
        work(guard.connection.as_ref().expect("the guard holds the connection until it is dropped"))
    }

    /// Runs a long read on a connection of its own, so that it holds up nobody.
    pub(super) fn long_read<T, E: From<StorageError>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        work(&schema::open_reader(&self.path, self.vfs.as_deref())?)
    }

    fn take(&self) -> Connection {
        // The list is whole at every moment, so a panic elsewhere spoils nothing.
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match idle.pop() {
                Some(connection) => return connection,
                None => idle = self.returned.wait(idle).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// Gives the connection back, also when the read panics.
struct Guard<'p> {
    pool: &'p Pool,
    connection: Option<Connection>,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            self.pool.returned.notify_one();
        }
    }
}
