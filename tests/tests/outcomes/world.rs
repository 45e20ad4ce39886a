//! A set of vectors with the keys they were made with, and intermediaries in the state that a vector needs.

use std::path::Path;

use rohrpost_osci::dialog::{Client, IntermediaryDialog};
use rohrpost_osci::ids::{Challenge, ConversationId, MessageId};
use rohrpost_pki::{Anchors, Certificate, KeyEntry, pem};

use super::vector::Vector;
use crate::harness::{Bench, Setup, key_ring};

pub struct World {
    pub requests: Vec<Vector>,
    pub answers: Vec<Vector>,
    keys: Vec<(String, KeyEntry)>,
    intermediary: [String; 2],
    anchors: Anchors,
    intermediates: Vec<Certificate>,
}

impl World {
    pub fn new(vectors: &Path, keys: &Path, intermediary: [&str; 2]) -> Self {
        let (anchors, intermediates) = authorities(&keys.parent().expect("keys lie in a folder").join("ca"));
        Self {
            requests: read_all(vectors),
            answers: read_all(&vectors.join("responses")),
            keys: read_keys(keys),
            intermediary: intermediary.map(str::to_owned),
            anchors,
            intermediates,
        }
    }

    pub fn request(&self, name: &str) -> Option<&Vector> {
        self.requests.iter().find(|vector| vector.name == name)
    }

    pub fn key(&self, name: &str) -> &KeyEntry {
        self.find_key(name).unwrap_or_else(|| panic!("no key {name}"))
    }

    fn find_key(&self, name: &str) -> Option<&KeyEntry> {
        self.keys.iter().find(|(known, _)| known == name).map(|(_, entry)| entry)
    }

    /// An intermediary with an empty store.
    pub fn bench(&self) -> Bench {
        let [cipher, signature] = self.intermediary.each_ref().map(|name| self.key(name));
        let mut setup = Setup::with(|settings| settings.dangerous_fetch_without_encryption = true);
        setup.keys = key_ring(cipher, Some(signature));
        setup.anchors = self.anchors.clone();
        setup.intermediates.clone_from(&self.intermediates);
        setup.start()
    }

    /// Puts an intermediary into the state in which a request is in order.
    pub fn prepare(&self, bench: &Bench, vector: &Vector) {
        for id in Vector::texts(&vector.facts["issued_message_ids"]) {
            bench.ids.add(MessageId::new(id).unwrap());
        }
        let context = &vector.facts["context"];
        if context["dialog"] != "explicit" {
            return;
        }
        let text = |name: &str| context[name].as_str().unwrap_or_else(|| panic!("{}: no {name}", vector.name));
        let certificate = self.key(text("client_cipher_key")).certificate.der();
        let client = Client { cipher_certificate: certificate.into(), signature_certificate: None };
        let dialog = IntermediaryDialog::resume(
            ConversationId::new(text("conversation_id")).unwrap(),
            client,
            vector.is_encrypted(),
            Challenge::new(text("expected_response")).unwrap(),
            u32::try_from(context["last_sequence_number"].as_i64().unwrap() + 1).unwrap(),
        );
        bench.intermediary.restore_dialog(dialog, vector.time());
    }

    /// Who reads the answer to a request.
    pub fn reader(&self, vector: &Vector) -> Option<&KeyEntry> {
        let context = vector.facts["context"]["client_cipher_key"].as_str();
        let own = vector.facts["certificates"].as_array().and_then(|all| {
            let own = all.iter().find(|entry| entry["role"] == "Originator" && entry["use"] == "cipher")?;
            own["key"].as_str()
        });
        self.find_key(own.or(context)?)
    }
}

fn read_all(directory: &Path) -> Vec<Vector> {
    let entries = std::fs::read_dir(directory).expect("the vectors can be read").flatten();
    let mut all: Vec<Vector> = entries.filter_map(|entry| Vector::read(&entry.path())).collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

/// Keys that our cryptography does not know take no part.
fn read_keys(directory: &Path) -> Vec<(String, KeyEntry)> {
    let entries = std::fs::read_dir(directory).expect("the keys can be read").flatten();
    let read = |name: &str, what: &str| std::fs::read(directory.join(format!("{name}.{what}.pem"))).ok();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().to_str()?.strip_suffix(".cert.pem")?.to_owned();
            let entry = KeyEntry::from_pem(&read(&name, "cert")?, &read(&name, "key")?).ok()?;
            Some((name, entry))
        })
        .collect()
}

/// Who is trusted: everybody but those whose name says otherwise.
fn authorities(directory: &Path) -> (Anchors, Vec<Certificate>) {
    let (mut anchors, mut intermediates) = (Anchors::new(), Vec::new());
    for entry in std::fs::read_dir(directory).expect("the authorities can be read").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("rogue") || !name.ends_with(".pem") || name.contains(".key.") || name.contains(".crl.") {
            continue;
        }
        for certificate in pem::certificates(&std::fs::read(entry.path()).unwrap()).unwrap_or_default() {
            if certificate.subject() != certificate.issuer() {
                intermediates.push(certificate);
            } else if let Err(error) = anchors.add(certificate) {
                println!("{name} is no anchor for us: {error}");
            }
        }
    }
    (anchors, intermediates)
}
