//! Private keys on a token: smart cards and hardware security modules behind PKCS#11 (OASIS PKCS #11, version 2.40).
//!
//! A [`Token`] gives handles of its keys that are the [`Signer`](rohrpost_crypto::Signer) and
//! [`Decryptor`](rohrpost_crypto::Decryptor) that everybody else works with. The keys never leave it. Sessions are opened as needed, used again
//! and thrown away when something goes wrong with one, so that a token which was gone for a while is used again when it is back.
//!
//! Deliberately not here: making keys, writing certificates to tokens, and PINs typed by people. Certificates come from files.
//!
//! What was encrypted with RSA PKCS#1 v1.5 is unpadded by the token. Wrong padding gives a key that nobody can predict, as
//! everywhere; how long the token takes to find that out is the token's business. Prefer OAEP.
//!
//! ```no_run
//! use rohrpost_crypto::{PublicKey, SignatureAlgorithm, Signer};
//! use rohrpost_token::{Pin, Token};
//!
//! # fn sign(certified: PublicKey) -> Result<(), Box<dyn std::error::Error>> {
//! let token = Token::open("/usr/lib/softhsm/libsofthsm2.so".as_ref(), "rohrpost", Pin::from("1234"))?;
//! let signer = token.signer("signature", certified, SignatureAlgorithm::RsaSha256)?;
//! let signature = signer.sign(b"message")?;
//! # Ok(()) }
//! ```

mod decryptor;
mod error;
mod sessions;
mod signer;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use rohrpost_crypto::{PublicKey, SignatureAlgorithm};
use zeroize::Zeroizing;

pub use decryptor::TokenDecryptor;
pub use error::TokenError;
pub use signer::TokenSigner;

use sessions::Sessions;

/// The secret that opens a token. Wiped when dropped, never shown.
#[derive(Clone)]
pub struct Pin(Zeroizing<String>);

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

/// A token in its reader. Cheap to clone.
#[derive(Clone)]
pub struct Token {
    access: Arc<Access>,
}

/// What it takes to open a session.
pub(crate) struct Access {
    pub(crate) module: Pkcs11,
    pub(crate) label: String,
    pub(crate) pin: Pin,
}

impl Token {
    /// The token with this label, through the module of its maker.
    ///
    /// # Errors
    /// [`TokenError::Module`] if the module cannot be loaded, [`TokenError::Missing`] if there is no such token,
    /// [`TokenError::Pin`] if the PIN is wrong. A wrong PIN is tried once.
    pub fn open(module: &Path, label: &str, pin: Pin) -> Result<Self, TokenError> {
        let access = Access { module: load(module)?, label: label.to_owned(), pin };
        access.open()?;
        Ok(Self { access: Arc::new(access) })
    }

    /// The private key with this label, to sign with. `certified` is the public key in its certificate.
    ///
    /// # Errors
    /// [`TokenError::NoKey`] if there is no such key, [`TokenError::Unfit`] if it cannot sign in this way, or what it signs
    /// does not verify with `certified`.
    pub fn signer(
        &self,
        key: &str,
        certified: PublicKey,
        algorithm: SignatureAlgorithm,
    ) -> Result<TokenSigner, TokenError> {
        TokenSigner::new(self.sessions(key)?, certified, algorithm)
    }

    /// The private key with this label, to open session keys with. `certified` is the public key in its certificate.
    ///
    /// # Errors
    /// [`TokenError::NoKey`] if there is no such key, [`TokenError::Unfit`] if it is no RSA key.
    pub fn decryptor(&self, key: &str, certified: &PublicKey) -> Result<TokenDecryptor, TokenError> {
        TokenDecryptor::new(self.sessions(key)?, certified)
    }

    fn sessions(&self, key: &str) -> Result<Sessions, TokenError> {
        Sessions::new(Arc::clone(&self.access), key)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("label", &self.access.label).finish_non_exhaustive()
    }
}

/// A module is loaded and initialised once in a process, whoever asks.
fn load(path: &Path) -> Result<Pkcs11, TokenError> {
    static LOADED: Mutex<Option<HashMap<PathBuf, Pkcs11>>> = Mutex::new(None);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let loaded = loaded.get_or_insert_default();
    if let Some(module) = loaded.get(path) {
        return Ok(module.clone());
    }
    let unusable = |error| TokenError::Module { path: path.to_owned(), source: error };
    let module = Pkcs11::new(path).map_err(unusable)?;
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).map_err(unusable)?;
    loaded.insert(path.to_owned(), module.clone());
    Ok(module)
}
