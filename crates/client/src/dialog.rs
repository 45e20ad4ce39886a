use std::fmt;
use std::sync::Arc;

use rohrpost_osci::card::ProcessCardBundle;
use rohrpost_osci::dialog::ControlBlock;
use rohrpost_osci::feedback::{Code, Feedback};
use rohrpost_osci::message::{
    ExitDialog, FetchDelivery, FetchProcessCard, InitDialog, Response, ResponseToMediateDelivery,
};
use rohrpost_osci::ns::MessageType;
use rohrpost_osci::selection::{CardSelection, DeliverySelection};

use crate::blocking::blocking;
use crate::client::{Client, Stored, message_id};
use crate::delivery::{Delivery, Handed};
use crate::error::Error;
use crate::exchange::{Answered, Course, Party, Repeat};
use crate::shipment::{Shipment, Way};

/// An explicit dialog: the mailbox is open.
///
/// **Every request acknowledges what was fetched before it**, also [`cards`](Self::cards) and [`exit`](Self::exit). Whoever
/// cannot keep a delivery drops the dialog: that sends nothing, and the delivery is handed out again in another dialog.
///
/// After any error but [`Error::Refused`], and when the future of a request is dropped, the dialog is over: each further
/// request is [`Error::DialogStale`].
#[must_use = "an open dialog that is not used only costs the intermediary memory"]
pub struct Dialog {
    pub(crate) client: Client,
    pub(crate) course: Course,
}

/// A delivery that a passive recipient took and replied to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Mediated {
    /// Its process card, with its reception.
    pub card: Option<ProcessCardBundle>,
    /// The recipient's reply.
    pub reply: Delivery,
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
                let answer = Handed { header: answer.header, feedback: answer.feedback, card: answer.card };
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
        self.client.deliver(&mut self.course, shipment, Way::Mailbox).await
    }

    /// Hands a delivery to the passive recipient that listens at `receiver` and waits for its reply, which the next request
    /// acknowledges. Acknowledges the delivery fetched before.
    ///
    /// If the reply gets lost on its last part of the way, it lies in our own mailbox and can be fetched.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Refused`] says with which code the recipient refused or failed.
    pub async fn mediate(&mut self, receiver: &str, shipment: Shipment) -> Result<Mediated, Error> {
        let id = match &shipment.message_id {
            Some(id) => id.clone(),
            None => self.client.message_id().await?,
        };
        let (party, way) = (Arc::clone(&self.client.party), Way::Mediate(receiver.to_owned()));
        let built = blocking(move || shipment.build(&party, way)).await?;
        let compose = move |party: &Party, control| built.compose(party, control, id);
        let (order, on_progress) = (MessageType::MediateDelivery, self.client.on_progress.as_ref());
        let party = &self.client.party;
        match party.order(&mut self.course, order, Repeat::IfUntouched, on_progress, compose).await? {
            Answered { response: Response::MediateDelivery(answer), opened, envelope, signer } => {
                let ResponseToMediateDelivery { header, feedback, request_card, reply_card } = *answer;
                let answer = Handed { header, feedback, card: reply_card };
                let reply = Delivery::received(party, answer, &opened, &envelope, signer);
                let reply = reply.inspect_err(|_| self.course.dialog.give_up())?;
                Ok(Mediated { card: request_card, reply })
            }
            _ => unreachable!("a dialog takes no answer of another type"),
        }
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
