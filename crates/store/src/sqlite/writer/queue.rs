//! Where changes wait for the thread that makes them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Job;

/// Changes waiting before further callers have to wait to queue.
pub(in super::super) const QUEUE: usize = 1_024;

/// A line of changes. Whoever takes from it says how many it waits for, so that it is not woken for every one.
pub(super) struct Queue {
    state: Mutex<State>,
    enough: Condvar,
    room: Condvar,
}

struct State {
    jobs: VecDeque<Box<dyn Job>>,
    /// So many the taker waits for.
    wanted: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new() -> Self {
        let state = State { jobs: VecDeque::new(), wanted: usize::MAX, closed: false };
        Self { state: Mutex::new(state), enough: Condvar::new(), room: Condvar::new() }
    }

    /// Queues a change; waits while the line is too long. Says whether it was taken: a closed line takes none.
    pub(super) fn push(&self, job: Box<dyn Job>) -> bool {
        let too_long = |state: &mut State| state.jobs.len() >= QUEUE && !state.closed;
        let waited = self.room.wait_while(self.lock(), too_long);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            // The job must not be dropped with the line locked: that wakes its caller.
            drop(state);
            return false;
        }
        state.jobs.push_back(job);
        let is_enough = state.jobs.len() >= state.wanted;
        drop(state);
        if is_enough {
            self.enough.notify_one();
        }
        true
    }

    /// Waits until so many changes are there, at most so long, or for ever.
    pub(super) fn wait(&self, wanted: usize, time: Option<Duration>) {
        let mut state = self.lock();
        state.wanted = wanted;
        let too_few = |state: &mut State| state.jobs.len() < wanted && !state.closed;
        let mut state = match time {
            None => self.enough.wait_while(state, too_few).unwrap_or_else(PoisonError::into_inner),
            Some(time) => {
                self.enough.wait_timeout_while(state, time, too_few).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.wanted = usize::MAX;
    }

    /// Takes the first ones, at most so many.
    pub(super) fn take(&self, most: usize) -> Vec<Box<dyn Job>> {
        let mut state = self.lock();
        let count = state.jobs.len().min(most);
        let was_full = state.jobs.len() >= QUEUE;
        let taken = state.jobs.drain(..count).collect();
        drop(state);
        if was_full {
            self.room.notify_all();
        }
        taken
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().jobs.is_empty()
    }

    /// Takes nothing any more. What is queued can still be taken.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.enough.notify_all();
        self.room.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
