use super::header::{feedback_body, order_in_body};
use super::{MessageError, RequestHeader, ResponseHeader};
use crate::compose::{OutBody, Outgoing};
use crate::envelope::Envelope;
use crate::feedback::Feedback;
use crate::header::{BlockError, read};
use crate::ids::MessageId;
use crate::ns::{MessageType, OSCI};

/// Asks for a message id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetMessageId {
    /// The common blocks.
    pub header: RequestHeader,
}

/// Answers [`GetMessageId`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseToGetMessageId {
    /// The common blocks.
    pub header: ResponseHeader,
    /// What came of it.
    pub feedback: Feedback,
    /// The id, on success.
    pub message_id: Option<MessageId>,
}

impl GetMessageId {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        read::nothing_in(order_in_body(envelope, "getMessageId")?)?;
        Ok(Self { header: RequestHeader::parse(envelope)? })
    }

    /// The message.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self) -> Result<Outgoing, BlockError> {
        let body = OutBody::Inline("<osci:getMessageId></osci:getMessageId>".to_owned());
        self.header.compose(MessageType::GetMessageId, Vec::new(), body)
    }
}

impl ResponseToGetMessageId {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        let order = order_in_body(envelope, "responseToGetMessageId")?;
        let (mut feedback, mut message_id) = (None, None);
        for child in read::children(order)? {
            if read::is(child, OSCI, "Feedback") {
                read::once(&mut feedback, Feedback::from_element(child)?, order, child)?;
            } else if read::is(child, OSCI, "MessageId") {
                read::once(&mut message_id, read::message_id(child)?, order, child)?;
            } else {
                return Err(read::unexpected(order, child).into());
            }
        }
        let feedback = feedback.ok_or_else(|| read::missing(order, "Feedback"))?;
        Ok(Self { header: ResponseHeader::parse(envelope)?, feedback, message_id })
    }

    /// The message.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self) -> Result<Outgoing, BlockError> {
        let body = feedback_body("osci:responseToGetMessageId", &self.feedback, |xml| {
            if let Some(id) = &self.message_id {
                xml.leaf("osci:MessageId", &[], &id.to_base64());
            }
        });
        self.header.compose(MessageType::ResponseToGetMessageId, None, body)
    }
}
