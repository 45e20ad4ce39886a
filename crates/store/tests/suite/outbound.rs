//! On the way to passive recipients.

use rohrpost_audit::Event;
use rohrpost_store::{AcceptError, BodySource, MailboxLimits, Outbound, OutboundEnd, Retention};
use time::Duration;

use super::*;

/// A delivery from alice to bob that somebody takes to bob from now on, until its lease ends after 60 seconds.
fn way(message_id: &str, seconds: i64) -> Delivery {
    let mut delivery = delivery(message_id, seconds);
    delivery.outbound = Some(Outbound {
        receiver: "https://bob.example/osci".to_owned(),
        languages: Some("de en".to_owned()),
        leased_until: at(seconds + 60),
        deadline: at(seconds + 600),
    });
    delivery
}

fn leased(fixture: &Fixture, now: i64) -> Option<String> {
    let found = fixture.store().lease_outbound(at(now), at(now + 60)).unwrap();
    found.map(|found| found.delivery.card.message_id.as_str().to_owned())
}

pub(crate) fn it_comes_back_with_its_way_until_received(open: Open) {
    let mut fixture = Fixture::new(open);
    for (name, size) in [("small", 10), ("large", 3_000_000)] {
        let mut given = way(name, 0);
        given.body = BodySource::Inline(vec![7; size]);
        fixture.store().accept(given).unwrap();
        for _ in 0..2 {
            let found = fixture.store().outbound(&id(name)).unwrap().unwrap();
            assert!(body(&found.delivery) == vec![7; size]);
            assert_eq!((found.receiver.as_str(), found.attempts), ("https://bob.example/osci", 0));
            assert_eq!((found.languages.as_deref(), found.deadline), (Some("de en"), at(600)));
            fixture.reopen();
        }
        fixture.store().mark_forwarded(&id(name), at(1)).unwrap();
        let card = fixture.store().finish_outbound(&id(name), OutboundEnd::Received, at(2)).unwrap().unwrap();
        assert_eq!((card.forwarded, card.received, card.modified), (Some(at(1)), Some(at(2)), at(2)));
        assert_eq!((card.expired, card.failure), (None, None));
        assert!(fixture.store().outbound(&id(name)).unwrap().is_none());
        assert!(fixture.store().finish_outbound(&id(name), OutboundEnd::Received, at(3)).unwrap().is_none());
        assert!(!fixture.store().postpone_outbound(&id(name), at(9), 9809, false, at(3)).unwrap());
        let events = [Event::Accepted, Event::Forwarded, Event::Received].map(|event| (event, name.to_owned()));
        assert!(fixture.events().ends_with(&events));
    }
    let folders = std::fs::read_dir(fixture.dir.path().join("data/bodies")).unwrap();
    assert_eq!(folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap()).count(), 0);
    assert_eq!(fixture.store().stats().unwrap().waiting, 0);
}

pub(crate) fn nobody_fetches_what_is_on_its_way(open: Open) {
    let fixture = Fixture::new(open);
    fixture.store().accept(way("out", 0)).unwrap();
    let message_id = id("out");
    for rule in [FetchRule::Oldest { not_in: &[] }, FetchRule::ById(&message_id), FetchRule::Since(at(0))] {
        assert!(fixture.store().next_delivery(&person("bob"), rule).unwrap().is_none());
    }
    assert!(fixture.store().is_used(&message_id).unwrap());
    assert!(matches!(fixture.store().accept(delivery("out", 1)), Err(AcceptError::MessageIdUsed)));
    // Retention of mailboxes does not touch it.
    let rules = Retention { unreceived_bodies: Some(Duration::ZERO), ..Retention::default() };
    fixture.store().retention(at(10_000), &rules).unwrap();
    assert!(fixture.store().outbound(&message_id).unwrap().is_some());
    // What waits in a mailbox is not on its way.
    accept(&fixture, "in", 0);
    assert!(fixture.store().outbound(&id("in")).unwrap().is_none());
    assert!(fixture.store().finish_outbound(&id("in"), OutboundEnd::Received, at(1)).unwrap().is_none());
    assert!(fixture.store().next_delivery(&person("bob"), FetchRule::ById(&id("in"))).unwrap().is_some());
}

pub(crate) fn one_tries_at_a_time(open: Open) {
    let mut fixture = Fixture::new(open);
    fixture.store().accept(way("a", 0)).unwrap();
    fixture.store().accept(way("b", 10)).unwrap();
    let stats = fixture.store().stats().unwrap();
    assert_eq!((stats.outbound, stats.waiting), (2, 2));
    // Leased by whoever handed them in.
    assert_eq!(leased(&fixture, 59), None);
    assert_eq!(leased(&fixture, 60).as_deref(), Some("a"));
    assert_eq!(leased(&fixture, 60), None);
    assert_eq!(leased(&fixture, 70).as_deref(), Some("b"));
    assert_eq!(leased(&fixture, 100), None);
    assert_eq!(leased(&fixture, 120).as_deref(), Some("a"), "its lease is over");
    // Leases are over with the process.
    fixture.reopen();
    let mut found = [leased(&fixture, 121), leased(&fixture, 121)].map(Option::unwrap);
    found.sort();
    assert_eq!(found, ["a", "b"]);
    assert_eq!(leased(&fixture, 121), None);
}

pub(crate) fn a_pause_after_a_failure_outlives_no_process_but_its_count_does(open: Open) {
    let mut fixture = Fixture::new(open);
    fixture.store().accept(way("a", 0)).unwrap();
    assert!(fixture.store().postpone_outbound(&id("a"), at(500), 9809, false, at(1)).unwrap());
    assert_eq!(leased(&fixture, 499), None);
    fixture.reopen();
    assert_eq!(leased(&fixture, 499).as_deref(), Some("a"));
    let found = fixture.store().outbound(&id("a")).unwrap().unwrap();
    assert_eq!((found.attempts, found.failure), (1, Some(9809)));
    let log = fixture.log();
    assert_eq!(
        log.last().map(|leaf| (leaf.event.clone(), leaf.feedback.clone())),
        Some((Event::Postponed, vec![9809]))
    );
}

pub(crate) fn what_is_deferred_rests_and_nothing_was_tried(open: Open) {
    let fixture = Fixture::new(open);
    fixture.store().accept(way("a", 0)).unwrap();
    assert_eq!(leased(&fixture, 60).as_deref(), Some("a"));
    let before = fixture.log().len();
    fixture.store().defer_outbound(&id("a"), at(200), false).unwrap();
    assert_eq!(leased(&fixture, 199), None);
    assert_eq!(leased(&fixture, 200).as_deref(), Some("a"));
    assert_eq!(fixture.store().outbound(&id("a")).unwrap().unwrap().attempts, 0);
    assert_eq!(fixture.log().len(), before);
    fixture.store().finish_outbound(&id("a"), OutboundEnd::Received, at(201)).unwrap();
    fixture.store().defer_outbound(&id("a"), at(300), false).unwrap();
    assert_eq!(leased(&fixture, 300), None);
}

pub(crate) fn whether_it_may_have_arrived_is_known_whatever_happens(open: Open) {
    let mut fixture = Fixture::new(open);
    fixture.store().accept(way("a", 0)).unwrap();
    let in_doubt = |fixture: &Fixture| fixture.store().outbound(&id("a")).unwrap().unwrap().in_doubt;
    let lease = |fixture: &Fixture, now: i64| fixture.store().lease_outbound(at(now), at(now + 60)).unwrap().unwrap();
    assert!(!in_doubt(&fixture));
    // Whoever handed it in had it ready to be sent, and died.
    fixture.store().mark_forwarded(&id("a"), at(1)).unwrap();
    fixture.reopen();
    assert!(lease(&fixture, 100).in_doubt);
    // Certainly not.
    fixture.store().postpone_outbound(&id("a"), at(200), 9809, false, at(101)).unwrap();
    assert!(!in_doubt(&fixture));
    let leased = lease(&fixture, 200);
    assert!(!leased.in_doubt);
    // Nobody tried.
    fixture.store().defer_outbound(&id("a"), at(300), leased.in_doubt).unwrap();
    assert!(!lease(&fixture, 300).in_doubt);
    // Whoever tried died.
    fixture.reopen();
    assert!(lease(&fixture, 400).in_doubt);
    fixture.store().postpone_outbound(&id("a"), at(500), 9810, true, at(401)).unwrap();
    assert!(lease(&fixture, 500).in_doubt);
}

pub(crate) fn what_is_given_up_says_why(open: Open) {
    let mut fixture = Fixture::new(open);
    fixture.store().accept(way("a", 5)).unwrap();
    let end = OutboundEnd::Undeliverable { code: 9809 };
    // A clock that goes back does not turn back the card.
    let card = fixture.store().finish_outbound(&id("a"), end, at(1)).unwrap().unwrap();
    assert_eq!((card.received, card.expired, card.failure), (None, Some(at(5)), Some(9809)));
    fixture.reopen();
    assert_eq!(fixture.store().card(&id("a")).unwrap(), Some(card));
    let log = fixture.log();
    let last = log.last().unwrap();
    assert_eq!((last.event.clone(), last.feedback.clone()), (Event::Undeliverable, vec![9809]));
    assert_eq!(leased(&fixture, 10_000), None);
    assert!(matches!(fixture.store().accept(way("a", 6)), Err(AcceptError::MessageIdUsed)));
}

pub(crate) fn what_is_on_its_way_to_one_addressee_is_bounded(open: Open) {
    let fixture = Fixture::new(open);
    let limits = MailboxLimits { deliveries: 1, bytes: u64::MAX };
    let limited = |message_id: &str| Delivery { limits, ..way(message_id, 0) };
    fixture.store().accept(limited("a")).unwrap();
    assert!(matches!(fixture.store().accept(limited("b")), Err(AcceptError::MailboxFull { deliveries: 1, .. })));
    fixture.store().finish_outbound(&id("a"), OutboundEnd::Received, at(1)).unwrap();
    fixture.store().accept(limited("b")).unwrap();
}
