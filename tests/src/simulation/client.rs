//! A specialist application that keeps to the protocol over a network that does not.

use std::sync::Arc;

use rohrpost_osci::dialog::ClientDialog;
use rohrpost_osci::feedback::Code;
use rohrpost_osci::ids::{Challenge, ConversationId, MessageId};
use rohrpost_osci::message::Response;
use rohrpost_osci::selection::{CardSelection, DeliverySelection};
use time::OffsetDateTime;

use super::party::{Party, Said};
use super::plan::{Ask, Shipment};
use crate::chance::Chance;

/// A request as it goes over the network, however often.
pub(super) struct Exchange {
    /// Unique in a run.
    pub(super) number: u64,
    /// Index of the client.
    pub(super) client: usize,
    pub(super) ask: Ask,
    /// The explicit dialog it belongs to.
    pub(super) conversation: Option<ConversationId>,
    pub(super) bytes: Vec<u8>,
}

/// A client.
pub(super) struct Client {
    pub(super) party: Party,
    index: usize,
    dialog: ClientDialog,
    chance: Chance,
    /// What was asked and not answered yet, and how often it was sent.
    pending: Option<(Arc<Exchange>, u32)>,
    shipment: Option<Shipment>,
    /// Requests to make before the dialog is closed.
    left: u64,
    /// Ids of deliveries that it knows of.
    known: Vec<MessageId>,
    /// No new wishes: finish what was begun, and empty the mailbox.
    winding_up: bool,
    empty: bool,
}

/// What clients share.
pub(super) struct Numbers {
    pub(super) shipments: u64,
    pub(super) exchanges: u64,
    pub(super) names: Vec<&'static str>,
}

impl Client {
    pub(super) fn new(party: Party, index: usize, chance: Chance) -> Self {
        Self {
            party,
            index,
            dialog: ClientDialog::new(),
            chance,
            pending: None,
            shipment: None,
            left: 0,
            known: Vec::new(),
            winding_up: false,
            empty: false,
        }
    }

    /// The next request; `None` if one is under way, or nothing is left to wish for.
    pub(super) fn ask(&mut self, numbers: &mut Numbers, now: OffsetDateTime) -> Option<Arc<Exchange>> {
        if self.pending.is_some() {
            return None;
        }
        let ask = self.wish(numbers, now)?;
        let challenge = Challenge::from_random(std::array::from_fn(|_| self.chance.number() as u8));
        // A dialog that went wrong is left to its timeout.
        if self.dialog.clone().request(ask.message_type(), challenge.clone()).is_err() {
            self.dialog = ClientDialog::new();
        }
        let control = self.dialog.request(ask.message_type(), challenge).ok()?;
        let conversation = control.conversation_id.clone();
        numbers.exchanges += 1;
        let bytes = self.party.write(&ask, control);
        let exchange = Exchange { number: numbers.exchanges, client: self.index, ask, conversation, bytes };
        let exchange = Arc::new(exchange);
        self.pending = Some((Arc::clone(&exchange), 1));
        Some(exchange)
    }

    fn wish(&mut self, numbers: &mut Numbers, now: OffsetDateTime) -> Option<Ask> {
        if self.dialog.conversation_id().is_some() {
            return Some(self.wish_in_dialog(now));
        }
        if let Some(shipment) = &self.shipment {
            return Some(if shipment.id.is_some() { Ask::Store(shipment.clone()) } else { Ask::Id });
        }
        if self.winding_up {
            return (!self.empty).then_some(Ask::Init);
        }
        if self.chance.percent(40) {
            return Some(Ask::Init);
        }
        numbers.shipments += 1;
        let size =
            if self.chance.percent(70) { 50 + self.chance.below(500) } else { 14_000 + self.chance.below(12_000) };
        let to = *self.chance.pick(&numbers.names);
        self.shipment = Some(Shipment { number: numbers.shipments, to, size: size as usize, id: None });
        Some(Ask::Id)
    }

    fn wish_in_dialog(&mut self, now: OffsetDateTime) -> Ask {
        if self.winding_up {
            return if self.empty { Ask::Exit } else { Ask::Fetch(DeliverySelection::Oldest) };
        }
        if self.left == 0 {
            return Ask::Exit;
        }
        self.left -= 1;
        match self.chance.below(100) {
            0..60 => Ask::Fetch(DeliverySelection::Oldest),
            60..70 => Ask::Cards(CardSelection::default()),
            70..76 if !self.known.is_empty() => {
                Ask::Fetch(DeliverySelection::ById(self.chance.pick(&self.known).clone()))
            }
            76..82 => Ask::Fetch(DeliverySelection::Since((now - time::Duration::minutes(1)).into())),
            82..92 => match &self.shipment {
                Some(shipment) if shipment.id.is_some() => Ask::Store(shipment.clone()),
                _ => Ask::Id,
            },
            _ => Ask::Id,
        }
    }

    /// Takes the answer to a request; tells whether it was still waited for.
    ///
    /// # Errors
    /// If it does not fit the dialog.
    pub(super) fn hear(&mut self, exchange: &Exchange, said: &Said) -> Result<bool, String> {
        if self.pending.as_ref().is_none_or(|(pending, _)| pending.number != exchange.number) {
            return Ok(false);
        }
        self.pending = None;
        let Said::Answer(heard) = said else {
            self.dialog = ClientDialog::new();
            return Ok(true);
        };
        self.dialog
            .response(heard.message_type, heard.response.control())
            .map_err(|violation| format!("an answer does not fit its request: {violation}"))?;
        let executed = heard.is_executed();
        match &heard.response {
            Response::InitDialog(_) => {
                self.left = 1 + self.chance.below(5);
                self.empty = false;
            }
            Response::GetMessageId(answer) => {
                // Ids that were asked for within a dialog only acknowledge; now and then one is put to use.
                if let Some(shipment) = self.shipment.as_mut().filter(|shipment| shipment.id.is_none()) {
                    shipment.id.clone_from(&answer.message_id);
                }
            }
            Response::StoreDelivery(answer) => {
                let done = executed || answer.feedback.contains(Code::MessageIdIllegal);
                if let Some(shipment) = self.shipment.take_if(|_| done) {
                    self.known.extend(shipment.id);
                }
            }
            Response::FetchDelivery(answer) => {
                self.known.extend(answer.card.as_ref().map(|card| card.message_id.clone()));
                self.empty = answer.feedback.contains(Code::NoMatchingDelivery);
            }
            _ => {}
        }
        Ok(true)
    }

    /// No answer came in time: the same request once more, or none, and the dialog is given up.
    pub(super) fn give_up_waiting(&mut self, number: u64, sent: u32) -> Option<(Arc<Exchange>, u32)> {
        let (exchange, tries) = self.pending.as_mut()?;
        if exchange.number != number || *tries != sent {
            return None;
        }
        if *tries < 4 && self.chance.percent(if self.winding_up { 100 } else { 75 }) {
            *tries += 1;
            return Some((Arc::clone(exchange), *tries));
        }
        self.pending = None;
        self.dialog = ClientDialog::new();
        None
    }

    /// Stops having new wishes.
    pub(super) fn wind_up(&mut self) {
        self.winding_up = true;
        self.empty = false;
    }

    /// Whether nothing is left to be done.
    pub(super) fn is_done(&self) -> bool {
        self.winding_up && self.empty && self.pending.is_none() && self.shipment.is_none()
    }
}
