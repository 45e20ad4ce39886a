//! Requests with the same message id wait for each other: a retry must not overtake what it repeats.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rohrpost_osci::ids::MessageId;

#[derive(Default)]
pub(crate) struct Turns {
    taken: Mutex<HashSet<MessageId>>,
    freed: Condvar,
}

/// Ends the turn when dropped.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    id: MessageId,
}

impl Turns {
    /// Waits until nobody else has the turn for this id.
    pub(crate) fn take(&self, id: &MessageId) -> Turn<'_> {
        let mut taken = self.lock();
        while taken.contains(id) {
            taken = self.freed.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        taken.insert(id.clone());
        Turn { turns: self, id: id.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<MessageId>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.lock().remove(&self.id);
        self.turns.freed.notify_all();
    }
}
