//! Changes nobody thought of: whatever is done to a signed message, it is never executed with other content.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rohrpost_intermediary::Outcome;
use rohrpost_osci::compose::OutContent;
use rohrpost_osci::content::Package;
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::mime::Part;
use rohrpost_osci::source::read_range;
use rohrpost_store::{FetchRule, Fingerprint, Store as _, StoredDelivery};
use std::io::Read as _;
use std::sync::Arc;

use crate::harness::{Bench, Client, Delivery, Seal, content, der, key};

/// What counts of a delivery: everything that the signature is to protect.
#[derive(Debug, PartialEq, Eq)]
struct Essence {
    subject: Option<String>,
    originator: Option<Fingerprint>,
    certificates: Option<String>,
    custom: Vec<String>,
    containers: String,
    attachments: Vec<(String, Vec<u8>)>,
}

fn essence(stored: &StoredDelivery) -> Essence {
    let namespaces: Vec<_> = stored.content.namespaces.clone();
    let place = OutContent::kept(Arc::clone(&stored.body), stored.content.range.clone(), &namespaces);
    let package = Package::read(&place, &rohrpost_osci::content::InMemory).unwrap();
    let attachments = stored.attachments.iter().map(|kept| {
        let part = Part::kept(
            kept.content_id.clone(),
            kept.content_type.clone(),
            kept.encoding,
            kept.extra_headers.clone(),
            kept.range.clone(),
        );
        let mut bytes = Vec::new();
        part.reader(&*stored.body).read_to_end(&mut bytes).unwrap();
        (kept.content_id.clone(), bytes)
    });
    Essence {
        subject: stored.card.subject.clone(),
        originator: stored.card.originator,
        certificates: stored.certificates.clone(),
        custom: stored.custom_headers.clone(),
        attachments: attachments.collect(),
        containers: contents(&package),
    }
}

fn contents(package: &Package) -> String {
    use rohrpost_osci::content::Content;
    let all = package.containers.iter().flat_map(|container| {
        container.contents.iter().map(move |content| match content {
            Content::Data(data) => {
                let bytes = read_range(&data.bytes, 0..data.bytes.len()).unwrap();
                format!("{} {} {bytes:?}", container.id, data.id)
            }
            Content::Attachment(reference) => format!("{} {} {}", container.id, reference.id, reference.content_id),
            Content::Container(_) => "container".to_owned(),
        })
    });
    let mut all: Vec<String> = all.collect();
    all.push(package.encrypted.len().to_string());
    all.join("\n")
}

fn stored(bench: &Bench, id: &MessageId) -> Option<Essence> {
    let bob = Fingerprint::of_der(&der("bob-cipher"));
    bench.store.next_delivery(&bob, FetchRule::ById(id)).unwrap().map(|delivery| essence(&delivery))
}

/// A signed delivery under a fresh id.
fn signed(bench: &Bench) -> (MessageId, Vec<u8>) {
    let id = bench.fresh_id();
    let mut delivery = Delivery::to("bob-cipher", &id);
    delivery.content = content(b"Inhalt der Nachricht", &[("plan.pdf", b"%PDF-1.7 Lageplan")]);
    let mut alice = Client::alice().in_clear();
    let draft = alice.store(delivery);
    (id, alice.encode(&draft))
}

/// One change.
#[derive(Debug, Clone)]
enum Change {
    Flip(u8),
    Set(u8),
    Remove(usize),
    Insert(Vec<u8>),
    Repeat(usize),
    Swap(usize),
}

impl Change {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            4 => (0..8u8).prop_map(Self::Flip),
            2 => any::<u8>().prop_map(Self::Set),
            2 => (1..200usize).prop_map(Self::Remove),
            2 => proptest::collection::vec(any::<u8>(), 1..8).prop_map(Self::Insert),
            2 => "[ -~]{1,12}".prop_map(|text| Self::Insert(text.into_bytes())),
            1 => (1..2000usize).prop_map(Self::Repeat),
            1 => (1..2000usize).prop_map(Self::Swap),
        ]
    }

    /// Applied at a place between 0 and 1.
    fn apply(&self, bytes: &mut Vec<u8>, place: f64) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place"
        )]
        let at = ((bytes.len() - 1) as f64 * place) as usize;
        let rest = bytes.len() - at;
        match self {
            Self::Flip(bit) => bytes[at] ^= 1 << bit,
            Self::Set(byte) => bytes[at] = *byte,
            Self::Remove(length) => drop(bytes.drain(at..at + rest.min(*length))),
            Self::Insert(what) => drop(bytes.splice(at..at, what.iter().copied())),
            Self::Repeat(length) => {
                let piece = bytes[at..at + rest.min(*length)].to_vec();
                bytes.splice(at..at, piece);
            }
            Self::Swap(length) => {
                let half = (rest / 2).min(*length);
                let (one, other) = bytes[at..at + 2 * half].split_at_mut(half);
                one.swap_with_slice(other);
            }
        }
    }
}

/// Tries changes until enough were tried; what was executed is what Alice signed.
fn never_other_content(cases: u32, change: impl Strategy<Value = Change>, sealed: bool) {
    let bench = Bench::default();
    let (id, message) = signed(&bench);
    assert_eq!(bench.handle(message).codes, [800]);
    let original = stored(&bench, &id).unwrap();
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let mut executed = 0;
    let tried = (change, 0.0..1.0f64);
    let property = |(change, place): (Change, f64)| {
        let (id, mut message) = signed(&bench);
        if sealed {
            message = Seal::new(&message, key("intermediary-cipher")).write();
        }
        change.apply(&mut message, place);
        let answer = bench.handle(message);
        let kept = stored(&bench, &id);
        match answer.outcome {
            Outcome::Executed => prop_assert_eq!(kept.as_ref(), Some(&original)),
            _ => prop_assert_eq!(kept, None),
        }
        Ok(())
    };
    runner.run(&tried, property).unwrap();
    executed += bench.stats().waiting;
    println!("{executed} of {cases} executed, with the content that was signed");
}

#[test]
fn one_bit_of_a_signed_and_encrypted_message() {
    never_other_content(200, (0..8u8).prop_map(Change::Flip), true);
}

#[test]
fn one_bit_of_a_signed_message() {
    never_other_content(400, (0..8u8).prop_map(Change::Flip), false);
}

#[test]
fn any_change_to_a_signed_message() {
    never_other_content(400, Change::any(), false);
}

#[test]
fn any_octets_get_an_answer() {
    let bench = Bench::default();
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let xmlish = "[<>/&;'\"= a-c:!\\[\\]?-]{0,60}";
    let octets = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..400),
        "[ -~\r\n:;=\"-]{0,400}".prop_map(String::into_bytes),
        xmlish.prop_map(|text| crate::harness::mime(text.as_bytes(), &[])),
    ];
    runner
        .run(&octets, |octets| {
            prop_assert_eq!(bench.handle(octets).fault(), Some(9100));
            Ok(())
        })
        .unwrap();
}
