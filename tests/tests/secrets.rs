//! What is secret is gone from the memory of the server when it is no longer needed: PINs, files with keys, copies of private keys,
//! session keys.
//!
//! The test knows the secrets, lets a real process use them, and then searches everything that process can read. The private key
//! itself must be there: the backend computes with it. It is found in the backend's form only (numbers of machine words, the
//! lowest first) and never as it stood in the file (bytes, the highest first).

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic and report")]

#[path = "../../crates/intermediary/tests/harness/mod.rs"]
mod harness;

mod secrets {
    pub(super) mod memory;
    pub(super) mod rsa;
}

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use harness::{Seal, key};
use rohrpost_client::NewContainer;
use rohrpost_client::Shipment;
use rohrpost_crypto::cipher::{IvLength, Sealer};
use rohrpost_crypto::{BlockCipher, KeyTransport, SessionKey, SystemRandom, wrap_key};
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_pki::pkcs12::{self, Pin};
use rohrpost_tests::load::{Person, client, config, key_entry, runtime};
use rohrpost_tests::{Server, certs_test};
use secrets::memory::Memory;
use secrets::rsa::RsaNumbers;

const PIN: &str = "zaunkoenig0pin7f31d";
/// The key of a former cipher certificate.
const PREVIOUS: &str = "rsa-4096-cipher";

#[test]
fn what_is_secret_is_gone_from_memory() {
    let directory = tempfile::tempdir().unwrap();
    let sets = settings(directory.path());
    let server = Server::start(&sets.iter().map(String::as_str).collect::<Vec<_>>());
    let keys: Vec<SessionKey> = (0..8).map(|_| SessionKey::random(32, &SystemRandom)).collect();
    keys.iter().for_each(|key| assert!(post(&server, &message(key)).contains("multipart/related")));
    deliver(&server, directory.path());

    let memory = Memory::of(server.pid().unwrap());
    let count = |what: &[u8]| memory.count(what);
    let mut failures = Vec::new();
    let mut check = |name: &str, found: usize, most: usize| {
        eprintln!("{name:60} {found:3} times, at most {most}");
        if found > most {
            failures.push(format!("{name}: {found} times"));
        }
    };
    check("the PIN", count(PIN.as_bytes()), 0);
    let utf16: Vec<u8> = PIN.encode_utf16().flat_map(u16::to_be_bytes).collect();
    check("the PIN as PKCS#12 has it", count(&utf16), 0);
    let session_keys: usize = keys.iter().map(|key| count(key.expose())).sum();
    check("eight session keys", session_keys, 0);
    for name in ["intermediary-2048-cipher", "intermediary-2048-signature", PREVIOUS] {
        let entry = key_entry(name);
        for (number, bytes) in RsaNumbers::of(&entry.key.to_pkcs8_der()).secrets() {
            check(&format!("{name}: {number} as in the file"), count(&bytes), 0);
            let live = count(&reversed(&bytes));
            assert!(live > 0, "the search does not find what must be there");
            // The number, and the copy of fixed width that computing in constant time needs.
            check(&format!("{name}: {number} as the backend has it"), live, 2);
        }
    }
    let pem = |name: &str| fs::read_to_string(certs_test(&format!("pem/{name}.key.pem"))).unwrap();
    for name in [PREVIOUS, "localhost"] {
        let secret_line = pem(name).lines().nth(2).unwrap()[..40].to_owned();
        check(&format!("{name}: the file"), count(secret_line.as_bytes()), 0);
    }
    let tls = key_entry("localhost").key.to_pkcs8_der();
    // A PrivateKeyInfo with an ECPrivateKey on P-256 has the number from octet 36 on.
    let number = &tls[36..68];
    check("localhost: the number as in the file", count(number), 0);
    check("localhost: the number as the backend has it", count(&reversed(number)), 1);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// As numbers of machine words, the lowest first, lie in memory.
fn reversed(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().rev().copied().collect()
}

/// The intermediary's keys in files with our PIN, and others in files without.
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
    // One that nothing is encrypted for any more, from a file without PIN.
    let previous = ["cert", "key"].map(|what| certs_test(&format!("pem/{PREVIOUS}.{what}.pem")).display().to_string());
    sets.push(format!("keys.previous_ciphers=[{{certificate=\"{}\",key=\"{}\"}}]", previous[0], previous[1]));
    sets
}

/// GetMessageId, encrypted with this key.
fn message(key_of_session: &SessionKey) -> Vec<u8> {
    let draft = harness::Client::alice().get_message_id();
    let plain = draft.mime(&draft.envelope(None));
    let intermediary = key("intermediary-2048-cipher");
    let mut seal = Seal::new(&plain, intermediary);
    let mut sealer =
        Sealer::new(BlockCipher::Aes256Gcm, IvLength::Twelve, key_of_session, &SystemRandom, Vec::new()).unwrap();
    sealer.write_all(&plain).unwrap();
    seal.ciphertext = sealer.finish().unwrap();
    seal.wrapped = wrap_key(intermediary.key.public_key(), KeyTransport::OAEP_SHA256, key_of_session).unwrap();
    seal.write()
}

/// Deliveries go in and out, so that every part of the server has worked.
fn deliver(server: &Server, directory: &Path) {
    let runtime = runtime();
    let (alice, bob) = (Person::of_test_pki("alice"), Person::of_test_pki("bob"));
    let party = |person| client(config(server.url(), person, SpoolDir::new(directory)));
    let (sender, recipient) = (party(&alice), party(&bob));
    runtime.block_on(async {
        for number in 0..5 {
            let container = NewContainer::new().data(format!("<note>{number}</note>"));
            sender.store(Shipment::to(bob.cipher.certificate.clone()).with_container(container)).await.unwrap();
        }
        let mut dialog = recipient.open_dialog().await.unwrap();
        while dialog.fetch(DeliverySelection::Oldest).await.unwrap().is_some() {
            dialog.acknowledge().await.unwrap();
        }
        dialog.exit().await.unwrap();
    });
}

fn post(server: &Server, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.url().split('/').nth(2).unwrap()).unwrap();
    let head = format!("POST /osci HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).to_lowercase()
}
