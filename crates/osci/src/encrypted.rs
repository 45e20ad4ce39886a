//! The encrypted outer message (`soapMessageEncrypted`): an envelope with the session key, and a second MIME part whose
//! plaintext is the complete inner message.
//!
//! ```
//! use rohrpost_crypto::{PrivateKey, SystemRandom};
//! use rohrpost_osci::algorithms::Encryption;
//! use rohrpost_osci::encrypted::{EncryptedMessage, EncryptedWriter, Recipient};
//! use rohrpost_osci::mime::{Boundary, Encoding, Limits, Multipart};
//! use std::io::Write as _;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = PrivateKey::generate_rsa(2048)?;
//! let recipient = Recipient { certificate: b"its DER", public_key: key.public_key() };
//! let boundary = Boundary::generate(&SystemRandom);
//! let mut sealed = EncryptedWriter::new(
//!     Vec::new(), &boundary, &Encryption::STANDARD, Encoding::Raw, &recipient, &SystemRandom)?;
//! sealed.write_all(b"the inner message")?;
//! let bytes = sealed.finish()?;
//!
//! let message = EncryptedMessage::parse(&bytes, &Multipart::scan(&bytes, &Limits::default())?)?;
//! assert_eq!(message.recipient(), b"its DER");
//! let session_key = message.unwrap_key(&key.decryptor()?)?;
//! let mut opened = Vec::new();
//! message.open(&bytes, &session_key, &mut opened)?;
//! assert_eq!(opened, b"the inner message");
//! # Ok(()) }
//! ```

use std::io::{self, Write};
use std::sync::LazyLock;

use rohrpost_crypto::cipher::{self, OpenError, Sealer};
use rohrpost_crypto::{DecryptionFailed, Decryptor, KeyError, PublicKey, Random, SessionKey, wrap_key};
use rohrpost_xmlsec::base64::Base64Malformed;
use rohrpost_xmlsec::enc::{self, CipherData, EncryptedData, EncryptedKey, EncryptionMalformed};
use rohrpost_xmlsec::{NsContext, XmlError};
use thiserror::Error;

use crate::algorithms::Encryption;
use crate::feedback::Code;
use crate::mime::{Boundary, Encoding, Multipart, OpenPart, Part, Writer};
use crate::ns::{DS, MessageType, SOAP, XENC, XSI};
use crate::outer::{envelope, only_element_in_body, schema_location};
use crate::source::ReadAt;
use crate::xml::XmlWriter;

/// Why a message cannot be taken for an encrypted one that can be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncryptedError {
    /// It is some other message; nothing is wrong with it so far.
    #[error("the message is not an encrypted one")]
    NotEncrypted,
    /// The source could not be read; not the sender's fault.
    #[error("the message could not be read")]
    Io(#[source] io::Error),
    /// Its XML is unacceptable.
    #[error("the envelope of the encrypted message is not acceptable XML")]
    Xml(#[source] XmlError),
    /// There is a header, or not exactly one `EncryptedData`, or that has not the parts it must have.
    #[error("the envelope of the encrypted message is not built as it must be")]
    Structure(#[source] Option<EncryptionMalformed>),
    /// Nobody could decrypt it: an algorithm is not known, the ciphertext is not where the envelope says, or the key
    /// is not encrypted for a certificate.
    #[error("the encrypted message cannot be decrypted by anybody")]
    Undecryptable(#[source] Option<EncryptionMalformed>),
}

impl EncryptedError {
    /// What the peer is told, if the message was meant to be encrypted.
    pub const fn code(&self) -> Code {
        match self {
            Self::Io(_) => Code::InternalError,
            Self::NotEncrypted | Self::Xml(_) | Self::Structure(_) => Code::NotAMessage,
            Self::Undecryptable(_) => Code::Undecryptable,
        }
    }
}

/// An encrypted message, not opened yet.
#[derive(Debug, Clone)]
pub struct EncryptedMessage {
    encryption: Encryption,
    recipient: Vec<u8>,
    wrapped: Vec<u8>,
    part: Part,
}

impl EncryptedMessage {
    /// Reads the envelope of a message scanned from `source`. A message of another type is recognised by its first
    /// tag and costs no more than that.
    ///
    /// # Errors
    /// See [`EncryptedError`].
    pub fn parse(source: &dyn ReadAt, multipart: &Multipart) -> Result<Self, EncryptedError> {
        let wanted = MessageType::MessageEncrypted.schema_location();
        let envelope = envelope(source, multipart, |tag| schema_location(tag) == Some(&wanted))?;
        let envelope = envelope.ok_or(EncryptedError::NotEncrypted)?;
        let element = only_element_in_body(&envelope).ok_or(EncryptedError::Structure(None))?;
        let data = EncryptedData::parse(element, &enc::Limits::default())?;
        // Only the first key counts: that is how every peer reads it.
        let key = data.keys.into_iter().next().ok_or(EncryptedError::Structure(None))?;
        let enc::Recipient::Certificate(recipient) = key.recipient else {
            return Err(EncryptedError::Undecryptable(None));
        };
        let part = multipart.attachments().first().filter(|part| is_at(&data.data, part));
        Ok(Self {
            encryption: Encryption { cipher: data.cipher, iv: data.iv, transport: key.transport },
            recipient,
            wrapped: key.wrapped,
            part: part.ok_or(EncryptedError::Undecryptable(None))?.clone(),
        })
    }

    /// The certificate (DER) whose key the session key is encrypted with.
    pub fn recipient(&self) -> &[u8] {
        &self.recipient
    }

    /// The algorithms used.
    pub fn encryption(&self) -> Encryption {
        self.encryption
    }

    /// The part with the ciphertext.
    pub fn ciphertext(&self) -> &Part {
        &self.part
    }

    /// Decrypts the session key.
    ///
    /// # Errors
    /// The one failure that decryption has. For some key transports a wrong key fails in [`open`](Self::open) only.
    pub fn unwrap_key(&self, decryptor: &dyn Decryptor) -> Result<SessionKey, DecryptionFailed> {
        let Encryption { cipher, transport, .. } = self.encryption;
        decryptor.unwrap_key(transport, &self.wrapped, cipher.key_len())
    }

    /// Decrypts the inner message into `sink` and returns its length. `source` must be the one parsed.
    ///
    /// Until this returns `Ok`, nothing that `sink` got may be used.
    ///
    /// # Errors
    /// `Io` if the source or the sink fails, otherwise the one failure that decryption has.
    pub fn open<W: Write>(&self, source: &dyn ReadAt, key: &SessionKey, sink: W) -> Result<u64, OpenError> {
        let Encryption { cipher, iv, .. } = self.encryption;
        match cipher::open(cipher, iv, key, self.part.reader(source), sink) {
            Err(OpenError::Io(error)) if is_malformed_base64(&error) => Err(OpenError::Failed(DecryptionFailed)),
            result => result,
        }
    }
}

/// For whom a message is encrypted.
#[derive(Debug, Clone, Copy)]
pub struct Recipient<'a> {
    /// The certificate as DER, for the recipient to recognise.
    pub certificate: &'a [u8],
    /// The key in it.
    pub public_key: &'a PublicKey,
}

/// Why a message cannot be encrypted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SealError {
    /// The sink failed; `InvalidInput` if the cipher is one that we only read.
    #[error("the encrypted message could not be written")]
    Io(#[from] io::Error),
    /// The recipient's key cannot encrypt the session key.
    #[error("the session key cannot be encrypted for the recipient")]
    Key(#[from] KeyError),
}

/// Encrypts the inner message that is written to it. Call [`finish`](Self::finish) at the end.
#[derive(Debug)]
#[must_use = "without `finish` nobody can open the message"]
pub struct EncryptedWriter<W: Write>(Sealer<OpenPart<W>>);

impl<W: Write> EncryptedWriter<W> {
    /// Makes a session key and writes the envelope. `carrier` says how the ciphertext is written; only old peers need
    /// base64.
    ///
    /// # Errors
    /// See [`SealError`].
    pub fn new(
        out: W,
        boundary: &Boundary,
        encryption: &Encryption,
        carrier: Encoding,
        recipient: &Recipient<'_>,
        random: &dyn Random,
    ) -> Result<Self, SealError> {
        let Encryption { cipher, iv, transport } = *encryption;
        let key = SessionKey::random(cipher.key_len(), random);
        let data = EncryptedData {
            id: None,
            mime_type: Some("Multipart/Related".to_owned()),
            cipher,
            iv,
            keys: vec![EncryptedKey {
                transport,
                recipient: enc::Recipient::Certificate(recipient.certificate.to_vec()),
                wrapped: wrap_key(recipient.public_key, transport, &key)?,
            }],
            plain_key: None,
            data: CipherData::Reference(format!("cid:{CONTENT_ID}")),
        };
        let mut mime = Writer::new(out, boundary)?;
        mime.root()?.write_all(write_envelope(&data).as_bytes())?;
        let part = mime.ciphertext(CONTENT_ID, carrier)?;
        Ok(Self(Sealer::new(cipher, iv, &key, random, part)?))
    }

    /// Writes the rest of the ciphertext and the end of the message; hands the underlying writer back, not flushed.
    ///
    /// # Errors
    /// As the underlying writer.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()?.finish()
    }
}

impl<W: Write> Write for EncryptedWriter<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The name of the part with the ciphertext. Any would do; this one is what everybody uses.
const CONTENT_ID: &str = "osci_enc";

impl From<XmlError> for EncryptedError {
    fn from(error: XmlError) -> Self {
        match error {
            XmlError::Input(error) => Self::Io(error),
            error => Self::Xml(error),
        }
    }
}

impl From<EncryptionMalformed> for EncryptedError {
    fn from(error: EncryptionMalformed) -> Self {
        match error {
            EncryptionMalformed::Xml(error) => error.into(),
            EncryptionMalformed::Missing(_) | EncryptionMalformed::Forbidden | EncryptionMalformed::TooMany => {
                Self::Structure(Some(error))
            }
            error => Self::Undecryptable(Some(error)),
        }
    }
}

fn is_at(data: &CipherData, part: &Part) -> bool {
    matches!(data, CipherData::Reference(uri) if uri.strip_prefix("cid:") == Some(&part.content_id))
}

fn is_malformed_base64(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Base64Malformed>())
}

fn write_envelope(data: &EncryptedData) -> String {
    static DECLARATIONS: LazyLock<String> = LazyLock::new(|| {
        NsContext::from_pairs([("ds", DS), ("soap", SOAP), ("xenc", XENC), ("xsi", XSI)]).to_declarations()
    });
    let location = MessageType::MessageEncrypted.schema_location();
    let mut xml = XmlWriter::new();
    xml.open_declaring("soap:Envelope", &DECLARATIONS, &[("xsi:schemaLocation", &location)]);
    xml.open("soap:Body", &[]).raw(&data.to_xml(&NsContext::empty())).close();
    xml.close();
    xml.finish()
}
