//! What revocation makes of a judgement.

use std::sync::Arc;

use rohrpost_crypto::SystemRandom;
use rohrpost_crypto::policy::Policy;
use rohrpost_pki::issue::{Authority, Revoked, Template, Validity};
use rohrpost_pki::revocation::{Fetcher, RevocationChecker, RevocationSettings, RevocationStatus};
use rohrpost_pki::{Anchors, Certificate, Inspection, Inspector, MathResult, OfflineResult, Reason, Use, Verdict};
use time::Duration;

use crate::checker::Net;
use crate::pki::{NOW, authority, current, issue, key, long, name};

const OF_ROOT: &str = "http://lists.example/root.crl";
const OF_SUB: &str = "http://lists.example/sub.crl";

/// A root, an authority below it and a certificate below that.
struct Chain {
    root: Authority,
    sub: Authority,
    leaf: Certificate,
}

impl Chain {
    fn new() -> Self {
        let root = authority("Root");
        let template = Template::authority(name("Sub"), long(), None).revocation_list(OF_ROOT);
        let sub = root.subordinate(&template, key(), &SystemRandom).unwrap();
        let leaf = issue(&sub, &Template::signature(name("Leaf"), long()).revocation_list(OF_SUB));
        Self { root, sub, leaf }
    }

    /// A network in which each list, if there is one, has the certificate below its issuer on it or not.
    fn net(&self, sub: Option<bool>, leaf: Option<bool>) -> Net {
        let list = |issuer: &Authority, certificate, revoked| {
            let entries = [Revoked { certificate, since: NOW - Duration::DAY, reason: None }];
            issuer.revoke(&entries[..usize::from(revoked)], current(), 1).unwrap()
        };
        let mut net = Net::default();
        if let Some(revoked) = sub {
            let der = list(&self.root, self.sub.certificate(), revoked);
            net = net.with(OF_ROOT, move |_| Ok(der.clone()));
        }
        if let Some(revoked) = leaf {
            let der = list(&self.sub, &self.leaf, revoked);
            net = net.with(OF_SUB, move |_| Ok(der.clone()));
        }
        net
    }

    fn inspector(&self, net: &Arc<Net>) -> Inspector {
        let mut anchors = Anchors::new();
        anchors.add(self.root.certificate().clone()).unwrap();
        let fetcher = Arc::clone(net) as Arc<dyn Fetcher>;
        let checker = RevocationChecker::new(fetcher, Arc::new(SystemRandom), RevocationSettings::default());
        Inspector::new(anchors, Policy::standard())
            .with_intermediates(vec![self.sub.certificate().clone()])
            .with_revocation(checker)
    }

    fn judge(&self, sub: Option<bool>, leaf: Option<bool>) -> (Inspection, Vec<String>) {
        let net = Arc::new(self.net(sub, leaf));
        let found = self.inspector(&net).inspect(&self.leaf, &[], Use::TransportSignature, NOW);
        (found, net.calls())
    }
}

#[test]
fn everything_up_to_the_anchor_is_asked_about() {
    let (found, calls) = Chain::new().judge(Some(false), Some(false));
    assert_eq!((found.verdict, found.reasons.len()), (Verdict::Valid, 0));
    let Some(RevocationStatus::Good(evidence)) = found.online else { panic!("{:?}", found.online) };
    assert_eq!(evidence.url, OF_SUB, "the evidence is about the certificate itself");
    assert_eq!(calls, [OF_SUB, OF_ROOT]);
}

#[test]
fn a_revoked_certificate_is_invalid_whatever_else_is_known() {
    for sub in [Some(false), Some(true), None] {
        let (found, calls) = Chain::new().judge(sub, Some(true));
        assert_eq!(found.verdict, Verdict::Invalid);
        assert!(matches!(found.online, Some(RevocationStatus::Revoked(..))));
        assert!(matches!(found.reasons[..], [Reason::Revoked { .. }]));
        assert_eq!((found.math, found.offline), (MathResult::Ok, OfflineResult::Valid), "that is told apart");
        assert_eq!(calls, [OF_SUB]);
    }
}

#[test]
fn a_revoked_authority_takes_everything_below_it_along() {
    for leaf in [Some(false), None] {
        let (found, _) = Chain::new().judge(Some(true), leaf);
        assert_eq!(found.verdict, Verdict::Invalid);
        assert!(matches!(found.online, Some(RevocationStatus::Revoked(..))));
        assert!(
            found.reasons[0]
                .to_string()
                .starts_with("the certificate of CN=Sub,C=DE above it is revoked at 2026-05-31")
        );
    }
}

#[test]
fn what_nobody_can_say_is_indeterminate() {
    for (sub, leaf, doubts) in [(None, Some(false), 1), (Some(false), None, 1), (None, None, 2)] {
        let (found, _) = Chain::new().judge(sub, leaf);
        assert_eq!((found.verdict, found.offline), (Verdict::Indeterminate, OfflineResult::Valid));
        assert!(matches!(found.online, Some(RevocationStatus::Indeterminate { .. })), "{:?}", found.online);
        assert_eq!(found.reasons.len(), doubts);
        assert!(found.reasons.iter().all(|reason| matches!(reason, Reason::RevocationUnknown { .. })));
    }
}

#[test]
fn nobody_is_asked_without_need() {
    let chain = Chain::new();
    let net = Arc::new(chain.net(Some(false), Some(false)));
    let inspector = chain.inspector(&net);
    let judge = |certificate: &Certificate| inspector.inspect(certificate, &[], Use::TransportSignature, NOW);
    // An anchor is trusted as it is, and a stranger's word about whom to ask counts nothing.
    assert_eq!(judge(chain.root.certificate()).online, None);
    let stranger = issue(&authority("Stranger"), &Template::signature(name("X"), long()).revocation_list(OF_SUB));
    assert_eq!(judge(&stranger).online, None);
    let forged = issue(&authority("Root"), &Template::signature(name("X"), long()).revocation_list(OF_SUB));
    assert_eq!(judge(&forged).online, None);
    assert!(net.calls().is_empty());
}

#[test]
fn without_asking_only_what_is_known_is_told() {
    let chain = Chain::new();
    let net = Arc::new(chain.net(Some(false), Some(false)));
    let inspector = chain.inspector(&net);
    let recall = || inspector.inspect_without_asking(&chain.leaf, &[], Use::TransportSignature, NOW);
    assert_eq!(recall(), None);
    assert!(net.calls().is_empty());
    let asked = inspector.inspect(&chain.leaf, &[], Use::TransportSignature, NOW);
    assert_eq!(recall(), Some(asked));
    let stranger = issue(&authority("Stranger"), &Template::signature(name("X"), long()));
    assert!(inspector.inspect_without_asking(&stranger, &[], Use::TransportSignature, NOW).is_some());
}

/// That it is revoked is told even of an expired certificate.
#[test]
fn an_expired_certificate_is_asked_about() {
    let mut chain = Chain::new();
    let past = Validity::new(NOW - Duration::WEEK, NOW - Duration::DAY);
    chain.leaf = issue(&chain.sub, &Template::signature(name("Leaf"), past).revocation_list(OF_SUB));
    let (found, _) = chain.judge(Some(false), Some(true));
    assert!(found.is_outside_validity());
    assert!(matches!(found.online, Some(RevocationStatus::Revoked(..))));
}
