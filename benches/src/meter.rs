//! Time spent with private keys, measured from inside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rohrpost_crypto::{
    DecryptionFailed, Decryptor, KeyTransport, PublicKey, SessionKey, SignatureAlgorithm, Signer, SigningFailed,
};

use crate::{Clock, Task};

/// Adds up the time and the number of operations with the private keys it was put around.
///
/// Private-key operations dwarf everything else, so subtracting a separately measured one would drown the rest in noise.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Sums>);

#[derive(Debug, Default)]
struct Sums {
    nanoseconds: AtomicU64,
    operations: AtomicU64,
}

impl Meter {
    /// Operations so far.
    pub fn operations(&self) -> u64 {
        self.0.operations.load(Ordering::Relaxed)
    }

    /// As a limit: the time spent since the limit was asked for last.
    pub fn task(&self) -> Task<'static> {
        let meter = self.clone();
        Task::timed(move |_| Duration::from_nanos(meter.0.nanoseconds.swap(0, Ordering::Relaxed)))
    }

    /// `key`, metered.
    pub fn decryptor(&self, key: impl Decryptor + 'static) -> Arc<dyn Decryptor> {
        Arc::new(Metered { key, meter: self.clone() })
    }

    /// `key`, metered.
    pub fn signer(&self, key: impl Signer + 'static) -> Arc<dyn Signer> {
        Arc::new(Metered { key, meter: self.clone() })
    }

    fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = Clock::Thread.now();
        let result = work();
        let spent = (Clock::Thread.now() - start).as_nanos();
        self.0.nanoseconds.fetch_add(u64::try_from(spent).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.0.operations.fetch_add(1, Ordering::Relaxed);
        result
    }
}

struct Metered<K> {
    key: K,
    meter: Meter,
}

impl<K: Decryptor> Decryptor for Metered<K> {
    fn key_bits(&self) -> u32 {
        self.key.key_bits()
    }

    fn unwrap_key(
        &self,
        transport: KeyTransport,
        wrapped: &[u8],
        wanted_len: usize,
    ) -> Result<SessionKey, DecryptionFailed> {
        self.meter.time(|| self.key.unwrap_key(transport, wrapped, wanted_len))
    }
}

impl<K: Signer> Signer for Metered<K> {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }

    fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        self.meter.time(|| self.key.sign(message))
    }
}
