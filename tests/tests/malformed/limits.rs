//! Too much of something, and what is refused because of what is in the store already.

use rohrpost_osci::feedback::Code;
use rohrpost_osci::header::{CertificateEntry, CertificateRole, CertificateUse};
use rohrpost_osci::message::Response;
use rohrpost_osci::selection::{CardSelection, DeliverySelection};
use rohrpost_store::{MailboxLimits, Retention, Store as _};
use time::Duration;

use super::stage::{Case, Order, executed, fault, refused, run};
use crate::harness::{
    Bench, Client, Delivery, Draft, DraftAttachment, DraftBlock, DraftReference, NOW, Seal, Setup, content, der, key,
    mime,
};

const STORE: Order = Order::StoreDelivery;

fn parts(draft: &mut Draft, count: usize) {
    draft.attachments.extend((0..count).map(|n| DraftAttachment::raw(&format!("part{n}"), "text/plain", b"x")));
}

#[test]
pub(super) fn counts() {
    let more = |name: &str, expected, edit: fn(&mut Draft)| Case::new(name, STORE, expected).draft(edit);
    run(vec![
        more("11000 parts", fault(9100), |draft| parts(draft, 11_000)),
        more("500 parts", executed(&[800]), |draft| parts(draft, 500)),
        more("20000 contents", executed(&[800]), |draft| {
            let many: String = (0..20_000)
                .map(|n| {
                    format!("<osci:Content><osci:Base64Content Id=\"c{n}\">YQ==</osci:Base64Content></osci:Content>")
                })
                .collect();
            draft.replace_in_body("</osci:ContentContainer>", &format!("{many}</osci:ContentContainer>"));
        }),
        more("60000 contents", fault(9100), |draft| {
            let many: String = (0..60_000)
                .map(|n| {
                    format!("<osci:Content><osci:Base64Content Id=\"c{n}\">YQ==</osci:Base64Content></osci:Content>")
                })
                .collect();
            draft.replace_in_body("</osci:ContentContainer>", &format!("{many}</osci:ContentContainer>"));
        }),
        more("containers in containers", fault(9100), |draft| {
            let (mut open, mut close) = (String::new(), String::new());
            for n in 0..60 {
                open += &format!("<osci:ContentContainer Id=\"n{n}\"><osci:Content Id=\"m{n}\">");
                close += "</osci:Content></osci:ContentContainer>";
            }
            draft.replace_in_body("<osci:ContentPackage>", &format!("<osci:ContentPackage>{open}{close}"));
        }),
        Case::new("as many references as parts and more", STORE, refused(&[9601])).signature(|signature, _| {
            let algorithm = rohrpost_crypto::DigestAlgorithm::Sha256;
            signature.references.extend(
                (0..5000).map(|n| {
                    DraftReference::new(format!("cid:part{n}"), &[], algorithm, algorithm.digest(b"x").as_ref())
                }),
            );
        }),
    ]);
}

/// Certificates cost a check each, so their number is bounded by the size of the header alone; what is in order must go through.
#[test]
fn certificates() {
    let bench = Bench::default();
    let mut alice = Client::alice().in_clear();
    let mut delivery = Delivery::to("bob-cipher", &bench.fresh_id());
    let entry =
        |number, der: Vec<u8>| CertificateEntry::new(CertificateRole::OtherReader, CertificateUse::Cipher, number, der);
    delivery.certificates.extend((0..500).map(|number| entry(number, der("carol-cipher"))));
    let draft = alice.store(delivery);
    assert_eq!(alice.codes(&bench, &draft), [800]);

    let mut alice = Client::alice().in_clear();
    let mut delivery = Delivery::to("bob-cipher", &bench.fresh_id());
    delivery.certificates.extend((0..4000).map(|number| entry(number, der("carol-cipher"))));
    let draft = alice.store(delivery);
    assert_eq!(bench.handle(alice.encode(&draft)).fault(), Some(9100));
    assert_eq!(bench.stats().waiting, 1);
}

/// Certificates of readers that differ, from an issuer nobody knows.
fn readers(count: u32) -> impl Iterator<Item = CertificateEntry> {
    let reader = der("mallory-cipher");
    (0..count).map(move |number| {
        let mut der = reader.clone();
        let signature = der.len() - 4;
        der[signature..].copy_from_slice(&number.to_be_bytes());
        CertificateEntry::new(CertificateRole::OtherReader, CertificateUse::Cipher, number, der)
    })
}

/// What was accepted must be fetchable: a delivery that its addressee cannot read would block the mailbox.
#[test]
fn a_delivery_whose_header_could_not_be_handed_out_is_not_taken() {
    let bench = Bench::default();
    let mut outcomes = Vec::new();
    for custom_bytes in (2_000_000..2_900_000).step_by(150_000) {
        let mut delivery = Delivery::to("bob-cipher", &bench.fresh_id());
        delivery.certificates.extend(readers(900));
        let mut alice = Client::alice().in_clear().unsigned();
        let mut draft = alice.store(delivery);
        let text = format!("<a:b xmlns:a=\"urn:a\" Id=\"b\">{}</a:b>", "x".repeat(custom_bytes));
        draft.blocks.push(DraftBlock::new("b", text));
        let codes = bench.handle(alice.encode(&draft)).codes;
        outcomes.push(codes[0]);
        if codes != [800, 3707] {
            continue;
        }
        let mut bob = Client::bob().open(&bench);
        let (codes, delivered) = bob.fetch_at(&bench, DeliverySelection::Oldest, NOW);
        assert_eq!(codes, [801]);
        assert_eq!(delivered.unwrap().certificates.entries().len(), 902);
        let exit = bob.exit();
        bob.send(&bench, &exit);
    }
    outcomes.dedup();
    assert_eq!(outcomes, [800, 9811, 9100], "taken, taken not although in order, no message for us any more");
    assert_eq!(bench.stats().waiting, 0);
}

/// Cards are long if there are many certificates; an answer holds as many as a client can read, and says that there are more.
#[test]
fn cards_in_one_answer_are_bounded_by_their_size_too() {
    let bench = Bench::default();
    for _ in 0..9 {
        let mut delivery = Delivery::to("bob-cipher", &bench.fresh_id());
        delivery.certificates.extend(readers(900));
        let mut alice = Client::alice().in_clear().unsigned();
        let draft = alice.store(delivery);
        assert_eq!(alice.codes(&bench, &draft), [800, 3707]);
    }
    let mut bob = Client::bob().open(&bench);
    let draft = bob.cards(CardSelection::default());
    let Response::FetchProcessCard(response) = bob.send(&bench, &draft) else { panic!() };
    assert!(response.feedback.contains(Code::FurtherProcessCards));
    assert!((5..9).contains(&response.cards.len()), "{}", response.cards.len());
}

#[test]
fn a_message_that_is_larger_inside_than_allowed() {
    let setup = Setup { message_bytes: 100_000, ..Setup::default() };
    let bench = setup.start();
    let mut alice = Client::alice();
    let mut delivery = Delivery::to("bob-cipher", &bench.fresh_id());
    delivery.content = content(b"Inhalt", &[("plan.pdf", &vec![7; 100_000])]);
    let draft = alice.store(delivery);
    assert_eq!(bench.handle(alice.encode(&draft)).fault(), Some(9100));
    assert_eq!(bench.stats().waiting, 0);
    let leftovers = std::fs::read_dir(bench.store.incoming()).unwrap().count();
    assert_eq!(leftovers, 0, "nothing of it is left on disk");

    let mut alice = Client::alice();
    let mut delivery = Delivery::to("bob-cipher", &bench.fresh_id());
    delivery.content = content(b"Inhalt", &[("plan.pdf", &vec![7; 80_000])]);
    let draft = alice.store(delivery);
    assert_eq!(alice.codes(&bench, &draft), [800]);
}

/// What decrypts to nothing but the beginning of a message must not stay on disk either.
#[test]
fn a_large_message_that_cannot_be_decrypted_leaves_nothing() {
    let bench = Bench::default();
    let message = mime(b"<a/>", &[DraftAttachment::raw("a", "text/plain", &vec![7; 300_000])]);
    let mut seal = Seal::new(&message, key("intermediary-cipher"));
    *seal.ciphertext.last_mut().unwrap() ^= 1;
    assert_eq!(bench.handle(seal.write()).fault(), Some(9202));
    assert_eq!(std::fs::read_dir(bench.store.incoming()).unwrap().count(), 0);
}

#[test]
fn a_full_mailbox_takes_nothing_and_spends_no_id() {
    let bench = Setup::with(|settings| settings.mailbox = MailboxLimits { deliveries: 2, bytes: 1_000_000 }).start();
    Client::deliver(&bench, "bob-cipher", NOW);
    Client::deliver(&bench, "bob-cipher", NOW);
    let id = bench.fresh_id();
    let mut alice = Client::alice().in_clear();
    let draft = alice.store(Delivery::to("bob-cipher", &id));
    assert_eq!(alice.codes(&bench, &draft), [9811]);
    Client::deliver(&bench, "erin-cipher", NOW);

    // As soon as Bob has received one, there is room again, and the id is still good.
    let mut bob = Client::bob().open(&bench);
    bob.fetch_at(&bench, DeliverySelection::Oldest, NOW);
    let exit = bob.exit();
    bob.send(&bench, &exit);
    assert_eq!(bench.handle(alice.encode(&draft)).codes, [800]);

    let mut large = Delivery::to("carol-cipher", &bench.fresh_id());
    large.content = content(b"Inhalt", &[("plan.pdf", &vec![7; 2_000_000])]);
    let mut alice = Client::alice().in_clear();
    let draft = alice.store(large);
    assert_eq!(alice.codes(&bench, &draft), [9811], "more than the mailbox may hold in bytes");
    assert_eq!(bench.stats().waiting, 3);
}

#[test]
fn a_message_id_is_good_for_one_delivery() {
    let bench = Bench::default();
    let id = bench.fresh_id();
    let send = |client: &mut Client, addressee: &'static str| {
        let draft = client.store(Delivery::to(addressee, &id));
        client.codes(&bench, &draft)
    };
    assert_eq!(send(&mut Client::alice(), "bob-cipher"), [800]);
    for addressee in ["bob-cipher", "erin-cipher"] {
        assert_eq!(send(&mut Client::alice(), addressee), [9801]);
        assert_eq!(send(&mut Client::bob().in_clear(), addressee), [9801]);
    }
    // Fetched, acknowledged, and removed: still used.
    let mut bob = Client::bob().open(&bench);
    bob.fetch_at(&bench, DeliverySelection::Oldest, NOW);
    let exit = bob.exit();
    bob.send(&bench, &exit);
    let day = Duration::DAY;
    let bodies = Retention { received_bodies: Some(day), unreceived_bodies: Some(day), ..Retention::default() };
    assert_eq!(bench.store.retention(NOW + day * 2, &bodies).unwrap().bodies, 1);
    assert_eq!(send(&mut Client::alice(), "bob-cipher"), [9801]);
    let cards = Retention { cards: Some(day), unused_ids: Some(day * 30), ..bodies };
    assert_eq!(bench.store.retention(NOW + day * 4, &cards).unwrap().cards, 1);
    assert_eq!(send(&mut Client::alice(), "bob-cipher"), [9801]);
    assert_eq!(bench.stats().waiting, 0);
}

#[test]
fn a_delivery_is_fetched_by_its_addressee_only() {
    let bench = Bench::default();
    let id = Client::deliver(&bench, "bob-cipher", NOW);
    for stranger in [Client::alice(), Client::new("erin-cipher", "bob-signature")] {
        let mut stranger = stranger.open(&bench);
        for selection in [
            DeliverySelection::ById(id.clone()),
            DeliverySelection::Oldest,
            DeliverySelection::Since((NOW - Duration::DAY).into()),
        ] {
            assert_eq!(stranger.fetch_at(&bench, selection, NOW).0, [9803]);
        }
    }
    // A dialog in clear proves nothing, even if a later request comes encrypted.
    let mut claimant = Client::bob().unsigned().in_clear().open(&bench);
    assert_eq!(claimant.fetch_at(&bench, DeliverySelection::Oldest, NOW).0, [9811]);
    claimant.sealed = true;
    let draft = claimant.fetch(DeliverySelection::Oldest);
    let answer = bench.handle(claimant.encode(&draft));
    claimant.read(&answer);
    assert_eq!(answer.codes, [9811]);
    let card = bench.store.card(&id).unwrap().unwrap();
    assert_eq!((card.forwarded, card.received), (None, None));
}

#[test]
fn where_testing_allows_it_a_delivery_is_fetched_in_clear() {
    let bench = Setup::with(|settings| settings.dangerous_fetch_without_encryption = true).start();
    let id = Client::deliver(&bench, "bob-cipher", NOW);
    let mut bob = Client::bob().unsigned().in_clear().open(&bench);
    let (codes, delivered) = bob.fetch_at(&bench, DeliverySelection::Oldest, NOW);
    assert_eq!((codes, delivered.unwrap().message_id), (vec![801], id));
}
