//! The clients: they send, fetch, look at cards, and begin again when the server is gone.

use std::sync::atomic::{AtomicBool, Ordering};

use rohrpost_client::{Client, Delivery, Error, Shipment, Stored};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::selection::{CardRule, CardSelection, DeliverySelection};
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_tests::load::{Numbers, Parcel, Person, client, config, runtime};
use tokio::runtime::Runtime;

use super::ledger::{Ledger, Received, Stamps};

/// Who is there and what they know.
pub struct Scene {
    pub ledger: Ledger,
    /// The last one is for huge deliveries, and nobody fetches from it before the end.
    pub mailboxes: Vec<Person>,
    senders: Vec<Person>,
    url: String,
    spools: SpoolDir,
}

impl Scene {
    pub fn new(url: String, spools: SpoolDir, senders: usize, mailboxes: usize) -> Self {
        let persons = |role: &str, count| (0..count).map(|number| Person::fresh(&format!("{role} {number}"))).collect();
        Self {
            ledger: Ledger::default(),
            mailboxes: persons("Recipient", mailboxes + 1),
            senders: persons("Sender", senders),
            url,
            spools,
        }
    }

    pub fn client(&self, person: &Person) -> Client {
        client(config(&self.url, person, self.spools.clone()))
    }
}

/// Stores one delivery after the other. Every one of them ends stored, however often it has to be tried.
pub fn send(scene: &Scene, number: usize, mut numbers: Numbers, stop: &AtomicBool) {
    let (runtime, sender) = (runtime(), scene.client(&scene.senders[number]));
    while !stop.load(Ordering::Relaxed) {
        let to = numbers.below(scene.mailboxes.len() as u64 - 1) as usize;
        let parcel = Parcel::any(&mut numbers);
        let sending = Sending::new(scene, &runtime, &sender, parcel, to);
        let stored = if numbers.once_in(3) { sending.within_dialog(&sender) } else { sending.alone(&sender) };
        scene.ledger.acknowledge(sending.id.as_str(), &stored, &Stamps::default());
        // An application that lost its memory after the answer sends once more.
        if numbers.once_in(10) {
            let before = scene.ledger.entry(sending.id.as_str()).seen;
            let again = sending.alone(&scene.client(&scene.senders[number]));
            assert!(again.repeated, "the same id was accepted twice");
            scene.ledger.acknowledge(sending.id.as_str(), &again, &before);
        }
    }
}

/// Stores one delivery with an attachment of 100 MB.
pub fn send_huge(scene: &Scene, mut numbers: Numbers) {
    let (runtime, sender) = (runtime(), scene.client(&scene.senders[0]));
    let parcel = Parcel { seed: numbers.draw(), data: 1_000, attachment: Some(100_000_000) };
    let sending = Sending::new(scene, &runtime, &sender, parcel, scene.mailboxes.len() - 1);
    let stored = sending.alone(&sender);
    scene.ledger.acknowledge(sending.id.as_str(), &stored, &Stamps::default());
}

/// A delivery on its way.
struct Sending<'a> {
    runtime: &'a Runtime,
    shipment: Shipment,
    id: MessageId,
}

impl<'a> Sending<'a> {
    /// Gets an id for it and notes that somebody is about to send it.
    fn new(scene: &Scene, runtime: &'a Runtime, sender: &Client, parcel: Parcel, to: usize) -> Self {
        let id = runtime.block_on(sender.message_id()).unwrap();
        scene.ledger.send(id.as_str(), parcel, to);
        let shipment = parcel.shipment(&scene.mailboxes[to].cipher.certificate).with_message_id(id.clone());
        Self { runtime, shipment, id }
    }

    /// In implicit dialogs, until it is stored.
    fn alone(&self, client: &Client) -> Stored {
        loop {
            match self.runtime.block_on(client.store(self.shipment.clone())) {
                Ok(stored) => return stored,
                // Killed while the client looked for the card of an earlier try.
                Err(Error::OutcomeUnknown { source, .. }) if source.may_pass() => {}
                Err(Error::OutcomeUnknown { source, .. }) => expect_gone(&source),
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    /// As an order of an explicit dialog; if that breaks, in implicit ones.
    fn within_dialog(&self, client: &Client) -> Stored {
        let store = async {
            let mut dialog = client.open_dialog().await?;
            dialog.acknowledge().await?;
            let stored = dialog.store(self.shipment.clone()).await?;
            // Whether it ends well is nobody's business.
            let _ = dialog.exit().await;
            Ok::<_, Error>(stored)
        };
        match self.runtime.block_on(store) {
            Ok(stored) => stored,
            Err(Error::OutcomeUnknown { .. }) => self.alone(client),
            Err(error) => {
                expect_gone(&error);
                self.alone(client)
            }
        }
    }
}

/// Fetches and acknowledges; sometimes goes away without acknowledging.
pub fn receive(scene: &Scene, number: usize, mut numbers: Numbers, stop: &AtomicBool) {
    let (runtime, client) = (runtime(), scene.client(&scene.mailboxes[number]));
    while !stop.load(Ordering::Relaxed) {
        let mut visit = Visit { scene, runtime: &runtime, handed_out: None };
        // The only error that ends a visit is that the server is gone; what follows from it is in the ledger.
        let _ = visit.run(&client, &mut numbers);
    }
}

/// One explicit dialog.
struct Visit<'a> {
    scene: &'a Scene,
    runtime: &'a Runtime,
    /// What the next request acknowledges.
    handed_out: Option<MessageId>,
}

impl Visit<'_> {
    fn run(&mut self, client: &Client, numbers: &mut Numbers) -> Result<(), Error> {
        let mut dialog = self.runtime.block_on(client.open_dialog())?;
        for _ in 0..1 + numbers.below(5) {
            let fetched = self.runtime.block_on(dialog.fetch(DeliverySelection::Oldest));
            match self.acknowledged(fetched)? {
                Some(delivery) => self.take(&delivery),
                None => break,
            }
            if numbers.once_in(4) {
                let done = self.runtime.block_on(dialog.acknowledge());
                self.acknowledged(done)?;
            }
        }
        if numbers.once_in(5) {
            return Ok(());
        }
        let done = self.runtime.block_on(dialog.exit());
        self.acknowledged(done)
    }

    fn take(&mut self, delivery: &Delivery) {
        check(self.scene, self.runtime, delivery);
        self.scene.ledger.hand_out(delivery.message_id.as_str(), true);
        self.handed_out = Some(delivery.message_id.clone());
    }

    /// What the outcome of a request says about the delivery handed out before.
    fn acknowledged<T>(&mut self, outcome: Result<T, Error>) -> Result<T, Error> {
        let certainty = match &outcome {
            Ok(_) => Received::Yes,
            Err(error) => {
                expect_gone(error);
                if error.is_not_executed() { Received::No } else { Received::Perhaps }
            }
        };
        if let Some(id) = self.handed_out.take() {
            self.scene.ledger.receive(id.as_str(), certainty);
        }
        outcome
    }
}

/// Whether a delivery is what was sent, and whether its card agrees with what is known.
pub fn check(scene: &Scene, runtime: &Runtime, delivery: &Delivery) {
    let id = delivery.message_id.as_str();
    let entry = scene.ledger.entry(id);
    let contents = runtime.block_on(delivery.open(&[])).unwrap();
    assert!(entry.parcel.is_in(&contents), "{id} came back changed");
    // The answer that hands a delivery out says nothing about reception.
    scene.ledger.see(id, &delivery.card, &Stamps { received: None, ..entry.seen });
}

/// Looks at cards as sender or recipient.
pub fn read_cards(scene: &Scene, mut numbers: Numbers, stop: &AtomicBool) {
    let runtime = runtime();
    let persons: Vec<&Person> = scene.mailboxes.iter().chain(&scene.senders).collect();
    while !stop.load(Ordering::Relaxed) {
        let person = persons[numbers.below(persons.len() as u64) as usize];
        let before = scene.ledger.entries();
        let client = scene.client(person);
        let known = before.keys().rev().filter(|_| numbers.once_in(8)).take(20);
        let ids: Vec<MessageId> = known.map(|id| MessageId::new(id.as_str()).unwrap()).collect();
        std::thread::sleep(std::time::Duration::from_millis(50));
        if ids.is_empty() {
            continue;
        }
        let look = async {
            let mut dialog = client.open_dialog().await?;
            let rule = CardRule::ByIds(ids);
            let cards = dialog.cards(CardSelection { rule, limit: None }).await?;
            dialog.exit().await?;
            Ok::<_, Error>(cards)
        };
        match runtime.block_on(look) {
            Ok(cards) => {
                for card in &cards.cards {
                    let id = card.message_id.as_str();
                    scene.ledger.see(id, card, &before[id].seen);
                }
            }
            Err(error) => expect_gone(&error),
        }
    }
}

/// A killed server breaks connections, and a new one knows nothing of old dialogs. Anything else is an error.
fn expect_gone(error: &Error) {
    use rohrpost_client::transport::TransportError;
    use rohrpost_osci::feedback::Code;
    let gone = match error {
        Error::Connection(TransportError::Connect { .. } | TransportError::Broken(_)) => true,
        Error::Fault(fault) => fault.code == Code::DialogViolated,
        _ => false,
    };
    assert!(gone, "{error:?}");
}
