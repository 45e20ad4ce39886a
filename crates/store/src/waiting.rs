//! How threads wait until their changes are durable, for callers whose threads take turns.

use std::sync::Arc;

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

/// Wakes when it is dropped, so that nobody waits for what was given up.
pub(crate) struct WakeOnDrop(pub(crate) Option<Arc<dyn Wait>>);

impl Drop for WakeOnDrop {
    fn drop(&mut self) {
        if let Some(wait) = &self.0 {
            wait.wake();
        }
    }
}
