//! Accepting, fetching, acknowledging.

use std::io::Write as _;

use rohrpost_audit::{Event, Role, Salt, Verdict};
use rohrpost_osci::mime::{Encoding, Header};
use rohrpost_store::{AcceptError, Attachment, BodySource, Content, FetchRule, MailboxLimits};
use time::Duration;

use super::*;

pub(crate) fn everything_comes_back_as_it_went_in(open: Open) {
    let mut fixture = Fixture::new(open);
    for (name, size) in [("small", 1), ("inline", 64 * 1024), ("file", 64 * 1024 + 1), ("large", 3_000_000)] {
        let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
        let mut given = delivery(name, 0);
        given.body = BodySource::Inline(bytes.clone());
        fill(&mut given);
        let expected = (given.certificates.clone(), given.custom_headers.clone(), given.content.clone());
        let attachments = given.attachments.clone();
        fixture.store().accept(given).unwrap();
        for _ in 0..2 {
            let message_id = id(name);
            let found = fixture.store().next_delivery(&person("bob"), FetchRule::ById(&message_id)).unwrap().unwrap();
            assert!(body(&found) == bytes, "{name}");
            assert_eq!(found.attachments, attachments);
            assert_eq!(found.salt, Some(Salt::from_bytes([9; 32])));
            let card = found.card;
            assert_eq!((found.certificates, found.custom_headers, found.content), expected);
            assert_eq!((card.originator, card.addressee), (Some(person("alice")), person("bob")));
            assert_eq!(card.subject, Some(format!("subject of {name}")));
            assert_eq!(card.inspections, "<osci:Inspection/>");
            assert_eq!((card.created, card.modified), (START, START));
            assert_eq!((card.forwarded, card.received, card.expired), (None, None, None));
            fixture.reopen();
        }
    }
    assert_eq!(std::fs::read_dir(fixture.dir.path().join("data/incoming")).unwrap().count(), 0);
}

fn fill(delivery: &mut Delivery) {
    delivery.inspections = "<osci:Inspection/>".into();
    delivery.certificates = Some("<osci:NonIntermediaryCertificates>ä</osci:NonIntermediaryCertificates>".into());
    delivery.custom_headers = vec!["<x:A xmlns:x=\"urn:x\"/>".into(), "<x:B/>".into()];
    delivery.content =
        Content { range: 17..400, namespaces: vec![(String::new(), "urn:d".into()), ("x".into(), "urn:x".into())] };
    delivery.salt = Some(Salt::from_bytes([9; 32]));
    let attachment = |name: &str, encoding| Attachment {
        content_id: name.into(),
        content_type: "application/octet-stream; name=\"ü\"".into(),
        extra_headers: vec![Header::new("Content-Description", "a: b; c").unwrap()],
        encoding,
        range: 400..500,
        length: 75,
        sha256: [5; 32],
    };
    delivery.attachments = vec![attachment("zwei.pdf", Encoding::Base64), attachment("eins.pdf", Encoding::Raw)];
}

pub(crate) fn a_body_may_come_as_a_file(open: Open) {
    let fixture = Fixture::new(open);
    for (name, size) in [("empty", 0), ("small", 10), ("large", 200_000)] {
        for folder in [fixture.dir.path().join("data/incoming"), std::env::temp_dir()] {
            let message_id = format!("{name}-{}", folder.display());
            let mut file = tempfile::NamedTempFile::new_in(&folder).unwrap();
            file.write_all(&vec![b'x'; size]).unwrap();
            let path = file.into_temp_path();
            let before = path.to_path_buf();
            let mut given = delivery(&message_id, 0);
            given.body = BodySource::File(path);
            fixture.store().accept(given).unwrap();
            assert!(!before.exists(), "{name} was taken over");
            let found = fixture.store().next_delivery(&person("bob"), FetchRule::ById(&id(&*message_id))).unwrap();
            assert_eq!(body(&found.unwrap()), vec![b'x'; size]);
        }
    }
}

pub(crate) fn an_id_is_used_once_for_ever(open: Open) {
    let mut fixture = Fixture::new(open);
    assert!(!fixture.store().is_used(&id("a")).unwrap());
    accept(&fixture, "a", 0);
    for round in 0..3 {
        assert!(fixture.store().is_used(&id("a")).unwrap());
        for size in [10, 100_000] {
            let mut again = delivery("a", 1);
            again.body = BodySource::Inline(vec![1; size]);
            again.addressee = person("carol");
            assert!(matches!(fixture.store().accept(again), Err(AcceptError::MessageIdUsed)), "round {round}");
        }
        fixture.reopen();
    }
    // Ids are compared byte for byte.
    accept(&fixture, "A", 2);
    accept(&fixture, "a ", 2);
    assert_eq!(fixture.log().len(), 3, "a refusal by the store writes no entry by itself");
    let found = fixture.store().next_delivery(&person("bob"), OLDEST).unwrap().unwrap();
    assert_eq!(body(&found), b"body of a");
    assert!(fixture.store().next_delivery(&person("carol"), OLDEST).unwrap().is_none());
    assert_eq!(bodies(&fixture), 0, "refused bodies are gone");
}

fn bodies(fixture: &Fixture) -> usize {
    let root = fixture.dir.path().join("data/bodies");
    let shards = std::fs::read_dir(root).unwrap().map(|shard| shard.unwrap().path());
    shards.map(|shard| std::fs::read_dir(shard).unwrap().count()).sum()
}

pub(crate) fn oldest_first_until_received(open: Open) {
    let fixture = Fixture::new(open);
    assert_eq!(fetch(&fixture, OLDEST), None);
    for name in ["c", "a", "b"] {
        accept(&fixture, name, 0);
    }
    assert_eq!(fetch(&fixture, OLDEST), some("c", true));
    assert_eq!(fetch(&fixture, OLDEST), some("c", true), "fetching changes nothing");
    fixture.store().mark_forwarded(&id("c"), at(1)).unwrap();
    assert_eq!(fetch(&fixture, OLDEST), some("c", true), "nor does forwarding");
    assert_eq!(fixture.store().mark_received(&[id("c")], at(2)).unwrap(), 1);
    assert_eq!(fetch(&fixture, OLDEST), some("a", true));
    assert_eq!(fixture.store().mark_received(&[id("a")], at(2)).unwrap(), 1);
    assert_eq!(fetch(&fixture, OLDEST), some("b", false));
    assert_eq!(fixture.store().mark_received(&[id("b")], at(2)).unwrap(), 1);
    assert_eq!(fetch(&fixture, OLDEST), None);
    assert!(fixture.store().next_delivery(&person("alice"), OLDEST).unwrap().is_none(), "the sender owns no mailbox");
}

pub(crate) fn what_was_handed_out_is_skipped(open: Open) {
    let fixture = Fixture::new(open);
    for name in ["a", "b", "c"] {
        accept(&fixture, name, 0);
    }
    let [a, b, c] = ["a", "b", "c"].map(id);
    assert_eq!(fetch(&fixture, FetchRule::Oldest { not_in: std::slice::from_ref(&a) }), some("b", true));
    assert_eq!(fetch(&fixture, FetchRule::Oldest { not_in: &[a.clone(), b.clone()] }), some("c", false));
    assert_eq!(fetch(&fixture, FetchRule::Oldest { not_in: std::slice::from_ref(&b) }), some("a", true));
    assert_eq!(fetch(&fixture, FetchRule::Oldest { not_in: &[a, b, c] }), None);
}

pub(crate) fn by_id_also_what_was_received(open: Open) {
    let fixture = Fixture::new(open);
    accept(&fixture, "a", 0);
    accept(&fixture, "b", 0);
    let rule = |name: &str| id(name);
    assert_eq!(fetch(&fixture, FetchRule::ById(&rule("b"))), some("b", true));
    fixture.store().mark_received(&[id("a"), id("b")], at(1)).unwrap();
    assert_eq!(fetch(&fixture, FetchRule::ById(&rule("b"))), some("b", false));
    assert_eq!(fetch(&fixture, FetchRule::ById(&rule("x"))), None);
    for other in ["alice", "carol"] {
        assert!(fixture.store().next_delivery(&person(other), FetchRule::ById(&rule("a"))).unwrap().is_none());
    }
}

pub(crate) fn since_a_time_in_milliseconds(open: Open) {
    let fixture = Fixture::new(open);
    let millis = |n: i64| START + Duration::milliseconds(n);
    for (name, time) in
        [("a", millis(10)), ("b", millis(20)), ("c", millis(20) + Duration::microseconds(999)), ("d", millis(21))]
    {
        let mut given = delivery(name, 0);
        given.accepted_at = time;
        fixture.store().accept(given).unwrap();
    }
    fixture.store().mark_received(&[id("b")], at(1)).unwrap();
    for (time, expected) in [
        (millis(-1_000_000), some("a", true)),
        (millis(10), some("a", true)),
        (millis(11), some("b", true)),
        (millis(20), some("b", true)),
        // What the client printed from a stamp, and what it had before printing, mean the same millisecond.
        (millis(20) + Duration::microseconds(500), some("b", true)),
        (millis(21), some("d", true)),
        (millis(22), None),
    ] {
        assert_eq!(fetch(&fixture, FetchRule::Since(time)), expected, "{time}");
    }
    let card = fixture.store().card(&id("c")).unwrap().unwrap();
    assert_eq!(card.created, millis(20));
    assert_eq!(fetch(&fixture, FetchRule::Since(card.created)), some("b", true));
}

pub(crate) fn the_first_stamp_counts(open: Open) {
    let fixture = Fixture::new(open);
    let store = fixture.store();
    accept(&fixture, "a", 0);
    let time = at(1) + Duration::microseconds(1_999);
    let card = store.mark_forwarded(&id("a"), time).unwrap().unwrap();
    let kept = at(1) + Duration::milliseconds(1);
    assert_eq!((card.forwarded, card.modified, card.received), (Some(kept), kept, None));
    assert_eq!(store.mark_forwarded(&id("a"), at(5)).unwrap().unwrap(), card);
    assert_eq!(store.mark_received(&[id("a"), id("a"), id("nobody")], at(7)).unwrap(), 1);
    assert_eq!(store.mark_received(&[id("a")], at(9)).unwrap(), 0);
    let card = store.card(&id("a")).unwrap().unwrap();
    assert_eq!((card.forwarded, card.modified, card.received), (Some(kept), at(7), Some(at(7))));
    assert_eq!(store.mark_forwarded(&id("nobody"), at(1)).unwrap(), None);
    assert_eq!(store.card(&id("nobody")).unwrap(), None);
    assert_eq!(store.mark_received(&[], at(1)).unwrap(), 0);
    let expected = [Event::Accepted, Event::Forwarded, Event::Received].map(|event| (event, "a".to_owned()));
    assert_eq!(fixture.events(), expected);
}

pub(crate) fn a_clock_that_goes_back_does_not_turn_back_the_card(open: Open) {
    let fixture = Fixture::new(open);
    accept(&fixture, "a", 100);
    let card = fixture.store().mark_forwarded(&id("a"), at(50)).unwrap().unwrap();
    assert_eq!((card.forwarded, card.modified), (Some(at(100)), at(100)));
    assert_eq!(fixture.store().mark_received(&[id("a")], at(40)).unwrap(), 1);
    let card = fixture.store().card(&id("a")).unwrap().unwrap();
    assert_eq!((card.received, card.modified), (Some(at(100)), at(100)));
    assert!(fixture.log().iter().all(|leaf| leaf.time == at(100)), "the log says what the card says");
}

pub(crate) fn mailboxes_have_limits(open: Open) {
    let fixture = Fixture::new(open);
    let store = fixture.store();
    let try_one = |name: &str, size: usize| {
        let mut given = delivery(name, 0);
        given.body = BodySource::Inline(vec![0; size]);
        given.limits = MailboxLimits { deliveries: 2, bytes: 100_000 };
        store.accept(given)
    };
    try_one("a", 10).unwrap();
    assert!(matches!(try_one("b", 99_991), Err(AcceptError::MailboxFull { deliveries: 1, bytes: 10 })));
    try_one("b", 99_990).unwrap();
    assert!(matches!(try_one("c", 0), Err(AcceptError::MailboxFull { deliveries: 2, bytes: 100_000 })));
    let stats = store.stats().unwrap();
    assert_eq!((stats.waiting, stats.waiting_bytes, stats.log_size), (2, 100_000, 2));
    // Others are not concerned, and room comes back with reception.
    let mut other = delivery("d", 0);
    other.addressee = person("carol");
    store.accept(other).unwrap();
    store.mark_received(&[id("b")], at(1)).unwrap();
    try_one("c", 99_990).unwrap();
    assert!(!store.is_used(&id("e")).unwrap());
    store.mark_received(&[id("a"), id("c"), id("d")], at(1)).unwrap();
    let stats = store.stats().unwrap();
    assert_eq!((stats.waiting, stats.waiting_bytes), (0, 0));
}

pub(crate) fn the_log_says_what_was_accepted(open: Open) {
    let fixture = Fixture::new(open);
    let mut given = delivery("a", 5);
    given.leaf = Leaf::new(at(1_000), Event::Refused);
    given.leaf.message_id = Some("another".into());
    given.leaf.add_certificate(Role::AddresseeCipher, person("bob"), Some(Verdict::Valid));
    given.leaf.feedback = vec![800];
    fixture.store().accept(given).unwrap();
    let log = fixture.log();
    let [leaf] = log.as_slice() else { panic!("{log:?}") };
    assert_eq!((&leaf.event, leaf.time, leaf.message_id.as_deref()), (&Event::Accepted, at(5), Some("a")));
    assert_eq!((leaf.bytes, leaf.attachments, leaf.feedback.as_slice()), (Some(9), Some(0), [800].as_slice()));
    assert_eq!(leaf.certificates[0].fingerprint, person("bob"));
    assert!(!String::from_utf8(leaf.to_bytes()).unwrap().contains("subject"));
}
