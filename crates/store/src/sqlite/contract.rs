//! The contract, method by method: each is kept in a module of its own.

use std::path::Path;
use std::sync::Arc;

use rohrpost_audit::{ExportReport, Fingerprint, Leaf, LeafProof};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::source::ReadAt;
use time::OffsetDateTime;

use super::log::Entry;
use super::{SqliteStore, accept, cards, fetch, marks, outbox, prepared, rechecks, retain, stamps, uploads, writer};
use crate::chunks::{KeepChunkError, NewChunk, Upload, UploadKey};
use crate::contract::{Accepting, Stats, Store};
use crate::delivery::{BodySource, Card, Delivery, StoredDelivery};
use crate::error::{AcceptError, ExportError, StorageError};
use crate::outbound::{OutboundDelivery, OutboundEnd};
use crate::recheck::{Amendment, DueRecheck};
use crate::retention::{Retention, RetentionReport};
use crate::rules::{CardPage, CardRule, FetchRule};
use crate::stamping::{StampedEvent, WantedStamp};

impl Store for SqliteStore {
    fn accept(&self, delivery: Delivery) -> Result<(), AcceptError> {
        // Decided in the transaction; asked before only to spare a large body the way to the disk.
        if self.bodies.needs_file(&delivery.body) && self.is_used(&delivery.message_id)? {
            return Err(AcceptError::MessageIdUsed);
        }
        accept::accept(&self.writer, &self.bodies, delivery)
    }

    fn begin_to_accept(&self, delivery: Delivery) -> Accepting {
        // What becomes a file takes its time before the transaction, and the files of chunks go after it.
        if self.bodies.needs_file(&delivery.body) || delivery.upload.is_some() {
            return Accepting::done(self.accept(delivery));
        }
        accept::begin(&self.writer, &self.bodies, delivery)
    }

    fn is_used(&self, message_id: &MessageId) -> Result<bool, StorageError> {
        self.reader.pool.read(|connection| accept::is_used(connection, message_id.as_str()))
    }

    fn next_delivery(
        &self,
        mailbox: &Fingerprint,
        rule: FetchRule<'_>,
    ) -> Result<Option<StoredDelivery>, StorageError> {
        fetch::next_delivery(&self.reader.pool, &self.bodies, mailbox, rule)
    }

    fn mark_forwarded(&self, message_id: &MessageId, at: OffsetDateTime) -> Result<Option<Card>, StorageError> {
        match self.card(message_id)? {
            Some(card) if card.forwarded.is_none() => marks::forwarded(&self.writer, message_id, at),
            known => Ok(known),
        }
    }

    fn mark_received(&self, message_ids: &[MessageId], at: OffsetDateTime) -> Result<u64, StorageError> {
        marks::received(&self.writer, &self.bodies, message_ids, at)
    }

    fn outbound(&self, message_id: &MessageId) -> Result<Option<OutboundDelivery>, StorageError> {
        outbox::outbound(&self.reader.pool, &self.bodies, message_id)
    }

    fn lease_outbound(
        &self,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<Option<OutboundDelivery>, StorageError> {
        outbox::lease(&self.writer, &self.reader.pool, &self.bodies, now, until)
    }

    fn defer_outbound(
        &self,
        message_id: &MessageId,
        until: OffsetDateTime,
        in_doubt: bool,
    ) -> Result<(), StorageError> {
        outbox::defer(&self.writer, message_id, until, in_doubt)
    }

    fn postpone_outbound(
        &self,
        message_id: &MessageId,
        until: OffsetDateTime,
        code: u16,
        in_doubt: bool,
        at: OffsetDateTime,
    ) -> Result<bool, StorageError> {
        outbox::postpone(&self.writer, message_id, until, code, in_doubt, at)
    }

    fn finish_outbound(
        &self,
        message_id: &MessageId,
        end: OutboundEnd,
        at: OffsetDateTime,
    ) -> Result<Option<Card>, StorageError> {
        outbox::finish(&self.writer, &self.bodies, message_id, end, at)
    }

    fn due_recheck(&self, now: OffsetDateTime) -> Result<Option<DueRecheck>, StorageError> {
        rechecks::due(&self.reader.pool, now)
    }

    fn amend(&self, message_id: &MessageId, amendment: Amendment, at: OffsetDateTime) -> Result<bool, StorageError> {
        rechecks::amend(&self.writer, message_id, amendment, at)
    }

    fn keep_chunk(&self, chunk: NewChunk) -> Result<Upload, KeepChunkError> {
        uploads::keep(&self.writer, &self.reader.pool, &self.bodies, chunk)
    }

    fn upload(&self, key: &UploadKey) -> Result<Option<Upload>, StorageError> {
        uploads::upload(&self.reader.pool, key)
    }

    fn chunk(&self, key: &UploadKey, number: u32) -> Result<Option<Arc<dyn ReadAt>>, StorageError> {
        uploads::chunk(&self.reader.pool, &self.bodies, key, number)
    }

    fn end_upload(&self, key: &UploadKey, codes: &[u16], at: OffsetDateTime) -> Result<(), StorageError> {
        uploads::end(&self.writer, &self.bodies, key, codes, at)
    }

    fn prepared(&self, message_id: &MessageId, at: OffsetDateTime) -> Result<Option<Arc<dyn ReadAt>>, StorageError> {
        prepared::prepared(&self.writer, &self.reader.pool, &self.bodies, message_id, at)
    }

    fn keep_prepared(
        &self,
        message_id: &MessageId,
        answer: BodySource,
        at: OffsetDateTime,
        limit: u64,
    ) -> Result<bool, StorageError> {
        prepared::keep(&self.writer, &self.bodies, message_id, answer, at, limit)
    }

    fn wanted_stamp(&self) -> Result<Option<WantedStamp>, StorageError> {
        stamps::wanted(&self.reader.pool)
    }

    fn stamp(
        &self,
        message_id: &MessageId,
        event: StampedEvent,
        token: Vec<u8>,
        at: OffsetDateTime,
    ) -> Result<bool, StorageError> {
        stamps::stamp(&self.writer, message_id, event, token, at)
    }

    fn card(&self, message_id: &MessageId) -> Result<Option<Card>, StorageError> {
        self.reader.card(message_id)
    }

    fn cards(&self, requester: &Fingerprint, rule: &CardRule<'_>, limit: usize) -> Result<CardPage, StorageError> {
        self.reader.pool.read(|connection| cards::cards(connection, requester, rule, limit))
    }

    fn record(&self, leaf: Leaf) -> Result<u64, StorageError> {
        let entry = Entry::from(&leaf);
        self.writer.change_if(move |batch| batch.append_entry(&entry))
    }

    fn retention(&self, now: OffsetDateTime, rules: &Retention) -> Result<RetentionReport, StorageError> {
        retain::run(&self.writer, &self.reader.pool, &self.bodies, now, rules)
    }

    fn checkpoint(&self) -> Result<String, StorageError> {
        self.reader.checkpoint()
    }

    fn prove(&self, message_id: &MessageId) -> Result<Vec<LeafProof>, StorageError> {
        self.reader.prove(message_id)
    }

    fn export_audit(&self, dir: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<ExportReport, ExportError> {
        self.reader.export_audit(dir, progress)
    }

    fn stats(&self) -> Result<Stats, StorageError> {
        // Reading goes on without the writer, and would hide that nothing can be stored.
        if self.writer.has_ended() {
            return Err(StorageError::Stopped);
        }
        let (changes, commits) = self.writer.counts();
        let (waiting_changes, max_waiting_changes) = (self.writer.waiting(), writer::QUEUE as u64);
        Ok(Stats { changes, commits, waiting_changes, max_waiting_changes, ..self.reader.stats()? })
    }
}
