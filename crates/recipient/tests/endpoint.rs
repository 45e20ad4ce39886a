//! Deliveries are handed over, and what comes back is what an intermediary needs.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use rohrpost_client::NewContainer;
use rohrpost_crypto::SystemRandom;
use rohrpost_crypto::policy::Policy;
use rohrpost_osci::content::Content;
use rohrpost_osci::dialog::ControlBlock;
use rohrpost_osci::header::{CertificateRole, CertificateUse};
use rohrpost_osci::ids::ConversationId;
use rohrpost_osci::message::RecipientResponse;
use rohrpost_osci::source::read_range;
use rohrpost_pipeline::spool::Spool;
use rohrpost_pki::{Anchors, Inspector, Verdict};
use rohrpost_recipient::{
    Context, Endpoint, Handled, Intermediaries, Outcome, Parts, Received, Recipient, Refusal, Reply, Settings,
};
use support::{Handover, NOW, certificate, fault, ring, signature, spools};

/// Takes everything, and remembers what it was asked.
#[derive(Default)]
struct Desk {
    asked: Mutex<Vec<String>>,
    refuse: Option<Refusal>,
}

impl Desk {
    fn note(&self, delivery: &Received) -> Result<(), Refusal> {
        let containers = delivery.contents.containers();
        let data = containers.iter().flat_map(|container| &container.contents).find_map(|content| match content {
            Content::Data(data) => Some(read_range(&*data.bytes, 0..data.bytes.len()).unwrap()),
            _ => None,
        });
        let text = String::from_utf8(data.unwrap_or_default()).unwrap();
        let id = delivery.message_id().map_or("none", |id| id.as_str()).to_owned();
        self.asked.lock().unwrap().push(format!("{id} {text}"));
        self.refuse.map_or(Ok(()), Err)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Recipient for Desk {
    fn accept(&self, delivery: &Received) -> Result<(), Refusal> {
        assert_eq!(delivery.contents.attachments.len(), 1);
        assert!(delivery.reply_id.is_none());
        self.note(delivery)
    }

    fn process(&self, delivery: &Received) -> Result<Reply, Refusal> {
        self.note(delivery)?;
        let container = NewContainer::new()
            .data("<receipt/>")
            .signed_by(signature("bob-signature"))
            .sealed_for(delivery.originator().unwrap());
        Ok(Reply::new().with_container(container).with_subject("received"))
    }
}

fn parts() -> Parts {
    Parts {
        keys: ring("bob"),
        intermediaries: Intermediaries::Listed(vec![certificate("intermediary-signature").fingerprint()]),
        inspector: None,
        policy: Arc::new(Policy::standard()),
        spools: spools(),
        random: Arc::new(SystemRandom),
    }
}

fn endpoint(desk: &Arc<Desk>) -> Endpoint {
    Endpoint::new(parts(), Settings::default(), Arc::clone(desk) as Arc<dyn Recipient>)
}

fn handle(endpoint: &Endpoint, request: Vec<u8>) -> (Handled, Vec<u8>) {
    let context = Context { now: NOW, correlation_id: "c1".to_owned() };
    let handled = endpoint.handle(Spool::from_bytes(request), &context);
    let answer = support::bytes(&handled.answer);
    (handled, answer)
}

#[test]
fn a_delivery_is_taken() {
    let desk = Arc::new(Desk::default());
    let endpoint = endpoint(&desk);
    let handover = Handover::new("id-1");
    let (handled, answer) = handle(&endpoint, handover.write());
    assert_eq!((handled.outcome, handled.request, &handled.codes[..]), (Outcome::Taken, "AcceptDelivery", &[800][..]));
    assert_eq!(handled.intermediary, Some(certificate("intermediary-signature").fingerprint()));
    let answer = handover.read(&answer);
    assert!(answer.encrypted);
    assert_eq!(answer.signer.unwrap().der(), certificate("bob-signature").der());
    assert_eq!(answer.response.header().certificates.entries().len(), 1);
    assert_eq!(answer.response.feedback().entries()[0].language.as_deref(), Some("en"));
    assert_eq!(desk.asked(), ["id-1 <notice>moved in</notice>"]);
}

#[test]
fn a_delivery_is_answered_with_another() {
    let desk = Arc::new(Desk::default());
    let endpoint = endpoint(&desk);
    for message_id in [Some("id-1"), None] {
        let handover = Handover { message_id, ..Handover::to_be_answered("") };
        let (handled, answer) = handle(&endpoint, handover.write());
        assert_eq!((handled.outcome, handled.request), (Outcome::Taken, "ProcessDelivery"));
        let answer = handover.read(&answer);
        assert_eq!(answer.code, 800);
        let people = &answer.response.header().certificates;
        for (role, purpose, name) in [
            (CertificateRole::Originator, CertificateUse::Cipher, "bob-cipher"),
            (CertificateRole::Originator, CertificateUse::Signature, "bob-signature"),
            (CertificateRole::Addressee, CertificateUse::Cipher, "alice-cipher"),
        ] {
            assert_eq!(people.first(role, purpose).unwrap().der, certificate(name).der(), "{name}");
        }
        assert_eq!(people.entries().len(), 3, "author and reader are among them");
        let RecipientResponse::ProcessDelivery(response) = answer.response else { panic!("another type") };
        let with_card = response.with_card.map(|reply| (reply.message_id.to_string(), reply.subject.unwrap()));
        assert_eq!(with_card, message_id.map(|_| ("reply-1".to_owned(), "received".to_owned())));
        let reply = answer.reply.unwrap();
        assert_eq!(reply.sealed(), 0, "sealed for who sent the delivery");
        assert!(reply.signatures.iter().all(|signature| signature.signature.outcome.is_ok()));
    }
    assert_eq!(desk.asked().len(), 2);
}

#[test]
fn the_answer_is_protected_as_the_request_was() {
    let desk = Arc::new(Desk::default());
    let mut settings = Settings::default();
    settings.dangerous_unsigned_requests = true;
    let endpoint = Endpoint::new(parts(), settings, Arc::clone(&desk) as Arc<dyn Recipient>);
    for process in [false, true] {
        for signed_by in [None, Some("intermediary-signature")] {
            for sealed_for in [None, Some("bob-cipher")] {
                let handover = Handover { process, signed_by, sealed_for, ..Handover::new("id") };
                let (handled, answer) = handle(&endpoint, handover.write());
                let answer = handover.read(&answer);
                assert_eq!(handled.outcome, Outcome::Taken);
                assert_eq!((answer.signer.is_some(), answer.encrypted), (signed_by.is_some(), sealed_for.is_some()));
            }
        }
    }
}

#[test]
fn refusals_are_told_apart() {
    for (refusal, code) in [(Refusal::Declined, 9805), (Refusal::Failed, 9811)] {
        let desk = Arc::new(Desk { refuse: Some(refusal), ..Desk::default() });
        for process in [false, true] {
            let handover = Handover { process, ..Handover::new("id-1") };
            let (handled, answer) = handle(&endpoint(&desk), handover.write());
            assert_eq!((handled.outcome, &handled.codes[..]), (Outcome::Refused, &[code][..]));
            let answer = handover.read(&answer);
            assert_eq!(answer.code, code);
            assert!(answer.encrypted && answer.signer.is_some() && answer.reply.is_none());
        }
    }
}

#[test]
fn a_reply_that_cannot_be_made_is_a_refusal() {
    struct Careless;
    impl Recipient for Careless {
        fn accept(&self, _: &Received) -> Result<(), Refusal> {
            Ok(())
        }
        fn process(&self, _: &Received) -> Result<Reply, Refusal> {
            // Nobody can encrypt for a certificate that is for signatures.
            Ok(Reply::new().with_container(NewContainer::new().data("x").sealed_for(certificate("alice-signature"))))
        }
    }
    let endpoint = Endpoint::new(parts(), Settings::default(), Arc::new(Careless));
    let handover = Handover::to_be_answered("id-1");
    let (handled, answer) = handle(&endpoint, handover.write());
    assert_eq!((handled.outcome, handover.read(&answer).code), (Outcome::Refused, 9811));
}

#[test]
fn nobody_else_hands_over_deliveries() {
    let inspector = || {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../certs-test/ca/");
        let file = |name: &str| std::fs::read(format!("{folder}{name}.cert.pem")).unwrap();
        let ca = |name: &str| rohrpost_pki::pem::certificates(&file(name)).unwrap();
        let intermediates = [ca("transport-ca"), ca("registry-ca")].concat();
        let inspector = Inspector::new(Anchors::from_pem(&file("root-ca")).unwrap(), Policy::standard());
        Some(Arc::new(inspector.with_intermediates(intermediates)))
    };
    let listed = |name: &str| Intermediaries::Listed(vec![certificate(name).fingerprint()]);
    let ours = "intermediary-signature";
    for (intermediaries, inspector, signed_by, code) in [
        (listed(ours), None, Some(ours), 800),
        (listed(ours), inspector(), Some(ours), 800),
        (Intermediaries::Trusted, inspector(), Some(ours), 800),
        (listed(ours), None, Some("alice-signature"), 9700),
        (Intermediaries::Listed(Vec::new()), None, Some(ours), 9700),
        (Intermediaries::Trusted, None, Some(ours), 9700),
        (Intermediaries::Trusted, inspector(), Some("mallory-signature"), 9700),
        (Intermediaries::Trusted, inspector(), Some("self-signed-signature"), 9700),
        (listed("mallory-signature"), None, Some("mallory-signature"), 800),
        (listed(ours), None, None, 9600),
        (Intermediaries::Trusted, inspector(), None, 9600),
    ] {
        let desk = Arc::new(Desk::default());
        let parts = Parts { intermediaries, inspector, ..parts() };
        let endpoint = Endpoint::new(parts, Settings::default(), Arc::clone(&desk) as Arc<dyn Recipient>);
        let handover = Handover { signed_by, ..Handover::new("id-1") };
        let (_, answer) = handle(&endpoint, handover.write());
        assert_eq!(handover.read(&answer).code, code, "{signed_by:?}");
        assert_eq!(desk.asked().len(), usize::from(code == 800), "{signed_by:?}");
    }
}

#[test]
fn what_cannot_be_taken_is_answered_with_a_fault() {
    let good = Handover::new("id-1");
    let in_clear = Handover { sealed_for: None, ..good.clone() };
    let conversation =
        |control: ControlBlock| ControlBlock { conversation_id: ConversationId::new("1").ok(), ..control };
    let control = ControlBlock { challenge: Some(support::challenge()), ..ControlBlock::default() };
    let damaged = |handover: &Handover| {
        let mut request = handover.write();
        let end = request.len() - 200;
        request[end] ^= 1;
        request
    };
    let store = include_bytes!("../../../tests/vectors/storedelivery-implicit-plain/request.mime").to_vec();
    let own_answer = {
        let desk = Arc::new(Desk::default());
        handle(&endpoint(&desk), in_clear.write()).1
    };
    for (what, request, code) in [
        ("for another key", Handover { sealed_for: Some("carol-cipher"), ..good.clone() }.write(), 9200),
        ("damaged", damaged(&good), 9202),
        ("no message", b"hello".to_vec(), 9100),
        ("a conversation", Handover { control: Some(conversation(control.clone())), ..good.clone() }.write(), 9400),
        ("no challenge", Handover { control: Some(ControlBlock::default()), ..good.clone() }.write(), 9400),
        ("no certificate for the answer", Handover { with_cipher: false, ..good.clone() }.write(), 9500),
        ("an order for an intermediary", store, 9300),
        ("an answer", own_answer, 9300),
    ] {
        let desk = Arc::new(Desk::default());
        let (handled, answer) = handle(&endpoint(&desk), request);
        assert_eq!(fault(&answer), Some(code), "{what}");
        assert_eq!((handled.outcome, &handled.codes[..]), (Outcome::Fault, &[code][..]), "{what}");
        assert!(desk.asked().is_empty(), "{what}");
    }
}

#[test]
fn a_changed_request_is_refused() {
    let in_clear = Handover { sealed_for: None, reader: None, ..Handover::new("id-1") };
    let text = String::from_utf8(in_clear.write()).unwrap();
    for (from, to) in [("move-in notice", "move-out notice"), (r#"LanguagesList="en""#, r#"LanguagesList="de""#)] {
        assert!(text.contains(from));
        let desk = Arc::new(Desk::default());
        let (handled, answer) = handle(&endpoint(&desk), text.replace(from, to).into_bytes());
        assert_eq!((handled.outcome, in_clear.read(&answer).code), (Outcome::Refused, 9601));
        assert!(desk.asked().is_empty());
    }
}

#[test]
fn content_for_others_stays_closed() {
    struct Closed;
    impl Recipient for Closed {
        fn accept(&self, delivery: &Received) -> Result<(), Refusal> {
            assert_eq!(delivery.contents.sealed(), 1);
            assert_eq!(delivery.contents.verdict(), None::<Verdict>);
            Ok(())
        }
    }
    let endpoint = Endpoint::new(parts(), Settings::default(), Arc::new(Closed));
    let handover = Handover { reader: Some("carol-cipher"), ..Handover::new("id-1") };
    let (_, answer) = handle(&endpoint, handover.write());
    assert_eq!(handover.read(&answer).code, 800);
    let wanting = Handover::to_be_answered("id-2");
    let (_, answer) = handle(&endpoint, wanting.write());
    assert_eq!(wanting.read(&answer).code, 9805, "who does not answer deliveries declines them");
}

#[test]
fn the_same_delivery_is_never_asked_about_twice_at_a_time() {
    struct Slow {
        inside: AtomicUsize,
        asked: AtomicUsize,
    }
    impl Recipient for Slow {
        fn accept(&self, _: &Received) -> Result<(), Refusal> {
            assert_eq!(self.inside.fetch_add(1, Ordering::SeqCst), 0, "alone");
            (0..1000).for_each(|_| thread::yield_now());
            self.inside.fetch_sub(1, Ordering::SeqCst);
            self.asked.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }
    let slow = Arc::new(Slow { inside: AtomicUsize::new(0), asked: AtomicUsize::new(0) });
    let endpoint = Endpoint::new(parts(), Settings::default(), Arc::clone(&slow) as Arc<dyn Recipient>);
    let request = Handover::new("id-1").write();
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                assert_eq!(handle(&endpoint, request.clone()).0.outcome, Outcome::Taken);
            });
        }
    });
    assert_eq!(slow.asked.load(Ordering::SeqCst), 4);
}
