//! Checkpoints (C2SP tlog-checkpoint): size and root of the tree, signed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::hash::Hash;
use crate::note::{self, LogSigner, LogVerifier, NoteError};

/// What the log commits to: everything up to `size` leaves, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// Merkle tree hash over all of them.
    pub root: Hash,
}

/// Why a checkpoint is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The note around it is malformed or not signed by the expected key.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The signed text is no checkpoint.
    #[error("the note does not contain a checkpoint: {0}")]
    Malformed(&'static str),
    /// The signed text is the checkpoint of another log.
    #[error("the checkpoint is about the log {0}")]
    OtherLog(String),
}

impl Checkpoint {
    /// Signs it: the result is a complete note, ready to be published.
    pub fn sign(&self, signer: &LogSigner) -> String {
        signer.sign(&self.to_text())
    }

    /// Checks a signed checkpoint.
    ///
    /// # Errors
    /// If it was not signed by this key or is not about the log of this name.
    pub fn open(note: &[u8], verifier: &LogVerifier) -> Result<Self, CheckpointError> {
        let checkpoint = Self::parse(verifier.open(note)?)?;
        if checkpoint.origin == verifier.name() {
            Ok(checkpoint)
        } else {
            Err(CheckpointError::OtherLog(checkpoint.origin))
        }
    }

    /// Reads a signed checkpoint without believing it: for looking only.
    ///
    /// # Errors
    /// If it does not have the form of one.
    pub fn peek(note: &[u8]) -> Result<Self, CheckpointError> {
        Self::parse(note::split(note)?.0)
    }

    fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.as_bytes()))
    }

    fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.lines();
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Malformed("three lines are needed"));
        };
        let checkpoint = Self {
            origin: origin.to_owned(),
            size: size.parse().map_err(|_| CheckpointError::Malformed("the size is no number"))?,
            root: STANDARD
                .decode(root)
                .ok()
                .and_then(|bytes| Hash::from_slice(&bytes))
                .ok_or(CheckpointError::Malformed("the root is no SHA-256 value"))?,
        };
        // Extension lines may follow; this rules out other spellings of the three above, such as a leading zero or `+`.
        if origin.is_empty() || !text.starts_with(&checkpoint.to_text()) {
            return Err(CheckpointError::Malformed("not in canonical form"));
        }
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::signer;

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "log.example/1".into(), size: 42, root: Hash::of_leaf(b"root") }
    }

    #[test]
    fn signs_and_opens() {
        let signer = signer("log.example/1");
        let note = checkpoint().sign(&signer);
        assert_eq!(Checkpoint::open(note.as_bytes(), signer.verifier()).unwrap(), checkpoint());
        assert_eq!(Checkpoint::peek(note.as_bytes()).unwrap(), checkpoint());
    }

    #[test]
    fn foreign_and_changed_checkpoints_are_refused() {
        let (ours, theirs) = (signer("log.example/1"), signer("log.example/2"));
        let note = checkpoint().sign(&theirs);
        assert!(matches!(
            Checkpoint::open(note.as_bytes(), ours.verifier()),
            Err(CheckpointError::Note(NoteError::UnknownSigner(_)))
        ));
        assert_eq!(
            Checkpoint::open(note.as_bytes(), theirs.verifier()),
            Err(CheckpointError::OtherLog("log.example/1".into()))
        );
        let changed = checkpoint().sign(&ours).replace("\n42\n", "\n43\n");
        assert!(matches!(
            Checkpoint::open(changed.as_bytes(), ours.verifier()),
            Err(CheckpointError::Note(NoteError::SignatureInvalid(_)))
        ));
    }

    #[test]
    fn only_one_spelling_counts() {
        let root = STANDARD.encode([0; 32]);
        for bad in [
            "".to_owned(),
            format!("o\n1\n{}\n", STANDARD.encode([0; 31])),
            format!("o\n01\n{root}\n"),
            format!("o\n+1\n{root}\n"),
            format!("o\n-1\n{root}\n"),
            format!("\n1\n{root}\n"),
            format!("o\n1\n{root}"),
            "o\n1\n".to_owned(),
        ] {
            assert!(Checkpoint::parse(&bad).is_err(), "{bad:?}");
        }
        assert!(Checkpoint::parse(&format!("o\n1\n{root}\nextension\n")).is_ok());
    }
}
