//! The passive recipient of a run: does what the path of its address says, and looks at what the intermediary brings.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use rohrpost_crypto::SystemRandom;
use rohrpost_crypto::policy::Policy;
use rohrpost_osci::compose::Outgoing;
use rohrpost_osci::dialog::answer_intermediary;
use rohrpost_osci::envelope::{Limits, SignedBy};
use rohrpost_osci::fault::Fault;
use rohrpost_osci::feedback::{Code, Feedback, Language};
use rohrpost_osci::header::{
    CertificateEntry, CertificateRole, CertificateUse, NonIntermediaryCertificates, TimestampQuality,
};
use rohrpost_osci::message::{
    RecipientRequest, ReplyWithCard, ResponseHeader, ResponseToAcceptDelivery, ResponseToProcessDelivery,
};
use rohrpost_osci::mime;
use rohrpost_pipeline::keyring::KeyRing;
use rohrpost_pipeline::open::open;
use rohrpost_pipeline::read::read;
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_pipeline::verify::{SignatureState, Signer, verify};
use rohrpost_pki::{Certificate, KeyEntry};
use time::OffsetDateTime;

use crate::check::stamps;
use crate::order::content;
use crate::setup::{Flaw, Setup};
use crate::talk::{Damage, Hand, words, write};
use crate::trial::Miss;

/// What the recipient does with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Take,
    Refuse,
    Fail,
    HangUp,
    Unsigned,
    Clear,
    WrongSignature,
    NoReply,
    Signed(Flaw),
}

const PATHS: [(Act, &str); 11] = [
    (Act::Take, "take"),
    (Act::Refuse, "refuse"),
    (Act::Fail, "fail"),
    (Act::HangUp, "hang-up"),
    (Act::Unsigned, "unsigned"),
    (Act::Clear, "clear"),
    (Act::WrongSignature, "wrong-signature"),
    (Act::NoReply, "no-reply"),
    (Act::Signed(Flaw::Expired), "signed-expired"),
    (Act::Signed(Flaw::Corrupted), "signed-corrupted"),
    (Act::Signed(Flaw::Revoked), "signed-revoked"),
];

/// The paths below the address of a [`Recipient`] that an intermediary has to be able to reach.
pub fn paths() -> impl Iterator<Item = &'static str> {
    PATHS.iter().map(|(_, path)| *path)
}

impl Act {
    /// What makes an intermediary answer with this code.
    pub(crate) fn of(code: Code) -> Self {
        match code {
            Code::RecipientRefused => Self::Refuse,
            Code::RecipientFailed => Self::Fail,
            Code::ForwardingFailedAfterRecipient => Self::HangUp,
            Code::ReplyUnsigned => Self::Unsigned,
            Code::ReplyUnencrypted => Self::Clear,
            Code::ReplySignatureWrong => Self::WrongSignature,
            Code::ReplyWithoutDelivery => Self::NoReply,
            Code::RecipientSignatureCertificateOutsideValidity => Self::Signed(Flaw::Expired),
            Code::RecipientSignatureCertificateCorrupted => Self::Signed(Flaw::Corrupted),
            Code::RecipientSignatureCertificateRevoked => Self::Signed(Flaw::Revoked),
            _ => Self::Take,
        }
    }

    pub(crate) fn path(self) -> &'static str {
        PATHS.iter().find(|(act, _)| *act == self).map_or("take", |(_, path)| path)
    }

    fn named(path: &str) -> Option<Self> {
        let last = path.rsplit('/').next()?;
        PATHS.iter().find(|(_, path)| *path == last).map(|(act, _)| *act)
    }
}

/// The passive recipient.
pub struct Recipient {
    setup: Arc<Setup>,
    keys: KeyRing,
    now: fn() -> OffsetDateTime,
    deviations: Mutex<Vec<String>>,
}

impl Recipient {
    /// The addressee of the setup.
    ///
    /// # Errors
    /// If its keys cannot be used.
    pub fn new(setup: Arc<Setup>, now: fn() -> OffsetDateTime) -> Result<Self, String> {
        Ok(Self { keys: setup.keys()?, setup, now, deviations: Mutex::default() })
    }

    /// What was wrong with what the intermediary brought.
    pub fn deviations(&self) -> Vec<String> {
        let mut all = self.deviations.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.sort();
        all.dedup();
        all
    }

    /// Answers requests on threads of its own, as long as the process lives.
    pub fn listen(self: &Arc<Self>, listener: TcpListener) {
        let recipient = Arc::clone(self);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let recipient = Arc::clone(&recipient);
                // Whoever breaks off gets no answer.
                std::thread::spawn(move || drop(recipient.serve(stream)));
            }
        });
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let (path, body) = request(&mut stream)?;
        let answer = match Act::named(&path) {
            Some(Act::HangUp) => return Ok(()),
            Some(act) => self.answer(act, body).unwrap_or_else(|deviation| {
                self.deviations.lock().unwrap_or_else(PoisonError::into_inner).push(deviation);
                fault(Code::NotAMessage)
            }),
            None => fault(Code::NotAnOrder),
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            answer.len()
        );
        let stream = stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(&answer)
    }

    /// The answer to a request that is as it has to be; in words what is wrong with it.
    fn answer(&self, act: Act, message: Vec<u8>) -> Result<Vec<u8>, String> {
        let request = self.understand(message)?;
        if act == Act::Fail {
            return Ok(fault(Code::InternalError));
        }
        let (key, der) = match act {
            Act::Signed(flaw) => self.setup.key(CertificateUse::Signature, flaw)?,
            _ => own(&self.setup.addressee.signature),
        };
        let (outgoing, signer_id) = reply(act, &request, &self.setup, der).map_err(|miss| match miss {
            Miss::Failed(what) => what,
            Miss::Skipped(why) => why.to_owned(),
        })?;
        let hand = Hand { key, certificate_id: signer_id, by: SignedBy::Supplier };
        let hand = (act != Act::Unsigned).then_some(hand);
        let cipher = request.intermediary().and_then(|own| own.cipher.as_ref());
        let whom = cipher.ok_or("the request names no cipher certificate of the intermediary")?;
        let whom = Certificate::from_der(&whom.der).map_err(words)?;
        let damage = if act == Act::WrongSignature { Damage::SignatureValue } else { Damage::None };
        write(&outgoing, hand.as_ref(), (act != Act::Clear).then_some(&whom), damage)
    }

    fn understand(&self, message: Vec<u8>) -> Result<RecipientRequest, String> {
        let now = (self.now)();
        let (policy, limits) = (Policy::standard(), Limits::default());
        let spools = SpoolDir::new(std::env::temp_dir());
        let spool = Spool::from_bytes(message);
        let opened = open(spool, &self.keys, &policy, now, &spools, &SystemRandom, &mime::Limits::default());
        let opened = opened.map_err(words)?;
        if opened.protection().is_none() {
            return Err("the request of the intermediary is not encrypted".to_owned());
        }
        let expected = self.setup.intermediary_signature.as_ref().map(Certificate::der);
        let read = read(opened, &limits).map_err(words)?;
        let verified = verify(read, Signer::Intermediary { expected }, &policy, now, &limits);
        match verified.signature() {
            SignatureState::Covered { proof, .. } if proof.by() == SignedBy::Client => {}
            state => return Err(format!("the request of the intermediary is not properly signed: {state:?}")),
        }
        let request = RecipientRequest::parse(verified.read().envelope()).map_err(words)?;
        if let Some(card) = request.card() {
            stamps(card, true, Some(true), Some(false)).map_err(|what| format!("the process card brought: {what}"))?;
        }
        Ok(request)
    }
}

fn own(key: &KeyEntry) -> (&KeyEntry, Vec<u8>) {
    (key, key.certificate.der().to_vec())
}

/// What is said to a request, and the `Id` of the certificate it is signed with.
fn reply(act: Act, request: &RecipientRequest, setup: &Setup, signer: Vec<u8>) -> Result<(Outgoing, String), Miss> {
    let control = answer_intermediary(request.message_type(), request.control()).map_err(words)?;
    let code = if act == Act::Refuse { Code::RecipientRefused } else { Code::ExecutedDialogClosed };
    let feedback = Feedback::new(code, Language::German);
    let wants_reply = matches!(request, RecipientRequest::ProcessDelivery(_));
    let role = if wants_reply { CertificateRole::Originator } else { CertificateRole::Addressee };
    let entry = CertificateEntry::new(role, CertificateUse::Signature, 0, signer);
    let signer_id = entry.id.clone();
    let mut entries = Vec::new();
    if act != Act::Unsigned {
        entries.push(entry);
    }
    if wants_reply {
        let mut add = |role, key: &KeyEntry| {
            entries.push(CertificateEntry::new(role, CertificateUse::Cipher, 0, key.certificate.der()));
        };
        add(CertificateRole::Originator, &setup.addressee.cipher);
        add(CertificateRole::Addressee, &setup.client.cipher);
    }
    let certificates = NonIntermediaryCertificates::new(entries)?;
    let header = ResponseHeader { control, certificates, ..ResponseHeader::default() };
    let outgoing = match request {
        RecipientRequest::ProcessDelivery(request) => {
            let with_card = request.with_card.as_ref().map(|with_card| ReplyWithCard {
                message_id: with_card.reply_id.clone(),
                subject: Some("Antwort".to_owned()),
                creation: TimestampQuality::Plain,
                reception: TimestampQuality::Plain,
            });
            let content = if matches!(act, Act::NoReply | Act::Refuse) { None } else { Some(content()?) };
            ResponseToProcessDelivery { header, feedback, with_card }.compose(content)?
        }
        _ => ResponseToAcceptDelivery { header, feedback }.compose()?,
    };
    Ok((outgoing, signer_id))
}

fn fault(code: Code) -> Vec<u8> {
    Fault::new(code, Language::German).write(Vec::new()).unwrap_or_default()
}

/// Path and body of a request.
fn request(stream: &mut impl BufRead) -> io::Result<(String, Vec<u8>)> {
    let broken = || io::Error::from(io::ErrorKind::InvalidData);
    let first = line(stream)?;
    let path = first.split(' ').nth(1).ok_or_else(broken)?.to_owned();
    let (mut length, mut chunked) = (0, false);
    loop {
        let header = line(stream)?.to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(|_| broken())?;
        }
        chunked |= header.starts_with("transfer-encoding:") && header.contains("chunked");
    }
    let mut body = Vec::new();
    if !chunked {
        take(stream, length, &mut body)?;
        return Ok((path, body));
    }
    loop {
        let size = line(stream)?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| broken())?;
        if size == 0 {
            return Ok((path, body));
        }
        take(stream, size, &mut body)?;
        line(stream)?;
    }
}

/// More than any request here has.
const MAX_BODY: u64 = 16 << 20;
const MAX_LINE: u64 = 16 << 10;

fn take(stream: &mut impl BufRead, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    let wanted = body.len() as u64 + length;
    if length > MAX_BODY || wanted > MAX_BODY {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    stream.take(length).read_to_end(body)?;
    if body.len() as u64 == wanted { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    stream.take(MAX_LINE).read_line(&mut line)?;
    if !line.ends_with('\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
