//! The threads of a gate: as many as are needed, for as long as there is something to do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::{Gate, HELD, State};

/// Work for a thread of the gate.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// How long a thread waits for work before it ends.
const REST: Duration = Duration::from_secs(10);

/// A thread of the gate.
pub(super) struct Worker {
    thread: Thread,
    /// Set, with the gate's state locked, when it is taken from those that are idle.
    job: Mutex<Option<Job>>,
}

impl Worker {
    fn new() -> Arc<Self> {
        Arc::new(Self { thread: thread::current(), job: Mutex::new(None) })
    }

    fn take(&self) -> Option<Job> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Gate {
    /// Gives work that has a turn to a thread.
    pub(super) fn employ(self: &Arc<Self>, mut state: MutexGuard<'_, State>, job: Job) {
        if let Some(worker) = state.idle.pop() {
            *worker.job.lock().unwrap_or_else(PoisonError::into_inner) = Some(job);
            drop(state);
            worker.thread.unpark();
            return;
        }
        drop(state);
        let gate = Arc::clone(self);
        if thread::Builder::new().name("order".to_owned()).spawn(move || gate.work(job)).is_err() {
            // Whoever waits for the job notices that it was dropped.
            self.give_back();
        }
    }

    fn work(self: Arc<Self>, first: Job) {
        let worker = Worker::new();
        let mut next = Some(first);
        while let Some(job) = next {
            HELD.set(Some(Arc::clone(&self)));
            // Who panicked has told so, and its turn is given on.
            let _ = catch_unwind(AssertUnwindSafe(job));
            let has_turn = HELD.take().is_some();
            next = has_turn.then(|| self.go_on()).flatten().or_else(|| self.rest(&worker));
        }
    }

    /// Waits for work that has a turn; not for ever.
    fn rest(&self, worker: &Arc<Worker>) -> Option<Job> {
        self.lock().idle.push(Arc::clone(worker));
        let end = Instant::now() + REST;
        loop {
            thread::park_timeout(end.saturating_duration_since(Instant::now()));
            if let Some(job) = worker.take() {
                return Some(job);
            }
            let mut state = self.lock();
            if Instant::now() >= end
                && let Some(at) = state.idle.iter().position(|idle| Arc::ptr_eq(idle, worker))
            {
                state.idle.remove(at);
                return None;
            }
        }
    }
}
