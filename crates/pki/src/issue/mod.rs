//! Making certificates: roots, subordinate authorities, end entities; revocation lists and answers of responders.
//!
//! For test authorities and demonstrations. It writes well-formed certificates of the profile the rest
//! of this crate judges; it does not check requests, keep registers or guard keys, as a real
//! authority must.
//!
//! ```
//! use rohrpost_crypto::{Curve, PrivateKey, SystemRandom};
//! use rohrpost_pki::issue::{Authority, Name, Template, Validity};
//! use time::macros::datetime;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let validity = Validity::new(datetime!(2025-01-01 0:00 UTC), datetime!(2035-01-01 0:00 UTC));
//! let name = |common: &str| Name::new().country("DE").organization("Demo").common_name(common);
//!
//! let key = PrivateKey::generate_ec(Curve::P256)?;
//! let root = Authority::root(&Template::authority(name("Root"), validity, None), key, &SystemRandom)?;
//!
//! let key = PrivateKey::generate_ec(Curve::P256)?;
//! let certificate = root.issue(&Template::signature(name("Alice"), validity), key.public_key(), &SystemRandom)?;
//! assert_eq!(certificate.issuer(), "CN=Root,O=Demo,C=DE");
//! # Ok(()) }
//! ```

mod encode;
mod name;
mod ocsp;
mod timestamp;

use rohrpost_crypto::{PrivateKey, PublicKey, Random, SigningFailed, X509SignatureAlgorithm};
use time::OffsetDateTime;

pub use self::name::Name;
pub use self::ocsp::{OcspAnswer, OcspStatus};
pub use self::timestamp::TimestampAnswer;
use crate::certificate::{BasicConstraints, Certificate, CertificateError};
use crate::der;
use crate::key_usage::KeyUsage;
use crate::revocation::RevocationReason;

/// From when until when a certificate is valid; both ends included, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
}

impl Validity {
    /// From `not_before` until `not_after`.
    #[must_use]
    pub const fn new(not_before: OffsetDateTime, not_after: OffsetDateTime) -> Self {
        Self { not_before, not_after }
    }
}

/// What a certificate is to say.
#[derive(Clone, Debug)]
pub struct Template {
    subject: Name,
    validity: Validity,
    key_usage: Option<KeyUsage>,
    basic_constraints: Option<BasicConstraints>,
    server_names: Vec<String>,
    purposes: Vec<&'static str>,
    responders: Vec<String>,
    revocation_lists: Vec<String>,
    extensions: Vec<Extension>,
}

const PURPOSES: &str = "2.5.29.37";
const TIME_STAMPING: &str = "1.3.6.1.5.5.7.3.8";

#[derive(Clone, Debug)]
struct Extension {
    oid: String,
    critical: bool,
    value: Vec<u8>,
}

impl Template {
    fn new(subject: Name, validity: Validity, key_usage: KeyUsage) -> Self {
        Self {
            subject,
            validity,
            key_usage: Some(key_usage),
            basic_constraints: None,
            server_names: Vec::new(),
            purposes: Vec::new(),
            responders: Vec::new(),
            revocation_lists: Vec::new(),
            extensions: Vec::new(),
        }
    }

    /// An authority; below it on a path there may be `path_len` further authorities.
    #[must_use]
    pub fn authority(subject: Name, validity: Validity, path_len: Option<u32>) -> Self {
        let mut template = Self::new(subject, validity, KeyUsage::KEY_CERT_SIGN | KeyUsage::CRL_SIGN);
        template.basic_constraints = Some(BasicConstraints { authority: true, path_len });
        template
    }

    /// Signs messages and contents.
    #[must_use]
    pub fn signature(subject: Name, validity: Validity) -> Self {
        Self::new(subject, validity, KeyUsage::DIGITAL_SIGNATURE | KeyUsage::NON_REPUDIATION)
    }

    /// Receives encrypted messages and contents.
    #[must_use]
    pub fn encryption(subject: Name, validity: Validity) -> Self {
        Self::new(subject, validity, KeyUsage::KEY_ENCIPHERMENT | KeyUsage::DATA_ENCIPHERMENT)
    }

    /// A TLS server reachable under the given DNS names.
    #[must_use]
    pub fn tls_server(subject: Name, validity: Validity, server_names: &[&str]) -> Self {
        let mut template = Self::new(subject, validity, KeyUsage::DIGITAL_SIGNATURE | KeyUsage::KEY_ENCIPHERMENT);
        template.server_names = server_names.iter().map(|&name| name.to_owned()).collect();
        template.purposes = vec!["1.3.6.1.5.5.7.3.1"];
        template
    }

    /// Answers for its issuer whether certificates are revoked (RFC 6960, 4.2.2.2).
    #[must_use]
    pub fn ocsp_signing(subject: Name, validity: Validity) -> Self {
        let mut template = Self::new(subject, validity, KeyUsage::DIGITAL_SIGNATURE);
        template.purposes = vec!["1.3.6.1.5.5.7.3.9"];
        template
    }

    /// Stamps times, and does nothing else (RFC 3161, 2.3).
    #[must_use]
    pub fn time_stamping(subject: Name, validity: Validity) -> Self {
        let purposes = der::oid(TIME_STAMPING).expect("an object identifier");
        let template = Self::new(subject, validity, KeyUsage::DIGITAL_SIGNATURE);
        template.extension(PURPOSES, true, der::sequence(&[purposes]))
    }

    /// Replaces the key usage; `None` leaves the extension out.
    #[must_use]
    pub fn key_usage(mut self, usage: Option<KeyUsage>) -> Self {
        self.key_usage = usage;
        self
    }

    /// Replaces the basic constraints; `None` leaves the extension out.
    #[must_use]
    pub fn basic_constraints(mut self, constraints: Option<BasicConstraints>) -> Self {
        self.basic_constraints = constraints;
        self
    }

    /// Adds the address of a revocation list.
    #[must_use]
    pub fn revocation_list(mut self, url: &str) -> Self {
        self.revocation_lists.push(url.to_owned());
        self
    }

    /// Adds the address of a responder.
    #[must_use]
    pub fn responder(mut self, url: &str) -> Self {
        self.responders.push(url.to_owned());
        self
    }

    /// Adds any other extension; `value` is its encoded content.
    #[must_use]
    pub fn extension(mut self, oid: &str, critical: bool, value: Vec<u8>) -> Self {
        self.extensions.push(Extension { oid: oid.to_owned(), critical, value });
        self
    }
}

/// A certificate with its key that issues further certificates.
#[derive(Debug)]
pub struct Authority {
    certificate: Certificate,
    key: PrivateKey,
    algorithm: X509SignatureAlgorithm,
}

impl Authority {
    /// Makes a self-signed authority.
    ///
    /// # Errors
    /// [`IssueError`] if the key cannot sign or the template cannot be encoded.
    pub fn root(template: &Template, key: PrivateKey, random: &dyn Random) -> Result<Self, IssueError> {
        let certificate = self_signed(template, &key, random)?;
        Self::new(certificate, key)
    }

    /// Takes an existing authority into use.
    ///
    /// # Errors
    /// [`IssueError::KeyMismatch`] if the key is not the certified one.
    pub fn new(certificate: Certificate, key: PrivateKey) -> Result<Self, IssueError> {
        if !certificate.certifies(key.public_key()) {
            return Err(IssueError::KeyMismatch);
        }
        let algorithm = encode::usual_algorithm(key.public_key())?;
        Ok(Self { certificate, key, algorithm })
    }

    /// The same authority, signing with another algorithm from now on. Without this it is
    /// RSA PKCS#1 v1.5 with SHA-256, or ECDSA with the hash that fits the curve.
    #[must_use]
    pub fn with_algorithm(mut self, algorithm: X509SignatureAlgorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Issues a certificate for a key.
    ///
    /// # Errors
    /// [`IssueError`] if the key cannot sign or the template cannot be encoded.
    pub fn issue(&self, template: &Template, key: &PublicKey, random: &dyn Random) -> Result<Certificate, IssueError> {
        encode::certificate(template, key, &self.issuer(), random)
    }

    /// Issues a subordinate authority for a key.
    ///
    /// # Errors
    /// [`IssueError`] if the key cannot sign or the template cannot be encoded.
    pub fn subordinate(&self, template: &Template, key: PrivateKey, random: &dyn Random) -> Result<Self, IssueError> {
        let certificate = self.issue(template, key.public_key(), random)?;
        Self::new(certificate, key)
    }

    /// Signs a revocation list and returns it DER-encoded. `number` counts the lists.
    ///
    /// # Errors
    /// [`IssueError`] if the key cannot sign.
    pub fn revoke(&self, revoked: &[Revoked<'_>], published: Validity, number: u64) -> Result<Vec<u8>, IssueError> {
        self.publish(&ListTemplate::new(revoked, published, number))
    }

    /// Signs a revocation list with everything that it can have, and returns it DER-encoded.
    ///
    /// # Errors
    /// [`IssueError`] if the key cannot sign or the template cannot be encoded.
    pub fn publish(&self, list: &ListTemplate<'_>) -> Result<Vec<u8>, IssueError> {
        encode::revocation_list(list, &self.issuer())
    }

    /// Signs the answer of a responder and returns it DER-encoded. The certificate of this "authority" may be that of an issuer or
    /// one [for answering](Template::ocsp_signing).
    ///
    /// # Errors
    /// [`IssueError`] if the key cannot sign or the answer cannot be encoded.
    pub fn answer(&self, answer: &OcspAnswer<'_>) -> Result<Vec<u8>, IssueError> {
        ocsp::answer(answer, self)
    }

    /// Signs the answer of a time-stamp service and returns it DER-encoded. The certificate of this "authority" is one
    /// [for time stamps](Template::time_stamping), or should be.
    ///
    /// # Errors
    /// [`IssueError`] if the key cannot sign or the answer cannot be encoded.
    pub fn stamp(&self, answer: &TimestampAnswer<'_>) -> Result<Vec<u8>, IssueError> {
        timestamp::answer(answer, self)
    }

    fn issuer(&self) -> encode::Issuer<'_> {
        encode::Issuer {
            name: self.certificate.subject_der(),
            key: &self.key,
            key_id: self
                .certificate
                .subject_key_id()
                .map_or_else(|| encode::key_id(self.key.public_key()), <[u8]>::to_vec),
            algorithm: self.algorithm,
        }
    }

    /// The certificate of the authority.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The key of the authority.
    #[must_use]
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }
}

/// Makes a self-signed certificate, of an authority or not.
///
/// # Errors
/// [`IssueError`] if the key cannot sign or the template cannot be encoded.
pub fn self_signed(template: &Template, key: &PrivateKey, random: &dyn Random) -> Result<Certificate, IssueError> {
    let issuer = encode::Issuer {
        name: &template.subject.to_der(),
        key,
        key_id: encode::key_id(key.public_key()),
        algorithm: encode::usual_algorithm(key.public_key())?,
    };
    encode::certificate(template, key.public_key(), &issuer, random)
}

/// A certificate taken back.
#[derive(Clone, Copy, Debug)]
pub struct Revoked<'a> {
    /// Which one.
    pub certificate: &'a Certificate,
    /// Since when.
    pub since: OffsetDateTime,
    /// Why; `None` says nothing about it.
    pub reason: Option<RevocationReason>,
}

/// What a revocation list is to say.
#[derive(Clone, Debug)]
pub struct ListTemplate<'a> {
    revoked: &'a [Revoked<'a>],
    published: Validity,
    number: u64,
    has_next_update: bool,
    extensions: Vec<Extension>,
}

impl<'a> ListTemplate<'a> {
    /// A complete list of everything that its issuer revoked; the next one is due at the end of `published`.
    #[must_use]
    pub fn new(revoked: &'a [Revoked<'a>], published: Validity, number: u64) -> Self {
        Self { revoked, published, number, has_next_update: true, extensions: Vec::new() }
    }

    /// Leaves out when the next list is due.
    #[must_use]
    pub fn without_next_update(mut self) -> Self {
        self.has_next_update = false;
        self
    }

    /// Adds any other extension; `value` is its encoded content.
    #[must_use]
    pub fn extension(mut self, oid: &str, critical: bool, value: Vec<u8>) -> Self {
        self.extensions.push(Extension { oid: oid.to_owned(), critical, value });
        self
    }
}

/// Why a certificate could not be issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The key is not the one of the authority's certificate.
    #[error("the key does not belong to the certificate of the authority")]
    KeyMismatch,
    /// The key could not sign.
    #[error(transparent)]
    Signing(#[from] SigningFailed),
    /// The template cannot be encoded.
    #[error("{what} cannot be encoded in a certificate")]
    Unencodable {
        /// Which part.
        what: &'static str,
    },
    /// The finished certificate could not be read back.
    #[error("the issued certificate cannot be read back")]
    Unreadable(#[from] CertificateError),
}
