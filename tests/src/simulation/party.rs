//! The words of a client: requests as bytes, answers as what they say.

use std::sync::Arc;

use rohrpost_crypto::policy::Policy;
use rohrpost_crypto::{DigestAlgorithm, Random};
use rohrpost_osci::algorithms::Encryption;
use rohrpost_osci::compose::{OutContent, OutDelivery, Outgoing, Signing};
use rohrpost_osci::content::{ContainerBuilder, Content, InMemory, Package, PackageBuilder};
use rohrpost_osci::dialog::ControlBlock;
use rohrpost_osci::envelope::{self, SignedBy};
use rohrpost_osci::fault::Fault;
use rohrpost_osci::header::{
    CertificateEntry, CertificateRole, CertificateUse, NonIntermediaryCertificates, TimestampQuality,
};
use rohrpost_osci::message::{
    ExitDialog, FetchDelivery, FetchProcessCard, GetMessageId, InitDialog, RequestHeader, Response, StoreDelivery,
};
use rohrpost_osci::mime;
use rohrpost_osci::ns::MessageType;
use rohrpost_osci::source::{ReadAt, read_range};
use rohrpost_pipeline::keyring::KeyRing;
use rohrpost_pipeline::open::open;
use rohrpost_pipeline::read::read;
use rohrpost_pipeline::seal::{Recipient, seal};
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_pipeline::verify::{SignatureState, Signer, verify};
use time::OffsetDateTime;

use super::keys;
use super::plan::{Ask, Shipment};

/// A client's keys and habits.
pub(super) struct Party {
    /// Whom its cipher certificate belongs to.
    pub(super) name: &'static str,
    keys: KeyRing,
    encrypts: bool,
    policy: Arc<Policy>,
    spools: SpoolDir,
    random: Arc<dyn Random>,
}

/// What an answer says.
#[derive(Clone)]
pub(super) enum Said {
    /// A SOAP fault.
    Fault,
    /// A regular answer.
    Answer(Box<Heard>),
}

/// A regular answer.
#[derive(Clone)]
pub(super) struct Heard {
    pub(super) message_type: MessageType,
    pub(super) response: Response,
    /// The data of the content, if a delivery was handed out.
    pub(super) data: Option<Vec<u8>>,
}

impl Heard {
    /// Whether the order was carried out.
    pub(super) fn is_executed(&self) -> bool {
        self.response.feedback().is_executed()
    }
}

impl Party {
    pub(super) fn new(
        name: &'static str,
        encrypts: bool,
        signs: bool,
        policy: Arc<Policy>,
        spools: SpoolDir,
        random: Arc<dyn Random>,
    ) -> Self {
        let signature = signs.then(|| format!("{name}-signature"));
        let keys = keys::key_ring(&format!("{name}-cipher"), signature.as_deref());
        Self { name, keys, encrypts, policy, spools, random }
    }

    /// The bytes of a request.
    pub(super) fn write(&self, ask: &Ask, control: ControlBlock) -> Vec<u8> {
        let message = self.compose(ask, control);
        let pair = self.keys.signature();
        let id = pair.map(|pair| own_entry(CertificateUse::Signature, pair.certificate.der()).id);
        let signing = pair.map(|pair| Signing {
            signer: &*pair.key,
            by: SignedBy::Client,
            certificate_id: id.as_deref(),
            digest: DigestAlgorithm::Sha256,
        });
        let intermediary = &keys::entry("intermediary-2048-cipher").certificate;
        let recipient =
            self.encrypts.then(|| Recipient { certificate: intermediary.clone(), encryption: Encryption::STANDARD });
        let spool = seal(&message, signing.as_ref(), recipient.as_ref(), &self.spools, &*self.random);
        let spool = spool.expect("what we compose can be written");
        read_range(&spool, 0..spool.len()).expect("a spool can be read")
    }

    /// What the bytes of an answer say.
    ///
    /// # Errors
    /// If they are no answer that a client would take.
    pub(super) fn read(&self, answer: &Spool, now: OffsetDateTime) -> Result<Said, String> {
        let limits = mime::Limits::default();
        let opened = open(answer.clone(), &self.keys, &self.policy, now, &self.spools, &*self.random, &limits);
        let opened = opened.map_err(|error| format!("an answer cannot be opened: {error}"))?;
        let fault = Fault::parse(opened.message(), opened.parts());
        if fault.map_err(|error| format!("a fault cannot be read: {error}"))?.is_some() {
            return Ok(Said::Fault);
        }
        if opened.protection().is_some() != self.encrypts {
            return Err("an answer is not protected as its request was".to_owned());
        }
        let limits = envelope::Limits::default();
        let message = read(opened, &limits).map_err(|error| format!("an answer cannot be read: {error}"))?;
        let verified = verify(message, Signer::Intermediary { expected: None }, &self.policy, now, &limits);
        match (verified.signature(), self.keys.signature()) {
            (SignatureState::Covered { .. }, Some(_)) | (SignatureState::Absent, None) => {}
            (state, _) => return Err(format!("an answer's signature is not as expected: {state:?}")),
        }
        let envelope = verified.read().envelope();
        let response = Response::parse(envelope).map_err(|error| format!("an answer cannot be understood: {error}"))?;
        let data = match envelope.body().package() {
            Some(place) if matches!(response, Response::FetchDelivery(_)) => {
                let opened = verified.read().opened();
                let source: Arc<dyn ReadAt> = Arc::new(opened.message().clone());
                let content = OutContent::received(source, opened.parts().root().range.start, place);
                Some(data_of(&content)?)
            }
            _ => None,
        };
        Ok(Said::Answer(Box::new(Heard { message_type: envelope.message_type(), response, data })))
    }

    fn compose(&self, ask: &Ask, control: ControlBlock) -> Outgoing {
        let named = self.keys.current_cipher().map(|pair| own_entry(CertificateUse::Cipher, pair.certificate.der()));
        let with = |entries: Vec<CertificateEntry>| self.header(control, entries);
        let own = || named.into_iter().collect::<Vec<_>>();
        let message = match ask {
            Ask::Init => InitDialog { header: with(own()) }.compose(),
            Ask::Exit => ExitDialog { header: with(Vec::new()) }.compose(),
            Ask::Id => GetMessageId { header: with(own()) }.compose(),
            Ask::Fetch(selection) => FetchDelivery { header: with(Vec::new()), selection: selection.clone() }.compose(),
            Ask::Cards(selection) => {
                FetchProcessCard { header: with(Vec::new()), selection: selection.clone() }.compose()
            }
            Ask::Store(shipment) => {
                let addressee = &keys::entry(&format!("{}-cipher", shipment.to)).certificate;
                let mut entries = own();
                entries.push(CertificateEntry::new(
                    CertificateRole::Addressee,
                    CertificateUse::Cipher,
                    0,
                    addressee.der(),
                ));
                let order = StoreDelivery {
                    header: with(entries),
                    creation: TimestampQuality::default(),
                    reception: TimestampQuality::default(),
                    message_id: shipment.id.clone(),
                    subject: Some(shipment.subject()),
                };
                order.compose(content(shipment))
            }
        };
        message.expect("our own header blocks can be written")
    }

    fn header(&self, control: ControlBlock, mut entries: Vec<CertificateEntry>) -> RequestHeader {
        if let Some(pair) = self.keys.signature() {
            entries.push(own_entry(CertificateUse::Signature, pair.certificate.der()));
        }
        let certificates = NonIntermediaryCertificates::new(entries).expect("every entry once");
        RequestHeader { control, certificates, ..RequestHeader::default() }
    }
}

fn own_entry(purpose: CertificateUse, der: &[u8]) -> CertificateEntry {
    CertificateEntry::new(CertificateRole::Originator, purpose, 0, der)
}

fn content(shipment: &Shipment) -> OutDelivery {
    let container = ContainerBuilder::new("container").data("data", Arc::new(shipment.data())).build();
    PackageBuilder::new().container(container).build(&InMemory).expect("memory does not fail")
}

/// The data of a content package.
pub(super) fn data_of(content: &OutContent) -> Result<Vec<u8>, String> {
    let package =
        Package::read(content, &InMemory).map_err(|error| format!("a handed out content cannot be read: {error}"))?;
    let mut data =
        package.containers.iter().flat_map(|container| &container.contents).filter_map(|found| match found {
            Content::Data(data) => read_range(&data.bytes, 0..data.bytes.len()).ok(),
            _ => None,
        });
    data.next().ok_or_else(|| "a handed out delivery has no content".to_owned())
}
