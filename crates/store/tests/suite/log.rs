//! The log beside the deliveries.

use rohrpost_audit::{Checkpoint, verify_export_since};

use super::*;

pub(crate) fn refusals_are_recorded(open: Open) {
    let mut fixture = Fixture::new(open);
    let mut leaf = Leaf::new(at(3), Event::Refused);
    leaf.message_id = Some("foreign".into());
    leaf.feedback = vec![9801];
    assert_eq!(fixture.store().record(leaf.clone()).unwrap(), 0);
    accept(&fixture, "a", 4);
    let mut long = Leaf::new(at(5), Event::Refused);
    long.message_id = Some("x".repeat(100_000));
    assert_eq!(fixture.store().record(long).unwrap(), 2);
    fixture.reopen();
    assert_eq!(fixture.store().record(leaf.clone()).unwrap(), 3);
    let log = fixture.log();
    assert_eq!(log.len(), 4);
    assert_eq!((&log[0], &log[3]), (&leaf, &leaf));
    assert!(log[2].message_id.as_ref().unwrap().starts_with("sha256:"));
    let proofs = fixture.store().prove(&id("foreign")).unwrap();
    assert_eq!(proofs.iter().map(|proof| proof.index).collect::<Vec<_>>(), [0, 3]);
}

pub(crate) fn every_entry_is_provable(open: Open) {
    let mut fixture = Fixture::new(open);
    for number in 0..300 {
        fixture.store().record(Leaf::new(at(number), Event::Refused)).unwrap();
        if number % 100 == 50 {
            accept(&fixture, &format!("m{number}"), number);
            fixture.store().mark_forwarded(&id(format!("m{number}")), at(number)).unwrap();
            fixture.store().mark_received(&[id(format!("m{number}"))], at(number)).unwrap();
        }
    }
    for _ in 0..2 {
        for number in [50, 150, 250] {
            let proofs = fixture.store().prove(&id(format!("m{number}"))).unwrap();
            let events: Vec<_> = proofs.iter().map(|proof| proof.verify(&verifier()).unwrap().0.event).collect();
            assert_eq!(events, [Event::Accepted, Event::Forwarded, Event::Received]);
        }
        fixture.reopen();
    }
    assert_eq!(fixture.store().prove(&id("nobody")).unwrap(), []);
}

pub(crate) fn a_checkpoint_always_exists_and_covers_what_was_returned(open: Open) {
    let mut fixture = Fixture::new(open);
    let read = |fixture: &Fixture| {
        let note = fixture.store().checkpoint().unwrap();
        Checkpoint::open(note.as_bytes(), &verifier()).unwrap()
    };
    let mut seen = vec![read(&fixture)];
    for number in 0..20 {
        accept(&fixture, &format!("m{number}"), number);
        seen.push(read(&fixture));
    }
    assert_eq!(seen.iter().map(|checkpoint| checkpoint.size).collect::<Vec<_>>(), (0..=20).collect::<Vec<_>>());
    fixture.reopen();
    assert_eq!(read(&fixture), seen[20]);
    let dir = fixture.dir.path().join("log");
    fixture.store().export_audit(&dir, &mut |_, _| {}).unwrap();
    let report = verify_export_since(&dir, &verifier(), &seen, &mut |_, _| {}).unwrap();
    assert_eq!(report.problems, []);
}

pub(crate) fn exports_grow(open: Open) {
    let fixture = Fixture::new(open);
    let dir = fixture.dir.path().join("log");
    for round in 0..4 {
        for number in 0..90 {
            fixture.store().record(Leaf::new(at(number), Event::Refused)).unwrap();
        }
        let mut steps = Vec::new();
        let report = fixture.store().export_audit(&dir, &mut |done, all| steps.push((done, all))).unwrap();
        assert_eq!((report.previous_size, report.size), (round * 90, round * 90 + 90));
        assert_eq!(steps.last(), Some(&(report.size, report.size)));
        assert!(verify_export(&dir, &verifier()).unwrap().is_good());
    }
    let foreign = Fixture::new(open);
    foreign.store().record(Leaf::new(START, Event::Refused)).unwrap();
    assert!(foreign.store().export_audit(&dir, &mut |_, _| {}).is_err());
}
