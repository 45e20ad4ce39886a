//! The clients: they send, fetch, look at cards, and begin again when the server is gone.

use std::sync::atomic::{AtomicBool, Ordering};

use rohrpost_client::{Client, Delivery, Error};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::selection::{CardRule, CardSelection, DeliverySelection};
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_tests::load::{Numbers, Parcel, Person, client, config, runtime};
use tokio::runtime::Runtime;

use super::ledger::{Ledger, Received, Stamps};

/// Who is there and what they know.
pub struct Scene {
    pub ledger: Ledger,
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
            mailboxes: persons("Recipient", mailboxes),
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
        let id = runtime.block_on(sender.message_id()).unwrap();
        let to = numbers.below(scene.mailboxes.len() as u64) as usize;
        let parcel = Parcel::any(&mut numbers);
        scene.ledger.send(id.as_str(), parcel, to);
        let store = |client: &Client| {
            let before = scene.ledger.entry(id.as_str()).seen;
            let shipment = parcel.shipment(&scene.mailboxes[to].cipher.certificate).with_message_id(id.clone());
            let stored = loop {
                match runtime.block_on(client.store(shipment.clone())) {
                    Ok(stored) => break stored,
                    // Killed while the client looked for the card of an earlier try.
                    Err(Error::OutcomeUnknown { source, .. }) if source.may_pass() => {}
                    Err(Error::OutcomeUnknown { source, .. }) => expect_gone(&source),
                    Err(error) => panic!("{error:?}"),
                }
            };
            scene.ledger.acknowledge(id.as_str(), &stored, &before);
            stored
        };
        store(&sender);
        // An application that lost its memory after the answer sends once more.
        if numbers.once_in(10) {
            assert!(store(&scene.client(&scene.senders[number])).repeated, "the same id was accepted twice");
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
        let known = before.keys().filter(|_| numbers.once_in(8)).take(20);
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
