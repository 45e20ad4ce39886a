//! The keys of those who take part in the vectors.

use std::collections::HashMap;
use std::path::Path;

use rohrpost_crypto::{PrivateKey, PublicKey, SoftwareDecryptor, sha256};
use rohrpost_pki::{Certificate, pem};

/// A certificate with its private key, as far as our cryptography knows it.
pub struct Pair {
    pub certificate: Vec<u8>,
    pub public: Option<PublicKey>,
    pub decryptor: Option<SoftwareDecryptor>,
}

pub struct Keys {
    pub pairs: Vec<Pair>,
    by_name: HashMap<String, usize>,
    by_fingerprint: HashMap<[u8; 32], usize>,
}

impl Keys {
    /// Reads all `NAME.cert.pem`, with `NAME.key.pem` where there is one.
    pub fn load(directory: &Path) -> Self {
        let mut keys = Self { pairs: Vec::new(), by_name: HashMap::new(), by_fingerprint: HashMap::new() };
        for entry in std::fs::read_dir(directory).expect("the directory with the keys can be read").flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            let Some(name) = file.strip_suffix(".cert.pem") else { continue };
            let certificate = block(&entry.path(), "CERTIFICATE");
            let key = directory.join(format!("{name}.key.pem"));
            let private = key.exists().then(|| PrivateKey::from_pkcs8_der(&block(&key, "PRIVATE KEY")));
            keys.by_name.insert(name.to_owned(), keys.pairs.len());
            keys.by_fingerprint.insert(sha256(&certificate), keys.pairs.len());
            keys.pairs.push(Pair {
                public: Certificate::from_der(&certificate).ok().and_then(|certificate| usable_key(&certificate)),
                certificate,
                decryptor: private.and_then(Result::ok).and_then(|key| key.decryptor().ok()),
            });
        }
        keys
    }

    pub fn named(&self, name: &str) -> Option<&Pair> {
        self.by_name.get(name).map(|at| &self.pairs[*at])
    }

    pub fn of_certificate(&self, der: &[u8]) -> Option<&Pair> {
        self.by_fingerprint.get(&sha256(der)).map(|at| &self.pairs[*at])
    }
}

/// The key of a certificate, if our cryptography can verify with it.
pub fn usable_key(certificate: &Certificate) -> Option<PublicKey> {
    certificate.public_key().ok().filter(|key| key.require_supported().is_ok())
}

fn block(path: &Path, label: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(path).expect("a key file can be read");
    let blocks = pem::parse(&text).expect("a key file is PEM");
    let block = blocks.iter().find(|block| block.label == label).expect("a key file holds what its name says");
    block.content.to_vec()
}
