//! With which algorithms an answer is encrypted (OSCI-Transport 1.2, encryption of the transport).
//!
//! A client takes over the algorithms of an answer for the rest of its dialog, so the answer must use nothing that the
//! client has not shown it can do.

use rohrpost_crypto::cipher::IvLength;
use rohrpost_crypto::{BlockCipher, KeyTransport, OaepHash};

use crate::header::{Feature, FeatureDescription};

/// How a message is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encryption {
    /// For the message.
    pub cipher: BlockCipher,
    /// Length of the initialisation vector; matters to GCM only. Twelve bytes are announced in the message, sixteen
    /// are what peers take for granted.
    pub iv: IvLength,
    /// For the session key.
    pub transport: KeyTransport,
}

impl Encryption {
    /// What we use if nothing speaks against it: AES-256-GCM with 12 bytes of initialisation vector, RSA-OAEP with
    /// SHA-256 throughout.
    pub const STANDARD: Self = Self {
        cipher: BlockCipher::Aes256Gcm,
        iv: IvLength::Twelve,
        transport: KeyTransport::RsaOaep { digest: OaepHash::Sha256, mgf: OaepHash::Sha256 },
    };

    /// The algorithms for the answer to a request that used these, from a client that announced `features`.
    ///
    /// Cipher and key transport are chosen one by one: the standard if the request used its kind or the client
    /// announces it, otherwise that of the request. A client that uses GCM with 16 bytes of initialisation vector
    /// and does not announce to know 12 gets 16.
    ///
    /// ```
    /// use rohrpost_osci::algorithms::Encryption;
    ///
    /// assert_eq!(Encryption::STANDARD.for_answer(None), Encryption::STANDARD);
    /// ```
    #[must_use]
    pub fn for_answer(self, features: Option<&FeatureDescription>) -> Self {
        let announced = |feature| features.is_some_and(|features| features.announces(feature));
        let is_gcm = self.cipher.is_authenticated();
        let cipher = if is_gcm || announced(Feature::GcmMode) { Self::STANDARD.cipher } else { self.cipher };
        let is_oaep = matches!(self.transport, KeyTransport::RsaOaep { .. });
        let transport =
            if is_oaep || announced(Feature::OaepEncryption) { Self::STANDARD.transport } else { self.transport };
        let knows_twelve = is_gcm && self.iv == IvLength::Twelve || announced(Feature::TwelveByteIv);
        let iv = if knows_twelve { IvLength::Twelve } else { IvLength::Sixteen };
        Self { cipher, iv, transport }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA512: KeyTransport = KeyTransport::RsaOaep { digest: OaepHash::Sha512, mgf: OaepHash::Sha512 };
    const STANDARD: KeyTransport = Encryption::STANDARD.transport;

    #[test]
    fn the_answer_uses_nothing_the_client_cannot_do() {
        use BlockCipher::*;
        use IvLength::*;
        let all = FeatureDescription::announcing(Feature::ALL);
        let none = FeatureDescription::default();
        let gcm = FeatureDescription::announcing([Feature::GcmMode]);
        let oaep = FeatureDescription::announcing([Feature::OaepEncryption]);
        let short = FeatureDescription::announcing([Feature::TwelveByteIv]);
        let rsa15 = KeyTransport::Rsa15;
        for (request, features, answer) in [
            ((Aes256Gcm, Twelve, STANDARD), None, (Aes256Gcm, Twelve, STANDARD)),
            ((Aes256Gcm, Twelve, SHA512), None, (Aes256Gcm, Twelve, STANDARD)),
            ((Aes128Gcm, Twelve, rsa15), Some(&none), (Aes256Gcm, Twelve, rsa15)),
            ((Aes256Gcm, Sixteen, STANDARD), None, (Aes256Gcm, Sixteen, STANDARD)),
            ((Aes256Gcm, Sixteen, STANDARD), Some(&oaep), (Aes256Gcm, Sixteen, STANDARD)),
            ((Aes256Gcm, Sixteen, STANDARD), Some(&short), (Aes256Gcm, Twelve, STANDARD)),
            ((Aes256Cbc, Sixteen, rsa15), Some(&all), (Aes256Gcm, Twelve, STANDARD)),
            ((Aes256Cbc, Sixteen, rsa15), Some(&gcm), (Aes256Gcm, Sixteen, rsa15)),
            ((Aes256Cbc, Twelve, rsa15), Some(&gcm), (Aes256Gcm, Sixteen, rsa15)),
            ((Aes192Cbc, Sixteen, rsa15), Some(&oaep), (Aes192Cbc, Sixteen, STANDARD)),
            ((TripleDesCbc, Sixteen, rsa15), None, (TripleDesCbc, Sixteen, rsa15)),
        ] {
            let of = |(cipher, iv, transport)| Encryption { cipher, iv, transport };
            assert_eq!(of(request).for_answer(features), of(answer), "{request:?} {features:?}");
        }
    }
}
