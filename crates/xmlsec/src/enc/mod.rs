//! XML Encryption: reading and writing `EncryptedData` in the forms that OSCI-Transport 1.2 has.
//!
//! Of [XML-Enc](https://www.w3.org/TR/xmlenc-core1/) this takes a closed list: a block cipher, session keys encrypted
//! with RSA for recipients named by certificate or reference (or one in the clear, where the element itself is inside
//! an encryption), and data in a `CipherValue` or behind a `CipherReference`. Decrypting is
//! [`cipher::open`](rohrpost_crypto::cipher::open).

mod parse;
mod write;

use rohrpost_crypto::cipher::IvLength;
use rohrpost_crypto::{BlockCipher, KeyTransport, SessionKey};

pub use write::CipherValueWriter;

use crate::base64::Base64Malformed;
use crate::cursor::Unexpected;
use crate::reader::XmlError;

/// Namespace of XML Encryption, prefix `xenc`.
pub const NAMESPACE: &str = "http://www.w3.org/2001/04/xmlenc#";
/// Namespace of the additions in XML Encryption 1.1, prefix `xenc11`.
pub const NAMESPACE_11: &str = "http://www.w3.org/2009/xmlenc11#";
/// Namespace of `IvLength`, an addition made for OSCI-Transport, prefix `osci128`.
pub const IV_LENGTH_NAMESPACE: &str = "http://xoev.de/transport/osci12/8";

/// Bounds of one `EncryptedData`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `EncryptedKey` elements.
    pub keys: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { keys: 1000 }
    }
}

/// An `EncryptedData` element: everything about encrypted data, and the data themselves unless they are elsewhere.
#[derive(Debug, Clone)]
pub struct EncryptedData {
    /// Attribute `Id`.
    pub id: Option<String>,
    /// Attribute `MimeType`.
    pub mime_type: Option<String>,
    /// How the data are encrypted.
    pub cipher: BlockCipher,
    /// Length of the initialisation vector; matters to GCM only. Sixteen where the element says nothing.
    pub iv: IvLength,
    /// The session key, encrypted once for every recipient.
    pub keys: Vec<EncryptedKey>,
    /// The session key in the clear (`MgmtData`). Either this or `keys` is given.
    pub plain_key: Option<SessionKey>,
    /// Where the encrypted octets (IV ‖ ciphertext ‖ tag) are.
    pub data: CipherData,
}

/// A session key encrypted for one recipient.
#[derive(Debug, Clone)]
pub struct EncryptedKey {
    /// How.
    pub transport: KeyTransport,
    /// For whom.
    pub recipient: Recipient,
    /// The encrypted key.
    pub wrapped: Vec<u8>,
}

/// Whose key a session key is encrypted with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient {
    /// The holder of this certificate (DER).
    Certificate(Vec<u8>),
    /// The holder of the certificate that this URI names (`RetrievalMethod`).
    Retrieval(String),
}

/// Where encrypted octets are.
#[derive(Clone, PartialEq, Eq)]
pub enum CipherData {
    /// In another MIME part: `cid:` and its Content-ID. Transforms that were given are not kept; how the part is
    /// coded is for its headers to say.
    Reference(String),
    /// Here.
    Value(Vec<u8>),
    /// They were here, so many octets, and went to the sink while they were read.
    Streamed(u64),
}

impl std::fmt::Debug for CipherData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reference(_) => f.write_str("Reference"), // may be a file name
            Self::Value(value) => write!(f, "Value({} bytes)", value.len()),
            Self::Streamed(length) => write!(f, "Streamed({length} bytes)"),
        }
    }
}

/// Why an `EncryptedData` cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptionMalformed {
    /// An element or attribute is missing or stands in the wrong place.
    #[error("the encrypted data lack {0} where it must be")]
    Missing(&'static str),
    /// Something stands in it that must not be there.
    #[error("the encrypted data contain something that is not allowed in them")]
    Forbidden,
    /// The block cipher is not known.
    #[error("the encryption algorithm is not known")]
    UnknownCipher,
    /// The key transport, or one of its parameters, is not known, or a parameter is missing.
    #[error("the key transport algorithm or one of its parameters is missing or not known")]
    UnknownKeyTransport,
    /// The initialisation vector has neither 12 nor 16 bytes.
    #[error("the length of the initialization vector is not supported")]
    IvLength,
    /// The session key in the clear does not fit the cipher.
    #[error("the session key does not fit the cipher")]
    KeyLength,
    /// There are more encrypted keys than [`Limits`] allows.
    #[error("the encrypted data have too many keys")]
    TooMany,
    /// A value is not base64.
    #[error("a value of the encrypted data is malformed base64")]
    Base64,
    /// The XML around it is wrong, or reading or writing failed.
    #[error(transparent)]
    Xml(#[from] XmlError),
}

impl From<Unexpected> for EncryptionMalformed {
    fn from(unexpected: Unexpected) -> Self {
        match unexpected {
            Unexpected::Missing(name) => Self::Missing(name),
            Unexpected::Foreign => Self::Forbidden,
        }
    }
}

impl From<Base64Malformed> for EncryptionMalformed {
    fn from(_: Base64Malformed) -> Self {
        Self::Base64
    }
}
