//! Remembering answers and lists, and asking for each only once at a time.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;

use super::SKEW;

/// Values that count for a while, of a bounded total size.
#[derive(Debug)]
pub(super) struct Memory<K, V> {
    kept: HashMap<K, Kept<V>>,
    size: usize,
    max_size: usize,
}

#[derive(Debug)]
struct Kept<V> {
    value: V,
    size: usize,
    from: OffsetDateTime,
    until: OffsetDateTime,
}

impl<K: Clone + Eq + Hash, V: Clone> Memory<K, V> {
    pub(super) fn new(max_size: usize) -> Self {
        Self { kept: HashMap::new(), size: 0, max_size }
    }

    /// What is remembered, if it counts at this time.
    pub(super) fn recall(&self, key: &K, at: OffsetDateTime) -> Option<V> {
        let kept = self.kept.get(key)?;
        (at + SKEW >= kept.from && at < kept.until).then(|| kept.value.clone())
    }

    /// Remembers a value from one time until another. What would go first on its own makes room.
    pub(super) fn keep(&mut self, key: K, value: V, size: usize, from: OffsetDateTime, until: OffsetDateTime) {
        self.forget(&key);
        if size > self.max_size {
            return;
        }
        while self.size + size > self.max_size {
            let Some(first) = self.kept.iter().min_by_key(|(_, kept)| kept.until).map(|(key, _)| key.clone()) else {
                break;
            };
            self.forget(&first);
        }
        self.size += size;
        self.kept.insert(key, Kept { value, size, from, until });
    }

    fn forget(&mut self, key: &K) {
        if let Some(gone) = self.kept.remove(key) {
            self.size -= gone.size;
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }
}

/// Who is asking for what at the moment.
#[derive(Debug)]
pub(super) struct Flights<K> {
    under_way: Mutex<HashSet<K>>,
    landed: Condvar,
}

impl<K: Clone + Eq + Hash> Flights<K> {
    pub(super) fn new() -> Self {
        Self { under_way: Mutex::default(), landed: Condvar::new() }
    }

    /// Waits until nobody else asks for the same. Whoever gets through looks into the memory first.
    pub(super) fn board(&self, key: K) -> Flight<'_, K> {
        let under_way = lock(&self.under_way);
        let wait = self.landed.wait_while(under_way, |under_way| under_way.contains(&key));
        wait.unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        Flight { flights: self, key }
    }
}

/// One that asks; the next may when this is dropped.
pub(super) struct Flight<'a, K: Clone + Eq + Hash> {
    flights: &'a Flights<K>,
    key: K,
}

impl<K: Clone + Eq + Hash> Drop for Flight<'_, K> {
    fn drop(&mut self) {
        lock(&self.flights.under_way).remove(&self.key);
        self.flights.landed.notify_all();
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Changed by single calls only, so whole even after a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use time::Duration;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-06-01 12:00 UTC);

    #[test]
    fn values_count_for_their_time() {
        let mut memory = Memory::new(10);
        memory.keep("a", 1, 1, NOW, NOW + Duration::HOUR);
        assert_eq!(memory.recall(&"a", NOW), Some(1));
        assert_eq!(memory.recall(&"a", NOW + Duration::HOUR), None);
        assert_eq!(memory.recall(&"a", NOW - Duration::HOUR), None);
        assert_eq!(memory.recall(&"b", NOW), None);
    }

    #[test]
    fn what_goes_first_makes_room() {
        let mut memory = Memory::new(10);
        memory.keep("late", 1, 4, NOW, NOW + Duration::DAY);
        memory.keep("soon", 2, 4, NOW, NOW + Duration::HOUR);
        memory.keep("new", 3, 4, NOW, NOW + Duration::WEEK);
        assert_eq!(memory.recall(&"soon", NOW), None);
        assert_eq!((memory.recall(&"late", NOW), memory.recall(&"new", NOW)), (Some(1), Some(3)));
        memory.keep("new", 4, 2, NOW, NOW + Duration::WEEK);
        assert_eq!(memory.size, 6);
        memory.keep("huge", 5, 11, NOW, NOW + Duration::WEEK);
        assert_eq!((memory.recall(&"huge", NOW), memory.len()), (None, 2));
    }

    #[test]
    fn one_asks_at_a_time() {
        let (flights, at_once) = (Flights::new(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _flight = flights.board("same");
                    assert_eq!(at_once.fetch_add(1, Ordering::SeqCst), 0);
                    std::thread::yield_now();
                    at_once.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        drop((flights.board("one"), flights.board("other")));
        assert!(lock(&flights.under_way).is_empty());
    }
}
