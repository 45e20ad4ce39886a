//! Many threads at once.

use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rohrpost_store::{AcceptError, BodySource, CardRule, MailboxLimits, Retention, StorageError};

use super::*;

const THREADS: usize = 32;
const EACH: usize = 12;

pub(crate) fn many_accept_and_nothing_is_lost(open: Open) {
    let mut fixture = Fixture::new(open);
    let store = fixture.store();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for number in 0..EACH {
                    let mut given = delivery(&format!("m-{thread}-{number}"), number as i64);
                    if number % 4 == 0 {
                        given.body = BodySource::Inline(vec![thread as u8; 70_000]);
                    }
                    store.accept(given).unwrap();
                }
            });
        }
    });
    let stats = store.stats().unwrap();
    let all = (THREADS * EACH) as u64;
    assert_eq!((stats.waiting, stats.log_size, stats.changes), (all, all, all));
    assert!(stats.commits < all / 2, "{} commits for {all} messages", stats.commits);
    for _ in 0..2 {
        let cards = fixture.store().cards(&person("bob"), &CardRule::ALL, usize::MAX).unwrap().cards;
        let ids: HashSet<_> = cards.into_iter().map(|card| card.message_id).collect();
        assert_eq!(ids.len(), THREADS * EACH);
        fixture.reopen();
    }
    let logged: HashSet<_> = fixture.events().into_iter().map(|(_, message_id)| message_id).collect();
    assert_eq!(logged.len(), THREADS * EACH);
}

pub(crate) fn one_of_many_with_the_same_id_wins(open: Open) {
    let fixture = Fixture::new(open);
    let store = fixture.store();
    let (won, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (won, lost) = (&won, &lost);
            scope.spawn(move || {
                for number in 0..4 {
                    let mut given = delivery(&format!("m{number}"), thread as i64);
                    given.body = BodySource::Inline(vec![thread as u8; 66_000]);
                    match store.accept(given) {
                        Ok(()) => won.fetch_add(1, Ordering::Relaxed),
                        Err(AcceptError::MessageIdUsed) => lost.fetch_add(1, Ordering::Relaxed),
                        Err(error) => panic!("{error}"),
                    };
                }
            });
        }
    });
    assert_eq!((won.into_inner(), lost.into_inner()), (4, 4 * THREADS - 4));
    // Whose body is kept is he who was told so.
    for number in 0..4 {
        let message_id = id(format!("m{number}"));
        let found = store.next_delivery(&person("bob"), FetchRule::ById(&message_id)).unwrap().unwrap();
        let thread = (found.card.created - START).whole_seconds() as u8;
        assert!(body(&found).iter().all(|byte| *byte == thread));
    }
    assert_eq!(fixture.log().len(), 4);
}

pub(crate) fn a_full_mailbox_spoils_nothing_for_others(open: Open) {
    let fixture = Fixture::new(open);
    let store = fixture.store();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let mut given = delivery(&format!("full-{thread}"), 0);
                given.limits = MailboxLimits { deliveries: 3, bytes: u64::MAX };
                let _ = store.accept(given);
                let mut other = delivery(&format!("free-{thread}"), 0);
                other.addressee = person("carol");
                store.accept(other).unwrap();
            });
        }
    });
    let count = |name: &str| store.cards(&person(name), &CardRule::ALL, 100).unwrap().cards.len();
    assert_eq!((count("bob"), count("carol")), (3, THREADS));
    assert_eq!(fixture.log().len(), 3 + THREADS);
}

pub(crate) fn of_many_hand_outs_and_receptions_at_once_one_counts(open: Open) {
    let fixture = Fixture::new(open);
    let store = fixture.store();
    accept(&fixture, "a", 0);
    type Mark = fn(&dyn Store, i64) -> Result<(), StorageError>;
    let marks: [Mark; 2] = [
        |store, second| store.mark_forwarded(&id("a"), at(second)).map(drop),
        |store, second| store.mark_received(&[id("a")], at(second)).map(drop),
    ];
    for mark in marks {
        let together = Barrier::new(THREADS);
        thread::scope(|scope| {
            for second in 0..THREADS as i64 {
                let together = &together;
                scope.spawn(move || {
                    together.wait();
                    mark(store.as_ref(), second).unwrap();
                });
            }
        });
    }
    let card = store.card(&id("a")).unwrap().unwrap();
    let log = fixture.log();
    let events: Vec<_> = log.iter().map(|leaf| (&leaf.event, Some(leaf.time))).collect();
    assert_eq!(
        events,
        [(&Event::Accepted, Some(at(0))), (&Event::Forwarded, card.forwarded), (&Event::Received, card.received)]
    );
}

pub(crate) fn readers_writers_and_retention_together(open: Open) {
    let fixture = Fixture::new(open);
    let store = fixture.store();
    thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for number in 0..20 {
                    let mut given = delivery(&format!("m-{thread}-{number}"), number);
                    given.body = BodySource::Inline(vec![1; if number % 2 == 0 { 10 } else { 70_000 }]);
                    store.accept(given).unwrap();
                }
            });
            scope.spawn(move || {
                for round in 0..30 {
                    if let Some(found) = store.next_delivery(&person("bob"), OLDEST).unwrap() {
                        assert!(body(&found).iter().all(|byte| *byte == 1));
                        store.mark_forwarded(&found.card.message_id, at(round)).unwrap();
                        store.mark_received(&[found.card.message_id], at(round)).unwrap();
                    }
                }
            });
        }
        scope.spawn(move || {
            let rules = Retention { received_bodies: Some(Duration::ZERO), ..Retention::default() };
            for _ in 0..10 {
                store.retention(at(1_000), &rules).unwrap();
                store.cards(&person("alice"), &CardRule::ALL, 1_000).unwrap();
            }
        });
        let log = fixture.dir.path().join("growing");
        scope.spawn(move || {
            for _ in 0..5 {
                let (report, _) = exported(store.as_ref(), &log);
                assert_eq!(report.problems, []);
            }
        });
    });
    let cards = store.cards(&person("bob"), &CardRule::ALL, 1_000).unwrap().cards;
    assert_eq!(cards.len(), 80);
    let received = cards.iter().filter(|card| card.received.is_some()).count();
    assert_eq!(store.stats().unwrap().waiting as usize, 80 - received);
    let events = fixture.events();
    let count = |event: Event| events.iter().filter(|(found, _)| *found == event).count();
    assert_eq!((count(Event::Accepted), count(Event::Received)), (80, received));
}
