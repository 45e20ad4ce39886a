//! From the bytes of a request to the bytes of its answer.

use std::error::Error;

use rohrpost_client::{self as client, ContentReader, Enclosed};
use rohrpost_crypto::policy::{Purpose, Ruling};
use rohrpost_osci::dialog::{ControlBlock, answer_intermediary};
use rohrpost_osci::envelope::SignedBy;
use rohrpost_osci::fault::Fault;
use rohrpost_osci::feedback::{Code, Language};
use rohrpost_osci::message::{MessageError, RecipientRequest};
use rohrpost_pipeline::open::open;
use rohrpost_pipeline::read::{Read, read};
use rohrpost_pipeline::seal;
use rohrpost_pipeline::spool::Spool;
use rohrpost_pipeline::verify::{SignatureState, Signer, Verified, verify};
use rohrpost_pki::revocation::RevocationStatus;
use rohrpost_pki::{Certificate, Fingerprint, Use, Verdict};
use time::OffsetDateTime;
use tracing::debug;

use crate::recipient::taken_at;
use crate::{Endpoint, Intermediaries, Received, Refusal, Reply};

/// The circumstances of a request.
#[derive(Debug, Clone)]
pub struct Context {
    /// The time everything about this request is judged by.
    pub now: OffsetDateTime,
    /// Under which name logs speak of the request.
    pub correlation_id: String,
}

/// What became of a request.
#[derive(Debug)]
pub struct Handled {
    /// The answer: a complete MIME message, faults included.
    pub answer: Spool,
    /// The request, by its message type; `unreadable` if it was not understood that far.
    pub request: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// The codes of the answer, in its order.
    pub codes: Vec<u16>,
    /// The certificate of the intermediary, if it signed the request and is one of ours.
    pub intermediary: Option<Fingerprint>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The delivery was taken.
    Taken,
    /// The request was understood, and the delivery not taken.
    Refused,
    /// Answered with a SOAP fault.
    Fault,
}

/// Ends a request with a SOAP fault. The cause stays with us.
pub(crate) struct Stop {
    code: Code,
    cause: Box<dyn Error + Send + Sync>,
}

impl Stop {
    pub(crate) fn new(code: Code, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { code, cause: cause.into() }
    }

    pub(crate) fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Code::InternalError, cause)
    }

    /// The same, told as a failure to decrypt, unless it is our own failure.
    fn veiled(self) -> Self {
        match self.code {
            Code::InternalError => self,
            _ => Self { code: Code::Undecryptable, ..self },
        }
    }
}

/// What is known of a request before anybody is asked about the delivery.
pub(crate) struct Asked {
    pub(crate) request: RecipientRequest,
    pub(crate) verified: Verified,
    /// The control block of the answer.
    pub(crate) control: ControlBlock,
    /// For whom the answer is sealed.
    pub(crate) sealed_for: Option<seal::Recipient>,
    pub(crate) language: Language,
}

impl Endpoint {
    /// Handles one request. There is always an answer.
    pub fn handle(&self, request: Spool, context: &Context) -> Handled {
        let (mut name, mut language) = ("unreadable", self.settings.default_language);
        match self.try_handle(request, context, &mut name, &mut language) {
            Ok(handled) => handled,
            Err(stop) => {
                debug!(code = %stop.code, cause = %stop.cause, "answered with a fault");
                let bytes = Fault::new(stop.code, language).write(Vec::new()).expect("memory takes everything");
                let (answer, codes) = (Spool::from_bytes(bytes), vec![stop.code.number()]);
                Handled { answer, request: name, outcome: Outcome::Fault, codes, intermediary: None }
            }
        }
    }

    fn try_handle(
        &self,
        request: Spool,
        context: &Context,
        name: &mut &'static str,
        language: &mut Language,
    ) -> Result<Handled, Stop> {
        let asked = self.ask(request, context.now, name, language)?;
        *language = asked.language;
        let (outcome, intermediary) = match self.intermediary(&asked.verified, context.now) {
            Ok(intermediary) => (self.deliver(&asked, intermediary.clone(), context)?, intermediary),
            Err(code) => (Err(code), None),
        };
        let taken = outcome.is_ok();
        let (answer, codes) = self.answer(asked, outcome)?;
        let outcome = if taken && codes.iter().all(|code| *code < 9000) { Outcome::Taken } else { Outcome::Refused };
        let intermediary = intermediary.map(|certificate| certificate.fingerprint());
        Ok(Handled { answer, request: name, outcome, codes, intermediary })
    }

    fn ask(
        &self,
        request: Spool,
        now: OffsetDateTime,
        name: &mut &'static str,
        language: &mut Language,
    ) -> Result<Asked, Stop> {
        let (parts, settings) = (&self.parts, &self.settings);
        let opened = open(request, &parts.keys, &parts.policy, now, &parts.spools, &*parts.random, &settings.mime)
            .map_err(|error| Stop::new(error.code(), error))?;
        let read = read(opened, &settings.envelope).map_err(|error| Stop::new(error.code(), error))?;
        *name = read.envelope().message_type().name();
        // The plaintext of a cipher without authentication (CBC) may be anything that somebody wants to learn about. Until its
        // signature holds, every refusal looks as if it could not be decrypted.
        let unproven = read.opened().is_unauthenticated();
        let veil = |stop: Stop| if unproven { stop.veiled() } else { stop };
        let request = RecipientRequest::parse(read.envelope()).map_err(|error| veil(refuse_message(error)))?;
        let desired = self.language(&request);
        if !unproven {
            *language = desired;
        }
        let control = answer_intermediary(request.message_type(), request.control())
            .map_err(|error| veil(Stop::new(Code::DialogViolated, error)))?;
        let sealed_for = self.sealed_for(&read, &request, now).map_err(veil)?;
        let verified = verify(read, Signer::Intermediary { expected: None }, &parts.policy, now, &settings.envelope);
        let proven = match verified.signature() {
            SignatureState::Covered { .. } => true,
            SignatureState::Absent => settings.dangerous_unsigned_requests,
            _ => false,
        };
        if unproven && !proven {
            return Err(Stop::new(Code::Undecryptable, "no signature holds over what nothing authenticates"));
        }
        Ok(Asked { request, verified, control, sealed_for, language: desired })
    }

    /// For whom the answer is sealed, if the request was: to be known before anybody is asked about the delivery, since what is
    /// answered with a fault must not have been taken.
    fn sealed_for(
        &self,
        read: &Read,
        request: &RecipientRequest,
        now: OffsetDateTime,
    ) -> Result<Option<seal::Recipient>, Stop> {
        let Some(protection) = read.opened().protection() else { return Ok(None) };
        let entry = request.intermediary().and_then(|certificates| certificates.cipher.as_ref());
        let entry = entry.ok_or_else(|| {
            Stop::new(Code::ClientCipherCertificateMissing, "there is no certificate to seal the answer for")
        })?;
        let unusable = |cause: Box<dyn Error + Send + Sync>| Stop::new(Code::ClientCipherCertificateCheckFailed, cause);
        let certificate = Certificate::from_der(&entry.der).map_err(|error| unusable(error.into()))?;
        let kind = certificate.public_key().map_err(|error| unusable(error.into()))?.kind();
        let ruling = self.parts.policy.judge(Purpose::KeyLength, kind.name(), Some(kind.bits()), now.date());
        if ruling == Ruling::Refuse {
            return Err(unusable("the policy refuses the key".into()));
        }
        let encryption = protection.encryption.for_answer(request.header().features.as_ref());
        let recipient = seal::Recipient { certificate, encryption };
        recipient.check().map_err(|error| unusable(error.into()))?;
        Ok(Some(recipient))
    }

    /// Who hands over the delivery, if that is somebody who may.
    ///
    /// # Errors
    /// The code that refuses the delivery.
    fn intermediary(&self, verified: &Verified, now: OffsetDateTime) -> Result<Option<Certificate>, Code> {
        match verified.signature() {
            SignatureState::Covered { proof, .. } if proof.by() != SignedBy::Client => Err(Code::SignatureWrong),
            SignatureState::Covered { signer, .. } => {
                self.admit(signer, now)?;
                Ok(Some((**signer).clone()))
            }
            SignatureState::Refused(refusal) => {
                debug!(reason = %refusal, "transport signature refused");
                Err(refusal.code())
            }
            _ if self.settings.dangerous_unsigned_requests => Ok(None),
            _ => Err(Code::SignatureMissing),
        }
    }

    /// Whether the owner of this certificate may hand over deliveries.
    fn admit(&self, signer: &Certificate, now: OffsetDateTime) -> Result<(), Code> {
        let inspector = self.parts.inspector.as_ref();
        let inspection = inspector.map(|inspector| inspector.inspect(signer, &[], Use::TransportSignature, now));
        let verdict = inspection.as_ref().map(|inspection| inspection.verdict);
        let may = match &self.parts.intermediaries {
            Intermediaries::Listed(all) => all.contains(&signer.fingerprint()) && verdict != Some(Verdict::Invalid),
            Intermediaries::Trusted => verdict == Some(Verdict::Valid),
        };
        if may {
            return Ok(());
        }
        debug!(signer = %signer.fingerprint(), ?verdict, "no intermediary that may hand over deliveries");
        Err(match inspection.and_then(|inspection| inspection.online) {
            Some(RevocationStatus::Revoked(..)) => Code::ClientSignatureCertificateRevoked,
            _ => Code::ClientSignatureCertificateCorrupted,
        })
    }

    /// Opens the content and asks the recipient.
    fn deliver(
        &self,
        asked: &Asked,
        intermediary: Option<Certificate>,
        context: &Context,
    ) -> Result<Result<Option<Reply>, Code>, Stop> {
        let (request, read) = (&asked.request, asked.verified.read());
        let place = read.envelope().body().package();
        let place = place.ok_or_else(|| Stop::new(Code::NotAMessage, "there is no content package"))?;
        let header = request.header();
        let enclosed = Enclosed::new(read.opened(), place, header.certificates.clone());
        let reader = ContentReader {
            keys: self.parts.keys.clone(),
            readers: Vec::new(),
            policy: self.parts.policy.clone(),
            inspector: self.parts.inspector.clone(),
            spools: self.parts.spools.clone(),
        };
        let contents = reader.open(&enclosed, taken_at(request.card(), context.now)).map_err(|error| match error {
            client::Error::Peer(error) => Stop::new(Code::NotAMessage, error),
            error => Stop::internal(error),
        })?;
        let received = Received {
            card: request.card().cloned(),
            reply_id: match request {
                RecipientRequest::ProcessDelivery(request) => {
                    request.with_card.as_ref().map(|request| request.reply_id.clone())
                }
                _ => None,
            },
            headers: header.custom.clone(),
            certificates: header.certificates.clone(),
            intermediary,
            contents,
            correlation_id: context.correlation_id.clone(),
        };
        let _turn = received.message_id().map(|id| self.turns.take(id));
        let outcome = match request {
            RecipientRequest::AcceptDelivery(_) => self.recipient.accept(&received).map(|()| None),
            RecipientRequest::ProcessDelivery(_) => self.recipient.process(&received).map(Some),
            _ => Err(Refusal::Declined),
        };
        Ok(outcome.map_err(Refusal::code))
    }

    fn language(&self, request: &RecipientRequest) -> Language {
        let default = self.settings.default_language;
        let desired = request.header().languages.as_ref();
        desired.map_or(default, |desired| Language::negotiate_or(&desired.tags().join(" "), default))
    }
}

fn refuse_message(error: MessageError) -> Stop {
    let code = match &error {
        MessageError::WrongDirection(_) | MessageError::NotSupported(_) => Code::NotAnOrder,
        _ => Code::NotAMessage,
    };
    Stop::new(code, error)
}
