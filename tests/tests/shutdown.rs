//! Asked to end (SIGTERM), the server finishes the orders it has accepted, says on the way that it is not ready, and exits
//! with success. What it acknowledged is there afterwards.

#![allow(clippy::unwrap_used, reason = "a test may panic and report")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use rohrpost_client::transport::Moved;
use rohrpost_client::{Client, Error, Retries};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_tests::Server;
use rohrpost_tests::load::{Numbers, Parcel, Person, client, config, fixed_port, quick_keys, runtime};

/// Senders that are held in the middle of a request.
const HELD: usize = 3;

#[test]
fn accepted_orders_are_finished() {
    let sets = [quick_keys(), vec!["limits.concurrent_orders=1".to_owned(), "log.level=warn".to_owned()]].concat();
    let mut server = Server::start(&sets.iter().map(String::as_str).collect::<Vec<_>>());
    let spools = tempfile::tempdir().unwrap();
    let (alice, bob) = (Person::of_test_pki("rsa-2048"), Person::fresh("Bob"));
    let parcels: Vec<Parcel> =
        (0..=HELD as u64).map(|seed| Parcel { seed, data: 9, attachment: Some(20_000_000) }).collect();
    let (halfway, go_on) = (Arc::new(Barrier::new(HELD + 1)), Arc::new(Barrier::new(HELD + 1)));

    let stored: Vec<Result<_, Error>> = thread::scope(|scope| {
        let store = |parcel: &Parcel, progress: Box<dyn Fn(Moved) + Send + Sync>| {
            let sender = party(&server, &alice, spools.path()).with_progress(progress);
            let id = runtime().block_on(party(&server, &alice, spools.path()).message_id()).unwrap();
            let shipment = parcel.shipment(&bob.cipher.certificate).with_message_id(id);
            scope.spawn(move || runtime().block_on(sender.store(shipment)))
        };
        let mut senders = Vec::new();
        for parcel in &parcels[..HELD] {
            let (halfway, go_on, held) = (Arc::clone(&halfway), Arc::clone(&go_on), AtomicBool::new(false));
            let hold = move |moved| match moved {
                Moved::Sent { bytes, total } if bytes * 2 > total && !held.swap(true, Ordering::Relaxed) => {
                    halfway.wait();
                    go_on.wait();
                }
                _ => {}
            };
            senders.push(store(parcel, Box::new(hold)));
        }
        halfway.wait();
        // Beside requests that are still arriving, one that is worked on.
        senders.push(store(&parcels[HELD], Box::new(|_| {})));
        wait_until(|| server.page("/metrics").contains("\nrohrpost_orders_running 1"), "an order is worked on");
        assert!(server.page("/readyz").starts_with("HTTP/1.1 200"));
        Command::new("kill").args(["-TERM", &server.pid().unwrap().to_string()]).status().unwrap();
        wait_until(|| server.page("/readyz").starts_with("HTTP/1.1 503"), "it says that it is not ready");
        go_on.wait();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    for stored in &stored {
        assert!(stored.is_ok(), "an order that was accepted was not finished: {stored:?}");
    }
    let late = runtime().block_on(party(&server, &alice, spools.path()).message_id());
    assert!(matches!(late, Err(Error::Connection(_))), "{late:?}");
    assert!(server.terminate(), "it ends with success");

    server.restart();
    let recipient = party(&server, &bob, spools.path());
    let fetched = runtime().block_on(async {
        let mut dialog = recipient.open_dialog().await.unwrap();
        let mut fetched = 0;
        while let Some(delivery) = dialog.fetch(DeliverySelection::Oldest).await.unwrap() {
            let contents = delivery.open(&[]).await.unwrap();
            assert!(parcels.iter().any(|parcel| parcel.is_in(&contents)), "it came back changed");
            fetched += 1;
        }
        fetched
    });
    assert_eq!(fetched, parcels.len());
}

/// What a sender knows of a delivery when the server has ended.
#[derive(Debug)]
enum Known {
    Stored,
    NotStored,
    /// May be repeated with this id.
    Either(MessageId),
}

#[test]
fn nothing_is_lost_when_the_server_ends_under_load() {
    let (port, url) = fixed_port(&mut Numbers::new(Numbers::seed("ROHRPOST_SHUTDOWN_SEED")));
    let sets =
        [quick_keys(), vec![port, "limits.concurrent_orders=4".to_owned(), "log.level=warn".to_owned()]].concat();
    let mut server = Server::start(&sets.iter().map(String::as_str).collect::<Vec<_>>());
    let spools = tempfile::tempdir().unwrap();
    let (alice, bob) = (Person::of_test_pki("rsa-2048"), Person::fresh("Bob"));
    let party = |person: &Person| {
        let mut config = config(&url, person, SpoolDir::new(spools.path()));
        config.retries = Retries { tries: 1, ..Retries::default() };
        client(config)
    };
    let (ended, stored) = (AtomicBool::new(false), AtomicU64::new(0));

    // Each sender goes on until it is told that nobody is there any more.
    let send = |sender: u64| {
        let client = party(&alice);
        let mut known = BTreeMap::new();
        for seed in (sender << 32).. {
            let attachment = (seed % 3 == 0).then_some(300_000);
            let parcel = Parcel { seed, data: 500, attachment };
            match runtime().block_on(client.store(parcel.shipment(&bob.cipher.certificate))) {
                Ok(_) => {
                    known.insert(seed, Known::Stored);
                    stored.fetch_add(1, Ordering::Relaxed);
                }
                Err(Error::OutcomeUnknown { message_id, .. }) => drop(known.insert(seed, Known::Either(message_id))),
                Err(Error::Busy { .. } | Error::Connection(_)) => drop(known.insert(seed, Known::NotStored)),
                Err(other) => panic!("a broken answer: {other:?}"),
            }
            if ended.load(Ordering::Relaxed) {
                return known;
            }
        }
        unreachable!("numbers do not end")
    };
    // One reads meanwhile, and acknowledges.
    let read = || {
        let client = party(&bob);
        let mut fetched = BTreeSet::new();
        while !ended.load(Ordering::Relaxed) {
            let _ = runtime().block_on(empty(&client, &mut fetched, 3));
        }
        fetched
    };
    let (mut known, mut fetched) = thread::scope(|scope| {
        let senders: Vec<_> = (1..=5)
            .map(|sender| {
                scope.spawn({
                    let send = &send;
                    move || send(sender)
                })
            })
            .collect();
        let reader = scope.spawn(read);
        wait_until(|| stored.load(Ordering::Relaxed) >= 25, "there is load");
        assert!(server.terminate(), "it ends with success");
        ended.store(true, Ordering::Relaxed);
        let known: BTreeMap<u64, Known> = senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect();
        (known, reader.join().unwrap())
    });

    server.restart();
    for (seed, known) in &mut known {
        if let Known::Either(id) = known {
            let attachment = (seed % 3 == 0).then_some(300_000);
            let parcel = Parcel { seed: *seed, data: 500, attachment };
            let again = parcel.shipment(&bob.cipher.certificate).with_message_id(id.clone());
            runtime().block_on(party(&alice).store(again)).expect("it is safe to repeat");
            *known = Known::Stored;
        }
    }
    runtime().block_on(empty(&party(&bob), &mut fetched, usize::MAX)).unwrap();
    for (seed, known) in &known {
        let was_there = fetched.contains(seed);
        assert_eq!(was_there, matches!(known, Known::Stored), "{seed:x}: {known:?}");
    }
    assert!(fetched.len() >= 25 && fetched.iter().all(|seed| known.contains_key(seed)));
}

/// Fetches and acknowledges so many deliveries, or all.
async fn empty(client: &Client, fetched: &mut BTreeSet<u64>, limit: usize) -> Result<(), Error> {
    let mut dialog = client.open_dialog().await?;
    for _ in 0..limit {
        let Some(delivery) = dialog.fetch(DeliverySelection::Oldest).await? else { break };
        let subject = delivery.card.card.subject.as_deref().unwrap();
        fetched.insert(u64::from_str_radix(subject.split(' ').nth(1).unwrap(), 16).unwrap());
    }
    dialog.exit().await
}

fn party(server: &Server, person: &Person, spools: &Path) -> Client {
    let mut config = config(server.url(), person, SpoolDir::new(spools));
    // What is accepted is finished at the first try.
    config.retries = Retries { tries: 1, ..Retries::default() };
    client(config)
}

fn wait_until(condition: impl Fn() -> bool, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 30 seconds: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
