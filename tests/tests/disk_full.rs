//! A full disk is survived: deliveries are refused, everything else goes on, and with space comes back what was refused. On a real
//! small file system, which a test may only make as root or where user namespaces are allowed.

#![allow(clippy::unwrap_used, reason = "a test may panic and report")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rohrpost_client::{Client, Error, Retries};
use rohrpost_osci::selection::{CardSelection, DeliverySelection};
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_tests::Server;
use rohrpost_tests::load::{Parcel, Person, client, config, quick_keys, runtime};
use tempfile::TempDir;

const SIZE: u64 = 48 << 20;
const RESERVE: u64 = 12 << 20;

/// A small file system, gone with this value.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// Nothing if the process may not mount.
    fn new() -> Option<Self> {
        let mount_point = tempfile::tempdir().unwrap();
        let options = format!("size={SIZE},mode=700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(mount_point.path())
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(mount_point))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes space until so many bytes are left, or, for none, until nothing more fits.
    fn fill(&self, left: u64) {
        let mut file = File::create(self.ballast()).unwrap();
        let spools = SpoolDir::new(self.path());
        while spools.free().unwrap() > left {
            let piece = vec![1; usize::try_from((spools.free().unwrap() - left).clamp(4096, 1 << 20)).unwrap()];
            if file.write_all(&piece).is_err() {
                break;
            }
        }
    }

    fn make_space(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

/// Set where a user namespace was entered to mount.
const IN_NAMESPACE: &str = "ROHRPOST_TEST_IN_NAMESPACE";

#[test]
fn a_full_disk_is_survived() {
    if let Some(disk) = SmallDisk::new() {
        return survived(&disk);
    }
    // Not root: the same once more as the root of a namespace of its own.
    let may_enter = Command::new("unshare").args(["--mount", "--map-root-user", "true"]).stderr(Stdio::null()).status();
    if std::env::var_os(IN_NAMESPACE).is_some() || !may_enter.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: neither root nor user namespaces may mount a file system here; nothing was shown");
        return;
    }
    let again = Command::new("unshare")
        .args(["--mount", "--map-root-user"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "a_full_disk_is_survived", "--nocapture"])
        .env(IN_NAMESPACE, "1")
        .status();
    assert!(again.unwrap().success());
}

fn survived(disk: &SmallDisk) {
    let data = disk.path().join("data");
    let own = [format!("storage.directory={}", data.display()), format!("storage.reserve_bytes={RESERVE}")];
    let sets = [quick_keys(), own.to_vec(), vec!["log.level=off".to_owned()]].concat();
    let server = Server::start(&sets.iter().map(String::as_str).collect::<Vec<_>>());
    let spools = tempfile::tempdir().unwrap();
    let (alice, bob) = (Person::of_test_pki("rsa-2048"), Person::fresh("Bob"));
    let (sender, recipient) = (party(&server, &alice, spools.path()), party(&server, &bob, spools.path()));
    let store = |seed, attachment| {
        let parcel = Parcel { seed, data: 1000, attachment };
        runtime().block_on(sender.store(parcel.shipment(&bob.cipher.certificate)))
    };
    assert!(store(1, None).is_ok() && store(2, Some(2_000_000)).is_ok() && store(3, None).is_ok());

    // Below the reserve: deliveries are refused, small ones by the order, large ones before they are read.
    disk.fill(RESERVE - 65536);
    let Err(Error::Refused(refusal)) = store(4, None) else { panic!("no feedback") };
    assert!(refusal.to_string().contains("9811"), "{refusal}");
    let large = store(5, Some(2_000_000));
    assert!(matches!(large, Err(Error::Busy { retry_after: Some(_), .. })), "{large:?}");
    assert!(server.metric("rohrpost_disk_free_bytes") < server.metric("rohrpost_disk_reserve_bytes"));
    assert_eq!(server.metric(r#"rohrpost_requests_refused_total{cause="no_space"}"#), 1.0);
    // All the rest goes on: fetching, also what is large, acknowledging, cards and the log.
    let logged = server.metric("rohrpost_log_entries");
    assert_eq!(fetch(&recipient), [1, 2]);
    let cards = runtime().block_on(recipient.process_cards(CardSelection::default())).unwrap();
    assert_eq!(cards.cards.iter().filter(|card| card.card.reception.is_some()).count(), 2);
    assert!(server.metric("rohrpost_log_entries") >= logged + 4.0, "handed out and received, twice");

    // Nothing fits any more: whatever cannot be done is refused, and nothing is lost.
    disk.fill(0);
    for seed in 6..12 {
        assert!(store(seed, Some(200_000 * (seed % 2))).is_err());
    }

    // With space everything is as before, without a restart.
    disk.make_space();
    assert!(store(12, Some(1_000_000)).is_ok());
    assert_eq!(fetch(&recipient), [3, 12]);
    let (code, text) = verify_log(&server);
    assert_eq!(code, Some(0), "{text}");
}

fn party(server: &Server, person: &Person, spools: &Path) -> Client {
    let mut config = config(server.url(), person, SpoolDir::new(spools));
    config.retries = Retries { tries: 1, ..Retries::default() };
    client(config)
}

/// The seeds of the next two deliveries, which are acknowledged.
fn fetch(recipient: &Client) -> Vec<u64> {
    runtime().block_on(async {
        let mut dialog = recipient.open_dialog().await.unwrap();
        let mut seeds = Vec::new();
        for _ in 0..2 {
            let delivery = dialog.fetch(DeliverySelection::Oldest).await.unwrap().expect("a delivery");
            let subject = delivery.card.card.subject.unwrap();
            let seed = subject.split(' ').nth(1).unwrap();
            seeds.push(u64::from_str_radix(seed, 16).unwrap());
        }
        dialog.exit().await.unwrap();
        seeds
    })
}

fn verify_log(server: &Server) -> (Option<i32>, String) {
    let out = tempfile::tempdir().unwrap();
    let (export, key) = (out.path().join("log").display().to_string(), out.path().join("key").display().to_string());
    let config = server.config_args();
    let run = |args: &[&str]| {
        let all: Vec<&str> = args.iter().copied().chain(config.iter().map(String::as_str)).collect();
        rohrpost_tests::run(&all)
    };
    assert_eq!(run(&["audit", "export", "--to", &export]).0, Some(0));
    assert_eq!(run(&["audit", "checkpoint", "--key-to", &key]).0, Some(0));
    rohrpost_tests::run(&["audit", "verify", &export, "--key", &key])
}
