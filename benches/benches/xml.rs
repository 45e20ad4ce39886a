//! Canonicalising and strict reading, beside bare hashing and a bare scan of the same bytes.

use std::hint::black_box;
use std::io;

use criterion::{Criterion, criterion_group, criterion_main};
use rohrpost_benches::{Bits, Clock, Figure, Goal, Messages, Task, World, measure, scratch};
use rohrpost_crypto::{DigestAlgorithm, sha256};
use rohrpost_osci::envelope::{self, Envelope};
use rohrpost_xmlsec::Limits;
use rohrpost_xmlsec::base64;
use rohrpost_xmlsec::c14n::{Dialect, canonicalize_document};
use rohrpost_xmlsec::reader::{Event, StrictReader};

/// An envelope as it comes, and one text of 10 MB.
fn documents() -> [(&'static str, Vec<u8>); 2] {
    let folder = scratch();
    let world = World::new(folder.path(), Bits::Rsa2048);
    let envelope = Messages::new(Bits::Rsa2048, world.spools.clone()).envelope(world.message_id());
    let bytes: Vec<u8> = (0..7_500_000_u32).map(|at| (at ^ (at >> 8)) as u8).collect();
    let text =
        format!("<osci:Base64Content xmlns:osci=\"urn:x\" Id=\"a\">{}</osci:Base64Content>", base64::encode(bytes));
    [("envelope", envelope), ("text", text.into_bytes())]
}

fn canonical<W: io::Write>(document: &[u8], sink: W) -> W {
    let dialect = Dialect::EscapeGtInAttributes;
    canonicalize_document(document, dialect, &Limits::default(), sink).expect("the document is XML")
}

fn canonicalising(criterion: &mut Criterion) {
    for (name, document) in documents() {
        let hashing = || vec![Task::each(Clock::Thread, || sha256(&document))];
        let work = Task::each(Clock::Thread, || canonical(&document, DigestAlgorithm::Sha256.hasher()).finish());
        // In small documents it is the markup that takes the time.
        let goal = if name == "text" { Goal::AtLeast(0.75) } else { Goal::AtLeast(0.15) };
        let figure = format!("sha256/c14n+sha256 {name}");
        measure(criterion, &format!("c14n+sha256/{name}"), work, hashing(), &[Figure::share(&figure, goal)]);

        let work = Task::each(Clock::Thread, || canonical(&document, io::sink()));
        let figure = format!("c14n/sha256 {name}");
        measure(criterion, &format!("c14n/{name}"), work, hashing(), &[Figure::cost(&figure, Goal::Shown)]);
    }
}

fn read_through(document: &[u8]) -> usize {
    let mut reader = StrictReader::new(document, &Limits::default());
    let mut text = 0;
    loop {
        match reader.next().expect("the document is XML") {
            Event::Text(piece) => text += piece.len(),
            Event::Eof => return text,
            _ => {}
        }
    }
}

fn reading(criterion: &mut Criterion) {
    for (name, document) in documents() {
        let work = Task::each(Clock::Thread, || read_through(&document));
        let scan = Task::each(Clock::Thread, || memchr::memchr2_iter(b'<', b'&', &document).count());
        let hash = Task::each(Clock::Thread, || sha256(&document));
        let goal = if name == "text" { Goal::AtMost(0.5) } else { Goal::Shown };
        let (to_scan, to_hash) = (format!("strict reading/scan {name}"), format!("strict reading/sha256 {name}"));
        let figures =
            [Figure::cost(&to_scan, Goal::Shown), Figure::new(&to_hash, goal, |times| times.work / times.limits[1])];
        measure(criterion, &format!("strict/{name}"), work, vec![scan, hash], &figures);
    }
    let [(_, envelope), _] = documents();
    let limits = envelope::Limits::default();
    let work = Task::each(Clock::Thread, || black_box(Envelope::read(&envelope[..], &limits)).is_ok());
    let strict = Task::each(Clock::Thread, || read_through(&envelope));
    let hash = Task::each(Clock::Thread, || sha256(&envelope));
    let figures = [
        Figure::cost("Envelope::read/strict reading", Goal::AtMost(4.0)),
        Figure::new("Envelope::read/sha256", Goal::Shown, |times| times.work / times.limits[1]),
    ];
    measure(criterion, "envelope", work, vec![strict, hash], &figures);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = canonicalising, reading
}
criterion_main!(benches);
