//! PartialStoreDelivery: keeps a chunk; with the last one, the message is whole and is handled as if it had come in one piece
//! (OSCI-Transport 1.2, chunked transfer).

use std::io::{self, Write as _};

use rohrpost_audit::{Event, Leaf};
use rohrpost_crypto::DigestAlgorithm;
use rohrpost_osci::card::ProcessCardBundle;
use rohrpost_osci::feedback::{Code, Severity};
use rohrpost_osci::header::{CertificateRole, CertificateUse};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::{ChunkInformation, PartialStoreDelivery, Request, StoreDelivery, StoreWish};
use rohrpost_osci::ns::MessageType;
use rohrpost_osci::source::reader;
use rohrpost_pipeline::gate::{TURN_BYTES, leave};
use rohrpost_pipeline::spool::{Spool, SpoolParts};
use rohrpost_pipeline::verify::{SignatureState, Signer, verify_with};
use rohrpost_store::{BodySource, Fingerprint, KeepChunkError, NewChunk, StorageError, Upload, UploadEnd, UploadKey};
use tracing::debug;

use super::{Done, HandOut, Order, bundle, settle, store_delivery};
use crate::chunks::{Chunks, UNIT};
use crate::entrance::Entrance;
use crate::handle::{Received, Stop};

/// What the answer tells beside its own feedback.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The chunk that came; 0 for none.
    pub(crate) number: u64,
    /// The chunks that are there.
    pub(crate) received: Vec<u32>,
    /// How many there will be.
    pub(crate) total: u64,
    /// What became of the delivery, once it was handled.
    pub(crate) inside: Option<Inside>,
}

/// What became of a delivery.
#[derive(Debug, Default)]
pub(crate) struct Inside {
    /// The codes beside success.
    pub(crate) codes: Vec<Code>,
    pub(crate) card: Option<Box<ProcessCardBundle>>,
}

impl Inside {
    fn refused(code: Code) -> Self {
        Self { codes: vec![code], card: None }
    }

    fn has(&self, severity: Severity) -> bool {
        self.codes.iter().any(|code| code.severity() == severity)
    }
}

impl Progress {
    /// As far as the request itself tells.
    pub(crate) fn stated(wish: &StoreWish) -> Self {
        match wish {
            StoreWish::InfoOnly => Self::default(),
            StoreWish::Chunk(stated) => {
                Self { number: stated.number.unwrap_or(0), total: stated.total.unwrap_or(0), ..Self::default() }
            }
        }
    }

    fn at(mut self, upload: &Upload) -> Self {
        self.received.clone_from(&upload.received);
        self.total = upload.plan.total.into();
        self
    }
}

pub(super) fn execute(
    order: &Order<'_>,
    request: &PartialStoreDelivery,
    entrance: &Entrance<'_>,
) -> Result<Done, Stop> {
    let chunks = order.chunks()?;
    let delivery_id = request.delivery_id();
    // Without its suffix it is no id for chunks; without any id nothing is.
    let usable = match &request.message_id {
        Some(_) if delivery_id.is_none() => Err(Code::MessageIdIllegal),
        _ => order.usable_id(delivery_id.as_ref()),
    };
    let message_id = match usable {
        Ok(message_id) => message_id,
        Err(code) => return Ok(Done::refused(code)),
    };
    let key = UploadKey { owner: owner(order.received, entrance), message_id: message_id.clone() };
    let parts = &order.intermediary.parts;
    let progress = Progress::stated(&request.wish);
    let (upload, mut codes) = match &request.wish {
        StoreWish::InfoOnly => (parts.store.upload(&key).map_err(Stop::internal)?, Vec::new()),
        StoreWish::Chunk(information) => match keep(order, &chunks, &key, information)? {
            Ok(upload) => (Some(upload), Vec::new()),
            Err((code, upload)) => (upload, vec![code]),
        },
    };
    let Some(upload) = upload else {
        return Ok(Done { codes, ..Done::with(HandOut::Progress(Box::new(progress))) });
    };
    let mut progress = progress.at(&upload);
    // A chunk that is there already is no reason to keep back what became of the delivery, another mistake is.
    if upload.is_complete() && codes.iter().all(|code| *code == Code::ChunkAlreadyPresent) {
        match inside(order, &chunks, request, &key)? {
            Ok(inside) => {
                if inside.has(Severity::Error) {
                    codes.push(Code::InnerFeedbackFails);
                } else if inside.has(Severity::Warning) {
                    codes.push(Code::InnerFeedbackWarns);
                }
                progress.inside = Some(inside);
            }
            Err(code) => codes.push(code),
        }
    }
    Ok(Done { codes, ..Done::with(HandOut::Progress(Box::new(progress))) })
}

/// Who may go on with an upload: the same cipher certificate, and the same proven signature if there is one.
fn owner(received: &Received, entrance: &Entrance<'_>) -> Fingerprint {
    let sent = received.request.header().certificates.first(CertificateRole::Originator, CertificateUse::Cipher);
    let cipher = sent.map(|entry| entry.der.clone()).or_else(|| entrance.client().map(|der| der.to_vec()));
    let mut who = Fingerprint::of_der(&cipher.unwrap_or_default()).as_bytes().to_vec();
    if let SignatureState::Covered { signer, .. } = received.verified.signature() {
        who.extend_from_slice(signer.fingerprint().as_bytes());
    }
    Fingerprint::of_der(&who)
}

/// How far an upload is with this chunk; or the code that refuses the chunk, and how far the upload is without.
type Kept = Result<Upload, (Code, Option<Upload>)>;

fn keep(order: &Order<'_>, chunks: &Chunks, key: &UploadKey, information: &ChunkInformation) -> Result<Kept, Stop> {
    let parts = &order.intermediary.parts;
    let refused = |code| Ok(Err((code, parts.store.upload(key).map_err(Stop::internal)?)));
    let (number, plan) = match chunks.plan(information) {
        Ok(planned) => planned,
        Err(code) => return refused(code),
    };
    if !parts.spools.has_room(0) {
        tracing::error!("no space for chunks: make some, or less is left free than storage.reserve_bytes");
        return refused(Code::OrderFailed);
    }
    let chunk = chunk(order)?;
    let length = chunk.bytes.len();
    if length > plan.chunk_size.saturating_mul(UNIT) {
        return refused(Code::ChunkTooLarge);
    }
    if number < plan.total && length < chunks.min_chunk.saturating_mul(UNIT) {
        return refused(Code::ChunkTooSmall);
    }
    let chunk = NewChunk {
        key: key.clone(),
        plan,
        number,
        sha256: chunk.sha256,
        body: body(chunk.bytes)?,
        at: order.context.now,
        limits: chunks.uploads,
    };
    let kept = match chunk.body {
        BodySource::Inline(_) => parts.store.keep_chunk(chunk),
        BodySource::File(_) => leave(|| parts.store.keep_chunk(chunk)),
    };
    match kept {
        Ok(upload) => Ok(Ok(upload)),
        Err(KeepChunkError::Present(upload)) => Ok(Err((Code::ChunkAlreadyPresent, Some(upload)))),
        Err(KeepChunkError::Contradiction) => refused(Code::ChunkInformationContradictory),
        Err(KeepChunkError::Full) => {
            tracing::warn!("more comes in chunks than the limits in [chunks] allow");
            refused(Code::OrderFailed)
        }
        // Perhaps it is kept: no answer may say that it is not.
        Err(KeepChunkError::Storage(error @ StorageError::Stopped)) => Err(Stop::internal(error)),
        Err(error) => {
            tracing::error!(%error, "a chunk could not be kept");
            refused(Code::OrderFailed)
        }
    }
}

/// The chunk in a request.
struct Piece {
    bytes: Spool,
    sha256: [u8; 32],
}

fn chunk(order: &Order<'_>) -> Result<Piece, Stop> {
    let opened = order.received.opened();
    let [part] = opened.parts().attachments() else {
        return Err(Stop::new(Code::NotAMessage, "a chunk is the only attachment of its message"));
    };
    let copy = || -> io::Result<Piece> {
        let mut hasher = DigestAlgorithm::Sha256.hasher();
        let mut writer = order.intermediary.parts.spools.writer_for(part.range.end - part.range.start);
        let mut source = part.reader(opened.message());
        copy_in_pieces(&mut source, |piece| {
            hasher.write_all(piece)?;
            writer.write_all(piece)
        })?;
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(hasher.finish().as_bytes());
        Ok(Piece { bytes: writer.finish()?, sha256 })
    };
    let large = part.range.end - part.range.start > TURN_BYTES;
    let copied = if large { leave(copy) } else { copy() };
    copied.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Stop::new(Code::NotAMessage, error),
        _ => Stop::internal(error),
    })
}

fn copy_in_pieces(source: &mut dyn io::Read, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(()),
            count => take(&buffer[..count])?,
        }
    }
}

fn body(spool: Spool) -> Result<BodySource, Stop> {
    match spool.into_parts().map_err(Stop::internal)? {
        SpoolParts::Memory(bytes) => Ok(BodySource::Inline(bytes)),
        SpoolParts::File(path, _) => Ok(BodySource::File(path)),
    }
}

/// What became of a delivery that is complete: handles it, unless somebody did or does. Or the code for that it is not known yet.
fn inside(
    order: &Order<'_>,
    chunks: &Chunks,
    request: &PartialStoreDelivery,
    key: &UploadKey,
) -> Result<Result<Inside, Code>, Stop> {
    let (intermediary, now) = (order.intermediary, order.context.now);
    let _handling = match intermediary.in_hand.begin(key, now) {
        Ok(handling) => handling,
        Err(since) if now - since > chunks.handling => return Ok(Err(Code::InnerMessageTimeExceeded)),
        Err(_) => return Ok(Err(Code::InnerMessageInProgress)),
    };
    let store = &intermediary.parts.store;
    // Only now nobody else changes it.
    let upload = store.upload(key).map_err(Stop::internal)?;
    match upload {
        Some(Upload { end: Some(codes), .. }) => ended(order, key, &codes).map(Ok),
        Some(upload) if upload.is_complete() => {
            let inside = leave(|| whole(order, chunks, key, &upload))?;
            let inside = match inside {
                Ok(whole) => handle(order, request, key, whole)?,
                Err(code) => Inside::refused(code),
            };
            refuse(order, key, &inside)?;
            Ok(Ok(inside))
        }
        _ => Ok(Err(Code::InnerMessageInProgress)),
    }
}

/// What was noted when the delivery was handled.
fn ended(order: &Order<'_>, key: &UploadKey, codes: &[u16]) -> Result<Inside, Stop> {
    let codes: Vec<Code> = codes.iter().filter_map(|number| Code::try_from(*number).ok()).collect();
    let mut inside = Inside { codes, card: None };
    if !inside.has(Severity::Error) {
        let card = order.intermediary.parts.store.card(&key.message_id).map_err(Stop::internal)?;
        inside.card = card.map(|card| Box::new(bundle(card)));
    }
    Ok(inside)
}

/// Notes that a delivery was refused. One that failed for reasons of ours is left as it is: asking again tries again.
fn refuse(order: &Order<'_>, key: &UploadKey, inside: &Inside) -> Result<(), Stop> {
    if !inside.has(Severity::Error) || inside.codes.contains(&Code::OrderFailed) {
        return Ok(());
    }
    let (store, now) = (&order.intermediary.parts.store, order.context.now);
    let codes: Vec<u16> = inside.codes.iter().map(|code| code.number()).collect();
    let mut leaf = Leaf::new(now, Event::Refused);
    leaf.message_id = Some(key.message_id.as_str().to_owned());
    leaf.order = Some("storeDelivery".to_owned());
    leaf.correlation = Some(order.context.correlation_id.clone());
    leaf.feedback.clone_from(&codes);
    store.record(leaf).map_err(Stop::internal)?;
    store.end_upload(key, &codes, now).map_err(Stop::internal)
}

/// Puts the chunks together.
fn whole(order: &Order<'_>, chunks: &Chunks, key: &UploadKey, upload: &Upload) -> Result<Result<Spool, Code>, Stop> {
    let parts = &order.intermediary.parts;
    if !parts.spools.has_room(upload.plan.message_size.saturating_mul(UNIT)) {
        tracing::error!("no space for a delivery that came in chunks");
        return Ok(Err(Code::OrderFailed));
    }
    let limit = chunks.max_message.saturating_add(1).saturating_mul(UNIT);
    let mut writer = parts.spools.clone().with_limit(limit).writer();
    for number in 1..=upload.plan.total {
        let missing = || Stop::internal("a chunk that was kept is not there");
        let chunk = parts.store.chunk(key, number).map_err(Stop::internal)?.ok_or_else(missing)?;
        io::copy(&mut reader(&*chunk, 0..chunk.len()), &mut writer).map_err(Stop::internal)?;
    }
    writer.finish().map(Ok).map_err(Stop::internal)
}

/// Handles the message within as a StoreDelivery of whoever sent the chunks. Its dialog and the lack of a signature do not count:
/// those are matters of the messages around the chunks.
fn handle(order: &Order<'_>, outer: &PartialStoreDelivery, key: &UploadKey, whole: Spool) -> Result<Inside, Stop> {
    let (intermediary, now) = (order.intermediary, order.context.now);
    let refused = |stop: Stop| match stop.code {
        Code::InternalError => Err(stop),
        code => {
            debug!(cause = %stop.cause(), "a delivery that came in chunks was refused");
            Ok(Inside::refused(code))
        }
    };
    let read = match intermediary.open_and_read(whole, now) {
        Ok(read) if read.opened().protection().is_some() => return Ok(Inside::refused(Code::NotAnOrder)),
        Ok(read) if read.envelope().message_type() != MessageType::StoreDelivery => {
            return Ok(Inside::refused(Code::NotAnOrder));
        }
        Ok(read) => read,
        Err(stop) => return refused(stop),
    };
    let Ok(request) = Request::parse(read.envelope()) else {
        return Ok(Inside::refused(Code::NotAMessage));
    };
    if let Err(stop) = intermediary.check_delivery(&read) {
        return refused(stop);
    }
    let parts = &intermediary.parts;
    let certificate = |der: &[u8]| parts.inspector.certificate(der);
    let signer = Signer::Client { remembered: None };
    let verified = verify_with(read, signer, certificate, &parts.policy, now, &intermediary.settings.envelope);
    let received = Received { verified, request, language: order.received.language };
    let Request::StoreDelivery(delivery) = &received.request else {
        return Ok(Inside::refused(Code::NotAnOrder));
    };
    if let Err(code) = agree(outer, &key.message_id, delivery) {
        return Ok(Inside::refused(code));
    }
    let judgement = match intermediary.judge(&received, now) {
        Ok(judgement) => judgement,
        Err(stop) => return refused(stop),
    };
    let signature = match received.verified.signature() {
        SignatureState::Refused(refusal) => Some(refusal.code()),
        _ => None,
    };
    let warnings = || judgement.warnings.iter().copied();
    if let Some(code) = signature.or(judgement.refusal) {
        return Ok(Inside { codes: [code].into_iter().chain(warnings()).collect(), card: None });
    }
    let inner = Order {
        intermediary,
        received: &received,
        judged: &judgement.certificates,
        warnings: &judgement.warnings,
        upload: Some(UploadEnd { owner: key.owner, codes: warnings().map(Code::number).collect() }),
        context: order.context,
    };
    let done = store_delivery::execute(&inner, delivery)?;
    // What this answers with is told to clients again and again, so it must be durable now.
    if let Some(Err(code)) = done.accepting.map(settle).transpose()? {
        return Ok(Inside::refused(code));
    }
    let card = if let HandOut::Card(card) = done.hand_out { Some(card) } else { None };
    Ok(Inside { codes: done.codes.into_iter().chain(warnings()).collect(), card })
}

/// Whether the delivery is the one the chunks were announced for, to the same addressee from the same originator.
fn agree(outer: &PartialStoreDelivery, message_id: &MessageId, inner: &StoreDelivery) -> Result<(), Code> {
    if inner.message_id.as_ref() != Some(message_id) {
        return Err(if inner.message_id.is_none() { Code::MessageIdMissing } else { Code::MessageIdIllegal });
    }
    let same = |role, purpose| {
        let of = |certificates: &rohrpost_osci::header::NonIntermediaryCertificates| {
            certificates.first(role, purpose).map(|entry| entry.der.clone())
        };
        match (of(&outer.header.certificates), of(&inner.header.certificates)) {
            // A message that is not signed itself may leave out who signs.
            (_, None) if purpose == CertificateUse::Signature => true,
            (outer, inner) => outer == inner,
        }
    };
    let agrees = same(CertificateRole::Addressee, CertificateUse::Cipher)
        && same(CertificateRole::Originator, CertificateUse::Cipher)
        && same(CertificateRole::Originator, CertificateUse::Signature);
    if agrees { Ok(()) } else { Err(Code::NotAMessage) }
}
