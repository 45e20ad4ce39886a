//! Revocation lists and answers of responders. Both are signed; so that not everything ends at the signature, the input is also
//! taken for what is signed, and signed by an authority of the test PKI.

use std::sync::LazyLock;

use rohrpost_crypto::X509SignatureAlgorithm;
use rohrpost_crypto::policy::Policy;
use rohrpost_pki::issue::Authority;
use rohrpost_pki::revocation::crl::UnverifiedList;
use rohrpost_pki::revocation::ocsp::{NoncePolicy, UnverifiedResponse};
use rohrpost_pki::revocation::{Doubt, Revocation};
use rohrpost_pki::{Certificate, pem};
use time::OffsetDateTime;
use time::macros::datetime;

use super::certificates::test_key;

struct Pki {
    issuer: Authority,
    certificate: Certificate,
    policy: Policy,
}

static PKI: LazyLock<Pki> = LazyLock::new(|| {
    let read = |name: &str| {
        let file = std::fs::read(crate::certs_test(name)).expect("the test PKI is committed");
        pem::certificates(&file).expect("a certificate").remove(0)
    };
    let key = test_key("../ca/registry-ca");
    Pki {
        issuer: Authority::new(read("ca/registry-ca.cert.pem"), key).expect("they belong together"),
        certificate: read("pem/alice-signature.cert.pem"),
        policy: Policy::standard(),
    }
});

const AT: OffsetDateTime = datetime!(2026-12-01 12:00 UTC);
const NONCE: [u8; 32] = *b"a nonce for nothing but fuzzing.";

/// Bytes as a revocation list, and as what is signed of one.
pub fn revocation_list(data: &[u8]) {
    list(data);
    list(&signed(data, |octets| UnverifiedList::parse(octets).is_ok(), |signed| signed));
}

fn list(octets: &[u8]) {
    let look_up = |octets: &[u8]| -> Result<Option<Revocation>, Doubt> {
        let list = UnverifiedList::parse(octets)?.verify(PKI.issuer.certificate(), &PKI.policy, AT)?;
        assert!(octets[0] != 0x30 || *list.evidence("").der == *octets, "the evidence is what was given");
        list.look_up(&PKI.certificate, AT)
    };
    let found = look_up(octets);
    if octets.first() == Some(&0x30) {
        assert!(
            !matches!(found, Ok(Some(_))) || names(octets, &PKI.certificate),
            "whoever is revoked stands on the list"
        );
        assert_eq!(look_up(pem::write(pem::REVOCATION_LIST, octets).as_bytes()), found, "PEM says the same as DER");
    }
}

/// Bytes as an answer of a responder, and as what is signed of one.
pub fn ocsp_response(data: &[u8]) {
    answer(data);
    let wrapped = |basic: Vec<u8>| {
        let typed = [tlv(6, &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1]), tlv(4, &basic)].concat();
        tlv(0x30, &[vec![0x0a, 1, 0], tlv(0xa0, &tlv(0x30, &typed))].concat())
    };
    answer(&signed(data, |octets| UnverifiedResponse::parse(octets).is_ok(), wrapped));
}

fn answer(octets: &[u8]) {
    let verified = || UnverifiedResponse::parse(octets)?.verify(PKI.issuer.certificate(), &PKI.policy, AT);
    let Ok(response) = verified() else { return };
    let look_up = |nonces| response.look_up(&PKI.certificate, Some(&NONCE), nonces, AT);
    let (preferred, required) = (look_up(NoncePolicy::Preferred), look_up(NoncePolicy::Required));
    if let Ok((_, evidence)) = &preferred {
        assert_eq!(*evidence.der, *octets, "the evidence is what was given");
        assert!(evidence.until >= AT, "what counts has not ended");
        assert!(names(octets, &PKI.certificate), "an answer names the certificate");
    }
    if required.is_ok() {
        assert!(octets.windows(NONCE.len()).any(|window| window == NONCE), "an answer repeats the nonce");
        assert_eq!(preferred, required);
    }
}

/// What is signed with its signature, if it can be read like that; with a wrong signature otherwise, which costs less.
fn signed(tbs: &[u8], is_read: impl Fn(&[u8]) -> bool, wrap: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    const RSA_SHA256: [u8; 15] = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0];
    let whole = |signature: &[u8]| {
        let bits = [&[0], signature].concat();
        wrap(tlv(0x30, &[tbs, &RSA_SHA256, &tlv(3, &bits)].concat()))
    };
    let unsigned = whole(&[]);
    if !is_read(&unsigned) {
        return unsigned;
    }
    let signature = PKI.issuer.key().sign_x509(X509SignatureAlgorithm::RsaSha256, tbs);
    whole(&signature.expect("the key of an authority signs"))
}

fn names(octets: &[u8], certificate: &Certificate) -> bool {
    let serial: u128 = certificate.serial().parse().expect("serial numbers of the test PKI have 127 bits");
    let serial = serial.to_be_bytes();
    let serial = &serial[serial.iter().take_while(|octet| **octet == 0).count()..];
    octets.windows(serial.len()).any(|window| window == serial)
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let octets = length.to_be_bytes();
    let used = &octets[octets.iter().take_while(|octet| **octet == 0).count()..];
    let mut out = vec![tag];
    match length {
        0..=0x7f => out.push(length.to_le_bytes()[0]),
        _ => {
            out.push(0x80 | used.len().to_le_bytes()[0]);
            out.extend_from_slice(used);
        }
    }
    out.extend_from_slice(content);
    out
}
