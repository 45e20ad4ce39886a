//! The log: one entry for each change, none for what changed nothing, and nothing in it that is not its business.

use std::fs;
use std::path::Path;

use rohrpost_audit::{Event, LogSigner, verify_export};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_store::{Retention, Store as _};
use time::Duration;

use crate::harness::{Bench, Client, Delivery, NOW, content, rsa_signer};

const OLDEST: DeliverySelection = DeliverySelection::Oldest;

pub(crate) fn events(bench: &Bench, id: &MessageId) -> Vec<(Event, Vec<u16>)> {
    let signer = LogSigner::new("rohrpost.test", Bench::log_key()).unwrap();
    let proofs = bench.store.prove(id).unwrap();
    let leaves = proofs.iter().map(|proof| proof.verify(signer.verifier()).unwrap().0);
    leaves.map(|leaf| (leaf.event, leaf.feedback)).collect()
}

#[test]
fn every_change_has_its_entry_and_its_proof() {
    let bench = Bench::default();
    let id = bench.fresh_id();
    let mut alice = Client::alice();
    let draft = alice.store(Delivery::to("expired-cipher", &id));
    assert_eq!(alice.codes(&bench, &draft), [800, 3705]);
    assert_eq!(events(&bench, &id), [(Event::Accepted, vec![3705])]);

    let draft = alice.store(Delivery::to("bob-cipher", &id));
    assert_eq!(alice.codes(&bench, &draft), [9801]);

    let mut addressee = Client::new("expired-cipher", "bob-signature").open_warned(&bench, 3500);
    addressee.fetch_at(&bench, OLDEST, NOW);
    addressee.fetch_at(&bench, DeliverySelection::ById(id.clone()), NOW);
    let exit = addressee.exit();
    addressee.send(&bench, &exit);
    let keep = Retention { received_bodies: Some(Duration::DAY), ..Retention::default() };
    bench.store.retention(NOW + Duration::DAY * 2, &keep).unwrap();

    let found: Vec<_> = events(&bench, &id).into_iter().map(|(event, _)| event).collect();
    assert_eq!(found, [Event::Accepted, Event::Refused, Event::Forwarded, Event::Received, Event::BodyRemoved]);
    assert_eq!(bench.stats().log_size, 5);
}

#[test]
fn what_changed_nothing_leaves_no_entry() {
    let bench = Bench::default();
    let mut bob = Client::bob().open(&bench);
    bob.fetch_at(&bench, OLDEST, NOW);
    let draft = bob.get_message_id();
    assert_eq!(bob.codes(&bench, &draft), [801]);
    let draft = bob.exit();
    assert_eq!(bob.codes(&bench, &draft), [800]);
    bench.handle(&b"no message"[..]);
    let mut alice = Client::alice();
    let mut draft = alice.store(Delivery::to("bob-cipher", &bench.fresh_id()));
    draft.replace("controlblock", "SequenceNumber=\"0\"", "SequenceNumber=\"1\"");
    assert_eq!(bench.handle(alice.encode(&draft)).fault(), Some(9400));
    assert_eq!(bench.stats().log_size, 0);
}

#[test]
fn a_refused_delivery_leaves_an_entry_with_its_reason() {
    let bench = Bench::default();
    let (foreign, forged) = (MessageId::new("selbst erfunden").unwrap(), bench.fresh_id());
    let mut alice = Client::alice();
    let draft = alice.store(Delivery::to("bob-cipher", &foreign));
    assert_eq!(alice.codes(&bench, &draft), [9801]);
    assert_eq!(events(&bench, &foreign), [(Event::Refused, vec![9801])]);

    let mut alice = Client::alice().in_clear();
    let draft = alice.store(Delivery::to("bob-cipher", &forged));
    let signature = draft.signature().sign(&rsa_signer("mallory-signature"));
    assert_eq!(bench.handle(draft.mime(&draft.envelope(Some(&signature)))).codes, [9601]);
    assert_eq!(events(&bench, &forged), [(Event::Refused, vec![9601])]);
    assert_eq!(bench.stats().log_size, 2);
}

#[test]
fn the_exported_log_verifies_and_holds_no_content() {
    let bench = Bench::default();
    let id = bench.fresh_id();
    let mut delivery = Delivery::to("bob-cipher", &id);
    delivery.subject = Some("Geheimer Betreff".to_owned());
    delivery.content = content(b"Geheimer Inhalt", &[("geheimer-name.pdf", b"Geheimer Anhang")]);
    let mut alice = Client::alice();
    let draft = alice.store(delivery);
    assert_eq!(alice.codes(&bench, &draft), [800]);
    let mut bob = Client::bob().open(&bench);
    bob.fetch_at(&bench, OLDEST, NOW);
    let exit = bob.exit();
    bob.send(&bench, &exit);

    let directory = bench.directory().join("export");
    let report = bench.store.export_audit(&directory, &mut |_, _| {}).unwrap();
    assert_eq!(report.size, 3);
    let signer = LogSigner::new("rohrpost.test", Bench::log_key()).unwrap();
    assert!(verify_export(&directory, signer.verifier()).unwrap().is_good());

    let mut all = Vec::new();
    collect(&directory, &mut all);
    assert!(contains(&all, id.as_str()), "the entries are in there");
    for secret in ["Geheim", "geheimer-name", "R2VoZWlt", "Alice", "Meldebeh"] {
        assert!(!contains(&all, secret), "{secret} stands in the log");
    }
}

fn collect(directory: &Path, all: &mut Vec<u8>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        if entry.path().is_dir() {
            collect(&entry.path(), all);
        } else {
            all.extend(fs::read(entry.path()).unwrap());
        }
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
