//! The passive recipient's side: one request of an intermediary, one answer.

use super::ControlBlock;
use super::rules::{Misplaced, Rule};
use crate::ns::{Direction, MessageType};

/// The control block of the answer to a delivery that an intermediary hands over. The intermediary's side is
/// [`ClientDialog`](super::ClientDialog).
///
/// # Errors
/// If the request's control block holds anything but a challenge, or the message is no such request (feedback 9400).
pub fn answer_intermediary(message: MessageType, request: &ControlBlock) -> Result<ControlBlock, NotAnswerable> {
    if message.direction() != Direction::RequestToRecipient {
        return Err(NotAnswerable::NotForRecipients(message));
    }
    Rule::of(message).ok_or(NotAnswerable::NotForRecipients(message))?.check(request)?;
    Ok(ControlBlock { response: request.challenge.clone(), ..ControlBlock::default() })
}

/// Why a recipient has no answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAnswerable {
    /// The message is none that an intermediary sends to recipients.
    #[error("{0} is no request to a passive recipient")]
    NotForRecipients(MessageType),
    /// The control block does not fit.
    #[error(transparent)]
    Misplaced(#[from] Misplaced),
}
