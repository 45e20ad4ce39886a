use rohrpost_crypto::{Curve, Decryptor, KeyError, KeyKind, PrivateKey, PublicKey, SignatureAlgorithm, Signer};

use crate::{bytes, private_key, public_key, text, vectors};

#[test]
fn public_keys_tell_kind_and_length() {
    for vector in vectors("public_keys") {
        let spki = bytes(&vector, "spki");
        let key = PublicKey::from_spki_der(&spki).unwrap();
        assert_eq!(key.kind().name(), text(&vector, "kind"), "{vector}");
        assert_eq!(u64::from(key.kind().bits()), vector["bits"].as_u64().unwrap(), "{vector}");
        assert_eq!(key.spki_der(), spki);
        assert!(spki.ends_with(key.subject_public_key()));
        assert_eq!(key.require_supported().is_ok(), key.kind() != KeyKind::Unsupported);
    }
}

#[test]
fn unsupported_keys_say_why() {
    let why = |name| public_key(name).require_supported().unwrap_err().to_string();
    assert_eq!(why("brainpoolP256r1"), "the key is not supported: a brainpool curve");
    assert_eq!(why("explicit"), "the key is not supported: an elliptic curve with explicit parameters");
    assert_eq!(why("secp256k1"), "the key is not supported: an elliptic curve other than P-256, P-384 and P-521");
    assert_eq!(why("dsa"), "the key is not supported: neither RSA, elliptic curve nor Ed25519");
}

#[test]
fn damaged_public_keys_are_refused_or_different() {
    for name in ["rsa2048", "P-256", "P-521", "ED25519"] {
        let good = public_key(name);
        let spki = good.spki_der();
        for length in 0..spki.len() {
            assert!(PublicKey::from_spki_der(&spki[..length]).is_err(), "{name} cut to {length}");
        }
        assert!(PublicKey::from_spki_der(&[spki, &[0]].concat()).is_err(), "{name} with something behind");
        for position in 0..spki.len() {
            let mut wrong = spki.to_vec();
            wrong[position] ^= 0x41;
            // must not panic; what can still be read is another key
            assert!(PublicKey::from_spki_der(&wrong).is_ok_and(|key| key != good) || name != "nothing");
        }
    }
}

#[test]
fn private_keys_are_read_in_every_form() {
    for vector in vectors("private_keys") {
        let key = PrivateKey::from_pkcs8_der(&bytes(&vector, "pkcs8")).unwrap();
        let traditional = PrivateKey::from_pkcs8_der(&bytes(&vector, "traditional")).unwrap();
        assert_eq!(key.public_key().spki_der(), bytes(&vector, "spki"), "{vector}");
        assert_eq!(key.public_key(), traditional.public_key());
        let again = PrivateKey::from_pkcs8_der(&key.to_pkcs8_der()).unwrap();
        assert_eq!(key.public_key(), again.public_key());
        assert_eq!(key.to_pkcs8_der(), again.to_pkcs8_der());
    }
}

#[test]
fn other_private_keys_are_refused() {
    for vector in vectors("private_keys_refused") {
        let error = PrivateKey::from_pkcs8_der(&bytes(&vector, "pkcs8")).unwrap_err();
        assert!(matches!(error, KeyError::Unsupported(_)), "{vector}: {error}");
    }
    assert!(matches!(PrivateKey::from_pkcs8_der(b""), Err(KeyError::Malformed(_))));
    assert!(matches!(PrivateKey::from_pkcs8_der(b"-----BEGIN PRIVATE KEY-----"), Err(KeyError::Malformed(_))));
    assert!(matches!(PrivateKey::generate_rsa(1024), Err(KeyError::Unsupported(_))));
}

#[test]
fn nothing_secret_is_printed() {
    let rsa = private_key("rsa2048");
    assert_eq!(format!("{rsa:?}"), "PrivateKey(rsa 2048 bits)");
    assert_eq!(format!("{:?}", rsa.public_key()), "PublicKey(rsa 2048 bits)");
    assert_eq!(format!("{:?}", rsa.decryptor().unwrap()), "SoftwareDecryptor(rsa 2048 bits)");
    let signer = private_key("P-384").signer(SignatureAlgorithm::EcdsaSha512).unwrap();
    assert_eq!(format!("{signer:?}"), "SoftwareSigner { key: PrivateKey(ec 384 bits), algorithm: EcdsaSha512 }");
}

#[test]
fn made_keys_work_and_survive_storing() {
    let rsa = PrivateKey::generate_rsa(2048).unwrap();
    assert_eq!(rsa.kind(), KeyKind::Rsa { bits: 2048 });
    assert_eq!(rsa.decryptor().unwrap().key_bits(), 2048);
    for curve in [Curve::P256, Curve::P384, Curve::P521] {
        let key = PrivateKey::generate_ec(curve).unwrap();
        assert_eq!(key.kind(), KeyKind::Ec { curve });
        assert!(key.decryptor().is_err());
        let stored = PrivateKey::from_pkcs8_der(&key.to_pkcs8_der()).unwrap();
        let signature = stored.signer(SignatureAlgorithm::EcdsaSha256).unwrap().sign(b"message").unwrap();
        key.public_key().verify(SignatureAlgorithm::EcdsaSha256, b"message", &signature).unwrap();
    }
}

#[test]
fn handles_can_be_shared_between_threads() {
    fn assert_shared<T: Send + Sync>(_: &T) {}
    let rsa = private_key("rsa2048");
    assert_shared(&rsa);
    assert_shared(rsa.public_key());
    assert_shared(&rsa.decryptor().unwrap());
    let signer = rsa.signer(SignatureAlgorithm::RsaSha256).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let signature = signer.sign(b"message").unwrap();
                signer.public_key().verify(signer.algorithm(), b"message", &signature).unwrap();
            });
        }
    });
}
