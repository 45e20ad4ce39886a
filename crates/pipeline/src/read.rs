//! Second stage: the opened message becomes an envelope whose structure is sound.

use rohrpost_osci::envelope::{Envelope, EnvelopeError, Limits};
use rohrpost_osci::feedback::Code;
use rohrpost_osci::source::buffered;
use rohrpost_xmlsec::XmlError;
use thiserror::Error;

use crate::open::Opened;

/// An opened message and its envelope. Its structure is sound; who sent it is not known yet.
#[derive(Debug)]
pub struct Read {
    opened: Opened,
    envelope: Envelope,
}

/// Why the root part cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The envelope is malformed, of unknown type, or beyond a limit.
    #[error("the envelope cannot be read")]
    Envelope(#[source] EnvelopeError),
    /// It says that it is encrypted, but its outer envelope is no acceptable XML.
    #[error("the envelope of the encrypted message is not acceptable XML")]
    Outer,
    /// The plaintext of an unauthenticated cipher makes no sense. Not told apart from any other failure to decrypt.
    #[error("the message cannot be decrypted")]
    Undecryptable,
}

impl ReadError {
    /// The fault the peer is sent (OSCI-Transport 1.2, feedback codes at message level).
    pub fn code(&self) -> Code {
        match self {
            Self::Undecryptable => Code::Undecryptable,
            Self::Envelope(EnvelopeError::Sealed) => Code::NotAnOrder,
            Self::Envelope(EnvelopeError::Xml(XmlError::Input(_))) => Code::InternalError,
            Self::Outer | Self::Envelope(_) => Code::NotAMessage,
        }
    }
}

/// Reads the root part in one pass.
///
/// # Errors
/// See [`ReadError`]. What came out of a cipher without authentication (CBC) fails like a wrong key does, so that
/// the answer is no oracle for its padding.
pub fn read(opened: Opened, limits: &Limits) -> Result<Read, ReadError> {
    let root = opened.parts().root().range.clone();
    match Envelope::read(buffered(opened.message(), root), limits) {
        Ok(envelope) => Ok(Read { opened, envelope }),
        Err(_) if opened.is_unauthenticated() => Err(ReadError::Undecryptable),
        // Otherwise it would have been opened.
        Err(EnvelopeError::Sealed) if opened.protection().is_none() => Err(ReadError::Outer),
        Err(error) => Err(ReadError::Envelope(error)),
    }
}

impl Read {
    /// The message and how it was protected.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// The envelope.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Gives both parts back.
    pub fn into_parts(self) -> (Opened, Envelope) {
        (self.opened, self.envelope)
    }
}
