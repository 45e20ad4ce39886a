//! An intermediary in memory, good enough for a client to talk to, that misbehaves when told to.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use rohrpost_crypto::policy::Policy;
use rohrpost_crypto::{DigestAlgorithm, SystemRandom};
use rohrpost_osci::algorithms::Encryption;
use rohrpost_osci::card::{InspectionReport, ProcessCard, ProcessCardBundle, Timestamp};
use rohrpost_osci::compose::{OutAttachment, OutContent, OutDelivery, Outgoing, Signing};
use rohrpost_osci::dialog::{Client, ControlBlock, Fresh, Implicit, IntermediaryDialog, Tolerance, answer_implicit};
use rohrpost_osci::envelope::{Limits, SignedBy};
use rohrpost_osci::fault::Fault;
use rohrpost_osci::feedback::{Code, Feedback, Language};
use rohrpost_osci::header::{
    CertificateEntry, CertificateRole, CertificateUse, CustomBlock, IntermediaryCertificates,
    NonIntermediaryCertificates,
};
use rohrpost_osci::ids::{Challenge, ConversationId, MessageId};
use rohrpost_osci::message::{
    Request, ResponseHeader, ResponseToExitDialog, ResponseToFetchDelivery, ResponseToFetchProcessCard,
    ResponseToGetMessageId, ResponseToInitDialog, ResponseToStoreDelivery, StoreDelivery,
};
use rohrpost_osci::mime;
use rohrpost_osci::ns::MessageType;
use rohrpost_osci::selection::{CardRule, DeliverySelection};
use rohrpost_pipeline::keyring::KeyRing;
use rohrpost_pipeline::open::{Opened, open};
use rohrpost_pipeline::read::read;
use rohrpost_pipeline::seal::{Recipient, seal};
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_pipeline::verify::{SignatureState, Signer, verify};
use rohrpost_pki::Certificate;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::http::{self, Reaction};
use crate::keys;

pub(crate) const NOW: OffsetDateTime = datetime!(2026-12-01 12:00 UTC);

/// What goes wrong with one request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Quirk {
    /// Everything is fine.
    None,
    /// The order is executed, and the connection breaks.
    LoseAnswer,
    /// The connection breaks before anything is done.
    LoseRequest,
    /// HTTP 503; nothing is done.
    Busy,
    /// This fault; nothing is done.
    Fault(Code),
    /// This code in the regular answer; nothing is done.
    Refuse(Code),
    /// The answer is not signed.
    Unsigned,
    /// The answer is not encrypted.
    InClear,
    /// The answer is signed by somebody else, who says so.
    OtherSigner,
    /// The answer echoes another challenge.
    OtherChallenge,
    /// The answer is that to another order.
    OtherType,
    /// The answer is changed in the middle.
    Damaged,
    /// The answer is no MIME message.
    Garbage,
    /// Executed, but without what the order was about.
    Lacking,
}

/// The intermediary.
pub(crate) struct Fake {
    keys: KeyRing,
    spools: SpoolDir,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    quirks: VecDeque<Quirk>,
    issued: u32,
    used: HashSet<MessageId>,
    deliveries: Vec<Delivery>,
    dialogs: HashMap<ConversationId, IntermediaryDialog>,
    orders: Vec<MessageType>,
}

struct Delivery {
    addressee: Vec<u8>,
    originator: Vec<u8>,
    card: ProcessCardBundle,
    certificates: NonIntermediaryCertificates,
    custom: Vec<CustomBlock>,
    opened: Opened,
    package: OutContent,
}

/// The answer to a request without its protection.
struct Plain {
    outgoing: Outgoing,
    cipher: Option<Vec<u8>>,
}

impl Fake {
    pub(crate) fn new(spools: SpoolDir) -> Arc<Self> {
        Arc::new(Self { keys: keys::ring("intermediary"), spools, state: Mutex::default() })
    }

    /// What goes wrong with the next requests, one after the other.
    pub(crate) fn next(&self, quirks: impl IntoIterator<Item = Quirk>) {
        self.state.lock().unwrap().quirks.extend(quirks);
    }

    /// The orders that came so far, executed or not.
    pub(crate) fn orders(&self) -> Vec<MessageType> {
        self.state.lock().unwrap().orders.clone()
    }

    /// How many deliveries were stored, and how many of them received.
    pub(crate) fn deliveries(&self) -> (usize, usize) {
        let state = self.state.lock().unwrap();
        let received = state.deliveries.iter().filter(|delivery| delivery.card.card.reception.is_some());
        (state.deliveries.len(), received.count())
    }

    /// A request as bytes to an answer as bytes.
    pub(crate) fn react(&self, request: http::Request) -> Reaction {
        let quirk = self.state.lock().unwrap().quirks.pop_front().unwrap_or(Quirk::None);
        match quirk {
            Quirk::LoseRequest => return Reaction::AnswerAndClose(Vec::new()),
            Quirk::Busy => return Reaction::Answer(http::with_status("503 Busy", "Retry-After: 0\r\n", b"")),
            Quirk::Fault(code) => return fault(code),
            Quirk::Garbage => return Reaction::Answer(http::ok(b"<html>it works</html>")),
            _ => {}
        }
        let answer = self.handle(Spool::from_bytes(request.body), &quirk);
        match (quirk, answer) {
            (_, Err(code)) => fault(code),
            (Quirk::LoseAnswer, Ok(_)) => Reaction::AnswerAndClose(Vec::new()),
            (Quirk::Damaged, Ok(mut bytes)) => {
                let at = bytes.len() - 100;
                bytes[at] ^= 1;
                Reaction::Answer(http::ok(&bytes))
            }
            (_, Ok(bytes)) => Reaction::Answer(http::ok(&bytes)),
        }
    }

    fn handle(&self, request: Spool, quirk: &Quirk) -> Result<Vec<u8>, Code> {
        let (policy, limits) = (Policy::standard(), Limits::default());
        let opened = open(request, &self.keys, &policy, NOW, &self.spools, &SystemRandom, &mime::Limits::default());
        let opened = opened.map_err(|error| error.code())?;
        let encrypted = opened.protection().is_some();
        let message = read(opened, &limits).map_err(|error| error.code())?;
        let order = Request::parse(message.envelope()).map_err(|_| Code::NotAMessage)?;
        let mut state = self.state.lock().unwrap();
        state.orders.push(order.message_type());
        let remembered = state.client(order.control());
        let signer =
            Signer::Client { remembered: remembered.as_ref().and_then(|c| c.signature_certificate.as_deref()) };
        let verified = verify(message, signer, &policy, NOW, &limits);
        let signed = verified.is_signed();
        assert!(!matches!(verified.signature(), SignatureState::Refused(_)), "{:?}", verified.signature());
        let (opened, envelope) = verified.into_read().into_parts();
        let package = envelope.body().package().map(|place| {
            OutContent::received(Arc::new(opened.message().clone()), opened.parts().root().range.start, place)
        });
        let plain = state.execute(order, opened, package, encrypted, self, quirk)?;
        let signer = match quirk {
            Quirk::Unsigned => None,
            Quirk::OtherSigner => Some(keys::signature("mallory-signature")),
            _ => self.keys.signature().filter(|_| signed).cloned(),
        };
        let signing = signer.as_ref().map(|pair| Signing {
            signer: &*pair.key,
            by: SignedBy::Supplier,
            certificate_id: Some("intermed_signature"),
            digest: DigestAlgorithm::Sha256,
        });
        let recipient = plain.cipher.filter(|_| encrypted && *quirk != Quirk::InClear).map(|der| Recipient {
            certificate: Certificate::from_der(&der).unwrap(),
            encryption: Encryption::STANDARD,
        });
        let sealed = seal(&plain.outgoing, signing.as_ref(), recipient.as_ref(), &self.spools, &SystemRandom).unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut sealed.reader(0..sealed.len()), &mut bytes).unwrap();
        Ok(bytes)
    }

    fn header(&self, control: ControlBlock, quirk: &Quirk) -> ResponseHeader {
        let pair = match quirk {
            Quirk::OtherSigner => keys::signature("mallory-signature"),
            _ => self.keys.signature().unwrap().clone(),
        };
        let (role, purpose) = (CertificateRole::Intermediary, CertificateUse::Signature);
        let id = "intermed_signature".to_owned();
        let entry = CertificateEntry { role, purpose, id, der: pair.certificate.der().to_vec() };
        let intermediary = Some(IntermediaryCertificates { cipher: None, signature: Some(entry) });
        ResponseHeader { control, intermediary, ..ResponseHeader::default() }
    }
}

impl State {
    fn client(&self, control: &ControlBlock) -> Option<Client> {
        let id = control.conversation_id.as_ref()?;
        self.dialogs.get(id).map(|dialog| dialog.client().clone())
    }

    fn execute(
        &mut self,
        order: Request,
        opened: Opened,
        package: Option<OutContent>,
        encrypted: bool,
        fake: &Fake,
        quirk: &Quirk,
    ) -> Result<Plain, Code> {
        let (mut control, cipher) = self.control(&order, encrypted)?;
        let explicit = control.challenge.is_some();
        if *quirk == Quirk::OtherChallenge {
            control.response = Some(Challenge::new("other").unwrap());
        }
        let header = fake.header(control, quirk);
        let done = if explicit { Code::ExecutedDialogOpen } else { Code::ExecutedDialogClosed };
        let feedback = |code| Feedback::new(code, Language::English);
        let refused = match quirk {
            Quirk::Refuse(code) => Some(*code),
            _ => None,
        };
        let result = |ok: bool, code| feedback(refused.unwrap_or(if ok { done } else { code }));
        if *quirk == Quirk::OtherType {
            let answer = ResponseToGetMessageId { header, feedback: feedback(done), message_id: None };
            return Ok(Plain { outgoing: answer.compose().unwrap(), cipher });
        }
        let outgoing = match order {
            Request::InitDialog(_) => ResponseToInitDialog { header, feedback: result(true, done) }.compose(),
            Request::ExitDialog(_) => {
                let feedback = feedback(Code::ExecutedDialogClosed);
                ResponseToExitDialog { header, feedback }.compose()
            }
            Request::GetMessageId(_) => {
                self.issued += 1;
                let id = MessageId::new(format!("fake-{}", self.issued)).unwrap();
                let message_id = (*quirk != Quirk::Lacking).then_some(id);
                ResponseToGetMessageId { header, feedback: result(true, done), message_id }.compose()
            }
            Request::StoreDelivery(order) => {
                let fresh = refused.is_none() && self.store(order, opened, package.unwrap());
                let card = fresh.then(|| self.deliveries.last().unwrap().card.clone());
                ResponseToStoreDelivery { header, feedback: result(fresh, Code::MessageIdIllegal), card }.compose()
            }
            Request::FetchDelivery(order) => {
                let conversation = header.control.conversation_id.clone().unwrap();
                let found = self.fetch(&order.selection, cipher.as_deref().unwrap(), &conversation);
                let Some((at, more)) = found else {
                    let feedback = feedback(Code::NoMatchingDelivery);
                    let answer = ResponseToFetchDelivery { header, feedback, selection: None, card: None };
                    return Ok(Plain { outgoing: answer.compose(None).unwrap(), cipher });
                };
                let delivery = &self.deliveries[at];
                let mut feedback = feedback(done);
                if more {
                    feedback.add(Code::FurtherDeliveries);
                }
                let card = (*quirk != Quirk::Lacking).then(|| delivery.card.clone());
                let (certificates, custom) = (delivery.certificates.clone(), delivery.custom.clone());
                let header = ResponseHeader { certificates, custom, ..header };
                ResponseToFetchDelivery { header, feedback, selection: Some(order.selection), card }
                    .compose(Some(delivery.out()))
            }
            Request::FetchProcessCard(order) => {
                let CardRule::ByIds(ids) = order.selection.rule.clone() else { panic!("the fake knows ids only") };
                let me = cipher.as_deref().unwrap();
                let wanted = |delivery: &&Delivery| {
                    ids.contains(&delivery.card.message_id) && (delivery.originator == me || delivery.addressee == me)
                };
                let cards: Vec<_> = self.deliveries.iter().filter(wanted).map(|d| d.card.clone()).collect();
                let feedback = result(!cards.is_empty(), Code::NoMatchingProcessCard);
                ResponseToFetchProcessCard { header, feedback, selection: Some(order.selection), cards }.compose()
            }
            _ => return Err(Code::NotAnOrder),
        };
        Ok(Plain { outgoing: outgoing.unwrap(), cipher })
    }

    /// The control block of the answer, and for whom that is encrypted.
    fn control(&mut self, order: &Request, encrypted: bool) -> Result<(ControlBlock, Option<Vec<u8>>), Code> {
        let fresh = || Fresh {
            conversation_id: ConversationId::generate(&SystemRandom),
            challenge: Challenge::generate(&SystemRandom),
        };
        let of = |purpose| order.header().certificates.first(CertificateRole::Originator, purpose);
        let cipher = of(CertificateUse::Cipher).map(|entry| entry.der.clone());
        let violated = |_| Code::DialogViolated;
        if let Request::InitDialog(_) = order {
            let client = Client {
                cipher_certificate: cipher.clone().unwrap().into(),
                signature_certificate: of(CertificateUse::Signature).map(|entry| entry.der.clone().into()),
            };
            let (dialog, control) =
                IntermediaryDialog::open(order.control(), client, encrypted, fresh()).map_err(violated)?;
            self.dialogs.insert(dialog.id().clone(), dialog);
            return Ok((control, cipher));
        }
        let Some(id) = &order.control().conversation_id else {
            let kind = order.message_type();
            return match answer_implicit(kind, order.control(), fresh()).map_err(violated)? {
                Implicit::Accepted(control) => Ok((control, cipher)),
                Implicit::ExplicitDialogNeeded(_) => Err(Code::NotAMessage),
            };
        };
        let dialog = self.dialogs.get_mut(id).ok_or(Code::DialogViolated)?;
        let turn =
            dialog.check(order.message_type(), order.control(), encrypted, &Tolerance::default()).map_err(violated)?;
        for id in dialog.take_acknowledged(turn) {
            let delivery = self.deliveries.iter_mut().find(|delivery| delivery.card.message_id == id).unwrap();
            delivery.card.card.reception = Some(Timestamp::Plain(NOW.into()));
        }
        let cipher = dialog.client().cipher_certificate.to_vec();
        Ok((dialog.answer(Challenge::generate(&SystemRandom)), Some(cipher)))
    }

    fn store(&mut self, order: StoreDelivery, opened: Opened, package: OutContent) -> bool {
        let id = order.message_id.unwrap();
        let der = |role| order.header.certificates.first(role, CertificateUse::Cipher).unwrap().der.clone();
        if !id.as_str().starts_with("fake-") || !self.used.insert(id.clone()) {
            return false;
        }
        let card = ProcessCard {
            recent_modification: NOW.into(),
            creation: Some(Timestamp::Plain(NOW.into())),
            forwarding: None,
            reception: None,
            subject: order.subject,
        };
        self.deliveries.push(Delivery {
            addressee: der(CertificateRole::Addressee),
            originator: der(CertificateRole::Originator),
            card: ProcessCardBundle { message_id: id, card, report: InspectionReport::default() },
            certificates: order.header.certificates,
            custom: order.header.custom,
            opened,
            package,
        });
        true
    }

    fn fetch(&mut self, rule: &DeliverySelection, me: &[u8], dialog: &ConversationId) -> Option<(usize, bool)> {
        let matches = |delivery: &Delivery| {
            delivery.addressee == me
                && match rule {
                    DeliverySelection::Oldest => delivery.card.card.reception.is_none(),
                    DeliverySelection::ById(id) => delivery.card.message_id == *id,
                    DeliverySelection::Since(_) => true,
                }
        };
        let mut found = (0..self.deliveries.len()).filter(|at| matches(&self.deliveries[*at]));
        let (first, more) = (found.next()?, found.next().is_some());
        let delivery = &mut self.deliveries[first];
        delivery.card.card.forwarding = Some(Timestamp::Plain(NOW.into()));
        self.dialogs.get_mut(dialog).unwrap().hand_out(delivery.card.message_id.clone());
        Some((first, more))
    }
}

impl Delivery {
    fn out(&self) -> OutDelivery {
        let message = || Arc::new(self.opened.message().clone());
        let attachment =
            |part: &mime::Part| OutAttachment::received(message(), part, part.range.end - part.range.start, None);
        let attachments = self.opened.parts().attachments().iter().map(attachment).collect();
        OutDelivery { package: self.package.clone(), attachments }
    }
}

fn fault(code: Code) -> Reaction {
    Reaction::Answer(http::ok(&Fault::new(code, Language::English).write(Vec::new()).unwrap()))
}
