//! Correlation ids: one per request, found in the answer's header, in log lines and in error texts.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// Names one request. Sixteen lower-case hexadecimal digits; means nothing and reveals nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CorrelationId(u64);

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Where correlation ids come from. Never gives the same id twice; different sources differ in their seed.
#[derive(Debug)]
pub struct CorrelationIds {
    seed: u64,
    given: AtomicU64,
}

impl CorrelationIds {
    /// A source with a seed of the operating system.
    pub fn random() -> Self {
        Self::seeded(RandomState::new().hash_one("correlation"))
    }

    /// A source that always gives the same ids, for tests and simulations.
    pub fn seeded(seed: u64) -> Self {
        Self { seed, given: AtomicU64::new(0) }
    }

    /// A fresh id.
    pub fn next(&self) -> CorrelationId {
        let count = self.given.fetch_add(1, Ordering::Relaxed);
        // SplitMix64 is a bijection: two counts never meet, yet neighbours do not look alike.
        let mut x = self.seed.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        CorrelationId(x ^ (x >> 31))
    }
}

impl Default for CorrelationIds {
    fn default() -> Self {
        Self::random()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_do_not_repeat_and_have_a_fixed_form() {
        let ids = CorrelationIds::random();
        let seen: HashSet<String> = (0..10_000).map(|_| ids.next().to_string()).collect();
        assert_eq!(seen.len(), 10_000);
        assert!(seen.iter().all(|id| id.len() == 16));
    }

    #[test]
    fn seed_decides() {
        let (one, same, other) = (CorrelationIds::seeded(1), CorrelationIds::seeded(1), CorrelationIds::seeded(2));
        let first = one.next();
        assert_eq!(first, same.next());
        assert_ne!(first, other.next());
        assert_ne!(first, one.next());
    }
}
