//! What goes in and what comes out.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use rohrpost_audit::{Event, Fingerprint, Leaf, Salt};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::mime::{Encoding, Header, Part};
use rohrpost_osci::source::ReadAt;
use tempfile::TempPath;
use time::OffsetDateTime;

use crate::chunks::UploadEnd;
use crate::outbound::Outbound;
use crate::recheck::Recheck;
use crate::stamp;
use crate::stamping::Stamps;

/// Where the bytes of a body are before the store has them.
pub enum BodySource {
    /// In memory. Small ones go into the database, large ones are written to a file.
    Inline(Vec<u8>),
    /// In a complete file, best in the store's own spool folder: then it is renamed, otherwise copied.
    File(TempPath),
}

/// A delivery to be accepted.
pub struct Delivery {
    /// Identifies it for ever.
    pub message_id: MessageId,
    /// Cipher certificate of the sender, if it gave one.
    pub originator: Option<Fingerprint>,
    /// Cipher certificate of the recipient: the mailbox.
    pub addressee: Fingerprint,
    /// The sender's subject, unescaped.
    pub subject: Option<String>,
    /// When the intermediary decided to accept it: the card's Creation.
    pub accepted_at: OffsetDateTime,
    /// `Inspection` elements for the card, as text.
    pub inspections: String,
    /// The header block `NonIntermediaryCertificates`, as canonical text.
    pub certificates: Option<String>,
    /// Custom header blocks, each as canonical text.
    pub custom_headers: Vec<String>,
    /// Where the content is inside the body.
    pub content: Content,
    /// Attachments inside the body, in their order.
    pub attachments: Vec<Attachment>,
    /// The message exactly as received, after opening the transport encryption.
    pub body: BodySource,
    /// What its card gets from a time-stamp service, or is to get. A token for the reception cannot be given yet.
    pub stamps: Stamps,
    /// The way to a passive recipient; nothing for a delivery that is fetched from its mailbox.
    pub outbound: Option<Outbound>,
    /// Certificates that have to be looked at again, if there are any.
    pub recheck: Option<Recheck>,
    /// The upload that ends with this delivery, if it came in chunks.
    pub upload: Option<UploadEnd>,
    /// How much the mailbox may hold, or how much may be on its way to this addressee.
    pub limits: MailboxLimits,
    /// Salt of the commitments in `leaf`; kept until the body goes.
    pub salt: Option<Salt>,
    /// Certificates, verdicts, algorithms and codes for the log. The store fills in event, time, id and sizes.
    pub leaf: Leaf,
}

impl Delivery {
    /// A delivery with only what every delivery has; the rest is empty and the mailbox unlimited.
    pub fn new(message_id: MessageId, addressee: Fingerprint, accepted_at: OffsetDateTime, body: BodySource) -> Self {
        Self {
            message_id,
            originator: None,
            addressee,
            subject: None,
            accepted_at,
            inspections: String::new(),
            certificates: None,
            custom_headers: Vec::new(),
            content: Content::default(),
            attachments: Vec::new(),
            body,
            stamps: Stamps::default(),
            outbound: None,
            recheck: None,
            upload: None,
            limits: MailboxLimits::default(),
            salt: None,
            leaf: Leaf::new(accepted_at, Event::Accepted),
        }
    }
}

/// The `ContentPackage` inside a stored body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// Byte range in the body.
    pub range: Range<u64>,
    /// Namespaces in scope there: prefix (empty for the default) and URI.
    pub namespaces: Vec<(String, String)>,
}

/// An attachment inside a stored body. Its name is content of the message and not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    /// `Content-ID` without angle brackets.
    pub content_id: String,
    /// `Content-Type` as received.
    pub content_type: String,
    /// Further MIME headers as received.
    pub extra_headers: Vec<Header>,
    /// How `range` has to be decoded.
    pub encoding: Encoding,
    /// Byte range in the body, still encoded.
    pub range: Range<u64>,
    /// Length after decoding, in bytes.
    pub length: u64,
    /// SHA-256 after decoding.
    pub sha256: [u8; 32],
}

impl Attachment {
    /// Describes a part of a scanned message.
    pub fn new(part: &Part, length: u64, sha256: [u8; 32]) -> Self {
        Self {
            content_id: part.content_id.clone(),
            content_type: part.content_type.clone(),
            extra_headers: part.extra_headers.clone(),
            encoding: part.encoding,
            range: part.range.clone(),
            length,
            sha256,
        }
    }
}

/// Bounds on deliveries in one mailbox that were not received yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxLimits {
    /// Number of deliveries.
    pub deliveries: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

impl Default for MailboxLimits {
    /// No bounds.
    fn default() -> Self {
        Self { deliveries: u64::MAX, bytes: u64::MAX }
    }
}

/// The process card of a delivery, with all stamps in whole milliseconds UTC. The subject is not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Card {
    /// The delivery.
    pub message_id: MessageId,
    /// Cipher certificate of the sender, if it gave one.
    pub originator: Option<Fingerprint>,
    /// Cipher certificate of the recipient.
    pub addressee: Fingerprint,
    /// The sender's subject, unescaped.
    pub subject: Option<String>,
    /// Creation: when the delivery was accepted.
    pub created: OffsetDateTime,
    /// Forwarding: when it was first handed out.
    pub forwarded: Option<OffsetDateTime>,
    /// Reception: when it was acknowledged.
    pub received: Option<OffsetDateTime>,
    /// When it was given up without having been received.
    pub expired: Option<OffsetDateTime>,
    /// The feedback code that says why the way to a passive recipient was given up.
    pub failure: Option<u16>,
    /// RecentModification.
    pub modified: OffsetDateTime,
    /// `Inspection` elements, as text.
    pub inspections: String,
    /// What it has from a time-stamp service.
    pub stamps: Stamps,
}

/// A delivery to be handed out.
#[non_exhaustive]
pub struct StoredDelivery {
    /// Its card.
    pub card: Card,
    /// The header block `NonIntermediaryCertificates`, as canonical text.
    pub certificates: Option<String>,
    /// Custom header blocks, each as canonical text.
    pub custom_headers: Vec<String>,
    /// Where the content is inside the body.
    pub content: Content,
    /// Attachments inside the body, in their order.
    pub attachments: Vec<Attachment>,
    /// The message exactly as it was received. Stays readable as long as this value lives, whatever retention does.
    pub body: Arc<dyn ReadAt>,
    /// Salt of the commitments in the log entry of its acceptance.
    pub salt: Option<Salt>,
    /// Whether the mailbox holds further deliveries not yet received (and not handed out in this dialog).
    pub more: bool,
}

impl fmt::Debug for BodySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(bytes) => write!(f, "Inline({} bytes)", bytes.len()),
            Self::File(_) => f.write_str("File"),
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("message_id", &self.message_id)
            .field("originator", &self.originator)
            .field("addressee", &self.addressee)
            .field("accepted_at", &stamp::truncate(self.accepted_at))
            .field("attachments", &self.attachments.len())
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment")
            .field("content_type", &self.content_type)
            .field("encoding", &self.encoding)
            .field("range", &self.range)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Card")
            .field("message_id", &self.message_id)
            .field("originator", &self.originator)
            .field("addressee", &self.addressee)
            .field("created", &self.created)
            .field("forwarded", &self.forwarded)
            .field("received", &self.received)
            .field("expired", &self.expired)
            .field("failure", &self.failure)
            .field("modified", &self.modified)
            .field("stamps", &self.stamps)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StoredDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredDelivery")
            .field("card", &self.card)
            .field("attachments", &self.attachments.len())
            .field("bytes", &self.body.len())
            .field("more", &self.more)
            .finish_non_exhaustive()
    }
}
