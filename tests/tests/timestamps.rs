//! Cryptographic time stamps through `rohrpost serve`, with OpenSSL as the service, and with services that do everything they should
//! not.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rohrpost_client::{Client, Shipment};
use rohrpost_crypto::{Curve, PrivateKey, SystemRandom, sha256};
use rohrpost_intermediary::{RFC_3161, stamped_text};
use rohrpost_osci::card::{ProcessCard, Timestamp};
use rohrpost_osci::header::TimestampQuality::{Cryptographic, Plain};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::selection::{CardRule, CardSelection, DeliverySelection};
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_pki::issue::{Authority, Name, Template, Validity};
use rohrpost_pki::timestamp::TimestampTrust;
use rohrpost_pki::{Anchors, pem};
use rohrpost_store::{SqliteReader, StampedEvent};
use rohrpost_tests::Server;
use rohrpost_tests::load::{Person, certificate, client, config, now, quick_keys};
use tempfile::TempDir;

/// What the service does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Proper,
    /// Always the first answer it gave.
    Replay,
    Garbage,
    Redirect,
    Endless,
    Silent,
}

/// A time-stamp service on a port of its own, for as long as the process lives: HTTP in front of `openssl ts -reply`.
struct Service {
    folder: TempDir,
    address: SocketAddr,
    root: Authority,
    mode: Arc<Mutex<Mode>>,
}

impl Service {
    fn start(mode: Mode) -> Self {
        let folder = TempDir::new().unwrap();
        let key = || PrivateKey::generate_ec(Curve::P256).unwrap();
        let name = |common: &str| Name::new().common_name(common);
        let validity = Validity::new(now() - time::Duration::days(1), now() + time::Duration::days(30));
        let root = Authority::root(&Template::authority(name("Root"), validity, None), key(), &SystemRandom).unwrap();
        let stamps =
            root.subordinate(&Template::time_stamping(name("Stamps"), validity), key(), &SystemRandom).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("root.pem", &pem::write_certificate(root.certificate()));
        write("tsa.pem", &pem::write_certificate(stamps.certificate()));
        write("tsa.key", &pem::write(pem::PRIVATE_KEY, &stamps.key().to_pkcs8_der()));
        write(
            "tsa.cnf",
            "[tsa]\ndefault_tsa = t\n[t]\nserial = serial\ncrypto_device = builtin\nsigner_cert = tsa.pem\nsigner_key = tsa.key\n\
             signer_digest = sha256\ndefault_policy = 1.2.3.4.1\ndigests = sha256\ness_cert_id_alg = sha256\n",
        );
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, mode) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(mode)));
        let (path, told) = (folder.path().to_owned(), Arc::clone(&mode));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mode = *told.lock().unwrap();
                // The other side may have gone; that is its business.
                drop(answer(stream, mode, &path));
            }
        });
        Self { folder, address, root, mode }
    }

    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    fn settings(&self, down: &str) -> Vec<String> {
        let mut settings = quick_keys().to_vec();
        settings.extend([
            format!("timestamps.url=http://{}/tsa", self.address),
            format!("timestamps.authorities=[\"{}\"]", self.folder.path().join("root.pem").display()),
            "timestamps.internal=true".to_owned(),
            "timestamps.answer_seconds=2".to_owned(),
            "timestamps.retry_seconds=1".to_owned(),
            format!("timestamps.service_down={down}"),
            "log.level=error".to_owned(),
        ]);
        settings
    }

    fn serve(&self, down: &str) -> Server {
        let settings = self.settings(down);
        Server::start(&settings.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Demands what an auditor demands: the stamp on the card is one of what card and log say.
    fn check(&self, server: &Server, id: &MessageId, stamp: &Timestamp, event: StampedEvent) {
        let Timestamp::Cryptographic { algorithm, token } = stamp else { panic!("{stamp:?}") };
        assert_eq!(algorithm, RFC_3161);
        let reader = SqliteReader::open(&server.data()).unwrap();
        let leaves: Vec<_> =
            reader.prove(id).unwrap().iter().map(|proof| rohrpost_audit::Leaf::parse(&proof.record).unwrap()).collect();
        let card = reader.card(id).unwrap().unwrap();
        let time = match event {
            StampedEvent::Creation => card.created,
            StampedEvent::Reception => card.received.unwrap(),
        };
        let text = stamped_text(event, id, time, &leaves[0].commitments);
        let mut anchors = Anchors::new();
        anchors.add(self.root.certificate().clone()).unwrap();
        TimestampTrust::new(anchors).verify(token, &sha256(text.as_bytes())).unwrap();
        // And what they demand who have nothing but OpenSSL.
        let file = |name: &str, bytes: &[u8]| fs::write(self.folder.path().join(name), bytes).unwrap();
        file("text", text.as_bytes());
        file("token", token);
        let args = ["ts", "-verify", "-data", "text", "-in", "token", "-token_in", "-CAfile", "root.pem"];
        let verified = Command::new("openssl").args(args).current_dir(self.folder.path()).output().unwrap();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    }
}

fn answer(mut stream: TcpStream, mode: Mode, folder: &Path) -> std::io::Result<()> {
    let (mut head, mut octet) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut octet)?;
        head.push(octet[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("post /tsa ") && head.contains("content-type: application/timestamp-query"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut question = vec![0; length.unwrap()];
    stream.read_exact(&mut question)?;
    let reply = "HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\n";
    let body = match mode {
        Mode::Proper => stamp(folder, &question),
        Mode::Replay if folder.join("answer.tsr").exists() => fs::read(folder.join("answer.tsr"))?,
        Mode::Replay => stamp(folder, &question),
        Mode::Garbage => b"no stamp".to_vec(),
        Mode::Redirect => {
            return stream.write_all(b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n");
        }
        Mode::Endless => {
            stream.write_all(format!("{reply}\r\n").as_bytes())?;
            loop {
                stream.write_all(&[0; 4096])?;
            }
        }
        Mode::Silent => {
            // Until the other side has had enough.
            return stream.read_exact(&mut octet);
        }
    };
    stream.write_all(format!("{reply}Content-Length: {}\r\n\r\n", body.len()).as_bytes())?;
    stream.write_all(&body)
}

fn stamp(folder: &Path, question: &[u8]) -> Vec<u8> {
    fs::write(folder.join("question.tsq"), question).unwrap();
    let args = ["ts", "-reply", "-config", "tsa.cnf", "-queryfile", "question.tsq", "-out", "answer.tsr"];
    let done = Command::new("openssl").args(args).current_dir(folder).output();
    let done = done.expect("this test needs the openssl command");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    fs::read(folder.join("answer.tsr")).unwrap()
}

fn person(server: &Server, name: &str, spools: &Path) -> Client {
    client(config(server.url(), &Person::of_test_pki(name), SpoolDir::new(PathBuf::from(spools))))
}

fn wanting() -> Shipment {
    Shipment::to(certificate("bob-cipher")).with_timestamps(Cryptographic, Cryptographic)
}

/// The card of a delivery as soon as it is as wanted.
async fn card(client: &Client, id: &MessageId, wanted: impl Fn(&ProcessCard) -> bool) -> ProcessCard {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let selection = CardSelection { rule: CardRule::ByIds(vec![id.clone()]), limit: None };
        let card = client.process_cards(selection).await.unwrap().cards.remove(0).card;
        if wanted(&card) {
            return card;
        }
        assert!(Instant::now() < deadline, "{card:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn is_cryptographic(stamp: &Option<Timestamp>) -> bool {
    matches!(stamp, Some(Timestamp::Cryptographic { .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_stamps_creation_and_reception() {
    let (service, spools) = (Service::start(Mode::Proper), TempDir::new().unwrap());
    let server = service.serve("refuse");
    let (alice, bob) = (person(&server, "alice", spools.path()), person(&server, "bob", spools.path()));
    let stored = alice.store(wanting()).await.unwrap();
    let (id, creation) = (stored.message_id, stored.card.unwrap().card.creation.unwrap());
    service.check(&server, &id, &creation, StampedEvent::Creation);
    let mut dialog = bob.open_dialog().await.unwrap();
    let delivery = dialog.fetch(DeliverySelection::Oldest).await.unwrap().unwrap();
    assert_eq!(delivery.card.card.creation, Some(creation.clone()));
    dialog.acknowledge().await.unwrap();
    dialog.exit().await.unwrap();
    let card = card(&alice, &id, |card| is_cryptographic(&card.reception)).await;
    service.check(&server, &id, card.reception.as_ref().unwrap(), StampedEvent::Reception);
    assert_eq!(card.creation, Some(creation));
    assert!(matches!(card.forwarding, Some(Timestamp::Plain(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_stamp_is_none() {
    let (service, spools) = (Service::start(Mode::Proper), TempDir::new().unwrap());
    for mode in [Mode::Replay, Mode::Garbage, Mode::Redirect, Mode::Endless, Mode::Silent] {
        // A server of its own: this one would leave the service alone after some failures.
        service.set(Mode::Proper);
        let server = service.serve("refuse");
        let alice = person(&server, "alice", spools.path());
        alice.store(wanting()).await.unwrap();
        service.set(mode);
        let refused = alice.store(wanting()).await.unwrap_err();
        let codes: Vec<_> =
            refused.codes().into_iter().filter_map(|code| code.known()).map(|code| code.number()).collect();
        assert_eq!(codes, [9811], "{mode:?}");
        alice.store(Shipment::to(certificate("bob-cipher")).with_timestamps(Plain, Plain)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missed_is_made_up_for_even_after_a_kill() {
    let (service, spools) = (Service::start(Mode::Garbage), TempDir::new().unwrap());
    let mut server = service.serve("later");
    let alice = person(&server, "alice", spools.path());
    let stored = alice.store(wanting()).await.unwrap();
    let (id, first) = (stored.message_id, stored.card.unwrap().card);
    assert!(matches!(first.creation, Some(Timestamp::Plain(_))), "never taken for more than it is");
    server.kill();
    service.set(Mode::Proper);
    server.restart();
    let alice = person(&server, "alice", spools.path());
    let amended = card(&alice, &id, |card| is_cryptographic(&card.creation)).await;
    service.check(&server, &id, amended.creation.as_ref().unwrap(), StampedEvent::Creation);
    assert!(amended.recent_modification.at() > first.recent_modification.at());
}
