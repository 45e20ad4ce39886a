//! Keys of the committed test PKI.

use std::fs;
use std::path::{Path, PathBuf};

use rohrpost_crypto::{PrivateKey, SignatureAlgorithm, SoftwareDecryptor, SoftwareSigner};
use rohrpost_pki::{Anchors, Certificate, pem};

/// Length of the RSA keys of everybody in a benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bits {
    /// 2048.
    Rsa2048,
    /// 4096.
    Rsa4096,
}

impl Bits {
    /// For the names of benchmarks.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rsa2048 => "rsa2048",
            Self::Rsa4096 => "rsa4096",
        }
    }

    fn client(self) -> &'static str {
        match self {
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa4096 => "rsa-4096",
        }
    }

    fn intermediary(self) -> &'static str {
        match self {
            Self::Rsa2048 => "intermediary-2048",
            Self::Rsa4096 => "intermediary",
        }
    }
}

/// Somebody with two certificates and their keys.
pub struct Party {
    /// For whom peers encrypt.
    pub cipher: Certificate,
    /// With what peers verify.
    pub signature: Certificate,
    cipher_key: PrivateKey,
    signature_key: PrivateKey,
}

impl Party {
    /// A sender with keys of this length.
    pub fn client(bits: Bits) -> Self {
        Self::load(bits.client())
    }

    /// The intermediary with keys of this length.
    pub fn intermediary(bits: Bits) -> Self {
        Self::load(bits.intermediary())
    }

    /// The addressee.
    pub fn addressee() -> Self {
        Self::load("bob")
    }

    /// Opens what was encrypted for the party.
    pub fn decryptor(&self) -> SoftwareDecryptor {
        self.cipher_key.decryptor().expect("the key is an RSA key")
    }

    /// Signs for the party, with RSA and SHA-256.
    pub fn signer(&self) -> SoftwareSigner {
        self.signature_key.signer(SignatureAlgorithm::RsaSha256).expect("the key is an RSA key")
    }

    fn load(name: &str) -> Self {
        let certificate = |purpose| certificate(&format!("pem/{name}-{purpose}.cert.pem"));
        let key = |purpose| {
            let path = certs_test(&format!("pem/{name}-{purpose}.key.pem"));
            let text = fs::read_to_string(path).expect("the test key is readable");
            let block = pem::parse(&text).expect("the test key is PEM").remove(0);
            PrivateKey::from_pkcs8_der(&block.content).expect("the test key is a key")
        };
        Self {
            cipher: certificate("cipher"),
            signature: certificate("signature"),
            cipher_key: key("cipher"),
            signature_key: key("signature"),
        }
    }
}

/// Whom everybody in the benchmarks trusts, and the authorities in between.
pub(crate) fn trust() -> (Anchors, Vec<Certificate>) {
    let mut anchors = Anchors::new();
    anchors.add(certificate("ca/root-ca.cert.pem")).expect("the root is an anchor");
    (anchors, vec![certificate("ca/registry-ca.cert.pem"), certificate("ca/transport-ca.cert.pem")])
}

fn certificate(path: &str) -> Certificate {
    let file = fs::read(certs_test(path)).expect("the test certificate is readable");
    pem::certificates(&file).expect("the test certificate is one").remove(0)
}

fn certs_test(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../certs-test").join(path)
}
