//! From the bytes of a request to the bytes of its answer, in the processing order of the protocol
//! (OSCI-Transport 1.2, processing a request).

use std::error::Error;
use std::sync::Arc;

use rohrpost_audit::{Event, Leaf, Subject, Verdict, VerdictEntry};
use rohrpost_osci::fault::Fault;
use rohrpost_osci::feedback::{Code, Language};
use rohrpost_osci::message::{MessageError, Request};
use rohrpost_osci::ns::MessageType;
use rohrpost_pipeline::open::{Opened, open};
use rohrpost_pipeline::read::{Read, read};
use rohrpost_pipeline::spool::Spool;
use rohrpost_pipeline::verify::{SignatureState, Signer, Verified, verify_with};
use rohrpost_pki::Fingerprint;
use rohrpost_planted::planted;
use time::OffsetDateTime;
use tracing::debug;

use crate::entrance::{Entered, Entrance};
use crate::{Intermediary, answer, orders};

/// The circumstances of a request.
#[derive(Debug, Clone)]
pub struct Context {
    /// The time everything about this request is judged by.
    pub now: OffsetDateTime,
    /// Under which name logs and messages speak of the request.
    pub correlation_id: String,
}

/// What became of a request.
#[derive(Debug)]
pub struct Handled {
    /// The answer: a complete MIME message, faults included.
    pub answer: Spool,
    /// The order, by its message type; `unreadable` if it was not understood that far.
    pub order: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// The codes of the answer, in its order.
    pub codes: Vec<u16>,
    /// The signature certificate of the originator, if it signed the request and is trusted.
    pub originator: Option<Fingerprint>,
}

/// How an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Carried out, perhaps with warnings.
    Executed,
    /// Understood and refused.
    Refused,
    /// Answered with a SOAP fault.
    Fault,
}

/// Ends a request with a SOAP fault. The cause stays with us.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) code: Code,
    cause: Box<dyn Error + Send + Sync>,
}

impl Stop {
    pub(crate) fn new(code: Code, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { code, cause: cause.into() }
    }

    /// What led to it.
    pub(crate) fn cause(&self) -> &(dyn Error + Send + Sync) {
        &*self.cause
    }

    /// The same, told as a failure to decrypt, unless it is our own failure.
    fn veiled(self) -> Self {
        match self.code {
            Code::InternalError => self,
            _ => Self { code: Code::Undecryptable, ..self },
        }
    }

    /// Our own failure.
    pub(crate) fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Code::InternalError, cause)
    }
}

/// What is known of a request before its order is executed.
pub(crate) struct Received {
    pub(crate) verified: Verified,
    pub(crate) request: Request,
    pub(crate) language: Language,
}

impl Received {
    pub(crate) fn opened(&self) -> &Opened {
        self.verified.read().opened()
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.opened().protection().is_some()
    }
}

impl Intermediary {
    /// Handles one request. There is always an answer.
    pub fn handle(&self, request: Spool, context: &Context) -> Handled {
        let mut order = "unreadable";
        let mut language = self.settings.default_language;
        match self.try_handle(request, context, &mut order, &mut language) {
            Ok(handled) => handled,
            Err(stop) => self.fault(&stop, order, language),
        }
    }

    fn try_handle(
        &self,
        request: Spool,
        context: &Context,
        order: &mut &'static str,
        language: &mut Language,
    ) -> Result<Handled, Stop> {
        let now = context.now;
        let read = self.open_and_read(request, now)?;
        *order = read.envelope().message_type().name();
        // The plaintext of a cipher without authentication (CBC) may be anything that somebody wants to learn about. Until its
        // signature holds, every refusal looks as if it could not be decrypted.
        let unproven = read.opened().is_unauthenticated();
        let veil = |stop: Stop| if unproven { stop.veiled() } else { stop };
        self.check_offered(&read).map_err(veil)?;
        let request = Request::parse(read.envelope()).map_err(|error| veil(refuse_message(error)))?;
        let desired = self.language(&request);
        if !unproven {
            *language = desired;
        }
        if delivers(&request) {
            self.check_delivery(&read).map_err(veil)?;
        }
        let encrypted = read.opened().protection().is_some();
        let mut shared = None;
        let entrance = match self.enter(&request, encrypted, now, &mut shared).map_err(veil)? {
            Entered::Proceed(entrance) => entrance,
            Entered::Again { answer, remembered } => {
                if unproven {
                    // The last answer is one, too.
                    self.verify(read, remembered, now)?;
                }
                return Ok(Handled { answer, order, outcome: Outcome::Executed, codes: Vec::new(), originator: None });
            }
        };
        let verified = self.verify(read, entrance.remembered_signer(), now)?;
        *language = desired;
        let received = Received { verified, request, language: desired };
        self.execute(received, entrance, context)
    }

    /// Refuses orders that the operator does not offer, whatever is in them.
    fn check_offered(&self, read: &Read) -> Result<(), Stop> {
        let in_chunks = [MessageType::PartialStoreDelivery, MessageType::PartialFetchDelivery];
        if self.settings.chunks.is_none() && in_chunks.contains(&read.envelope().message_type()) {
            return Err(Stop::new(Code::NotAnOrder, "chunked transfer is not offered"));
        }
        Ok(())
    }

    /// Refuses deliveries that could not be handed on.
    pub(crate) fn check_delivery(&self, read: &Read) -> Result<(), Stop> {
        if !read.envelope().reserved_ids().is_empty() {
            return Err(Stop::new(Code::NotAMessage, "the content uses Ids of our own header blocks"));
        }
        if read.envelope().body().canonical_bytes > self.parts.spools.limit() {
            return Err(Stop::new(Code::NotAMessage, "the content is too large in its canonical form"));
        }
        Ok(())
    }

    pub(crate) fn open_and_read(&self, request: Spool, now: OffsetDateTime) -> Result<Read, Stop> {
        let parts = &self.parts;
        let opened = open(request, &parts.keys, &parts.policy, now, &parts.spools, &*parts.random, &self.settings.mime)
            .map_err(|error| Stop::new(error.code(), error))?;
        if opened.protection().is_some() {
            self.counters.decrypted();
        }
        read(opened, &self.settings.envelope).map_err(|error| Stop::new(error.code(), error))
    }

    /// A signature that does not hold ends the request only if nothing else protects it.
    fn verify(&self, read: Read, remembered: Option<Arc<[u8]>>, now: OffsetDateTime) -> Result<Verified, Stop> {
        let unproven = read.opened().is_unauthenticated();
        let signer = Signer::Client { remembered: remembered.as_deref() };
        let certificate = |der: &[u8]| self.parts.inspector.certificate(der);
        let verified = verify_with(read, signer, certificate, &self.parts.policy, now, &self.settings.envelope);
        match verified.signature() {
            SignatureState::Refused(refusal) if unproven => Err(Stop::new(Code::Undecryptable, refusal.to_string())),
            _ => Ok(verified),
        }
    }

    /// Executes the order, unless its signature forbids, and answers it.
    fn execute(&self, received: Received, mut entrance: Entrance<'_>, context: &Context) -> Result<Handled, Stop> {
        let judged = self.judge(&received, context.now)?;
        let recipient = self.recipient(&received, &entrance, context.now)?;
        let admitted = || self.admission().refusal(&received.request, entrance.client().as_deref());
        let refusal = self.signature_refusal(&received).or(judged.refusal).or_else(admitted);
        if planted("acknowledged-before-signature-check") {
            entrance.acknowledge(self.parts.store.as_ref(), context.now)?;
        }
        let order = orders::Order {
            intermediary: self,
            received: &received,
            judged: &judged.certificates,
            warnings: &judged.warnings,
            upload: None,
            context,
        };
        let done = match refusal {
            Some(code) if planted("executed-before-signature-check") => {
                order.execute(&mut entrance)?;
                orders::Done::refused(code)
            }
            Some(code) => orders::Done::refused(code),
            None => {
                entrance.acknowledge(self.parts.store.as_ref(), context.now)?;
                order.execute(&mut entrance)?
            }
        };
        self.note_refusal(&received, &done, context)?;
        let answering = answer::Answering { recipient, judgement: &judged, context };
        answer::answer(self, &received, entrance, done, answering)
    }

    /// The code that a missing, incomplete or wrong signature costs.
    fn signature_refusal(&self, received: &Received) -> Option<Code> {
        match received.verified.signature() {
            SignatureState::Covered { .. } => None,
            SignatureState::Refused(refusal) => {
                debug!(reason = %refusal, "transport signature refused");
                Some(refusal.code())
            }
            _ => self.settings.signatures.covers(received.request.message_type()).then_some(Code::SignatureMissing),
        }
    }

    /// An order with a message id that was refused leaves a trace for auditors.
    pub(crate) fn note_refusal(&self, received: &Received, done: &orders::Done, context: &Context) -> Result<(), Stop> {
        // What was taken over has its entries already, however it ended.
        let in_chunks = matches!(received.request, Request::PartialStoreDelivery(_));
        if !(delivers(&received.request) || in_chunks) || !matches!(done.hand_out, orders::HandOut::Nothing) {
            return Ok(());
        }
        let Some(code) = done.refusal() else { return Ok(()) };
        let message_id = match &received.request {
            Request::StoreDelivery(order) => order.message_id.as_ref(),
            Request::ForwardDelivery(order) => order.message_id.as_ref(),
            Request::MediateDelivery(order) => order.card.as_ref().map(|card| &card.message_id),
            Request::PartialStoreDelivery(order) => order.message_id.as_ref(),
            _ => None,
        };
        let mut leaf = Leaf::new(context.now, Event::Refused);
        leaf.message_id = message_id.map(|id| id.as_str().to_owned());
        leaf.order = Some(orders::order_name(&received.request).to_owned());
        leaf.correlation = Some(context.correlation_id.clone());
        leaf.feedback = vec![code.number()];
        leaf.verdicts = signature_verdict(&received.verified);
        self.parts.store.record(leaf).map_err(Stop::internal)?;
        Ok(())
    }

    fn language(&self, request: &Request) -> Language {
        match &request.header().languages {
            Some(desired) => Language::negotiate_or(&desired.tags().join(" "), self.settings.default_language),
            None => self.settings.default_language,
        }
    }

    fn fault(&self, stop: &Stop, order: &'static str, language: Language) -> Handled {
        debug!(code = %stop.code, cause = %stop.cause, "answered with a fault");
        let fault = Fault::new(stop.code, language);
        let bytes = fault.write(Vec::new()).expect("writing to memory does not fail");
        let answer = Spool::from_bytes(bytes);
        Handled { answer, order, outcome: Outcome::Fault, codes: vec![stop.code.number()], originator: None }
    }

    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.parts.random.fill(&mut bytes);
        bytes
    }
}

/// URIs of the algorithms a message was protected with, for the log.
pub(crate) fn algorithms(verified: &Verified) -> Vec<String> {
    let mut uris = Vec::new();
    if let Some(protection) = verified.read().opened().protection() {
        uris.push(protection.encryption.cipher.uri().to_owned());
        uris.push(protection.encryption.transport.uri().to_owned());
    }
    if let SignatureState::Covered { proof, .. } = verified.signature() {
        uris.push(proof.algorithm().uri().to_owned());
        uris.extend(proof.digests().iter().map(|digest| digest.uri().to_owned()));
    }
    uris
}

pub(crate) fn signature_verdict(verified: &Verified) -> Vec<VerdictEntry> {
    let verdict = match verified.signature() {
        SignatureState::Covered { .. } => Verdict::Valid,
        SignatureState::Refused(_) => Verdict::Invalid,
        _ => return Vec::new(),
    };
    vec![VerdictEntry { subject: Subject::TransportSignature, verdict }]
}

/// Whether the order brings a delivery.
fn delivers(request: &Request) -> bool {
    matches!(request, Request::StoreDelivery(_) | Request::ForwardDelivery(_) | Request::MediateDelivery(_))
}

fn refuse_message(error: MessageError) -> Stop {
    let code = match &error {
        MessageError::WrongDirection(_) | MessageError::NotSupported(_) => Code::NotAnOrder,
        _ => Code::NotAMessage,
    };
    Stop::new(code, error)
}
