use std::fmt;

use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use rohrpost_crypto::{
    DecryptionFailed, Decryptor, KeyKind, KeyTransport, OaepHash, PublicKey, SessionKey, SystemRandom,
};
use zeroize::Zeroizing;

use crate::TokenError;
use crate::sessions::Sessions;

/// Opens session keys with an RSA key on a token.
pub struct TokenDecryptor {
    sessions: Sessions,
    bits: u32,
}

impl TokenDecryptor {
    pub(crate) fn new(sessions: Sessions, certified: &PublicKey) -> Result<Self, TokenError> {
        match certified.kind() {
            KeyKind::Rsa { bits } => Ok(Self { sessions, bits }),
            _ => Err(TokenError::Unfit("only RSA keys open session keys")),
        }
    }

    fn decrypt(&self, mechanism: &Mechanism<'_>, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        let opened = self.sessions.with_key(|session, key| session.decrypt(mechanism, key, wrapped));
        if let Err(error) = opened.as_ref().map(drop) {
            match error {
                TokenError::Failed(error) => tracing::debug!(%error, "the token did not open a session key"),
                // Peers are told that their message cannot be decrypted; whoever runs the token has to know better.
                error => tracing::error!(%error, "the token cannot be used: no message for its key can be opened"),
            }
        }
        opened.map(Zeroizing::new)
    }
}

impl Decryptor for TokenDecryptor {
    fn key_bits(&self) -> u32 {
        self.bits
    }

    fn unwrap_key(
        &self,
        transport: KeyTransport,
        wrapped: &[u8],
        wanted_len: usize,
    ) -> Result<SessionKey, DecryptionFailed> {
        if wrapped.len() != (self.bits as usize).div_ceil(8) {
            return Err(DecryptionFailed);
        }
        let opened = match transport {
            KeyTransport::RsaOaep { digest, mgf } => {
                let params = oaep(digest, mgf).ok_or(DecryptionFailed)?;
                self.decrypt(&Mechanism::RsaPkcsOaep(params), wrapped)
            }
            KeyTransport::Rsa15 => {
                // Made before, so that it takes as long whether it is needed or not.
                let instead = SessionKey::random(wanted_len, &SystemRandom);
                return match self.decrypt(&Mechanism::RsaPkcs, wrapped) {
                    Ok(key) if key.len() == wanted_len => Ok(SessionKey::from_bytes(&key)),
                    _ => Ok(instead),
                };
            }
        };
        match opened {
            Ok(key) if key.len() == wanted_len => Ok(SessionKey::from_bytes(&key)),
            _ => Err(DecryptionFailed),
        }
    }
}

impl fmt::Debug for TokenDecryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenDecryptor(rsa {} bits)", self.bits)
    }
}

/// The parameters, for the hashes that are used: the same for label and mask, none below SHA-256.
fn oaep(digest: OaepHash, mgf: OaepHash) -> Option<PkcsOaepParams<'static>> {
    let (hash, mask) = match (digest, mgf) {
        (OaepHash::Sha256, OaepHash::Sha256) => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
        (OaepHash::Sha384, OaepHash::Sha384) => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384),
        (OaepHash::Sha512, OaepHash::Sha512) => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512),
        _ => return None,
    };
    Some(PkcsOaepParams::new(hash, mask, PkcsOaepSource::empty()))
}
