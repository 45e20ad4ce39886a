//! The client against an intermediary in memory, over HTTP on the loopback interface.
#![allow(clippy::unwrap_used)] // helpers of tests, too

#[path = "support/fake.rs"]
mod fake;
#[path = "support/http.rs"]
#[allow(dead_code)]
mod http;
#[path = "support/keys.rs"]
mod keys;

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use fake::{Fake, NOW, Quirk};
use http::Server;
use rohrpost_client::{
    Client, Clock, Config, Contents, Error, NewAttachment, NewContainer, PeerError, Shipment, stream,
};
use rohrpost_crypto::policy::{Policy, Ruling};
use rohrpost_osci::content::Content;
use rohrpost_osci::feedback::Code;
use rohrpost_osci::header::CustomBlock;
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::ns::MessageType::*;
use rohrpost_osci::selection::{CardRule, CardSelection, DeliverySelection};
use rohrpost_osci::source::ReadAt;
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_pki::{Anchors, Inspector, Verdict, pem};
use tempfile::TempDir;

/// An intermediary and what it takes to talk to it.
struct World {
    fake: Arc<Fake>,
    server: Server,
    directory: TempDir,
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fake = Fake::new(SpoolDir::new(directory.path()));
        let reacting = Arc::clone(&fake);
        let server = Server::start(move |request| reacting.react(request)).await;
        Self { fake, server, directory }
    }

    fn client(&self, party: &str) -> Client {
        self.client_with(party, |_| ())
    }

    fn client_with(&self, party: &str, change: impl FnOnce(&mut Config)) -> Client {
        let spools = SpoolDir::new(self.directory.path());
        let cipher = keys::certificate("intermediary-cipher");
        let mut config = Config::new(self.server.url(), cipher, keys::ring(party), spools, Clock::new(|| NOW));
        config.intermediary_signature = Some(keys::certificate("intermediary-signature"));
        config.retries.first_pause = Duration::from_millis(1);
        config.inspector = Some(Arc::new(inspector()));
        change(&mut config);
        Client::new(config).unwrap()
    }
}

fn inspector() -> Inspector {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../certs-test/ca");
    let file = |name| std::fs::read(folder.join(name)).unwrap();
    let anchors = Anchors::from_pem(&file("root-ca.cert.pem")).unwrap();
    let between = pem::certificates(&file("registry-ca.cert.pem")).unwrap();
    Inspector::new(anchors, Policy::standard()).with_intermediates(between)
}

fn shipment() -> Shipment {
    Shipment::to(keys::certificate("bob-cipher"))
        .with_subject("move-in notice")
        .with_container(NewContainer::new().data("<notice/>"))
}

fn only(id: &MessageId) -> CardSelection {
    CardSelection { rule: CardRule::ByIds(vec![id.clone()]), limit: None }
}

fn text(bytes: &Arc<dyn ReadAt>) -> String {
    let mut text = String::new();
    stream(bytes).read_to_string(&mut text).unwrap();
    text
}

/// Every piece of data in every readable container.
fn data(contents: &Contents) -> Vec<String> {
    let items = contents.containers().into_iter().flat_map(|container| &container.contents);
    let data = items.filter_map(|content| match content {
        Content::Data(data) => Some(text(&data.bytes)),
        _ => None,
    });
    data.collect()
}

#[tokio::test]
async fn a_signed_and_sealed_delivery_travels() {
    let world = World::new().await;
    let long: String = "0123456789".repeat(50_000);
    let header = r#"<x:Meta xmlns:x="urn:x" Id="MetaData">ü</x:Meta>"#;
    let inner = NewContainer::new().data("for carol").sealed_for(keys::certificate("carol-cipher"));
    let sealed = NewContainer::new()
        .data_as("notice", "<notice/>")
        .attachment(NewAttachment::new("scan ü.pdf", "application/pdf", long.as_str()))
        .container(inner)
        .signed_by(keys::signature("alice-signature"))
        .signed_by(keys::signature("dave-signature"))
        .sealed_for(keys::certificate("bob-cipher"))
        .sealed_for(keys::certificate("erin-cipher"));
    let open = NewContainer::new().data("readable by all");
    let shipment =
        shipment().with_container(sealed).with_container(open).with_header(CustomBlock::new(header).unwrap());
    let stored = world.client("alice").store(shipment).await.unwrap();
    assert!(!stored.repeated && stored.feedback.is_executed());
    assert_eq!(stored.card.unwrap().message_id, stored.message_id);

    let bob = world.client("bob");
    let mut dialog = bob.open_dialog().await.unwrap();
    let delivery = dialog.fetch(DeliverySelection::Oldest).await.unwrap().unwrap();
    assert_eq!(delivery.message_id, stored.message_id);
    assert_eq!(delivery.card.card.subject.as_deref(), Some("move-in notice"));
    assert_eq!(delivery.originator().unwrap(), keys::certificate("alice-cipher"));
    assert_eq!(delivery.originator_signature().unwrap(), keys::certificate("alice-signature"));
    assert_eq!(delivery.intermediary.as_ref().unwrap(), &keys::certificate("intermediary-signature"));
    assert!(delivery.headers[0].text().contains(">ü</x:Meta>"));
    assert!(!delivery.more);

    let contents = delivery.open(&[]).await.unwrap();
    let mut found = data(&contents);
    found.sort();
    assert_eq!(found, ["<notice/>", "<notice/>", "readable by all"]);
    assert_eq!(contents.sealed(), 1);
    assert_eq!(text(contents.attachment("scan ü.pdf").unwrap().bytes().unwrap()), long);
    assert_eq!(contents.signatures.len(), 2);
    for (signature, name) in contents.signatures.iter().zip(["alice-signature", "dave-signature"]) {
        assert_eq!(signature.verdict(), Verdict::Valid, "{signature:?}");
        assert_eq!(signature.signer.as_ref().unwrap(), &keys::certificate(name));
    }
    let signed: Vec<_> = contents.walk().into_iter().map(|(_, signed)| signed).collect();
    assert_eq!(signed, [false, false, true]);
    assert_eq!(contents.verdict(), Some(Verdict::Indeterminate), "not everything is signed");
    assert_eq!(contents.sealing, Some(Ruling::Produce));

    let contents = delivery.open(&[keys::cipher("carol-cipher")]).await.unwrap();
    assert_eq!(contents.sealed(), 0);
    assert!(data(&contents).contains(&"for carol".to_owned()));
    dialog.exit().await.unwrap();
    assert_eq!(world.fake.deliveries(), (1, 1));
    drop((contents, delivery));

    let cards = world.client("alice").process_cards(only(&stored.message_id)).await.unwrap();
    assert!(cards.cards[0].card.reception.is_some());
    assert_eq!(
        world.fake.orders(),
        [GetMessageId, StoreDelivery, InitDialog, FetchDelivery, ExitDialog, InitDialog, FetchProcessCard, ExitDialog]
    );
}

#[tokio::test]
async fn readers_without_the_key_get_the_rest() {
    let world = World::new().await;
    let attachment = NewAttachment::new("a", "text/plain", "secret");
    let sealed = NewContainer::new().attachment(attachment).sealed_for(keys::certificate("carol-cipher"));
    world.client("alice").store(shipment().with_container(sealed)).await.unwrap();
    let mut dialog = world.client("bob").open_dialog().await.unwrap();
    let delivery = dialog.fetch(DeliverySelection::Oldest).await.unwrap().unwrap();
    let contents = delivery.open(&[]).await.unwrap();
    assert_eq!(data(&contents), ["<notice/>"]);
    assert_eq!((contents.sealed(), contents.verdict(), contents.sealing), (1, None, None));
    let attachment = contents.attachment("a").unwrap();
    assert!(!contents.referring().contains_key(attachment.content_id.as_str()));
    let mut found = Vec::new();
    stream(attachment.bytes().unwrap()).read_to_end(&mut found).unwrap();
    assert_ne!(found, b"secret");
}

#[tokio::test]
async fn content_signatures_are_judged_by_certificate() {
    let world = World::new().await;
    let signed = |name| NewContainer::new().data(name).signed_by(keys::signature(name));
    let shipment = Shipment::to(keys::certificate("bob-cipher"))
        .with_container(signed("mallory-signature"))
        .with_container(signed("expired-signature"))
        .with_container(signed("carol-signature"));
    world.client("alice").store(shipment).await.unwrap();
    for (inspected, expected) in
        [(true, [Verdict::Indeterminate, Verdict::Invalid, Verdict::Valid]), (false, [Verdict::Indeterminate; 3])]
    {
        let bob = world.client_with("bob", |config| {
            if !inspected {
                config.inspector = None;
            }
        });
        let mut dialog = bob.open_dialog().await.unwrap();
        let delivery = dialog.fetch(DeliverySelection::Oldest).await.unwrap().unwrap();
        let contents = delivery.open(&[]).await.unwrap();
        let verdicts: Vec<_> = contents.signatures.iter().map(|signature| signature.verdict()).collect();
        assert_eq!(verdicts, expected, "{:?}", contents.signatures);
        assert!(contents.signatures.iter().all(|signature| signature.signature.outcome.is_ok()));
    }
}

#[tokio::test]
async fn the_next_request_acknowledges_and_a_dropped_dialog_does_not() {
    let world = World::new().await;
    let alice = world.client("alice");
    for _ in 0..2 {
        alice.store(shipment()).await.unwrap();
    }
    let bob = world.client("bob");
    let mut dialog = bob.open_dialog().await.unwrap();
    let first = dialog.fetch(DeliverySelection::Oldest).await.unwrap().unwrap();
    assert!(first.more);
    drop(dialog);
    assert_eq!(world.fake.deliveries(), (2, 0));

    let mut dialog = bob.open_dialog().await.unwrap();
    let again = dialog.fetch(DeliverySelection::Oldest).await.unwrap().unwrap();
    assert_eq!(again.message_id, first.message_id);
    assert_eq!(world.fake.deliveries(), (2, 0));
    dialog.acknowledge().await.unwrap();
    assert_eq!(world.fake.deliveries(), (2, 1));

    let second = dialog.fetch(DeliverySelection::Oldest).await.unwrap().unwrap();
    assert_ne!(second.message_id, first.message_id);
    assert!(dialog.fetch(DeliverySelection::Oldest).await.unwrap().is_none());
    assert_eq!(world.fake.deliveries(), (2, 2));
    let first_again = dialog.fetch(DeliverySelection::ById(first.message_id.clone())).await.unwrap().unwrap();
    assert_eq!(first_again.message_id, first.message_id);
    dialog.exit().await.unwrap();
}

#[tokio::test]
async fn a_lost_answer_does_not_store_twice() {
    let world = World::new().await;
    let alice = world.client("alice");
    world.fake.next([Quirk::None, Quirk::LoseAnswer]);
    let stored = alice.store(shipment()).await.unwrap();
    assert!(stored.repeated);
    assert_eq!(stored.card.unwrap().message_id, stored.message_id);
    assert_eq!(world.fake.deliveries(), (1, 0));

    world.fake.next([Quirk::LoseRequest, Quirk::Busy, Quirk::LoseAnswer, Quirk::None, Quirk::LoseRequest, Quirk::Busy]);
    assert!(!alice.store(shipment()).await.unwrap().repeated);
    world.fake.next([Quirk::None, Quirk::LoseAnswer, Quirk::Fault(Code::InternalError), Quirk::None, Quirk::Busy]);
    assert!(alice.store(shipment()).await.unwrap().repeated);
    assert_eq!(world.fake.deliveries(), (3, 0));
}

#[tokio::test]
async fn a_delivery_is_stored_within_a_dialog() {
    let world = World::new().await;
    let alice = world.client("alice");
    let mut dialog = alice.open_dialog().await.unwrap();
    let id = alice.message_id().await.unwrap();
    let stored = dialog.store(shipment().with_message_id(id.clone())).await.unwrap();
    assert_eq!((stored.message_id, stored.repeated), (id.clone(), false));
    let again = dialog.store(shipment().with_message_id(id)).await.unwrap();
    assert!(again.repeated, "a refusal leaves the dialog going on");
    assert_eq!(dialog.cards(only(&again.message_id)).await.unwrap().cards.len(), 1);
    dialog.exit().await.unwrap();
    assert_eq!(world.fake.deliveries(), (1, 0));
}

#[tokio::test]
async fn an_application_converges_after_its_own_crash() {
    let world = World::new().await;
    let alice = world.client_with("alice", |config| config.retries.tries = 1);
    let id = alice.message_id().await.unwrap();
    world.fake.next([Quirk::LoseAnswer]);
    let error = alice.store(shipment().with_message_id(id.clone())).await.unwrap_err();
    let Error::OutcomeUnknown { message_id, .. } = &error else { panic!("{error}") };
    assert_eq!(*message_id, id);
    assert!(!error.is_not_executed());

    let stored = alice.store(shipment().with_message_id(id.clone())).await.unwrap();
    assert!(stored.repeated);
    assert_eq!((stored.message_id, world.fake.deliveries()), (id.clone(), (1, 0)));

    // The same id for something else is a mistake of the application, not a repetition.
    let other = Shipment::to(keys::certificate("bob-cipher")).with_subject("other").with_message_id(id);
    let error = alice.store(other).await.unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error}");
    assert_eq!(error.codes()[0].to_string(), "9801");

    let foreign = shipment().with_message_id(MessageId::new("elsewhere-1").unwrap());
    assert_eq!(alice.store(foreign).await.unwrap_err().codes()[0].to_string(), "9801");
    assert_eq!(world.fake.deliveries(), (1, 0));
}

#[tokio::test]
async fn a_lost_answer_stays_in_doubt_whatever_comes_after_it() {
    let world = World::new().await;
    let alice = world.client_with("alice", |config| config.retries.tries = 3);
    for last in [Quirk::Busy, Quirk::LoseRequest, Quirk::Fault(Code::InternalError), Quirk::Unsigned] {
        let id = alice.message_id().await.unwrap();
        world.fake.next([Quirk::LoseAnswer, Quirk::Busy, last.clone()]);
        let error = alice.store(shipment().with_message_id(id.clone())).await.unwrap_err();
        assert!(matches!(&error, Error::OutcomeUnknown { message_id, .. } if *message_id == id), "{last:?}: {error:?}");
    }
    let stored = world.fake.deliveries().0;
    // Refused for something else, but stored before.
    world.fake.next([Quirk::None, Quirk::LoseAnswer, Quirk::Refuse(Code::OrderFailed)]);
    assert!(alice.store(shipment()).await.unwrap().repeated);
    world.fake.next([Quirk::None, Quirk::LoseRequest, Quirk::Refuse(Code::OrderFailed)]);
    assert!(matches!(alice.store(shipment()).await, Err(Error::Refused(_))));
    assert_eq!(world.fake.deliveries().0, stored + 1);
}

#[tokio::test]
async fn tries_are_counted_and_refusals_are_final() {
    let world = World::new().await;
    let alice = world.client_with("alice", |config| config.retries.tries = 3);
    world.fake.next(vec![Quirk::Busy; 3]);
    let error = alice.message_id().await.unwrap_err();
    assert!(matches!(error, Error::Busy { retry_after: Some(Duration::ZERO), .. }), "{error}");
    assert!(error.may_pass() && error.is_not_executed());

    world.fake.next([Quirk::None, Quirk::Refuse(Code::SignatureMissing)]);
    let error = alice.store(shipment()).await.unwrap_err();
    assert!(matches!(&error, Error::Refused(refusal) if refusal.order == StoreDelivery), "{error}");
    assert!(error.is_not_executed() && !error.may_pass());
    assert!(error.to_string().contains("9600"), "{error}");
    assert_eq!(error.remedy(), "give a signature key pair");

    world.fake.next([Quirk::Fault(Code::NoPrivateKey)]);
    let error = alice.message_id().await.unwrap_err();
    let Error::Fault(fault) = &error else { panic!("{error}") };
    assert_eq!((fault.code, fault.encrypted), (Code::NoPrivateKey, false));
    assert_eq!(world.fake.orders(), [GetMessageId, StoreDelivery]);
}

#[tokio::test]
async fn improper_answers_are_refused() {
    type Check = fn(&PeerError) -> bool;
    let cases: [(Quirk, Check); 8] = [
        (Quirk::Unsigned, |error| matches!(error, PeerError::Unsigned)),
        (Quirk::InClear, |error| matches!(error, PeerError::Unencrypted)),
        (Quirk::OtherSigner, |error| matches!(error, PeerError::Signature { .. })),
        (Quirk::OtherChallenge, |error| matches!(error, PeerError::Control(_))),
        (Quirk::OtherType, |error| matches!(error, PeerError::Control(_))),
        (Quirk::Damaged, |error| matches!(error, PeerError::Open(_))),
        (Quirk::Garbage, |error| matches!(error, PeerError::Open(_))),
        (Quirk::Lacking, |error| matches!(error, PeerError::Lacking { .. })),
    ];
    let world = World::new().await;
    world.client("alice").store(shipment()).await.unwrap();
    let bob = world.client("bob");
    for (quirk, check) in cases {
        let mut dialog = bob.open_dialog().await.unwrap();
        world.fake.next([quirk.clone()]);
        let error = dialog.fetch(DeliverySelection::Oldest).await.unwrap_err();
        assert!(matches!(&error, Error::Peer(peer) if check(peer)), "{quirk:?}: {error:?}");
        assert!(!error.may_pass() && !error.cause().is_empty() && !error.remedy().is_empty());
        let sent = world.fake.orders().len();
        let stale = dialog.fetch(DeliverySelection::Oldest).await.unwrap_err();
        assert!(matches!(stale, Error::DialogStale(_)), "{quirk:?}: {stale:?}");
        assert_eq!(world.fake.orders().len(), sent, "a stale dialog sends nothing");
        assert_eq!(world.fake.deliveries(), (1, 0), "{quirk:?}");
    }
}

#[tokio::test]
async fn an_unknown_signer_is_taken_unless_the_inspector_rejects_it() {
    let world = World::new().await;
    let unpinned = |config: &mut Config| config.intermediary_signature = None;
    world.client_with("alice", unpinned).message_id().await.unwrap();
    let careless = world.client_with("alice", |config| {
        unpinned(config);
        config.dangerous_accept_unsigned_answers = true;
    });
    world.fake.next([Quirk::Unsigned]);
    careless.message_id().await.unwrap();
    // Nobody stands behind mallory; that alone does not make the certificate invalid.
    world.fake.next([Quirk::OtherSigner]);
    world.client_with("alice", unpinned).message_id().await.unwrap();
}

#[tokio::test]
async fn dialogs_survive_refusals_and_busy_hours_but_no_faults() {
    let world = World::new().await;
    world.client("alice").store(shipment()).await.unwrap();
    let bob = world.client("bob");
    world.fake.next([Quirk::LoseAnswer, Quirk::None, Quirk::Busy, Quirk::Busy]);
    let mut dialog = bob.open_dialog().await.unwrap();
    dialog.fetch(DeliverySelection::Oldest).await.unwrap().unwrap();
    assert!(dialog.cards(only(&MessageId::new("none").unwrap())).await.unwrap().cards.is_empty());
    for quirk in [Quirk::LoseAnswer, Quirk::LoseRequest, Quirk::Fault(Code::InternalError)] {
        let mut dialog = bob.open_dialog().await.unwrap();
        let sent = world.fake.orders().len();
        world.fake.next([quirk.clone()]);
        let error = dialog.fetch(DeliverySelection::Oldest).await;
        match quirk {
            Quirk::Fault(_) => assert!(matches!(error, Err(Error::Fault(_))), "{error:?}"),
            _ => assert!(matches!(error, Err(Error::Connection(_))), "{error:?}"),
        }
        assert!(world.fake.orders().len() <= sent + 1, "nothing is repeated in a dialog");
        assert!(matches!(dialog.acknowledge().await, Err(Error::DialogStale(_))));
    }
}

#[tokio::test]
async fn an_abandoned_request_makes_the_dialog_stale() {
    let world = World::new().await;
    let mut dialog = world.client("bob").open_dialog().await.unwrap();
    let abandoned = tokio::time::timeout(Duration::ZERO, dialog.fetch(DeliverySelection::Oldest)).await;
    assert!(abandoned.is_err());
    assert!(matches!(dialog.fetch(DeliverySelection::Oldest).await, Err(Error::DialogStale(_))));
}

#[tokio::test]
async fn transport_protection_is_a_choice() {
    let world = World::new().await;
    for (encrypted, signed) in [(true, false), (false, true), (false, false)] {
        let change = |config: &mut Config| {
            config.dangerous_clear_requests = !encrypted;
            if !signed {
                let cipher = config.keys.current_cipher().unwrap().clone();
                config.keys = rohrpost_pipeline::keyring::KeyRing::new(vec![cipher], None);
            }
        };
        world.client_with("alice", change).store(shipment()).await.unwrap();
        let mut dialog = world.client_with("bob", change).open_dialog().await.unwrap();
        let delivery = dialog.fetch(DeliverySelection::Oldest).await.unwrap().unwrap();
        assert_eq!(delivery.intermediary.is_some(), signed);
        assert_eq!(data(&delivery.open(&[]).await.unwrap()), ["<notice/>"]);
        dialog.exit().await.unwrap();
    }
}

#[tokio::test]
async fn what_cannot_work_is_said_before_anything_is_sent() {
    let world = World::new().await;
    let alice = world.client("alice");
    let unfit = Shipment::to(keys::certificate("bob-signature"));
    let id = MessageId::new("fake-99").unwrap();
    for shipment in [
        unfit,
        shipment().with_container(NewContainer::new().data("x").sealed_for(keys::certificate("ec-p256-signature"))),
        shipment().with_container(NewContainer::new().data_as("a", "x").data_as("a", "y")),
        shipment().with_container(NewContainer::new().with_id("body")),
    ] {
        let error = alice.store(shipment.with_message_id(id.clone())).await.unwrap_err();
        assert!(matches!(error, Error::Unusable(_)), "{error:?}");
        assert!(!error.remedy().is_empty());
    }
    assert_eq!(world.server.connections(), 0);

    let config = |url: &str| {
        let (cipher, spools) = (keys::certificate("intermediary-cipher"), SpoolDir::new(world.directory.path()));
        Config::new(url, cipher, keys::ring("alice"), spools, Clock::new(|| NOW))
    };
    assert!(Client::new(config("no address")).is_err());
    assert!(Client::new(config("https://localhost/osci")).is_err());
    let mut wrong = config("http://localhost/osci");
    wrong.intermediary_cipher = keys::certificate("intermediary-signature");
    assert!(matches!(Client::new(wrong), Err(Error::Unusable(_))));
}

#[tokio::test]
async fn spools_are_gone_when_nobody_uses_them() {
    let world = World::new().await;
    let large = vec![7; 300_000];
    let attachment = NewAttachment::new("a", "application/octet-stream", large);
    let container = NewContainer::new().attachment(attachment).sealed_for(keys::certificate("bob-cipher"));
    world.client("alice").store(shipment().with_container(container)).await.unwrap();
    let kept = |world: &World| std::fs::read_dir(world.directory.path()).unwrap().count();
    let stored = kept(&world);
    let mut dialog = world.client("bob").open_dialog().await.unwrap();
    let delivery = dialog.fetch(DeliverySelection::Oldest).await.unwrap().unwrap();
    let contents = delivery.open(&[]).await.unwrap();
    assert!(kept(&world) > stored);
    drop((contents, delivery, dialog));
    for _ in 0..100 {
        if kept(&world) == stored {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} files instead of {stored}", kept(&world));
}

#[test]
fn nothing_shows_content() {
    let secret = "4711-secret";
    let container = NewContainer::new()
        .data(secret)
        .attachment(NewAttachment::new(secret, "text/plain", secret))
        .sealed_for(keys::certificate("bob-cipher"));
    let shipment = Shipment::to(keys::certificate("bob-cipher")).with_subject(secret).with_container(container);
    assert!(!format!("{shipment:?}").contains("secret"));
}
