//! Revocation: what the issuer of a certificate says about it after it was issued.
//!
//! Two sources, both signed by the issuer or for it: answers of responders ([`ocsp`], RFC 6960) and revocation lists ([`crl`],
//! RFC 5280, 5). Reading them is pure. Getting them is up to a [`Fetcher`]; the [`RevocationChecker`] on top of it knows where to
//! ask, what the answers are worth, and for how long.
//!
//! Whatever does not speak clearly is *indeterminate*, with a [`Doubt`] for each place that was tried: a responder that is down, an
//! answer that is stale, a list of which anything is not understood. Nothing of that is ever taken for "not revoked".

mod cache;
mod checker;
pub mod crl;
mod fetcher;
pub mod ocsp;
mod signed;
mod sources;

use std::fmt;
use std::sync::Arc;

use thiserror::Error;
use time::{Duration, OffsetDateTime};

pub use self::checker::{RevocationChecker, RevocationSettings};
pub use self::fetcher::{FetchError, Fetcher, Question};
pub use self::ocsp::NoncePolicy;
pub use self::sources::Sources;
use crate::reason::Reason;

/// Clocks may differ by so much: what was made by then is not from the future.
pub(crate) const SKEW: Duration = Duration::minutes(5);

/// What is known about the revocation of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevocationStatus {
    /// Its issuer says it is not revoked.
    Good(Evidence),
    /// Its issuer says it is revoked.
    Revoked(Revocation, Evidence),
    /// Nobody said anything that counts.
    Indeterminate {
        /// Where was asked, and why that gave nothing. Empty if the certificate names no place to ask.
        tried: Vec<Tried>,
    },
}

impl RevocationStatus {
    /// What it is based on.
    #[must_use]
    pub fn evidence(&self) -> Option<&Evidence> {
        match self {
            Self::Good(evidence) | Self::Revoked(_, evidence) => Some(evidence),
            Self::Indeterminate { .. } => None,
        }
    }
}

impl fmt::Display for RevocationStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good(_) => f.write_str("not revoked"),
            Self::Revoked(revocation, _) => revocation.fmt(f),
            Self::Indeterminate { tried } if tried.is_empty() => {
                f.write_str("the certificate does not say whom to ask")
            }
            Self::Indeterminate { tried } => {
                let mut separator = "";
                tried.iter().try_for_each(|tried| write!(f, "{}{tried}", std::mem::replace(&mut separator, "; ")))
            }
        }
    }
}

/// A certificate was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Since when.
    pub since: OffsetDateTime,
    /// Why, if the issuer says so.
    pub reason: Option<RevocationReason>,
}

impl fmt::Display for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "revoked at {}", crate::reason::utc(&self.since))?;
        self.reason.map_or(Ok(()), |reason| write!(f, " ({reason})"))
    }
}

/// Why a certificate was taken back (RFC 5280, 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RevocationReason {
    /// No reason is told.
    Unspecified,
    /// Somebody else may have the key.
    KeyCompromise,
    /// Somebody else may have the key of the authority.
    AuthorityCompromise,
    /// Names or other facts changed.
    AffiliationChanged,
    /// There is a newer certificate.
    Superseded,
    /// It is not needed any more.
    CessationOfOperation,
    /// Suspended; the issuer may take that back. Until then it counts as revoked.
    CertificateHold,
    /// Not on hold any more. Only in lists of changes, which are not read here.
    RemoveFromList,
    /// Privileges it states were withdrawn.
    PrivilegeWithdrawn,
    /// Somebody else may have the key of the attribute authority.
    AttributeAuthorityCompromise,
}

impl RevocationReason {
    /// From the number in the encoding.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Unspecified,
            1 => Self::KeyCompromise,
            2 => Self::AuthorityCompromise,
            3 => Self::AffiliationChanged,
            4 => Self::Superseded,
            5 => Self::CessationOfOperation,
            6 => Self::CertificateHold,
            8 => Self::RemoveFromList,
            9 => Self::PrivilegeWithdrawn,
            10 => Self::AttributeAuthorityCompromise,
            _ => return None,
        })
    }

    /// The number in the encoding.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::AuthorityCompromise => 2,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::CertificateHold => 6,
            Self::RemoveFromList => 8,
            Self::PrivilegeWithdrawn => 9,
            Self::AttributeAuthorityCompromise => 10,
        }
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::AuthorityCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::CertificateHold => "certificateHold",
            Self::RemoveFromList => "removeFromCRL",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
            Self::AttributeAuthorityCompromise => "aACompromise",
        })
    }
}

/// The signed statement that a status is based on.
#[derive(Clone, PartialEq, Eq)]
pub struct Evidence {
    /// What kind of statement.
    pub source: EvidenceSource,
    /// Its encoding: a `BasicOCSPResponse` within its `OCSPResponse`, or a `CertificateList`.
    pub der: Arc<[u8]>,
    /// Whose key signed it, RFC 2253.
    pub signer: String,
    /// When it was made: `producedAt` of a response, `thisUpdate` of a list.
    pub made: OffsetDateTime,
    /// Until when it counts.
    pub until: OffsetDateTime,
    /// Where it came from; empty if that is not known.
    pub url: String,
}

impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Evidence({:?} of {} by {}, {} octets)", self.source, self.made, self.signer, self.der.len())
    }
}

/// The kinds of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EvidenceSource {
    /// The answer of a responder.
    Ocsp,
    /// A revocation list.
    List,
}

/// A place that was asked in vain.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{url}: {doubt}")]
pub struct Tried {
    /// The address; empty if the certificate does not spell one that can be read.
    pub url: String,
    /// Why it gave nothing.
    pub doubt: Doubt,
}

/// Why a place, an answer or a list says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Doubt {
    /// Nothing came.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The address has a form that is not asked, LDAP for instance.
    #[error("addresses of this kind are not asked")]
    AddressNotAsked,

    /// What came is larger than allowed.
    #[error("larger than the {limit} {unit} allowed")]
    TooLarge {
        /// The bound.
        limit: usize,
        /// Of what.
        unit: &'static str,
    },
    /// What came cannot be read.
    #[error("cannot be read: {0}")]
    Malformed(&'static str),
    /// What came has a feature that must be understood and is not.
    #[error("not understood: {0}")]
    NotUnderstood(&'static str),
    /// The responder gives no answer.
    #[error("the responder refuses: {0}")]
    Refused(ocsp::Refusal),

    /// It is signed by somebody who is not entitled.
    #[error("not signed by the issuer or for it: {0}")]
    NotAuthorised(&'static str),
    /// The signature does not hold.
    #[error("the signature is wrong")]
    SignatureWrong,
    /// The policy refuses the signature, or it is not supported.
    #[error("{0}")]
    Algorithm(Box<Reason>),
    /// The certificate that the responder signs with is revoked.
    #[error("the certificate of the responder is revoked")]
    SignerRevoked,

    /// It is from the future.
    #[error("made for {}", crate::reason::utc(from))]
    NotYet {
        /// Its beginning.
        from: OffsetDateTime,
    },
    /// There must be newer information by now.
    #[error("out of date since {}", crate::reason::utc(since))]
    Stale {
        /// When newer information was due.
        since: OffsetDateTime,
    },
    /// It does not say when there will be newer information.
    #[error("does not say until when it holds")]
    Undated,
    /// The answer does not repeat our nonce.
    #[error("the answer does not repeat the nonce")]
    NonceMissing,
    /// The answer repeats the nonce of another request.
    #[error("the answer belongs to another request")]
    NonceWrong,

    /// It says nothing about this certificate.
    #[error("says nothing about this certificate: {0}")]
    OutOfScope(&'static str),
    /// The responder does not know the certificate.
    #[error("the responder does not know the certificate")]
    UnknownThere,
}
