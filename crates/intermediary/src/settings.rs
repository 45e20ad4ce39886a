//! What an operator decides about the intermediary. Validated values only; where they come from is the binary's business.

use std::collections::BTreeSet;

use rohrpost_osci::dialog::Tolerance;
use rohrpost_osci::feedback::Language;
use rohrpost_osci::ns::MessageType;
use rohrpost_osci::{envelope, mime};
use rohrpost_store::MailboxLimits;
use time::Duration;

use crate::chunks::Chunks;
use crate::forwarding::Forwarding;
use crate::timestamps::Timestamps;

/// Settings of an [`Intermediary`](crate::Intermediary).
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which orders must be signed by the client (9600 otherwise).
    pub signatures: SignatureDemand,
    /// What becomes of an order when nobody can say whether a certificate is revoked.
    pub unknown_revocation: UnknownRevocation,
    /// How long an explicit dialog may rest before it is forgotten.
    pub dialog_timeout: Duration,
    /// How many explicit dialogs are kept at once.
    pub max_dialogs: usize,
    /// What is accepted in dialogs although the rules forbid it.
    pub tolerance: Tolerance,
    /// Bounds of every mailbox.
    pub mailbox: MailboxLimits,
    /// How deliveries are taken to passive recipients.
    pub forwarding: Forwarding,
    /// Whether and how messages are transferred in chunks.
    pub chunks: Option<Chunks>,
    /// What is made of orders that want cryptographic time stamps.
    pub timestamps: Timestamps,
    /// Process cards in one answer at most; more are announced with 3801.
    pub max_cards_per_answer: usize,
    /// Language of feedback when the client desires none that we have.
    pub default_language: Language,
    /// Answer FetchDelivery and FetchProcessCard without transport encryption. Nobody proves then to own the mailbox.
    pub dangerous_fetch_without_encryption: bool,
    /// Bounds of the MIME framing.
    pub mime: mime::Limits,
    /// Bounds of the envelope.
    pub envelope: envelope::Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            signatures: SignatureDemand::None,
            unknown_revocation: UnknownRevocation::Warn,
            dialog_timeout: Duration::minutes(20),
            max_dialogs: 20_000,
            tolerance: Tolerance::default(),
            mailbox: MailboxLimits::default(),
            forwarding: Forwarding::default(),
            chunks: None,
            timestamps: Timestamps::default(),
            max_cards_per_answer: 100,
            default_language: Language::German,
            dangerous_fetch_without_encryption: false,
            mime: mime::Limits::for_handing_on(),
            envelope: envelope::Limits::for_handing_on(),
        }
    }
}

/// What is made of a certificate of which nobody can say at the moment whether it is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnknownRevocation {
    /// The order is executed with a warning (3501, 3707), and the report shows that there is no evidence.
    Warn,
    /// The order is refused as if the check had failed (9503, 9710); whoever sends it again later may have more luck. An author's
    /// signature certificate only warns, as it would if it were revoked.
    Refuse,
}

/// Which orders must be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureDemand {
    /// None has to.
    None,
    /// Those named.
    Only(BTreeSet<&'static str>),
    /// Every one.
    All,
}

impl SignatureDemand {
    /// Whether an order of this type must be signed. What comes or is fetched in chunks must be signed as it must be in one piece.
    pub fn covers(&self, order: MessageType) -> bool {
        let in_one_piece = match order {
            MessageType::PartialStoreDelivery => MessageType::StoreDelivery,
            MessageType::PartialFetchDelivery => MessageType::FetchDelivery,
            other => other,
        };
        match self {
            Self::None => false,
            Self::Only(names) => names.contains(order.name()) || names.contains(in_one_piece.name()),
            Self::All => true,
        }
    }
}
