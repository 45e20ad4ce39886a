use std::fmt;

use zeroize::Zeroizing;

use crate::Random;

/// The symmetric key of one encryption; wiped from memory when dropped.
#[derive(Clone)]
pub struct SessionKey(Zeroizing<Box<[u8]>>);

impl SessionKey {
    /// A fresh key of `len` bytes.
    pub fn random(len: usize, random: &dyn Random) -> Self {
        let mut bytes = Zeroizing::new(vec![0; len].into_boxed_slice());
        random.fill(&mut bytes);
        Self(bytes)
    }

    /// Copies a key; wiping the original is the caller's.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The key itself. Each call of this is a place to look at in a review.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the key has no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({} bits)", self.0.len() * 8)
    }
}
