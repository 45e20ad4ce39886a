//! Certificates: is this one good for this use at this time.
//!
//! [`inspect()`] judges a [`Certificate`] under [`Anchors`] and a policy, and [`Inspector`] does so with
//! a memory. The result, an [`Inspection`], holds what a report of OSCI-Transport 1.2 says about a
//! certificate, a three-valued [`Verdict`] and every [`Reason`]. Around it: reading and writing
//! [`pem`] and [`pkcs12`] files ([`KeyEntry`]), and [`issue`] for test authorities.
//!
//! # How it judges
//!
//! These things are looked at independently, so that a report can tell them apart:
//!
//! * **authenticity**: the issuers' signatures up to a trust anchor, whatever the certificates say
//!   about time and purpose. A wrong signature of a trusted issuer is
//!   [`MathResult::Corrupted`]; an unknown issuer, or an algorithm that is not known or that the
//!   policy refuses, is [`MathResult::Indeterminate`].
//! * **the path**: path validation of RFC 5280 by `webpki` at a time at which the certificate itself is
//!   valid, and the key usage of the authorities, which `webpki` leaves out.
//! * **the certificate itself**: its validity at the given time, its key usage, its key.
//! * **[`revocation`]**, if an [`Inspector`] is to look at it: of the certificate and everything above it but the anchor.
//!
//! # Not in here
//!
//! No XML, no network, no files, no clock: the time is an argument, and what has to be got from elsewhere comes through a
//! [`revocation::Fetcher`]. [`inspect()`] asks nobody about revocation, only an [`Inspector`] that was given a
//! [`revocation::RevocationChecker`] does. No certificate policies: a critical policy extension makes a certificate
//! [`Verdict::Indeterminate`]. No decision what to do about a bad certificate.
//!
//! # Example
//!
//! ```
//! use rohrpost_crypto::policy::Policy;
//! use rohrpost_pki::{Anchors, Reason, Use, Verdict, inspect, pem, pkcs12};
//! use time::macros::datetime;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let alice = pkcs12::load(include_bytes!("../../../certs-test/p12/alice-signature.p12"), &"123456".into())?;
//! let anchors = Anchors::from_pem(include_bytes!("../../../certs-test/ca/root-ca.cert.pem"))?;
//! let (policy, at) = (Policy::standard(), datetime!(2026-12-01 12:00 UTC));
//!
//! let found = inspect(&alice.certificate, &alice.chain, &anchors, Use::TransportSignature, &policy, at);
//! assert_eq!(found.verdict, Verdict::Valid);
//! assert_eq!(found.math.as_str(), "ok");
//!
//! let found = inspect(&alice.certificate, &alice.chain, &anchors, Use::Encryption, &policy, at);
//! assert_eq!(found.verdict, Verdict::Invalid);
//! assert!(matches!(found.reasons[0], Reason::UsageNotAllowed { .. }));
//! # Ok(()) }
//! ```

mod anchors;
mod certificate;
mod der;
mod fingerprint;
mod inspect;
mod inspection;
mod inspector;
pub mod issue;
mod key_entry;
mod key_usage;
mod name;
mod path;
pub mod pem;
pub mod pkcs12;
mod reason;
pub mod revocation;
mod signatures;
pub mod timestamp;

pub use anchors::{AnchorError, Anchors};
pub use certificate::{BasicConstraints, Certificate, CertificateError};
pub use fingerprint::Fingerprint;
pub use inspect::inspect;
pub use inspection::{CertType, Inspection, MathResult, OfflineResult, Use, Verdict};
pub use inspector::Inspector;
pub use key_entry::{KeyEntry, KeyEntryError};
pub use key_usage::KeyUsage;
pub use reason::Reason;
