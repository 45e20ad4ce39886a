//! Time stamps: somebody who is trusted says that something was there at a moment (RFC 3161, RFC 5816).
//!
//! A [`TimestampRequest`] asks for a stamp of a SHA-256 value; [`TimestampTrust`] looks at what comes back. Only what answers this
//! very question, now, and is signed by somebody whom an anchor entitles to it, becomes a [`TimestampToken`]. Getting the answer is
//! somebody else's business.
//!
//! Whether the certificate of the service was revoked is not looked at.

mod cms;
mod error;
mod info;
mod request;
mod response;
mod token;

pub use self::error::{FailureInfo, TimestampError};
pub use self::request::TimestampRequest;
pub use self::token::{TimestampToken, TimestampTrust};

/// The largest answer of a service that is read, in octets. The token in it is smaller.
pub const MAX_LEN: usize = 32 * 1024;

/// id-ct-TSTInfo: what is stamped by a service.
const TST_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];
/// id-sha256.
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
