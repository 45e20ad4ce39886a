//! What `issue` writes, read back with x509-parser.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use rohrpost_crypto::{Curve, PrivateKey, Random, SystemRandom, X509SignatureAlgorithm};
use rohrpost_pki::issue::{Authority, IssueError, Name, Revoked, Template, Validity, self_signed};
use rohrpost_pki::{BasicConstraints, Certificate, KeyUsage};
use time::macros::datetime;
use x509_parser::prelude::{CertificateRevocationList, FromDer, GeneralName, ParsedExtension, X509Certificate};

const GOOD: Validity = Validity::new(datetime!(2025-01-01 0:00 UTC), datetime!(2035-01-01 0:00 UTC));

fn key() -> PrivateKey {
    PrivateKey::generate_ec(Curve::P256).unwrap()
}

fn name(common: &str) -> Name {
    Name::new().common_name(common)
}

fn root() -> Authority {
    Authority::root(&Template::authority(name("Root"), GOOD, Some(1)), key(), &SystemRandom).unwrap()
}

fn issue(template: &Template) -> Certificate {
    root().issue(template, key().public_key(), &SystemRandom).unwrap()
}

#[test]
fn each_template_says_what_it_is_for() {
    let authority = root().certificate().clone();
    assert_eq!(authority.basic_constraints(), Some(BasicConstraints { authority: true, path_len: Some(1) }));
    assert_eq!(authority.key_usage(), Some(KeyUsage::KEY_CERT_SIGN | KeyUsage::CRL_SIGN));
    assert!(authority.is_self_issued() && authority.is_authority());

    let signature = issue(&Template::signature(name("S"), GOOD)).key_usage().unwrap();
    assert!(signature.allows_signature() && !signature.allows_encryption());
    let encryption = issue(&Template::encryption(name("E"), GOOD)).key_usage().unwrap();
    assert!(encryption.allows_encryption() && !encryption.allows_signature());
    assert_eq!(issue(&Template::signature(name("N"), GOOD).key_usage(None)).key_usage(), None);
}

#[test]
fn names_of_servers_and_lists_are_written() {
    let template = Template::tls_server(name("Server"), GOOD, &["a.example", "b.example"])
        .revocation_list("http://pki.example/list.crl");
    let certificate = issue(&template);
    let (_, parsed) = X509Certificate::from_der(certificate.der()).unwrap();
    let names = &parsed.subject_alternative_name().unwrap().unwrap().value.general_names;
    assert_eq!(names[..], [GeneralName::DNSName("a.example"), GeneralName::DNSName("b.example")]);
    assert!(parsed.extended_key_usage().unwrap().unwrap().value.server_auth);
    let points = parsed.iter_extensions().filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::CRLDistributionPoints(points) => Some(points.points.len()),
        _ => None,
    });
    assert_eq!(points.collect::<Vec<_>>(), [1]);
}

#[test]
fn times_are_kept_to_the_second() {
    let validity = Validity::new(datetime!(1949-12-31 23:59:59 UTC), datetime!(2050-01-01 1:00:01 +1));
    let certificate = issue(&Template::signature(name("T"), validity));
    assert_eq!(certificate.not_before(), datetime!(1949-12-31 23:59:59 UTC));
    assert_eq!(certificate.not_after(), datetime!(2050-01-01 0:00:01 UTC));
    let validity = Validity::new(datetime!(1950-01-01 0:00 UTC), datetime!(2049-12-31 23:59:59 UTC));
    let certificate = issue(&Template::signature(name("T"), validity));
    assert_eq!(certificate.not_before(), datetime!(1950-01-01 0:00 UTC));
    assert_eq!(certificate.not_after(), datetime!(2049-12-31 23:59:59 UTC));
}

#[test]
fn serial_numbers_come_from_the_given_source() {
    struct Fixed(u8);
    impl Random for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }
    let serial = |octet| {
        let template = Template::signature(name("S"), GOOD);
        root().issue(&template, key().public_key(), &Fixed(octet)).unwrap().serial().to_owned()
    };
    assert_eq!(serial(0x00), (0x40u128 << 120).to_string());
    assert_eq!(serial(0xff), (u128::MAX >> 1).to_string());
}

#[test]
fn a_revocation_list_names_what_was_revoked() {
    let root = root();
    let certificate = root.issue(&Template::signature(name("R"), GOOD), key().public_key(), &SystemRandom).unwrap();
    let since = datetime!(2025-02-03 4:05:06 UTC);
    for revoked in [&[Revoked { certificate: &certificate, since, reason: None }][..], &[]] {
        let list = root.revoke(revoked, GOOD, 300).unwrap();
        let (rest, parsed) = CertificateRevocationList::from_der(&list).unwrap();
        assert!(rest.is_empty());
        assert_eq!(parsed.crl_number().unwrap().to_string(), "300");
        let entries: Vec<_> = parsed.iter_revoked_certificates().collect();
        assert_eq!(entries.len(), revoked.len());
        for entry in entries {
            assert_eq!(entry.serial().to_string(), certificate.serial());
            assert_eq!(entry.revocation_date.to_datetime(), since);
        }
    }
}

#[test]
fn an_authority_needs_its_own_key() {
    let root = root();
    let error = Authority::new(root.certificate().clone(), key()).unwrap_err();
    assert_eq!(error, IssueError::KeyMismatch);
    assert!(Authority::new(root.certificate().clone(), root.key().clone()).is_ok());
}

#[test]
fn what_cannot_be_done_is_an_error() {
    let wrong_kind = root().with_algorithm(X509SignatureAlgorithm::RsaSha256);
    let template = Template::signature(name("X"), GOOD);
    let error = wrong_kind.issue(&template, key().public_key(), &SystemRandom).unwrap_err();
    assert!(matches!(error, IssueError::Signing(_)), "{error}");
    for template in [
        template.clone().extension("not an oid", false, vec![]),
        template.clone().extension("2.5.29.15", false, vec![]),
        Template::signature(name("X"), Validity::new(datetime!(-0001-01-01 0:00 UTC), datetime!(2035-01-01 0:00 UTC))),
    ] {
        let error = self_signed(&template, &key(), &SystemRandom).unwrap_err();
        assert!(matches!(error, IssueError::Unencodable { .. } | IssueError::Unreadable(_)), "{error}");
    }
}
