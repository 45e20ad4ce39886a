//! Chunks of clients that mean ill, or that do everything at once.

use std::sync::Arc;
use std::thread;

use rohrpost_intermediary::{Chunks, Settings};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::{ChunkInformation, Response, StoreWish};
use rohrpost_store::{Store, UploadLimits};

use crate::failing::Failing;
use crate::harness::{Bench, Client, Delivery, Setup, content, der};

const CHUNK: usize = 16 * 1024;

fn limits() -> UploadLimits {
    let bytes = 8 * CHUNK as u64;
    UploadLimits { of_owner: 2, bytes_of_owner: bytes, in_all: 3, bytes_in_all: 2 * bytes }
}

fn offered(settings: &mut Settings) {
    settings.chunks =
        Some(Chunks { min_chunk: 8, max_chunk: 64, max_message: 200, uploads: limits(), ..Chunks::default() });
}

fn bench() -> Bench {
    Setup::with(offered).start()
}

fn whole(client: &Client, id: &MessageId) -> Vec<u8> {
    let attachment: Vec<u8> = (0..30_000_u32).map(|n| (n * n % 251) as u8).collect();
    let message =
        client.whole(Delivery { content: content(b"data", &[("x", &attachment)]), ..Delivery::to("bob-cipher", id) });
    assert_eq!(message.len().div_ceil(CHUNK), 3);
    message
}

fn wish(message: &[u8], number: u64) -> StoreWish {
    StoreWish::Chunk(ChunkInformation {
        number: Some(number),
        size: Some(16),
        total: Some(message.len().div_ceil(CHUNK) as u64),
        message_size: Some(message.len() as u64 / 1024),
        received: None,
    })
}

fn request(client: &mut Client, id: &MessageId, message: &[u8], number: u64) -> Vec<u8> {
    let chunk = message.chunks(CHUNK).nth(number as usize - 1);
    let draft = client.store_chunk(id, wish(message, number), chunk);
    client.encode(&draft)
}

/// The codes of the answer, those within, and the chunks that are there.
fn store(
    client: &mut Client,
    bench: &Bench,
    id: &MessageId,
    message: &[u8],
    number: u64,
) -> (Vec<u16>, Vec<u16>, Vec<u64>) {
    let answer = bench.handle(request(client, id, message, number));
    said(client, &answer)
}

fn said(client: &mut Client, answer: &crate::harness::Answer) -> (Vec<u16>, Vec<u16>, Vec<u64>) {
    let verified = client.read(answer);
    let Ok(Response::PartialStoreDelivery(response)) = Response::parse(verified.read().envelope()) else { panic!() };
    let inside = response.inside.iter().flat_map(|inside| inside.entries());
    let inside = inside.map(|entry| entry.code.known().unwrap().number()).collect();
    (answer.codes.clone(), inside, response.chunk.unwrap().received.unwrap())
}

#[test]
fn a_stranger_neither_sees_nor_disturbs_an_upload() {
    let bench = bench();
    let id = bench.fresh_id();
    let mut alice = Client::alice();
    let message = whole(&alice, &id);
    store(&mut alice, &bench, &id, &message, 1);
    // The id got known: to somebody with certificates of his own, and to somebody who only claims to be Alice.
    let strangers = [Client::new("carol-cipher", "carol-signature"), Client::alice().unsigned().in_clear()];
    for mut stranger in strangers {
        let draft = stranger.store_chunk(&id, StoreWish::InfoOnly, None);
        let answer = bench.handle(stranger.encode(&draft));
        assert_eq!(said(&mut stranger, &answer), (vec![800], vec![], vec![]));
        let garbage = vec![7; message.len()];
        assert_eq!(store(&mut stranger, &bench, &id, &garbage, 2), (vec![800], vec![], vec![2]));
    }
    assert_eq!(store(&mut alice, &bench, &id, &message, 2).2, [1, 2]);
    assert_eq!(store(&mut alice, &bench, &id, &message, 3), (vec![800], vec![800], vec![1, 2, 3]));
}

#[test]
fn of_two_uploads_with_one_id_one_becomes_a_delivery() {
    let bench = bench();
    let id = bench.fresh_id();
    let mut clients = [Client::alice(), Client::new("carol-cipher", "carol-signature")];
    let messages = clients.each_ref().map(|client| whole(client, &id));
    for number in 1..3 {
        for (client, message) in clients.iter_mut().zip(&messages) {
            assert_eq!(store(client, &bench, &id, message, number).2.len() as u64, number);
        }
    }
    let [alice, carol] = &mut clients;
    assert_eq!(store(carol, &bench, &id, &messages[1], 3).1, [800]);
    assert_eq!(store(alice, &bench, &id, &messages[0], 3), (vec![9950], vec![9801], vec![1, 2, 3]));
    assert_eq!(bench.stats().waiting, 1);
    // What ended takes no place.
    for _ in 0..2 {
        let id = bench.fresh_id();
        let message = whole(alice, &id);
        assert_eq!(store(alice, &bench, &id, &message, 1).0, [800]);
    }
}

#[test]
fn nobody_fills_the_disk_with_chunks() {
    let bench = bench();
    let mut alice = Client::alice();
    let begin = |client: &mut Client| {
        let id = bench.fresh_id();
        let message = vec![1; 12 * CHUNK];
        let said = store(client, &bench, &id, &message, 1);
        (said.0, id, message)
    };
    let (first, id, message) = begin(&mut alice);
    assert_eq!((first, begin(&mut alice).0), (vec![800], vec![800]));
    assert_eq!(begin(&mut alice).0, [9811], "a third upload of one client");
    for number in 2..8 {
        assert_eq!(store(&mut alice, &bench, &id, &message, number).0, [800]);
    }
    assert_eq!(store(&mut alice, &bench, &id, &message, 8).0, [9811], "bytes of one client");
    let mut carol = Client::new("carol-cipher", "carol-signature");
    assert_eq!(begin(&mut carol).0, [800]);
    assert_eq!(begin(&mut carol).0, [9811], "uploads of all clients");
    assert_eq!(begin(&mut Client::new("erin-cipher", "erin-signature")).0, [9811]);
}

#[test]
fn a_chunk_is_exactly_one_attachment() {
    let bench = bench();
    let id = bench.fresh_id();
    let mut alice = Client::alice();
    let message = whole(&alice, &id);
    for count in [0, 2] {
        let mut draft = alice.store_chunk(&id, wish(&message, 1), Some(&message[..CHUNK]));
        let mut second = draft.attachments[0].clone();
        second.name = "another".to_owned();
        draft.attachments.push(second);
        draft.attachments.truncate(count);
        let answer = bench.handle(alice.encode(&draft));
        assert_eq!(answer.fault(), Some(9100), "{count}");
        alice.give_up();
    }
    assert_eq!(store(&mut alice, &bench, &id, &message, 1).0, [800]);
}

#[test]
fn the_last_chunk_sent_many_times_at_once_makes_one_delivery() {
    let bench = bench();
    let id = bench.fresh_id();
    let mut alice = Client::alice();
    let message = whole(&alice, &id);
    (1..3).for_each(|number| drop(store(&mut alice, &bench, &id, &message, number)));
    let requests: Vec<_> = (0..4).map(|_| request(&mut Client::alice(), &id, &message, 3)).collect();
    let answers: Vec<_> = thread::scope(|scope| {
        let bench = &bench;
        let running: Vec<_> = requests.into_iter().map(|bytes| scope.spawn(move || bench.handle(bytes))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for answer in answers {
        // Done, done before, or being done by another one; never refused for an id that was used by itself.
        let codes = answer.codes.as_slice();
        assert!([&[800][..], &[9900], &[9900, 3952], &[800, 3952]].contains(&codes), "{codes:?}");
    }
    let draft = alice.store_chunk(&id, StoreWish::InfoOnly, None);
    let answer = bench.handle(alice.encode(&draft));
    assert_eq!(said(&mut alice, &answer), (vec![800], vec![800], vec![1, 2, 3]));
    assert_eq!(bench.stats().waiting, 1);
}

#[test]
fn what_fails_for_reasons_of_ours_can_be_tried_again() {
    let mut failing = None;
    let bench = Setup::with(offered).start_with(|store| {
        let store = Failing::new(store);
        failing = Some(Arc::clone(&store));
        store as Arc<dyn Store>
    });
    let failing = failing.unwrap();
    let id = bench.fresh_id();
    let mut alice = Client::alice();
    let message = whole(&alice, &id);
    failing.fails(true);
    assert_eq!(store(&mut alice, &bench, &id, &message, 1), (vec![9811], vec![], vec![]));
    failing.fails(false);
    (1..3).for_each(|number| drop(store(&mut alice, &bench, &id, &message, number)));
    failing.fails_to_accept(true);
    assert_eq!(store(&mut alice, &bench, &id, &message, 3), (vec![9950], vec![9811], vec![1, 2, 3]));
    failing.fails_to_accept(false);
    let draft = alice.store_chunk(&id, StoreWish::InfoOnly, None);
    let answer = bench.handle(alice.encode(&draft));
    assert_eq!(said(&mut alice, &answer), (vec![800], vec![800], vec![1, 2, 3]));
    assert_eq!(bench.stats().waiting, 1);
}

#[test]
fn chunks_to_a_mailbox_that_takes_nothing_are_refused() {
    let bench = bench();
    let blocked = [rohrpost_store::Fingerprint::of_der(&der("bob-cipher"))].into();
    bench.intermediary.admit(rohrpost_intermediary::Admission { blocked, ..Default::default() });
    let id = bench.fresh_id();
    let mut alice = Client::alice();
    let message = whole(&alice, &id);
    assert_eq!(store(&mut alice, &bench, &id, &message, 1), (vec![9811], vec![], vec![]));
}
