use std::collections::BTreeSet;

use rohrpost_crypto::{SignatureAlgorithm, SignatureInvalid, Signer};

use crate::{MESSAGE, bytes, private_key, public_key, text, vectors};

#[test]
fn signatures_verify_and_nothing_near_them_does() {
    let mut seen = BTreeSet::new();
    for vector in vectors("signatures") {
        let algorithm = SignatureAlgorithm::from_uri(text(&vector, "uri")).unwrap();
        let key = public_key(text(&vector, "key"));
        let signature = bytes(&vector, "signature");
        assert_eq!(key.verify(algorithm, MESSAGE, &signature), Ok(()), "{vector}");
        assert_eq!(key.verify(algorithm, b"another message", &signature), Err(SignatureInvalid), "{vector}");
        for wrong in near(&signature) {
            assert_eq!(key.verify(algorithm, MESSAGE, &wrong), Err(SignatureInvalid), "{vector}");
        }
        for other in SignatureAlgorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            assert_eq!(key.verify(other, MESSAGE, &signature), Err(SignatureInvalid), "{other:?} {vector}");
        }
        seen.insert(algorithm);
    }
    assert_eq!(seen.len(), SignatureAlgorithm::ALL.len(), "a vector for every algorithm");
}

#[test]
fn subtly_wrong_signatures_are_refused() {
    for vector in vectors("signatures_refused") {
        let algorithm = SignatureAlgorithm::from_uri(text(&vector, "uri")).unwrap();
        let key = public_key(text(&vector, "key"));
        assert_eq!(key.verify(algorithm, MESSAGE, &bytes(&vector, "signature")), Err(SignatureInvalid), "{vector}");
    }
}

#[test]
fn ecdsa_values_have_exactly_twice_the_field_length() {
    for (name, field) in [("P-256", 32), ("P-384", 48), ("P-521", 66)] {
        for algorithm in [SignatureAlgorithm::EcdsaSha256, SignatureAlgorithm::EcdsaSha512] {
            let signer = private_key(name).signer(algorithm).unwrap();
            for round in 0..50u8 {
                let signature = signer.sign(&[round]).unwrap();
                assert_eq!(signature.len(), 2 * field);
                signer.public_key().verify(algorithm, &[round], &signature).unwrap();
                let (r, s) = signature.split_at(field);
                for (r, s) in [(&[&[0], r].concat()[..], s), (r, &[&[0], s].concat()), (&r[1..], s), (r, &s[1..])] {
                    let wrong = [r, s].concat();
                    assert!(signer.public_key().verify(algorithm, &[round], &wrong).is_err());
                }
                let padded = [&[0][..], r, &[0], s].concat();
                assert!(signer.public_key().verify(algorithm, &[round], &padded).is_err());
            }
        }
    }
}

#[test]
fn we_sign_what_others_sign() {
    let all = vectors("signatures");
    for name in ["rsa2048", "rsa3072"] {
        for algorithm in [SignatureAlgorithm::RsaSha256, SignatureAlgorithm::RsaSha512] {
            let signature = private_key(name).signer(algorithm).unwrap().sign(MESSAGE).unwrap();
            let same =
                all.iter().filter(|vector| text(vector, "key") == name && text(vector, "uri") == algorithm.uri());
            assert!(same.clone().count() >= 2);
            same.for_each(|vector| assert_eq!(bytes(vector, "signature"), signature, "{vector}"));
        }
        for algorithm in [SignatureAlgorithm::PssSha256, SignatureAlgorithm::PssSha512] {
            let signer = private_key(name).signer(algorithm).unwrap();
            assert_eq!(signer.algorithm(), algorithm);
            let signature = signer.sign(MESSAGE).unwrap();
            assert_ne!(signature, signer.sign(MESSAGE).unwrap(), "PSS is salted");
            public_key(name).verify(algorithm, MESSAGE, &signature).unwrap();
        }
    }
}

#[test]
fn handles_exist_only_for_what_we_write() {
    use SignatureAlgorithm as A;
    let (rsa, ec) = (private_key("rsa2048"), private_key("P-256"));
    for algorithm in SignatureAlgorithm::ALL {
        let for_rsa = matches!(algorithm, A::RsaSha256 | A::RsaSha512 | A::PssSha256 | A::PssSha512);
        let for_ec = matches!(algorithm, A::EcdsaSha256 | A::EcdsaSha512);
        assert_eq!(rsa.signer(algorithm).is_ok(), for_rsa, "{algorithm:?}");
        assert_eq!(ec.signer(algorithm).is_ok(), for_ec, "{algorithm:?}");
    }
}

#[test]
fn identifiers_are_read_exactly() {
    for algorithm in SignatureAlgorithm::ALL {
        assert_eq!(SignatureAlgorithm::from_uri(algorithm.uri()), Some(algorithm));
    }
    let with_slash = "http://www.w3.org/2001/04/xmldsig-more/rsa-ripemd160";
    assert_eq!(SignatureAlgorithm::from_uri(with_slash), Some(SignatureAlgorithm::RsaRipemd160));
    for uri in [
        "",
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384",
        "http://www.w3.org/2007/05/xmldsig-more#sha384-rsa-MGF1",
        "http://www.w3.org/2001/04/xmldsig-more/rsa-sha256",
        "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-mgf1",
    ] {
        assert_eq!(SignatureAlgorithm::from_uri(uri), None, "{uri}");
    }
}

/// Single flipped bits all over the signature, and other lengths.
fn near(signature: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let flipped = (0..signature.len() * 8).step_by(131).map(|bit| {
        let mut wrong = signature.to_vec();
        wrong[bit / 8] ^= 1 << (bit % 8);
        wrong
    });
    let lengths = [
        vec![],
        signature[1..].to_vec(),
        signature[..signature.len() - 1].to_vec(),
        [signature, &[0]].concat(),
        [&[0], signature].concat(),
        vec![0; signature.len()],
        vec![0xff; signature.len()],
    ];
    flipped.chain(lengths)
}
