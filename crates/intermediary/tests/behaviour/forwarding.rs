//! Deliveries to passive recipients (OSCI-Transport 1.2, ForwardDelivery).

use std::sync::Arc;

use rohrpost_audit::Event;
use rohrpost_intermediary::{Admission, Forwarding, Mode, Retries};
use rohrpost_osci::card::{ProcessCardBundle, Timestamp};
use rohrpost_osci::feedback::Code;
use rohrpost_osci::header::{CertificateRole, CertificateUse, CustomBlock};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::Response;
use rohrpost_osci::ns::NS5;
use rohrpost_store::{FetchRule, Fingerprint, Store as _};
use time::{Duration, OffsetDateTime};

use crate::harness::{Act, Bench, Client, Delivery, NOW, Recipient, Setup, content, der};
use crate::log::events;

fn setup(recipient: &Arc<Recipient>) -> Setup {
    Setup { courier: Some(Arc::clone(recipient) as Arc<_>), ..Setup::default() }
}

/// One that tries again after 10 to 40 seconds, for five minutes.
fn patient(recipient: &Arc<Recipient>) -> Bench {
    let retries = Retries {
        first_pause: Duration::seconds(20),
        longest_pause: Duration::seconds(40),
        give_up_after: Duration::minutes(5),
    };
    let mut setup = setup(recipient);
    setup.settings.forwarding.retries = Some(retries);
    setup.start()
}

/// Alice has a delivery forwarded: the codes, the card, its id.
fn forward(bench: &Bench) -> (Vec<u16>, Option<ProcessCardBundle>, MessageId) {
    let id = bench.fresh_id();
    let mut alice = Client::alice();
    let draft = alice.forward(Recipient::URL, Delivery::to("bob-cipher", &id));
    let answer = bench.handle(alice.encode(&draft));
    let response = Response::parse(alice.read(&answer).read().envelope()).unwrap();
    let Response::ForwardDelivery(response) = response else { panic!("{response:?}") };
    (answer.codes, response.card, id)
}

fn stamps(card: &ProcessCardBundle) -> [bool; 3] {
    [&card.card.creation, &card.card.forwarding, &card.card.reception].map(Option::is_some)
}

fn at(seconds: i64) -> OffsetDateTime {
    NOW + Duration::seconds(seconds)
}

fn told(bench: &Bench, id: &MessageId) -> Vec<Event> {
    events(bench, id).into_iter().map(|(event, _)| event).collect()
}

#[test]
fn a_delivery_reaches_the_recipient_unchanged() {
    let recipient = Recipient::that([]);
    recipient.answers_at(at(3));
    let bench = setup(&recipient).start();
    let id = bench.fresh_id();
    let mut alice = Client::alice();
    alice.languages = "en de";
    let mut delivery = Delivery::to("bob-cipher", &id);
    delivery.content = content(b"Inhalt", &[("plan.pdf", b"Lageplan")]);
    let custom = format!(r#"<a:Meta xmlns:a="urn:a"{NS5} Id="meta">x</a:Meta>"#);
    delivery.custom.push(CustomBlock::new(custom.clone()).unwrap());
    let draft = alice.forward(Recipient::URL, delivery);
    let answer = bench.handle(alice.encode(&draft));
    assert_eq!(answer.codes, [800]);
    let Response::ForwardDelivery(response) = Response::parse(alice.read(&answer).read().envelope()).unwrap() else {
        panic!("an answer to something else")
    };
    let card = response.card.unwrap();
    assert_eq!(card.message_id, id);
    assert_eq!(card.card.subject.as_deref(), Some("Anmeldung"));
    assert_eq!(card.card.forwarding, Some(Timestamp::Plain(NOW.into())));
    assert_eq!(card.card.reception, Some(Timestamp::Plain(at(3).into())));
    assert!(!card.report.inspections().unwrap().is_empty());

    let got = recipient.got().remove(0);
    assert_eq!(got.data, b"Inhalt");
    assert_eq!(got.languages, ["en", "de"]);
    assert_eq!(got.custom, [custom]);
    let card = got.card.unwrap();
    assert_eq!((&card.message_id, stamps(&card)), (&id, [true, true, false]));
    let originator = got.certificates.first(CertificateRole::Originator, CertificateUse::Cipher).unwrap();
    assert_eq!(originator.der, der("alice-cipher"));
    // The card is kept, the content is not.
    assert_eq!(told(&bench, &id), [Event::Accepted, Event::Forwarded, Event::Received]);
    let mailbox = Fingerprint::of_der(&der("bob-cipher"));
    assert!(bench.store.next_delivery(&mailbox, FetchRule::ById(&id)).unwrap().is_none());
    assert_eq!(bench.stats().waiting, 0);
}

#[test]
fn what_the_recipient_does_decides_what_the_sender_is_told() {
    for (act, codes, expected) in [
        (Act::Unsigned, vec![800, 3802], [true, true, true]),
        (Act::InClear, vec![800, 3803], [true, true, true]),
        (Act::SignedBy("expired-signature"), vec![800, 3708], [true, true, true]),
        (Act::Refuse(Code::SignatureMissing), vec![9805], [true, true, false]),
        (Act::Refuse(Code::MessageIdIllegal), vec![9805], [true, true, false]),
        (Act::Refuse(Code::OrderFailed), vec![9808], [true, true, false]),
        (Act::Fault(Code::Undecryptable), vec![9805], [true, true, false]),
        (Act::Fault(Code::ClientCipherCertificateRevoked), vec![9805], [true, true, false]),
        (Act::Fault(Code::InternalError), vec![9808], [true, true, false]),
        (Act::SignedBy("mallory-signature"), vec![800, 3707], [true, true, true]),
        (Act::Tampered, vec![9807], [true, true, false]),
        (Act::OtherChallenge, vec![9810], [true, true, false]),
        (Act::Garbage, vec![9810], [true, true, false]),
        (Act::AnswerLost, vec![9810], [true, true, false]),
        (Act::Unreachable, vec![9809], [true, true, false]),
        (Act::Forbidden, vec![9809], [true, true, false]),
    ] {
        let recipient = Recipient::that([act]);
        let bench = setup(&recipient).start();
        let (told_codes, card, id) = forward(&bench);
        assert_eq!(told_codes, codes, "{act:?}");
        let card = card.unwrap();
        assert_eq!(stamps(&card), expected, "{act:?}");
        let kept = bench.store.card(&id).unwrap().unwrap();
        let failure = (codes[0] != 800).then(|| codes[0]);
        assert_eq!((kept.failure, kept.expired.is_some()), (failure, failure.is_some()), "{act:?}");
        let end = if failure.is_some() { Event::Undeliverable } else { Event::Received };
        assert_eq!(told(&bench, &id), [Event::Accepted, Event::Forwarded, end], "{act:?}");
        // It is over: nobody tries again, and the id is used.
        assert!(!bench.intermediary.deliver_next(at(100_000)).unwrap());
        assert_eq!(recipient.attempts(), 1);
    }
}

#[test]
fn what_cannot_be_sent_is_refused_before_it_is_taken_over() {
    let recipient = Recipient::that([]);
    let bench = setup(&recipient).start();
    let send = |alice: &mut Client, receiver: &str, change: &dyn Fn(&mut Delivery)| {
        let id = bench.fresh_id();
        let mut delivery = Delivery::to("bob-cipher", &id);
        change(&mut delivery);
        let draft = alice.forward(receiver, delivery);
        let codes = alice.codes(&bench, &draft);
        assert!(bench.store.card(&id).unwrap().is_none(), "{codes:?}");
        codes
    };
    let mut alice = Client::alice();
    for receiver in ["https://mallory.example/osci", "http://127.0.0.1/", "", "https://bob.example/osci/"] {
        assert_eq!(send(&mut alice, receiver, &|_| {}), [9809], "{receiver}");
    }
    assert_eq!(send(&mut alice, Recipient::URL, &|delivery| delivery.message_id = None), [9800]);
    let foreign = |delivery: &mut Delivery| delivery.message_id = Some(MessageId::new("mine").unwrap());
    assert_eq!(send(&mut alice, Recipient::URL, &foreign), [9801]);
    assert_eq!(recipient.attempts(), 0);
    // A used id is one.
    let (_, _, id) = forward(&bench);
    let draft = alice.forward(Recipient::URL, Delivery::to("bob-cipher", &id));
    assert_eq!(alice.codes(&bench, &draft), [9801]);
    assert_eq!(recipient.attempts(), 1);
}

#[test]
fn nothing_is_forwarded_without_a_courier() {
    let bench = Bench::default();
    let mut alice = Client::alice();
    let id = bench.fresh_id();
    let draft = alice.forward(Recipient::URL, Delivery::to("bob-cipher", &id));
    assert_eq!(bench.handle(alice.encode(&draft)).fault(), Some(9300));
    assert!(!bench.store.is_used(&id).unwrap());
}

#[test]
fn more_than_may_wait_at_once_are_refused() {
    let recipient = Recipient::that([]);
    let mut setup = setup(&recipient);
    setup.settings.forwarding = Forwarding { at_once: 0, ..Forwarding::default() };
    let bench = setup.start();
    let (codes, card, id) = forward(&bench);
    assert_eq!((codes, card.is_none()), (vec![9809], true));
    assert_eq!(recipient.attempts(), 0);
    assert!(bench.store.card(&id).unwrap().is_none());
}

#[test]
fn what_fails_is_kept_and_tried_again_where_the_operator_wants_that() {
    let recipient = Recipient::that([Act::Unreachable, Act::AnswerLost, Act::Garbage, Act::Take]);
    let bench = patient(&recipient);
    let (codes, card, id) = forward(&bench);
    assert_eq!((codes, stamps(&card.unwrap())), (vec![800], [true, true, false]));
    assert_eq!(bench.stats().outbound, 1);
    assert!(!bench.intermediary.deliver_next(at(9)).unwrap(), "not before half the pause is over");
    for (attempts, seconds) in [(2, 21), (3, 70), (4, 120)] {
        recipient.answers_at(at(seconds));
        assert!(bench.intermediary.deliver_next(at(seconds)).unwrap());
        assert!(!bench.intermediary.deliver_next(at(seconds)).unwrap());
        assert_eq!(recipient.attempts(), attempts);
    }
    let card = bench.store.card(&id).unwrap().unwrap();
    assert_eq!((card.forwarded, card.received, card.failure), (Some(NOW), Some(at(120)), None));
    // Twice, because an answer was lost: with the same id.
    let ids: Vec<_> = recipient.got().into_iter().map(|got| got.card.unwrap().message_id).collect();
    assert_eq!(ids, [id.clone(), id.clone()]);
    use Event as E;
    assert_eq!(told(&bench, &id), [E::Accepted, E::Forwarded, E::Postponed, E::Postponed, E::Postponed, E::Received]);
    assert_eq!(bench.stats().outbound, 0);
}

#[test]
fn what_never_succeeds_ends_as_undeliverable_with_the_last_reason() {
    let recipient = Recipient::that([Act::Unreachable; 100]);
    let bench = patient(&recipient);
    let (codes, _, id) = forward(&bench);
    assert_eq!(codes, [800]);
    let mut seconds = 0;
    while bench.store.card(&id).unwrap().unwrap().failure.is_none() {
        seconds += 5;
        assert!(seconds <= 300, "it is tried for ever");
        recipient.answers_at(at(seconds));
        bench.intermediary.deliver_next(at(seconds)).unwrap();
    }
    let card = bench.store.card(&id).unwrap().unwrap();
    assert_eq!((card.failure, card.received), (Some(9809), None));
    assert_eq!(told(&bench, &id).last(), Some(&Event::Undeliverable));
    assert!((7..=32).contains(&recipient.attempts()), "{}", recipient.attempts());
}

#[test]
fn a_refusal_is_final() {
    let recipient = Recipient::that([Act::Unreachable, Act::Refuse(Code::MessageIdIllegal)]);
    let bench = patient(&recipient);
    let (_, _, id) = forward(&bench);
    recipient.answers_at(at(21));
    assert!(bench.intermediary.deliver_next(at(21)).unwrap());
    assert_eq!(bench.store.card(&id).unwrap().unwrap().failure, Some(9805));
    assert!(!bench.intermediary.deliver_next(at(10_000)).unwrap());
}

#[test]
fn a_receiver_that_cannot_be_reached_does_not_hold_up_others_for_each_delivery() {
    let recipient = Recipient::that([Act::Unreachable; 100]);
    let bench = patient(&recipient);
    let ids: Vec<MessageId> = (0..10).map(|_| forward(&bench).2).collect();
    assert_eq!(recipient.attempts(), 10, "senders wait for an attempt of their own");
    recipient.answers_at(at(30));
    while bench.intermediary.deliver_next(at(30)).unwrap() {}
    assert_eq!(recipient.attempts(), 11, "one attempt says that the receiver is still away");
    let attempts = |id| bench.store.outbound(id).unwrap().map(|found| found.attempts);
    assert_eq!(ids.iter().filter(|id| attempts(id) == Some(2)).count(), 1);
    assert_eq!(ids.iter().filter(|id| attempts(id) == Some(1)).count(), 9, "waiting is no attempt");
    // All of them end in time.
    for seconds in (35..=400).step_by(5) {
        recipient.answers_at(at(seconds));
        while bench.intermediary.deliver_next(at(seconds)).unwrap() {}
    }
    assert!(ids.iter().all(|id| bench.store.card(id).unwrap().is_some_and(|card| card.failure == Some(9809))));
    assert!(recipient.attempts() < 50, "{}", recipient.attempts());
}

#[test]
fn without_a_place_a_delivery_is_left_to_those_who_try_again() {
    let recipient = Recipient::that([]);
    let mut setup = setup(&recipient);
    setup.settings.forwarding = Forwarding { at_once: 0, retries: Some(Retries::default()), ..Forwarding::default() };
    let bench = setup.start();
    let (codes, card, id) = forward(&bench);
    assert_eq!((codes, stamps(&card.unwrap())), (vec![800], [true, false, false]));
    assert_eq!(recipient.attempts(), 0);
    assert!(bench.intermediary.deliver_next(NOW).unwrap());
    assert_eq!(recipient.got().remove(0).card.unwrap().message_id, id);
    assert_eq!(told(&bench, &id), [Event::Accepted, Event::Forwarded, Event::Received]);
}

#[test]
fn what_may_have_arrived_is_never_said_not_to_have() {
    for (second, name) in [(Act::Unreachable, "unreachable"), (Act::Refuse(Code::MessageIdIllegal), "refused")] {
        let acts = [Act::AnswerLost].into_iter().chain([second; 100]);
        let recipient = Recipient::that(acts);
        let bench = patient(&recipient);
        let (_, _, id) = forward(&bench);
        for seconds in (5..=400).step_by(5) {
            recipient.answers_at(at(seconds));
            while bench.intermediary.deliver_next(at(seconds)).unwrap() {}
        }
        assert_eq!(bench.store.card(&id).unwrap().unwrap().failure, Some(9810), "{name}");
    }
}

#[test]
fn a_fault_ends_nothing_because_nobody_knows_whose_it_is() {
    let faults = [Code::Undecryptable, Code::NoPrivateKey, Code::InternalError].map(Act::Fault);
    let recipient = Recipient::that(faults);
    let bench = patient(&recipient);
    let (codes, _, id) = forward(&bench);
    assert_eq!(codes, [800]);
    for seconds in (5..=290).step_by(5) {
        recipient.answers_at(at(seconds));
        bench.intermediary.deliver_next(at(seconds)).unwrap();
    }
    assert_eq!(recipient.attempts(), 4);
    assert!(bench.store.card(&id).unwrap().unwrap().received.is_some());
}

#[test]
fn a_receiver_off_the_list_and_trouble_of_our_own_are_waited_out() {
    let recipient = Recipient::that([Act::Unreachable]);
    let bench = patient(&recipient);
    let id = bench.fresh_id();
    let mut alice = Client::alice();
    let mut delivery = Delivery::to("bob-cipher", &id);
    delivery.content = content(&vec![7; 300_000], &[]);
    let draft = alice.forward(Recipient::URL, delivery);
    assert_eq!(alice.codes(&bench, &draft), [800]);
    recipient.unlist(true);
    recipient.answers_at(at(30));
    assert!(bench.intermediary.deliver_next(at(30)).unwrap());
    recipient.unlist(false);
    // The folder of the spools is away for a moment.
    let incoming = bench.store.incoming().to_owned();
    std::fs::rename(&incoming, incoming.with_extension("away")).unwrap();
    assert!(bench.intermediary.deliver_next(at(80)).unwrap());
    std::fs::rename(incoming.with_extension("away"), &incoming).unwrap();
    assert_eq!(recipient.attempts(), 1);
    recipient.answers_at(at(160));
    assert!(bench.intermediary.deliver_next(at(160)).unwrap());
    assert!(bench.store.card(&id).unwrap().unwrap().received.is_some());
}

#[test]
fn during_maintenance_and_for_blocked_mailboxes_nothing_is_tried() {
    let recipient = Recipient::that([Act::Unreachable]);
    let bench = patient(&recipient);
    let (_, _, id) = forward(&bench);
    for mode in [Mode::StoreOnly, Mode::Stopped] {
        bench.intermediary.admit(Admission { mode, ..Admission::default() });
        assert!(!bench.intermediary.deliver_next(at(60)).unwrap());
    }
    let blocked = [Fingerprint::of_der(&der("bob-cipher"))].into();
    bench.intermediary.admit(Admission { blocked, ..Admission::default() });
    while bench.intermediary.deliver_next(at(60)).unwrap() {}
    assert_eq!(recipient.attempts(), 1);
    bench.intermediary.admit(Admission::default());
    recipient.answers_at(at(200));
    // It rests for minutes, and five are all it has.
    while bench.intermediary.deliver_next(at(400)).unwrap() {}
    let card = bench.store.card(&id).unwrap().unwrap();
    assert!(card.received.is_some() || card.failure.is_some());
}

/// What CBC hides must not show in what a sender is told when somebody returns it as an answer.
#[test]
fn an_answer_without_authentication_is_one_failure_whatever_is_in_it() {
    let file = "../tests/vectors/algo-aes256-cbc/request.mime";
    let captured = std::fs::read(crate::harness::certs_test(file)).unwrap();
    let end = captured.len() - 40;
    let positions = [usize::MAX].into_iter().chain((end - 2900..end).step_by(290));
    for position in positions {
        let mut changed = captured.clone();
        if let Some(byte) = changed.get_mut(position) {
            *byte ^= 1;
        }
        let recipient = Recipient::that([Act::Replay(Vec::leak(changed))]);
        let bench = setup(&recipient).start();
        assert_eq!(forward(&bench).0, [9810], "{position}");
    }
}

#[test]
fn nothing_leaves_in_clear() {
    let recipient = Recipient::that([]);
    let bench = setup(&recipient).start();
    let id = bench.fresh_id();
    let mut alice = Client::alice();
    let mut delivery = Delivery::to("bob-cipher", &id);
    delivery.certificates.clear();
    let draft = alice.forward(Recipient::URL, delivery);
    assert_eq!(alice.codes(&bench, &draft), [9809]);
    assert_eq!(recipient.attempts(), 0);
}
