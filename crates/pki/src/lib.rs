//! Certificates.

mod certificate;
mod der;
pub mod issue;
mod key_usage;
mod name;
pub mod pem;
pub mod pkcs12;

pub use certificate::{BasicConstraints, Certificate, CertificateError, Fingerprint};
pub use key_usage::KeyUsage;
