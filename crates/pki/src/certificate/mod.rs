//! A parsed X.509 certificate.

mod extensions;
mod parse;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use rohrpost_crypto::{KeyError, PublicKey};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

pub(crate) use self::extensions::Extension;
use self::parse::Parts;
use crate::fingerprint::Fingerprint;
use crate::key_usage::KeyUsage;

/// An X.509 certificate (RFC 5280), parsed once and cheap to clone.
///
/// Parsing is strict about the encoding (the whole input is one certificate of at most
/// [`Certificate::MAX_LEN`] octets) and says nothing about trust: that is [`crate::inspect()`].
#[derive(Clone)]
pub struct Certificate(Arc<Parts>);

impl Certificate {
    /// The largest certificate read, in octets.
    pub const MAX_LEN: usize = 64 * 1024 - 1;

    /// Parses one DER-encoded certificate.
    ///
    /// # Errors
    /// [`CertificateError`] if the octets are not exactly one certificate within the limits.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > Self::MAX_LEN {
            return Err(CertificateError::TooLong { octets: der.len() });
        }
        let (rest, parsed) = X509Certificate::from_der(der)
            .map_err(|error| CertificateError::Malformed { detail: error.to_string() })?;
        if !rest.is_empty() {
            return Err(CertificateError::TrailingData { octets: rest.len() });
        }
        Parts::new(der, &parsed).map(|parts| Self(Arc::new(parts)))
    }

    /// The encoding, as it was given.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// SHA-256 of the encoding.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// The X.509 version: 1, 2 or 3.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.0.version
    }

    /// Subject as an RFC 2253 string.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// Issuer as an RFC 2253 string.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// Serial number in decimal digits.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.0.serial
    }

    /// First second of validity.
    #[must_use]
    pub fn not_before(&self) -> OffsetDateTime {
        self.0.not_before
    }

    /// Last second of validity.
    #[must_use]
    pub fn not_after(&self) -> OffsetDateTime {
        self.0.not_after
    }

    /// The key usage extension, `None` if the certificate has none.
    #[must_use]
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.0.key_usage
    }

    /// The basic constraints extension, `None` if the certificate has none.
    #[must_use]
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.0.basic_constraints
    }

    /// Whether the certificate claims to be an authority's (basic constraints with `cA`).
    #[must_use]
    pub fn is_authority(&self) -> bool {
        self.0.basic_constraints.is_some_and(|constraints| constraints.authority)
    }

    /// Whether subject and issuer are the same name.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.subject_der() == self.issuer_der()
    }

    /// Whether the certificate states to be a qualified one (QCStatement `QcCompliance`,
    /// ETSI EN 319 412-5). A statement of the issuer: worth as much as the path behind it.
    #[must_use]
    pub fn says_qualified(&self) -> bool {
        self.0.says_qualified
    }

    /// The certified key.
    ///
    /// # Errors
    /// [`KeyError`] if the key cannot be read. A key of an unknown kind, for example on an elliptic
    /// curve spelled out as explicit parameters, may be one or come back as
    /// [`KeyKind::Unsupported`](rohrpost_crypto::KeyKind::Unsupported).
    pub fn public_key(&self) -> Result<PublicKey, KeyError> {
        self.0.key.clone()
    }

    /// Whether the certificate is for this key, whatever way it is encoded.
    #[must_use]
    pub fn certifies(&self, key: &PublicKey) -> bool {
        self.public_key()
            .is_ok_and(|own| own.kind() == key.kind() && own.subject_public_key() == key.subject_public_key())
    }

    /// The encoded SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        self.raw(&self.0.at.spki)
    }

    pub(crate) fn subject_der(&self) -> &[u8] {
        self.raw(&self.0.at.subject)
    }

    pub(crate) fn issuer_der(&self) -> &[u8] {
        self.raw(&self.0.at.issuer)
    }

    /// Content octets of the serial number.
    pub(crate) fn serial_der(&self) -> &[u8] {
        self.raw(&self.0.at.serial)
    }

    /// The signed octets.
    pub(crate) fn tbs_der(&self) -> &[u8] {
        self.raw(&self.0.at.tbs)
    }

    /// The encoded AlgorithmIdentifier of the issuer's signature.
    pub(crate) fn signature_algorithm_der(&self) -> &[u8] {
        self.raw(&self.0.at.algorithm)
    }

    pub(crate) fn signature(&self) -> &[u8] {
        self.raw(&self.0.at.signature)
    }

    pub(crate) fn subject_key_id(&self) -> Option<&[u8]> {
        self.0.subject_key_id.as_deref()
    }

    pub(crate) fn authority_key_id(&self) -> Option<&[u8]> {
        self.0.authority_key_id.as_deref()
    }

    fn raw(&self, range: &Range<usize>) -> &[u8] {
        &self.0.der[range.clone()]
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.der() == other.der()
    }
}

impl Eq for Certificate {}

impl Hash for Certificate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint().hash(state);
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} {})", self.fingerprint(), self.subject())
    }
}

/// The basic constraints extension (RFC 5280, 4.2.1.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BasicConstraints {
    /// Whether the key may certify others.
    pub authority: bool,
    /// How many authorities may follow below it on a path.
    pub path_len: Option<u32>,
}

/// Why octets were not accepted as a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Longer than [`Certificate::MAX_LEN`].
    #[error("the certificate has {octets} octets, more than the {} allowed", Certificate::MAX_LEN)]
    TooLong {
        /// Length of the input.
        octets: usize,
    },
    /// Not the DER encoding of a certificate.
    #[error("not a DER-encoded X.509 certificate: {detail}")]
    Malformed {
        /// What was found.
        detail: String,
    },
    /// The certificate is followed by something else.
    #[error("the certificate is followed by {octets} further octets")]
    TrailingData {
        /// How many octets follow.
        octets: usize,
    },
    /// An extension that decides about the use of the key cannot be read.
    #[error("the extension {oid} cannot be read")]
    Extension {
        /// Dotted object identifier of the extension.
        oid: String,
    },
}
