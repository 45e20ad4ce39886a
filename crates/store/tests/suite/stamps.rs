//! Tokens of time-stamp services on cards.

use rohrpost_audit::{Commitment, Event, Salt};
use rohrpost_store::{Outbound, OutboundEnd, Retention, Stamp, StampedEvent, Stamps};
use time::Duration;

use super::*;

/// A delivery whose card is to have these stamps.
fn stamped(message_id: &str, seconds: i64, creation: Stamp, reception: Stamp) -> Delivery {
    let mut delivery = delivery(message_id, seconds);
    delivery.leaf.commitments.push(Commitment::new("body", &Salt::from_bytes([1; 32]), message_id.as_bytes()));
    delivery.stamps = Stamps { creation, reception };
    delivery
}

fn stamps(fixture: &Fixture, message_id: &str) -> (Stamp, Stamp) {
    let stamps = fixture.store().card(&id(message_id)).unwrap().unwrap().stamps;
    (stamps.creation, stamps.reception)
}

fn wanted(fixture: &Fixture) -> Option<(String, StampedEvent)> {
    let wanted = fixture.store().wanted_stamp().unwrap();
    wanted.map(|wanted| (wanted.card.message_id.as_str().to_owned(), wanted.event))
}

pub(crate) fn plain_cards_want_nothing(open: Open) {
    let fixture = Fixture::new(open);
    accept(&fixture, "a", 0);
    fixture.store().mark_received(&[id("a")], at(1)).unwrap();
    assert_eq!((wanted(&fixture), stamps(&fixture, "a")), (None, (Stamp::Plain, Stamp::Plain)));
    assert!(!fixture.store().stamp(&id("a"), StampedEvent::Creation, vec![1], at(2)).unwrap());
    assert_eq!(fixture.store().card(&id("a")).unwrap().unwrap().modified, at(1));
    assert_eq!(fixture.log().len(), 2);
}

pub(crate) fn tokens_come_back(open: Open) {
    let mut fixture = Fixture::new(open);
    fixture.store().accept(stamped("a", 0, Stamp::Token(vec![1, 2, 3]), Stamp::Plain)).unwrap();
    for _ in 0..2 {
        assert_eq!(stamps(&fixture, "a"), (Stamp::Token(vec![1, 2, 3]), Stamp::Plain));
        assert_eq!((wanted(&fixture), fixture.store().stats().unwrap().wanted_stamps), (None, 0));
        fixture.reopen();
    }
    let fetched = fixture.store().next_delivery(&person("bob"), FetchRule::Oldest { not_in: &[] }).unwrap().unwrap();
    assert_eq!(fetched.card.stamps.creation, Stamp::Token(vec![1, 2, 3]));
    assert_eq!(fixture.log()[0].token, Some(Fingerprint::of_der(&[1, 2, 3])));
}

pub(crate) fn what_is_wanted_is_waited_for_until_it_comes(open: Open) {
    let mut fixture = Fixture::new(open);
    fixture.store().accept(stamped("a", 0, Stamp::Wanted, Stamp::Wanted)).unwrap();
    fixture.store().accept(stamped("b", 1, Stamp::Wanted, Stamp::Plain)).unwrap();
    fixture.reopen();
    assert_eq!(fixture.store().stats().unwrap().wanted_stamps, 2);
    let first = fixture.store().wanted_stamp().unwrap().unwrap();
    assert_eq!((first.card.message_id.as_str(), first.event), ("a", StampedEvent::Creation));
    assert!(first.commitments[0].opens_to(&Salt::from_bytes([1; 32]), b"a"), "as they stand in the log");
    // Nobody has received it yet.
    assert!(!fixture.store().stamp(&id("a"), StampedEvent::Reception, vec![9], at(5)).unwrap());
    assert!(fixture.store().stamp(&id("a"), StampedEvent::Creation, vec![7], at(5)).unwrap());
    assert!(!fixture.store().stamp(&id("a"), StampedEvent::Creation, vec![8], at(6)).unwrap(), "once only");
    let card = fixture.store().card(&id("a")).unwrap().unwrap();
    assert_eq!((card.created, card.modified), (at(0), at(5)));
    assert_eq!(stamps(&fixture, "a"), (Stamp::Token(vec![7]), Stamp::Wanted));
    let leaf = fixture.log().pop().unwrap();
    assert_eq!((leaf.event, leaf.time, leaf.message_id.as_deref()), (Event::CreationStamped, at(5), Some("a")));
    assert_eq!(leaf.token, Some(Fingerprint::of_der(&[7])));

    assert_eq!(wanted(&fixture), Some(("b".to_owned(), StampedEvent::Creation)));
    assert!(fixture.store().stamp(&id("b"), StampedEvent::Creation, vec![7], at(6)).unwrap());
    assert_eq!(wanted(&fixture), None);
    fixture.store().mark_received(&[id("a"), id("b")], at(8)).unwrap();
    assert_eq!(wanted(&fixture), Some(("a".to_owned(), StampedEvent::Reception)));
    assert!(fixture.store().stamp(&id("a"), StampedEvent::Reception, vec![9], at(7)).unwrap());
    let card = fixture.store().card(&id("a")).unwrap().unwrap();
    assert_eq!((card.received, card.modified), (Some(at(8)), at(8)), "the last change does not go back");
    assert_eq!(card.stamps, Stamps { creation: Stamp::Token(vec![7]), reception: Stamp::Token(vec![9]) });
    assert_eq!(fixture.log().pop().unwrap().event, Event::ReceptionStamped);
    assert_eq!(wanted(&fixture), None);
}

pub(crate) fn passive_recipients_receive_too(open: Open) {
    let fixture = Fixture::new(open);
    let mut way = stamped("a", 0, Stamp::Plain, Stamp::Wanted);
    way.outbound = Some(Outbound {
        receiver: "https://bob.example/osci".to_owned(),
        languages: None,
        leased_until: at(60),
        deadline: at(600),
    });
    fixture.store().accept(way).unwrap();
    assert_eq!(wanted(&fixture), None);
    fixture.store().finish_outbound(&id("a"), OutboundEnd::Received, at(2)).unwrap();
    assert_eq!(wanted(&fixture), Some(("a".to_owned(), StampedEvent::Reception)));
}

pub(crate) fn nothing_is_wanted_for_cards_that_are_gone(open: Open) {
    let fixture = Fixture::new(open);
    fixture.store().accept(stamped("a", 0, Stamp::Wanted, Stamp::Wanted)).unwrap();
    fixture.store().mark_received(&[id("a")], at(1)).unwrap();
    let rules =
        Retention { received_bodies: Some(Duration::ZERO), cards: Some(Duration::ZERO), ..Retention::default() };
    fixture.store().retention(at(100), &rules).unwrap();
    assert!(fixture.store().card(&id("a")).unwrap().is_none());
    assert_eq!((wanted(&fixture), fixture.store().stats().unwrap().wanted_stamps), (None, 0));
    assert!(!fixture.store().stamp(&id("a"), StampedEvent::Creation, vec![7], at(101)).unwrap());
}
