use rohrpost_crypto::{
    SystemRandom,
    ed25519::{SigningKey, VerifyingKey},
};

use crate::{bytes, pattern, vectors};

#[test]
fn signatures_agree() {
    for vector in vectors("ed25519") {
        let key = SigningKey::from_seed(&bytes(&vector, "seed").try_into().unwrap());
        let signature = bytes(&vector, "signature");
        assert_eq!(key.verifying_key().as_bytes()[..], bytes(&vector, "public"));
        assert_eq!(key.sign(&pattern(&vector))[..], signature);
        key.verifying_key().verify(&pattern(&vector), &signature).unwrap();
    }
}

#[test]
fn nothing_else_verifies() {
    let key = SigningKey::generate(&SystemRandom);
    let verifying = key.verifying_key();
    let signature = key.sign(b"message");
    verifying.verify(b"message", &signature).unwrap();
    assert!(verifying.verify(b"massage", &signature).is_err());
    assert!(verifying.verify(b"message", &signature[..63]).is_err());
    assert!(verifying.verify(b"message", &[&signature[..], &[0]].concat()).is_err());
    assert!(SigningKey::generate(&SystemRandom).verifying_key().verify(b"message", &signature).is_err());
    assert!(VerifyingKey::from_bytes(&[0xff; 32]).verify(b"message", &signature).is_err());
    for bit in 0..signature.len() * 8 {
        let mut wrong = signature;
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert!(verifying.verify(b"message", &wrong).is_err(), "bit {bit}");
    }
    assert_eq!(SigningKey::from_seed(&key.seed()).verifying_key(), verifying);
    assert_eq!(format!("{key:?}"), "SigningKey(Ed25519)");
}
