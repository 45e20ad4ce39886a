//! What was accepted can be fetched, however odd it is: a delivery that its addressee cannot get, or cannot read, would block its
//! mailbox for ever.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rohrpost_osci::selection::DeliverySelection;

use crate::harness::{Bench, Client, Delivered, Delivery, Draft, DraftAttachment, DraftBlock, NOW};

/// A delivery that nobody in his right mind would send.
#[derive(Debug, Clone)]
struct Odd {
    subject: Option<String>,
    /// Namespaces declared on the envelope, the body and the package: how many, and how long their names are.
    declarations: [(usize, usize); 3],
    /// Custom blocks: declarations, attributes, depth.
    custom: Vec<(usize, usize, usize)>,
    attachments: Vec<OddAttachment>,
    content_id: String,
    sealed: bool,
}

#[derive(Debug, Clone)]
struct OddAttachment {
    name: String,
    content_type: String,
    headers: Vec<(String, String)>,
    base64: bool,
    bytes: Vec<u8>,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[ -~]{0,20}",
        1 => "[ -~äöü€\u{1F4EE}\u{A0}\u{FEFF}]{0,20}",
        1 => "[\\t \u{7F}\u{85}\u{2028}\u{1}\r\n\0]{1,4}",
        1 => Just("x".repeat(3000)),
    ]
}

/// An attachment that is odd in one respect.
fn attachment() -> impl Strategy<Value = OddAttachment> {
    let plain = OddAttachment {
        name: "plan.pdf".to_owned(),
        content_type: "application/pdf".to_owned(),
        headers: Vec::new(),
        base64: false,
        bytes: b"Lageplan".to_vec(),
    };
    let (names, types, headers, bytes) = (plain.clone(), plain.clone(), plain.clone(), plain);
    prop_oneof![
        name().prop_map(move |name| OddAttachment { name, ..names.clone() }),
        (content_type(), any::<bool>()).prop_map(move |(content_type, base64)| OddAttachment {
            content_type,
            base64,
            bytes: b"SGFsbG8=".to_vec(),
            ..types.clone()
        }),
        prop::collection::vec((header(), text()), 1..3)
            .prop_map(move |headers_of| OddAttachment { headers: headers_of, ..headers.clone() }),
        (content(), any::<bool>()).prop_map(move |(content, base64)| OddAttachment {
            bytes: content,
            base64,
            ..bytes.clone()
        }),
    ]
}

fn name() -> impl Strategy<Value = String> {
    let odd = [
        "osci@message",
        "osci_enc",
        "<a>",
        "a>b",
        " a",
        "a ",
        "\"a\"",
        "a;b",
        "cid:a",
        "a%20b",
        "../../etc/passwd",
        "a,b",
        "=?utf-8?Q?a?=",
        ">",
        "<",
        "#body",
    ];
    prop_oneof![text(), prop::sample::select(odd.to_vec()).prop_map(str::to_owned)]
}

fn content_type() -> impl Strategy<Value = String> {
    let odd = [
        "text/base64",
        "TEXT/BASE64",
        "text/base64; a=b",
        "text/xml",
        "multipart/mixed; boundary=BND",
        "message/rfc822",
        "a",
        "/",
        "text/plain;",
        "text/plain; charset=\"utf-8",
        "text/plain; charset=\"a\\\"b\"",
        "application/x-\"y\"",
        "text/plain (x)",
    ];
    prop_oneof![text(), prop::sample::select(odd.to_vec()).prop_map(str::to_owned)]
}

fn header() -> impl Strategy<Value = String> {
    let known =
        ["Content-Description", "Content-Disposition", "content-length", "MIME-Version", "Content-Location", "X-Fach"];
    prop_oneof![prop::sample::select(known.to_vec()).prop_map(str::to_owned), "[A-Za-z!#$%&'*+.^_`|~-]{1,12}"]
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        Just(b"\r\n--BN".to_vec()),
        Just(b"SGFsbG8=".to_vec()),
        Just(vec![b'-'; 70_000]),
    ]
}

/// One respect in which a delivery is odd.
#[derive(Debug, Clone)]
enum Oddity {
    Subject(String),
    Declarations(usize, (usize, usize)),
    Custom((usize, usize, usize)),
    Attachment(OddAttachment),
    ContentId(String),
}

fn oddity() -> impl Strategy<Value = Oddity> {
    let many = || prop_oneof![0..3usize, 50..66usize];
    prop_oneof![
        text().prop_map(Oddity::Subject),
        (0..3usize, many(), prop_oneof![1..40usize, 500..2000usize])
            .prop_map(|(place, count, length)| Oddity::Declarations(place, (count, length))),
        (many(), many(), prop_oneof![1..4usize, 90..101usize]).prop_map(Oddity::Custom),
        attachment().prop_map(Oddity::Attachment),
        attachment().prop_map(Oddity::Attachment),
        "[A-Za-zäöü._0-9 -]{1,10}".prop_map(Oddity::ContentId),
    ]
}

/// A delivery that is odd in one or two respects.
fn odd() -> impl Strategy<Value = Odd> {
    (prop::collection::vec(oddity(), 1..3), any::<bool>()).prop_map(|(oddities, sealed)| {
        let mut odd = Odd {
            subject: None,
            declarations: [(0, 0); 3],
            custom: Vec::new(),
            attachments: Vec::new(),
            content_id: "data".to_owned(),
            sealed,
        };
        for oddity in oddities {
            match oddity {
                Oddity::Subject(subject) => odd.subject = Some(subject),
                Oddity::Declarations(place, declarations) => odd.declarations[place] = declarations,
                Oddity::Custom(custom) => odd.custom.push(custom),
                Oddity::Attachment(attachment) => odd.attachments.push(attachment),
                Oddity::ContentId(id) => odd.content_id = id,
            }
        }
        odd
    })
}

fn declared(prefix: &str, (count, length): (usize, usize)) -> String {
    (0..count)
        .map(|n| format!(" xmlns:{prefix}{n}=\"urn:{prefix}{n}&quot;&amp;&lt;>{}\"", "x".repeat(length)))
        .collect()
}

impl Odd {
    /// The request, not signed: a draft's signature would not know the declarations.
    fn request(&self, bench: &Bench) -> Vec<u8> {
        let mut alice = Client::alice().unsigned();
        alice.sealed = self.sealed;
        let mut delivery = Delivery::to("bob-cipher", &bench.fresh_id());
        delivery.subject = None;
        let mut draft: Draft = alice.store(delivery);
        if let Some(subject) = &self.subject {
            let subject =
                subject.replace('&', "&amp;").replace('\r', "&#xD;").replace('<', "&lt;").replace('>', "&gt;");
            draft.replace(
                "storedelivery",
                "</osci:MessageId>",
                &format!("</osci:MessageId><osci:Subject>{subject}</osci:Subject>"),
            );
        }
        for (at, (declarations, attributes, depth)) in self.custom.iter().enumerate() {
            let attributes: String = (0..*attributes).map(|n| format!(" a{n}=\"&#xA;&gt;{n}\"")).collect();
            let (open, close) = ("<c:d>".repeat(depth - 1), "</c:d>".repeat(depth - 1));
            let declarations = declared("c", (*declarations, 20));
            let text =
                format!("<c:b xmlns:c=\"urn:c\"{declarations} Id=\"custom{at}\"{attributes}>{open}{close}</c:b>");
            draft.blocks.push(DraftBlock::new(format!("custom{at}"), text));
        }
        for odd in &self.attachments {
            let mut part = match odd.base64 {
                true => DraftAttachment::base64(&odd.name, &odd.content_type, &odd.bytes),
                false => DraftAttachment::raw(&odd.name, &odd.content_type, &odd.bytes),
            };
            odd.headers.iter().for_each(|(name, value)| part.headers += &format!("{name}: {value}\r\n"));
            draft.attachments.push(part);
        }
        draft.replace_in_body("Id=\"data\"", &format!("Id=\"{}\"", self.content_id));
        let [envelope, body, package] = self.declarations;
        draft.replace_in_body("<soap:Body", &format!("<soap:Body{}", declared("b", body)));
        draft.replace_in_body("<osci:ContentPackage", &format!("<osci:ContentPackage{}", declared("p", package)));
        let text = draft.envelope(None);
        let text = text.replacen("<soap:Envelope", &format!("<soap:Envelope{}", declared("e", envelope)), 1);
        let message = draft.mime(&text);
        if self.sealed {
            crate::harness::Seal::new(&message, crate::harness::key("intermediary-cipher")).write()
        } else {
            message
        }
    }
}

/// Attachments as a receiver reads them in what was sent.
fn sent_attachments(message: &[u8]) -> Vec<(String, Vec<u8>)> {
    use rohrpost_osci::mime::{Limits, Multipart};
    use std::io::Read as _;
    let multipart = Multipart::scan(&message, &Limits::default()).unwrap();
    let parts = multipart.attachments().iter().map(|part| {
        let mut bytes = Vec::new();
        part.reader(message).read_to_end(&mut bytes).unwrap();
        (part.content_id.clone(), bytes)
    });
    parts.collect()
}

/// Stores the delivery; if it was accepted, Bob fetches it, reads it, and acknowledges it.
fn accepted_and_read(bench: &Bench, odd: &Odd) -> Result<bool, TestCaseError> {
    let request = odd.request(bench);
    let answer = bench.handle(request.clone());
    if answer.codes != [800] {
        prop_assert_eq!(&answer.codes[..], &[9100], "in order or malformed, nothing else");
        return Ok(false);
    }
    let mut bob = Client::bob().open(bench);
    let draft = bob.fetch(DeliverySelection::Oldest);
    let answer = bench.handle(bob.encode(&draft));
    prop_assert_eq!(&answer.codes[..], &[801]);
    let delivered = Delivered::read(&bob.read(&answer)).unwrap();
    prop_assert_eq!(delivered.subject.as_deref(), odd.subject.as_deref());
    prop_assert_eq!(&delivered.data[0].1[..], b"Inhalt");
    prop_assert_eq!(delivered.custom.len(), odd.custom.len());
    if !odd.sealed {
        let received = delivered.attachments.into_iter().map(|(name, _, bytes)| (name, bytes));
        prop_assert_eq!(received.collect::<Vec<_>>(), sent_attachments(&request));
    }
    let draft = bob.cards(Default::default());
    prop_assert_eq!(bob.codes_at(bench, &draft, NOW)[0], 801);
    let draft = bob.exit();
    prop_assert_eq!(bob.codes_at(bench, &draft, NOW), [800]);
    Ok(true)
}

#[test]
fn whatever_was_accepted_can_be_fetched_and_read() {
    let bench = Bench::default();
    let config = Config { cases: 300, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    let accepted = std::cell::Cell::new(0);
    TestRunner::new(config)
        .run(&odd(), |odd| {
            accepted.set(accepted.get() + u32::from(accepted_and_read(&bench, &odd)?));
            Ok(())
        })
        .unwrap();
    assert!(accepted.get() > 100, "{} of 300 accepted", accepted.get());
}

#[test]
fn so_it_is_at_the_bounds_of_reading() {
    let bench = Bench::default();
    let plain = Odd {
        subject: None,
        declarations: [(0, 0); 3],
        custom: Vec::new(),
        attachments: Vec::new(),
        content_id: "data".to_owned(),
        sealed: false,
    };
    let mut outcomes = Vec::new();
    for count in 52..=66 {
        for place in 0..3 {
            let mut odd = plain.clone();
            odd.declarations[place] = (count, 10);
            outcomes.push(accepted_and_read(&bench, &odd).unwrap());
        }
        for custom in [(count, 1, 1), (1, count, 1), (1, 1, count + 35)] {
            let odd = Odd { custom: vec![custom], ..plain.clone() };
            outcomes.push(accepted_and_read(&bench, &odd).unwrap());
        }
    }
    for length in (28_000..34_000).step_by(1000) {
        let odd = Odd { declarations: [(1, length), (0, 0), (1, length)], ..plain.clone() };
        outcomes.push(accepted_and_read(&bench, &odd).unwrap());
    }
    assert!(outcomes.contains(&true) && outcomes.contains(&false));
}
