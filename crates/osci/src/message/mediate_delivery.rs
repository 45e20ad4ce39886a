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

/// Has the intermediary forward a delivery to a passive recipient and return the delivery that it replies with; needs an explicit
/// dialog. The content is the package in the body, see [`Body::package`](crate::envelope::Body::package).
#[derive(Clone, PartialEq, Eq)]
pub struct MediateDelivery {
    /// The common blocks. Their certificates include the cipher certificate of the addressee if the intermediary is to encrypt
    /// for it.
    pub header: RequestHeader,
    /// Where the passive recipient listens: the address as the sender wrote it, to be checked before anything is sent there.
    pub receiver: String,
    /// What process cards are made with; without it there are none.
    pub card: Option<MediateCard>,
}

/// What distinguishes a mediated delivery with process cards.
#[derive(Clone, PartialEq, Eq)]
pub struct MediateCard {
    /// The delivery's id.
    pub message_id: MessageId,
    /// What the delivery is about, in the words of the sender. Content: not for logs.
    pub subject: Option<String>,
    /// Kind of the time stamp for the creation of the process card.
    pub creation: TimestampQuality,
    /// Kind of the time stamp for the reception of the delivery.
    pub reception: TimestampQuality,
}

/// Answers [`MediateDelivery`]. The reply's content is the package in the body, see
/// [`Body::package`](crate::envelope::Body::package); its certificates and custom blocks are among the common blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseToMediateDelivery {
    /// The common blocks.
    pub header: ResponseHeader,
    /// What came of it.
    pub feedback: Feedback,
    /// The process card of the delivery, if it has an id.
    pub request_card: Option<ProcessCardBundle>,
    /// The process card of the reply. Peers drop it where the one of the request is missing.
    pub reply_card: Option<ProcessCardBundle>,
}

impl MediateDelivery {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        let header = RequestHeader::parse(envelope)?;
        refuse_addressee_signature(&header.certificates)?;
        let (creation, reception) = timestamps(envelope)?;
        let order = forwarding_order(order_block(envelope, "mediateDelivery")?)?;
        let (creation, reception) = (creation.unwrap_or_default(), reception.unwrap_or_default());
        let subject = order.subject;
        let card = order.message_id.map(|message_id| MediateCard { message_id, subject, creation, reception });
        Ok(Self { header, receiver: order.receiver, card })
    }

    /// The message with this content.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self, delivery: OutDelivery) -> Result<Outgoing, BlockError> {
        let stamps = self.card.as_ref().map(|card| timestamp_blocks(card.creation, card.reception));
        let order = write_order("osci:mediateDelivery", "mediatedelivery", |xml| {
            xml.leaf("osci:ContentReceiver", &[("URI", &self.receiver)], "");
            if let Some(card) = &self.card {
                write_id_and_subject(xml, Some(&card.message_id), card.subject.as_deref());
            }
        });
        let blocks = stamps.into_iter().flatten().chain([order]).collect();
        let body = OutBody::Content(delivery.package);
        let mut message = self.header.compose(MessageType::MediateDelivery, blocks, body)?;
        message.attachments = delivery.attachments;
        Ok(message)
    }
}

impl ResponseToMediateDelivery {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        let header = ResponseHeader::parse(envelope)?;
        let order = order_block(envelope, "responseToMediateDelivery")?;
        let (feedback, [request_card, reply_card]) =
            feedback_and_cards(order, ["RequestProcessCardBundle", "ReplyProcessCardBundle"])?;
        Ok(Self { header, feedback, request_card, reply_card })
    }

    /// The message with the reply, or without one.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self, reply: Option<OutDelivery>) -> Result<Outgoing, BlockError> {
        let order = write_order("osci:responseToMediateDelivery", "responsetomediatedelivery", |xml| {
            self.feedback.write(xml);
            if let Some(card) = &self.request_card {
                card.write_as("osci:RequestProcessCardBundle", xml);
            }
            if let Some(card) = &self.reply_card {
                card.write_as("osci:ReplyProcessCardBundle", xml);
            }
        });
        let (body, attachments) = match reply {
            Some(reply) => (OutBody::Content(reply.package), reply.attachments),
            None => (OutBody::Inline(String::new()), Vec::new()),
        };
        let mut message = self.header.compose(MessageType::ResponseToMediateDelivery, Some(order), body)?;
        message.attachments = attachments;
        Ok(message)
    }
}

/// Without the subject, which is content.
impl fmt::Debug for MediateCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MediateCard").field("message_id", &self.message_id).finish_non_exhaustive()
    }
}

/// Without the subject, which is content.
impl fmt::Debug for MediateDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MediateDelivery")
            .field("header", &self.header)
            .field("receiver", &self.receiver)
            .field("card", &self.card)
            .finish()
    }
}
