use std::io::Write;

use rohrpost_crypto::{DigestAlgorithm, constant_time_eq, hmac_sha256, sha256};

use crate::{bytes, pattern, text, vectors};

#[test]
fn digests_agree_in_one_go_and_in_pieces() {
    let vectors = vectors("digests");
    for algorithm in DigestAlgorithm::ALL {
        assert!(vectors.iter().any(|vector| text(vector, "uri") == algorithm.uri()), "{algorithm:?}");
    }
    for vector in &vectors {
        let algorithm = DigestAlgorithm::from_uri(text(vector, "uri")).unwrap();
        let message = pattern(vector);
        let expected = bytes(vector, "digest");
        assert_eq!(expected.len(), algorithm.len());
        assert!(algorithm.digest(&message).matches(&expected), "{vector}");
        let mut hasher = algorithm.hasher();
        let before = hasher.clone();
        message.chunks(37).for_each(|chunk| hasher.write_all(chunk).unwrap());
        assert!(hasher.finish().matches(&expected), "{vector}");
        assert_eq!(before.finish(), algorithm.digest(b""), "a clone goes its own way");
        if algorithm == DigestAlgorithm::Sha256 {
            assert_eq!(sha256(&message)[..], expected);
        }
    }
}

#[test]
fn hmac_agrees() {
    for vector in vectors("hmac_sha256") {
        assert_eq!(hmac_sha256(&bytes(&vector, "key"), &pattern(&vector))[..], bytes(&vector, "mac"), "{vector}");
    }
}

#[test]
fn a_digest_differs_from_others_and_from_its_beginning() {
    let digest = DigestAlgorithm::Sha256.digest(b"message");
    assert_eq!(digest, DigestAlgorithm::Sha256.digest(b"message"));
    assert_ne!(digest, DigestAlgorithm::Sha256.digest(b"massage"));
    assert_ne!(digest, DigestAlgorithm::Sha3_256.digest(b"message"));
    assert!(!digest.matches(&digest.as_ref()[..31]));
    assert!(!digest.matches(b""));
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(format!("{digest:?}"), hex);
    assert!(constant_time_eq(b"", b"") && !constant_time_eq(b"a", b"b") && !constant_time_eq(b"a", b""));
}

#[test]
fn unknown_identifiers_are_unknown() {
    for uri in [
        "",
        "sha256",
        "http://www.w3.org/2001/04/xmldsig-more#sha384",
        "http://www.w3.org/2001/04/xmlenc#sha256 ",
        "HTTP://www.w3.org/2001/04/xmlenc#sha256",
    ] {
        assert_eq!(DigestAlgorithm::from_uri(uri), None, "{uri}");
    }
}
