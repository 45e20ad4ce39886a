//! Deliveries that a passive recipient replies to (OSCI-Transport 1.2, MediateDelivery).

use std::sync::{Arc, Mutex, OnceLock, Weak};

use rohrpost_intermediary::{Courier, Returned, Undelivered};
use rohrpost_osci::card::ProcessCardBundle;
use rohrpost_osci::feedback::Code;
use rohrpost_osci::header::{CertificateRole, CertificateUse};
use rohrpost_osci::message::{Response, ResponseToMediateDelivery};
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_store::Store as _;

use crate::harness::{Act, Bench, Client, Delivered, Delivery, Recipient, Setup, der};

fn start(acts: impl IntoIterator<Item = Act>) -> (Arc<Recipient>, Bench) {
    let recipient = Recipient::that(acts);
    let setup = Setup { courier: Some(Arc::clone(&recipient) as Arc<_>), ..Setup::default() };
    (recipient, setup.start())
}

struct Mediated {
    codes: Vec<u16>,
    response: ResponseToMediateDelivery,
    reply: Option<Vec<u8>>,
}

fn mediate(bench: &Bench, alice: &mut Client, with_cards: bool) -> Mediated {
    let id = bench.fresh_id();
    let mut delivery = Delivery::to("bob-cipher", &id);
    if !with_cards {
        delivery.message_id = None;
    }
    let draft = alice.mediate(Recipient::URL, delivery);
    let answer = bench.handle(alice.encode(&draft));
    let verified = alice.read(&answer);
    let Response::MediateDelivery(response) = Response::parse(verified.read().envelope()).unwrap() else {
        panic!("an answer to something else")
    };
    let reply = Delivered::package(&verified).map(|package| Delivered::data(&package).remove(0).1);
    Mediated { codes: answer.codes, response: *response, reply }
}

fn stamps(card: &ProcessCardBundle) -> [bool; 3] {
    [&card.card.creation, &card.card.forwarding, &card.card.reception].map(Option::is_some)
}

#[test]
fn the_reply_comes_back_with_two_cards() {
    let (recipient, bench) = start([]);
    let mut alice = Client::alice().open(&bench);
    let Mediated { codes, response, reply } = mediate(&bench, &mut alice, true);
    assert_eq!((codes, reply.as_deref()), (vec![801], Some(&b"Ja"[..])));
    let (request_card, reply_card) = (response.request_card.unwrap(), response.reply_card.unwrap());
    assert_eq!((stamps(&request_card), stamps(&reply_card)), ([true, true, true], [true, true, false]));
    assert_eq!(reply_card.card.subject.as_deref(), Some("Antwort"));
    let got = recipient.got().remove(0);
    assert_eq!(got.reply_id.as_ref(), Some(&reply_card.message_id));
    assert_eq!(got.card.unwrap().message_id, request_card.message_id);
    let originator = response.header.certificates.first(CertificateRole::Originator, CertificateUse::Cipher).unwrap();
    assert_eq!(originator.der, der("bob-cipher"));
    // The reply is received when Alice goes on in her dialog.
    let id = reply_card.message_id;
    assert!(bench.store.card(&id).unwrap().unwrap().received.is_none());
    let draft = alice.exit();
    assert_eq!(alice.codes(&bench, &draft), [800]);
    assert!(bench.store.card(&id).unwrap().unwrap().received.is_some());
}

#[test]
fn a_reply_that_was_not_acknowledged_can_be_fetched() {
    let (_, bench) = start([]);
    let mut alice = Client::alice().open(&bench);
    let id = mediate(&bench, &mut alice, true).response.reply_card.unwrap().message_id;
    let mut again = Client::alice().open(&bench);
    let (codes, fetched) = again.fetch_at(&bench, DeliverySelection::Oldest, crate::harness::NOW);
    assert_eq!(codes, [801]);
    let fetched = fetched.unwrap();
    assert_eq!((fetched.message_id, fetched.data[0].1.clone()), (id, b"Ja".to_vec()));
}

#[test]
fn without_cards_nothing_is_kept() {
    let (recipient, bench) = start([]);
    let mut alice = Client::alice().open(&bench);
    let Mediated { codes, response, reply } = mediate(&bench, &mut alice, false);
    assert_eq!((codes, reply.as_deref()), (vec![801], Some(&b"Ja"[..])));
    assert!(response.request_card.is_none() && response.reply_card.is_none());
    let got = recipient.got().remove(0);
    assert!(got.card.is_none() && got.reply_id.is_none());
    // But an auditor sees that it happened.
    assert_eq!(bench.stats().log_size, 1);
    assert_eq!(bench.stats().waiting, 0);
}

#[test]
fn what_the_recipient_does_decides_what_the_client_is_told() {
    for (act, code) in [
        (Act::Refuse(Code::MessageIdIllegal), 9805),
        (Act::Empty, 9806),
        (Act::Tampered, 9807),
        (Act::Fault(Code::InternalError), 9808),
        (Act::Unreachable, 9809),
        (Act::OtherReplyId, 9810),
        (Act::AnswerLost, 9810),
        (Act::Garbage, 9810),
    ] {
        for with_cards in [true, false] {
            if act == Act::OtherReplyId && !with_cards {
                continue;
            }
            let (recipient, bench) = start([act]);
            let mut alice = Client::alice().open(&bench);
            let Mediated { codes, response, reply } = mediate(&bench, &mut alice, with_cards);
            assert_eq!((codes, reply), (vec![code], None), "{act:?} {with_cards}");
            assert_eq!(response.request_card.map(|card| stamps(&card)), with_cards.then_some([true, true, false]));
            assert!(response.reply_card.is_none());
            assert_eq!(recipient.attempts(), 1);
            // The dialog goes on.
            let draft = alice.exit();
            assert_eq!(alice.codes(&bench, &draft), [800]);
        }
    }
}

#[test]
fn warnings_come_with_the_reply() {
    for (act, codes) in [(Act::Unsigned, [801, 3802]), (Act::InClear, [801, 3803])] {
        let (_, bench) = start([act]);
        let mut alice = Client::alice().open(&bench);
        let mediated = mediate(&bench, &mut alice, true);
        assert_eq!((mediated.codes.as_slice(), mediated.reply.is_some()), (&codes[..], true));
    }
}

#[test]
fn it_needs_an_encrypted_dialog() {
    let (recipient, bench) = start([]);
    let mut alice = Client::alice().in_clear().open(&bench);
    assert_eq!(mediate(&bench, &mut alice, true).codes, [9811]);
    assert_eq!(recipient.attempts(), 0);
}

/// Bob, who sends a further request of Alice's dialog while he is asked.
struct Meanwhile {
    inner: Arc<Recipient>,
    request: Mutex<Option<Vec<u8>>>,
    bench: OnceLock<Weak<Bench>>,
    fault: Mutex<Option<u16>>,
}

impl Courier for Meanwhile {
    fn known(&self, receiver: &str) -> Option<String> {
        self.inner.known(receiver)
    }

    fn carry(&self, name: &str, message: &Spool, answers: &SpoolDir) -> Result<Returned, Undelivered> {
        let request = self.request.lock().unwrap().take().unwrap();
        let bench = self.bench.get().unwrap().upgrade().unwrap();
        *self.fault.lock().unwrap() = bench.handle(request).fault();
        self.inner.carry(name, message, answers)
    }
}

#[test]
fn while_a_recipient_is_waited_for_nothing_else_of_the_dialog_waits_as_well() {
    let courier = Arc::new(Meanwhile {
        inner: Recipient::that([]),
        request: Mutex::default(),
        bench: OnceLock::new(),
        fault: Mutex::default(),
    });
    let bench = Arc::new(Setup { courier: Some(Arc::clone(&courier) as Arc<_>), ..Setup::default() }.start());
    courier.bench.set(Arc::downgrade(&bench)).ok().unwrap();
    let mut alice = Client::alice().open(&bench);
    let draft = alice.mediate(Recipient::URL, Delivery::to("bob-cipher", &bench.fresh_id()));
    // A retransmission, as of a client that lost patience.
    *courier.request.lock().unwrap() = Some(alice.encode(&draft));
    assert_eq!(alice.codes(&bench, &draft), [801]);
    assert_eq!(*courier.fault.lock().unwrap(), Some(9400));
    let draft = alice.exit();
    assert_eq!(alice.codes(&bench, &draft), [800]);
}
