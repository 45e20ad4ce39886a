//! The signature around what a token states: `SignedData` with exactly one signer (RFC 5652, RFC 3161, 2.4.2).

use rohrpost_crypto::DigestAlgorithm;
use rohrpost_crypto::policy::Policy;
use rohrpost_crypto::{sha256, sha384};
use time::{OffsetDateTime, UtcOffset};

use super::{SHA256, TST_INFO, TimestampError};
use crate::certificate::Certificate;
use crate::der::{self, Element, Reader};
use crate::signatures::acceptable;

/// Certificates that may come with a token.
const MAX_CERTIFICATES: usize = 16;

const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
const SIGNING_CERTIFICATE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x0c];
const SIGNING_CERTIFICATE_V2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x2f];
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
const SHA512: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03];

/// A signed statement, taken apart; nothing in it is verified yet.
pub(super) struct SignedData<'a> {
    /// The encoded `TSTInfo`.
    pub(super) content: &'a [u8],
    /// Encodings of the certificates that came along.
    certificates: Vec<&'a [u8]>,
    signer: SignerInfo<'a>,
}

struct SignerInfo<'a> {
    id: SignerId<'a>,
    digest: Hash,
    attributes: Element<'a>,
    algorithm: Element<'a>,
    signature: &'a [u8],
}

enum SignerId<'a> {
    IssuerAndSerial(&'a [u8], &'a [u8]),
    KeyId(&'a [u8]),
}

#[derive(Clone, Copy)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl<'a> SignedData<'a> {
    pub(super) fn read(token: &'a [u8]) -> Result<Self, TimestampError> {
        read(token).ok_or(TimestampError::Malformed("not a token"))?
    }

    /// The certificates that came along, as far as they can be read, and which of them is the signer's.
    pub(super) fn certificates(&self) -> Result<(Certificate, Vec<Certificate>), TimestampError> {
        let all: Vec<_> = self.certificates.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
        let signer = all.iter().find(|certificate| self.signer.id.is(certificate));
        Ok((signer.ok_or(TimestampError::SignerMissing)?.clone(), all))
    }

    /// Makes sure that the holder of `signer` signed exactly this content, as the one who stamps it.
    pub(super) fn verify(
        &self,
        signer: &Certificate,
        policy: &Policy,
        at: OffsetDateTime,
    ) -> Result<(), TimestampError> {
        let info = &self.signer;
        let attributes = Attributes::read(info.attributes.content)
            .ok_or(TimestampError::Malformed("the signed attributes are not what they must be"))?;
        if attributes.digest != info.digest.of(self.content) || !attributes.names(signer) {
            return Err(TimestampError::SignatureWrong);
        }
        let algorithm = info.algorithm().ok_or(TimestampError::Malformed("the algorithm of the signature"))?;
        let unusable = TimestampError::Malformed("the key of the signer");
        let key = signer.public_key().map_err(|_| unusable)?;
        let day = at.to_offset(UtcOffset::UTC).date();
        let (algorithm, _) =
            acceptable(&algorithm, &key, policy, day).map_err(|reason| TimestampError::Algorithm(Box::new(reason)))?;
        // What is signed is the set itself; the implicit tag is only its place (RFC 5652, 5.4).
        let mut signed = info.attributes.raw.to_vec();
        signed[0] = der::SET;
        key.verify_x509(algorithm, &signed, info.signature).map_err(|_| TimestampError::SignatureWrong)
    }
}

fn read(token: &[u8]) -> Option<Result<SignedData<'_>, TimestampError>> {
    const WRAPPED: u8 = 0xa0;
    const LISTS: u8 = 0xa1;
    let mut outer = Reader::new(token);
    let mut info = Reader::new(outer.take(der::SEQUENCE)?.content);
    outer.end()?;
    if info.take(der::OID)?.content != SIGNED_DATA {
        return None;
    }
    let mut wrapped = Reader::new(info.take(WRAPPED)?.content);
    info.end()?;
    let mut data = Reader::new(wrapped.take(der::SEQUENCE)?.content);
    wrapped.end()?;
    data.take(der::INTEGER)?;
    data.take(der::SET)?;
    let content = encapsulated(data.take(der::SEQUENCE)?)?;
    let certificates = match data.optional(WRAPPED)? {
        None => Vec::new(),
        Some(set) => der::elements(set.content)?,
    };
    data.optional(LISTS)?;
    let signers = der::elements(data.take(der::SET)?.content)?;
    data.end()?;
    if certificates.len() > MAX_CERTIFICATES {
        return Some(Err(TimestampError::NotUnderstood("that many certificates")));
    }
    let &[signer] = signers.as_slice() else {
        return Some(Err(TimestampError::NotUnderstood("another number of signers than one")));
    };
    let certificates = certificates.iter().map(|certificate| certificate.raw).collect();
    let signer = match SignerInfo::read(signer)? {
        Ok(signer) => signer,
        Err(error) => return Some(Err(error)),
    };
    Some(Ok(SignedData { content, certificates, signer }))
}

fn encapsulated(element: Element<'_>) -> Option<&[u8]> {
    let mut parts = Reader::new(element.content);
    if parts.take(der::OID)?.content != TST_INFO {
        return None;
    }
    let mut wrapped = Reader::new(parts.take(0xa0)?.content);
    parts.end()?;
    let content = wrapped.take(der::OCTET_STRING)?.content;
    wrapped.end()?;
    Some(content)
}

impl<'a> SignerInfo<'a> {
    fn read(element: Element<'a>) -> Option<Result<Self, TimestampError>> {
        const KEY_ID: u8 = 0x80;
        const SIGNED_ATTRIBUTES: u8 = 0xa0;
        const UNSIGNED_ATTRIBUTES: u8 = 0xa1;
        if element.tag != der::SEQUENCE {
            return None;
        }
        let mut parts = Reader::new(element.content);
        parts.take(der::INTEGER)?;
        let id = match parts.next_tag()? {
            KEY_ID => SignerId::KeyId(parts.take(KEY_ID)?.content),
            _ => {
                let mut name = Reader::new(parts.take(der::SEQUENCE)?.content);
                let id = SignerId::IssuerAndSerial(name.take(der::SEQUENCE)?.raw, name.take(der::INTEGER)?.content);
                name.end()?;
                id
            }
        };
        let digest = Hash::from_oid(Reader::new(parts.take(der::SEQUENCE)?.content).take(der::OID)?.content);
        let attributes = parts.take(SIGNED_ATTRIBUTES)?;
        let algorithm = parts.take(der::SEQUENCE)?;
        let signature = parts.take(der::OCTET_STRING)?.content;
        parts.optional(UNSIGNED_ATTRIBUTES)?;
        parts.end()?;
        let Some(digest) = digest else {
            return Some(Err(TimestampError::NotUnderstood("another hash than SHA-256, SHA-384 or SHA-512")));
        };
        Some(Ok(Self { id, digest, attributes, algorithm, signature }))
    }

    /// The AlgorithmIdentifier of the signature with the hash in it: for RSA, CMS may tell that apart.
    fn algorithm(&self) -> Option<Vec<u8>> {
        const NULL: [u8; 2] = [0x05, 0];
        let oid = Reader::new(self.algorithm.content).take(der::OID)?.content;
        if oid != RSA_ENCRYPTION {
            return Some(self.algorithm.raw.to_vec());
        }
        let (last, start) = (self.digest.in_rsa(), &RSA_ENCRYPTION[..RSA_ENCRYPTION.len() - 1]);
        Some(der::sequence(&[der::tlv(der::OID, &[start, &[last]].concat()), NULL.to_vec()]))
    }
}

impl SignerId<'_> {
    fn is(&self, certificate: &Certificate) -> bool {
        match self {
            Self::IssuerAndSerial(issuer, serial) => {
                *issuer == certificate.issuer_der() && *serial == certificate.serial_der()
            }
            Self::KeyId(id) => certificate.subject_key_id() == Some(id),
        }
    }
}

impl Hash {
    fn from_oid(oid: &[u8]) -> Option<Self> {
        match oid {
            SHA256 => Some(Self::Sha256),
            SHA384 => Some(Self::Sha384),
            SHA512 => Some(Self::Sha512),
            _ => None,
        }
    }

    fn of(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => sha256(data).to_vec(),
            Self::Sha384 => sha384(data).to_vec(),
            Self::Sha512 => DigestAlgorithm::Sha512.digest(data).as_bytes().to_vec(),
        }
    }

    /// The last octet of the object identifier of RSA with PKCS#1 v1.5 padding and this hash.
    fn in_rsa(self) -> u8 {
        match self {
            Self::Sha256 => 0x0b,
            Self::Sha384 => 0x0c,
            Self::Sha512 => 0x0d,
        }
    }
}

/// The signed attributes that matter.
struct Attributes<'a> {
    digest: &'a [u8],
    /// How the signer's certificate is named.
    certificate: CertificateHash<'a>,
}

/// It identifies, it does not protect: what certifies the key is the signature on the certificate. Hence SHA-1 is good enough, as in
/// the original attribute.
enum CertificateHash<'a> {
    Sha1(&'a [u8]),
    Sha2(Hash, &'a [u8]),
}

impl<'a> Attributes<'a> {
    /// `None` if one is missing, there twice, or unreadable.
    fn read(set: &'a [u8]) -> Option<Self> {
        let (mut content_type, mut digest, mut v1, mut v2) = (None, None, None, None);
        for attribute in der::elements(set)? {
            let mut parts = Reader::new(attribute.content);
            let oid = parts.take(der::OID)?.content;
            let values = der::elements(parts.take(der::SET)?.content)?;
            parts.end()?;
            let place = match oid {
                CONTENT_TYPE => &mut content_type,
                MESSAGE_DIGEST => &mut digest,
                SIGNING_CERTIFICATE => &mut v1,
                SIGNING_CERTIFICATE_V2 => &mut v2,
                _ => continue,
            };
            let &[value] = values.as_slice() else { return None };
            if place.replace(value).is_some() {
                return None;
            }
        }
        let is_info = content_type.is_some_and(|value| value.tag == der::OID && value.content == TST_INFO);
        let digest = digest.filter(|value| value.tag == der::OCTET_STRING && is_info)?.content;
        let certificate = match (v2, v1) {
            (Some(value), _) => certificate_v2(value)?,
            (None, Some(value)) => CertificateHash::Sha1(first_id(value)?.take(der::OCTET_STRING)?.content),
            (None, None) => return None,
        };
        Some(Self { digest, certificate })
    }

    fn names(&self, certificate: &Certificate) -> bool {
        match self.certificate {
            CertificateHash::Sha1(hash) => DigestAlgorithm::Sha1.digest(certificate.der()).matches(hash),
            CertificateHash::Sha2(algorithm, hash) => algorithm.of(certificate.der()) == hash,
        }
    }
}

/// The first entry of a list of certificates is the signer's (RFC 2634, 5.4).
fn first_id(value: Element<'_>) -> Option<Reader<'_>> {
    let mut list = Reader::new((value.tag == der::SEQUENCE).then_some(value.content)?);
    let mut ids = Reader::new(list.take(der::SEQUENCE)?.content);
    Some(Reader::new(ids.take(der::SEQUENCE)?.content))
}

/// As before, but with another hash, which is SHA-256 if it is not told (RFC 5035, 4).
fn certificate_v2(value: Element<'_>) -> Option<CertificateHash<'_>> {
    const SHA1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
    let mut id = first_id(value)?;
    let oid = match id.optional(der::SEQUENCE)? {
        None => SHA256,
        Some(algorithm) => Reader::new(algorithm.content).take(der::OID)?.content,
    };
    let hash = id.take(der::OCTET_STRING)?.content;
    match oid {
        SHA1 => Some(CertificateHash::Sha1(hash)),
        oid => Some(CertificateHash::Sha2(Hash::from_oid(oid)?, hash)),
    }
}
