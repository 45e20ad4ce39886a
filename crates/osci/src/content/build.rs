//! Makes content: containers are filled, signed by authors, encrypted for readers and put into a package.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use rohrpost_crypto::cipher::{IvLength, Sealer};
use rohrpost_crypto::{
    BlockCipher, Digest, DigestAlgorithm, KeyError, KeyTransport, PublicKey, Random, SessionKey, Signer, SigningFailed,
    wrap_key,
};
use rohrpost_xmlsec::NsContext;
use rohrpost_xmlsec::base64::EncodeWriter;
use rohrpost_xmlsec::dsig::{SignatureBuilder, TRANSFORM_BASE64, TRANSFORM_C14N};
use rohrpost_xmlsec::enc::{CipherData, EncryptedData, EncryptedKey, Recipient};
use rohrpost_xmlsec::reader::is_ncname;
use thiserror::Error;

use super::blob::Blobs;
use crate::compose::{OutAttachment, OutContent, OutDelivery};
use crate::datetime::DateTime;
use crate::mime::Header;
use crate::ns::{NS5, XADES, envelope_context};
use crate::source::{ReadAt, reader};
use crate::xml::{escape_attribute, escape_text};

/// A container while contents are added to it. [`build`](Self::build) ends that: what is signed cannot be added to.
#[derive(Debug, Default)]
pub struct ContainerBuilder {
    id: String,
    contents: Vec<NewContent>,
    sealed: Vec<SealedContainer>,
}

/// A container with all its contents, to be signed, encrypted, or put into a package.
#[derive(Debug)]
pub struct NewContainer {
    id: String,
    contents: Vec<NewContent>,
    sealed: Vec<SealedContainer>,
    signatures: Vec<String>,
    /// References of the first signature, which further ones repeat.
    references: Option<(DigestAlgorithm, Vec<NewReference>)>,
}

/// An encrypted container.
#[derive(Debug)]
pub struct SealedContainer {
    encryption: EncryptedData,
    ciphertext: Blob,
    attachments: Vec<OutAttachment>,
    /// `Id`s within, which nothing else in the message may have.
    ids: Ids,
}

/// An attachment to be sent with content.
#[derive(Clone)]
pub struct NewAttachment {
    /// Its name, unique in the message.
    pub content_id: String,
    /// Its media type.
    pub content_type: String,
    /// Further MIME headers.
    pub extra_headers: Vec<Header>,
    /// Whether it is encrypted when the container is.
    pub encryption: AttachmentEncryption,
    /// Its bytes.
    pub source: Arc<dyn ReadAt>,
}

/// Whether an attachment is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AttachmentEncryption {
    /// When its container is encrypted, with a key of its own that is kept in the container.
    #[default]
    WithContainer,
    /// Never.
    Never,
}

/// An author who signs a container.
pub struct Author<'a> {
    /// The key.
    pub signer: &'a dyn Signer,
    /// `Id` of the author's certificate entry in the message.
    pub certificate_id: &'a str,
    /// Digest algorithm of the references. All signatures of a container use that of the first.
    pub digest: DigestAlgorithm,
    /// The time of signing, if it is to be stated.
    pub signing_time: Option<DateTime>,
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

/// Containers on their way into a message.
#[derive(Debug, Default)]
pub struct PackageBuilder {
    containers: Vec<NewContainer>,
    sealed: Vec<SealedContainer>,
}

/// Why content cannot be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Reading or writing failed.
    #[error("the content could not be read or written")]
    Io(#[from] io::Error),
    /// An `Id` that is no name in the sense of XML.
    #[error("{0:?} cannot be the Id of an element")]
    BadId(String),
    /// An `Id` that occurs twice, or that a header block has.
    #[error("the Id {0:?} is taken")]
    IdTaken(String),
    /// Two different attachments with one name.
    #[error("two attachments have the same name")]
    AttachmentNameTaken,
    /// A signature over an empty container.
    #[error("an empty container cannot be signed")]
    NothingToSign,
    /// Encryption for nobody.
    #[error("a container must be encrypted for at least one reader")]
    NoReader,
    /// A reader's key cannot be used for encryption.
    #[error("the session key could not be encrypted for a reader")]
    Reader(#[from] KeyError),
    /// A signer failed.
    #[error("the container could not be signed")]
    Signing(#[from] SigningFailed),
}

#[derive(Debug)]
enum NewContent {
    Data { id: String, bytes: Blob },
    Attachment { id: String, attachment: NewAttachment },
    Container { id: String, container: NewContainer },
}

#[derive(Debug, Clone)]
struct NewReference {
    uri: String,
    transform: Option<&'static str>,
    digest: Digest,
}

/// Bytes, without showing them.
#[derive(Clone)]
struct Blob(Arc<dyn ReadAt>);

impl ContainerBuilder {
    /// An empty container with this `Id`.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }

    /// Adds data.
    #[must_use]
    pub fn data(mut self, id: impl Into<String>, bytes: Arc<dyn ReadAt>) -> Self {
        self.contents.push(NewContent::Data { id: id.into(), bytes: Blob(bytes) });
        self
    }

    /// Adds an attachment.
    #[must_use]
    pub fn attachment(mut self, id: impl Into<String>, attachment: NewAttachment) -> Self {
        self.contents.push(NewContent::Attachment { id: id.into(), attachment });
        self
    }

    /// Adds a container within this one.
    #[must_use]
    pub fn container(mut self, id: impl Into<String>, container: NewContainer) -> Self {
        self.contents.push(NewContent::Container { id: id.into(), container });
        self
    }

    /// Adds an encrypted container within this one.
    #[must_use]
    pub fn sealed(mut self, container: SealedContainer) -> Self {
        self.sealed.push(container);
        self
    }

    /// The container with these contents.
    pub fn build(self) -> NewContainer {
        let Self { id, contents, sealed } = self;
        NewContainer { id, contents, sealed, signatures: Vec::new(), references: None }
    }
}

impl NewContainer {
    /// Signs everything in the container, attachments included. Several authors may sign.
    ///
    /// # Errors
    /// If there is nothing in the container, the contents cannot be read, or the signer fails.
    pub fn sign(&mut self, author: &Author<'_>) -> Result<&mut Self, BuildError> {
        let (algorithm, references) = match &self.references {
            Some(references) => references.clone(),
            None => {
                let references = (author.digest, self.all_references(author.digest)?);
                self.references.insert(references).clone()
            }
        };
        if references.is_empty() {
            return Err(BuildError::NothingToSign);
        }
        let mut builder = SignatureBuilder::new();
        for NewReference { uri, transform, digest } in &references {
            builder.add_reference(uri, transform.as_slice(), algorithm, digest);
        }
        let object = author.signing_time.as_ref().map(|time| {
            let id = format!("{}TS{}", self.id, self.signatures.len());
            let properties = SignedProperties { id: &id, time: time.as_str() };
            let digest = algorithm.digest(properties.canonical().as_bytes());
            builder.add_reference(&format!("#{id}"), &[], algorithm, &digest);
            properties.object()
        });
        let key = format!("#{}", author.certificate_id);
        let signature = builder.sign(author.signer, &envelope_context(), Some(&key), object.as_deref())?;
        self.signatures.push(signature);
        Ok(self)
    }

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

    fn all_references(&self, algorithm: DigestAlgorithm) -> io::Result<Vec<NewReference>> {
        let mut references = Vec::new();
        for content in &self.contents {
            let mut hasher = algorithm.hasher();
            let (id, transform) = match content {
                NewContent::Data { id, bytes } => {
                    bytes.copy_to(&mut hasher)?;
                    (id, TRANSFORM_BASE64)
                }
                NewContent::Attachment { id, .. } | NewContent::Container { id, .. } => {
                    content.write(NS5, &mut hasher)?;
                    (id, TRANSFORM_C14N)
                }
            };
            references.push(NewReference {
                uri: format!("#{id}"),
                transform: Some(transform),
                digest: hasher.finish(),
            });
        }
        for sealed in &self.sealed {
            let mut hasher = algorithm.hasher();
            sealed.write(&mut hasher)?;
            let uri = format!("#{}", sealed.encryption.id.as_deref().unwrap_or_default());
            references.push(NewReference { uri, transform: Some(TRANSFORM_C14N), digest: hasher.finish() });
        }
        for attachment in self.attachments() {
            let mut hasher = algorithm.hasher();
            io::copy(&mut reader(&*attachment.source, 0..attachment.source.len()), &mut hasher)?;
            let uri = format!("cid:{}", attachment.content_id);
            references.push(NewReference { uri, transform: None, digest: hasher.finish() });
        }
        Ok(references)
    }

    /// The attachments of the container and of those nested in it, each name once.
    fn attachments(&self) -> Vec<&NewAttachment> {
        let mut found: Vec<&NewAttachment> = Vec::new();
        for content in &self.contents {
            let more = match content {
                NewContent::Attachment { attachment, .. } => vec![attachment],
                NewContent::Container { container, .. } => container.attachments(),
                NewContent::Data { .. } => Vec::new(),
            };
            for attachment in more {
                if !found.iter().any(|known| known.content_id == attachment.content_id) {
                    found.push(attachment);
                }
            }
        }
        found
    }

    /// Encrypted containers of the container and of those nested in it.
    fn all_sealed(&self) -> Vec<&SealedContainer> {
        let nested = self.contents.iter().flat_map(|content| match content {
            NewContent::Container { container, .. } => container.all_sealed(),
            _ => Vec::new(),
        });
        self.sealed.iter().chain(nested).collect()
    }

    fn write(&self, declarations: &str, attachment_keys: &[EncryptedData], out: &mut dyn Write) -> io::Result<()> {
        write!(out, r#"<osci:ContentContainer{declarations} Id="{}">"#, escape_attribute(&self.id))?;
        self.signatures.iter().try_for_each(|signature| out.write_all(signature.as_bytes()))?;
        self.contents.iter().try_for_each(|content| content.write("", out))?;
        self.sealed.iter().try_for_each(|sealed| sealed.write(out))?;
        for key in attachment_keys {
            out.write_all(key.to_xml(&NsContext::empty()).as_bytes())?;
        }
        out.write_all(b"</osci:ContentContainer>")
    }

    fn collect_ids(&self, ids: &mut Ids) -> Result<(), BuildError> {
        ids.add(&self.id)?;
        for content in &self.contents {
            match content {
                NewContent::Data { id, .. } | NewContent::Attachment { id, .. } => ids.add(id)?,
                NewContent::Container { id, container } => {
                    ids.add(id)?;
                    container.collect_ids(ids)?;
                }
            }
        }
        self.sealed.iter().try_for_each(|sealed| sealed.collect_ids(ids))
    }
}

impl NewContent {
    fn write(&self, declarations: &str, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "<osci:Content{declarations}")?;
        match self {
            Self::Data { id, bytes } => {
                write!(out, r#"><osci:Base64Content Id="{}">"#, escape_attribute(id))?;
                let mut encoded = EncodeWriter::new(&mut *out);
                bytes.copy_to(&mut encoded)?;
                encoded.finish()?;
                out.write_all(b"</osci:Base64Content>")?;
            }
            Self::Attachment { id, attachment } => {
                let href = escape_attribute(&attachment.content_id);
                write!(out, r#" Id="{}" href="cid:{href}">"#, escape_attribute(id))?;
            }
            Self::Container { id, container } => {
                write!(out, r#" Id="{}">"#, escape_attribute(id))?;
                container.write("", &[], out)?;
            }
        }
        out.write_all(b"</osci:Content>")
    }
}

impl SealedContainer {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut value = self.encryption.write_value(&NsContext::empty(), out)?;
        self.ciphertext.copy_to(&mut value)?;
        value.finish().map(drop)
    }

    fn collect_ids(&self, ids: &mut Ids) -> Result<(), BuildError> {
        ids.add(self.encryption.id.as_deref().unwrap_or_default())?;
        self.ids.0.iter().try_for_each(|id| ids.add(id))
    }
}

impl NewAttachment {
    /// An attachment that is encrypted with its container.
    pub fn new(content_id: impl Into<String>, content_type: impl Into<String>, source: Arc<dyn ReadAt>) -> Self {
        Self {
            content_id: content_id.into(),
            content_type: content_type.into(),
            extra_headers: Vec::new(),
            encryption: AttachmentEncryption::default(),
            source,
        }
    }

    fn transmitted(&self, source: Arc<dyn ReadAt>) -> OutAttachment {
        let mut out = OutAttachment::new(&self.content_id, &self.content_type, source);
        out.extra_headers.clone_from(&self.extra_headers);
        out
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

impl PackageBuilder {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a container that everybody can read.
    #[must_use]
    pub fn container(mut self, container: NewContainer) -> Self {
        self.containers.push(container);
        self
    }

    /// Adds an encrypted container.
    #[must_use]
    pub fn sealed(mut self, container: SealedContainer) -> Self {
        self.sealed.push(container);
        self
    }

    /// Writes the package to a blob; the result is ready for a message.
    ///
    /// # Errors
    /// If `Id`s or attachment names collide, or contents cannot be read or written.
    pub fn build(self, blobs: &dyn Blobs) -> Result<OutDelivery, BuildError> {
        let mut ids = Ids::default();
        self.containers.iter().try_for_each(|container| container.collect_ids(&mut ids))?;
        self.sealed.iter().try_for_each(|sealed| sealed.collect_ids(&mut ids))?;
        let attachments = self.attachments()?;
        let mut out = blobs.create()?;
        out.write_all(b"<osci:ContentPackage>")?;
        self.sealed.iter().try_for_each(|sealed| sealed.write(&mut out))?;
        self.containers.iter().try_for_each(|container| container.write("", &[], &mut out))?;
        out.write_all(b"</osci:ContentPackage>")?;
        let source = out.finish()?;
        let package = OutContent { range: 0..source.len(), source, in_scope: envelope_context() };
        Ok(OutDelivery { package, attachments })
    }

    fn attachments(&self) -> Result<Vec<OutAttachment>, BuildError> {
        let mut found: Vec<OutAttachment> = Vec::new();
        let open = self.containers.iter().flat_map(|container| {
            let own = container.attachments().into_iter().map(|a| a.transmitted(Arc::clone(&a.source)));
            own.chain(container.all_sealed().into_iter().flat_map(|sealed| sealed.attachments.iter().cloned()))
        });
        for attachment in open.chain(self.sealed.iter().flat_map(|sealed| sealed.attachments.iter().cloned())) {
            match found.iter().find(|known| known.content_id == attachment.content_id) {
                None => found.push(attachment),
                Some(known) if known.is_same(&attachment) => {}
                Some(_) => return Err(BuildError::AttachmentNameTaken),
            }
        }
        Ok(found)
    }
}

/// The `Id`s that are taken: those of the header blocks we write, and those of content.
#[derive(Debug, Default)]
struct Ids(HashSet<String>);

impl Ids {
    fn add(&mut self, id: &str) -> Result<(), BuildError> {
        if !is_ncname(id) {
            return Err(BuildError::BadId(id.to_owned()));
        }
        if crate::envelope::is_header_id(id) || !self.0.insert(id.to_owned()) {
            return Err(BuildError::IdTaken(id.to_owned()));
        }
        Ok(())
    }
}

/// The signing time as a property of a signature (XAdES 1.3.2).
struct SignedProperties<'a> {
    id: &'a str,
    time: &'a str,
}

impl SignedProperties<'_> {
    /// What the reference to it covers.
    fn canonical(&self) -> String {
        self.element(&envelope_context().with("xades", XADES).to_declarations())
    }

    /// The content of the signature's object.
    fn object(&self) -> String {
        format!(
            r#"<xades:QualifyingProperties xmlns:xades="{XADES}">{}</xades:QualifyingProperties>"#,
            self.element("")
        )
    }

    fn element(&self, declarations: &str) -> String {
        format!(
            r#"<xades:SignedProperties{declarations} Id="{}"><xades:SignedSignatureProperties><xades:SigningTime>{}</xades:SigningTime></xades:SignedSignatureProperties></xades:SignedProperties>"#,
            escape_attribute(self.id),
            escape_text(self.time)
        )
    }
}

impl Blob {
    fn copy_to(&self, out: &mut dyn Write) -> io::Result<()> {
        io::copy(&mut reader(&*self.0, 0..self.0.len()), &mut { out }).map(drop)
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// Shows neither name nor content.
impl fmt::Debug for NewAttachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewAttachment({} bytes)", self.source.len())
    }
}

impl fmt::Debug for Author<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Author({})", self.certificate_id)
    }
}

impl fmt::Debug for Sealing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealing({:?}, {:?})", self.cipher, self.transport)
    }
}

/// What encrypted data say they hold.
const MIME_TYPE: &str = "text/xml";
