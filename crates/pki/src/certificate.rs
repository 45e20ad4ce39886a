//! A parsed X.509 certificate.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use rohrpost_crypto::{KeyError, PublicKey};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::oid_registry::{
    OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER, OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_KEY_USAGE,
    OID_X509_EXT_SUBJECT_KEY_IDENTIFIER,
};
use x509_parser::prelude::FromDer;

use crate::fingerprint::Fingerprint;
use crate::key_usage::KeyUsage;
use crate::{der, name};

/// An X.509 certificate (RFC 5280), parsed once and cheap to clone.
///
/// Parsing is strict about the encoding (the whole input is one certificate of at most
/// [`Certificate::MAX_LEN`] octets) and says nothing about trust: that is [`crate::inspect`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Certificate(Arc<Parts>);

#[derive(PartialEq, Eq, Hash)]
struct Parts {
    der: Box<[u8]>,
    fingerprint: Fingerprint,
    version: u32,
    subject: String,
    issuer: String,
    serial: String,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    key_usage: Option<KeyUsage>,
    basic_constraints: Option<BasicConstraints>,
    subject_key_id: Option<Vec<u8>>,
    authority_key_id: Option<Vec<u8>>,
    says_qualified: bool,
    at: Places,
}

/// Where the raw parts lie in the encoding.
#[derive(PartialEq, Eq, Hash)]
struct Places {
    tbs: Range<usize>,
    subject: Range<usize>,
    issuer: Range<usize>,
    serial: Range<usize>,
    spki: Range<usize>,
    algorithm: Range<usize>,
    signature: Range<usize>,
}

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
        PublicKey::from_spki_der(self.spki_der())
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

impl Parts {
    fn new(der: &[u8], parsed: &X509Certificate<'_>) -> Result<Self, CertificateError> {
        let at = Places::find(der, parsed).ok_or_else(|| malformed("its parts are not in DER"))?;
        let name =
            |range: &Range<usize>| name::rfc2253(&der[range.clone()]).ok_or_else(|| malformed("a name cannot be read"));
        let authority_key_id = extension(parsed, &OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER, |value| match value {
            ParsedExtension::AuthorityKeyIdentifier(id) => Some(id.key_identifier.as_ref().map(|id| id.0.to_vec())),
            _ => None,
        })?;
        Ok(Self {
            fingerprint: Fingerprint::of(der),
            version: parsed.version().0 + 1,
            subject: name(&at.subject)?,
            issuer: name(&at.issuer)?,
            serial: der::decimal(&der[at.serial.clone()]),
            not_before: parsed.validity().not_before.to_datetime(),
            not_after: parsed.validity().not_after.to_datetime(),
            key_usage: extension(parsed, &OID_X509_EXT_KEY_USAGE, |value| match value {
                ParsedExtension::KeyUsage(usage) => Some(KeyUsage::from_bits(usage.flags)),
                _ => None,
            })?,
            basic_constraints: extension(parsed, &OID_X509_EXT_BASIC_CONSTRAINTS, |value| match value {
                ParsedExtension::BasicConstraints(constraints) => {
                    Some(BasicConstraints { authority: constraints.ca, path_len: constraints.path_len_constraint })
                }
                _ => None,
            })?,
            subject_key_id: extension(parsed, &OID_X509_EXT_SUBJECT_KEY_IDENTIFIER, |value| match value {
                ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
                _ => None,
            })?,
            authority_key_id: authority_key_id.flatten(),
            says_qualified: says_qualified(parsed),
            der: der.into(),
            at,
        })
    }
}

impl Places {
    fn find(der: &[u8], parsed: &X509Certificate<'_>) -> Option<Self> {
        let (outer, _) = der::expect(der::SEQUENCE, der)?;
        let [tbs, algorithm, signature] = der::elements(outer.content)?.try_into().ok()?;
        let signature = match signature.content {
            [0, octets @ ..] if signature.tag == der::BIT_STRING => octets,
            _ => return None,
        };
        let stated = der::elements(tbs.content)?.into_iter().find(|part| part.tag == der::SEQUENCE)?;
        if stated.raw != algorithm.raw || parsed.raw_serial().len() > MAX_SERIAL_LEN {
            return None;
        }
        let place = |part: &[u8]| {
            let start = part.as_ptr() as usize - der.as_ptr() as usize;
            start..start + part.len()
        };
        Some(Self {
            tbs: place(tbs.raw),
            subject: place(parsed.subject().as_raw()),
            issuer: place(parsed.issuer().as_raw()),
            serial: place(parsed.raw_serial()),
            spki: place(parsed.public_key().raw),
            algorithm: place(algorithm.raw),
            signature: place(signature),
        })
    }
}

/// RFC 5280 allows 20 octets; some authorities use more.
const MAX_SERIAL_LEN: usize = 64;

fn malformed(detail: &str) -> CertificateError {
    CertificateError::Malformed { detail: detail.to_owned() }
}

/// Reads an extension that may occur once. An extension that is there but cannot be read is an
/// error: treating it as absent would widen what the certificate may be used for.
fn extension<T>(
    parsed: &X509Certificate<'_>,
    oid: &x509_parser::der_parser::Oid<'_>,
    read: impl Fn(&ParsedExtension<'_>) -> Option<T>,
) -> Result<Option<T>, CertificateError> {
    let found = parsed.get_extension_unique(oid).map_err(|_| malformed("an extension occurs twice"))?;
    found
        .map(|extension| {
            read(extension.parsed_extension()).ok_or_else(|| CertificateError::Extension { oid: oid.to_id_string() })
        })
        .transpose()
}

fn says_qualified(parsed: &X509Certificate<'_>) -> bool {
    const QC_STATEMENTS: &str = "1.3.6.1.5.5.7.1.3";
    const QC_COMPLIANCE: &str = "0.4.0.1862.1.1";
    let states = |value: &[u8]| -> Option<bool> {
        let (list, _) = der::expect(der::SEQUENCE, value)?;
        let statements = der::elements(list.content)?;
        Some(statements.iter().any(|statement| {
            der::expect(der::OID, statement.content)
                .and_then(|(oid, _)| der::dotted(oid.content))
                .is_some_and(|oid| oid == QC_COMPLIANCE)
        }))
    };
    parsed
        .iter_extensions()
        .find(|extension| extension.oid.to_id_string() == QC_STATEMENTS)
        .and_then(|extension| states(extension.value))
        .unwrap_or(false)
}
