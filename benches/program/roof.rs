//! The roofs: what no implementation can do without, measured beside the work on the same machine.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use rohrpost_benches::{Clock, Party};
use rohrpost_crypto::{Decryptor as _, KeyTransport, SessionKey, Signer as _, SystemRandom, wrap_key};

use crate::line::median;
use crate::machine::cores;

/// CPU seconds of one private-key operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rsa {
    pub(crate) decrypt: f64,
    pub(crate) sign: f64,
}

impl Rsa {
    /// One of each: what a request cannot do without.
    pub(crate) fn both(self) -> f64 {
        self.decrypt + self.sign
    }

    /// Half of each.
    pub(crate) fn one(self) -> f64 {
        self.both() / 2.0
    }

    /// The mean of two, unless they differ so much that something happened in between.
    pub(crate) fn between(before: Self, after: Self) -> Option<Self> {
        let (one, other) = (before.both(), after.both());
        let agree = (one - other).abs() <= 0.1 * one.min(other);
        let mean = |a: f64, b: f64| (a + b) / 2.0;
        agree.then(|| Self { decrypt: mean(before.decrypt, after.decrypt), sign: mean(before.sign, after.sign) })
    }
}

/// Private-key operations of a party on all cores at once, by the threads' own CPU clocks.
pub(crate) fn rsa(party: &Arc<Party>, time: Duration) -> Rsa {
    let threads: Vec<_> = (0..cores())
        .map(|_| {
            let party = Arc::clone(party);
            thread::spawn(move || rsa_alone(&party, time))
        })
        .collect();
    let count = threads.len() as f64;
    let sums = threads
        .into_iter()
        .map(|thread| thread.join().expect("RSA works"))
        .fold((0.0, 0.0), |sums, rsa| (sums.0 + rsa.decrypt, sums.1 + rsa.sign));
    Rsa { decrypt: sums.0 / count, sign: sums.1 / count }
}

/// The same on one core, the others at rest.
pub(crate) fn rsa_alone(party: &Party, time: Duration) -> Rsa {
    let key = party.cipher.public_key().expect("the party has an RSA key");
    let session_key = SessionKey::random(32, &SystemRandom);
    let wrapped = wrap_key(&key, KeyTransport::OAEP_SHA256, &session_key).expect("the key can be wrapped");
    let (decryptor, signer) = (party.decryptor(), party.signer());
    let decrypt = || drop(decryptor.unwrap_key(KeyTransport::OAEP_SHA256, &wrapped, 32).expect("the key fits"));
    let sign = || drop(signer.sign(b"a message").expect("the key signs"));
    let (mut decrypting, mut signing, mut count) = (Duration::ZERO, Duration::ZERO, 0);
    while count < 4 || decrypting + signing < time {
        decrypting += Clock::Thread.time(decrypt);
        signing += Clock::Thread.time(sign);
        count += 1;
    }
    Rsa { decrypt: decrypting.as_secs_f64() / f64::from(count), sign: signing.as_secs_f64() / f64::from(count) }
}

/// The median of appending 4 KB and waiting until they are on the disk, in seconds that pass.
pub(crate) fn flush(folder: &Path) -> Result<f64> {
    let mut file = File::create(folder.join("flush-roof"))?;
    let mut times = Vec::new();
    for _ in 0..100 {
        let began = Instant::now();
        file.write_all(&[0x5a; 4096])?;
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64());
    }
    Ok(median(&times).unwrap_or(0.0))
}
