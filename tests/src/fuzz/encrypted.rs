//! The outer message around an encrypted one.

use rohrpost_crypto::SessionKey;
use rohrpost_osci::encrypted::{EncryptedError, EncryptedMessage};
use rohrpost_osci::fault::Fault;
use rohrpost_osci::mime::{Limits, Multipart};

/// Bytes as the body of an HTTP request or answer: an encrypted message, a fault, or neither.
pub fn encrypted(data: &[u8]) {
    let Ok(multipart) = Multipart::scan(&data, &Limits::default()) else { return };
    let fault = Fault::parse(&data, &multipart);
    let message = match EncryptedMessage::parse(&data, &multipart) {
        Ok(message) => message,
        Err(EncryptedError::NotEncrypted) => return,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert!(!matches!(fault, Ok(Some(_))), "a message is a fault or encrypted, not both");
    assert!(message.ciphertext().range.end <= data.len() as u64);
    // Whatever the ciphertext is: a key that nobody used opens nothing where there is a tag.
    let cipher = message.encryption().cipher;
    let key = SessionKey::from_bytes(&vec![0x5A; cipher.key_len()]);
    let mut plain = Vec::new();
    let opened = message.open(&data, &key, &mut plain);
    assert!(opened.is_err() || !cipher.is_authenticated(), "opened with a wrong key");
}
