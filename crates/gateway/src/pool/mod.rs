//! Admission: how many orders run, how many wait, whose turn is next, and who is sent away.
//!
//! So many orders run; the others wait, holding a spool but no thread, in one line per originator, and the lines are served in turn.
//! Who would wait longer than the patience is sent away at once: an answer that comes too late is work for nothing.

mod lines;
mod pace;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};

use self::lines::{Lines, Ticket};
use self::pace::Pace;
use crate::config::Limits;
use crate::metrics::{Metrics, Raised};
use crate::share::Sharer;

/// The patience shrinks to so small a part of itself when the excess lasts.
const LASTING: u32 = 10;

/// Hands out turns. Who waits holds no thread.
pub(crate) struct OrderPool {
    turns: Arc<Turns>,
    metrics: Arc<Metrics>,
}

/// The right to work on one order, given back on drop.
pub(crate) struct Turn {
    _permit: Permit,
    _running: Raised,
    /// How long it took to get it.
    pub(crate) waited: Duration,
}

/// Why there is no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overloaded {
    /// Too many wait, and nobody's line is longer than this one.
    QueueFull,
    /// Too many wait in the same line.
    LineFull,
    /// The turn would come too late.
    TooLong,
    /// The turn did not come in time.
    Waited,
    /// Gave its place to somebody who had none.
    Displaced,
}

impl Overloaded {
    pub(crate) const ALL: [Self; 5] = [Self::QueueFull, Self::LineFull, Self::TooLong, Self::Waited, Self::Displaced];

    /// A word for metrics and log lines.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::LineFull => "line_full",
            Self::TooLong => "too_long",
            Self::Waited => "waited",
            Self::Displaced => "displaced",
        }
    }
}

impl OrderPool {
    pub(crate) fn new(limits: &Limits, patience: Duration, metrics: Arc<Metrics>) -> Self {
        let state = State {
            free: limits.concurrent_orders,
            running: HashMap::new(),
            lines: Lines::new(),
            pace: Pace::default(),
        };
        let turns = Turns { limits: *limits, patience, state: Mutex::new(state), given_back: Notify::new() };
        Self { turns: Arc::new(turns), metrics }
    }

    /// Why a request that arrives now would be sent away, if it would.
    pub(crate) fn refusal(&self, sharer: &Sharer) -> Option<Overloaded> {
        let refusal = self.turns.refusal(&self.turns.lock(), sharer);
        refusal.inspect(|cause| self.metrics.shed(*cause))
    }

    /// Waits for a turn, unless it is clear that it would take too long, or does.
    pub(crate) async fn turn(&self, sharer: &Sharer) -> Result<Turn, Overloaded> {
        let asked = Instant::now();
        let permit = self.permit(sharer).await.inspect_err(|cause| self.metrics.shed(*cause))?;
        let waited = asked.elapsed();
        self.metrics.turn_seconds.observe(waited.as_secs_f64());
        Ok(Turn { _permit: permit, _running: Raised::by_one(&self.metrics.running), waited })
    }

    /// Waits until no order runs.
    pub(crate) async fn idle(&self) {
        loop {
            let given_back = self.turns.given_back.notified();
            if self.turns.lock().free == self.turns.limits.concurrent_orders {
                return;
            }
            given_back.await;
        }
    }

    async fn permit(&self, sharer: &Sharer) -> Result<Permit, Overloaded> {
        let (mut place, turn) = {
            let mut state = self.turns.lock();
            if self.turns.may_run(&state, sharer) {
                return Ok(self.turns.take(&mut state, sharer));
            }
            if let Some(refusal) = self.turns.refusal(&state, sharer) {
                return Err(refusal);
            }
            if state.lines.len() >= self.turns.limits.waiting_orders {
                // Dropping the entry tells whoever waits for it.
                let own = state.lines.len_of(sharer);
                drop(state.lines.shorten(own + 1));
            }
            let (entry, turn) = oneshot::channel();
            let ticket = Some(state.lines.join(sharer, entry));
            let _gauge = Raised::by_one(&self.metrics.waiting);
            (Place { turns: &self.turns, sharer, ticket, _gauge }, turn)
        };
        match timeout(self.turns.patience, turn).await {
            Ok(Ok(permit)) => {
                place.ticket = None;
                Ok(permit)
            }
            Ok(Err(_)) => Err(Overloaded::Displaced),
            Err(_) => Err(Overloaded::Waited),
        }
    }
}

struct Turns {
    limits: Limits,
    patience: Duration,
    state: Mutex<State>,
    given_back: Notify,
}

struct State {
    /// Turns nobody has. While there are any, only those wait who have theirs.
    free: usize,
    /// Turns by who has them.
    running: HashMap<Sharer, usize>,
    lines: Lines<Sharer, oneshot::Sender<Permit>>,
    pace: Pace,
}

impl Turns {
    fn may_run(&self, state: &State, sharer: &Sharer) -> bool {
        state.free > 0 && self.may_have_more(state, sharer)
    }

    /// Nobody has all turns, so that there is something to go on with for whoever comes while one has long orders.
    fn may_have_more(&self, state: &State, sharer: &Sharer) -> bool {
        state.running.get(sharer).is_none_or(|running| *running < self.most_for_one())
    }

    fn most_for_one(&self) -> usize {
        let all = self.limits.concurrent_orders;
        all - all / 8
    }

    fn refusal(&self, state: &State, sharer: &Sharer) -> Option<Overloaded> {
        if self.may_run(state, sharer) {
            return None;
        }
        let (waiting, own) = (state.lines.len(), state.lines.len_of(sharer));
        if own >= self.limits.waiting_orders_per_client {
            return Some(Overloaded::LineFull);
        }
        if waiting >= self.limits.waiting_orders && state.lines.longest() <= own + 1 {
            return Some(Overloaded::QueueFull);
        }
        // As long as no more wait than run there is no crowd, whatever the last orders were like; and only while some wait can
        // it be found out that things go faster again.
        let is_crowded = waiting >= self.limits.concurrent_orders;
        let expected = state.pace.expect(state.lines.ahead_of(sharer));
        (is_crowded && expected.is_some_and(|wait| wait > self.patience(state))).then_some(Overloaded::TooLong)
    }

    /// How long one that comes now may expect to wait. A burst may fill the queue; while more comes in than can be done all the
    /// time, a long queue only makes everybody late.
    fn patience(&self, state: &State) -> Duration {
        match state.pace.is_behind_for(self.patience, Instant::now()) {
            true => self.patience / LASTING,
            // What is expected is only an estimate, and nobody shall be let in to be disappointed.
            false => self.patience / 8 * 7,
        }
    }

    fn take(self: &Arc<Self>, state: &mut State, sharer: &Sharer) -> Permit {
        state.free -= 1;
        *state.running.entry(sharer.clone()).or_default() += 1;
        Permit { turns: Arc::clone(self), sharer: sharer.clone() }
    }

    /// Takes a turn back and gives it to whoever is next. Returns what to give it with.
    fn give_back(self: &Arc<Self>, sharer: &Sharer) -> Option<(oneshot::Sender<Permit>, Permit)> {
        let mut state = self.lock();
        state.free += 1;
        match state.running.get_mut(sharer) {
            Some(running) if *running > 1 => *running -= 1,
            _ => drop(state.running.remove(sharer)),
        }
        let State { running, lines, .. } = &mut *state;
        let next = lines.next(|sharer| running.get(sharer).is_none_or(|running| *running < self.most_for_one()));
        let more_wait = state.lines.len() > 0;
        match next {
            Some((sharer, entry)) => {
                state.pace.given(Instant::now(), more_wait);
                let permit = self.take(&mut state, &sharer);
                Some((entry, permit))
            }
            None => {
                state.pace.rest();
                None
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What panics in here is a defect that shows in the counts, not a reason to serve nobody.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A turn without its circumstances.
struct Permit {
    turns: Arc<Turns>,
    sharer: Sharer,
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((entry, permit)) = self.turns.give_back(&self.sharer) {
            // Whoever has just gone away lets it drop, which gives it to the next.
            drop(entry.send(permit));
        }
        self.turns.given_back.notify_waiters();
    }
}

/// A place in a line, left on drop, also when the client goes away.
struct Place<'a> {
    turns: &'a Turns,
    sharer: &'a Sharer,
    ticket: Option<Ticket>,
    _gauge: Raised,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let entry = self.turns.lock().lines.leave(self.sharer, ticket);
            drop(entry);
        }
    }
}

#[cfg(test)]
mod tests;
