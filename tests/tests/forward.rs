//! Deliveries to passive recipients through the real programs, `rohrpost serve` and `rohrpost receive`; and that no kill of either
//! side loses one, or hands one over under two message ids.
//!
//! `ROHRPOST_KILL_SEED` repeats a run (as far as threads let it), `ROHRPOST_FORWARD_KILLS` sets the number of kills.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic and report")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rohrpost_client::{Client, Error, Stored};
use rohrpost_osci::feedback::Code;
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::selection::{CardRule, CardSelection};
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_tests::load::{Numbers, Parcel, Person, certificate, client, config, fixed_port, quick_keys, runtime};
use rohrpost_tests::{Server, binary, certs_test};
use serde_json::Value;

const KILLS: u64 = 12;
const SENDERS: usize = 3;

/// `rohrpost receive` for Bob, always on the same port; killed when dropped.
struct Receiver {
    child: Option<Child>,
    home: tempfile::TempDir,
    listen: String,
    program: Option<PathBuf>,
}

impl Receiver {
    /// On the port of this URL. With a script, its files become replies.
    fn start(url: &str, script: Option<&str>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let program = script.map(|script| {
            let program = home.path().join("program");
            fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
            program
        });
        let listen = url.split('/').nth(2).unwrap().to_owned();
        let mut receiver = Self { child: None, home, listen, program };
        receiver.restart();
        receiver
    }

    fn restart(&mut self) {
        let pin = self.home.path().join("pin");
        fs::write(&pin, "123456").unwrap();
        let p12 = |name: &str| certs_test(&format!("p12/{name}.p12"));
        let mut command = Command::new(binary());
        command.args(["--json", "receive", "--listen", &self.listen]).arg("--dir").arg(self.dir());
        command.arg("--pin-file").arg(pin);
        command.arg("--cipher").arg(p12("bob-cipher")).arg("--signature").arg(p12("bob-signature"));
        command.arg("--intermediary").arg(certs_test("pem/intermediary-2048-signature.cert.pem"));
        if let Some(program) = &self.program {
            command.arg("--exec").arg(program);
        }
        self.child = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }

    fn dir(&self) -> PathBuf {
        self.home.path().join("deliveries")
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn is_listening(&self) -> bool {
        std::net::TcpStream::connect(&self.listen).is_ok()
    }

    /// The folders of deliveries: message id and the bytes of all its files together.
    fn kept(&self) -> BTreeMap<String, Vec<Vec<u8>>> {
        let entries = fs::read_dir(self.dir()).unwrap().map(|entry| entry.unwrap());
        let folders = entries.filter(|entry| entry.file_type().unwrap().is_dir()).map(|entry| entry.path());
        let whole = folders.filter(|folder| folder.join("delivery.json").exists());
        whole.map(|folder| (message_id(&folder), files(&folder))).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.kill();
    }
}

fn message_id(folder: &Path) -> String {
    let about: Value = serde_json::from_slice(&fs::read(folder.join("delivery.json")).unwrap()).unwrap();
    about["message_id"].as_str().unwrap().to_owned()
}

/// What the sender sent.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    let about: Value = serde_json::from_slice(&fs::read(folder.join("delivery.json")).unwrap()).unwrap();
    let names = about["files"].as_array().unwrap().iter().map(|file| file["file"].as_str().unwrap().to_owned());
    names.map(|name| fs::read(folder.join(name)).unwrap()).collect()
}

/// A server that forwards to this receiver.
fn server(receiver: &str, more: &[String]) -> Server {
    let forwarding = [
        format!("forwarding.receivers=[{{url=\"{receiver}\", internal=true}}]"),
        "forwarding.first_pause_seconds=1".to_owned(),
        "log.level=error".to_owned(),
    ];
    let sets = [quick_keys().as_slice(), &forwarding, more].concat();
    Server::start(&sets.iter().map(String::as_str).collect::<Vec<_>>())
}

fn client_of(url: &str, person: &Person, spools: &Path) -> Client {
    client(config(url, person, SpoolDir::new(spools)))
}

fn wait_until(condition: impl Fn() -> bool, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_delivery_reaches_a_receiver_and_its_reply_comes_back() {
    let mut numbers = Numbers::new(Numbers::seed("ROHRPOST_KILL_SEED"));
    let (_, url) = fixed_port(&mut numbers);
    let script = r#"[ -z "$ROHRPOST_REPLY" ] || printf 'granted' > "$ROHRPOST_REPLY/decision.txt""#;
    let receiver = Receiver::start(&url, Some(script));
    wait_until(|| receiver.is_listening(), "the receiver listens");
    let server = server(&url, &[]);
    let home = tempfile::tempdir().unwrap();
    let send = |more: &[&str]| {
        let pin = home.path().join("pin");
        fs::write(&pin, "123456").unwrap();
        fs::write(home.path().join("notice.xml"), "<moved/>").unwrap();
        let file = |path: &str| certs_test(path);
        let mut command = Command::new(binary());
        command.args(["--json", "send", "--url", server.url(), "--subject", "Umzug"]);
        command.arg("--intermediary-cipher").arg(file("pem/intermediary-2048-cipher.cert.pem"));
        command.arg("--intermediary-signature").arg(file("pem/intermediary-2048-signature.cert.pem"));
        command
            .arg("--cipher")
            .arg(file("p12/alice-cipher.p12"))
            .arg("--signature")
            .arg(file("p12/alice-signature.p12"));
        command.arg("--pin-file").arg(&pin).arg("--to").arg(file("pem/bob-cipher.cert.pem"));
        command.arg("--content").arg(home.path().join("notice.xml")).args(more);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
        (output.status.code(), value)
    };
    let (status, sent) = send(&["--forward", &url]);
    assert_eq!((status, &sent["received"]), (Some(0), &Value::Bool(true)), "{sent}");
    let kept = receiver.kept();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[sent["message_id"].as_str().unwrap()], [b"<moved/>".to_vec()]);

    let replies = home.path().join("replies");
    let (status, mediated) = send(&["--mediate", &url, "--reply", replies.to_str().unwrap()]);
    assert_eq!(status, Some(0), "{mediated}");
    assert!(mediated["card"]["received"].is_string(), "{mediated}");
    let folder = fs::read_dir(&replies).unwrap().next().unwrap().unwrap().path();
    let texts: Vec<_> = fs::read_dir(folder).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(texts.contains(&b"granted".to_vec()), "{texts:?}");
    assert_eq!(receiver.kept().len(), 2);

    // Nobody may have anything sent anywhere else.
    let (status, refused) = send(&["--forward", "http://127.0.0.1:9/osci"]);
    assert_eq!(status, Some(4), "{refused}");
    assert_eq!(server.metric("rohrpost_deliveries_outbound"), 0.0);
}

#[test]
fn a_sender_is_told_when_the_receiver_is_down_and_its_delivery_is_not_kept() {
    let mut numbers = Numbers::new(Numbers::seed("ROHRPOST_KILL_SEED"));
    let (_, url) = fixed_port(&mut numbers);
    let server = server(&url, &[]);
    let spools = tempfile::tempdir().unwrap();
    let (runtime, alice) = (runtime(), Person::of_test_pki("rsa-2048"));
    let client = client_of(server.url(), &alice, spools.path());
    let parcel = Parcel::any(&mut numbers);
    let refused = runtime.block_on(client.forward(&url, parcel.shipment(&certificate("bob-cipher")))).unwrap_err();
    let Error::Refused(refusal) = refused else { panic!("{refused:?}") };
    assert!(refusal.feedback.contains(Code::ForwardingFailedBeforeRecipient));
    assert_eq!(server.metric("rohrpost_deliveries_outbound"), 0.0);
}

#[test]
fn killed_on_either_side_nothing_is_lost_and_nothing_comes_under_two_ids() {
    let kills = std::env::var("ROHRPOST_FORWARD_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let mut numbers = Numbers::new(Numbers::seed("ROHRPOST_KILL_SEED"));
    let (_, receiver_url) = fixed_port(&mut numbers);
    let (listen, url) = fixed_port(&mut numbers);
    let mut receiver = Receiver::start(&receiver_url, None);
    let mut server = server(&receiver_url, &[listen, "forwarding.store_and_forward=true".to_owned()]);
    let spools = tempfile::tempdir().unwrap();
    let senders: Vec<Person> = (0..SENDERS).map(|number| Person::fresh(&format!("Sender {number}"))).collect();
    let sent: Mutex<BTreeMap<String, Parcel>> = Mutex::default();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _guard = Stop(&stop);
        for sender in &senders {
            let (numbers, client) = (numbers.fork(), client_of(&url, sender, spools.path()));
            let (sent, stop, receiver_url) = (&sent, &stop, receiver_url.as_str());
            scope.spawn(move || send(&client, receiver_url, numbers, sent, stop));
        }
        for round in 0..kills {
            let before = sent.lock().unwrap().len();
            wait_until(|| sent.lock().unwrap().len() >= before + 2, "deliveries are handed in again");
            thread::sleep(Duration::from_millis(numbers.below(400)));
            match round % 3 {
                0 => {
                    server.kill();
                    server.restart();
                }
                1 => {
                    receiver.kill();
                    thread::sleep(Duration::from_millis(numbers.below(1500)));
                    receiver.restart();
                }
                _ => {
                    server.kill();
                    receiver.kill();
                    server.restart();
                    thread::sleep(Duration::from_millis(numbers.below(500)));
                    receiver.restart();
                }
            }
        }
    });
    wait_until(|| server.metric("rohrpost_deliveries_outbound") == 0.0, "everything has been delivered");
    let (sent, kept) = (sent.into_inner().unwrap(), receiver.kept());
    for (id, parcel) in &sent {
        let files = kept.get(id).unwrap_or_else(|| panic!("{id} was accepted and never arrived"));
        assert!(parcel.is_in_files(files), "{id} came changed");
    }
    let mut contents: Vec<_> = kept.values().collect();
    contents.sort();
    contents.dedup();
    assert_eq!(contents.len(), kept.len(), "the same content came under two ids");
    // What nobody was told to be accepted may have come all the same, of each sender one delivery at most per kill.
    assert!(kept.len() <= sent.len() + SENDERS * (kills as usize + 1), "{} of {}", kept.len(), sent.len());
    // Every card says that it was received.
    let runtime = runtime();
    for sender in &senders {
        let client = client_of(server.url(), sender, spools.path());
        let ids: Vec<MessageId> = sent.keys().map(|id| MessageId::new(id.as_str()).unwrap()).collect();
        for ids in ids.chunks(50) {
            let selection = CardSelection { rule: CardRule::ByIds(ids.to_vec()), limit: None };
            let cards = runtime.block_on(client.process_cards(selection)).unwrap().cards;
            assert!(cards.iter().all(|card| card.card.reception.is_some()));
        }
    }
    assert!(server.terminate());
    eprintln!("{kills} kills, {} deliveries handed in, {} received", sent.len(), kept.len());
}

/// Hands in one delivery after the other, each until its outcome is certain.
fn send(
    client: &Client,
    receiver: &str,
    mut numbers: Numbers,
    sent: &Mutex<BTreeMap<String, Parcel>>,
    stop: &AtomicBool,
) {
    let runtime = runtime();
    let bob = certificate("bob-cipher");
    while !stop.load(Ordering::Relaxed) {
        let id = match runtime.block_on(client.message_id()) {
            Ok(id) => id,
            Err(error) if error.may_pass() => continue,
            Err(error) => panic!("{error:?}"),
        };
        let parcel = Parcel::any(&mut numbers);
        let shipment = parcel.shipment(&bob).with_message_id(id.clone());
        let stored: Stored = loop {
            match runtime.block_on(client.forward(receiver, shipment.clone())) {
                Ok(stored) => break stored,
                Err(Error::OutcomeUnknown { .. }) => {}
                Err(error) if error.may_pass() => {}
                Err(error) => panic!("{error:?}"),
            }
        };
        assert_eq!(stored.message_id, id);
        sent.lock().unwrap().insert(id.as_str().to_owned(), parcel);
    }
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
