//! Making deliveries durable, beside a bare log on the same disk. These figures are of waiting, so only a quiet machine
//! gives good ones.

use std::cell::Cell;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use rohrpost_benches::{Bits, Clock, Figure, Goal, NOW, Task, measure, report, scratch, signing, spread, store};
use rohrpost_crypto::sha256;
use rohrpost_osci::ids::MessageId;
use rohrpost_store::{BodySource, Delivery, Store as _};

const BODY: usize = 10_000;

/// Threads that send, and deliveries that make one iteration.
const LOADS: [(usize, u64); 2] = [(1, 16), (32, 256)];

fn delivery(number: u64) -> Delivery {
    // Ids sort by age, as those of GetMessageId do.
    let id = MessageId::new(format!("{number:016}")).expect("digits make an id");
    let addressee = sha256(&(number % 100).to_le_bytes()).into();
    let mut delivery = Delivery::new(id, addressee, NOW, BodySource::Inline(vec![0x5a; BODY]));
    delivery.originator = Some(sha256(b"originator").into());
    delivery.certificates = Some("x".repeat(4_000));
    delivery.leaf.algorithms = vec!["http://www.w3.org/2009/xmlenc11#aes256-gcm".to_owned()];
    delivery
}

/// A file to which everybody appends, and whose one writer asks the disk once for all who wait.
struct BareLog {
    queue: Sender<Sender<()>>,
}

impl BareLog {
    fn new(folder: &Path) -> Self {
        let file = File::create(folder.join("group-log")).expect("the folder is writable");
        let (queue, waiting) = channel();
        thread::spawn(move || Self::write(file, &waiting));
        Self { queue }
    }

    fn write(mut file: File, waiting: &Receiver<Sender<()>>) {
        while let Ok(first) = waiting.recv() {
            let all: Vec<Sender<()>> = [first].into_iter().chain(waiting.try_iter()).collect();
            for _ in &all {
                file.write_all(&[0x5a; BODY]).expect("the disk has room");
            }
            file.sync_data().expect("the disk works");
            // Who went away needs no answer.
            all.iter().for_each(|caller| {
                let _ = caller.send(());
            });
        }
    }

    fn append(&self) {
        let (reply, answer) = channel();
        self.queue.send(reply).expect("the writer lives as long as the log");
        answer.recv().expect("the writer answers everybody");
    }
}

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
