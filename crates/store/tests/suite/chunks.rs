//! What comes and is fetched in chunks.

use rohrpost_store::{
    AcceptError, KeepChunkError, NewChunk, Retention, Upload, UploadEnd, UploadKey, UploadLimits, UploadPlan,
};

use super::*;

fn key(owner: &str, message_id: &str) -> UploadKey {
    UploadKey { owner: person(owner), message_id: id(message_id) }
}

/// Chunk `number` of 3 of 100 KiB each: the first two are files, the last lies in a row.
fn chunk(owner: &str, message_id: &str, number: u32, seconds: i64) -> NewChunk {
    let bytes = bytes(number);
    NewChunk {
        key: key(owner, message_id),
        plan: UploadPlan { chunk_size: 100, total: 3, message_size: 201 },
        number,
        sha256: Fingerprint::of_der(&bytes).as_bytes().to_owned(),
        body: BodySource::Inline(bytes),
        at: at(seconds),
        limits: UploadLimits::default(),
    }
}

fn bytes(number: u32) -> Vec<u8> {
    vec![number as u8; if number == 3 { 1500 } else { 100 * 1024 }]
}

fn kept(fixture: &Fixture, chunk: NewChunk) -> Vec<u32> {
    fixture.store().keep_chunk(chunk).unwrap().received
}

fn files(fixture: &Fixture) -> usize {
    let folders = std::fs::read_dir(fixture.dir.path().join("data/bodies")).unwrap();
    folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap()).count()
}

fn found(fixture: &Fixture, owner: &str) -> Option<Upload> {
    fixture.store().upload(&key(owner, "m")).unwrap()
}

pub(crate) fn chunks_come_in_any_order_and_outlive_the_process(open: Open) {
    let mut fixture = Fixture::new(open);
    assert!(found(&fixture, "alice").is_none());
    assert_eq!(kept(&fixture, chunk("alice", "m", 3, 0)), [3]);
    fixture.reopen();
    assert_eq!(kept(&fixture, chunk("alice", "m", 1, 1)), [1, 3]);
    fixture.reopen();
    let upload = found(&fixture, "alice").unwrap();
    assert_eq!((upload.received.as_slice(), upload.is_complete(), &upload.end), ([1, 3].as_slice(), false, &None));
    assert!(fixture.store().chunk(&key("alice", "m"), 2).unwrap().is_none());
    assert_eq!(kept(&fixture, chunk("alice", "m", 2, 2)), [1, 2, 3]);
    fixture.reopen();
    assert!(found(&fixture, "alice").unwrap().is_complete());
    for number in 1..=3 {
        let chunk = fixture.store().chunk(&key("alice", "m"), number).unwrap().unwrap();
        assert!(read_range(chunk.as_ref(), 0..chunk.len()).unwrap() == bytes(number));
    }
    assert_eq!(files(&fixture), 2);
    assert!(fixture.log().is_empty(), "it is no delivery yet");
    assert!(!fixture.store().is_used(&id("m")).unwrap());
}

pub(crate) fn a_chunk_counts_once_and_contradicts_nothing(open: Open) {
    let fixture = Fixture::new(open);
    kept(&fixture, chunk("alice", "m", 1, 0));
    let refused = |chunk| fixture.store().keep_chunk(chunk).unwrap_err();
    let again = refused(chunk("alice", "m", 1, 1));
    assert!(matches!(again, KeepChunkError::Present(upload) if upload.received == [1]));
    let plan = UploadPlan { chunk_size: 100, total: 3, message_size: 201 };
    for other in [
        NewChunk { sha256: [7; 32], ..chunk("alice", "m", 1, 1) },
        NewChunk { plan: UploadPlan { total: 4, ..plan }, ..chunk("alice", "m", 2, 1) },
        NewChunk { plan: UploadPlan { message_size: 200, ..plan }, ..chunk("alice", "m", 2, 1) },
        NewChunk { plan: UploadPlan { chunk_size: 101, ..plan }, ..chunk("alice", "m", 2, 1) },
        // More than was announced.
        NewChunk { body: BodySource::Inline(vec![1; 102 * 1024]), ..chunk("alice", "m", 2, 1) },
        NewChunk { body: BodySource::Inline(vec![1; 202 * 1024]), ..chunk("alice", "another", 2, 1) },
    ] {
        assert!(matches!(refused(other), KeepChunkError::Contradiction));
    }
    assert_eq!(found(&fixture, "alice").unwrap().received, [1]);
    assert_eq!(files(&fixture), 1);
    // Up to 1023 bytes more than the whole units are part of the announcement.
    let rest = NewChunk { body: BodySource::Inline(vec![1; 102 * 1024 - 1]), ..chunk("alice", "m", 2, 1) };
    assert_eq!(kept(&fixture, rest), [1, 2]);
}

pub(crate) fn owners_do_not_meet(open: Open) {
    let fixture = Fixture::new(open);
    kept(&fixture, chunk("alice", "m", 1, 0));
    assert!(found(&fixture, "mallory").is_none());
    let foreign = NewChunk { sha256: [7; 32], ..chunk("mallory", "m", 2, 0) };
    assert_eq!(kept(&fixture, foreign), [2]);
    assert_eq!(found(&fixture, "alice").unwrap().received, [1]);
    assert!(fixture.store().chunk(&key("alice", "m"), 2).unwrap().is_none());
    fixture.store().end_upload(&key("mallory", "m"), &[9801], at(1)).unwrap();
    assert_eq!(found(&fixture, "alice").unwrap().end, None);
    assert_eq!(kept(&fixture, chunk("alice", "m", 2, 2)), [1, 2]);
}

pub(crate) fn uploads_are_bounded_per_owner_and_in_all(open: Open) {
    let fixture = Fixture::new(open);
    let unit = 100 * 1024;
    let limits = UploadLimits { of_owner: 2, bytes_of_owner: 3 * unit, in_all: 3, bytes_in_all: 4 * unit };
    let limited = |owner, message_id, number| {
        let chunk = NewChunk { limits, ..chunk(owner, message_id, number, 0) };
        match fixture.store().keep_chunk(chunk) {
            Ok(_) => true,
            Err(KeepChunkError::Full) => false,
            Err(error) => panic!("{error:?}"),
        }
    };
    assert!(limited("alice", "a", 1) && limited("alice", "b", 1));
    assert!(!limited("alice", "c", 1), "number of one owner");
    assert!(limited("alice", "a", 2));
    assert!(!limited("alice", "b", 2), "bytes of one owner");
    assert!(limited("bob", "a", 1));
    assert!(!limited("bob", "b", 1) && !limited("carol", "a", 1), "number in all");
    assert!(!limited("bob", "a", 2), "bytes in all");
    assert_eq!(files(&fixture), 4, "what is refused leaves nothing");
    fixture.store().end_upload(&key("alice", "a"), &[9801], at(1)).unwrap();
    assert!(limited("carol", "a", 1), "what ended takes no place");
}

pub(crate) fn an_upload_ends_with_its_delivery(open: Open) {
    let mut fixture = Fixture::new(open);
    (1..=3).for_each(|number| drop(kept(&fixture, chunk("alice", "m", number, 0))));
    let mut whole = delivery("m", 1);
    whole.upload = Some(UploadEnd { owner: person("alice"), codes: vec![3701, 3705] });
    fixture.store().accept(whole).unwrap();
    assert_eq!(files(&fixture), 0);
    for _ in 0..2 {
        let upload = found(&fixture, "alice").unwrap();
        assert_eq!(
            (upload.received.as_slice(), upload.end.as_deref()),
            ([1, 2, 3].as_slice(), Some(&[3701, 3705][..]))
        );
        let again = fixture.store().keep_chunk(chunk("alice", "m", 3, 2)).unwrap_err();
        assert!(matches!(again, KeepChunkError::Present(upload) if upload.end.is_some()));
        fixture.reopen();
    }
    // Whoever is refused keeps its chunks until it is told.
    (1..=3).for_each(|number| drop(kept(&fixture, chunk("mallory", "m", number, 0))));
    let mut second = delivery("m", 3);
    second.upload = Some(UploadEnd { owner: person("mallory"), codes: Vec::new() });
    assert!(matches!(fixture.store().accept(second), Err(AcceptError::MessageIdUsed)));
    assert_eq!((found(&fixture, "mallory").unwrap().end, files(&fixture)), (None, 2));
    fixture.store().end_upload(&key("mallory", "m"), &[9801], at(4)).unwrap();
    assert_eq!((found(&fixture, "mallory").unwrap().end, files(&fixture)), (Some(vec![9801]), 0));
    // One that is forgotten meanwhile does not stop its delivery.
    let mut without = delivery("n", 5);
    without.upload = Some(UploadEnd { owner: person("alice"), codes: Vec::new() });
    fixture.store().accept(without).unwrap();
}

pub(crate) fn what_nobody_goes_on_with_is_forgotten(open: Open) {
    let mut fixture = Fixture::new(open);
    kept(&fixture, chunk("alice", "m", 1, 0));
    kept(&fixture, chunk("alice", "m", 2, 50));
    kept(&fixture, chunk("bob", "m", 1, 0));
    fixture.store().end_upload(&key("bob", "m"), &[9801], at(10)).unwrap();
    accept(&fixture, "d", 0);
    assert!(fixture.store().keep_prepared(&id("d"), BodySource::Inline(vec![1; 90_000]), at(0), u64::MAX).unwrap());
    assert!(fixture.store().prepared(&id("d"), at(70)).unwrap().is_some());
    let rules = Retention { unfinished: Some(Duration::seconds(60)), ..Retention::default() };
    let forgotten = |fixture: &Fixture, now| {
        let report = fixture.store().retention(at(now), &rules).unwrap();
        (report.uploads, report.prepared, files(fixture))
    };
    assert_eq!(forgotten(&fixture, 60), (0, 0, 3));
    assert_eq!(forgotten(&fixture, 80), (1, 0, 3), "one that ended");
    assert_eq!(forgotten(&fixture, 120), (1, 0, 1));
    assert_eq!(forgotten(&fixture, 131), (0, 1, 0));
    fixture.reopen();
    assert!(found(&fixture, "alice").is_none() && fixture.store().prepared(&id("d"), at(131)).unwrap().is_none());
}

pub(crate) fn a_prepared_answer_stays_as_it_is(open: Open) {
    let mut fixture = Fixture::new(open);
    accept(&fixture, "d", 0);
    let keep = |fixture: &Fixture, name: &str, bytes: Vec<u8>, limit| {
        fixture.store().keep_prepared(&id(name), BodySource::Inline(bytes), at(1), limit).unwrap()
    };
    assert!(fixture.store().prepared(&id("d"), at(1)).unwrap().is_none());
    assert!(!keep(&fixture, "unknown", vec![1; 10], u64::MAX));
    assert!(!keep(&fixture, "d", vec![1; 100_000], 99_999), "too large");
    assert_eq!(files(&fixture), 0);
    assert!(keep(&fixture, "d", vec![1; 100_000], 100_000));
    assert!(keep(&fixture, "d", vec![2; 100_000], 100_000), "the first stays");
    accept(&fixture, "e", 2);
    assert!(!keep(&fixture, "e", vec![3; 10], 100_000));
    assert!(keep(&fixture, "e", vec![3; 10], 100_010));
    for _ in 0..2 {
        let answer = fixture.store().prepared(&id("d"), at(100)).unwrap().unwrap();
        assert!(read_range(answer.as_ref(), 0..answer.len()).unwrap() == vec![1; 100_000]);
        assert_eq!(fixture.store().prepared(&id("e"), at(100)).unwrap().unwrap().len(), 10);
        fixture.reopen();
    }
    assert_eq!(files(&fixture), 1);
    fixture.store().mark_received(&[id("d")], at(101)).unwrap();
    assert!(fixture.store().prepared(&id("d"), at(102)).unwrap().is_none());
    assert_eq!(files(&fixture), 0);
    // It must not outlive the body it was made of.
    let rules = Retention { unreceived_bodies: Some(Duration::seconds(10)), ..Retention::default() };
    assert_eq!(fixture.store().retention(at(200), &rules).unwrap().expired, 1);
    assert!(fixture.store().prepared(&id("e"), at(201)).unwrap().is_none());
}

pub(crate) fn only_files_of_kept_chunks_outlive_a_crash(open: Open) {
    let mut fixture = Fixture::new(open);
    kept(&fixture, chunk("alice", "m", 1, 0));
    accept(&fixture, "d", 0);
    assert!(fixture.store().keep_prepared(&id("d"), BodySource::Inline(vec![1; 100_000]), at(1), u64::MAX).unwrap());
    // Written and never mentioned.
    let orphan = fixture.dir.path().join("data/bodies/ff/00000001000000ff");
    std::fs::write(&orphan, "a chunk whose sender was told nothing").unwrap();
    fixture.reopen();
    assert!(!orphan.exists());
    assert_eq!(files(&fixture), 2);
    assert!(fixture.store().chunk(&key("alice", "m"), 1).unwrap().is_some());
    assert!(fixture.store().prepared(&id("d"), at(1)).unwrap().is_some());
}
