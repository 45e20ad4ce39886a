//! How a request enters: it opens a dialog, goes on in one, or stands alone. What it enters with decides for whom the answer
//! is sealed and how its control block looks (OSCI-Transport 1.2, dialogs).

use std::sync::Arc;

use rohrpost_osci::dialog::{self, Client, ControlBlock, Fresh, Implicit, IntermediaryDialog, Turn, answer_implicit};
use rohrpost_osci::feedback::Code;
use rohrpost_osci::header::{CertificateRole, CertificateUse};
use rohrpost_osci::ids::{Challenge, ConversationId};
use rohrpost_osci::message::Request;
use rohrpost_pipeline::spool::Spool;
use rohrpost_planted::planted;
use rohrpost_store::Store;
use time::OffsetDateTime;

use crate::Intermediary;
use crate::dialogs::{Held, SharedDialog};
use crate::handle::Stop;

/// Bytes of a certificate that an open dialog keeps at most: bounds memory together with the number of dialogs.
const MAX_KEPT: usize = 8 * 1024;

/// The way in.
pub(crate) enum Entrance<'a> {
    /// InitDialog: a dialog that is open once the answer is made.
    Opening { dialog: Box<IntermediaryDialog>, control: ControlBlock },
    /// A request of an open dialog, which nobody else can use meanwhile.
    Within { open: Held<'a>, turn: Turn },
    /// A request on its own.
    Alone { control: ControlBlock, client: Option<Arc<[u8]>> },
    /// A request on its own that would need a dialog.
    Stranded { control: ControlBlock, client: Option<Arc<[u8]>> },
}

/// What to do with a request.
pub(crate) enum Entered<'a> {
    /// Execute it.
    Proceed(Entrance<'a>),
    /// It is the last one of its dialog once more: the same answer again. Beside it the signature certificate InitDialog
    /// came with.
    Again { answer: Spool, remembered: Option<Arc<[u8]>> },
}

impl Intermediary {
    /// Checks the control block. `slot` keeps the dialog alive that the result borrows from.
    pub(crate) fn enter<'a>(
        &self,
        request: &Request,
        encrypted: bool,
        now: OffsetDateTime,
        slot: &'a mut Option<SharedDialog>,
    ) -> Result<Entered<'a>, Stop> {
        let control = request.control();
        let sent = |purpose| {
            let certificates = &request.header().certificates;
            certificates.first(CertificateRole::Originator, purpose).map(|entry| Arc::from(entry.der.as_slice()))
        };
        let client: Option<Arc<[u8]>> = sent(CertificateUse::Cipher);
        if matches!(request, Request::InitDialog(_)) {
            let cipher_certificate = client.ok_or_else(no_client_certificate)?;
            let signature_certificate = sent(CertificateUse::Signature);
            if [Some(&cipher_certificate), signature_certificate.as_ref()]
                .iter()
                .flatten()
                .any(|der| der.len() > MAX_KEPT)
            {
                let cause = "a certificate of the client is too long to be kept";
                return Err(Stop::new(Code::ClientCipherCertificateCheckFailed, cause));
            }
            let who = Client { cipher_certificate, signature_certificate };
            let (dialog, control) =
                IntermediaryDialog::open(control, who, encrypted, self.fresh()).map_err(violation)?;
            return Ok(Entered::Proceed(Entrance::Opening { dialog: Box::new(dialog), control }));
        }
        let Some(conversation) = &control.conversation_id else {
            let entrance = match answer_implicit(request.message_type(), control, self.fresh()).map_err(violation)? {
                Implicit::Accepted(control) => Entrance::Alone { control, client },
                Implicit::ExplicitDialogNeeded(control) => Entrance::Stranded { control, client },
            };
            return Ok(Entered::Proceed(entrance));
        };
        let unknown = || Stop::new(Code::DialogViolated, "the conversation is unknown or expired");
        let shared = slot.insert(self.dialogs.find(conversation, now).ok_or_else(unknown)?);
        let far = || Stop::new(Code::DialogViolated, "the request before still waits for a passive recipient");
        let mut open = shared.hold().ok_or_else(far)?;
        let turn = open
            .dialog
            .check(request.message_type(), control, encrypted, &self.settings.tolerance)
            .map_err(violation)?;
        if turn == Turn::Retransmission {
            let lost = || Stop::new(Code::DialogViolated, "a retransmission whose answer is not at hand");
            let answer = open.last_answer().ok_or_else(lost)?;
            return Ok(Entered::Again { answer, remembered: open.dialog.client().signature_certificate.clone() });
        }
        open.forget_answer();
        Ok(Entered::Proceed(Entrance::Within { open, turn }))
    }

    fn fresh(&self) -> Fresh {
        Fresh {
            conversation_id: ConversationId::from_random(self.random()),
            challenge: Challenge::from_random(self.random()),
        }
    }
}

impl Entrance<'_> {
    /// The cipher certificate (DER) the answer is sealed for, if the request itself brings none.
    pub(crate) fn client(&self) -> Option<Arc<[u8]>> {
        match self {
            Self::Opening { dialog, .. } => Some(Arc::clone(&dialog.client().cipher_certificate)),
            Self::Within { open, .. } => Some(Arc::clone(&open.dialog.client().cipher_certificate)),
            Self::Alone { client, .. } | Self::Stranded { client, .. } => client.clone(),
        }
    }

    /// The signature certificate InitDialog came with.
    pub(crate) fn remembered_signer(&self) -> Option<Arc<[u8]>> {
        match self {
            Self::Within { open, .. } => open.dialog.client().signature_certificate.clone(),
            _ => None,
        }
    }

    /// The open dialog, for orders that need one.
    pub(crate) fn dialog(&mut self) -> Option<&mut IntermediaryDialog> {
        match self {
            Self::Within { open, .. } => Some(&mut open.dialog),
            _ => None,
        }
    }

    /// The order is going to wait for a passive recipient.
    pub(crate) fn go_far(&self) {
        if let Self::Within { open, .. } = self {
            open.go_far();
        }
    }

    /// Whether the dialog goes on after the answer: decides between 0800 and 0801.
    pub(crate) fn stays_open(&self) -> bool {
        match self {
            Self::Opening { .. } => true,
            Self::Within { open, .. } => !open.dialog.is_closed(),
            Self::Alone { .. } | Self::Stranded { .. } => false,
        }
    }

    /// By sending on, the client says that it could read what was handed out: sets Reception
    /// (OSCI-Transport 1.2, acknowledgement of fetched deliveries).
    pub(crate) fn acknowledge(&mut self, store: &dyn Store, now: OffsetDateTime) -> Result<(), Stop> {
        let Self::Within { open, turn } = self else { return Ok(()) };
        if planted("acknowledgement-forgotten-before-stored") {
            let acknowledged = open.dialog.take_acknowledged(*turn);
            return store.mark_received(&acknowledged, now).map(drop).map_err(Stop::internal);
        }
        if !open.dialog.handed_out().is_empty() {
            store.mark_received(open.dialog.handed_out(), now).map_err(Stop::internal)?;
        }
        // Only now: if the store fails, the next request acknowledges.
        open.dialog.take_acknowledged(*turn);
        Ok(())
    }

    /// The control block of the answer; the dialog moves on.
    pub(crate) fn control(&mut self, challenge: Challenge) -> ControlBlock {
        match self {
            Self::Opening { control, .. } | Self::Alone { control, .. } | Self::Stranded { control, .. } => {
                control.clone()
            }
            Self::Within { open, .. } => open.dialog.answer(challenge),
        }
    }
}

pub(crate) fn no_client_certificate() -> Stop {
    Stop::new(Code::ClientCipherCertificateMissing, "no cipher certificate of the client")
}

fn violation(violation: dialog::Violation) -> Stop {
    Stop::new(violation.code(), violation)
}
