//! Identifiers of the protocol: [`MessageId`], [`ConversationId`] and [`Challenge`].
//!
//! All three are opaque to whoever did not make them. They are compared character by character and never trimmed:
//! a peer that adds a blank to a challenge has answered the wrong challenge.

use std::fmt;

use rohrpost_crypto::{Random, constant_time_eq};
use rohrpost_xmlsec::base64;
use thiserror::Error;

/// Why a string is no identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IdError {
    /// Nothing, or nothing but white space.
    #[error("the identifier is empty")]
    Empty,
    /// More characters than any peer needs; the bound protects indexes and logs.
    #[error("the identifier is longer than {limit} bytes")]
    TooLong {
        /// The bound in bytes.
        limit: usize,
    },
    /// A character that XML cannot carry, or a line break where none may be.
    #[error("the identifier contains a control character")]
    ControlCharacter,
    /// The base64 form on the wire is broken.
    #[error("the identifier is not valid base64")]
    NotBase64,
    /// The decoded bytes are not UTF-8.
    #[error("the identifier is not valid UTF-8")]
    NotUtf8,
}

/// Identifies one delivery for ever. Any UTF-8 string; on the wire it travels as the base64 of that string.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(String);

impl MessageId {
    /// Longest accepted identifier in bytes.
    pub const MAX_LEN: usize = 512;

    /// Takes a plain (decoded) identifier.
    ///
    /// # Errors
    /// If it is empty, too long or contains control characters.
    pub fn new(plain: impl Into<String>) -> Result<Self, IdError> {
        checked(plain.into(), Self::MAX_LEN).map(Self)
    }

    /// Reads the wire form. Characters outside the base64 alphabet are skipped, as peers break lines freely.
    ///
    /// # Errors
    /// If the rest is not base64 of an acceptable identifier.
    pub fn from_base64(wire: &str) -> Result<Self, IdError> {
        if wire.len() > 4 * Self::MAX_LEN {
            return Err(IdError::TooLong { limit: Self::MAX_LEN });
        }
        let bytes = base64::decode(wire).map_err(|_| IdError::NotBase64)?;
        Self::new(String::from_utf8(bytes).map_err(|_| IdError::NotUtf8)?)
    }

    /// The wire form: base64 of the UTF-8 bytes, in one line.
    pub fn to_base64(&self) -> String {
        base64::encode_unbroken(&self.0)
    }

    /// The plain identifier.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Identifies one explicit dialog at the intermediary that opened it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConversationId(String);

impl ConversationId {
    /// Longest accepted identifier in bytes.
    pub const MAX_LEN: usize = 64;

    /// Takes a received identifier. The schema wants digits; peers are not held to it, only to the bounds.
    ///
    /// # Errors
    /// If it is empty, too long or contains control characters.
    pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
        checked(text.into(), Self::MAX_LEN).map(Self)
    }

    /// Makes an unguessable identifier of 32 decimal digits out of random bytes.
    pub fn from_random(random: [u8; 16]) -> Self {
        // 10^32 divides the 128 bit space into 3.4 million equal parts: the remainder is uniform enough (bias < 2^-21).
        const DIGITS: u128 = 10_u128.pow(32);
        Self(format!("{:032}", u128::from_be_bytes(random) % DIGITS))
    }

    /// Makes an unguessable identifier.
    pub fn generate(random: &dyn Random) -> Self {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        Self::from_random(bytes)
    }

    /// The identifier as it stands on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What one side wants to see again in the `Response` of the other side's next message.
///
/// Knowing a challenge proves having decrypted the message that carried it. So `Debug` does not show it, and comparing
/// takes the same time wherever two challenges of equal length differ.
#[derive(Clone, Eq)]
pub struct Challenge(String);

impl Challenge {
    /// Longest accepted challenge in bytes.
    pub const MAX_LEN: usize = 1024;

    /// Takes a received challenge, or the response to one, exactly as it stands in the element.
    ///
    /// # Errors
    /// If it is empty or too long.
    pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
        let text = text.into();
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        if text.len() > Self::MAX_LEN {
            return Err(IdError::TooLong { limit: Self::MAX_LEN });
        }
        Ok(Self(text))
    }

    /// Makes a challenge of 20 characters out of random bytes. Base64, because some clients echo it without escaping.
    pub fn from_random(random: [u8; 15]) -> Self {
        Self(base64::encode_unbroken(random))
    }

    /// Makes a challenge that was never used before.
    pub fn generate(random: &dyn Random) -> Self {
        let mut bytes = [0; 15];
        random.fill(&mut bytes);
        Self::from_random(bytes)
    }

    /// The challenge as it stands on the wire, before XML escaping.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Challenge {
    fn eq(&self, other: &Self) -> bool {
        constant_time_eq(self.0.as_bytes(), other.0.as_bytes())
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({:?})", self.0)
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConversationId({:?})", self.0)
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Challenge({} bytes)", self.0.len())
    }
}

fn checked(text: String, limit: usize) -> Result<String, IdError> {
    if text.trim().is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > limit {
        return Err(IdError::TooLong { limit });
    }
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}')) {
        return Err(IdError::ControlCharacter);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_id_survives_the_wire() {
        for plain in ["12345", "https://example.org/a?b=ü", "with blank", "😀"] {
            let id = MessageId::new(plain).unwrap();
            assert_eq!(MessageId::from_base64(&id.to_base64()).unwrap(), id);
        }
        assert_eq!(MessageId::from_base64("MTIzNDU=").unwrap().as_str(), "12345");
        assert_eq!(MessageId::from_base64("\n MTIz\r\nNDU= ").unwrap().as_str(), "12345");
    }

    #[test]
    fn broken_message_ids_are_refused() {
        for (wire, expected) in [
            ("", IdError::Empty),
            ("   ", IdError::Empty),
            ("IA==", IdError::Empty),
            ("MTIzNDU", IdError::NotBase64),
            ("MTIzND=U", IdError::NotBase64),
            ("gA==", IdError::NotUtf8),
            ("AQ==", IdError::ControlCharacter),
        ] {
            assert_eq!(MessageId::from_base64(wire).unwrap_err(), expected, "{wire:?}");
        }
        let long = "x".repeat(MessageId::MAX_LEN + 1);
        assert!(matches!(MessageId::new(long), Err(IdError::TooLong { .. })));
        assert!(MessageId::from_base64(&"A".repeat(5000)).is_err());
    }

    #[test]
    fn generated_conversation_ids_are_32_digits() {
        for seed in [[0; 16], [0xFF; 16], [0x5A; 16]] {
            let id = ConversationId::from_random(seed);
            assert_eq!(id.as_str().len(), 32);
            assert!(id.as_str().bytes().all(|b| b.is_ascii_digit()));
        }
    }

    #[test]
    fn challenges_are_opaque_and_not_shown() {
        assert_ne!(Challenge::new("abc ").unwrap(), Challenge::new("abc").unwrap());
        assert_eq!(Challenge::new("").unwrap_err(), IdError::Empty);
        let made = Challenge::from_random([7; 15]);
        assert_eq!(made.as_str().len(), 20);
        assert!(!format!("{made:?}").contains(made.as_str()));
    }
}
