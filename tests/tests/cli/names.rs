use std::fs;
use std::path::Path;
use std::sync::Arc;

use rohrpost_client::{Client, Clock, Config, NewAttachment, NewContainer, Shipment};
use rohrpost_crypto::SignatureAlgorithm;
use rohrpost_pipeline::keyring::{CipherPair, KeyRing, SignaturePair};
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_pki::KeyEntry;
use rohrpost_tests::{Server, certs_test};
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::run;

fn entry(name: &str) -> KeyEntry {
    let file = |kind: &str| fs::read(certs_test(&format!("pem/{name}.{kind}.pem"))).unwrap();
    KeyEntry::from_pem(&file("cert"), &file("key")).unwrap()
}

/// Stores a delivery whose attachments have these names.
async fn send(server: &Server, spools: &Path, names: &[&str]) {
    let (cipher, signature) = (entry("alice-cipher"), entry("alice-signature"));
    let cipher = CipherPair { key: Arc::new(cipher.key.decryptor().unwrap()), certificate: cipher.certificate };
    let signer = signature.key.signer(SignatureAlgorithm::RsaSha256).unwrap();
    let signature = SignaturePair { key: Arc::new(signer), certificate: signature.certificate };
    #[allow(clippy::disallowed_methods)] // tests have no other clock
    let clock = Clock::new(OffsetDateTime::now_utc);
    let keys = KeyRing::new(vec![cipher], Some(signature.clone()));
    let intermediary = entry("intermediary-cipher").certificate;
    let config = Config::new(server.url(), intermediary, keys, SpoolDir::new(spools), clock);
    let bob = entry("bob-cipher").certificate;
    let attached = |container: NewContainer, name: &&str| {
        container.attachment(NewAttachment::new(*name, "text/plain", name.as_bytes()))
    };
    let container = NewContainer::new().data("text");
    let container = names.iter().fold(container, attached).signed_by(signature).sealed_for(bob.clone());
    Client::new(config).unwrap().store(Shipment::to(bob).with_container(container)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_senders_stay_in_the_folder() {
    let server = Server::start(&[]);
    let home = TempDir::new().unwrap();
    let names = ["../../../evil.sh", "/etc/passwd", ".bashrc", "a/b\\c.txt", "CON", "same.txt", "SAME.txt"];
    send(&server, home.path(), &names).await;
    let at = |name: &str| home.path().join(name).display().to_string();
    fs::write(at("pin"), "123456").unwrap();
    let p12 = |name: &str| certs_test(&format!("p12/{name}.p12")).display().to_string();
    let (cipher, own) = (certs_test("pem/intermediary-cipher.cert.pem").display().to_string(), p12("bob-cipher"));
    let ca = |name: &str| certs_test(&format!("ca/{name}-ca.cert.pem")).display().to_string();
    let (root, between, pin, inbox) = (ca("root"), ca("registry"), at("pin"), at("inbox"));
    let party = ["--url", server.url(), "--intermediary-cipher", &cipher, "--cipher", &own, "--pin-file", &pin];
    let trust = ["--anchor", &root, "--intermediate", &between, "--to", &inbox];
    let fetched = run(["--json", "fetch"].into_iter().chain(party).chain(trust));
    assert_eq!(fetched.code, 0, "{}{}", fetched.stdout, fetched.stderr);
    let delivery = &fetched.json()["deliveries"][0];
    assert_eq!(delivery["signatures"][0]["verdict"], "valid", "{delivery}");
    let folder = Path::new(delivery["folder"].as_str().unwrap());
    let files = delivery["files"].as_array().unwrap();
    assert_eq!(files.len(), names.len() + 1);
    for file in files {
        let path = Path::new(file["file"].as_str().unwrap());
        assert_eq!(path.parent(), Some(folder), "{file}");
        if let Some(name) = file["attachment"].as_str() {
            assert_eq!(fs::read_to_string(path).unwrap(), name, "each file holds what was sent under its name");
        }
    }
    let mut here: Vec<_> = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    here.sort();
    assert_eq!(here, ["inbox", "pin"], "nothing outside of the folder");
    assert_eq!(fs::read_dir(folder).unwrap().count(), names.len() + 1);
    assert!(fs::read_dir(&inbox).unwrap().count() == 1);
}
