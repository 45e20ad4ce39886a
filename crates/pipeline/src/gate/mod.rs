//! Turns at the processor.
//!
//! Many orders are worked on at a time, so that they can wait for the disk together; but there are only so many cores. Without
//! turns all orders would be half done at the same time: everybody late, what they work with pushed out of the caches by the
//! others, and no core left for whoever writes to the disk.
//!
//! An order with a small message is worked on within one turn ([`Gate::start`]), which it leaves where it waits for something else
//! than the processor ([`leave`], [`Gate::sleeper`]), and of a large one only the key operations. So turns are short, and large
//! messages stream past.
//!
//! Whoever has begun goes first, in the order of coming back, and then new orders in the order in which they came: what is begun
//! holds memory and makes others wait. A thread that is done with an order goes on with the next one, so that under load hardly
//! any thread is woken, and few threads with warm caches do all the work.

mod keys;
mod waits;
mod workers;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

pub(crate) use self::keys::Gated;
pub use self::waits::Waits;
use self::workers::{Job, Worker};

/// Messages up to so many bytes are worked on within one turn.
pub const TURN_BYTES: u64 = 256 * 1024;

/// Lets so many threads at a time through.
pub struct Gate {
    turns: usize,
    state: Mutex<State>,
}

struct State {
    /// Turns nobody has. While there are any, nobody waits.
    free: usize,
    /// Threads that wait for a turn, perhaps after having left theirs.
    begun: VecDeque<(Instant, Arc<Sleeper>)>,
    /// Work that waits for a turn and a thread.
    new: VecDeque<(Instant, Job)>,
    /// Threads without work, the one that worked last behind.
    idle: Vec<Arc<Worker>>,
    waits: Waits,
}

/// Who gets a turn.
enum Next {
    Begun(Arc<Sleeper>),
    New(Job),
}

/// How a gate is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GateFigures {
    /// Turns at a time.
    pub turns: usize,
    /// Turns going on.
    pub busy: usize,
    /// Threads and work waiting for a turn.
    pub waiting: usize,
    /// How long those waited that got their turn.
    pub waits: Waits,
}

impl Gate {
    /// A gate for so many threads at a time.
    pub fn new(turns: NonZeroUsize) -> Self {
        let turns = turns.get();
        let state = State {
            free: turns,
            begun: VecDeque::new(),
            new: VecDeque::new(),
            idle: Vec::new(),
            waits: Waits::default(),
        };
        Self { turns, state: Mutex::new(state) }
    }

    /// Does `work` when its turn has come. Blocks until then. A thread that has a turn of this gate already goes on with it.
    pub fn pass<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        if HELD.with_borrow(|held| held.as_ref().is_some_and(|gate| Arc::ptr_eq(gate, self))) {
            return work();
        }
        let _holding = Holding::new(Arc::clone(self));
        work()
    }

    /// Has `work` done within a turn, by a thread of the gate, when its turn has come. Does not block. If there can be no thread,
    /// `work` is dropped.
    pub fn start(self: &Arc<Self>, work: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        if !state.take_free() {
            state.new.push_back((Instant::now(), Box::new(work)));
            return;
        }
        self.employ(state, Box::new(work));
    }

    /// For a wait of this thread that another one ends: meanwhile others have its turn, if it has one of this gate, and it wakes
    /// only once, with a turn.
    pub fn sleeper(self: &Arc<Self>) -> Arc<Sleeper> {
        let has_turn = HELD.with_borrow(|held| held.as_ref().is_some_and(|gate| Arc::ptr_eq(gate, self)));
        Sleeper::new(has_turn.then(|| Arc::clone(self)))
    }

    /// How it is doing.
    pub fn figures(&self) -> GateFigures {
        let state = self.lock();
        GateFigures {
            turns: self.turns,
            busy: self.turns - state.free,
            waiting: state.begun.len() + state.new.len(),
            waits: state.waits.clone(),
        }
    }

    fn take_turn(&self) {
        let sleeper = Sleeper::new(None);
        self.queue(&sleeper);
        sleeper.park();
    }

    /// Gives a turn to a thread, as soon as there is one.
    fn queue(&self, sleeper: &Arc<Sleeper>) {
        let mut state = self.lock();
        if !state.take_free() {
            state.begun.push_back((Instant::now(), Arc::clone(sleeper)));
            return;
        }
        drop(state);
        sleeper.unpark();
    }

    /// Hands a turn to the next.
    fn give_back(self: &Arc<Self>) {
        if let Some(job) = self.go_on() {
            self.employ(self.lock(), job);
        }
    }

    /// Hands a turn to the next, unless that is new work, which needs a thread: then that has the turn.
    fn go_on(&self) -> Option<Job> {
        let mut state = self.lock();
        match state.next() {
            Some(Next::New(job)) => return Some(job),
            Some(Next::Begun(sleeper)) => {
                drop(state);
                sleeper.unpark();
            }
            None => state.free += 1,
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a turn nobody has, if there is one.
    fn take_free(&mut self) -> bool {
        let is_free = self.free > 0;
        if is_free {
            self.free -= 1;
            self.waits.add(Duration::ZERO);
        }
        is_free
    }

    fn next(&mut self) -> Option<Next> {
        let (came, next) = match self.begun.pop_front() {
            Some((came, sleeper)) => (came, Next::Begun(sleeper)),
            None => self.new.pop_front().map(|(came, job)| (came, Next::New(job)))?,
        };
        self.waits.add(came.elapsed());
        Some(next)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("turns", &self.turns).finish_non_exhaustive()
    }
}

/// The wait of one thread, which another one ends.
pub struct Sleeper {
    thread: Thread,
    awake: AtomicBool,
    /// The gate whose turn the thread leaves meanwhile.
    gate: Option<Arc<Gate>>,
}

impl Sleeper {
    fn new(gate: Option<Arc<Gate>>) -> Arc<Self> {
        Arc::new(Self { thread: thread::current(), awake: AtomicBool::new(false), gate })
    }

    /// Waits until somebody calls [`wake`](Self::wake), which may have happened already. To be called once, by the thread that
    /// made the sleeper.
    pub fn sleep(&self) {
        match &self.gate {
            None => self.park(),
            Some(gate) => {
                HELD.take();
                gate.give_back();
                self.park();
                HELD.set(Some(Arc::clone(gate)));
            }
        }
    }

    /// Ends the wait as soon as there is a turn. To be called once.
    pub fn wake(self: &Arc<Self>) {
        match &self.gate {
            None => self.unpark(),
            Some(gate) => gate.queue(self),
        }
    }

    fn park(&self) {
        while !self.awake.load(Ordering::Acquire) {
            thread::park();
        }
    }

    fn unpark(&self) {
        self.awake.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl fmt::Debug for Sleeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleeper").field("awake", &self.awake).finish_non_exhaustive()
    }
}

/// Does `work`, which waits for something else than the processor, without the turn this thread may have: others go on
/// meanwhile. Afterwards it waits for a turn again.
pub fn leave<T>(work: impl FnOnce() -> T) -> T {
    let Some(gate) = HELD.take() else { return work() };
    gate.give_back();
    // If `work` panics, there is no turn to give back.
    let done = work();
    gate.take_turn();
    HELD.set(Some(gate));
    done
}

thread_local! {
    /// The gate this thread has a turn of.
    static HELD: RefCell<Option<Arc<Gate>>> = const { RefCell::new(None) };
}

/// This thread's turn, unless it [left](leave), and what it held before.
struct Holding(Option<Arc<Gate>>);

impl Holding {
    fn new(gate: Arc<Gate>) -> Self {
        gate.take_turn();
        Self(HELD.replace(Some(gate)))
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        if let Some(gate) = HELD.replace(self.0.take()) {
            gate.give_back();
        }
    }
}

#[cfg(test)]
mod tests;
