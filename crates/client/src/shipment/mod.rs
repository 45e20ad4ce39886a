mod build;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use rohrpost_osci::header::{CustomBlock, TimestampQuality};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::source::ReadAt;
use rohrpost_pipeline::keyring::SignaturePair;
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_pki::Certificate;

pub use build::MadeContent;
pub(crate) use build::{Built, Way};

/// A delivery to be stored: for whom, about what, with which content.
#[derive(Clone)]
pub struct Shipment {
    addressee: Certificate,
    containers: Vec<NewContainer>,
    custom: Vec<CustomBlock>,
    creation: TimestampQuality,
    reception: TimestampQuality,
    pub(crate) subject: Option<String>,
    pub(crate) message_id: Option<MessageId>,
}

/// A content container to be: contents in an envelope, signed by its authors and sealed for its readers (OSCI-Transport 1.2,
/// content data). Without authors it is not signed, without readers everybody on the way can read it.
#[derive(Clone, Default)]
pub struct NewContainer {
    id: Option<String>,
    contents: Vec<Item>,
    authors: Vec<SignaturePair>,
    readers: Vec<Certificate>,
}

/// An attachment to be.
#[derive(Clone)]
pub struct NewAttachment {
    name: String,
    media_type: String,
    bytes: Bytes,
}

/// Where content comes from: memory, a file, or anything that can be read, which is spooled first. Cheap to clone.
#[derive(Clone)]
pub struct Bytes(Arc<dyn ReadAt>);

#[derive(Clone)]
enum Item {
    Data(Option<String>, Bytes),
    Attachment(NewAttachment),
    Container(NewContainer),
}

impl Shipment {
    /// For the mailbox of this cipher certificate.
    pub fn to(addressee: Certificate) -> Self {
        Self {
            addressee,
            containers: Vec::new(),
            custom: Vec::new(),
            creation: TimestampQuality::Plain,
            reception: TimestampQuality::Plain,
            subject: None,
            message_id: None,
        }
    }

    /// What it is about. Not encrypted for the addressee: the intermediary reads it, and it stands on the process card.
    #[must_use]
    pub fn with_subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Under this id, which the intermediary issued. Storing again with the same id never stores twice.
    #[must_use]
    pub fn with_message_id(mut self, id: MessageId) -> Self {
        self.message_id = Some(id);
        self
    }

    /// Adds content.
    #[must_use]
    pub fn with_container(mut self, container: NewContainer) -> Self {
        self.containers.push(container);
        self
    }

    /// Bytes of all contents together, before they are sealed and encoded.
    pub(crate) fn content_bytes(&self) -> u64 {
        self.containers.iter().map(NewContainer::bytes).sum()
    }

    /// Adds a header block that the intermediary hands on untouched.
    #[must_use]
    pub fn with_header(mut self, header: CustomBlock) -> Self {
        self.custom.push(header);
        self
    }

    /// Asks for time stamps of these kinds, for creation and reception.
    #[must_use]
    pub fn with_timestamps(mut self, creation: TimestampQuality, reception: TimestampQuality) -> Self {
        (self.creation, self.reception) = (creation, reception);
        self
    }
}

impl NewContainer {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// With this `Id` instead of one of our choice. It must be unique in the delivery.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Adds data.
    #[must_use]
    pub fn data(mut self, bytes: impl Into<Bytes>) -> Self {
        self.contents.push(Item::Data(None, bytes.into()));
        self
    }

    /// Adds data under this `Id`, which must be unique in the delivery.
    #[must_use]
    pub fn data_as(mut self, id: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        self.contents.push(Item::Data(Some(id.into()), bytes.into()));
        self
    }

    /// Adds an attachment.
    #[must_use]
    pub fn attachment(mut self, attachment: NewAttachment) -> Self {
        self.contents.push(Item::Attachment(attachment));
        self
    }

    fn bytes(&self) -> u64 {
        let bytes = |item: &Item| match item {
            Item::Data(_, bytes) => bytes.len(),
            Item::Attachment(attachment) => attachment.bytes.len(),
            Item::Container(container) => container.bytes(),
        };
        self.contents.iter().map(bytes).sum()
    }

    /// Adds a container within this one, perhaps with authors and readers of its own.
    #[must_use]
    pub fn container(mut self, container: Self) -> Self {
        self.contents.push(Item::Container(container));
        self
    }

    /// Has an author sign everything in it. May be called for several authors.
    #[must_use]
    pub fn signed_by(mut self, author: SignaturePair) -> Self {
        self.authors.push(author);
        self
    }

    /// Seals it for the owner of this cipher certificate, attachments included: readers take that for granted. May be called for
    /// several readers.
    #[must_use]
    pub fn sealed_for(mut self, reader: Certificate) -> Self {
        self.readers.push(reader);
        self
    }
}

impl NewAttachment {
    /// An attachment of this name, which must be unique in the delivery and may hold any characters but line breaks.
    pub fn new(name: impl Into<String>, media_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self { name: name.into(), media_type: media_type.into(), bytes: bytes.into() }
    }
}

impl Bytes {
    /// The content of a file. It must not change until the delivery is stored.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn from_file(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self(Arc::new(File::open(path)?)))
    }

    /// Reads everything into a spool first; blocks.
    ///
    /// # Errors
    /// Those of the reader and of the spool.
    pub fn from_reader(mut reader: impl Read, spools: &SpoolDir) -> io::Result<Self> {
        let mut writer = spools.writer();
        io::copy(&mut reader, &mut writer)?;
        Ok(writer.finish()?.into())
    }

    /// How many.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(bytes))
    }
}

impl From<String> for Bytes {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl From<&str> for Bytes {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<Spool> for Bytes {
    fn from(spool: Spool) -> Self {
        Self(Arc::new(spool))
    }
}

impl From<Arc<dyn ReadAt>> for Bytes {
    fn from(bytes: Arc<dyn ReadAt>) -> Self {
        Self(bytes)
    }
}

/// Shows neither subject nor content.
impl fmt::Debug for Shipment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shipment")
            .field("addressee", &self.addressee.fingerprint())
            .field("message_id", &self.message_id)
            .field("containers", &self.containers)
            .finish_non_exhaustive()
    }
}

/// Shows no content.
impl fmt::Debug for NewContainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { contents, authors, readers, .. } = self;
        write!(f, "NewContainer({} contents, {} authors, {} readers)", contents.len(), authors.len(), readers.len())
    }
}

/// Shows neither name nor content.
impl fmt::Debug for NewAttachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewAttachment({} bytes)", self.bytes.len())
    }
}

/// Shows no content.
impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}
