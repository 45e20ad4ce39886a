//! Asked to end (SIGTERM), the server finishes the orders it has accepted, says on the way that it is not ready, and exits
//! with success. What it acknowledged is there afterwards.

#![allow(clippy::unwrap_used, reason = "a test may panic and report")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use rohrpost_client::transport::Moved;
use rohrpost_client::{Client, Error, Retries};
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_tests::Server;
use rohrpost_tests::load::{Parcel, Person, client, config, quick_keys, runtime};

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
        wait_until(|| get(&server, "/metrics").contains("\nrohrpost_orders_running 1"), "an order is worked on");
        assert!(get(&server, "/readyz").starts_with("HTTP/1.1 200"));
        Command::new("kill").args(["-TERM", &server.pid().unwrap().to_string()]).status().unwrap();
        wait_until(|| get(&server, "/readyz").starts_with("HTTP/1.1 503"), "it says that it is not ready");
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

fn party(server: &Server, person: &Person, spools: &Path) -> Client {
    let mut config = config(server.url(), person, SpoolDir::new(spools));
    // What is accepted is finished at the first try.
    config.retries = Retries { tries: 1, ..Retries::default() };
    client(config)
}

/// Head and body of a page of the management listener.
fn get(server: &Server, path: &str) -> String {
    let (_, address) = server.management().split_once("://").unwrap();
    let mut stream = TcpStream::connect(address.trim_end_matches('/')).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn wait_until(condition: impl Fn() -> bool, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 30 seconds: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
