//! Cryptography for OSCI-Transport 1.2: algorithms by URI, keys as handles, streaming ciphers, and a policy with dates.
//!
//! This is the only room that names a cryptographic backend. Everything above it speaks in algorithm identifiers
//! ([`DigestAlgorithm`], [`SignatureAlgorithm`], [`BlockCipher`], [`KeyTransport`]) and in key handles ([`Signer`],
//! [`Decryptor`]), so that a hardware token can take the place of a software key without any change above.
//!
//! Which backend does what:
//!
//! | | |
//! |---|---|
//! | `ring` | SHA-1, SHA-256, SHA-512, HMAC, random bytes |
//! | `aws-lc-rs` | SHA-3, signatures (RSA, ECDSA, Ed25519), RSA decryption, AES in all modes, triple DES |
//! | `ghash` | the multiplications that join pieces of AES-GCM, see `cipher/ghash.rs` |
//! | `rsa`, `sha3`, `ripemd` | *verification* of RSA-PSS with SHA-3 and of RSA with RIPEMD-160: public keys only |
//!
//! # Not in here
//!
//! No XML and no base64, no certificates (only the signatures on them, see [`PublicKey::verify_x509`]), no files, no
//! clock: where time matters it is an argument.
//!
//! # Two rules
//!
//! * Whatever goes wrong while decrypting is the one [`DecryptionFailed`]: wrong key, wrong padding, wrong tag and
//!   truncated data cannot be told apart by value, text or source.
//! * What [`cipher::open`] has written is worthless until it returns `Ok`; the caller keeps it where nobody reads it.
//!
//! # Example
//!
//! ```
//! use rohrpost_crypto::{cipher, BlockCipher, Curve, PrivateKey, SessionKey, SignatureAlgorithm, Signer, SystemRandom};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // sign
//! let key = PrivateKey::generate_ec(Curve::P256)?;
//! let signer = key.signer(SignatureAlgorithm::EcdsaSha256)?;
//! let signature = signer.sign(b"message")?;
//! signer.public_key().verify(SignatureAlgorithm::EcdsaSha256, b"message", &signature)?;
//!
//! // seal and open
//! let cipher = BlockCipher::Aes256Gcm;
//! let session_key = SessionKey::random(cipher.key_len(), &SystemRandom);
//! let mut sealer = cipher::Sealer::new(cipher, cipher::IvLength::Twelve, &session_key, &SystemRandom, Vec::new())?;
//! std::io::Write::write_all(&mut sealer, b"message")?;
//! let sealed = sealer.finish()?;
//! let mut opened = Vec::new();
//! cipher::open(cipher, cipher::IvLength::Twelve, &session_key, &sealed[..], &mut opened)?;
//! assert_eq!(opened, b"message");
//! # Ok(()) }
//! ```

mod algorithm;
pub mod cipher;
mod der;
mod digest;
pub mod ed25519;
mod error;
mod key_transport;
pub mod policy;
mod private_key;
mod public_key;
mod random;
mod session_key;
mod unwrap;
mod verify;
mod x509;

pub use algorithm::{BlockCipher, SignatureAlgorithm};
pub use digest::{Digest, DigestAlgorithm, Hasher, constant_time_eq, hmac_sha256, sha256, sha384};
pub use error::{DecryptionFailed, KeyError, SignatureInvalid, SigningFailed};
pub use key_transport::{KeyTransport, OaepHash, wrap_key};
pub use private_key::{Decryptor, PrivateKey, Signer, SoftwareDecryptor, SoftwareSigner};
pub use public_key::{Curve, KeyKind, PublicKey};
pub use random::{Random, SystemRandom};
pub use session_key::SessionKey;
pub use x509::X509SignatureAlgorithm;
