//! Hashes of the tree: RFC 6962, section 2.1.

use std::fmt;

use rohrpost_crypto::sha256;

/// A SHA-256 value inside the Merkle tree: the hash of a leaf or of a subtree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash([u8; Self::LEN]);

impl Hash {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// Wraps bytes that are already a hash.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Wraps a slice of exactly [`Hash::LEN`] bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The hash of a record: `SHA-256(0x00 || record)`.
    pub fn of_leaf(record: &[u8]) -> Self {
        let mut input = Vec::with_capacity(1 + record.len());
        input.push(0x00);
        input.extend_from_slice(record);
        Self(sha256(&input))
    }

    /// The hash of an inner node: `SHA-256(0x01 || left || right)`.
    pub fn of_node(left: &Self, right: &Self) -> Self {
        let mut input = [0x01; 1 + 2 * Self::LEN];
        input[1..=Self::LEN].copy_from_slice(&left.0);
        input[1 + Self::LEN..].copy_from_slice(&right.0);
        Self(sha256(&input))
    }

    /// The root of the tree without leaves: the SHA-256 of nothing.
    pub fn of_empty_tree() -> Self {
        Self(sha256(&[]))
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

/// Folds the hashes of a complete subtree (their number is a power of two) to its root.
pub(crate) fn fold(mut hashes: Vec<Hash>) -> Hash {
    debug_assert!(hashes.len().is_power_of_two());
    while hashes.len() > 1 {
        hashes = hashes.chunks_exact(2).map(|pair| Hash::of_node(&pair[0], &pair[1])).collect();
    }
    hashes[0]
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

pub(crate) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// Reads lower- or upper-case hexadecimal of exactly 32 bytes.
pub(crate) fn parse_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_goes_both_ways() {
        let hash = Hash::of_leaf(b"abc");
        assert_eq!(parse_hex(&hash.to_string()), Some(*hash.as_bytes()));
        for bad in ["", "00", &"g".repeat(64), &"+1".repeat(32), &"é".repeat(32)] {
            assert_eq!(parse_hex(bad), None, "{bad}");
        }
    }
}
