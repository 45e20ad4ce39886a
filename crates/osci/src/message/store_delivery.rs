use std::fmt;

use super::header::{
    feedback_and_cards, order_block, refuse_addressee_signature, timestamp_blocks, timestamps, write_id_and_subject,
    write_order,
};
use super::{MessageError, RequestHeader, ResponseHeader};
use crate::card::ProcessCardBundle;
use crate::compose::{OutBody, OutDelivery, Outgoing};
use crate::envelope::Envelope;
use crate::feedback::Feedback;
use crate::header::{BlockError, CertificateRole, CertificateUse, TimestampQuality, read};
use crate::ids::MessageId;
use crate::ns::{MessageType, OSCI};

/// Puts a delivery into the mailbox of its addressee. The content is the package in the body, see
/// [`Body::package`](crate::envelope::Body::package).
#[derive(Clone, PartialEq, Eq)]
pub struct StoreDelivery {
    /// The common blocks. Their certificates include the cipher certificate of the addressee.
    pub header: RequestHeader,
    /// Kind of the time stamp for the creation of the process card.
    pub creation: TimestampQuality,
    /// Kind of the time stamp for the reception of the delivery.
    pub reception: TimestampQuality,
    /// The delivery's id. Without it the order is refused with feedback 9800.
    pub message_id: Option<MessageId>,
    /// What the delivery is about, in the words of the sender. Content: not for logs.
    pub subject: Option<String>,
}

/// Answers [`StoreDelivery`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseToStoreDelivery {
    /// The common blocks.
    pub header: ResponseHeader,
    /// What came of it.
    pub feedback: Feedback,
    /// The process card of the delivery, on success.
    pub card: Option<ProcessCardBundle>,
}

impl StoreDelivery {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        let header = RequestHeader::parse(envelope)?;
        let certificates = &header.certificates;
        if certificates.first(CertificateRole::Addressee, CertificateUse::Cipher).is_none() {
            return Err(MessageError::MissingCertificate("CipherCertificateAddressee"));
        }
        refuse_addressee_signature(certificates)?;
        let (creation, reception) = timestamps(envelope)?;
        let (mut message_id, mut subject) = (None, None);
        let order = order_block(envelope, "storeDelivery")?;
        for child in read::children(order)? {
            if read::is(child, OSCI, "MessageId") {
                read::once(&mut message_id, read::message_id(child)?, order, child)?;
            } else if read::is(child, OSCI, "Subject") {
                read::once(&mut subject, read::leaf(child)?.to_owned(), order, child)?;
            } else {
                return Err(read::unexpected(order, child).into());
            }
        }
        let (creation, reception) = (creation.unwrap_or_default(), reception.unwrap_or_default());
        Ok(Self { header, creation, reception, message_id, subject })
    }

    /// The message with this content.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self, delivery: OutDelivery) -> Result<Outgoing, BlockError> {
        let order = write_order("osci:storeDelivery", "storedelivery", |xml| {
            write_id_and_subject(xml, self.message_id.as_ref(), self.subject.as_deref());
        });
        let blocks = timestamp_blocks(self.creation, self.reception).into_iter().chain([order]).collect();
        let body = OutBody::Content(delivery.package);
        let mut message = self.header.compose(MessageType::StoreDelivery, blocks, body)?;
        message.attachments = delivery.attachments;
        Ok(message)
    }
}

impl ResponseToStoreDelivery {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        let header = ResponseHeader::parse(envelope)?;
        let order = order_block(envelope, "responseToStoreDelivery")?;
        let (feedback, [card]) = feedback_and_cards(order, ["ProcessCardBundle"])?;
        Ok(Self { header, feedback, card })
    }

    /// The message.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self) -> Result<Outgoing, BlockError> {
        let order = write_order("osci:responseToStoreDelivery", "responsetostoredelivery", |xml| {
            self.feedback.write(xml);
            if let Some(card) = &self.card {
                card.write(xml);
            }
        });
        let body = OutBody::Inline(String::new());
        self.header.compose(MessageType::ResponseToStoreDelivery, Some(order), body)
    }
}

/// Without the subject, which is content.
impl fmt::Debug for StoreDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreDelivery")
            .field("header", &self.header)
            .field("message_id", &self.message_id)
            .finish_non_exhaustive()
    }
}
