use std::{fmt, sync::Arc};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair as RsaKeyPair, KeySize, PrivateDecryptingKey},
    signature::{self as aws, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _, RsaEncoding},
};
use zeroize::Zeroizing;

use crate::{
    Curve, DecryptionFailed, KeyError, KeyKind, KeyTransport, PublicKey, SessionKey, SignatureAlgorithm, SigningFailed,
    X509SignatureAlgorithm, der,
    public_key::{EC_PUBLIC_KEY, named_curve},
    unwrap::Unwrapper,
    verify::fit_digest,
};

/// A key that signs with one algorithm, in software or on a token.
pub trait Signer: Send + Sync {
    /// The algorithm of every signature made.
    fn algorithm(&self) -> SignatureAlgorithm;

    /// The key that verifies them.
    fn public_key(&self) -> &PublicKey;

    /// Signs `message`, which is hashed here. The form is that of XML-DSig: ECDSA as `r` and `s` in field length.
    ///
    /// # Errors
    ///
    /// [`SigningFailed`] if the key cannot be reached or used at the moment.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningFailed>;
}

/// A key that opens wrapped session keys, in software or on a token.
pub trait Decryptor: Send + Sync {
    /// Bits of the modulus, which is what policies look at.
    fn key_bits(&self) -> u32;

    /// Decrypts a session key, which must have `wanted_len` bytes.
    ///
    /// With [`KeyTransport::Rsa15`] a wrong padding or length is no error: the result is then a key that nobody can
    /// predict, and what it is used on fails later like any manipulated data (implicit rejection). So an answer does
    /// not tell whether the padding was right.
    ///
    /// # Errors
    ///
    /// [`DecryptionFailed`] for everything else.
    fn unwrap_key(
        &self,
        transport: KeyTransport,
        wrapped: &[u8],
        wanted_len: usize,
    ) -> Result<SessionKey, DecryptionFailed>;
}

/// A private key held in memory. Cheap to clone; wiped when the last clone is dropped.
#[derive(Clone)]
pub struct PrivateKey(Arc<Inner>);

/// No encoding is kept: the numbers of the backend are the only copy.
struct Inner {
    public_key: PublicKey,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec { curve: Curve, pair: EcdsaKeyPair },
}

impl Pair {
    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let encoded = match self {
            Self::Rsa(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(pair).map(|der| der.as_ref().to_vec()),
            Self::Ec { pair, .. } => pair.to_pkcs8v1().map(|der| der.as_ref().to_vec()),
        };
        encoded.map(Zeroizing::new).map_err(|_| UNREADABLE)
    }
}

impl PrivateKey {
    /// Reads an unencrypted `PrivateKeyInfo` (RFC 5208), or the older `RSAPrivateKey` (RFC 8017) and `ECPrivateKey`
    /// (RFC 5915).
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`] or [`KeyError::Unsupported`]: RSA keys have 2048 to 8192 bits, curves are P-256,
    /// P-384 and P-521.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        if let Some(parameters) = ec_parameters(der) {
            let curve = named_curve(parameters).map_err(KeyError::Unsupported)?;
            let pair = EcdsaKeyPair::from_private_key_der(ec_algorithm(curve), der);
            return Self::from_ec(curve, pair.map_err(|_| KeyError::Malformed("not a number for its curve"))?);
        }
        let pair = RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der));
        Self::from_rsa(pair.map_err(|_| why_rejected(der))?)
    }

    /// Makes an RSA key of 2048, 3072, 4096 or 8192 bits. Takes from tenths of a second to minutes.
    ///
    /// # Errors
    ///
    /// [`KeyError::Unsupported`] for other lengths, [`KeyError::Generation`] if the backend fails.
    pub fn generate_rsa(bits: u32) -> Result<Self, KeyError> {
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            8192 => KeySize::Rsa8192,
            _ => {
                return Err(KeyError::Unsupported("RSA keys are made with 2048, 3072, 4096 or 8192 bits"));
            }
        };
        Self::from_rsa(RsaKeyPair::generate(size).map_err(|_| KeyError::Generation)?)
    }

    /// Makes a key on an elliptic curve.
    ///
    /// # Errors
    ///
    /// [`KeyError::Generation`] if the backend fails.
    pub fn generate_ec(curve: Curve) -> Result<Self, KeyError> {
        Self::from_ec(curve, EcdsaKeyPair::generate(ec_algorithm(curve)).map_err(|_| KeyError::Generation)?)
    }

    /// The key as an unencrypted `PrivateKeyInfo` (RFC 5208).
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        self.0.pair.encode().expect("it was encoded when the key was made")
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.0.public_key
    }

    /// Kind and length.
    pub fn kind(&self) -> KeyKind {
        self.0.public_key.kind()
    }

    /// The handle that signs with `algorithm`.
    ///
    /// # Errors
    ///
    /// [`KeyError::Mismatch`] if the key is of the wrong kind or the algorithm is for reading only (SHA-1,
    /// RIPEMD-160, SHA-3).
    pub fn signer(&self, algorithm: SignatureAlgorithm) -> Result<SoftwareSigner, KeyError> {
        let fits = match self.0.pair {
            Pair::Rsa(_) => rsa_encoding(algorithm).is_some(),
            Pair::Ec { .. } => !algorithm.is_rsa(),
        };
        if !fits {
            return Err(KeyError::Mismatch(algorithm.uri()));
        }
        Ok(SoftwareSigner { key: self.clone(), algorithm })
    }

    /// The handle that opens session keys.
    ///
    /// # Errors
    ///
    /// [`KeyError::Mismatch`] if it is not an RSA key.
    pub fn decryptor(&self) -> Result<SoftwareDecryptor, KeyError> {
        let pkcs8 = self.to_pkcs8_der();
        let key = match self.0.pair {
            Pair::Rsa(_) => PrivateDecryptingKey::from_pkcs8(&pkcs8),
            Pair::Ec { .. } => return Err(KeyError::Mismatch("key transport")),
        };
        let key = key.map_err(|_| KeyError::Mismatch("key transport"))?;
        Ok(SoftwareDecryptor(Unwrapper::new(key, &pkcs8)?))
    }

    /// Signs a certificate, request or revocation list: ECDSA values are DER.
    ///
    /// # Errors
    ///
    /// [`SigningFailed`] if the key is of the wrong kind, the algorithm is SHA-1 or Ed25519, or the salt of PSS is
    /// not as long as the hash.
    pub fn sign_x509(&self, algorithm: X509SignatureAlgorithm, to_be_signed: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        match &self.0.pair {
            Pair::Rsa(pair) => sign_rsa(pair, x509_encoding(algorithm).ok_or(SigningFailed)?, to_be_signed),
            Pair::Ec { curve, pair } => {
                let digest = match algorithm {
                    X509SignatureAlgorithm::EcdsaSha256 => &ring::digest::SHA256,
                    X509SignatureAlgorithm::EcdsaSha384 => &ring::digest::SHA384,
                    X509SignatureAlgorithm::EcdsaSha512 => &ring::digest::SHA512,
                    _ => return Err(SigningFailed),
                };
                let raw = sign_ec(*curve, pair, ring::digest::digest(digest, to_be_signed).as_ref())?;
                let (r, s) = raw.split_at(raw.len() / 2);
                Ok(der::encode(der::SEQUENCE, &[&der::encode_integer(r), &der::encode_integer(s)]))
            }
        }
    }

    fn from_rsa(pair: RsaKeyPair) -> Result<Self, KeyError> {
        let public_key = PublicKey::from_rsa_der(pair.public_key().as_ref())?;
        Self::from_parts(public_key, Pair::Rsa(pair))
    }

    fn from_ec(curve: Curve, pair: EcdsaKeyPair) -> Result<Self, KeyError> {
        let public_key = PublicKey::from_ec_point(curve, pair.public_key().as_ref())?;
        Self::from_parts(public_key, Pair::Ec { curve, pair })
    }

    fn from_parts(public_key: PublicKey, pair: Pair) -> Result<Self, KeyError> {
        pair.encode()?;
        Ok(Self(Arc::new(Inner { public_key, pair })))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({} {} bits)", self.kind().name(), self.kind().bits())
    }
}

/// A [`PrivateKey`] bound to one signature algorithm.
#[derive(Clone, Debug)]
pub struct SoftwareSigner {
    key: PrivateKey,
    algorithm: SignatureAlgorithm,
}

impl Signer for SoftwareSigner {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        match &self.key.0.pair {
            Pair::Rsa(pair) => sign_rsa(pair, rsa_encoding(self.algorithm).ok_or(SigningFailed)?, message),
            Pair::Ec { curve, pair } => sign_ec(*curve, pair, self.algorithm.digest().digest(message).as_bytes()),
        }
    }
}

/// An RSA [`PrivateKey`] that opens session keys.
#[derive(Clone)]
pub struct SoftwareDecryptor(Unwrapper);

impl Decryptor for SoftwareDecryptor {
    fn key_bits(&self) -> u32 {
        self.0.key_bits()
    }

    fn unwrap_key(
        &self,
        transport: KeyTransport,
        wrapped: &[u8],
        wanted_len: usize,
    ) -> Result<SessionKey, DecryptionFailed> {
        self.0.unwrap_key(transport, wrapped, wanted_len)
    }
}

impl fmt::Debug for SoftwareDecryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SoftwareDecryptor(rsa {} bits)", self.key_bits())
    }
}

const UNREADABLE: KeyError = KeyError::Malformed("the backend cannot encode it");

fn ec_algorithm(curve: Curve) -> &'static EcdsaSigningAlgorithm {
    match curve {
        Curve::P256 => &aws::ECDSA_P256_SHA256_FIXED_SIGNING,
        Curve::P384 => &aws::ECDSA_P384_SHA384_FIXED_SIGNING,
        Curve::P521 => &aws::ECDSA_P521_SHA512_FIXED_SIGNING,
    }
}

fn rsa_encoding(algorithm: SignatureAlgorithm) -> Option<&'static dyn RsaEncoding> {
    match algorithm {
        SignatureAlgorithm::RsaSha256 => Some(&aws::RSA_PKCS1_SHA256),
        SignatureAlgorithm::RsaSha512 => Some(&aws::RSA_PKCS1_SHA512),
        SignatureAlgorithm::PssSha256 => Some(&aws::RSA_PSS_SHA256),
        SignatureAlgorithm::PssSha512 => Some(&aws::RSA_PSS_SHA512),
        _ => None,
    }
}

fn x509_encoding(algorithm: X509SignatureAlgorithm) -> Option<&'static dyn RsaEncoding> {
    match algorithm {
        X509SignatureAlgorithm::RsaSha256 => Some(&aws::RSA_PKCS1_SHA256),
        X509SignatureAlgorithm::RsaSha384 => Some(&aws::RSA_PKCS1_SHA384),
        X509SignatureAlgorithm::RsaSha512 => Some(&aws::RSA_PKCS1_SHA512),
        X509SignatureAlgorithm::PssSha256 { salt_len: 32 } => Some(&aws::RSA_PSS_SHA256),
        X509SignatureAlgorithm::PssSha384 { salt_len: 48 } => Some(&aws::RSA_PSS_SHA384),
        X509SignatureAlgorithm::PssSha512 { salt_len: 64 } => Some(&aws::RSA_PSS_SHA512),
        _ => None,
    }
}

fn sign_rsa(pair: &RsaKeyPair, encoding: &'static dyn RsaEncoding, message: &[u8]) -> Result<Vec<u8>, SigningFailed> {
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &aws_lc_rs::rand::SystemRandom::new(), message, &mut signature).map_err(|_| SigningFailed)?;
    Ok(signature)
}

fn sign_ec(curve: Curve, pair: &EcdsaKeyPair, digest: &[u8]) -> Result<Vec<u8>, SigningFailed> {
    let signature = pair.sign_digest(&fit_digest(curve, digest)).map_err(|_| SigningFailed)?;
    Ok(signature.as_ref().to_vec())
}

/// The parameters of a key on an elliptic curve, in a `PrivateKeyInfo` or an `ECPrivateKey`.
fn ec_parameters(der: &[u8]) -> Option<der::Reader<'_>> {
    let mut key = der::Reader::new(der).nested(der::SEQUENCE)?;
    key.value(der::INTEGER)?;
    if let Some(mut algorithm) = key.optional(der::SEQUENCE) {
        return (algorithm.value(der::OBJECT_IDENTIFIER)? == EC_PUBLIC_KEY).then_some(algorithm);
    }
    key.value(der::OCTET_STRING)?;
    key.optional(der::context(0))
}

fn why_rejected(der: &[u8]) -> KeyError {
    match der::Reader::new(der).nested(der::SEQUENCE) {
        Some(_) => KeyError::Unsupported("neither RSA with 2048 to 8192 bits nor on an elliptic curve"),
        None => KeyError::Malformed("not a private key in DER"),
    }
}
