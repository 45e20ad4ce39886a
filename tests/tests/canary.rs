//! Strings that occur nowhere else travel through the whole stack as subject, content, file name, header, PIN and key. None
//! of them may come out where operators, monitoring and auditors look: log (everything, in both formats), standard
//! output, metrics and the exported message log. Neither may the log of the requesting side hold them.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic and report")]

mod canary {
    pub(super) mod birds;
    pub(super) mod malformed;
    pub(super) mod process;
}

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use canary::birds::Flock;
use canary::malformed;
use canary::process::Process;
use rohrpost_client::transport::Tls;
use rohrpost_client::{Client, NewAttachment, NewContainer, Shipment};
use rohrpost_osci::header::CustomBlock;
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::selection::{CardSelection, DeliverySelection};
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_pki::pkcs12::{self, Pin};
use rohrpost_tests::load::{Person, client, config, key_entry, runtime};
use rohrpost_tests::{Server, binary, certs_test, run};
use tokio::runtime::Runtime;

const PIN: &str = "kanari0pin9c4e";

#[test]
fn what_is_confidential_stays_so() {
    let directory = tempfile::tempdir().unwrap();
    let sets = settings(directory.path());
    let mut server = Server::start(&sets.iter().map(String::as_str).collect::<Vec<_>>());
    server.kill();
    let own_log = OwnLog::start();
    for format in ["text", "json"] {
        let mut flock = secrets(&server.data());
        let process = Process::start(&server, format);
        let scene = Scene::new(&process, directory.path(), format);
        let message_id = scene.play(&mut flock, &process);
        let mut heard = vec![("own log", own_log.take()), ("metrics", process.metrics().into_bytes())];
        let health = ["/readyz", "/healthz", "/nowhere"].map(|path| process.get(path));
        assert!(health[0].starts_with("HTTP/1.1 200"), "{}", health[0]);
        heard.push(("health", health.concat().into_bytes()));
        heard.extend(audit(&server, directory.path(), format, &message_id));
        heard.extend(process.end());
        let find = |name: &str| &heard.iter().find(|(what, _)| *what == name).unwrap().1;
        let log = String::from_utf8_lossy(find("standard error"));
        assert!(log.contains("StoreDelivery") && log.contains("DEBUG"), "the log was not listened to: {log}");
        assert!(String::from_utf8_lossy(find("export")).contains(&message_id), "the export was not read");
        assert!(find("metrics").len() > 1000 && !find("standard output").is_empty() && !find("own log").is_empty());
        for (place, bytes) in &heard {
            let found = flock.heard_in(bytes);
            assert!(found.is_empty(), "{format}, {place}: {found:#?}");
        }
    }
}

/// Commands print what people ask for, and never how the keys are kept.
#[test]
fn the_command_line_tells_neither_pin_nor_keys_nor_content() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let sets = settings(directory.path());
    let server = Server::start(&sets.iter().map(String::as_str).collect::<Vec<_>>());
    let mut flock = secrets(&server.data());
    for name in ["alice-cipher", "alice-signature", "bob-cipher", "bob-signature"] {
        fs::write(path(name), pkcs12::store(&key_entry(name), name, &Pin::from(PIN)).unwrap()).unwrap();
    }
    let wrong_pin = flock.hatch("wrong PIN");
    fs::write(path("wrong-pin"), wrong_pin.bytes()).unwrap();
    fs::write(path("note.xml"), format!("<note>{}</note>", flock.hatch("content").text())).unwrap();
    fs::write(path("form.txt"), flock.hatch("file").text()).unwrap();

    let party = |name: &str, pin: &str| {
        let mut args = vec!["--url".to_owned(), server.url().to_owned(), "--intermediary-cipher".into()];
        args.push(certs_test("pem/intermediary-2048-cipher.cert.pem").display().to_string());
        args.extend(["--cipher".to_owned(), path(&format!("{name}-cipher"))]);
        args.extend(["--signature".to_owned(), path(&format!("{name}-signature"))]);
        args.extend(["--pin-file".to_owned(), path(pin)]);
        args
    };
    let bob = certs_test("pem/bob-cipher.cert.pem").display().to_string();
    let send = ["send", "--to", &bob, "--reader", &bob, "--subject", "s", "--content"].map(str::to_owned);
    let send = [&send[..], &[path("note.xml"), "--attach".into(), path("form.txt")]].concat();
    let fetch = ["fetch".to_owned(), "--to".into(), path("fetched")];
    let cards = ["cards".to_owned()];
    let inspect = ["certs", "inspect", &path("alice-cipher"), "--pin-file"].map(str::to_owned);
    let check = [&["config".to_owned(), "check".into()], server.config_args().as_slice()].concat();
    let wrong = |role: &str| ["--set".to_owned(), format!("keys.{role}.pin_file={}", path("wrong-pin"))];
    let commands = [
        (0, [&send[..], &party("alice", "pin")].concat()),
        (0, [&cards[..], &party("alice", "pin")].concat()),
        (0, [&fetch[..], &party("bob", "pin")].concat()),
        (0, [&inspect[..], &[path("pin")]].concat()),
        (0, check.clone()),
        (2, [&send[..], &party("alice", "wrong-pin")].concat()),
        (2, [&fetch[..], &party("bob", "wrong-pin")].concat()),
        (2, [&inspect[..], &[path("wrong-pin")]].concat()),
        (2, [&check[..], &wrong("cipher")].concat()),
    ];
    for (code, args) in commands {
        for json in [&[][..], &["--json"]] {
            let ended = Command::new(binary()).args(json).args(&args).env("RUST_LOG", "trace").output().unwrap();
            let said = [ended.stdout, ended.stderr].concat();
            let found = flock.heard_in(&said);
            assert!(found.is_empty(), "{args:?}: {found:#?}");
            // What was fetched once is not there again.
            let fetched_again = args[0] == "fetch" && ended.status.code() == Some(5) && !json.is_empty();
            let said = String::from_utf8_lossy(&said);
            assert!(ended.status.code() == Some(code) || fetched_again, "{args:?}: {said}");
        }
    }
}

/// The intermediary's keys in files with our PIN, HTTPS beside HTTP.
fn settings(directory: &Path) -> Vec<String> {
    let pin_file = directory.join("pin");
    fs::write(&pin_file, PIN).unwrap();
    let mut sets = vec!["https.listen=[\"127.0.0.1:0\"]".to_owned(), "log.level=warn".to_owned()];
    for file in ["certificate=pem/localhost.cert.pem", "key=pem/localhost.key.pem"] {
        let (key, path) = file.split_once('=').unwrap();
        sets.push(format!("https.{key}={}", certs_test(path).display()));
    }
    for role in ["cipher", "signature"] {
        let entry = key_entry(&format!("intermediary-2048-{role}"));
        let file = directory.join(format!("{role}.p12"));
        fs::write(&file, pkcs12::store(&entry, "intermediary", &Pin::from(PIN)).unwrap()).unwrap();
        sets.push(format!("keys.{role}.pkcs12={}", file.display()));
        sets.push(format!("keys.{role}.pin_file={}", pin_file.display()));
    }
    sets
}

/// PIN, private keys of both sides and of TLS, and the secrets the server made for itself.
fn secrets(data: &Path) -> Flock {
    let mut flock = Flock::default();
    flock.add("PIN", PIN.as_bytes());
    for name in ["intermediary-2048-cipher", "intermediary-2048-signature", "localhost", "alice-cipher", "bob-cipher"] {
        let entry = key_entry(name);
        flock.add_key(name, &entry.key.to_pkcs8_der(), entry.certificate.der());
    }
    for name in ["audit-signing.key", "message-id.key"] {
        flock.add_key(name, &fs::read(data.join(name)).unwrap(), &[]);
    }
    flock
}

/// Every export and proof the auditor gets.
fn audit(server: &Server, directory: &Path, format: &str, message_id: &str) -> Vec<(&'static str, Vec<u8>)> {
    let to = directory.join(format!("export-{format}"));
    let command = |args: &[&str]| {
        let mut all: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        all.extend(server.config_args());
        let (code, output) = run(&all.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(code, Some(0), "{args:?}: {output}");
        output.into_bytes()
    };
    let printed = ["export", "--to", to.to_str().unwrap()];
    let printed = [
        command(&[&["audit"], printed.as_slice()].concat()),
        command(&["audit", "prove", message_id]),
        command(&["--json", "audit", "prove", message_id]),
        command(&["audit", "checkpoint"]),
    ];
    let mut files = Vec::new();
    let mut folders = vec![to];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.extend(fs::read(path).unwrap());
            }
        }
    }
    vec![("export", files), ("audit commands", printed.concat())]
}

struct Scene {
    runtime: Runtime,
    alice: Person,
    bob: Person,
    sender: Client,
    recipient: Client,
    spools: SpoolDir,
}

impl Scene {
    fn new(process: &Process, directory: &Path, format: &str) -> Self {
        let folder = directory.join(format!("spools-{format}"));
        fs::create_dir(&folder).unwrap();
        let spools = SpoolDir::new(folder);
        let (alice, bob) = (Person::of_test_pki("alice"), Person::of_test_pki("bob"));
        let party = |url: &str, person| {
            let mut config = config(url, person, spools.clone());
            let authorities = ["ca/root-ca.cert.pem", "ca/transport-ca.cert.pem"].map(|path| {
                rohrpost_pki::pem::certificates(&fs::read(certs_test(path)).unwrap()).unwrap().swap_remove(0)
            });
            config.tls = Some(Tls::trusting(authorities.into()));
            client(config)
        };
        let (sender, recipient) = (party(&process.https_url(), &alice), party(&process.http_url(), &bob));
        Self { runtime: runtime(), alice, bob, sender, recipient, spools }
    }

    /// Everything that happens in a day of an intermediary. Returns the id of a delivery that was stored.
    fn play(&self, flock: &mut Flock, process: &Process) -> String {
        let stored = self.store(flock, false);
        self.store(flock, true);
        let again = Shipment::to(self.bob.cipher.certificate.clone())
            .with_subject(flock.hatch("subject of a second try").text())
            .with_message_id(MessageId::new(stored.as_str()).unwrap())
            .with_container(NewContainer::new().data(flock.hatch("content of a second try").text()));
        let refused = self.runtime.block_on(self.sender.store(again)).unwrap_err();
        tell(&refused);
        self.fetch();
        self.malformed(flock, process);
        stored
    }

    fn store(&self, flock: &mut Flock, sealed: bool) -> String {
        let attachment = [flock.hatch("file").bytes(), &[b'x'; 100_000]].concat();
        let name = format!("{} ü.txt", flock.hatch("file name").text());
        let mut container = NewContainer::new()
            .data(format!("<note>{}</note>", flock.hatch("content").text()))
            .attachment(NewAttachment::new(name, "text/plain", attachment));
        if sealed {
            container =
                container.signed_by(self.alice.signature.clone()).sealed_for(self.bob.cipher.certificate.clone());
        }
        let header = format!(r#"<a:Meta xmlns:a="urn:a" Id="meta">{}</a:Meta>"#, flock.hatch("header").text());
        let shipment = Shipment::to(self.bob.cipher.certificate.clone())
            .with_subject(flock.hatch("subject").text())
            .with_header(CustomBlock::new(header).unwrap())
            .with_container(container);
        tell(&shipment);
        let stored = self.runtime.block_on(self.sender.store(shipment)).unwrap();
        tell(&stored);
        stored.message_id.as_str().to_owned()
    }

    fn fetch(&self) {
        let all = async {
            let mut dialog = self.recipient.open_dialog().await?;
            while let Some(delivery) = dialog.fetch(DeliverySelection::Oldest).await? {
                tell(&delivery);
                let contents = delivery.open(&[]).await?;
                tell(&contents);
                assert_eq!(contents.attachments.len(), 1);
                dialog.acknowledge().await?;
            }
            tell(&dialog.cards(CardSelection::default()).await?);
            dialog.exit().await
        };
        self.runtime.block_on(all).unwrap();
    }

    /// Whatever is refused is explained in the log, and must not be quoted there.
    fn malformed(&self, flock: &mut Flock, process: &Process) {
        for (name, bytes) in malformed::requests(flock, &self.alice, &self.bob, &self.message_ids()) {
            let answer = process.post(&self.runtime, &Spool::from_bytes(bytes), &self.spools);
            match answer {
                Ok(answer) => {
                    let found = flock.heard_in(&answer);
                    assert!(found.is_empty(), "{name}: the answer says {found:#?}");
                }
                Err(error) => tell(&error),
            }
        }
        // The words for errors of HTTP quote nothing of the request either.
        let http = flock.hatch("something in HTTP").text();
        let head =
            |line: &str, fields: &str| format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}\r\n\r\n");
        let mut requests = vec![http.clone(), head(&format!("GET /{http}"), &format!("{http}: {http}"))];
        for accept in ["text/plain", "application/json"] {
            let accept = format!("Accept: {accept}, x/{http}\r\n");
            requests.push(head(&format!("{http} /osci"), &accept));
            requests.push(head(&format!("GET /osci?{http}"), &accept));
            requests.push(head(&format!("GET /osci/{http}?{http}#{http}"), &accept));
            requests.push(head("POST /osci", &format!("{accept}Content-Encoding: {http}\r\nContent-Length: 0")));
            requests.push(head("POST /osci", &format!("{accept}Content-Length: {http}")));
            requests.push(head("POST /osci", &format!("{accept}Transfer-Encoding: {http}")));
            let chunk = format!("{http};{http}\r\n");
            requests.push(head("POST /osci", &format!("{accept}Transfer-Encoding: chunked")) + &chunk);
            requests.push(head("POST /osci", &format!("{accept}X-Correlation-Id: {http}\r\nExpect: {http}")));
        }
        for request in requests {
            let mut stream = TcpStream::connect(process.http_address()).unwrap();
            stream.write_all(format!("{request}\r\n\r\n").as_bytes()).unwrap();
            let mut answer = Vec::new();
            let _ = std::io::copy(&mut stream, &mut answer);
            let found = flock.heard_in(&answer);
            assert!(found.is_empty(), "{request}: the answer says {found:#?}");
        }
    }

    fn message_ids(&self) -> Vec<MessageId> {
        (0..malformed::COUNT).map(|_| self.runtime.block_on(self.sender.message_id()).unwrap()).collect()
    }
}

/// An application logs what it handles.
fn tell(value: &impl std::fmt::Debug) {
    tracing::info!(?value, "the application");
}

/// What this process logs: the requesting side at its most talkative.
#[derive(Clone, Default)]
struct OwnLog(Arc<Mutex<Vec<u8>>>);

impl OwnLog {
    fn start() -> Self {
        let log = Self::default();
        let sink = log.clone();
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || sink.clone())
            .init();
        log
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl std::io::Write for OwnLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
