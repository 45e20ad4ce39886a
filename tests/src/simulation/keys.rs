//! The keys of `certs-test/`, read once per process, and the inspector that knows their authorities.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rohrpost_crypto::SignatureAlgorithm;
use rohrpost_crypto::policy::Policy;
use rohrpost_pipeline::keyring::{CipherPair, KeyRing, SignaturePair};
use rohrpost_pki::{Anchors, Inspector, KeyEntry, pem};

use crate::certs_test;

/// A key ring: opens with the first key, signs with the second.
pub(super) fn key_ring(cipher: &str, signature: Option<&str>) -> KeyRing {
    let cipher = entry(cipher);
    let key = Arc::new(cipher.key.decryptor().expect("the key can decrypt"));
    let cipher = CipherPair { certificate: cipher.certificate.clone(), key };
    let signature = signature.map(|name| {
        let entry = entry(name);
        let key = Arc::new(entry.key.signer(SignatureAlgorithm::RsaSha256).expect("the key can sign"));
        SignaturePair { certificate: entry.certificate.clone(), key }
    });
    KeyRing::new(vec![cipher], signature)
}

/// A key with its certificate.
pub(super) fn entry(name: &str) -> &'static KeyEntry {
    static KEYS: LazyLock<Mutex<HashMap<String, &'static KeyEntry>>> = LazyLock::new(Mutex::default);
    let mut keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
    keys.entry(name.to_owned()).or_insert_with(|| {
        let file = |what: &str| read(&format!("pem/{name}.{what}.pem"));
        let entry = KeyEntry::from_pem(&file("cert"), &file("key")).expect("a key and its certificate");
        Box::leak(Box::new(entry))
    })
}

/// The inspector of the intermediary.
pub(super) fn inspector() -> Arc<Inspector> {
    static INSPECTOR: LazyLock<Arc<Inspector>> = LazyLock::new(|| {
        let anchors = Anchors::from_pem(&read("ca/root-ca.cert.pem")).expect("the root certificate");
        let authorities = ["registry", "transport"].map(|name| read(&format!("ca/{name}-ca.cert.pem")));
        let authorities = authorities.iter().flat_map(|pem| pem::certificates(pem).expect("certificates"));
        Arc::new(Inspector::new(anchors, Policy::standard()).with_intermediates(authorities.collect::<Vec<_>>()))
    });
    Arc::clone(&INSPECTOR)
}

fn read(path: &str) -> Vec<u8> {
    std::fs::read(certs_test(path)).unwrap_or_else(|error| panic!("certs-test/{path}: {error}"))
}
