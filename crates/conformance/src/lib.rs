//! Conformance of an intermediary to OSCI-Transport 1.2, as a program: every order with every feedback code in every way it can be
//! sent ([`cells`]). A cell that cannot occur says why ([`Cell::never`]); every other one is executed against an address: the
//! answer is provoked, and everything about it is looked at, not only its code.
//!
//! The intermediary under test is seen from outside only. What it has to be configured with for all cells is what [`Setup`] names: trust in
//! the issuer of the keys, revocation, the passive recipient ([`Recipient`]). What is missing is skipped and counted.
//!
//! Not in here: HTTP, which [`Wire`] stands for, files, and a clock.

mod check;
mod matrix;
mod order;
mod recipient;
mod report;
mod run;
mod setup;
mod table;
mod talk;
mod trial;

pub use matrix::{Cell, ORDERS, Way, cells};
pub use recipient::{Recipient, paths};
pub use report::Report;
pub use run::run;
pub use setup::{Party, Setup, Wire};
pub use table::{Counts, counts, table};
pub use trial::Outcome;
