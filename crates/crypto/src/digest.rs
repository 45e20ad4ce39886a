use std::{fmt, io};

use ripemd::Digest as _;

/// A message digest of XML-DSig and XML-Enc.
///
/// SHA-1 and RIPEMD-160 exist for reading old signatures; whether they count is the policy's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DigestAlgorithm {
    /// SHA-1, reading only.
    Sha1,
    /// RIPEMD-160, reading only.
    Ripemd160,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// SHA3-256.
    Sha3_256,
    /// SHA3-384.
    Sha3_384,
    /// SHA3-512.
    Sha3_512,
}

impl DigestAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 7] =
        [Self::Sha1, Self::Ripemd160, Self::Sha256, Self::Sha512, Self::Sha3_256, Self::Sha3_384, Self::Sha3_512];

    /// The algorithm with this identifier, compared character by character.
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.uri() == uri)
    }

    /// The identifier of XML-DSig, XML-Enc or RFC 9231.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Sha1 => "http://www.w3.org/2000/09/xmldsig#sha1",
            Self::Ripemd160 => "http://www.w3.org/2001/04/xmlenc#ripemd160",
            Self::Sha256 => "http://www.w3.org/2001/04/xmlenc#sha256",
            Self::Sha512 => "http://www.w3.org/2001/04/xmlenc#sha512",
            Self::Sha3_256 => "http://www.w3.org/2007/05/xmldsig-more#sha3-256",
            Self::Sha3_384 => "http://www.w3.org/2007/05/xmldsig-more#sha3-384",
            Self::Sha3_512 => "http://www.w3.org/2007/05/xmldsig-more#sha3-512",
        }
    }

    /// Length of the digest in bytes.
    #[allow(clippy::len_without_is_empty)]
    pub const fn len(self) -> usize {
        match self {
            Self::Sha1 | Self::Ripemd160 => 20,
            Self::Sha256 | Self::Sha3_256 => 32,
            Self::Sha3_384 => 48,
            Self::Sha512 | Self::Sha3_512 => 64,
        }
    }

    /// Starts a computation.
    pub fn hasher(self) -> Hasher {
        Hasher(match self {
            Self::Sha1 => Inner::Ring(ring_context(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY)),
            Self::Ripemd160 => Inner::Ripemd(ripemd::Ripemd160::new()),
            Self::Sha256 => Inner::Ring(ring_context(&ring::digest::SHA256)),
            Self::Sha512 => Inner::Ring(ring_context(&ring::digest::SHA512)),
            Self::Sha3_256 => Inner::AwsLc(aws_context(&aws_lc_rs::digest::SHA3_256)),
            Self::Sha3_384 => Inner::AwsLc(aws_context(&aws_lc_rs::digest::SHA3_384)),
            Self::Sha3_512 => Inner::AwsLc(aws_context(&aws_lc_rs::digest::SHA3_512)),
        })
    }

    /// The digest of `data` in one go.
    pub fn digest(self, data: &[u8]) -> Digest {
        let mut hasher = self.hasher();
        hasher.update(data);
        hasher.finish()
    }
}

/// A digest being computed; also a [`Write`](io::Write) that never fails.
#[derive(Clone)]
pub struct Hasher(Inner);

#[derive(Clone)]
enum Inner {
    Ring(ring::digest::Context),
    AwsLc(Box<aws_lc_rs::digest::Context>),
    Ripemd(ripemd::Ripemd160),
}

impl Hasher {
    /// Feeds more data.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.0 {
            Inner::Ring(context) => context.update(data),
            Inner::AwsLc(context) => context.update(data),
            Inner::Ripemd(hasher) => hasher.update(data),
        }
    }

    /// Ends the computation.
    pub fn finish(self) -> Digest {
        match self.0 {
            Inner::Ring(context) => Digest::from_slice(context.finish().as_ref()),
            Inner::AwsLc(context) => Digest::from_slice(context.finish().as_ref()),
            Inner::Ripemd(hasher) => Digest::from_slice(&hasher.finalize()),
        }
    }
}

impl io::Write for Hasher {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").finish_non_exhaustive()
    }
}

/// A digest value of 20 to 64 bytes. Equality takes the same time wherever the values differ.
#[derive(Clone, Copy)]
pub struct Digest {
    bytes: [u8; MAX_DIGEST_LEN],
    len: usize,
}

const MAX_DIGEST_LEN: usize = 64;

impl Digest {
    /// Compares with a digest that came from elsewhere.
    pub fn matches(&self, expected: &[u8]) -> bool {
        constant_time_eq(self.as_ref(), expected)
    }

    /// The bytes of the digest.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn from_slice(value: &[u8]) -> Self {
        let mut bytes = [0; MAX_DIGEST_LEN];
        bytes[..value.len()].copy_from_slice(value);
        Self { bytes, len: value.len() }
    }
}

/// A SHA-256 digest that was kept.
impl From<[u8; 32]> for Digest {
    fn from(value: [u8; 32]) -> Self {
        Self::from_slice(&value)
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.as_bytes())
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// SHA-256 of `data`.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    ring::digest::digest(&ring::digest::SHA256, data).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// SHA-384 of `data`. No digest of XML signatures here, but one of time stamps.
pub fn sha384(data: &[u8]) -> [u8; 48] {
    ring::digest::digest(&ring::digest::SHA384, data).as_ref().try_into().expect("SHA-384 has 48 bytes")
}

/// HMAC with SHA-256 (RFC 2104).
pub fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
    ring::hmac::sign(&key, data).as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
}

/// Whether both are equal, in a time that depends on the lengths only.
pub fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left, right).is_ok()
}

fn ring_context(algorithm: &'static ring::digest::Algorithm) -> ring::digest::Context {
    ring::digest::Context::new(algorithm)
}

fn aws_context(algorithm: &'static aws_lc_rs::digest::Algorithm) -> Box<aws_lc_rs::digest::Context> {
    Box::new(aws_lc_rs::digest::Context::new(algorithm))
}
