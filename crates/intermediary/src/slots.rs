//! A bound on how many wait for something at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many wait.
#[derive(Debug, Default)]
pub(crate) struct Slots(AtomicUsize);

/// One of those who may wait, as long as this lives.
pub(crate) struct Slot<'a>(&'a Slots);

impl Slots {
    /// A place among `at_once`, if there is one.
    pub(crate) fn take(&self, at_once: usize) -> Option<Slot<'_>> {
        let taken = self.0.fetch_add(1, Ordering::AcqRel);
        let slot = Slot(self);
        (taken < at_once).then_some(slot)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}
