//! The real process: `rohrpost serve` and `rohrpost doctor` with a server of revocation lists.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration as Wait;

use rohrpost_client::{Client, Clock, Config, Shipment};
use rohrpost_crypto::{SignatureAlgorithm, SystemRandom};
use rohrpost_gateway::clock::{Clock as _, SystemClock};
use rohrpost_osci::card::{InspectionReport, Revocation};
use rohrpost_pipeline::keyring::{CipherPair, KeyRing, SignaturePair};
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_pki::issue::{Authority, Revoked, Template};
use rohrpost_pki::{Certificate, KeyEntry, pem};
use rohrpost_tests::Server as Process;
use tempfile::TempDir;

use super::pki::{LIST, current, long, name, now, root};
use super::servers::Server;
use crate::harness::key;

/// An authority whose list is at its address, unless nobody is there, and certificates that say so.
struct Site {
    folder: TempDir,
    root: Authority,
    list: Arc<Mutex<Option<Vec<u8>>>>,
    alice: [KeyEntry; 2],
    bob: Certificate,
}

impl Site {
    fn new() -> Self {
        let (folder, root) = (TempDir::new().unwrap(), root("Root"));
        let list: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
        let served = Arc::clone(&list);
        let url = Server::of(LIST, move |_| served.lock().unwrap().clone()).url("list");
        let issue = |holder: &str, template: Template| {
            let key = key(holder).key.clone();
            let template = template.revocation_list(&url);
            let certificate = root.issue(&template, key.public_key(), &SystemRandom).unwrap();
            KeyEntry { key, certificate, chain: Vec::new() }
        };
        let alice = [
            issue("alice-cipher", Template::encryption(name("Alice"), long())),
            issue("alice-signature", Template::signature(name("Alice"), long())),
        ];
        let bob = issue("bob-cipher", Template::encryption(name("Bob"), long())).certificate;
        fs::write(folder.path().join("root.pem"), pem::write_certificate(root.certificate())).unwrap();
        Self { folder, root, list, alice, bob }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// From now on these are revoked.
    fn publish(&self, revoked: &[&Certificate]) {
        let entry = |certificate: &&'_ Certificate| -> Certificate { (*certificate).clone() };
        let all: Vec<_> = revoked.iter().map(entry).collect();
        let entries: Vec<_> =
            all.iter().map(|certificate| Revoked { certificate, since: now(), reason: None }).collect();
        *self.list.lock().unwrap() = Some(self.root.revoke(&entries, current(), 1).unwrap());
    }

    fn settings(&self, mode: &str) -> Vec<String> {
        vec![
            format!("trust.anchors=[\"{}\"]", self.path("root.pem").display()),
            "trust.intermediates=[]".to_owned(),
            format!("revocation.mode={mode}"),
            "revocation.private_hosts=[\"127.0.0.1\"]".to_owned(),
            // Everybody is asked every time.
            "revocation.max_age_minutes=0".to_owned(),
            "revocation.retry_seconds=0".to_owned(),
        ]
    }

    fn serve(&self, mode: &str) -> Process {
        let settings = self.settings(mode);
        Process::start(&settings.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn client(&self, process: &Process) -> Client {
        let [cipher, signature] = &self.alice;
        let cipher =
            CipherPair { certificate: cipher.certificate.clone(), key: Arc::new(cipher.key.decryptor().unwrap()) };
        let signer = signature.key.signer(SignatureAlgorithm::RsaSha256).unwrap();
        let signature = SignaturePair { certificate: signature.certificate.clone(), key: Arc::new(signer) };
        let keys = KeyRing::new(vec![cipher], Some(signature));
        let intermediary = key("intermediary-cipher").certificate.clone();
        let clock = Clock::new(|| SystemClock.now());
        let mut config = Config::new(process.url(), intermediary, keys, SpoolDir::new(self.folder.path()), clock);
        config.intermediary_signature = Some(key("intermediary-signature").certificate.clone());
        config.retries.first_pause = Wait::from_millis(20);
        Client::new(config).unwrap()
    }

    /// Has a delivery for Bob stored: the codes of a refusal, or what the card says about everybody.
    async fn store(&self, process: &Process) -> Result<Vec<Option<Revocation>>, Vec<u16>> {
        let stored = self.client(process).store(Shipment::to(self.bob.clone())).await;
        match stored {
            Ok(stored) => Ok(revocations(&stored.card.unwrap().report)),
            Err(error) => {
                Err(error.codes().into_iter().filter_map(|code| code.known()).map(|code| code.number()).collect())
            }
        }
    }
}

fn revocations(report: &InspectionReport) -> Vec<Option<Revocation>> {
    let inspections = report.inspections().unwrap();
    inspections.into_iter().map(|one| one.online.map(|online| online.revocation)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_asks_and_does_what_its_configuration_says() {
    let site = Site::new();
    let process = site.serve("hard");
    assert_eq!(site.store(&process).await, Err(vec![9503]), "nobody is there");
    site.publish(&[]);
    assert_eq!(site.store(&process).await, Ok(vec![Some(Revocation::Ok); 3]));
    site.publish(&[&site.bob]);
    assert_eq!(site.store(&process).await, Err(vec![9707]));
    site.publish(&[&site.alice[1].certificate]);
    assert_eq!(site.store(&process).await, Err(vec![9701]));
    drop(process);
    let process = site.serve("soft");
    *site.list.lock().unwrap() = None;
    assert_eq!(site.store(&process).await, Ok(vec![None; 3]));
    drop(process);
    let process = site.serve("off");
    assert_eq!(site.store(&process).await, Ok(vec![None; 3]));
}

#[test]
fn the_doctor_asks_about_our_own_certificates() {
    let site = Site::new();
    let [cipher, signature] = &site.alice;
    for (entry, name) in [(cipher, "cipher"), (signature, "signature")] {
        fs::write(site.path(&format!("{name}.pem")), pem::write_certificate(&entry.certificate)).unwrap();
        let key = pem::write(pem::PRIVATE_KEY, &entry.key.to_pkcs8_der());
        fs::write(site.path(&format!("{name}.key")), key.as_bytes()).unwrap();
    }
    let findings = || {
        let mut args = vec!["--json".to_owned(), "doctor".to_owned(), "--language".to_owned(), "en".to_owned()];
        let mut sets = site.settings("soft");
        sets.push(format!("storage.directory={}", site.path("data").display()));
        for name in ["cipher", "signature"] {
            sets.push(format!("keys.{name}.certificate={}", site.path(&format!("{name}.pem")).display()));
            sets.push(format!("keys.{name}.key={}", site.path(&format!("{name}.key")).display()));
        }
        let config = write_config(&site.path("rohrpost.toml"));
        args.extend(["--config".to_owned(), config]);
        args.extend(sets.into_iter().flat_map(|set| ["--set".to_owned(), set]));
        let (_, output) = rohrpost_tests::run(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let report: serde_json::Value = serde_json::from_str(&output).unwrap_or_else(|_| panic!("{output}"));
        let report = if report["findings"].is_array() { report } else { report["report"].clone() };
        let all = report["findings"].as_array().unwrap().clone();
        let own = all.into_iter().filter(|finding| finding["check"] == "revocation");
        own.map(|finding| finding["level"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(findings(), ["warning", "warning"]);
    site.publish(&[]);
    assert_eq!(findings(), ["ok", "ok"]);
    site.publish(&[&signature.certificate]);
    assert_eq!(findings(), ["ok", "problem"]);
}

/// Everything else is given on the command line; keys as PEM, which the defaults are not.
fn write_config(path: &Path) -> String {
    fs::write(path, "[keys]\ncipher = {}\nsignature = {}\n[storage]\nreserve_bytes = 0\n").unwrap();
    path.display().to_string()
}
