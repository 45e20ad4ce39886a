//! Certificates that are revoked, and those of which nobody says whether they are. Every role and every fault over a real network:
//! `tests revocation`.

use std::num::NonZeroUsize;
use std::sync::Arc;

use rohrpost_crypto::{PrivateKey, SystemRandom};
use rohrpost_intermediary::UnknownRevocation;
use rohrpost_osci::card::{self, InspectionReport, OnlineEvidence};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::Response;
use rohrpost_pipeline::gate::{Gate, GateFigures};
use rohrpost_pki::issue::{Authority, Revoked, Validity};
use rohrpost_pki::revocation::{FetchError, Fetcher, Question, RevocationChecker, RevocationSettings};
use rohrpost_pki::{Anchors, pem};
use rohrpost_store::Store as _;
use time::Duration;

use crate::harness::{Bench, Client, Delivery, NOW, Recipient, Setup, certs_test, key};

/// A network of one list, which may be out of reach.
struct Net {
    list: Option<Vec<u8>>,
    before_answer: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Net")
    }
}

impl Fetcher for Net {
    fn fetch(&self, _question: &Question<'_>) -> Result<Vec<u8>, FetchError> {
        (self.before_answer)();
        self.list.clone().ok_or(FetchError::Unreachable)
    }
}

/// The authority that has issued everybody's certificates.
fn registry() -> Authority {
    let read = |what: &str| std::fs::read(certs_test(&format!("ca/registry-ca.{what}.pem"))).unwrap();
    let certificate = pem::certificates(&read("cert")).unwrap().remove(0);
    let key = pem::parse(std::str::from_utf8(&read("key")).unwrap()).unwrap().remove(0);
    Authority::new(certificate, PrivateKey::from_pkcs8_der(&key.content).unwrap()).unwrap()
}

/// Its list, with these holders of keys on it.
fn list(revoked: &[&str]) -> Option<Vec<u8>> {
    let since = NOW - Duration::DAY;
    let entry = |name: &&str| Revoked { certificate: &key(name).certificate, since, reason: None };
    let published = Validity::new(NOW - Duration::HOUR, NOW + Duration::HOUR);
    Some(registry().revoke(&revoked.iter().map(entry).collect::<Vec<_>>(), published, 1).unwrap())
}

/// An intermediary that trusts that authority and asks about everything below it.
fn setup(list: Option<Vec<u8>>, unknown: UnknownRevocation, before_answer: impl Fn() + Send + Sync + 'static) -> Setup {
    let mut setup = Setup::with(|settings| settings.unknown_revocation = unknown);
    setup.anchors = Anchors::new();
    setup.anchors.add(registry().certificate().clone()).unwrap();
    let net = Net { list, before_answer: Box::new(before_answer) };
    let settings = RevocationSettings::default();
    setup.revocation = Some(RevocationChecker::new(Arc::new(net), Arc::new(SystemRandom), settings));
    setup
}

fn bench(list: Option<Vec<u8>>, unknown: UnknownRevocation) -> Bench {
    setup(list, unknown, || {}).start()
}

fn store(bench: &Bench) -> (Vec<u16>, MessageId) {
    let id = bench.fresh_id();
    let alice = &mut Client::alice();
    let draft = alice.store(Delivery::to("bob-cipher", &id));
    (bench.handle(alice.encode(&draft)).codes, id)
}

fn online(bench: &Bench, id: &MessageId) -> Vec<Option<card::OnlineResult>> {
    let card = bench.store.card(id).unwrap().unwrap();
    let inspections = InspectionReport::from_stored(card.inspections).inspections().unwrap();
    inspections.into_iter().map(|one| one.online).collect()
}

#[test]
fn what_is_known_to_be_good_is_on_the_card_with_its_evidence() {
    for unknown in [UnknownRevocation::Warn, UnknownRevocation::Refuse] {
        let bench = bench(list(&["carol-cipher"]), unknown);
        let (codes, id) = store(&bench);
        assert_eq!(codes, [800]);
        let evidence = vec![OnlineEvidence::Crl((NOW - Duration::HOUR).into())];
        let good = card::OnlineResult { revocation: card::Revocation::Ok, evidence };
        assert_eq!(online(&bench, &id), vec![Some(good); 3]);
    }
}

#[test]
fn silence_is_told_and_never_taken_for_good() {
    let warning = bench(None, UnknownRevocation::Warn);
    let (codes, id) = store(&warning);
    assert_eq!(codes, [800, 3501, 3707]);
    assert_eq!(online(&warning, &id), [None, None, None]);
    let refusing = bench(None, UnknownRevocation::Refuse);
    let (codes, id) = store(&refusing);
    assert_eq!(codes, [9503]);
    assert!(refusing.store.card(&id).unwrap().is_none());
}

#[test]
fn nobody_works_with_revoked_certificates() {
    for (revoked, codes) in [("alice-cipher", [9502]), ("alice-signature", [9701]), ("bob-cipher", [9707])] {
        for unknown in [UnknownRevocation::Warn, UnknownRevocation::Refuse] {
            let bench = bench(list(&[revoked]), unknown);
            let (found, id) = store(&bench);
            assert_eq!(found, codes, "{revoked}");
            assert!(bench.store.card(&id).unwrap().is_none());
        }
    }
}

/// A delivery that has arrived has arrived: whether its recipient's signature counts is another matter.
#[test]
fn the_signature_of_a_recipient_is_looked_at_too() {
    for (net, unknown, codes) in [
        (list(&[]), UnknownRevocation::Refuse, vec![800]),
        (list(&["bob-signature"]), UnknownRevocation::Warn, vec![9712]),
        (None, UnknownRevocation::Warn, vec![800, 3707, 3501]),
    ] {
        let recipient = Recipient::that([]);
        let mut setup = setup(net, unknown, || {});
        setup.courier = Some(Arc::clone(&recipient) as Arc<_>);
        let bench = setup.start();
        let mut alice = Client::alice();
        let draft = alice.forward(Recipient::URL, Delivery::to("bob-cipher", &bench.fresh_id()));
        let answer = bench.handle(alice.encode(&draft));
        assert!(matches!(
            Response::parse(alice.read(&answer).read().envelope()).unwrap(),
            Response::ForwardDelivery(_)
        ));
        assert_eq!(answer.codes, codes);
    }
}

/// While somebody is asked, others have the turn at the processor.
#[test]
fn who_waits_for_an_answer_has_no_turn() {
    let gate = Arc::new(Gate::new(NonZeroUsize::MIN));
    let turns = Arc::clone(&gate);
    let bench = setup(list(&[]), UnknownRevocation::Refuse, move || {
        assert_eq!(turns.figures().busy, 0);
        let passed = turns.pass(|| turns.figures());
        assert!(matches!(passed, GateFigures { busy: 1, .. }));
    });
    let bench = bench.start();
    let (codes, _) = gate.pass(|| store(&bench));
    assert_eq!(codes, [800]);
    assert_eq!(gate.figures().busy, 0);
}
