//! XML Signature: reading, checking the signature value, and making signatures.
//!
//! Of [XML-DSig](https://www.w3.org/TR/xmldsig-core1/) this takes exactly what OSCI-Transport 1.2 allows: inclusive
//! C14N, references by URI whose digests the caller computes, a key named by `RetrievalMethod`, and one XAdES signing
//! time. Everything else in a signature is refused, not skipped.
//!
//! Checking has two halves, and both are needed: [`Signature::verify_value`] shows that the list of references is
//! authentic; the caller digests *what it is going to use* and compares with [`Signature::reference`].

mod build;
mod parse;

pub use build::SignatureBuilder;
pub use parse::{Limits, Reference, Signature, SigningTime};

use crate::base64::Base64Malformed;
use crate::cursor::Unexpected;

/// Namespace of XML Signature, prefix `ds`.
pub const NAMESPACE: &str = "http://www.w3.org/2000/09/xmldsig#";
/// Namespace of XAdES, prefix `xades`.
pub const XADES_NAMESPACE: &str = "http://uri.etsi.org/01903/v1.3.2#";
/// Transform: canonicalise.
pub const TRANSFORM_C14N: &str = crate::c14n::ALGORITHM;
/// Transform: decode base64.
pub const TRANSFORM_BASE64: &str = "http://www.w3.org/2000/09/xmldsig#base64";
/// `Type` of a reference to a certificate.
pub const X509_DATA: &str = "http://www.w3.org/2000/09/xmldsig#X509Data";

/// Why a signature cannot be used, before any digest or key is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureMalformed {
    /// An element or attribute is missing or stands in the wrong place.
    #[error("the signature lacks {0} where it must be")]
    Missing(&'static str),
    /// Something stands in the signature that must not be there.
    #[error("the signature contains something that is not allowed in it")]
    Forbidden,
    /// The canonicalisation is not inclusive C14N 1.0 without comments.
    #[error("the canonicalization algorithm is not supported")]
    UnknownCanonicalization,
    /// The signature algorithm is not known.
    #[error("the signature algorithm is not known")]
    UnknownSignatureAlgorithm,
    /// The digest algorithm of a reference is not known.
    #[error("the digest algorithm of a reference is not known")]
    UnknownDigestAlgorithm,
    /// There are more references, or transforms of one reference, than [`Limits`] allows.
    #[error("the signature has too many references or transforms")]
    TooMany,
    /// Two references have the same URI.
    #[error("two references have the same URI")]
    DuplicateReference,
    /// Nothing is referenced, so nothing would be signed.
    #[error("the signature references nothing")]
    NoReference,
    /// A digest or the signature value is not base64.
    #[error("a value of the signature is malformed base64")]
    Base64,
}

impl From<Unexpected> for SignatureMalformed {
    fn from(unexpected: Unexpected) -> Self {
        match unexpected {
            Unexpected::Missing(name) => Self::Missing(name),
            Unexpected::Foreign => Self::Forbidden,
        }
    }
}

impl From<Base64Malformed> for SignatureMalformed {
    fn from(_: Base64Malformed) -> Self {
        Self::Base64
    }
}
