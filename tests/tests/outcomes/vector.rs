//! One recorded message with its facts.

use std::path::{Path, PathBuf};

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::harness::NOW;

/// The orders that an intermediary of ours executes.
const OFFERED: [&str; 6] =
    ["InitDialog", "ExitDialog", "GetMessageId", "StoreDelivery", "FetchDelivery", "FetchProcessCard"];

/// A directory with a message.
pub struct Vector {
    pub name: String,
    pub facts: Value,
    directory: PathBuf,
}

impl Vector {
    pub fn read(directory: &Path) -> Option<Self> {
        let facts = std::fs::read(directory.join("facts.json")).ok()?;
        Some(Self {
            name: directory.file_name()?.to_str()?.to_owned(),
            facts: serde_json::from_slice(&facts).expect("facts are JSON"),
            directory: directory.to_owned(),
        })
    }

    /// The octets of the HTTP body.
    pub fn octets(&self) -> Vec<u8> {
        self.file(&self.facts["files"]["mime"]).expect("every vector has octets")
    }

    /// The octets of the inner message where there is one, else of the message.
    pub fn inner(&self) -> Vec<u8> {
        self.file(&self.facts["files"]["inner"]).unwrap_or_else(|| self.octets())
    }

    fn file(&self, name: &Value) -> Option<Vec<u8>> {
        Some(std::fs::read(self.directory.join(name.as_str()?)).expect("a file of a vector can be read"))
    }

    /// The time to judge it at.
    pub fn time(&self) -> OffsetDateTime {
        self.facts["recorded_at"].as_str().map_or(NOW, |text| OffsetDateTime::parse(text, &Rfc3339).unwrap())
    }

    /// The message type, where the facts tell it.
    pub fn message_type(&self) -> Option<&str> {
        self.facts["message"]["type"].as_str()
    }

    /// Whether we execute this order. Messages without readable type are negative ones; they are judged like ours.
    pub fn is_offered(&self) -> bool {
        self.message_type().is_none_or(|name| OFFERED.contains(&name))
    }

    pub fn is_encrypted(&self) -> bool {
        let octets = self.octets();
        octets.windows(24).any(|window| window == b"soapMessageEncrypted.xsd")
    }

    /// A list of texts in the facts.
    pub fn texts(value: &Value) -> Vec<&str> {
        value.as_array().map_or(&[][..], Vec::as_slice).iter().filter_map(Value::as_str).collect()
    }

    /// A list of codes in the facts.
    pub fn codes(value: &Value) -> Vec<u16> {
        Self::texts(value).iter().map(|text| text.parse().expect("a code is a number")).collect()
    }
}
