use std::fmt;

use super::header::{
    feedback_and_cards, forwarding_order, order_block, refuse_addressee_signature, timestamp_blocks, timestamps,
    write_id_and_subject, write_order,
};
use super::{MessageError, RequestHeader, ResponseHeader};
use crate::card::ProcessCardBundle;
use crate::compose::{OutBody, OutDelivery, Outgoing};
use crate::envelope::Envelope;
use crate::feedback::Feedback;
use crate::header::{BlockError, TimestampQuality};
use crate::ids::MessageId;
use crate::ns::MessageType;

/// Has the intermediary forward a delivery to a passive recipient. The content is the package in the body, see
/// [`Body::package`](crate::envelope::Body::package).
#[derive(Clone, PartialEq, Eq)]
pub struct ForwardDelivery {
    /// The common blocks. Their certificates include the cipher certificate of the addressee if the intermediary is to encrypt
    /// for it.
    pub header: RequestHeader,
    /// Kind of the time stamp for the creation of the process card.
    pub creation: TimestampQuality,
    /// Kind of the time stamp for the reception of the delivery.
    pub reception: TimestampQuality,
    /// Where the passive recipient listens: the address as the sender wrote it, to be checked before anything is sent there.
    pub receiver: String,
    /// The delivery's id. Without it the order is refused with feedback 9800.
    pub message_id: Option<MessageId>,
    /// What the delivery is about, in the words of the sender. Content: not for logs.
    pub subject: Option<String>,
}

/// Answers [`ForwardDelivery`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseToForwardDelivery {
    /// The common blocks.
    pub header: ResponseHeader,
    /// What came of it.
    pub feedback: Feedback,
    /// The process card of the delivery: with Forwarding and Reception as far as it came.
    pub card: Option<ProcessCardBundle>,
}

impl ForwardDelivery {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        let header = RequestHeader::parse(envelope)?;
        refuse_addressee_signature(&header.certificates)?;
        let (creation, reception) = timestamps(envelope)?;
        let order = forwarding_order(order_block(envelope, "forwardDelivery")?)?;
        let (receiver, message_id, subject) = (order.receiver, order.message_id, order.subject);
        let (creation, reception) = (creation.unwrap_or_default(), reception.unwrap_or_default());
        Ok(Self { header, creation, reception, receiver, message_id, subject })
    }

    /// The message with this content.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self, delivery: OutDelivery) -> Result<Outgoing, BlockError> {
        let order = write_order("osci:forwardDelivery", "forwarddelivery", |xml| {
            xml.leaf("osci:ContentReceiver", &[("URI", &self.receiver)], "");
            write_id_and_subject(xml, self.message_id.as_ref(), self.subject.as_deref());
        });
        let blocks = timestamp_blocks(self.creation, self.reception).into_iter().chain([order]).collect();
        let body = OutBody::Content(delivery.package);
        let mut message = self.header.compose(MessageType::ForwardDelivery, blocks, body)?;
        message.attachments = delivery.attachments;
        Ok(message)
    }
}

impl ResponseToForwardDelivery {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        let header = ResponseHeader::parse(envelope)?;
        let order = order_block(envelope, "responseToForwardDelivery")?;
        let (feedback, [card]) = feedback_and_cards(order, ["ProcessCardBundle"])?;
        Ok(Self { header, feedback, card })
    }

    /// The message.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self) -> Result<Outgoing, BlockError> {
        let order = write_order("osci:responseToForwardDelivery", "responsetoforwarddelivery", |xml| {
            self.feedback.write(xml);
            if let Some(card) = &self.card {
                card.write(xml);
            }
        });
        let body = OutBody::Inline(String::new());
        self.header.compose(MessageType::ResponseToForwardDelivery, Some(order), body)
    }
}

/// Without the subject, which is content.
impl fmt::Debug for ForwardDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardDelivery")
            .field("header", &self.header)
            .field("receiver", &self.receiver)
            .field("message_id", &self.message_id)
            .finish_non_exhaustive()
    }
}
