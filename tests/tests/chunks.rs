//! Large deliveries in chunks between real processes, which are killed on either side: what is stored is always what was to be sent, once.
//!
//! `ROHRPOST_CHUNK_UPLOADS` sets the number of uploads that are killed, `ROHRPOST_KILL_SEED` repeats a run (as far as processes let it).

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic and report")]

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rohrpost_client::{Client, NewAttachment, NewContainer, Shipment, stream};
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_tests::load::{Numbers, Person, client, config, fixed_port, quick_keys, runtime};
use rohrpost_tests::{Server, binary, certs_test};
use serde_json::Value;

/// Killed uploads in an ordinary run.
const UPLOADS: u64 = 4;
/// Small, so that there are many.
const LIMITS: [&str; 2] = ["chunks.min_chunk_kib=50", "chunks.max_chunk_kib=100"];

fn server(more: &[&str]) -> Server {
    let keys = quick_keys();
    let mut sets: Vec<&str> = keys.iter().map(String::as_str).collect();
    sets.extend(LIMITS);
    sets.extend(more);
    Server::start(&sets)
}

fn bytes(numbers: &mut Numbers, count: u64) -> Vec<u8> {
    (0..count.div_ceil(4)).flat_map(|_| (numbers.below(1 << 32) as u32).to_le_bytes()).collect()
}

/// What Bob's mailbox holds, each delivery as its attachments; empty afterwards.
fn fetched(bob: &Client) -> Vec<(String, Vec<u8>)> {
    runtime().block_on(async {
        let mut dialog = bob.open_dialog().await.unwrap();
        let mut all = Vec::new();
        while let Some(delivery) = dialog.fetch(DeliverySelection::Oldest).await.unwrap() {
            let contents = delivery.open(&[]).await.unwrap();
            let mut found = Vec::new();
            stream(contents.attachments[0].bytes().unwrap()).read_to_end(&mut found).unwrap();
            all.push((delivery.message_id.to_string(), found));
        }
        dialog.exit().await.unwrap();
        all
    })
}

#[test]
fn what_is_large_goes_in_chunks_by_itself() {
    let server = server(&[]);
    let spools = tempfile::tempdir().unwrap();
    let mut alice = config(server.url(), &Person::of_test_pki("rsa-2048"), SpoolDir::new(spools.path()));
    alice.chunks.from_bytes = 1_000_000;
    let alice = client(alice);
    let bob = Person::of_test_pki("bob");
    let mut numbers = Numbers::new(7);
    for size in [1_000, 2_000_000] {
        let content = bytes(&mut numbers, size);
        let container = NewContainer::new().attachment(NewAttachment::new("scan", "application/pdf", content.clone()));
        let shipment = Shipment::to(bob.cipher.certificate.clone()).with_container(container);
        let stored = runtime().block_on(alice.store(shipment)).unwrap();
        assert!(stored.card.is_some() && !stored.repeated);
        let mailbox = client(config(server.url(), &bob, SpoolDir::new(spools.path())));
        assert!(fetched(&mailbox) == [(stored.message_id.to_string(), content)]);
        let in_chunks = server.page("/metrics").contains("PartialStoreDelivery");
        assert_eq!(in_chunks, size > 1_000_000);
    }
}

#[test]
fn uploads_killed_on_either_side_resume_to_identical_bytes() {
    let uploads = std::env::var("ROHRPOST_CHUNK_UPLOADS").map_or(UPLOADS, |text| text.parse().unwrap());
    let mut numbers = Numbers::new(Numbers::seed("ROHRPOST_KILL_SEED"));
    let (listen, url) = fixed_port(&mut numbers);
    let mut server = server(&[&listen, "log.level=warn"]);
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("pin"), "123456").unwrap();
    let bob = client(config(&url, &Person::of_test_pki("bob"), SpoolDir::new(home.path())));
    let (mut of_client, mut of_server) = (0, 0);
    for _ in 0..uploads {
        let size = 1_000_000 + numbers.below(3_000_000);
        let content = bytes(&mut numbers, size);
        fs::write(home.path().join("scan.bin"), &content).unwrap();
        for _ in 0..1 + numbers.below(3) {
            let mut sending = send(&url, home.path());
            thread::sleep(Duration::from_millis(numbers.below(700)));
            if numbers.below(2) == 0 {
                of_client += u32::from(sending.try_wait().unwrap().is_none());
                sending.kill().unwrap();
            } else {
                of_server += u32::from(sending.try_wait().unwrap().is_none());
                server.kill();
                server.restart();
            }
            let done = sending.wait_with_output().unwrap();
            if done.status.success() {
                break;
            }
        }
        // Whatever happened, the same command ends it, unless it was done already.
        let mut found = fetched(&bob);
        if found.is_empty() || home.path().join("resume").exists() {
            let done = send(&url, home.path()).wait_with_output().unwrap();
            let text = String::from_utf8(done.stdout).unwrap();
            assert!(done.status.success(), "{text}");
            let told: Value = serde_json::from_str(&text).unwrap();
            found.extend(fetched(&bob));
            assert_eq!(told["message_id"].as_str(), Some(found[0].0.as_str()));
        }
        assert_eq!(found.len(), 1, "stored once");
        assert!(found[0].1 == content, "the very bytes");
        assert!(!home.path().join("resume").exists());
    }
    eprintln!("{uploads} uploads, {of_client} kills of clients and {of_server} of servers in their midst");
    assert!(server.terminate());
}

#[test]
fn downloads_killed_on_either_side_resume_to_identical_bytes() {
    let mut numbers = Numbers::new(Numbers::seed("ROHRPOST_KILL_SEED"));
    let (listen, url) = fixed_port(&mut numbers);
    let mut server = server(&[&listen, "log.level=warn"]);
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("pin"), "123456").unwrap();
    let alice = client(config(&url, &Person::of_test_pki("alice"), SpoolDir::new(home.path())));
    let bob = Person::of_test_pki("bob").cipher.certificate;
    for round in 0..2 {
        let content = bytes(&mut numbers, 1_500_000);
        let container = NewContainer::new().attachment(NewAttachment::new("scan", "application/pdf", content.clone()));
        let stored = runtime().block_on(alice.store(Shipment::to(bob.clone()).with_container(container))).unwrap();
        let to = home.path().join(format!("to-{round}"));
        let (mut tries, mut kept) = (0, 0);
        loop {
            let mut fetching = fetch(&url, home.path(), &to);
            if tries < 3 {
                thread::sleep(Duration::from_millis(numbers.below(600)));
                if tries == 1 {
                    server.kill();
                    server.restart();
                } else {
                    fetching.kill().unwrap();
                }
            }
            let done = fetching.wait_with_output().unwrap();
            let text = String::from_utf8(done.stdout).unwrap();
            tries += 1;
            if done.status.success() || to.join(stored.message_id.as_str()).exists() {
                break;
            }
            let before = kept;
            kept = fs::metadata(home.path().join("kept")).map_or(0, |file| file.len());
            assert!(kept > 0 || before == 0, "what was fetched stays");
            assert!(tries < 10, "{text}");
        }
        let folder = fs::read_dir(&to).unwrap().next().unwrap().unwrap().path();
        assert!(fs::read(folder.join("scan")).unwrap() == content, "the very bytes");
        // A kill may have come between the files and the acknowledgement.
        let _ = fs::remove_file(home.path().join("kept"));
        fetched(&client(config(&url, &Person::of_test_pki("bob"), SpoolDir::new(home.path()))));
    }
    assert!(server.terminate());
}

fn fetch(url: &str, home: &Path, to: &Path) -> Child {
    let mut command = Command::new(binary());
    command.args(["--json", "fetch", "--url", url]);
    ours(&mut command, home, "bob");
    command.arg("--to").arg(to).arg("--resume").arg(home.join("kept"));
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Keys and certificates of one of us.
fn ours(command: &mut Command, home: &Path, name: &str) {
    let pem = |name: &str| certs_test(&format!("pem/{name}.cert.pem"));
    command.arg("--intermediary-cipher").arg(pem("intermediary-2048-cipher"));
    command.arg("--intermediary-signature").arg(pem("intermediary-2048-signature"));
    command.arg("--cipher").arg(certs_test(&format!("p12/{name}-cipher.p12")));
    command.arg("--signature").arg(certs_test(&format!("p12/{name}-signature.p12")));
    command.arg("--pin-file").arg(home.join("pin"));
}

fn send(url: &str, home: &Path) -> Child {
    let mut command = Command::new(binary());
    command.args(["--json", "send", "--url", url, "--subject", "scan"]);
    ours(&mut command, home, "alice");
    command.arg("--to").arg(certs_test("pem/bob-cipher.cert.pem"));
    command.arg("--content").arg(home.join("pin")).arg("--attach").arg(home.join("scan.bin"));
    command.arg("--resume").arg(home.join("resume"));
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().unwrap()
}
