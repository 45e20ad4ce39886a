//! Several requests at once, and still always in the same order: only one thread runs at a time, from one change to the next.

use std::cell::Cell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rohrpost_store::disk::Pace;

/// Lets the changes of requests that are handled together share a transaction. Without such, every caller commits for itself.
#[derive(Default)]
pub(super) struct Turns {
    seats: Mutex<Vec<Seat>>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seat {
    /// Waits to begin.
    Ready,
    Running,
    /// Has queued a change.
    Queued,
    /// Shall commit what is queued, and go on.
    Committing,
    Done,
}

thread_local! {
    static MINE: Cell<Option<usize>> = const { Cell::new(None) };
}

impl Pace for Turns {
    fn queued(&self, commit: &dyn Fn()) {
        let Some(seat) = MINE.get() else { return commit() };
        let mut seats = self.lock();
        seats[seat] = Seat::Queued;
        self.changed.notify_all();
        let seats = self.changed.wait_while(seats, |seats| seats[seat] == Seat::Queued);
        let commits = seats.unwrap_or_else(PoisonError::into_inner)[seat] == Seat::Committing;
        if commits {
            commit();
        }
    }
}

impl Turns {
    /// Does all of the work; what is queued is committed when everybody has queued something or is done.
    pub(super) fn together<T: Send>(self: &Arc<Self>, work: Vec<Box<dyn FnOnce() -> T + Send + '_>>) -> Vec<T> {
        let count = work.len();
        *self.lock() = vec![Seat::Ready; count];
        thread::scope(|scope| {
            let threads: Vec<_> = work
                .into_iter()
                .enumerate()
                .map(|(seat, work)| {
                    scope.spawn(move || {
                        let _leave = self.sit(seat);
                        work()
                    })
                })
                .collect();
            self.conduct(count);
            threads.into_iter().map(|thread| thread.join().expect("no request panics")).collect()
        })
    }

    fn conduct(&self, count: usize) {
        (0..count).for_each(|seat| self.run(seat, Seat::Running));
        loop {
            let queued: Vec<usize> = (0..count).filter(|seat| self.lock()[*seat] == Seat::Queued).collect();
            let Some((first, others)) = queued.split_first() else { return };
            self.run(*first, Seat::Committing);
            others.iter().for_each(|seat| self.run(*seat, Seat::Running));
        }
    }

    /// Lets one run until its next change or its end.
    fn run(&self, seat: usize, how: Seat) {
        let mut seats = self.lock();
        seats[seat] = how;
        self.changed.notify_all();
        let busy = |seats: &mut Vec<Seat>| matches!(seats[seat], Seat::Running | Seat::Committing);
        drop(self.changed.wait_while(seats, busy).unwrap_or_else(PoisonError::into_inner));
    }

    fn sit(&self, seat: usize) -> Leave<'_> {
        MINE.set(Some(seat));
        let waiting = self.changed.wait_while(self.lock(), |seats| seats[seat] == Seat::Ready);
        drop(waiting.unwrap_or_else(PoisonError::into_inner));
        Leave { turns: self, seat }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leaves the seat, also when the work panics.
struct Leave<'t> {
    turns: &'t Turns,
    seat: usize,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.turns.lock()[self.seat] = Seat::Done;
        self.turns.changed.notify_all();
    }
}
