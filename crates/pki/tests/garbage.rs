//! Nothing that is not exactly what was signed comes out as valid, and nothing at all panics.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use proptest::prelude::*;
use rohrpost_crypto::policy::Policy;
use rohrpost_crypto::{Curve, PrivateKey, SystemRandom};
use rohrpost_pki::issue::{Authority, Name, Template, Validity, self_signed};
use rohrpost_pki::pkcs12;
use rohrpost_pki::{Anchors, Certificate, Use, Verdict, inspect};
use time::macros::datetime;

struct Pki {
    anchors: Anchors,
    sub: Certificate,
    leaf: Certificate,
}

impl Pki {
    fn new() -> Self {
        let key = || PrivateKey::generate_ec(Curve::P256).unwrap();
        let name = |common: &str| Name::new().country("DE").common_name(common);
        let validity = Validity::new(datetime!(2025-01-01 0:00 UTC), datetime!(2035-01-01 0:00 UTC));
        let root = Authority::root(&Template::authority(name("Root"), validity, None), key(), &SystemRandom).unwrap();
        let sub = root.subordinate(&Template::authority(name("Sub"), validity, Some(0)), key(), &SystemRandom).unwrap();
        let leaf = sub.issue(&Template::signature(name("Leaf"), validity), key().public_key(), &SystemRandom).unwrap();
        let mut anchors = Anchors::new();
        anchors.add(root.certificate().clone()).unwrap();
        Self { anchors, sub: sub.certificate().clone(), leaf }
    }

    fn judge(&self, certificate: &Certificate, extra: &Certificate) -> Verdict {
        let at = datetime!(2027-01-01 0:00 UTC);
        let extra = std::slice::from_ref(extra);
        inspect(certificate, extra, &self.anchors, Use::ContentSignature, &Policy::standard(), at).verdict
    }
}

/// The encoding with each single bit changed, as far as it can still be read.
fn flips(certificate: &Certificate) -> impl Iterator<Item = (usize, Certificate)> {
    let der = certificate.der().to_vec();
    (0..der.len() * 8).filter_map(move |bit| {
        let mut changed = der.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        Certificate::from_der(&changed).ok().map(|certificate| (bit, certificate))
    })
}

#[test]
fn no_flipped_bit_leaves_a_certificate_valid() {
    let pki = Pki::new();
    assert_eq!(pki.judge(&pki.leaf, &pki.sub), Verdict::Valid);
    let mut read = 0;
    for (bit, changed) in flips(&pki.leaf) {
        assert_ne!(pki.judge(&changed, &pki.sub), Verdict::Valid, "bit {bit}");
        read += 1;
    }
    for (bit, changed) in flips(&pki.sub) {
        assert_ne!(pki.judge(&pki.leaf, &changed), Verdict::Valid, "bit {bit} of the issuer");
        read += 1;
    }
    assert!(read > 1000, "{read}");
}

#[test]
fn a_certificate_is_the_whole_input() {
    let pki = Pki::new();
    let der = pki.leaf.der();
    for length in 0..der.len() {
        assert!(Certificate::from_der(&der[..length]).is_err(), "{length}");
    }
    let longer = [der, &[0]].concat();
    assert!(Certificate::from_der(&longer).is_err());
    let huge = [der, &vec![0; Certificate::MAX_LEN]].concat();
    assert!(Certificate::from_der(&huge).is_err());
}

#[test]
fn names_are_no_longer_than_they_need_be() {
    let key = PrivateKey::generate_ec(Curve::P256).unwrap();
    let validity = Validity::new(datetime!(2025-01-01 0:00 UTC), datetime!(2035-01-01 0:00 UTC));
    let named = |name: &str| {
        let template = Template::signature(Name::new().common_name(name), validity);
        self_signed(&template, &key, &SystemRandom).map(|certificate| certificate.subject().len())
    };
    assert_eq!(named(&"x".repeat(4000)).unwrap(), 4003);
    assert!(named(&"x".repeat(4094)).is_err());
    // Three characters of text for each of the name.
    assert!(named(&"\u{1}".repeat(1400)).is_err());
}

proptest! {
    #[test]
    fn garbage_is_refused(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Certificate::from_der(&octets).is_err());
        prop_assert!(pkcs12::load(&octets, &"1".into()).is_err());
    }

    #[test]
    fn garbage_inside_a_certificate_does_no_harm(
        at in 0usize..400,
        garbage in proptest::collection::vec(any::<u8>(), 1..40),
        replace in any::<bool>(),
    ) {
        static PKI: std::sync::LazyLock<Pki> = std::sync::LazyLock::new(Pki::new);
        let mut octets = PKI.leaf.der().to_vec();
        let at = at.min(octets.len());
        let end = if replace { (at + garbage.len()).min(octets.len()) } else { at };
        octets.splice(at..end, garbage);
        if let Ok(certificate) = Certificate::from_der(&octets)
            && octets != PKI.leaf.der()
        {
            prop_assert_ne!(PKI.judge(&certificate, &PKI.sub), Verdict::Valid);
        }
    }
}
