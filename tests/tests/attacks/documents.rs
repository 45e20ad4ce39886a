//! Messages that are small to make and large to read.

use std::fmt::Write as _;

use super::arena::{Arena, MIB};
use crate::harness::{Client, Draft, DraftAttachment, Seal, key, mime, rsa_signer};

/// What one message may cost in memory, whatever it is: a message is read in pieces, and its header has 200,000 nodes at most.
const MEMORY: u64 = 96 * MIB;
/// Processor time in honest orders with as much content.
const HONEST_ORDERS: u32 = 10;

struct Attack {
    name: &'static str,
    message: Vec<u8>,
    code: u16,
}

fn draft() -> Draft {
    Client::alice().in_clear().get_message_id()
}

/// Something in the place of the order's content, in a message that is not signed.
fn inside(name: &'static str, text: &str) -> Attack {
    let draft = draft();
    let envelope = draft.envelope(None).replace("<osci:getMessageId>", &format!("<osci:getMessageId>{text}"));
    Attack { name, message: draft.mime(&envelope), code: 9100 }
}

/// A signed message whose signature block is changed after signing.
fn signed(
    name: &'static str,
    code: u16,
    edit: impl FnOnce(String) -> String,
    attachments: Vec<DraftAttachment>,
) -> Attack {
    let mut draft = draft();
    draft.attachments = attachments;
    let signature = edit(draft.signature().sign(&rsa_signer("alice-signature")));
    Attack { name, message: draft.mime(&draft.envelope(Some(&signature))), code }
}

fn numbered(count: u32, one: impl Fn(&mut String, u32)) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        one(&mut text, number);
        text
    })
}

fn attacks() -> Vec<Attack> {
    let draft = draft();
    let mut parts = draft.mime(&draft.envelope(None));
    parts.truncate(parts.len() - b"--BND--\r\n".len());
    let many = numbered(1_000_000, |text, n| write!(text, "--BND\r\nContent-ID: <a{n}>\r\n\r\nx\r\n").unwrap());
    parts.extend_from_slice(many.as_bytes());
    parts.extend_from_slice(b"--BND--\r\n");
    let attributes = numbered(100_000, |text, n| write!(text, " a{n}=\"\"").unwrap());
    let declarations = numbered(100_000, |text, n| write!(text, " xmlns:a{n}=\"urn:{n}\"").unwrap());
    let ids = numbered(100_000, |text, n| write!(text, "<a Id=\"i{n}\"/>").unwrap());
    let depth = "<a>".repeat(1_000_000);
    let nested_declarations = numbered(200, |text, n| write!(text, "<a xmlns:a{n}=\"urn:{n}\">").unwrap());
    let references = numbered(100_000, |text, n| {
        write!(text, "<ds:Reference URI=\"#r{n}\"><ds:DigestValue>AA==</ds:DigestValue></ds:Reference>").unwrap();
    });
    let same = "<ds:Reference URI=\"cid:big\"><ds:Transforms></ds:Transforms></ds:Reference>".repeat(5000);
    let transforms =
        "<ds:Transform Algorithm=\"http://www.w3.org/TR/2001/REC-xml-c14n-20010315\"></ds:Transform>".repeat(50_000);
    let big = vec![DraftAttachment::base64("big", "application/octet-stream", &vec![b'x'; 16 << 20])];
    let before_end = |xml: String, text: &str| xml.replacen("</ds:SignedInfo>", &format!("{text}</ds:SignedInfo>"), 1);
    let in_transforms = |xml: String, text: &str| xml.replacen("<ds:Transforms>", &format!("<ds:Transforms>{text}"), 1);
    vec![
        Attack { name: "10^6 attachments", message: parts, code: 9100 },
        inside("10^5 attributes", &format!("<a{attributes}/>")),
        inside("10^5 namespaces", &format!("<a{declarations}/>")),
        inside("10^5 Ids", &ids),
        inside("10^6 elements within each other", &depth),
        inside("200 elements within each other, each with a namespace", &nested_declarations),
        inside("32 MiB of one name", &format!("<{}/>", "a".repeat(32 << 20))),
        inside("32 MiB of one comment", &format!("<!--{}-->", "a".repeat(32 << 20))),
        inside("32 MiB of references to characters", &"&#x41;".repeat((32 << 20) / 6)),
        inside("32 MiB of empty elements", &"<a/>".repeat((32 << 20) / 4)),
        inside("an entity in an entity in an entity", "&lol9;"),
        signed("10^5 references of a signature", 9100, |xml| before_end(xml, &references), Vec::new()),
        signed("5000 references to 16 MiB in base64", 9100, |xml| before_end(xml, &same), big),
        signed("50000 transforms of one reference", 9100, |xml| in_transforms(xml, &transforms), Vec::new()),
        signed(
            "32 MiB of base64 as value of a signature",
            9100,
            |xml| xml.replacen("<ds:SignatureValue>", &format!("<ds:SignatureValue>{}", "AAAA".repeat(8 << 20)), 1),
            Vec::new(),
        ),
        base64_in_the_key(),
        base64_in_base64(),
    ]
}

/// A key for us of 32 MiB.
fn base64_in_the_key() -> Attack {
    let mut seal = Seal::new(b"x", key("intermediary-2048-cipher"));
    seal.wrapped = vec![7; 24 << 20];
    Attack { name: "32 MiB of base64 as session key", message: seal.write(), code: 9100 }
}

/// Base64 shrinks what it carries, so there is nothing to gain by putting one into the other: an attachment is decoded once.
fn base64_in_base64() -> Attack {
    let mut text = vec![b'x'; 4 << 20];
    for _ in 0..7 {
        text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &text).into_bytes();
    }
    let part = DraftAttachment {
        name: "a".to_owned(),
        headers: "Content-Transfer-Encoding: base64\r\n".to_owned(),
        decoded: Vec::new(),
        bytes: text,
    };
    // The order has no room for attachments.
    let message = mime(draft().envelope(None).as_bytes(), &[part]);
    Attack { name: "base64 in base64 in base64", message, code: 0 }
}

#[test]
fn messages_that_are_large_to_read() {
    let arena = Arena::start(&["limits.message_bytes=1000000000"]);
    let (small, large) = (arena.honest_cost(1000), arena.honest_content_cost(8 * MIB));
    let mut failures = Vec::new();
    for Attack { name, message, code } in attacks() {
        let mut codes = Vec::new();
        let cost = arena.cost(|| {
            let (status, body) = arena.post(&message);
            codes.push((status, told(&body)));
        });
        eprintln!("{:58} {cost}  {codes:?}", format!("{name} ({} KiB)", message.len() / 1024));
        if code != 0 && codes[0].1 != Some(code) {
            failures.push(format!("{name}: {codes:?}, not {code}"));
        }
        let share = message.len() as f64 / (8 * MIB) as f64;
        let bound = HONEST_ORDERS * (small.processor + large.processor.mul_f64(share));
        if cost.memory > MEMORY || cost.processor > bound {
            failures.push(format!("{name}: {cost}, bound {:.2} s", bound.as_secs_f64()));
        }
        arena.honest_order(1, 1000);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The code that a fault tells.
fn told(body: &[u8]) -> Option<u16> {
    let text = String::from_utf8_lossy(body);
    let (_, code) = text.split_once("<osci:Code>")?;
    code.get(..4)?.parse().ok()
}
