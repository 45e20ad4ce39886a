//! The parts of a delivery that are only ever read together, as one JSON text in its row.

use std::ops::Range;

use rohrpost_audit::Fingerprint;
use rohrpost_osci::mime::{Encoding, Header};
use serde::{Deserialize, Serialize};

use crate::delivery::{Attachment, Content, Delivery};
use crate::error::StorageError;

/// Rows of all versions must stay readable: add fields with defaults, never change one.
#[derive(Serialize, Deserialize)]
pub(super) struct Layout {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificates: Option<String>,
    #[serde(default)]
    custom_headers: Vec<String>,
    content: Range<u64>,
    #[serde(default)]
    namespaces: Vec<(String, String)>,
    #[serde(default)]
    attachments: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    id: String,
    #[serde(rename = "type")]
    content_type: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, String)>,
    #[serde(default)]
    base64: bool,
    range: Range<u64>,
    length: u64,
    sha256: Fingerprint,
}

/// What a layout holds, in the types of the contract.
pub(super) struct Parts {
    pub(super) certificates: Option<String>,
    pub(super) custom_headers: Vec<String>,
    pub(super) content: Content,
    pub(super) attachments: Vec<Attachment>,
}

impl Layout {
    /// Takes the parts out of a delivery.
    pub(super) fn take(delivery: &mut Delivery) -> Self {
        let content = std::mem::take(&mut delivery.content);
        Self {
            certificates: delivery.certificates.take(),
            custom_headers: std::mem::take(&mut delivery.custom_headers),
            content: content.range,
            namespaces: content.namespaces,
            attachments: std::mem::take(&mut delivery.attachments).into_iter().map(Entry::from).collect(),
        }
    }

    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers always serialise")
    }

    pub(super) fn parse(text: &str) -> Result<Parts, StorageError> {
        let layout: Self = serde_json::from_str(text)
            .map_err(|error| StorageError::Corrupt(format!("the layout of a body cannot be read: {error}")))?;
        Ok(Parts {
            certificates: layout.certificates,
            custom_headers: layout.custom_headers,
            content: Content { range: layout.content, namespaces: layout.namespaces },
            attachments: layout.attachments.into_iter().map(Attachment::try_from).collect::<Result<_, _>>()?,
        })
    }
}

impl From<Attachment> for Entry {
    fn from(attachment: Attachment) -> Self {
        let headers = attachment.extra_headers.iter();
        Self {
            headers: headers.map(|header| (header.name().to_owned(), header.value().to_owned())).collect(),
            id: attachment.content_id,
            content_type: attachment.content_type,
            base64: attachment.encoding == Encoding::Base64,
            range: attachment.range,
            length: attachment.length,
            sha256: attachment.sha256.into(),
        }
    }
}

impl TryFrom<Entry> for Attachment {
    type Error = StorageError;

    fn try_from(entry: Entry) -> Result<Self, StorageError> {
        let headers = entry.headers.into_iter().map(|(name, value)| Header::new(name, value));
        let extra_headers = headers
            .collect::<Option<_>>()
            .ok_or_else(|| StorageError::Corrupt("a stored MIME header is malformed".to_owned()))?;
        Ok(Self {
            content_id: entry.id,
            content_type: entry.content_type,
            extra_headers,
            encoding: if entry.base64 { Encoding::Base64 } else { Encoding::Raw },
            range: entry.range,
            length: entry.length,
            sha256: *entry.sha256.as_bytes(),
        })
    }
}
