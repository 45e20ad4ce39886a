use std::fmt;

use rohrpost_osci::card::ProcessCardBundle;
use rohrpost_osci::dialog::ControlBlock;
use rohrpost_osci::feedback::{Code, Feedback};
use rohrpost_osci::message::{ExitDialog, FetchDelivery, FetchProcessCard, InitDialog, Response};
use rohrpost_osci::ns::MessageType;
use rohrpost_osci::selection::{CardSelection, DeliverySelection};

use crate::client::{Client, Stored, message_id};
use crate::delivery::Delivery;
use crate::error::Error;
use crate::exchange::{Answered, Course, Party, Repeat};
use crate::shipment::Shipment;

/// An explicit dialog: the mailbox is open.
///
/// **Every request acknowledges what was fetched before it**, also [`cards`](Self::cards) and [`exit`](Self::exit). Whoever
/// cannot keep a delivery drops the dialog: that sends nothing, and the delivery is handed out again in another dialog.
///
/// After any error but [`Error::Refused`], and when the future of a request is dropped, the dialog is over: each further
/// request is [`Error::DialogStale`].
#[must_use = "an open dialog that is not used only costs the intermediary memory"]
pub struct Dialog {
    client: Client,
    course: Course,
}

/// Process cards, the oldest first.
#[derive(Debug, Clone)]
pub struct Cards {
    /// The cards; may be empty.
    pub cards: Vec<ProcessCardBundle>,
    /// Whether more cards match than were handed out.
    pub more: bool,
    /// What the intermediary said.
    pub feedback: Feedback,
}

impl Dialog {
    pub(crate) async fn open(client: Client) -> Result<Self, Error> {
        let mut course = Course::default();
        let compose = |party: &Party, control| {
            let header = party.header(control, vec![party.cipher_entry()])?;
            InitDialog { header }.compose()
        };
        // A dialog whose opening nobody heard of times out and harms nobody.
        client.party.order(&mut course, MessageType::InitDialog, Repeat::IfLost, None, compose).await?;
        Ok(Self { client, course })
    }

    /// Fetches a delivery; `None` if there is none. Acknowledges the one fetched before.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn fetch(&mut self, selection: DeliverySelection) -> Result<Option<Delivery>, Error> {
        let compose = move |party: &Party, control: ControlBlock| {
            FetchDelivery { header: party.header(control, Vec::new())?, selection }.compose()
        };
        let (order, on_progress) = (MessageType::FetchDelivery, self.client.on_progress.as_ref());
        let party = &self.client.party;
        match party.order(&mut self.course, order, Repeat::IfUntouched, on_progress, compose).await {
            Ok(Answered { response: Response::FetchDelivery(answer), opened, envelope, signer }) => {
                let delivery = Delivery::received(party, answer, &opened, &envelope, signer);
                delivery.map(Some).map_err(|error| {
                    self.course.dialog.give_up();
                    error.into()
                })
            }
            Ok(_) => unreachable!("a dialog takes no answer of another type"),
            Err(error) if error.is_refused_with(Code::NoMatchingDelivery) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Fetches process cards; finding none is no error.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn cards(&mut self, selection: CardSelection) -> Result<Cards, Error> {
        let compose = move |party: &Party, control: ControlBlock| {
            FetchProcessCard { header: party.header(control, Vec::new())?, selection }.compose()
        };
        let order = MessageType::FetchProcessCard;
        let party = &self.client.party;
        match party.order(&mut self.course, order, Repeat::IfUntouched, None, compose).await {
            Ok(Answered { response: Response::FetchProcessCard(answer), .. }) => {
                let more = answer.feedback.contains(Code::FurtherProcessCards);
                Ok(Cards { cards: answer.cards, more, feedback: answer.feedback })
            }
            Ok(_) => unreachable!("a dialog takes no answer of another type"),
            Err(Error::Refused(refusal)) if refusal.feedback.contains(Code::NoMatchingProcessCard) => {
                Ok(Cards { cards: Vec::new(), more: false, feedback: refusal.feedback })
            }
            Err(error) => Err(error),
        }
    }

    /// Stores a delivery as [`Client::store`] does, and acknowledges the one fetched before.
    ///
    /// # Errors
    /// Those of [`Client::store`]. If the intermediary no longer knows the dialog, the delivery is not stored.
    pub async fn store(&mut self, shipment: Shipment) -> Result<Stored, Error> {
        self.client.store_in(&mut self.course, shipment).await
    }

    /// Acknowledges what was fetched, and goes on. (Sends the smallest order there is: it asks for a message id and throws it
    /// away.)
    ///
    /// # Errors
    /// [`Error`]. If the outcome is unknown, the delivery may be handed out again.
    pub async fn acknowledge(&mut self) -> Result<(), Error> {
        message_id(&self.client, &mut self.course, Repeat::IfUntouched).await.map(drop)
    }

    /// Acknowledges what was fetched, and closes the dialog.
    ///
    /// # Errors
    /// [`Error`]. If the outcome is unknown, the delivery may be handed out again.
    pub async fn exit(mut self) -> Result<(), Error> {
        let compose =
            |party: &Party, control: ControlBlock| ExitDialog { header: party.header(control, Vec::new())? }.compose();
        let (order, repeat) = (MessageType::ExitDialog, Repeat::IfUntouched);
        self.client.party.order(&mut self.course, order, repeat, None, compose).await.map(drop)
    }
}

impl fmt::Debug for Dialog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialog").field("conversation_id", &self.course.dialog.conversation_id()).finish_non_exhaustive()
    }
}
