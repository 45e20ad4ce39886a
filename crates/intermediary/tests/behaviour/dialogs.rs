//! Dialogs as the intermediary keeps them (OSCI-Transport 1.2, dialog control).

use rohrpost_crypto::{DigestAlgorithm, SystemRandom};
use rohrpost_osci::dialog;
use rohrpost_osci::ids::{Challenge, ConversationId};
use rohrpost_osci::message::Response;
use rohrpost_osci::selection::DeliverySelection;
use time::Duration;

use crate::harness::{Answer, Bench, Client, Delivery, Draft, NOW, Setup, der};

const OLDEST: DeliverySelection = DeliverySelection::Oldest;

#[test]
fn a_retransmission_gets_the_very_same_answer() {
    let bench = Bench::default();
    let mut alice = Client::alice().open(&bench);
    let draft = alice.get_message_id();
    let request = alice.encode(&draft);
    let first = bench.handle(request.clone());
    assert_eq!(bench.handle(request.clone()).bytes, first.bytes);
    // Encrypted anew it is other bytes, but the same request.
    assert_eq!(bench.handle(alice.encode(&draft)).bytes, first.bytes);
    assert_eq!(bench.handle_at(request, NOW + Duration::minutes(19)).bytes, first.bytes);
    alice.read(&first);
    let draft = alice.exit();
    assert_eq!(alice.codes(&bench, &draft), [800]);
}

#[test]
fn a_delivery_sent_twice_in_a_dialog_is_stored_once() {
    let bench = Bench::default();
    let mut alice = Client::alice().open(&bench);
    let draft = alice.store(Delivery::to("bob-cipher", &bench.fresh_id()));
    let request = alice.encode(&draft);
    let first = bench.handle(request.clone());
    let second = bench.handle(request);
    assert_eq!((first.codes.as_slice(), &second.bytes), (&[801][..], &first.bytes));
    assert_eq!(bench.stats().waiting, 1);
    assert_eq!(bench.stats().log_size, 1);
}

#[test]
fn the_last_request_can_be_sent_again_after_exit_but_nothing_else() {
    let bench = Bench::default();
    let mut alice = Client::alice().open(&bench);
    let mut late = alice.fetch(OLDEST);
    alice.send(&bench, &late);
    let exit = alice.exit();
    let request = alice.encode(&exit);
    let first = bench.handle(request.clone());
    assert_eq!(bench.handle(request).bytes, first.bytes);
    alice.read(&first);

    // A client that believes to be in the dialog still: the number goes on, there is no challenge to answer.
    late.replace("controlblock", "SequenceNumber=\"0\"", "SequenceNumber=\"2\"");
    assert_eq!(bench.handle(alice.encode(&late)).fault(), Some(9400));
    let mut get = alice.get_message_id();
    let block = &mut get.block("controlblock").text;
    let old = late.block("controlblock").text.clone();
    let conversation = old.split_once(" ConversationId=\"").unwrap().1.split_once('"').unwrap().0;
    *block = block
        .replace(" Id=", &format!(" ConversationId=\"{conversation}\" Id="))
        .replace("SequenceNumber=\"0\"", "SequenceNumber=\"2\"");
    assert_eq!(bench.handle(alice.encode(&get)).fault(), Some(9400));
}

#[test]
fn a_retransmission_never_gets_the_answer_to_another_request() {
    let bench = Bench::default();
    let mut alice = Client::alice().open(&bench);
    let before = alice.get_message_id();
    let answered = alice.codes(&bench, &before);
    assert_eq!(answered, [801]);
    // The control block is in order and counts; the order ends in a fault, because the client's certificate is forged.
    let mut delivery = Delivery::to("bob-cipher", &bench.fresh_id());
    delivery.subject = Some("zweimal".to_owned());
    let mut draft = alice.store(delivery);
    forge_cipher_certificate(&mut draft);
    let request = alice.encode(&draft);
    assert_eq!(bench.handle(request.clone()).fault(), Some(9501));
    assert_eq!(bench.handle(request).fault(), Some(9400), "there is no answer to repeat");
}

/// Damages the issuer's signature on the originator's cipher certificate.
fn forge_cipher_certificate(draft: &mut Draft) {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let genuine = der("alice-cipher");
    let mut forged = genuine.clone();
    *forged.last_mut().unwrap() ^= 1;
    let text = &mut draft.block("nonintermediarycertificates").text;
    let flat: String = text.chars().filter(|c| *c != '\n').collect();
    let (genuine, forged) = (STANDARD.encode(genuine), STANDARD.encode(forged));
    assert!(flat.contains(&genuine));
    *text = flat.replacen(&genuine, &forged, 1);
}

#[test]
fn a_dialog_goes_on_after_a_fault() {
    let bench = Bench::default();
    let mut alice = Client::alice().open(&bench);
    let draft = alice.get_message_id();
    let mut broken = draft.clone();
    broken.replace_in_body("<osci:getMessageId></osci:getMessageId>", "<osci:getMessageIds></osci:getMessageIds>");
    assert_eq!(bench.handle(alice.encode(&broken)).fault(), Some(9100));
    // The client counts the request that failed, we could not; once the gap is forgiven.
    let mut next = draft.clone();
    next.replace("controlblock", "SequenceNumber=\"0\"", "SequenceNumber=\"1\"");
    let answer = bench.handle(alice.encode(&next));
    assert_eq!(answer.codes, [801]);

    let mut twice = next.clone();
    twice.replace("controlblock", "SequenceNumber=\"1\"", "SequenceNumber=\"3\"");
    assert_eq!(bench.handle(alice.encode(&twice)).fault(), Some(9400));
}

#[test]
fn a_request_object_that_is_sent_again_is_a_new_order() {
    let bench = Bench::default();
    let ids: Vec<_> = (0..2).map(|_| Client::deliver(&bench, "bob-cipher", NOW)).collect();
    let mut bob = Client::bob().open(&bench);
    let mut draft = bob.fetch(OLDEST);
    let control = |answer: &Answer, bob: &mut Client| {
        let verified = bob.read(answer);
        let Response::FetchDelivery(response) = Response::parse(verified.read().envelope()).unwrap() else { panic!() };
        (response.header.control, response.card.map(|card| card.message_id))
    };
    let answer = bench.handle(bob.encode(&draft));
    let (first, id) = control(&answer, &mut bob);
    assert_eq!(id, Some(ids[0].clone()));

    // The client's control block was overwritten by our answer: Response and Challenge are those of the answer.
    let again = |draft: &mut Draft, of: &dialog::ControlBlock| {
        let (response, challenge) = (of.response.as_ref().unwrap(), of.challenge.as_ref().unwrap());
        let text = &mut draft.block("controlblock").text;
        let (head, _) = text.split_once("<osci:Response>").unwrap();
        *text = format!(
            "{head}<osci:Response>{}</osci:Response><osci:Challenge>{}</osci:Challenge></osci:ControlBlock>",
            response.as_str(),
            challenge.as_str()
        );
    };
    again(&mut draft, &first);
    let answer = bench.handle(bob.encode(&draft));
    assert_eq!(answer.codes, [801]);
    let response = answer.opened(crate::harness::key("bob-cipher"));
    let Response::FetchDelivery(response) = Response::parse(response.read().envelope()).unwrap() else { panic!() };
    assert_eq!(response.card.unwrap().message_id, ids[1], "the first delivery counts as received");
    let second = response.header.control;
    assert_eq!(second.sequence_number, Some(0));
    assert_eq!(second.response, first.challenge);
    assert_ne!(second.challenge, first.challenge);

    // The next new request goes on with the number after it and answers the newest challenge.
    let mut next = bob.exit();
    let old = first.challenge.unwrap();
    next.replace("controlblock", old.as_str(), second.challenge.unwrap().as_str());
    assert_eq!(bench.handle(bob.encode(&next)).codes, [800]);
}

#[test]
fn a_reused_control_block_is_refused_where_the_rules_are_kept_strictly() {
    let bench = Setup::with(|settings| settings.tolerance.reused_control_block = false).start();
    let mut bob = Client::bob().open(&bench);
    let mut draft = bob.fetch(OLDEST);
    let Response::FetchDelivery(first) = bob.send(&bench, &draft) else { panic!() };
    let text = &mut draft.block("controlblock").text;
    let (head, _) = text.split_once("<osci:Response>").unwrap();
    *text = format!(
        "{head}<osci:Response>{}</osci:Response><osci:Challenge>{}</osci:Challenge></osci:ControlBlock>",
        first.header.control.response.unwrap().as_str(),
        first.header.control.challenge.unwrap().as_str()
    );
    assert_eq!(bench.handle(bob.encode(&draft)).fault(), Some(9400));
}

#[test]
fn a_dialog_rests_as_long_as_it_may_and_no_longer() {
    let bench = Setup::with(|settings| settings.dialog_timeout = Duration::minutes(15)).start();
    let mut alice = Client::alice().open(&bench);
    let mut now = NOW;
    for _ in 0..3 {
        now += Duration::minutes(15);
        let draft = alice.get_message_id();
        assert_eq!(alice.codes_at(&bench, &draft, now), [801]);
    }
    now += Duration::minutes(15) + Duration::SECOND;
    let draft = alice.get_message_id();
    assert_eq!(bench.handle_at(alice.encode(&draft), now).fault(), Some(9400));
}

#[test]
fn beyond_the_number_of_dialogs_the_one_that_rested_longest_goes() {
    let bench = Setup::with(|settings| settings.max_dialogs = 2).start();
    let at = |n: i32| NOW + Duration::SECOND * n;
    let mut first = Client::alice().open_at(&bench, at(0));
    let mut second = Client::alice().open_at(&bench, at(1));
    let draft = first.get_message_id();
    assert_eq!(first.codes_at(&bench, &draft, at(2)), [801]);
    Client::alice().open_at(&bench, at(3));
    let draft = first.get_message_id();
    assert_eq!(first.codes_at(&bench, &draft, at(4)), [801]);
    let draft = second.get_message_id();
    assert_eq!(bench.handle_at(second.encode(&draft), at(5)).fault(), Some(9400));
    assert_eq!(bench.intermediary.counts().open_dialogs, 2);
}

#[test]
fn a_dialog_can_be_handed_over_to_another_process() {
    let (old, new) = (Bench::default(), Bench::default());
    let client = dialog::Client { cipher_certificate: der("alice-cipher").into(), signature_certificate: None };
    let id = ConversationId::generate(&SystemRandom);
    let sent = Challenge::generate(&SystemRandom);
    let resumed = dialog::IntermediaryDialog::resume(id.clone(), client, true, sent.clone(), 3);
    let mut alice = Client::alice();
    let mut draft = alice.get_message_id();
    let text = &mut draft.block("controlblock").text;
    *text = text
        .replace(" Id=", &format!(" ConversationId=\"{}\" Id=", id.as_str()))
        .replace("SequenceNumber=\"0\"", "SequenceNumber=\"3\"")
        .replace("<osci:Challenge>", &format!("<osci:Response>{}</osci:Response><osci:Challenge>", sent.as_str()));
    assert_eq!(old.handle(alice.encode(&draft)).fault(), Some(9400));
    new.intermediary.restore_dialog(resumed, NOW);
    let answer = new.handle(alice.encode(&draft));
    assert_eq!(answer.codes, [801]);
    assert_eq!(new.handle(alice.encode(&draft)).bytes, answer.bytes);
}

#[test]
fn a_dialog_whose_opening_was_refused_is_none() {
    let bench = Bench::default();
    let mut alice = Client::alice();
    let draft = alice.init();
    let mut signature = draft.signature();
    signature.reference("#body").digest = base64_of(DigestAlgorithm::Sha256.digest(b"something else"));
    let signature = signature.sign(&crate::harness::rsa_signer("alice-signature"));
    let message = draft.mime(&draft.envelope(Some(&signature)));
    let answer = bench.handle(crate::harness::Seal::new(&message, crate::harness::key("intermediary-cipher")).write());
    assert_eq!(answer.codes, [9601]);
    alice.read(&answer);
    assert_eq!(bench.intermediary.counts().open_dialogs, 0);
    let draft = alice.fetch(OLDEST);
    assert_eq!(bench.handle(alice.encode(&draft)).fault(), Some(9400));
}

fn base64_of(bytes: impl AsRef<[u8]>) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn a_dialog_opened_encrypted_is_not_carried_on_in_clear() {
    let bench = Bench::default();
    let mut alice = Client::alice().open(&bench);
    let draft = alice.get_message_id();
    let in_clear = Client::alice().in_clear();
    assert_eq!(bench.handle(in_clear.encode(&draft)).fault(), Some(9400));
    assert_eq!(alice.codes(&bench, &draft), [801], "it goes on as if nothing had happened");
}

#[test]
fn of_many_deliveries_with_one_id_at_once_one_is_taken() {
    let bench = Bench::default();
    let id = bench.fresh_id();
    let requests: Vec<_> = (0..8)
        .map(|_| {
            let mut alice = Client::alice().unsigned().in_clear();
            let draft = alice.store(Delivery::to("bob-cipher", &id));
            alice.encode(&draft)
        })
        .collect();
    let mut codes: Vec<u16> = std::thread::scope(|scope| {
        let running: Vec<_> =
            requests.into_iter().map(|request| scope.spawn(|| bench.handle(request).codes[0])).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    codes.sort_unstable();
    assert_eq!((codes[0], &codes[1..]), (800, &[9801; 7][..]));
    assert_eq!(bench.stats().waiting, 1);
}

#[test]
fn of_one_request_sent_many_times_at_once_all_get_the_same_answer() {
    let bench = Bench::default();
    for _ in 0..3 {
        Client::deliver(&bench, "bob-cipher", NOW);
    }
    let mut bob = Client::bob().open(&bench);
    let draft = bob.fetch(OLDEST);
    let request = bob.encode(&draft);
    let answers: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..6).map(|_| scope.spawn(|| bench.handle(request.clone()).bytes)).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(bench.stats().log_size, 4, "three accepted, one handed out");
}

#[test]
fn conversation_ids_and_challenges_do_not_repeat() {
    let bench = Bench::default();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..20 {
        let mut alice = Client::alice().unsigned().in_clear();
        let draft = alice.init();
        let control = alice.send(&bench, &draft).control().clone();
        assert!(seen.insert(control.conversation_id.unwrap().as_str().to_owned()));
        assert!(seen.insert(control.challenge.unwrap().as_str().to_owned()));
        let mut alone = Client::alice().unsigned().in_clear();
        let draft = alone.get_message_id();
        let control = alone.send(&bench, &draft).control().clone();
        assert!(seen.insert(control.conversation_id.unwrap().as_str().to_owned()));
        assert_eq!(control.challenge, None, "a client would repeat it in its next request");
    }
}
