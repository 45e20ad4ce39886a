use std::path::PathBuf;

use thiserror::Error;

/// Why a token or one of its keys cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The module cannot be loaded, or does not start. Check its path, and that it is made for this machine.
    #[error("the PKCS#11 module {path} cannot be used")]
    Module {
        /// Where it was looked for.
        path: PathBuf,
        /// What the system or the module said.
        source: cryptoki::error::Error,
    },
    /// No token with this label is there. Insert it, or correct the label.
    #[error("there is no token {label:?}; there are: {}", present.join(", "))]
    Missing {
        /// The label that was asked for.
        label: String,
        /// The labels of those that are there.
        present: Vec<String>,
    },
    /// The PIN is wrong, or locked by earlier attempts.
    #[error("the token does not accept the PIN")]
    Pin(#[source] cryptoki::error::Error),
    /// There is no private key with this label on the token, or more than one.
    #[error("there is not exactly one private key {label:?} on the token but {found}")]
    NoKey {
        /// The label that was asked for.
        label: String,
        /// How many there are.
        found: usize,
    },
    /// The key cannot do what it is wanted for, or belongs to another certificate.
    #[error("the key cannot be used: {0}")]
    Unfit(&'static str),
    /// The token failed.
    #[error("the token failed")]
    Failed(#[from] cryptoki::error::Error),
}
