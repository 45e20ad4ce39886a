//! An intermediary in the process of the test, with the keys of `certs-test/`, and what is needed to talk to it: clients
//! that keep to the protocol, and drafts of messages that need not.
//!
//! Used by the tests of this room and, by path, by the end-to-end tests.

#![allow(
    dead_code,
    missing_docs,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared by several tests, each of which uses a part of it"
)]

mod bench;
mod client;
mod draft;
mod keys;
mod recipient;
pub mod seal;

pub use bench::{Answer, Bench, IssuedIds, Setup};
pub use client::{Client, Delivered, Delivery, attachment, certificates, content};
pub use draft::{Draft, DraftAttachment, DraftBlock, DraftReference, DraftSignature, mime};
pub use keys::{certs_test, der, key, key_ring, public_key, rsa_signer};
pub use recipient::{Act, Got, Recipient};
pub use seal::Seal;

use time::OffsetDateTime;
use time::macros::datetime;

/// When everything happens unless a test says otherwise.
pub const NOW: OffsetDateTime = datetime!(2026-11-24 12:00 UTC);
