//! Clients that keep to the protocol.

use std::io::Read;
use std::sync::Arc;

use rohrpost_crypto::SystemRandom;
use rohrpost_osci::compose::{OutAttachment, OutContent, OutDelivery, Outgoing};
use rohrpost_osci::content::{ContainerBuilder, Content, InMemory, NewAttachment, Package, PackageBuilder};
use rohrpost_osci::dialog::ClientDialog;
use rohrpost_osci::envelope::BlockKind;
use rohrpost_osci::header::{
    CertificateEntry, CertificateRole, CertificateUse, CustomBlock, DesiredLanguages, Feature, FeatureDescription,
    NonIntermediaryCertificates, TimestampQuality,
};
use rohrpost_osci::ids::{Challenge, MessageId};
use rohrpost_osci::message::{
    ChunkInformation, ExitDialog, FetchDelivery, FetchProcessCard, ForwardDelivery, GetMessageId, InitDialog,
    MediateCard, MediateDelivery, PartialFetchDelivery, PartialStoreDelivery, RequestHeader, Response, StoreDelivery,
    StoreWish,
};
use rohrpost_osci::ns::MessageType;
use rohrpost_osci::selection::{CardSelection, DeliverySelection};
use rohrpost_osci::source::{ReadAt, read_range};
use rohrpost_pipeline::verify::{SignatureState, Verified};
use time::OffsetDateTime;

use super::bench::numbers;
use super::{Answer, Bench, Draft, NOW, Seal, der, key, rsa_signer};

/// A specialist application.
pub struct Client {
    /// Its cipher key.
    pub cipher: &'static str,
    /// The key it signs with, if it signs.
    pub signature: Option<&'static str>,
    /// Whether it encrypts.
    pub sealed: bool,
    /// The intermediary's cipher key.
    pub intermediary: &'static str,
    pub languages: &'static str,
    dialog: ClientDialog,
}

impl Client {
    /// One that signs and encrypts.
    pub fn new(cipher: &'static str, signature: &'static str) -> Self {
        Self {
            cipher,
            signature: Some(signature),
            sealed: true,
            intermediary: "intermediary-cipher",
            languages: "de",
            dialog: ClientDialog::new(),
        }
    }

    /// The originator of most tests.
    pub fn alice() -> Self {
        Self::new("alice-cipher", "alice-signature")
    }

    /// The addressee of most tests.
    pub fn bob() -> Self {
        Self::new("bob-cipher", "bob-signature")
    }

    /// The same without signatures.
    pub fn unsigned(mut self) -> Self {
        self.signature = None;
        self
    }

    /// The same without encryption.
    pub fn in_clear(mut self) -> Self {
        self.sealed = false;
        self
    }

    /// Opens a dialog.
    pub fn init(&mut self) -> Draft {
        let header = self.header(MessageType::InitDialog, Vec::new());
        self.draft(&InitDialog { header }.compose().unwrap())
    }

    /// Closes a dialog.
    pub fn exit(&mut self) -> Draft {
        let header = self.header(MessageType::ExitDialog, Vec::new());
        self.draft(&ExitDialog { header }.compose().unwrap())
    }

    /// Asks for a message id.
    pub fn get_message_id(&mut self) -> Draft {
        let header = self.header(MessageType::GetMessageId, Vec::new());
        self.draft(&GetMessageId { header }.compose().unwrap())
    }

    /// Fetches a delivery.
    pub fn fetch(&mut self, selection: DeliverySelection) -> Draft {
        let header = self.header(MessageType::FetchDelivery, Vec::new());
        self.draft(&FetchDelivery { header, selection }.compose().unwrap())
    }

    /// Fetches cards.
    pub fn cards(&mut self, selection: CardSelection) -> Draft {
        let header = self.header(MessageType::FetchProcessCard, Vec::new());
        self.draft(&FetchProcessCard { header, selection }.compose().unwrap())
    }

    /// Stores a delivery.
    pub fn store(&mut self, delivery: Delivery) -> Draft {
        let mut header = self.header(MessageType::StoreDelivery, delivery.certificates);
        header.custom = delivery.custom;
        let order = StoreDelivery {
            header,
            creation: delivery.creation,
            reception: delivery.reception,
            message_id: delivery.message_id,
            subject: delivery.subject,
        };
        self.draft(&order.compose(delivery.content).unwrap())
    }

    /// The message of a delivery that is to be stored in chunks: neither signed nor encrypted, outside of any dialog.
    pub fn whole(&self, delivery: Delivery) -> Vec<u8> {
        let mut client = Self::new(self.cipher, "").unsigned().in_clear();
        let draft = client.store(delivery);
        client.encode(&draft)
    }

    /// Stores one chunk of a delivery to Bob, or asks how far it is.
    pub fn store_chunk(&mut self, delivery: &MessageId, wish: StoreWish, chunk: Option<&[u8]>) -> Draft {
        let addressee = CertificateEntry::new(CertificateRole::Addressee, CertificateUse::Cipher, 0, der("bob-cipher"));
        let order = PartialStoreDelivery {
            header: self.header(MessageType::PartialStoreDelivery, vec![addressee]),
            creation: TimestampQuality::default(),
            message_id: Some(PartialStoreDelivery::id_for(delivery).unwrap()),
            subject: None,
            wish,
        };
        let chunk = chunk.map(|chunk| Arc::new(chunk.to_vec()) as Arc<dyn ReadAt>);
        self.draft(&order.compose(chunk).unwrap())
    }

    /// Fetches one chunk of a delivery.
    pub fn fetch_chunk(&mut self, selection: DeliverySelection, chunk: ChunkInformation) -> Draft {
        let header = self.header(MessageType::PartialFetchDelivery, Vec::new());
        self.draft(&PartialFetchDelivery { header, selection, chunk }.compose().unwrap())
    }

    /// Has a delivery forwarded.
    pub fn forward(&mut self, receiver: &str, delivery: Delivery) -> Draft {
        let mut header = self.header(MessageType::ForwardDelivery, delivery.certificates);
        header.custom = delivery.custom;
        let order = ForwardDelivery {
            header,
            creation: delivery.creation,
            reception: delivery.reception,
            receiver: receiver.to_owned(),
            message_id: delivery.message_id,
            subject: delivery.subject,
        };
        self.draft(&order.compose(delivery.content).unwrap())
    }

    /// Has a delivery mediated, with process cards if it has an id.
    pub fn mediate(&mut self, receiver: &str, delivery: Delivery) -> Draft {
        let header = self.header(MessageType::MediateDelivery, delivery.certificates);
        let subject = delivery.subject;
        let card = delivery.message_id.map(|message_id| MediateCard {
            message_id,
            subject,
            creation: delivery.creation,
            reception: delivery.reception,
        });
        let order = MediateDelivery { header, receiver: receiver.to_owned(), card };
        self.draft(&order.compose(delivery.content).unwrap())
    }

    /// The bytes of a request: signed and encrypted as this client does it.
    pub fn encode(&self, draft: &Draft) -> Vec<u8> {
        let signature = self.signature.map(|name| draft.signature().sign(&rsa_signer(name)));
        let message = draft.mime(&draft.envelope(signature.as_deref()));
        if self.sealed { Seal::new(&message, key(self.intermediary)).write() } else { message }
    }

    /// Reads an answer, checks its signature and lets the dialog go on.
    pub fn read(&mut self, answer: &Answer) -> Verified {
        let verified = answer.opened(key(self.cipher));
        assert_eq!(verified.read().opened().protection().is_some(), self.sealed);
        match verified.signature() {
            SignatureState::Covered { .. } => assert!(self.signature.is_some(), "signed without need"),
            SignatureState::Absent => assert!(self.signature.is_none(), "not signed"),
            other => panic!("{other:?}"),
        }
        let response = Response::parse(verified.read().envelope()).unwrap();
        self.dialog.response(verified.read().envelope().message_type(), response.control()).unwrap();
        let told = numbers(response.feedback().entries().iter().map(|entry| entry.code));
        assert_eq!(answer.codes, told, "the log says something else than the answer");
        verified
    }

    /// One exchange at [`NOW`].
    pub fn send(&mut self, bench: &Bench, draft: &Draft) -> Response {
        self.send_at(bench, draft, NOW)
    }

    /// One exchange.
    pub fn send_at(&mut self, bench: &Bench, draft: &Draft, now: OffsetDateTime) -> Response {
        let answer = bench.handle_at(self.encode(draft), now);
        Response::parse(self.read(&answer).read().envelope()).unwrap()
    }

    /// One exchange at [`NOW`]; the codes of the answer.
    pub fn codes(&mut self, bench: &Bench, draft: &Draft) -> Vec<u16> {
        self.codes_at(bench, draft, NOW)
    }

    /// One exchange; the codes of the answer.
    pub fn codes_at(&mut self, bench: &Bench, draft: &Draft, now: OffsetDateTime) -> Vec<u16> {
        let response = self.send_at(bench, draft, now);
        numbers(response.feedback().entries().iter().map(|entry| entry.code))
    }

    /// Fetches a delivery: the codes, and the delivery if there is one.
    pub fn fetch_at(
        &mut self,
        bench: &Bench,
        selection: DeliverySelection,
        now: OffsetDateTime,
    ) -> (Vec<u16>, Option<Delivered>) {
        let draft = self.fetch(selection);
        let answer = bench.handle_at(self.encode(&draft), now);
        let verified = self.read(&answer);
        (answer.codes, Delivered::read(&verified))
    }

    /// Opens a dialog at [`NOW`].
    pub fn open(self, bench: &Bench) -> Self {
        self.open_at(bench, NOW)
    }

    /// Opens a dialog.
    pub fn open_at(mut self, bench: &Bench, now: OffsetDateTime) -> Self {
        let draft = self.init();
        assert_eq!(self.codes_at(bench, &draft, now), [801]);
        self
    }

    /// Opens a dialog of a client whose cipher certificate causes a warning.
    pub fn open_warned(mut self, bench: &Bench, warning: u16) -> Self {
        let draft = self.init();
        assert_eq!(self.codes(bench, &draft), [801, warning]);
        self
    }

    /// Stores a delivery for an addressee at some time, outside of any dialog; its id.
    pub fn deliver(bench: &Bench, addressee: &str, now: OffsetDateTime) -> MessageId {
        let id = bench.fresh_id();
        let mut client = Self::alice().in_clear().unsigned();
        let draft = client.store(Delivery::to(addressee, &id));
        assert_eq!(client.codes_at(bench, &draft, now), [800]);
        id
    }

    /// The dialog went wrong.
    pub fn give_up(&mut self) {
        self.dialog.give_up();
    }

    /// The common blocks of the next request.
    pub fn header(&mut self, order: MessageType, more: Vec<CertificateEntry>) -> RequestHeader {
        let control = self.dialog.request(order, Challenge::generate(&SystemRandom)).unwrap();
        let names_client = !matches!(
            order,
            MessageType::FetchDelivery
                | MessageType::PartialFetchDelivery
                | MessageType::FetchProcessCard
                | MessageType::ExitDialog
        );
        let cipher = names_client.then_some(self.cipher);
        RequestHeader {
            control,
            languages: Some(DesiredLanguages::new(self.languages.split(' '))),
            certificates: certificates(cipher, self.signature, more),
            features: Some(FeatureDescription::announcing(Feature::ALL)),
            custom: Vec::new(),
        }
    }

    fn draft(&self, message: &Outgoing) -> Draft {
        Draft::of(message)
    }
}

/// The certificates of a header: the originator's and others.
pub fn certificates(
    cipher: Option<&str>,
    signature: Option<&str>,
    mut more: Vec<CertificateEntry>,
) -> NonIntermediaryCertificates {
    let own = [(cipher, CertificateUse::Cipher), (signature, CertificateUse::Signature)];
    more.extend(own.into_iter().filter_map(|(name, purpose)| {
        Some(CertificateEntry::new(CertificateRole::Originator, purpose, 0, der(name?)))
    }));
    NonIntermediaryCertificates::new(more).unwrap()
}

/// A delivery to be stored.
pub struct Delivery {
    pub message_id: Option<MessageId>,
    pub subject: Option<String>,
    /// Certificates of everybody but the originator.
    pub certificates: Vec<CertificateEntry>,
    pub custom: Vec<CustomBlock>,
    pub content: OutDelivery,
    /// Which stamps its card is to have.
    pub creation: TimestampQuality,
    pub reception: TimestampQuality,
}

impl Delivery {
    /// A small one.
    pub fn to(addressee: &str, id: &MessageId) -> Self {
        Self {
            message_id: Some(id.clone()),
            subject: Some("Anmeldung".to_owned()),
            certificates: vec![CertificateEntry::new(
                CertificateRole::Addressee,
                CertificateUse::Cipher,
                0,
                der(addressee),
            )],
            custom: Vec::new(),
            content: content(b"Inhalt", &[]),
            creation: TimestampQuality::Plain,
            reception: TimestampQuality::Plain,
        }
    }
}

/// A package with one container that holds these data and attachments.
pub fn content(data: &[u8], attachments: &[(&str, &[u8])]) -> OutDelivery {
    let mut container = ContainerBuilder::new("container").data("data", Arc::new(data.to_vec()));
    for (at, (name, bytes)) in attachments.iter().enumerate() {
        let attachment = NewAttachment::new(*name, "application/pdf", Arc::new(bytes.to_vec()));
        container = container.attachment(format!("attachment{at}"), attachment);
    }
    PackageBuilder::new().container(container.build()).build(&InMemory).unwrap()
}

/// A delivery that was fetched.
#[derive(Debug, PartialEq, Eq)]
pub struct Delivered {
    pub message_id: MessageId,
    pub subject: Option<String>,
    /// Data contents: `Id` and bytes.
    pub data: Vec<(String, Vec<u8>)>,
    /// Attachments: name, media type and decoded bytes.
    pub attachments: Vec<(String, String, Vec<u8>)>,
    pub certificates: NonIntermediaryCertificates,
    /// Custom blocks as they are in the answer.
    pub custom: Vec<String>,
}

impl Delivered {
    /// What an answer hands out.
    pub fn read(answer: &Verified) -> Option<Self> {
        let envelope = answer.read().envelope();
        let Response::FetchDelivery(response) = Response::parse(envelope).unwrap() else {
            panic!("an answer to something else")
        };
        let card = response.card?;
        let (package, opened) = (Self::package(answer)?, answer.read().opened());
        let attachments = opened.parts().attachments().iter().map(|part| {
            let mut bytes = Vec::new();
            part.reader(opened.message()).read_to_end(&mut bytes).unwrap();
            (part.content_id.clone(), part.content_type.clone(), bytes)
        });
        Some(Self {
            message_id: card.message_id,
            subject: card.card.subject,
            data: Self::data(&package),
            attachments: attachments.collect(),
            certificates: response.header.certificates,
            custom: envelope.blocks_of(BlockKind::Custom).map(|block| block.canonical.clone()).collect(),
        })
    }

    /// The data contents of a package: `Id` and bytes.
    pub fn data(package: &Package) -> Vec<(String, Vec<u8>)> {
        let contents = package.containers.iter().flat_map(|container| &container.contents);
        let data = contents.filter_map(|content| match content {
            Content::Data(data) => Some((data.id.clone(), bytes(&data.bytes))),
            _ => None,
        });
        data.collect()
    }

    /// The content of an answer.
    pub fn package(answer: &Verified) -> Option<Package> {
        let opened = answer.read().opened();
        let place = answer.read().envelope().body().package()?;
        let source: Arc<dyn ReadAt> = Arc::new(opened.message().clone());
        Some(Package::read(&OutContent::received(source, opened.parts().root().range.start, place), &InMemory).unwrap())
    }
}

fn bytes(blob: &Arc<dyn ReadAt>) -> Vec<u8> {
    read_range(blob, 0..blob.len()).unwrap()
}

/// An attachment to be sent.
pub fn attachment(name: &str, bytes: &[u8]) -> OutAttachment {
    OutAttachment::new(name, "application/pdf", Arc::new(bytes.to_vec()))
}
