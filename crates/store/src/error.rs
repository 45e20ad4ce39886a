//! What can go wrong, by who can do something about it.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

/// The storage itself fails: an operator must act. Cheap to clone, as one failure can concern many callers.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum StorageError {
    /// A file or folder cannot be read or written. Look at permissions and free space.
    #[error("cannot access {path}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// The database refused an operation. If the disk is full, free space; the store goes on by itself.
    #[error("the database cannot {action}")]
    Database {
        /// What was being done.
        action: &'static str,
        /// What the database said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// Stored data contradicts itself or cannot be read. Stop, keep a copy, restore a backup.
    #[error("the stored data is damaged: {0}")]
    Corrupt(String),
    /// The database was written by another version of the program. A newer one: start that. An older one: the server
    /// migrates it at its next start.
    #[error("the database has schema version {found}, this program knows up to {known}")]
    SchemaVersion {
        /// Version in the database.
        found: u32,
        /// Newest version this program knows.
        known: u32,
    },
    /// Another process has the folder open. Only one may write.
    #[error("another process uses {0}")]
    InUse(PathBuf),
    /// The last checkpoint was not signed with the given key, or under another name. Use the key the log was begun with.
    #[error("the log in this store was not signed by the configured key {expected}: {reason}")]
    ForeignLog {
        /// The key that was given.
        expected: String,
        /// What does not fit.
        reason: String,
    },
    /// Nothing can be changed any more after a failure. Whether this change was kept, the next start decides. Restart the process.
    #[error("the store no longer takes changes")]
    Stopped,
}

impl StorageError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source: Arc::new(source) }
    }
}

/// Why a delivery was not accepted. Nothing of it was kept.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// Fault of the sender: a delivery with this message id was accepted earlier.
    #[error("the message id was used before")]
    MessageIdUsed,
    /// Nobody's fault: the addressee has too much unread.
    #[error("the mailbox is full: {deliveries} deliveries with {bytes} bytes are waiting")]
    MailboxFull {
        /// Deliveries waiting.
        deliveries: u64,
        /// Bytes of their bodies.
        bytes: u64,
    },
    /// Our fault.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why the log was not exported.
pub type ExportError = rohrpost_audit::ExportError<StorageError>;
