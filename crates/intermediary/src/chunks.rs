//! Chunked transfer: what an operator allows, and which uploads are being made deliveries of.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rohrpost_osci::feedback::Code;
use rohrpost_osci::header::{Feature, FeatureDescription};
use rohrpost_osci::message::ChunkInformation;
use rohrpost_osci::ns::MessageType;
use rohrpost_store::{UploadKey, UploadLimits, UploadPlan};
use time::{Duration, OffsetDateTime};

/// The unit of all sizes that are announced, in bytes.
pub(crate) const UNIT: u64 = 1024;
/// Chunks of one message at most, whatever the sizes: an answer lists those that are there.
const MAX_CHUNKS: u64 = 10_000;

/// Whether and how messages are transferred in chunks (OSCI-Transport 1.2, chunked transfer).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunks {
    /// Smallest chunk but the last one, in units of 1024 bytes.
    pub min_chunk: u64,
    /// Largest chunk, in units of 1024 bytes.
    pub max_chunk: u64,
    /// Largest message, in whole units of 1024 bytes.
    pub max_message: u64,
    /// Bounds of uploads that have not ended.
    pub uploads: UploadLimits,
    /// Bytes of answers that are kept because clients fetch them in chunks.
    pub prepared_bytes: u64,
    /// How long what nobody goes on with is kept: announced here, done by the store's retention.
    pub timeout: Duration,
    /// After this time a client that asks is told that its delivery takes too long to handle (3951), no longer that it is being
    /// handled (3952).
    pub handling: Duration,
}

impl Default for Chunks {
    /// Chunks of 1 to 50 MB, messages up to 1.5 GiB, a day to go on.
    fn default() -> Self {
        Self {
            min_chunk: 1_000,
            max_chunk: 50_000,
            max_message: 1_572_864,
            uploads: UploadLimits { of_owner: 20, bytes_of_owner: 16 << 30, in_all: 1_000, bytes_in_all: 64 << 30 },
            prepared_bytes: 64 << 30,
            timeout: Duration::days(1),
            handling: Duration::minutes(2),
        }
    }
}

impl Chunks {
    /// Adds them to what we can do.
    pub(crate) fn announce(&self, description: &mut FeatureDescription) {
        let feature = Feature::PartialMessageTransmission;
        description.features.push((feature.key().to_owned(), feature.version().to_owned()));
        description.min_chunk_size = Some(self.min_chunk);
        description.max_chunk_size = Some(self.max_chunk);
        description.max_message_size = Some(self.max_message);
        description.chunk_timeout = Some(self.timeout.whole_seconds().unsigned_abs());
    }

    /// Which chunk of which division this is, if that makes sense.
    ///
    /// Sizes are not exact: that of the message is in whole units, that of a chunk is the largest one.
    ///
    /// # Errors
    /// 9901 to 9905.
    pub(crate) fn plan(&self, information: &ChunkInformation) -> Result<(u32, UploadPlan), Code> {
        let contradictory = Code::ChunkInformationContradictory;
        information.misplaced(MessageType::PartialStoreDelivery).map_err(|_| contradictory)?;
        let part = |part: Option<u64>| part.ok_or(contradictory);
        let (number, total) = (part(information.number)?, part(information.total)?);
        let (chunk_size, message_size) = (part(information.size)?, part(information.message_size)?);
        if total == 0 {
            return Err(contradictory);
        }
        if number == 0 || number > total {
            return Err(Code::ChunkNumberWrong);
        }
        if message_size > self.max_message {
            return Err(Code::MessageTooLarge);
        }
        self.check_size(chunk_size, total)?;
        // So many chunks cannot hold the message, or are more than chunks of the smallest size would be.
        let too_few = chunk_size.saturating_mul(total) < message_size;
        let too_many = total > MAX_CHUNKS || (total - 1).saturating_mul(self.min_chunk) > message_size;
        if too_few || too_many {
            return Err(contradictory);
        }
        let (number, total) = (number as u32, total as u32);
        Ok((number, UploadPlan { chunk_size, total, message_size }))
    }

    /// Whether chunks may have this size, of which the last one may be smaller.
    ///
    /// # Errors
    /// 9902, 9903.
    pub(crate) fn check_size(&self, chunk_size: u64, total: u64) -> Result<(), Code> {
        match chunk_size {
            size if size > self.max_chunk => Err(Code::ChunkTooLarge),
            size if total > 1 && size < self.min_chunk => Err(Code::ChunkTooSmall),
            _ => Ok(()),
        }
    }
}

/// The uploads that are being made deliveries of at the moment: one request does it, others are told so.
#[derive(Debug, Default)]
pub(crate) struct InHand(Mutex<HashMap<UploadKey, OffsetDateTime>>);

/// One of them, until dropped.
pub(crate) struct Handling<'a> {
    all: &'a InHand,
    key: UploadKey,
}

impl InHand {
    /// Begins, or says since when somebody else is at it.
    pub(crate) fn begin(&self, key: &UploadKey, now: OffsetDateTime) -> Result<Handling<'_>, OffsetDateTime> {
        let mut all = self.lock();
        if let Some(since) = all.get(key) {
            return Err(*since);
        }
        all.insert(key.clone(), now);
        Ok(Handling { all: self, key: key.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UploadKey, OffsetDateTime>> {
        // A thread that panicked here left at worst an entry too many or too few.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Handling<'_> {
    fn drop(&mut self) {
        self.all.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn information(number: u64, size: u64, total: u64, message_size: u64) -> ChunkInformation {
        ChunkInformation {
            number: Some(number),
            size: Some(size),
            total: Some(total),
            message_size: Some(message_size),
            received: None,
        }
    }

    #[test]
    fn what_clients_write_about_chunks_is_judged() {
        let chunks = Chunks { min_chunk: 8, max_chunk: 100, max_message: 10_000, ..Chunks::default() };
        for (stated, expected) in [
            // As the reference library counts: the message in whole units.
            (information(1, 20, 3, 44), Ok(1)),
            (information(2, 8, 2, 13), Ok(2)),
            (information(4, 10, 4, 30), Ok(4)),
            // One chunk may be as small as it likes.
            (information(1, 1, 1, 0), Ok(1)),
            (information(0, 20, 3, 44), Err(Code::ChunkNumberWrong)),
            (information(4, 20, 3, 44), Err(Code::ChunkNumberWrong)),
            (information(1, 20, 0, 44), Err(Code::ChunkInformationContradictory)),
            (information(1, 20, 2, 44), Err(Code::ChunkInformationContradictory)),
            (information(1, 20, 9, 44), Err(Code::ChunkInformationContradictory)),
            (information(1, 20, 1_000_000, 9_999), Err(Code::ChunkInformationContradictory)),
            (information(1, 20, u64::MAX, 9_999), Err(Code::ChunkInformationContradictory)),
            (information(1, u64::MAX, u64::MAX, 9_999), Err(Code::ChunkTooLarge)),
            (information(1, 101, 3, 300), Err(Code::ChunkTooLarge)),
            (information(1, 7, 3, 20), Err(Code::ChunkTooSmall)),
            (information(1, 0, 3, 0), Err(Code::ChunkTooSmall)),
            (information(1, 100, 101, 10_001), Err(Code::MessageTooLarge)),
            (ChunkInformation::default(), Err(Code::ChunkInformationContradictory)),
            (
                ChunkInformation { received: Some(vec![]), ..information(1, 20, 3, 44) },
                Err(Code::ChunkInformationContradictory),
            ),
        ] {
            assert_eq!(chunks.plan(&stated).map(|(number, _)| number), expected, "{stated:?}");
        }
    }

    #[test]
    fn one_at_a_time_makes_a_delivery_of_an_upload() {
        let now = datetime!(2026-11-24 12:00 UTC);
        let id = rohrpost_osci::ids::MessageId::new("1").unwrap();
        let key =
            |owner: &[u8]| UploadKey { owner: rohrpost_store::Fingerprint::of_der(owner), message_id: id.clone() };
        let all = InHand::default();
        let first = all.begin(&key(b"a"), now).unwrap();
        assert_eq!(all.begin(&key(b"a"), now + Duration::SECOND).err(), Some(now));
        assert!(all.begin(&key(b"b"), now).is_ok());
        drop(first);
        assert!(all.begin(&key(b"a"), now).is_ok());
    }
}
