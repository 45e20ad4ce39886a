//! Certificates that were taken back, or of which nobody says whether they were: in every role, with the code that each costs
//! (OSCI-Transport 1.2, feedback codes for certificates), over a real network with a real responder (`openssl ocsp`), servers of
//! revocation lists, and servers that do everything they should not.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    unreachable_pub,
    missing_docs,
    reason = "a test may panic and report"
)]

#[path = "../../crates/intermediary/tests/harness/mod.rs"]
mod harness;

mod revocation {
    mod faults;
    mod matrix;
    mod openssl;
    mod pki;
    mod process;
    mod servers;
}
