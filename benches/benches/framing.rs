//! Finding the parts of a MIME message, and base64, beside bare reading and hashing of the same bytes.

use std::io::{self, Read as _, Write as _};

use criterion::{Criterion, criterion_group, criterion_main};
use rohrpost_benches::{Clock, Figure, Goal, Task, measure};
use rohrpost_crypto::sha256;
use rohrpost_osci::mime::{Boundary, Limits, Multipart, PartHead, Writer};
use rohrpost_xmlsec::base64::{self, DecodeReader, EncodeWriter};

const MEGABYTE: usize = 1 << 20;

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

/// Reads every word of the bytes and does next to nothing with it.
fn touch(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()));
    words.fold(0, u64::wrapping_add)
}

fn scanning(criterion: &mut Criterion) {
    let attachment = pattern(64 * MEGABYTE);
    let mut writer = Writer::new(Vec::new(), &Boundary::from_random([7; 24])).expect("memory is writable");
    writer.root().and_then(|root| root.write_all(b"<root/>")).expect("memory is writable");
    let head = PartHead::raw("attachment", "application/octet-stream");
    writer.attachment(&head, attachment.len() as u64, &mut &attachment[..]).expect("memory is writable");
    let message = writer.finish().expect("memory is writable");
    drop(attachment);

    let limits = Limits::default();
    let work = Task::each(Clock::Thread, || Multipart::scan(&message, &limits).expect("the message is MIME"));
    let read = Task::each(Clock::Thread, || touch(&message));
    let hash = Task::each(Clock::Thread, || sha256(&message));
    let figures = [
        Figure::cost("MIME scan/memory read, 64 MB", Goal::Shown),
        Figure::new("MIME scan/sha256, 64 MB", Goal::AtMost(0.3), |times| times.work / times.limits[1]),
    ];
    measure(criterion, "mime/64MB", work, vec![read, hash], &figures);
}

fn base64(criterion: &mut Criterion) {
    let bytes = pattern(4 * MEGABYTE);
    let limits = || vec![Task::each(Clock::Thread, || sha256(&bytes)), Task::each(Clock::Thread, || bytes.to_vec())];
    let to_copy = |name| Figure::new(name, Goal::Shown, |times| times.work / times.limits[1]);

    let encode = |bytes: &[u8]| {
        let mut writer = EncodeWriter::new(io::sink());
        writer.write_all(bytes).and_then(|()| writer.finish()).expect("a sink takes everything")
    };
    let work = Task::each(Clock::Thread, || encode(&bytes));
    let figures = [Figure::cost("base64 encode/sha256", Goal::AtMost(1.0)), to_copy("base64 encode/copy")];
    measure(criterion, "base64/encode", work, limits(), &figures);

    let mut buffer = vec![0; 64 * 1024];
    let mut decode = |text: &str| {
        let mut reader = DecodeReader::new(text.as_bytes());
        while reader.read(&mut buffer).expect("the text is base64") > 0 {}
    };
    let text = base64::encode(&bytes);
    let work = Task::each(Clock::Thread, || decode(&text));
    let figures =
        [Figure::cost("base64 decode, lines/sha256", Goal::AtMost(1.0)), to_copy("base64 decode, lines/copy")];
    measure(criterion, "base64/decode-lines", work, limits(), &figures);

    let text = base64::encode_unbroken(&bytes);
    let work = Task::each(Clock::Thread, || decode(&text));
    let figures =
        [Figure::cost("base64 decode, unbroken/sha256", Goal::AtMost(1.0)), to_copy("base64 decode, unbroken/copy")];
    measure(criterion, "base64/decode-unbroken", work, limits(), &figures);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = scanning, base64
}
criterion_main!(benches);
