use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, channel};

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
fn work_begun_goes_before_new_work_and_each_in_order() {
    let gate = gate(1);
    let (said, all) = channel();
    gate.take_turn();
    for number in 0..3 {
        let said = said.clone();
        gate.start(move || said.send(format!("new {number}")).unwrap());
    }
    thread::scope(|scope| {
        for number in 0..3 {
            let (gate, said) = (&gate, said.clone());
            scope.spawn(move || gate.pass(|| said.send(format!("begun {number}")).unwrap()));
            until_waiting(gate, 4 + number);
        }
        assert!(all.try_recv().is_err(), "there is one turn only");
        gate.give_back();
    });
    drop(said);
    let all: Vec<_> = all.iter().collect();
    assert_eq!(all, ["begun 0", "begun 1", "begun 2", "new 0", "new 1", "new 2"]);
}

#[test]
fn who_is_done_goes_on_with_the_next() {
    let gate = gate(1);
    let (said, all) = channel();
    gate.take_turn();
    for _ in 0..50 {
        let said = said.clone();
        gate.start(move || said.send(thread::current().id()).unwrap());
    }
    drop(said);
    gate.give_back();
    let threads: HashSet<_> = all.iter().collect();
    assert_eq!(threads.len(), 1);
}

#[test]
fn rested_threads_are_used_again() {
    let gate = gate(1);
    let thread = || {
        let (said, heard) = channel();
        gate.start(move || said.send(thread::current().id()).unwrap());
        heard.recv().unwrap()
    };
    let first = thread();
    while gate.lock().idle.is_empty() {
        thread::yield_now();
    }
    assert_eq!(thread(), first);
}

#[test]
fn work_that_panics_gives_its_turn_back() {
    let gate = gate(1);
    gate.start(|| panic!("as a test"));
    gate.start(|| leave(|| panic!("as a test")));
    let (said, heard) = channel();
    gate.start(move || said.send(()).unwrap());
    heard.recv().unwrap();
    while gate.figures().busy > 0 {
        thread::yield_now();
    }
    assert_eq!(gate.figures().waiting, 0);
}

/// Work that sleeps within a turn until the test wakes it, and then says so.
fn asleep(gate: &Arc<Gate>) -> (Arc<Sleeper>, Receiver<()>) {
    let (made, sleeper) = channel();
    let (said, heard) = channel();
    let inner = Arc::clone(gate);
    gate.start(move || {
        let sleeper = inner.sleeper();
        made.send(Arc::clone(&sleeper)).unwrap();
        sleeper.sleep();
        said.send(()).unwrap();
    });
    (sleeper.recv().unwrap(), heard)
}

#[test]
fn while_one_sleeps_others_work_and_it_wakes_with_a_turn() {
    let gate = gate(1);
    let (sleeper, awake) = asleep(&gate);
    gate.pass(|| {
        sleeper.wake();
        until_waiting(&gate, 1);
        assert!(awake.try_recv().is_err(), "the only turn is taken");
    });
    awake.recv().unwrap();
}

#[test]
fn waking_before_sleeping_is_no_loss() {
    let gate = gate(1);
    gate.pass(|| {
        let sleeper = gate.sleeper();
        sleeper.wake();
        sleeper.sleep();
        assert_eq!(gate.figures().busy, 1);
        assert_eq!(gate.pass(|| gate.figures().busy), 1, "it has its turn again");
    });
    assert_eq!((gate.figures().busy, gate.figures().waiting), (0, 0));
}

#[test]
fn without_a_turn_sleeping_takes_none() {
    let gate = gate(1);
    let other = self::gate(1);
    other.pass(|| {
        let sleeper = gate.sleeper();
        thread::scope(|scope| {
            scope.spawn(|| sleeper.wake());
            sleeper.sleep();
        });
        assert_eq!((gate.figures().busy, other.figures().busy), (0, 1));
    });
}
