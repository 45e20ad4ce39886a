//! The intermediary's side of dialogs.

use std::fmt;
use std::sync::Arc;

use rohrpost_planted::planted;
use thiserror::Error;

use super::ControlBlock;
use super::rules::{Misplaced, Part, Rule, needs_explicit_dialog};
use crate::feedback::Code;
use crate::ids::{Challenge, ConversationId, MessageId};
use crate::ns::MessageType;

/// Who opened the dialog: the certificates of InitDialog as DER.
///
/// Whoever answers the challenge of an encrypted answer could decrypt it, and so owns the cipher certificate. That,
/// not a signature, is what opens a mailbox.
#[derive(Clone, PartialEq, Eq)]
pub struct Client {
    /// For whom answers are encrypted, and whose mailbox this is.
    pub cipher_certificate: Arc<[u8]>,
    /// With what requests are signed, if InitDialog told.
    pub signature_certificate: Option<Arc<[u8]>>,
}

/// Random values for an answer, made by the caller; used or dropped.
#[derive(Debug, Clone)]
pub struct Fresh {
    /// An id that no open dialog has.
    pub conversation_id: ConversationId,
    /// A challenge that was never sent before.
    pub challenge: Challenge,
}

/// What is accepted although the rules forbid it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tolerance {
    /// A request object sent again by a client that lets our answer overwrite its control block: number and
    /// challenges are those of our last answer. Taken for a new order. Does not weaken the proof of identity, as the
    /// client shows our last challenge. On by default.
    pub reused_control_block: bool,
    /// A request in clear within a dialog that was opened encrypted. Off by default: whoever listens to it could
    /// carry the dialog on.
    pub dangerous_clear_requests: bool,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { reused_control_block: true, dangerous_clear_requests: false }
    }
}

/// What a request within an explicit dialog is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Turn {
    /// The next request: execute it.
    Next,
    /// A new order under the control block of our last answer, see [`Tolerance::reused_control_block`]: execute it.
    Reused,
    /// The last request once more, because its answer was lost. Send the same answer again; if it is not at hand,
    /// refuse with 9400. Never execute it, and acknowledge nothing.
    Retransmission,
}

/// Why a request does not fit its dialog. The peer is told one thing for all of them: the fault 9400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Violation {
    /// The control block does not fit the message type.
    #[error(transparent)]
    Misplaced(#[from] Misplaced),
    /// The message type is none that a client sends to an intermediary.
    #[error("{0} is no request to an intermediary")]
    NotARequest(MessageType),
    /// The conversation is another one.
    #[error("the request belongs to another conversation")]
    OtherConversation,
    /// The dialog was closed by ExitDialog.
    #[error("the dialog is closed")]
    Closed,
    /// The sequence number is not the next one.
    #[error("sequence number {found} instead of {expected}")]
    SequenceNumber {
        /// The next number.
        expected: u32,
        /// The number in the request.
        found: u32,
    },
    /// The response is not our last challenge.
    #[error("the response is not the last challenge")]
    Response,
    /// The request came in clear, the dialog was opened encrypted.
    #[error("the request is not encrypted although its dialog is")]
    InClear,
}

impl Violation {
    /// What the peer is told.
    pub const fn code(self) -> Code {
        Code::DialogViolated
    }
}

/// A request outside of explicit dialogs, and the control block of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Implicit {
    /// To be executed.
    Accepted(ControlBlock),
    /// To be answered with [`Code::ExplicitDialogNeeded`] in its regular response.
    ExplicitDialogNeeded(ControlBlock),
}

/// Judges a request without conversation id, other than InitDialog. Its `Response` is ignored: clients send whatever
/// challenge they saw last.
///
/// # Errors
/// If the control block does not fit the message type or its number is not 0.
pub fn answer_implicit(message: MessageType, request: &ControlBlock, fresh: Fresh) -> Result<Implicit, Violation> {
    use MessageType as M;
    if request.conversation_id.is_some() {
        return Err(Violation::OtherConversation);
    }
    let challenge = request.challenge.clone().ok_or(Misplaced::Missing(Part::Challenge))?;
    let number = request.sequence_number.ok_or(Misplaced::Missing(Part::SequenceNumber))?;
    let mut answer = ControlBlock {
        response: Some(challenge),
        challenge: None,
        conversation_id: Some(fresh.conversation_id),
        sequence_number: Some(number),
    };
    match message {
        M::ExitDialog => Err(Misplaced::Missing(Part::ConversationId).into()),
        _ if needs_explicit_dialog(message) => {
            // Clients insist on a challenge in these answers before they look at the code.
            answer.challenge = Some(fresh.challenge);
            Ok(Implicit::ExplicitDialogNeeded(answer))
        }
        M::GetMessageId | M::StoreDelivery | M::PartialStoreDelivery | M::ForwardDelivery => match number {
            0 => Ok(Implicit::Accepted(answer)),
            found => Err(Violation::SequenceNumber { expected: 0, found }),
        },
        other => Err(Violation::NotARequest(other)),
    }
}

/// One explicit dialog.
#[derive(Clone)]
pub struct IntermediaryDialog {
    id: ConversationId,
    client: Client,
    encrypted: bool,
    /// Our challenge that the next request has to echo.
    sent: Challenge,
    next: u32,
    /// Whether a number may still be skipped, for a request that we could not read.
    may_skip: bool,
    closed: bool,
    last: Option<Handled>,
    handed_out: Vec<MessageId>,
}

/// The request handled last.
#[derive(Clone)]
struct Handled {
    message: MessageType,
    request: ControlBlock,
}

impl IntermediaryDialog {
    /// Opens a dialog for an InitDialog request; returns it with the control block of the answer.
    ///
    /// # Errors
    /// If the control block holds anything but a challenge.
    pub fn open(
        request: &ControlBlock,
        client: Client,
        encrypted: bool,
        fresh: Fresh,
    ) -> Result<(Self, ControlBlock), Violation> {
        let rule = Rule::of(MessageType::InitDialog).expect("InitDialog has a control block");
        rule.check(request)?;
        let answer = ControlBlock {
            response: request.challenge.clone(),
            challenge: Some(fresh.challenge.clone()),
            conversation_id: Some(fresh.conversation_id.clone()),
            sequence_number: None,
        };
        Ok((Self::resume(fresh.conversation_id, client, encrypted, fresh.challenge, 0), answer))
    }

    /// Takes up a dialog from elsewhere: `sent` is the last challenge sent, `next` the number of the next request.
    pub fn resume(id: ConversationId, client: Client, encrypted: bool, sent: Challenge, next: u32) -> Self {
        Self { id, client, encrypted, sent, next, may_skip: true, closed: false, last: None, handed_out: Vec::new() }
    }

    /// Judges a request that carries this dialog's id and counts it, whatever becomes of the order. If it then ends in
    /// a SOAP fault, do not call [`answer`](Self::answer): the last challenge stays the one to echo.
    ///
    /// Once in a dialog a number may be skipped, because a request that we could not decrypt or read was counted by
    /// its sender.
    ///
    /// # Errors
    /// If the request does not fit; the dialog is as before then.
    pub fn check(
        &mut self,
        message: MessageType,
        request: &ControlBlock,
        encrypted: bool,
        tolerance: &Tolerance,
    ) -> Result<Turn, Violation> {
        let turn = self.judge(message, request, encrypted, tolerance)?;
        if turn == Turn::Retransmission {
            return Ok(turn);
        }
        let number = request.sequence_number.unwrap_or(self.next);
        if turn == Turn::Next {
            self.may_skip &= number == self.next;
            self.next = number.saturating_add(1);
        }
        self.closed = message == MessageType::ExitDialog;
        self.last = Some(Handled { message, request: request.clone() });
        Ok(turn)
    }

    /// The control block of the answer to the request checked last. `challenge` becomes the one to echo; the answer
    /// to ExitDialog carries none.
    ///
    /// # Panics
    /// If no request was checked yet.
    pub fn answer(&mut self, challenge: Challenge) -> ControlBlock {
        let last = self.last.as_ref().expect("an answer follows a request that was checked");
        if !self.closed {
            self.sent = challenge.clone();
        }
        ControlBlock {
            response: last.request.challenge.clone(),
            challenge: (!self.closed).then_some(challenge),
            conversation_id: Some(self.id.clone()),
            sequence_number: last.request.sequence_number,
        }
    }

    /// Notes that a delivery is part of the answer being sent.
    pub fn hand_out(&mut self, id: MessageId) {
        if !self.handed_out.contains(&id) {
            self.handed_out.push(id);
        }
    }

    /// Deliveries handed out and not acknowledged yet.
    pub fn handed_out(&self) -> &[MessageId] {
        &self.handed_out
    }

    /// The deliveries that the request just checked acknowledges: by sending on, the client says that it could read
    /// what it got. They are handed over; call this before executing the order.
    pub fn take_acknowledged(&mut self, turn: Turn) -> Vec<MessageId> {
        match turn {
            Turn::Next | Turn::Reused => std::mem::take(&mut self.handed_out),
            Turn::Retransmission => Vec::new(),
        }
    }

    /// The id of the dialog.
    pub fn id(&self) -> &ConversationId {
        &self.id
    }

    /// Who opened the dialog.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the dialog was opened encrypted. Only then have the client's requests proved who it is.
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Whether ExitDialog was handled. The dialog is then only good for answering a retransmission.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn judge(
        &self,
        message: MessageType,
        request: &ControlBlock,
        encrypted: bool,
        tolerance: &Tolerance,
    ) -> Result<Turn, Violation> {
        Rule::of(message).ok_or(Violation::NotARequest(message))?.check(request)?;
        if request.conversation_id.as_ref() != Some(&self.id) && !planted("conversation-not-compared") {
            return Err(Violation::OtherConversation);
        }
        if self.encrypted && !encrypted && !tolerance.dangerous_clear_requests {
            return Err(Violation::InClear);
        }
        if self.is_retransmission(message, request) {
            return Ok(Turn::Retransmission);
        }
        if self.closed && !planted("closed-dialog-goes-on") {
            return Err(Violation::Closed);
        }
        if tolerance.reused_control_block && self.is_reused(request) {
            return Ok(Turn::Reused);
        }
        let found = request.sequence_number.ok_or(Misplaced::Missing(Part::SequenceNumber))?;
        let is_next = found == self.next || (self.may_skip && found.checked_sub(1) == Some(self.next));
        if !is_next && !planted("sequence-number-not-checked") {
            return Err(Violation::SequenceNumber { expected: self.next, found });
        }
        if request.response.as_ref() != Some(&self.sent) && !planted("challenge-not-compared") {
            return Err(Violation::Response);
        }
        Ok(Turn::Next)
    }

    fn is_retransmission(&self, message: MessageType, request: &ControlBlock) -> bool {
        let same = |last: &Handled| match planted("retransmission-by-number-only") {
            true => last.request.sequence_number == request.sequence_number,
            false => last.request == *request,
        };
        self.last.as_ref().is_some_and(|last| last.message == message && same(last))
    }

    /// Whether the control block is the one of our last answer.
    fn is_reused(&self, request: &ControlBlock) -> bool {
        self.last.as_ref().is_some_and(|last| {
            request.sequence_number == last.request.sequence_number
                && request.challenge.as_ref() == Some(&self.sent)
                && request.response == last.request.challenge
        })
    }
}

/// Certificates are public, but long.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("cipher_certificate", &self.cipher_certificate.len())
            .field("signature_certificate", &self.signature_certificate.as_ref().map(|der| der.len()))
            .finish()
    }
}

impl fmt::Debug for IntermediaryDialog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntermediaryDialog")
            .field("id", &self.id)
            .field("encrypted", &self.encrypted)
            .field("next", &self.next)
            .field("closed", &self.closed)
            .field("handed_out", &self.handed_out.len())
            .finish_non_exhaustive()
    }
}
