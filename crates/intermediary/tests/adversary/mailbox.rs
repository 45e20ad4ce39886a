//! A delivery that was accepted can be fetched, whatever its sender did: the oldest comes first, so one that cannot be handed
//! out would block the mailbox.

use std::fmt::Write as _;

use rohrpost_crypto::{Curve, PrivateKey, SystemRandom};
use rohrpost_osci::card::InspectionReport;
use rohrpost_osci::header::{CertificateEntry, CertificateRole, CertificateUse};
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_pki::issue::{Name, Template, Validity, self_signed};
use rohrpost_store::Store as _;
use time::macros::datetime;

use crate::harness::{Bench, Client, Delivered, Delivery, Draft, DraftAttachment, DraftBlock, NOW, Setup};

/// Sends a changed delivery to bob, in clear and unsigned; the code of its fault if it was refused.
fn send(bench: &Bench, change: impl FnOnce(&mut Draft, &mut String)) -> Option<u16> {
    let mut alice = Client::alice().in_clear().unsigned();
    let mut draft = alice.store(Delivery::to("bob-cipher", &bench.fresh_id()));
    let mut declarations = String::new();
    change(&mut draft, &mut declarations);
    let envelope =
        draft.envelope(None).replacen(" xsi:schemaLocation", &format!("{declarations} xsi:schemaLocation"), 1);
    let answer = bench.handle(draft.mime(&envelope));
    answer.fault().or_else(|| (answer.codes != [800]).then_some(answer.codes[0]))
}

/// What bob gets.
fn fetch(bench: &Bench) -> Option<Delivered> {
    let mut bob = Client::bob().open(bench);
    bob.fetch_at(bench, DeliverySelection::Oldest, NOW).1
}

/// Either it is refused, or it can be fetched.
fn refused_or_fetched(bench: &Bench, change: impl FnOnce(&mut Draft, &mut String)) -> Option<u16> {
    let refused = send(bench, change);
    assert_eq!(fetch(bench).is_none(), refused.is_some(), "{refused:?}");
    refused
}

#[test]
fn as_many_namespaces_as_there_may_be() {
    for count in [10, 48, 55, 58, 59, 60, 64] {
        refused_or_fetched(&Bench::default(), |draft, declarations| {
            // Other prefixes than ours for what is not needed under a certain one.
            for number in 0..count {
                write!(declarations, " xmlns:p{number}=\"urn:{number}\"").unwrap();
            }
            draft.blocks.push(DraftBlock::new("meta", "<p0:Meta Id=\"meta\"></p0:Meta>"));
        });
    }
}

#[test]
fn as_many_namespaces_under_other_prefixes() {
    for count in [40, 52, 54, 56, 57, 58, 60, 61] {
        let bench = Bench::default();
        let mut alice = Client::alice().in_clear().unsigned();
        let mut draft = alice.store(Delivery::to("bob-cipher", &bench.fresh_id()));
        draft.blocks.push(DraftBlock::new("meta", "<p0:Meta Id=\"meta\"></p0:Meta>"));
        let mut envelope = draft.envelope(None).replace(" xmlns:xenc=\"http://www.w3.org/2001/04/xmlenc#\"", "");
        for (ours, other) in [("ds", "d"), ("osci", "o"), ("soap", "s")] {
            envelope = envelope.replace(&format!(" xmlns:{ours}="), &format!(" xmlns:{other}="));
            for (before, after) in [("<", ":"), ("</", ":"), (" ", ":actor"), (" ", ":mustUnderstand")] {
                let name = |prefix| format!("{before}{prefix}{after}");
                envelope = envelope.replace(&name(ours), &name(other));
            }
        }
        let declarations: String = (0..count).map(|number| format!(" xmlns:p{number}=\"urn:{number}\"")).collect();
        let envelope = envelope.replacen(" xsi:schemaLocation", &format!("{declarations} xsi:schemaLocation"), 1);
        let answer = bench.handle(draft.mime(&envelope));
        assert_eq!(fetch(&bench).is_some(), answer.codes == [800], "{count}: {:?}", answer.codes);
    }
}

#[test]
fn attachments_that_are_base64_by_their_type() {
    let bench = Bench::default();
    let refused = send(&bench, |draft, _| {
        let mut attachment = DraftAttachment::base64("a.bin", "text/base64", b"some bytes");
        attachment.headers = "Content-Type: text/base64\r\nContent-Transfer-Encoding: 7bit\r\n".to_owned();
        draft.attachments.push(attachment);
    });
    assert_eq!(refused, None);
    let delivered = fetch(&bench).unwrap();
    assert_eq!(delivered.attachments, [("a.bin".to_owned(), "text/base64".to_owned(), b"some bytes".to_vec())]);
}

#[test]
fn attachments_that_are_no_base64() {
    let bench = Bench::default();
    let refused = send(&bench, |draft, _| {
        let mut attachment = DraftAttachment::base64("a.bin", "text/plain", b"some bytes");
        attachment.bytes = b"QUJ".to_vec();
        draft.attachments.push(attachment);
    });
    assert_eq!(refused, Some(9100));
    assert_eq!(bench.stats().waiting, 0);
}

#[test]
fn header_ids_that_are_ours_when_it_is_handed_on() {
    for (id, outcome) in [
        ("intermediarycertificates", Some(9100)),
        ("responsetofetchdelivery", Some(9100)),
        ("intermed_signature_1", Some(9100)),
        ("anything", None),
    ] {
        let bench = Bench::default();
        let refused = refused_or_fetched(&bench, |draft, _| {
            draft.blocks.push(DraftBlock::new(id, format!(r#"<x:x xmlns:x="urn:x" Id="{id}"></x:x>"#)));
        });
        assert_eq!(refused, outcome, "{id}");
    }
}

#[test]
fn an_attachment_named_like_the_root_part() {
    let bench = Bench::default();
    let mut alice = Client::alice().in_clear().unsigned();
    let mut draft = alice.store(Delivery::to("bob-cipher", &bench.fresh_id()));
    draft.attachments.push(DraftAttachment::raw("osci@message", "text/plain", b"x"));
    let message = String::from_utf8(draft.mime(&draft.envelope(None))).unwrap();
    let message = message.replacen("Content-ID: <osci@message>", "Content-ID: <root>", 1);
    assert_eq!(bench.handle(message).fault(), Some(9100));
}

#[test]
fn as_many_mime_headers_as_there_may_be() {
    for count in [50, 60, 61, 62] {
        refused_or_fetched(&Bench::default(), |draft, _| {
            let mut attachment = DraftAttachment::raw("a", "text/plain", b"x");
            attachment.headers = "Content-Type: text/plain\r\n".to_owned();
            for number in 0..count {
                write!(attachment.headers, "X-{number}: x\r\n").unwrap();
            }
            draft.attachments.push(attachment);
        });
    }
    for length in [60_000, 65_400, 65_450] {
        refused_or_fetched(&Bench::default(), |draft, _| {
            let mut attachment = DraftAttachment::raw("a", "text/plain", b"x");
            attachment.headers = format!("Content-Type: text/plain\r\nX-Long: {}\r\n", "x".repeat(length));
            draft.attachments.push(attachment);
        });
    }
}

#[test]
fn content_that_grows_when_it_is_written_canonically() {
    let setup = Setup { message_bytes: 300_000, ..Setup::default() };
    let bench = setup.start();
    let refused = refused_or_fetched(&bench, |draft, _| {
        draft.replace_in_body("SW5oYWx0", &format!("SW5oYWx0<![CDATA[{}]]>", "&".repeat(200_000)));
    });
    assert_eq!(refused, Some(9100));
}

#[test]
fn as_many_ids_as_there_may_be() {
    for count in [40_000, 49_900, 49_985, 49_990] {
        refused_or_fetched(&Bench::default(), |draft, _| {
            let mut more = String::new();
            for number in 0..count {
                write!(more, "<osci:Content Id=\"x{number}\" href=\"cid:a\"></osci:Content>").unwrap();
            }
            draft.replace_in_body("</osci:ContentContainer>", &format!("{more}</osci:ContentContainer>"));
        });
    }
}

#[test]
fn as_much_header_as_there_may_be() {
    for (subject, custom) in [(1_000_000, 1_000_000), (100_000, 3_900_000), (3_900_000, 100_000), (50_000, 2_000_000)] {
        refused_or_fetched(&Bench::default(), |draft, _| {
            draft.replace("storedelivery", "Anmeldung", &"s".repeat(subject));
            let text = format!("<m:Meta xmlns:m=\"urn:m\" Id=\"meta\">{}</m:Meta>", "m".repeat(custom));
            draft.blocks.push(DraftBlock::new("meta", text));
        });
    }
}

#[test]
fn many_certificates() {
    let key = PrivateKey::generate_ec(Curve::P256).unwrap();
    let validity = Validity::new(datetime!(2025-01-01 0:00 UTC), datetime!(2035-01-01 0:00 UTC));
    let named = |name: &str| {
        let template = Template::signature(Name::new().common_name(name), validity);
        self_signed(&template, &key, &SystemRandom).unwrap().der().to_vec()
    };
    let with_authors = |bench: &Bench, certificates: Vec<Vec<u8>>| {
        let mut alice = Client::alice().in_clear().unsigned();
        let id = bench.fresh_id();
        let mut delivery = Delivery::to("bob-cipher", &id);
        delivery.certificates.extend(certificates.into_iter().zip(0..).map(|(der, number)| {
            CertificateEntry::new(CertificateRole::OtherAuthor, CertificateUse::Signature, number, der)
        }));
        let draft = alice.store(delivery);
        let answer = bench.handle(alice.encode(&draft));
        let card = bench.store.card(&id).unwrap();
        let report = card.map(|card| InspectionReport::from_stored(card.inspections).inspections().unwrap().len());
        (answer.codes, report)
    };
    let bench = Bench::default();
    let one = named("author");
    // Two of alice and bob, and the one of all the authors.
    assert_eq!(with_authors(&bench, vec![one; 500]), (vec![800, 3707], Some(3)));
    let different: Vec<_> = (0..300).map(|number| named(&format!("author {number}"))).collect();
    assert_eq!(with_authors(&bench, different), (vec![800, 3707], Some(302)));
    assert!(fetch(&bench).is_some());
    // Names that become many times longer on the card.
    let long: Vec<_> = (0..300).map(|number| named(&format!("{number}{}", "&".repeat(4000)))).collect();
    assert_eq!(with_authors(&bench, long), (vec![9811, 3707], None));
}
