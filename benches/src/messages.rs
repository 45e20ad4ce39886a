//! Requests as a client of ours sends them: signed and encrypted, each in an implicit dialog of its own.

use std::io;
use std::sync::Arc;

use rohrpost_crypto::{DigestAlgorithm, SystemRandom};
use rohrpost_osci::algorithms::Encryption;
use rohrpost_osci::compose::{OutDelivery, Outgoing, Signing};
use rohrpost_osci::content::{ContainerBuilder, InMemory, NewAttachment, PackageBuilder, ReaderKey, Sealing};
use rohrpost_osci::dialog::ClientDialog;
use rohrpost_osci::encrypted::{self, EncryptedWriter};
use rohrpost_osci::envelope::SignedBy;
use rohrpost_osci::header::{
    CertificateEntry, CertificateRole, CertificateUse, DesiredLanguages, Feature, FeatureDescription,
    NonIntermediaryCertificates, TimestampQuality,
};
use rohrpost_osci::ids::{Challenge, MessageId};
use rohrpost_osci::message::{GetMessageId, RequestHeader, StoreDelivery};
use rohrpost_osci::mime::{self, Boundary, Encoding, Multipart};
use rohrpost_osci::ns::MessageType;
use rohrpost_osci::source::{ReadAt, read_range};
use rohrpost_pipeline::seal::{Recipient, seal};
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_pki::Certificate;

use crate::{Bits, Party};

/// A client's view of the world.
pub struct Messages {
    client: Party,
    addressee: Party,
    recipient: Recipient,
    content: OutDelivery,
    open: Open,
    spools: SpoolDir,
}

/// Content that is not encrypted for the addressee.
enum Open {
    Data(Arc<dyn ReadAt>),
    Attachment(Arc<dyn ReadAt>),
}

impl Open {
    fn build(&self) -> OutDelivery {
        let container = ContainerBuilder::new("open");
        let container = match self {
            Self::Data(bytes) => container.data("content", Arc::clone(bytes)),
            Self::Attachment(bytes) => {
                let attachment = NewAttachment::new("attachment", "application/octet-stream", Arc::clone(bytes));
                container.attachment("reference", attachment)
            }
        };
        PackageBuilder::new().container(container.build()).build(&InMemory).expect("the package can be built")
    }
}

/// Bytes of content that make a delivery of about 4 KB of encrypted content.
const CONTENT: u64 = 3_000;

impl Messages {
    /// A client whose deliveries have about 4 KB of content, encrypted for the addressee.
    pub fn new(bits: Bits, spools: SpoolDir) -> Self {
        Self::between(Party::client(bits), Party::intermediary(bits).cipher, spools)
    }

    /// The same for this client and an intermediary with this cipher certificate.
    pub fn between(client: Party, intermediary: Certificate, spools: SpoolDir) -> Self {
        let addressee = Party::addressee();
        let content = ContainerBuilder::new("container").data("notice", Arc::new(crate::Pattern(CONTENT))).build();
        let reader = entry(CertificateRole::Addressee, CertificateUse::Cipher, &addressee).id;
        let key = addressee.cipher.public_key().expect("the addressee has an RSA key");
        let readers = [ReaderKey { certificate_id: &reader, key: &key }];
        let sealed = content.seal("encrypted", &readers, &Sealing::new(&SystemRandom, &InMemory));
        let package = PackageBuilder::new().sealed(sealed.expect("the content can be sealed"));
        let content = package.build(&InMemory).expect("the package can be built");
        let recipient = Recipient { certificate: intermediary, encryption: Encryption::STANDARD };
        Self { client, addressee, recipient, content, open: Open::Data(Arc::new(crate::Pattern(CONTENT))), spools }
    }

    /// The same client, whose deliveries have nothing but one open attachment of these bytes.
    #[must_use]
    pub fn with_attachment(self, bytes: Arc<dyn ReadAt>) -> Self {
        self.with(Open::Attachment(bytes))
    }

    /// The same client, whose deliveries have nothing but these bytes as open content.
    #[must_use]
    pub fn with_content(self, bytes: Arc<dyn ReadAt>) -> Self {
        self.with(Open::Data(bytes))
    }

    fn with(mut self, open: Open) -> Self {
        self.content = open.build();
        self.open = open;
        self
    }

    /// A signed and encrypted GetMessageId.
    pub fn get_message_id(&self) -> Spool {
        let order = GetMessageId { header: self.header(MessageType::GetMessageId, Vec::new()) };
        self.write(&order.compose().expect("the order can be composed"), Some(&self.recipient))
    }

    /// A signed and encrypted StoreDelivery.
    pub fn store_delivery(&self, id: MessageId) -> Spool {
        self.write(&self.store(id, self.content()), Some(&self.recipient))
    }

    /// The same from the content on: what a client does that sends a delivery with open content only.
    pub fn rebuilt_delivery(&self, id: MessageId) -> Spool {
        let content = self.open.build();
        self.write(&self.store(id, content), Some(&self.recipient))
    }

    /// The same, written to `out` while it is made: memory does not grow with it.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn stream_delivery<W: io::Write>(&self, id: MessageId, out: W) -> io::Result<W> {
        let key = self.recipient.certificate.public_key().expect("the intermediary has an RSA key");
        let whom = encrypted::Recipient { certificate: self.recipient.certificate.der(), public_key: &key };
        let boundary = Boundary::generate(&SystemRandom);
        let (encryption, carrier) = (&self.recipient.encryption, Encoding::Raw);
        let sealed = EncryptedWriter::new(out, &boundary, encryption, carrier, &whom, &SystemRandom);
        let sealed = sealed.map_err(io::Error::other)?;
        self.signed(|signing| self.store(id, self.content()).write(Some(signing), &boundary, sealed))
            .map_err(io::Error::other)?
            .finish()
    }

    /// The root part of such a StoreDelivery in clear: an envelope of about 12 KB.
    pub fn envelope(&self, id: MessageId) -> Vec<u8> {
        let clear = self.write(&self.store(id, self.content()), None);
        let parts = Multipart::scan(&clear, &mime::Limits::default()).expect("our message is MIME");
        read_range(&clear, parts.root().range.clone()).expect("memory is readable")
    }

    fn content(&self) -> OutDelivery {
        OutDelivery { package: self.content.package.clone(), attachments: self.content.attachments.clone() }
    }

    fn store(&self, id: MessageId, content: OutDelivery) -> Outgoing {
        let addressee = entry(CertificateRole::Addressee, CertificateUse::Cipher, &self.addressee);
        let order = StoreDelivery {
            header: self.header(MessageType::StoreDelivery, vec![addressee]),
            creation: TimestampQuality::default(),
            reception: TimestampQuality::default(),
            message_id: Some(id),
            subject: Some("Rückmeldung".to_owned()),
        };
        order.compose(content).expect("the order can be composed")
    }

    fn header(&self, message: MessageType, mut certificates: Vec<CertificateEntry>) -> RequestHeader {
        let control = ClientDialog::new().request(message, Challenge::generate(&SystemRandom));
        let control = control.expect("the order needs no dialog before it");
        for purpose in [CertificateUse::Cipher, CertificateUse::Signature] {
            certificates.push(entry(CertificateRole::Originator, purpose, &self.client));
        }
        RequestHeader {
            control,
            languages: Some(DesiredLanguages::new(["de"])),
            certificates: NonIntermediaryCertificates::new(certificates).expect("the certificates differ"),
            features: Some(FeatureDescription::announcing(Feature::ALL)),
            custom: Vec::new(),
        }
    }

    fn write(&self, outgoing: &Outgoing, recipient: Option<&Recipient>) -> Spool {
        self.signed(|signing| seal(outgoing, Some(signing), recipient, &self.spools, &SystemRandom))
            .expect("the message can be written")
    }

    fn signed<T>(&self, write: impl FnOnce(&Signing<'_>) -> T) -> T {
        let signer = self.client.signer();
        let certificate = entry(CertificateRole::Originator, CertificateUse::Signature, &self.client).id;
        write(&Signing {
            signer: &signer,
            by: SignedBy::Client,
            certificate_id: Some(&certificate),
            digest: DigestAlgorithm::Sha256,
        })
    }
}

fn entry(role: CertificateRole, purpose: CertificateUse, party: &Party) -> CertificateEntry {
    let certificate = if purpose == CertificateUse::Cipher { &party.cipher } else { &party.signature };
    CertificateEntry::new(role, purpose, 0, certificate.der())
}
