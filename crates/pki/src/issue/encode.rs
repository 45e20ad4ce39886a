//! The encoding of certificates and revocation lists (RFC 5280, 4.1, 4.2 and 5.1).

use rohrpost_crypto::{Curve, KeyKind, PrivateKey, PublicKey, Random, X509SignatureAlgorithm, sha256};
use time::{OffsetDateTime, UtcOffset};

use super::{Extension, IssueError, ListTemplate, Revoked, Template};
use crate::certificate::Certificate;
use crate::der;

/// Who signs.
pub(super) struct Issuer<'a> {
    pub(super) name: &'a [u8],
    pub(super) key: &'a PrivateKey,
    pub(super) key_id: Vec<u8>,
    pub(super) algorithm: X509SignatureAlgorithm,
}

const TRUE: [u8; 3] = [0x01, 1, 0xff];
const NULL: [u8; 2] = [0x05, 0];

pub(super) fn usual_algorithm(key: &PublicKey) -> Result<X509SignatureAlgorithm, IssueError> {
    Ok(match key.kind() {
        KeyKind::Rsa { .. } => X509SignatureAlgorithm::RsaSha256,
        KeyKind::Ec { curve: Curve::P256 } => X509SignatureAlgorithm::EcdsaSha256,
        KeyKind::Ec { curve: Curve::P384 } => X509SignatureAlgorithm::EcdsaSha384,
        KeyKind::Ec { curve: Curve::P521 } => X509SignatureAlgorithm::EcdsaSha512,
        _ => return Err(IssueError::Unencodable { what: "a signature with a key of this kind" }),
    })
}

/// The first 160 bits of the SHA-256 of the key (RFC 7093, method 1).
pub(super) fn key_id(key: &PublicKey) -> Vec<u8> {
    sha256(key.subject_public_key())[..20].to_vec()
}

pub(super) fn certificate(
    template: &Template,
    key: &PublicKey,
    issuer: &Issuer<'_>,
    random: &dyn Random,
) -> Result<Certificate, IssueError> {
    let tbs = der::sequence(&[
        der::tlv(0xa0, &der::unsigned(&[2])),
        serial(random),
        algorithm(issuer.algorithm)?,
        issuer.name.to_vec(),
        der::sequence(&[moment(template.validity.not_before)?, moment(template.validity.not_after)?]),
        template.subject.to_der(),
        key.spki_der().to_vec(),
        der::tlv(0xa3, &der::sequence(&extensions(template, key, issuer)?)),
    ]);
    Ok(Certificate::from_der(&signed(&tbs, issuer)?)?)
}

pub(super) fn revocation_list(list: &ListTemplate<'_>, issuer: &Issuer<'_>) -> Result<Vec<u8>, IssueError> {
    let entries = list.revoked.iter().map(entry).collect::<Result<Vec<_>, IssueError>>()?;
    let mut parts = vec![
        der::unsigned(&[1]),
        algorithm(issuer.algorithm)?,
        issuer.name.to_vec(),
        moment(list.published.not_before)?,
    ];
    if list.has_next_update {
        parts.push(moment(list.published.not_after)?);
    }
    if !entries.is_empty() {
        parts.push(der::sequence(&entries));
    }
    let mut extensions = vec![
        extension("2.5.29.35", false, &authority_key_id(issuer))?,
        extension("2.5.29.20", false, &der::unsigned(&list.number.to_be_bytes()))?,
    ];
    for Extension { oid, critical, value } in &list.extensions {
        extensions.push(extension(oid, *critical, value)?);
    }
    parts.push(der::tlv(0xa0, &der::sequence(&extensions)));
    signed(&der::sequence(&parts), issuer)
}

fn entry(revoked: &Revoked<'_>) -> Result<Vec<u8>, IssueError> {
    let mut parts = vec![der::tlv(der::INTEGER, revoked.certificate.serial_der()), moment(revoked.since)?];
    if let Some(reason) = revoked.reason {
        let value = der::tlv(der::ENUMERATED, &[reason.number()]);
        parts.push(der::sequence(&[extension("2.5.29.21", false, &value)?]));
    }
    Ok(der::sequence(&parts))
}

/// A positive number of 127 random bits.
fn serial(random: &dyn Random) -> Vec<u8> {
    let mut octets = [0; 16];
    random.fill(&mut octets);
    octets[0] = octets[0] & 0x7f | 0x40;
    der::unsigned(&octets)
}

fn extensions(template: &Template, key: &PublicKey, issuer: &Issuer<'_>) -> Result<Vec<Vec<u8>>, IssueError> {
    let mut list = vec![
        extension("2.5.29.35", false, &authority_key_id(issuer))?,
        extension("2.5.29.14", false, &der::tlv(der::OCTET_STRING, &key_id(key)))?,
    ];
    if let Some(constraints) = template.basic_constraints {
        let mut parts = Vec::new();
        if constraints.authority {
            parts.push(TRUE.to_vec());
        }
        if let Some(length) = constraints.path_len {
            parts.push(der::unsigned(&length.to_be_bytes()));
        }
        list.push(extension("2.5.29.19", true, &der::sequence(&parts))?);
    }
    if let Some(usage) = template.key_usage {
        list.push(extension("2.5.29.15", true, &der::tlv(der::BIT_STRING, &usage.bit_string()))?);
    }
    if !template.server_names.is_empty() {
        let names: Vec<_> = template.server_names.iter().map(|name| der::tlv(0x82, name.as_bytes())).collect();
        list.push(extension("2.5.29.17", false, &der::sequence(&names))?);
    }
    if !template.purposes.is_empty() {
        let purposes = template.purposes.iter().map(|purpose| oid(purpose)).collect::<Result<Vec<_>, _>>()?;
        list.push(extension("2.5.29.37", false, &der::sequence(&purposes))?);
    }
    if !template.responders.is_empty() {
        let ocsp = oid("1.3.6.1.5.5.7.48.1")?;
        let access = |url: &String| der::sequence(&[ocsp.clone(), der::tlv(0x86, url.as_bytes())]);
        let all: Vec<_> = template.responders.iter().map(access).collect();
        list.push(extension("1.3.6.1.5.5.7.1.1", false, &der::sequence(&all))?);
    }
    if !template.revocation_lists.is_empty() {
        let points: Vec<_> = template.revocation_lists.iter().map(|url| distribution_point(url)).collect();
        list.push(extension("2.5.29.31", false, &der::sequence(&points))?);
    }
    for Extension { oid, critical, value } in &template.extensions {
        list.push(extension(oid, *critical, value)?);
    }
    Ok(list)
}

fn authority_key_id(issuer: &Issuer<'_>) -> Vec<u8> {
    der::sequence(&[der::tlv(0x80, &issuer.key_id)])
}

fn distribution_point(url: &str) -> Vec<u8> {
    let full_name = der::tlv(0xa0, &der::tlv(0x86, url.as_bytes()));
    der::sequence(&[der::tlv(0xa0, &full_name)])
}

pub(super) fn extension(name: &str, critical: bool, value: &[u8]) -> Result<Vec<u8>, IssueError> {
    let mut parts = vec![oid(name)?];
    if critical {
        parts.push(TRUE.to_vec());
    }
    parts.push(der::tlv(der::OCTET_STRING, value));
    Ok(der::sequence(&parts))
}

pub(super) fn oid(text: &str) -> Result<Vec<u8>, IssueError> {
    der::oid(text).ok_or(IssueError::Unencodable { what: "this object identifier" })
}

/// UTCTime up to 2049, GeneralizedTime from 2050 (RFC 5280, 4.1.2.5).
fn moment(at: OffsetDateTime) -> Result<Vec<u8>, IssueError> {
    let at = at.to_offset(UtcOffset::UTC);
    let (date, time) = (at.date(), at.time());
    let rest = format!(
        "{:02}{:02}{:02}{:02}{:02}Z",
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    match date.year() {
        year @ 1950..=2049 => Ok(der::tlv(der::UTC_TIME, format!("{:02}{rest}", year % 100).as_bytes())),
        year @ (0..=1949 | 2050..=9999) => Ok(der::tlv(der::GENERALIZED_TIME, format!("{year:04}{rest}").as_bytes())),
        _ => Err(IssueError::Unencodable { what: "a year of more than four digits" }),
    }
}

fn signed(tbs: &[u8], issuer: &Issuer<'_>) -> Result<Vec<u8>, IssueError> {
    let signature = issuer.key.sign_x509(issuer.algorithm, tbs)?;
    Ok(der::sequence(&[tbs.to_vec(), algorithm(issuer.algorithm)?, der::bit_string(&signature)]))
}

/// The AlgorithmIdentifier (RFC 4055, RFC 5758).
pub(super) fn algorithm(algorithm: X509SignatureAlgorithm) -> Result<Vec<u8>, IssueError> {
    use X509SignatureAlgorithm as A;
    let with_null = |name| Ok(der::sequence(&[oid(name)?, NULL.to_vec()]));
    let bare = |name| Ok(der::sequence(&[oid(name)?]));
    match algorithm {
        A::RsaSha256 => with_null("1.2.840.113549.1.1.11"),
        A::RsaSha384 => with_null("1.2.840.113549.1.1.12"),
        A::RsaSha512 => with_null("1.2.840.113549.1.1.13"),
        A::PssSha256 { salt_len } => pss("2.16.840.1.101.3.4.2.1", salt_len),
        A::PssSha384 { salt_len } => pss("2.16.840.1.101.3.4.2.2", salt_len),
        A::PssSha512 { salt_len } => pss("2.16.840.1.101.3.4.2.3", salt_len),
        A::EcdsaSha256 => bare("1.2.840.10045.4.3.2"),
        A::EcdsaSha384 => bare("1.2.840.10045.4.3.3"),
        A::EcdsaSha512 => bare("1.2.840.10045.4.3.4"),
        _ => Err(IssueError::Unencodable { what: "a signature with this algorithm" }),
    }
}

fn pss(hash: &str, salt_len: u16) -> Result<Vec<u8>, IssueError> {
    let hash = der::sequence(&[oid(hash)?, NULL.to_vec()]);
    let mask = der::sequence(&[oid("1.2.840.113549.1.1.8")?, hash.clone()]);
    let salt = der::unsigned(&salt_len.to_be_bytes());
    let parameters = der::sequence(&[der::tlv(0xa0, &hash), der::tlv(0xa1, &mask), der::tlv(0xa2, &salt)]);
    Ok(der::sequence(&[oid("1.2.840.113549.1.1.10")?, parameters]))
}
