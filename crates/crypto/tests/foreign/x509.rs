use rohrpost_crypto::{PrivateKey, SignatureInvalid, X509SignatureAlgorithm};

use crate::{bytes, private_key, public_key, text, vectors};

#[test]
fn certificates_verify_and_altered_ones_do_not() {
    for vector in vectors("x509") {
        let algorithm = X509SignatureAlgorithm::from_der(&bytes(&vector, "algorithm")).expect("a known algorithm");
        let key = public_key(text(&vector, "key"));
        let (tbs, signature) = (bytes(&vector, "tbs"), bytes(&vector, "signature"));
        assert_eq!(key.verify_x509(algorithm, &tbs, &signature), Ok(()), "{vector}");
        let mut altered = tbs.clone();
        altered[20] ^= 1;
        assert_eq!(key.verify_x509(algorithm, &altered, &signature), Err(SignatureInvalid));
        let mut wrong = signature.clone();
        *wrong.last_mut().unwrap() ^= 1;
        assert_eq!(key.verify_x509(algorithm, &tbs, &wrong), Err(SignatureInvalid));
        assert_eq!(key.verify_x509(algorithm, &tbs, &signature[1..]), Err(SignatureInvalid));
        assert_eq!(key.verify_x509(algorithm, &tbs, b""), Err(SignatureInvalid));
    }
}

#[test]
fn the_salt_of_pss_must_be_as_long_as_stated() {
    for vector in vectors("x509").iter().filter(|vector| text(vector, "name").starts_with("pss-")) {
        let stated: u16 = text(vector, "name").rsplit('-').next().unwrap().parse().unwrap();
        use X509SignatureAlgorithm as A;
        let other = match X509SignatureAlgorithm::from_der(&bytes(vector, "algorithm")).unwrap() {
            A::PssSha256 { salt_len } if salt_len == stated => A::PssSha256 { salt_len: salt_len - 1 },
            A::PssSha384 { salt_len } if salt_len == stated => A::PssSha384 { salt_len: salt_len - 1 },
            A::PssSha512 { salt_len } if salt_len == stated => A::PssSha512 { salt_len: salt_len - 1 },
            other => panic!("{other:?} in {vector}"),
        };
        let key = public_key(text(vector, "key"));
        assert!(key.verify_x509(other, &bytes(vector, "tbs"), &bytes(vector, "signature")).is_err());
    }
}

#[test]
fn other_algorithms_are_unknown() {
    for vector in vectors("x509_unknown") {
        assert_eq!(X509SignatureAlgorithm::from_der(&bytes(&vector, "algorithm")), None, "{vector}");
    }
    for vector in vectors("x509") {
        let identifier = bytes(&vector, "algorithm");
        assert_eq!(X509SignatureAlgorithm::from_der(&identifier[..identifier.len() - 1]), None);
        assert_eq!(X509SignatureAlgorithm::from_der(&[&identifier[..], &[0]].concat()), None);
    }
    assert_eq!(X509SignatureAlgorithm::from_der(b""), None);
}

#[test]
fn unsupported_keys_verify_nothing() {
    for vector in vectors("x509_refused") {
        let algorithm = X509SignatureAlgorithm::from_der(&bytes(&vector, "algorithm")).unwrap();
        let key = public_key(text(&vector, "key"));
        let outcome = key.verify_x509(algorithm, &bytes(&vector, "tbs"), &bytes(&vector, "signature"));
        assert_eq!(outcome, Err(SignatureInvalid), "{vector}");
    }
}

#[test]
fn what_we_sign_verifies() {
    use X509SignatureAlgorithm as A;
    let rsa = [
        A::RsaSha256,
        A::RsaSha384,
        A::RsaSha512,
        A::PssSha256 { salt_len: 32 },
        A::PssSha384 { salt_len: 48 },
        A::PssSha512 { salt_len: 64 },
    ];
    let ec = [A::EcdsaSha256, A::EcdsaSha384, A::EcdsaSha512];
    let check = |key: &PrivateKey, algorithm| {
        let signature = key.sign_x509(algorithm, b"certificate").unwrap();
        key.public_key().verify_x509(algorithm, b"certificate", &signature).unwrap();
    };
    rsa.into_iter().for_each(|algorithm| check(&private_key("rsa2048"), algorithm));
    for name in ["P-256", "P-384", "P-521"] {
        // often enough for numbers with leading zeros and with the highest bit set
        (0..40).for_each(|_| ec.into_iter().for_each(|algorithm| check(&private_key(name), algorithm)));
        assert!(private_key(name).sign_x509(A::RsaSha256, b"certificate").is_err());
    }
    for refused in [A::RsaSha1, A::PssSha256 { salt_len: 20 }, A::EcdsaSha256, A::Ed25519] {
        assert!(private_key("rsa2048").sign_x509(refused, b"certificate").is_err(), "{refused:?}");
    }
}
