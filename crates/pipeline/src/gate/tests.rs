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
