//! One order and its answer: composed, signed, encrypted, sent; opened, verified, matched.

use std::sync::{Arc, Mutex, PoisonError};

use rohrpost_crypto::DigestAlgorithm;
use rohrpost_crypto::policy::{Policy, Purpose};
use rohrpost_osci::compose::{Outgoing, Signing};
use rohrpost_osci::dialog::{ClientDialog, ControlBlock};
use rohrpost_osci::envelope::{Envelope, SignedBy};
use rohrpost_osci::fault::{Fault, FaultMalformed};
use rohrpost_osci::header::{
    BlockError, CertificateEntry, CertificateRole, CertificateUse, DesiredLanguages, Feature, FeatureDescription,
    NonIntermediaryCertificates,
};
use rohrpost_osci::ids::Challenge;
use rohrpost_osci::message::{RequestHeader, Response};
use rohrpost_osci::ns::MessageType;
use rohrpost_pipeline::keyring::SignaturePair;
use rohrpost_pipeline::open::{OpenError, Opened, open};
use rohrpost_pipeline::read::{ReadError, read};
use rohrpost_pipeline::seal::{Recipient, SealError, seal};
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_pipeline::verify::{SignatureState, Signer, verify};
use rohrpost_pki::{Certificate, Use, Verdict};
use tracing::debug;

use crate::blocking::blocking;
use crate::config::Config;
use crate::error::{Error, PeerError, ReceivedFault, Refusal, Unusable};
use crate::transport::{Address, Answer, OnProgress, Transport};

/// Everything that the orders of one client share.
pub(crate) struct Party {
    pub(crate) config: Config,
    address: Address,
    transport: Transport,
    /// What the intermediary offered last.
    offer: Mutex<Option<FeatureDescription>>,
}

/// Where one explicit dialog, or one order outside of any, has come.
#[derive(Default)]
pub(crate) struct Course {
    pub(crate) dialog: ClientDialog,
    /// Whether some try of the last order may have been executed although nobody heard the answer.
    pub(crate) in_doubt: bool,
}

/// A checked answer.
pub(crate) struct Answered {
    pub(crate) response: Response,
    pub(crate) opened: Opened,
    pub(crate) envelope: Envelope,
    /// Who signed it.
    pub(crate) signer: Option<Certificate>,
}

/// When an order may be sent once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// If it certainly was not executed: the only safe thing in an explicit dialog.
    IfUntouched,
    /// Also if its answer was lost, because executing it twice does no harm.
    IfLost,
}

impl Party {
    pub(crate) fn new(config: Config) -> Result<Self, Error> {
        let address: Address = config.url.parse().map_err(Unusable::from)?;
        if address.is_tls() && config.tls.is_none() {
            return Err(Unusable::NoAuthorities.into());
        }
        if config.keys.current_cipher().is_none() {
            return Err(Unusable::NoCipherPair.into());
        }
        if !config.dangerous_clear_requests {
            may_encrypt_for(&config.intermediary_cipher)?;
            may_produce(&config)?;
        }
        let transport = Transport::new(config.tls.as_ref(), config.timeouts, &config.clock).map_err(Unusable::from)?;
        Ok(Self { config, address, transport, offer: Mutex::default() })
    }

    /// What the intermediary offers, as far as some answer told.
    pub(crate) fn offer(&self) -> Option<FeatureDescription> {
        self.offer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends an order and gives the answer to it, if that says that the order was executed.
    ///
    /// A refusal leaves the dialog going on; any other error, and dropping the future, makes an explicit dialog stale.
    pub(crate) async fn order(
        self: &Arc<Self>,
        course: &mut Course,
        order: MessageType,
        repeat: Repeat,
        on_progress: Option<&OnProgress>,
        compose: impl FnOnce(&Self, ControlBlock) -> Result<Outgoing, BlockError> + Send + 'static,
    ) -> Result<Answered, Error> {
        let challenge = Challenge::generate(&*self.config.random);
        let Course { dialog, in_doubt } = course;
        let control = dialog.request(order, challenge).map_err(Error::DialogStale)?;
        *in_doubt = false;
        let outcome = self.carry(order, control, repeat, on_progress, compose, in_doubt).await;
        let checked = outcome.and_then(|(answered, correlation_id)| {
            let response = &answered.response;
            dialog.response(answered.envelope.message_type(), response.control()).map_err(PeerError::from)?;
            if let Some(features) = &response.header().features {
                *self.offer.lock().unwrap_or_else(PoisonError::into_inner) = Some(features.clone());
            }
            // The last chunk of a delivery that was refused tells why within.
            let tells_more = matches!(response, Response::PartialStoreDelivery(answer) if answer.inside.is_some());
            if response.feedback().is_executed() || tells_more {
                return Ok(answered);
            }
            let feedback = response.feedback().clone();
            Err(Error::Refused(Refusal { order, feedback, correlation_id }))
        });
        if !matches!(checked, Ok(_) | Err(Error::Refused(_))) {
            dialog.give_up();
        }
        checked
    }

    async fn carry(
        self: &Arc<Self>,
        order: MessageType,
        control: ControlBlock,
        repeat: Repeat,
        on_progress: Option<&OnProgress>,
        compose: impl FnOnce(&Self, ControlBlock) -> Result<Outgoing, BlockError> + Send + 'static,
        in_doubt: &mut bool,
    ) -> Result<(Answered, Option<String>), Error> {
        let party = Arc::clone(self);
        let sealed = blocking(move || {
            let outgoing = compose(&party, control).map_err(Unusable::from)?;
            party.seal(&outgoing)
        })
        .await?;
        let retries = &self.config.retries;
        let mut tries = 1;
        loop {
            let error = match self.once(order, &sealed, on_progress).await {
                Ok(answered) => return Ok(answered),
                Err(error) => error,
            };
            *in_doubt |= !error.is_not_executed();
            let untouched = matches!(error, Error::Busy { .. } | Error::Connection(_)) && error.is_not_executed();
            let safe = repeat == Repeat::IfLost || untouched;
            if !safe || !error.may_pass() || tries >= retries.tries {
                return Err(error);
            }
            let pause = retries.pause(tries, error.retry_after(), &*self.config.random);
            debug!(order = order.name(), tries, ?pause, %error, "trying again");
            tokio::time::sleep(pause).await;
            tries += 1;
        }
    }

    async fn once(
        self: &Arc<Self>,
        order: MessageType,
        sealed: &Spool,
        on_progress: Option<&OnProgress>,
    ) -> Result<(Answered, Option<String>), Error> {
        let spools = self.answer_spools();
        let answer = self.transport.post(&self.address, sealed, &spools, on_progress.cloned()).await?;
        debug!(
            order = order.name(),
            sent = sealed.len(),
            received = answer.body.len(),
            correlation_id = answer.correlation_id.as_deref(),
            "exchanged"
        );
        let party = Arc::clone(self);
        blocking(move || party.receive(answer)).await
    }

    fn answer_spools(&self) -> SpoolDir {
        let spools = self.config.spools.clone();
        let limit = self.config.limits.answer_bytes.min(spools.limit());
        spools.with_limit(limit)
    }

    fn seal(&self, outgoing: &Outgoing) -> Result<Spool, Error> {
        let config = &self.config;
        let entry = config.keys.signature().map(|pair| (pair, signature_entry(pair)));
        let signing = entry.as_ref().map(|(pair, entry)| Signing {
            signer: &*pair.key,
            by: SignedBy::Client,
            certificate_id: Some(&entry.id),
            digest: DigestAlgorithm::Sha256,
        });
        let recipient = (!config.dangerous_clear_requests)
            .then(|| Recipient { certificate: config.intermediary_cipher.clone(), encryption: config.encryption });
        seal(outgoing, signing.as_ref(), recipient.as_ref(), &config.spools, &*config.random).map_err(|error| {
            match error {
                SealError::Io(error) => Error::Storage(error),
                SealError::Recipient => unfit(&config.intermediary_cipher).into(),
                error => Unusable::Compose(error.into()).into(),
            }
        })
    }

    /// An answer that came in chunks, each of which was protected: it need not be so itself.
    pub(crate) fn receive_whole(&self, message: Spool) -> Result<Answered, Error> {
        let config = &self.config;
        let now = config.clock.now();
        let (spools, limits) = (&config.spools, &config.limits);
        let opened =
            open(message, &config.keys, &config.policy, now, spools, &*config.random, &limits.mime).map_err(opening)?;
        let message = read(opened, &limits.envelope).map_err(reading)?;
        let expected = config.intermediary_signature.as_ref().map(Certificate::der);
        let verified = verify(message, Signer::Intermediary { expected }, &config.policy, now, &limits.envelope);
        let signer = match verified.signature() {
            SignatureState::Absent => None,
            signature => self.signer(signature)?,
        };
        let (opened, envelope) = verified.into_read().into_parts();
        let response = Response::parse(&envelope).map_err(PeerError::from)?;
        Ok(Answered { response, opened, envelope, signer })
    }

    fn receive(&self, answer: Answer) -> Result<(Answered, Option<String>), Error> {
        let config = &self.config;
        let now = config.clock.now();
        let (spools, limits) = (self.answer_spools(), &config.limits);
        let opened = open(answer.body, &config.keys, &config.policy, now, &spools, &*config.random, &limits.mime)
            .map_err(opening)?;
        if let Some(fault) = Fault::parse(opened.message(), opened.parts()).map_err(fault_error)? {
            return Err(Error::Fault(ReceivedFault {
                code: fault.known_code(),
                side: fault.side,
                text: fault.text,
                encrypted: opened.protection().is_some(),
                correlation_id: answer.correlation_id,
            }));
        }
        if opened.protection().is_none() && !config.dangerous_clear_requests {
            return Err(PeerError::Unencrypted.into());
        }
        let message = read(opened, &limits.envelope).map_err(reading)?;
        let expected = config.intermediary_signature.as_ref().map(Certificate::der);
        let verified = verify(message, Signer::Intermediary { expected }, &config.policy, now, &limits.envelope);
        let signer = self.signer(verified.signature())?;
        let (opened, envelope) = verified.into_read().into_parts();
        let response = Response::parse(&envelope).map_err(PeerError::from)?;
        Ok((Answered { response, opened, envelope, signer }, answer.correlation_id))
    }

    /// The owner of a signature that counts.
    fn signer(&self, signature: &SignatureState) -> Result<Option<Certificate>, PeerError> {
        let config = &self.config;
        let wrong = |reason: String| PeerError::Signature { reason };
        match signature {
            SignatureState::Covered { proof, signer } => {
                if proof.by() != SignedBy::Supplier {
                    return Err(wrong("it was not made by the answering side".to_owned()));
                }
                if let (None, Some(inspector)) = (&config.intermediary_signature, &config.inspector) {
                    let inspection = inspector.inspect(signer, &[], Use::TransportSignature, config.clock.now());
                    if inspection.verdict == Verdict::Invalid {
                        let reasons: Vec<_> = inspection.reasons.iter().map(ToString::to_string).collect();
                        return Err(wrong(reasons.join("; ")));
                    }
                }
                Ok(Some((**signer).clone()))
            }
            SignatureState::Absent if config.keys.signature().is_none() || config.dangerous_accept_unsigned_answers => {
                Ok(None)
            }
            SignatureState::Absent => Err(PeerError::Unsigned),
            SignatureState::Refused(refusal) => Err(wrong(refusal.to_string())),
            _ => Err(wrong("its state is unknown".to_owned())),
        }
    }

    /// The header of a request with these certificates, and ours for signatures.
    pub(crate) fn header(
        &self,
        control: ControlBlock,
        certificates: Vec<CertificateEntry>,
    ) -> Result<RequestHeader, BlockError> {
        let mut entries = certificates;
        if let Some(pair) = self.config.keys.signature() {
            let ours = signature_entry(pair);
            if !entries.iter().any(|entry| entry.id == ours.id) {
                entries.push(ours);
            }
        }
        Ok(RequestHeader {
            control,
            languages: Some(DesiredLanguages::new(self.config.languages.iter().cloned())),
            certificates: NonIntermediaryCertificates::new(entries)?,
            features: Some(FeatureDescription::announcing(FEATURES)),
            custom: Vec::new(),
        })
    }

    /// Our own cipher certificate as the originator's.
    pub(crate) fn cipher_entry(&self) -> CertificateEntry {
        let pair = self.config.keys.current_cipher().expect("a party without cipher pair is never made");
        CertificateEntry::new(CertificateRole::Originator, CertificateUse::Cipher, 0, pair.certificate.der())
    }
}

/// What we understand in answers beyond the base protocol.
const FEATURES: [Feature; 5] = [
    Feature::DisableBase64,
    Feature::OaepEncryption,
    Feature::Sha3HashAlgorithms,
    Feature::GcmMode,
    Feature::TwelveByteIv,
];

fn signature_entry(pair: &SignaturePair) -> CertificateEntry {
    CertificateEntry::new(CertificateRole::Originator, CertificateUse::Signature, 0, pair.certificate.der())
}

/// Whether a session key can be wrapped for this certificate.
pub(crate) fn may_encrypt_for(certificate: &Certificate) -> Result<rohrpost_crypto::PublicKey, Unusable> {
    let forbidden = certificate.key_usage().is_some_and(|usage| !usage.allows_encryption());
    match certificate.public_key() {
        Ok(key) if !forbidden && matches!(key.kind(), rohrpost_crypto::KeyKind::Rsa { .. }) => Ok(key),
        _ => Err(unfit(certificate)),
    }
}

fn unfit(certificate: &Certificate) -> Unusable {
    Unusable::CipherCertificate { subject: certificate.subject().to_owned() }
}

fn may_produce(config: &Config) -> Result<(), Unusable> {
    let today = config.clock.now().date();
    let judge = |purpose, algorithm: &str| match Policy::judge(&config.policy, purpose, algorithm, None, today) {
        ruling if ruling.may_produce() => Ok(()),
        _ => Err(Unusable::Policy { what: algorithm.to_owned() }),
    };
    judge(Purpose::TransportEncryption, config.encryption.cipher.uri())?;
    judge(Purpose::KeyTransport, config.encryption.transport.uri())?;
    match config.keys.signature() {
        Some(pair) => judge(Purpose::TransportSignature, pair.key.algorithm().uri()),
        None => Ok(()),
    }
}

fn opening(error: OpenError) -> Error {
    match error {
        OpenError::Io(error) => Error::Storage(error),
        error => PeerError::Open(error).into(),
    }
}

fn reading(error: ReadError) -> Error {
    PeerError::Read(error).into()
}

fn fault_error(error: FaultMalformed) -> Error {
    match error {
        FaultMalformed::Io(error) => Error::Storage(error),
        error => PeerError::Fault(error).into(),
    }
}
