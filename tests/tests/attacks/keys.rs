//! Messages that cost a private-key operation each and are nothing.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::arena::{Arena, MIB, post};
use crate::harness::{Seal, key};

/// Sixteen clients send encrypted messages with a session key that is none, as fast as they can. Each costs the operation with the private key
/// and little more; an honest client goes on working.
#[test]
fn garbage_that_looks_encrypted() {
    const GARBAGE: u32 = 400;
    let arena = Arena::start(&[]);
    let usual = arena.honest_cost(1000);
    let mut seal = Seal::new(&vec![b'x'; 2000], key("intermediary-2048-cipher"));
    seal.wrapped = vec![0x5A; 256];
    let (garbage, address) = (seal.write(), arena.address());
    let (sent, turned_away, refused) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    let honest_is_done = AtomicBool::new(false);
    let cost = arena.cost(|| {
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    while sent.fetch_add(1, Ordering::Relaxed) < GARBAGE || !honest_is_done.load(Ordering::Relaxed) {
                        let (status, body) = post(&address, &garbage);
                        let is_refused = String::from_utf8_lossy(&body).contains("<osci:Code>9202<");
                        refused.fetch_add(u32::from(is_refused), Ordering::Relaxed);
                        turned_away.fetch_add(u32::from(status == 503), Ordering::Relaxed);
                        assert!(is_refused || status == 503, "{status}");
                    }
                });
            }
            (0..20).for_each(|seed| arena.honest_order(seed, 1000));
            honest_is_done.store(true, Ordering::Relaxed);
        });
    });
    let refused = refused.into_inner();
    eprintln!(
        "{:58} {cost}  and 20 honest orders; {turned_away:?} turned away",
        format!("{refused} messages of garbage")
    );
    assert!(cost.memory < 32 * MIB, "{cost}");
    // An honest order is two requests, with four private-key operations in all.
    let bound = usual.processor * (20 + refused);
    assert!(cost.processor < bound, "{cost}, bound {:.2} s", bound.as_secs_f64());
}
