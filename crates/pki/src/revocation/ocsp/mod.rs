//! Questions to responders and their answers (RFC 6960, in the profile of RFC 5019: one certificate per question).

mod request;
mod response;

use thiserror::Error;

pub use self::request::OcspRequest;
pub use self::response::{MAX_LEN, OcspResponse, UnverifiedResponse};
use crate::certificate::Certificate;
use crate::der;
use rohrpost_crypto::DigestAlgorithm;

/// What is done against old answers being sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoncePolicy {
    /// Nothing: an answer counts until it is out of date. For responders that stumble over a nonce.
    Off,
    /// A nonce is sent. An answer with another one does not count; one without any does, since responders that make their answers
    /// beforehand cannot repeat a nonce.
    Preferred,
    /// A nonce is sent, and only answers that repeat it count.
    Required,
}

/// Why a responder gives no answer (RFC 6960, 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Refusal {
    /// It did not understand the question.
    #[error("malformedRequest")]
    MalformedRequest,
    /// It has a problem of its own.
    #[error("internalError")]
    InternalError,
    /// It is busy.
    #[error("tryLater")]
    TryLater,
    /// It wants questions to be signed.
    #[error("sigRequired")]
    SignatureRequired,
    /// It does not answer us, or not about this certificate.
    #[error("unauthorized")]
    Unauthorized,
}

const NONCE: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02];

/// The hashes by which answers name certificates. They identify, they do not protect: SHA-1 is what every responder knows.
const HASHES: [(&[u8], DigestAlgorithm); 2] = [
    (&[0x2b, 0x0e, 0x03, 0x02, 0x1a], DigestAlgorithm::Sha1),
    (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01], DigestAlgorithm::Sha256),
];

/// The name and the key of an issuer, hashed.
struct IssuerHashes {
    name: Vec<u8>,
    key: Vec<u8>,
}

impl IssuerHashes {
    /// `None` if the issuer's key cannot be read.
    fn of(issuer: &Certificate, hash: DigestAlgorithm) -> Option<Self> {
        let key = issuer.public_key().ok()?;
        Some(Self {
            name: hash.digest(issuer.subject_der()).as_bytes().to_vec(),
            key: hash.digest(key.subject_public_key()).as_bytes().to_vec(),
        })
    }
}

/// Encodes an AlgorithmIdentifier of a hash.
fn hash_identifier(oid: &[u8]) -> Vec<u8> {
    const NULL: [u8; 2] = [0x05, 0];
    der::sequence(&[der::tlv(der::OID, oid), NULL.to_vec()])
}
