//! Bugs planted on purpose, to show that the tests find such bugs.
//!
//! Where a promise of the product rests on one step, or on the order of two, the code asks [`planted`] whether to get it
//! wrong. Usually that is the constant `false` and nothing is left of it. With the feature `planted-bugs`, which only
//! `cargo run -p rohrpost-tests -- planted` switches on, the variable `ROHRPOST_PLANTED` names the one bug to have; it is
//! read once, so that one build serves for all of them.
//!
//! A build without debug assertions refuses the feature: nothing that is released can have these bugs.
//!
//! Deliberately not in here: the list of the bugs and which test finds each. That is `tests/planted.toml`.
//!
//! ```
//! use rohrpost_planted::planted;
//!
//! if !planted("body-not-fsynced") {
//!     // fsync the body
//! }
//! ```

#[cfg(all(feature = "planted-bugs", not(debug_assertions)))]
compile_error!("the feature `planted-bugs` must not be in a release build");

/// Whether to have the bug of this name.
#[cfg(not(feature = "planted-bugs"))]
#[must_use]
#[inline(always)]
pub const fn planted(_bug: &str) -> bool {
    false
}

/// Whether to have the bug of this name.
#[cfg(feature = "planted-bugs")]
#[must_use]
pub fn planted(bug: &str) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("ROHRPOST_PLANTED").ok()).as_deref() == Some(bug)
}
