//! Revocation lists, answers of responders, and who asks for them.

#![allow(clippy::unwrap_used, reason = "a failing helper fails the test")]

mod checker;
mod inspector;
mod lists;
mod pki;
mod responders;
