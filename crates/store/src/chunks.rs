//! Deliveries that come, or are fetched, in chunks.

use std::fmt;

use rohrpost_audit::Fingerprint;
use rohrpost_osci::ids::MessageId;
use thiserror::Error;
use time::OffsetDateTime;

use crate::delivery::BodySource;
use crate::error::StorageError;

/// A delivery that comes in chunks. Uploads of different owners never meet, be their message ids the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UploadKey {
    /// Who may go on with it.
    pub owner: Fingerprint,
    /// The id the delivery will have.
    pub message_id: MessageId,
}

/// How an upload is divided, as the first chunk says and all others have to say, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadPlan {
    /// Size of a chunk in units of 1024 bytes.
    pub chunk_size: u64,
    /// Number of chunks, at least 1.
    pub total: u32,
    /// Size of the message in whole units of 1024 bytes; up to 1023 bytes more are left out.
    pub message_size: u64,
}

/// A chunk to be kept.
pub struct NewChunk {
    /// Which upload.
    pub key: UploadKey,
    /// How it is divided.
    pub plan: UploadPlan,
    /// Which chunk: 1 to [`UploadPlan::total`].
    pub number: u32,
    /// Digest of its bytes.
    pub sha256: [u8; 32],
    /// Its bytes.
    pub body: BodySource,
    /// When it came.
    pub at: OffsetDateTime,
    /// Bounds of what is kept.
    pub limits: UploadLimits,
}

/// Bounds on uploads that have not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadLimits {
    /// Number of uploads of one owner.
    pub of_owner: u64,
    /// Bytes of the chunks of one owner.
    pub bytes_of_owner: u64,
    /// Number of all uploads.
    pub in_all: u64,
    /// Bytes of all chunks.
    pub bytes_in_all: u64,
}

impl Default for UploadLimits {
    /// No bounds.
    fn default() -> Self {
        Self { of_owner: u64::MAX, bytes_of_owner: u64::MAX, in_all: u64::MAX, bytes_in_all: u64::MAX }
    }
}

/// How far an upload is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upload {
    /// How it is divided.
    pub plan: UploadPlan,
    /// The chunks that are there, ascending.
    pub received: Vec<u32>,
    /// The feedback codes beside success, once the delivery was handled. The chunks are gone then.
    pub end: Option<Vec<u16>>,
}

impl Upload {
    /// Whether all chunks are there or were.
    pub fn is_complete(&self) -> bool {
        self.received.len() as u64 == u64::from(self.plan.total)
    }
}

/// What a delivery says of the upload it came in: that ends with its acceptance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadEnd {
    /// Whose upload it is; its message id is that of the delivery.
    pub owner: Fingerprint,
    /// The feedback codes beside success.
    pub codes: Vec<u16>,
}

/// Why a chunk was not kept.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum KeepChunkError {
    /// It is there already, or its delivery was handled.
    #[error("the chunk is there already")]
    Present(Upload),
    /// It does not fit to what is there: divided otherwise, more than was announced, or another chunk of that number.
    #[error("the chunk contradicts those before it")]
    Contradiction,
    /// Too much is kept.
    #[error("too much of what comes in chunks is being kept")]
    Full,
    /// Our fault.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl fmt::Debug for NewChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewChunk")
            .field("key", &self.key)
            .field("plan", &self.plan)
            .field("number", &self.number)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}
