//! Answers of responders (RFC 6960, 4.2.1).

use rohrpost_crypto::DigestAlgorithm;
use time::{OffsetDateTime, UtcOffset};

use super::encode::{algorithm, extension, oid};
use super::{Authority, IssueError};
use crate::certificate::Certificate;
use crate::der;
use crate::revocation::Revocation;

/// What an answer is to say, about one certificate.
#[derive(Clone, Debug)]
pub struct OcspAnswer<'a> {
    /// Which certificate.
    pub certificate: &'a Certificate,
    /// Who issued it.
    pub issuer: &'a Certificate,
    /// What became of it.
    pub status: OcspStatus,
    /// Since when that is known; also when the answer is made.
    pub this_update: OffsetDateTime,
    /// When there will be news.
    pub next_update: Option<OffsetDateTime>,
    /// The nonce of the question.
    pub nonce: Option<Vec<u8>>,
    /// The hash by which the answer names the certificate: SHA-1 or SHA-256.
    pub hash: DigestAlgorithm,
    /// Whether it names the responder by its key, or by its name.
    pub by_key: bool,
    /// Certificates that go with it.
    pub certificates: &'a [Certificate],
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OcspStatus {
    /// Not revoked.
    Good,
    /// Revoked.
    Revoked(Revocation),
    /// The responder does not know the certificate.
    Unknown,
}

pub(super) fn answer(answer: &OcspAnswer<'_>, signer: &Authority) -> Result<Vec<u8>, IssueError> {
    let responder = match answer.by_key {
        true => {
            let hash = DigestAlgorithm::Sha1.digest(signer.key.public_key().subject_public_key());
            der::tlv(0xa2, &der::tlv(der::OCTET_STRING, hash.as_bytes()))
        }
        false => der::tlv(0xa1, signer.certificate.subject_der()),
    };
    let mut data = vec![responder, moment(answer.this_update), der::sequence(&[single(answer)?])];
    if let Some(nonce) = &answer.nonce {
        let nonce = extension("1.3.6.1.5.5.7.48.1.2", false, &der::tlv(der::OCTET_STRING, nonce))?;
        data.push(der::tlv(0xa1, &der::sequence(&[nonce])));
    }
    let data = der::sequence(&data);
    let signature = signer.key.sign_x509(signer.algorithm, &data)?;
    let mut parts = vec![data, algorithm(signer.algorithm)?, der::bit_string(&signature)];
    if !answer.certificates.is_empty() {
        let all: Vec<_> = answer.certificates.iter().map(Certificate::der).collect();
        parts.push(der::tlv(0xa0, &der::sequence(&all)));
    }
    let typed = der::sequence(&[oid("1.3.6.1.5.5.7.48.1.1")?, der::tlv(der::OCTET_STRING, &der::sequence(&parts))]);
    Ok(der::sequence(&[der::tlv(der::ENUMERATED, &[0]), der::tlv(0xa0, &typed)]))
}

fn single(answer: &OcspAnswer<'_>) -> Result<Vec<u8>, IssueError> {
    let hash = match answer.hash {
        DigestAlgorithm::Sha1 => oid("1.3.14.3.2.26")?,
        DigestAlgorithm::Sha256 => oid("2.16.840.1.101.3.4.2.1")?,
        _ => return Err(IssueError::Unencodable { what: "the name of a certificate by this hash" }),
    };
    let key = answer.issuer.public_key().map_err(|_| IssueError::Unencodable { what: "the key of the issuer" })?;
    let hashed = |octets: &[u8]| der::tlv(der::OCTET_STRING, answer.hash.digest(octets).as_bytes());
    let id = der::sequence(&[
        der::sequence(&[hash]),
        hashed(answer.issuer.subject_der()),
        hashed(key.subject_public_key()),
        der::tlv(der::INTEGER, answer.certificate.serial_der()),
    ]);
    let status = match answer.status {
        OcspStatus::Good => der::tlv(0x80, &[]),
        OcspStatus::Unknown => der::tlv(0x82, &[]),
        OcspStatus::Revoked(Revocation { since, reason }) => {
            let reason = reason.map(|reason| der::tlv(0xa0, &der::tlv(der::ENUMERATED, &[reason.number()])));
            der::constructed(0xa1, &[moment(since), reason.unwrap_or_default()])
        }
    };
    let next = answer.next_update.map(|next| der::tlv(0xa0, &moment(next)));
    Ok(der::sequence(&[id, status, moment(answer.this_update), next.unwrap_or_default()]))
}

/// A GeneralizedTime, which is the only form here.
fn moment(at: OffsetDateTime) -> Vec<u8> {
    let at = at.to_offset(UtcOffset::UTC);
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let text = format!("{year:04}{month:02}{day:02}{:02}{:02}{:02}Z", at.hour(), at.minute(), at.second());
    der::tlv(der::GENERALIZED_TIME, text.as_bytes())
}
