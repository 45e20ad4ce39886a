//! The explicit dialogs that are open at this node, kept in memory with a time to live.
//!
//! Losing them, by a restart or by age, costs a client a new InitDialog and never a message: deliveries handed out and
//! not acknowledged are simply handed out again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rohrpost_osci::dialog::IntermediaryDialog;
use rohrpost_osci::ids::ConversationId;
use rohrpost_pipeline::spool::Spool;
use time::{Duration, OffsetDateTime};

/// Answers up to this size are kept for clients that ask again because the answer got lost.
const KEPT_ANSWER_BYTES: u64 = 64 * 1024;

/// One open dialog: the protocol's state, and the last answer.
#[derive(Debug)]
pub(crate) struct OpenDialog {
    pub(crate) dialog: IntermediaryDialog,
    last_answer: Option<Spool>,
}

impl OpenDialog {
    /// The answer to the request before, if it was small enough to keep.
    pub(crate) fn last_answer(&self) -> Option<Spool> {
        self.last_answer.clone()
    }

    /// Remembers the answer just made.
    pub(crate) fn keep_answer(&mut self, answer: &Spool) {
        self.last_answer = (answer.len() <= KEPT_ANSWER_BYTES).then(|| answer.clone());
    }
}

/// A dialog that is being worked in. Requests of one dialog wait for each other.
pub(crate) type SharedDialog = Arc<Mutex<OpenDialog>>;

/// All open dialogs.
#[derive(Debug)]
pub(crate) struct DialogRegistry {
    dialogs: Mutex<HashMap<ConversationId, Entry>>,
    time_to_live: Duration,
    capacity: usize,
}

#[derive(Debug)]
struct Entry {
    dialog: SharedDialog,
    last_used: OffsetDateTime,
}

impl DialogRegistry {
    pub(crate) fn new(time_to_live: Duration, capacity: usize) -> Self {
        Self { dialogs: Mutex::new(HashMap::new()), time_to_live, capacity }
    }

    /// The dialog with this id, unless it rested too long.
    pub(crate) fn find(&self, id: &ConversationId, now: OffsetDateTime) -> Option<SharedDialog> {
        let mut dialogs = self.lock();
        let entry = dialogs.get_mut(id)?;
        if now - entry.last_used > self.time_to_live {
            dialogs.remove(id);
            return None;
        }
        entry.last_used = now;
        Some(Arc::clone(&entry.dialog))
    }

    /// Adds a dialog; at the capacity the one that rested longest has to go, after those that are over age.
    pub(crate) fn insert(&self, dialog: IntermediaryDialog, answer: &Spool, now: OffsetDateTime) {
        let id = dialog.id().clone();
        let mut open = OpenDialog { dialog, last_answer: None };
        open.keep_answer(answer);
        let mut dialogs = self.lock();
        if dialogs.len() >= self.capacity {
            dialogs.retain(|_, entry| now - entry.last_used <= self.time_to_live);
        }
        if dialogs.len() >= self.capacity {
            let oldest = dialogs.iter().min_by_key(|(_, entry)| entry.last_used).map(|(id, _)| id.clone());
            oldest.and_then(|id| dialogs.remove(&id));
        }
        dialogs.insert(id, Entry { dialog: Arc::new(Mutex::new(open)), last_used: now });
    }

    /// Forgets dialogs that rested too long; how many there are then.
    pub(crate) fn expire(&self, now: OffsetDateTime) -> usize {
        let mut dialogs = self.lock();
        dialogs.retain(|_, entry| now - entry.last_used <= self.time_to_live);
        dialogs.len()
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConversationId, Entry>> {
        // A thread that panicked here left at worst an entry too many or too few.
        self.dialogs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
