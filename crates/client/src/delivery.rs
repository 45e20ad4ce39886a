use std::fmt;
use std::sync::Arc;

use rohrpost_osci::card::{ProcessCardBundle, Timestamp};
use rohrpost_osci::envelope::Envelope;
use rohrpost_osci::feedback::{Code, Feedback};
use rohrpost_osci::header::{CertificateRole, CertificateUse, CustomBlock, NonIntermediaryCertificates};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::ResponseHeader;
use rohrpost_pipeline::keyring::CipherPair;
use rohrpost_pipeline::open::Opened;
use rohrpost_pki::Certificate;
use time::OffsetDateTime;

use crate::blocking::blocking;
use crate::contents::{ContentReader, Contents, Enclosed};
use crate::error::{Error, PeerError};
use crate::exchange::Party;

/// A fetched delivery. Its content has not been looked at yet: see [`open`](Self::open).
#[non_exhaustive]
pub struct Delivery {
    /// Its id.
    pub message_id: MessageId,
    /// Its process card.
    pub card: ProcessCardBundle,
    /// What the intermediary said.
    pub feedback: Feedback,
    /// Whether more deliveries wait.
    pub more: bool,
    /// Header blocks that the sender added.
    pub headers: Vec<CustomBlock>,
    /// Everybody's certificates, as the sender put them together.
    pub certificates: NonIntermediaryCertificates,
    /// Who signed the answer; `None` if it was not signed.
    pub intermediary: Option<Certificate>,
    enclosed: Enclosed,
    party: Arc<Party>,
}

/// What an answer says beside the content that it hands out.
pub(crate) struct Handed {
    pub(crate) header: ResponseHeader,
    pub(crate) feedback: Feedback,
    pub(crate) card: Option<ProcessCardBundle>,
}

impl Delivery {
    pub(crate) fn received(
        party: &Arc<Party>,
        answer: Handed,
        opened: &Opened,
        envelope: &Envelope,
        intermediary: Option<Certificate>,
    ) -> Result<Self, PeerError> {
        let card = answer.card.ok_or(PeerError::Lacking { what: "the process card" })?;
        let place = envelope.body().package().ok_or(PeerError::Lacking { what: "the content package" })?;
        let enclosed = Enclosed::new(opened, place, answer.header.certificates.clone());
        Ok(Self {
            message_id: card.message_id.clone(),
            card,
            more: answer.feedback.contains(Code::FurtherDeliveries),
            feedback: answer.feedback,
            headers: answer.header.custom,
            certificates: answer.header.certificates,
            intermediary,
            enclosed,
            party: Arc::clone(party),
        })
    }

    /// The cipher certificate of the sender, for an answer. Who it is, the content's signatures say.
    pub fn originator(&self) -> Option<Certificate> {
        self.certificate(CertificateRole::Originator, CertificateUse::Cipher)
    }

    /// The certificate with which the sender signed the order, as the intermediary checked it.
    pub fn originator_signature(&self) -> Option<Certificate> {
        self.certificate(CertificateRole::Originator, CertificateUse::Signature)
    }

    fn certificate(&self, role: CertificateRole, purpose: CertificateUse) -> Option<Certificate> {
        Certificate::from_der(&self.certificates.first(role, purpose)?.der).ok()
    }

    /// When the intermediary took the delivery: the time its signatures are judged for. Now, if the card says nothing usable.
    fn taken_at(&self) -> OffsetDateTime {
        let now = self.party.config.clock.now();
        match &self.card.card.creation {
            Some(Timestamp::Plain(at)) => at.at().min(now),
            _ => now,
        }
    }

    /// Reads the content: opens what is sealed for one of our own cipher pairs or one of `readers`, and checks every
    /// signature. May be called again, with other keys.
    ///
    /// A container that cannot be opened and a signature that does not hold are findings, not errors.
    ///
    /// # Errors
    /// [`PeerError::Content`] if there is no sense in the content, [`Error::Storage`].
    pub async fn open(&self, readers: &[CipherPair]) -> Result<Contents, Error> {
        let config = &self.party.config;
        let reader = ContentReader {
            keys: config.keys.clone(),
            readers: readers.to_vec(),
            policy: Arc::clone(&config.policy),
            inspector: config.inspector.clone(),
            spools: config.spools.clone(),
        };
        let (enclosed, at) = (self.enclosed.clone(), self.taken_at());
        blocking(move || reader.open(&enclosed, at)).await
    }
}

/// Shows no content.
impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("message_id", &self.message_id).finish_non_exhaustive()
    }
}
