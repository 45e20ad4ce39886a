//! Encryption of containers, with their attachments, for readers.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use rohrpost_crypto::cipher::{IvLength, Sealer};
use rohrpost_crypto::{BlockCipher, KeyTransport, PublicKey, Random, SessionKey, wrap_key};
use rohrpost_xmlsec::NsContext;
use rohrpost_xmlsec::enc::{CipherData, EncryptedData, EncryptedKey, Recipient};

use super::container::{AttachmentEncryption, NewContainer};
use super::{Blob, BuildError, Ids};
use crate::compose::OutAttachment;
use crate::content::Blobs;
use crate::ns::NS5;
use crate::source::ReadAt;

/// An encrypted container.
#[derive(Debug)]
pub struct SealedContainer {
    pub(super) encryption: EncryptedData,
    pub(super) ciphertext: Blob,
    pub(super) attachments: Vec<OutAttachment>,
    /// `Id`s within, which nothing else in the message may have.
    pub(super) ids: Ids,
}

/// A reader for whom a container is encrypted.
#[derive(Debug, Clone, Copy)]
pub struct ReaderKey<'a> {
    /// `Id` of the reader's certificate entry in the message.
    pub certificate_id: &'a str,
    /// The key in that certificate.
    pub key: &'a PublicKey,
}

/// How a container is encrypted.
#[derive(Clone, Copy)]
pub struct Sealing<'a> {
    /// A GCM mode.
    pub cipher: BlockCipher,
    /// Length of the initialisation vector.
    pub iv: IvLength,
    /// How the session key is encrypted for the readers.
    pub transport: KeyTransport,
    /// Where keys and initialisation vectors come from.
    pub random: &'a dyn Random,
    /// Where the ciphertext goes.
    pub blobs: &'a dyn Blobs,
}

impl NewContainer {
    /// Encrypts the container, with its attachments, for these readers.
    ///
    /// # Errors
    /// If there is no reader, a reader's key cannot be used, or contents cannot be read or written.
    pub fn seal(
        self,
        id: impl Into<String>,
        readers: &[ReaderKey<'_>],
        sealing: &Sealing<'_>,
    ) -> Result<SealedContainer, BuildError> {
        if readers.is_empty() {
            return Err(BuildError::NoReader);
        }
        let mut ids = Ids::default();
        self.collect_ids(&mut ids)?;
        let (attachments, attachment_keys) = sealing.attachments(&self)?;
        let session = SessionKey::random(sealing.cipher.key_len(), sealing.random);
        let mut keys = Vec::new();
        for reader in readers {
            keys.push(EncryptedKey {
                transport: sealing.transport,
                recipient: Recipient::Retrieval(format!("#{}", reader.certificate_id)),
                wrapped: wrap_key(reader.key, sealing.transport, &session)?,
            });
        }
        let ciphertext = sealing.encrypt(&session, |out| self.write(NS5, &attachment_keys, out))?;
        let encryption = EncryptedData {
            id: Some(id.into()),
            mime_type: Some(MIME_TYPE.to_owned()),
            cipher: sealing.cipher,
            iv: sealing.iv,
            keys,
            plain_key: None,
            data: CipherData::Streamed(ciphertext.len()),
        };
        Ok(SealedContainer { encryption, ciphertext: Blob(ciphertext), attachments, ids })
    }
}

impl SealedContainer {
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut value = self.encryption.write_value(&NsContext::empty(), out)?;
        self.ciphertext.copy_to(&mut value)?;
        value.finish().map(drop)
    }

    pub(super) fn collect_ids(&self, ids: &mut Ids) -> Result<(), BuildError> {
        ids.add(self.encryption.id.as_deref().unwrap_or_default())?;
        self.ids.0.iter().try_for_each(|id| ids.add(id))
    }
}

impl<'a> Sealing<'a> {
    /// AES-256-GCM with an IV of 12 bytes, keys encrypted with RSA-OAEP and SHA-256.
    pub fn new(random: &'a dyn Random, blobs: &'a dyn Blobs) -> Self {
        Self {
            cipher: BlockCipher::Aes256Gcm,
            iv: IvLength::Twelve,
            transport: KeyTransport::OAEP_SHA256,
            random,
            blobs,
        }
    }

    fn encrypt(
        &self,
        key: &SessionKey,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<Arc<dyn ReadAt>> {
        let mut sealer = Sealer::new(self.cipher, self.iv, key, self.random, self.blobs.create()?)?;
        write(&mut sealer)?;
        sealer.finish()?.finish()
    }

    /// The attachments of a container as they are sent, and the keys of those that are encrypted.
    fn attachments(&self, container: &NewContainer) -> io::Result<(Vec<OutAttachment>, Vec<EncryptedData>)> {
        let (mut sent, mut keys) = (Vec::new(), Vec::new());
        for attachment in container.attachments() {
            if attachment.encryption == AttachmentEncryption::Never {
                sent.push(attachment.transmitted(Arc::clone(&attachment.source)));
                continue;
            }
            let key = SessionKey::random(self.cipher.key_len(), self.random);
            let source = Blob(Arc::clone(&attachment.source));
            sent.push(attachment.transmitted(self.encrypt(&key, |out| source.copy_to(out))?));
            keys.push(EncryptedData {
                id: Some(format!("Attachment{}", attachment.content_id)),
                mime_type: Some(MIME_TYPE.to_owned()),
                cipher: self.cipher,
                iv: self.iv,
                keys: Vec::new(),
                plain_key: Some(key),
                data: CipherData::Reference(format!("cid:{}", attachment.content_id)),
            });
        }
        for sealed in container.all_sealed() {
            sent.extend(sealed.attachments.iter().cloned());
        }
        Ok((sent, keys))
    }
}

impl fmt::Debug for Sealing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealing({:?}, {:?})", self.cipher, self.transport)
    }
}

/// What encrypted data say they hold.
const MIME_TYPE: &str = "text/xml";
