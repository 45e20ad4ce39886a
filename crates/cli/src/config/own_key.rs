//! A key pair of ours: its certificate, and its private key in memory or on a token.

use std::sync::Arc;

use anyhow::Result;
use rohrpost_crypto::{Decryptor, KeyKind, PrivateKey, SignatureAlgorithm, Signer};
use rohrpost_pki::{Certificate, KeyEntry};

/// A key pair as it was configured.
pub(crate) struct OwnKey {
    pub(crate) certificate: Certificate,
    /// Further certificates that came with it.
    pub(crate) chain: Vec<Certificate>,
    place: Place,
}

enum Place {
    Memory(PrivateKey),
    #[cfg(feature = "pkcs11")]
    Token {
        token: rohrpost_token::Token,
        key: String,
    },
}

impl OwnKey {
    /// The kind of the key in the certificate.
    pub(crate) fn kind(&self) -> Result<KeyKind> {
        Ok(self.certificate.public_key()?.kind())
    }

    pub(super) fn decryptor(&self) -> Result<Arc<dyn Decryptor>> {
        match &self.place {
            Place::Memory(key) => Ok(Arc::new(key.decryptor()?)),
            #[cfg(feature = "pkcs11")]
            Place::Token { token, key } => Ok(Arc::new(token.decryptor(key, &self.certificate.public_key()?)?)),
        }
    }

    pub(super) fn signer(&self, algorithm: SignatureAlgorithm) -> Result<Arc<dyn Signer>> {
        match &self.place {
            Place::Memory(key) => Ok(Arc::new(key.signer(algorithm)?)),
            #[cfg(feature = "pkcs11")]
            Place::Token { token, key } => {
                Ok(Arc::new(token.signer(key, self.certificate.public_key()?, algorithm)?))
            }
        }
    }

    #[cfg(feature = "pkcs11")]
    pub(super) fn on_token(
        certificate: Certificate,
        chain: Vec<Certificate>,
        token: rohrpost_token::Token,
        key: &str,
    ) -> Self {
        Self { certificate, chain, place: Place::Token { token, key: key.to_owned() } }
    }
}

impl From<KeyEntry> for OwnKey {
    fn from(entry: KeyEntry) -> Self {
        Self { certificate: entry.certificate, chain: entry.chain, place: Place::Memory(entry.key) }
    }
}
