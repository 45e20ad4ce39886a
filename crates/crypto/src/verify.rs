//! Which backend verifies what.

use aws_lc_rs::{
    digest as aws_digest,
    rsa::PublicKeyComponents,
    signature::{self as aws, RsaParameters, RsaPssSaltLength, UnparsedPublicKey},
};

use crate::{
    Curve, DigestAlgorithm, SignatureAlgorithm, SignatureInvalid, X509SignatureAlgorithm, ed25519,
    public_key::{Key, RsaKey},
};

/// Verifies a signature of XML-DSig.
pub(crate) fn xml(key: &Key, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> Outcome {
    use SignatureAlgorithm as A;
    match (key, algorithm) {
        (Key::Rsa(key), A::RsaSha1 | A::RsaRipemd160 | A::RsaSha256 | A::RsaSha512) if key.pss_only => {
            Err(SignatureInvalid)
        }
        (Key::Rsa(key), A::RsaSha1) => rsa(key, &aws::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, message, signature),
        (Key::Rsa(key), A::RsaSha256) => {
            key.verifying().ok_or(SignatureInvalid)?.verify_sig(message, signature).map_err(|_| SignatureInvalid)
        }
        (Key::Rsa(key), A::RsaSha512) => {
            rsa(key, &aws::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, message, signature)
        }
        (Key::Rsa(key), A::RsaRipemd160) => rare::pkcs1_ripemd160(key, message, signature),
        (Key::Rsa(key), A::PssSha256) => rsa(key, &aws::RSA_PSS_2048_8192_SHA256, message, signature),
        (Key::Rsa(key), A::PssSha512) => rsa(key, &aws::RSA_PSS_2048_8192_SHA512, message, signature),
        (Key::Rsa(key), A::PssSha3_256) => rare::pss::<sha3::Sha3_256>(key, message, signature),
        (Key::Rsa(key), A::PssSha3_384) => rare::pss::<sha3::Sha3_384>(key, message, signature),
        (Key::Rsa(key), A::PssSha3_512) => rare::pss::<sha3::Sha3_512>(key, message, signature),
        (Key::Ec { curve, point }, A::EcdsaSha256 | A::EcdsaSha512) => {
            ecdsa_raw(*curve, point, algorithm.digest(), message, signature)
        }
        _ => Err(SignatureInvalid),
    }
}

/// Verifies a signature on a certificate and the like.
pub(crate) fn x509(key: &Key, algorithm: X509SignatureAlgorithm, message: &[u8], signature: &[u8]) -> Outcome {
    use X509SignatureAlgorithm as A;
    match (key, algorithm) {
        (Key::Rsa(key), A::PssSha256 { salt_len }) => {
            rsa(key, &with_salt(aws::RSA_PSS_2048_8192_SHA256, salt_len), message, signature)
        }
        (Key::Rsa(key), A::PssSha384 { salt_len }) => {
            rsa(key, &with_salt(aws::RSA_PSS_2048_8192_SHA384, salt_len), message, signature)
        }
        (Key::Rsa(key), A::PssSha512 { salt_len }) => {
            rsa(key, &with_salt(aws::RSA_PSS_2048_8192_SHA512, salt_len), message, signature)
        }
        (Key::Rsa(key), A::RsaSha384) if !key.pss_only => {
            rsa(key, &aws::RSA_PKCS1_2048_8192_SHA384, message, signature)
        }
        (Key::Rsa(_), A::RsaSha1) => xml(key, SignatureAlgorithm::RsaSha1, message, signature),
        (Key::Rsa(_), A::RsaSha256) => xml(key, SignatureAlgorithm::RsaSha256, message, signature),
        (Key::Rsa(_), A::RsaSha512) => xml(key, SignatureAlgorithm::RsaSha512, message, signature),
        (Key::Ec { curve, point }, A::EcdsaSha256 | A::EcdsaSha384 | A::EcdsaSha512) => {
            UnparsedPublicKey::new(ecdsa_der(*curve, algorithm).ok_or(SignatureInvalid)?, point)
                .verify(message, signature)
                .map_err(|_| SignatureInvalid)
        }
        (Key::Ed25519(key), A::Ed25519) => ed25519::VerifyingKey::from_bytes(key).verify(message, signature),
        _ => Err(SignatureInvalid),
    }
}

type Outcome = Result<(), SignatureInvalid>;

/// A digest fitted to the length that the backend combines with the curve.
///
/// ECDSA takes the leftmost bits of a digest longer than the group order and a shorter one as it is, as a number
/// (FIPS 186-5 6.4.1). Cutting or padding it beforehand therefore gives the same signature, and makes every pair of
/// curve and digest available.
pub(crate) fn fit_digest(curve: Curve, digest: &[u8]) -> aws_digest::Digest {
    let algorithm = match curve {
        Curve::P256 => &aws_digest::SHA256,
        Curve::P384 => &aws_digest::SHA384,
        Curve::P521 => &aws_digest::SHA512,
    };
    let length = algorithm.output_len();
    let mut fitted = [0; 64];
    let taken = digest.len().min(length);
    fitted[length - taken..length].copy_from_slice(&digest[..taken]);
    aws_digest::Digest::import_less_safe(&fitted[..length], algorithm).expect("the length is that of the algorithm")
}

fn ecdsa_raw(curve: Curve, point: &[u8], digest: DigestAlgorithm, message: &[u8], signature: &[u8]) -> Outcome {
    if signature.len() != 2 * curve.field_len() {
        return Err(SignatureInvalid);
    }
    let algorithm = match curve {
        Curve::P256 => &aws::ECDSA_P256_SHA256_FIXED,
        Curve::P384 => &aws::ECDSA_P384_SHA384_FIXED,
        Curve::P521 => &aws::ECDSA_P521_SHA512_FIXED,
    };
    UnparsedPublicKey::new(algorithm, point)
        .verify_digest(&fit_digest(curve, digest.digest(message).as_bytes()), signature)
        .map_err(|_| SignatureInvalid)
}

fn ecdsa_der(curve: Curve, algorithm: X509SignatureAlgorithm) -> Option<&'static aws::EcdsaVerificationAlgorithm> {
    use X509SignatureAlgorithm as A;
    Some(match (curve, algorithm) {
        (Curve::P256, A::EcdsaSha256) => &aws::ECDSA_P256_SHA256_ASN1,
        (Curve::P256, A::EcdsaSha384) => &aws::ECDSA_P256_SHA384_ASN1,
        (Curve::P256, A::EcdsaSha512) => &aws::ECDSA_P256_SHA512_ASN1,
        (Curve::P384, A::EcdsaSha256) => &aws::ECDSA_P384_SHA256_ASN1,
        (Curve::P384, A::EcdsaSha384) => &aws::ECDSA_P384_SHA384_ASN1,
        (Curve::P384, A::EcdsaSha512) => &aws::ECDSA_P384_SHA512_ASN1,
        (Curve::P521, A::EcdsaSha256) => &aws::ECDSA_P521_SHA256_ASN1,
        (Curve::P521, A::EcdsaSha384) => &aws::ECDSA_P521_SHA384_ASN1,
        (Curve::P521, A::EcdsaSha512) => &aws::ECDSA_P521_SHA512_ASN1,
        _ => return None,
    })
}

fn rsa(key: &RsaKey, parameters: &RsaParameters, message: &[u8], signature: &[u8]) -> Outcome {
    PublicKeyComponents { n: &key.modulus, e: &key.exponent }
        .verify(parameters, message, signature)
        .map_err(|_| SignatureInvalid)
}

fn with_salt(parameters: RsaParameters, salt_len: u16) -> RsaParameters {
    parameters.with_pss_salt_length(RsaPssSaltLength::Custom(salt_len))
}

/// Verification that neither `ring` nor `aws-lc-rs` offers. Public keys only.
mod rare {
    use rsa::{
        BoxedUint, PublicKey,
        sha2::digest::{Digest, FixedOutputReset},
    };

    use super::{Outcome, RsaKey, SignatureInvalid};

    pub(super) fn pss<D: Digest + FixedOutputReset>(key: &RsaKey, message: &[u8], signature: &[u8]) -> Outcome {
        backend_key(key)?.pss_verify::<D>(message, signature).map_err(|_| SignatureInvalid)
    }

    pub(super) fn pkcs1_ripemd160(key: &RsaKey, message: &[u8], signature: &[u8]) -> Outcome {
        backend_key(key)?.pkcs1v15_verify::<ripemd::Ripemd160>(message, signature).map_err(|_| SignatureInvalid)
    }

    fn backend_key(key: &RsaKey) -> Result<PublicKey, SignatureInvalid> {
        let number = BoxedUint::from_be_slice_vartime;
        PublicKey::new(number(&key.modulus), number(&key.exponent)).map_err(|_| SignatureInvalid)
    }
}
