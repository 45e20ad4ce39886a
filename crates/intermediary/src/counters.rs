//! How often the private keys were used, for metrics: the figure that bounds everything else.

use std::sync::atomic::{AtomicU64, Ordering};

/// Figures of an intermediary since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Session keys unwrapped.
    pub decryptions: u64,
    /// Answers signed.
    pub signatures: u64,
    /// Explicit dialogs open now.
    pub open_dialogs: u64,
    /// Explicit dialogs that are kept at most, those that were closed lately included.
    pub max_dialogs: u64,
    /// Orders that wait for passive recipients now.
    pub forwarding: u64,
    /// Orders that may wait for passive recipients at a time.
    pub max_forwarding: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    decryptions: AtomicU64,
    signatures: AtomicU64,
}

impl Counters {
    pub(crate) fn decrypted(&self) {
        self.decryptions.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn signed(&self) {
        self.signatures.fetch_add(1, Ordering::Relaxed);
    }

    /// The figures that are counted here; the others are zero.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            decryptions: self.decryptions.load(Ordering::Relaxed),
            signatures: self.signatures.load(Ordering::Relaxed),
            ..Counts::default()
        }
    }
}
