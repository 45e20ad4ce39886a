//! Every fault in every role, where silence warns and where it refuses.

use std::sync::Arc;
use std::time::Duration as Wait;

use rohrpost_crypto::SystemRandom;
use rohrpost_crypto::policy::Policy;
use rohrpost_gateway::destinations::Destinations;
use rohrpost_gateway::fetch::{FetchConfig, HttpFetcher};
use rohrpost_intermediary::{Outcome, UnknownRevocation};
use rohrpost_osci::card::{self, InspectionReport, OnlineEvidence, OnlineResult};
use rohrpost_osci::header::CertificateUse::{Cipher, Signature};
use rohrpost_osci::header::{CertificateEntry, CertificateRole as Role, CertificateUse, NonIntermediaryCertificates};
use rohrpost_osci::ids::MessageId;
use rohrpost_pki::issue::{Revoked, Template, self_signed};
use rohrpost_pki::revocation::{RevocationChecker, RevocationSettings};
use rohrpost_pki::{Anchors, Certificate, Inspector, Use};
use rohrpost_store::Store as _;

use super::faults::{ALL, Amounts, By, Fault, faults};
use super::openssl::{Entry, Responder};
use super::pki::{World, current, now};
use crate::harness::{Answer, Bench, Client, Delivery, Setup, key, rsa_signer};

const ROLES: [(Role, CertificateUse); 6] = [
    (Role::Originator, Cipher),
    (Role::Originator, Signature),
    (Role::Addressee, Cipher),
    (Role::OtherAuthor, Cipher),
    (Role::OtherAuthor, Signature),
    (Role::OtherReader, Cipher),
];

/// The certificates of one fault, encoded.
struct Pair {
    cipher: Vec<u8>,
    signature: Vec<u8>,
}

impl Pair {
    fn of(&self, purpose: CertificateUse) -> &[u8] {
        if purpose == Cipher { &self.cipher } else { &self.signature }
    }
}

fn issue(world: &World, fault: &Fault, purpose: CertificateUse) -> Certificate {
    let (template, key) = match purpose {
        Cipher => (fault.template(Template::encryption), &key("alice-cipher").key),
        Signature => (fault.template(Template::signature), &key("alice-signature").key),
    };
    let issuer = match fault.issuer {
        By::Sub => &world.sub,
        By::Withdrawn => &world.withdrawn,
        By::Silent => &world.silent,
        By::Stranger => &world.stranger,
        By::Itself => return self_signed(&template, key, &SystemRandom).unwrap(),
    };
    issuer.issue(&template, key.public_key(), &SystemRandom).unwrap()
}

/// The codes of a role: outside validity, corrupted, revoked, incomplete, failed.
fn codes(role: Role, purpose: CertificateUse) -> [u16; 5] {
    match (role, purpose) {
        (Role::Originator, Cipher) => [3500, 9501, 9502, 3501, 9503],
        (Role::Originator, Signature) => [3700, 9700, 9701, 3707, 9710],
        (Role::OtherAuthor, Cipher) => [3704, 9704, 9705, 3707, 9710],
        (Role::OtherAuthor, Signature) => [3701, 3702, 3703, 3707, 3707],
        (Role::Addressee, _) => [3705, 9706, 9707, 3707, 9710],
        _ => [3706, 9708, 9709, 3707, 9710],
    }
}

fn expected(amounts: Amounts, role: Role, purpose: CertificateUse, unknown: UnknownRevocation) -> (Outcome, Vec<u16>) {
    let [outside, corrupted, revoked, incomplete, failed] = codes(role, purpose);
    let code = match amounts {
        Amounts::Good => return (Outcome::Executed, vec![800]),
        Amounts::Revoked => revoked,
        Amounts::Unknown if unknown == UnknownRevocation::Refuse => failed,
        Amounts::Unknown | Amounts::Untrusted => incomplete,
        Amounts::OutsideValidity => outside,
        Amounts::Corrupted => corrupted,
    };
    match code {
        9500..=9503 => (Outcome::Fault, vec![code]),
        9000.. => (Outcome::Refused, vec![code]),
        _ => (Outcome::Executed, vec![800, code]),
    }
}

/// A signed delivery in clear in which one certificate is that of a fault and all others are good.
fn store(bench: &Bench, id: &MessageId, good: &Pair, role: Role, purpose: CertificateUse, der: &[u8]) -> Answer {
    let usual = [(Role::Originator, Cipher), (Role::Originator, Signature), (Role::Addressee, Cipher)];
    let entry = |role, purpose, der: &[u8]| CertificateEntry::new(role, purpose, 0, der.to_vec());
    let mut entries: Vec<_> = usual
        .into_iter()
        .filter(|&kind| kind != (role, purpose))
        .map(|(role, purpose)| entry(role, purpose, good.of(purpose)))
        .collect();
    entries.push(entry(role, purpose, der));
    let mut draft = Client::alice().in_clear().store(Delivery::to("bob-cipher", id));
    let block = NonIntermediaryCertificates::new(entries).unwrap().to_block();
    draft.block("nonintermediarycertificates").text = block.canonical().to_owned();
    let block = draft.signature().sign(&rsa_signer("alice-signature"));
    bench.handle_at(draft.mime(&draft.envelope(Some(&block))), now())
}

/// What the card of a delivery says about the certificate of a fault.
fn report(bench: &Bench, id: &MessageId, name: &str) -> Option<OnlineResult> {
    let card = bench.store.card(id).unwrap().expect("a card");
    let inspections = InspectionReport::from_stored(card.inspections).inspections().unwrap();
    let about = inspections.into_iter().find(|one| one.subject_name == format!("CN={name},C=DE"));
    about.unwrap_or_else(|| panic!("no inspection of {name}")).online
}

fn expected_report(fault: &Fault, online: Option<&OnlineResult>) -> bool {
    let revocation = online.map(|online| online.revocation);
    let evidence = online.and_then(|online| online.evidence.first());
    let has_evidence = matches!(evidence, Some(OnlineEvidence::Ocsp(_) | OnlineEvidence::Crl(_)));
    match fault.amounts {
        Amounts::Good | Amounts::OutsideValidity => revocation == Some(card::Revocation::Ok) && has_evidence,
        Amounts::Revoked => revocation == Some(card::Revocation::Revoked) && has_evidence,
        Amounts::Unknown | Amounts::Corrupted | Amounts::Untrusted => online.is_none(),
    }
}

/// All faults, with their certificates, and a responder and lists that know them.
struct Stage {
    world: World,
    faults: Vec<Fault>,
    pairs: Vec<Pair>,
    runtime: tokio::runtime::Runtime,
    _responder: Responder,
}

impl Stage {
    fn new() -> Self {
        let world = World::new();
        let faults = faults(&world);
        let (mut about, mut listed, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
        for fault in &faults {
            let made = [Cipher, Signature].map(|purpose| issue(&world, fault, purpose));
            for certificate in &made {
                about.extend(fault.entry.map(|entry| (certificate.clone(), entry)));
                listed.extend(fault.listed.map(|reason| (certificate.clone(), reason)));
                world.issued.lock().unwrap().push(certificate.clone());
            }
            let [cipher, signature] = made.map(|certificate| {
                let mut der = certificate.der().to_vec();
                *der.last_mut().unwrap() ^= u8::from(fault.damaged);
                der
            });
            pairs.push(Pair { cipher, signature });
        }
        let since = now() - time::Duration::DAY;
        let listed = listed.iter().map(|(certificate, reason)| Revoked { certificate, since, reason: Some(*reason) });
        let listed: Vec<_> = listed.collect();
        world.publish(ALL, world.sub.revoke(&listed, current(), 1).unwrap());
        let responder = world.start(&about);
        assert_eq!((faults[0].amounts, faults[0].entry), (Amounts::Good, Some(Entry::Valid)));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { world, faults, pairs, runtime, _responder: responder }
    }

    fn anchors(&self) -> Anchors {
        let mut anchors = Anchors::new();
        anchors.add(self.world.root.certificate().clone()).unwrap();
        anchors
    }

    fn intermediates(&self) -> Vec<Certificate> {
        let World { sub, withdrawn, silent, .. } = &self.world;
        [sub, withdrawn, silent].map(|one| one.certificate().clone()).into()
    }

    /// Asks over the network.
    fn checker(&self) -> RevocationChecker {
        let private = vec!["127.0.0.1".parse().unwrap()];
        let destinations = Destinations { private, ..Destinations::default() };
        let config = FetchConfig { destinations, head: Wait::from_secs(3), total: Wait::from_secs(10) };
        let fetcher = Arc::new(HttpFetcher::new(self.runtime.handle().clone(), config));
        let settings = RevocationSettings { retry: time::Duration::HOUR, ..RevocationSettings::default() };
        RevocationChecker::new(fetcher, Arc::new(SystemRandom), settings)
    }

    /// An intermediary that trusts the root of the test and asks over the network.
    fn bench(&self, unknown: UnknownRevocation) -> Bench {
        let mut setup = Setup::with(|settings| settings.unknown_revocation = unknown);
        (setup.anchors, setup.intermediates) = (self.anchors(), self.intermediates());
        setup.revocation = Some(self.checker());
        setup.start()
    }
}

#[test]
fn every_fault_in_every_role() {
    let stage = Stage::new();
    let (mut failures, mut cells) = (Vec::new(), 0);
    for unknown in [UnknownRevocation::Warn, UnknownRevocation::Refuse] {
        let bench = stage.bench(unknown);
        for (fault, pair) in stage.faults.iter().zip(&stage.pairs) {
            for (role, purpose) in ROLES {
                cells += 1;
                let (id, before) = (bench.fresh_id(), bench.stats().waiting);
                let answer = store(&bench, &id, &stage.pairs[0], role, purpose, pair.of(purpose));
                let expected = expected(fault.amounts, role, purpose, unknown);
                let what = format!("{}, {role:?} {purpose:?}, {unknown:?}", fault.name);
                let found = (answer.outcome, answer.codes);
                let executed = expected.0 == Outcome::Executed;
                if found != expected {
                    failures.push(format!("{what}: {found:?}, not {expected:?}"));
                } else if bench.stats().waiting - before != u64::from(executed) {
                    failures.push(format!("{what}: something else is stored than is said"));
                } else if executed {
                    let online = report(&bench, &id, fault.name);
                    if !expected_report(fault, online.as_ref()) {
                        failures.push(format!("{what}: the card says {online:?}"));
                    }
                }
            }
        }
    }
    println!("{} faults, {cells} cells", stage.faults.len());
    assert!(stage.faults.len() >= 40);
    assert!(failures.is_empty(), "{} of {cells} failures\n{}", failures.len(), failures.join("\n"));
}

/// A fault has to be noticed for what it is, not for something else that is wrong, too.
#[test]
fn every_fault_for_its_own_reason() {
    let stage = Stage::new();
    let inspector = Inspector::new(stage.anchors(), Policy::standard())
        .with_intermediates(stage.intermediates())
        .with_revocation(stage.checker());
    let mut failures = Vec::new();
    for (fault, pair) in stage.faults.iter().zip(&stage.pairs) {
        let certificate = Certificate::from_der(&pair.signature).unwrap();
        let found = inspector.inspect(&certificate, &[], Use::TransportSignature, now());
        let reasons: Vec<_> = found.reasons.iter().map(ToString::to_string).collect();
        let reasons = reasons.join("; ");
        if !reasons.contains(fault.why) || fault.why.is_empty() != reasons.is_empty() {
            failures.push(format!("{}: {reasons:?}, not {:?}", fault.name, fault.why));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
