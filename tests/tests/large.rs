//! Deliveries with much content go in and out while memory stays flat, on both sides. Signed and encrypted, over HTTP.
//!
//! 64 MiB in an attachment and 16 MiB in the content itself; with `ROHRPOST_LARGE=1` 1 GiB and 256 MiB (best with
//! `--release`). Prints what it measured.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic and report")]

use std::fs;
use std::time::{Duration, Instant};

use rohrpost_client::Client;
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_tests::Server;
use rohrpost_tests::load::{Parcel, Person, client, config, quick_keys, runtime};
use tokio::runtime::Runtime;

const MIB: u64 = 1024 * 1024;
/// What a large message may cost beyond a small one, in bytes of resident memory.
const ALLOWED: u64 = 64 * MIB;

#[test]
fn memory_stays_flat() {
    let large = std::env::var_os("ROHRPOST_LARGE").is_some();
    let (attachment, data) = if large { (1024 * MIB, 256 * MIB) } else { (64 * MIB, 16 * MIB) };
    let sets = [quick_keys(), vec!["log.level=warn".to_owned()]].concat();
    let server = Server::start(&sets.iter().map(String::as_str).collect::<Vec<_>>());
    let directory = tempfile::tempdir().unwrap();
    let (alice, bob) = (Person::of_test_pki("rsa-2048"), Person::fresh("Bob"));
    let spools = SpoolDir::new(directory.path());
    let party = |person| client(config(server.url(), person, spools.clone()));
    let run = Run { server: &server, runtime: runtime(), sender: party(&alice), recipient: party(&bob), bob: &bob };

    let small = |seed| Parcel { seed, data: 2_000, attachment: Some(100_000) };
    let usual = (0..4).map(|seed| run.measure(small(seed))).last().unwrap();
    eprintln!("small:              {usual}");
    for (name, parcel) in [
        ("large attachment", Parcel { seed: 10, data: 2_000, attachment: Some(attachment) }),
        ("large content", Parcel { seed: 11, data, attachment: None }),
    ] {
        let found = run.measure(parcel);
        let size = (parcel.data + parcel.attachment.unwrap_or(0)) / MIB;
        eprintln!("{name}, {size} MiB: {found}");
        for (what, peak, usual) in [
            ("the server, storing", found.store.server, usual.store.server),
            ("the server, handing out", found.fetch.server, usual.fetch.server),
            ("the client, storing", found.store.client, usual.store.client),
            ("the client, fetching", found.fetch.client, usual.fetch.client),
        ] {
            let extra = peak.saturating_sub(usual);
            assert!(extra < ALLOWED, "{name}: {what} takes {} MiB more than for a small one", extra / MIB);
        }
    }
}

struct Run<'a> {
    server: &'a Server,
    runtime: Runtime,
    sender: Client,
    recipient: Client,
    bob: &'a Person,
}

/// Peaks of resident memory and time for one exchange.
struct Cost {
    server: u64,
    client: u64,
    time: Duration,
}

struct Costs {
    store: Cost,
    fetch: Cost,
}

impl Run<'_> {
    fn measure(&self, parcel: Parcel) -> Costs {
        let store = self.cost(|| {
            let shipment = parcel.shipment(&self.bob.cipher.certificate);
            self.runtime.block_on(self.sender.store(shipment)).unwrap();
        });
        let fetch = self.cost(|| {
            self.runtime.block_on(async {
                let mut dialog = self.recipient.open_dialog().await.unwrap();
                let delivery = dialog.fetch(DeliverySelection::Oldest).await.unwrap().unwrap();
                assert!(parcel.is_in(&delivery.open(&[]).await.unwrap()), "it came back changed");
                dialog.exit().await.unwrap();
            });
        });
        Costs { store, fetch }
    }

    fn cost(&self, work: impl FnOnce()) -> Cost {
        let (server, client) = (self.server.pid().unwrap(), std::process::id());
        [server, client].into_iter().for_each(forget_peak);
        let began = Instant::now();
        work();
        Cost { time: began.elapsed(), server: peak(server), client: peak(client) }
    }
}

/// The largest resident set of a process since it was last forgotten, in bytes.
fn peak(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Begins anew with the present size. Where that is not allowed, the peak since the start is just as good a bound.
fn forget_peak(process: u32) {
    let _ = fs::write(format!("/proc/{process}/clear_refs"), "5");
}

impl std::fmt::Display for Costs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let one = |Cost { server, client, time }: &Cost| {
            format!("server {} MiB, client {} MiB, {:.2} s", server / MIB, client / MIB, time.as_secs_f64())
        };
        write!(f, "stored ({}), fetched ({})", one(&self.store), one(&self.fetch))
    }
}
