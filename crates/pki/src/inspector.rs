//! Inspection with a memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rohrpost_crypto::policy::Policy;
use time::OffsetDateTime;

use crate::anchors::Anchors;
use crate::certificate::{Certificate, CertificateError};
use crate::fingerprint::Fingerprint;
use crate::inspect::inspect_path;
use crate::inspection::{Inspection, Use};
use crate::revocation::{RevocationChecker, RevocationStatus};

/// Inspects certificates under fixed anchors and a fixed policy, and remembers the results of the
/// current minute: the same few certificates come with every message.
///
/// ```
/// use rohrpost_crypto::policy::Policy;
/// use rohrpost_pki::{Anchors, Inspector, Use, Verdict, pem};
/// use time::macros::datetime;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let anchors = Anchors::from_pem(include_bytes!("../../../certs-test/ca/root-ca.cert.pem"))?;
/// let between = pem::certificates(include_bytes!("../../../certs-test/ca/registry-ca.cert.pem"))?;
/// let inspector = Inspector::new(anchors, Policy::standard()).with_intermediates(between);
///
/// let alice = pem::certificates(include_bytes!("../../../certs-test/pem/alice-signature.cert.pem"))?.remove(0);
/// let inspection = inspector.inspect(&alice, &[], Use::TransportSignature, datetime!(2026-12-01 12:00 UTC));
/// assert_eq!(inspection.verdict, Verdict::Valid);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Inspector {
    anchors: Anchors,
    intermediates: Vec<Certificate>,
    policy: Policy,
    revocation: Option<RevocationChecker>,
    seen: Mutex<HashMap<Key, Arc<Seen>>>,
    parsed: Mutex<HashMap<Fingerprint, Certificate>>,
}

/// What is remembered of a certificate: everything but revocation, which has a memory of its own.
#[derive(Debug)]
struct Seen {
    inspection: Inspection,
    /// Up to the anchor, the nearest first.
    issuers: Vec<Certificate>,
}

/// Results kept at most.
const CAPACITY: usize = 4096;
/// Parsed certificates kept at most, and how long their encoding may be. Anybody may send certificates.
const PARSED: usize = 1024;
const PARSED_LEN: usize = 4 * 1024;

/// Everything a result depends on. The certificate's own validity is judged to the second, that of
/// its issuers to the minute.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Key {
    certificate: Fingerprint,
    usage: Use,
    minute: i64,
    phase: Phase,
    extra: Option<[u8; 32]>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Phase {
    Before,
    Within,
    After,
}

impl Inspector {
    /// An inspector that trusts the anchors and judges algorithms and keys by the policy.
    #[must_use]
    pub fn new(anchors: Anchors, policy: Policy) -> Self {
        Self {
            anchors,
            intermediates: Vec::new(),
            policy,
            revocation: None,
            seen: Mutex::default(),
            parsed: Mutex::default(),
        }
    }

    /// Knows these certificates too, beside those that come with a message. They are not trusted.
    #[must_use]
    pub fn with_intermediates(mut self, intermediates: Vec<Certificate>) -> Self {
        self.intermediates = intermediates;
        self
    }

    /// Asks about revocation, too: about every certificate and those above it, except the anchor.
    #[must_use]
    pub fn with_revocation(mut self, revocation: RevocationChecker) -> Self {
        self.revocation = Some(revocation);
        self
    }

    /// Parses as [`Certificate::from_der`] does, and remembers the result: parsing takes longer than hashing.
    ///
    /// # Errors
    /// Those of [`Certificate::from_der`].
    pub fn certificate(&self, der: &[u8]) -> Result<Certificate, CertificateError> {
        if der.len() > PARSED_LEN {
            return Certificate::from_der(der);
        }
        let fingerprint = Fingerprint::of(der);
        if let Some(known) = lock(&self.parsed).get(&fingerprint) {
            return Ok(known.clone());
        }
        let certificate = Certificate::from_der(der)?;
        let mut parsed = lock(&self.parsed);
        if parsed.len() >= PARSED {
            parsed.clear();
        }
        parsed.insert(fingerprint, certificate.clone());
        Ok(certificate)
    }

    /// Judges as [`inspect`](crate::inspect()) does, with `extra` and the known intermediates on the path, and looks at revocation
    /// if it is to. Waits for the network then, unless the answers are known.
    #[must_use]
    pub fn inspect(
        &self,
        certificate: &Certificate,
        extra: &[Certificate],
        usage: Use,
        at: OffsetDateTime,
    ) -> Inspection {
        let seen = self.look(certificate, extra, usage, at);
        self.complete(&seen, certificate, at, |checker, certificate, issuer| {
            Some(checker.check(certificate, issuer, &self.policy, at))
        })
        .expect("a check always ends with a status")
    }

    /// The same, without waiting for anybody: `None` if somebody would have to be asked.
    #[must_use]
    pub fn inspect_without_asking(
        &self,
        certificate: &Certificate,
        extra: &[Certificate],
        usage: Use,
        at: OffsetDateTime,
    ) -> Option<Inspection> {
        let seen = self.look(certificate, extra, usage, at);
        self.complete(&seen, certificate, at, |checker, certificate, issuer| checker.recall(certificate, issuer, at))
    }

    /// The same with what is known, whoever would have to be asked: then it counts as unknown whether the certificate is revoked.
    #[must_use]
    pub fn inspect_with_what_is_known(
        &self,
        certificate: &Certificate,
        extra: &[Certificate],
        usage: Use,
        at: OffsetDateTime,
    ) -> Inspection {
        let seen = self.look(certificate, extra, usage, at);
        self.complete(&seen, certificate, at, |checker, certificate, issuer| {
            let known = checker.recall(certificate, issuer, at);
            Some(known.unwrap_or_else(|| RevocationStatus::Indeterminate { tried: Vec::new() }))
        })
        .expect("there is always a status")
    }

    /// Everything but revocation.
    fn look(&self, certificate: &Certificate, extra: &[Certificate], usage: Use, at: OffsetDateTime) -> Arc<Seen> {
        let key = Key::new(certificate, extra, usage, at);
        if let Some(known) = lock(&self.seen).get(&key) {
            return Arc::clone(known);
        }
        let pool: Vec<_> = self.intermediates.iter().chain(extra).cloned().collect();
        let (inspection, issuers) = inspect_path(certificate, &pool, &self.anchors, usage, &self.policy, at);
        let seen = Arc::new(Seen { inspection, issuers });
        self.keep(key, Arc::clone(&seen));
        seen
    }

    /// Adds revocation, from the certificate upwards until one is revoked.
    fn complete(
        &self,
        seen: &Seen,
        certificate: &Certificate,
        at: OffsetDateTime,
        status: impl Fn(&RevocationChecker, &Certificate, &Certificate) -> Option<RevocationStatus>,
    ) -> Option<Inspection> {
        let mut inspection = Inspection { time: at, ..seen.inspection.clone() };
        let Some(checker) = &self.revocation else { return Some(inspection) };
        let mut below = certificate;
        for issuer in &seen.issuers {
            let subject = (below != certificate).then(|| below.subject());
            inspection.add_revocation(status(checker, below, issuer)?, subject);
            if matches!(inspection.online, Some(RevocationStatus::Revoked(..))) {
                break;
            }
            below = issuer;
        }
        Some(inspection)
    }

    /// Whom it trusts.
    #[must_use]
    pub fn anchors(&self) -> &Anchors {
        &self.anchors
    }

    /// What it judges by.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    fn keep(&self, key: Key, found: Arc<Seen>) {
        let mut seen = lock(&self.seen);
        if seen.len() >= CAPACITY {
            seen.retain(|other, _| other.minute == key.minute);
        }
        if seen.len() >= CAPACITY {
            seen.clear();
        }
        seen.insert(key, found);
    }
}

fn lock<K, V>(map: &Mutex<HashMap<K, V>>) -> MutexGuard<'_, HashMap<K, V>> {
    // The maps are only ever changed by single calls, so they are whole even after a panic.
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Key {
    fn new(certificate: &Certificate, extra: &[Certificate], usage: Use, at: OffsetDateTime) -> Self {
        let seconds = at.unix_timestamp();
        let phase = if at < certificate.not_before() {
            Phase::Before
        } else if seconds > certificate.not_after().unix_timestamp() {
            Phase::After
        } else {
            Phase::Within
        };
        Self {
            certificate: certificate.fingerprint(),
            usage,
            minute: seconds.div_euclid(60),
            phase,
            extra: digest(extra),
        }
    }
}

/// One value for the authorities among the certificates; nothing else in `extra` has influence.
fn digest(extra: &[Certificate]) -> Option<[u8; 32]> {
    let mut authorities: Vec<_> =
        extra.iter().filter(|certificate| certificate.is_authority()).map(Certificate::fingerprint).collect();
    authorities.sort_unstable();
    authorities.dedup();
    if authorities.is_empty() {
        return None;
    }
    let joined: Vec<u8> = authorities.iter().flat_map(|fingerprint| *fingerprint.as_bytes()).collect();
    Some(rohrpost_crypto::sha256(&joined))
}

#[cfg(test)]
mod tests {
    use rohrpost_crypto::{Curve, PrivateKey, SystemRandom};
    use time::macros::datetime;

    use super::*;
    use crate::inspection::Verdict;
    use crate::issue::{Authority, Name, Template, Validity};

    const BEGIN: OffsetDateTime = datetime!(2026-01-01 12:00:00 UTC);
    const END: OffsetDateTime = datetime!(2026-06-01 12:00:30 UTC);

    struct Pki {
        root: Authority,
        sub: Authority,
        leaf: Certificate,
    }

    fn pki() -> Pki {
        let key = || PrivateKey::generate_ec(Curve::P256).unwrap();
        let name = |common: &str| Name::new().common_name(common);
        let long = Validity::new(datetime!(2025-01-01 0:00 UTC), datetime!(2035-01-01 0:00 UTC));
        let root = Authority::root(&Template::authority(name("Root"), long, None), key(), &SystemRandom).unwrap();
        let sub = root.subordinate(&Template::authority(name("Sub"), long, None), key(), &SystemRandom).unwrap();
        let template = Template::signature(name("Leaf"), Validity::new(BEGIN, END));
        let leaf = sub.issue(&template, key().public_key(), &SystemRandom).unwrap();
        Pki { root, sub, leaf }
    }

    fn inspector(pki: &Pki) -> Inspector {
        let mut anchors = Anchors::new();
        anchors.add(pki.root.certificate().clone()).unwrap();
        Inspector::new(anchors, Policy::standard())
    }

    #[test]
    fn remembers_the_result_but_not_its_time() {
        let pki = pki();
        let inspector = inspector(&pki).with_intermediates(vec![pki.sub.certificate().clone()]);
        let first = inspector.inspect(&pki.leaf, &[], Use::ContentSignature, BEGIN);
        let later = BEGIN + time::Duration::seconds(20);
        let second = inspector.inspect(&pki.leaf, &[], Use::ContentSignature, later);
        assert_eq!(lock(&inspector.seen).len(), 1);
        assert_eq!(second, Inspection { time: later, ..first });
        let _ = inspector.inspect(&pki.leaf, &[], Use::TransportSignature, later);
        let _ = inspector.inspect(&pki.leaf, &[], Use::ContentSignature, later + time::Duration::minutes(1));
        assert_eq!(lock(&inspector.seen).len(), 3);
    }

    #[test]
    fn does_not_remember_across_the_ends_of_validity() {
        let pki = pki();
        let inspector = inspector(&pki).with_intermediates(vec![pki.sub.certificate().clone()]);
        let judge = |at| inspector.inspect(&pki.leaf, &[], Use::ContentSignature, at).verdict;
        assert_eq!(judge(END), Verdict::Valid);
        assert_eq!(judge(END + time::Duration::seconds(1)), Verdict::Invalid);
        assert_eq!(judge(BEGIN - time::Duration::seconds(1)), Verdict::Invalid);
        assert_eq!(judge(BEGIN), Verdict::Valid);
    }

    #[test]
    fn does_not_confuse_what_came_with_different_messages() {
        let pki = pki();
        let inspector = inspector(&pki);
        let with = [pki.leaf.clone(), pki.sub.certificate().clone()];
        let judge = |extra: &[Certificate]| inspector.inspect(&pki.leaf, extra, Use::ContentSignature, BEGIN).verdict;
        assert_eq!(judge(&[]), Verdict::Indeterminate);
        assert_eq!(judge(&with), Verdict::Valid);
        assert_eq!(judge(&with[..1]), Verdict::Indeterminate);
        assert_eq!(lock(&inspector.seen).len(), 2);
    }

    #[test]
    fn parses_a_certificate_once() {
        let pki = pki();
        let inspector = inspector(&pki);
        let first = inspector.certificate(pki.leaf.der()).unwrap();
        let second = inspector.certificate(pki.leaf.der()).unwrap();
        assert_eq!((&first, &second), (&pki.leaf, &pki.leaf));
        assert_eq!(lock(&inspector.parsed).len(), 1);
    }

    #[test]
    fn does_not_remember_what_is_no_certificate_or_long() {
        let pki = pki();
        let inspector = inspector(&pki);
        let mut trailing = pki.leaf.der().to_vec();
        trailing.push(0);
        assert!(matches!(inspector.certificate(&trailing), Err(CertificateError::TrailingData { octets: 1 })));
        assert!(inspector.certificate(&vec![0x30; PARSED_LEN + 1]).is_err());
        assert_eq!(lock(&inspector.parsed).len(), 0);
    }

    #[test]
    fn keeps_a_bounded_number_of_certificates() {
        let pki = pki();
        let inspector = inspector(&pki);
        for number in 0..PARSED {
            let mut octets = [0; 32];
            octets[..4].copy_from_slice(&u32::try_from(number).unwrap().to_be_bytes());
            lock(&inspector.parsed).insert(octets.into(), pki.leaf.clone());
        }
        inspector.certificate(pki.leaf.der()).unwrap();
        assert_eq!(lock(&inspector.parsed).len(), 1);
    }

    #[test]
    fn keeps_a_bounded_number_of_results() {
        let pki = pki();
        let inspector = inspector(&pki);
        let found = inspector.look(&pki.leaf, &[], Use::ContentSignature, BEGIN);
        for number in 0..2 * u32::try_from(CAPACITY).unwrap() {
            let mut octets = [0; 32];
            octets[..4].copy_from_slice(&number.to_be_bytes());
            let key = Key { certificate: octets.into(), ..Key::new(&pki.leaf, &[], Use::ContentSignature, BEGIN) };
            inspector.keep(key, Arc::clone(&found));
            assert!(lock(&inspector.seen).len() <= CAPACITY);
        }
    }
}
