//! The gateway over real sockets: what it serves, and every limit and deadline hit at least once.

#![allow(clippy::unwrap_used)] // the harness is no #[test], which clippy.toml would excuse

mod exchange;
mod harness;
mod limits;
mod management;
mod overload;
mod shutdown;
mod timeouts;
mod tls;
