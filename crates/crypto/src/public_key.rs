use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use aws_lc_rs::{
    rsa::{PublicEncryptingKey, PublicKeyComponents},
    signature::{ParsedPublicKey, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY},
};

use crate::{KeyError, SignatureAlgorithm, SignatureInvalid, X509SignatureAlgorithm, der, key_transport, verify};

/// A named elliptic curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Curve {
    /// NIST P-256, secp256r1.
    P256,
    /// NIST P-384, secp384r1.
    P384,
    /// NIST P-521, secp521r1.
    P521,
}

impl Curve {
    /// Size of the field in bits.
    pub const fn bits(self) -> u32 {
        match self {
            Self::P256 => 256,
            Self::P384 => 384,
            Self::P521 => 521,
        }
    }

    /// Length of one coordinate, and of `r` and of `s` in a signature, in bytes.
    pub const fn field_len(self) -> usize {
        self.bits().div_ceil(8) as usize
    }

    pub(crate) const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    /// The content octets of the object identifier.
    const fn oid(self) -> &'static [u8] {
        match self {
            Self::P256 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
            Self::P384 => &[0x2b, 0x81, 0x04, 0x00, 0x22],
            Self::P521 => &[0x2b, 0x81, 0x04, 0x00, 0x23],
        }
    }
}

/// What kind of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// RSA.
    Rsa {
        /// Bits of the modulus.
        bits: u32,
    },
    /// A key on an elliptic curve.
    Ec {
        /// The curve.
        curve: Curve,
    },
    /// Ed25519.
    Ed25519,
    /// Well-formed, but nothing this crate can use; [`PublicKey::require_supported`] says why.
    Unsupported,
}

impl KeyKind {
    /// The name that a policy uses for the kind: `rsa`, `ec`, `ed25519` or `unsupported`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rsa { .. } => "rsa",
            Self::Ec { .. } => "ec",
            Self::Ed25519 => "ed25519",
            Self::Unsupported => "unsupported",
        }
    }

    /// Length of the key as a policy judges it: bits of the modulus or of the field; 0 if unsupported.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Rsa { bits } => bits,
            Self::Ec { curve } => curve.bits(),
            Self::Ed25519 => 256,
            Self::Unsupported => 0,
        }
    }
}

/// A public key as a certificate carries it. Cheap to clone.
#[derive(Clone)]
pub struct PublicKey(Arc<Inner>);

struct Inner {
    spki: Vec<u8>,
    key: Key,
    /// The key as the backend encrypts with it, once that was asked for.
    encrypting: OnceLock<Option<PublicEncryptingKey>>,
}

pub(crate) enum Key {
    Rsa(RsaKey),
    Ec { curve: Curve, point: Vec<u8> },
    Ed25519([u8; 32]),
    Unsupported(&'static str),
}

pub(crate) struct RsaKey {
    pub(crate) modulus: Vec<u8>,
    pub(crate) exponent: Vec<u8>,
    pub(crate) bits: u32,
    /// The key is restricted to RSA-PSS (RFC 4055 1.2).
    pub(crate) pss_only: bool,
    /// The key as the backend verifies the most common signatures with it, once that was asked for.
    verifying: OnceLock<Option<ParsedPublicKey>>,
}

impl RsaKey {
    /// For RSA PKCS#1 1.5 with SHA-256. `None` if no signature can be right.
    pub(crate) fn verifying(&self) -> Option<&ParsedPublicKey> {
        let parts = PublicKeyComponents { n: &self.modulus, e: &self.exponent };
        let make = || parts.to_parsed_public_key(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY).ok();
        self.verifying.get_or_init(make).as_ref()
    }
}

const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const RSASSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
pub(crate) const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

const MAX_RSA_BITS: u32 = 16_384;

impl PublicKey {
    /// Reads a `SubjectPublicKeyInfo` (RFC 5280 4.1.2.7).
    ///
    /// Keys of other kinds (brainpool curves, explicit curve parameters, DSA, …) are read too, so that a certificate
    /// with such a key can be looked at: their kind is [`KeyKind::Unsupported`] and nothing verifies with them.
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`] if it is not DER of this structure, or not a possible key of its kind.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, KeyError> {
        let mut outer = der::Reader::new(spki);
        let mut info = outer.nested(der::SEQUENCE).ok_or(NOT_SPKI)?;
        let mut algorithm = info.nested(der::SEQUENCE).ok_or(NOT_SPKI)?;
        let oid = algorithm.value(der::OBJECT_IDENTIFIER).ok_or(NOT_SPKI)?;
        let bits = info.bit_string().ok_or(NOT_SPKI)?;
        if !info.is_empty() || !outer.is_empty() {
            return Err(NOT_SPKI);
        }
        let key = match oid {
            RSA_ENCRYPTION => Key::Rsa(read_rsa(bits, false)?),
            RSASSA_PSS => Key::Rsa(read_rsa(bits, true)?),
            EC_PUBLIC_KEY => read_ec(algorithm, bits)?,
            ED25519 => Key::Ed25519(bits.try_into().map_err(|_| KeyError::Malformed("an Ed25519 key has 32 bytes"))?),
            _ => Key::Unsupported("neither RSA, elliptic curve nor Ed25519"),
        };
        Ok(Self(Arc::new(Inner { spki: spki.to_vec(), key, encrypting: OnceLock::new() })))
    }

    pub(crate) fn from_rsa_der(rsa_public_key: &[u8]) -> Result<Self, KeyError> {
        let algorithm =
            der::encode(der::SEQUENCE, &[&der::encode(der::OBJECT_IDENTIFIER, &[RSA_ENCRYPTION]), &[der::NULL, 0]]);
        let key = der::encode(der::BIT_STRING, &[&[0], rsa_public_key]);
        Self::from_spki_der(&der::encode(der::SEQUENCE, &[&algorithm, &key]))
    }

    pub(crate) fn from_ec_point(curve: Curve, point: &[u8]) -> Result<Self, KeyError> {
        let algorithm = der::encode(
            der::SEQUENCE,
            &[
                &der::encode(der::OBJECT_IDENTIFIER, &[EC_PUBLIC_KEY]),
                &der::encode(der::OBJECT_IDENTIFIER, &[curve.oid()]),
            ],
        );
        let key = der::encode(der::BIT_STRING, &[&[0], point]);
        Self::from_spki_der(&der::encode(der::SEQUENCE, &[&algorithm, &key]))
    }

    /// The `SubjectPublicKeyInfo` it was read from.
    pub fn spki_der(&self) -> &[u8] {
        &self.0.spki
    }

    /// The content of the bit string `subjectPublicKey`: an `RSAPublicKey`, an encoded point, or 32 bytes.
    pub fn subject_public_key(&self) -> &[u8] {
        let bits = || {
            let mut info = der::Reader::new(&self.0.spki).nested(der::SEQUENCE)?;
            info.value(der::SEQUENCE)?;
            info.bit_string()
        };
        bits().expect("the structure was checked when the key was read")
    }

    /// Kind and length.
    pub fn kind(&self) -> KeyKind {
        match &self.0.key {
            Key::Rsa(key) => KeyKind::Rsa { bits: key.bits },
            Key::Ec { curve, .. } => KeyKind::Ec { curve: *curve },
            Key::Ed25519(_) => KeyKind::Ed25519,
            Key::Unsupported(_) => KeyKind::Unsupported,
        }
    }

    /// Says why nothing verifies with a key of [`KeyKind::Unsupported`].
    ///
    /// # Errors
    ///
    /// [`KeyError::Unsupported`] with the reason.
    pub fn require_supported(&self) -> Result<(), KeyError> {
        match &self.0.key {
            Key::Unsupported(reason) => Err(KeyError::Unsupported(reason)),
            _ => Ok(()),
        }
    }

    /// Checks a signature of XML-DSig.
    ///
    /// RSA keys of 1024 to 8192 bits verify; those below 2048 not with PSS and SHA-2. Which of them count is the
    /// policy's business ([`Purpose::KeyLength`](crate::policy::Purpose::KeyLength)).
    ///
    /// # Errors
    ///
    /// [`SignatureInvalid`] if it does not match, has the wrong length, or the algorithm does not fit the key.
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureInvalid> {
        verify::xml(self.key(), algorithm, message, signature)
    }

    /// Checks a signature on a certificate, revocation list or OCSP response; ECDSA values are DER there.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify).
    pub fn verify_x509(
        &self,
        algorithm: X509SignatureAlgorithm,
        to_be_signed: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureInvalid> {
        verify::x509(self.key(), algorithm, to_be_signed, signature)
    }

    pub(crate) fn key(&self) -> &Key {
        &self.0.key
    }

    /// Whether session keys can be encrypted for its owner: an RSA key of 2048 to 8192 bits that is not restricted to PSS.
    pub fn can_wrap(&self) -> bool {
        key_transport::can_wrap(self)
    }

    /// The key of the backend if session keys may be wrapped with it.
    pub(crate) fn encrypting(&self) -> Option<&PublicEncryptingKey> {
        let make = || match &self.0.key {
            Key::Rsa(key) if !key.pss_only => PublicEncryptingKey::from_der(&self.0.spki).ok(),
            _ => None,
        };
        self.0.encrypting.get_or_init(make).as_ref()
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.spki == other.0.spki
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {} bits)", self.kind().name(), self.kind().bits())
    }
}

const NOT_SPKI: KeyError = KeyError::Malformed("not a SubjectPublicKeyInfo");

fn read_rsa(bits: &[u8], pss_only: bool) -> Result<RsaKey, KeyError> {
    const MALFORMED: KeyError = KeyError::Malformed("not an RSAPublicKey");
    let mut outer = der::Reader::new(bits);
    let mut key = outer.nested(der::SEQUENCE).ok_or(MALFORMED)?;
    let modulus = key.positive().ok_or(MALFORMED)?;
    let exponent = key.positive().ok_or(MALFORMED)?;
    if !key.is_empty() || !outer.is_empty() {
        return Err(MALFORMED);
    }
    let bits = (modulus.len() * 8) as u32 - modulus[0].leading_zeros();
    let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
    if !(512..=MAX_RSA_BITS).contains(&bits) || !odd(modulus) || !odd(exponent) || exponent == [1] || exponent.len() > 5
    {
        return Err(KeyError::Malformed("modulus or exponent cannot be those of an RSA key"));
    }
    Ok(RsaKey { modulus: modulus.to_vec(), exponent: exponent.to_vec(), bits, pss_only, verifying: OnceLock::new() })
}

fn read_ec(parameters: der::Reader<'_>, point: &[u8]) -> Result<Key, KeyError> {
    let curve = match named_curve(parameters) {
        Ok(curve) => curve,
        Err(reason) => return Ok(Key::Unsupported(reason)),
    };
    let length = curve.field_len();
    match point {
        [4, rest @ ..] if rest.len() == 2 * length => {}
        [2 | 3, rest @ ..] if rest.len() == length => {}
        _ => return Err(KeyError::Malformed("the point does not have the size of its curve")),
    }
    Ok(Key::Ec { curve, point: point.to_vec() })
}

/// The curve named by `ECParameters` (RFC 5480 2.1.1), or why it cannot be used.
pub(crate) fn named_curve(mut parameters: der::Reader<'_>) -> Result<Curve, &'static str> {
    const BRAINPOOL: &[u8] = &[0x2b, 0x24, 0x03, 0x03, 0x02, 0x08];
    if parameters.rest().first() == Some(&der::SEQUENCE) {
        return Err("an elliptic curve with explicit parameters");
    }
    let oid = parameters.value(der::OBJECT_IDENTIFIER).ok_or("an elliptic curve without a name")?;
    if oid.starts_with(BRAINPOOL) {
        return Err("a brainpool curve");
    }
    let known = Curve::ALL.into_iter().find(|curve| curve.oid() == oid);
    known.ok_or("an elliptic curve other than P-256, P-384 and P-521")
}
