//! A private key with its certificate, however it was stored.

use rohrpost_crypto::{KeyError, PrivateKey};

use crate::certificate::Certificate;
use crate::pem::{self, PemError};

/// A private key with its certificate. From PKCS#12: [`crate::pkcs12::load`].
#[derive(Debug)]
pub struct KeyEntry {
    /// The key.
    pub key: PrivateKey,
    /// The certificate of the key.
    pub certificate: Certificate,
    /// Further certificates, the issuer's first as far as they form a chain.
    pub chain: Vec<Certificate>,
}

impl KeyEntry {
    /// Puts a key together with its certificate, which is found among the given ones by the public
    /// key; `None` if it is not there.
    #[must_use]
    pub fn new(key: PrivateKey, mut certificates: Vec<Certificate>) -> Option<Self> {
        let own = certificates.iter().position(|certificate| certificate.certifies(key.public_key()))?;
        let certificate = certificates.remove(own);
        let chain = order(&certificate, certificates);
        Some(Self { key, certificate, chain })
    }

    /// Reads certificates (PEM, or one as DER) and an unencrypted PKCS#8 key in PEM. Both may be the
    /// same file.
    ///
    /// # Errors
    /// [`KeyEntryError`] if one of them cannot be read or they do not belong together.
    ///
    /// ```
    /// use rohrpost_pki::KeyEntry;
    ///
    /// # fn main() -> Result<(), rohrpost_pki::KeyEntryError> {
    /// let certificate = include_bytes!("../../../certs-test/pem/alice-signature.cert.pem");
    /// let key = include_bytes!("../../../certs-test/pem/alice-signature.key.pem");
    /// let entry = KeyEntry::from_pem(certificate, key)?;
    /// assert!(entry.certificate.subject().starts_with("CN=Alice"));
    /// # Ok(()) }
    /// ```
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, KeyEntryError> {
        let certificates = pem::certificates(certificates)?;
        let text = std::str::from_utf8(key).map_err(|_| PemError::NoText)?;
        let blocks = pem::parse(text)?;
        let Some(block) = blocks.iter().find(|block| block.label == pem::PRIVATE_KEY) else {
            return Err(match blocks.into_iter().find(|block| block.label.ends_with(pem::PRIVATE_KEY)) {
                Some(block) => KeyEntryError::KeyFormat { label: block.label },
                None => PemError::Missing { label: pem::PRIVATE_KEY }.into(),
            });
        };
        let key = PrivateKey::from_pkcs8_der(&block.content)?;
        Self::new(key, certificates).ok_or(KeyEntryError::Mismatch)
    }
}

/// Why a key and a certificate could not be read together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyEntryError {
    /// One of the files cannot be read.
    #[error(transparent)]
    File(#[from] PemError),
    /// The key is in another format.
    #[error("the key is a \"{label}\"; convert it with: openssl pkcs8 -topk8 -nocrypt")]
    KeyFormat {
        /// Label of the PEM block.
        label: String,
    },
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No certificate belongs to the key.
    #[error("none of the certificates belongs to the key")]
    Mismatch,
}

/// Brings the issuers of a certificate to the front, in the order of the chain.
fn order(certificate: &Certificate, mut others: Vec<Certificate>) -> Vec<Certificate> {
    let mut chain = Vec::with_capacity(others.len());
    let mut issuer = certificate.issuer_der().to_vec();
    while let Some(at) = others.iter().position(|other| other.subject_der() == issuer) {
        let next = others.remove(at);
        issuer = next.issuer_der().to_vec();
        chain.push(next);
    }
    chain.append(&mut others);
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! file {
        ($name:literal) => {
            include_bytes!(concat!("../../../certs-test/", $name, ".pem"))
        };
    }

    #[test]
    fn finds_the_certificate_and_orders_the_rest() {
        let mixed =
            [&file!("ca/root-ca.cert")[..], file!("pem/bob-cipher.cert"), file!("ca/registry-ca.cert")].concat();
        let entry = KeyEntry::from_pem(&mixed, file!("pem/bob-cipher.key")).unwrap();
        let chain: Vec<_> = entry.chain.iter().map(|certificate| &certificate.subject()[..8]).collect();
        assert_eq!((&entry.certificate.subject()[..6], chain), ("CN=Bob", vec!["CN=Regis", "CN=Rohrp"]));
    }

    #[test]
    fn says_what_is_wrong() {
        let certificate = file!("pem/bob-cipher.cert");
        for (key, expected) in [
            (&file!("pem/bob-signature.key")[..], KeyEntryError::Mismatch),
            (certificate, PemError::Missing { label: pem::PRIVATE_KEY }.into()),
            (b"\xff", PemError::NoText.into()),
        ] {
            assert_eq!(KeyEntry::from_pem(certificate, key).unwrap_err(), expected);
        }
        let encrypted = pem::write("ENCRYPTED PRIVATE KEY", &[1]);
        let label = "ENCRYPTED PRIVATE KEY".to_owned();
        assert_eq!(
            KeyEntry::from_pem(certificate, encrypted.as_bytes()).unwrap_err(),
            KeyEntryError::KeyFormat { label }
        );
        let broken = pem::write(pem::PRIVATE_KEY, &[1]);
        assert!(matches!(KeyEntry::from_pem(certificate, broken.as_bytes()), Err(KeyEntryError::Key(_))));
    }
}
