//! Dialogs: who may say what next (OSCI-Transport 1.2, dialog control).
//!
//! Every message carries a [`ControlBlock`]. In an *explicit* dialog (from InitDialog to ExitDialog) each side echoes
//! the other's last challenge, the conversation id stays and the sequence number counts the requests; an *implicit*
//! dialog is one request and its response. The client's side is [`ClientDialog`], the intermediary's is
//! [`IntermediaryDialog`] together with [`answer_implicit`]. Between an intermediary, then in the client's place, and a passive
//! recipient there are no dialogs but one request and its answer: [`answer_intermediary`].
//!
//! Not in here: time (how long a dialog lives is its keeper's business), input and output, and random numbers.
//!
//! ```
//! use rohrpost_osci::dialog::{ClientDialog, Client, Fresh, IntermediaryDialog, Tolerance, Turn};
//! use rohrpost_osci::ids::{Challenge, ConversationId};
//! use rohrpost_osci::ns::MessageType::*;
//!
//! let challenge = |n: u8| Challenge::from_random([n; 15]);
//! let mut client = ClientDialog::new();
//! let request = client.request(InitDialog, challenge(1))?;
//!
//! let fresh = Fresh { conversation_id: ConversationId::from_random([7; 16]), challenge: challenge(2) };
//! let who = Client { cipher_certificate: b"DER"[..].into(), signature_certificate: None };
//! let (mut dialog, answer) = IntermediaryDialog::open(&request, who, true, fresh)?;
//! client.response(ResponseToInitDialog, &answer)?;
//!
//! let request = client.request(FetchDelivery, challenge(3))?;
//! assert_eq!(request.sequence_number, Some(0));
//! assert_eq!(dialog.check(FetchDelivery, &request, true, &Tolerance::default())?, Turn::Next);
//! client.response(ResponseToFetchDelivery, &dialog.answer(challenge(4)))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod client;
mod intermediary;
mod recipient;
mod rules;

pub use client::{ClientDialog, RequestImpossible, ResponseViolation};
pub use intermediary::{Client, Fresh, Implicit, IntermediaryDialog, Tolerance, Turn, Violation, answer_implicit};
pub use recipient::{NotAnswerable, answer_intermediary};
pub use rules::{Misplaced, Part, Presence, Rule, needs_explicit_dialog};

use crate::ids::{Challenge, ConversationId};

/// The four parts that steer a dialog. Which of them a message carries depends on its type, see [`Rule`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ControlBlock {
    /// The other side's last challenge, character by character.
    pub response: Option<Challenge>,
    /// What the other side has to echo next.
    pub challenge: Option<Challenge>,
    /// The explicit dialog this message belongs to.
    pub conversation_id: Option<ConversationId>,
    /// The number of the request in its dialog, from 0; a response repeats it. At most `i32::MAX`.
    pub sequence_number: Option<u32>,
}
