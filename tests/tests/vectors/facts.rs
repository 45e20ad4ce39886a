//! Reading and comparing facts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rohrpost_crypto::sha256;
use serde_json::Value;

/// Collects what is not as it should be.
#[derive(Default)]
pub struct Failures(Vec<String>);

impl Failures {
    pub fn add(&mut self, what: impl Into<String>) {
        self.0.push(what.into());
    }

    /// Compares what was read with a fact; a fact that is not stated is not compared.
    pub fn same(&mut self, what: &str, stated: &Value, read: impl Into<Value>) {
        let read = read.into();
        if *stated != read {
            self.0.push(format!("{what}: stated {stated}, read {read}"));
        }
    }

    pub fn into_vec(self) -> Vec<String> {
        self.0
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&sha256(bytes))
}

pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The elements of a list, or nothing.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text, or nothing.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
