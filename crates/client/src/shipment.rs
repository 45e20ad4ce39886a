use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use rohrpost_crypto::{DigestAlgorithm, PublicKey};
use rohrpost_osci::compose::{OutDelivery, Outgoing};
use rohrpost_osci::content::{self, Author, ContainerBuilder, PackageBuilder, ReaderKey, SealedContainer, Sealing};
use rohrpost_osci::dialog::ControlBlock;
use rohrpost_osci::header::{
    BlockError, CertificateEntry, CertificateRole, CertificateUse, CustomBlock, TimestampQuality,
};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::StoreDelivery;
use rohrpost_osci::source::ReadAt;
use rohrpost_pipeline::keyring::SignaturePair;
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_pki::Certificate;

use crate::error::{Error, Unusable};
use crate::exchange::{Party, may_encrypt_for};
use crate::spools::SpoolBlobs;

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

/// A delivery whose content is signed and sealed; only the header is missing.
pub(crate) struct Built {
    order: StoreDelivery,
    certificates: Vec<CertificateEntry>,
    custom: Vec<CustomBlock>,
    delivery: OutDelivery,
}

impl Shipment {
    /// Signs and seals the content.
    pub(crate) fn build(self, party: &Party) -> Result<Built, Error> {
        may_encrypt_for(&self.addressee)?;
        let blobs = SpoolBlobs(party.config.spools.clone());
        let mut building = Building {
            sealing: Sealing::new(&*party.config.random, &blobs),
            certificates: People::new(party, &self.addressee),
            next: 0,
        };
        let mut package = PackageBuilder::new();
        for container in self.containers {
            package = match building.container(container)? {
                Made::Open(container) => package.container(container),
                Made::Sealed(container) => package.sealed(container),
            };
        }
        let order = StoreDelivery {
            header: Default::default(),
            creation: self.creation,
            reception: self.reception,
            message_id: None,
            subject: self.subject,
        };
        let certificates = building.certificates.0;
        Ok(Built { order, certificates, custom: self.custom, delivery: package.build(&blobs)? })
    }
}

impl Built {
    /// The complete order.
    pub(crate) fn compose(self, party: &Party, control: ControlBlock, id: MessageId) -> Result<Outgoing, BlockError> {
        let mut header = party.header(control, self.certificates)?;
        header.custom = self.custom;
        StoreDelivery { header, message_id: Some(id), ..self.order }.compose(self.delivery)
    }
}

struct Building<'a> {
    sealing: Sealing<'a>,
    certificates: People,
    /// For the next `Id` of our choice.
    next: u32,
}

enum Made {
    Open(content::NewContainer),
    Sealed(SealedContainer),
}

impl Building<'_> {
    fn container(&mut self, new: NewContainer) -> Result<Made, Error> {
        let id = self.id(new.id, "contentcontainer");
        let mut builder = ContainerBuilder::new(id);
        for item in new.contents {
            builder = match item {
                Item::Data(id, bytes) => builder.data(self.id(id, "content"), bytes.0),
                Item::Attachment(attachment) => builder.attachment(self.id(None, "content"), attachment.into_content()),
                Item::Container(container) => match self.container(container)? {
                    Made::Open(container) => builder.container(self.id(None, "content"), container),
                    Made::Sealed(container) => builder.sealed(container),
                },
            };
        }
        let mut container = builder.build();
        for author in &new.authors {
            self.sign(&mut container, author)?;
        }
        if new.readers.is_empty() { Ok(Made::Open(container)) } else { self.seal(container, &new.readers) }
    }

    fn sign(&mut self, container: &mut content::NewContainer, author: &SignaturePair) -> Result<(), Error> {
        let certificate_id = self.certificates.author(&author.certificate);
        let (signer, digest) = (&*author.key, DigestAlgorithm::Sha256);
        container.sign(&Author { signer, certificate_id: &certificate_id, digest, signing_time: None })?;
        Ok(())
    }

    fn seal(&mut self, container: content::NewContainer, readers: &[Certificate]) -> Result<Made, Error> {
        let keyed = |reader: &Certificate| Ok((self.certificates.reader(reader), may_encrypt_for(reader)?));
        let keyed: Vec<(String, PublicKey)> = readers.iter().map(keyed).collect::<Result<_, Unusable>>()?;
        let keys: Vec<_> = keyed.iter().map(|(id, key)| ReaderKey { certificate_id: id, key }).collect();
        let id = self.id(None, "encdata_");
        Ok(Made::Sealed(container.seal(id, &keys, &self.sealing)?))
    }

    fn id(&mut self, wanted: Option<String>, prefix: &str) -> String {
        wanted.unwrap_or_else(|| {
            self.next += 1;
            format!("{prefix}{}", self.next - 1)
        })
    }
}

impl NewAttachment {
    fn into_content(self) -> content::NewAttachment {
        content::NewAttachment::new(self.name, self.media_type, self.bytes.0)
    }
}

/// The certificates of a delivery, each person once.
struct People(Vec<CertificateEntry>);

impl People {
    fn new(party: &Party, addressee: &Certificate) -> Self {
        let addressee = CertificateEntry::new(CertificateRole::Addressee, CertificateUse::Cipher, 0, addressee.der());
        let mut people = Self(vec![party.cipher_entry(), addressee]);
        if let Some(pair) = party.config.keys.signature() {
            let (role, purpose) = (CertificateRole::Originator, CertificateUse::Signature);
            people.0.push(CertificateEntry::new(role, purpose, 0, pair.certificate.der()));
        }
        people
    }

    /// The `Id` of an author's certificate. Whoever signs the message is the originator in the content, too.
    fn author(&mut self, certificate: &Certificate) -> String {
        self.find_or_add(certificate, CertificateRole::OtherAuthor, CertificateUse::Signature)
    }

    /// The `Id` of a reader's certificate. Originator and addressee can be readers, too.
    fn reader(&mut self, certificate: &Certificate) -> String {
        self.find_or_add(certificate, CertificateRole::OtherReader, CertificateUse::Cipher)
    }

    fn find_or_add(&mut self, certificate: &Certificate, role: CertificateRole, purpose: CertificateUse) -> String {
        let der = certificate.der();
        let known = self.0.iter().find(|entry| entry.purpose == purpose && entry.der == der);
        if let Some(known) = known {
            return known.id.clone();
        }
        let number = self.0.iter().filter(|entry| (entry.role, entry.purpose) == (role, purpose)).count();
        let number = u32::try_from(number).expect("fewer certificates than fit into memory");
        let entry = CertificateEntry::new(role, purpose, number, der);
        let id = entry.id.clone();
        self.0.push(entry);
        id
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
