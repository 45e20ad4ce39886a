//! From what came of an order to the bytes of the answer (OSCI-Transport 1.2, responses): feedback, control block, what is
//! handed out; signed if the request was, sealed if the request was.

use std::error::Error;
use std::sync::Arc;

use rohrpost_crypto::DigestAlgorithm;
use rohrpost_crypto::policy::{Purpose, Ruling};
use rohrpost_osci::compose::{Outgoing, Signing};
use rohrpost_osci::dialog::ControlBlock;
use rohrpost_osci::envelope::SignedBy;
use rohrpost_osci::feedback::{Code, Feedback};
use rohrpost_osci::header::{
    CertificateEntry, CertificateRole, CertificateUse, Feature, FeatureDescription, IntermediaryCertificates,
};
use rohrpost_osci::ids::Challenge;
use rohrpost_osci::message::{
    ChunkInformation, Request, ResponseHeader, ResponseToExitDialog, ResponseToFetchDelivery,
    ResponseToFetchProcessCard, ResponseToForwardDelivery, ResponseToGetMessageId, ResponseToInitDialog,
    ResponseToMediateDelivery, ResponseToPartialFetchDelivery, ResponseToPartialStoreDelivery, ResponseToStoreDelivery,
};
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_pipeline::gate::{TURN_BYTES, leave};
use rohrpost_pipeline::keyring::{KeyRing, SignaturePair};
use rohrpost_pipeline::seal::{Recipient, SealError, seal};
use rohrpost_pipeline::spool::Spool;
use rohrpost_pki::Fingerprint;
use rohrpost_planted::planted;
use time::OffsetDateTime;

use crate::Intermediary;
use crate::certificates::Judgement;
use crate::entrance::{Entrance, no_client_certificate};
use crate::hand_out::HandedOut;
use crate::handle::{Context, Handled, Outcome, Received, Stop};
use crate::orders::{Done, HandOut, Mediated, Piece, Progress, settle};

/// What we can do, announced in every answer (OSCI-Transport 1.2, FeatureDescription).
pub(crate) const FEATURES: [Feature; 5] = [
    Feature::DisableBase64,
    Feature::OaepEncryption,
    Feature::Sha3HashAlgorithms,
    Feature::GcmMode,
    Feature::TwelveByteIv,
];

/// What an answer is made with, beside request and result.
pub(crate) struct Answering<'a> {
    /// Whom it is sealed for.
    pub(crate) recipient: Option<Recipient>,
    pub(crate) judgement: &'a Judgement,
    pub(crate) context: &'a Context,
}

/// Builds the answer; when a delivery is handed out, notes that as soon as the answer is complete. A delivery that is being taken
/// over is durable when this returns: the answer is written and signed while the disk is asked, and thrown away if it was wrong.
///
/// If there cannot be one, the dialog is as it was when the request had been checked: the client has seen no new challenge.
pub(crate) fn answer(
    intermediary: &Intermediary,
    received: &Received,
    mut entrance: Entrance<'_>,
    mut done: Done,
    answering: Answering<'_>,
) -> Result<Handled, Stop> {
    let before = entrance.dialog().filter(|_| !planted("dialog-moves-on-without-answer")).map(|dialog| dialog.clone());
    let (now, judgement) = (answering.context.now, answering.judgement);
    let accepting = done.accepting.take();
    let turn_back = |entrance: &mut Entrance<'_>| {
        if let (Some(dialog), Some(before)) = (entrance.dialog(), &before) {
            dialog.clone_from(before);
        }
    };
    let mut built = build(intermediary, received, &mut entrance, done, &answering);
    match accepting.map_or(Ok(Ok(())), settle) {
        Ok(Ok(())) => {}
        Ok(Err(code)) => {
            turn_back(&mut entrance);
            let done = Done::refused(code);
            built = intermediary
                .note_refusal(received, &done, answering.context)
                .and_then(|()| build(intermediary, received, &mut entrance, done, &answering));
        }
        Err(stop) => built = Err(stop),
    }
    let (answer, executed, codes) = built.inspect_err(|_| turn_back(&mut entrance))?;
    remember(intermediary, entrance, executed, &answer, now);
    let outcome = if executed { Outcome::Executed } else { Outcome::Refused };
    let originator = judgement.originator(received);
    Ok(Handled { answer, order: received.request.message_type().name(), outcome, codes, originator })
}

/// The answer, whether it says that the order was executed, and its codes.
fn build(
    intermediary: &Intermediary,
    received: &Received,
    entrance: &mut Entrance<'_>,
    done: Done,
    Answering { recipient, judgement, context }: &Answering<'_>,
) -> Result<(Spool, bool, Vec<u16>), Stop> {
    let now = context.now;
    let feedback = feedback(received, entrance, &done, judgement);
    let control = entrance.control(Challenge::from_random(intermediary.random()));
    let header = intermediary.response_header(control, now);
    let executed = feedback.is_executed();
    let codes = feedback.entries().iter().filter_map(|entry| entry.code.known()).map(Code::number).collect();
    let (handed_out, bytes) = match &done.hand_out {
        HandOut::Delivery(delivery) | HandOut::Mediated(Mediated::Kept { reply: Some(delivery), .. }) => {
            (Some(delivery.card.message_id.clone()), delivery.body.len())
        }
        HandOut::Mediated(Mediated::Passing { delivery, .. }) => (None, delivery.package.source.len()),
        HandOut::Piece(piece) => (piece.is_last.then(|| piece.message_id.clone()), piece.bytes.len()),
        _ => (None, 0),
    };
    let success = success(entrance);
    let outgoing = compose(received, header, feedback, done.hand_out, success, now)?;
    let write = || intermediary.write(received, &outgoing, recipient.as_ref(), now);
    // What is large streams past those that take turns.
    let answer = if bytes > TURN_BYTES { leave(write) } else { write() }?;
    if let Some(id) = handed_out {
        intermediary.parts.store.mark_forwarded(&id, now).map_err(Stop::internal)?;
        if planted("received-at-hand-out") {
            intermediary.parts.store.mark_received(std::slice::from_ref(&id), now).map_err(Stop::internal)?;
        }
        if let Some(dialog) = entrance.dialog() {
            dialog.hand_out(id);
        }
    }
    Ok((answer, executed, codes))
}

fn success(entrance: &Entrance<'_>) -> Code {
    if entrance.stays_open() { Code::ExecutedDialogOpen } else { Code::ExecutedDialogClosed }
}

fn feedback(received: &Received, entrance: &Entrance<'_>, done: &Done, judgement: &Judgement) -> Feedback {
    let mut feedback = Feedback::new(done.refusal().unwrap_or_else(|| success(entrance)), received.language);
    for code in done.codes.iter().chain(&judgement.warnings) {
        feedback.add(*code);
    }
    feedback
}

/// The certificates we sign with: clients that were not configured with one need it to check signed answers, and learn it from
/// the others.
pub(crate) fn certificates(keys: &KeyRing) -> Vec<(Fingerprint, IntermediaryCertificates)> {
    let entry = |pair: &SignaturePair| {
        let der = pair.certificate.der();
        let signature = CertificateEntry::new(CertificateRole::Intermediary, CertificateUse::Signature, 0, der);
        (pair.certificate.fingerprint(), IntermediaryCertificates { cipher: None, signature: Some(signature) })
    };
    keys.signatures().map(entry).collect()
}

fn compose(
    received: &Received,
    header: ResponseHeader,
    feedback: Feedback,
    hand_out: HandOut,
    success: Code,
    now: OffsetDateTime,
) -> Result<Outgoing, Stop> {
    let outgoing = match &received.request {
        Request::InitDialog(_) => ResponseToInitDialog { header, feedback }.compose(),
        Request::ExitDialog(_) => ResponseToExitDialog { header, feedback }.compose(),
        Request::GetMessageId(_) => {
            let message_id = if let HandOut::MessageId(id) = hand_out { Some(id) } else { None };
            ResponseToGetMessageId { header, feedback, message_id }.compose()
        }
        Request::StoreDelivery(_) => {
            let card = if let HandOut::Card(card) = hand_out { Some(*card) } else { None };
            ResponseToStoreDelivery { header, feedback, card }.compose()
        }
        Request::FetchDelivery(order) => {
            let selection = Some(order.selection.clone());
            let HandOut::Delivery(delivery) = hand_out else {
                return ResponseToFetchDelivery { header, feedback, selection, card: None }
                    .compose(None)
                    .map_err(Stop::internal);
            };
            let HandedOut { certificates, custom, card, delivery } = HandedOut::new(*delivery, now)?;
            let header = ResponseHeader { certificates, custom, ..header };
            ResponseToFetchDelivery { header, feedback, selection, card: Some(card) }.compose(Some(delivery))
        }
        Request::FetchProcessCard(order) => {
            let selection = Some(order.selection.clone());
            let cards = if let HandOut::Cards(cards) = hand_out { cards } else { Vec::new() };
            ResponseToFetchProcessCard { header, feedback, selection, cards }.compose()
        }
        Request::ForwardDelivery(_) => {
            let card = if let HandOut::Card(card) = hand_out { Some(*card) } else { None };
            ResponseToForwardDelivery { header, feedback, card }.compose()
        }
        Request::MediateDelivery(_) => return mediated(header, feedback, hand_out, now),
        Request::PartialStoreDelivery(order) => {
            let progress = match hand_out {
                HandOut::Progress(progress) => *progress,
                _ => Progress::stated(&order.wish),
            };
            let chunk = ChunkInformation {
                number: Some(progress.number),
                received: Some(progress.received.into_iter().map(u64::from).collect()),
                total: Some(progress.total),
                ..ChunkInformation::default()
            };
            let (codes, card) = match progress.inside {
                Some(inside) => (Some(inside.codes), inside.card.map(|card| *card)),
                None => (None, None),
            };
            let inside = codes.map(|codes| Feedback::of_inner(success, &codes, received.language));
            ResponseToPartialStoreDelivery { header, inside, feedback, card, chunk: Some(chunk) }.compose()
        }
        Request::PartialFetchDelivery(order) => {
            let selection = Some(order.selection.clone());
            match hand_out {
                // It fits into one chunk.
                HandOut::Delivery(delivery) => {
                    let HandedOut { certificates, custom, card, delivery } = HandedOut::new(*delivery, now)?;
                    let header = ResponseHeader { certificates, custom, ..header };
                    ResponseToFetchDelivery { header, feedback, selection, card: Some(card) }.compose(Some(delivery))
                }
                HandOut::Piece(piece) => {
                    let Piece { message_id, bytes, number, total, message_size, .. } = *piece;
                    let chunk = chunk_fetched(number, total, message_size);
                    let message_id = Some(message_id);
                    ResponseToPartialFetchDelivery { header, feedback, selection, chunk, message_id }
                        .compose(Some(bytes))
                }
                _ => {
                    let chunk = chunk_fetched(order.chunk.number.unwrap_or(0), 0, 0);
                    let message_id = match &order.selection {
                        DeliverySelection::ById(id) => Some(id.clone()),
                        _ => None,
                    };
                    ResponseToPartialFetchDelivery { header, feedback, selection, chunk, message_id }.compose(None)
                }
            }
        }
        other => return Err(Stop::internal(format!("{} has no answer", other.message_type()))),
    };
    outgoing.map_err(Stop::internal)
}

fn chunk_fetched(number: u64, total: u64, message_size: u64) -> Option<ChunkInformation> {
    let information = ChunkInformation::default();
    Some(ChunkInformation { number: Some(number), total: Some(total), message_size: Some(message_size), ..information })
}

/// The reply that a mediated delivery brought, if it did.
fn mediated(
    header: ResponseHeader,
    feedback: Feedback,
    hand_out: HandOut,
    now: OffsetDateTime,
) -> Result<Outgoing, Stop> {
    let (request_card, reply) = match hand_out {
        HandOut::Mediated(Mediated::Kept { request_card, reply }) => {
            let reply = reply.map(|reply| HandedOut::new(*reply, now)).transpose()?;
            let reply = reply.map(|reply| (reply.certificates, reply.custom, Some(reply.card), reply.delivery));
            (Some(*request_card), reply)
        }
        HandOut::Mediated(Mediated::Passing { certificates, custom, delivery }) => {
            (None, Some((certificates, custom, None, delivery)))
        }
        _ => (None, None),
    };
    let outgoing = match reply {
        None => ResponseToMediateDelivery { header, feedback, request_card, reply_card: None }.compose(None),
        Some((certificates, custom, reply_card, delivery)) => {
            let header = ResponseHeader { certificates, custom, ..header };
            ResponseToMediateDelivery { header, feedback, request_card, reply_card }.compose(Some(delivery))
        }
    };
    outgoing.map_err(Stop::internal)
}

fn remember(intermediary: &Intermediary, entrance: Entrance<'_>, executed: bool, answer: &Spool, now: OffsetDateTime) {
    match entrance {
        Entrance::Opening { dialog, .. } if executed => intermediary.dialogs.insert(*dialog, Some(answer), now),
        Entrance::Within { mut open, .. } => {
            open.keep_answer(answer);
            if open.dialog.is_closed() {
                intermediary.dialogs.closed(open.dialog.id());
            }
        }
        _ => {}
    }
}

impl Intermediary {
    /// Whom the answer is sealed for: the client of this request, or of its dialog. To be known before the order is executed: what
    /// is answered with a fault must not have happened.
    ///
    /// # Errors
    /// If there is no certificate, or none that can and may be encrypted for.
    pub(crate) fn recipient(
        &self,
        received: &Received,
        entrance: &Entrance<'_>,
        now: OffsetDateTime,
    ) -> Result<Option<Recipient>, Stop> {
        let Some(protection) = received.opened().protection() else { return Ok(None) };
        let header = received.request.header();
        let sent = header.certificates.first(CertificateRole::Originator, CertificateUse::Cipher);
        let der = sent.map(|entry| Arc::from(entry.der.as_slice())).or_else(|| entrance.client());
        let der = der.ok_or_else(no_client_certificate)?;
        let certificate = self.parts.inspector.certificate(&der).map_err(unusable)?;
        let kind = certificate.public_key().map_err(unusable)?.kind();
        let ruling = self.parts.policy.judge(Purpose::KeyLength, kind.name(), Some(kind.bits()), now.date());
        if ruling == Ruling::Refuse {
            return Err(unusable("the policy refuses the client's key"));
        }
        let encryption = protection.encryption.for_answer(header.features.as_ref());
        let recipient = Recipient { certificate, encryption };
        recipient.check().map_err(unusable)?;
        Ok(Some(recipient))
    }

    /// The blocks that every answer has.
    pub(crate) fn response_header(&self, control: ControlBlock, now: OffsetDateTime) -> ResponseHeader {
        let mut features = FeatureDescription::announcing(FEATURES);
        if let Some(chunks) = &self.settings.chunks {
            chunks.announce(&mut features);
        }
        ResponseHeader {
            control,
            intermediary: self.own(now).cloned(),
            features: Some(features),
            ..ResponseHeader::default()
        }
    }

    /// The bytes of an answer: signed if the request was, sealed if there is somebody to seal it for.
    pub(crate) fn write(
        &self,
        received: &Received,
        outgoing: &Outgoing,
        recipient: Option<&Recipient>,
        now: OffsetDateTime,
    ) -> Result<Spool, Stop> {
        let own = self.own(now).and_then(|own| own.signature.as_ref());
        let signer_id = own.map(|entry| entry.id.as_str());
        let pair = self.parts.keys.signature_at(now).filter(|_| received.verified.is_signed());
        let signing = pair.map(|pair| Signing {
            signer: pair.key.as_ref(),
            by: SignedBy::Supplier,
            certificate_id: signer_id,
            digest: DigestAlgorithm::Sha256,
        });
        // What was accepted can be handed on, even if it is longer in its canonical form than a request may be.
        let spools = self.parts.spools.clone().with_limit(u64::MAX);
        let answer = seal(outgoing, signing.as_ref(), recipient, &spools, self.parts.random.as_ref());
        if signing.is_some() {
            self.counters.signed();
        }
        answer.map_err(|error| match error {
            SealError::Recipient => unusable(error),
            error => Stop::internal(error),
        })
    }
}

fn unusable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Stop {
    Stop::new(Code::ClientCipherCertificateCheckFailed, cause)
}
