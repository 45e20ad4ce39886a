use std::collections::HashMap;

use rohrpost_crypto::{
    DecryptionFailed, Decryptor, KeyError, KeyTransport, OaepHash, SessionKey, SoftwareDecryptor, SystemRandom,
    wrap_key,
};
use serde_json::Value;

use crate::{bytes, private_key, public_key, text, vectors};

#[test]
fn session_keys_open_fail_or_are_replaced() {
    let mut decryptors: HashMap<String, SoftwareDecryptor> = HashMap::new();
    for vector in vectors("key_transport") {
        let name = text(&vector, "key");
        let decryptor = decryptors.entry(name.to_owned()).or_insert_with(|| private_key(name).decryptor().unwrap());
        let expected = bytes(&vector, "session_key");
        let (transport, wrapped) = (transport(&vector), bytes(&vector, "wrapped"));
        let unwrapped = decryptor.unwrap_key(transport, &wrapped, expected.len());
        match text(&vector, "outcome") {
            "opens" => assert_eq!(unwrapped.unwrap().expose(), expected, "{vector}"),
            "fails" => assert_eq!(unwrapped.unwrap_err(), DecryptionFailed, "{vector}"),
            "substitutes" => {
                let substitute = unwrapped.unwrap();
                assert_eq!(substitute.len(), expected.len());
                assert_ne!(substitute.expose(), expected, "{vector}");
                let again = decryptor.unwrap_key(transport, &wrapped, expected.len()).unwrap();
                assert_eq!(substitute.expose(), again.expose(), "the same bytes give the same key");
            }
            other => panic!("outcome {other}"),
        }
    }
}

#[test]
fn oaep_with_flipped_bits_or_other_lengths_fails() {
    let (public, decryptor) = (public_key("rsa2048"), private_key("rsa2048").decryptor().unwrap());
    let session_key = SessionKey::random(32, &SystemRandom);
    let wrapped = wrap_key(&public, KeyTransport::OAEP_SHA256, &session_key).unwrap();
    let unwrap = |wrapped: &[u8], length| decryptor.unwrap_key(KeyTransport::OAEP_SHA256, wrapped, length);
    assert_eq!(unwrap(&wrapped, 32).unwrap().expose(), session_key.expose());
    for length in [0, 16, 24, 31, 33, 256] {
        assert!(unwrap(&wrapped, length).is_err());
    }
    for bit in (0..wrapped.len() * 8).step_by(97) {
        let mut wrong = wrapped.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert!(unwrap(&wrong, 32).is_err(), "bit {bit}");
    }
    for wrong in [&wrapped[1..], &wrapped[..255], &[&wrapped[..], &[0]].concat(), &[], &[0; 256], &[0xff; 256]] {
        assert!(unwrap(wrong, 32).is_err());
    }
    assert!(private_key("rsa3072").decryptor().unwrap().unwrap_key(KeyTransport::OAEP_SHA256, &wrapped, 32).is_err());
}

#[test]
fn v15_never_fails_and_substitutes_differ() {
    let (public, decryptor) = (public_key("rsa2048"), private_key("rsa2048").decryptor().unwrap());
    let session_key = SessionKey::random(24, &SystemRandom);
    let wrapped = wrap_key(&public, KeyTransport::Rsa15, &session_key).unwrap();
    let unwrap = |wrapped: &[u8], length| decryptor.unwrap_key(KeyTransport::Rsa15, wrapped, length).unwrap();
    assert_eq!(unwrap(&wrapped, 24).expose(), session_key.expose());
    let mut substitutes = vec![session_key.expose().to_vec()];
    for wrong in [&wrapped[1..], &wrapped[..255], &[&wrapped[..], &[0]].concat(), &[], &[0; 256], &[0xff; 256]] {
        substitutes.push(unwrap(wrong, 24).expose().to_vec());
    }
    for bit in (0..wrapped.len() * 8).step_by(997) {
        let mut wrong = wrapped.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        substitutes.push(unwrap(&wrong, 24).expose().to_vec());
    }
    assert!(substitutes.iter().all(|key| key.len() == 24));
    let count = substitutes.len();
    substitutes.sort();
    substitutes.dedup();
    assert_eq!(substitutes.len(), count, "every wrong wrapping has its own substitute");
    for length in [0, 1, 16, 23, 25, 32, 33, 64, 300] {
        let substitute = unwrap(&wrapped, length);
        assert_eq!(substitute.len(), length);
        assert!(length == 0 || !session_key.expose().starts_with(&substitute.expose()[..length.min(4)]) || length < 4);
    }
    // another key makes other substitutes
    let other = private_key("rsa3072").decryptor().unwrap();
    let foreign = other.unwrap_key(KeyTransport::Rsa15, &[0; 256], 24).unwrap();
    assert_ne!(foreign.expose(), unwrap(&[0; 256], 24).expose());
}

#[test]
fn wrapping_refuses_what_cannot_be_opened() {
    let session_key = SessionKey::random(32, &SystemRandom);
    for name in ["P-256", "ED25519", "brainpoolP256r1", "rsapss", "rsa1024"] {
        let error = wrap_key(&public_key(name), KeyTransport::OAEP_SHA256, &session_key).unwrap_err();
        assert!(matches!(error, KeyError::Mismatch(_)), "{name}: {error}");
    }
    let mixed = KeyTransport::RsaOaep { digest: OaepHash::Sha256, mgf: OaepHash::Sha512 };
    let sha1 = KeyTransport::RsaOaep { digest: OaepHash::Sha1, mgf: OaepHash::Sha1 };
    for transport in [mixed, sha1] {
        let error = wrap_key(&public_key("rsa2048"), transport, &session_key).unwrap_err();
        assert!(matches!(error, KeyError::Mismatch(_)));
    }
    let too_long = SessionKey::random(200, &SystemRandom);
    assert!(matches!(wrap_key(&public_key("rsa2048"), KeyTransport::OAEP_SHA256, &too_long), Err(KeyError::Wrapping)));
}

#[test]
fn identifiers_need_both_parameters() {
    const OAEP: &str = "http://www.w3.org/2009/xmlenc11#rsa-oaep";
    const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
    const MGF_SHA256: &str = "http://www.w3.org/2009/xmlenc11#mgf1sha256";
    assert_eq!(KeyTransport::from_uris(OAEP, Some(SHA256), Some(MGF_SHA256)), Some(KeyTransport::OAEP_SHA256));
    for (digest, mgf) in [
        (None, None),
        (Some(SHA256), None),
        (None, Some(MGF_SHA256)),
        (Some(SHA256), Some("http://www.w3.org/2009/xmlenc11#mgf1sha1")),
        (Some("http://www.w3.org/2001/04/xmlenc#ripemd160"), Some(MGF_SHA256)),
        (Some(MGF_SHA256), Some(SHA256)),
    ] {
        assert_eq!(KeyTransport::from_uris(OAEP, digest, mgf), None);
    }
    let v15 = "http://www.w3.org/2001/04/xmlenc#rsa-1_5";
    assert_eq!(KeyTransport::from_uris(v15, None, None), Some(KeyTransport::Rsa15));
    let mgf1p = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p";
    assert_eq!(KeyTransport::from_uris(mgf1p, Some(SHA256), Some(MGF_SHA256)), None);
    for hash in [OaepHash::Sha256, OaepHash::Sha384, OaepHash::Sha512] {
        let transport = KeyTransport::RsaOaep { digest: hash, mgf: hash };
        let read = KeyTransport::from_uris(transport.uri(), transport.digest_uri(), transport.mgf_uri());
        assert_eq!(read, Some(transport));
    }
}

fn transport(vector: &Value) -> KeyTransport {
    KeyTransport::from_uris(text(vector, "algorithm"), vector["digest"].as_str(), vector["mgf"].as_str()).unwrap()
}
