use super::header::{feedback_body, only_feedback, order_in_body};
use super::{MessageError, RequestHeader, ResponseHeader};
use crate::compose::{OutBody, Outgoing};
use crate::envelope::Envelope;
use crate::feedback::Feedback;
use crate::header::{BlockError, read};
use crate::ns::MessageType;

/// Closes an explicit dialog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitDialog {
    /// The common blocks.
    pub header: RequestHeader,
}

/// Answers [`ExitDialog`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseToExitDialog {
    /// The common blocks.
    pub header: ResponseHeader,
    /// What came of it.
    pub feedback: Feedback,
}

impl ExitDialog {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        read::nothing_in(order_in_body(envelope, "exitDialog")?)?;
        Ok(Self { header: RequestHeader::parse(envelope)? })
    }

    /// The message.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self) -> Result<Outgoing, BlockError> {
        let body = OutBody::Inline("<osci:exitDialog></osci:exitDialog>".to_owned());
        self.header.compose(MessageType::ExitDialog, Vec::new(), body)
    }
}

impl ResponseToExitDialog {
    pub(super) fn parse(envelope: &Envelope) -> Result<Self, MessageError> {
        let order = order_in_body(envelope, "responseToExitDialog")?;
        Ok(Self { header: ResponseHeader::parse(envelope)?, feedback: only_feedback(order)? })
    }

    /// The message.
    ///
    /// # Errors
    /// If a custom block cannot be written.
    pub fn compose(&self) -> Result<Outgoing, BlockError> {
        let body = feedback_body("osci:responseToExitDialog", &self.feedback, |_| {});
        self.header.compose(MessageType::ResponseToExitDialog, None, body)
    }
}
