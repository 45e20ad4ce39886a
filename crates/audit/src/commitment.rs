//! Salted hashes: provable as long as the salt exists, meaningless once it is erased.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fingerprint::Fingerprint;
use crate::hash::Hash;

/// Random bytes that are kept beside the data they protect and erased together with them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; Self::LEN]);

impl Salt {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// Wraps random bytes.
    pub const fn from_bytes(random: [u8; Self::LEN]) -> Self {
        Self(random)
    }

    /// The bytes, to be stored.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// A salted hash of a value that the log must not reveal but may have to prove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commitment {
    label: String,
    // A fingerprint has just the text form needed here.
    hash: Fingerprint,
}

impl Commitment {
    const DOMAIN: &'static [u8; 24] = b"rohrpost-commitment-v1\0\0";

    /// Commits to `value` (which may itself be a digest). The label says what it is, such as `body`; at most 16 characters are kept.
    pub fn new(label: &str, salt: &Salt, value: &[u8]) -> Self {
        let label = label.chars().take(16).collect::<String>();
        Self { hash: commit(&label, salt, value), label }
    }

    /// What the value is.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The salted hash.
    pub fn hash(&self) -> Hash {
        Hash::from_bytes(*self.hash.as_bytes())
    }

    /// Whether this commitment was made for this value with this salt.
    pub fn opens_to(&self, salt: &Salt, value: &[u8]) -> bool {
        commit(&self.label, salt, value) == self.hash
    }
}

/// Every part has a fixed length, so no two different inputs have the same bytes.
fn commit(label: &str, salt: &Salt, value: &[u8]) -> Fingerprint {
    let mut input = Vec::with_capacity(24 + 3 * 32);
    input.extend_from_slice(Commitment::DOMAIN);
    input.extend_from_slice(salt.as_bytes());
    input.extend_from_slice(&rohrpost_crypto::sha256(label.as_bytes()));
    input.extend_from_slice(&rohrpost_crypto::sha256(value));
    Fingerprint::from_bytes(rohrpost_crypto::sha256(&input))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_with_everything_right() {
        let (salt, other) = (Salt::from_bytes([1; 32]), Salt::from_bytes([2; 32]));
        let commitment = Commitment::new("body", &salt, b"value");
        assert!(commitment.opens_to(&salt, b"value"));
        assert!(!commitment.opens_to(&other, b"value"));
        assert!(!commitment.opens_to(&salt, b"valu"));
        assert_ne!(commitment.hash(), Commitment::new("subject", &salt, b"value").hash());
        assert!(!format!("{salt:?}").contains('1'));
    }
}
