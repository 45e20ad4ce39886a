//! Certificates that have to be looked at again.

use rohrpost_audit::{Event, Role, Verdict};
use rohrpost_store::{Amendment, Recheck, Retention};
use time::Duration;

use super::*;

fn recheck(due: i64, certificates: &[u8]) -> Recheck {
    Recheck { due: at(due), until: at(1000), certificates: certificates.to_vec() }
}

fn pending(message_id: &str, due: i64) -> Delivery {
    let mut delivery = delivery(message_id, 0);
    delivery.inspections = "<old/>".to_owned();
    delivery.recheck = Some(recheck(due, message_id.as_bytes()));
    delivery
}

fn due(fixture: &Fixture, now: i64) -> Option<(String, Recheck)> {
    let found = fixture.store().due_recheck(at(now)).unwrap()?;
    Some((found.card.message_id.as_str().to_owned(), found.recheck))
}

pub(crate) fn what_is_due_is_found_until_it_is_over(open: Open) {
    let mut fixture = Fixture::new(open);
    fixture.store().accept(delivery("none", 0)).unwrap();
    for (message_id, seconds) in [("late", 20), ("soon", 10)] {
        fixture.store().accept(pending(message_id, seconds)).unwrap();
    }
    assert_eq!(due(&fixture, 9), None);
    fixture.reopen();
    assert_eq!(due(&fixture, 10), Some(("soon".to_owned(), recheck(10, b"soon"))));
    assert_eq!(due(&fixture, 99), Some(("soon".to_owned(), recheck(10, b"soon"))), "whoever has waited longest");
    let again = Amendment { again: Some(recheck(30, b"less")), ..Amendment::default() };
    assert!(fixture.store().amend(&id("soon"), again, at(10)).unwrap());
    assert_eq!(due(&fixture, 20), Some(("late".to_owned(), recheck(20, b"late"))));
    assert!(fixture.store().amend(&id("late"), Amendment::default(), at(20)).unwrap());
    assert_eq!(due(&fixture, 29), None);
    assert_eq!(due(&fixture, 30), Some(("soon".to_owned(), recheck(30, b"less"))));
    // Nothing was found out, so there is nothing to tell.
    assert!(fixture.events().iter().all(|(event, _)| *event == Event::Accepted));
    let card = fixture.store().card(&id("soon")).unwrap().unwrap();
    assert_eq!((card.inspections.as_str(), card.modified), ("<old/>", at(0)));
}

pub(crate) fn a_card_is_amended_with_an_entry_in_the_log(open: Open) {
    let fixture = Fixture::new(open);
    fixture.store().accept(pending("a", 10)).unwrap();
    let mut leaf = Leaf::new(at(77), Event::Refused);
    leaf.add_certificate(Role::AddresseeCipher, person("bob"), Some(Verdict::Invalid));
    let amendment = Amendment { inspections: Some(("<new/>".to_owned(), leaf)), again: None };
    assert!(fixture.store().amend(&id("a"), amendment.clone(), at(10)).unwrap());
    let card = fixture.store().card(&id("a")).unwrap().unwrap();
    assert_eq!((card.inspections.as_str(), card.modified), ("<new/>", at(10)));
    assert_eq!(due(&fixture, 99), None);
    let last = fixture.log().pop().unwrap();
    assert_eq!((last.event, last.time, last.message_id.as_deref()), (Event::Inspected, at(10), Some("a")));
    assert_eq!(last.certificates.len(), 1);
    // The card never seems to have been changed before it was made, nor before it was changed last.
    fixture.store().mark_forwarded(&id("a"), at(50)).unwrap();
    assert!(fixture.store().amend(&id("a"), amendment, at(-5)).unwrap());
    assert_eq!(fixture.store().card(&id("a")).unwrap().unwrap().modified, at(50));
    assert_eq!(fixture.log().pop().unwrap().time, at(0));
}

pub(crate) fn an_amendment_of_a_removed_card_is_none(open: Open) {
    let fixture = Fixture::new(open);
    assert!(!fixture.store().amend(&id("unknown"), Amendment::default(), at(0)).unwrap());
    fixture.store().accept(pending("a", 10)).unwrap();
    fixture.store().mark_forwarded(&id("a"), at(1)).unwrap();
    fixture.store().mark_received(&[id("a")], at(1)).unwrap();
    let rules = Retention {
        received_bodies: Some(Duration::seconds(1)),
        cards: Some(Duration::seconds(1)),
        ..Retention::default()
    };
    fixture.store().retention(at(100), &rules).unwrap();
    assert!(fixture.store().card(&id("a")).unwrap().is_none());
    assert_eq!(due(&fixture, 100), None);
    let amendment = Amendment { again: Some(recheck(200, b"x")), ..Amendment::default() };
    assert!(!fixture.store().amend(&id("a"), amendment, at(100)).unwrap());
    assert_eq!(due(&fixture, 300), None);
}
