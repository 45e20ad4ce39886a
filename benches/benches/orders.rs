//! Whole requests beside the bare RSA operations they cannot do without.

use criterion::{Criterion, criterion_group, criterion_main};
use rohrpost_benches::{
    Bits, Clock, Figure, Goal, Messages, Meter, NOW, Task, Times, World, decrypting, keys, measure, report, scratch,
    signing, spread,
};
use rohrpost_crypto::policy::Policy;
use rohrpost_crypto::{SystemRandom, sha256};
use rohrpost_osci::{envelope, mime};
use rohrpost_pipeline::open::open;
use rohrpost_pipeline::read::read;
use rohrpost_pipeline::spool::Spool;
use rohrpost_pipeline::verify::{SignatureState, Signer, verify};

const BOTH: [Bits; 2] = [Bits::Rsa2048, Bits::Rsa4096];

/// Requests that each of many clients sends in one iteration, so that starting its thread does not count for much.
const EACH: u64 = 8;

/// Opens, reads and verifies a delivery with 4 KB of content.
fn pipeline(criterion: &mut Criterion) {
    for bits in BOTH {
        let folder = scratch();
        let world = World::new(folder.path(), bits);
        let request = Messages::new(bits, world.spools.clone()).store_delivery(world.message_id());
        let (meter, policy) = (Meter::default(), Policy::standard());
        let keys = keys(bits, &meter);
        let (framing, reading) = (mime::Limits::default(), envelope::Limits::default());
        let stages = || {
            let opened = open(request.clone(), &keys, &policy, NOW, &world.spools, &SystemRandom, &framing);
            let read = read(opened.expect("our message can be opened"), &reading).expect("our message can be read");
            let verified = verify(read, Signer::Client { remembered: None }, &policy, NOW, &reading);
            assert!(matches!(verified.signature(), SignatureState::Covered { .. }), "our signature is good");
        };
        let megabyte = vec![0; 1_000_000];
        let hash = Task::each(Clock::Thread, || sha256(&megabyte));
        let limits = vec![decrypting(bits), signing(Bits::Rsa2048), hash, meter.task()];
        let name = bits.name();
        let cost = format!("open, read, verify/decryption {name}");
        let in_rsa = format!("open, read, verify beside RSA/RSA-2048 operation {name}");
        let in_sha = format!("open, read, verify beside RSA/sha256 of 1 MB {name}");
        let beside = |times: &Times| times.work - times.limits[3];
        let figures = [
            Figure::cost(&cost, Goal::Shown),
            Figure::new(&in_rsa, Goal::AtMost(0.35), |times| beside(times) / times.limits[1]),
            Figure::new(&in_sha, Goal::AtMost(0.35), |times| beside(times) / times.limits[2]),
        ];
        measure(criterion, &format!("pipeline/{name}"), Task::each(Clock::Thread, stages), limits, &figures);
    }
}

/// The whole intermediary, signed and encrypted answers, a store on the disk: one client, and many at once.
fn orders(criterion: &mut Criterion) {
    for bits in BOTH {
        let folder = scratch();
        let world = World::new(folder.path(), bits);
        let client = Messages::new(bits, world.spools.clone());
        order(criterion, &world, bits, "GetMessageId", 1, || client.get_message_id());
        for clients in [1, 32] {
            order(criterion, &world, bits, "StoreDelivery", clients, || client.store_delivery(world.message_id()));
        }
    }
}

fn order(
    criterion: &mut Criterion,
    world: &World,
    bits: Bits,
    order: &str,
    clients: usize,
    mut request: impl FnMut() -> Spool,
) {
    let requests_each = if clients == 1 { 1 } else { clients as u64 * EACH };
    let before = world.meter.operations();
    let mut handled = 0;
    // The clock of the process, because the store commits in a thread of its own.
    let work = Task::timed(|count| {
        let requests: Vec<Spool> = (0..count * requests_each).map(|_| request()).collect();
        handled += requests.len();
        Clock::Process.time(|| spread(clients, requests, |request| drop(world.handle(request))))
    });
    let megabyte = vec![0; 1_000_000];
    let hash = Task::each(Clock::Thread, || sha256(&megabyte));
    let limits = vec![decrypting(bits), signing(bits), signing(Bits::Rsa2048), hash, world.meter.task()];
    let name = format!("{order}, {}, {clients} clients", bits.name());
    let efficiency = format!("RSA efficiency {name}");
    let in_rsa = format!("beside RSA/RSA-2048 operation {name}");
    let in_sha = format!("beside RSA/sha256 of 1 MB {name}");
    let bar = if bits == Bits::Rsa2048 { 0.70 } else { 0.88 };
    let each = requests_each as f64;
    let beside = |times: &Times| (times.work - times.limits[4]) / each;
    let figures = [
        Figure::new(&efficiency, Goal::AtLeast(bar), |times| (times.limits[0] + times.limits[1]) * each / times.work),
        Figure::new(&in_rsa, Goal::AtMost(0.6), |times| beside(times) / times.limits[2]),
        Figure::new(&in_sha, Goal::AtMost(0.6), |times| beside(times) / times.limits[3]),
    ];
    measure(criterion, &format!("{order}/{}/{clients}", bits.name()), work, limits, &figures);
    if handled > 0 {
        let each = (world.meter.operations() - before) as f64 / handled as f64;
        report(&format!("RSA operations per {name}"), Goal::AtMost(2.0), vec![each]);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = pipeline, orders
}
criterion_main!(benches);
