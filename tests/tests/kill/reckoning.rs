//! What must hold after all kills.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::thread;

use rohrpost_audit::{Event, Leaf, LogSigner, SigningKey};
use rohrpost_osci::card::ProcessCardBundle;
use rohrpost_osci::feedback::Code;
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::selection::{CardFilter, CardRule, CardSelection, DeliverySelection, Role};
use rohrpost_store::{SqliteOptions, SqliteStore};
use rohrpost_tests::load::runtime;
use time::OffsetDateTime;

use super::actors::{Scene, check};
use super::ledger::{Entry, Received, Stamps};

/// Every delivery has one card in the mailbox it was sent to, no other card is there, and each says what clients saw.
pub fn cards(scene: &Scene) {
    let entries = scene.ledger.entries();
    assert!(entries.values().all(|entry| entry.acknowledged.is_some()), "a sender is left without an answer");
    let mut found = BTreeMap::new();
    for mailbox in 0..scene.mailboxes.len() {
        for card in all_cards(scene, mailbox) {
            let id = card.message_id.as_str().to_owned();
            assert_eq!(scene.ledger.entry(&id).to, mailbox, "{id} lies in a wrong mailbox");
            scene.ledger.see(&id, &card, &entries[&id].seen);
            found.insert(id, Stamps::of(&card.card));
        }
    }
    for (id, entry) in &entries {
        let card = found.get(id).unwrap_or_else(|| panic!("{id} was acknowledged and is lost"));
        assert!(card.forwarded.is_some() || entry.handed_out == 0, "{id} was handed out, its card does not say so");
        match entry.received {
            Received::Yes => assert!(card.received.is_some(), "{id} was received, its card does not say so"),
            Received::No => assert!(card.received.is_none(), "{id} was not received, its card says so"),
            Received::Perhaps => {}
        }
    }
    assert_eq!(found.len(), entries.len());
}

/// Pages through all cards of deliveries to a mailbox. Each id comes once, or the map could not hold the pages apart.
fn all_cards(scene: &Scene, mailbox: usize) -> Vec<ProcessCardBundle> {
    let (runtime, client) = (runtime(), scene.client(&scene.mailboxes[mailbox]));
    let mut all: Vec<ProcessCardBundle> = Vec::new();
    let mut since = OffsetDateTime::UNIX_EPOCH;
    loop {
        let filter = CardFilter { since: since.into(), role: Some(Role::Addressee), no_reception: false };
        let selection = CardSelection { rule: CardRule::Accepted(filter), limit: None };
        let page = runtime.block_on(client.process_cards(selection)).unwrap();
        // The last moment of one page is the first of the next.
        let is_new = |card: &&ProcessCardBundle| !all.iter().rev().take(200).any(|known| known == *card);
        let new: Vec<_> = page.cards.iter().filter(is_new).cloned().collect();
        all.extend(new);
        if !page.more {
            break;
        }
        since = Stamps::of(&page.cards.last().unwrap().card).created.unwrap();
    }
    let mut count: HashMap<&str, u32> = HashMap::new();
    all.iter().for_each(|card| *count.entry(card.message_id.as_str()).or_default() += 1);
    assert!(count.values().all(|count| *count == 1), "a delivery has two cards");
    all
}

/// Every delivery can be fetched as it was sent, and what nobody received is handed out to whoever asks for the oldest.
pub fn contents(scene: &Scene) {
    let entries = scene.ledger.entries();
    thread::scope(|scope| {
        for mailbox in 0..scene.mailboxes.len() {
            let mine: Vec<(&String, &Entry)> = entries.iter().filter(|(_, entry)| entry.to == mailbox).collect();
            scope.spawn(move || fetch_all(scene, mailbox, &mine));
        }
    });
}

fn fetch_all(scene: &Scene, mailbox: usize, mine: &[(&String, &Entry)]) {
    let (runtime, client) = (runtime(), scene.client(&scene.mailboxes[mailbox]));
    let mut dialog = runtime.block_on(client.open_dialog()).unwrap();
    let mut waiting: Vec<&str> =
        mine.iter().filter(|(_, entry)| entry.seen.received.is_none()).map(|(id, _)| id.as_str()).collect();
    while let Some(delivery) = runtime.block_on(dialog.fetch(DeliverySelection::Oldest)).unwrap() {
        let id = delivery.message_id.as_str();
        check(scene, &runtime, &delivery);
        let position = waiting.iter().position(|known| *known == id);
        waiting.remove(position.unwrap_or_else(|| panic!("{id} was received or handed out twice")));
        assert_eq!(delivery.feedback.contains(Code::FurtherDeliveries), !waiting.is_empty());
        scene.ledger.hand_out(id, true);
        scene.ledger.receive(id, Received::Yes);
    }
    assert_eq!(waiting, Vec::<&str>::new(), "never handed out");
    // What is huge was checked just now, and takes its time.
    let again = mine.iter().filter(|(_, entry)| entry.parcel.attachment.is_none_or(|bytes| bytes < 10_000_000));
    for (id, _) in again {
        let wanted = DeliverySelection::ById(MessageId::new(id.as_str()).unwrap());
        let delivery = runtime.block_on(dialog.fetch(wanted)).unwrap().expect("it is kept");
        assert_eq!(delivery.message_id.as_str(), id.as_str());
        check(scene, &runtime, &delivery);
    }
    runtime.block_on(dialog.exit()).unwrap();
}

/// One entry for each acceptance; at most one for each hand-out and reception, at the time the card says.
pub fn log(scene: &Scene, leaves: &[Leaf]) {
    let mut counts: HashMap<&str, (u32, u32, u32)> = HashMap::new();
    for leaf in leaves {
        let Some(id) = leaf.message_id.as_deref() else { continue };
        let seen = scene.ledger.entry(id).seen;
        let (accepted, forwarded, received) = counts.entry(id).or_default();
        let (count, stamp) = match leaf.event {
            Event::Accepted => (accepted, seen.created),
            Event::Forwarded => (forwarded, seen.forwarded),
            Event::Received => (received, seen.received),
            // An id that was used before.
            Event::Refused => {
                assert_eq!(leaf.feedback, [Code::MessageIdIllegal.number()]);
                continue;
            }
            ref other => panic!("an unexpected entry about {id}: {other:?}"),
        };
        *count += 1;
        assert_eq!(Some(leaf.time), stamp, "{id}: {:?}", leaf.event);
    }
    for (id, entry) in scene.ledger.entries() {
        let expected = (1, u32::from(entry.seen.forwarded.is_some()), u32::from(entry.seen.received.is_some()));
        assert_eq!(counts.get(id.as_str()), Some(&expected), "{id}: accepted, forwarded, received");
    }
    assert_eq!(counts.len(), scene.ledger.entries().len());
}

/// The folder of bodies holds the large deliveries and nothing else.
pub fn files(scene: &Scene, data: &Path) {
    let large = scene.ledger.entries().values().filter(|entry| entry.parcel.is_large()).count();
    let shards = fs::read_dir(data.join("bodies")).unwrap();
    let bodies: usize = shards.map(|shard| fs::read_dir(shard.unwrap().path()).unwrap().count()).sum();
    assert_eq!(bodies, large, "files in bodies/");
    assert_eq!(fs::read_dir(data.join("incoming")).unwrap().count(), 0, "files in incoming/");
    let seed: [u8; 32] = fs::read(data.join("audit-signing.key")).unwrap().try_into().unwrap();
    let signer = LogSigner::new("rohrpost", SigningKey::from_seed(&seed)).unwrap();
    let store = SqliteStore::open(data, signer, SqliteOptions::default()).unwrap();
    assert_eq!((store.recovery().orphans, store.recovery().missing.as_slice()), (0, &[][..]));
}
