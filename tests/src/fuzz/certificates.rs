//! Certificates, PEM and PKCS#12.

use std::sync::LazyLock;

use rohrpost_crypto::PrivateKey;
use rohrpost_crypto::policy::Policy;
use rohrpost_osci::xml::is_representable;
use rohrpost_pki::{Anchors, Certificate, MathResult, Use, Verdict, inspect, pem as armour, pkcs12 as p12};
use time::macros::datetime;

/// A private key of the test PKI.
pub(super) fn test_key(name: &str) -> PrivateKey {
    let path = crate::certs_test(&format!("pem/{name}.key.pem"));
    let text = std::fs::read_to_string(path).expect("the test PKI is committed");
    let blocks = armour::parse(&text).expect("it is PEM");
    PrivateKey::from_pkcs8_der(&blocks[0].content).expect("it is a key")
}

/// Bytes as a certificate in DER.
pub fn certificate(data: &[u8]) {
    let Ok(certificate) = Certificate::from_der(data) else { return };
    assert_eq!(certificate.der(), data);
    for name in [certificate.subject(), certificate.issuer()] {
        assert!(is_representable(name), "names stand in reports, which are XML");
    }
    let digits = certificate.serial().strip_prefix('-').unwrap_or_else(|| certificate.serial());
    assert!(!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()), "serial numbers are decimal");
    if let Ok(key) = certificate.public_key() {
        assert_eq!(key.spki_der(), certificate.spki_der());
        assert!(certificate.certifies(&key));
    }
    let text = armour::write_certificate(&certificate);
    assert_eq!(armour::certificates(text.as_bytes()), Ok(vec![certificate.clone()]));
    assert_eq!(armour::certificates(data), Ok(vec![certificate.clone()]), "DER is recognised");
    judged(&certificate);
}

/// A judgement is reached, and only a certificate with a good signature can be a valid one.
fn judged(certificate: &Certificate) {
    struct Pki {
        anchors: Anchors,
        extra: Vec<Certificate>,
        policy: Policy,
    }
    static PKI: LazyLock<Pki> = LazyLock::new(|| {
        let read = |name: &str| std::fs::read(crate::certs_test(name)).expect("the test PKI is committed");
        let authorities = ["ca/registry-ca.cert.pem", "ca/transport-ca.cert.pem"];
        let extra = authorities.iter().flat_map(|name| armour::certificates(&read(name)).expect("certificates"));
        Pki {
            anchors: Anchors::from_pem(&read("ca/root-ca.cert.pem")).expect("an anchor"),
            extra: extra.collect(),
            policy: Policy::standard(),
        }
    });
    let Pki { anchors, extra, policy } = &*PKI;
    let at = datetime!(2026-12-01 12:00 UTC);
    for usage in [Use::TransportSignature, Use::ContentSignature, Use::Encryption] {
        let found = inspect(certificate, extra, anchors, usage, policy, at);
        assert!(
            found.verdict != Verdict::Valid || found.math == MathResult::Ok,
            "nothing is valid without a signature"
        );
        assert_eq!(found, inspect(certificate, extra, anchors, usage, policy, at), "judging is a function");
    }
}

/// A text with PEM blocks.
pub fn pem(data: &[u8]) {
    let from_file = armour::certificates(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(blocks) = armour::parse(text) else { return };
    let written: String = blocks.iter().map(|block| armour::write(&block.label, &block.content).to_string()).collect();
    assert_eq!(armour::parse(&written).as_ref(), Ok(&blocks), "what we write can be read");
    if let Ok(found) = from_file
        && data.first() != Some(&0x30)
    {
        let labelled = blocks.iter().filter(|block| block.label == armour::CERTIFICATE).count();
        assert_eq!(found.len(), labelled);
    }
    for block in &blocks {
        // Whatever the label says.
        let _ = PrivateKey::from_pkcs8_der(&block.content);
    }
}

/// Bytes as a PKCS#12 file with a known PIN.
pub fn pkcs12(data: &[u8]) {
    if asks_for_much_work(data) {
        return;
    }
    let pin = "123456".into();
    let Ok(entry) = p12::load(data, &pin) else { return };
    assert!(entry.certificate.certifies(entry.key.public_key()), "key and certificate belong together");
    let again = PrivateKey::from_pkcs8_der(&entry.key.to_pkcs8_der()).expect("a key that was read can be written");
    assert_eq!(again.kind(), entry.key.kind());
    assert!(p12::load(data, &"654321".into()).is_err(), "the PIN matters");
}

/// Whether an integer looks like an iteration count that would keep the fuzzer busy. Such files come from the operator, whose
/// patience is his own.
fn asks_for_much_work(data: &[u8]) -> bool {
    let long = data.windows(3).any(|bytes| matches!(bytes, [2, 3..=8, 0..=0x7F]));
    long || data.windows(4).any(|bytes| matches!(bytes, [2, 2, 0x28..=0x7F, _]))
}
