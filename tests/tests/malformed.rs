//! Malformed and malicious messages, each with its exact outcome: the code of the fault or of the feedback, and what is left
//! behind in store and log.
//!
//! Every case starts from a well-formed message of our own making and changes one thing: in the message before it is signed (the
//! signature then covers the change), in what the signature says, after signing, in the frame, or in the encryption.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    unreachable_pub,
    missing_docs,
    reason = "a test may panic and report"
)]

#[path = "../../crates/intermediary/tests/harness/mod.rs"]
mod harness;

mod malformed {
    mod certificates;
    mod control;
    mod count;
    mod encryption;
    mod framing;
    mod limits;
    mod properties;
    mod signatures;
    mod stage;
    mod structure;
    mod unauthenticated;
    mod wrapping;
    mod xml;
}
