use super::header::{feedback_body, only_feedback, order_in_body};
use super::{MessageError, RequestHeader, ResponseHeader};
use crate::compose::{OutBody, Outgoing};
use crate::envelope::Envelope;
use crate::feedback::Feedback;
use crate::header::{BlockError, read};
use crate::ns::MessageType;

/// Opens an explicit dialog. Its certificates name the client: the cipher certificate of the originator is the one that proves who
/// owns a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitDialog {
    /// The common blocks.
    pub header: RequestHeader,
}

/// Answers [`InitDialog`]; its control block allots the conversation id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseToInitDialog {
    /// The common blocks.
    pub header: ResponseHeader,
    /// What came of it.
    pub feedback: Feedback,
}

impl InitDialog {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        read::nothing_in(order_in_body(envelope, "initDialog")?)?;
        Ok(Self { header: RequestHeader::parse(envelope)? })
    }

    /// The message.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self) -> Result<Outgoing, BlockError> {
        let body = OutBody::Inline("<osci:initDialog></osci:initDialog>".to_owned());
        self.header.compose(MessageType::InitDialog, Vec::new(), body)
    }
}

impl ResponseToInitDialog {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        let order = order_in_body(envelope, "responseToInitDialog")?;
        Ok(Self { header: ResponseHeader::parse(envelope)?, feedback: only_feedback(order)? })
    }

    /// The message.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self) -> Result<Outgoing, BlockError> {
        let body = feedback_body("osci:responseToInitDialog", &self.feedback, |_| {});
        self.header.compose(MessageType::ResponseToInitDialog, None, body)
    }
}
