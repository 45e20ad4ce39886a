//! The keys of `certs-test/`, which are public.

use std::path::Path;
use std::sync::Arc;

use rohrpost_crypto::SignatureAlgorithm;
use rohrpost_pipeline::keyring::{CipherPair, KeyRing, SignaturePair};
use rohrpost_pki::{Certificate, KeyEntry};

/// Key and certificate by name, e.g. `alice-cipher`.
pub(crate) fn entry(name: &str) -> KeyEntry {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../certs-test/pem");
    let file = |kind| std::fs::read(folder.join(format!("{name}.{kind}.pem"))).unwrap();
    KeyEntry::from_pem(&file("cert"), &file("key")).unwrap()
}

pub(crate) fn certificate(name: &str) -> Certificate {
    entry(name).certificate
}

pub(crate) fn cipher(name: &str) -> CipherPair {
    let entry = entry(name);
    CipherPair { key: Arc::new(entry.key.decryptor().unwrap()), certificate: entry.certificate }
}

pub(crate) fn signature(name: &str) -> SignaturePair {
    let entry = entry(name);
    let signer = entry.key.signer(SignatureAlgorithm::RsaSha256).unwrap();
    SignaturePair { key: Arc::new(signer), certificate: entry.certificate }
}

/// Cipher and signature pair of a party.
pub(crate) fn ring(party: &str) -> KeyRing {
    let signature = signature(&format!("{party}-signature"));
    KeyRing::new(vec![cipher(&format!("{party}-cipher"))], Some(signature))
}
