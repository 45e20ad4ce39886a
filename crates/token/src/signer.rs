use std::fmt;

use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use rohrpost_crypto::{DigestAlgorithm, KeyKind, PublicKey, SignatureAlgorithm, Signer, SigningFailed};

use crate::TokenError;
use crate::sessions::Sessions;

/// Signs with a key on a token.
pub struct TokenSigner {
    sessions: Sessions,
    certified: PublicKey,
    algorithm: SignatureAlgorithm,
}

impl TokenSigner {
    pub(crate) fn new(
        sessions: Sessions,
        certified: PublicKey,
        algorithm: SignatureAlgorithm,
    ) -> Result<Self, TokenError> {
        if mechanism(algorithm).is_none() {
            return Err(TokenError::Unfit("nothing is signed with this algorithm any more"));
        }
        let signer = Self { sessions, certified, algorithm };
        let probe = b"Does the key belong to the certificate?";
        let signature = signer.try_sign(probe)?;
        signer
            .certified
            .verify(algorithm, probe, &signature)
            .map_err(|_| TokenError::Unfit("what it signs does not verify with the certificate"))?;
        Ok(signer)
    }

    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let digest = self.algorithm.digest().digest(message);
        let data = match self.algorithm {
            SignatureAlgorithm::RsaSha256 | SignatureAlgorithm::RsaSha512 => {
                [digest_info(self.algorithm.digest()), digest.as_bytes()].concat()
            }
            SignatureAlgorithm::EcdsaSha256 | SignatureAlgorithm::EcdsaSha512 => {
                fitted(&self.certified, digest.as_bytes())
            }
            _ => digest.as_bytes().to_vec(),
        };
        let mechanism = mechanism(self.algorithm).ok_or(TokenError::Unfit("the algorithm is not supported"))?;
        self.sessions.with_key(|session, key| session.sign(&mechanism, key, &data))
    }
}

impl Signer for TokenSigner {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn public_key(&self) -> &PublicKey {
        &self.certified
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        self.try_sign(message).map_err(|error| {
            tracing::error!(%error, "the token cannot sign");
            SigningFailed
        })
    }
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSigner").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// What the token does with a digest; ECDSA comes out as `r` and `s` in field length, which is what XML-DSig wants.
fn mechanism(algorithm: SignatureAlgorithm) -> Option<Mechanism<'static>> {
    let pss = |hash_alg, mgf, length: u64| Mechanism::RsaPkcsPss(PkcsPssParams { hash_alg, mgf, s_len: length.into() });
    match algorithm {
        SignatureAlgorithm::RsaSha256 | SignatureAlgorithm::RsaSha512 => Some(Mechanism::RsaPkcs),
        SignatureAlgorithm::PssSha256 => Some(pss(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32)),
        SignatureAlgorithm::PssSha512 => Some(pss(MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64)),
        SignatureAlgorithm::EcdsaSha256 | SignatureAlgorithm::EcdsaSha512 => Some(Mechanism::Ecdsa),
        _ => None,
    }
}

/// `DigestInfo` up to the digest (RFC 8017, 9.2, note 1).
fn digest_info(digest: DigestAlgorithm) -> &'static [u8] {
    match digest {
        DigestAlgorithm::Sha512 => &[
            0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04,
            0x40,
        ],
        _ => &[
            0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04,
            0x20,
        ],
    }
}

/// The leftmost bytes of a digest that is longer than the curve's order (FIPS 186-5, 6.4.1).
fn fitted(key: &PublicKey, digest: &[u8]) -> Vec<u8> {
    let most = match key.kind() {
        KeyKind::Ec { curve } => (curve.bits() as usize).div_ceil(8),
        _ => digest.len(),
    };
    digest[..digest.len().min(most)].to_vec()
}
