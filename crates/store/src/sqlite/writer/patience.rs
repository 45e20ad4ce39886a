//! How many changes share a transaction.

use std::time::Duration;

use super::Job;
use super::queue::Queue;

/// Changes in one transaction at most.
const MAX_BATCH: usize = 256;
/// Changes that make a transaction worth its wait for the disk, so that lingering for more ends.
const GOOD_BATCH: usize = 16;
/// Moments that make up the time to linger: after each it is looked whether enough have come.
const MOMENTS: u32 = 4;
/// Moments for one transaction at most.
const MAX_MOMENTS: u32 = 4 * MOMENTS;
/// Transactions without lingering after lingering was in vain several times.
const MAX_PAUSE: u32 = 64;

/// Decides whether to wait a moment for further changes before the disk is asked. It pays when callers come in numbers and
/// costs a lone caller time, so it is tried again and again, and more and more seldom where it gains nothing.
pub(super) struct Patience {
    linger: Duration,
    pause: u32,
    next_pause: u32,
}

impl Patience {
    pub(super) fn new(linger: Duration) -> Self {
        Self { linger, pause: 0, next_pause: 1 }
    }

    /// Waits for changes and takes them, and perhaps those that come soon. None once the queue is closed and empty.
    pub(super) fn gather(&mut self, queue: &Queue) -> Vec<Box<dyn Job>> {
        queue.wait(1, None);
        let mut jobs = queue.take(MAX_BATCH);
        if self.linger.is_zero() || jobs.len() >= GOOD_BATCH {
            return jobs;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return jobs;
        }
        let before = jobs.len();
        let mut in_vain = 0;
        for _ in 0..MAX_MOMENTS {
            queue.wait(GOOD_BATCH - jobs.len(), Some(self.linger / MOMENTS));
            let more = queue.take(MAX_BATCH - jobs.len());
            in_vain = if more.is_empty() { in_vain + 1 } else { 0 };
            jobs.extend(more);
            if in_vain == MOMENTS || jobs.len() >= GOOD_BATCH {
                break;
            }
        }
        if jobs.len() > before {
            self.next_pause = 1;
        } else {
            self.pause = self.next_pause;
            self.next_pause = (self.next_pause * 2).min(MAX_PAUSE);
        }
        jobs
    }

    /// Whether lingering gained nothing last time.
    pub(super) fn is_in_vain(&self) -> bool {
        self.next_pause > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lingering_where_it_gains_nothing_becomes_rare() {
        let queue = Queue::new();
        queue.close();
        let mut patience = Patience::new(Duration::from_nanos(1));
        let mut lingered = 0;
        for _ in 0..400 {
            lingered += u32::from(patience.pause == 0);
            patience.gather(&queue);
        }
        assert!((8..16).contains(&lingered), "{lingered}");
    }
}
