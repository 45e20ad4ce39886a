//! Signs and seals content, and makes the order that stores it.

use rohrpost_crypto::{DigestAlgorithm, PublicKey, Random};
use rohrpost_osci::compose::{OutDelivery, Outgoing};
use rohrpost_osci::content::{self, Author, ContainerBuilder, PackageBuilder, ReaderKey, SealedContainer, Sealing};
use rohrpost_osci::dialog::ControlBlock;
use rohrpost_osci::header::{
    BlockError, CertificateEntry, CertificateRole, CertificateUse, CustomBlock, TimestampQuality,
};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::{ForwardDelivery, MediateCard, MediateDelivery, StoreDelivery};
use rohrpost_osci::ns::MessageType;
use rohrpost_pipeline::keyring::SignaturePair;
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_pki::Certificate;

use super::{Item, NewAttachment, NewContainer, Shipment};
use crate::error::{Error, Unusable};
use crate::exchange::{Party, may_encrypt_for};
use crate::spools::SpoolBlobs;

/// A delivery whose content is signed and sealed; only the header is missing.
pub(crate) struct Built {
    way: Way,
    creation: TimestampQuality,
    reception: TimestampQuality,
    subject: Option<String>,
    certificates: Vec<CertificateEntry>,
    custom: Vec<CustomBlock>,
    delivery: OutDelivery,
}

/// Which way a delivery goes.
pub(crate) enum Way {
    /// Into the mailbox of the addressee.
    Mailbox,
    /// To a passive recipient that listens here.
    Forward(String),
    /// To a passive recipient that listens here, who replies.
    Mediate(String),
}

/// Signed and sealed content, and the certificates it refers to: for the body and the header of a message.
#[derive(Debug)]
#[non_exhaustive]
pub struct MadeContent {
    /// The certificates given, and those of authors and readers who were not among them.
    pub certificates: Vec<CertificateEntry>,
    /// The content.
    pub delivery: OutDelivery,
}

impl MadeContent {
    /// Signs and seals containers for a message that carries `certificates` anyway: whoever is among them is referred to there.
    /// Blocks.
    ///
    /// # Errors
    /// [`Error::Unusable`] if a certificate, a name or an `Id` cannot be used, [`Error::Storage`].
    pub fn make(
        containers: Vec<NewContainer>,
        certificates: Vec<CertificateEntry>,
        spools: &SpoolDir,
        random: &dyn Random,
    ) -> Result<Self, Error> {
        let blobs = SpoolBlobs::new(spools.clone());
        let mut building =
            Building { sealing: Sealing::new(random, &blobs), certificates: People(certificates), next: 0 };
        let mut package = PackageBuilder::new();
        for container in containers {
            package = match building.container(container)? {
                Made::Open(container) => package.container(container),
                Made::Sealed(container) => package.sealed(container),
            };
        }
        Ok(Self { certificates: building.certificates.0, delivery: package.build(&blobs)? })
    }
}

impl Shipment {
    /// Signs and seals the content.
    pub(crate) fn build(self, party: &Party, way: Way) -> Result<Built, Error> {
        may_encrypt_for(&self.addressee)?;
        let config = &party.config;
        let people = people(party, &self.addressee);
        let MadeContent { certificates, delivery } =
            MadeContent::make(self.containers, people, &config.spools, &*config.random)?;
        let (creation, reception, subject) = (self.creation, self.reception, self.subject);
        Ok(Built { way, creation, reception, subject, certificates, custom: self.custom, delivery })
    }
}

impl Built {
    /// What it becomes.
    pub(crate) fn order(&self) -> MessageType {
        match self.way {
            Way::Mailbox => MessageType::StoreDelivery,
            Way::Forward(_) => MessageType::ForwardDelivery,
            Way::Mediate(_) => MessageType::MediateDelivery,
        }
    }

    /// The complete order.
    pub(crate) fn compose(self, party: &Party, control: ControlBlock, id: MessageId) -> Result<Outgoing, BlockError> {
        let mut header = party.header(control, self.certificates)?;
        header.custom = self.custom;
        let Self { way, creation, reception, subject, delivery, .. } = self;
        match way {
            Way::Mailbox => {
                let message_id = Some(id);
                StoreDelivery { header, creation, reception, message_id, subject }.compose(delivery)
            }
            Way::Forward(receiver) => {
                let message_id = Some(id);
                ForwardDelivery { header, creation, reception, receiver, message_id, subject }.compose(delivery)
            }
            Way::Mediate(receiver) => {
                let card = Some(MediateCard { message_id: id, subject, creation, reception });
                MediateDelivery { header, receiver, card }.compose(delivery)
            }
        }
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

/// The certificates of a delivery to be stored, before authors and readers are known.
fn people(party: &Party, addressee: &Certificate) -> Vec<CertificateEntry> {
    let addressee = CertificateEntry::new(CertificateRole::Addressee, CertificateUse::Cipher, 0, addressee.der());
    let mut people = vec![party.cipher_entry(), addressee];
    if let Some(pair) = party.config.keys.signature() {
        let (role, purpose) = (CertificateRole::Originator, CertificateUse::Signature);
        people.push(CertificateEntry::new(role, purpose, 0, pair.certificate.der()));
    }
    people
}

/// The certificates of a delivery, each person once.
struct People(Vec<CertificateEntry>);

impl People {
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
