//! Attacks on what a server has little of: memory, processor time, connections, patience. Each against the built binary, with
//! limits as shipped unless an attack would take too long with them.
//!
//! Every attack prints what it cost the server, in memory beyond what it had and in processor time, beside what an honest order costs. Bounds
//! are on memory and on multiples of the honest order's processor time; no test looks at the clock. Meanwhile honest clients are served.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic and report")]

#[path = "../../crates/intermediary/tests/harness/mod.rs"]
mod harness;

mod attacks {
    mod arena;
    mod connections;
    mod documents;
    mod keys;
}
