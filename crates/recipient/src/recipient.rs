use std::fmt;

use rohrpost_client::{Contents, NewContainer};
use rohrpost_osci::card::{ProcessCardBundle, Timestamp};
use rohrpost_osci::feedback::Code;
use rohrpost_osci::header::{
    CertificateRole, CertificateUse, CustomBlock, NonIntermediaryCertificates, TimestampQuality,
};
use rohrpost_osci::ids::MessageId;
use rohrpost_pki::Certificate;
use time::OffsetDateTime;

/// Whoever deliveries are for. Called on threads that may block; what it does takes as long as the intermediary waits.
///
/// What it says yes to must be durable before. The same message id may come again, after a lost answer: see the
/// [front page](crate).
pub trait Recipient: Send + Sync + 'static {
    /// Takes a delivery, or not.
    ///
    /// # Errors
    /// [`Refusal`], which the sender learns of.
    fn accept(&self, delivery: &Received) -> Result<(), Refusal>;

    /// Answers a delivery with one of its own. Declines all, unless implemented.
    ///
    /// # Errors
    /// [`Refusal`], which the sender learns of.
    fn process(&self, delivery: &Received) -> Result<Reply, Refusal> {
        let _ = delivery;
        Err(Refusal::Declined)
    }
}

/// A delivery that an intermediary hands over. Who it is from, the signatures over its content say, and the inspection report of its
/// card.
#[non_exhaustive]
pub struct Received {
    /// Its process card. Deliveries to be answered may come without.
    pub card: Option<ProcessCardBundle>,
    /// The id of the reply, if its sender asked for process cards.
    pub reply_id: Option<MessageId>,
    /// Header blocks that the sender added.
    pub headers: Vec<CustomBlock>,
    /// Everybody's certificates, as the sender put them together.
    pub certificates: NonIntermediaryCertificates,
    /// Who handed it over; `None` if the request was not signed.
    pub intermediary: Option<Certificate>,
    /// Its content, opened as far as our keys go.
    pub contents: Contents,
    /// Under which name the log speaks of the request.
    pub correlation_id: String,
}

/// Why a delivery is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is not for us, or not what we take; it will not be taken another time either (feedback 9805).
    Declined,
    /// Something failed on our side; it may be taken another time (feedback 9811).
    Failed,
}

/// The delivery that answers another one.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub(crate) containers: Vec<NewContainer>,
    pub(crate) subject: Option<String>,
    pub(crate) headers: Vec<CustomBlock>,
    pub(crate) creation: TimestampQuality,
    pub(crate) reception: TimestampQuality,
}

impl Received {
    /// Its id.
    pub fn message_id(&self) -> Option<&MessageId> {
        self.card.as_ref().map(|card| &card.message_id)
    }

    /// The cipher certificate of the sender, for sealing a reply.
    pub fn originator(&self) -> Option<Certificate> {
        let entry = self.certificates.first(CertificateRole::Originator, CertificateUse::Cipher)?;
        Certificate::from_der(&entry.der).ok()
    }
}

/// When the intermediary took the delivery: the time its signatures are judged for. Now, if the card says nothing usable.
pub(crate) fn taken_at(card: Option<&ProcessCardBundle>, now: OffsetDateTime) -> OffsetDateTime {
    match card.and_then(|card| card.card.creation.as_ref()) {
        Some(Timestamp::Plain(at)) => at.at().min(now),
        _ => now,
    }
}

impl Refusal {
    pub(crate) fn code(self) -> Code {
        match self {
            Self::Declined => Code::RecipientRefused,
            Self::Failed => Code::OrderFailed,
        }
    }
}

impl Reply {
    /// Without content.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds content.
    #[must_use]
    pub fn with_container(mut self, container: NewContainer) -> Self {
        self.containers.push(container);
        self
    }

    /// What it is about. The intermediary reads it, and it stands on the process card, if there is one.
    #[must_use]
    pub fn with_subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Adds a header block that the intermediary hands on untouched.
    #[must_use]
    pub fn with_header(mut self, header: CustomBlock) -> Self {
        self.headers.push(header);
        self
    }

    /// Asks for time stamps of these kinds on the reply's process card, if there is one.
    #[must_use]
    pub fn with_timestamps(mut self, creation: TimestampQuality, reception: TimestampQuality) -> Self {
        (self.creation, self.reception) = (creation, reception);
        self
    }
}

/// Shows no content.
impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("message_id", &self.message_id()).finish_non_exhaustive()
    }
}
