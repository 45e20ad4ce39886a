//! Which deliveries and which cards an order finds (OSCI-Transport 1.2, selection rules), and what is said about the rest.

use std::num::NonZeroU32;

use rohrpost_osci::datetime::DateTime;
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::Response;
use rohrpost_osci::selection::{CardFilter, CardRule, CardSelection, DeliverySelection, Role};
use time::{Duration, OffsetDateTime};

use crate::harness::{Bench, Client, Delivery, NOW, Setup};

const MINUTE: Duration = Duration::MINUTE;

/// Three deliveries for Bob, a minute apart, and one for Erin.
fn filled(bench: &Bench) -> Vec<MessageId> {
    let ids = (0..3).map(|n: i32| Client::deliver(bench, "bob-cipher", NOW + MINUTE * n)).collect();
    Client::deliver(bench, "erin-cipher", NOW);
    ids
}

fn since(time: OffsetDateTime) -> DateTime {
    time.into()
}

/// Fetches with a dialog of its own, which is then given up, so that nothing is acknowledged.
fn fetch(bench: &Bench, selection: DeliverySelection) -> (Vec<u16>, Option<MessageId>) {
    let (codes, delivered) = Client::bob().unsigned().open(bench).fetch_at(bench, selection, NOW + MINUTE * 10);
    (codes, delivered.map(|delivered| delivered.message_id))
}

/// Codes and ids of the cards that somebody gets, in the order of the answer.
fn cards(bench: &Bench, client: Client, selection: CardSelection) -> (Vec<u16>, Vec<MessageId>) {
    let mut client = client.unsigned().open(bench);
    let draft = client.cards(selection.clone());
    let Response::FetchProcessCard(response) = client.send(bench, &draft) else { panic!() };
    assert_eq!(response.selection, Some(selection), "the rule is repeated");
    let codes = response.feedback.entries().iter().map(|entry| entry.code.known().unwrap().number()).collect();
    (codes, response.cards.into_iter().map(|card| card.message_id).collect())
}

fn limited(rule: CardRule, limit: u32) -> CardSelection {
    CardSelection { rule, limit: NonZeroU32::new(limit) }
}

#[test]
fn the_oldest_comes_first_and_further_ones_are_announced() {
    let bench = Bench::default();
    let ids = filled(&bench);
    assert_eq!(fetch(&bench, DeliverySelection::Oldest), (vec![801, 3800], Some(ids[0].clone())));
    assert_eq!(fetch(&bench, DeliverySelection::Oldest).1, Some(ids[0].clone()), "nobody acknowledged it");
}

#[test]
fn a_delivery_is_found_by_id_only_by_its_addressee() {
    let bench = Bench::default();
    let ids = filled(&bench);
    for id in &ids {
        let (codes, found) = fetch(&bench, DeliverySelection::ById(id.clone()));
        assert_eq!((codes[0], found.as_ref()), (801, Some(id)));
    }
    let erins = Client::deliver(&bench, "erin-cipher", NOW);
    assert_eq!(fetch(&bench, DeliverySelection::ById(erins)), (vec![9803], None));
    assert_eq!(fetch(&bench, DeliverySelection::ById(bench.fresh_id())), (vec![9803], None));
    // The sender is not the addressee.
    let mut alice = Client::alice().unsigned().open(&bench);
    assert_eq!(alice.fetch_at(&bench, DeliverySelection::ById(ids[0].clone()), NOW).0, [9803]);
}

#[test]
fn by_date_the_first_accepted_at_or_after_it_is_found() {
    let bench = Bench::default();
    let ids = filled(&bench);
    for (time, found) in [
        (NOW - MINUTE, Some(0)),
        (NOW, Some(0)),
        (NOW + Duration::SECOND, Some(1)),
        (NOW + MINUTE, Some(1)),
        (NOW + MINUTE * 2, Some(2)),
        (NOW + MINUTE * 2 + Duration::SECOND, None),
    ] {
        let (codes, id) = fetch(&bench, DeliverySelection::Since(since(time)));
        assert_eq!(id, found.map(|n: usize| ids[n].clone()), "{time}");
        assert_eq!(codes[0], if found.is_some() { 801 } else { 9803 });
    }
}

#[test]
fn an_empty_mailbox_is_no_error_of_the_dialog() {
    let bench = Bench::default();
    let mut bob = Client::bob().open(&bench);
    assert_eq!(bob.fetch_at(&bench, DeliverySelection::Oldest, NOW).0, [9803]);
    let draft = bob.cards(CardSelection::default());
    assert_eq!(bob.codes(&bench, &draft), [9804]);
    let draft = bob.exit();
    assert_eq!(bob.codes(&bench, &draft), [800]);
}

#[test]
fn cards_are_shown_to_sender_and_addressee() {
    let bench = Bench::default();
    let ids = filled(&bench);
    assert_eq!(cards(&bench, Client::bob(), CardSelection::default()), (vec![801], ids.clone()));
    assert_eq!(cards(&bench, Client::alice(), CardSelection::default()).1.len(), 4);
    let carol = Client::new("carol-cipher", "carol-signature");
    assert_eq!(cards(&bench, carol, CardSelection::default()), (vec![9804], vec![]));
}

#[test]
fn cards_by_id_leave_out_what_is_none_of_the_clients_business() {
    let bench = Bench::default();
    let ids = filled(&bench);
    let erins = Client::deliver(&bench, "erin-cipher", NOW);
    let wanted = CardRule::ByIds(vec![ids[2].clone(), erins.clone(), bench.fresh_id(), ids[0].clone()]);
    let found = cards(&bench, Client::bob(), CardSelection { rule: wanted, limit: None });
    assert_eq!(found, (vec![801], vec![ids[0].clone(), ids[2].clone()]));
    let only_foreign = CardSelection { rule: CardRule::ByIds(vec![erins]), limit: None };
    assert_eq!(cards(&bench, Client::bob(), only_foreign), (vec![9804], vec![]));
}

#[test]
fn beyond_the_limit_further_cards_are_announced() {
    let bench = Setup::with(|settings| settings.max_cards_per_answer = 2).start();
    let ids = filled(&bench);
    assert_eq!(cards(&bench, Client::bob(), limited(CardRule::All, 1)), (vec![801, 3801], ids[..1].to_vec()));
    assert_eq!(cards(&bench, Client::bob(), limited(CardRule::All, 3)), (vec![801, 3801], ids[..2].to_vec()));
    assert_eq!(cards(&bench, Client::bob(), CardSelection::default()), (vec![801, 3801], ids[..2].to_vec()));
    let two = CardRule::ByIds(ids[1..].to_vec());
    assert_eq!(cards(&bench, Client::bob(), limited(two, 2)), (vec![801], ids[1..].to_vec()));
}

#[test]
fn cards_are_chosen_by_date_role_and_reception() {
    let bench = Bench::default();
    let ids = filled(&bench);
    // Bob sends one himself and fetches the first of his own.
    let mut bob = Client::bob().unsigned().open(&bench);
    let draft = bob.store(Delivery::to("alice-cipher", &bench.fresh_id()));
    assert_eq!(bob.codes_at(&bench, &draft, NOW + MINUTE * 5), [801]);
    bob.fetch_at(&bench, DeliverySelection::Oldest, NOW + MINUTE * 6);
    let draft = bob.exit();
    bob.send_at(&bench, &draft, NOW + MINUTE * 7);

    let filter = |time, role, no_reception| CardFilter { since: since(time), role, no_reception };
    let accepted =
        |filter| cards(&bench, Client::bob(), CardSelection { rule: CardRule::Accepted(filter), limit: None }).1;
    let modified =
        |filter| cards(&bench, Client::bob(), CardSelection { rule: CardRule::Modified(filter), limit: None }).1;
    assert_eq!(accepted(filter(NOW, None, false)).len(), 4);
    assert_eq!(accepted(filter(NOW, Some(Role::Addressee), false)), ids);
    assert_eq!(accepted(filter(NOW, Some(Role::Originator), false)).len(), 1);
    assert_eq!(accepted(filter(NOW, Some(Role::Addressee), true)), ids[1..]);
    assert_eq!(accepted(filter(NOW + MINUTE, Some(Role::Addressee), false)), ids[1..]);
    assert_eq!(accepted(filter(NOW + MINUTE * 6, None, false)), []);
    assert_eq!(modified(filter(NOW + MINUTE * 7, None, false)), ids[..1]);
    assert_eq!(modified(filter(NOW + MINUTE * 7, None, true)), []);
    assert_eq!(modified(filter(NOW + MINUTE * 5, Some(Role::Originator), false)).len(), 1);
}
