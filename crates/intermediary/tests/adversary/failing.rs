//! A store that can be made to fail.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use rohrpost_audit::{ExportReport, Fingerprint, Leaf, LeafProof};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::source::ReadAt;
use rohrpost_store::{
    AcceptError, Accepting, Amendment, BodySource, Card, CardPage, CardRule, Delivery, DueRecheck, ExportError,
    FetchRule, KeepChunkError, NewChunk, OutboundDelivery, OutboundEnd, Retention, RetentionReport, SqliteStore,
    StampedEvent, Stats, StorageError, Store, StoredDelivery, Upload, UploadKey, WantedStamp,
};
use time::OffsetDateTime;

/// Fails whatever would change something, as long as it is told so.
pub(crate) struct Failing {
    own: Weak<Self>,
    store: Arc<SqliteStore>,
    fails: AtomicBool,
    fails_to_accept: AtomicBool,
    before_accepting: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Failing {
    pub(crate) fn new(store: Arc<SqliteStore>) -> Arc<Self> {
        let (fails, fails_to_accept) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new_cyclic(|own| Self {
            own: Weak::clone(own),
            store,
            fails,
            fails_to_accept,
            before_accepting: OnceLock::new(),
        })
    }

    pub(crate) fn fails(&self, fails: bool) {
        self.fails.store(fails, Ordering::Relaxed);
    }

    /// Takes no deliveries, but keeps entries of the log.
    pub(crate) fn fails_to_accept(&self, fails: bool) {
        self.fails_to_accept.store(fails, Ordering::Relaxed);
    }

    /// What happens before a delivery is taken.
    pub(crate) fn before_accepting(&self, happens: impl Fn() + Send + Sync + 'static) {
        assert!(self.before_accepting.set(Box::new(happens)).is_ok());
    }

    fn check(&self) -> Result<(), StorageError> {
        if self.fails.load(Ordering::Relaxed) { Err(Self::failure()) } else { Ok(()) }
    }

    fn failure() -> StorageError {
        StorageError::Io { path: PathBuf::new(), source: Arc::new(io::Error::other("as a test")) }
    }
}

impl Store for Failing {
    fn accept(&self, delivery: Delivery) -> Result<(), AcceptError> {
        self.before_accepting.get().iter().for_each(|happens| happens());
        self.check()?;
        if self.fails_to_accept.load(Ordering::Relaxed) {
            return Err(Self::failure().into());
        }
        self.store.accept(delivery)
    }

    /// As late as can be: when somebody waits for it.
    fn begin_to_accept(&self, delivery: Delivery) -> Accepting {
        let own = self.own.upgrade().expect("it lives");
        Accepting::new(move || own.accept(delivery))
    }

    fn is_used(&self, message_id: &MessageId) -> Result<bool, StorageError> {
        self.store.is_used(message_id)
    }

    fn next_delivery(
        &self,
        mailbox: &Fingerprint,
        rule: FetchRule<'_>,
    ) -> Result<Option<StoredDelivery>, StorageError> {
        self.store.next_delivery(mailbox, rule)
    }

    fn mark_forwarded(&self, message_id: &MessageId, at: OffsetDateTime) -> Result<Option<Card>, StorageError> {
        self.check()?;
        self.store.mark_forwarded(message_id, at)
    }

    fn mark_received(&self, message_ids: &[MessageId], at: OffsetDateTime) -> Result<u64, StorageError> {
        self.check()?;
        self.store.mark_received(message_ids, at)
    }

    fn outbound(&self, message_id: &MessageId) -> Result<Option<OutboundDelivery>, StorageError> {
        self.store.outbound(message_id)
    }

    fn lease_outbound(
        &self,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<Option<OutboundDelivery>, StorageError> {
        self.check()?;
        self.store.lease_outbound(now, until)
    }

    fn defer_outbound(
        &self,
        message_id: &MessageId,
        until: OffsetDateTime,
        in_doubt: bool,
    ) -> Result<(), StorageError> {
        self.check()?;
        self.store.defer_outbound(message_id, until, in_doubt)
    }

    fn postpone_outbound(
        &self,
        message_id: &MessageId,
        until: OffsetDateTime,
        code: u16,
        in_doubt: bool,
        at: OffsetDateTime,
    ) -> Result<bool, StorageError> {
        self.check()?;
        self.store.postpone_outbound(message_id, until, code, in_doubt, at)
    }

    fn wanted_stamp(&self) -> Result<Option<WantedStamp>, StorageError> {
        self.store.wanted_stamp()
    }

    fn stamp(
        &self,
        message_id: &MessageId,
        event: StampedEvent,
        token: Vec<u8>,
        at: OffsetDateTime,
    ) -> Result<bool, StorageError> {
        self.check()?;
        self.store.stamp(message_id, event, token, at)
    }

    fn finish_outbound(
        &self,
        message_id: &MessageId,
        end: OutboundEnd,
        at: OffsetDateTime,
    ) -> Result<Option<Card>, StorageError> {
        self.check()?;
        self.store.finish_outbound(message_id, end, at)
    }

    fn due_recheck(&self, now: OffsetDateTime) -> Result<Option<DueRecheck>, StorageError> {
        self.store.due_recheck(now)
    }

    fn amend(&self, message_id: &MessageId, amendment: Amendment, at: OffsetDateTime) -> Result<bool, StorageError> {
        self.check()?;
        self.store.amend(message_id, amendment, at)
    }

    fn keep_chunk(&self, chunk: NewChunk) -> Result<Upload, KeepChunkError> {
        self.check()?;
        self.store.keep_chunk(chunk)
    }

    fn upload(&self, key: &UploadKey) -> Result<Option<Upload>, StorageError> {
        self.store.upload(key)
    }

    fn chunk(&self, key: &UploadKey, number: u32) -> Result<Option<Arc<dyn ReadAt>>, StorageError> {
        self.store.chunk(key, number)
    }

    fn end_upload(&self, key: &UploadKey, codes: &[u16], at: OffsetDateTime) -> Result<(), StorageError> {
        self.check()?;
        self.store.end_upload(key, codes, at)
    }

    fn prepared(&self, message_id: &MessageId, at: OffsetDateTime) -> Result<Option<Arc<dyn ReadAt>>, StorageError> {
        self.store.prepared(message_id, at)
    }

    fn keep_prepared(
        &self,
        message_id: &MessageId,
        answer: BodySource,
        at: OffsetDateTime,
        limit: u64,
    ) -> Result<bool, StorageError> {
        self.check()?;
        self.store.keep_prepared(message_id, answer, at, limit)
    }

    fn card(&self, message_id: &MessageId) -> Result<Option<Card>, StorageError> {
        self.store.card(message_id)
    }

    fn cards(&self, requester: &Fingerprint, rule: &CardRule<'_>, limit: usize) -> Result<CardPage, StorageError> {
        self.store.cards(requester, rule, limit)
    }

    fn record(&self, leaf: Leaf) -> Result<u64, StorageError> {
        self.check()?;
        self.store.record(leaf)
    }

    fn retention(&self, now: OffsetDateTime, rules: &Retention) -> Result<RetentionReport, StorageError> {
        self.check()?;
        self.store.retention(now, rules)
    }

    fn checkpoint(&self) -> Result<String, StorageError> {
        self.store.checkpoint()
    }

    fn prove(&self, message_id: &MessageId) -> Result<Vec<LeafProof>, StorageError> {
        self.store.prove(message_id)
    }

    fn export_audit(&self, dir: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<ExportReport, ExportError> {
        self.store.export_audit(dir, progress)
    }

    fn stats(&self) -> Result<Stats, StorageError> {
        self.store.stats()
    }
}
