//! How many changes share a transaction.

use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use super::Job;

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

    /// Takes the changes that wait, and perhaps those that come soon.
    pub(super) fn gather(&mut self, jobs: &mut Vec<Box<dyn Job>>, waiting: &Receiver<Box<dyn Job>>) {
        take_all(jobs, waiting);
        if self.linger.is_zero() || jobs.len() >= GOOD_BATCH {
            return;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return;
        }
        let before = jobs.len();
        let mut in_vain = 0;
        for _ in 0..MAX_MOMENTS {
            let length = jobs.len();
            thread::sleep(self.linger / MOMENTS);
            take_all(jobs, waiting);
            in_vain = if jobs.len() == length { in_vain + 1 } else { 0 };
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
    }
}

fn take_all(jobs: &mut Vec<Box<dyn Job>>, waiting: &Receiver<Box<dyn Job>>) {
    jobs.extend(waiting.try_iter().take(MAX_BATCH - jobs.len().min(MAX_BATCH)));
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn lingering_where_it_gains_nothing_becomes_rare() {
        let (_queue, waiting) = sync_channel(1);
        let mut patience = Patience::new(Duration::from_nanos(1));
        let mut lingered = 0;
        for _ in 0..400 {
            lingered += u32::from(patience.pause == 0);
            patience.gather(&mut Vec::new(), &waiting);
        }
        assert!((8..16).contains(&lingered), "{lingered}");
    }
}
