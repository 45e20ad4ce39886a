//! Why a certificate was judged as it was.

use rohrpost_crypto::{KeyError, KeyKind};
use thiserror::Error;
use time::OffsetDateTime;
use time::UtcOffset;
use time::format_description::well_known::Rfc3339;

use crate::inspection::{Use, Verdict};
use crate::key_usage::KeyUsage;
use crate::revocation::Revocation;

/// One finding about a certificate. The text says what was found; [`Reason::verdict`] how grave it is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// The issuer it names is trusted, but has not signed it.
    #[error("the issuer's signature on the certificate, or on one above it, is wrong")]
    IssuerSignatureWrong,

    /// The certificate is not valid any more.
    #[error("expired at {}", utc(since))]
    Expired {
        /// The last second of validity.
        since: OffsetDateTime,
    },
    /// The certificate is not valid yet.
    #[error("not valid before {}", utc(until))]
    NotYetValid {
        /// The first second of validity.
        until: OffsetDateTime,
    },
    /// A certificate above it is outside its validity.
    #[error("the certificate of an issuer is outside its validity period")]
    IssuerOutsideValidity,
    /// The holder of a certificate above it is not an authority.
    #[error("an issuer is not allowed to issue certificates")]
    IssuerNotAuthority,
    /// An issuer has restricted what may be issued below it.
    #[error("the certificate breaks a constraint of an issuer: {detail}")]
    ConstraintBroken {
        /// Which constraint.
        detail: &'static str,
    },
    /// The certificate is that of an authority.
    #[error("the certificate of an authority is not meant for messages")]
    AuthorityAsEndEntity,
    /// The key usage extension excludes the use.
    #[error("the key usage ({allowed}) does not allow {wanted}")]
    UsageNotAllowed {
        /// What it was to be used for.
        wanted: Use,
        /// What the certificate allows.
        allowed: KeyUsage,
    },
    /// Nothing can be encrypted for a key of this kind.
    #[error("a key of kind {} cannot be encrypted for", kind.name())]
    KeyCannotEncrypt {
        /// The kind of the key.
        kind: KeyKind,
    },
    /// The policy refuses the key, usually for its length.
    #[error("the policy refuses keys like this one ({}, {} bits)", kind.name(), kind.bits())]
    KeyRefused {
        /// Kind and length of the key.
        kind: KeyKind,
    },

    /// The issuer has taken it back.
    #[error("{revocation}")]
    Revoked {
        /// When and why.
        revocation: Revocation,
    },
    /// A certificate above it was taken back.
    #[error("the certificate of {issuer} above it is {revocation}")]
    IssuerRevoked {
        /// Subject of the certificate taken back.
        issuer: String,
        /// When and why.
        revocation: Revocation,
    },

    /// Nobody could or would say whether it, or a certificate above it, was taken back.
    #[error("whether {} was revoked cannot be said: {detail}", issuer.as_deref().unwrap_or("it"))]
    RevocationUnknown {
        /// Subject of the certificate above it, if it is not the certificate itself.
        issuer: Option<String>,
        /// Who was asked, and what came of it.
        detail: String,
    },
    /// No certificate of the issuer is known.
    #[error("the issuer is unknown or not trusted")]
    IssuerUnknown,
    /// The certificate vouches for itself and is not a trust anchor.
    #[error("self-signed and not a trust anchor")]
    SelfSigned,
    /// The issuer's signature uses an algorithm that is not supported.
    #[error("the algorithm of an issuer's signature is not supported")]
    AlgorithmUnsupported,
    /// The policy refuses the algorithm of an issuer's signature, or its key.
    #[error("the policy refuses an issuer's signature with {algorithm} and {} bits", key.bits())]
    AlgorithmRefused {
        /// Identifier of the algorithm.
        algorithm: &'static str,
        /// Kind and length of the issuer's key.
        key: KeyKind,
    },
    /// The certified key is not supported.
    #[error("{cause}")]
    KeyUnsupported {
        /// What was found.
        cause: KeyError,
    },
    /// The path to a trust anchor has a feature that is not understood.
    #[error("the path to a trust anchor cannot be judged: {detail}")]
    PathNotUnderstood {
        /// What was found.
        detail: String,
    },
    /// Too many certificates that might be issuers, or too long a path.
    #[error("the path to a trust anchor is too long or too branched")]
    PathTooComplex,

    /// The policy warns of the key. Not held against the certificate.
    #[error("the policy advises against keys like this one ({}, {} bits)", kind.name(), kind.bits())]
    KeyDiscouraged {
        /// Kind and length of the key.
        kind: KeyKind,
    },
    /// The policy warns of an issuer's signature. Not held against the certificate.
    #[error("the policy advises against an issuer's signature with {algorithm} and {} bits", key.bits())]
    AlgorithmDiscouraged {
        /// Identifier of the algorithm.
        algorithm: &'static str,
        /// Kind and length of the issuer's key.
        key: KeyKind,
    },
}

impl Reason {
    /// What a certificate with this finding can be at best.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::IssuerSignatureWrong
            | Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::IssuerOutsideValidity
            | Self::IssuerNotAuthority
            | Self::ConstraintBroken { .. }
            | Self::AuthorityAsEndEntity
            | Self::UsageNotAllowed { .. }
            | Self::KeyCannotEncrypt { .. }
            | Self::KeyRefused { .. }
            | Self::Revoked { .. }
            | Self::IssuerRevoked { .. } => Verdict::Invalid,
            Self::RevocationUnknown { .. }
            | Self::IssuerUnknown
            | Self::SelfSigned
            | Self::AlgorithmUnsupported
            | Self::AlgorithmRefused { .. }
            | Self::KeyUnsupported { .. }
            | Self::PathNotUnderstood { .. }
            | Self::PathTooComplex => Verdict::Indeterminate,
            Self::KeyDiscouraged { .. } | Self::AlgorithmDiscouraged { .. } => Verdict::Valid,
        }
    }

    /// Whether it is told by the result of the issuer's signature rather than by that of the rules.
    pub(crate) fn is_about_signature(&self) -> bool {
        matches!(self, Self::IssuerSignatureWrong)
    }
}

pub(crate) fn utc(at: &OffsetDateTime) -> String {
    // Years of more than four digits cannot stand in a certificate.
    at.to_offset(UtcOffset::UTC).format(&Rfc3339).unwrap_or_else(|_| at.to_string())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn texts_tell_times_in_utc() {
        let at = datetime!(2026-01-01 1:00 +1);
        assert_eq!(Reason::Expired { since: at }.to_string(), "expired at 2026-01-01T00:00:00Z");
        assert_eq!(Reason::NotYetValid { until: at }.to_string(), "not valid before 2026-01-01T00:00:00Z");
    }
}
