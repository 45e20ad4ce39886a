//! Orders that take turns at the processor.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rohrpost_pipeline::gate::{Gate, GateFigures, leave};

use crate::failing::Failing;
use crate::harness::{Client, Delivery, Setup};

/// Waits until a gate looks so; gives up after long, so that a failure is no hang.
fn until(gate: &Gate, looks: impl Fn(&GateFigures) -> bool) {
    let began = Instant::now();
    while !looks(&gate.figures()) {
        assert!(began.elapsed() < Duration::from_secs(20), "never: {:?}", gate.figures());
        thread::yield_now();
    }
}

#[test]
fn who_waits_for_a_dialog_has_no_turn() {
    let gate = Arc::new(Gate::new(NonZeroUsize::MIN));
    let mut failing = None;
    let bench = Setup::default().start_with(|store| failing.insert(Failing::new(store)).clone());
    let mut alice = Client::alice().open(&bench);
    let draft = alice.store(Delivery::to("bob-cipher", &bench.fresh_id()));
    let request = alice.encode(&draft);
    // While the first order waits for the store with its dialog and, as stores let it, without a turn, the second one comes,
    // and waits for the dialog.
    let turns = Arc::clone(&gate);
    failing.unwrap().before_accepting(move || {
        leave(|| until(&turns, |figures| figures.waits.counts.iter().sum::<u64>() == 2 && figures.busy == 0));
    });
    let answers = thread::scope(|scope| {
        let order = || gate.pass(|| bench.handle(request.clone()));
        let first = scope.spawn(order);
        until(&gate, |figures| figures.waits.counts.iter().sum::<u64>() == 1 && figures.busy == 0);
        let second = scope.spawn(order);
        [first.join().unwrap(), second.join().unwrap()]
    });
    assert_eq!(answers[0].codes, [801]);
    assert_eq!(answers[0].bytes, answers[1].bytes, "the second is the first once more");
    assert_eq!(gate.figures().busy, 0);
    assert_eq!(bench.stats().waiting, 1);
}
