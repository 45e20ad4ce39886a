//! How fast turns are given back while others wait for them: what a new one has to expect.

use std::time::Duration;

use tokio::time::Instant;

/// One in so many of the newest measurements counts for the mean.
const MEMORY: u32 = 32;

/// The mean time between two turns, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When a turn was last given on while more waited.
    last: Option<Instant>,
    /// Since when there was always somebody waiting.
    since: Option<Instant>,
    between: Option<Duration>,
}

impl Pace {
    /// A turn was given on; whether more wait for one.
    pub(super) fn given(&mut self, now: Instant, more_wait: bool) {
        if let Some(last) = self.last {
            let measured = now - last;
            self.between = Some(self.between.map_or(measured, |mean| (mean * (MEMORY - 1) + measured) / MEMORY));
        }
        self.last = more_wait.then_some(now);
        self.since = if more_wait { self.since.or(self.last) } else { None };
    }

    /// Nobody waits any more: until somebody does, time says nothing about speed.
    pub(super) fn rest(&mut self) {
        self.last = None;
        self.since = None;
    }

    /// Whether somebody waited at every moment of the last `span`: then more is coming in than can be done.
    pub(super) fn is_behind_for(&self, span: Duration, now: Instant) -> bool {
        self.since.is_some_and(|since| now - since > span)
    }

    /// How long it takes until `ahead` others had their turn and one comes free.
    pub(super) fn expect(&self, ahead: usize) -> Option<Duration> {
        let turns = u32::try_from(ahead).unwrap_or(u32::MAX).saturating_add(1);
        self.between.map(|between| between.saturating_mul(turns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_in_which_somebody_waited_counts() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        let at = |ms| start + Duration::from_millis(ms);
        pace.given(at(0), true);
        assert_eq!(pace.expect(0), None, "one point is no distance");
        pace.given(at(10), true);
        pace.given(at(20), false);
        assert_eq!(pace.expect(9), Some(Duration::from_millis(100)));
        pace.given(at(900_000), true);
        assert_eq!(pace.expect(9), Some(Duration::from_millis(100)), "an idle hour is no slow order");
        pace.rest();
        pace.given(at(1_900_000), true);
        assert_eq!(pace.expect(0), Some(Duration::from_millis(10)));
    }

    #[test]
    fn a_burst_is_not_a_lasting_excess() {
        let (start, mut pace, span) = (Instant::now(), Pace::default(), Duration::from_secs(5));
        let at = |seconds| start + Duration::from_secs(seconds);
        for second in 0..6 {
            pace.given(at(second), true);
            assert!(!pace.is_behind_for(span, at(second)));
        }
        assert!(pace.is_behind_for(span, at(6)));
        pace.given(at(6), false);
        assert!(!pace.is_behind_for(span, at(60)));
        pace.given(at(7), true);
        pace.rest();
        assert!(!pace.is_behind_for(span, at(60)));
    }

    #[test]
    fn it_follows_the_present_speed() {
        let (mut now, mut pace) = (Instant::now(), Pace::default());
        pace.given(now, true);
        for ms in [vec![10; 50], vec![1000], vec![1; 300]].concat() {
            now += Duration::from_millis(ms);
            pace.given(now, true);
        }
        assert!(pace.expect(0).unwrap() < Duration::from_millis(2));
        assert!(pace.expect(usize::MAX).is_some());
    }
}
