//! The log that nobody can rewrite unnoticed: a Merkle tree over records of every decision, and how to check it offline.
//!
//! * [`Leaf`] is one record: when, what, which message, which certificates and verdicts; never subject, file names or
//!   content. [`Commitment`]s are salted hashes of what may have to be erased one day.
//! * [`Frontier`] appends; [`inclusion`] and [`consistency`] prove; [`verify_inclusion`] and [`verify_consistency`] check
//!   (RFC 6962 hashing, RFC 9162 algorithms).
//! * [`Checkpoint`] is the signed statement "so many leaves, this root" (C2SP tlog-checkpoint, a signed note with Ed25519).
//! * [`export()`] writes the log as files in the layout of C2SP tlog-tiles; [`verify_export`] checks such files with nothing
//!   but the public key. [`LeafProof`] carries one leaf with its proof (C2SP tlog-proof).
//!
//! Deliberately not in here: a database, a clock, sockets, message bodies. Hashes come through [`HashReader`], records
//! through [`LogReader`], times inside the leaves.
//!
//! # Why not the crates `tlog_tiles` and `signed_note`
//!
//! They follow the same specifications, but `signed_note` brings `ed25519-dalek`, a second signature implementation, where
//! only `rohrpost-crypto` may name one, and `tlog_tiles` numbers all hashes of all levels in one sequence, while a
//! database wants to store only leaf hashes and one hash per 256 of them. The tree is about 300 lines; the formats are what
//! matters, and they are the standard ones. Test vectors made with those crates and with Go's `note` package are in the
//! tests.
//!
//! ```
//! use rohrpost_audit::{Checkpoint, Event, Frontier, Hash, Leaf, LogSigner};
//! use rohrpost_crypto::ed25519::SigningKey;
//! use time::macros::datetime;
//!
//! let signer = LogSigner::new("intermediary.example/log", SigningKey::from_seed(&[7; 32]))?;
//! let mut tree = Frontier::new();
//! let leaf = Leaf::new(datetime!(2024-05-01 10:00 UTC), Event::Accepted);
//! tree.append(Hash::of_leaf(&leaf.to_bytes()));
//!
//! let checkpoint = Checkpoint { origin: signer.verifier().name().into(), size: tree.size(), root: tree.root() };
//! let note = checkpoint.sign(&signer);
//! assert_eq!(Checkpoint::open(note.as_bytes(), signer.verifier())?, checkpoint);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod checkpoint;
mod commitment;
mod export;
mod fingerprint;
mod frontier;
mod hash;
mod leaf;
mod leaf_proof;
mod note;
mod proof;
mod stamp;
#[cfg(test)]
mod testing;
mod tile;
mod verify;
mod words;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use commitment::{Commitment, Salt};
pub use export::{ExportError, ExportReport, LogReader, export};
pub use fingerprint::Fingerprint;
pub use frontier::{Frontier, TileNode};
pub use hash::Hash;
pub use leaf::{CertificateEntry, Leaf, LeafUnreadable, VerdictEntry};
pub use leaf_proof::{LeafProof, LeafProofError};
pub use note::{LogSigner, LogVerifier, NoteError};
pub use proof::{HashReader, ProofInvalid, consistency, inclusion, verify_consistency, verify_inclusion};
pub use rohrpost_crypto::ed25519::{SigningKey, VerifyingKey};
pub use verify::{Problem, Report, VerifyError, verify_export, verify_export_since};
pub use words::{Event, Role, Subject, Verdict};
