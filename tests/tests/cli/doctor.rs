use std::fs::{self, File, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rohrpost_tests::{Server, certs_test, root};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Ended, run, run_with};

/// An installation in a folder of its own: keys, PIN and configuration, each as it should be.
struct Site(TempDir);

impl Site {
    fn new() -> Self {
        let site = Self(TempDir::new().unwrap());
        for role in ["cipher", "signature"] {
            fs::copy(certs_test(&format!("p12/intermediary-{role}.p12")), site.path(&format!("{role}.p12"))).unwrap();
        }
        fs::write(site.path("pin"), "123456").unwrap();
        for file in ["cipher.p12", "signature.p12", "pin"] {
            mode(&site.path(file), 0o600);
        }
        let ca = |name: &str| certs_test(&format!("ca/{name}-ca.cert.pem"));
        let text = format!(
            "[keys]\ncipher = {{ pkcs12 = \"cipher.p12\", pin_file = \"pin\" }}\n\
             signature = {{ pkcs12 = \"signature.p12\", pin_file = \"pin\" }}\n\
             [trust]\nanchors = [{:?}]\nintermediates = [{:?}, {:?}]\n\
             [http]\nlisten = [\"127.0.0.1:0\"]\n[management]\nlisten = \"127.0.0.1:0\"\n\
             [storage]\nreserve_bytes = 0\n",
            ca("root"),
            ca("registry"),
            ca("transport"),
        );
        fs::write(site.path("rohrpost.toml"), text).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What the doctor says about this installation with these settings on top.
    fn examined(&self, sets: &[&str]) -> Report {
        let config = self.path("rohrpost.toml").display().to_string();
        let mut args = vec!["--json", "doctor", "--language", "en", "--config", &config];
        args.extend(sets.iter().flat_map(|set| ["--set", set]));
        Report::of(run(args))
    }
}

struct Report(Ended, Value);

impl Report {
    fn of(ended: Ended) -> Self {
        let value = ended.json();
        let findings = value["findings"].as_array().expect("findings");
        let levels = |level| findings.iter().filter(|finding| finding["level"] == level).count();
        let code = match (levels("problem"), levels("warning")) {
            (0, 0) => 0,
            (0, _) => 1,
            _ => 2,
        };
        assert_eq!(ended.code, code, "the exit code says what is the worst: {value:#}");
        for finding in findings.iter().filter(|finding| finding["level"] != "ok") {
            assert!(finding["cause"].is_string() || finding["remedy"].is_string(), "it says no more: {finding}");
        }
        Self(ended, value)
    }

    /// Everything of this level that one check found.
    fn of_check(&self, check: &str, level: &str) -> String {
        let findings = self.1["findings"].as_array().unwrap().iter();
        let found = findings.filter(|finding| finding["check"] == check && finding["level"] == level);
        found.map(Value::to_string).collect()
    }

    fn assert(&self, check: &str, level: &str, word: &str) {
        let found = self.of_check(check, level);
        assert!(!found.is_empty() && found.contains(word), "no {level} of {check} with {word:?}: {:#}", self.1);
    }

    fn assert_nothing_wrong(&self, checks: &[&str]) {
        for check in checks {
            assert!(!self.of_check(check, "ok").is_empty(), "{check}: {:#}", self.1);
            for level in ["warning", "problem"] {
                assert_eq!(self.of_check(check, level), "", "{check}");
            }
        }
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_good_installation_is_found_good() {
    let site = Site::new();
    let report = site.examined(&[]);
    let checks = ["configuration", "keys.cipher", "keys.signature", "trust.anchors", "store", "http", "management"];
    report.assert_nothing_wrong(&checks);
    assert!(report.of_check("disk", "problem").is_empty());
    assert!(!site.path("data").exists(), "looking changes nothing");
    assert_eq!(fs::read_dir(site.0.path()).unwrap().count(), 4, "and leaves nothing");
}

#[test]
fn people_read_it_in_their_language() {
    let site = Site::new();
    let config = site.path("rohrpost.toml").display().to_string();
    let lines = ["doctor", "--config", &config, "--set", "storage.reserve_bytes=9223372036854775807"];
    let german = run_with(lines, &[("LC_ALL", "de_DE.UTF-8")]);
    assert!(german.stdout.contains("Befund") && german.stdout.contains("Platz schaffen"), "{}", german.stdout);
    let english = run_with(lines.into_iter().chain(["--language", "en"]), &[("LC_ALL", "de_DE.UTF-8")]);
    assert!(english.stdout.contains("what to do: Make space"), "{}", english.stdout);
    assert_eq!((german.code, english.code), (2, 2));
}

#[test]
fn a_configuration_that_cannot_be_read_is_the_only_finding() {
    let report = Site::new().examined(&["orders.nonsense=1"]);
    report.assert("configuration", "problem", "nonsense");
    assert_eq!(report.1["findings"].as_array().unwrap().len(), 1);
    assert_eq!(report.0.code, 2);
}

#[test]
fn keys_that_do_not_work() {
    let site = Site::new();
    fs::write(site.path("wrong"), "654321").unwrap();
    site.examined(&["keys.cipher.pin_file=wrong"]).assert("keys.cipher", "problem", "PIN");
    site.examined(&["keys.signature.pkcs12=absent.p12"]).assert("keys.signature", "problem", "absent.p12");
    let pem = |name: &str, what: &str| certs_test(&format!("pem/{name}.{what}.pem")).display().to_string();
    let pair = |certificate: &str, key: &str| {
        let certificate = format!("keys.cipher.certificate={}", pem(certificate, "cert"));
        let key = format!("keys.cipher.key={}", pem(key, "key"));
        site.examined(&[&certificate, &key])
    };
    pair("alice-cipher", "bob-cipher").assert("keys.cipher", "problem", "no key pair");
    pair("expired-cipher", "expired-cipher").assert("keys.cipher", "problem", "expired at");
    pair("self-signed-cipher", "self-signed-cipher").assert("keys.cipher", "warning", "find fault");
    pair("ec-p256-signature", "ec-p256-signature").assert("keys.cipher", "problem", "cannot decrypt");
}

#[test]
fn nobody_who_says_that_our_certificates_are_good() {
    let site = Site::new();
    site.examined(&[]).assert("revocation", "ok", "off");
    // Nobody is really asked: this host is the only one that may be.
    let only = "revocation.only_hosts=[\"127.0.0.1\"]";
    site.examined(&["revocation.mode=soft", only]).assert("revocation", "warning", "does not say whom to ask");
    let pem = |what: &str| certs_test(&format!("pem/alice-cipher.{what}.pem")).display().to_string();
    let (certificate, key) =
        (format!("keys.cipher.certificate={}", pem("cert")), format!("keys.cipher.key={}", pem("key")));
    let named = site.examined(&["revocation.mode=soft", only, &certificate, &key]);
    named.assert("revocation", "warning", "registry-ca.crl: must not be called: it is not on the list of hosts");
    site.examined(&["revocation.mode=soft", only, "trust.anchors=[]"]).assert("revocation", "warning", "unknown");
    site.examined(&["revocation.mode=sometimes"]).assert("configuration", "problem", "revocation.mode");
}

#[test]
fn files_that_others_can_read() {
    let site = Site::new();
    mode(&site.path("pin"), 0o644);
    site.examined(&[]).assert("keys.cipher", "warning", "chmod 600");
}

#[test]
fn certificates_that_end_soon() {
    for (days, level, word) in
        [("5", "problem", "expires in"), ("20", "warning", "Urgent"), ("50", "warning", "expires in")]
    {
        let folder = TempDir::new().unwrap();
        let to = folder.path().display().to_string();
        let made = run(["certs", "generate", "--to", &to, "--party", "intermediary", "--bits", "2048", "--days", days]);
        let config = folder.path().join("rohrpost.toml");
        fs::write(&config, made.stdout).unwrap();
        let report = Report::of(run(["--json", "doctor", "--language", "en", "--config", config.to_str().unwrap()]));
        for check in ["keys.cipher", "keys.signature", "trust.anchors"] {
            report.assert(check, level, word);
        }
    }
}

#[test]
fn nobody_is_trusted() {
    Site::new().examined(&["trust.anchors=[]"]).assert("trust.anchors", "warning", "Nobody is trusted");
}

#[test]
fn addresses_that_are_taken_or_not_ours() {
    let site = Site::new();
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = stranger.local_addr().unwrap();
    let thread = std::thread::spawn(move || drop(stranger.incoming().next()));
    let report = site.examined(&[&format!("http.listen=[\"{address}\"]")]);
    thread.join().unwrap();
    report.assert("http", "problem", "Something else listens");
    site.examined(&["http.listen=[\"192.0.2.1:4080\"]"]).assert("http", "problem", "an address of this machine");
}

#[test]
fn a_disk_that_is_full_or_no_disk() {
    let site = Site::new();
    site.examined(&["storage.reserve_bytes=9223372036854775807"]).assert("disk", "problem", "refused at present");
    site.examined(&["storage.directory=pin/data"]).assert("disk", "problem", "durably");
    fs::create_dir(site.path("data")).unwrap();
    mode(&site.path("data"), 0o755);
    site.examined(&[]).assert("disk", "warning", "chmod 700");
}

#[test]
fn more_than_the_machine_has() {
    let site = Site::new();
    let sets = ["limits.connections=100000000", "limits.processor_turns=100000"];
    let report = site.examined(&sets);
    report.assert("limits.files", "warning", "LimitNOFILE");
    report.assert("limits.memory", "warning", "limits.connections");
    report.assert("limits.processor_turns", "warning", "cores");
}

#[test]
fn beside_a_running_server_and_after_it() {
    let tls = |file: &str| root().join("crates/gateway/tests/tls").join(file).display().to_string();
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (http, https) = (free(), free());
    let sets = [
        format!("http.listen=[\"{http}\"]"),
        format!("https.listen=[\"{https}\"]"),
        format!("https.certificate={}", tls("server.pem")),
        format!("https.key={}", tls("server.key")),
    ];
    let mut server = Server::start(&sets.each_ref().map(String::as_str));
    let examined = |server: &Server, more: &[&str]| {
        let args = ["--json", "doctor", "--language", "en"].map(str::to_owned).into_iter();
        let more = more.iter().flat_map(|set| ["--set".to_owned(), (*set).to_owned()]);
        Report::of(run(args.chain(server.config_args()).chain(more)))
    };
    let report = examined(&server, &[]);
    report.assert("http", "ok", "The server runs");
    report.assert("https", "ok", "The server runs");
    report.assert_nothing_wrong(&["store", "log"]);
    let other = format!("https.certificate={}", tls("client.pem"));
    let key = format!("https.key={}", tls("client.key"));
    examined(&server, &[&other, &key]).assert("https", "problem", "another certificate");

    assert!(server.terminate());
    let data = server.data();
    let report = examined(&server, &[]);
    report.assert("http", "ok", "is free");
    report.assert_nothing_wrong(&["store", "log"]);
    let database = File::options().write(true).open(data.join("rohrpost.db")).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the time that files are given")]
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    database.set_modified(tomorrow).unwrap();
    examined(&server, &[]).assert("clock", "problem", "set back");

    mode(&data.join("message-id.key"), 0o644);
    fs::write(data.join("audit-signing.key"), [9; 32]).unwrap();
    let report = examined(&server, &[]);
    report.assert("store", "warning", "message-id.key");
    report.assert("log", "problem", "not sealed with its key");
    fs::remove_file(data.join("audit-signing.key")).unwrap();
    examined(&server, &[]).assert("store", "problem", "audit-signing.key is missing");
    fs::write(data.join("rohrpost.db"), vec![7; 8192]).unwrap();
    examined(&server, &[]).assert("store", "problem", "cannot be read");
}
