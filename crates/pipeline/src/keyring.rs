//! The key pairs a party holds: what it opens requests with and what it signs answers with.

use std::fmt;
use std::sync::Arc;

use rohrpost_crypto::{Decryptor, Signer};
use rohrpost_pki::Certificate;
use time::OffsetDateTime;

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
/// are still under way. At any time one pair signs and one is named to peers; from when on that is another one, may be
/// [planned](Self::with_change).
#[derive(Clone)]
pub struct KeyRing {
    cipher: Vec<CipherPair>,
    signature: Option<SignaturePair>,
    /// In the order of time.
    changes: Vec<KeyChange>,
}

/// Other pairs from some time on.
#[derive(Clone)]
pub struct KeyChange {
    /// When they begin to be used. Messages for the cipher certificate are opened before as well.
    pub from: OffsetDateTime,
    /// For peers to encrypt for; as before if there is none.
    pub cipher: Option<CipherPair>,
    /// To sign with; as before if there is none.
    pub signature: Option<SignaturePair>,
}

impl KeyRing {
    /// Keys to open with, and the pair to sign with where the party signs at all.
    pub fn new(cipher: Vec<CipherPair>, signature: Option<SignaturePair>) -> Self {
        Self { cipher, signature, changes: Vec::new() }
    }

    /// The same keys, and others from some time on.
    #[must_use]
    pub fn with_change(mut self, change: KeyChange) -> Self {
        self.changes.push(change);
        self.changes.sort_by_key(|change| change.from);
        self
    }

    /// The same keys, each operation of which waits for its turn at `gate`.
    #[must_use]
    pub fn behind(self, gate: &Arc<Gate>) -> Self {
        let cipher = |pair: CipherPair| CipherPair {
            key: Arc::new(Gated { gate: Arc::clone(gate), key: pair.key }),
            certificate: pair.certificate,
        };
        let signature = |pair: SignaturePair| SignaturePair {
            key: Arc::new(Gated { gate: Arc::clone(gate), key: pair.key }),
            certificate: pair.certificate,
        };
        let change = |change: KeyChange| KeyChange {
            from: change.from,
            cipher: change.cipher.map(cipher),
            signature: change.signature.map(signature),
        };
        Self {
            cipher: self.cipher.into_iter().map(cipher).collect(),
            signature: self.signature.map(signature),
            changes: self.changes.into_iter().map(change).collect(),
        }
    }

    /// The pair whose certificate is exactly `der`, byte for byte.
    pub fn cipher_for(&self, der: &[u8]) -> Option<&CipherPair> {
        let planned = self.changes.iter().filter_map(|change| change.cipher.as_ref());
        self.cipher.iter().chain(planned).find(|pair| pair.certificate.der() == der)
    }

    /// The pair that new peers should encrypt for, before any change.
    pub fn current_cipher(&self) -> Option<&CipherPair> {
        self.cipher.first()
    }

    /// The pair that new peers should encrypt for at some time.
    pub fn cipher_at(&self, at: OffsetDateTime) -> Option<&CipherPair> {
        let changed = self.changes.iter().rev().filter(|change| change.from <= at);
        changed.into_iter().find_map(|change| change.cipher.as_ref()).or_else(|| self.current_cipher())
    }

    /// The pair that signs, before any change.
    pub fn signature(&self) -> Option<&SignaturePair> {
        self.signature.as_ref()
    }

    /// The pair that signs at some time.
    pub fn signature_at(&self, at: OffsetDateTime) -> Option<&SignaturePair> {
        let changed = self.changes.iter().rev().filter(|change| change.from <= at);
        changed.into_iter().find_map(|change| change.signature.as_ref()).or(self.signature.as_ref())
    }

    /// Every pair that signs at some time, in the order of time.
    pub fn signatures(&self) -> impl Iterator<Item = &SignaturePair> {
        self.signature.iter().chain(self.changes.iter().filter_map(|change| change.signature.as_ref()))
    }

    /// What is planned, in the order of time.
    pub fn changes(&self) -> &[KeyChange] {
        &self.changes
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prints: Vec<String> = self.cipher.iter().map(|p| p.certificate.fingerprint().to_string()).collect();
        let signer = self.signature.as_ref().map(|p| p.certificate.fingerprint().to_string());
        f.debug_struct("KeyRing").field("cipher", &prints).field("signature", &signer).finish()
    }
}
