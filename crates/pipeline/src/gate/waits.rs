//! How long is waited for turns.

use std::time::Duration;

/// A histogram of waiting times.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Waits {
    /// How many waits fell below each bound of [`BOUNDS`](Self::BOUNDS) and not below the one before; the last ones below none.
    pub counts: [u64; Self::BOUNDS.len() + 1],
    /// All waits together.
    pub total: Duration,
}

impl Waits {
    /// Upper bounds, in microseconds.
    pub const BOUNDS: [u32; 10] = [100, 250, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 250_000, 1_000_000];

    pub(super) fn add(&mut self, wait: Duration) {
        let slot = Self::BOUNDS.iter().position(|bound| wait <= Duration::from_micros(u64::from(*bound)));
        self.counts[slot.unwrap_or(Self::BOUNDS.len())] += 1;
        self.total += wait;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_counted_by_length() {
        let mut waits = Waits::default();
        for micros in [0, 100, 101, 3_000, 2_000_000] {
            waits.add(Duration::from_micros(micros));
        }
        assert_eq!(waits.counts, [2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!(waits.total, Duration::from_micros(2_003_201));
    }
}
