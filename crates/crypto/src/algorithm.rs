use crate::DigestAlgorithm;

/// A signature algorithm of XML-DSig.
///
/// PSS always means: MGF1 with the same hash, salt as long as the hash (RFC 9231 2.3.10). ECDSA values are the two
/// numbers `r` and `s` in their full field length, one after the other (XML-DSig 1.1, 6.4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SignatureAlgorithm {
    /// RSA PKCS#1 v1.5 with SHA-1, reading only.
    RsaSha1,
    /// RSA PKCS#1 v1.5 with RIPEMD-160, reading only.
    RsaRipemd160,
    /// RSA PKCS#1 v1.5 with SHA-256.
    RsaSha256,
    /// RSA PKCS#1 v1.5 with SHA-512.
    RsaSha512,
    /// RSA-PSS with SHA-256.
    PssSha256,
    /// RSA-PSS with SHA-512.
    PssSha512,
    /// RSA-PSS with SHA3-256, reading only.
    PssSha3_256,
    /// RSA-PSS with SHA3-384, reading only.
    PssSha3_384,
    /// RSA-PSS with SHA3-512, reading only.
    PssSha3_512,
    /// ECDSA with SHA-256.
    EcdsaSha256,
    /// ECDSA with SHA-512.
    EcdsaSha512,
}

/// A second spelling of [`SignatureAlgorithm::RsaRipemd160`] that old software writes.
const RSA_RIPEMD160_WITH_SLASH: &str = "http://www.w3.org/2001/04/xmldsig-more/rsa-ripemd160";

impl SignatureAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 11] = [
        Self::RsaSha1,
        Self::RsaRipemd160,
        Self::RsaSha256,
        Self::RsaSha512,
        Self::PssSha256,
        Self::PssSha512,
        Self::PssSha3_256,
        Self::PssSha3_384,
        Self::PssSha3_512,
        Self::EcdsaSha256,
        Self::EcdsaSha512,
    ];

    /// The algorithm with this identifier, compared character by character; both spellings of RSA with RIPEMD-160.
    pub fn from_uri(uri: &str) -> Option<Self> {
        if uri == RSA_RIPEMD160_WITH_SLASH {
            return Some(Self::RsaRipemd160);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.uri() == uri)
    }

    /// The identifier of XML-DSig or RFC 9231.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::RsaSha1 => "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
            Self::RsaRipemd160 => "http://www.w3.org/2001/04/xmldsig-more#rsa-ripemd160",
            Self::RsaSha256 => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            Self::RsaSha512 => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
            Self::PssSha256 => "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1",
            Self::PssSha512 => "http://www.w3.org/2007/05/xmldsig-more#sha512-rsa-MGF1",
            Self::PssSha3_256 => "http://www.w3.org/2007/05/xmldsig-more#sha3-256-rsa-MGF1",
            Self::PssSha3_384 => "http://www.w3.org/2007/05/xmldsig-more#sha3-384-rsa-MGF1",
            Self::PssSha3_512 => "http://www.w3.org/2007/05/xmldsig-more#sha3-512-rsa-MGF1",
            Self::EcdsaSha256 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
            Self::EcdsaSha512 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
        }
    }

    /// The digest inside.
    pub const fn digest(self) -> DigestAlgorithm {
        match self {
            Self::RsaSha1 => DigestAlgorithm::Sha1,
            Self::RsaRipemd160 => DigestAlgorithm::Ripemd160,
            Self::RsaSha256 | Self::PssSha256 | Self::EcdsaSha256 => DigestAlgorithm::Sha256,
            Self::RsaSha512 | Self::PssSha512 | Self::EcdsaSha512 => DigestAlgorithm::Sha512,
            Self::PssSha3_256 => DigestAlgorithm::Sha3_256,
            Self::PssSha3_384 => DigestAlgorithm::Sha3_384,
            Self::PssSha3_512 => DigestAlgorithm::Sha3_512,
        }
    }

    /// Whether it takes an RSA key; otherwise it takes a key on an elliptic curve.
    pub const fn is_rsa(self) -> bool {
        !matches!(self, Self::EcdsaSha256 | Self::EcdsaSha512)
    }
}

/// A block cipher of XML-Enc with its mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlockCipher {
    /// AES-128 in Galois/counter mode.
    Aes128Gcm,
    /// AES-192 in Galois/counter mode.
    Aes192Gcm,
    /// AES-256 in Galois/counter mode.
    Aes256Gcm,
    /// AES-128 in cipher block chaining mode, reading only.
    Aes128Cbc,
    /// AES-192 in cipher block chaining mode, reading only.
    Aes192Cbc,
    /// AES-256 in cipher block chaining mode, reading only.
    Aes256Cbc,
    /// Triple DES in cipher block chaining mode, reading only.
    TripleDesCbc,
}

impl BlockCipher {
    /// Every cipher.
    pub const ALL: [Self; 7] = [
        Self::Aes128Gcm,
        Self::Aes192Gcm,
        Self::Aes256Gcm,
        Self::Aes128Cbc,
        Self::Aes192Cbc,
        Self::Aes256Cbc,
        Self::TripleDesCbc,
    ];

    /// The cipher with this identifier, compared character by character.
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cipher| cipher.uri() == uri)
    }

    /// The identifier of XML-Enc 1.0 or 1.1.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "http://www.w3.org/2009/xmlenc11#aes128-gcm",
            Self::Aes192Gcm => "http://www.w3.org/2009/xmlenc11#aes192-gcm",
            Self::Aes256Gcm => "http://www.w3.org/2009/xmlenc11#aes256-gcm",
            Self::Aes128Cbc => "http://www.w3.org/2001/04/xmlenc#aes128-cbc",
            Self::Aes192Cbc => "http://www.w3.org/2001/04/xmlenc#aes192-cbc",
            Self::Aes256Cbc => "http://www.w3.org/2001/04/xmlenc#aes256-cbc",
            Self::TripleDesCbc => "http://www.w3.org/2001/04/xmlenc#tripledes-cbc",
        }
    }

    /// Length of the session key in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes128Cbc => 16,
            Self::Aes192Gcm | Self::Aes192Cbc | Self::TripleDesCbc => 24,
            Self::Aes256Gcm | Self::Aes256Cbc => 32,
        }
    }

    /// Whether tampering is noticed by the cipher itself.
    pub const fn is_authenticated(self) -> bool {
        matches!(self, Self::Aes128Gcm | Self::Aes192Gcm | Self::Aes256Gcm)
    }
}
