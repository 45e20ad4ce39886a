//! First stage: received bytes become a message in clear, its parts known as byte ranges.

use std::io;

use rohrpost_crypto::cipher::OpenError as CipherError;
use rohrpost_crypto::policy::{Policy, Purpose, Ruling};
use rohrpost_crypto::{DecryptionFailed, Random, SessionKey};
use rohrpost_osci::algorithms::Encryption;
use rohrpost_osci::encrypted::{EncryptedError, EncryptedMessage};
use rohrpost_osci::feedback::Code;
use rohrpost_osci::mime::{Limits, MimeError, Multipart};
use rohrpost_pki::Fingerprint;
use thiserror::Error;
use time::OffsetDateTime;

use crate::keyring::KeyRing;
use crate::spool::{Spool, SpoolDir, SpoolError};

/// A message in clear. If it came encrypted, every byte of it was authenticated before this value existed (GCM), or is not
/// to be trusted before the signature was checked (CBC, see [`is_unauthenticated`](Self::is_unauthenticated)).
#[derive(Debug)]
pub struct Opened {
    message: Spool,
    parts: Multipart,
    protection: Option<Protection>,
}

/// How a message was encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    /// The algorithms, which the answer follows.
    pub encryption: Encryption,
    /// Which of our certificates it was encrypted for.
    pub recipient: Fingerprint,
}

/// Why a message could not be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The framing is broken (9100).
    #[error("the message is no MIME message")]
    Mime(#[source] MimeError),
    /// The outer envelope is broken (9100), or promises what nobody can decrypt (9202).
    #[error("the encrypted message is malformed")]
    Encrypted(#[source] EncryptedError),
    /// It is encrypted for none of our certificates (9200).
    #[error("the message is encrypted for another certificate")]
    UnknownRecipient,
    /// Whatever went wrong while decrypting, or an algorithm the policy refuses (9202). Nothing tells the causes apart.
    #[error(transparent)]
    Undecryptable(#[from] DecryptionFailed),
    /// Spool or source failed: our side (9000).
    #[error("the message could not be spooled")]
    Io(#[source] io::Error),
    /// The opened message is larger than allowed (9100).
    #[error(transparent)]
    TooLarge(SpoolError),
}

impl OpenError {
    /// The fault the peer is sent (OSCI-Transport 1.2, feedback codes at message level).
    pub fn code(&self) -> Code {
        match self {
            Self::Mime(MimeError::Io(_)) | Self::Io(_) => Code::InternalError,
            Self::Mime(_) | Self::TooLarge(_) => Code::NotAMessage,
            Self::Encrypted(error) => error.code(),
            Self::UnknownRecipient => Code::NoPrivateKey,
            Self::Undecryptable(_) => Code::Undecryptable,
        }
    }
}

/// Opens a received message with one of `keys`; a message in clear passes.
///
/// The plaintext goes to a spool of its own that is handed out only after the authentication tag matched.
///
/// # Errors
/// See [`OpenError`]. All failures of decryption, the framing of an unauthenticated plaintext included, are the same one.
pub fn open(
    received: Spool,
    keys: &KeyRing,
    policy: &Policy,
    at: OffsetDateTime,
    spools: &SpoolDir,
    random: &dyn Random,
    limits: &Limits,
) -> Result<Opened, OpenError> {
    let parts = Multipart::scan(&received, limits).map_err(OpenError::Mime)?;
    let sealed = match EncryptedMessage::parse(&received, &parts) {
        Err(EncryptedError::NotEncrypted) => return Ok(Opened { message: received, parts, protection: None }),
        // What is wrong with the XML of a message in clear is found again, and told better, when its envelope is read.
        Err(EncryptedError::Xml(_)) => return Ok(Opened { message: received, parts, protection: None }),
        other => other.map_err(OpenError::Encrypted)?,
    };
    let pair = keys.cipher_for(sealed.recipient()).ok_or(OpenError::UnknownRecipient)?;
    judge(sealed.encryption(), policy, at)?;
    // A key that cannot be unwrapped is replaced by a random one: from here on it costs what a wrong tag costs.
    let length = sealed.encryption().cipher.key_len();
    let session_key =
        sealed.unwrap_key(pair.key.as_ref()).unwrap_or_else(|DecryptionFailed| SessionKey::random(length, random));
    let ciphertext = &sealed.ciphertext().range;
    let mut plaintext = spools.writer_for(ciphertext.end - ciphertext.start);
    sealed.open(&received, &session_key, &mut plaintext).map_err(cipher_error)?;
    let message = plaintext.finish().map_err(OpenError::Io)?;
    let protection = Protection { encryption: sealed.encryption(), recipient: pair.certificate.fingerprint() };
    let is_authenticated = protection.encryption.cipher.is_authenticated();
    let parts = Multipart::scan(&message, limits).map_err(|error| match error {
        MimeError::Io(error) => OpenError::Io(error),
        _ if !is_authenticated => DecryptionFailed.into(),
        error => OpenError::Mime(error),
    })?;
    // No signature covers what stands behind the message: blocks put there would tell by their padding what is in them.
    if !is_authenticated && parts.end() < message.len() {
        return Err(DecryptionFailed.into());
    }
    Ok(Opened { message, parts, protection: Some(protection) })
}

fn judge(encryption: Encryption, policy: &Policy, at: OffsetDateTime) -> Result<(), DecryptionFailed> {
    let rulings = [
        policy.judge(Purpose::TransportEncryption, encryption.cipher.uri(), None, at.date()),
        policy.judge(Purpose::KeyTransport, encryption.transport.uri(), None, at.date()),
    ];
    if rulings.contains(&Ruling::Refuse) { Err(DecryptionFailed) } else { Ok(()) }
}

fn cipher_error(error: CipherError) -> OpenError {
    match error {
        CipherError::Failed(failed) => failed.into(),
        CipherError::Io(error) => match SpoolError::within(&error) {
            Some(too_large) => OpenError::TooLarge(too_large),
            None => OpenError::Io(error),
        },
        other => OpenError::Io(io::Error::other(other)),
    }
}

impl Opened {
    /// The message in clear: MIME headers to closing boundary.
    pub fn message(&self) -> &Spool {
        &self.message
    }

    /// Its parts, as byte ranges of [`message`](Self::message).
    pub fn parts(&self) -> &Multipart {
        &self.parts
    }

    /// How it was encrypted, if it was.
    pub fn protection(&self) -> Option<&Protection> {
        self.protection.as_ref()
    }

    /// Whether it came out of a cipher that authenticates nothing.
    pub fn is_unauthenticated(&self) -> bool {
        self.protection.is_some_and(|protection| !protection.encryption.cipher.is_authenticated())
    }
}
