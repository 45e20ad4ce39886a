//! Orders that are changed within their signature and within their encryption.
//!
//! The bytes are instructions for changing a proper order at every stage of its making: before it is signed (the signature then
//! covers the change), in what the signature says, after signing, in the frame, and in the encryption. The known keys of the test
//! PKI sign and encrypt whatever came of it, so the fuzzer gets behind the walls that random bytes never pass.

use std::cell::RefCell;
use std::io::Read as _;

use rohrpost_intermediary::{Outcome, SignatureDemand};
use rohrpost_osci::encrypted::EncryptedMessage;
use rohrpost_osci::message::Response;
use rohrpost_osci::mime::{Limits as MimeLimits, Multipart};
use rohrpost_osci::ns::{OSCI, SOAP, envelope_context};
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_pipeline::verify::SignatureState;
use rohrpost_store::Stats;
use rohrpost_xmlsec::c14n::Dialect;
use rohrpost_xmlsec::tree::Element;
use rohrpost_xmlsec::{Limits as XmlLimits, NsContext};

use super::script::{Edit, Script};
use crate::harness::{
    Answer, Bench, Client, Delivery, Draft, DraftAttachment, Seal, Setup, content, der, key, key_ring, rsa_signer,
};

const INTERMEDIARY: &str = "intermediary-2048-cipher";
/// Orders until a store is thrown away.
const ORDERS_PER_STORE: u32 = 1000;
/// Changes to one order at most.
const EDITS: usize = 8;

/// Bytes as changes to a signed and encrypted order.
pub fn signed_order(data: &[u8]) {
    with_bench(|bench| {
        let mut script = Script::new(data);
        let attempt = Attempt::new(&mut script, bench);
        let before = bench.stats();
        let answer = bench.handle(attempt.sent.clone());
        let after = bench.stats();
        answer_is_well_formed(&answer);
        changes_are_those_that_were_told(&answer, before, after);
        if answer.outcome == Outcome::Executed {
            attempt.was_covered();
        }
    });
}

/// An intermediary that executes only what is signed.
fn with_bench(run: impl FnOnce(&Bench)) {
    thread_local! {
        static BENCH: RefCell<Option<(Bench, u32)>> = const { RefCell::new(None) };
    }
    // Taken out while it is used: after a panic a new one is made.
    let (bench, used) = BENCH.take().filter(|(_, used)| *used < ORDERS_PER_STORE).unwrap_or_else(|| (start(), 0));
    run(&bench);
    BENCH.set(Some((bench, used + 1)));
}

fn start() -> Bench {
    let mut setup = Setup::with(|settings| settings.signatures = SignatureDemand::All);
    setup.keys = key_ring(key(INTERMEDIARY), Some(key("intermediary-2048-signature")));
    setup.start()
}

/// One order on its way through the changes.
struct Attempt {
    /// What was signed, if anything was.
    signed: Option<Draft>,
    /// Whether the signature says what the draft does.
    signature_is_honest: bool,
    /// The message that is signed, and perhaps encrypted.
    plain: Vec<u8>,
    sent: Vec<u8>,
}

/// Where a change happens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Block,
    Body,
    Attachment,
    Blocks,
    Signature,
    Envelope,
    Message,
    Encryption,
    Sent,
}

const STAGES: [Stage; 9] = [
    Stage::Block,
    Stage::Body,
    Stage::Attachment,
    Stage::Blocks,
    Stage::Signature,
    Stage::Envelope,
    Stage::Message,
    Stage::Encryption,
    Stage::Sent,
];

struct Change {
    stage: Stage,
    part: usize,
    edit: Edit,
}

impl Attempt {
    fn new(script: &mut Script<'_>, bench: &Bench) -> Self {
        let (kind, flags) = (script.below(7), script.byte());
        let (is_signed, is_sealed) = (flags & 1 == 0, flags & 2 == 0);
        let mut draft = order(kind, is_sealed, bench);
        let mut changes = Vec::new();
        while !script.is_over() && changes.len() < EDITS {
            changes.push(Change {
                stage: STAGES[script.below(STAGES.len())],
                part: script.below(256),
                edit: script.edit(),
            });
        }
        let at = |stage: Stage| changes.iter().filter(move |change| change.stage == stage);

        at(Stage::Block).for_each(|change| {
            let count = draft.blocks.len();
            change.edit.apply_to_text(&mut draft.blocks[change.part % count].text);
        });
        at(Stage::Body).for_each(|change| change.edit.apply_to_text(&mut draft.body));
        at(Stage::Attachment).for_each(|change| edit_attachment(&mut draft, change));
        at(Stage::Blocks).for_each(|change| rearrange(&mut draft, change));
        let signature = is_signed.then(|| {
            let mut signature = draft.signature();
            at(Stage::Signature).for_each(|change| {
                let count = signature.references.len();
                let reference = &mut signature.references[(change.part / 8) % count];
                let text = match change.part % 8 {
                    0 => &mut reference.uri,
                    1 => &mut reference.digest,
                    2 => &mut reference.algorithm,
                    3 => reference.transforms.first_mut().unwrap_or(&mut signature.canonicalization),
                    4 => &mut signature.key_info,
                    5 => &mut signature.objects,
                    6 if count > 1 => return drop(signature.references.remove((change.part / 8) % count)),
                    _ => &mut signature.canonicalization,
                };
                change.edit.apply_to_text(text);
            });
            signature.sign(&rsa_signer("alice-signature"))
        });
        let mut envelope = draft.envelope(signature.as_deref());
        at(Stage::Envelope).for_each(|change| change.edit.apply_to_text(&mut envelope));
        let mut plain = draft.mime(&envelope);
        at(Stage::Message).for_each(|change| change.edit.apply(&mut plain));
        let mut sent = plain.clone();
        if is_sealed {
            let mut seal = Seal::new(&plain, key(INTERMEDIARY));
            at(Stage::Encryption).for_each(|change| edit_seal(&mut seal, change));
            sent = seal.write();
        }
        at(Stage::Sent).for_each(|change| change.edit.apply(&mut sent));
        if !is_sealed {
            plain.clone_from(&sent);
        }
        let signature_is_honest = at(Stage::Signature).next().is_none();
        Self { signed: is_signed.then_some(draft), signature_is_honest, plain, sent }
    }

    /// Every block, the body and every attachment of an executed order was signed as it was read, and nothing is missing.
    fn was_covered(&self) {
        let draft = self.signed.as_ref().expect("nothing unsigned is executed here");
        let multipart = Multipart::scan(&self.plain, &MimeLimits::default()).expect("it was read");
        let mut root = Vec::new();
        multipart.root().reader(self.plain.as_slice()).read_to_end(&mut root).expect("it is in memory");
        let envelope = Element::parse_document(root.as_slice(), &generous()).expect("it was read");
        let header = envelope.child(SOAP, "Header").expect("it was read");
        let blocks = header.children().filter(|block| !block.is(OSCI, "ClientSignature"));
        let mut executed: Vec<String> = blocks.map(canonical).collect();
        executed.push(canonical(envelope.child(SOAP, "Body").expect("it was read")));
        let texts = draft.blocks.iter().map(|block| &block.text).chain([&draft.body]);
        let mut signed: Vec<String> = texts.filter_map(|text| canonical_in_draft(text)).collect();
        let mut parts: Vec<(String, Vec<u8>)> = Vec::new();
        for part in multipart.attachments() {
            let mut bytes = Vec::new();
            part.reader(self.plain.as_slice()).read_to_end(&mut bytes).expect("it was read");
            parts.push((part.content_id.clone(), bytes));
        }
        let of_draft = |part: &DraftAttachment| (part.name.clone(), part.decoded.clone());
        let mut signed_parts: Vec<(String, Vec<u8>)> = draft.attachments.iter().map(of_draft).collect();
        if self.signature_is_honest {
            executed.sort_unstable();
            signed.sort_unstable();
            assert_eq!(executed, signed, "what was executed is what was signed");
            parts.sort_unstable();
            signed_parts.sort_unstable();
            assert_eq!(parts, signed_parts, "the attachments are those that were signed");
        } else {
            executed.iter().for_each(|text| assert!(signed.contains(text), "executed, but not signed: {text}"));
            parts.iter().for_each(|part| assert!(signed_parts.contains(part), "stored, but not signed: {}", part.0));
        }
    }
}

fn order(kind: usize, is_sealed: bool, bench: &Bench) -> Draft {
    let mut alice = Client::alice();
    alice.sealed = is_sealed;
    alice.intermediary = INTERMEDIARY;
    let delivery = || {
        let mut delivery = Delivery::to("bob-cipher", &bench.fresh_id());
        delivery.content = content(b"Inhalt", &[("plan.pdf", b"%PDF-1.7 Lageplan")]);
        delivery
    };
    match kind {
        0 => alice.store(delivery()),
        1 => alice.init(),
        2 => alice.get_message_id(),
        3 => alice.open(bench).fetch(DeliverySelection::Oldest),
        4 => alice.open(bench).cards(Default::default()),
        5 => alice.open(bench).exit(),
        _ => alice.open(bench).store(delivery()),
    }
}

fn edit_attachment(draft: &mut Draft, change: &Change) {
    let count = draft.attachments.len();
    if count == 0 {
        return draft.attachments.push(DraftAttachment::raw("plan.pdf", "text/plain", b"text"));
    }
    let attachment = &mut draft.attachments[(change.part / 8) % count];
    match change.part % 8 {
        0 => change.edit.apply_to_text(&mut attachment.name),
        1 => change.edit.apply_to_text(&mut attachment.headers),
        2 => change.edit.apply(&mut attachment.bytes),
        3 => change.edit.apply(&mut attachment.decoded),
        4 => drop(draft.attachments.pop()),
        5 => *attachment = DraftAttachment::base64("plan.pdf", "text/plain", b"%PDF-1.7 Lageplan"),
        _ => {
            let mut other = attachment.clone();
            change.edit.apply_to_text(&mut other.name);
            draft.attachments.push(other);
        }
    }
}

fn rearrange(draft: &mut Draft, change: &Change) {
    let count = draft.blocks.len();
    let at = (change.part / 4) % count;
    match change.part % 4 {
        0 if count > 1 => drop(draft.blocks.remove(at)),
        1 => draft.blocks.push(draft.blocks[at].clone()),
        2 => draft.blocks.swap(0, at),
        _ => change.edit.apply_to_text(&mut draft.blocks[at].id),
    }
}

fn edit_seal(seal: &mut Seal, change: &Change) {
    let text = match change.part % 12 {
        0 => return change.edit.apply(&mut seal.ciphertext),
        1 => return change.edit.apply(&mut seal.wrapped),
        2 => &mut seal.iv_length,
        3 => &mut seal.cipher,
        4 => &mut seal.transport,
        5 => &mut seal.transport_parameters,
        6 => &mut seal.recipient,
        7 => &mut seal.cipher_data,
        8 => &mut seal.after_data,
        9 => &mut seal.part_headers,
        10 => &mut seal.part_name,
        _ => &mut seal.keys_before,
    };
    change.edit.apply_to_text(text);
}

/// There is an answer, it is a fault or a response that verifies, and it says what the intermediary says.
fn answer_is_well_formed(answer: &Answer) {
    if answer.fault().is_some() {
        return;
    }
    let multipart = Multipart::scan(&answer.bytes, &MimeLimits::default()).expect("answers are messages");
    if let Ok(sealed) = EncryptedMessage::parse(&answer.bytes, &multipart)
        && sealed.recipient() != der("alice-cipher")
    {
        return;
    }
    let verified = answer.opened(key("alice-cipher"));
    assert!(!matches!(verified.signature(), SignatureState::Refused(_)), "answers are signed well or not at all");
    let response = Response::parse(verified.read().envelope()).expect("answers are responses");
    let codes = response.feedback().entries().iter().map(|entry| entry.code.known().map_or(0, |code| code.number()));
    assert!(codes.eq(answer.codes.iter().copied()), "the log says something else than the answer");
}

/// The store holds what the answer says, and nothing more.
fn changes_are_those_that_were_told(answer: &Answer, before: Stats, after: Stats) {
    let is_store = answer.order == "StoreDelivery";
    let expected = match answer.outcome {
        Outcome::Executed if is_store => (1, 1),
        Outcome::Refused if is_store => (0, 1),
        _ => (0, 0),
    };
    let left = (after.waiting - before.waiting, after.log_size - before.log_size);
    assert_eq!(left, expected, "{:?} {} {:?}", answer.outcome, answer.order, answer.codes);
}

fn canonical(element: &Element) -> String {
    element.to_canonical(&NsContext::empty(), Dialect::Textbook)
}

/// The canonical form that the signature of the draft covers; `None` for what is no XML.
fn canonical_in_draft(text: &str) -> Option<String> {
    Some(canonical(&Element::parse(text.as_bytes(), &generous(), &envelope_context()).ok()?))
}

fn generous() -> XmlLimits {
    let mut limits = XmlLimits::default();
    limits.token_len *= 16;
    limits.namespaces *= 2;
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(script: &[u8]) -> (&'static str, Outcome) {
        let bench = start();
        let answer = bench.handle(Attempt::new(&mut Script::new(script), &bench).sent);
        (answer.order, answer.outcome)
    }

    #[test]
    fn without_changes_every_order_gets_through() {
        let orders = ["StoreDelivery", "InitDialog", "GetMessageId", "FetchDelivery", "FetchProcessCard", "ExitDialog"];
        for (kind, order) in (0_u8..).zip(orders) {
            for flags in [0, 2] {
                let (found, outcome) = outcome(&[kind, flags]);
                // The mailbox is empty, and nothing is handed out in clear.
                let finds_nothing = order.starts_with("Fetch");
                assert_eq!((found, outcome == Outcome::Executed), (order, !finds_nothing), "{flags} {outcome:?}");
            }
        }
        assert_eq!(outcome(&[0, 1]), ("StoreDelivery", Outcome::Refused), "unsigned");
    }

    #[test]
    fn changes_happen_where_they_should() {
        let outcomes = |stage: u8, change: &[u8]| -> Vec<Outcome> {
            let places = (1..=255).step_by(10).map(|at| [&[0, 2, stage, 0, at, 1], change].concat());
            places.map(|script| outcome(&script).1).collect()
        };
        // Between tags a comment changes nothing, whether it was there when the message was signed or not.
        let comment = [0, 24];
        assert!(outcomes(1, &comment).contains(&Outcome::Executed), "a comment in the signed body");
        assert!(outcomes(5, &comment).contains(&Outcome::Executed), "a comment behind the signature");
        let blank = [0, 1, b' '];
        assert!(outcomes(1, &blank).contains(&Outcome::Executed), "a blank that was signed");
        let text = [0, 1, b'x'];
        assert!(outcomes(1, &text).contains(&Outcome::Executed), "text that was signed");
        assert!(outcomes(5, &text).contains(&Outcome::Refused), "text behind the signature");
    }
}
