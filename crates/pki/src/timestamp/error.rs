//! Why there is no stamp.

use std::fmt;

use thiserror::Error;
use time::OffsetDateTime;

use crate::reason::{Reason, utc};

/// Why what a time-stamp service sent is no stamp.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TimestampError {
    /// It is larger than allowed.
    #[error("larger than the {} octets allowed", super::MAX_LEN)]
    TooLarge,
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Malformed(&'static str),
    /// It has a feature that must be understood and is not.
    #[error("not understood: {0}")]
    NotUnderstood(&'static str),

    /// The service does not want to.
    #[error("the service refuses with status {status}{}", why(info))]
    Refused {
        /// Its PKIStatus.
        status: u8,
        /// What it gives as reason.
        info: Option<FailureInfo>,
    },
    /// The service stamped something else than it was asked for, and says so.
    #[error("the service granted something else than it was asked for")]
    Modified,

    /// It is the stamp of something else.
    #[error("the stamp is for something else")]
    ImprintWrong,
    /// It does not repeat our nonce: it answers another question, or none.
    #[error("the stamp does not repeat the nonce")]
    NonceWrong,
    /// Its time is not that of the question.
    #[error("the stamp says {}, which is not now", utc(time))]
    NotNow {
        /// The time it states.
        time: OffsetDateTime,
    },

    /// The certificate that it is signed with does not come with it.
    #[error("the certificate of the signer is missing")]
    SignerMissing,
    /// It is signed by somebody whose certificate is not for time stamps, and for nothing else.
    #[error("the certificate of {subject} is not for time stamps alone")]
    NotForTimestamps {
        /// Subject of the certificate.
        subject: String,
    },
    /// It is signed by somebody who is not trusted.
    #[error("the certificate of {subject} is not trusted: {}", list(reasons))]
    NotTrusted {
        /// Subject of the certificate.
        subject: String,
        /// What was found.
        reasons: Vec<Reason>,
    },
    /// The policy refuses the signature, or it is not supported.
    #[error("{0}")]
    Algorithm(Box<Reason>),
    /// The signature does not hold.
    #[error("the signature is wrong")]
    SignatureWrong,
}

/// Why a service refuses (PKIFailureInfo of RFC 3161, 2.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureInfo {
    /// It does not know the algorithm.
    BadAlg,
    /// It does not do that.
    BadRequest,
    /// It could not read the question.
    BadDataFormat,
    /// It has no source of time at the moment.
    TimeNotAvailable,
    /// It does not stamp by the policy asked for.
    UnacceptedPolicy,
    /// It does not know an extension.
    UnacceptedExtension,
    /// It does not have the additional information.
    AddInfoNotAvailable,
    /// It has a problem of its own.
    SystemFailure,
}

impl FailureInfo {
    /// From the number of the bit.
    pub(super) fn from_bit(bit: usize) -> Option<Self> {
        Some(match bit {
            0 => Self::BadAlg,
            2 => Self::BadRequest,
            5 => Self::BadDataFormat,
            14 => Self::TimeNotAvailable,
            15 => Self::UnacceptedPolicy,
            16 => Self::UnacceptedExtension,
            17 => Self::AddInfoNotAvailable,
            25 => Self::SystemFailure,
            _ => return None,
        })
    }
}

impl fmt::Display for FailureInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadAlg => "badAlg",
            Self::BadRequest => "badRequest",
            Self::BadDataFormat => "badDataFormat",
            Self::TimeNotAvailable => "timeNotAvailable",
            Self::UnacceptedPolicy => "unacceptedPolicy",
            Self::UnacceptedExtension => "unacceptedExtension",
            Self::AddInfoNotAvailable => "addInfoNotAvailable",
            Self::SystemFailure => "systemFailure",
        })
    }
}

fn why(info: &Option<FailureInfo>) -> String {
    info.map_or_else(String::new, |info| format!(" ({info})"))
}

fn list(reasons: &[Reason]) -> String {
    reasons.iter().map(Reason::to_string).collect::<Vec<_>>().join("; ")
}
