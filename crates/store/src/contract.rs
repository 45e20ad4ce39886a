//! What every store can do.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rohrpost_audit::{ExportReport, Fingerprint, Leaf, LeafProof};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::source::ReadAt;
use time::OffsetDateTime;

use crate::chunks::{KeepChunkError, NewChunk, Upload, UploadKey};
use crate::delivery::{BodySource, Card, Delivery, StoredDelivery};
use crate::error::{AcceptError, ExportError, StorageError};
use crate::outbound::{OutboundDelivery, OutboundEnd};
use crate::recheck::{Amendment, DueRecheck};
use crate::retention::{Retention, RetentionReport};
use crate::rules::{CardPage, CardRule, FetchRule};
use crate::stamping::{StampedEvent, WantedStamp};

/// A delivery that is being taken over, whether somebody waits for that or not.
pub struct Accepting(Box<dyn FnOnce() -> Result<(), AcceptError> + Send>);

impl Accepting {
    /// One whose end is known.
    pub fn done(outcome: Result<(), AcceptError>) -> Self {
        Self::new(|| outcome)
    }

    /// One whose end `wait` waits for.
    pub fn new(wait: impl FnOnce() -> Result<(), AcceptError> + Send + 'static) -> Self {
        Self(Box::new(wait))
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// As [`Store::accept`].
    pub fn wait(self) -> Result<(), AcceptError> {
        (self.0)()
    }
}

impl fmt::Debug for Accepting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepting").finish_non_exhaustive()
    }
}

/// Durable state of an intermediary. All methods block; call them from threads that may wait.
///
/// What changes something returns after it has become durable, together with its entry in the log.
pub trait Store: Send + Sync {
    /// Takes over a delivery: from now on the sender may be told that it was accepted.
    ///
    /// The entry of the log is [`Delivery::leaf`], with event, time, message id and sizes filled in.
    ///
    /// # Errors
    /// [`AcceptError::MessageIdUsed`] also if the earlier delivery or even its card is gone. After any error nothing of
    /// the delivery remains, except that after [`StorageError::Stopped`] the next start decides.
    fn accept(&self, delivery: Delivery) -> Result<(), AcceptError>;

    /// Begins to take over a delivery, for a caller that has something else to do while the disk is asked. Nobody may be told that
    /// it was accepted before [`Accepting::wait`] says so.
    fn begin_to_accept(&self, delivery: Delivery) -> Accepting {
        Accepting::done(self.accept(delivery))
    }

    /// Whether a delivery with this id was ever accepted (as long as such ids are kept, see [`Retention`]).
    ///
    /// # Errors
    /// If the storage fails.
    fn is_used(&self, message_id: &MessageId) -> Result<bool, StorageError>;

    /// The delivery that a rule selects for the owner of a mailbox. Changes nothing.
    ///
    /// # Errors
    /// If the storage fails.
    fn next_delivery(&self, mailbox: &Fingerprint, rule: FetchRule<'_>)
    -> Result<Option<StoredDelivery>, StorageError>;

    /// Notes that a delivery was handed out and returns its card; nothing if there is no such card.
    ///
    /// The first time counts: if the card has the stamp already, nothing changes. The stamps of a card never go back: a time
    /// before the acceptance becomes that of the acceptance.
    ///
    /// # Errors
    /// If the storage fails.
    fn mark_forwarded(&self, message_id: &MessageId, at: OffsetDateTime) -> Result<Option<Card>, StorageError>;

    /// Notes that deliveries were acknowledged, all or none, and returns how many had not been before.
    ///
    /// The first time counts; unknown ids are skipped. A time before that of the hand-out becomes that of the hand-out.
    ///
    /// # Errors
    /// If the storage fails.
    fn mark_received(&self, message_ids: &[MessageId], at: OffsetDateTime) -> Result<u64, StorageError>;

    /// A delivery that is on its way to a passive recipient. Changes nothing.
    ///
    /// # Errors
    /// If the storage fails.
    fn outbound(&self, message_id: &MessageId) -> Result<Option<OutboundDelivery>, StorageError>;

    /// The delivery to a passive recipient that has waited longest since somebody may try it, if there is one: until `until` it is
    /// the caller's, or as long as the process lives. No entry in the log: nothing happened to the delivery.
    ///
    /// # Errors
    /// If the storage fails.
    fn lease_outbound(
        &self,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<Option<OutboundDelivery>, StorageError>;

    /// Lets a leased delivery rest until `until`: nobody tried it, and it is `in_doubt` as it was before. No entry in the log.
    ///
    /// # Errors
    /// If the storage fails.
    fn defer_outbound(&self, message_id: &MessageId, until: OffsetDateTime, in_doubt: bool)
    -> Result<(), StorageError>;

    /// Notes that an attempt failed, with the feedback code that says why, whether this or an earlier one may have reached the
    /// recipient, and that nobody tries again before `until`. Whether it was still on its way.
    ///
    /// # Errors
    /// If the storage fails.
    fn postpone_outbound(
        &self,
        message_id: &MessageId,
        until: OffsetDateTime,
        code: u16,
        in_doubt: bool,
        at: OffsetDateTime,
    ) -> Result<bool, StorageError>;

    /// Ends the way of a delivery to a passive recipient: its body goes, its card says how it ended. Nothing if it is not on its
    /// way.
    ///
    /// # Errors
    /// If the storage fails.
    fn finish_outbound(
        &self,
        message_id: &MessageId,
        end: OutboundEnd,
        at: OffsetDateTime,
    ) -> Result<Option<Card>, StorageError>;

    /// The card whose certificates have waited longest to be looked at again since that was due. Changes nothing.
    ///
    /// # Errors
    /// If the storage fails.
    fn due_recheck(&self, now: OffsetDateTime) -> Result<Option<DueRecheck>, StorageError>;

    /// Notes what came of looking again at the certificates of a delivery; whether there still is its card.
    ///
    /// # Errors
    /// If the storage fails.
    fn amend(&self, message_id: &MessageId, amendment: Amendment, at: OffsetDateTime) -> Result<bool, StorageError>;

    /// Keeps a chunk of a delivery, and tells how far that is then. No entry in the log: it is no delivery yet.
    ///
    /// # Errors
    /// [`KeepChunkError`]; after any but a failed storage the upload is as it was.
    fn keep_chunk(&self, chunk: NewChunk) -> Result<Upload, KeepChunkError>;

    /// How far an upload is. Changes nothing.
    ///
    /// # Errors
    /// If the storage fails.
    fn upload(&self, key: &UploadKey) -> Result<Option<Upload>, StorageError>;

    /// The bytes of a chunk, if it is there.
    ///
    /// # Errors
    /// If the storage fails.
    fn chunk(&self, key: &UploadKey, number: u32) -> Result<Option<Arc<dyn ReadAt>>, StorageError>;

    /// Ends an upload whose delivery was refused, with these feedback codes; its chunks go. One that was accepted ends with its
    /// acceptance, see [`Delivery::upload`].
    ///
    /// # Errors
    /// If the storage fails.
    fn end_upload(&self, key: &UploadKey, codes: &[u16], at: OffsetDateTime) -> Result<(), StorageError>;

    /// The answer kept for a delivery that is fetched in chunks.
    ///
    /// # Errors
    /// If the storage fails.
    fn prepared(&self, message_id: &MessageId, at: OffsetDateTime) -> Result<Option<Arc<dyn ReadAt>>, StorageError>;

    /// Keeps the answer for a delivery that is fetched in chunks, until the delivery is acknowledged, its body is removed, or
    /// [`retention`](Self::retention) finds it unused. One that is there already stays. Whether there is one now: not if all answers
    /// together would be larger than `limit`.
    ///
    /// # Errors
    /// If the storage fails.
    fn keep_prepared(
        &self,
        message_id: &MessageId,
        answer: BodySource,
        at: OffsetDateTime,
        limit: u64,
    ) -> Result<bool, StorageError>;

    /// The stamp that was waited for longest, if one is. Changes nothing.
    ///
    /// # Errors
    /// If the storage fails.
    fn wanted_stamp(&self) -> Result<Option<WantedStamp>, StorageError>;

    /// Puts a token on a card that waits for it; whether one did. The card is changed by that.
    ///
    /// # Errors
    /// If the storage fails.
    fn stamp(
        &self,
        message_id: &MessageId,
        event: StampedEvent,
        token: Vec<u8>,
        at: OffsetDateTime,
    ) -> Result<bool, StorageError>;

    /// The card of a delivery, whoever asks.
    ///
    /// # Errors
    /// If the storage fails.
    fn card(&self, message_id: &MessageId) -> Result<Option<Card>, StorageError>;

    /// The cards a rule selects among those of deliveries from or to the requester, oldest first, at most `limit`, and no more
    /// than some megabytes of them unless a single one is larger.
    ///
    /// # Errors
    /// If the storage fails.
    fn cards(&self, requester: &Fingerprint, rule: &CardRule<'_>, limit: usize) -> Result<CardPage, StorageError>;

    /// Writes an entry of the log that belongs to no change here, such as a refused order. Returns its position.
    ///
    /// # Errors
    /// If the storage fails.
    fn record(&self, leaf: Leaf) -> Result<u64, StorageError>;

    /// Removes what the rules say, in small steps so that others are not held up.
    ///
    /// # Errors
    /// If the storage fails; steps done before are done.
    fn retention(&self, now: OffsetDateTime, rules: &Retention) -> Result<RetentionReport, StorageError>;

    /// The newest signed checkpoint of the log; it covers everything that was returned before.
    ///
    /// # Errors
    /// If the storage fails.
    fn checkpoint(&self) -> Result<String, StorageError>;

    /// All entries of the log about a message, each with its proof, oldest first.
    ///
    /// # Errors
    /// If the storage fails.
    fn prove(&self, message_id: &MessageId) -> Result<Vec<LeafProof>, StorageError>;

    /// Writes the log into a folder, adding what the folder lacks; see [`rohrpost_audit::export()`]. `progress` is told
    /// leaves done and leaves in all.
    ///
    /// # Errors
    /// If the storage fails, the folder cannot be written or holds something else.
    fn export_audit(&self, dir: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<ExportReport, ExportError>;

    /// Figures for monitoring.
    ///
    /// # Errors
    /// If the storage fails, or no longer takes changes.
    fn stats(&self) -> Result<Stats, StorageError>;
}

/// Figures for monitoring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Deliveries not yet received.
    pub waiting: u64,
    /// Bytes of their bodies.
    pub waiting_bytes: u64,
    /// Deliveries on their way to passive recipients; they are among those not yet received.
    pub outbound: u64,
    /// Time stamps that are waited for.
    pub wanted_stamps: u64,
    /// Entries in the log.
    pub log_size: u64,
    /// Changes made durable since the store was opened.
    pub changes: u64,
    /// Changes waiting to be made durable.
    pub waiting_changes: u64,
    /// Changes that may wait before callers have to wait to queue.
    pub max_waiting_changes: u64,
    /// Transactions that took: far fewer than changes under load, because they share the wait for the disk.
    pub commits: u64,
}
