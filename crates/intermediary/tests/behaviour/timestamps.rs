//! Cryptographic time stamps on process cards. With OpenSSL as a service over a real network: `tests timestamps`.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use rohrpost_audit::{Event, Leaf};
use rohrpost_crypto::{Curve, PrivateKey, SystemRandom, sha256};
use rohrpost_intermediary::{NoStamp, RFC_3161, ServiceDown, Stamping, TimestampService, WithoutService, stamped_text};
use rohrpost_osci::card::{ProcessCardBundle, Timestamp};
use rohrpost_osci::header::TimestampQuality::{self, Cryptographic, Plain};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::Response;
use rohrpost_osci::selection::{CardRule, CardSelection, DeliverySelection};
use rohrpost_pipeline::gate::Gate;
use rohrpost_pki::Anchors;
use rohrpost_pki::issue::{Authority, Name, Template, TimestampAnswer, Validity};
use rohrpost_pki::revocation::FetchError;
use rohrpost_pki::timestamp::{TimestampRequest, TimestampToken, TimestampTrust};
use rohrpost_store::{StampedEvent, Store as _};
use time::{Duration, OffsetDateTime};

use crate::harness::{Bench, Client, Delivery, NOW, Recipient, Setup};

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let key = || PrivateKey::generate_ec(Curve::P256).unwrap();
    let validity = Validity::new(NOW - Duration::DAY, NOW + Duration::days(365));
    let name = |common: &str| Name::new().common_name(common);
    let root = Authority::root(&Template::authority(name("Root"), validity, None), key(), &SystemRandom).unwrap();
    root.subordinate(&Template::time_stamping(name("Stamps"), validity), key(), &SystemRandom).unwrap()
});

fn trust() -> TimestampTrust {
    let mut anchors = Anchors::new();
    anchors.add(AUTHORITY.certificate().clone()).unwrap();
    TimestampTrust::new(anchors)
}

/// A service in the same process that can be down.
struct Service {
    down: AtomicBool,
    asked: AtomicUsize,
    before_answer: Box<dyn Fn() + Send + Sync>,
}

impl Service {
    fn up() -> Arc<Self> {
        Self::with(false, || {})
    }

    fn down() -> Arc<Self> {
        Self::with(true, || {})
    }

    fn with(down: bool, before_answer: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        let (down, before_answer) = (AtomicBool::new(down), Box::new(before_answer));
        Arc::new(Self { down, asked: AtomicUsize::new(0), before_answer })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn recover(&self) {
        self.down.store(false, Ordering::Relaxed);
    }
}

impl TimestampService for Service {
    fn stamp(&self, imprint: [u8; 32], now: OffsetDateTime) -> Result<TimestampToken, NoStamp> {
        (self.before_answer)();
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.down.load(Ordering::Relaxed) {
            return Err(FetchError::Unreachable.into());
        }
        let question = TimestampRequest::new(imprint, &SystemRandom);
        let certificates = [AUTHORITY.certificate().clone()];
        let answer = AUTHORITY.stamp(&TimestampAnswer::to(&question, now, &certificates)).unwrap();
        Ok(trust().accept(&answer, &question, now)?)
    }
}

fn setup(service: Option<&Arc<Service>>, without: WithoutService, down: ServiceDown) -> Setup {
    let mut setup = Setup::with(|settings| {
        settings.timestamps.without_service = without;
        settings.timestamps.service_down = down;
    });
    setup.timestamps = service.map(|service| Arc::clone(service) as Arc<dyn TimestampService>);
    setup
}

fn bench(service: &Arc<Service>, down: ServiceDown) -> Bench {
    setup(Some(service), WithoutService::Refuse, down).start()
}

fn wanting(id: &MessageId, creation: TimestampQuality, reception: TimestampQuality) -> Delivery {
    Delivery { creation, reception, ..Delivery::to("bob-cipher", id) }
}

/// The codes and the card of a delivery that is stored.
fn store(bench: &Bench, creation: TimestampQuality, reception: TimestampQuality) -> (Vec<u16>, MessageId) {
    let id = bench.fresh_id();
    let mut alice = Client::alice();
    let draft = alice.store(wanting(&id, creation, reception));
    (alice.codes(bench, &draft), id)
}

/// Bob fetches and acknowledges what waits for him; the card that came with it.
fn receive(bench: &Bench, at: OffsetDateTime) -> ProcessCardBundle {
    let mut bob = Client::bob().open_at(bench, at);
    let draft = bob.fetch(DeliverySelection::Oldest);
    let Response::FetchDelivery(found) = bob.send_at(bench, &draft, at) else { panic!() };
    let draft = bob.exit();
    bob.send_at(bench, &draft, at);
    found.card.unwrap()
}

fn card(bench: &Bench, id: &MessageId) -> ProcessCardBundle {
    let mut alice = Client::alice().open(bench);
    let draft = alice.cards(CardSelection { rule: CardRule::ByIds(vec![id.clone()]), limit: None });
    let Response::FetchProcessCard(found) = alice.send(bench, &draft) else { panic!() };
    found.cards.into_iter().next().unwrap()
}

/// Demands what anybody can check who has the card and the log: the token is for exactly this event.
fn check(bench: &Bench, id: &MessageId, stamp: &Timestamp, event: StampedEvent) {
    let Timestamp::Cryptographic { algorithm, token } = stamp else { panic!("{stamp:?}") };
    assert_eq!(algorithm, RFC_3161);
    let leaves: Vec<_> =
        bench.store.prove(id).unwrap().iter().map(|proof| Leaf::parse(&proof.record).unwrap()).collect();
    let (accepted, happened) = match event {
        StampedEvent::Creation => (&leaves[0], Event::Accepted),
        StampedEvent::Reception => (&leaves[0], Event::Received),
    };
    let time = leaves.iter().find(|leaf| leaf.event == happened).unwrap().time;
    assert!(!accepted.commitments.is_empty());
    let text = stamped_text(event, id, time, &accepted.commitments);
    trust().verify(token, &sha256(text.as_bytes())).unwrap();
    let logged = rohrpost_store::Fingerprint::of_der(token);
    assert!(leaves.iter().any(|leaf| leaf.token == Some(logged)), "the log knows the token");
}

#[test]
fn a_stamp_for_the_creation_comes_at_once() {
    let service = Service::up();
    let bench = bench(&service, ServiceDown::Refuse);
    let id = bench.fresh_id();
    let mut alice = Client::alice();
    let draft = alice.store(wanting(&id, Cryptographic, Plain));
    let Response::StoreDelivery(answer) = alice.send(&bench, &draft) else { panic!() };
    let told = answer.card.unwrap();
    check(&bench, &id, told.card.creation.as_ref().unwrap(), StampedEvent::Creation);
    assert_eq!(card(&bench, &id).card.creation, told.card.creation);
    assert_eq!(receive(&bench, NOW).card.creation, told.card.creation);
    assert!(matches!(card(&bench, &id).card.reception, Some(Timestamp::Plain(_))));
    assert_eq!(bench.intermediary.stamp_next(NOW).unwrap(), Stamping::Nothing);
    assert_eq!(service.asked(), 1);
}

#[test]
fn a_stamp_for_the_reception_comes_later_and_amends_the_card() {
    let service = Service::up();
    let bench = bench(&service, ServiceDown::Refuse);
    let (codes, id) = store(&bench, Plain, Cryptographic);
    assert_eq!((codes, service.asked()), (vec![800], 0));
    assert_eq!(bench.intermediary.stamp_next(NOW).unwrap(), Stamping::Nothing, "nobody has received it");
    receive(&bench, NOW + Duration::MINUTE);
    assert!(matches!(card(&bench, &id).card.reception, Some(Timestamp::Plain(_))));
    let later = NOW + Duration::HOUR;
    assert_eq!(bench.intermediary.stamp_next(later).unwrap(), Stamping::Done);
    assert_eq!(bench.intermediary.stamp_next(later).unwrap(), Stamping::Nothing);
    let card = card(&bench, &id).card;
    check(&bench, &id, card.reception.as_ref().unwrap(), StampedEvent::Reception);
    assert!(matches!(card.creation, Some(Timestamp::Plain(_))));
    assert_eq!(card.recent_modification.at(), later);
}

#[test]
fn plain_stamps_ask_nobody() {
    let service = Service::down();
    let bench = bench(&service, ServiceDown::Refuse);
    let (codes, id) = store(&bench, Plain, Plain);
    receive(&bench, NOW);
    assert_eq!((codes, service.asked()), (vec![800], 0));
    assert!(matches!(card(&bench, &id).card.creation, Some(Timestamp::Plain(_))));
    assert_eq!(bench.store.stats().unwrap().wanted_stamps, 0);
}

#[test]
fn while_the_service_is_down_orders_are_refused_if_that_is_wanted() {
    let service = Service::down();
    let bench = bench(&service, ServiceDown::Refuse);
    let (codes, id) = store(&bench, Cryptographic, Plain);
    assert_eq!(codes, [9811]);
    assert!(bench.store.card(&id).unwrap().is_none());
    // The same id may be used once the service is there again.
    service.recover();
    let mut alice = Client::alice();
    let draft = alice.store(wanting(&id, Cryptographic, Plain));
    assert_eq!(alice.codes(&bench, &draft), [800]);
}

#[test]
fn while_the_service_is_down_cards_are_plain_and_amended_later() {
    let service = Service::down();
    let bench = bench(&service, ServiceDown::StampLater);
    let (codes, id) = store(&bench, Cryptographic, Cryptographic);
    assert_eq!(codes, [800]);
    assert!(matches!(card(&bench, &id).card.creation, Some(Timestamp::Plain(_))), "never taken for more than it is");
    assert_eq!(bench.store.stats().unwrap().wanted_stamps, 1);
    assert_eq!(bench.intermediary.stamp_next(NOW).unwrap(), Stamping::InVain);
    receive(&bench, NOW + Duration::MINUTE);
    service.recover();
    let later = NOW + Duration::DAY;
    assert_eq!(bench.intermediary.stamp_next(later).unwrap(), Stamping::Done);
    assert_eq!(bench.intermediary.stamp_next(later).unwrap(), Stamping::Done);
    assert_eq!(bench.intermediary.stamp_next(later).unwrap(), Stamping::Nothing);
    let card = card(&bench, &id).card;
    check(&bench, &id, card.creation.as_ref().unwrap(), StampedEvent::Creation);
    check(&bench, &id, card.reception.as_ref().unwrap(), StampedEvent::Reception);
    assert_eq!(card.recent_modification.at(), later);
}

#[test]
fn without_a_service_the_operator_decides() {
    for (without, codes) in [(WithoutService::Plain, [800]), (WithoutService::Refuse, [9811])] {
        for (creation, reception) in [(Cryptographic, Plain), (Plain, Cryptographic)] {
            let bench = setup(None, without, ServiceDown::StampLater).start();
            assert_eq!(store(&bench, creation, reception).0, codes);
            assert_eq!(bench.store.stats().unwrap().wanted_stamps, 0);
        }
        let bench = setup(None, without, ServiceDown::StampLater).start();
        assert_eq!(store(&bench, Plain, Plain).0, [800]);
    }
}

#[test]
fn nobody_is_asked_on_behalf_of_ids_that_are_used() {
    let service = Service::up();
    let bench = bench(&service, ServiceDown::Refuse);
    let (_, id) = store(&bench, Cryptographic, Plain);
    let mut alice = Client::alice();
    let draft = alice.store(wanting(&id, Cryptographic, Plain));
    assert_eq!(alice.codes(&bench, &draft), [9801]);
    assert_eq!(service.asked(), 1);
}

#[test]
fn forwarded_deliveries_are_stamped_too() {
    let service = Service::up();
    let mut setup = setup(Some(&service), WithoutService::Refuse, ServiceDown::Refuse);
    let recipient = Recipient::that([]);
    setup.courier = Some(recipient as Arc<_>);
    let bench = setup.start();
    let (mut alice, id) = (Client::alice(), bench.fresh_id());
    let draft = alice.forward(Recipient::URL, wanting(&id, Cryptographic, Cryptographic));
    assert_eq!(alice.codes(&bench, &draft), [800]);
    check(&bench, &id, card(&bench, &id).card.creation.as_ref().unwrap(), StampedEvent::Creation);
    assert_eq!(bench.intermediary.stamp_next(NOW).unwrap(), Stamping::Done);
    check(&bench, &id, card(&bench, &id).card.reception.as_ref().unwrap(), StampedEvent::Reception);
}

/// While the service is asked, others have the turn at the processor; and only so many wait for it.
#[test]
fn who_waits_for_a_stamp_has_no_turn_and_few_wait() {
    let gate = Arc::new(Gate::new(NonZeroUsize::MIN));
    let turns = Arc::clone(&gate);
    let service = Service::with(false, move || assert_eq!(turns.figures().busy, 0));
    let bench = bench(&service, ServiceDown::Refuse);
    assert_eq!(gate.pass(|| store(&bench, Cryptographic, Plain)).0, [800]);
    assert_eq!(gate.figures().busy, 0);

    let mut setup = setup(Some(&service), WithoutService::Refuse, ServiceDown::Refuse);
    setup.settings.timestamps.at_once = 0;
    let bench = setup.start();
    assert_eq!(store(&bench, Cryptographic, Plain).0, [9811]);
    assert_eq!(service.asked(), 1);
}

#[test]
fn what_is_stamped_is_text() {
    let time = time::macros::datetime!(2026-11-25 13:00:00.0419 +1);
    let salt = rohrpost_audit::Salt::from_bytes([1; 32]);
    let commitment = rohrpost_audit::Commitment::new("body", &salt, b"digest");
    let text =
        stamped_text(StampedEvent::Creation, &MessageId::new("4711").unwrap(), time, std::slice::from_ref(&commitment));
    let expected = format!(
        "rohrpost time stamp 1\nevent creation\nmessage 4711\ntime 2026-11-25T12:00:00.041Z\ncommitment body {}\n",
        commitment.hash()
    );
    assert_eq!(text, expected);
}
