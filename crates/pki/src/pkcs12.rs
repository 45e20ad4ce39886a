//! PKCS#12 files (RFC 7292): one private key with its certificate and the certificates above it.
//!
//! Read are the files of OpenSSL 3 (PBES2 with AES), of OpenSSL `-legacy` (RC2 and 3DES) and of Java's
//! `keytool`. Written is PBES2 with AES-256 and HMAC-SHA-256, which all three read.

use std::fmt;

use p12_keystore::{EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, Pkcs12Archive, PrivateKeyChain};
use rohrpost_crypto::{KeyError, PrivateKey};
use zeroize::Zeroizing;

use crate::certificate::{Certificate, CertificateError};
use crate::key_entry::KeyEntry;

/// The secret that protects a PKCS#12 file; wiped when dropped, never shown.
#[derive(Clone)]
pub struct Pin(Zeroizing<String>);

impl From<String> for Pin {
    fn from(pin: String) -> Self {
        Self(Zeroizing::new(pin))
    }
}

impl From<&str> for Pin {
    fn from(pin: &str) -> Self {
        Self(Zeroizing::new(pin.to_owned()))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(…)")
    }
}

/// The largest file read, in octets.
pub const MAX_LEN: usize = 1024 * 1024;

/// Reads the key of a PKCS#12 file and finds its certificate by the public key, whatever the
/// attributes in the file say.
///
/// # Errors
/// [`Pkcs12Error::WrongPin`] if the PIN does not open the file, otherwise what is wrong with it.
pub fn load(file: &[u8], pin: &Pin) -> Result<KeyEntry, Pkcs12Error> {
    if file.len() > MAX_LEN {
        return Err(Pkcs12Error::TooLong { octets: file.len() });
    }
    let archive = Pkcs12Archive::from_pkcs12(file, &pin.0).map_err(Pkcs12Error::from_reading)?;
    let key = match archive.keys.as_slice() {
        [bag] => PrivateKey::from_pkcs8_der(bag.key.as_der()).map_err(Pkcs12Error::Key)?,
        [] => return Err(Pkcs12Error::NoKey),
        keys => return Err(Pkcs12Error::SeveralKeys { count: keys.len() }),
    };
    let certificates =
        archive.certs.iter().map(|bag| Certificate::from_der(bag.cert.as_der())).collect::<Result<Vec<_>, _>>()?;
    KeyEntry::new(key, certificates).ok_or(Pkcs12Error::NoCertificate)
}

/// Writes a PKCS#12 file that OpenSSL 3 and Java read; `name` is shown by them as the key's alias.
///
/// # Errors
/// [`Pkcs12Error::Unwritable`] if the encoding fails, for example because of a name outside the
/// Basic Multilingual Plane.
pub fn store(entry: &KeyEntry, name: &str, pin: &Pin) -> Result<Vec<u8>, Pkcs12Error> {
    let unwritable = |error: p12_keystore::error::Error| Pkcs12Error::Unwritable { detail: error.to_string() };
    let key = p12_keystore::PrivateKey::from_der(&entry.key.to_pkcs8_der()).map_err(unwritable)?;
    let certificates = std::iter::once(&entry.certificate)
        .chain(&entry.chain)
        .map(|certificate| p12_keystore::Certificate::from_der(certificate.der()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unwritable)?;
    let id = entry.certificate.fingerprint().as_bytes().to_vec();
    let mut keystore = KeyStore::new();
    keystore.add_entry(name, KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(id, key, certificates)));
    keystore
        .writer(&pin.0)
        .encryption_algorithm(EncryptionAlgorithm::PbeWithHmacSha256AndAes256)
        .encryption_iterations(ITERATIONS)
        .mac_algorithm(MacAlgorithm::HmacSha256)
        .mac_iterations(ITERATIONS)
        .write()
        .map_err(unwritable)
}

/// What Java writes by default. The files hold keys of 112 bits and more behind PINs chosen by
/// people; raising this slows guessing but not decisively.
const ITERATIONS: u32 = 10_000;

/// Why a PKCS#12 file could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Pkcs12Error {
    /// Longer than [`MAX_LEN`].
    #[error("the PKCS#12 file has {octets} octets, more than the {MAX_LEN} allowed")]
    TooLong {
        /// Length of the input.
        octets: usize,
    },
    /// The PIN does not open the file, or the file was changed after it was protected.
    #[error("the PIN does not open the PKCS#12 file")]
    WrongPin,
    /// Not a PKCS#12 file, or one protected in a way that is not supported.
    #[error("not a readable PKCS#12 file: {detail}")]
    Malformed {
        /// What was found.
        detail: String,
    },
    /// No private key.
    #[error("the PKCS#12 file holds no private key")]
    NoKey,
    /// More than one private key.
    #[error("the PKCS#12 file holds {count} private keys; put the wanted one into a file of its own")]
    SeveralKeys {
        /// How many keys.
        count: usize,
    },
    /// No certificate belongs to the key.
    #[error("the PKCS#12 file holds no certificate for its private key")]
    NoCertificate,
    /// The private key is not supported.
    #[error("the private key in the PKCS#12 file cannot be used")]
    Key(#[source] KeyError),
    /// A certificate in the file cannot be read.
    #[error("a certificate in the PKCS#12 file cannot be read")]
    Certificate(#[from] CertificateError),
    /// The file could not be written.
    #[error("the PKCS#12 file could not be written: {detail}")]
    Unwritable {
        /// What went wrong.
        detail: String,
    },
}

impl Pkcs12Error {
    fn from_reading(error: p12_keystore::error::Error) -> Self {
        use p12_keystore::error::Error;
        match error {
            // Files without a MAC show a wrong PIN as broken padding.
            Error::MacError(_) | Error::UnpadError | Error::Pkcs5Error(_) => Self::WrongPin,
            other => Self::Malformed { detail: other.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use rohrpost_crypto::{Curve, SystemRandom};
    use time::macros::datetime;

    use super::*;
    use crate::issue::{Authority, Name, Template, Validity};

    /// Made by `tests/p12/make.sh`.
    macro_rules! file {
        ($name:literal) => {
            include_bytes!(concat!("../tests/p12/", $name, ".p12"))
        };
    }

    #[test]
    fn reads_the_files_of_other_tools() {
        for (name, file, chain) in [
            ("OpenSSL 3", &file!("openssl3")[..], 1),
            ("OpenSSL -legacy", file!("openssl-legacy"), 1),
            ("OpenSSL -nomac", file!("no-mac"), 1),
            ("OpenSSL without encryption", file!("unencrypted"), 1),
            ("keytool", file!("keytool"), 0),
        ] {
            let entry = load(file, &"123456".into()).unwrap();
            assert_eq!(entry.certificate.subject(), "CN=Holder,O=Fixtures,C=DE", "{name}");
            assert_eq!(entry.chain.len(), chain, "{name}");
            assert!(entry.certificate.certifies(entry.key.public_key()), "{name}");
        }
    }

    #[test]
    fn tells_a_wrong_pin_from_a_broken_file() {
        for file in [&file!("openssl3")[..], file!("openssl-legacy"), file!("keytool"), file!("no-mac")] {
            for pin in ["", "12345", "1234567", "pin with ümlaut"] {
                assert_eq!(load(file, &pin.into()).unwrap_err(), Pkcs12Error::WrongPin);
            }
            let cut = &file[..file.len() - 1];
            assert!(matches!(load(cut, &"123456".into()), Err(Pkcs12Error::Malformed { .. })));
        }
        assert!(matches!(load(b"", &"1".into()), Err(Pkcs12Error::Malformed { .. })));
        let long = vec![0x30; MAX_LEN + 1];
        assert!(matches!(load(&long, &"1".into()), Err(Pkcs12Error::TooLong { .. })));
    }

    #[test]
    fn says_what_is_missing_or_too_much() {
        let pin = "123456".into();
        assert_eq!(load(file!("no-key"), &pin).unwrap_err(), Pkcs12Error::NoKey);
        assert_eq!(load(file!("no-certificate"), &pin).unwrap_err(), Pkcs12Error::NoCertificate);
        assert_eq!(load(file!("keytool-two"), &pin).unwrap_err(), Pkcs12Error::SeveralKeys { count: 2 });
    }

    #[test]
    fn reads_what_it_writes() {
        let validity = Validity::new(datetime!(2025-01-01 0:00 UTC), datetime!(2035-01-01 0:00 UTC));
        let key = PrivateKey::generate_ec(Curve::P256).unwrap();
        let template = Template::authority(Name::new().common_name("Root"), validity, None);
        let root = Authority::root(&template, key, &SystemRandom).unwrap();
        let key = PrivateKey::generate_ec(Curve::P521).unwrap();
        let template = Template::signature(Name::new().common_name("Älice"), validity);
        let certificate = root.issue(&template, key.public_key(), &SystemRandom).unwrap();
        let entry = KeyEntry { key, certificate, chain: vec![root.certificate().clone()] };
        let file = store(&entry, "älice", &"pïn".into()).unwrap();
        let read = load(&file, &"pïn".into()).unwrap();
        assert_eq!((read.certificate, read.chain), (entry.certificate, entry.chain));
        assert_eq!(load(&file, &"pin".into()).unwrap_err(), Pkcs12Error::WrongPin);
        assert!(matches!(store(&read_back(&file), "😀", &"1".into()), Err(Pkcs12Error::Unwritable { .. })));
    }

    fn read_back(file: &[u8]) -> KeyEntry {
        load(file, &"pïn".into()).unwrap()
    }

    #[test]
    fn keeps_the_pin_out_of_debug() {
        assert_eq!(format!("{:?}", Pin::from("123456")), "Pin(…)");
    }
}
