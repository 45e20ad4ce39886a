//! Encrypted messages (XML-Enc; OSCI-Transport 1.2, encrypted outer message). Whatever keeps a message from being decrypted is 9202,
//! and nothing about the answer tells what it was.

use rohrpost_crypto::cipher::IvLength;
use rohrpost_crypto::{BlockCipher, KeyTransport, SessionKey, SystemRandom, wrap_key};

use super::stage::{Case, Order, executed, fault, find, run, swap};
use crate::harness::seal::{certificate, cipher_reference, iv_length, oaep};
use crate::harness::{Bench, Client, DraftAttachment, Seal, certs_test, der, key, mime, public_key};

const GET: Order = Order::GetMessageId;
const SHA1: &str = "http://www.w3.org/2000/09/xmldsig#sha1";
const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
const SHA512: &str = "http://www.w3.org/2001/04/xmlenc#sha512";

fn sealed(name: impl Into<String>, code: u16, edit: impl Fn(&mut Seal) + 'static) -> Case {
    Case::new(name, GET, fault(code)).seal(edit)
}

/// What nobody can decrypt.
fn lost(name: impl Into<String>, edit: impl Fn(&mut Seal) + 'static) -> Case {
    sealed(name, 9202, edit)
}

/// Everything that ends in 9202, for the table and for the comparison of answers.
fn undecryptable() -> Vec<Case> {
    let transport = |name: &str, transport: &'static str, parameters: String| {
        lost(name, move |seal| {
            seal.transport = transport.to_owned();
            seal.transport_parameters.clone_from(&parameters);
        })
    };
    let oaep_with = |name: &str, mgf: &str, digest: &str| {
        let parameters = oaep(mgf, digest);
        lost(name, move |seal| seal.transport_parameters.clone_from(&parameters))
    };
    let cipher = |name: &str, uri: &'static str| lost(name, move |seal| seal.cipher = uri.to_owned());
    let octets = |name: &str, edit: fn(&mut Vec<u8>)| lost(name, move |seal| edit(&mut seal.ciphertext));
    let wrapped = |name: &str, edit: fn(&mut Vec<u8>)| lost(name, move |seal| edit(&mut seal.wrapped));
    let iv = |name: &str, length: &'static str| lost(name, move |seal| seal.iv_length = iv_length(length));
    vec![
        octets("the first octet of the IV", |bytes| bytes[0] ^= 1),
        octets("the last octet of the IV", |bytes| bytes[11] ^= 0x80),
        octets("the first octet", |bytes| bytes[12] ^= 1),
        octets("an octet in the middle", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
        }),
        octets("the first octet of the tag", |bytes| {
            let tag = bytes.len() - 16;
            bytes[tag] ^= 1;
        }),
        octets("the last octet of the tag", |bytes| *bytes.last_mut().unwrap() ^= 1),
        octets("no tag", |bytes| bytes.truncate(bytes.len() - 16)),
        octets("half a tag", |bytes| bytes.truncate(bytes.len() - 8)),
        octets("a tag of zeros", |bytes| {
            let tag = bytes.len() - 16;
            bytes[tag..].fill(0);
        }),
        octets("an octet behind the tag", |bytes| bytes.push(0)),
        octets("two blocks exchanged", |bytes| {
            let (one, other) = bytes[12..44].split_at_mut(16);
            one.swap_with_slice(other);
        }),
        octets("nothing", Vec::clear),
        octets("only an IV", |bytes| bytes.truncate(12)),
        octets("less than an IV", |bytes| bytes.truncate(5)),
        octets("an IV and a tag", |bytes| bytes.truncate(28)),
        octets("twice", |bytes| bytes.extend(bytes.clone())),
        wrapped("an octet of the key", |bytes| bytes[200] ^= 1),
        wrapped("the key cut short", |bytes| bytes.truncate(255)),
        wrapped("a key for a shorter modulus", |bytes| bytes.truncate(256)),
        wrapped("an octet behind the key", |bytes| bytes.push(0)),
        wrapped("no key", Vec::clear),
        wrapped("a key of zeros", |bytes| bytes.fill(0)),
        wrapped("a key beyond the modulus", |bytes| bytes.fill(0xFF)),
        lost("a session key of 16 octets for 32", |seal| {
            let short = SessionKey::random(16, &SystemRandom);
            let transport = KeyTransport::OAEP_SHA256;
            seal.wrapped = wrap_key(public_key("intermediary-cipher"), transport, &short).unwrap();
        }),
        lost("another session key", |seal| {
            let other = SessionKey::random(32, &SystemRandom);
            let transport = KeyTransport::OAEP_SHA256;
            seal.wrapped = wrap_key(public_key("intermediary-cipher"), transport, &other).unwrap();
        }),
        lost("a session key wrapped for somebody else", |seal| {
            let other = SessionKey::random(32, &SystemRandom);
            seal.wrapped = wrap_key(public_key("mallory-cipher"), KeyTransport::OAEP_SHA256, &other).unwrap();
        }),
        lost("wrapped by version 1.5, called OAEP", |seal| {
            let other = SessionKey::random(32, &SystemRandom);
            seal.wrapped = wrap_key(public_key("intermediary-cipher"), KeyTransport::Rsa15, &other).unwrap();
        }),
        transport("wrapped by OAEP, called version 1.5", "http://www.w3.org/2001/04/xmlenc#rsa-1_5", String::new()),
        transport("OAEP of XML-Enc 1.0", "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p", String::new()),
        transport("a key transport nobody knows", "urn:x", String::new()),
        transport("a key wrapped by a key", "http://www.w3.org/2001/04/xmlenc#kw-aes256", String::new()),
        transport("no parameters of OAEP", "http://www.w3.org/2009/xmlenc11#rsa-oaep", String::new()),
        transport(
            "no mask generation",
            "http://www.w3.org/2009/xmlenc11#rsa-oaep",
            format!("<ds:DigestMethod Algorithm=\"{SHA256}\"></ds:DigestMethod>"),
        ),
        oaep_with("mask generation with SHA-1", "mgf1sha1", SHA256),
        oaep_with("OAEP with SHA-1", "mgf1sha256", SHA1),
        oaep_with("OAEP with SHA-1 throughout", "mgf1sha1", SHA1),
        oaep_with("mixed OAEP", "mgf1sha512", SHA256),
        oaep_with("mixed OAEP the other way", "mgf1sha256", SHA512),
        oaep_with("OAEP with SHA-512 instead", "mgf1sha512", SHA512),
        oaep_with("mask generation nobody knows", "mgf2", SHA256),
        cipher("called AES-128", "http://www.w3.org/2009/xmlenc11#aes128-gcm"),
        cipher("called AES-192", "http://www.w3.org/2009/xmlenc11#aes192-gcm"),
        cipher("called CBC", "http://www.w3.org/2001/04/xmlenc#aes256-cbc"),
        cipher("called triple DES", "http://www.w3.org/2001/04/xmlenc#tripledes-cbc"),
        cipher("a cipher nobody knows", "urn:x"),
        cipher("no cipher", ""),
        iv("an IV of 16 octets stated", "16"),
        iv("an IV of 8 octets stated", "8"),
        iv("no IV stated", "0"),
        iv("a negative IV stated", "-12"),
        iv("a huge IV stated", "4294967308"),
        iv("an IV in words stated", "twelve"),
        lost("no length of the IV stated", |seal| seal.iv_length.clear()),
        lost("ciphertext in no part", |seal| seal.cipher_data = cipher_reference("cid:somewhere")),
        lost("ciphertext in the root part", |seal| seal.cipher_data = cipher_reference("cid:osci@message")),
        lost("ciphertext in a file", |seal| seal.cipher_data = cipher_reference("file:///dev/zero")),
        lost("ciphertext on another machine", |seal| seal.cipher_data = cipher_reference("http://127.0.0.1:1/")),
        lost("ciphertext within", |seal| {
            seal.cipher_data =
                "<xenc:CipherData><xenc:CipherValue>AAAA</xenc:CipherValue></xenc:CipherData>".to_owned();
        }),
        lost("the part renamed", |seal| seal.part_name = "other".to_owned()),
        lost("raw octets called base64", |seal| {
            seal.part_headers = "Content-Type: text/base64\r\nContent-Transfer-Encoding: 7bit\r\n".to_owned();
        }),
        lost("a recipient by reference", |seal| {
            seal.recipient = "<ds:RetrievalMethod URI=\"#x\"></ds:RetrievalMethod>".to_owned();
        }),
    ]
}

#[test]
pub(super) fn what_nobody_can_decrypt() {
    run(undecryptable());
}

/// Who could tell the causes apart could use the intermediary to decrypt what it intercepted.
#[test]
fn failures_of_decryption_cannot_be_told_apart() {
    let bench = Bench::default();
    let cases = undecryptable();
    let draft = cases[0].base(&bench);
    let answers: Vec<_> = cases.iter().map(|case| bench.handle(case.build(&draft, true))).collect();
    for answer in &answers {
        assert_eq!(answer.bytes, answers[0].bytes);
        assert_eq!((answer.order, &answer.codes[..]), (answers[0].order, &[9202][..]));
    }
    assert!(answers.len() > 50);
}

/// A cipher that authenticates nothing (CBC): padding, MIME, XML, order, dialog and signature must not be told apart either.
#[test]
fn changes_under_a_cipher_without_authentication_cannot_be_told_apart() {
    let bench = Bench::default();
    let message = std::fs::read(certs_test("../tests/vectors/algo-aes256-cbc/request.mime")).unwrap();
    let unchanged = bench.handle(message.clone());
    assert_eq!(unchanged.codes, [9801], "it is in order but for its message id");
    let lost = bench.handle(undecryptable()[0].build(&undecryptable()[0].base(&bench), true));
    let start = find(&message, b"<osci_enc>\r\n\r\n") + 14;
    let end = message.windows(4).rposition(|window| window == b"\r\n--").unwrap();
    assert_eq!((end - start) % 16, 0);
    let positions = (start..end).step_by((end - start) / 200).chain(end - 48..end);
    let (mut lost_ones, mut unnoticed) = (0, 0);
    for at in positions {
        let mut changed = message.clone();
        changed[at] ^= 1;
        let answer = bench.handle(changed);
        if answer.codes == unchanged.codes {
            unnoticed += 1;
        } else {
            assert_eq!(answer.bytes, lost.bytes, "octet {}", at - start);
            lost_ones += 1;
        }
    }
    for cut in 1..=33 {
        let mut shorter = message.clone();
        shorter.drain(end - cut..end);
        assert_eq!(bench.handle(shorter).bytes, lost.bytes, "{cut} octets less");
    }
    // Text that means nothing, such as the name of a MIME header, may change unnoticed.
    assert!(lost_ones > 200 && unnoticed < 10, "{lost_ones} {unnoticed}");
    assert_eq!(bench.stats().waiting, 0);
}

#[test]
pub(super) fn recipients() {
    run(vec![
        sealed("for somebody else", 9200, |seal| *seal = Seal::new(b"x", key("mallory-cipher"))),
        sealed("for our signature certificate", 9200, |seal| {
            seal.recipient = certificate(&der("intermediary-signature"));
        }),
        sealed("for our certificate with one octet changed", 9200, |seal| {
            let mut der = der("intermediary-cipher");
            *der.last_mut().unwrap() ^= 1;
            seal.recipient = certificate(&der);
        }),
        sealed("for no certificate", 9200, |seal| seal.recipient = certificate(b"")),
        sealed("first for somebody else, then for us", 9200, |seal| {
            seal.keys_before = Seal::new(b"x", key("mallory-cipher")).encrypted_key();
        }),
        Case::new("first for us, then for somebody else", GET, executed(&[800])).seal(|seal| {
            seal.keys_after = Seal::new(b"x", key("mallory-cipher")).encrypted_key();
        }),
        sealed("for somebody else, with our key wrapped", 9200, |seal| {
            seal.recipient = certificate(&der("mallory-cipher"));
        }),
    ]);
}

#[test]
pub(super) fn outer_envelope() {
    let many: String = Seal::new(b"x", key("mallory-cipher")).encrypted_key().repeat(200);
    run(vec![
        sealed("a header", 9100, |seal| seal.header = "<soap:Header></soap:Header>".to_owned()),
        sealed("encrypted data twice", 9100, |seal| seal.after_data = "<xenc:EncryptedData></xenc:EncryptedData>".to_owned()),
        sealed("an element behind the data", 9100, |seal| seal.after_data = "<osci:a xmlns:osci=\"urn:a\"></osci:a>".to_owned()),
        sealed("text behind the data", 9100, |seal| seal.after_data = "x".to_owned()),
        sealed("no data of the cipher", 9100, |seal| seal.cipher_data.clear()),
        sealed("data of the cipher twice", 9100, |seal| seal.cipher_data = cipher_reference("cid:osci_enc").repeat(2)),
        sealed("200 keys", 9100, move |seal| seal.keys_after.clone_from(&many)),
        Case::new("an element that was undeclared", GET, fault(9100)).seal(|seal| seal.after_data = "<a:b/>".to_owned()),
        Case::new("a document type outside", GET, fault(9100))
            .sealed()
            .sent(|bytes| swap(bytes, b"<soap:Envelope", b"<!DOCTYPE a><soap:Envelope")),
        Case::new("no body", GET, fault(9100)).sealed().sent(|bytes| {
            let (from, to) = (find(bytes, b"<soap:Body>"), find(bytes, b"</soap:Envelope>"));
            bytes.drain(from..to);
        }),
        Case::new("no key", GET, fault(9100)).sealed().sent(|bytes| {
            let (from, to) = (find(bytes, b"<xenc:EncryptedKey>"), find(bytes, b"</ds:KeyInfo><xenc:CipherData><xenc:CipherReference"));
            bytes.drain(from..to);
        }),
        Case::new("no part with the ciphertext", GET, fault(9202)).sealed().sent(|bytes| {
            let from = find(bytes, b"\r\n--BND\r\nContent-Type: application/octet-stream");
            bytes.splice(from.., *b"\r\n--BND--\r\n");
        }),
        // Only the first part behind the root counts.
        Case::new("another part before the ciphertext", GET, fault(9202)).sealed().sent(|bytes| {
            swap(
                bytes,
                b"--BND\r\nContent-Type: application/octet-stream",
                b"--BND\r\nContent-Type: text/plain\r\nContent-ID: <a>\r\n\r\na\r\n--BND\r\nContent-Type: application/octet-stream",
            );
        }),
        Case::new("the ciphertext called like the root", GET, fault(9100)).seal(|seal| seal.part_name = "osci@message".to_owned()),
    ]);
}

#[test]
fn what_was_encrypted() {
    let plain = |name: &str, code, plain: fn(Vec<u8>) -> Vec<u8>| {
        Case::new(name, GET, fault(code)).sealed().message(move |bytes| *bytes = plain(std::mem::take(bytes)))
    };
    run(vec![
        plain("nothing", 9100, |_| Vec::new()),
        plain("no MIME message", 9100, |_| b"no message".to_vec()),
        plain("an XML document", 9100, |_| {
            b"<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"/>".to_vec()
        }),
        plain("half a message", 9100, |bytes| bytes[..bytes.len() / 2].to_vec()),
        plain("another root", 9100, |_| mime(b"<a/>", &[])),
        plain("encrypted once more", 9300, |bytes| Seal::new(&bytes, key("intermediary-cipher")).write()),
        plain("encrypted once more for somebody else", 9300, |bytes| Seal::new(&bytes, key("mallory-cipher")).write()),
        plain("a message with an attachment called like its root", 9100, |bytes| {
            let mut bytes = bytes;
            let part = DraftAttachment::raw("osci@message", "text/plain", b"x");
            let mut other = mime(b"", &[part]);
            let from = find(&other, b"\r\n--BND\r\nContent-Type: text/plain");
            let at = bytes.len() - b"\r\n--BND--\r\n".len();
            bytes.splice(at.., other.drain(from..));
            bytes
        }),
    ]);
    // In every mode that is offered, what was encrypted properly is read.
    let bench = Bench::default();
    for cipher in [BlockCipher::Aes128Gcm, BlockCipher::Aes192Gcm, BlockCipher::Aes256Gcm] {
        for iv in [IvLength::Twelve, IvLength::Sixteen] {
            let case = Case::new("in clear", GET, executed(&[800]));
            let mut alice = Client::alice();
            let draft = alice.get_message_id();
            let seal = Seal::with(&case.build(&draft, false), key("intermediary-cipher"), cipher, iv);
            let answer = bench.handle(seal.write());
            alice.read(&answer);
            assert_eq!(answer.codes, [800]);
        }
    }
}
