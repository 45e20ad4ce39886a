//! The explicit dialogs that are open at this node, kept in memory with a time to live.
//!
//! Losing them, by a restart or by age, costs a client a new InitDialog and never a message: deliveries handed out and
//! not acknowledged are simply handed out again.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use rohrpost_osci::dialog::IntermediaryDialog;
use rohrpost_osci::ids::ConversationId;
use rohrpost_pipeline::gate::leave;
use rohrpost_pipeline::spool::Spool;
use rohrpost_planted::planted;
use time::{Duration, OffsetDateTime};

/// Bounds memory together with the number of dialogs. Answers up to this size are kept for clients that ask again because the answer got lost.
const KEPT_ANSWER_BYTES: u64 = 32 * 1024;

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

    /// A new request begins: what was answered before must never answer it, even if it ends without an answer of its own.
    pub(crate) fn forget_answer(&mut self) {
        if !planted("old-answer-not-forgotten") {
            self.last_answer = None;
        }
    }

    /// Remembers the answer just made.
    pub(crate) fn keep_answer(&mut self, answer: &Spool) {
        self.last_answer = (answer.len() <= KEPT_ANSWER_BYTES).then(|| answer.clone());
    }
}

/// A dialog that is being worked in. Requests of one dialog wait for each other.
#[derive(Debug, Clone)]
pub(crate) struct SharedDialog(Arc<(Mutex<OpenDialog>, AtomicBool)>);

/// A dialog that nobody else can use meanwhile.
pub(crate) struct Held<'a> {
    open: MutexGuard<'a, OpenDialog>,
    far: &'a AtomicBool,
}

impl SharedDialog {
    fn new(dialog: OpenDialog) -> Self {
        Self(Arc::new((Mutex::new(dialog), AtomicBool::new(false))))
    }

    /// The dialog for ourselves; nothing if its order waits for somebody [far away](Held::go_far).
    pub(crate) fn hold(&self) -> Option<Held<'_>> {
        let (dialog, far) = &*self.0;
        let open = match dialog.try_lock() {
            Ok(open) => open,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) if far.load(Ordering::Acquire) => return None,
            // Whoever has it may be waiting for a turn, so nobody waits for it with one.
            Err(TryLockError::WouldBlock) => leave(|| dialog.lock().unwrap_or_else(PoisonError::into_inner)),
        };
        Some(Held { open, far })
    }
}

impl Held<'_> {
    /// From now on the order waits for a passive recipient, for minutes perhaps: further requests of the dialog are refused instead of
    /// waiting, or one client would hold up many orders.
    pub(crate) fn go_far(&self) {
        self.far.store(true, Ordering::Release);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.far.store(false, Ordering::Release);
    }
}

impl Deref for Held<'_> {
    type Target = OpenDialog;

    fn deref(&self) -> &OpenDialog {
        &self.open
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut OpenDialog {
        &mut self.open
    }
}

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
    /// Kept only because the client may ask again for the answer that closed it.
    closed: bool,
}

impl DialogRegistry {
    pub(crate) fn new(time_to_live: Duration, capacity: usize) -> Self {
        Self { dialogs: Mutex::new(HashMap::new()), time_to_live, capacity }
    }

    /// The dialog with this id, unless it rested too long.
    pub(crate) fn find(&self, id: &ConversationId, now: OffsetDateTime) -> Option<SharedDialog> {
        let mut dialogs = self.lock();
        let entry = dialogs.get_mut(id)?;
        if now - entry.last_used > self.time_to_live && !planted("dialog-never-expires") {
            dialogs.remove(id);
            return None;
        }
        entry.last_used = now;
        Some(entry.dialog.clone())
    }

    /// Adds a dialog. At the capacity those over age have to go, and if that is not enough the tenth that rested longest: many at
    /// once, so that a flood of InitDialog does not cost a search each.
    pub(crate) fn insert(&self, dialog: IntermediaryDialog, answer: Option<&Spool>, now: OffsetDateTime) {
        let id = dialog.id().clone();
        let mut open = OpenDialog { dialog, last_answer: None };
        if let Some(answer) = answer {
            open.keep_answer(answer);
        }
        let mut dialogs = self.lock();
        if dialogs.len() >= self.capacity {
            dialogs.retain(|_, entry| now - entry.last_used <= self.time_to_live);
        }
        if dialogs.len() >= self.capacity {
            evict(&mut dialogs, self.capacity / 10 + 1);
        }
        dialogs.insert(id, Entry { dialog: SharedDialog::new(open), last_used: now, closed: false });
    }

    /// Forgets dialogs that rested too long; how many there are then.
    pub(crate) fn expire(&self, now: OffsetDateTime) -> usize {
        let mut dialogs = self.lock();
        dialogs.retain(|_, entry| now - entry.last_used <= self.time_to_live);
        dialogs.len()
    }

    /// A dialog has ended.
    pub(crate) fn closed(&self, id: &ConversationId) {
        if let Some(entry) = self.lock().get_mut(id) {
            entry.closed = true;
        }
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.lock().values().filter(|entry| !entry.closed).count()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConversationId, Entry>> {
        // A thread that panicked here left at worst an entry too many or too few.
        self.dialogs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn evict(dialogs: &mut HashMap<ConversationId, Entry>, count: usize) {
    let mut by_age: Vec<_> = dialogs.iter().map(|(id, entry)| (entry.last_used, id.clone())).collect();
    by_age.sort();
    for (_, id) in by_age.into_iter().take(count) {
        dialogs.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use rohrpost_osci::dialog::{Client, ControlBlock, Fresh};
    use rohrpost_osci::ids::Challenge;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-24 12:00 UTC);

    fn dialog(number: u8) -> IntermediaryDialog {
        let request = ControlBlock { challenge: Some(Challenge::from_random([number; 15])), ..ControlBlock::default() };
        let client = Client { cipher_certificate: b"DER"[..].into(), signature_certificate: None };
        let fresh = Fresh {
            conversation_id: ConversationId::from_random([number; 16]),
            challenge: Challenge::from_random([number; 15]),
        };
        IntermediaryDialog::open(&request, client, true, fresh).unwrap().0
    }

    fn id(number: u8) -> ConversationId {
        ConversationId::from_random([number; 16])
    }

    fn registry() -> DialogRegistry {
        DialogRegistry::new(Duration::minutes(20), 10)
    }

    #[test]
    fn a_dialog_lives_as_long_as_it_is_used() {
        let registry = registry();
        registry.insert(dialog(1), Some(&Spool::from_bytes(vec![])), NOW);
        assert!(registry.find(&id(1), NOW + Duration::minutes(20)).is_some());
        assert!(registry.find(&id(1), NOW + Duration::minutes(40)).is_some());
        assert!(registry.find(&id(1), NOW + Duration::minutes(61)).is_none());
        assert!(registry.find(&id(2), NOW).is_none());
        assert_eq!(registry.len(), 0);
    }

    #[test]
    fn at_the_capacity_those_that_rested_longest_go() {
        let registry = registry();
        for number in 0..10 {
            registry.insert(dialog(number), None, NOW + Duration::seconds(i64::from(number)));
        }
        assert!(registry.find(&id(0), NOW + Duration::minutes(1)).is_some());
        registry.insert(dialog(10), Some(&Spool::from_bytes(vec![])), NOW + Duration::minutes(2));
        assert_eq!(registry.len(), 9);
        assert!(registry.find(&id(0), NOW + Duration::minutes(2)).is_some());
        assert!(registry.find(&id(1), NOW + Duration::minutes(2)).is_none());
        assert!(registry.find(&id(10), NOW + Duration::minutes(2)).is_some());
    }

    #[test]
    fn a_closed_dialog_is_kept_and_not_counted() {
        let registry = registry();
        registry.insert(dialog(1), None, NOW);
        registry.insert(dialog(2), None, NOW);
        registry.closed(&id(1));
        registry.closed(&id(3));
        assert_eq!(registry.len(), 1);
        assert!(registry.find(&id(1), NOW).is_some());
    }

    #[test]
    fn only_small_answers_are_kept() {
        let registry = registry();
        registry.insert(dialog(1), Some(&Spool::from_bytes(vec![0; 100])), NOW);
        let open = registry.find(&id(1), NOW).unwrap();
        assert_eq!(open.hold().unwrap().last_answer().map(|answer| answer.len()), Some(100));
        open.hold().unwrap().keep_answer(&Spool::from_bytes(vec![0; 64 * 1024]));
        assert!(open.hold().unwrap().last_answer().is_none());
    }

    #[test]
    fn expiry_counts_what_is_left() {
        let registry = registry();
        registry.insert(dialog(1), Some(&Spool::from_bytes(vec![])), NOW);
        registry.insert(dialog(2), Some(&Spool::from_bytes(vec![])), NOW + Duration::minutes(15));
        assert_eq!(registry.expire(NOW + Duration::minutes(30)), 1);
    }
}
