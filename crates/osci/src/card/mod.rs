//! Process cards: what the intermediary certifies about a delivery, and the certificate checks it made
//! (OSCI-Transport 1.2, process card and inspection report).
//!
//! ```
//! use rohrpost_osci::card::{InspectionReport, ProcessCard, ProcessCardBundle, Timestamp};
//! use rohrpost_osci::ids::MessageId;
//! use rohrpost_osci::xml::XmlWriter;
//! use time::macros::datetime;
//!
//! let accepted = datetime!(2024-05-01 10:00 UTC);
//! let bundle = ProcessCardBundle {
//!     message_id: MessageId::new("12345")?,
//!     card: ProcessCard {
//!         recent_modification: accepted.into(),
//!         creation: Some(Timestamp::Plain(accepted.into())),
//!         forwarding: None,
//!         reception: None,
//!         subject: Some("A & B".to_owned()),
//!     },
//!     report: InspectionReport::default(),
//! };
//! let mut xml = XmlWriter::new();
//! bundle.write(&mut xml);
//! assert!(xml.finish().contains("<osci:Subject>A &amp; B</osci:Subject>"));
//! # Ok::<(), rohrpost_osci::ids::IdError>(())
//! ```

mod inspection;

use std::fmt;

use rohrpost_xmlsec::tree::Element;

pub use inspection::{
    CertificateType, Inspection, InspectionReport, MathResult, OfflineResult, OnlineEvidence, OnlineResult, Revocation,
};

use crate::datetime::DateTime;
use crate::header::{BlockError, read};
use crate::ids::MessageId;
use crate::ns::OSCI;
use crate::xml::XmlWriter;

/// A process card with the id of its delivery and the inspection report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessCardBundle {
    /// The delivery.
    pub message_id: MessageId,
    /// What happened to it when.
    pub card: ProcessCard,
    /// The certificate checks.
    pub report: InspectionReport,
}

/// When which state was reached. Which stamps are present depends on the message the card is part of.
#[derive(Clone, PartialEq, Eq)]
pub struct ProcessCard {
    /// The last change of this card.
    pub recent_modification: DateTime,
    /// The intermediary took the delivery.
    pub creation: Option<Timestamp>,
    /// The message with the delivery for the recipient was built.
    pub forwarding: Option<Timestamp>,
    /// The recipient acknowledged the delivery.
    pub reception: Option<Timestamp>,
    /// The sender's words; content, hence never shown in logs.
    pub subject: Option<String>,
}

/// A time stamp of the intermediary's own clock or of a time-stamp service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timestamp {
    /// The intermediary's own clock.
    Plain(DateTime),
    /// A token of a time-stamp service.
    Cryptographic {
        /// What kind of token it is, as URI.
        algorithm: String,
        /// The decoded token.
        token: Vec<u8>,
    },
}

impl ProcessCardBundle {
    /// The name of the element in all messages but the answer to a mediated delivery.
    pub const NAME: &'static str = "osci:ProcessCardBundle";

    /// Writes `osci:ProcessCardBundle`, canonical, for a context in which the prefix is declared.
    pub fn write(&self, xml: &mut XmlWriter) {
        self.write_as(Self::NAME, xml);
    }

    /// Writes the bundle under another name: `osci:RequestProcessCardBundle`, `osci:ReplyProcessCardBundle`.
    pub fn write_as(&self, name: &'static str, xml: &mut XmlWriter) {
        xml.open(name, &[]);
        xml.leaf("osci:MessageId", &[], &self.message_id.to_base64());
        self.card.write(xml);
        self.report.write(xml);
        xml.close();
    }

    /// Reads a bundle, whatever its element is called. Children in any order; the report may be missing.
    ///
    /// # Errors
    /// If the message id or the card is missing, anything is repeated or unknown, or a value is malformed.
    pub fn from_element(element: &Element) -> Result<Self, BlockError> {
        let (mut message_id, mut card, mut report) = (None, None, None);
        for child in read::children(element)? {
            if child.is(OSCI, "MessageId") {
                read::once(&mut message_id, read::message_id(child)?, element, child)?;
            } else if child.is(OSCI, "ProcessCard") {
                read::once(&mut card, ProcessCard::from_element(child)?, element, child)?;
            } else if child.is(OSCI, "InspectionReport") {
                read::once(&mut report, InspectionReport::from_element(child)?, element, child)?;
            } else {
                return Err(read::unexpected(element, child));
            }
        }
        Ok(Self {
            message_id: message_id.ok_or_else(|| read::missing(element, "MessageId"))?,
            card: card.ok_or_else(|| read::missing(element, "ProcessCard"))?,
            report: report.unwrap_or_default(),
        })
    }
}

impl ProcessCard {
    /// Writes `osci:ProcessCard`.
    pub fn write(&self, xml: &mut XmlWriter) {
        xml.open("osci:ProcessCard", &[("RecentModification", self.recent_modification.as_str())]);
        let stamps = [
            ("osci:Creation", &self.creation),
            ("osci:Forwarding", &self.forwarding),
            ("osci:Reception", &self.reception),
        ];
        for (name, stamp) in stamps {
            if let Some(stamp) = stamp {
                stamp.write_as(name, xml);
            }
        }
        if let Some(subject) = &self.subject {
            xml.leaf("osci:Subject", &[], subject);
        }
        xml.close();
    }

    /// Reads `osci:ProcessCard`.
    ///
    /// # Errors
    /// If `RecentModification` is missing, anything is repeated or unknown, or a value is malformed.
    pub fn from_element(element: &Element) -> Result<Self, BlockError> {
        let recent_modification = DateTime::parse(read::attribute(element, "RecentModification")?)
            .map_err(|_| read::bad_value(element, "RecentModification is no date and time"))?;
        let (mut creation, mut forwarding, mut reception, mut subject) = (None, None, None, None);
        for child in read::children(element)? {
            if child.is(OSCI, "Subject") {
                read::once(&mut subject, read::leaf(child)?.to_owned(), element, child)?;
                continue;
            }
            let slot = match child.name().local() {
                "Creation" => &mut creation,
                "Forwarding" => &mut forwarding,
                "Reception" => &mut reception,
                _ => return Err(read::unexpected(element, child)),
            };
            if child.name().uri() != Some(OSCI) {
                return Err(read::unexpected(element, child));
            }
            read::once(slot, Timestamp::from_element(child)?, element, child)?;
        }
        Ok(Self { recent_modification, creation, forwarding, reception, subject })
    }
}

impl Timestamp {
    /// Writes the stamp within an element of this name.
    pub fn write_as(&self, name: &'static str, xml: &mut XmlWriter) {
        xml.open(name, &[]);
        match self {
            Self::Plain(at) => xml.leaf("osci:Plain", &[], at.as_str()),
            Self::Cryptographic { algorithm, token } => {
                let token = rohrpost_xmlsec::base64::encode(token);
                xml.leaf("osci:Cryptographic", &[("Algorithm", algorithm)], &token)
            }
        };
        xml.close();
    }

    /// Reads the stamp in an element, whatever that is called.
    ///
    /// # Errors
    /// If there is not exactly one `Plain` or `Cryptographic` with a proper value.
    pub fn from_element(element: &Element) -> Result<Self, BlockError> {
        let children = read::children(element)?;
        let [child] = children.as_slice() else {
            return Err(read::bad_value(element, "there is not exactly one time stamp"));
        };
        if child.is(OSCI, "Plain") {
            let at = DateTime::parse(read::leaf(child)?);
            return at.map(Self::Plain).map_err(|_| read::bad_value(child, "no date and time"));
        }
        if !child.is(OSCI, "Cryptographic") {
            return Err(read::unexpected(element, child));
        }
        let algorithm = read::attribute(child, "Algorithm")?.to_owned();
        let token = base64(child)?;
        Ok(Self::Cryptographic { algorithm, token })
    }
}

/// The decoded content of an element that holds base64.
fn base64(element: &Element) -> Result<Vec<u8>, BlockError> {
    rohrpost_xmlsec::base64::decode(read::leaf(element)?).map_err(|_| read::bad_value(element, "no base64"))
}

/// Without the subject.
impl fmt::Debug for ProcessCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessCard")
            .field("recent_modification", &self.recent_modification)
            .field("creation", &self.creation)
            .field("forwarding", &self.forwarding)
            .field("reception", &self.reception)
            .finish_non_exhaustive()
    }
}
