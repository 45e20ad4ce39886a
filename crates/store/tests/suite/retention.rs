//! Removing what is old.

use rohrpost_store::{AcceptError, BodySource, CardRule, FetchRule, Retention, RetentionReport};

use super::*;

const DAY: i64 = 86_400;

fn report(bodies: u64, expired: u64, cards: u64, ids: u64) -> RetentionReport {
    let mut report = RetentionReport::default();
    (report.bodies, report.expired, report.cards, report.ids) = (bodies, expired, cards, ids);
    report
}

fn files(fixture: &Fixture) -> usize {
    let root = fixture.dir.path().join("data/bodies");
    let shards = std::fs::read_dir(root).unwrap().map(|shard| shard.unwrap().path());
    shards.map(|shard| std::fs::read_dir(shard).unwrap().count()).sum()
}

pub(crate) fn nothing_goes_by_default(open: Open) {
    let fixture = Fixture::new(open);
    accept(&fixture, "a", 0);
    fixture.store().mark_received(&[id("a")], at(1)).unwrap();
    accept(&fixture, "b", 0);
    let found = fixture.store().retention(at(100_000 * DAY), &Retention::default()).unwrap();
    assert_eq!(found, RetentionReport::default());
    assert_eq!(fixture.log().len(), 3);
}

pub(crate) fn bodies_go_and_cards_stay(open: Open) {
    let fixture = Fixture::new(open);
    let store = fixture.store();
    for name in ["received", "fresh", "waiting", "young"] {
        let mut given = delivery(name, if name == "young" { 8 * DAY } else { 0 });
        given.body = BodySource::Inline(vec![1; 100_000]);
        store.accept(given).unwrap();
    }
    store.mark_received(&[id("received")], at(DAY)).unwrap();
    store.mark_received(&[id("fresh")], at(8 * DAY)).unwrap();
    assert_eq!(files(&fixture), 4);
    let rules = Retention {
        received_bodies: Some(Duration::days(2)),
        unreceived_bodies: Some(Duration::days(5)),
        ..Retention::default()
    };
    let held = store.next_delivery(&person("bob"), FetchRule::ById(&id("received"))).unwrap().unwrap();
    assert_eq!(store.retention(at(DAY), &rules).unwrap(), report(0, 0, 0, 0));
    assert_eq!(store.retention(at(3 * DAY), &rules).unwrap(), report(0, 0, 0, 0), "exactly as old as allowed");
    assert_eq!(store.retention(at(9 * DAY), &rules).unwrap(), report(1, 1, 0, 0));
    assert_eq!(store.retention(at(9 * DAY), &rules).unwrap(), report(0, 0, 0, 0));
    assert_eq!(body(&held).len(), 100_000, "whoever has it open can read on");
    assert_eq!(files(&fixture), 2);
    assert_eq!(fetch(&fixture, FetchRule::ById(&id("received"))), None);
    assert_eq!(fetch(&fixture, FetchRule::ById(&id("waiting"))), None);
    assert_eq!(fetch(&fixture, FetchRule::Since(START)), some("fresh", true));
    assert_eq!(fetch(&fixture, OLDEST), some("young", false));
    let card = store.card(&id("waiting")).unwrap().unwrap();
    assert_eq!((card.expired, card.modified, card.received), (Some(at(9 * DAY)), at(9 * DAY), None));
    let card = store.card(&id("received")).unwrap().unwrap();
    assert_eq!((card.expired, card.modified), (None, at(DAY)), "losing the body does not change the card");
    let stats = store.stats().unwrap();
    assert_eq!((stats.waiting, stats.waiting_bytes), (1, 100_000));
    let events = fixture.events();
    assert!(events[6..].contains(&(Event::BodyRemoved, "received".into())));
    assert!(events[6..].contains(&(Event::Expired, "waiting".into())));
    assert_eq!(events.len(), 8);
}

pub(crate) fn a_late_acknowledgement_of_an_expired_delivery_is_kept(open: Open) {
    let fixture = Fixture::new(open);
    accept(&fixture, "a", 0);
    let rules = Retention { unreceived_bodies: Some(Duration::days(1)), ..Retention::default() };
    assert_eq!(fixture.store().retention(at(2 * DAY), &rules).unwrap(), report(0, 1, 0, 0));
    assert_eq!(fixture.store().mark_received(&[id("a")], at(3 * DAY)).unwrap(), 1);
    let card = fixture.store().card(&id("a")).unwrap().unwrap();
    assert_eq!((card.expired, card.received), (Some(at(2 * DAY)), Some(at(3 * DAY))));
    assert_eq!(fixture.store().stats().unwrap().waiting, 0);
}

pub(crate) fn ids_outlive_cards(open: Open) {
    let mut fixture = Fixture::new(open);
    accept(&fixture, "a", 0);
    accept(&fixture, "b", 0);
    fixture.store().mark_received(&[id("a")], at(DAY)).unwrap();
    let rules = Retention {
        received_bodies: Some(Duration::days(1)),
        unreceived_bodies: None,
        cards: Some(Duration::days(10)),
        unused_ids: Some(Duration::days(30)),
        unfinished: None,
    };
    assert_eq!(fixture.store().retention(at(3 * DAY), &rules).unwrap(), report(1, 0, 0, 0));
    assert_eq!(fixture.store().retention(at(11 * DAY), &rules).unwrap(), report(0, 0, 0, 0));
    assert_eq!(fixture.store().retention(at(12 * DAY), &rules).unwrap(), report(0, 0, 1, 0));
    assert_eq!(fixture.store().card(&id("a")).unwrap(), None);
    assert_eq!(fixture.store().cards(&person("alice"), &CardRule::ALL, 10).unwrap().cards.len(), 1);
    fixture.reopen();
    assert!(fixture.store().is_used(&id("a")).unwrap());
    assert!(matches!(fixture.store().accept(delivery("a", 13 * DAY)), Err(AcceptError::MessageIdUsed)));
    assert_eq!(fixture.store().retention(at(42 * DAY), &rules).unwrap(), report(0, 0, 0, 0));
    assert_eq!(fixture.store().retention(at(43 * DAY), &rules).unwrap(), report(0, 0, 0, 1));
    assert!(!fixture.store().is_used(&id("a")).unwrap());
    assert!(fixture.store().is_used(&id("b")).unwrap(), "a card whose body is kept stays, however old");
    let events: Vec<_> = fixture.log().into_iter().skip(3).map(|leaf| (leaf.event, leaf.count)).collect();
    assert_eq!(events, [(Event::BodyRemoved, None), (Event::CardRemoved, None), (Event::IdsReleased, Some(1))]);
    assert_eq!(fixture.store().prove(&id("a")).unwrap().len(), 4, "the log remembers");
}

pub(crate) fn many_go_in_steps(open: Open) {
    let fixture = Fixture::new(open);
    let ids: Vec<_> = (0..150).map(|number| id(format!("m{number:03}"))).collect();
    for message_id in &ids {
        accept(&fixture, message_id.as_str(), 0);
    }
    fixture.store().mark_received(&ids, at(1)).unwrap();
    let rules = Retention {
        received_bodies: Some(Duration::ZERO),
        unreceived_bodies: None,
        cards: Some(Duration::ZERO),
        unused_ids: Some(Duration::ZERO),
        unfinished: None,
    };
    assert_eq!(fixture.store().retention(at(2), &rules).unwrap(), report(150, 0, 150, 0));
    assert_eq!(fixture.store().retention(at(3), &rules).unwrap(), report(0, 0, 0, 150));
    assert_eq!(fixture.log().len(), 150 * 4 + 3);
}
