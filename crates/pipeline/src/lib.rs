//! The signing and encryption pipeline: spooled bytes to an opened, read, verified, judged message, and a composed
//! message back to signed, sealed bytes. Used by the intermediary, by clients, and by whoever owns content.
//!
//! Each stage is a function that takes the result of the one before, so a message cannot be used as more than it was proven
//! to be:
//!
//! ```text
//! Spool --open--> Opened --read--> Read --verify--> Verified        certificates --judge--> Vec<Judged>
//! Outgoing --seal--> Spool
//! ```
//!
//! Deliberately not here: decisions about orders, networking, the clock, content keys. Everything is synchronous; temporary files
//! lie in the directory the caller chose ([`spool`]).
//!
//! ```
//! use rohrpost_crypto::SystemRandom;
//! use rohrpost_crypto::policy::Policy;
//! use rohrpost_osci::mime::Limits;
//! use rohrpost_pipeline::keyring::KeyRing;
//! use rohrpost_pipeline::open::open;
//! use rohrpost_pipeline::spool::{Spool, SpoolDir};
//!
//! let spools = SpoolDir::new(std::env::temp_dir());
//! let keys = KeyRing::new(vec![], None);
//! let now = time::macros::datetime!(2026-11-24 12:00 UTC);
//! let garbage = Spool::from_bytes(b"no OSCI message".to_vec());
//! let policy = Policy::standard();
//! let error = open(garbage, &keys, &policy, now, &spools, &SystemRandom, &Limits::default()).unwrap_err();
//! assert_eq!(error.code().to_string(), "9100");
//! ```

pub mod gate;
pub mod judge;
pub mod keyring;
pub mod open;
pub mod read;
pub mod seal;
pub mod spool;
pub mod verify;
