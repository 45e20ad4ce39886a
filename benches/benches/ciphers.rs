//! Streaming digests beside SHA-256 in one go, and streaming AES-256-GCM beside SHA-256 of the same bytes: everything that is decrypted is hashed as well, so a cipher that
//! takes less time than the hash is not what keeps anybody waiting.

use std::io::{self, Write as _};

use criterion::{Criterion, criterion_group, criterion_main};
use rohrpost_benches::{Clock, Figure, Goal, Task, measure};
use rohrpost_crypto::cipher::{IvLength, Sealer, open};
use rohrpost_crypto::{BlockCipher, DigestAlgorithm, SessionKey, SystemRandom, sha256};

const CIPHER: BlockCipher = BlockCipher::Aes256Gcm;

fn seal<W: io::Write>(iv: IvLength, key: &SessionKey, bytes: &[u8], sink: W) -> W {
    let mut sealer = Sealer::new(CIPHER, iv, key, &SystemRandom, sink).expect("the key has the right length");
    sealer.write_all(bytes).and_then(|()| sealer.finish()).expect("the sink takes everything")
}

fn digests(criterion: &mut Criterion) {
    let bytes = vec![0x5a; 16 << 20];
    for (name, algorithm, goal) in [
        ("SHA-256", DigestAlgorithm::Sha256, Goal::AtMost(1.1)),
        ("SHA3-256", DigestAlgorithm::Sha3_256, Goal::Shown),
        ("SHA-512", DigestAlgorithm::Sha512, Goal::Shown),
    ] {
        let streaming = || {
            let mut hasher = algorithm.hasher();
            bytes.chunks(64 * 1024).for_each(|piece| hasher.update(piece));
            hasher.finish()
        };
        let figure = format!("{name} in pieces/sha256 at once, 16MB");
        let (work, limit) = (Task::each(Clock::Thread, streaming), Task::each(Clock::Thread, || sha256(&bytes)));
        measure(criterion, &format!("digest/{name}"), work, vec![limit], &[Figure::cost(&figure, goal)]);
    }
}

fn gcm(criterion: &mut Criterion) {
    let key = SessionKey::random(CIPHER.key_len(), &SystemRandom);
    for (size, length, bar) in [("10KB", 10_000, 1.5), ("16MB", 16 << 20, 1.0)] {
        let bytes = vec![0x5a; length];
        let hashing = || vec![Task::each(Clock::Thread, || sha256(&bytes))];
        for (iv_name, iv) in [("12", IvLength::Twelve), ("16", IvLength::Sixteen)] {
            let sealed = seal(iv, &key, &bytes, Vec::new());
            let name = format!("GCM seal/sha256, IV {iv_name}, {size}");
            let work = Task::each(Clock::Thread, || seal(iv, &key, &bytes, io::sink()));
            let figures = [Figure::cost(&name, Goal::AtMost(bar))];
            measure(criterion, &format!("gcm/seal-{iv_name}/{size}"), work, hashing(), &figures);

            let name = format!("GCM open/sha256, IV {iv_name}, {size}");
            let work = Task::each(Clock::Thread, || open(CIPHER, iv, &key, &sealed[..], io::sink()).is_ok());
            let figures = [Figure::cost(&name, Goal::AtMost(bar))];
            measure(criterion, &format!("gcm/open-{iv_name}/{size}"), work, hashing(), &figures);
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = digests, gcm
}
criterion_main!(benches);
