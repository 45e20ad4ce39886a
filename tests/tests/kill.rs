//! The real process is killed with SIGKILL at random moments under load, again and again. Nothing that it acknowledged is
//! lost or doubled, every process card agrees with what clients saw, and the log can be verified and has one entry per
//! change. Some kills aim at the moments in which a message of 100 MB is being received, decrypted or made durable.
//!
//! `ROHRPOST_KILL_SEED` repeats a run (as far as threads let it), `ROHRPOST_KILLS` sets the number of kills.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    unreachable_pub,
    missing_docs,
    reason = "a test may panic and report"
)]

mod kill {
    pub mod actors;
    pub mod disk;
    pub mod ledger;
    pub mod log;
    pub mod reckoning;
}

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kill::actors::{Scene, read_cards, receive, send, send_huge};
use kill::disk;
use kill::log::Auditor;
use kill::reckoning;
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_tests::load::{Numbers, Parcel, Person, client, config, fixed_port, quick_keys, runtime};
use rohrpost_tests::{Server, binary};

const KILLS: u64 = 20;
/// Of so many kills, one after the other, [`AIMED`] hit a huge delivery on its way in.
const CYCLE: u64 = 20;
const AIMED: std::ops::Range<u64> = 8..13;
const SENDERS: usize = 3;
const MAILBOXES: usize = 2;

#[test]
fn killed_under_load_it_loses_and_doubles_nothing() {
    let kills = std::env::var("ROHRPOST_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let mut numbers = Numbers::new(Numbers::seed("ROHRPOST_KILL_SEED"));
    let (listen, url) = fixed_port(&mut numbers);
    let mut server = start(&[listen, "log.level=warn".to_owned()]);
    let began = Instant::now();
    let spools = tempfile::tempdir().unwrap();
    let scene = Scene::new(url, SpoolDir::new(spools.path()), SENDERS, MAILBOXES);
    let mut auditor = Auditor::new(&server);
    let (stop, mut aimed) = (AtomicBool::new(false), disk::Aimed::default());
    thread::scope(|scope| {
        // If anything panics here, the threads must end all the same.
        let _guard = Stop(&stop);
        let (scene, stop) = (&scene, &stop);
        for number in 0..SENDERS {
            let numbers = numbers.fork();
            scope.spawn(move || send(scene, number, numbers, stop));
        }
        for number in 0..MAILBOXES {
            let numbers = numbers.fork();
            scope.spawn(move || receive(scene, number, numbers, stop));
        }
        let readers = numbers.fork();
        scope.spawn(move || read_cards(scene, readers, stop));
        let mut huge: Option<thread::ScopedJoinHandle<'_, ()>> = None;
        for round in 0..kills {
            let before = scene.ledger.stored();
            wait_until(|| scene.ledger.stored() >= before + 2, "deliveries are stored again");
            auditor.keep_checkpoint(&server);
            if AIMED.contains(&(round % CYCLE)) {
                if huge.as_ref().is_none_or(thread::ScopedJoinHandle::is_finished) {
                    let numbers = numbers.fork();
                    huge = Some(scope.spawn(move || send_huge(scene, numbers)));
                }
                aimed.take_aim(&server, numbers.below(220) * 1_000_000, huge.as_ref());
            } else {
                thread::sleep(Duration::from_millis(numbers.below(600)));
            }
            server.kill();
            if round % 3 == 2 {
                start_and_kill(&server, Duration::from_millis(numbers.below(150)));
            }
            let left_behind = disk::bytes_in(&server.data().join("incoming"));
            server.restart();
            aimed.freed += disk::expect_freed(&server.data(), left_behind, scene.ledger.bytes_sent());
        }
        let before = scene.ledger.stored();
        wait_until(|| scene.ledger.stored() >= before + 3, "deliveries are stored at last");
        if let Some(huge) = huge {
            wait_until(|| huge.is_finished(), "the huge delivery is stored");
        }
    });
    let load = began.elapsed();
    reckoning::cards(&scene);
    reckoning::contents(&scene);
    reckoning::cards(&scene);
    auditor.keep_checkpoint(&server);
    let leaves = auditor.verify(&server);
    reckoning::log(&scene, &leaves);
    assert!(server.terminate(), "it ends with success when asked to");
    reckoning::files(&scene, &server.data());
    eprintln!(
        "{kills} kills ({aimed}), {} log entries, {}; {:.1} s of load, {:.1} s in all",
        leaves.len(),
        scene.ledger,
        load.as_secs_f64(),
        began.elapsed().as_secs_f64()
    );
}

#[test]
fn killed_while_it_starts_for_the_first_time_it_starts_the_next_time() {
    let mut numbers = Numbers::new(Numbers::seed("ROHRPOST_KILL_SEED"));
    let person = Person::of_test_pki("rsa-2048");
    let spools = tempfile::tempdir().unwrap();
    for _ in 0..4 {
        // The server whose first start is killed has a folder of its own; this one lends it the rest of its configuration.
        let mut server = start(&["log.level=warn".to_owned()]);
        server.kill();
        std::fs::remove_dir_all(server.data()).unwrap();
        for _ in 0..3 {
            start_and_kill(&server, Duration::from_micros(numbers.below(120_000)));
        }
        server.restart();
        let client = client_of(&server, &person, spools.path());
        let parcel = Parcel::any(&mut numbers);
        let stored = runtime().block_on(client.store(parcel.shipment(&person.cipher.certificate))).unwrap();
        assert!(!stored.repeated);
        server.kill();
        // The keys made before are still the same: the log goes on, ids are still known.
        server.restart();
        let client = client_of(&server, &person, spools.path());
        let again = parcel.shipment(&person.cipher.certificate).with_message_id(stored.message_id);
        assert!(runtime().block_on(client.store(again)).unwrap().repeated);
    }
}

fn client_of(server: &Server, person: &Person, spools: &std::path::Path) -> rohrpost_client::Client {
    client(config(server.url(), person, SpoolDir::new(spools)))
}

fn start(sets: &[String]) -> Server {
    let sets = [quick_keys().as_slice(), sets].concat();
    Server::start(&sets.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Starts a process on the data of a server that is not running, and kills it before it is ready, or just after.
fn start_and_kill(server: &Server, after: Duration) {
    let mut child = Command::new(binary())
        .args(["--json", "serve"])
        .args(server.config_args())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    thread::sleep(after);
    assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
    child.kill().unwrap();
    child.wait().unwrap();
}

fn wait_until(condition: impl Fn() -> bool, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
