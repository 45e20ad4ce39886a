//! The key usage extension.

use std::fmt;
use std::ops::BitOr;

/// The purposes a certificate allows its key (RFC 5280, 4.2.1.3), as a set of bits.
///
/// ```
/// use rohrpost_pki::KeyUsage;
///
/// let usage = KeyUsage::DIGITAL_SIGNATURE | KeyUsage::NON_REPUDIATION;
/// assert!(usage.allows_signature() && !usage.allows_encryption());
/// assert_eq!(usage.to_string(), "digitalSignature, nonRepudiation");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyUsage(u16);

impl KeyUsage {
    /// Signatures other than those on certificates and lists.
    pub const DIGITAL_SIGNATURE: Self = Self(1);
    /// Signatures that their author cannot deny (also called contentCommitment).
    pub const NON_REPUDIATION: Self = Self(1 << 1);
    /// Encryption of session keys.
    pub const KEY_ENCIPHERMENT: Self = Self(1 << 2);
    /// Encryption of data without a session key.
    pub const DATA_ENCIPHERMENT: Self = Self(1 << 3);
    /// Key agreement.
    pub const KEY_AGREEMENT: Self = Self(1 << 4);
    /// Signatures on certificates.
    pub const KEY_CERT_SIGN: Self = Self(1 << 5);
    /// Signatures on revocation lists.
    pub const CRL_SIGN: Self = Self(1 << 6);

    const NAMES: [&str; 9] = [
        "digitalSignature",
        "nonRepudiation",
        "keyEncipherment",
        "dataEncipherment",
        "keyAgreement",
        "keyCertSign",
        "cRLSign",
        "encipherOnly",
        "decipherOnly",
    ];

    /// From bits as numbered by RFC 5280: bit 0 is digitalSignature.
    #[must_use]
    pub fn from_bits(bits: u16) -> Self {
        Self(bits & 0x1ff)
    }

    /// Whether every purpose of `other` is in this set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether messages and contents may be signed.
    #[must_use]
    pub fn allows_signature(self) -> bool {
        self.intersects(Self::DIGITAL_SIGNATURE | Self::NON_REPUDIATION)
    }

    /// Whether messages and contents may be encrypted for the key.
    #[must_use]
    pub fn allows_encryption(self) -> bool {
        self.intersects(Self::KEY_ENCIPHERMENT | Self::DATA_ENCIPHERMENT)
    }

    /// Whether certificates may be signed.
    #[must_use]
    pub fn allows_certificates(self) -> bool {
        self.contains(Self::KEY_CERT_SIGN)
    }

    fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The content octets of the BIT STRING, with the count of unused bits in front.
    pub(crate) fn bit_string(self) -> Vec<u8> {
        let reversed = self.0.reverse_bits();
        let used = 16 - reversed.trailing_zeros().min(16);
        let octets = &reversed.to_be_bytes()[..used.div_ceil(8) as usize];
        let unused = u8::try_from(octets.len() as u32 * 8 - used).expect("below 8");
        [&[unused], octets].concat()
    }
}

impl BitOr for KeyUsage {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for KeyUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (bit, name) in Self::NAMES.iter().enumerate() {
            if self.0 >> bit & 1 == 1 {
                write!(f, "{separator}{name}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

impl fmt::Debug for KeyUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyUsage({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_as_a_minimal_bit_string() {
        assert_eq!(KeyUsage::DIGITAL_SIGNATURE.bit_string(), [7, 0x80]);
        assert_eq!((KeyUsage::KEY_CERT_SIGN | KeyUsage::CRL_SIGN).bit_string(), [1, 0x06]);
        assert_eq!(KeyUsage::from_bits(1 << 8).bit_string(), [7, 0x00, 0x80]);
        assert_eq!(KeyUsage::from_bits(0).bit_string(), [0]);
    }

    #[test]
    fn knows_what_each_purpose_allows() {
        assert!(KeyUsage::NON_REPUDIATION.allows_signature());
        assert!(!KeyUsage::KEY_CERT_SIGN.allows_signature());
        assert!(KeyUsage::DATA_ENCIPHERMENT.allows_encryption());
        assert!(!KeyUsage::KEY_AGREEMENT.allows_encryption());
        assert!(KeyUsage::KEY_CERT_SIGN.allows_certificates());
    }
}
