//! Making deliveries durable, beside a bare log on the same disk. These figures are of waiting, so only a quiet machine
//! gives good ones.

use std::cell::Cell;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use rohrpost_benches::{
    BareLog, Bits, Clock, Figure, Goal, Task, delivery, measure, report, scratch, signing, spread, store,
};
use rohrpost_store::{Delivery, Store as _};

/// Threads that send, and deliveries that make one iteration.
const LOADS: [(usize, u64); 2] = [(1, 16), (32, 256)];

fn commits(criterion: &mut Criterion) {
    let folder = scratch();
    let store = store(folder.path());
    let mut next = 0;
    for (threads, deliveries) in LOADS {
        let cpu = Cell::new(Duration::ZERO);
        let work = Task::timed(|count| {
            let all: Vec<Delivery> = (next..next + count * deliveries).map(delivery).collect();
            next += count * deliveries;
            let start = Clock::Process.now();
            let accept = |delivery| store.accept(delivery).expect("the store accepts");
            let time = Clock::Wall.time(|| spread(threads, all, accept));
            cpu.set(Clock::Process.now() - start);
            time
        });
        let log = BareLog::new(folder.path());
        let bare = |count| {
            let all = vec![(); usize::try_from(count * deliveries).unwrap_or_default()];
            Clock::Wall.time(|| spread(threads, all, |()| log.append()))
        };
        let limits = vec![Task::timed(bare), Task::timed(|_| cpu.take()), signing(Bits::Rsa2048)];
        let rate = format!("commits/bare log, {threads} threads");
        let cost = format!("CPU of a commit/RSA-2048 operation, {threads} threads");
        let figures = [
            Figure::share(&rate, if threads == 1 { Goal::Shown } else { Goal::AtLeast(0.3) }),
            Figure::new(&cost, Goal::Shown, |times| times.limits[1] / deliveries as f64 / times.limits[2]),
        ];
        let before = store.stats().expect("the store has figures");
        measure(criterion, &format!("commits/{threads}"), work, limits, &figures);
        let after = store.stats().expect("the store has figures");
        if after.changes > before.changes {
            let each = (after.commits - before.commits) as f64 / (after.changes - before.changes) as f64;
            let goal = if threads == 1 { Goal::AtMost(1.0) } else { Goal::AtMost(0.25) };
            report(&format!("commits per delivery, {threads} threads"), goal, vec![each]);
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(3));
    targets = commits
}
criterion_main!(benches);
