use std::fmt;
use std::sync::Arc;

use rohrpost_osci::card::ProcessCardBundle;
use rohrpost_osci::feedback::{Code, Feedback};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::{GetMessageId, Response};
use rohrpost_osci::ns::MessageType;
use rohrpost_osci::selection::{CardRule, CardSelection};
use tracing::info;

use crate::blocking::blocking;
use crate::config::Config;
use crate::dialog::{Cards, Dialog};
use crate::error::{Error, PeerError};
use crate::exchange::{Course, Party, Repeat};
use crate::shipment::{Built, Shipment, Way};
use crate::transport::{Moved, OnProgress};

/// One party's connection to one intermediary. Cheap to clone, for use from many tasks at once.
#[derive(Clone)]
pub struct Client {
    pub(crate) party: Arc<Party>,
    pub(crate) on_progress: Option<OnProgress>,
}

/// A delivery that the intermediary took: it lies in the mailbox of its addressee, or went to a passive recipient.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its id.
    pub message_id: MessageId,
    /// Its process card as far as it had come. That of a forwarded delivery has a reception once the recipient took it.
    pub card: Option<ProcessCardBundle>,
    /// What the intermediary said, warnings included.
    pub feedback: Feedback,
    /// Whether an earlier try had stored it whose answer was lost.
    pub repeated: bool,
}

impl Stored {
    /// Whether its recipient has it.
    pub fn is_received(&self) -> bool {
        self.card.as_ref().is_some_and(|card| card.card.reception.is_some())
    }
}

impl Client {
    /// A client that has not connected yet.
    ///
    /// # Errors
    /// [`Error::Unusable`] if the configuration cannot work.
    pub fn new(config: Config) -> Result<Self, Error> {
        Ok(Self { party: Arc::new(Party::new(config)?), on_progress: None })
    }

    /// The same client, telling how its messages move. `on_progress` is called often and must return at once.
    #[must_use]
    pub fn with_progress(&self, on_progress: impl Fn(Moved) + Send + Sync + 'static) -> Self {
        Self { party: Arc::clone(&self.party), on_progress: Some(Arc::new(on_progress)) }
    }

    /// A fresh message id.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn message_id(&self) -> Result<MessageId, Error> {
        message_id(self, &mut Course::default(), Repeat::IfLost).await
    }

    /// Stores a delivery; once, however often it has to be sent.
    ///
    /// A shipment without message id gets a fresh one. If an answer is lost, the same message is sent again; if it turns
    /// out that an earlier try was successful, its process card is the proof. Applications that must not store twice even
    /// across their own crash fetch an id with [`message_id`](Self::message_id), write it down, and give it to
    /// [`Shipment::with_message_id`].
    ///
    /// What is large goes in chunks if the intermediary offers that, see [`ChunkUse`](crate::ChunkUse).
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] with the message id if all tries ended without a certain outcome; otherwise the delivery
    /// is not stored.
    pub async fn store(&self, shipment: Shipment) -> Result<Stored, Error> {
        match self.store_in_chunks(shipment).await? {
            Ok(stored) => Ok(stored),
            Err(shipment) => self.deliver(&mut Course::default(), shipment, Way::Mailbox).await,
        }
    }

    /// Has a delivery forwarded to the passive recipient that listens at `receiver`; once, however often it has to be sent. As
    /// [`store`](Self::store), but the intermediary answers after the recipient did, or could not be reached: if it is refused, the
    /// feedback says which. An intermediary that tries again later answers with a process card without reception.
    ///
    /// # Errors
    /// As [`store`](Self::store); [`Error::OutcomeUnknown`] also if an answer got lost and the process card has no reception (yet).
    pub async fn forward(&self, receiver: &str, shipment: Shipment) -> Result<Stored, Error> {
        self.deliver(&mut Course::default(), shipment, Way::Forward(receiver.to_owned())).await
    }

    /// Hands a delivery to the intermediary, on its own or as the next order of an explicit dialog.
    pub(crate) async fn deliver(&self, course: &mut Course, shipment: Shipment, way: Way) -> Result<Stored, Error> {
        let message_id = match &shipment.message_id {
            Some(id) => id.clone(),
            None => self.message_id().await?,
        };
        let subject = shipment.subject.clone();
        let party = Arc::clone(&self.party);
        let forwarded = matches!(way, Way::Forward(_));
        let built = blocking(move || shipment.build(&party, way)).await?;
        let in_doubt = |source| Error::OutcomeUnknown { message_id: message_id.clone(), source: Box::new(source) };
        match self.send(course, built, message_id.clone()).await {
            Ok((card, feedback)) => Ok(Stored { message_id, card, feedback, repeated: false }),
            Err(refused @ Error::Refused(_)) if course.in_doubt || refused.is_refused_with(Code::MessageIdIllegal) => {
                match self.find_stored(&message_id, subject).await.map_err(in_doubt)? {
                    // Its card does not tell whether it is still on its way, or was given up.
                    Some(stored) if forwarded && !stored.is_received() => Err(in_doubt(refused)),
                    Some(stored) => Ok(stored),
                    None => Err(refused),
                }
            }
            Err(error) if course.in_doubt || !error.is_not_executed() => Err(in_doubt(error)),
            Err(error) => Err(error),
        }
    }

    /// Opens an explicit dialog, which is what fetching needs.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn open_dialog(&self) -> Result<Dialog, Error> {
        Dialog::open(self.clone()).await
    }

    /// Fetches process cards in a dialog of its own.
    ///
    /// # Errors
    /// [`Error`]; finding none is not one.
    pub async fn process_cards(&self, selection: CardSelection) -> Result<Cards, Error> {
        let mut dialog = self.open_dialog().await?;
        let cards = dialog.cards(selection).await?;
        // The cards are here; whether the dialog was closed well does not matter to anybody.
        let _ = dialog.exit().await;
        Ok(cards)
    }

    async fn send(
        &self,
        course: &mut Course,
        built: Built,
        id: MessageId,
    ) -> Result<(Option<ProcessCardBundle>, Feedback), Error> {
        let (order, on_progress) = (built.order(), self.on_progress.as_ref());
        let compose = move |party: &Party, control| built.compose(party, control, id);
        let answered = self.party.order(course, order, Repeat::IfLost, on_progress, compose).await?;
        match answered.response {
            Response::StoreDelivery(answer) => Ok((answer.card, answer.feedback)),
            Response::ForwardDelivery(answer) => Ok((answer.card, answer.feedback)),
            _ => unreachable!("a dialog takes no answer of another type"),
        }
    }

    /// Looks whether an earlier try stored the delivery: then there is a card of ours, with the same subject.
    async fn find_stored(&self, id: &MessageId, subject: Option<String>) -> Result<Option<Stored>, Error> {
        let selection = CardSelection { rule: CardRule::ByIds(vec![id.clone()]), limit: None };
        let found = self.process_cards(selection).await?;
        let is_ours = |card: &ProcessCardBundle| {
            card.message_id == *id && (card.card.subject.is_none() || card.card.subject == subject)
        };
        Ok(found.cards.into_iter().find(is_ours).map(|card| {
            info!("a delivery had been stored by an earlier try");
            Stored { message_id: id.clone(), card: Some(card), feedback: found.feedback, repeated: true }
        }))
    }
}

/// Fetches a message id in the dialog given.
pub(crate) async fn message_id(client: &Client, course: &mut Course, repeat: Repeat) -> Result<MessageId, Error> {
    let compose = |party: &Party, control| {
        let header = party.header(control, vec![party.cipher_entry()])?;
        GetMessageId { header }.compose()
    };
    let answered = client.party.order(course, MessageType::GetMessageId, repeat, None, compose).await?;
    match answered.response {
        Response::GetMessageId(answer) => Ok(answer.message_id.ok_or(PeerError::Lacking { what: "the message id" })?),
        _ => unreachable!("a dialog takes no answer of another type"),
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.party.config).finish()
    }
}
