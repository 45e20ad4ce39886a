//! Taking a certificate apart.

use std::ops::Range;

use rohrpost_crypto::{KeyError, PublicKey};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::oid_registry::{
    OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER, OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_KEY_USAGE,
    OID_X509_EXT_SUBJECT_KEY_IDENTIFIER,
};

use super::{BasicConstraints, CertificateError};
use crate::fingerprint::Fingerprint;
use crate::key_usage::KeyUsage;
use crate::{der, name};

/// What is kept of a certificate. All of it follows from `der`.
pub(super) struct Parts {
    pub(super) der: Box<[u8]>,
    pub(super) fingerprint: Fingerprint,
    pub(super) version: u32,
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) serial: String,
    pub(super) not_before: OffsetDateTime,
    pub(super) not_after: OffsetDateTime,
    pub(super) key_usage: Option<KeyUsage>,
    pub(super) basic_constraints: Option<BasicConstraints>,
    pub(super) subject_key_id: Option<Vec<u8>>,
    pub(super) authority_key_id: Option<Vec<u8>>,
    pub(super) says_qualified: bool,
    pub(super) key: Result<PublicKey, KeyError>,
    pub(super) at: Places,
}

/// Where the raw parts lie in the encoding.
pub(super) struct Places {
    pub(super) tbs: Range<usize>,
    pub(super) subject: Range<usize>,
    pub(super) issuer: Range<usize>,
    pub(super) serial: Range<usize>,
    pub(super) spki: Range<usize>,
    pub(super) algorithm: Range<usize>,
    pub(super) signature: Range<usize>,
}

impl Parts {
    pub(super) fn new(der: &[u8], parsed: &X509Certificate<'_>) -> Result<Self, CertificateError> {
        let at = Places::find(der, parsed)?;
        let version = match parsed.version().0 {
            number @ 0..=2 => number + 1,
            _ => return Err(malformed("its version is none of 1, 2 and 3")),
        };
        let name = |range: &Range<usize>| {
            let name = name::rfc2253(&der[range.clone()]).ok_or_else(|| malformed("a name cannot be read"))?;
            if name.len() > MAX_NAME_LEN { Err(malformed("a name is too long")) } else { Ok(name) }
        };
        // Identifiers of keys only help to find issuers; one that cannot be read is like none.
        let authority_key_id = extension(parsed, &OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER, |value| match value {
            ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0.to_vec()),
            _ => None,
        });
        let subject_key_id = extension(parsed, &OID_X509_EXT_SUBJECT_KEY_IDENTIFIER, |value| match value {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
        Ok(Self {
            fingerprint: Fingerprint::of(der),
            version,
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
            subject_key_id: subject_key_id.unwrap_or_default(),
            authority_key_id: authority_key_id.unwrap_or_default(),
            says_qualified: says_qualified(parsed),
            key: PublicKey::from_spki_der(&der[at.spki.clone()]),
            der: der.into(),
            at,
        })
    }
}

impl Places {
    fn find(der: &[u8], parsed: &X509Certificate<'_>) -> Result<Self, CertificateError> {
        let parts = || {
            let (outer, _) = der::expect(der::SEQUENCE, der)?;
            let parts: [_; 3] = der::elements(outer.content)?.try_into().ok()?;
            let stated = der::elements(parts[0].content)?.into_iter().find(|part| part.tag == der::SEQUENCE)?;
            Some((parts, stated))
        };
        let ([tbs, algorithm, signature], stated) = parts().ok_or_else(|| malformed("it is not in DER"))?;
        if stated.raw != algorithm.raw {
            return Err(malformed("it names two different signature algorithms"));
        }
        let signature = match signature.content {
            [0, octets @ ..] if signature.tag == der::BIT_STRING => octets,
            _ => return Err(malformed("the signature is not a string of whole octets")),
        };
        if parsed.raw_serial().len() > MAX_SERIAL_LEN {
            return Err(malformed("the serial number is too long"));
        }
        let place = |part: &[u8]| {
            let start = part.as_ptr() as usize - der.as_ptr() as usize;
            start..start + part.len()
        };
        Ok(Self {
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

/// Octets of a name as text. Names are kept with every result of an inspection and stand in reports, and anybody can make some.
const MAX_NAME_LEN: usize = 4096;

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

#[cfg(test)]
mod tests {
    use rohrpost_crypto::{Curve, PrivateKey, SystemRandom};
    use time::macros::datetime;

    use super::*;
    use crate::Certificate;
    use crate::issue::{Name, Template, Validity, self_signed};

    fn made() -> Vec<u8> {
        let validity = Validity::new(datetime!(2025-01-01 0:00 UTC), datetime!(2035-01-01 0:00 UTC));
        let key = PrivateKey::generate_ec(Curve::P256).unwrap();
        let template = Template::signature(Name::new().common_name("X"), validity);
        self_signed(&template, &key, &SystemRandom).unwrap().der().to_vec()
    }

    /// The certificate with the first occurrence of `from` replaced by as many octets.
    fn changed(from: &[u8], to: &[u8]) -> Result<Certificate, CertificateError> {
        let mut der = made();
        let at = der.windows(from.len()).position(|window| window == from).unwrap();
        der[at..at + to.len()].copy_from_slice(to);
        Certificate::from_der(&der)
    }

    #[track_caller]
    fn assert_malformed(result: Result<Certificate, CertificateError>, words: &str) {
        match result {
            Err(CertificateError::Malformed { detail }) => assert!(detail.contains(words), "{detail}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn refuses_contradictions_and_nonsense() {
        // version 4; another algorithm inside than outside
        assert_malformed(changed(&[0xa0, 3, 2, 1, 2], &[0xa0, 3, 2, 1, 3]), "version");
        let ecdsa = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3];
        let (sha256, sha512) = ([&ecdsa[..], &[2]].concat(), [&ecdsa[..], &[4]].concat());
        assert_malformed(changed(&sha256, &sha512), "two different");
    }

    #[test]
    fn refuses_a_key_usage_it_cannot_read() {
        // the BIT STRING in the extension becomes an INTEGER
        let usage = [0x55, 0x1d, 0x0f, 1, 1, 0xff, 4, 4, 3];
        let broken = [&usage[..8], &[2]].concat();
        let expected = CertificateError::Extension { oid: "2.5.29.15".to_owned() };
        assert_eq!(changed(&usage, &broken).unwrap_err(), expected);
        // an unreadable key identifier is like none
        let id = [0x55, 0x1d, 0x0e, 4, 0x16, 4];
        assert!(changed(&id, &[&id[..5], &[5]].concat()).unwrap().subject_key_id().is_none());
    }

    #[test]
    fn prints_fingerprints_in_lower_case_hex() {
        let fingerprint = Fingerprint::from([0xab; 32]);
        assert_eq!(fingerprint.to_string(), "ab".repeat(32));
        assert_eq!(<[u8; 32]>::from(fingerprint), [0xab; 32]);
        let der = made();
        let certificate = Certificate::from_der(&der).unwrap();
        assert_eq!(certificate.fingerprint().as_bytes(), &rohrpost_crypto::sha256(&der));
        assert!(format!("{certificate:?}").ends_with(" CN=X)"));
    }
}
