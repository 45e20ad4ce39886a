//! The key pairs a party holds: what it opens requests with and what it signs answers with.

use std::fmt;
use std::sync::Arc;

use rohrpost_crypto::{Decryptor, Signer};
use rohrpost_pki::Certificate;

use crate::gate::{Gate, Gated};

/// One cipher certificate with the handle of its private key.
#[derive(Clone)]
pub struct CipherPair {
    /// The certificate peers encrypt for.
    pub certificate: Certificate,
    /// Opens session keys that were wrapped for [`certificate`](Self::certificate).
    pub key: Arc<dyn Decryptor>,
}

/// One signature certificate with the handle of its private key.
#[derive(Clone)]
pub struct SignaturePair {
    /// The certificate peers verify with.
    pub certificate: Certificate,
    /// Signs on behalf of [`certificate`](Self::certificate).
    pub key: Arc<dyn Signer>,
}

/// The transport keys of one party (OSCI-Transport 1.2, roles: intermediary or client).
///
/// Several cipher pairs may be open at once, so that a certificate can be exchanged while messages for the old one
/// are still under way. Signing always uses one pair.
#[derive(Clone)]
pub struct KeyRing {
    cipher: Vec<CipherPair>,
    signature: Option<SignaturePair>,
}

impl KeyRing {
    /// Keys to open with, and the pair to sign with where the party signs at all.
    pub fn new(cipher: Vec<CipherPair>, signature: Option<SignaturePair>) -> Self {
        Self { cipher, signature }
    }

    /// The same keys, each operation of which waits for its turn at `gate`.
    #[must_use]
    pub fn behind(self, gate: &Arc<Gate>) -> Self {
        let cipher = self.cipher.into_iter().map(|pair| CipherPair {
            key: Arc::new(Gated { gate: Arc::clone(gate), key: pair.key }),
            certificate: pair.certificate,
        });
        let signature = self.signature.map(|pair| SignaturePair {
            key: Arc::new(Gated { gate: Arc::clone(gate), key: pair.key }),
            certificate: pair.certificate,
        });
        Self { cipher: cipher.collect(), signature }
    }

    /// The pair whose certificate is exactly `der`, byte for byte.
    pub fn cipher_for(&self, der: &[u8]) -> Option<&CipherPair> {
        self.cipher.iter().find(|pair| pair.certificate.der() == der)
    }

    /// The pair that new peers should encrypt for.
    pub fn current_cipher(&self) -> Option<&CipherPair> {
        self.cipher.first()
    }

    /// The pair that signs.
    pub fn signature(&self) -> Option<&SignaturePair> {
        self.signature.as_ref()
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prints: Vec<String> = self.cipher.iter().map(|p| p.certificate.fingerprint().to_string()).collect();
        let signer = self.signature.as_ref().map(|p| p.certificate.fingerprint().to_string());
        f.debug_struct("KeyRing").field("cipher", &prints).field("signature", &signer).finish()
    }
}
