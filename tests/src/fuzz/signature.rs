//! XML Signature.

use std::collections::HashSet;
use std::sync::LazyLock;

use rohrpost_crypto::{PrivateKey, PublicKey, SignatureAlgorithm, Signer, SigningFailed};
use rohrpost_xmlsec::c14n::Dialect;
use rohrpost_xmlsec::dsig::{Limits, Signature, SignatureBuilder};
use rohrpost_xmlsec::tree::Element;
use rohrpost_xmlsec::{Limits as XmlLimits, NsContext};

use super::blocks::{element, scope};
use super::certificates::test_key;

/// Bytes as a `ds:Signature`.
pub fn signature(data: &[u8]) {
    let Some(element) = element(data) else { return };
    let limits = Limits::default();
    let Ok(signature) = Signature::parse(&element, &limits) else { return };
    let references = signature.references();
    let uris: HashSet<&str> = references.iter().map(|reference| reference.uri.as_str()).collect();
    assert!(!references.is_empty() && references.len() <= limits.references, "references are bounded");
    assert_eq!(uris.len(), references.len(), "no two references to the same thing");
    for reference in references {
        assert!(reference.transforms.len() <= limits.transforms);
        assert_eq!(signature.reference(&reference.uri), Some(reference));
    }
    signed_info_is_canonical(&signature);
    value_belongs_to_a_key(&signature);
    written_again(&signature);
}

fn signed_info_is_canonical(signature: &Signature) {
    let mut limits = XmlLimits::default();
    limits.token_len *= 16;
    limits.namespaces *= 2;
    let parsed = Element::parse(signature.signed_info(), &limits, &NsContext::empty());
    let canonical = parsed.expect("a subset is XML").to_canonical(&NsContext::empty(), Dialect::EscapeGtInAttributes);
    assert_eq!(canonical.as_bytes(), signature.signed_info());
}

/// Verification answers, and no two keys verify the same value.
fn value_belongs_to_a_key(signature: &Signature) {
    static KEYS: LazyLock<[PrivateKey; 3]> =
        LazyLock::new(|| ["rsa-2048-signature", "alice-signature", "ec-p256-signature"].map(test_key));
    let verified = KEYS.iter().filter(|key| signature.verify_value(key.public_key()).is_ok()).count();
    assert!(verified <= 1, "a value belongs to one key");
}

/// References, copied to a new signature, come back unchanged.
fn written_again(signature: &Signature) {
    let mut builder = SignatureBuilder::new();
    let stated = signature.references().iter().map(|reference| {
        let transforms: Vec<&str> = reference.transforms.iter().map(String::as_str).collect();
        let digest = reference.digest_algorithm.digest(&reference.digest);
        builder.add_reference(&reference.uri, &transforms, reference.digest_algorithm, &digest);
        (reference, digest)
    });
    let stated: Vec<_> = stated.collect();
    let text = builder.sign(&Copied(signature), &scope(), signature.key_reference(), None).expect("it copies");
    let element = element(text.as_bytes()).expect("what we write is XML");
    let again = Signature::parse(&element, &Limits::default()).expect("and a signature");
    assert_eq!(again.algorithm(), signature.algorithm());
    assert_eq!(again.value(), signature.value());
    assert_eq!(again.key_reference(), signature.key_reference());
    assert_eq!(again.references().len(), stated.len());
    for (again, (reference, digest)) in again.references().iter().zip(stated) {
        assert_eq!((&again.uri, &again.transforms), (&reference.uri, &reference.transforms));
        assert!(again.digest_algorithm == reference.digest_algorithm && again.matches(&digest));
    }
}

/// "Signs" with the value that is there.
struct Copied<'a>(&'a Signature);

impl Signer for Copied<'_> {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }

    fn public_key(&self) -> &PublicKey {
        unreachable!("only the value is asked for")
    }

    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        Ok(self.0.value().to_vec())
    }
}
