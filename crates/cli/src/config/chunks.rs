//! `[chunks]`: large messages in pieces.

use anyhow::Result;
use rohrpost_intermediary::Chunks;
use rohrpost_store::UploadLimits;

use super::{bad, raw};

/// What is offered, if anything is.
pub(super) fn settings(raw: &raw::Chunks) -> Result<Option<Chunks>> {
    if !raw.offered {
        return Ok(None);
    }
    if raw.min_chunk_kib == 0 {
        return Err(bad("chunks.min_chunk_kib", "0", "write at least 1"));
    }
    if raw.max_chunk_kib < raw.min_chunk_kib {
        return Err(bad("chunks.max_chunk_kib", &raw.max_chunk_kib.to_string(), "write at least chunks.min_chunk_kib"));
    }
    if raw.max_message_kib < raw.max_chunk_kib {
        let remedy = "write at least chunks.max_chunk_kib";
        return Err(bad("chunks.max_message_kib", &raw.max_message_kib.to_string(), remedy));
    }
    Ok(Some(Chunks {
        min_chunk: raw.min_chunk_kib,
        max_chunk: raw.max_chunk_kib,
        max_message: raw.max_message_kib,
        uploads: UploadLimits {
            of_owner: raw.uploads_per_client,
            bytes_of_owner: raw.bytes_per_client,
            in_all: raw.uploads,
            bytes_in_all: raw.bytes,
        },
        prepared_bytes: raw.bytes,
        timeout: timeout(raw),
        handling: time::Duration::seconds(raw.handling_seconds.into()),
    }))
}

/// How long what nobody goes on with is kept, whether chunks are offered or no longer.
pub(super) fn timeout(raw: &raw::Chunks) -> time::Duration {
    time::Duration::hours(raw.timeout_hours.max(1).into())
}
