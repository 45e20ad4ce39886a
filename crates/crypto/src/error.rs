use thiserror::Error;

/// The one failure of everything around decryption.
///
/// Wrong key, wrong padding, wrong authentication tag, truncated data, unsupported parameters: all of them are this
/// value with this text, so that no answer built from it can be used as an oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the data could not be decrypted")]
pub struct DecryptionFailed;

/// The signature does not belong to this message and key, or the algorithm does not fit the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the signature is not valid")]
pub struct SignatureInvalid;

/// The key could not sign, for example because a token was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the key could not sign")]
pub struct SigningFailed;

/// A key cannot be read, made or used for what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The bytes are not a key of the expected format, or its parts contradict each other.
    #[error("the key is malformed: {0}")]
    Malformed(&'static str),
    /// The key is well-formed but of a kind this crate does not handle.
    #[error("the key is not supported: {0}")]
    Unsupported(&'static str),
    /// The key cannot do what the algorithm needs.
    #[error("the key cannot be used with {0}")]
    Mismatch(&'static str),
    /// The backend could not make a key.
    #[error("no key could be generated")]
    Generation,
    /// The key is too short for what is to be wrapped, or wrapping failed in the backend.
    #[error("the session key could not be wrapped")]
    Wrapping,
}
