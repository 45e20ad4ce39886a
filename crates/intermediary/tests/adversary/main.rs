//! How an intermediary behaves towards clients that mean ill.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../harness/mod.rs"]
mod harness;

mod answers;
mod chunks;
mod der;
mod failing;
mod mailbox;
mod turns;
