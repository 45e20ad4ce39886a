//! Reception: set by the next valid request of the dialog in which a delivery was handed out, and by nothing else
//! (OSCI-Transport 1.2, acknowledgement of fetched deliveries).

use rohrpost_osci::ids::MessageId;
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_store::Store as _;
use time::{Duration, OffsetDateTime};

use crate::harness::{Bench, Client, Delivery, Draft, NOW, Seal, key, rsa_signer};

const OLDEST: DeliverySelection = DeliverySelection::Oldest;
const LATER: OffsetDateTime = NOW.saturating_add(Duration::minutes(1));

/// Forwarding and Reception on the card.
fn stamps(bench: &Bench, id: &MessageId) -> (Option<OffsetDateTime>, Option<OffsetDateTime>) {
    let card = bench.store.card(id).unwrap().unwrap();
    (card.forwarded, card.received)
}

/// A bench with one delivery for Bob, who has fetched it at [`NOW`].
fn fetched() -> (Bench, MessageId, Client) {
    let bench = Bench::default();
    let id = Client::deliver(&bench, "bob-cipher", NOW);
    let mut bob = Client::bob().open(&bench);
    let (codes, delivered) = bob.fetch_at(&bench, OLDEST, NOW);
    assert_eq!((codes, delivered.unwrap().message_id), (vec![801], id.clone()));
    (bench, id, bob)
}

#[test]
fn fetching_alone_is_forwarding() {
    let (bench, id, _bob) = fetched();
    assert_eq!(stamps(&bench, &id), (Some(NOW), None));
}

#[test]
fn the_next_request_acknowledges() {
    for order in ["exit", "fetch", "get", "cards", "store"] {
        let (bench, id, mut bob) = fetched();
        let next: Draft = match order {
            "exit" => bob.exit(),
            "fetch" => bob.fetch(OLDEST),
            "get" => bob.get_message_id(),
            "cards" => bob.cards(Default::default()),
            _ => bob.store(Delivery::to("erin-cipher", &bench.fresh_id())),
        };
        bob.send_at(&bench, &next, LATER);
        assert_eq!(stamps(&bench, &id), (Some(NOW), Some(LATER)), "{order}");
    }
}

#[test]
fn a_refused_order_acknowledges_all_the_same() {
    let (bench, id, mut bob) = fetched();
    assert_eq!(bob.fetch_at(&bench, DeliverySelection::ById(bench.fresh_id()), LATER).0, [9803]);
    assert_eq!(stamps(&bench, &id), (Some(NOW), Some(LATER)));
}

#[test]
fn requests_of_others_and_of_other_dialogs_do_not_acknowledge() {
    let (bench, id, _bob) = fetched();
    Client::bob().open(&bench).fetch_at(&bench, OLDEST, LATER);
    Client::alice().open(&bench).fetch_at(&bench, OLDEST, LATER);
    let mut alone = Client::bob();
    let draft = alone.get_message_id();
    alone.send_at(&bench, &draft, LATER);
    assert_eq!(stamps(&bench, &id), (Some(NOW), None));
}

#[test]
fn a_request_with_a_bad_signature_does_not_acknowledge() {
    let (bench, id, mut bob) = fetched();
    let draft = bob.fetch(OLDEST);
    let forged = draft.signature().sign(&rsa_signer("mallory-signature"));
    let request = Seal::new(&draft.mime(&draft.envelope(Some(&forged))), key("intermediary-cipher"));
    let answer = bench.handle_at(request.write(), LATER);
    bob.read(&answer);
    assert_eq!(answer.codes, [9601]);
    assert_eq!(stamps(&bench, &id), (Some(NOW), None));

    // The delivery is still handed out as far as this dialog goes; the next good request acknowledges it.
    let (codes, _) = bob.fetch_at(&bench, OLDEST, LATER + Duration::minutes(1));
    assert_eq!(codes, [9803]);
    assert_eq!(stamps(&bench, &id), (Some(NOW), Some(LATER + Duration::minutes(1))));
}

#[test]
fn a_request_that_violates_the_dialog_does_not_acknowledge() {
    let (bench, id, mut bob) = fetched();
    let mut draft = bob.fetch(OLDEST);
    draft.replace("controlblock", "SequenceNumber=\"1\"", "SequenceNumber=\"7\"");
    assert_eq!(bench.handle_at(bob.encode(&draft), LATER).fault(), Some(9400));
    assert_eq!(stamps(&bench, &id), (Some(NOW), None));
}

#[test]
fn a_retransmission_does_not_acknowledge() {
    let bench = Bench::default();
    let id = Client::deliver(&bench, "bob-cipher", NOW);
    let mut bob = Client::bob().open(&bench);
    let draft = bob.fetch(OLDEST);
    let request = bob.encode(&draft);
    let first = bench.handle_at(request.clone(), NOW);
    let second = bench.handle_at(request, LATER);
    assert_eq!(first.bytes, second.bytes);
    assert_eq!(stamps(&bench, &id), (Some(NOW), None));
}

#[test]
fn an_expired_dialog_leaves_the_delivery_for_the_next() {
    let (bench, id, mut bob) = fetched();
    let much_later = NOW + Duration::minutes(21);
    let draft = bob.exit();
    assert_eq!(bench.handle_at(bob.encode(&draft), much_later).fault(), Some(9400));
    assert_eq!(stamps(&bench, &id), (Some(NOW), None));
    assert_eq!(bench.intermediary.counts().open_dialogs, 0);

    let (codes, delivered) = Client::bob().open_at(&bench, much_later).fetch_at(&bench, OLDEST, much_later);
    assert_eq!((codes, delivered.unwrap().message_id), (vec![801], id.clone()));
    assert_eq!(stamps(&bench, &id).0, Some(NOW), "the first stamp stays");
}

#[test]
fn several_deliveries_are_acknowledged_one_request_later_each() {
    let bench = Bench::default();
    let ids: Vec<_> = (0..3).map(|_| Client::deliver(&bench, "bob-cipher", NOW)).collect();
    let mut bob = Client::bob().open(&bench);
    let at = |n: i32| NOW + Duration::minutes(1) * n;
    let expected: [(i32, &[u16]); 4] = [(1, &[801, 3800]), (2, &[801, 3800]), (3, &[801]), (4, &[9803])];
    for (n, codes) in expected {
        assert_eq!(bob.fetch_at(&bench, OLDEST, at(n)).0, codes, "request {n}");
    }
    for (n, id) in (1..).zip(&ids) {
        assert_eq!(stamps(&bench, id), (Some(at(n)), Some(at(n + 1))));
    }
}

#[test]
fn a_delivery_that_was_received_can_be_fetched_again_by_id() {
    let (bench, id, mut bob) = fetched();
    let (codes, delivered) = bob.fetch_at(&bench, DeliverySelection::ById(id.clone()), LATER);
    assert_eq!((codes, delivered.unwrap().message_id), (vec![801], id.clone()));
    let draft = bob.exit();
    bob.send_at(&bench, &draft, LATER + Duration::hours(1) / 6);
    assert_eq!(stamps(&bench, &id), (Some(NOW), Some(LATER)), "the first stamps stay");
}
