//! One leaf with all that proves it: C2SP tlog-proof.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::hash::Hash;
use crate::leaf::{Leaf, LeafUnreadable};
use crate::note::LogVerifier;
use crate::proof::{ProofInvalid, verify_inclusion};

/// A record of the log, the way from it to the root, and the signed checkpoint with that root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafProof {
    /// Position in the log.
    pub index: u64,
    /// The record, byte for byte.
    pub record: Vec<u8>,
    /// Hashes from the leaf's sibling to the root's child.
    pub path: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

/// Why a proof is not believed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LeafProofError {
    /// The checkpoint is not signed by the log.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The path does not lead from the record to the root.
    #[error(transparent)]
    Proof(#[from] ProofInvalid),
    /// The record is proven but unreadable.
    #[error(transparent)]
    Leaf(#[from] LeafUnreadable),
    /// The text is no proof.
    #[error("not a proof: {0}")]
    Malformed(&'static str),
}

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// A tree of 2^64 leaves has no longer paths.
const MAX_PATH: usize = 64;

impl LeafProof {
    /// Checks everything and returns what the log said.
    ///
    /// # Errors
    /// If the checkpoint is not signed by the log or the record is not part of it.
    pub fn verify(&self, verifier: &LogVerifier) -> Result<(Leaf, Checkpoint), LeafProofError> {
        let checkpoint = Checkpoint::open(self.checkpoint.as_bytes(), verifier)?;
        let hash = Hash::of_leaf(&self.record);
        verify_inclusion(hash, self.index, checkpoint.size, &checkpoint.root, &self.path)?;
        Ok((Leaf::parse(&self.record)?, checkpoint))
    }

    /// The standard text form; the record travels in the `extra` line.
    pub fn to_text(&self) -> String {
        let path: String = self.path.iter().map(|hash| STANDARD.encode(hash.as_bytes()) + "\n").collect();
        format!("{HEADER}\nextra {}\nindex {}\n{path}\n{}", STANDARD.encode(&self.record), self.index, self.checkpoint)
    }

    /// Reads the text form, without believing it.
    ///
    /// # Errors
    /// If the text does not have it.
    pub fn from_text(text: &str) -> Result<Self, LeafProofError> {
        use LeafProofError::Malformed;
        let (proof, checkpoint) = text.split_once("\n\n").ok_or(Malformed("there is no empty line"))?;
        let mut lines = proof.lines();
        if lines.next() != Some(HEADER) {
            return Err(Malformed("the first line is not c2sp.org/tlog-proof@v1"));
        }
        let record = lines
            .next()
            .and_then(|line| STANDARD.decode(line.strip_prefix("extra ")?).ok())
            .ok_or(Malformed("the record is missing"))?;
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index ")?.parse().ok())
            .ok_or(Malformed("the index is missing"))?;
        let path = lines
            .take(MAX_PATH + 1)
            .map(|line| Hash::from_slice(&STANDARD.decode(line).ok()?))
            .collect::<Option<Vec<_>>>()
            .ok_or(Malformed("a line is no SHA-256 value"))?;
        let proof = Self { index, record, path, checkpoint: checkpoint.to_owned() };
        // One proof has one spelling: no leading zeroes, no further lines.
        if proof.to_text() == text { Ok(proof) } else { Err(Malformed("not in canonical form")) }
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::testing::{MemoryLog, signer};
    use crate::words::Event;

    fn proofs() -> Vec<LeafProof> {
        let mut leaf = Leaf::new(OffsetDateTime::UNIX_EPOCH, Event::Accepted);
        let log = MemoryLog::of((0..300).map(|count| {
            leaf.count = Some(count);
            leaf.to_bytes()
        }));
        let checkpoint = Checkpoint { origin: "log".into(), size: 300, root: log.frontier.root() };
        let note = checkpoint.sign(&signer("log"));
        let proof = |index| LeafProof {
            index,
            record: log.records[index as usize].clone(),
            path: crate::inclusion(&log, index, 300).unwrap(),
            checkpoint: note.clone(),
        };
        vec![proof(0), proof(255), proof(299)]
    }

    #[test]
    fn proves_and_travels_as_text() {
        for proof in proofs() {
            let read = LeafProof::from_text(&proof.to_text()).unwrap();
            assert_eq!(read, proof);
            let (leaf, checkpoint) = read.verify(signer("log").verifier()).unwrap();
            assert_eq!((leaf.event, checkpoint.size), (Event::Accepted, 300));
        }
    }

    #[test]
    fn changes_are_noticed() {
        let log = signer("log");
        for proof in proofs() {
            let text = proof.to_text();
            for position in 0..text.len() {
                let mut bytes = text.clone().into_bytes();
                bytes[position] ^= 1;
                let accepted = String::from_utf8(bytes)
                    .ok()
                    .and_then(|text| LeafProof::from_text(&text).ok())
                    .is_some_and(|changed| changed.verify(log.verifier()).is_ok());
                assert!(!accepted, "byte {position} of {text}");
            }
            assert!(proof.verify(signer("other").verifier()).is_err());
        }
        for bad in ["", "x\n\n", "c2sp.org/tlog-proof@v1\n\n", "c2sp.org/tlog-proof@v1\nextra AA==\n\n"] {
            assert!(LeafProof::from_text(bad).is_err(), "{bad}");
        }
    }
}
