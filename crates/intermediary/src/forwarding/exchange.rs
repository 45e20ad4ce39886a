//! One exchange with a passive recipient: composed, signed, sealed, carried; opened, verified, matched
//! (OSCI-Transport 1.2, AcceptDelivery and ProcessDelivery).

use rohrpost_crypto::DigestAlgorithm;
use rohrpost_crypto::policy::{Purpose as PolicyPurpose, Ruling};
use rohrpost_osci::algorithms::Encryption;
use rohrpost_osci::card::ProcessCardBundle;
use rohrpost_osci::compose::{OutDelivery, Outgoing, Signing};
use rohrpost_osci::dialog::{ClientDialog, ControlBlock};
use rohrpost_osci::envelope::SignedBy;
use rohrpost_osci::fault::Fault;
use rohrpost_osci::feedback::{Code, FaultSide, Feedback, Severity};
use rohrpost_osci::header::{
    BlockError, CertificateEntry, CertificateRole, CertificateUse, CustomBlock, DesiredLanguages, FeatureDescription,
    IntermediaryCertificates, NonIntermediaryCertificates,
};
use rohrpost_osci::ids::Challenge;
use rohrpost_osci::message::{
    AcceptDelivery, ProcessDelivery, RecipientResponse, ReplyWithCard, RequestHeader, RequestWithCard,
};
use rohrpost_osci::ns::MessageType;
use rohrpost_pipeline::gate::{TURN_BYTES, leave};
use rohrpost_pipeline::judge::{Judged, inspect, judge};
use rohrpost_pipeline::open::open;
use rohrpost_pipeline::read::read;
use rohrpost_pipeline::seal::{Recipient, seal};
use rohrpost_pipeline::spool::Spool;
use rohrpost_pipeline::verify::{SignatureState, Signer, Verified, verify_with};
use rohrpost_pki::{Certificate, Use};
use time::OffsetDateTime;

use super::{Courier, Undelivered};
use crate::answer::FEATURES;
use crate::{Intermediary, UnknownRevocation, certificates};

/// What is sent to a passive recipient.
pub(crate) struct Letter {
    pub(crate) certificates: NonIntermediaryCertificates,
    pub(crate) custom: Vec<CustomBlock>,
    pub(crate) languages: Option<DesiredLanguages>,
    pub(crate) delivery: OutDelivery,
    pub(crate) purpose: Purpose,
}

/// What the recipient is to do with it.
pub(crate) enum Purpose {
    /// Take it.
    Accept(ProcessCardBundle),
    /// Take it and reply.
    Process(Option<RequestWithCard>),
}

/// The recipient took it.
pub(crate) struct Taken {
    /// Codes that warn: the answer was less protected than the request.
    pub(crate) warnings: Vec<Code>,
    /// What it replied, if it was to.
    pub(crate) reply: Option<Reply>,
    pub(crate) at: OffsetDateTime,
}

/// A delivery that a recipient replied with.
pub(crate) struct Reply {
    pub(crate) verified: Verified,
    pub(crate) certificates: NonIntermediaryCertificates,
    pub(crate) custom: Vec<CustomBlock>,
    pub(crate) with_card: Option<ReplyWithCard>,
    pub(crate) judged: Vec<Judged>,
    /// When it had arrived.
    pub(crate) at: OffsetDateTime,
}

/// The recipient did not take it, or nobody knows.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What the sender is told.
    pub(crate) code: Code,
    /// Whether another attempt may end differently.
    pub(crate) may_pass: bool,
    /// Whether others would fare the same at this receiver: nobody is there, or nobody answers.
    pub(crate) down: bool,
    /// For the operator.
    pub(crate) reason: String,
    pub(crate) at: OffsetDateTime,
}

/// A message on its way out, with what its answer has to fit.
struct Sealed {
    message: Spool,
    dialog: ClientDialog,
    reply_id: Option<RequestWithCard>,
    is_signed: bool,
    wants_reply: bool,
}

impl Intermediary {
    /// Hands a letter to the recipient at `receiver`. `before_sending` is called when the message is complete
    /// and nothing was sent yet.
    pub(crate) fn hand_over<E>(
        &self,
        courier: &dyn Courier,
        receiver: &str,
        letter: Letter,
        now: OffsetDateTime,
        before_sending: impl FnOnce() -> Result<(), E>,
    ) -> Result<Result<Taken, Failure>, E> {
        let large = letter.delivery.package.source.len() > TURN_BYTES;
        let write = || self.seal_letter(letter, now);
        let sealed = if large { leave(write) } else { write() };
        let sealed = match sealed {
            Ok(sealed) => sealed,
            Err(failure) => return Ok(Err(failure)),
        };
        before_sending()?;
        let answers = self.parts.spools.clone();
        let answers = if sealed.wants_reply { answers } else { answers.with_limit(MOST_WITHOUT_REPLY) };
        let returned = match leave(|| courier.carry(receiver, &sealed.message, &answers)) {
            Ok(returned) => returned,
            Err(undelivered) => return Ok(Err(undelivered.into())),
        };
        let (message, at) = (returned.message, returned.at);
        let understand = || self.understand(sealed, message, at);
        Ok(if large { leave(understand) } else { understand() })
    }

    fn seal_letter(&self, letter: Letter, now: OffsetDateTime) -> Result<Sealed, Failure> {
        let unfit = |reason: String| Failure { reason, ..Failure::unsent(now) };
        // Our own trouble passes.
        let unsent = |reason: String| Failure { may_pass: true, ..unfit(reason) };
        let recipient = self.addressee(&letter.certificates, now).map_err(unfit)?;
        let wants_reply = matches!(letter.purpose, Purpose::Process(_));
        if wants_reply && !self.parts.spools.has_room(0) {
            return Err(unsent("there is no space for a reply".to_owned()));
        }
        let message_type = if wants_reply { MessageType::ProcessDelivery } else { MessageType::AcceptDelivery };
        let mut dialog = ClientDialog::new();
        let control = dialog
            .request(message_type, Challenge::from_random(self.random()))
            .map_err(|error| unsent(error.to_string()))?;
        let own = self.certificates_for_recipients(now);
        let signer_id = own.signature.as_ref().map(|entry| entry.id.clone());
        let reply_id = if let Purpose::Process(with_card) = &letter.purpose { with_card.clone() } else { None };
        let outgoing = compose(letter, control, own).map_err(|error| unsent(error.to_string()))?;
        let pair = self.parts.keys.signature_at(now);
        let signing = pair.map(|pair| Signing {
            signer: pair.key.as_ref(),
            by: SignedBy::Client,
            certificate_id: signer_id.as_deref(),
            digest: DigestAlgorithm::Sha256,
        });
        let spools = self.parts.spools.clone().with_limit(u64::MAX);
        let message = seal(&outgoing, signing.as_ref(), Some(&recipient), &spools, self.parts.random.as_ref())
            .map_err(|error| unsent(error.to_string()))?;
        if signing.is_some() {
            self.counters.signed();
        }
        Ok(Sealed { message, dialog, reply_id, is_signed: signing.is_some(), wants_reply })
    }

    /// Whom the message is sealed for. Nothing leaves in clear.
    fn addressee(&self, certificates: &NonIntermediaryCertificates, now: OffsetDateTime) -> Result<Recipient, String> {
        let entry = certificates
            .first(CertificateRole::Addressee, CertificateUse::Cipher)
            .ok_or("there is no certificate of the addressee to encrypt for")?;
        let certificate = self.parts.inspector.certificate(&entry.der).map_err(|error| error.to_string())?;
        let kind = certificate.public_key().map_err(|error| error.to_string())?.kind();
        let ruling = self.parts.policy.judge(PolicyPurpose::KeyLength, kind.name(), Some(kind.bits()), now.date());
        if ruling == Ruling::Refuse {
            return Err("the policy refuses the addressee's key".to_owned());
        }
        let recipient = Recipient { certificate, encryption: Encryption::STANDARD };
        recipient.check().map_err(|error| error.to_string())?;
        Ok(recipient)
    }

    /// Recipients answer encrypted only if they get our cipher certificate with the request.
    fn certificates_for_recipients(&self, now: OffsetDateTime) -> IntermediaryCertificates {
        let cipher = self.parts.keys.cipher_at(now).map(|pair| {
            CertificateEntry::new(CertificateRole::Intermediary, CertificateUse::Cipher, 0, pair.certificate.der())
        });
        IntermediaryCertificates { cipher, signature: self.own(now).and_then(|own| own.signature.clone()) }
    }

    /// What the certificate that an answer is signed with means.
    fn signer_code(&self, signer: &Certificate, at: OffsetDateTime) -> Option<Code> {
        let inspection = inspect(signer, Use::TransportSignature, &self.parts.inspector, at);
        let finding = Ok((signer.clone(), inspection));
        let judged = Judged { role: CertificateRole::Addressee, purpose: CertificateUse::Signature, finding };
        // The delivery has arrived, whether or not somebody can be asked at the moment.
        certificates::code(&judged, UnknownRevocation::Warn)
    }

    /// What the recipient's answer means. From here on it has got the delivery.
    fn understand(&self, mut sealed: Sealed, answer: Spool, at: OffsetDateTime) -> Result<Taken, Failure> {
        let failed = |code, may_pass, reason: String| Failure { code, may_pass, down: false, reason, at };
        let unusable = |reason: String| failed(Code::ForwardingFailedAfterRecipient, true, reason);
        let parts = &self.parts;
        let opened = open(answer, &parts.keys, &parts.policy, at, &parts.spools, &*parts.random, &self.settings.mime)
            .map_err(|error| unusable(error.to_string()))?;
        // Nobody we hand a delivery to has reason to answer in CBC, which authenticates nothing: whoever returns the requests of others
        // would learn from what follows what is in them.
        if opened.is_unauthenticated() {
            return Err(unusable("its answer is encrypted without authentication".to_owned()));
        }
        if let Some(fault) =
            Fault::parse(opened.message(), opened.parts()).map_err(|error| unusable(error.to_string()))?
        {
            return Err(stopped(&fault, at));
        }
        let in_clear = opened.protection().is_none();
        if !in_clear {
            self.counters.decrypted();
        }
        let read = read(opened, &self.settings.envelope).map_err(|error| unusable(error.to_string()))?;
        let certificate = |der: &[u8]| parts.inspector.certificate(der);
        let verified = verify_with(read, Signer::Recipient, certificate, &parts.policy, at, &self.settings.envelope);
        let mut warnings = Vec::new();
        match verified.signature() {
            SignatureState::Covered { proof, signer } if proof.by() == SignedBy::Supplier => {
                match self.signer_code(signer, at) {
                    Some(code) if code.severity() == Severity::Error => {
                        let reason = "the certificate that its answer is signed with is not acceptable".to_owned();
                        return Err(failed(code, false, reason));
                    }
                    code => warnings.extend(code),
                }
            }
            SignatureState::Absent => warnings.extend(sealed.is_signed.then_some(Code::ReplyUnsigned)),
            state => {
                let reason = match state {
                    SignatureState::Refused(refusal) => format!("the signature of its answer does not hold: {refusal}"),
                    _ => "its answer is not signed by an answering side".to_owned(),
                };
                return Err(failed(Code::ReplySignatureWrong, false, reason));
            }
        }
        warnings.extend(in_clear.then_some(Code::ReplyUnencrypted));
        let envelope = verified.read().envelope();
        let response = RecipientResponse::parse(envelope).map_err(|error| unusable(error.to_string()))?;
        // Only who could decrypt the request knows our challenge.
        sealed
            .dialog
            .response(envelope.message_type(), response.control())
            .map_err(|error| unusable(error.to_string()))?;
        if !response.feedback().is_executed() {
            return Err(refusal(first_error(response.feedback()), at));
        }
        if !sealed.wants_reply {
            return Ok(Taken { warnings, reply: None, at });
        }
        let RecipientResponse::ProcessDelivery(response) = response else {
            return Err(unusable("it is no reply".to_owned()));
        };
        if verified.read().envelope().body().package().is_none() {
            return Err(failed(Code::ReplyWithoutDelivery, false, "its answer holds no delivery".to_owned()));
        }
        let expected = sealed.reply_id.as_ref().map(|with_card| &with_card.reply_id);
        if response.with_card.as_ref().map(|with_card| &with_card.message_id) != expected {
            return Err(unusable("its reply has another id than it was given".to_owned()));
        }
        let (certificates, custom) = (response.header.certificates, response.header.custom);
        let judged = judge(&certificates, &parts.inspector, at);
        let reply = Reply { verified, certificates, custom, with_card: response.with_card, judged, at };
        Ok(Taken { warnings, reply: Some(reply), at })
    }
}

/// What a fault means. Nobody knows who sent it, so it ends nothing.
fn stopped(fault: &Fault, at: OffsetDateTime) -> Failure {
    let code = match fault.side {
        FaultSide::Server => Code::RecipientFailed,
        FaultSide::Client => Code::RecipientRefused,
    };
    let reason = format!("it answered with a fault: {}", fault.known_code());
    Failure { code, may_pass: true, down: false, reason, at }
}

/// What a refusal in a regular answer means.
fn refusal(code: Code, at: OffsetDateTime) -> Failure {
    let its_own = code == Code::OrderFailed;
    Failure {
        code: if its_own { Code::RecipientFailed } else { Code::RecipientRefused },
        may_pass: its_own,
        down: false,
        reason: format!("it answered with code {code}"),
        at,
    }
}

fn first_error(feedback: &Feedback) -> Code {
    let mut codes = feedback.entries().iter().filter_map(|entry| entry.code.known());
    codes.find(|code| code.severity() == Severity::Error).unwrap_or(Code::OrderFailed)
}

fn compose(letter: Letter, control: ControlBlock, own: IntermediaryCertificates) -> Result<Outgoing, BlockError> {
    let header = RequestHeader {
        control,
        languages: letter.languages,
        certificates: letter.certificates,
        features: Some(FeatureDescription::announcing(FEATURES)),
        custom: letter.custom,
    };
    let intermediary = Some(own);
    match letter.purpose {
        Purpose::Accept(card) => AcceptDelivery { header, intermediary, card }.compose(letter.delivery),
        Purpose::Process(with_card) => ProcessDelivery { header, intermediary, with_card }.compose(letter.delivery),
    }
}

impl Failure {
    /// Nothing was sent.
    pub(crate) fn unsent(at: OffsetDateTime) -> Self {
        let code = Code::ForwardingFailedBeforeRecipient;
        Self { code, may_pass: false, down: false, reason: String::new(), at }
    }
}

impl From<Undelivered> for Failure {
    fn from(undelivered: Undelivered) -> Self {
        let Undelivered { may_have_arrived, may_pass, down, reason, at } = undelivered;
        let code = match may_have_arrived {
            true => Code::ForwardingFailedAfterRecipient,
            false => Code::ForwardingFailedBeforeRecipient,
        };
        Self { code, may_pass, down, reason, at }
    }
}

/// Bytes of an answer that says no more than whether the delivery was taken: certificates and texts.
const MOST_WITHOUT_REPLY: u64 = 1024 * 1024;
