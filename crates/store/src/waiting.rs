//! How threads wait until their changes are durable, for callers whose threads take turns.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Lets others work while a thread waits for the disk. Without one, threads simply block.
pub trait Waiting: Send + Sync {
    /// A wait of this thread begins soon.
    fn begin(&self) -> Arc<dyn Wait>;
}

/// The wait of one thread.
pub trait Wait: Send + Sync {
    /// Blocks until [`wake`](Self::wake) was called, perhaps before, and the thread may go on. Called exactly once, by the thread
    /// that began.
    fn sleep(&self);

    /// Ends the wait. Called exactly once, by any thread.
    fn wake(&self);
}

/// Tells a thread that something is over, whether it waits for that already or does something else yet.
#[derive(Default)]
pub(crate) struct Alarm(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Busy,
    Asleep(Arc<dyn Wait>),
    Over,
}

impl Alarm {
    /// Sleeps until it is over.
    pub(crate) fn sleep(&self, waiting: &dyn Waiting) {
        let mut state = self.lock();
        if matches!(*state, State::Over) {
            return;
        }
        let wait = waiting.begin();
        *state = State::Asleep(Arc::clone(&wait));
        drop(state);
        wait.sleep();
    }

    #[cfg(test)]
    pub(crate) fn is_over(&self) -> bool {
        matches!(*self.lock(), State::Over)
    }

    fn ring(&self) {
        let before = mem::replace(&mut *self.lock(), State::Over);
        if let State::Asleep(wait) = before {
            wait.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rings when it is dropped, so that nobody waits for what was given up.
pub(crate) struct RingOnDrop(pub(crate) Arc<Alarm>);

impl Drop for RingOnDrop {
    fn drop(&mut self) {
        self.0.ring();
    }
}
