//! Nothing may happen for a request that cannot be answered afterwards.

use rohrpost_crypto::SystemRandom;
use rohrpost_intermediary::Outcome;
use rohrpost_osci::header::{CertificateEntry, CertificateRole, CertificateUse, control_block_to_block};
use rohrpost_osci::ids::Challenge;
use rohrpost_osci::message::Response;
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_pki::Certificate;
use rohrpost_store::Store as _;

use crate::der::stuffed;
use crate::failing::Failing;
use crate::harness::{Answer, Bench, Client, Delivery, Draft, DraftBlock, NOW, Setup, certificates, der, key};

/// A delivery from a client with this cipher certificate, encrypted.
fn delivery_from(bench: &Bench, cipher: Option<Vec<u8>>) -> Vec<u8> {
    let mut alice = Client::alice().unsigned();
    let mut draft = alice.store(Delivery::to("bob-cipher", &bench.fresh_id()));
    set_client(&mut draft, cipher);
    alice.encode(&draft)
}

/// Puts another cipher certificate of the originator into a draft, or none.
fn set_client(draft: &mut Draft, cipher: Option<Vec<u8>>) {
    let addressee = CertificateEntry::new(CertificateRole::Addressee, CertificateUse::Cipher, 0, der("bob-cipher"));
    let own = cipher.map(|der| CertificateEntry::new(CertificateRole::Originator, CertificateUse::Cipher, 0, der));
    let block = certificates(None, None, [addressee].into_iter().chain(own).collect()).to_block();
    *draft.block("nonintermediarycertificates") = DraftBlock::new(block.id(), block.canonical());
}

#[test]
fn a_delivery_whose_sender_cannot_be_answered_is_not_accepted() {
    for (what, cipher, code) in [
        ("no certificate", None, 9500),
        ("a key that cannot encrypt", Some(der("ec-p256-signature")), 9503),
        ("no certificate at all", Some(b"junk".to_vec()), 9501),
    ] {
        let bench = Bench::default();
        let answer = bench.handle(delivery_from(&bench, cipher));
        assert_eq!(answer.fault(), Some(code), "{what}");
        assert_eq!((bench.stats().waiting, bench.stats().log_size), (0, 0), "{what}");
    }
}

#[test]
fn a_dialog_is_opened_only_for_a_certificate_that_can_be_kept() {
    let stuffed = |size| stuffed(&der("mallory-cipher"), size);
    Certificate::from_der(&stuffed(60_000)).unwrap();
    for sealed in [true, false] {
        for (cipher, outcome) in [
            (b"junk".to_vec(), Err(9501)),
            (vec![0x30; 60_000], Err(9503)),
            (stuffed(60_000), Err(9503)),
            (stuffed(5_000), Ok(801)),
        ] {
            let bench = Bench::default();
            let mut alice = Client::alice().unsigned();
            alice.sealed = sealed;
            let mut draft = alice.init();
            set_client(&mut draft, Some(cipher));
            let answer = bench.handle(alice.encode(&draft));
            let found = if answer.outcome == Outcome::Fault { Err(answer.codes[0]) } else { Ok(answer.codes[0]) };
            assert_eq!(found, outcome, "{sealed}");
            assert_eq!(bench.intermediary.counts().open_dialogs, u64::from(outcome.is_ok()));
        }
    }
}

#[test]
fn a_failing_store_leaves_the_dialog_as_it_was() {
    let mut failing = None;
    let bench = Setup::default().start_with(|store| failing.insert(Failing::new(store)).clone());
    let store = failing.unwrap();
    let ids: Vec<_> = (0..2).map(|_| Client::deliver(&bench, "bob-cipher", NOW)).collect();
    let mut bob = Client::bob().open(&bench);
    let received = |id| bench.store.card(id).unwrap().unwrap().received.is_some();

    // The delivery cannot be noted as handed out, so it is not handed out.
    let mut draft = bob.fetch(DeliverySelection::Oldest);
    store.fails(true);
    assert_eq!(bench.handle(bob.encode(&draft)).fault(), Some(9000));
    store.fails(false);
    // The number was counted, the challenge is the old one.
    draft.replace("controlblock", "SequenceNumber=\"0\"", "SequenceNumber=\"1\"");
    let answer = bench.handle(bob.encode(&draft));
    assert_eq!(answer.codes, [801, 3800]);
    assert!(!received(&ids[0]), "it was handed out once");

    // The acknowledgement cannot be kept, so the next request acknowledges.
    let mut next = after(&draft, &answer, "bob-cipher", 2);
    store.fails(true);
    assert_eq!(bench.handle(bob.encode(&next)).fault(), Some(9000));
    store.fails(false);
    assert!(!received(&ids[0]));
    next.replace("controlblock", "SequenceNumber=\"2\"", "SequenceNumber=\"3\"");
    assert_eq!(bench.handle(bob.encode(&next)).codes, [801]);
    assert!(received(&ids[0]) && !received(&ids[1]));
}

#[test]
fn a_delivery_that_cannot_be_stored_is_not_said_to_be() {
    let mut failing = None;
    let bench = Setup::default().start_with(|store| failing.insert(Failing::new(store)).clone());
    let store = failing.unwrap();
    let (mut alice, id) = (Client::alice(), bench.fresh_id());
    let draft = alice.store(Delivery::to("bob-cipher", &id));
    store.fails_to_accept(true);
    let answer = bench.handle(alice.encode(&draft));
    assert_eq!(answer.codes, [9811]);
    assert!(bench.store.card(&id).unwrap().is_none());
    store.fails_to_accept(false);
    assert_eq!(bench.handle(alice.encode(&draft)).codes, [800]);
}

/// The answer that says that all is well is written already when the store fails.
#[test]
fn a_dialog_goes_on_after_a_delivery_that_could_not_be_stored() {
    let mut failing = None;
    let bench = Setup::default().start_with(|store| failing.insert(Failing::new(store)).clone());
    let store = failing.unwrap();
    let (mut alice, id) = (Client::alice().open(&bench), bench.fresh_id());
    let draft = alice.store(Delivery::to("bob-cipher", &id));
    store.fails_to_accept(true);
    let answer = bench.handle(alice.encode(&draft));
    assert_eq!(answer.codes, [9811]);
    assert_eq!(bench.handle(alice.encode(&draft)).bytes, answer.bytes, "the same once more");
    store.fails_to_accept(false);
    let next = after(&draft, &answer, "alice-cipher", 1);
    assert_eq!(bench.handle(alice.encode(&next)).codes, [801]);
    assert!(bench.store.card(&id).unwrap().is_some());
}

/// The same order once more, as a request that answers the challenge of `answer`.
fn after(draft: &Draft, answer: &Answer, client: &str, number: u32) -> Draft {
    let opened = answer.opened(key(client));
    let mut control = Response::parse(opened.read().envelope()).unwrap().control().clone();
    control.response = control.challenge.replace(Challenge::generate(&SystemRandom));
    control.sequence_number = Some(number);
    let mut draft = draft.clone();
    draft.block("controlblock").text = control_block_to_block(&control).canonical().to_owned();
    draft
}
