//! A table of certificates that are wrong in one way each, with what must come out.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use std::path::Path;
use std::sync::LazyLock;

use rohrpost_crypto::policy::Policy;
use rohrpost_crypto::{Curve, PrivateKey, SystemRandom, X509SignatureAlgorithm};
use rohrpost_pki::issue::{Authority, Name, Template, Validity, self_signed};
use rohrpost_pki::{
    Anchors, BasicConstraints, CertType, Certificate, Inspection, KeyUsage, MathResult, OfflineResult, Reason, Use,
    Verdict, inspect, pem,
};
use time::OffsetDateTime;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2027-06-01 12:00 UTC);
const GOOD: Validity = Validity::new(datetime!(2025-01-01 0:00 UTC), datetime!(2035-01-01 0:00 UTC));

/// An authority with a subordinate one, made for each test run.
struct Pki {
    root: Authority,
    sub: Authority,
}

static PKI: LazyLock<Pki> = LazyLock::new(|| {
    let root = Authority::root(&authority("Root", None), key(), &SystemRandom).unwrap();
    let sub = root.subordinate(&authority("Sub", Some(0)), key(), &SystemRandom).unwrap();
    Pki { root, sub }
});

fn key() -> PrivateKey {
    PrivateKey::generate_ec(Curve::P256).unwrap()
}

fn name(common: &str) -> Name {
    Name::new().country("DE").organization("Table").common_name(common)
}

fn authority(common: &str, path_len: Option<u32>) -> Template {
    Template::authority(name(common), GOOD, path_len)
}

fn signing() -> Template {
    Template::signature(name("Leaf"), GOOD)
}

fn by(issuer: &Authority, template: &Template) -> Certificate {
    issuer.issue(template, key().public_key(), &SystemRandom).unwrap()
}

fn file(path: &str) -> Certificate {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    pem::certificates(&std::fs::read(path).unwrap()).unwrap().remove(0)
}

fn odd(name: &str) -> Certificate {
    file(&format!("tests/odd/{name}.pem"))
}

fn test_pki(name: &str) -> Certificate {
    file(&format!("../../certs-test/{name}.cert.pem"))
}

fn trusting(certificates: &[&Certificate]) -> Anchors {
    let mut anchors = Anchors::new();
    for &certificate in certificates {
        anchors.add(certificate.clone()).unwrap();
    }
    anchors
}

fn look(certificate: &Certificate, extra: &[&Certificate], anchors: &Anchors, usage: Use) -> Inspection {
    let extra: Vec<_> = extra.iter().map(|&certificate| certificate.clone()).collect();
    inspect(certificate, &extra, anchors, usage, &Policy::standard(), NOW)
}

/// Looks for signatures, trusting the root and given the subordinate authority.
fn usual(certificate: &Certificate) -> Inspection {
    look(certificate, &[PKI.sub.certificate()], &trusting(&[PKI.root.certificate()]), Use::TransportSignature)
}

#[track_caller]
fn assert_result(inspection: &Inspection, math: MathResult, offline: OfflineResult, reason: &Reason) {
    assert_eq!(inspection.reasons, std::slice::from_ref(reason));
    assert_eq!((inspection.math, inspection.offline), (math, offline));
    assert_eq!(inspection.verdict, reason.verdict());
    assert!(!reason.to_string().is_empty());
}

#[track_caller]
fn assert_invalid(inspection: &Inspection, reason: &Reason) {
    assert_result(inspection, MathResult::Ok, OfflineResult::Invalid, reason);
}

#[track_caller]
fn assert_unknown(inspection: &Inspection, math: MathResult, reason: &Reason) {
    assert_result(inspection, math, OfflineResult::Indeterminate, reason);
    assert_eq!(inspection.verdict, Verdict::Indeterminate);
}

#[track_caller]
fn assert_valid(inspection: &Inspection) {
    assert_eq!(inspection.verdict, Verdict::Valid, "{:?}", inspection.reasons);
    assert_eq!((inspection.math, inspection.offline), (MathResult::Ok, OfflineResult::Valid));
}

#[test]
fn a_good_certificate_is_valid_and_reported_completely() {
    let certificate = by(&PKI.sub, &signing());
    let found = usual(&certificate);
    assert_valid(&found);
    assert_eq!(found.subject, "CN=Leaf,O=Table,C=DE");
    assert_eq!(found.issuer, "CN=Sub,O=Table,C=DE");
    assert_eq!(found.serial, certificate.serial());
    assert_eq!((found.time, found.usage), (NOW, Use::TransportSignature));
    assert_eq!((found.cert_type, found.online.clone()), (CertType::Advanced, None));
    assert_eq!(found.cert_type.as_str(), "advanced");
    assert_eq!(found.anchor, Some(PKI.root.certificate().fingerprint()));
    assert!(found.reasons.is_empty() && !found.is_outside_validity());
}

#[test]
fn the_test_certificates_come_out_as_their_list_says() {
    let anchors = trusting(&[&test_pki("ca/root-ca")]);
    let between = [&test_pki("ca/registry-ca"), &test_pki("ca/transport-ca"), &test_pki("ca/rogue-ca")];
    let index = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../certs-test/index.json");
    let index: serde_json::Value = serde_json::from_slice(&std::fs::read(index).unwrap()).unwrap();
    let mut seen = 0;
    for entry in index.as_array().unwrap() {
        let text = |key: &str| entry[key].as_str().unwrap();
        let usages: &[Use] = match text("use") {
            "signature" => &[Use::TransportSignature, Use::ContentSignature],
            "cipher" => &[Use::Encryption],
            "both" => &[Use::ContentSignature, Use::Encryption],
            _ => continue,
        };
        let certificate = test_pki(&format!("pem/{}", text("name")));
        assert_eq!(certificate.fingerprint().to_string(), text("fingerprint"));
        assert_eq!((certificate.subject(), certificate.serial()), (text("subject"), text("serial")));
        for &usage in usages {
            let found = look(&certificate, &between, &anchors, usage);
            let expected = match text("condition") {
                // Revocation is not looked at here.
                "good" | "revoked" => (Verdict::Valid, MathResult::Ok, OfflineResult::Valid),
                "expired" | "not yet valid" | "wrong usage" => {
                    (Verdict::Invalid, MathResult::Ok, OfflineResult::Invalid)
                }
                _ => (Verdict::Indeterminate, MathResult::Indeterminate, OfflineResult::Indeterminate),
            };
            assert_eq!((found.verdict, found.math, found.offline), expected, "{} {:?}", text("name"), found.reasons);
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn expired() {
    let ended = datetime!(2026-01-01 0:00 UTC);
    let template = Template::signature(name("Leaf"), Validity::new(datetime!(2025-01-01 0:00 UTC), ended));
    let found = usual(&by(&PKI.sub, &template));
    assert_invalid(&found, &Reason::Expired { since: ended });
    assert!(found.is_outside_validity());
}

#[test]
fn not_yet_valid() {
    let begins = datetime!(2030-01-01 0:00 UTC);
    let template = Template::signature(name("Leaf"), Validity::new(begins, datetime!(2031-01-01 0:00 UTC)));
    let found = usual(&by(&PKI.sub, &template));
    assert_invalid(&found, &Reason::NotYetValid { until: begins });
    assert!(found.is_outside_validity());
}

#[test]
fn validity_is_exact_to_the_second() {
    let certificate = by(&PKI.sub, &Template::signature(name("Leaf"), Validity::new(NOW, NOW)));
    let judge = |at| {
        let anchors = trusting(&[PKI.sub.certificate()]);
        inspect(&certificate, &[], &anchors, Use::ContentSignature, &Policy::standard(), at).verdict
    };
    assert_eq!(judge(NOW), Verdict::Valid);
    assert_eq!(judge(NOW + time::Duration::milliseconds(999)), Verdict::Valid);
    assert_eq!(judge(NOW + time::Duration::seconds(1)), Verdict::Invalid);
    assert_eq!(judge(NOW - time::Duration::milliseconds(1)), Verdict::Invalid);
}

#[test]
fn validity_that_ends_before_it_begins() {
    let backwards = Validity::new(datetime!(2030-01-01 0:00 UTC), datetime!(2026-01-01 0:00 UTC));
    let found = usual(&by(&PKI.sub, &Template::signature(name("Leaf"), backwards)));
    assert_eq!((found.verdict, found.math), (Verdict::Invalid, MathResult::Ok));
}

#[test]
fn issuer_expired() {
    let short = Validity::new(datetime!(2025-01-01 0:00 UTC), datetime!(2026-01-01 0:00 UTC));
    let template = Template::authority(name("Short"), short, None);
    let sub = PKI.root.subordinate(&template, key(), &SystemRandom).unwrap();
    let found =
        look(&by(&sub, &signing()), &[sub.certificate()], &trusting(&[PKI.root.certificate()]), Use::ContentSignature);
    assert_invalid(&found, &Reason::IssuerOutsideValidity);
    assert!(!found.is_outside_validity());
}

#[test]
fn signed_by_an_impostor_with_the_issuers_name_and_key_identifier() {
    let found = look(&odd("by-impostor"), &[], &trusting(&[&odd("ca")]), Use::ContentSignature);
    let reason = Reason::IssuerSignatureWrong;
    assert_result(&found, MathResult::Corrupted, OfflineResult::Indeterminate, &reason);
    assert_eq!(found.verdict, Verdict::Invalid);
    // Offering the impostor's certificate does not help.
    let found = look(&odd("by-impostor"), &[&odd("impostor-ca")], &trusting(&[&odd("ca")]), Use::ContentSignature);
    assert_result(&found, MathResult::Corrupted, OfflineResult::Indeterminate, &reason);
    // Nor does a false issuer spoil a good certificate.
    let found = look(&odd("good"), &[&odd("impostor-ca")], &trusting(&[&odd("ca")]), Use::ContentSignature);
    assert_eq!(found.verdict, Verdict::Valid);
    let found = look(&odd("good"), &[&odd("impostor-ca")], &Anchors::new(), Use::ContentSignature);
    assert_unknown(&found, MathResult::Indeterminate, &Reason::IssuerUnknown);
}

#[test]
fn changed_after_signing() {
    let mut der = by(&PKI.sub, &signing()).der().to_vec();
    let at = der.windows(4).position(|window| window == b"Leaf").unwrap();
    der[at] = b'D';
    let found = usual(&Certificate::from_der(&der).unwrap());
    assert_result(&found, MathResult::Corrupted, OfflineResult::Indeterminate, &Reason::IssuerSignatureWrong);
}

#[test]
fn unknown_issuer() {
    let stranger = Authority::root(&authority("Stranger", None), key(), &SystemRandom).unwrap();
    let found = usual(&by(&stranger, &signing()));
    assert_unknown(&found, MathResult::Indeterminate, &Reason::IssuerUnknown);
    assert_eq!((found.cert_type, found.anchor), (CertType::Unknown, None));
    // Sending the authority along makes nobody trust it.
    let anchors = trusting(&[PKI.root.certificate()]);
    let found = look(&by(&stranger, &signing()), &[stranger.certificate()], &anchors, Use::ContentSignature);
    assert_unknown(&found, MathResult::Indeterminate, &Reason::IssuerUnknown);
}

#[test]
fn intermediate_missing() {
    let anchors = trusting(&[PKI.root.certificate()]);
    let found = look(&by(&PKI.sub, &signing()), &[], &anchors, Use::ContentSignature);
    assert_unknown(&found, MathResult::Indeterminate, &Reason::IssuerUnknown);
}

#[test]
fn nobody_trusted() {
    let extra = [PKI.sub.certificate(), PKI.root.certificate()];
    let found = look(&by(&PKI.sub, &signing()), &extra, &Anchors::new(), Use::ContentSignature);
    assert_unknown(&found, MathResult::Indeterminate, &Reason::IssuerUnknown);
}

#[test]
fn vouching_for_itself() {
    let certificate = self_signed(&signing(), &key(), &SystemRandom).unwrap();
    assert_unknown(&usual(&certificate), MathResult::Indeterminate, &Reason::SelfSigned);
    // Trusted by name it is good, but vouches for nobody.
    assert_valid(&look(&certificate, &[], &trusting(&[&certificate]), Use::ContentSignature));
    let key = key();
    let own = self_signed(&Template::signature(name("Own"), GOOD), &key, &SystemRandom).unwrap();
    let child = by(&Authority::new(own.clone(), key).unwrap(), &signing());
    let found = look(&child, &[], &trusting(&[&own]), Use::ContentSignature);
    assert_invalid(&found, &Reason::IssuerNotAuthority);
}

#[test]
fn vouching_for_itself_and_changed() {
    let certificate = self_signed(&signing(), &key(), &SystemRandom).unwrap();
    let mut der = certificate.der().to_vec();
    let last = der.len() - 1;
    der[last] ^= 1;
    let found = usual(&Certificate::from_der(&der).unwrap());
    assert_result(&found, MathResult::Corrupted, OfflineResult::Indeterminate, &Reason::IssuerSignatureWrong);
}

#[test]
fn key_usage_without_signature() {
    let allowed = KeyUsage::KEY_ENCIPHERMENT | KeyUsage::DATA_ENCIPHERMENT;
    let certificate = by(&PKI.sub, &signing().key_usage(Some(allowed)));
    for wanted in [Use::TransportSignature, Use::ContentSignature] {
        let anchors = trusting(&[PKI.root.certificate()]);
        let found = look(&certificate, &[PKI.sub.certificate()], &anchors, wanted);
        assert_invalid(&found, &Reason::UsageNotAllowed { wanted, allowed });
    }
}

#[test]
fn key_usage_without_encryption() {
    let certificate = test_pki("pem/alice-signature");
    let anchors = trusting(&[&test_pki("ca/root-ca")]);
    let found = look(&certificate, &[&test_pki("ca/registry-ca")], &anchors, Use::Encryption);
    let allowed = KeyUsage::DIGITAL_SIGNATURE | KeyUsage::NON_REPUDIATION;
    assert_invalid(&found, &Reason::UsageNotAllowed { wanted: Use::Encryption, allowed });
}

#[test]
fn each_key_usage_that_is_enough() {
    for usage in [KeyUsage::DIGITAL_SIGNATURE, KeyUsage::NON_REPUDIATION] {
        assert_valid(&usual(&by(&PKI.sub, &signing().key_usage(Some(usage)))));
    }
    assert_valid(&usual(&by(&PKI.sub, &signing().key_usage(None))));
    let found = usual(&by(&PKI.sub, &signing().key_usage(Some(KeyUsage::from_bits(0)))));
    assert_eq!(found.verdict, Verdict::Invalid);
}

#[test]
fn encryption_for_an_elliptic_curve() {
    let certificate = by(&PKI.sub, &signing().key_usage(None));
    let anchors = trusting(&[PKI.sub.certificate()]);
    let found = look(&certificate, &[], &anchors, Use::Encryption);
    let kind = certificate.public_key().unwrap().kind();
    assert_invalid(&found, &Reason::KeyCannotEncrypt { kind });
}

#[test]
fn end_entity_that_issues() {
    let leaf_key = key();
    let leaf = PKI.sub.issue(&signing(), leaf_key.public_key(), &SystemRandom).unwrap();
    let forged = by(&Authority::new(leaf.clone(), leaf_key.clone()).unwrap(), &signing());
    let anchors = trusting(&[PKI.root.certificate()]);
    let extra = [PKI.sub.certificate(), &leaf];
    assert_unknown(
        &look(&forged, &extra, &anchors, Use::ContentSignature),
        MathResult::Indeterminate,
        &Reason::IssuerUnknown,
    );
    // With cA but without keyCertSign it gets as far as the path rules.
    let template = signing().basic_constraints(Some(BasicConstraints { authority: true, path_len: None }));
    let odd = PKI.root.issue(&template, leaf_key.public_key(), &SystemRandom).unwrap();
    let forged = by(&Authority::new(odd.clone(), leaf_key).unwrap(), &signing());
    assert_invalid(&look(&forged, &[&odd], &anchors, Use::ContentSignature), &Reason::IssuerNotAuthority);
}

#[test]
fn too_many_authorities() {
    // "Sub" may have none below it.
    let third = PKI.sub.subordinate(&authority("Third", None), key(), &SystemRandom).unwrap();
    let extra = [PKI.sub.certificate(), third.certificate()];
    let found = look(&by(&third, &signing()), &extra, &trusting(&[PKI.root.certificate()]), Use::ContentSignature);
    assert!(matches!(found.reasons[..], [Reason::ConstraintBroken { .. }]), "{:?}", found.reasons);
    assert_eq!((found.verdict, found.offline), (Verdict::Invalid, OfflineResult::Invalid));
}

#[test]
fn name_that_an_authority_may_not_use() {
    // nameConstraints: permitted directoryName C=FR
    let constraint = Name::new().country("FR");
    let base = der(0xa4, &encoded(&constraint));
    let value = der(0x30, &der(0xa0, &der(0x30, &base)));
    let template = authority("French", None).extension("2.5.29.30", true, value);
    let french = PKI.root.subordinate(&template, key(), &SystemRandom).unwrap();
    let anchors = trusting(&[PKI.root.certificate()]);
    let found = look(&by(&french, &signing()), &[french.certificate()], &anchors, Use::ContentSignature);
    assert!(matches!(found.reasons[..], [Reason::ConstraintBroken { .. }]), "{:?}", found.reasons);
}

#[test]
fn authority_used_for_messages() {
    let both = KeyUsage::KEY_CERT_SIGN | KeyUsage::DIGITAL_SIGNATURE;
    let found = usual(&by(&PKI.root, &authority("Other", None).key_usage(Some(both))));
    assert_invalid(&found, &Reason::AuthorityAsEndEntity);
}

#[test]
fn critical_extension_that_is_not_understood() {
    // certificatePolicies with one policy, and a private one
    let policies = der(0x30, &der(0x30, &[0x06, 0x03, 0x2a, 0x03, 0x04]));
    for (oid, value) in [("2.5.29.32", policies), ("1.2.3.4", vec![0x05, 0x00])] {
        let critical = by(&PKI.sub, &signing().extension(oid, true, value.clone()));
        let found = usual(&critical);
        assert!(matches!(found.reasons[..], [Reason::PathNotUnderstood { .. }]), "{oid} {:?}", found.reasons);
        assert_eq!((found.verdict, found.math), (Verdict::Indeterminate, MathResult::Ok));
        assert_valid(&usual(&by(&PKI.sub, &signing().extension(oid, false, value))));
    }
}

#[test]
fn qualified_certificate() {
    // qcStatements with QcCompliance
    let statement = der(0x30, &[0x06, 0x06, 0x04, 0x00, 0x8e, 0x46, 0x01, 0x01]);
    let template = signing().extension("1.3.6.1.5.5.7.1.3", false, der(0x30, &statement));
    assert_eq!(usual(&by(&PKI.sub, &template)).cert_type, CertType::Qualified);
    let own = self_signed(&template, &key(), &SystemRandom).unwrap();
    assert_eq!(usual(&own).cert_type, CertType::Unknown);
}

#[test]
fn oddities_of_other_tools() {
    let anchors = trusting(&[&odd("ca")]);
    for (name, math, verdict, words) in [
        ("good", MathResult::Ok, Verdict::Valid, ""),
        ("pss", MathResult::Ok, Verdict::Valid, ""),
        ("ed25519", MathResult::Ok, Verdict::Valid, ""),
        ("version-1", MathResult::Ok, Verdict::Indeterminate, "not of version 3"),
        ("rsa-1024", MathResult::Ok, Verdict::Invalid, "refuses keys like this one (rsa, 1024 bits)"),
        ("sha-1", MathResult::Indeterminate, Verdict::Indeterminate, "rsa-sha1"),
        ("explicit-curve", MathResult::Ok, Verdict::Indeterminate, "explicit parameters"),
        ("brainpool", MathResult::Ok, Verdict::Indeterminate, "brainpool"),
        ("ed448", MathResult::Ok, Verdict::Indeterminate, "not supported"),
        ("pss-longest-salt", MathResult::Ok, Verdict::Indeterminate, "algorithm"),
    ] {
        let found = look(&odd(name), &[], &anchors, Use::ContentSignature);
        assert_eq!((found.math, found.verdict), (math, verdict), "{name} {:?}", found.reasons);
        let reason = found.reasons.first().map(ToString::to_string).unwrap_or_default();
        assert!(reason.contains(words), "{name}: {reason}");
    }
}

#[test]
fn issuer_of_version_1_is_no_authority() {
    let anchors = trusting(&[&odd("version-1-ca")]);
    let found = look(&odd("below-version-1-ca"), &[], &anchors, Use::ContentSignature);
    assert_ne!(found.verdict, Verdict::Valid);
    assert_eq!(found.math, MathResult::Ok);
}

#[test]
fn old_rules_for_old_times() {
    // SHA-1 was still good in 2008; the certificate itself was not yet valid then.
    let anchors = trusting(&[&odd("ca")]);
    let then = datetime!(2008-01-01 0:00 UTC);
    let found = inspect(&odd("sha-1"), &[], &anchors, Use::ContentSignature, &Policy::standard(), then);
    assert_eq!((found.math, found.offline), (MathResult::Ok, OfflineResult::Invalid));
}

#[test]
fn a_warning_is_reported_but_not_held_against_it() {
    let anchors = trusting(&[&test_pki("ca/root-ca")]);
    let certificate = test_pki("pem/rsa-2048-signature");
    let extra = [test_pki("ca/registry-ca")];
    let at = datetime!(2030-01-01 0:00 UTC);
    let found = inspect(&certificate, &extra, &anchors, Use::ContentSignature, &Policy::standard(), at);
    assert_eq!(found.verdict, Verdict::Valid);
    assert!(matches!(found.reasons[..], [Reason::KeyDiscouraged { .. }]));
}

#[test]
fn every_algorithm_an_authority_may_use() {
    use X509SignatureAlgorithm as A;
    let rsa = pem_key("ca/transport-ca.key.pem");
    let ec = |curve| PrivateKey::generate_ec(curve).unwrap();
    for (key, algorithm) in [
        (rsa.clone(), A::RsaSha256),
        (rsa.clone(), A::RsaSha384),
        (rsa.clone(), A::RsaSha512),
        (rsa.clone(), A::PssSha256 { salt_len: 32 }),
        (rsa.clone(), A::PssSha384 { salt_len: 48 }),
        (rsa, A::PssSha512 { salt_len: 64 }),
        (ec(Curve::P256), A::EcdsaSha256),
        (ec(Curve::P384), A::EcdsaSha384),
        (ec(Curve::P384), A::EcdsaSha512),
        (ec(Curve::P521), A::EcdsaSha512),
    ] {
        let root = Authority::root(&authority("Any", None), key, &SystemRandom).unwrap().with_algorithm(algorithm);
        let certificate = by(&root, &signing());
        let anchors = trusting(&[root.certificate()]);
        let found = look(&certificate, &[], &anchors, Use::ContentSignature);
        assert_eq!(found.verdict, Verdict::Valid, "{algorithm:?} {:?}", found.reasons);
    }
}

#[test]
fn the_same_names_in_circles_end() {
    // Two authorities that have certified each other.
    let (left_key, right_key) = (key(), key());
    let left = Authority::root(&authority("Left", None), left_key.clone(), &SystemRandom).unwrap();
    let right = Authority::root(&authority("Right", None), right_key.clone(), &SystemRandom).unwrap();
    let left_by_right = right.issue(&authority("Left", None), left_key.public_key(), &SystemRandom).unwrap();
    let right_by_left = left.issue(&authority("Right", None), right_key.public_key(), &SystemRandom).unwrap();
    let extra = [&left_by_right, &right_by_left, left.certificate(), right.certificate()];
    let certificate = by(&left, &signing());
    let found = look(&certificate, &extra, &Anchors::new(), Use::ContentSignature);
    assert_unknown(&found, MathResult::Indeterminate, &Reason::IssuerUnknown);
    assert_valid(&look(&certificate, &extra, &trusting(&[right.certificate()]), Use::ContentSignature));
}

#[test]
fn many_false_issuers_are_not_all_tried() {
    // Certificates for the key of the true issuer, each from an authority of its own.
    let public = PKI.sub.key().public_key().clone();
    let crowd: Vec<_> = (0..100)
        .map(|_| Authority::root(&authority("Nobody", None), key(), &SystemRandom).unwrap())
        .map(|nobody| nobody.issue(&authority("Sub", None), &public, &SystemRandom).unwrap())
        .collect();
    let leaf = by(&PKI.sub, &signing());
    let anchors = trusting(&[PKI.root.certificate()]);
    let mut extra: Vec<_> = crowd.iter().take(10).collect();
    extra.push(PKI.sub.certificate());
    assert_valid(&look(&leaf, &extra, &anchors, Use::ContentSignature));
    let extra: Vec<_> = crowd.iter().collect();
    let found = look(&leaf, &extra, &anchors, Use::ContentSignature);
    assert_unknown(&found, MathResult::Indeterminate, &Reason::PathTooComplex);
}

fn pem_key(name: &str) -> PrivateKey {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../certs-test").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    PrivateKey::from_pkcs8_der(&pem::parse(&text).unwrap()[0].content).unwrap()
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    assert!(content.len() < 128);
    [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
}

fn encoded(name: &Name) -> Vec<u8> {
    let certificate = self_signed(&Template::signature(name.clone(), GOOD), &key(), &SystemRandom).unwrap();
    let wanted = certificate.der();
    // Name ::= SEQUENCE { SET { SEQUENCE { 2.5.4.6, PrintableString (2) } } }
    let at = wanted.windows(4).position(|window| window == [0x30, 0x0d, 0x31, 0x0b]).unwrap();
    wanted[at..at + 15].to_vec()
}
