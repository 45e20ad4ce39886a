//! Opens encrypted containers for the owner of a key.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use rohrpost_crypto::cipher::{self, IvLength, OpenError};
use rohrpost_crypto::{BlockCipher, Decryptor, SessionKey};
use rohrpost_xmlsec::base64::Decoder;
use rohrpost_xmlsec::enc::{CipherData, EncryptedData, Recipient};
use rohrpost_xmlsec::reader::{Event, StrictReader};

use super::blob::Blobs;
use super::place::Source;
use super::read::{Container, Content, ContentError, EncryptedContainer, Package};
use crate::header::{CertificateUse, NonIntermediaryCertificates};
use crate::ns::XENC;
use crate::source::ReadAt;

/// A key that content may be encrypted for.
pub struct ContentKey<'a> {
    /// The cipher certificate that belongs to it, DER: how the message names the key.
    pub certificate: &'a [u8],
    /// The key.
    pub decryptor: &'a dyn Decryptor,
}

/// Why an encrypted container is not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sealed {
    /// Nobody tried.
    Untried,
    /// It is not encrypted for any of the keys given.
    NotForUs,
    /// It could not be decrypted, or what came out is no container, or one with `Id`s that something else in the message has.
    /// Whatever went wrong looks the same.
    Failed,
    /// It is encrypted in a way we do not know, or not well-formed.
    Malformed,
    /// It lies in more layers of encryption than we open.
    TooDeep,
}

/// The key of an attachment, as it is kept in an encrypted container.
#[derive(Clone)]
pub(super) struct AttachmentKey {
    pub(super) content_id: String,
    pub(super) cipher: BlockCipher,
    pub(super) iv: IvLength,
    pub(super) key: SessionKey,
}

impl Package {
    /// Opens what is encrypted for one of the keys, layer by layer. Certificates are those of the message: they tell which encrypted
    /// key belongs to which certificate. What cannot be opened says so in [`EncryptedContainer::content`].
    ///
    /// # Errors
    /// If content cannot be read or `blobs` cannot be written.
    pub fn decrypt(
        &mut self,
        keys: &[ContentKey<'_>],
        certificates: &NonIntermediaryCertificates,
        blobs: &dyn Blobs,
    ) -> io::Result<()> {
        let mut ids = Ids::default();
        self.containers.iter().for_each(|container| {
            ids.add(container);
        });
        let opening = Opening { keys, certificates, blobs, ids: RefCell::new(ids) };
        self.containers.iter_mut().try_for_each(|container| opening.container(container, 0))?;
        self.encrypted.iter_mut().try_for_each(|encrypted| opening.encrypted(encrypted, 0))
    }
}

impl Container {
    /// Takes the keys of attachments out of the encrypted data.
    pub(super) fn take_attachment_keys(&mut self) {
        let keys = &mut self.attachment_keys;
        self.encrypted.retain(|encrypted| match encrypted.encryption.as_ref().and_then(attachment_key) {
            Some(key) => {
                keys.push(key);
                false
            }
            None => true,
        });
    }
}

struct Opening<'a> {
    keys: &'a [ContentKey<'a>],
    certificates: &'a NonIntermediaryCertificates,
    blobs: &'a dyn Blobs,
    ids: RefCell<Ids>,
}

/// Layers of encryption that are opened.
const LAYERS: usize = 8;

impl Opening<'_> {
    fn container(&self, container: &mut Container, layer: usize) -> io::Result<()> {
        for content in &mut container.contents {
            if let Content::Container(nested) = content {
                self.container(&mut nested.container, layer)?;
            }
        }
        container.encrypted.iter_mut().try_for_each(|encrypted| self.encrypted(encrypted, layer))
    }

    fn encrypted(&self, encrypted: &mut EncryptedContainer, layer: usize) -> io::Result<()> {
        if matches!(encrypted.content, Err(sealed) if sealed != Sealed::Malformed) {
            encrypted.content =
                if layer == LAYERS { Err(Sealed::TooDeep) } else { self.open(encrypted)?.map(Box::new) };
        }
        match &mut encrypted.content {
            Ok(container) => self.container(container, layer + 1),
            Err(_) => Ok(()),
        }
    }

    fn open(&self, encrypted: &EncryptedContainer) -> io::Result<Result<Container, Sealed>> {
        let Some(data) = &encrypted.encryption else { return Ok(Err(Sealed::Malformed)) };
        let mut sealed = Sealed::NotForUs;
        for (key, wrapped) in self.matching(data) {
            sealed = Sealed::Failed;
            let Ok(session) = key.decryptor.unwrap_key(wrapped.transport, &wrapped.wrapped, data.cipher.key_len())
            else {
                continue;
            };
            let source = CipherValue::find(encrypted.place.open());
            if let Some(plain) = opened(data.cipher, data.iv, &session, source, self.blobs)? {
                match Container::read_document(plain, self.blobs) {
                    Ok(container) if self.ids.borrow_mut().add(&container) => return Ok(Ok(container)),
                    Err(ContentError::Io(error)) => return Err(error),
                    Ok(_) | Err(_) => {}
                }
            }
        }
        Ok(Err(sealed))
    }

    /// Our keys, each with the first encrypted key made for it: a sender must not make us try many.
    fn matching<'a>(
        &'a self,
        data: &'a EncryptedData,
    ) -> impl Iterator<Item = (&'a ContentKey<'a>, &'a rohrpost_xmlsec::enc::EncryptedKey)> {
        self.keys.iter().filter_map(|key| {
            let wrapped =
                data.keys.iter().find(|wrapped| self.certificate(&wrapped.recipient) == Some(key.certificate));
            wrapped.map(|wrapped| (key, wrapped))
        })
    }

    fn certificate<'a>(&'a self, recipient: &'a Recipient) -> Option<&'a [u8]> {
        match recipient {
            Recipient::Certificate(der) => Some(der),
            Recipient::Retrieval(uri) => {
                let entry = self.certificates.by_id(uri.strip_prefix('#')?)?;
                (entry.purpose == CertificateUse::Cipher).then_some(entry.der.as_slice())
            }
        }
    }
}

/// `Id`s of containers and contents. Verdicts name what they are about by its `Id`, so what comes out of a ciphertext must not have
/// one that something else has.
#[derive(Default)]
struct Ids(HashSet<String>);

impl Ids {
    /// Takes those of a container, if all of them are new.
    fn add(&mut self, container: &Container) -> bool {
        let mut found = Vec::new();
        collect(container, &mut found);
        let new = found.iter().all(|id| !self.0.contains(*id));
        if new {
            self.0.extend(found.into_iter().map(str::to_owned));
        }
        new
    }
}

fn collect<'a>(container: &'a Container, ids: &mut Vec<&'a str>) {
    ids.push(&container.id);
    for content in &container.contents {
        match content {
            Content::Data(data) => ids.push(&data.id),
            Content::Attachment(reference) => ids.push(&reference.id),
            Content::Container(nested) => {
                ids.push(&nested.id);
                collect(&nested.container, ids);
            }
        }
    }
}

/// Decrypts to a blob; `None` if it fails for a reason that lies in the ciphertext.
pub(super) fn opened(
    cipher: BlockCipher,
    iv: IvLength,
    key: &SessionKey,
    ciphertext: impl Read,
    blobs: &dyn Blobs,
) -> io::Result<Option<Arc<dyn ReadAt>>> {
    let mut plain = blobs.create()?;
    match cipher::open(cipher, iv, key, ciphertext, &mut plain) {
        Ok(_) => plain.finish().map(Some),
        Err(OpenError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(OpenError::Io(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

/// The decoded octets of a `CipherValue`, read from where it stands. What is wrong with the text is an error of kind `InvalidData`.
struct CipherValue {
    xml: StrictReader<Source>,
    decoder: Decoder,
    decoded: Vec<u8>,
    taken: usize,
    place: Looking,
}

#[derive(PartialEq, Eq)]
enum Looking {
    Before,
    Inside,
    Done,
}

impl CipherValue {
    /// `xml` stands before the encrypted data.
    fn find(xml: StrictReader<Source>) -> Self {
        Self { xml, decoder: Decoder::default(), decoded: Vec::new(), taken: 0, place: Looking::Before }
    }

    fn refill(&mut self) -> io::Result<()> {
        self.decoded.clear();
        self.taken = 0;
        while self.decoded.is_empty() && self.place != Looking::Done {
            let depth = self.xml.depth();
            match self.xml.next().map_err(invalid)? {
                Event::Start(tag) if depth == 2 && tag.name().is(XENC, "CipherValue") => self.place = Looking::Inside,
                Event::Text(text) if self.place == Looking::Inside => {
                    self.decoder.push(text.as_bytes(), &mut self.decoded).map_err(invalid)?;
                }
                Event::End(_) if self.place == Looking::Inside => {
                    self.decoder.finish(&mut self.decoded).map_err(invalid)?;
                    self.place = Looking::Done;
                }
                Event::Eof => self.place = Looking::Done,
                _ => {}
            }
        }
        Ok(())
    }
}

impl Read for CipherValue {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.decoded.len() {
            self.refill()?;
        }
        let rest = &self.decoded[self.taken..];
        let length = rest.len().min(buf.len());
        buf[..length].copy_from_slice(&rest[..length]);
        self.taken += length;
        Ok(length)
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The key of an attachment, if that is what the element is for.
fn attachment_key(data: &EncryptedData) -> Option<AttachmentKey> {
    let CipherData::Reference(uri) = &data.data else { return None };
    Some(AttachmentKey {
        content_id: uri.strip_prefix("cid:")?.to_owned(),
        cipher: data.cipher,
        iv: data.iv,
        key: data.plain_key.clone()?,
    })
}

/// Shows neither key nor name.
impl fmt::Debug for AttachmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AttachmentKey({:?})", self.cipher)
    }
}

impl fmt::Debug for ContentKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey")
    }
}
