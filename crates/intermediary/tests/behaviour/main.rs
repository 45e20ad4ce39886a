//! How an intermediary behaves towards clients that keep to the protocol.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../harness/mod.rs"]
mod harness;

mod acknowledgement;
mod admission;
mod chunks;
mod dialogs;
mod fetchable;
mod forwarding;
mod languages;
mod log;
mod mediating;
mod passing_on;
mod protection;
mod revocation;
mod rollover;
mod selection;
mod timestamps;
