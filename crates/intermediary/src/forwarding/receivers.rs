//! What attempts to reach passive recipients have in common while the process lives: how many wait at a time, and which receivers
//! are down.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;

use super::Retries;

/// The receivers that somebody waits for, or that are down. By the name the courier knows them under.
#[derive(Default)]
pub(crate) struct Receivers(Mutex<State>);

#[derive(Default)]
struct State {
    /// Orders that wait.
    waiting: usize,
    of: HashMap<String, Receiver>,
}

#[derive(Default)]
struct Receiver {
    /// Orders that wait for it.
    waiting: usize,
    /// Whether a delivery is being tried again.
    retrying: bool,
    /// Attempts that found it down, one after the other.
    failures: u32,
    /// Until then nothing is tried again.
    closed_until: Option<OffsetDateTime>,
}

/// Somebody waits for a receiver, as long as this lives.
pub(crate) struct Visit<'a> {
    receivers: &'a Receivers,
    name: String,
    again: bool,
}

impl Receivers {
    /// Lets an order wait, if there are not too many: in all, or for this receiver, which may hold up half of them.
    pub(crate) fn visit(&self, name: &str, at_once: usize) -> Option<Visit<'_>> {
        let mut state = self.lock();
        let waiting = state.of.get(name).map_or(0, |receiver| receiver.waiting);
        if state.waiting >= at_once || waiting >= at_once.div_ceil(2) {
            return None;
        }
        state.waiting += 1;
        state.of.entry(name.to_owned()).or_default().waiting += 1;
        Some(Visit { receivers: self, name: name.to_owned(), again: false })
    }

    /// Lets a delivery be tried again: one at a time for each receiver.
    pub(crate) fn visit_again(&self, name: &str) -> Option<Visit<'_>> {
        let mut state = self.lock();
        let receiver = state.of.entry(name.to_owned()).or_default();
        if std::mem::replace(&mut receiver.retrying, true) {
            return None;
        }
        Some(Visit { receivers: self, name: name.to_owned(), again: true })
    }

    /// Orders that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// Until when nothing is tried again, if the receiver is down.
    pub(crate) fn closed_until(&self, name: &str) -> Option<OffsetDateTime> {
        self.lock().of.get(name)?.closed_until
    }

    /// It was down at `at`. Attempts that began before that was known count once.
    pub(crate) fn close(&self, name: &str, at: OffsetDateTime, retries: &Retries, chance: u32) {
        let mut state = self.lock();
        let receiver = state.of.entry(name.to_owned()).or_default();
        if receiver.closed_until.is_none_or(|until| until <= at) {
            receiver.failures = receiver.failures.saturating_add(1);
            receiver.closed_until = Some(at + retries.pause(receiver.failures, chance));
        }
    }

    /// It answered.
    pub(crate) fn open(&self, name: &str) {
        if let Some(receiver) = self.lock().of.get_mut(name) {
            (receiver.failures, receiver.closed_until) = (0, None);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let mut state = self.receivers.lock();
        let Some(receiver) = state.of.get_mut(&self.name) else { return };
        match self.again {
            true => receiver.retrying = false,
            false => receiver.waiting -= 1,
        }
        if receiver.waiting == 0 && !receiver.retrying && receiver.closed_until.is_none() {
            state.of.remove(&self.name);
        }
        if !self.again {
            state.waiting -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-06-01 0:00 UTC);

    #[test]
    fn one_receiver_holds_up_half_of_the_orders() {
        let receivers = Receivers::default();
        let mut visits: Vec<_> = (0..4).map(|_| receivers.visit("a", 8)).collect();
        assert!(visits.iter().all(Option::is_some));
        assert!(receivers.visit("a", 8).is_none());
        visits.extend((0..4).map(|number| receivers.visit(&format!("b{number}"), 8)));
        assert!(visits.iter().all(Option::is_some));
        assert!(receivers.visit("c", 8).is_none());
        assert_eq!(receivers.waiting(), 8);
        drop(visits);
        assert_eq!(receivers.waiting(), 0);
        assert!(receivers.lock().of.is_empty());
        assert!(receivers.visit("a", 1).is_some(), "one at least");
        assert!(receivers.visit("a", 0).is_none());
    }

    #[test]
    fn deliveries_are_tried_again_one_at_a_time_for_each_receiver() {
        let receivers = Receivers::default();
        let first = receivers.visit_again("a");
        assert!(first.is_some() && receivers.visit_again("a").is_none() && receivers.visit_again("b").is_some());
        drop(first);
        assert!(receivers.visit_again("a").is_some());
    }

    #[test]
    fn a_receiver_that_stays_down_rests_longer_and_longer() {
        let retries = Retries {
            first_pause: Duration::seconds(10),
            longest_pause: Duration::seconds(60),
            give_up_after: Duration::HOUR,
        };
        let (receivers, all) = (Receivers::default(), u32::MAX);
        receivers.close("a", NOW, &retries, all);
        receivers.close("a", NOW + Duration::seconds(5), &retries, all);
        assert_eq!(receivers.closed_until("a"), Some(NOW + Duration::seconds(10)));
        receivers.close("a", NOW + Duration::seconds(10), &retries, all);
        assert_eq!(receivers.closed_until("a"), Some(NOW + Duration::seconds(30)));
        receivers.open("a");
        assert_eq!((receivers.closed_until("a"), receivers.closed_until("b")), (None, None));
    }
}
