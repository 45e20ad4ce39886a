//! The requesting side of OSCI-Transport 1.2 over HTTP and HTTPS.

mod clock;
pub mod transport;

pub use clock::Clock;
