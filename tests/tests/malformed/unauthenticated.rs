//! Messages under a cipher that authenticates nothing (CBC). Until the signature inside holds, everything that is wrong with
//! them is answered like a failure to decrypt, by the byte: who changes what he intercepted must not learn how far it came.

use aes::Aes256;
use aes::cipher::{Array, BlockCipherEncrypt as _, KeyInit as _};
use rohrpost_crypto::{BlockCipher, KeyTransport, OaepHash, Random as _, SessionKey, SystemRandom, wrap_key};
use rohrpost_intermediary::Outcome;
use rohrpost_osci::feedback::{Code, Language};
use rohrpost_osci::ns::MessageType;

use super::stage::{Case, Expected, Order, cut, fault, outcome, refused, replace};
use crate::harness::{Bench, Client, Delivery, DraftBlock, Seal, key};

const BLOCK: usize = 16;

/// Encrypts in CBC mode, which the product itself only reads.
fn encrypt(message: &[u8]) -> Seal {
    let cipher = BlockCipher::Aes256Cbc;
    let session_key = SessionKey::random(cipher.key_len(), &SystemRandom);
    let recipient = key("intermediary-cipher");
    let transport = KeyTransport::RsaOaep { digest: OaepHash::Sha256, mgf: OaepHash::Sha256 };
    let mut seal = Seal::new(b"", recipient);
    seal.cipher = cipher.uri().to_owned();
    seal.iv_length.clear();
    seal.wrapped = wrap_key(recipient.key.public_key(), transport, &session_key).unwrap();
    seal.ciphertext = cbc(session_key.expose(), message);
    seal
}

fn cbc(key: &[u8], message: &[u8]) -> Vec<u8> {
    let aes = Aes256::new_from_slice(key).unwrap();
    let padding = BLOCK - message.len() % BLOCK;
    let padded = [message, &vec![u8::try_from(padding).unwrap(); padding]].concat();
    let mut last = [0; BLOCK];
    SystemRandom.fill(&mut last);
    let mut out = last.to_vec();
    for block in padded.chunks_exact(BLOCK) {
        last.iter_mut().zip(block).for_each(|(last, octet)| *last ^= octet);
        let mut block = Array::from(last);
        aes.encrypt_block(&mut block);
        last = block.into();
        out.extend_from_slice(&last);
    }
    out
}

/// The answer to what really cannot be decrypted: another key than the one that is wrapped.
fn undecryptable(bench: &Bench) -> Vec<u8> {
    let mut seal = encrypt(b"anything");
    seal.ciphertext = cbc(&[7; 32], b"something else");
    let answer = bench.handle(seal.write());
    assert_eq!(answer.fault(), Some(9202));
    answer.bytes
}

/// Signed requests in order but for one thing.
fn refusals() -> Vec<Case> {
    use Order::{ExitDialog, FetchDelivery, FetchProcessCard, GetMessageId, InitDialog, StoreDelivery, StoreInDialog};
    let case = |name: &str, order, code| Case::new(name, order, fault(code)).sealed();
    let control = |name: &str, order, code, edit: fn(&mut String)| {
        case(name, order, code).draft(move |draft| edit(&mut draft.block("controlblock").text))
    };
    let unsigned = |name: &str, code: u16, from: &'static str, to: &'static str| {
        Case::new(name, GetMessageId, refused(&[code])).sealed().replace(from, to)
    };
    let other_response: fn(&mut String) = |text| replace(text, "<osci:Response>", "<osci:Response>x");
    vec![
        // What it is.
        case("another order's name", GetMessageId, 9100)
            .draft(|draft| draft.schema_location = draft.schema_location.replace("soapGetMessageId", "soapSendMoney")),
        case("a delivery for somebody passive", StoreDelivery, 9300).draft(|draft| {
            draft.schema_location = MessageType::AcceptDelivery.schema_location();
            let block = draft.block("storedelivery");
            block.text = block.text.replace("storeDelivery", "acceptDelivery");
        }),
        case("XML that is none", GetMessageId, 9100).envelope(|xml| replace(xml, "</soap:Header>", "</soap:Heade>")),
        case("an element that is no order", GetMessageId, 9100).draft(|draft| {
            draft.replace_in_body("<osci:getMessageId></osci:getMessageId>", "<osci:getMoney></osci:getMoney>");
        }),
        case("a boundary that is lost", GetMessageId, 9100).swap("--BND--", "--BND__"),
        case("a header that is ours", StoreDelivery, 9100).draft(|draft| {
            let text = r#"<x:x xmlns:x="urn:x" Id="intermediarycertificates"></x:x>"#;
            draft.blocks.push(DraftBlock::new("intermediarycertificates", text));
        }),
        case("no certificate of the client", InitDialog, 9500).draft(|draft| {
            draft.blocks.retain(|block| block.id != "nonintermediarycertificates");
        }),
        // Its place in a dialog.
        control("a number that is none", GetMessageId, 9100, |text| replace(text, "Number=\"0\"", "Number=\"+0\"")),
        control("a wrong number", GetMessageId, 9400, |text| replace(text, "Number=\"0\"", "Number=\"1\"")),
        control("a conversation nobody knows", GetMessageId, 9400, |text| {
            replace(text, " Id=", " ConversationId=\"4711\" Id=");
        }),
        control("a dialog opened with a number", InitDialog, 9400, |text| {
            replace(text, " Id=", " SequenceNumber=\"0\" Id=");
        }),
        control("another response: fetch", FetchDelivery, 9400, other_response),
        control("another response: cards", FetchProcessCard, 9400, other_response),
        control("another response: store", StoreInDialog, 9400, other_response),
        control("another response: exit", ExitDialog, 9400, other_response),
        control("a number too far", FetchDelivery, 9400, |text| replace(text, "Number=\"0\"", "Number=\"2\"")),
        control("no challenge", FetchDelivery, 9400, |text| {
            cut(text, "<osci:Challenge>", "</osci:Challenge>");
        }),
        // Its signature.
        unsigned("a header changed after signing", 9601, "LanguagesList=\"de\"", "LanguagesList=\"en\""),
        unsigned("a body changed after signing", 9601, "<osci:getMessageId>", "<osci:getMessageId xmlns:a=\"urn:a\">"),
        Case::new("a part that is not covered", GetMessageId, refused(&[9602])).sealed().signature(|signature, _| {
            signature.references.retain(|reference| reference.uri != "#body");
        }),
        Case::new("a signature of somebody else", GetMessageId, refused(&[9601])).sealed().signer("mallory-signature"),
    ]
}

#[test]
fn until_a_signature_holds_every_refusal_looks_like_a_failure_to_decrypt() {
    let bench = Bench::default();
    let lost = undecryptable(&bench);
    for case in refusals() {
        let unchanged = bench.handle(encrypt(&case.framed(&case.base(&bench), false)).write());
        assert!(
            unchanged.outcome == Outcome::Executed || matches!(unchanged.codes[..], [9803 | 9804]),
            "{}: unchanged it ends in {:?}",
            case.name(),
            unchanged.codes
        );
        let before = bench.stats();
        let answer = bench.handle(encrypt(&case.framed(&case.base(&bench), true)).write());
        assert_eq!((answer.outcome, &answer.codes[..]), (Outcome::Fault, &[9202][..]), "{}", case.name());
        assert!(answer.bytes == lost, "{}", case.name());
        let after = bench.stats();
        assert_eq!((after.waiting, after.log_size), (before.waiting, before.log_size), "{}", case.name());
        // It is the veil that makes them the same: where the cipher authenticates, the cause is told.
        let told = bench.handle(case.build(&case.base(&bench), true));
        assert_eq!(outcome(&told), *case.expected(), "{}", case.name());
    }
}

/// The language of a fault comes from the message, and would tell that it was read.
#[test]
fn the_language_does_not_tell_that_it_was_read() {
    let bench = Bench::default();
    let mut alice = Client::alice();
    alice.languages = "en";
    let case = Case::new("a wrong number", Order::GetMessageId, fault(9400))
        .draft(|draft| draft.replace("controlblock", "Number=\"0\"", "Number=\"1\""));
    let draft = alice.get_message_id();
    let gcm = Seal::new(&case.framed(&draft, true), key("intermediary-cipher"));
    let told = String::from_utf8(bench.handle(gcm.write()).bytes).unwrap();
    assert!(told.contains(Code::DialogViolated.text(Language::English)), "{told}");
    assert!(bench.handle(encrypt(&case.framed(&draft, true)).write()).bytes == undecryptable(&bench));
}

/// The last answer again is an answer, too: it is given to what is signed as the request was.
#[test]
fn a_retransmission_has_to_hold_as_well() {
    let bench = Bench::default();
    let lost = undecryptable(&bench);
    let mut alice = Client::alice().open(&bench);
    let draft = alice.store(Delivery::to("bob-cipher", &bench.fresh_id()));
    let case = Case::new("another body", Order::StoreInDialog, fault(9202))
        .envelope(|xml| replace(xml, "</soap:Body>", "<!-- --></soap:Body>"))
        .replace("LanguagesList=\"de\"", "LanguagesList=\"en\"");
    let request = encrypt(&case.framed(&draft, false)).write();
    let first = bench.handle(request.clone());
    assert_eq!(first.codes, [801]);
    assert!(bench.handle(encrypt(&case.framed(&draft, true)).write()).bytes == lost);
    assert!(bench.handle(request).bytes == first.bytes, "the last answer is still there");
    assert_eq!(bench.stats().waiting, 1);
}

/// Whatever may stand behind the message without harm is room for blocks of it, to learn from the padding what is in them.
#[test]
fn nothing_stands_behind_the_message() {
    let bench = Bench::default();
    let lost = undecryptable(&bench);
    let case = Case::new("", Order::GetMessageId, Expected::Executed(vec![800]));
    let message = case.framed(&case.base(&bench), false);
    let seal = encrypt(&message);
    assert_eq!(bench.handle(seal.write()).codes, [800]);
    let behind = |epilogue: &[u8]| bench.handle(encrypt(&[&message[..], epilogue].concat()).write());
    for epilogue in [&b"x"[..], b"\0", b"\r\n", &[0xF3; 64]] {
        assert!(behind(epilogue).bytes == lost, "{epilogue:?}");
    }
    // The attack: a block of the message behind it, and every last octet of the block before that.
    let (target, mut executed) = (seal.ciphertext[BLOCK * 4..BLOCK * 5].to_vec(), 0);
    for guess in 0..=255 {
        let mut attack = seal.clone();
        attack.ciphertext.extend_from_slice(&[guess; BLOCK]);
        attack.ciphertext.extend_from_slice(&target);
        let answer = bench.handle(attack.write());
        executed += usize::from(answer.bytes != lost);
    }
    assert_eq!(executed, 0, "the padding of a block can be told");
}
