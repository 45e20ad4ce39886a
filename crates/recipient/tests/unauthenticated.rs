//! Requests under a cipher that authenticates nothing (CBC): until a signature holds, everything that is wrong with them is answered
//! like a failure to decrypt, by the byte.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use aes::Aes256;
use aes::cipher::{Array, BlockCipherEncrypt as _, KeyInit as _};
use rohrpost_crypto::policy::Policy;
use rohrpost_crypto::{BlockCipher, KeyTransport, OaepHash, Random as _, SessionKey, SystemRandom, wrap_key};
use rohrpost_osci::dialog::ControlBlock;
use rohrpost_osci::mime::{Limits, Multipart};
use rohrpost_pipeline::spool::Spool;
use rohrpost_recipient::{Context, Endpoint, Intermediaries, Outcome, Parts, Received, Recipient, Refusal, Settings};
use rohrpost_xmlsec::base64;
use support::{Handover, NOW, certificate, fault, ring, spools};

const BLOCK: usize = 16;

struct Taker;

impl Recipient for Taker {
    fn accept(&self, _: &Received) -> Result<(), Refusal> {
        Ok(())
    }
}

fn answer(request: Vec<u8>, dangerous_unsigned_requests: bool) -> (Outcome, Vec<u8>) {
    let parts = Parts {
        keys: ring("bob"),
        intermediaries: Intermediaries::Listed(vec![certificate("intermediary-signature").fingerprint()]),
        inspector: None,
        policy: Arc::new(Policy::standard()),
        spools: spools(),
        random: Arc::new(SystemRandom),
    };
    let mut settings = Settings::default();
    settings.dangerous_unsigned_requests = dangerous_unsigned_requests;
    let endpoint = Endpoint::new(parts, settings, Arc::new(Taker));
    let context = Context { now: NOW, correlation_id: "c1".to_owned() };
    let handled = endpoint.handle(Spool::from_bytes(request), &context);
    (handled.outcome, support::bytes(&handled.answer))
}

/// Encrypts for Bob in CBC mode, which the product itself only reads; `other_key` is not the one that is wrapped.
fn sealed(message: &[u8], other_key: bool) -> Vec<u8> {
    let cipher = BlockCipher::Aes256Cbc;
    let session_key = SessionKey::random(cipher.key_len(), &SystemRandom);
    let transport = KeyTransport::RsaOaep { digest: OaepHash::Sha256, mgf: OaepHash::Sha256 };
    let wrapped = wrap_key(&certificate("bob-cipher").public_key().unwrap(), transport, &session_key).unwrap();
    let ciphertext = if other_key { cbc(&[7; 32], message) } else { cbc(session_key.expose(), message) };

    let outer = Handover::new("id-1").write();
    let multipart = Multipart::scan(&outer, &Limits::default()).unwrap();
    let root = multipart.root().range.start as usize..multipart.root().range.end as usize;
    let part = &multipart.attachments()[0].range;
    let part = part.start as usize..part.end as usize;
    let mut text = String::from_utf8(outer[root.clone()].to_vec()).unwrap();
    text = text.replacen("http://www.w3.org/2009/xmlenc11#aes256-gcm", cipher.uri(), 1);
    cut(&mut text, "<osci128:IvLength", "</osci128:IvLength>", "");
    let value = format!("<xenc:CipherValue>{}</xenc:CipherValue>", base64::encode(&wrapped));
    cut(&mut text, "<xenc:CipherValue>", "</xenc:CipherValue>", &value);
    [&outer[..root.start], text.as_bytes(), &outer[root.end..part.start], &ciphertext, &outer[part.end..]].concat()
}

fn cut(text: &mut String, from: &str, to: &str, instead: &str) {
    let start = text.find(from).unwrap();
    let end = start + text[start..].find(to).unwrap() + to.len();
    text.replace_range(start..end, instead);
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

#[test]
fn until_a_signature_holds_every_refusal_looks_like_a_failure_to_decrypt() {
    let good = Handover { sealed_for: None, reader: None, ..Handover::new("id-1") };
    let (_, undecryptable) = answer(sealed(&good.write(), true), false);
    assert_eq!(fault(&undecryptable), Some(9202));

    let (outcome, taken) = answer(sealed(&good.write(), false), false);
    assert_eq!((outcome, good.read(&taken).code), (Outcome::Taken, 800), "in order, it is taken");

    let text = String::from_utf8(good.write()).unwrap();
    let control = ControlBlock { response: Some(support::challenge()), ..ControlBlock::default() };
    for (what, message) in [
        ("no message", b"hello".to_vec()),
        ("no XML", text.replace("</soap:Body>", "</soap:Bod>").into_bytes()),
        ("changed", text.replace("move-in notice", "move-out notice").into_bytes()),
        ("unsigned", Handover { signed_by: None, ..good.clone() }.write()),
        ("a wrong control block", Handover { control: Some(control), ..good.clone() }.write()),
        ("no certificate for the answer", Handover { with_cipher: false, ..good.clone() }.write()),
        ("no card", text.replace("osci:ProcessCardBundle", "osci:ProcessCardBund1e").into_bytes()),
        ("another type", text.replace("soapAcceptDelivery.xsd", "soapStoreDelivery.xsd").into_bytes()),
    ] {
        let (outcome, told) = answer(sealed(&message, false), false);
        assert_eq!(outcome, Outcome::Fault, "{what}");
        assert!(told == undecryptable, "{what}: {}", String::from_utf8_lossy(&told));
    }
}

#[test]
fn who_takes_unsigned_requests_takes_them_under_any_cipher() {
    let unsigned = Handover { sealed_for: None, signed_by: None, ..Handover::new("id-1") };
    let (outcome, taken) = answer(sealed(&unsigned.write(), false), true);
    assert_eq!((outcome, unsigned.read(&taken).code), (Outcome::Taken, 800));
}
