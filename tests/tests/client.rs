//! Client library and client commands against the real process: `rohrpost serve`, `send`, `fetch`, `cards`.

#![allow(clippy::unwrap_used)] // helpers of tests, too

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rohrpost_client::transport::Tls;
use rohrpost_client::{Client, Clock, Config, Error, NewAttachment, NewContainer, Shipment, stream};
use rohrpost_crypto::SignatureAlgorithm;
use rohrpost_osci::header::CustomBlock;
use rohrpost_osci::selection::{CardFilter, CardRule, CardSelection, DeliverySelection, Role};
use rohrpost_pipeline::keyring::{CipherPair, KeyRing, SignaturePair};
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_pki::{Anchors, Certificate, Inspector, KeyEntry, Verdict, pem};
use rohrpost_tests::{Server, binary, certs_test};
use serde_json::Value;
use tempfile::TempDir;
use time::OffsetDateTime;

fn entry(name: &str) -> KeyEntry {
    let file = |kind: &str| fs::read(certs_test(&format!("pem/{name}.{kind}.pem"))).unwrap();
    KeyEntry::from_pem(&file("cert"), &file("key")).unwrap()
}

fn certificate(name: &str) -> Certificate {
    entry(name).certificate
}

fn cipher(name: &str) -> CipherPair {
    let entry = entry(name);
    CipherPair { key: Arc::new(entry.key.decryptor().unwrap()), certificate: entry.certificate }
}

fn signature(name: &str) -> SignaturePair {
    let entry = entry(name);
    let signer = entry.key.signer(SignatureAlgorithm::RsaSha256).unwrap();
    SignaturePair { key: Arc::new(signer), certificate: entry.certificate }
}

fn config(url: &str, party: &str, spools: &Path) -> Config {
    let keys = KeyRing::new(vec![cipher(&format!("{party}-cipher"))], Some(signature(&format!("{party}-signature"))));
    #[allow(clippy::disallowed_methods)] // tests have no other clock
    let clock = Clock::new(OffsetDateTime::now_utc);
    let mut config = Config::new(url, certificate("intermediary-cipher"), keys, SpoolDir::new(spools), clock);
    config.intermediary_signature = Some(certificate("intermediary-signature"));
    config.retries.first_pause = Duration::from_millis(20);
    let authority = |name: &str| fs::read(certs_test(&format!("ca/{name}-ca.cert.pem"))).unwrap();
    let anchors = Anchors::from_pem(&authority("root")).unwrap();
    let between = pem::certificates(&authority("registry")).unwrap();
    let inspector = Inspector::new(anchors, rohrpost_crypto::policy::Policy::standard()).with_intermediates(between);
    config.inspector = Some(Arc::new(inspector));
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_travels_between_two_clients() {
    let server = Server::start(&[]);
    let directory = TempDir::new().unwrap();
    let alice = Client::new(config(server.url(), "alice", directory.path())).unwrap();
    let bob = Client::new(config(server.url(), "bob", directory.path())).unwrap();
    let header = r#"<x:Meta xmlns:x="urn:x" Id="MetaData">ü</x:Meta>"#;
    let large: Vec<u8> = (0..=250).cycle().take(2_000_000).collect();
    let container = NewContainer::new()
        .data("<notice/>")
        .attachment(NewAttachment::new("scan ü.pdf", "application/pdf", large.clone()))
        .signed_by(signature("carol-signature"))
        .sealed_for(certificate("bob-cipher"))
        .sealed_for(certificate("dave-cipher"));
    let shipment = Shipment::to(certificate("bob-cipher"))
        .with_subject("Anmeldung <Müller> & Söhne")
        .with_container(container)
        .with_header(CustomBlock::new(header).unwrap());
    let stored = alice.store(shipment).await.unwrap();
    let card = stored.card.unwrap();
    assert!(card.card.creation.is_some() && card.card.forwarding.is_none());
    assert!(!card.report.inspections().unwrap().is_empty());

    let mut dialog = bob.open_dialog().await.unwrap();
    let delivery = dialog.fetch(DeliverySelection::Oldest).await.unwrap().unwrap();
    assert_eq!(delivery.message_id, stored.message_id);
    assert_eq!(delivery.card.card.subject.as_deref(), Some("Anmeldung <Müller> & Söhne"));
    assert!(delivery.headers[0].text().contains(">ü</x:Meta>"));
    let contents = delivery.open(&[]).await.unwrap();
    assert_eq!(contents.verdict(), Some(Verdict::Valid), "{:?}", contents.signatures);
    let mut found = Vec::new();
    let attachment = contents.attachment("scan ü.pdf").unwrap();
    stream(attachment.bytes().unwrap()).read_to_end(&mut found).unwrap();
    assert!(found == large);
    dialog.acknowledge().await.unwrap();
    assert!(dialog.fetch(DeliverySelection::Oldest).await.unwrap().is_none());
    dialog.exit().await.unwrap();

    let filter =
        |role| CardFilter { since: card.card.recent_modification.clone(), role: Some(role), no_reception: false };
    let sent = CardSelection { rule: CardRule::Accepted(filter(Role::Originator)), limit: None };
    let cards = alice.process_cards(sent).await.unwrap();
    assert_eq!(cards.cards[0].message_id, stored.message_id);
    assert!(cards.cards[0].card.reception.is_some());
    let received = CardSelection { rule: CardRule::Accepted(filter(Role::Addressee)), limit: None };
    assert!(alice.process_cards(received).await.unwrap().cards.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_converges_after_the_process_was_killed() {
    let mut server = Server::start(&[]);
    let directory = TempDir::new().unwrap();
    let client = |url: &str| {
        let mut config = config(url, "alice", directory.path());
        config.retries.tries = 1;
        Client::new(config).unwrap()
    };
    let alice = client(server.url());
    let id = alice.message_id().await.unwrap();
    let shipment = || {
        let container = NewContainer::new().data("x");
        Shipment::to(certificate("bob-cipher")).with_container(container).with_message_id(id.clone())
    };
    alice.store(shipment()).await.unwrap();
    server.kill();
    let error = alice.store(shipment()).await.unwrap_err();
    assert!(matches!(error, Error::Connection(_) | Error::OutcomeUnknown { .. }), "{error}");
    server.restart();
    let stored = client(server.url()).store(shipment()).await.unwrap();
    assert!(stored.repeated);
    assert_eq!(stored.message_id, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_acknowledged_is_handed_out_again_after_a_restart() {
    let mut server = Server::start(&[]);
    let directory = TempDir::new().unwrap();
    let alice = Client::new(config(server.url(), "alice", directory.path())).unwrap();
    alice.store(Shipment::to(certificate("bob-cipher"))).await.unwrap();
    let bob = Client::new(config(server.url(), "bob", directory.path())).unwrap();
    let mut dialog = bob.open_dialog().await.unwrap();
    let first = dialog.fetch(DeliverySelection::Oldest).await.unwrap().unwrap();
    server.kill();
    assert!(dialog.acknowledge().await.is_err());
    server.restart();
    let bob = Client::new(config(server.url(), "bob", directory.path())).unwrap();
    let mut dialog = bob.open_dialog().await.unwrap();
    let again = dialog.fetch(DeliverySelection::Oldest).await.unwrap().unwrap();
    assert_eq!(again.message_id, first.message_id);
    dialog.exit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_dialog_is_a_fault_and_another_key_is_told_apart() {
    let server = Server::start(&[]);
    let directory = TempDir::new().unwrap();
    let mut wrong = config(server.url(), "alice", directory.path());
    wrong.intermediary_cipher = certificate("bob-cipher");
    let error = Client::new(wrong).unwrap().message_id().await.unwrap_err();
    assert_eq!(error.codes()[0].to_string(), "9200");
    assert!(error.correlation_id().is_some());

    let mut wrong = config(server.url(), "alice", directory.path());
    wrong.intermediary_signature = Some(certificate("bob-signature"));
    let error = Client::new(wrong).unwrap().message_id().await.unwrap_err();
    assert!(matches!(error, Error::Peer(_)), "{error}");

    let mut elsewhere = config(server.management(), "alice", directory.path());
    elsewhere.retries.tries = 1;
    let error = Client::new(elsewhere).unwrap().message_id().await.unwrap_err();
    assert!(matches!(error, Error::Connection(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_checked_both_ways() {
    let file = |path: &str| certs_test(path).display().to_string();
    let directory = TempDir::new().unwrap();
    let chain = directory.path().join("chain.pem");
    let parts = ["pem/localhost.cert.pem", "ca/transport-ca.cert.pem"].map(|part| fs::read(certs_test(part)).unwrap());
    fs::write(&chain, parts.concat()).unwrap();
    let server = Server::start(&[
        "http.listen=[]",
        "https.listen=[\"127.0.0.1:0\"]",
        &format!("https.certificate={}", chain.display()),
        &format!("https.key={}", file("pem/localhost.key.pem")),
        "https.client_certificates=required",
        &format!("https.client_authorities={}", file("ca/registry-ca.cert.pem")),
    ]);
    let by_name = server.url().replace("127.0.0.1", "localhost");
    assert!(by_name.starts_with("https://localhost:"), "{by_name}");
    let authorities = |name: &str| pem::certificates(&fs::read(certs_test(name)).unwrap()).unwrap();
    let client = |url: &str, authority: &str, identity: Option<KeyEntry>| {
        let mut config = config(url, "alice", directory.path());
        config.retries.tries = 1;
        let mut tls = Tls::trusting(authorities(authority));
        tls.identity = identity;
        config.tls = Some(tls);
        Client::new(config).unwrap()
    };
    let alice = || Some(entry("alice-signature"));
    let root = "ca/root-ca.cert.pem";
    client(&by_name, root, alice()).message_id().await.unwrap();
    for (url, authority, identity) in [
        (by_name.as_str(), "ca/rogue-ca.cert.pem", alice()),
        (server.url(), root, alice()),
        (&by_name, root, Some(entry("mallory-signature"))),
        (&by_name, root, None),
    ] {
        let error = client(url, authority, identity).message_id().await.unwrap_err();
        assert!(matches!(error, Error::Connection(_)), "{url} {authority}: {error:?}");
        assert!(!error.remedy().is_empty());
    }
}

/// A folder for one party's commands.
struct Desk {
    directory: TempDir,
    url: String,
}

impl Desk {
    fn new(server: &Server) -> Self {
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("pin"), "123456\n").unwrap();
        Self { directory, url: server.url().to_owned() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, command: &str, party: &str, more: &[&str]) -> Command {
        let p12 = |name: String| certs_test(&format!("p12/{name}.p12")).display().to_string();
        let pem = |name: &str| certs_test(&format!("pem/{name}.cert.pem")).display().to_string();
        let mut run = Command::new(binary());
        run.args(["--json", command, "--url", &self.url]);
        run.args(["--intermediary-cipher", &pem("intermediary-cipher")]);
        run.args(["--intermediary-signature", &pem("intermediary-signature")]);
        run.args(["--cipher", &p12(format!("{party}-cipher")), "--signature", &p12(format!("{party}-signature"))]);
        run.arg("--pin-file").arg(self.path("pin"));
        run.args(more);
        run
    }

    fn run(&self, command: &str, party: &str, more: &[&str]) -> (i32, Value) {
        answer(self.command(command, party, more).output().unwrap())
    }
}

fn answer(output: Output) -> (i32, Value) {
    let text = String::from_utf8(output.stdout).unwrap();
    let mut values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    let first = values.next().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr))).unwrap();
    (output.status.code().unwrap(), first)
}

#[test]
fn commands_send_fetch_and_list() {
    let server = Server::start(&[]);
    let desk = Desk::new(&server);
    let pem = |name: &str| certs_test(&format!("pem/{name}.cert.pem")).display().to_string();
    let bob = pem("bob-cipher");
    fs::write(desk.path("notice.xml"), "<notice/>").unwrap();
    let large: Vec<u8> = (0..=250).cycle().take(1_500_000).collect();
    fs::write(desk.path("scan ü.pdf"), &large).unwrap();
    let (notice, scan) = (desk.path("notice.xml").display().to_string(), desk.path("scan ü.pdf").display().to_string());
    let author = certs_test("p12/alice-signature.p12").display().to_string();
    let sealed = ["--author", &author, "--reader", &bob];
    let base = ["--to", &bob, "--subject", "move-in", "--content", &notice, "--attach", &scan];
    let (code, first) = desk.run("send", "alice", &[&base[..], &sealed].concat());
    assert_eq!(code, 0, "{first}");
    let id = first["message_id"].as_str().unwrap();
    assert_eq!(first["repeated"], false);
    let (code, again) = desk.run("send", "alice", &[&base[..], &sealed, &["--message-id", id]].concat());
    assert_eq!((code, again["message_id"].as_str(), again["repeated"].as_bool()), (0, Some(id), Some(true)), "{again}");

    let mut piped = desk.command("send", "alice", &["--to", &bob, "--content", "-"]);
    let mut child = piped.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"from a pipe").unwrap();
    let (code, second) = answer(child.wait_with_output().unwrap());
    assert_eq!(code, 0, "{second}");

    let inbox = desk.path("inbox").display().to_string();
    let (code, left) = desk.run("fetch", "bob", &["--to", &inbox, "--no-acknowledge"]);
    assert_eq!((code, left["deliveries"][0]["message_id"].as_str()), (0, Some(id)), "{left}");
    let (code, fetched) = desk.run("fetch", "bob", &["--to", &inbox, "--all"]);
    assert_eq!(code, 0, "{fetched}");
    let deliveries = fetched["deliveries"].as_array().unwrap();
    assert_eq!(deliveries.len(), 2);
    assert_ne!(left["deliveries"][0]["folder"], deliveries[0]["folder"], "nothing is overwritten");
    let folder = Path::new(deliveries[0]["folder"].as_str().unwrap());
    assert!(folder.starts_with(&inbox));
    assert!(fs::read(folder.join("scan ü.pdf")).unwrap() == large);
    let texts: Vec<String> = deliveries
        .iter()
        .map(|delivery| fs::read_to_string(delivery["files"][0]["file"].as_str().unwrap()).unwrap())
        .collect();
    assert_eq!(texts, ["<notice/>", "from a pipe"]);
    let signature = &deliveries[0]["signatures"][0];
    assert_eq!((signature["verdict"].as_str(), signature["fault"].as_str()), (Some("indeterminate"), None));

    let carol = pem("carol-cipher");
    let (code, _) = desk.run("send", "alice", &[&base[..], &["--reader", &carol]].concat());
    assert_eq!(code, 0);
    let (code, foreign) = desk.run("fetch", "bob", &["--to", &inbox]);
    let foreign = &foreign["deliveries"][0];
    assert_eq!((code, &foreign["sealed_containers"]), (0, &Value::from(1)), "{foreign}");
    assert!(foreign["files"][0]["file"].as_str().unwrap().ends_with("scan ü.pdf.sealed"));
    let reader = certs_test("p12/carol-cipher.p12").display().to_string();
    let mine = foreign["message_id"].as_str().unwrap();
    let (_, opened) = desk.run("fetch", "bob", &["--to", &inbox, "--message-id", mine, "--reader", &reader]);
    let files = opened["deliveries"][0]["files"].as_array().unwrap();
    assert!(fs::read(files[1]["file"].as_str().unwrap()).unwrap() == large);

    let (code, nothing) = desk.run("fetch", "bob", &["--to", &inbox]);
    assert_eq!((code, nothing["error"]["code"].as_str()), (5, Some("nothing-found")), "{nothing}");
    let (code, again) = desk.run("fetch", "bob", &["--to", &inbox, "--message-id", id]);
    assert_eq!(code, 0, "{again}");

    let (code, cards) = desk.run("cards", "alice", &["--since", "2026-01-01T00:00:00Z", "--role", "originator"]);
    assert_eq!((code, cards["cards"].as_array().map(Vec::len)), (0, Some(3)), "{cards}");
    assert_eq!(cards["cards"][0]["subject"], "move-in");
    assert!(cards["cards"][0]["received"].is_string());
    let (code, more) = desk.run("cards", "alice", &["--limit", "1"]);
    assert_eq!((code, &more["more"]), (0, &Value::Bool(true)), "{more}");
    let (code, _) = desk.run("cards", "erin", &[]);
    assert_eq!(code, 5);
}

#[test]
fn commands_fail_with_codes_that_scripts_can_rely_on() {
    let server = Server::start(&[]);
    let desk = Desk::new(&server);
    let bob = certs_test("pem/bob-cipher.cert.pem").display().to_string();
    fs::write(desk.path("x"), "x").unwrap();
    let content = desk.path("x").display().to_string();
    let send = ["--to", &bob, "--content", &content];

    let (code, failure) = desk.run("send", "alice", &["--to", &bob, "--content", "/nonexistent"]);
    assert_eq!((code, failure["error"]["code"].as_str()), (2, Some("configuration")), "{failure}");
    let (code, failure) = desk.run("cards", "alice", &["--role", "originator"]);
    assert_eq!(code, 2, "{failure}");
    let (code, failure) = desk.run("send", "wrong-usage", &send);
    assert_eq!(code, 2, "{failure}");

    let nobody = Desk { directory: TempDir::new().unwrap(), url: "http://127.0.0.1:1/osci".to_owned() };
    fs::write(nobody.path("pin"), "123456").unwrap();
    let mut short = nobody.command("cards", "alice", &[]);
    let (code, failure) = answer(short.output().unwrap());
    assert_eq!((code, failure["error"]["code"].as_str()), (3, Some("connection")), "{failure}");
    assert!(failure["error"]["remedy"].is_string());

    let signed = Server::start(&["orders.require_signature=[\"all\"]"]);
    let unsigned = Desk { url: signed.url().to_owned(), ..Desk::new(&signed) };
    let p12 = certs_test("p12/alice-cipher.p12").display().to_string();
    let key = certs_test("pem/intermediary-cipher.cert.pem").display().to_string();
    let pin = unsigned.path("pin").display().to_string();
    let base = ["--json", "send", "--url", &unsigned.url, "--intermediary-cipher", &key];
    let own = ["--cipher", &p12, "--pin-file", &pin];
    let output = Command::new(binary()).args(base).args(own).args(send).output().unwrap();
    let (code, failure) = answer(output);
    assert_eq!((code, failure["error"]["code"].as_str()), (4, Some("refused")), "{failure}");
    assert!(failure["error"]["correlation_id"].is_string(), "{failure}");
}
