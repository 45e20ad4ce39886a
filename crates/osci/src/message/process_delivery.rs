use std::fmt;

use super::accept_delivery::card_for_recipient;
use super::header::{
    intermediary, order_block, refuse_addressee_signature, timestamp_blocks, timestamps, write_id_and_subject,
    write_order,
};
use super::{MessageError, RequestHeader, ResponseHeader};
use crate::card::ProcessCardBundle;
use crate::compose::{OutBody, OutDelivery, Outgoing};
use crate::envelope::Envelope;
use crate::feedback::Feedback;
use crate::header::{BlockError, IntermediaryCertificates, TimestampQuality, read};
use crate::ids::MessageId;
use crate::ns::{MessageType, OSCI};

/// Hands a delivery to a passive recipient, who answers with a delivery of its own. The content is the package in the body, see
/// [`Body::package`](crate::envelope::Body::package); its certificates and custom blocks are among the common blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessDelivery {
    /// The common blocks.
    pub header: RequestHeader,
    /// Certificates of the intermediary: that of its signature if the message is signed, and its cipher certificate if the answer
    /// shall be encrypted.
    pub intermediary: Option<IntermediaryCertificates>,
    /// In the variant with process cards.
    pub with_card: Option<RequestWithCard>,
}

/// What a delivery to be answered carries if its sender asked for process cards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestWithCard {
    /// The id that the reply has to carry (`MessageIdResponse`).
    pub reply_id: MessageId,
    /// The process card of the delivery: created and forwarded, but never received.
    pub card: ProcessCardBundle,
}

/// Answers [`ProcessDelivery`]. The reply is the package in the body; there is none if the recipient refuses. In the
/// certificates of the reply the recipient is the originator, and who sent the delivery the addressee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseToProcessDelivery {
    /// The common blocks.
    pub header: ResponseHeader,
    /// Whether the recipient took the delivery.
    pub feedback: Feedback,
    /// In the variant with process cards.
    pub with_card: Option<ReplyWithCard>,
}

/// What the process card of a reply shall say.
#[derive(Clone, PartialEq, Eq)]
pub struct ReplyWithCard {
    /// The reply's id: that which the intermediary gave with the delivery.
    pub message_id: MessageId,
    /// What the reply is about, in the words of the recipient. Content: not for logs.
    pub subject: Option<String>,
    /// Kind of the time stamp for the creation of the reply's process card.
    pub creation: TimestampQuality,
    /// Kind of the time stamp for the reception of the reply.
    pub reception: TimestampQuality,
}

impl ProcessDelivery {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        let header = RequestHeader::parse(envelope)?;
        refuse_addressee_signature(&header.certificates)?;
        let order = order_block(envelope, "processDelivery")?;
        let (mut reply_id, mut card) = (None, None);
        for child in read::children(order)? {
            if read::is(child, OSCI, "MessageIdResponse") {
                read::once(&mut reply_id, read::message_id(child)?, order, child)?;
            } else if read::is(child, OSCI, "ProcessCardBundle") {
                read::once(&mut card, card_for_recipient(child)?, order, child)?;
            } else {
                return Err(read::unexpected(order, child).into());
            }
        }
        let with_card = match (reply_id, card) {
            (Some(reply_id), Some(card)) => Some(RequestWithCard { reply_id, card }),
            (None, None) => None,
            (None, Some(_)) => return Err(read::missing(order, "MessageIdResponse").into()),
            (Some(_), None) => return Err(read::missing(order, "ProcessCardBundle").into()),
        };
        Ok(Self { header, intermediary: intermediary(envelope)?, with_card })
    }

    /// The message with this content.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self, delivery: OutDelivery) -> Result<Outgoing, BlockError> {
        let order = write_order("osci:processDelivery", "processdelivery", |xml| {
            if let Some(RequestWithCard { reply_id, card }) = &self.with_card {
                xml.leaf("osci:MessageIdResponse", &[], &reply_id.to_base64());
                card.write(xml);
            }
        });
        let blocks = [order].into_iter().chain(self.intermediary.as_ref().map(IntermediaryCertificates::to_block));
        let body = OutBody::Content(delivery.package);
        let mut message = self.header.compose(MessageType::ProcessDelivery, blocks.collect(), body)?;
        message.attachments = delivery.attachments;
        Ok(message)
    }
}

impl ResponseToProcessDelivery {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        let header = ResponseHeader::parse(envelope)?;
        refuse_addressee_signature(&header.certificates)?;
        let order = order_block(envelope, "responseToProcessDelivery")?;
        let (mut feedback, mut message_id, mut subject) = (None, None, None);
        for child in read::children(order)? {
            if read::is(child, OSCI, "Feedback") {
                read::once(&mut feedback, Feedback::from_element(child)?, order, child)?;
            } else if read::is(child, OSCI, "MessageId") {
                read::once(&mut message_id, read::message_id(child)?, order, child)?;
            } else if read::is(child, OSCI, "Subject") {
                read::once(&mut subject, read::leaf(child)?.to_owned(), order, child)?;
            } else {
                return Err(read::unexpected(order, child).into());
            }
        }
        let feedback = feedback.ok_or_else(|| read::missing(order, "Feedback"))?;
        let (creation, reception) = timestamps(envelope)?;
        let with_card = match message_id {
            Some(message_id) => Some(ReplyWithCard {
                message_id,
                subject,
                creation: creation.unwrap_or_default(),
                reception: reception.unwrap_or_default(),
            }),
            None if subject.is_some() => return Err(read::missing(order, "MessageId").into()),
            None if creation.or(reception).is_some() => {
                return Err(MessageError::UnexpectedBlock("QualityOfTimestamp"));
            }
            None => None,
        };
        Ok(Self { header, feedback, with_card })
    }

    /// The message with the reply, or without one.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self, reply: Option<OutDelivery>) -> Result<Outgoing, BlockError> {
        let mut stamps = Vec::new();
        let order = write_order("osci:responseToProcessDelivery", "responsetoprocessdelivery", |xml| {
            self.feedback.write(xml);
            if let Some(reply) = &self.with_card {
                stamps.extend(timestamp_blocks(reply.creation, reply.reception));
                write_id_and_subject(xml, Some(&reply.message_id), reply.subject.as_deref());
            }
        });
        let (body, attachments) = match reply {
            Some(reply) => (OutBody::Content(reply.package), reply.attachments),
            None => (OutBody::Inline(String::new()), Vec::new()),
        };
        let blocks = stamps.into_iter().chain([order]);
        let mut message = self.header.compose(MessageType::ResponseToProcessDelivery, blocks, body)?;
        message.attachments = attachments;
        Ok(message)
    }
}

/// Without the subject, which is content.
impl fmt::Debug for ReplyWithCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyWithCard")
            .field("message_id", &self.message_id)
            .field("creation", &self.creation)
            .field("reception", &self.reception)
            .finish_non_exhaustive()
    }
}
