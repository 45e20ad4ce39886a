//! One cell executed: what is needed before, the order, and whether its answer is what it has to be.

use rohrpost_crypto::SystemRandom;
use rohrpost_osci::compose::Outgoing;
use rohrpost_osci::dialog::ControlBlock;
use rohrpost_osci::envelope::SignedBy;
use rohrpost_osci::feedback::{Code, Level};
use rohrpost_osci::header::{BlockError, CertificateEntry, CertificateRole, CertificateUse};
use rohrpost_osci::ids::{Challenge, ConversationId, MessageId};
use rohrpost_osci::message::Response;
use rohrpost_osci::ns::MessageType;
use rohrpost_pipeline::keyring::KeyRing;
use rohrpost_pki::{Certificate, KeyEntry};
use time::OffsetDateTime;

use crate::check;
use crate::matrix::{Cell, Way, carries_cipher_certificate, carries_delivery, refuses};
use crate::recipient::Act;
use crate::setup::{Setup, Wire, flawed};
use crate::talk::{Answer, Damage, Hand, understand, words, write};

/// How the execution of a cell ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The answer is what it has to be.
    Passed,
    /// It is not.
    Failed(String),
    /// It could not be executed here.
    Skipped(&'static str),
}

/// Why a cell is not passed.
pub(crate) enum Miss {
    Failed(String),
    Skipped(&'static str),
}

impl From<String> for Miss {
    fn from(what: String) -> Self {
        Self::Failed(what)
    }
}

impl From<BlockError> for Miss {
    fn from(error: BlockError) -> Self {
        Self::Failed(words(error))
    }
}

/// What all cells share.
pub(crate) struct Bench<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) wire: &'a dyn Wire,
    pub(crate) keys: KeyRing,
    pub(crate) now: OffsetDateTime,
}

/// An order before it is written: what is usual, unless the cell wants something else.
pub(crate) struct Plan<'a> {
    pub(crate) cell: Cell,
    pub(crate) url: &'a str,
    /// Whom it is encrypted for.
    pub(crate) whom: &'a Certificate,
    /// The client's cipher certificate, if the order brings it.
    pub(crate) cipher: Option<Vec<u8>>,
    /// The client's signature certificate, and its key.
    pub(crate) signature: Option<(&'a KeyEntry, Vec<u8>)>,
    pub(crate) addressee: Vec<u8>,
    /// Certificates of authors and readers.
    pub(crate) more: Vec<CertificateEntry>,
    pub(crate) damage: Damage,
    pub(crate) receiver: String,
    pub(crate) subject: String,
}

/// Where a dialog has come.
#[derive(Default)]
pub(crate) struct Dialog {
    conversation: Option<ConversationId>,
    next: u32,
    challenge: Option<Challenge>,
}

impl Dialog {
    /// After an answer. A request on its own leaves nothing behind.
    fn advance(&mut self, answer: &ControlBlock) {
        if self.conversation.is_some() {
            self.next += 1;
            self.challenge.clone_from(&answer.challenge);
        }
    }
}

impl Bench<'_> {
    /// Executes a cell that can occur.
    pub(crate) fn execute(&self, cell: Cell) -> Outcome {
        match self.attempt(cell) {
            Ok(()) => Outcome::Passed,
            Err(Miss::Failed(what)) => Outcome::Failed(what),
            Err(Miss::Skipped(why)) => Outcome::Skipped(why),
        }
    }

    fn attempt(&self, cell: Cell) -> Result<(), Miss> {
        let (plan, code) = (self.plan(cell)?, cell.code);
        let mut dialog = Dialog::default();
        if cell.way.explicit && cell.order != MessageType::InitDialog {
            dialog = self.open(&plan)?;
        }
        let control = control(&cell, &dialog);
        let (outgoing, message_id) = self.compose(&plan, control.clone())?;
        let answer = self.send(&plan, &outgoing, cell.way.signed, cell.way.encrypted)?;
        if code != Code::ChunkAlreadyPresent {
            return check::answer(&cell, &control, message_id.as_ref(), &answer).map_err(Miss::Failed);
        }
        // The same chunk once more.
        let Answer::Regular(first) = answer else { return Err(Miss::Failed(check::codes(&answer))) };
        dialog.advance(first.response.control());
        let again = self::control(&cell, &dialog);
        let outgoing = self.compose_for(&plan, again.clone(), message_id.clone())?;
        let answer = self.send(&plan, &outgoing, cell.way.signed, cell.way.encrypted)?;
        check::answer(&cell, &again, message_id.as_ref(), &answer).map_err(Miss::Failed)
    }

    pub(crate) fn plan(&self, cell: Cell) -> Result<Plan<'_>, Miss> {
        let Cell { order, code, way } = cell;
        let setup = self.setup;
        let brings_cipher = carries_cipher_certificate(order) || (!way.explicit && way.encrypted);
        let client = &setup.client;
        let der = |key: &KeyEntry| key.certificate.der().to_vec();
        let mut plan = Plan {
            cell,
            url: &setup.url,
            whom: &setup.intermediary_cipher,
            cipher: brings_cipher.then(|| der(&client.cipher)),
            signature: way.signed.then(|| (&client.signature, der(&client.signature))),
            addressee: der(&setup.addressee.cipher),
            more: Vec::new(),
            damage: Damage::None,
            receiver: String::new(),
            subject: "Konformität".to_owned(),
        };
        match code {
            Code::NotAMessage => plan.damage = Damage::Structure,
            Code::NotAnOrder => plan.damage = Damage::NoOrder,
            Code::Undecryptable => plan.damage = Damage::Ciphertext,
            Code::SignatureWrong => plan.damage = Damage::SignatureValue,
            Code::SignatureIncomplete => plan.damage = Damage::UnsignedBlock,
            Code::NoPrivateKey => plan.whom = &client.cipher.certificate,
            Code::ClientCipherCertificateMissing => plan.cipher = None,
            Code::SignatureMissing => {
                let url = setup.demanding_url.as_deref();
                plan.url = url.ok_or(Miss::Skipped("the profile names no address at which signatures are demanded"))?;
            }
            Code::OrderFailed if Cell::base(order, way) != Code::OrderFailed => {
                let bytes = setup
                    .refused_subject_bytes
                    .ok_or(Miss::Skipped("the profile names no subject that is too long"))?;
                plan.subject = "x".repeat(bytes);
            }
            _ => {}
        }
        if let Some((role, purpose, flaw)) = flawed(code) {
            let (key, der) = setup.key(purpose, flaw).map_err(Miss::Skipped)?;
            match (role, purpose) {
                (CertificateRole::Originator, CertificateUse::Cipher) => plan.cipher = Some(der),
                (CertificateRole::Originator, CertificateUse::Signature) => plan.signature = Some((key, der)),
                (CertificateRole::Addressee, CertificateUse::Cipher) => plan.addressee = der,
                (CertificateRole::Addressee, CertificateUse::Signature) => {}
                _ => plan.more.push(CertificateEntry::new(role, purpose, 0, der)),
            }
        }
        if matches!(order, MessageType::ForwardDelivery | MessageType::MediateDelivery) {
            let base = setup.recipient.as_deref().ok_or(Miss::Skipped("the profile has no passive recipient"))?;
            plan.receiver = match code {
                Code::ForwardingFailedBeforeRecipient => format!("{base}/not-listed"),
                _ => format!("{base}/{}", Act::of(code).path()),
            };
        }
        Ok(plan)
    }

    /// InitDialog as usual.
    fn open<'b>(&'b self, plan: &Plan<'b>) -> Result<Dialog, Miss> {
        let way = plan.cell.way;
        let signed = way.signed || plan.cell.code == Code::SignatureMissing;
        let client = &self.setup.client;
        let der = |key: &KeyEntry| key.certificate.der().to_vec();
        let cell = Cell { order: MessageType::InitDialog, code: Code::ExecutedDialogOpen, way };
        let init = Plan {
            cell,
            url: plan.url,
            whom: &self.setup.intermediary_cipher,
            cipher: Some(der(&client.cipher)),
            signature: signed.then(|| (&client.signature, der(&client.signature))),
            addressee: Vec::new(),
            more: Vec::new(),
            damage: Damage::None,
            receiver: String::new(),
            subject: String::new(),
        };
        let asked = control(&cell, &Dialog::default());
        let (outgoing, _) = self.compose(&init, asked)?;
        match self.send(&init, &outgoing, signed, way.encrypted)? {
            Answer::Regular(regular) if regular.response.feedback().contains(Code::ExecutedDialogOpen) => {
                let control = regular.response.control();
                Ok(Dialog {
                    conversation: control.conversation_id.clone(),
                    next: 0,
                    challenge: control.challenge.clone(),
                })
            }
            answer => Err(Miss::Failed(format!("no dialog could be opened: {}", check::codes(&answer)))),
        }
    }

    fn send(&self, plan: &Plan<'_>, outgoing: &Outgoing, signed: bool, encrypted: bool) -> Result<Answer, Miss> {
        let hand = plan.signature.as_ref().filter(|_| signed).map(|(key, der)| {
            let entry =
                CertificateEntry::new(CertificateRole::Originator, CertificateUse::Signature, 0, der.as_slice());
            let is_answer = plan.damage == Damage::NoOrder && !carries_delivery(plan.cell.order);
            let by = if is_answer { SignedBy::Supplier } else { SignedBy::Client };
            Hand { key, certificate_id: entry.id, by }
        });
        let message = write(outgoing, hand.as_ref(), encrypted.then_some(plan.whom), plan.damage)?;
        let answer = self.wire.post(plan.url, message)?;
        Ok(understand(answer, &self.keys, self.setup.intermediary_signature.as_ref(), self.now)?)
    }

    /// The order, and the id of the delivery it brings or is about.
    fn compose<'b>(&'b self, plan: &Plan<'b>, control: ControlBlock) -> Result<(Outgoing, Option<MessageId>), Miss> {
        let message_id = self.message_id(plan)?;
        Ok((self.compose_for(plan, control, message_id.clone())?, message_id))
    }

    /// The id for the order: issued, foreign or none.
    fn message_id<'b>(&'b self, plan: &Plan<'b>) -> Result<Option<MessageId>, Miss> {
        let Cell { order, code, way } = plan.cell;
        let foreign = || MessageId::new("issued-by-nobody").map(Some).map_err(|error| Miss::Failed(words(error)));
        let executes = !refuses(code) && !refuses(Cell::base(order, way));
        match order {
            MessageType::FetchDelivery | MessageType::PartialFetchDelivery | MessageType::FetchProcessCard => {
                match code {
                    Code::FurtherDeliveries | Code::FurtherProcessCards => {
                        self.store_for_client(plan.url)?;
                        self.store_for_client(plan.url).map(Some)
                    }
                    _ if executes && code.level() == Level::Order => self.store_for_client(plan.url).map(Some),
                    _ => foreign(),
                }
            }
            _ if !carries_delivery(order) => Ok(None),
            _ => match code {
                Code::MessageIdMissing => Ok(None),
                Code::MessageIdIllegal => foreign(),
                _ if code.level() == Level::Message => foreign(),
                _ => self.fresh_id(plan.url).map(Some),
            },
        }
    }

    fn fresh_id<'b>(&'b self, url: &'b str) -> Result<MessageId, Miss> {
        match self.plain(MessageType::GetMessageId, url, None)?.0 {
            Answer::Regular(regular) => match regular.response {
                Response::GetMessageId(answer) => {
                    answer.message_id.ok_or_else(|| Miss::Failed("no message id was given".to_owned()))
                }
                _ => Err(Miss::Failed("GetMessageId was answered with something else".to_owned())),
            },
            answer => Err(Miss::Failed(format!("no message id: {}", check::codes(&answer)))),
        }
    }

    /// A delivery in the client's own mailbox.
    fn store_for_client<'b>(&'b self, url: &'b str) -> Result<MessageId, Miss> {
        let mailbox = self.setup.client.cipher.certificate.der().to_vec();
        match self.plain(MessageType::StoreDelivery, url, Some(mailbox))? {
            (Answer::Regular(regular), Some(id)) if regular.response.feedback().is_executed() => Ok(id),
            (answer, _) => Err(Miss::Failed(format!("nothing could be stored: {}", check::codes(&answer)))),
        }
    }

    /// An order on its own, signed.
    fn plain<'b>(
        &'b self,
        order: MessageType,
        url: &'b str,
        addressee: Option<Vec<u8>>,
    ) -> Result<(Answer, Option<MessageId>), Miss> {
        let way = Way { signed: true, encrypted: false, explicit: false };
        let cell = Cell { order, code: Code::ExecutedDialogClosed, way };
        let mut plan = self.plan(cell)?;
        plan.url = url;
        plan.addressee = addressee.unwrap_or(plan.addressee);
        let (outgoing, id) = self.compose(&plan, control(&cell, &Dialog::default()))?;
        Ok((self.send(&plan, &outgoing, true, false)?, id))
    }
}

/// The control block of the order.
pub(crate) fn control(cell: &Cell, dialog: &Dialog) -> ControlBlock {
    let wrong = cell.code == Code::DialogViolated;
    let number = match cell.order {
        MessageType::InitDialog if wrong => Some(0),
        MessageType::InitDialog => None,
        _ if wrong => Some(dialog.next + 7),
        _ => Some(dialog.next),
    };
    // Where a dialog is needed, its absence may be found before the wrong number.
    let silent = wrong && Cell::base(cell.order, cell.way) == Code::ExplicitDialogNeeded;
    ControlBlock {
        response: dialog.challenge.clone(),
        challenge: (!silent).then(|| Challenge::generate(&SystemRandom)),
        conversation_id: dialog.conversation.clone(),
        sequence_number: number,
    }
}
