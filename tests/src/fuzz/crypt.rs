//! XML Encryption and the encrypted outer message.

use std::io::{BufReader, Write as _};
use std::sync::LazyLock;

use rohrpost_crypto::{PrivateKey, SessionKey, SoftwareDecryptor, SystemRandom};
use rohrpost_osci::encrypted::{EncryptedMessage, EncryptedWriter, Recipient};
use rohrpost_osci::fault::Fault;
use rohrpost_osci::mime::{Boundary, Encoding, Limits as MimeLimits, Multipart};
use rohrpost_xmlsec::enc::{CipherData, EncryptedData, Limits};
use rohrpost_xmlsec::reader::StrictReader;
use rohrpost_xmlsec::{Limits as XmlLimits, NsContext};

use super::blocks::{element, scope};
use super::certificates::test_key;

/// Bytes as an `xenc:EncryptedData`.
pub fn encrypted_data(data: &[u8]) {
    let Some(element) = element(data) else { return };
    let limits = Limits::default();
    let parsed = EncryptedData::parse(&element, &limits);
    let mut streamed = Vec::new();
    let mut reader = StrictReader::fragment(BufReader::with_capacity(11, data), &XmlLimits::default(), &scope());
    reader.next().expect("it was read before");
    let read = EncryptedData::read_streaming(&mut reader, &limits, &mut streamed);
    let Ok(parsed) = parsed else {
        assert!(read.is_err(), "streaming accepts no more than the tree");
        return;
    };
    let read = read.expect("streaming accepts the same");
    match (&parsed.data, &read.data) {
        (CipherData::Value(value), CipherData::Streamed(length)) => {
            assert_eq!((value, value.len() as u64), (&streamed, *length));
        }
        (CipherData::Reference(one), CipherData::Reference(other)) => assert!(one == other && streamed.is_empty()),
        (one, other) => panic!("{one:?} and {other:?}"),
    }
    assert_eq!(parsed.keys.is_empty(), parsed.plain_key.is_some(), "a key for somebody, or one in the clear");
    assert!(parsed.plain_key.as_ref().is_none_or(|key| key.len() == parsed.cipher.key_len()));
    written_again(&parsed);
}

fn written_again(data: &EncryptedData) {
    let text = data.to_xml(&NsContext::empty());
    let element = element(text.as_bytes()).expect("what we write is XML");
    let again = EncryptedData::parse(&element, &Limits::default()).expect("and encrypted data");
    assert_eq!(again.to_xml(&NsContext::empty()), text);
    assert_eq!((&again.id, &again.mime_type, &again.data), (&data.id, &data.mime_type, &data.data));
    assert_eq!((again.cipher, again.iv, again.keys.len()), (data.cipher, data.iv, data.keys.len()));
    for (again, key) in again.keys.iter().zip(&data.keys) {
        assert_eq!((again.transport, &again.recipient, &again.wrapped), (key.transport, &key.recipient, &key.wrapped));
    }
    if let CipherData::Value(value) = &data.data {
        let mut writer = data.write_value(&NsContext::empty(), Vec::new()).expect("a Vec takes everything");
        value.chunks(7).for_each(|piece| writer.write_all(piece).expect("a Vec takes everything"));
        assert_eq!(writer.finish().expect("a Vec takes everything"), text.as_bytes(), "streaming writes the same");
    }
}

/// Bytes as a message that may be encrypted for the intermediary of the test PKI.
pub fn encrypted_message(data: &[u8]) {
    static KEY: LazyLock<(PrivateKey, SoftwareDecryptor)> = LazyLock::new(|| {
        let key = test_key("intermediary-cipher");
        let decryptor = key.decryptor().expect("an RSA key");
        (key, decryptor)
    });
    let Ok(multipart) = Multipart::scan(&data, &MimeLimits::default()) else { return };
    let Ok(message) = EncryptedMessage::parse(&data, &multipart) else { return };
    assert!(!matches!(Fault::parse(&data, &multipart), Ok(Some(_))), "a message is a fault or encrypted, not both");
    let part = message.ciphertext();
    assert_eq!(multipart.attachments().first(), Some(part), "the ciphertext is the first part behind the envelope");
    let encryption = message.encryption();
    let (key, decryptor) = &*KEY;

    // Any key of the right length: CBC lets a wrong one through now and then, GCM never.
    let wrong = SessionKey::from_bytes(&vec![0; encryption.cipher.key_len()]);
    let opened = message.open(&data, &wrong, Vec::new());
    assert!(opened.is_err() || !encryption.cipher.is_authenticated(), "nothing opens with a wrong key");

    if let Ok(session_key) = message.unwrap_key(decryptor) {
        assert_eq!(session_key.len(), encryption.cipher.key_len());
        let mut inner = Vec::new();
        if let Ok(length) = message.open(&data, &session_key, &mut inner) {
            assert_eq!(length, inner.len() as u64);
            // Nobody but the senders of the seeds knows a tag.
            let is_message = Multipart::scan(&inner, &MimeLimits::default()).is_ok();
            assert!(is_message || !encryption.cipher.is_authenticated(), "a forged message opens");
        }
    }
    sealed_again(&message, key, decryptor, &data[..data.len().min(300)]);
}

/// A message sealed with the algorithms that were read opens again.
fn sealed_again(message: &EncryptedMessage, key: &PrivateKey, decryptor: &SoftwareDecryptor, inner: &[u8]) {
    let recipient = Recipient { certificate: message.recipient(), public_key: key.public_key() };
    let boundary = Boundary::from_random([7; 24]);
    let carrier = message.ciphertext().encoding;
    let random = SystemRandom;
    let writer = EncryptedWriter::new(Vec::new(), &boundary, &message.encryption(), carrier, &recipient, &random);
    let Ok(mut writer) = writer else { return }; // a cipher that is only read, or hashes that no key can serve
    writer.write_all(inner).expect("a Vec takes everything");
    let sealed = writer.finish().expect("a Vec takes everything");
    let multipart = Multipart::scan(&sealed, &MimeLimits::default()).expect("what we write can be read");
    let again = EncryptedMessage::parse(&sealed, &multipart).expect("and is an encrypted message");
    assert_eq!((again.recipient(), again.encryption()), (message.recipient(), message.encryption()));
    assert!(carrier == Encoding::Raw || again.ciphertext().encoding == Encoding::Base64);
    let session_key = again.unwrap_key(decryptor).expect("the key is for us");
    let mut opened = Vec::new();
    again.open(&sealed, &session_key, &mut opened).expect("it opens");
    assert_eq!(opened, inner);
}
