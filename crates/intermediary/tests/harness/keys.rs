//! The keys of `certs-test/`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use rohrpost_crypto::{PublicKey, SignatureAlgorithm, SoftwareSigner};
use rohrpost_pipeline::keyring::{CipherPair, KeyRing, SignaturePair};
use rohrpost_pki::KeyEntry;

/// A file of the test PKI.
pub fn certs_test(path: &str) -> PathBuf {
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("certs-test"));
    above.find(|folder| folder.is_dir()).expect("certs-test lies in the workspace").join(path)
}

/// A key with its certificate, read once.
pub fn key(name: &str) -> &'static KeyEntry {
    static KEYS: LazyLock<Mutex<HashMap<String, &'static KeyEntry>>> = LazyLock::new(Mutex::default);
    KEYS.lock().unwrap().entry(name.to_owned()).or_insert_with(|| {
        let file = |what: &str| std::fs::read(certs_test(&format!("pem/{name}.{what}.pem"))).unwrap();
        Box::leak(Box::new(KeyEntry::from_pem(&file("cert"), &file("key")).unwrap()))
    })
}

/// The certificate of a key.
pub fn der(name: &str) -> Vec<u8> {
    key(name).certificate.der().to_vec()
}

/// The public half of a key.
pub fn public_key(name: &str) -> &'static PublicKey {
    key(name).key.public_key()
}

/// Signs with an RSA key as everybody does by default.
pub fn rsa_signer(name: &str) -> SoftwareSigner {
    key(name).key.signer(SignatureAlgorithm::RsaSha256).unwrap()
}

/// A key ring: opens with the first key, signs with the second.
pub fn key_ring(cipher: &KeyEntry, signature: Option<&KeyEntry>) -> KeyRing {
    let cipher = CipherPair { certificate: cipher.certificate.clone(), key: Arc::new(cipher.key.decryptor().unwrap()) };
    let signature = signature.map(|entry| SignaturePair {
        certificate: entry.certificate.clone(),
        key: Arc::new(entry.key.signer(SignatureAlgorithm::RsaSha256).unwrap()),
    });
    KeyRing::new(vec![cipher], signature)
}
