//! One exchange with the intermediary: written, with a flaw where there is to be one, and read with all that belongs to an answer.

use std::io::Write as _;

use rohrpost_crypto::policy::Policy;
use rohrpost_crypto::{DigestAlgorithm, SignatureAlgorithm, SystemRandom};
use rohrpost_osci::algorithms::Encryption;
use rohrpost_osci::compose::{Outgoing, Signing};
use rohrpost_osci::encrypted::{EncryptedWriter, Recipient};
use rohrpost_osci::envelope::{Limits, SignedBy};
use rohrpost_osci::fault::Fault;
use rohrpost_osci::message::Response;
use rohrpost_osci::mime::{self, Boundary, Encoding};
use rohrpost_osci::ns::{MessageType, OSCI2017};
use rohrpost_pipeline::keyring::KeyRing;
use rohrpost_pipeline::open::open;
use rohrpost_pipeline::read::read;
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_pipeline::verify::{SignatureState, Signer, Verified, verify};
use rohrpost_pki::{Certificate, KeyEntry};
use time::OffsetDateTime;

use crate::matrix::carries_delivery;

/// What is done to a message while it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    None,
    /// The body loses its `Id`.
    Structure,
    /// It says that it is a message of another kind: see [`no_order`].
    NoOrder,
    /// A block is added behind the signature's back.
    UnsignedBlock,
    /// The value of the signature is another one.
    SignatureValue,
    /// One bit of the ciphertext is another one.
    Ciphertext,
}

/// Who signs: the key, and the `Id` of its certificate.
pub(crate) struct Hand<'a> {
    pub(crate) key: &'a KeyEntry,
    pub(crate) certificate_id: String,
    pub(crate) by: SignedBy,
}

/// Writes a message.
pub(crate) fn write(
    outgoing: &Outgoing,
    hand: Option<&Hand<'_>>,
    recipient: Option<&Certificate>,
    damage: Damage,
) -> Result<Vec<u8>, String> {
    let signer = match hand {
        Some(hand) => Some(hand.key.key.signer(SignatureAlgorithm::RsaSha256).map_err(words)?),
        None => None,
    };
    let signing = signer.as_ref().zip(hand).map(|(signer, hand)| Signing {
        signer,
        by: hand.by,
        certificate_id: Some(&hand.certificate_id),
        digest: DigestAlgorithm::Sha256,
    });
    let boundary = Boundary::generate(&SystemRandom);
    let mut message = outgoing.write(signing.as_ref(), &boundary, Vec::new()).map_err(words)?;
    spoil(&mut message, outgoing.message_type, damage)?;
    let Some(certificate) = recipient else { return Ok(message) };
    let public_key = certificate.public_key().map_err(words)?;
    let whom = Recipient { certificate: certificate.der(), public_key: &public_key };
    let sealed =
        EncryptedWriter::new(Vec::new(), &boundary, &Encryption::STANDARD, Encoding::Raw, &whom, &SystemRandom);
    let mut sealed = sealed.map_err(words)?;
    sealed.write_all(&message).map_err(words)?;
    let mut sealed = sealed.finish().map_err(words)?;
    if damage == Damage::Ciphertext {
        let middle = find(&sealed, b"osci_enc>").ok_or("there is no ciphertext")? + 64;
        *sealed.get_mut(middle).ok_or("the ciphertext is short")? ^= 1;
    }
    Ok(sealed)
}

fn spoil(message: &mut Vec<u8>, order: MessageType, damage: Damage) -> Result<(), String> {
    match damage {
        Damage::None | Damage::Ciphertext => Ok(()),
        Damage::Structure => replace(message, br#" Id="body""#, b""),
        Damage::NoOrder => {
            let other = no_order(order).ok_or("nothing is like it")?;
            replace(message, order.schema_location().as_bytes(), other.schema_location().as_bytes())?;
            if let (Some(from), Some(to)) = (order_block(order), order_block(other)) {
                replace(message, format!("<{from} ").as_bytes(), format!("<{to} ").as_bytes())?;
                replace(message, format!("</{from}>").as_bytes(), format!("</{to}>").as_bytes())?;
            }
            Ok(())
        }
        Damage::UnsignedBlock => {
            replace(message, b"</soap:Header>", br#"<x:block xmlns:x="urn:x" Id="x"></x:block></soap:Header>"#)
        }
        Damage::SignatureValue => {
            let at = find(message, b"<ds:SignatureValue>").ok_or("there is no signature")? + 19;
            message[at] = if message[at] == b'A' { b'B' } else { b'A' };
            Ok(())
        }
    }
}

fn replace(message: &mut Vec<u8>, from: &[u8], to: &[u8]) -> Result<(), String> {
    let at = find(message, from).ok_or_else(|| format!("{} does not occur", String::from_utf8_lossy(from)))?;
    message.splice(at..at + from.len(), to.iter().copied());
    Ok(())
}

fn find(message: &[u8], wanted: &[u8]) -> Option<usize> {
    message.windows(wanted.len()).position(|window| window == wanted)
}

/// The type of the answer to an order.
pub(crate) fn answer_to(order: MessageType) -> Option<MessageType> {
    use MessageType as M;
    Some(match order {
        M::InitDialog => M::ResponseToInitDialog,
        M::ExitDialog => M::ResponseToExitDialog,
        M::GetMessageId => M::ResponseToGetMessageId,
        M::StoreDelivery => M::ResponseToStoreDelivery,
        M::FetchDelivery => M::ResponseToFetchDelivery,
        M::FetchProcessCard => M::ResponseToFetchProcessCard,
        M::ForwardDelivery => M::ResponseToForwardDelivery,
        M::MediateDelivery => M::ResponseToMediateDelivery,
        M::PartialStoreDelivery => M::ResponseToPartialStoreDelivery,
        M::PartialFetchDelivery => M::ResponseToPartialFetchDelivery,
        _ => return None,
    })
}

/// The name of the header block that holds the order.
fn order_block(message: MessageType) -> Option<String> {
    let (namespace, name) = message.order_block()?;
    Some(if namespace == OSCI2017 { format!("osci2017:{name}") } else { format!("osci:{name}") })
}

/// A message that is built like the order and is none for an intermediary: what such a one sends itself.
pub(crate) fn no_order(order: MessageType) -> Option<MessageType> {
    if carries_delivery(order) { Some(MessageType::AcceptDelivery) } else { answer_to(order) }
}

/// What came back.
pub(crate) enum Answer {
    Fault(Fault),
    Regular(Box<Regular>),
}

/// An answer that is no fault.
pub(crate) struct Regular {
    pub(crate) verified: Verified,
    pub(crate) response: Response,
}

impl Regular {
    pub(crate) fn is_encrypted(&self) -> bool {
        self.verified.read().opened().protection().is_some()
    }

    /// Whether a signature holds that covers everything; an error if there is one that does not.
    pub(crate) fn is_signed(&self) -> Result<bool, String> {
        match self.verified.signature() {
            SignatureState::Covered { proof, .. } if proof.by() == SignedBy::Supplier => Ok(true),
            SignatureState::Absent => Ok(false),
            SignatureState::Refused(refusal) => Err(format!("its signature does not hold: {refusal}")),
            state => Err(format!("its signature is none of a supplier: {state:?}")),
        }
    }

    pub(crate) fn message_type(&self) -> MessageType {
        self.verified.read().envelope().message_type()
    }

    pub(crate) fn has_package(&self) -> bool {
        self.verified.read().envelope().body().package().is_some()
    }
}

/// Reads an answer.
pub(crate) fn understand(
    answer: Vec<u8>,
    keys: &KeyRing,
    signature: Option<&Certificate>,
    now: OffsetDateTime,
) -> Result<Answer, String> {
    let (policy, limits) = (Policy::standard(), Limits::default());
    let spools = SpoolDir::new(std::env::temp_dir());
    let opened = open(Spool::from_bytes(answer), keys, &policy, now, &spools, &SystemRandom, &mime::Limits::default());
    let opened = opened.map_err(|error| format!("the answer cannot be opened: {error}"))?;
    let is_encrypted = opened.protection().is_some();
    if let Some(fault) = Fault::parse(opened.message(), opened.parts()).map_err(words)? {
        return if is_encrypted { Err("the fault is encrypted".to_owned()) } else { Ok(Answer::Fault(fault)) };
    }
    let read = read(opened, &limits).map_err(|error| format!("the answer cannot be read: {error}"))?;
    let expected = signature.map(Certificate::der);
    let verified = verify(read, Signer::Intermediary { expected }, &policy, now, &limits);
    let response = Response::parse(verified.read().envelope()).map_err(words)?;
    Ok(Answer::Regular(Box::new(Regular { verified, response })))
}

/// An error as text, with its causes.
pub(crate) fn words(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(deeper) = source {
        text = format!("{text}: {deeper}");
        source = deeper.source();
    }
    text
}
