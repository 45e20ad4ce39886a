//! Our intermediary gives every answer of the matrix: `rohrpost conformance` against the built server, with a PKI in which
//! certificates are good, expired, revoked, unknown and doubtful, and a second server that demands signatures.
//!
//! `ROHRPOST_REWRITE=1` writes `CONFORMANCE.md` anew.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic and report")]

#[path = "../../crates/intermediary/tests/harness/mod.rs"]
mod harness;

mod conformance {
    mod doctored;
}

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use rohrpost_crypto::SystemRandom;
use rohrpost_gateway::clock::{Clock as _, SystemClock};
use rohrpost_pki::issue::{Authority, Name, Revoked, Template, Validity};
use rohrpost_pki::revocation::RevocationReason;
use rohrpost_pki::{Certificate, KeyEntry, pem};
use rohrpost_tests::load::{Numbers, fixed_port, quick_keys};
use rohrpost_tests::{Server, binary, certs_test, root};
use serde_json::Value;
use time::Duration;

#[test]
fn the_table_is_that_of_the_suite() {
    let file = root().join("tests/CONFORMANCE.md");
    let table = rohrpost_conformance::table();
    if std::env::var_os("ROHRPOST_REWRITE").is_some() {
        fs::write(&file, &table).unwrap();
    }
    assert!(fs::read_to_string(file).unwrap() == table, "tests/CONFORMANCE.md is not current: ROHRPOST_REWRITE=1");
    let counts = rohrpost_conformance::counts();
    let said = format!("{} cells, {} executed, {} impossible", counts.cells, counts.executed, counts.never);
    assert!(fs::read_to_string(root().join("README.md")).unwrap().contains(&said), "README.md does not say: {said}");
}

#[test]
fn every_cell_is_executed_and_none_fails() {
    let home = tempfile::tempdir().unwrap();
    let mut numbers = Numbers::new(Numbers::seed("ROHRPOST_CONFORMANCE_SEED"));
    let recipient = fixed_port(&mut numbers).1.replace("/osci", "");
    let lists = pki(home.path());
    let receivers: Vec<String> =
        rohrpost_conformance::paths().map(|path| format!("{{url=\"{recipient}/{path}\", internal=true}}")).collect();
    let mut sets = quick_keys();
    sets.extend([
        format!("trust.anchors=[\"{}\"]", certs_test("ca/registry-ca.cert.pem").display()),
        "trust.intermediates=[]".to_owned(),
        "revocation.mode=hard".to_owned(),
        format!("revocation.private_hosts=[\"{lists}\"]"),
        format!("forwarding.receivers=[{}]", receivers.join(",")),
        "log.level=error".to_owned(),
    ]);
    let start = |more: &[&str]| Server::start(&[sets.iter().map(String::as_str).collect(), more.to_vec()].concat());
    let (server, demanding) = (start(&[]), start(&["orders.require_signature=[\"all\"]"]));
    let profile = home.path().join("profile.toml");
    let mut text = format!(
        "demanding_url = \"{}\"\nrefused_subject_bytes = 800000\nchunk_kib = 1000\n[recipient]\nlisten = \"{}\"\nurl = \"{recipient}\"\n[intermediary]\n",
        demanding.url(),
        recipient.split('/').nth(2).unwrap(),
    );
    for role in ["cipher", "signature"] {
        let file = certs_test(&format!("pem/intermediary-2048-{role}.cert.pem"));
        writeln!(text, "{role} = \"{}\"", file.display()).unwrap();
    }
    for name in NAMES {
        writeln!(text, "[{}]", name.0).unwrap();
        for role in ["cipher", "signature"] {
            let file = |what: &str| format!("{}-{role}.{what}.pem", name.0);
            writeln!(text, "{role} = {{ certificate = \"{}\", key = \"{}\" }}", file("cert"), file("key")).unwrap();
        }
    }
    fs::write(&profile, text).unwrap();
    let page = home.path().join("report.html");
    // A server that is not what the profile says.
    let mut command = Command::new(binary());
    command.args(["conformance", "--url", demanding.url()]).arg("--profile").arg(&profile);
    let output = command.args(["--only", "StoreDelivery/0800/unsigned+clear+implicit"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("FAILED") && text.contains("feedback 9600 instead of 0800"), "{text}");
    assert_eq!(output.status.code(), Some(1));

    let mut command = Command::new(binary());
    command.args(["--json", "conformance", "--url", server.url()]).arg("--profile").arg(profile);
    let output = command.arg("--html").arg(&page).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let report = report.get("report").unwrap_or(&report);
    let (mut groups, results) = (std::collections::BTreeMap::<String, Vec<String>>::new(), &report["results"]);
    for result in results.as_array().unwrap().iter().filter(|result| result["outcome"] != "passed") {
        let way =
            ["signed", "encrypted", "explicit"].map(|key| if result[key] == true { &key[..1] } else { "-" }).concat();
        let what = format!("{} {}: {} {}", result["order"], result["code"], result["outcome"], result["detail"]);
        groups.entry(what).or_default().push(way);
    }
    for (what, ways) in &groups {
        eprintln!("{what} ({})", ways.join(" "));
    }
    eprintln!("{} passed; {}", report["passed"], report["deviations"]);
    assert_eq!(report["deviations"], serde_json::json!([]));
    assert!(groups.is_empty());
    assert_eq!(report["passed"], rohrpost_conformance::counts().executed);
    assert_eq!(output.status.code(), Some(0));
    assert!(fs::read_to_string(page).unwrap().contains("Es wurde keine Abweichung gefunden."));
}

#[test]
fn the_ready_profile_fits_a_server_with_the_test_pki() {
    let server = Server::start(&["log.level=error"]);
    let mut command = Command::new(binary());
    command.args(["--json", "conformance", "--url", server.url(), "--only", "GetMessageId/"]);
    let output = command.arg("--profile").arg(root().join("config/conformance.toml")).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["failed"]), (Some(0), &Value::from(0)), "{report:#}");
    assert!(report["passed"].as_u64() > report["skipped"].as_u64(), "{report:#}");
}

/// Roles of the profile, with the keys of the test PKI that they have.
const NAMES: [(&str, &str); 6] = [
    ("client", "alice"),
    ("addressee", "bob"),
    ("expired", "carol"),
    ("revoked", "dave"),
    ("untrusted", "mallory"),
    ("unknown", "erin"),
];

/// Issues certificates that say where their revocation can be asked, serves the list, and returns its host and port.
fn pki(home: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let now = SystemClock.now().replace_nanosecond(0).unwrap();
    let authority = |name: &str| {
        let file = |what: &str| fs::read(certs_test(&format!("ca/{name}-ca.{what}.pem"))).unwrap();
        let entry = KeyEntry::from_pem(&file("cert"), &file("key")).unwrap();
        Authority::new(entry.certificate, entry.key).unwrap()
    };
    let (registry, rogue) = (authority("registry"), authority("rogue"));
    let mut withdrawn: Vec<Certificate> = Vec::new();
    for (role, person) in NAMES {
        for purpose in ["cipher", "signature"] {
            let file = |what: &str| fs::read(certs_test(&format!("pem/{person}-{purpose}.{what}.pem"))).unwrap();
            let key = file("key");
            let entry = KeyEntry::from_pem(&file("cert"), &key).unwrap();
            let validity = match role {
                "expired" => Validity::new(now - Duration::days(30), now - Duration::DAY),
                _ => Validity::new(now - Duration::DAY, now + Duration::days(30)),
            };
            let name = Name::new().country("DE").common_name(role);
            let template = match purpose {
                "cipher" => Template::encryption(name, validity),
                _ => Template::signature(name, validity),
            };
            // Nobody serves the other path.
            let list = if role == "unknown" { "nothing" } else { "list" };
            let template = template.revocation_list(&format!("http://{host}/{list}"));
            let issuer = if role == "untrusted" { &rogue } else { &registry };
            let certificate = issuer.issue(&template, entry.key.public_key(), &SystemRandom).unwrap();
            fs::write(home.join(format!("{role}-{purpose}.cert.pem")), pem::write_certificate(&certificate)).unwrap();
            fs::write(home.join(format!("{role}-{purpose}.key.pem")), key).unwrap();
            if role == "revoked" {
                withdrawn.push(certificate);
            }
        }
    }
    let revoked: Vec<Revoked<'_>> = withdrawn
        .iter()
        .map(|certificate| Revoked {
            certificate,
            since: now - Duration::HOUR,
            reason: Some(RevocationReason::KeyCompromise),
        })
        .collect();
    let list = registry.revoke(&revoked, Validity::new(now - Duration::HOUR, now + Duration::HOUR), 2).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 1024];
            let read = stream.read(&mut head).unwrap_or(0);
            let answer = match head[..read].starts_with(b"GET /list ") {
                true => {
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/pkix-crl\r\nContent-Length: {}\r\n\r\n",
                        list.len()
                    );
                    [head.as_bytes(), &list].concat()
                }
                false => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
            };
            drop(stream.write_all(&answer));
        }
    });
    host
}
