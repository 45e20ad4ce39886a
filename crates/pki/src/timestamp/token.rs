//! Tokens, and what they are worth.

use std::fmt;

use rohrpost_crypto::policy::Policy;
use time::{Duration, OffsetDateTime};

use super::cms::SignedData;
use super::info::Info;
use super::{MAX_LEN, TimestampError, TimestampRequest, response};
use crate::anchors::Anchors;
use crate::certificate::Certificate;
use crate::der;
use crate::inspect::inspect;
use crate::inspection::{Use, Verdict};

/// A stamp by somebody who is trusted (`TimeStampToken` of RFC 3161).
#[derive(Clone, PartialEq, Eq)]
pub struct TimestampToken {
    der: Vec<u8>,
    time: OffsetDateTime,
    serial: String,
    policy: String,
    authority: String,
}

impl TimestampToken {
    /// The encoding.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The time it states.
    #[must_use]
    pub fn time(&self) -> OffsetDateTime {
        self.time
    }

    /// Its number at the service, decimal.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// The policy by which it was made, as a dotted object identifier.
    #[must_use]
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// Subject of the certificate that signed it, RFC 2253.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl fmt::Debug for TimestampToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimestampToken({} of {} by {})", self.serial, self.time, self.authority)
    }
}

/// Whose stamps count.
#[derive(Clone, Debug)]
pub struct TimestampTrust {
    /// Where the path of the service's certificate must end.
    pub anchors: Anchors,
    /// Which algorithms count.
    pub policy: Policy,
    /// By how much the clock of the service and ours may differ, the way of the answer included.
    pub tolerance: Duration,
}

impl TimestampTrust {
    /// Trusts these anchors by the standard policy; clocks may differ by five minutes.
    #[must_use]
    pub fn new(anchors: Anchors) -> Self {
        Self { anchors, policy: Policy::standard(), tolerance: Duration::minutes(5) }
    }

    /// Looks at the answer to a question that was just asked.
    ///
    /// # Errors
    /// [`TimestampError`] if it is no stamp, not for this question, not of now, or not by somebody who is trusted.
    pub fn accept(
        &self,
        answer: &[u8],
        question: &TimestampRequest,
        at: OffsetDateTime,
    ) -> Result<TimestampToken, TimestampError> {
        let token = response::token(answer)?;
        let signed = SignedData::read(token)?;
        let info = read(&signed)?;
        if info.imprint != Some(question.imprint()) {
            return Err(TimestampError::ImprintWrong);
        }
        if info.nonce != Some(question.nonce()) {
            return Err(TimestampError::NonceWrong);
        }
        if (info.time - at).abs() > self.tolerance {
            return Err(TimestampError::NotNow { time: info.time });
        }
        self.judge(token, &signed, info)
    }

    /// Looks at a token that was kept: whether it is a stamp of `imprint`. Certificates are judged at the time that it states.
    ///
    /// # Errors
    /// [`TimestampError`] if it is no stamp, of something else, or not by somebody who was trusted.
    pub fn verify(&self, token: &[u8], imprint: &[u8; 32]) -> Result<TimestampToken, TimestampError> {
        if token.len() > MAX_LEN {
            return Err(TimestampError::TooLarge);
        }
        let signed = SignedData::read(token)?;
        let info = read(&signed)?;
        if info.imprint != Some(imprint) {
            return Err(TimestampError::ImprintWrong);
        }
        self.judge(token, &signed, info)
    }

    fn judge(&self, token: &[u8], signed: &SignedData<'_>, info: Info<'_>) -> Result<TimestampToken, TimestampError> {
        let (signer, others) = signed.certificates()?;
        let subject = || signer.subject().to_owned();
        if !is_for_timestamps_alone(&signer) || info.authority.is_some_and(|name| name != signer.subject_der()) {
            return Err(TimestampError::NotForTimestamps { subject: subject() });
        }
        let found = inspect(&signer, &others, &self.anchors, Use::TransportSignature, &self.policy, info.time);
        if found.verdict != Verdict::Valid {
            return Err(TimestampError::NotTrusted { subject: subject(), reasons: found.reasons });
        }
        signed.verify(&signer, &self.policy, info.time)?;
        Ok(TimestampToken {
            der: token.to_vec(),
            time: info.time,
            serial: info.serial,
            policy: info.policy,
            authority: subject(),
        })
    }
}

fn read<'a>(signed: &SignedData<'a>) -> Result<Info<'a>, TimestampError> {
    let info = Info::read(signed.content).ok_or(TimestampError::Malformed("what is stamped"))?;
    match info.has_critical_extension {
        true => Err(TimestampError::NotUnderstood("a critical extension")),
        false => Ok(info),
    }
}

/// Whether the key usage of a service is as RFC 3161, 2.3 demands it: critical, and for nothing else.
fn is_for_timestamps_alone(certificate: &Certificate) -> bool {
    const PURPOSES: &[u8] = &[0x55, 0x1d, 0x25];
    const TIME_STAMPING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];
    let extensions = certificate.extensions().unwrap_or_default();
    let purposes = extensions.iter().find(|extension| extension.oid == PURPOSES && extension.critical);
    let purposes = purposes.and_then(|purposes| der::expect(der::SEQUENCE, purposes.value));
    let purposes = purposes.and_then(|(list, _)| der::elements(list.content)).unwrap_or_default();
    matches!(purposes.as_slice(), [only] if only.content == TIME_STAMPING)
}
