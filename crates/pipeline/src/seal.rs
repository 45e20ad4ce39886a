//! The way out: a composed message is signed, framed and encrypted into a spool.

use std::io;

use rohrpost_crypto::{BlockCipher, Random};
use rohrpost_osci::algorithms::Encryption;
use rohrpost_osci::compose::{ComposeError, Outgoing, Signing};
use rohrpost_osci::encrypted::{self, EncryptedWriter};
use rohrpost_osci::mime::{Boundary, Encoding};
use rohrpost_pki::Certificate;
use thiserror::Error;

use crate::spool::{Spool, SpoolDir};

/// For whom a message is encrypted, and how.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// Whose key the session key is wrapped for.
    pub certificate: Certificate,
    /// The algorithms. A cipher that is only read (CBC) is replaced by AES-256-GCM.
    pub encryption: Encryption,
}

impl Recipient {
    /// Whether the certificate can be encrypted for: before anything is done that only an encrypted answer can tell of.
    ///
    /// # Errors
    /// [`SealError::Recipient`] if its key is no RSA key of 2048 to 8192 bits, or one that is for PSS only.
    pub fn check(&self) -> Result<(), SealError> {
        let key = self.certificate.public_key().map_err(|_| SealError::Recipient)?;
        if key.can_wrap() { Ok(()) } else { Err(SealError::Recipient) }
    }
}

/// Why a message could not be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SealError {
    /// Composing or signing failed.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// The recipient's certificate cannot be encrypted for.
    #[error("the recipient's certificate cannot be encrypted for")]
    Recipient,
    /// The spool failed.
    #[error("the message could not be spooled")]
    Io(#[from] io::Error),
}

/// Writes a message: signed if `signing` is given, encrypted if `recipient` is given.
///
/// The content streams; memory does not grow with it.
///
/// # Errors
/// See [`SealError`]. Nothing of the message remains then.
pub fn seal(
    outgoing: &Outgoing,
    signing: Option<&Signing<'_>>,
    recipient: Option<&Recipient>,
    spools: &SpoolDir,
    random: &dyn Random,
) -> Result<Spool, SealError> {
    let boundary = Boundary::generate(random);
    let Some(recipient) = recipient else {
        return Ok(outgoing.write(signing, &boundary, spools.writer())?.finish()?);
    };
    let key = recipient.certificate.public_key().map_err(|_| SealError::Recipient)?;
    let whom = encrypted::Recipient { certificate: recipient.certificate.der(), public_key: &key };
    let encryption = produced(recipient.encryption);
    let sealed = EncryptedWriter::new(spools.writer(), &boundary, &encryption, Encoding::Raw, &whom, random);
    let sealed = sealed.map_err(|error| match error {
        encrypted::SealError::Io(error) => SealError::Io(error),
        _ => SealError::Recipient,
    })?;
    // The inner message may use the boundary of the outer one, which only sees ciphertext.
    Ok(outgoing.write(signing, &boundary, sealed)?.finish()?.finish()?)
}

fn produced(wanted: Encryption) -> Encryption {
    let cipher = if wanted.cipher.is_authenticated() { wanted.cipher } else { BlockCipher::Aes256Gcm };
    Encryption { cipher, ..wanted }
}
