//! Keys of the committed test PKI.

use std::fs;
use std::path::{Path, PathBuf};

use rohrpost_crypto::{PrivateKey, SignatureAlgorithm, SoftwareDecryptor, SoftwareSigner, SystemRandom};
use rohrpost_pki::issue::{Authority, Name, Template, Validity};
use rohrpost_pki::{Anchors, Certificate, pem};
use time::macros::datetime;

/// Length of the RSA keys of everybody in a benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bits {
    /// 2048.
    Rsa2048,
    /// 3072; these keys are made when they are needed.
    Rsa3072,
    /// 4096.
    Rsa4096,
}

impl Bits {
    /// For the names of benchmarks.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rsa2048 => "rsa2048",
            Self::Rsa3072 => "rsa3072",
            Self::Rsa4096 => "rsa4096",
        }
    }

    fn number(self) -> u32 {
        match self {
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
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
        match bits {
            Bits::Rsa2048 => Self::load("rsa-2048"),
            Bits::Rsa3072 => Self::fresh(bits),
            Bits::Rsa4096 => Self::load("rsa-4096"),
        }
    }

    /// The intermediary with keys of this length.
    pub fn intermediary(bits: Bits) -> Self {
        match bits {
            Bits::Rsa2048 => Self::load("intermediary-2048"),
            Bits::Rsa3072 => Self::fresh(bits),
            Bits::Rsa4096 => Self::load("intermediary"),
        }
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

    /// Both certificates with their keys as PEM: names of files and what is in them.
    pub fn pem(&self) -> [(&'static str, String); 4] {
        let key = |key: &PrivateKey| pem::write("PRIVATE KEY", &key.to_pkcs8_der()).to_string();
        [
            ("cipher.cert.pem", pem::write_certificate(&self.cipher)),
            ("cipher.key.pem", key(&self.cipher_key)),
            ("signature.cert.pem", pem::write_certificate(&self.signature)),
            ("signature.key.pem", key(&self.signature_key)),
        ]
    }

    /// Somebody new, under the Registry CA of the test PKI.
    fn fresh(bits: Bits) -> Self {
        let authority = Authority::new(certificate("ca/registry-ca.cert.pem"), key("ca/registry-ca.key.pem"));
        let authority = authority.expect("certificate and key of the authority belong together");
        let validity = Validity::new(datetime!(2025-01-01 0:00 UTC), datetime!(2044-12-31 0:00 UTC));
        let issue = |template: fn(Name, Validity) -> Template| {
            let key = PrivateKey::generate_rsa(bits.number()).expect("a key can be made");
            let subject = Name::new().country("DE").organization("Rohrpost Test").common_name(bits.name());
            let certificate = authority.issue(&template(subject, validity), key.public_key(), &SystemRandom);
            (certificate.expect("a certificate can be issued"), key)
        };
        let ((cipher, cipher_key), (signature, signature_key)) =
            (issue(Template::encryption), issue(Template::signature));
        Self { cipher, signature, cipher_key, signature_key }
    }

    fn load(name: &str) -> Self {
        let certificate = |purpose| certificate(&format!("pem/{name}-{purpose}.cert.pem"));
        let key = |purpose| key(&format!("pem/{name}-{purpose}.key.pem"));
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

fn key(path: &str) -> PrivateKey {
    let text = fs::read_to_string(certs_test(path)).expect("the test key is readable");
    let block = pem::parse(&text).expect("the test key is PEM").remove(0);
    PrivateKey::from_pkcs8_der(&block.content).expect("the test key is a key")
}

fn certificate(path: &str) -> Certificate {
    let file = fs::read(certs_test(path)).expect("the test certificate is readable");
    pem::certificates(&file).expect("the test certificate is one").remove(0)
}

/// A file of the committed test PKI, by its path below `certs-test/`.
pub fn certs_test(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../certs-test").join(path)
}
