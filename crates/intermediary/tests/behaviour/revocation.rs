//! Certificates that are revoked, and those of which nobody says whether they are. Every role and every fault over a real network:
//! `tests revocation`.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use rohrpost_audit::{Event, Leaf, Verdict as LeafVerdict};
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
    list: Mutex<Option<Vec<u8>>>,
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
        self.list.lock().unwrap().clone().ok_or(FetchError::Unreachable)
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
    over(&Arc::new(Net { list: Mutex::new(list), before_answer: Box::new(before_answer) }), unknown)
}

fn over(net: &Arc<Net>, unknown: UnknownRevocation) -> Setup {
    let mut setup = Setup::with(|settings| settings.unknown_revocation = unknown);
    setup.anchors = Anchors::new();
    setup.anchors.add(registry().certificate().clone()).unwrap();
    let (net, settings) = (Arc::clone(net) as Arc<dyn Fetcher>, RevocationSettings::default());
    setup.revocation = Some(RevocationChecker::new(net, Arc::new(SystemRandom), settings));
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

/// Whoever was silent is asked again, and the card then says what is known.
#[test]
fn a_card_is_amended_when_somebody_has_spoken() {
    for (revoked, word, verdict) in [
        (vec![], card::Revocation::Ok, LeafVerdict::Valid),
        (vec!["alice-cipher", "alice-signature", "bob-cipher"], card::Revocation::Revoked, LeafVerdict::Invalid),
    ] {
        let net = Arc::new(Net { list: Mutex::new(None), before_answer: Box::new(|| {}) });
        let bench = over(&net, UnknownRevocation::Warn).start();
        let (codes, id) = store(&bench);
        assert_eq!(codes, [800, 3501, 3707]);
        let minute = |minute| NOW + Duration::minutes(minute);
        assert!(!bench.intermediary.recheck_next(minute(4)).unwrap(), "not yet");
        assert!(bench.intermediary.recheck_next(minute(5)).unwrap());
        assert!(!bench.intermediary.recheck_next(minute(5)).unwrap(), "once");
        assert_eq!(online(&bench, &id), [None, None, None], "still nobody says anything");
        assert_eq!(bench.store.card(&id).unwrap().unwrap().modified, NOW);

        *net.list.lock().unwrap() = list(&revoked);
        assert!(bench.intermediary.recheck_next(minute(10)).unwrap());
        let found: Vec<_> = online(&bench, &id).into_iter().map(|online| online.unwrap().revocation).collect();
        assert_eq!(found, [word; 3]);
        assert_eq!(bench.store.card(&id).unwrap().unwrap().modified, minute(10));
        let leaf = Leaf::parse(&bench.store.prove(&id).unwrap().pop().unwrap().record).unwrap();
        assert_eq!(leaf.event, Event::Inspected);
        assert!(leaf.certificates.iter().filter_map(|one| one.verdict.clone()).all(|found| found == verdict));
        assert!(!bench.intermediary.recheck_next(NOW + Duration::days(8)).unwrap(), "it is over");
    }
}

#[test]
fn nobody_is_asked_for_ever() {
    let bench = bench(None, UnknownRevocation::Warn);
    let (_, id) = store(&bench);
    let (mut now, mut rounds) = (NOW, 0);
    while now < NOW + Duration::days(9) {
        rounds += u32::from(bench.intermediary.recheck_next(now).unwrap());
        now += Duration::minutes(5);
    }
    assert!((20..50).contains(&rounds), "{rounds}");
    assert_eq!(online(&bench, &id), [None, None, None]);
}

#[test]
fn what_was_judged_completely_is_not_looked_at_again() {
    let bench = bench(list(&[]), UnknownRevocation::Warn);
    assert_eq!(store(&bench).0, [800]);
    assert!(!bench.intermediary.recheck_next(NOW + Duration::days(1)).unwrap());
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
