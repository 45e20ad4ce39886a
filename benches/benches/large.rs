//! A delivery with an attachment of 256 MB: does memory stay flat, and what does a byte cost. Not criterion's kind of
//! measurement: once is enough, and the peak of a process's memory never falls again.

use std::io;
use std::sync::Arc;

use rohrpost_benches::{Bits, Clock, Goal, Messages, Pattern, World, is_trial, peak_memory, report, scratch};
use rohrpost_crypto::cipher::{IvLength, Sealer, open};
use rohrpost_crypto::{BlockCipher, DigestAlgorithm, SessionKey, SystemRandom};
use rohrpost_osci::source::reader;
use rohrpost_pipeline::spool::SpoolDir;

const MEGABYTE: u64 = 1 << 20;

/// CPU seconds of handling a delivery with an attachment of so many bytes.
fn store(world: &World, attachment: u64) -> f64 {
    let client = Messages::new(Bits::Rsa2048, world.spools.clone()).with_attachment(Arc::new(Pattern(attachment)));
    let request = client.store_delivery(world.message_id());
    Clock::Process.time(|| drop(world.handle(request))).as_secs_f64()
}

/// CPU seconds of decrypting and hashing so many bytes once each: no message of this size can be had for less.
fn limit(spools: &SpoolDir, length: u64) -> f64 {
    let cipher = BlockCipher::Aes256Gcm;
    let key = SessionKey::random(cipher.key_len(), &SystemRandom);
    let failed = "the spool works";
    let mut sealer = Sealer::new(cipher, IvLength::Twelve, &key, &SystemRandom, spools.writer()).expect(failed);
    io::copy(&mut reader(Pattern(length), 0..length), &mut sealer).expect(failed);
    let sealed = sealer.finish().and_then(|writer| writer.finish()).expect(failed);
    let once = Clock::Thread.time(|| {
        let mut hasher = DigestAlgorithm::Sha256.hasher();
        open(cipher, IvLength::Twelve, &key, sealed.reader(0..sealed.len()), &mut hasher).expect("the key fits");
        let _ = hasher.finish();
    });
    once.as_secs_f64()
}

fn main() {
    let large = if is_trial() { 2 * MEGABYTE } else { 256 * MEGABYTE };
    let folder = scratch();
    let world = World::new(folder.path(), Bits::Rsa2048);
    store(&world, MEGABYTE);
    let small = peak_memory();
    let before = limit(&world.spools, large);
    let seconds = store(&world, large);
    let growth = peak_memory() - small;
    let after = limit(&world.spools, large);
    if is_trial() {
        return;
    }
    let name = format!("megabytes of memory that {} MB take more than 1 MB", large / MEGABYTE);
    report(&name, Goal::AtMost(16.0), vec![growth as f64 / MEGABYTE as f64]);
    report("CPU of a large delivery/(decrypting + sha256)", Goal::AtMost(4.0), vec![2.0 * seconds / (before + after)]);
}
