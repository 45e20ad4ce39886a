//! Deliveries in chunks (OSCI-Transport 1.2, chunked transfer).

use std::io::Read as _;

use rohrpost_intermediary::{Chunks, Settings};
use rohrpost_osci::card::ProcessCardBundle;
use rohrpost_osci::feedback::Feedback;
use rohrpost_osci::header::Feature;
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::{ChunkInformation, Response, ResponseToPartialStoreDelivery, StoreWish};
use rohrpost_osci::mime::{self, Multipart};
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_osci::source::reader;
use rohrpost_store::{Retention, Store as _};
use time::{Duration, OffsetDateTime};

use crate::harness::{Bench, Client, Delivered, Delivery, NOW, Setup, content};

/// Units of 1024 bytes.
const CHUNK: u64 = 16;

pub(crate) fn offered(settings: &mut Settings) {
    settings.chunks = Some(Chunks { min_chunk: 8, max_chunk: 64, max_message: 200, ..Chunks::default() });
}

fn bench() -> Bench {
    Setup::with(offered).start()
}

/// A message that is a little longer than two chunks.
fn whole(client: &Client, id: &MessageId) -> Vec<u8> {
    let attachment: Vec<u8> = (0..30_000_u32).map(|n| (n * n % 251) as u8).collect();
    let content = content(b"data", &[("large", &attachment)]);
    let message = client.whole(Delivery { content, ..Delivery::to("bob-cipher", id) });
    assert_eq!(message.len().div_ceil(CHUNK as usize * 1024), 3);
    message
}

fn wish(message: &[u8], number: u64) -> StoreWish {
    let size = CHUNK * 1024;
    StoreWish::Chunk(ChunkInformation {
        number: Some(number),
        size: Some(CHUNK),
        total: Some((message.len() as u64).div_ceil(size)),
        message_size: Some(message.len() as u64 / 1024),
        received: None,
    })
}

fn piece(message: &[u8], number: u64) -> &[u8] {
    message.chunks(CHUNK as usize * 1024).nth(number as usize - 1).unwrap()
}

/// What an answer says, in short: the codes, those within, the chunks that are there, whether there is a card.
type Said = (Vec<u16>, Option<Vec<u16>>, Vec<u64>, bool);

fn codes(feedback: &Feedback) -> Vec<u16> {
    feedback.entries().iter().map(|entry| entry.code.known().unwrap().number()).collect()
}

fn said(answer: &ResponseToPartialStoreDelivery) -> Said {
    let received = answer.chunk.as_ref().unwrap().received.clone().unwrap();
    (codes(&answer.feedback), answer.inside.as_ref().map(codes), received, answer.card.is_some())
}

fn ask(client: &mut Client, bench: &Bench, id: &MessageId, wish: StoreWish, chunk: Option<&[u8]>) -> Response {
    let draft = client.store_chunk(id, wish, chunk);
    client.send(bench, &draft)
}

fn store(client: &mut Client, bench: &Bench, id: &MessageId, message: &[u8], number: u64) -> Said {
    let Response::PartialStoreDelivery(answer) =
        ask(client, bench, id, wish(message, number), Some(piece(message, number)))
    else {
        panic!("an answer to something else")
    };
    assert_eq!(answer.chunk.as_ref().unwrap().number, Some(number));
    said(&answer)
}

fn info(client: &mut Client, bench: &Bench, id: &MessageId) -> Said {
    let Response::PartialStoreDelivery(answer) = ask(client, bench, id, StoreWish::InfoOnly, None) else {
        panic!("an answer to something else")
    };
    said(&answer)
}

/// The codes, and a chunk or the whole delivery.
type Fetched = (Vec<u16>, Option<(Vec<u8>, ChunkInformation)>, Option<Delivered>);

fn fetch_at(
    client: &mut Client,
    bench: &Bench,
    selection: DeliverySelection,
    (number, size, received): (u64, u64, &[u64]),
    now: OffsetDateTime,
) -> Fetched {
    let chunk = ChunkInformation {
        number: Some(number),
        size: Some(size),
        received: Some(received.to_vec()),
        ..ChunkInformation::default()
    };
    let draft = client.fetch_chunk(selection, chunk);
    let answer = bench.handle_at(client.encode(&draft), now);
    let verified = client.read(&answer);
    match Response::parse(verified.read().envelope()).unwrap() {
        Response::PartialFetchDelivery(response) => {
            let opened = verified.read().opened();
            let chunk = opened.parts().attachments().first().map(|part| {
                let mut bytes = Vec::new();
                part.reader(opened.message()).read_to_end(&mut bytes).unwrap();
                (bytes, response.chunk.unwrap())
            });
            (answer.codes, chunk, None)
        }
        Response::FetchDelivery(_) => (answer.codes, None, Delivered::read(&verified)),
        other => panic!("{other:?}"),
    }
}

fn fetch(client: &mut Client, bench: &Bench, number: u64, received: &[u64]) -> Fetched {
    fetch_at(client, bench, DeliverySelection::Oldest, (number, CHUNK, received), NOW)
}

fn card(bench: &Bench, id: &MessageId) -> rohrpost_store::Card {
    bench.store.card(id).unwrap().unwrap()
}

#[test]
fn limits_are_announced_where_chunks_are_offered() {
    for (bench, offered) in [(bench(), true), (Bench::default(), false)] {
        let mut alice = Client::alice();
        let draft = alice.get_message_id();
        let features = alice.send(&bench, &draft).header().features.clone().unwrap();
        assert_eq!(features.announces(Feature::PartialMessageTransmission), offered);
        let limits = (features.min_chunk_size, features.max_chunk_size, features.max_message_size);
        assert_eq!(limits, if offered { (Some(8), Some(64), Some(200)) } else { (None, None, None) });
        assert_eq!(features.chunk_timeout, offered.then_some(24 * 60 * 60));
    }
}

#[test]
fn without_the_offer_they_are_no_orders() {
    let bench = Bench::default();
    let id = bench.fresh_id();
    let mut alice = Client::alice();
    let draft = alice.store_chunk(&id, StoreWish::InfoOnly, None);
    assert_eq!(bench.handle(alice.encode(&draft)).fault(), Some(9300));
}

#[test]
fn chunks_become_a_delivery() {
    // In a dialog or outside of any, signed or not, encrypted or not.
    for (mut alice, in_dialog) in [
        (Client::alice(), false),
        (Client::alice().unsigned(), false),
        (Client::alice().unsigned().in_clear(), false),
        (Client::alice(), true),
    ] {
        let bench = bench();
        let id = bench.fresh_id();
        let message = whole(&alice, &id);
        if in_dialog {
            alice = alice.open(&bench);
        }
        let success = if in_dialog { 801 } else { 800 };
        assert_eq!(info(&mut alice, &bench, &id), (vec![success], None, vec![], false));
        assert_eq!(store(&mut alice, &bench, &id, &message, 3), (vec![success], None, vec![3], false));
        assert_eq!(store(&mut alice, &bench, &id, &message, 1), (vec![success], None, vec![1, 3], false));
        assert_eq!(store(&mut alice, &bench, &id, &message, 1), (vec![9900], None, vec![1, 3], false));
        assert_eq!(info(&mut alice, &bench, &id), (vec![success], None, vec![1, 3], false));
        assert_eq!(bench.stats().waiting, 0);
        let whole = (vec![success], Some(vec![success]), vec![1, 2, 3], true);
        assert_eq!(store(&mut alice, &bench, &id, &message, 2), whole);
        assert_eq!(bench.stats().waiting, 1);
        // Whoever lost the answer asks.
        assert_eq!(info(&mut alice, &bench, &id), whole);
        let again = (vec![9900], Some(vec![success]), vec![1, 2, 3], true);
        assert_eq!(store(&mut alice, &bench, &id, &message, 2), again);
        assert_eq!(bench.stats().waiting, 1);

        let mut bob = Client::bob().open(&bench);
        let (codes, delivered) = bob.fetch_at(&bench, DeliverySelection::Oldest, NOW);
        let delivered = delivered.unwrap();
        assert_eq!((codes, &delivered.message_id, delivered.subject.as_deref()), (vec![801], &id, Some("Anmeldung")));
        assert_eq!(delivered.attachments[0].2.len(), 30_000);
    }
}

#[test]
fn the_card_is_that_of_the_delivery() {
    let bench = bench();
    let (id, mut alice) = (bench.fresh_id(), Client::alice());
    let message = whole(&alice, &id);
    (1..3).for_each(|number| drop(store(&mut alice, &bench, &id, &message, number)));
    let cards: Vec<ProcessCardBundle> = (0..2)
        .map(|_| match ask(&mut alice, &bench, &id, wish(&message, 3), Some(piece(&message, 3))) {
            Response::PartialStoreDelivery(answer) => answer.card.unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(cards[0], cards[1]);
    assert_eq!(cards[0].message_id, id);
    assert_eq!(cards[0].card.subject.as_deref(), Some("Anmeldung"));
    assert!(cards[0].report.inspections().unwrap().len() >= 2, "originator and addressee");
}

#[test]
fn what_is_wrong_with_a_chunk_is_told() {
    let bench = bench();
    let (id, mut alice) = (bench.fresh_id(), Client::alice());
    let message = whole(&alice, &id);
    store(&mut alice, &bench, &id, &message, 1);
    let StoreWish::Chunk(right) = wish(&message, 2) else { panic!() };
    let of = |size: usize| vec![7; size];
    for (information, chunk, expected) in [
        (ChunkInformation { number: Some(0), ..right.clone() }, of(16_384), 9901),
        (ChunkInformation { number: Some(4), ..right.clone() }, of(16_384), 9901),
        (ChunkInformation { number: None, ..right.clone() }, of(16_384), 9905),
        (ChunkInformation { received: Some(vec![1]), ..right.clone() }, of(16_384), 9905),
        (ChunkInformation { total: Some(4), ..right.clone() }, of(16_384), 9905),
        (ChunkInformation { message_size: Some(33), ..right.clone() }, of(16_384), 9905),
        (ChunkInformation { total: Some(1_000_000), ..right.clone() }, of(16_384), 9905),
        (ChunkInformation { size: Some(65), ..right.clone() }, of(16_384), 9902),
        (right.clone(), of(16_385), 9902),
        (ChunkInformation { size: Some(7), ..right.clone() }, of(7_000), 9903),
        (right.clone(), of(8_191), 9903),
        (right.clone(), of(0), 9903),
        (ChunkInformation { message_size: Some(201), ..right.clone() }, of(16_384), 9904),
        // Other bytes under a number that is there.
        (ChunkInformation { number: Some(1), ..right.clone() }, of(16_384), 9905),
    ] {
        let Response::PartialStoreDelivery(answer) =
            ask(&mut alice, &bench, &id, StoreWish::Chunk(information.clone()), Some(&chunk))
        else {
            panic!()
        };
        assert_eq!(said(&answer), (vec![expected], None, vec![1], false), "{information:?}");
    }
    store(&mut alice, &bench, &id, &message, 2);
    assert_eq!(store(&mut alice, &bench, &id, &message, 3).1, Some(vec![800]));
}

#[test]
fn an_upload_begins_with_a_number_of_chunks_that_makes_sense() {
    let bench = bench();
    let mut alice = Client::alice();
    for total in [0, 1, 2, 100, 1_000_000, u32::MAX] {
        let id = bench.fresh_id();
        let message = whole(&alice, &id);
        let StoreWish::Chunk(right) = wish(&message, 1) else { panic!() };
        let information = ChunkInformation { total: Some(total.into()), ..right };
        let Response::PartialStoreDelivery(answer) =
            ask(&mut alice, &bench, &id, StoreWish::Chunk(information), Some(piece(&message, 1)))
        else {
            panic!()
        };
        let (codes, ..) = said(&answer);
        assert!(codes.iter().all(|code| (9901..=9905).contains(code)), "{total}: {codes:?}");
    }
}

#[test]
fn ids_are_those_of_deliveries_with_their_suffix() {
    let bench = bench();
    let (id, mut alice) = (bench.fresh_id(), Client::alice());
    let message = whole(&alice, &id);
    for (text, expected) in [
        (format!("<osci:MessageId>{}</osci:MessageId>", id.to_base64()), 9801),
        (String::new(), 9800),
        (format!("<osci:MessageId>{}</osci:MessageId>", MessageId::new("stranger_Partial").unwrap().to_base64()), 9801),
    ] {
        let mut draft = alice.store_chunk(&id, wish(&message, 1), Some(piece(&message, 1)));
        let block = &mut draft.block("partialstoredelivery").text;
        let (before, rest) = block.split_once("<osci:MessageId>").unwrap();
        *block = format!("{before}{text}{}", rest.split_once("</osci:MessageId>").unwrap().1);
        assert_eq!(alice.codes(&bench, &draft), [expected]);
    }
    let leaves = bench.store.prove(&id).unwrap();
    assert_eq!(leaves.len(), 1, "refused attempts are on record");
}

#[test]
fn the_message_within_must_be_what_the_chunks_say() {
    type Make = fn(&Bench, &MessageId) -> Vec<u8>;
    let cases: [(&str, Make, u16); 7] = [
        ("no message", |_, _| vec![b'x'; 3_000], 9100),
        (
            "an order of another kind",
            |_, _| {
                let mut client = Client::alice().unsigned().in_clear();
                let draft = client.get_message_id();
                client.encode(&draft)
            },
            9300,
        ),
        (
            "encrypted once more",
            |_, id| {
                let mut client = Client::alice().unsigned();
                let draft = client.store(Delivery::to("bob-cipher", id));
                client.encode(&draft)
            },
            9300,
        ),
        ("another id", |bench, _| Client::alice().whole(Delivery::to("bob-cipher", &bench.fresh_id())), 9801),
        ("no id", |_, id| Client::alice().whole(Delivery { message_id: None, ..Delivery::to("bob-cipher", id) }), 9800),
        ("another addressee", |_, id| Client::alice().whole(Delivery::to("carol-cipher", id)), 9100),
        (
            "another originator",
            |_, id| Client::new("carol-cipher", "carol-signature").whole(Delivery::to("bob-cipher", id)),
            9100,
        ),
    ];
    for (name, make, expected) in cases {
        let bench = bench();
        let id = bench.fresh_id();
        let message = make(&bench, &id);
        assert!(message.len() <= CHUNK as usize * 1024, "{name}: {}", message.len());
        let refused = (vec![9950], Some(vec![expected]), vec![1], false);
        let mut alice = Client::alice();
        assert_eq!(store(&mut alice, &bench, &id, &message, 1), refused, "{name}");
        assert_eq!(info(&mut alice, &bench, &id), refused, "{name}");
        assert_eq!(bench.stats().waiting, 0);
        let leaves = bench.store.prove(&id).unwrap();
        assert_eq!(leaves.len(), 1, "{name}: the refusal is on record");
    }
}

#[test]
fn a_signature_of_the_message_within_must_hold() {
    for (broken, expected) in [(false, (vec![800], Some(vec![800]))), (true, (vec![9950], Some(vec![9601])))] {
        let bench = bench();
        let id = bench.fresh_id();
        let mut signing = Client::alice().in_clear();
        let draft = signing.store(Delivery::to("bob-cipher", &id));
        let mut message = String::from_utf8(signing.encode(&draft)).unwrap();
        if broken {
            message = message.replacen("LanguagesList=\"de\"", "LanguagesList=\"en\"", 1);
        }
        let said = store(&mut Client::alice(), &bench, &id, message.as_bytes(), 1);
        assert_eq!((said.0, said.1), expected);
    }
}

#[test]
fn an_id_that_was_used_meanwhile_is_told_within() {
    let bench = bench();
    let (id, mut alice) = (bench.fresh_id(), Client::alice());
    let message = whole(&alice, &id);
    (1..3).for_each(|number| drop(store(&mut alice, &bench, &id, &message, number)));
    let draft = alice.store(Delivery::to("bob-cipher", &id));
    assert_eq!(alice.codes(&bench, &draft), [800]);
    let refused = (vec![9950], Some(vec![9801]), vec![1, 2, 3], false);
    assert_eq!(store(&mut alice, &bench, &id, &message, 3), refused);
    assert_eq!(bench.stats().waiting, 1);
}

#[test]
fn what_must_be_signed_in_one_piece_must_be_signed_in_chunks() {
    let setup = Setup::with(|settings| {
        offered(settings);
        let names = ["StoreDelivery", "FetchDelivery"];
        settings.signatures = rohrpost_intermediary::SignatureDemand::Only(names.into());
    });
    let bench = setup.start();
    let id = bench.fresh_id();
    let mut alice = Client::alice().unsigned();
    let message = whole(&alice, &id);
    assert_eq!(store(&mut alice, &bench, &id, &message, 1), (vec![9600], None, vec![], false));
    // The message within is not signed, the chunks are.
    let mut alice = Client::alice();
    (1..3).for_each(|number| drop(store(&mut alice, &bench, &id, &message, number)));
    assert_eq!(store(&mut alice, &bench, &id, &message, 3).1, Some(vec![800]));
    let mut bob = Client::bob().unsigned().open(&bench);
    assert_eq!(fetch(&mut bob, &bench, 1, &[]).0, [9600]);
}

#[test]
fn a_delivery_is_fetched_in_chunks() {
    let bench = bench();
    let (id, mut alice) = (bench.fresh_id(), Client::alice());
    let message = whole(&alice, &id);
    (1..=3).for_each(|number| drop(store(&mut alice, &bench, &id, &message, number)));
    let mut bob = Client::bob().open(&bench);
    let (codes, first, _) = fetch(&mut bob, &bench, 1, &[]);
    let (mut bytes, about) = first.unwrap();
    assert_eq!((codes, about.number, about.received, about.size), (vec![801], Some(1), None, None));
    let total = about.total.unwrap();
    assert!(total >= 3);
    assert_eq!(bytes.len(), CHUNK as usize * 1024);
    assert!(card(&bench, &id).forwarded.is_some());
    let mut received = vec![1];
    for number in 2..=total {
        let (codes, chunk, _) = fetch(&mut bob, &bench, number, &received);
        let (chunk, about) = chunk.unwrap();
        assert_eq!((codes, about.number, about.total), (vec![801], Some(number), Some(total)));
        assert_eq!(card(&bench, &id).received, None);
        bytes.extend(chunk);
        received.push(number);
    }
    assert_eq!(about.message_size, Some(bytes.len() as u64 / 1024));
    // The next request says that the last chunk arrived.
    assert_eq!(fetch(&mut bob, &bench, 1, &[]).0, [9803]);
    assert!(card(&bench, &id).received.is_some());

    let multipart = Multipart::scan(&bytes, &mime::Limits::default()).unwrap();
    let root = std::io::BufReader::new(reader(&bytes, multipart.root().range.clone()));
    let envelope = rohrpost_osci::envelope::Envelope::read(root, &Default::default()).unwrap();
    assert!(envelope.signature().is_some(), "signed as the request was");
    let Response::FetchDelivery(answer) = Response::parse(&envelope).unwrap() else { panic!() };
    let control = answer.header.control;
    assert!(control.response.is_some() && control.challenge.is_some());
    assert!(control.conversation_id.is_some() && control.sequence_number.is_some());
    let bundle = answer.card.unwrap();
    assert_eq!((bundle.message_id, bundle.card.forwarding.is_some(), bundle.card.reception), (id, true, None));
    assert_eq!(multipart.attachments().len(), 1);
}

#[test]
fn chunks_of_one_answer_fit_together_over_dialogs() {
    let bench = bench();
    let (id, mut alice) = (bench.fresh_id(), Client::alice());
    let message = whole(&alice, &id);
    (1..=3).for_each(|number| drop(store(&mut alice, &bench, &id, &message, number)));
    let by_id = || DeliverySelection::ById(id.clone());
    let chunk_at = |number, received: &[u64], hours| {
        let now = NOW + Duration::hours(hours);
        let mut bob = Client::bob().open_at(&bench, now);
        fetch_at(&mut bob, &bench, by_id(), (number, CHUNK, received), now).1.unwrap().0
    };
    let third = chunk_at(3, &[], 0);
    let first = chunk_at(1, &[3], 5);
    let second = chunk_at(2, &[1, 3], 7);
    assert_eq!(chunk_at(1, &[], 9), first);
    let bytes = [first, second, third].concat();
    assert!(Multipart::scan(&bytes, &mime::Limits::default()).is_ok());
    assert_eq!(card(&bench, &id).received, None, "each dialog ended before its next request");
    // Another size cuts the same bytes.
    let mut bob = Client::bob().open(&bench);
    let (_, whole, _) = fetch_at(&mut bob, &bench, by_id(), (1, 64, &[]), NOW);
    let (whole, about) = whole.unwrap();
    assert_eq!((whole, about.total), (bytes, Some(1)));
    let draft = bob.exit();
    assert_eq!(bob.codes(&bench, &draft), [800]);
    assert!(card(&bench, &id).received.is_some(), "that one was the whole");
}

#[test]
fn what_fits_into_a_chunk_comes_as_it_is() {
    let bench = bench();
    let id = Client::deliver(&bench, "bob-cipher", NOW);
    let mut bob = Client::bob().open(&bench);
    let (codes, chunk, delivered) = fetch_at(&mut bob, &bench, DeliverySelection::Oldest, (1, 64, &[]), NOW);
    assert_eq!((codes, chunk), (vec![801], None));
    assert_eq!(delivered.unwrap().message_id, id);
    let draft = bob.exit();
    bob.codes(&bench, &draft);
    assert!(card(&bench, &id).received.is_some());
}

#[test]
fn what_is_wrong_with_a_request_for_a_chunk_is_told() {
    let bench = bench();
    let (id, mut alice) = (bench.fresh_id(), Client::alice());
    let message = whole(&alice, &id);
    (1..=3).for_each(|number| drop(store(&mut alice, &bench, &id, &message, number)));
    let mut bob = Client::bob().open(&bench);
    let mut refused = |selection, number, size| {
        let (codes, chunk, delivered) = fetch_at(&mut bob, &bench, selection, (number, size, &[]), NOW);
        assert!(chunk.is_none() && delivered.is_none());
        codes
    };
    assert_eq!(refused(DeliverySelection::Oldest, 0, CHUNK), [9901]);
    assert_eq!(refused(DeliverySelection::Oldest, 9, CHUNK), [9901]);
    assert_eq!(refused(DeliverySelection::Oldest, u64::MAX, CHUNK), [9901]);
    assert_eq!(refused(DeliverySelection::Oldest, 1, 65), [9902]);
    assert_eq!(refused(DeliverySelection::Oldest, 1, u64::MAX), [9902]);
    assert_eq!(refused(DeliverySelection::Oldest, 1, 7), [9903]);
    assert_eq!(refused(DeliverySelection::Oldest, 1, 0), [9903]);
    assert_eq!(refused(DeliverySelection::ById(MessageId::new("nobody").unwrap()), 1, CHUNK), [9803]);
    assert_eq!(card(&bench, &id).received, None);
    // Somebody else's mailbox, and no proof of owning one.
    let mut carol = Client::new("carol-cipher", "carol-signature").open(&bench);
    let by_id = DeliverySelection::ById(id.clone());
    assert_eq!(fetch_at(&mut carol, &bench, by_id, (1, CHUNK, &[]), NOW).0, [9803]);
    let mut clear = Client::bob().in_clear().open(&bench);
    assert_eq!(fetch(&mut clear, &bench, 1, &[]).0, [9811]);
}

#[test]
fn what_nobody_goes_on_with_is_forgotten() {
    let bench = bench();
    let (id, mut alice) = (bench.fresh_id(), Client::alice());
    let message = whole(&alice, &id);
    store(&mut alice, &bench, &id, &message, 1);
    let rules = Retention { unfinished: Some(Duration::hours(1)), ..Retention::default() };
    bench.store.retention(NOW + Duration::hours(2), &rules).unwrap();
    assert_eq!(info(&mut alice, &bench, &id), (vec![800], None, vec![], false));
    (1..3).for_each(|number| drop(store(&mut alice, &bench, &id, &message, number)));
    assert_eq!(store(&mut alice, &bench, &id, &message, 3).1, Some(vec![800]));
}
