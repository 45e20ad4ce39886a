//! The policy that comes with the product, and what is not a policy.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use proptest::prelude::*;
use rohrpost_crypto::{
    BlockCipher, Curve, DigestAlgorithm, KeyKind, KeyTransport, SignatureAlgorithm, X509SignatureAlgorithm,
    policy::{Policy, PolicyError, Purpose, Ruling},
};
use time::{Date, Duration, macros::date};

const TODAY: Date = date!(2026 - 11 - 22);

#[test]
fn digests() {
    let policy = Policy::standard();
    for algorithm in DigestAlgorithm::ALL {
        let old = matches!(algorithm, DigestAlgorithm::Sha1 | DigestAlgorithm::Ripemd160);
        let expected = if old { Ruling::Refuse } else { Ruling::Produce };
        assert_eq!(policy.judge(Purpose::Digest, algorithm.uri(), None, TODAY), expected, "{algorithm:?}");
    }
    let sha1 = |day| policy.judge(Purpose::Digest, DigestAlgorithm::Sha1.uri(), None, day);
    assert_eq!(sha1(date!(2009 - 12 - 31)), Ruling::Accept);
    assert_eq!(sha1(date!(2010 - 01 - 01)), Ruling::Warn);
    assert_eq!(sha1(date!(2016 - 12 - 31)), Ruling::Warn);
    assert_eq!(sha1(date!(2017 - 01 - 01)), Ruling::Refuse);
}

#[test]
fn signatures() {
    use SignatureAlgorithm as A;
    let policy = Policy::standard();
    for algorithm in SignatureAlgorithm::ALL {
        let expected = match algorithm {
            A::RsaSha1 | A::RsaRipemd160 => Ruling::Refuse,
            A::PssSha3_256 | A::PssSha3_384 | A::PssSha3_512 => Ruling::Accept,
            _ => Ruling::Produce,
        };
        for purpose in [Purpose::TransportSignature, Purpose::ContentSignature] {
            assert_eq!(policy.judge(purpose, algorithm.uri(), None, TODAY), expected, "{algorithm:?}");
        }
        assert_eq!(policy.judge(Purpose::Digest, algorithm.uri(), None, TODAY), Ruling::Refuse);
    }
}

#[test]
fn certificates() {
    use X509SignatureAlgorithm as A;
    let policy = Policy::standard();
    let judge = |algorithm: A| policy.judge(Purpose::CertificateSignature, algorithm.uri(), None, TODAY);
    for algorithm in [
        A::RsaSha256,
        A::RsaSha384,
        A::RsaSha512,
        A::PssSha256 { salt_len: 32 },
        A::PssSha384 { salt_len: 48 },
        A::PssSha512 { salt_len: 64 },
        A::EcdsaSha256,
        A::EcdsaSha384,
        A::EcdsaSha512,
        A::Ed25519,
    ] {
        assert_eq!(judge(algorithm), Ruling::Produce, "{algorithm:?}");
    }
    assert_eq!(judge(A::RsaSha1), Ruling::Refuse);
}

#[test]
fn encryption() {
    let policy = Policy::standard();
    for cipher in BlockCipher::ALL {
        let expected = match cipher {
            BlockCipher::TripleDesCbc => Ruling::Refuse,
            _ if cipher.is_authenticated() => Ruling::Produce,
            _ => Ruling::Warn,
        };
        for purpose in [Purpose::TransportEncryption, Purpose::ContentEncryption] {
            assert_eq!(policy.judge(purpose, cipher.uri(), None, TODAY), expected, "{cipher:?}");
        }
    }
    let transport = |transport: KeyTransport, bits| policy.judge(Purpose::KeyTransport, transport.uri(), bits, TODAY);
    assert_eq!(transport(KeyTransport::OAEP_SHA256, Some(4096)), Ruling::Produce);
    assert_eq!(transport(KeyTransport::Rsa15, Some(4096)), Ruling::Warn);
    assert_eq!(transport(KeyTransport::Rsa15, Some(1024)), Ruling::Refuse);
    let cbc = BlockCipher::Aes256Cbc.uri();
    assert_eq!(policy.judge(Purpose::TransportEncryption, cbc, None, date!(2029 - 01 - 01)), Ruling::Refuse);
}

#[test]
fn key_lengths() {
    let policy = Policy::standard();
    let judge = |kind: KeyKind, day| policy.judge(Purpose::KeyLength, kind.name(), Some(kind.bits()), day);
    let rsa = |bits, day| judge(KeyKind::Rsa { bits }, day);
    assert_eq!(rsa(2048, TODAY), Ruling::Produce);
    assert_eq!(rsa(2048, date!(2028 - 12 - 31)), Ruling::Produce);
    assert_eq!(rsa(2048, date!(2029 - 01 - 01)), Ruling::Warn);
    assert_eq!(rsa(2048, date!(2031 - 01 - 01)), Ruling::Refuse);
    assert_eq!(rsa(2999, date!(2029 - 01 - 01)), Ruling::Warn);
    assert_eq!(rsa(3000, date!(2031 - 01 - 01)), Ruling::Produce);
    for bits in [0, 512, 1024, 2047] {
        assert_eq!(rsa(bits, TODAY), Ruling::Refuse, "{bits}");
    }
    for curve in [Curve::P256, Curve::P384, Curve::P521] {
        assert_eq!(judge(KeyKind::Ec { curve }, TODAY), Ruling::Produce);
    }
    assert_eq!(judge(KeyKind::Ed25519, TODAY), Ruling::Produce);
    assert_eq!(judge(KeyKind::Unsupported, TODAY), Ruling::Refuse);
    assert_eq!(policy.judge(Purpose::KeyLength, "rsa", None, TODAY), Ruling::Refuse);
    assert_eq!(policy.judge(Purpose::KeyLength, "RSA", Some(4096), TODAY), Ruling::Refuse);
}

#[test]
fn a_short_key_spoils_a_good_algorithm() {
    let policy = Policy::standard();
    let judge = |bits, day| policy.judge(Purpose::TransportSignature, SignatureAlgorithm::RsaSha256.uri(), bits, day);
    assert_eq!(judge(None, TODAY), Ruling::Produce);
    assert_eq!(judge(Some(2048), TODAY), Ruling::Produce);
    assert_eq!(judge(Some(2047), TODAY), Ruling::Refuse);
    assert_eq!(judge(Some(2048), date!(2030 - 06 - 01)), Ruling::Warn);
}

proptest! {
    #[test]
    fn whatever_is_unknown_is_refused(uri in ".{0,60}", days in -20_000..40_000i64, bits in proptest::option::of(0..20_000u32)) {
        let day = TODAY + Duration::days(days);
        prop_assert_eq!(Policy::standard().judge(Purpose::Digest, &uri, bits, day), Ruling::Refuse);
    }

    #[test]
    fn the_standard_policy_only_gets_stricter(days in 0..20_000i64, later in 0..5_000i64) {
        let policy = Policy::standard();
        let day = date!(1990 - 01 - 01) + Duration::days(days);
        for cipher in BlockCipher::ALL {
            let at = |day| policy.judge(Purpose::TransportEncryption, cipher.uri(), None, day);
            prop_assert!(at(day + Duration::days(later)) <= at(day));
        }
    }
}

#[test]
fn own_policies() {
    let policy = Policy::from_toml(
        r#"
        name = "of a partner"
        [[key]]
        kind = "rsa"
        bits = 1024
        rulings = [{ from = 2026-01-01, ruling = "warn" }]
        [[key]]
        kind = "rsa"
        bits = 2048
        rulings = [{ ruling = "produce" }]
        [[algorithm]]
        uri = "urn:a"
        purposes = ["digest", "transport-signature"]
        key = "rsa"
        rulings = [{ from = 2026-01-02, ruling = "accept" }]
        "#,
    )
    .unwrap();
    let judge = |bits, day| policy.judge(Purpose::Digest, "urn:a", bits, day);
    assert_eq!(policy.name(), "of a partner");
    assert_eq!(judge(None, date!(2026 - 01 - 01)), Ruling::Refuse, "before the first ruling");
    assert_eq!(judge(None, date!(2026 - 01 - 02)), Ruling::Accept);
    assert_eq!(judge(Some(1024), date!(2026 - 01 - 02)), Ruling::Warn);
    assert_eq!(judge(Some(4096), date!(2026 - 01 - 02)), Ruling::Accept);
    assert_eq!(policy.judge(Purpose::ContentSignature, "urn:a", None, TODAY), Ruling::Refuse);
}

#[test]
fn texts_that_are_no_policy() {
    let entry = |rest: &str| format!("name = \"x\"\n[[algorithm]]\nuri = \"urn:a\"\n{rest}");
    let digest = |rulings: &str| entry(&format!("purposes = [\"digest\"]\nrulings = {rulings}"));
    let read = |text: &str| Policy::from_toml(text).unwrap_err();
    for text in [
        "",
        "name",
        "name = \"x\"\nunknown = 1",
        &entry("purposes = [\"digest\"]"),
        &digest("[{ ruling = \"maybe\" }]"),
        &digest("[{ from = \"2026-01-01\", ruling = \"warn\" }]"),
        &entry("purposes = [\"digests\"]\nrulings = [{ ruling = \"warn\" }]"),
        &entry("purposes = [\"digest\"]\nrulings = [{ ruling = \"warn\", until = 2026-01-01 }]"),
    ] {
        assert!(matches!(read(text), PolicyError::Syntax(_)), "{text}");
    }
    for rulings in [
        "[]",
        "[{ ruling = \"warn\" }, { ruling = \"refuse\" }]",
        "[{ from = 2026-01-02, ruling = \"warn\" }, { from = 2026-01-01, ruling = \"refuse\" }]",
        "[{ from = 2026-01-01, ruling = \"warn\" }, { from = 2026-01-01, ruling = \"refuse\" }]",
        "[{ from = 2026-01-01T00:00:00Z, ruling = \"warn\" }]",
        "[{ from = 12:00:00, ruling = \"warn\" }]",
    ] {
        assert!(matches!(read(&digest(rulings)), PolicyError::Dates { .. }), "{rulings}");
    }
    let twice = entry("purposes = [\"digest\", \"digest\"]\nrulings = [{ ruling = \"warn\" }]");
    assert!(matches!(read(&twice), PolicyError::Purpose { .. }));
    let of_keys = entry("purposes = [\"key-length\"]\nrulings = [{ ruling = \"warn\" }]");
    assert!(matches!(read(&of_keys), PolicyError::Purpose { .. }));
    let no_key = entry("purposes = [\"digest\"]\nkey = \"rsa\"\nrulings = [{ ruling = \"warn\" }]");
    assert!(matches!(read(&no_key), PolicyError::UnknownKey { .. }));
    let key = |bits| format!("[[key]]\nkind = \"rsa\"\nbits = {bits}\nrulings = [{{ ruling = \"warn\" }}]\n");
    let unordered = format!("name = \"x\"\n{}{}", key(2048), key(1024));
    assert!(matches!(read(&unordered), PolicyError::KeyOrder { .. }));
    assert_eq!(read(&twice).to_string(), "`urn:a` has the purpose digest twice, or only keys can have it");
}

#[test]
fn names_are_those_of_the_format() {
    for ruling in [Ruling::Refuse, Ruling::Warn, Ruling::Accept, Ruling::Produce] {
        for purpose in [
            Purpose::TransportSignature,
            Purpose::ContentSignature,
            Purpose::CertificateSignature,
            Purpose::Digest,
            Purpose::KeyTransport,
            Purpose::TransportEncryption,
            Purpose::ContentEncryption,
        ] {
            let text = format!(
                "name = \"x\"\n[[algorithm]]\nuri = \"urn:a\"\npurposes = [\"{}\"]\nrulings = [{{ ruling = \"{}\" }}]",
                purpose.name(),
                ruling.name()
            );
            assert_eq!(Policy::from_toml(&text).unwrap().judge(purpose, "urn:a", None, TODAY), ruling);
        }
    }
    assert!(Ruling::Warn.may_read() && !Ruling::Warn.may_produce() && !Ruling::Refuse.may_read());
}
