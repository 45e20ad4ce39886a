//! Turns at the processor, first come, first served.
//!
//! Many orders are worked on at a time, so that they can wait for the disk together; but there are only so many cores, and the
//! private-key operations of an order are the dearest work there is. Without turns all orders would be half done at the same
//! time: everybody late, what they work with pushed out of the caches by the others, and no core left for whoever writes to the
//! disk.
//!
//! An order with a small message is worked on within one turn, which it [leaves](leave) where it waits for something else than
//! the processor, and of a large one only the key operations. So turns are short, and large messages stream past.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rohrpost_crypto::{
    DecryptionFailed, Decryptor, KeyTransport, PublicKey, SessionKey, SignatureAlgorithm, Signer, SigningFailed,
};

/// Messages up to so many bytes are worked on within one turn.
pub const TURN_BYTES: u64 = 256 * 1024;

/// Lets so many threads at a time through, in the order in which they came.
pub struct Gate {
    turns: usize,
    state: Mutex<State>,
}

struct State {
    /// Turns nobody has. While there are any, nobody waits.
    free: usize,
    queue: VecDeque<Arc<Place>>,
    waits: Waits,
}

/// A thread in the queue.
struct Place {
    thread: Thread,
    granted: AtomicBool,
}

/// How a gate is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GateFigures {
    /// Operations at a time.
    pub turns: usize,
    /// Operations going on.
    pub busy: usize,
    /// Operations waiting for their turn.
    pub waiting: usize,
    /// How long those waited that got their turn.
    pub waits: Waits,
}

/// A histogram of waiting times.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Waits {
    /// How many waits fell below each bound of [`BOUNDS`](Self::BOUNDS) and not below the one before; the last ones below none.
    pub counts: [u64; Self::BOUNDS.len() + 1],
    /// All waits together.
    pub total: Duration,
}

impl Waits {
    /// Upper bounds, in microseconds.
    pub const BOUNDS: [u32; 10] = [100, 250, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 250_000, 1_000_000];

    fn add(&mut self, wait: Duration) {
        let slot = Self::BOUNDS.iter().position(|bound| wait <= Duration::from_micros(u64::from(*bound)));
        self.counts[slot.unwrap_or(Self::BOUNDS.len())] += 1;
        self.total += wait;
    }
}

impl Gate {
    /// A gate for so many threads at a time.
    pub fn new(turns: NonZeroUsize) -> Self {
        let turns = turns.get();
        Self { turns, state: Mutex::new(State { free: turns, queue: VecDeque::new(), waits: Waits::default() }) }
    }

    /// Does `work` when its turn has come. Blocks until then. A thread that has a turn of this gate already goes on with it.
    pub fn pass<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        if HELD.with_borrow(|held| held.as_ref().is_some_and(|gate| Arc::ptr_eq(gate, self))) {
            return work();
        }
        let _holding = Holding::new(Arc::clone(self));
        work()
    }

    /// How it is doing.
    pub fn figures(&self) -> GateFigures {
        let state = self.lock();
        GateFigures {
            turns: self.turns,
            busy: self.turns - state.free,
            waiting: state.queue.len(),
            waits: state.waits.clone(),
        }
    }

    fn take_turn(&self) {
        let place = {
            let mut state = self.lock();
            if state.free > 0 {
                state.free -= 1;
                state.waits.add(Duration::ZERO);
                return;
            }
            let place = Arc::new(Place { thread: thread::current(), granted: AtomicBool::new(false) });
            state.queue.push_back(Arc::clone(&place));
            place
        };
        let came = Instant::now();
        while !place.granted.load(Ordering::Acquire) {
            thread::park();
        }
        self.lock().waits.add(came.elapsed());
    }

    /// Hands a turn to the next in the queue.
    fn give_back(&self) {
        let mut state = self.lock();
        let Some(next) = state.queue.pop_front() else {
            state.free += 1;
            return;
        };
        drop(state);
        next.granted.store(true, Ordering::Release);
        next.thread.unpark();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("turns", &self.turns).finish_non_exhaustive()
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

/// A key whose operations wait for their turn.
#[derive(Clone)]
pub(crate) struct Gated<K: ?Sized> {
    pub(crate) gate: Arc<Gate>,
    pub(crate) key: Arc<K>,
}

impl Decryptor for Gated<dyn Decryptor> {
    fn key_bits(&self) -> u32 {
        self.key.key_bits()
    }

    fn unwrap_key(
        &self,
        transport: KeyTransport,
        wrapped: &[u8],
        wanted_len: usize,
    ) -> Result<SessionKey, DecryptionFailed> {
        self.gate.pass(|| self.key.unwrap_key(transport, wrapped, wanted_len))
    }
}

impl Signer for Gated<dyn Signer> {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }

    fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        self.gate.pass(|| self.key.sign(message))
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc::channel;

    use super::*;

    fn gate(turns: usize) -> Arc<Gate> {
        Arc::new(Gate::new(NonZeroUsize::new(turns).unwrap()))
    }

    fn until_waiting(gate: &Gate, count: usize) {
        while gate.figures().waiting < count {
            thread::yield_now();
        }
    }

    #[test]
    fn first_come_first_served() {
        let gate = gate(1);
        let order = Mutex::new(Vec::new());
        thread::scope(|scope| {
            gate.take_turn();
            for number in 0..20 {
                let (gate, order) = (&gate, &order);
                scope.spawn(move || gate.pass(|| order.lock().unwrap().push(number)));
                until_waiting(gate, number + 1);
            }
            gate.give_back();
        });
        assert_eq!(order.into_inner().unwrap(), (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn never_more_than_there_are_turns_and_never_fewer_than_could_be() {
        let gate = gate(3);
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (arrived, arrivals) = channel();
        thread::scope(|scope| {
            for _ in 0..24 {
                let (gate, inside, most, arrived) = (&gate, &inside, &most, arrived.clone());
                scope.spawn(move || {
                    gate.pass(|| {
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        arrived.send(()).unwrap();
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    });
                });
            }
        });
        assert_eq!(arrivals.try_iter().count(), 24);
        assert!(most.load(Ordering::SeqCst) <= 3);
        let figures = gate.figures();
        assert_eq!((figures.busy, figures.waiting), (0, 0));
        assert_eq!(figures.waits.counts.iter().sum::<u64>(), 24);

        (0..3).for_each(|_| gate.take_turn());
        assert_eq!(gate.figures().busy, 3, "all three without waiting");
    }

    #[test]
    fn a_panic_gives_the_turn_back() {
        let gate = gate(1);
        assert!(catch_unwind(AssertUnwindSafe(|| gate.pass(|| panic!("as a test")))).is_err());
        assert_eq!(gate.pass(|| gate.figures().busy), 1);
    }

    #[test]
    fn who_has_a_turn_needs_no_other() {
        let (one, other) = (gate(1), gate(1));
        let inside = one.pass(|| one.pass(|| other.pass(|| one.figures().busy + other.figures().busy)));
        assert_eq!(inside, 2);
        assert_eq!((one.figures().busy, other.figures().busy), (0, 0));
    }

    #[test]
    fn others_go_on_while_somebody_waits_for_something_else() {
        let gate = gate(1);
        let (passed, passes) = channel();
        gate.pass(|| {
            leave(|| {
                thread::scope(|scope| {
                    scope.spawn(|| gate.pass(|| passed.send(()).unwrap()));
                    passes.recv().unwrap();
                });
                leave(|| assert_eq!(gate.figures().busy, 0, "there is nothing more to leave"));
            });
            assert_eq!(gate.figures().busy, 1, "it has come back");
        });
        assert_eq!(gate.figures().busy, 0);
    }

    #[test]
    fn a_panic_outside_gives_nothing_back_twice() {
        let gate = gate(1);
        let panicked = catch_unwind(AssertUnwindSafe(|| gate.pass(|| leave(|| panic!("as a test")))));
        assert!(panicked.is_err());
        assert_eq!(gate.figures().busy, 0);
        assert_eq!(gate.pass(|| gate.figures().busy), 1);
    }

    #[test]
    fn waits_are_counted_by_length() {
        let mut waits = Waits::default();
        for micros in [0, 100, 101, 3_000, 2_000_000] {
            waits.add(Duration::from_micros(micros));
        }
        assert_eq!(waits.counts, [2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!(waits.total, Duration::from_micros(2_003_201));
    }
}
