//! What an intermediary and a passive recipient say to each other.

use super::{
    AcceptDelivery, MessageError, ProcessDelivery, RequestHeader, ResponseHeader, ResponseToAcceptDelivery,
    ResponseToProcessDelivery,
};
use crate::card::ProcessCardBundle;
use crate::dialog::ControlBlock;
use crate::envelope::Envelope;
use crate::feedback::Feedback;
use crate::header::IntermediaryCertificates;
use crate::ns::{Direction, MessageType};

/// A delivery that an intermediary hands to a passive recipient.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RecipientRequest {
    /// To be taken or refused.
    AcceptDelivery(AcceptDelivery),
    /// To be answered with a delivery.
    ProcessDelivery(ProcessDelivery),
}

/// An answer of a passive recipient to an intermediary.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RecipientResponse {
    /// Answers [`RecipientRequest::AcceptDelivery`].
    AcceptDelivery(ResponseToAcceptDelivery),
    /// Answers [`RecipientRequest::ProcessDelivery`].
    ProcessDelivery(ResponseToProcessDelivery),
}

impl RecipientRequest {
    /// Reads a request. Whether its control block is in order says [`dialog::answer_intermediary`](crate::dialog::answer_intermediary).
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        match envelope.message_type() {
            MessageType::AcceptDelivery => AcceptDelivery::parse(envelope).map(Self::AcceptDelivery),
            MessageType::ProcessDelivery => ProcessDelivery::parse(envelope).map(Self::ProcessDelivery),
            other => Err(MessageError::WrongDirection(other)),
        }
    }

    /// What both requests have in common.
    pub fn header(&self) -> &RequestHeader {
        match self {
            Self::AcceptDelivery(request) => &request.header,
            Self::ProcessDelivery(request) => &request.header,
        }
    }

    /// The message type.
    pub fn message_type(&self) -> MessageType {
        match self {
            Self::AcceptDelivery(_) => MessageType::AcceptDelivery,
            Self::ProcessDelivery(_) => MessageType::ProcessDelivery,
        }
    }

    /// The control block.
    pub fn control(&self) -> &ControlBlock {
        &self.header().control
    }

    /// The certificates of the intermediary.
    pub fn intermediary(&self) -> Option<&IntermediaryCertificates> {
        match self {
            Self::AcceptDelivery(request) => request.intermediary.as_ref(),
            Self::ProcessDelivery(request) => request.intermediary.as_ref(),
        }
    }

    /// The process card; deliveries to be answered may have none.
    pub fn card(&self) -> Option<&ProcessCardBundle> {
        match self {
            Self::AcceptDelivery(request) => Some(&request.card),
            Self::ProcessDelivery(request) => request.with_card.as_ref().map(|request| &request.card),
        }
    }
}

impl RecipientResponse {
    /// Reads an answer. Whether it answers the request says [`ClientDialog`](crate::dialog::ClientDialog).
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        match envelope.message_type() {
            MessageType::ResponseToAcceptDelivery => {
                ResponseToAcceptDelivery::parse(envelope).map(Self::AcceptDelivery)
            }
            MessageType::ResponseToProcessDelivery => {
                ResponseToProcessDelivery::parse(envelope).map(Self::ProcessDelivery)
            }
            other if other.direction() == Direction::Response => Err(MessageError::NotSupported(other)),
            other => Err(MessageError::WrongDirection(other)),
        }
    }

    /// What both answers have in common.
    pub fn header(&self) -> &ResponseHeader {
        match self {
            Self::AcceptDelivery(answer) => &answer.header,
            Self::ProcessDelivery(answer) => &answer.header,
        }
    }

    /// The message type.
    pub fn message_type(&self) -> MessageType {
        match self {
            Self::AcceptDelivery(_) => MessageType::ResponseToAcceptDelivery,
            Self::ProcessDelivery(_) => MessageType::ResponseToProcessDelivery,
        }
    }

    /// The feedback.
    pub fn feedback(&self) -> &Feedback {
        match self {
            Self::AcceptDelivery(answer) => &answer.feedback,
            Self::ProcessDelivery(answer) => &answer.feedback,
        }
    }

    /// The control block.
    pub fn control(&self) -> &ControlBlock {
        &self.header().control
    }
}
