//! The issuers' signatures, from a certificate up to a trust anchor, whatever the certificates say
//! about time and purpose: the answer to "is this certificate authentic".

use rohrpost_crypto::policy::{Policy, Purpose, Ruling};
use rohrpost_crypto::{KeyKind, PublicKey, X509SignatureAlgorithm};
use time::Date;

use crate::anchors::Anchors;
use crate::certificate::Certificate;
use crate::reason::Reason;

/// What the signatures say.
#[derive(Debug)]
pub(crate) enum Authenticity {
    /// The certificate is a trust anchor itself.
    Anchor,
    /// Signed by the first of these, that one by the next, the last of which is an anchor. The findings are worth knowing only.
    SignedBy(Vec<Certificate>, Vec<Reason>),
    /// A known and trusted issuer has not signed it.
    Corrupted,
    /// Cannot be said.
    Unknown(Reason),
}

/// Judges the signatures; `pool` holds certificates that may lie between, none of them trusted.
pub(crate) fn authenticity(
    certificate: &Certificate,
    pool: &[&Certificate],
    anchors: &Anchors,
    policy: &Policy,
    day: Date,
) -> Authenticity {
    if anchors.contains(certificate.fingerprint()) {
        return Authenticity::Anchor;
    }
    let mut search = Search { pool, anchors, policy, day, checks_left: MAX_CHECKS, path: Vec::new() };
    let found = search.look(certificate);
    let nothing = if search.checks_left == 0 { Reason::PathTooComplex } else { Reason::IssuerUnknown };
    found.unwrap_or(Authenticity::Unknown(nothing))
}

/// Signatures checked for one certificate at most.
const MAX_CHECKS: u32 = 64;
/// Authorities between a certificate and the anchor at most; the same number as in webpki.
const MAX_INTERMEDIATES: usize = 6;

struct Search<'a> {
    pool: &'a [&'a Certificate],
    anchors: &'a Anchors,
    policy: &'a Policy,
    day: Date,
    checks_left: u32,
    path: Vec<Certificate>,
}

impl Search<'_> {
    /// The best that any candidate for the issuer leads to; `None` if there is no candidate.
    fn look(&mut self, certificate: &Certificate) -> Option<Authenticity> {
        let mut best = self.look_at_itself(certificate);
        for anchor in self.anchors.with_subject(certificate.issuer_der()) {
            let found = match self.link(certificate, anchor) {
                Some(Link::Right(notes)) => return Some(Authenticity::SignedBy(vec![anchor.clone()], notes)),
                Some(Link::Wrong) => Authenticity::Corrupted,
                Some(Link::Unclear(reason)) => Authenticity::Unknown(reason),
                None => continue,
            };
            best = better(best, found);
        }
        if self.path.len() >= MAX_INTERMEDIATES {
            return better(best, Authenticity::Unknown(Reason::PathTooComplex));
        }
        self.path.push(certificate.clone());
        for &candidate in self.pool {
            if let Some(found) = self.look_beyond(certificate, candidate) {
                let done = matches!(found, Authenticity::SignedBy(..));
                best = better(best, found);
                if done {
                    break;
                }
            }
        }
        self.path.pop();
        best
    }

    /// What a certificate from the pool leads to, if it may be the issuer.
    fn look_beyond(&mut self, certificate: &Certificate, candidate: &Certificate) -> Option<Authenticity> {
        let is_on_path = self.path.iter().any(|passed| passed.spki_der() == candidate.spki_der());
        if is_on_path || candidate.subject_der() != certificate.issuer_der() {
            return None;
        }
        match self.link(certificate, candidate)? {
            Link::Right(mut notes) => match self.look(candidate)? {
                Authenticity::SignedBy(mut issuers, more) => {
                    notes.extend(more);
                    issuers.insert(0, candidate.clone());
                    Some(Authenticity::SignedBy(issuers, notes))
                }
                other => Some(other),
            },
            // Only a trusted issuer can disown a certificate; anyone may claim to be an issuer.
            Link::Wrong => match self.look(candidate)? {
                Authenticity::SignedBy(..) => Some(Authenticity::Corrupted),
                _ => None,
            },
            Link::Unclear(reason) => Some(Authenticity::Unknown(reason)),
        }
    }

    /// A certificate that names itself as its issuer is authentic only as an anchor, but it can be
    /// found to be corrupted.
    fn look_at_itself(&mut self, certificate: &Certificate) -> Option<Authenticity> {
        if !certificate.is_self_issued() || !self.path.is_empty() {
            return None;
        }
        match self.link(certificate, certificate)? {
            Link::Right(_) => Some(Authenticity::Unknown(Reason::SelfSigned)),
            Link::Wrong => Some(Authenticity::Corrupted),
            Link::Unclear(reason) => Some(Authenticity::Unknown(reason)),
        }
    }

    /// Checks one signature; `None` if the key identifiers say that it is another issuer's, or if
    /// there was enough checking.
    fn link(&mut self, certificate: &Certificate, issuer: &Certificate) -> Option<Link> {
        if let (Some(wanted), Some(own)) = (certificate.authority_key_id(), issuer.subject_key_id())
            && wanted != own
        {
            return None;
        }
        self.checks_left = self.checks_left.checked_sub(1)?;
        let Ok(key) = issuer.public_key() else {
            return Some(Link::Unclear(Reason::AlgorithmUnsupported));
        };
        Some(match believable(certificate, &key, self.policy, self.day) {
            Err(reason) => Link::Unclear(reason),
            Ok((algorithm, notes)) => {
                match key.verify_x509(algorithm, certificate.tbs_der(), certificate.signature()) {
                    Ok(()) => Link::Right(notes),
                    Err(_) => Link::Wrong,
                }
            }
        })
    }
}

enum Link {
    Right(Vec<Reason>),
    Wrong,
    Unclear(Reason),
}

/// Whether the signature on a certificate would count with this key, and what the policy warns of.
pub(crate) fn believable(
    certificate: &Certificate,
    issuer_key: &PublicKey,
    policy: &Policy,
    day: Date,
) -> Result<(X509SignatureAlgorithm, Vec<Reason>), Reason> {
    acceptable(certificate.signature_algorithm_der(), issuer_key, policy, day)
}

/// Whether a signature with this algorithm, given as AlgorithmIdentifier, and key would count, and what the policy warns of.
pub(crate) fn acceptable(
    algorithm: &[u8],
    issuer_key: &PublicKey,
    policy: &Policy,
    day: Date,
) -> Result<(X509SignatureAlgorithm, Vec<Reason>), Reason> {
    let key = issuer_key.kind();
    let algorithm = X509SignatureAlgorithm::from_der(algorithm)
        .filter(|_| key != KeyKind::Unsupported)
        .ok_or(Reason::AlgorithmUnsupported)?;
    let name = algorithm.uri();
    match policy.judge(Purpose::CertificateSignature, name, Some(key.bits()), day) {
        Ruling::Refuse => Err(Reason::AlgorithmRefused { algorithm: name, key }),
        Ruling::Warn => Ok((algorithm, vec![Reason::AlgorithmDiscouraged { algorithm: name, key }])),
        Ruling::Accept | Ruling::Produce => Ok((algorithm, Vec::new())),
    }
}

/// The more telling of two findings: signed, then corrupted, then a reason why it is unknown.
fn better(best: Option<Authenticity>, found: Authenticity) -> Option<Authenticity> {
    let rank = |finding: &Authenticity| match finding {
        Authenticity::Anchor | Authenticity::SignedBy(..) => 4,
        Authenticity::Corrupted => 3,
        Authenticity::Unknown(Reason::IssuerUnknown) => 0,
        Authenticity::Unknown(Reason::SelfSigned) => 1,
        Authenticity::Unknown(_) => 2,
    };
    match best {
        Some(best) if rank(&best) >= rank(&found) => Some(best),
        _ => Some(found),
    }
}
