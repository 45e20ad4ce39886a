//! What came out of looking at a certificate.

use std::fmt;

use time::OffsetDateTime;

use crate::certificate::Certificate;
use crate::fingerprint::Fingerprint;
use crate::reason::Reason;
use crate::revocation::RevocationStatus;

/// What a certificate is to be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// Signing whole messages.
    TransportSignature,
    /// Signing content as its author.
    ContentSignature,
    /// Being encrypted for, as intermediary, recipient or reader.
    Encryption,
}

impl Use {
    /// Whether it is about signatures.
    #[must_use]
    pub fn is_signature(self) -> bool {
        self != Self::Encryption
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TransportSignature => "signing messages",
            Self::ContentSignature => "signing content",
            Self::Encryption => "encryption",
        })
    }
}

/// The overall judgement. The order is from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Good for the use at the time.
    Valid,
    /// Could not be judged completely, for example because nobody trusted stands behind it.
    Indeterminate,
    /// Not good for the use at the time.
    Invalid,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Valid => "valid",
            Self::Indeterminate => "indeterminate",
            Self::Invalid => "invalid",
        })
    }
}

/// The kind of certificate (OSCI-Transport 1.2, inspection report).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertType {
    /// Behind an advanced signature: an authority that is trusted has issued it.
    Advanced,
    /// States to be qualified, and an authority that is trusted has issued it.
    Qualified,
    /// Issued by an accredited authority. Ended with the German signature act in 2017; never found here.
    Accredited,
    /// No trusted authority vouches for what it states.
    Unknown,
}

/// Whether the issuer's signature is right, from the certificate up to a trust anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MathResult {
    /// Every signature on a path to a trust anchor is right.
    Ok,
    /// An issuer that is known and trusted has not signed this.
    Corrupted,
    /// Cannot be said: issuer unknown, nobody trusted, algorithm unknown or refused.
    Indeterminate,
}

/// Whether the certificate may be used at the time, as far as that can be said without asking anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OfflineResult {
    /// It may.
    Valid,
    /// It may not: outside its validity, not for this use, or not within the rules of its issuers.
    Invalid,
    /// Cannot be said.
    Indeterminate,
}

/// Gives the words of the inspection report (OSCI-Transport 1.2).
macro_rules! words {
    ($($kind:ident { $($variant:ident => $word:literal),* })*) => {$(
        impl $kind {
            /// The word in the inspection report.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )*};
}

words! {
    CertType { Advanced => "advanced", Qualified => "qualified", Accredited => "accredited", Unknown => "unknown" }
    MathResult { Ok => "ok", Corrupted => "corrupted", Indeterminate => "indeterminate" }
    OfflineResult { Valid => "valid", Invalid => "invalid", Indeterminate => "indeterminate" }
}

/// The judgement of one certificate for one use at one time, with everything an inspection report
/// of OSCI-Transport 1.2 says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The time it was judged for.
    pub time: OffsetDateTime,
    /// The use it was judged for.
    pub usage: Use,
    /// Which certificate.
    pub fingerprint: Fingerprint,
    /// Subject, RFC 2253.
    pub subject: String,
    /// Issuer, RFC 2253.
    pub issuer: String,
    /// Serial number, decimal.
    pub serial: String,
    /// Kind of certificate.
    pub cert_type: CertType,
    /// The issuer's signature.
    pub math: MathResult,
    /// Validity period, usage and rules.
    pub offline: OfflineResult,
    /// Revocation of it and the certificates above it: revoked if one is, indeterminate if that cannot be said of one. `None` if
    /// nobody was to be asked.
    pub online: Option<RevocationStatus>,
    /// The trust anchor at which the issuers' signatures end; `None` if they do not reach one.
    pub anchor: Option<Fingerprint>,
    /// The sum of it.
    pub verdict: Verdict,
    /// Everything that speaks against the certificate, and what is worth knowing although it does
    /// not, the gravest first.
    pub reasons: Vec<Reason>,
}

impl Inspection {
    /// Draws the sum from the reasons.
    pub(crate) fn new(
        certificate: &Certificate,
        usage: Use,
        time: OffsetDateTime,
        math: MathResult,
        mut reasons: Vec<Reason>,
    ) -> Self {
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.verdict()));
        let verdict = reasons.first().map_or(Verdict::Valid, Reason::verdict);
        let speaks_against_use = |reason: &Reason| reason.verdict() == Verdict::Invalid && !reason.is_about_signature();
        let offline = if reasons.iter().any(speaks_against_use) {
            OfflineResult::Invalid
        } else if verdict == Verdict::Valid {
            OfflineResult::Valid
        } else {
            OfflineResult::Indeterminate
        };
        let cert_type = match (math, certificate.says_qualified()) {
            (MathResult::Ok, true) => CertType::Qualified,
            (MathResult::Ok, false) => CertType::Advanced,
            _ => CertType::Unknown,
        };
        Self {
            time,
            usage,
            fingerprint: certificate.fingerprint(),
            subject: certificate.subject().to_owned(),
            issuer: certificate.issuer().to_owned(),
            serial: certificate.serial().to_owned(),
            cert_type,
            math,
            offline,
            online: None,
            anchor: None,
            verdict,
            reasons,
        }
    }

    /// Adds what is known about the revocation of the certificate, or of a certificate above it whose subject is `issuer`. What
    /// was added before stays if it is as grave.
    pub(crate) fn add_revocation(&mut self, status: RevocationStatus, issuer: Option<&str>) {
        let reason = match (&status, issuer) {
            (RevocationStatus::Good(_), _) => None,
            (&RevocationStatus::Revoked(revocation, _), None) => Some(Reason::Revoked { revocation }),
            (&RevocationStatus::Revoked(revocation, _), Some(issuer)) => {
                Some(Reason::IssuerRevoked { issuer: issuer.to_owned(), revocation })
            }
            (RevocationStatus::Indeterminate { .. }, issuer) => {
                Some(Reason::RevocationUnknown { issuer: issuer.map(str::to_owned), detail: status.to_string() })
            }
        };
        if let Some(reason) = reason {
            self.verdict = self.verdict.max(reason.verdict());
            self.reasons.push(reason);
            self.reasons.sort_by_key(|reason| std::cmp::Reverse(reason.verdict()));
        }
        let gravity = |status: &RevocationStatus| match status {
            RevocationStatus::Good(_) => 0,
            RevocationStatus::Indeterminate { .. } => 1,
            RevocationStatus::Revoked(..) => 2,
        };
        if self.online.as_ref().is_none_or(|known| gravity(&status) > gravity(known)) {
            self.online = Some(status);
        }
    }

    /// Whether the certificate is outside its own validity period. Distinguishes that from the
    /// other causes of [`OfflineResult::Invalid`], since it has feedback codes of its own.
    #[must_use]
    pub fn is_outside_validity(&self) -> bool {
        self.reasons.iter().any(|reason| matches!(reason, Reason::Expired { .. } | Reason::NotYetValid { .. }))
    }
}
