//! Leaving hosts alone that fail.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Failures in a row after which a host is left alone.
const FAILURES: u32 = 3;
/// For how long, at first and at most; it doubles with every further failure.
const REST: Duration = Duration::from_secs(30);
const LONGEST_REST: Duration = Duration::from_secs(300);
/// Hosts that are remembered at most.
const CAPACITY: usize = 1024;

/// Which hosts failed lately. One that is left alone gets a single call when its rest is over; only if that succeeds are others let
/// through.
#[derive(Debug, Default)]
pub(super) struct Breaker(HashMap<String, Failing>);

#[derive(Debug)]
struct Failing {
    failures: u32,
    until: Instant,
}

impl Breaker {
    /// Whether the host may be called now.
    pub(super) fn admit(&mut self, host: &str, now: Instant) -> bool {
        let Some(failing) = self.0.get_mut(host).filter(|failing| failing.failures >= FAILURES) else { return true };
        if now < failing.until {
            return false;
        }
        // Whoever comes while this call is under way waits for its outcome.
        failing.until = now + REST;
        true
    }

    pub(super) fn succeeded(&mut self, host: &str) {
        self.0.remove(host);
    }

    pub(super) fn failed(&mut self, host: &str, now: Instant) {
        if self.0.len() >= CAPACITY && !self.0.contains_key(host) {
            self.0.retain(|_, failing| now < failing.until);
        }
        if self.0.len() >= CAPACITY {
            return;
        }
        let failing = self.0.entry(host.to_owned()).or_insert(Failing { failures: 0, until: now });
        failing.failures = failing.failures.saturating_add(1);
        let doublings = failing.failures.saturating_sub(FAILURES).min(8);
        failing.until = now + (REST * 2u32.pow(doublings)).min(LONGEST_REST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(times: u32, now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        (0..times).for_each(|_| breaker.failed("a", now));
        breaker
    }

    #[test]
    fn some_failures_are_forgiven() {
        let now = Instant::now();
        let mut breaker = failed(FAILURES - 1, now);
        assert!(breaker.admit("a", now));
        breaker.succeeded("a");
        breaker.failed("a", now);
        assert!(breaker.admit("a", now));
    }

    #[test]
    fn a_host_that_goes_on_failing_is_left_alone() {
        let now = Instant::now();
        let mut breaker = failed(FAILURES, now);
        assert!(!breaker.admit("a", now) && breaker.admit("b", now));
        assert!(breaker.admit("a", now + REST), "one call to see");
        assert!(!breaker.admit("a", now + REST), "only one");
        breaker.failed("a", now + REST);
        assert!(!breaker.admit("a", now + REST * 2), "longer than before");
        assert!(breaker.admit("a", now + REST * 3));
        breaker.succeeded("a");
        assert!(breaker.admit("a", now + REST * 3));
        assert!(failed(1000, now).admit("a", now + LONGEST_REST));
    }

    #[test]
    fn a_bounded_number_of_hosts_is_remembered() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for number in 0..2 * CAPACITY {
            breaker.failed(&number.to_string(), now);
        }
        assert_eq!(breaker.0.len(), CAPACITY);
        breaker.failed("late", now + LONGEST_REST);
        assert_eq!(breaker.0.len(), 1);
    }
}
