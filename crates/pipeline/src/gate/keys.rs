//! Keys whose operations wait for their turn.

use std::sync::Arc;

use rohrpost_crypto::{
    DecryptionFailed, Decryptor, KeyTransport, PublicKey, SessionKey, SignatureAlgorithm, Signer, SigningFailed,
};

use super::Gate;

/// A key whose operations wait for their turn.
#[derive(Clone)]
pub(crate) struct Gated<K: ?Sized> {
    pub(crate) gate: Arc<Gate>,
    pub(crate) key: Arc<K>,
}

impl Decryptor for Gated<dyn Decryptor> {
    fn key_bits(&self) -> u32 {
        self.key.key_bits()
    }

    fn unwrap_key(
        &self,
        transport: KeyTransport,
        wrapped: &[u8],
        wanted_len: usize,
    ) -> Result<SessionKey, DecryptionFailed> {
        self.gate.pass(|| self.key.unwrap_key(transport, wrapped, wanted_len))
    }
}

impl Signer for Gated<dyn Signer> {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }

    fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        self.gate.pass(|| self.key.sign(message))
    }
}
