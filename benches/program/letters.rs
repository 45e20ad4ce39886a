//! Requests made before any clock starts: signed, encrypted, each with a message id of its own, in a file for the load generator.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rohrpost_benches::{Bits, Messages, Party};
use rohrpost_crypto::SystemRandom;
use rohrpost_intermediary::{MessageIdAuthority as _, TokenAuthority};
use rohrpost_osci::ids::MessageId;
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_pki::Certificate;
use time::{Duration, OffsetDateTime};

use crate::machine::cores;

/// Days that message ids are good for.
const LIFETIME: Duration = Duration::days(30);

/// Issues message ids in advance, as the server with the same secret would.
pub(crate) struct Ids {
    authority: TokenAuthority,
    begin: OffsetDateTime,
    issued: AtomicU64,
}

impl Ids {
    pub(crate) fn new(secret: [u8; 32], now: OffsetDateTime) -> Self {
        Self {
            authority: TokenAuthority::new(secret, LIFETIME),
            begin: now - Duration::days(1),
            issued: AtomicU64::new(0),
        }
    }

    /// The next one. They are a millisecond apart, so that they sort as those of a real day do.
    pub(crate) fn next(&self) -> MessageId {
        let age = self.issued.fetch_add(1, Ordering::Relaxed);
        self.authority.issue(&SystemRandom, self.begin + Duration::milliseconds(i64::try_from(age).unwrap_or(0)))
    }
}

/// A sender with an RSA-2048 key, and an intermediary with any.
pub(crate) fn sender(intermediary: &Certificate) -> Messages {
    // Larger than any message, so that messages are made in memory.
    let spools = SpoolDir::new(std::env::temp_dir()).with_memory_threshold(1 << 20);
    Messages::between(Party::client(Bits::Rsa2048), intermediary.clone(), spools)
}

/// Makes so many requests on all cores.
pub(crate) fn write(path: &Path, count: usize, make: impl Fn() -> Spool + Sync) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let (threads, make) = (cores(), &make);
    let parts: Vec<Vec<Spool>> = thread::scope(|scope| {
        let share = |at: usize| count * (at + 1) / threads - count * at / threads;
        let work = |at| scope.spawn(move || (0..share(at)).map(|_| make()).collect());
        let running: Vec<_> = (0..threads).map(work).collect();
        running.into_iter().map(|thread| thread.join().expect("requests can be made")).collect()
    });
    for spool in parts.iter().flatten() {
        let bytes = spool.in_memory().expect("requests are small");
        let length = u32::try_from(bytes.len()).expect("requests are small");
        file.write_all(&length.to_le_bytes())?;
        file.write_all(bytes)?;
    }
    file.flush()
}

/// Reads them again.
pub(crate) fn read(path: &Path) -> io::Result<Vec<Arc<[u8]>>> {
    let mut file = io::BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut all = Vec::new();
    loop {
        let mut length = [0; 4];
        match file.read_exact(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(all),
            other => other?,
        }
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        file.read_exact(&mut bytes)?;
        all.push(bytes.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("letters");
        let next = AtomicU64::new(0);
        write(&path, 5, || Spool::from_bytes(vec![7; next.fetch_add(1, Ordering::Relaxed) as usize])).unwrap();
        let mut lengths: Vec<usize> = read(&path).unwrap().iter().map(|letter| letter.len()).collect();
        lengths.sort_unstable();
        assert_eq!(lengths, [0, 1, 2, 3, 4]);
    }
}
