//! Vectors of other implementations, see `tests/vectors/README.md`.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod ciphers;
mod digests;
mod ed25519;
mod key_transport;
mod keys;
mod signatures;
mod x509;

use rohrpost_crypto::{PrivateKey, PublicKey};
use serde_json::Value;

/// The entries of one file.
fn vectors(name: &str) -> Vec<Value> {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The message of that length which the vectors use.
fn pattern(vector: &Value) -> Vec<u8> {
    let length = vector["pattern"].as_u64().unwrap() as usize;
    (0..length).map(|i| (i * 7 + i / 256) as u8).collect()
}

fn text<'a>(vector: &'a Value, field: &str) -> &'a str {
    vector[field].as_str().unwrap_or_else(|| panic!("no {field} in {vector}"))
}

fn bytes(vector: &Value, field: &str) -> Vec<u8> {
    unhex(text(vector, field))
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn entry(file: &str, name: &str) -> Value {
    vectors(file).into_iter().find(|vector| text(vector, "name") == name).unwrap()
}

fn public_key(name: &str) -> PublicKey {
    PublicKey::from_spki_der(&bytes(&entry("public_keys", name), "spki")).unwrap()
}

fn private_key(name: &str) -> PrivateKey {
    PrivateKey::from_pkcs8_der(&bytes(&entry("private_keys", name), "pkcs8")).unwrap()
}

/// What every signature signs.
const MESSAGE: &[u8] = "Rohrpost: Anmeldung äöü".as_bytes();
