//! A passive recipient, reached by a courier that does what the test says.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rohrpost_crypto::policy::Policy;
use rohrpost_crypto::{DigestAlgorithm, SystemRandom};
use rohrpost_intermediary::{Courier, Returned, Undelivered};
use rohrpost_osci::algorithms::Encryption;
use rohrpost_osci::card::ProcessCardBundle;
use rohrpost_osci::compose::Signing;
use rohrpost_osci::dialog::answer_intermediary;
use rohrpost_osci::envelope::{BlockKind, Limits, SignedBy};
use rohrpost_osci::fault::Fault;
use rohrpost_osci::feedback::{Code, Feedback, Language};
use rohrpost_osci::header::{
    CertificateEntry, CertificateRole, CertificateUse, NonIntermediaryCertificates, TimestampQuality,
};
use rohrpost_osci::ids::{Challenge, MessageId};
use rohrpost_osci::message::{
    RecipientRequest, ReplyWithCard, ResponseHeader, ResponseToAcceptDelivery, ResponseToProcessDelivery,
};
use rohrpost_osci::mime;
use rohrpost_pipeline::open::open;
use rohrpost_pipeline::read::read;
use rohrpost_pipeline::seal::{Recipient as SealedFor, seal};
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_pipeline::verify::{SignatureState, Signer, Verified, verify};
use rohrpost_pki::Certificate;
use time::OffsetDateTime;

use super::{Delivered, NOW, content, der, key, key_ring, rsa_signer};

/// What happens to a message on its way or at the recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Taken, answered as the protocol says.
    Take,
    Refuse(Code),
    Fault(Code),
    Unsigned,
    InClear,
    /// Signed by somebody else.
    SignedBy(&'static str),
    /// Signed, and changed afterwards.
    Tampered,
    OtherChallenge,
    Garbage,
    /// A message that was recorded elsewhere.
    Replay(&'static [u8]),
    /// A reply without content.
    Empty,
    OtherReplyId,
    /// Nobody is there.
    Unreachable,
    /// Nobody will ever be there.
    Forbidden,
    /// It arrived and was taken, and the answer was lost.
    AnswerLost,
}

/// What the recipient got.
#[derive(Debug, Clone)]
pub struct Got {
    pub card: Option<ProcessCardBundle>,
    pub reply_id: Option<MessageId>,
    pub data: Vec<u8>,
    pub certificates: NonIntermediaryCertificates,
    pub custom: Vec<String>,
    pub languages: Vec<String>,
}

/// Bob, who listens at [`Recipient::URL`].
#[derive(Default)]
pub struct Recipient {
    acts: Mutex<VecDeque<Act>>,
    got: Mutex<Vec<Got>>,
    attempts: Mutex<u32>,
    now: Mutex<Option<OffsetDateTime>>,
    unlisted: AtomicBool,
}

/// How the courier calls Bob.
const NAME: &str = "Bob";

impl Recipient {
    pub const URL: &'static str = "https://bob.example/osci";

    /// One that does these things one after the other and then takes what comes.
    pub fn that(acts: impl IntoIterator<Item = Act>) -> Arc<Self> {
        Arc::new(Self { acts: Mutex::new(acts.into_iter().collect()), ..Self::default() })
    }

    /// What it got so far.
    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// How often somebody tried to reach it.
    pub fn attempts(&self) -> u32 {
        *self.attempts.lock().unwrap()
    }

    /// Takes it off the operator's list, or puts it there again.
    pub fn unlist(&self, unlisted: bool) {
        self.unlisted.store(unlisted, Ordering::Relaxed);
    }

    /// When its answers arrive from now on.
    pub fn answers_at(&self, at: OffsetDateTime) {
        *self.now.lock().unwrap() = Some(at);
    }

    fn now(&self) -> OffsetDateTime {
        self.now.lock().unwrap().unwrap_or(NOW)
    }

    fn undelivered(&self, may_have_arrived: bool, may_pass: bool) -> Undelivered {
        let down = !may_have_arrived;
        Undelivered { may_have_arrived, may_pass, down, reason: "as the test says".to_owned(), at: self.now() }
    }

    fn answer(&self, act: Act, message: &Spool) -> Vec<u8> {
        let verified = opened(message);
        let request = RecipientRequest::parse(verified.read().envelope()).unwrap();
        let mut control = answer_intermediary(request.message_type(), request.control()).unwrap();
        self.got.lock().unwrap().push(got(&verified, &request));
        if act == Act::OtherChallenge {
            control.response = Some(Challenge::generate(&SystemRandom));
        }
        let feedback = match act {
            Act::Refuse(code) => Feedback::new(code, Language::English),
            _ => Feedback::new(Code::ExecutedDialogClosed, Language::English),
        };
        let wants_reply = matches!(request, RecipientRequest::ProcessDelivery(_));
        let signer = match act {
            Act::Unsigned => None,
            Act::SignedBy(name) => Some(name),
            _ => Some("bob-signature"),
        };
        let mut certificates = Vec::new();
        let mut add = |role, purpose, name: &str| {
            certificates.push(CertificateEntry::new(role, purpose, 0, der(name)));
        };
        if let Some(signer) = signer {
            let role = if wants_reply { CertificateRole::Originator } else { CertificateRole::Addressee };
            add(role, CertificateUse::Signature, signer);
        }
        if wants_reply {
            add(CertificateRole::Originator, CertificateUse::Cipher, "bob-cipher");
            add(CertificateRole::Addressee, CertificateUse::Cipher, "alice-cipher");
        }
        let certificates = NonIntermediaryCertificates::new(certificates).unwrap();
        let signer_id = certificates.entries().first().map(|entry| entry.id.clone());
        let header = ResponseHeader { control, certificates, ..ResponseHeader::default() };
        let outgoing = match &request {
            RecipientRequest::AcceptDelivery(_) => ResponseToAcceptDelivery { header, feedback }.compose().unwrap(),
            RecipientRequest::ProcessDelivery(request) => {
                let with_card = request.with_card.as_ref().map(|with_card| ReplyWithCard {
                    message_id: match act {
                        Act::OtherReplyId => MessageId::new("another").unwrap(),
                        _ => with_card.reply_id.clone(),
                    },
                    subject: Some("Antwort".to_owned()),
                    creation: TimestampQuality::Plain,
                    reception: TimestampQuality::Plain,
                });
                let empty = act == Act::Empty || matches!(act, Act::Refuse(_));
                let reply = (!empty).then(|| content(b"Ja", &[("bescheid.pdf", b"Bescheid")]));
                ResponseToProcessDelivery { header, feedback, with_card }.compose(reply).unwrap()
            }
            _ => unreachable!("there are no others"),
        };
        let signer = signer.map(rsa_signer);
        let signing = signer.as_ref().map(|signer| Signing {
            signer,
            by: SignedBy::Supplier,
            certificate_id: signer_id.as_deref(),
            digest: DigestAlgorithm::Sha256,
        });
        let cipher = request.intermediary().and_then(|own| own.cipher.as_ref()).expect("our cipher certificate");
        let whom =
            SealedFor { certificate: Certificate::from_der(&cipher.der).unwrap(), encryption: Encryption::STANDARD };
        let whom = (!matches!(act, Act::InClear | Act::Tampered)).then_some(whom);
        let spools = SpoolDir::new(std::env::temp_dir());
        let sealed = seal(&outgoing, signing.as_ref(), whom.as_ref(), &spools, &SystemRandom).unwrap();
        let bytes = bytes(&sealed);
        match act {
            Act::Tampered => String::from_utf8(bytes).unwrap().replacen("0800", "0801", 1).into_bytes(),
            _ => bytes,
        }
    }
}

impl Courier for Recipient {
    fn known(&self, receiver: &str) -> Option<String> {
        let listed = receiver == Self::URL && !self.unlisted.load(Ordering::Relaxed);
        listed.then(|| NAME.to_owned())
    }

    fn carry(&self, receiver: &str, message: &Spool, _answers: &SpoolDir) -> Result<Returned, Undelivered> {
        assert_eq!(receiver, NAME);
        *self.attempts.lock().unwrap() += 1;
        let act = self.acts.lock().unwrap().pop_front().unwrap_or(Act::Take);
        let answer = match act {
            Act::Unreachable => return Err(self.undelivered(false, true)),
            Act::Forbidden => return Err(self.undelivered(false, false)),
            Act::AnswerLost => {
                self.answer(Act::Take, message);
                return Err(self.undelivered(true, true));
            }
            Act::Garbage => b"<html>".to_vec(),
            Act::Replay(message) => message.to_vec(),
            Act::Fault(code) => Fault::new(code, Language::German).write(Vec::new()).unwrap(),
            act => self.answer(act, message),
        };
        Ok(Returned { message: Spool::from_bytes(answer), at: self.now() })
    }
}

/// The request as Bob reads it: encrypted for him and signed by the intermediary.
fn opened(message: &Spool) -> Verified {
    let (policy, spools) = (Policy::standard(), SpoolDir::new(std::env::temp_dir()));
    let keys = key_ring(key("bob-cipher"), None);
    let opened = open(message.clone(), &keys, &policy, NOW, &spools, &SystemRandom, &mime::Limits::default()).unwrap();
    assert!(opened.protection().is_some(), "not encrypted");
    let read = read(opened, &Limits::default()).unwrap();
    let verified = verify(read, Signer::Intermediary { expected: None }, &policy, NOW, &Limits::default());
    let SignatureState::Covered { proof, .. } = verified.signature() else { panic!("{:?}", verified.signature()) };
    assert_eq!(proof.by(), SignedBy::Client);
    verified
}

fn got(verified: &Verified, request: &RecipientRequest) -> Got {
    let envelope = verified.read().envelope();
    let reply_id = match request {
        RecipientRequest::ProcessDelivery(request) => request.with_card.as_ref().map(|card| card.reply_id.clone()),
        _ => None,
    };
    Got {
        card: request.card().cloned(),
        reply_id,
        data: Delivered::data(&Delivered::package(verified).unwrap()).remove(0).1,
        certificates: request.header().certificates.clone(),
        custom: envelope.blocks_of(BlockKind::Custom).map(|block| block.canonical.clone()).collect(),
        languages: request.header().languages.as_ref().map(|l| l.tags().to_vec()).unwrap_or_default(),
    }
}

fn bytes(spool: &Spool) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut spool.reader(0..spool.len()), &mut bytes).unwrap();
    bytes
}
