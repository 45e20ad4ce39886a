//! The client's side of dialogs; also an intermediary's side when it hands a delivery to a passive recipient.

use thiserror::Error;

use super::ControlBlock;
use super::rules::{Misplaced, Part, Presence, Rule, needs_explicit_dialog};
use crate::feedback::Code;
use crate::ids::{Challenge, ConversationId};
use crate::ns::{Direction, MessageType};

/// Why a request cannot be sent now. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestImpossible {
    /// The message type is no request.
    #[error("{0} is no request")]
    NotARequest(MessageType),
    /// The order needs an explicit dialog, and none is open: send InitDialog first.
    #[error("{0} needs an explicit dialog")]
    ExplicitDialogNeeded(MessageType),
    /// The last request has no response yet. Send it again or give the dialog up.
    #[error("the last request has not been answered yet")]
    Unanswered,
    /// After a fault or an unusable response the two sides may disagree: begin with InitDialog.
    #[error("the dialog is stale after a fault")]
    Stale,
    /// The last response had no challenge that this request could echo.
    #[error("the last response had no challenge")]
    NoChallenge,
    /// The dialog has seen as many requests as numbers exist.
    #[error("the dialog has run out of sequence numbers")]
    TooLong,
}

/// Why a response does not fit the request. The dialog is stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResponseViolation {
    /// Nothing was asked.
    #[error("there is no open request")]
    Unasked,
    /// The response to another kind of request.
    #[error("{0} does not answer the request")]
    OtherType(MessageType),
    /// The control block does not fit the message type.
    #[error(transparent)]
    Misplaced(#[from] Misplaced),
    /// The response is not our challenge.
    #[error("the response is not the challenge of the request")]
    Response,
    /// The number is not that of the request.
    #[error("the sequence number is not that of the request")]
    SequenceNumber,
    /// The conversation is another one.
    #[error("the response belongs to another conversation")]
    OtherConversation,
}

impl ResponseViolation {
    /// The code that clients report for it.
    pub const fn code(self) -> Code {
        match self {
            Self::Misplaced(Misplaced::Missing(Part::ConversationId)) => Code::ExplicitDialogNeeded,
            Self::Misplaced(Misplaced::Missing(Part::Challenge) | Misplaced::Unexpected(Part::Challenge))
            | Self::Unasked
            | Self::OtherType(_) => Code::NotAMessage,
            Self::Misplaced(_) | Self::Response | Self::SequenceNumber | Self::OtherConversation => {
                Code::DialogViolated
            }
        }
    }
}

/// The client's dialogs with one supplier, one after the other: implicit ones until InitDialog was answered, then an
/// explicit one until ExitDialog is.
#[derive(Debug, Clone, Default)]
pub struct ClientDialog {
    state: State,
    pending: Option<Pending>,
}

#[derive(Debug, Clone, Default)]
enum State {
    #[default]
    Implicit,
    Explicit {
        id: ConversationId,
        next: u32,
        received: Option<Challenge>,
    },
    Stale,
}

#[derive(Debug, Clone)]
struct Pending {
    message: MessageType,
    block: ControlBlock,
}

impl ClientDialog {
    /// No explicit dialog is open.
    pub fn new() -> Self {
        Self::default()
    }

    /// The control block of the next request. `challenge` must never have been sent before.
    ///
    /// # Errors
    /// If this request is not possible now; InitDialog always is.
    pub fn request(&mut self, message: MessageType, challenge: Challenge) -> Result<ControlBlock, RequestImpossible> {
        let is_request =
            matches!(message.direction(), Direction::RequestToIntermediary | Direction::RequestToRecipient);
        let rule = Rule::of(message).filter(|_| is_request).ok_or(RequestImpossible::NotARequest(message))?;
        let mut block = ControlBlock { challenge: Some(challenge), ..ControlBlock::default() };
        if rule.sequence_number == Presence::Forbidden {
            self.state = State::Implicit;
        } else {
            self.continue_dialog(message, rule, &mut block)?;
        }
        self.pending = Some(Pending { message, block: block.clone() });
        Ok(block)
    }

    /// The control block of the request that has no response yet, to send the very same request again.
    pub fn retransmit(&self) -> Option<&ControlBlock> {
        self.pending.as_ref().map(|pending| &pending.block)
    }

    /// Takes the control block of a response.
    ///
    /// # Errors
    /// If it does not fit the request. The dialog is stale then.
    pub fn response(&mut self, message: MessageType, answer: &ControlBlock) -> Result<(), ResponseViolation> {
        let checked = match self.pending.take() {
            Some(pending) => self.check(&pending, message, answer).map(|()| pending),
            None => Err(ResponseViolation::Unasked),
        };
        match checked {
            Ok(pending) => {
                self.advance(pending.message, answer);
                Ok(())
            }
            Err(violation) => {
                self.give_up();
                Err(violation)
            }
        }
    }

    /// The request ended in a SOAP fault, or its outcome will never be known: an open dialog is stale from now on.
    pub fn give_up(&mut self) {
        self.pending = None;
        if matches!(self.state, State::Explicit { .. }) {
            self.state = State::Stale;
        }
    }

    /// The id of the explicit dialog that is open.
    pub fn conversation_id(&self) -> Option<&ConversationId> {
        match &self.state {
            State::Explicit { id, .. } => Some(id),
            State::Implicit | State::Stale => None,
        }
    }

    /// Fills the block for a request other than InitDialog and counts it.
    fn continue_dialog(
        &mut self,
        message: MessageType,
        rule: Rule,
        block: &mut ControlBlock,
    ) -> Result<(), RequestImpossible> {
        match &mut self.state {
            State::Stale => Err(RequestImpossible::Stale),
            _ if self.pending.is_some() => Err(RequestImpossible::Unanswered),
            State::Implicit if needs_explicit_dialog(message) => Err(RequestImpossible::ExplicitDialogNeeded(message)),
            State::Implicit => {
                block.sequence_number = Some(0);
                Ok(())
            }
            State::Explicit { id, next, received } => {
                if rule.response == Presence::Required && received.is_none() {
                    return Err(RequestImpossible::NoChallenge);
                }
                if *next > i32::MAX as u32 {
                    return Err(RequestImpossible::TooLong);
                }
                block.response = received.clone();
                block.conversation_id = Some(id.clone());
                block.sequence_number = Some(*next);
                *next += 1;
                Ok(())
            }
        }
    }

    fn check(&self, pending: &Pending, message: MessageType, answer: &ControlBlock) -> Result<(), ResponseViolation> {
        if !answers(message, pending.message) {
            return Err(ResponseViolation::OtherType(message));
        }
        Rule::of(message).ok_or(ResponseViolation::OtherType(message))?.check(answer)?;
        if answer.response != pending.block.challenge {
            return Err(ResponseViolation::Response);
        }
        if answer.sequence_number != pending.block.sequence_number {
            return Err(ResponseViolation::SequenceNumber);
        }
        match (&self.state, &answer.conversation_id) {
            (State::Explicit { id, .. }, Some(found)) if found != id => Err(ResponseViolation::OtherConversation),
            _ => Ok(()),
        }
    }

    fn advance(&mut self, request: MessageType, answer: &ControlBlock) {
        match (request, &mut self.state, &answer.conversation_id) {
            (MessageType::InitDialog, state, Some(id)) => {
                *state = State::Explicit { id: id.clone(), next: 0, received: answer.challenge.clone() };
            }
            (MessageType::ExitDialog, state, _) => *state = State::Implicit,
            (_, State::Explicit { received, .. }, _) => received.clone_from(&answer.challenge),
            _ => {}
        }
    }
}

/// Whether one type is the response to another. A fetched chunk may turn out to be the whole delivery.
fn answers(response: MessageType, request: MessageType) -> bool {
    let regular = response.name().strip_prefix("ResponseTo") == Some(request.name());
    let whole = response == MessageType::ResponseToFetchDelivery && request == MessageType::PartialFetchDelivery;
    regular || whole
}
