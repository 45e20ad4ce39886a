//! The judgement itself.

use rohrpost_crypto::policy::{Policy, Purpose, Ruling};
use rohrpost_crypto::{KeyKind, PublicKey};
use time::{Date, OffsetDateTime};

use crate::anchors::Anchors;
use crate::certificate::Certificate;
use crate::inspection::{Inspection, MathResult, Use};
use crate::path;
use crate::reason::Reason;
use crate::signatures::{Authenticity, authenticity};

/// Judges whether a certificate is good for a use at a time.
///
/// `extra` are certificates that may lie on the path to an anchor, in any order, usually what came
/// with the message; none of them is trusted. Only authorities among them matter.
///
/// Looked at are, independently of each other so that a report can tell them apart: the issuers'
/// signatures up to an anchor, the path rules of RFC 5280, and the certificate's own validity, key
/// usage and key. What cannot be judged is [`Indeterminate`](crate::Verdict::Indeterminate) with a
/// reason, never silently good. Revocation is not looked at: that is done by an [`Inspector`](crate::Inspector) with a
/// [`RevocationChecker`](crate::revocation::RevocationChecker).
#[must_use]
pub fn inspect(
    certificate: &Certificate,
    extra: &[Certificate],
    anchors: &Anchors,
    usage: Use,
    policy: &Policy,
    at: OffsetDateTime,
) -> Inspection {
    inspect_path(certificate, extra, anchors, usage, policy, at).0
}

/// The same, and the issuers up to the anchor, the nearest first; none if the certificate is not authentic or an anchor itself.
pub(crate) fn inspect_path(
    certificate: &Certificate,
    extra: &[Certificate],
    anchors: &Anchors,
    usage: Use,
    policy: &Policy,
    at: OffsetDateTime,
) -> (Inspection, Vec<Certificate>) {
    let pool: Vec<&Certificate> = extra.iter().filter(|certificate| certificate.is_authority()).collect();
    let day = at.to_offset(time::UtcOffset::UTC).date();
    let (mut reasons, mut anchor, mut issuers) = (Vec::new(), None, Vec::new());
    check_validity(certificate, at, &mut reasons);
    check_usage(certificate, usage, &mut reasons);
    check_key(certificate, usage, policy, day, &mut reasons);
    let math = match authenticity(certificate, &pool, anchors, policy, day) {
        Authenticity::Anchor => {
            anchor = Some(certificate.fingerprint());
            MathResult::Ok
        }
        Authenticity::SignedBy(signers, notes) => {
            reasons.extend(notes);
            let path = check_path(certificate, &pool, anchors, policy, at, &mut reasons);
            issuers = path.unwrap_or(signers);
            anchor = issuers.last().map(Certificate::fingerprint);
            MathResult::Ok
        }
        Authenticity::Corrupted => {
            reasons.push(Reason::IssuerSignatureWrong);
            MathResult::Corrupted
        }
        Authenticity::Unknown(reason) => {
            reasons.push(reason);
            MathResult::Indeterminate
        }
    };
    (Inspection { anchor, ..Inspection::new(certificate, usage, at, math, reasons) }, issuers)
}

fn check_validity(certificate: &Certificate, at: OffsetDateTime, reasons: &mut Vec<Reason>) {
    if at < certificate.not_before() {
        reasons.push(Reason::NotYetValid { until: certificate.not_before() });
    }
    // The last second counts until it is over.
    if at.unix_timestamp() > certificate.not_after().unix_timestamp() {
        reasons.push(Reason::Expired { since: certificate.not_after() });
    }
}

/// A certificate without the extension may be used for everything (RFC 5280, 4.2.1.3).
fn check_usage(certificate: &Certificate, wanted: Use, reasons: &mut Vec<Reason>) {
    let Some(allowed) = certificate.key_usage() else {
        return;
    };
    let fits = if wanted.is_signature() { allowed.allows_signature() } else { allowed.allows_encryption() };
    if !fits {
        reasons.push(Reason::UsageNotAllowed { wanted, allowed });
    }
}

fn check_key(certificate: &Certificate, usage: Use, policy: &Policy, day: Date, reasons: &mut Vec<Reason>) {
    let key = certificate.public_key().and_then(|key| key.require_supported().map(|()| key));
    let kind = match key.as_ref().map(PublicKey::kind) {
        Ok(kind) => kind,
        Err(cause) => return reasons.push(Reason::KeyUnsupported { cause: cause.clone() }),
    };
    if usage == Use::Encryption && !matches!(kind, KeyKind::Rsa { .. }) {
        reasons.push(Reason::KeyCannotEncrypt { kind });
    }
    match policy.judge(Purpose::KeyLength, kind.name(), Some(kind.bits()), day) {
        Ruling::Refuse => reasons.push(Reason::KeyRefused { kind }),
        Ruling::Warn => reasons.push(Reason::KeyDiscouraged { kind }),
        Ruling::Accept | Ruling::Produce => {}
    }
}

/// The path is judged at a time at which the certificate itself is valid, so that an expired one is
/// reported as expired and nothing else.
fn check_path(
    certificate: &Certificate,
    pool: &[&Certificate],
    anchors: &Anchors,
    policy: &Policy,
    at: OffsetDateTime,
    reasons: &mut Vec<Reason>,
) -> Option<Vec<Certificate>> {
    let own = at.max(certificate.not_before()).min(certificate.not_after());
    match path::check(certificate, pool, anchors, policy, own) {
        Ok(issuers) => return Some(issuers),
        Err(Reason::IssuerOutsideValidity) if own != at => {}
        Err(reason) => reasons.push(reason),
    }
    None
}
