//! Signed notes (C2SP signed-note) with Ed25519 keys.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rohrpost_crypto::ed25519::{SigningKey, VerifyingKey};
use thiserror::Error;

/// First byte of an encoded key or key id input: Ed25519 over the note text.
const ED25519: u8 = 0x01;
const SIGNATURE_START: &str = "\u{2014} ";
/// Bound on notes we read: a few lines of text and at most some witnesses.
const MAX_NOTE: usize = 64 * 1024;

/// Why a note is not believed, or a key not understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoteError {
    /// The bytes do not have the form of a signed note.
    #[error("not a signed note: {0}")]
    Malformed(&'static str),
    /// No signature line names the expected key.
    #[error("the note is not signed by {0}")]
    UnknownSigner(String),
    /// A signature line names the expected key but the signature is wrong: the text was changed.
    #[error("the signature of {0} does not match the text")]
    SignatureInvalid(String),
    /// A name is empty or contains white space or `+`.
    #[error("`{0}` cannot be the name of a key: it must be non-empty, without white space and `+`")]
    BadName(String),
    /// The text of a verifier key has errors.
    #[error("not a verifier key (name+hash+key): {0}")]
    BadKey(&'static str),
}

/// The key that signs the checkpoints of one log, with the log's name.
pub struct LogSigner {
    verifier: LogVerifier,
    key: SigningKey,
}

impl LogSigner {
    /// Names a key. The name is also the log's origin: a URL without scheme such as `intermediary.example/log`.
    ///
    /// # Errors
    /// If the name is not allowed in notes.
    pub fn new(name: &str, key: SigningKey) -> Result<Self, NoteError> {
        let verifier = LogVerifier::new(name, key.verifying_key())?;
        Ok(Self { verifier, key })
    }

    /// The public half, to be given to auditors.
    pub fn verifier(&self) -> &LogVerifier {
        &self.verifier
    }

    /// Signs a text, which must end in a line feed.
    pub(crate) fn sign(&self, text: &str) -> String {
        let mut signature = self.verifier.id.to_vec();
        signature.extend_from_slice(&self.key.sign(text.as_bytes()));
        format!("{text}\n{SIGNATURE_START}{} {}\n", self.verifier.name, STANDARD.encode(signature))
    }
}

impl fmt::Debug for LogSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogSigner({})", self.verifier)
    }
}

/// The public key of a log with the log's name. `Display` and [`LogVerifier::from_text`] use the usual text form
/// `name+hash+key` that other tools for transparency logs read as well.
///
/// ```
/// use rohrpost_audit::LogVerifier;
///
/// let text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
/// let verifier = LogVerifier::from_text(text)?;
/// assert_eq!(verifier.name(), "sum.golang.org");
/// assert_eq!(verifier.to_string(), text);
/// # Ok::<(), rohrpost_audit::NoteError>(())
/// ```
#[derive(Clone)]
pub struct LogVerifier {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

impl LogVerifier {
    /// Names a key.
    ///
    /// # Errors
    /// If the name is not allowed in notes.
    pub fn new(name: &str, key: VerifyingKey) -> Result<Self, NoteError> {
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if name.is_empty() || name.contains(forbidden) {
            return Err(NoteError::BadName(name.to_owned()));
        }
        Ok(Self { id: key_id(name, key.as_bytes()), name: name.to_owned(), key })
    }

    /// Reads the form `name+hash+key`.
    ///
    /// # Errors
    /// If the form or the hash is wrong or the key is no Ed25519 key.
    pub fn from_text(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::BadKey("three parts joined by + are needed"));
        };
        let encoded = STANDARD.decode(key).map_err(|_| NoteError::BadKey("the third part is not base64"))?;
        let [ED25519, raw @ ..] = encoded.as_slice() else {
            return Err(NoteError::BadKey("only Ed25519 keys are supported"));
        };
        let raw = raw.try_into().map_err(|_| NoteError::BadKey("an Ed25519 key has 32 bytes"))?;
        let verifier = Self::new(name, VerifyingKey::from_bytes(raw))?;
        if id.len() != 8 || u32::from_str_radix(id, 16) != Ok(u32::from_be_bytes(verifier.id)) {
            return Err(NoteError::BadKey("the hash does not belong to this name and key"));
        }
        Ok(verifier)
    }

    /// The name of the log.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks a note and returns its text. Signatures of others (witnesses) are skipped.
    pub(crate) fn open<'a>(&self, note: &'a [u8]) -> Result<&'a str, NoteError> {
        let (text, signatures) = split(note)?;
        let mut verified = false;
        for line in signatures.lines() {
            let (name, id, signature) = signature_line(line)?;
            if name != self.name || id != self.id {
                continue;
            }
            self.key.verify(text.as_bytes(), &signature).map_err(|_| NoteError::SignatureInvalid(self.name.clone()))?;
            verified = true;
        }
        if verified { Ok(text) } else { Err(NoteError::UnknownSigner(self.to_string())) }
    }
}

impl fmt::Display for LogVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut encoded = vec![ED25519];
        encoded.extend_from_slice(self.key.as_bytes());
        let id = u32::from_be_bytes(self.id);
        write!(f, "{}+{id:08x}+{}", self.name, STANDARD.encode(encoded))
    }
}

impl fmt::Debug for LogVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogVerifier({self})")
    }
}

/// Splits a note at its last empty line into text and signature lines, without checking signatures.
pub(crate) fn split(note: &[u8]) -> Result<(&str, &str), NoteError> {
    if note.len() > MAX_NOTE {
        return Err(NoteError::Malformed("longer than 64 KiB"));
    }
    let note = str::from_utf8(note).map_err(|_| NoteError::Malformed("not UTF-8"))?;
    if note.chars().any(|c| c < ' ' && c != '\n') {
        return Err(NoteError::Malformed("contains control characters"));
    }
    let split = note.rfind("\n\n").ok_or(NoteError::Malformed("there is no empty line"))?;
    let (text, signatures) = (&note[..=split], &note[split + 2..]);
    if signatures.is_empty() || !signatures.ends_with('\n') {
        return Err(NoteError::Malformed("the signature lines are incomplete"));
    }
    Ok((text, signatures))
}

fn signature_line(line: &str) -> Result<(&str, [u8; 4], Vec<u8>), NoteError> {
    let malformed = NoteError::Malformed("a signature line is not `— name base64`");
    let Some((name, encoded)) = line.strip_prefix(SIGNATURE_START).and_then(|rest| rest.split_once(' ')) else {
        return Err(malformed);
    };
    let decoded = STANDARD.decode(encoded).map_err(|_| malformed.clone())?;
    let (id, signature) = decoded.split_first_chunk::<4>().ok_or(malformed)?;
    Ok((name, *id, signature.to_vec()))
}

/// `SHA-256(name || LF || type || key)[:4]`
fn key_id(name: &str, key: &[u8; 32]) -> [u8; 4] {
    let mut input = name.as_bytes().to_vec();
    input.extend_from_slice(&[b'\n', ED25519]);
    input.extend_from_slice(key);
    let hash = rohrpost_crypto::sha256(&input);
    [hash[0], hash[1], hash[2], hash[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key and note from the documentation of the Go package golang.org/x/mod/sumdb/note, made by that package.
    const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn a_note_made_by_go_is_believed() {
        let verifier = LogVerifier::from_text(GO_KEY).unwrap();
        assert_eq!(verifier.to_string(), GO_KEY);
        let text = verifier.open(GO_NOTE.as_bytes()).unwrap();
        assert!(text.ends_with("your problem is.\n"));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let verifier = LogVerifier::from_text(GO_KEY).unwrap();
        for position in 0..GO_NOTE.len() {
            for bit in 0..8 {
                let mut note = GO_NOTE.as_bytes().to_vec();
                note[position] ^= 1 << bit;
                assert!(verifier.open(&note).is_err(), "byte {position} bit {bit}");
            }
        }
    }

    #[test]
    fn malformed_notes_and_keys_are_refused() {
        let verifier = LogVerifier::from_text(GO_KEY).unwrap();
        let long = "x\n".repeat(40_000);
        for bad in
            ["", "\n", "text\n", "text\n\n", "text\n\nno dash\n", "text\n\n— name\n", "a\tb\n\n— n AAAA\n", &long]
        {
            assert!(matches!(verifier.open(bad.as_bytes()), Err(NoteError::Malformed(_))), "{bad:.20}");
        }
        assert_eq!(
            verifier.open("text\n\n— other AAAAAAAA\n".as_bytes()),
            Err(NoteError::UnknownSigner(GO_KEY.into()))
        );
        for bad in [
            "",
            "name",
            "name+00000000",
            "name+00000000+!!",
            "name+00000000+AAAA",
            &GO_KEY.replace("c74f", "c74e"),
            &GO_KEY.replace("Peter", "Paul"),
            &GO_KEY.replace("+c74f20a3", "+0c74f20a3"),
        ] {
            assert!(LogVerifier::from_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn witnesses_may_sign_too() {
        let verifier = LogVerifier::from_text(GO_KEY).unwrap();
        let cosigned = format!("{GO_NOTE}— witness.example AAAAAAAA\n");
        assert!(verifier.open(cosigned.as_bytes()).is_ok());
        let forged = format!("{GO_NOTE}— PeterNeumann {}\n", STANDARD.encode([0xC7, 0x4F, 0x20, 0xA3, 0]));
        assert!(matches!(verifier.open(forged.as_bytes()), Err(NoteError::SignatureInvalid(_))));
    }
}
