use aws_lc_rs::rsa as backend;

use crate::{KeyError, PublicKey, SessionKey};

/// How a session key is encrypted for the holder of an RSA key (XML-Enc 1.1, 5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyTransport {
    /// RSA-OAEP without label. Only equal hashes can be used; others can be named, so that they fail like any other
    /// failure of decryption.
    RsaOaep {
        /// The hash of the (empty) label.
        digest: OaepHash,
        /// The hash of the mask generation function MGF1.
        mgf: OaepHash,
    },
    /// RSA PKCS#1 v1.5, deprecated.
    Rsa15,
}

const RSA_OAEP: &str = "http://www.w3.org/2009/xmlenc11#rsa-oaep";
const RSA_1_5: &str = "http://www.w3.org/2001/04/xmlenc#rsa-1_5";

impl KeyTransport {
    /// OAEP with SHA-256 in both places: what is written unless something else is asked for.
    pub const OAEP_SHA256: Self = Self::RsaOaep { digest: OaepHash::Sha256, mgf: OaepHash::Sha256 };

    /// Reads the identifiers of `EncryptionMethod`, its `DigestMethod` and its `MGF`.
    ///
    /// OSCI wants both parameters with OAEP, so there are no defaults: `None` if one of them is missing or unknown.
    /// With v1.5 they are ignored. `rsa-oaep-mgf1p` and MGF1 with SHA-1 are unknown.
    pub fn from_uris(algorithm: &str, digest: Option<&str>, mgf: Option<&str>) -> Option<Self> {
        match algorithm {
            RSA_OAEP => {
                Some(Self::RsaOaep { digest: OaepHash::from_digest_uri(digest?)?, mgf: OaepHash::from_mgf_uri(mgf?)? })
            }
            RSA_1_5 => Some(Self::Rsa15),
            _ => None,
        }
    }

    /// The identifier of the algorithm.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::RsaOaep { .. } => RSA_OAEP,
            Self::Rsa15 => RSA_1_5,
        }
    }

    /// The identifier for `DigestMethod`, if there is one to write.
    pub const fn digest_uri(self) -> Option<&'static str> {
        match self {
            Self::RsaOaep { digest, .. } => Some(digest.digest_uri()),
            Self::Rsa15 => None,
        }
    }

    /// The identifier for `MGF`, if there is one to write.
    pub const fn mgf_uri(self) -> Option<&'static str> {
        match self {
            Self::RsaOaep { mgf, .. } => Some(mgf.mgf_uri()),
            Self::Rsa15 => None,
        }
    }

    /// The backend's algorithm; `None` for v1.5 and for pairs of hashes that it does not have.
    pub(crate) fn oaep(self) -> Option<&'static backend::OaepAlgorithm> {
        match self {
            Self::RsaOaep { digest: OaepHash::Sha256, mgf: OaepHash::Sha256 } => Some(&backend::OAEP_SHA256_MGF1SHA256),
            Self::RsaOaep { digest: OaepHash::Sha384, mgf: OaepHash::Sha384 } => Some(&backend::OAEP_SHA384_MGF1SHA384),
            Self::RsaOaep { digest: OaepHash::Sha512, mgf: OaepHash::Sha512 } => Some(&backend::OAEP_SHA512_MGF1SHA512),
            Self::RsaOaep { .. } | Self::Rsa15 => None,
        }
    }
}

/// A hash inside RSA-OAEP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OaepHash {
    /// SHA-1; can be named as digest, never used.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl OaepHash {
    const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// The hash named by a `DigestMethod`.
    pub fn from_digest_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hash| hash.digest_uri() == uri)
    }

    /// The hash named by an `MGF`; MGF1 with SHA-1 is unknown.
    pub fn from_mgf_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().filter(|hash| *hash != Self::Sha1).find(|hash| hash.mgf_uri() == uri)
    }

    /// The identifier of the digest.
    pub const fn digest_uri(self) -> &'static str {
        match self {
            Self::Sha1 => "http://www.w3.org/2000/09/xmldsig#sha1",
            Self::Sha256 => "http://www.w3.org/2001/04/xmlenc#sha256",
            Self::Sha384 => "http://www.w3.org/2001/04/xmldsig-more#sha384",
            Self::Sha512 => "http://www.w3.org/2001/04/xmlenc#sha512",
        }
    }

    /// The identifier of MGF1 with this hash.
    pub const fn mgf_uri(self) -> &'static str {
        match self {
            Self::Sha1 => "http://www.w3.org/2009/xmlenc11#mgf1sha1",
            Self::Sha256 => "http://www.w3.org/2009/xmlenc11#mgf1sha256",
            Self::Sha384 => "http://www.w3.org/2009/xmlenc11#mgf1sha384",
            Self::Sha512 => "http://www.w3.org/2009/xmlenc11#mgf1sha512",
        }
    }
}

/// Whether [`wrap_key`] takes the key.
pub(crate) fn can_wrap(recipient: &PublicKey) -> bool {
    recipient.encrypting().is_some()
}

/// Encrypts `session_key` for the holder of the RSA key.
///
/// # Errors
///
/// [`KeyError::Mismatch`] if the key is not an RSA key of 2048 to 8192 bits or the pair of hashes is not supported;
/// [`KeyError::Wrapping`] if the session key is too long for the RSA key.
pub fn wrap_key(recipient: &PublicKey, transport: KeyTransport, session_key: &SessionKey) -> Result<Vec<u8>, KeyError> {
    let key = recipient.encrypting().ok_or(KeyError::Mismatch("key transport"))?.clone();
    let mut wrapped = vec![0; key.key_size_bytes()];
    let length = match (transport, transport.oaep()) {
        (KeyTransport::Rsa15, _) => backend::Pkcs1PublicEncryptingKey::new(key)
            .and_then(|key| key.encrypt(session_key.expose(), &mut wrapped).map(|wrapped| wrapped.len())),
        (KeyTransport::RsaOaep { .. }, Some(algorithm)) => backend::OaepPublicEncryptingKey::new(key).and_then(|key| {
            key.encrypt(algorithm, session_key.expose(), &mut wrapped, None).map(|wrapped| wrapped.len())
        }),
        (KeyTransport::RsaOaep { .. }, None) => {
            return Err(KeyError::Mismatch("RSA-OAEP with these hashes"));
        }
    }
    .map_err(|_| KeyError::Wrapping)?;
    wrapped.truncate(length);
    Ok(wrapped)
}
