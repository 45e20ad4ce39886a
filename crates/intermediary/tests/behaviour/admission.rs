//! Maintenance, closed mailboxes, and mailboxes that do not exist.

use std::collections::BTreeSet;
use std::sync::Arc;

use rohrpost_intermediary::{Admission, Mode};
use rohrpost_osci::feedback::Code;
use rohrpost_osci::selection::{CardSelection, DeliverySelection};
use rohrpost_store::{Fingerprint, Store as _};

use crate::harness::{Bench, Client, Delivery, NOW, Recipient, Setup, der};

fn mailbox(name: &str) -> BTreeSet<Fingerprint> {
    BTreeSet::from([Fingerprint::of_der(&der(name))])
}

fn store(bench: &Bench, addressee: &str) -> Vec<u16> {
    let mut alice = Client::alice();
    let draft = alice.store(Delivery::to(addressee, &bench.fresh_id()));
    alice.codes(bench, &draft)
}

#[test]
fn in_store_only_mode_deliveries_are_taken_and_nothing_else_happens() {
    let bench = Bench::default();
    assert_eq!(store(&bench, "bob-cipher"), [800]);
    let mut bob = Client::bob().open(&bench);
    bench.intermediary.admit(Admission { mode: Mode::StoreOnly, ..Admission::default() });
    assert_eq!(store(&bench, "bob-cipher"), [800]);
    assert_eq!(bob.fetch_at(&bench, DeliverySelection::Oldest, NOW).0, [9811]);
    let draft = bob.cards(CardSelection::default());
    assert_eq!(bob.codes(&bench, &draft), [9811]);
    let draft = bob.get_message_id();
    assert_eq!(bob.codes(&bench, &draft), [801]);
    // The dialog went on; afterwards everything is there.
    bench.intermediary.admit(Admission::default());
    let (codes, delivery) = bob.fetch_at(&bench, DeliverySelection::Oldest, NOW);
    assert_eq!((codes, delivery.is_some()), (vec![801, 3800], true));
}

#[test]
fn stopped_it_only_closes_dialogs_and_takes_their_acknowledgement() {
    let bench = Bench::default();
    let id = Client::deliver(&bench, "bob-cipher", NOW);
    let mut bob = Client::bob().open(&bench);
    bob.fetch_at(&bench, DeliverySelection::Oldest, NOW);
    bench.intermediary.admit(Admission { mode: Mode::Stopped, ..Admission::default() });
    assert_eq!(store(&bench, "bob-cipher"), [9811]);
    let carol = || Client::new("carol-cipher", "carol-signature");
    let mut carol = [carol(), carol()];
    let draft = carol[0].init();
    assert_eq!(bench.handle(carol[0].encode(&draft)).codes, [9811]);
    let draft = carol[1].get_message_id();
    assert_eq!(bench.handle(carol[1].encode(&draft)).codes, [9811]);
    let draft = bob.exit();
    assert_eq!(bob.codes(&bench, &draft), [800]);
    assert!(bench.store.card(&id).unwrap().unwrap().received.is_some());
}

#[test]
fn a_blocked_mailbox_takes_nothing_and_hands_nothing_out() {
    let bench = Bench::default();
    assert_eq!(store(&bench, "bob-cipher"), [800]);
    bench.intermediary.admit(Admission { blocked: mailbox("bob-cipher"), ..Admission::default() });
    assert_eq!(store(&bench, "bob-cipher"), [9811]);
    assert_eq!(store(&bench, "carol-cipher"), [800]);
    let mut bob = Client::bob().open(&bench);
    assert_eq!(bob.fetch_at(&bench, DeliverySelection::Oldest, NOW).0, [9811]);
    let mut carol = Client::new("carol-cipher", "carol-signature").open(&bench);
    assert_eq!(carol.fetch_at(&bench, DeliverySelection::Oldest, NOW).0, [801]);
}

#[test]
fn where_mailboxes_are_registered_others_do_not_exist() {
    let bench = Bench::default();
    for (unknown, code) in [(Code::OrderFailed, 9811), (Code::RecipientRefused, 9805)] {
        let registered = Some(mailbox("bob-cipher"));
        bench.intermediary.admit(Admission { registered, unknown, ..Admission::default() });
        assert_eq!(store(&bench, "bob-cipher"), [800]);
        assert_eq!(store(&bench, "carol-cipher"), [code]);
    }
    // Asking is allowed: there is just nothing.
    let mut carol = Client::new("carol-cipher", "carol-signature").open(&bench);
    assert_eq!(carol.fetch_at(&bench, DeliverySelection::Oldest, NOW).0, [9803]);
}

#[test]
fn the_reply_to_a_mediated_delivery_needs_a_mailbox_as_well() {
    let recipient = Recipient::that([]);
    let bench = Setup { courier: Some(Arc::clone(&recipient) as Arc<_>), ..Setup::default() }.start();
    let mut alice = Client::alice().open(&bench);
    let mut mediate = |admission: Admission| {
        bench.intermediary.admit(admission);
        let draft = alice.mediate(Recipient::URL, Delivery::to("bob-cipher", &bench.fresh_id()));
        alice.codes(&bench, &draft)
    };
    let (registered, own) = (Some(mailbox("bob-cipher")), Some(mailbox("alice-cipher")));
    assert_eq!(mediate(Admission { blocked: mailbox("alice-cipher"), ..Admission::default() }), [9811]);
    assert_eq!(mediate(Admission { registered, ..Admission::default() }), [9811]);
    assert_eq!(recipient.attempts(), 0);
    assert_eq!(mediate(Admission { registered: own, ..Admission::default() }), [801]);
}
