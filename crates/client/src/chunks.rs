//! Large deliveries in chunks (OSCI-Transport 1.2, chunked transfer): only what did not arrive has to be sent again.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rohrpost_osci::dialog::ControlBlock;
use rohrpost_osci::envelope::Envelope;
use rohrpost_osci::feedback::{Code, Feedback};
use rohrpost_osci::header::{
    BlockError, CertificateEntry, CertificateRole, CertificateUse, Feature, FeatureDescription, TimestampQuality,
};
use rohrpost_osci::ids::{Challenge, MessageId};
use rohrpost_osci::message::{
    ChunkInformation, PartialStoreDelivery, Request, Response, ResponseToPartialStoreDelivery, StoreWish,
};
use rohrpost_osci::mime::{Boundary, Multipart};
use rohrpost_osci::ns::MessageType;
use rohrpost_osci::source::{ReadAt, Slice, buffered};
use tracing::debug;

use crate::blocking::blocking;
use crate::client::{Client, Stored};
use crate::error::{Error, PeerError, Refusal, Unusable};
use crate::exchange::{Course, Party, Repeat};
use crate::shipment::{Shipment, Way};
use crate::transport::{Moved, OnProgress};

pub(crate) const UNIT: u64 = 1024;

/// When deliveries are stored in chunks, as far as the intermediary offers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChunkUse {
    /// Deliveries whose contents have at least so many bytes. 32 MiB unless changed; `u64::MAX` for none.
    pub from_bytes: u64,
    /// Size of a chunk in units of 1024 bytes, unless the intermediary wants them smaller or larger. 10,000 unless changed.
    pub chunk_size: u64,
}

impl Default for ChunkUse {
    fn default() -> Self {
        Self { from_bytes: 32 << 20, chunk_size: 10_000 }
    }
}

/// A delivery that is complete as a message, to be stored in chunks. Sending it again goes on with what is missing, as long as it is
/// this very message: signing and sealing anew would make another one.
#[derive(Clone)]
pub struct Upload {
    message_id: MessageId,
    addressee: CertificateEntry,
    message: Arc<dyn ReadAt>,
}

impl Upload {
    /// The delivery in a file that [`Client::prepare_upload`] wrote. Blocks.
    ///
    /// # Errors
    /// [`Error::Storage`] if it cannot be read or holds something else.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        Self::read(Arc::new(File::open(path).map_err(Error::Storage)?))
    }

    /// The delivery's id.
    pub fn message_id(&self) -> &MessageId {
        &self.message_id
    }

    /// Bytes of the whole message.
    pub fn bytes(&self) -> u64 {
        self.message.len()
    }

    fn read(message: Arc<dyn ReadAt>) -> Result<Self, Error> {
        let other = |what: &str| Error::Storage(io::Error::new(io::ErrorKind::InvalidData, what.to_owned()));
        let none = || other("the file holds no delivery to be stored");
        let parts = Multipart::scan(&*message, &Default::default()).map_err(|_| none())?;
        let root = buffered(&*message, parts.root().range.clone());
        let envelope = Envelope::read(BufReader::new(root), &Default::default()).map_err(|_| none())?;
        let Ok(Request::StoreDelivery(order)) = Request::parse(&envelope) else { return Err(none()) };
        let addressee = order.header.certificates.first(CertificateRole::Addressee, CertificateUse::Cipher);
        let addressee = addressee.ok_or_else(none)?.clone();
        let message_id = order.message_id.ok_or_else(none)?;
        Ok(Self { message_id, addressee, message })
    }
}

impl Client {
    /// Makes a delivery that is to be stored in chunks, and keeps it in this file until somebody removes it: so that it can be gone on
    /// with after a crash. The file is complete and durable when it has its name.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn prepare_upload(&self, shipment: Shipment, path: &Path) -> Result<Upload, Error> {
        let (id, party, path) = (self.id_of(&shipment).await?, Arc::clone(&self.party), path.to_owned());
        blocking(move || {
            let beside = path.with_extension("incomplete");
            let file = private(&beside).map_err(Error::Storage)?;
            let file = write_whole(&party, shipment, id, file)?;
            let named = file.sync_all().and_then(|()| fs::rename(&beside, &path));
            named.and_then(|()| sync_folder(&path)).map_err(Error::Storage)?;
            Upload::from_file(&path)
        })
        .await
    }

    /// Stores a delivery chunk by chunk; what the intermediary has already is not sent again.
    ///
    /// # Errors
    /// [`Error::Unusable`] if the intermediary offers no chunks, [`Error::Refused`] with its feedback on the delivery. After any other
    /// error the same call goes on.
    pub async fn upload(&self, upload: &Upload) -> Result<Stored, Error> {
        // Asks before anything is sent; the answer tells the sizes as well.
        let before = self.ask(upload).await?;
        let offer = self.party.offer().ok_or(Unusable::NoChunks)?;
        let size = self.chunk_size(&offer, upload.message.len()).ok_or(Unusable::NoChunks)?;
        if before.inside.is_some() {
            return concluded(upload, before, true);
        }
        let received = before.chunk.and_then(|chunk| chunk.received).unwrap_or_default();
        let received: BTreeSet<u64> = received.into_iter().collect();
        let total = upload.message.len().div_ceil(size * UNIT).max(1);
        let mut last = None;
        for number in (1..=total).filter(|number| !received.contains(number)) {
            match self.send_chunk(upload, number, size, total).await {
                Ok(answer) => last = Some(answer),
                // An earlier try had brought it, and its answer was lost.
                Err(error) if error.is_refused_with(Code::ChunkAlreadyPresent) => {}
                Err(error) => return Err(error),
            }
        }
        let mut answer = match last {
            Some(answer) if answer.inside.is_some() => answer,
            _ => self.ask(upload).await?,
        };
        let mut tries = 0;
        while answer.inside.is_none() {
            if tries >= PATIENCE {
                let lacking = PeerError::Lacking { what: "the outcome of a delivery that came in chunks" };
                let (message_id, source) = (upload.message_id.clone(), Box::new(lacking.into()));
                return Err(Error::OutcomeUnknown { message_id, source });
            }
            tokio::time::sleep(PAUSE).await;
            tries += 1;
            answer = self.ask(upload).await?;
        }
        concluded(upload, answer, false)
    }

    /// Stores a delivery in chunks if it is large enough and the intermediary offers it; otherwise gives it back, with an id if one
    /// was asked for.
    pub(crate) async fn store_in_chunks(&self, shipment: Shipment) -> Result<Result<Stored, Shipment>, Error> {
        if shipment.content_bytes() < self.party.config.chunks.from_bytes {
            return Ok(Err(shipment));
        }
        if self.party.offer().is_none() || shipment.message_id.is_none() {
            // Every answer tells what is offered.
            let id = self.message_id().await?;
            if shipment.message_id.is_none() {
                return Box::pin(self.store_in_chunks(shipment.with_message_id(id))).await;
            }
        }
        let offered = self.party.offer().and_then(|offer| self.chunk_size(&offer, shipment.content_bytes()));
        if offered.is_none() {
            return Ok(Err(shipment));
        }
        let (id, party) = (self.id_of(&shipment).await?, Arc::clone(&self.party));
        let upload = blocking(move || {
            let writer = party.config.spools.writer();
            let spool = write_whole(&party, shipment, id, writer)?.finish().map_err(Error::Storage)?;
            Upload::read(Arc::new(spool))
        })
        .await?;
        self.upload(&upload).await.map(Ok)
    }

    async fn id_of(&self, shipment: &Shipment) -> Result<MessageId, Error> {
        match &shipment.message_id {
            Some(id) => Ok(id.clone()),
            None => self.message_id().await,
        }
    }

    /// The size of chunks for a message of so many bytes, if it can be stored in chunks.
    fn chunk_size(&self, offer: &FeatureDescription, bytes: u64) -> Option<u64> {
        let fits = offer.max_message_size.is_none_or(|most| bytes / UNIT <= most);
        let (least, most) = (offer.min_chunk_size.unwrap_or(1), offer.max_chunk_size.unwrap_or(u64::MAX));
        let offered = offer.announces(Feature::PartialMessageTransmission) && fits && least <= most;
        offered.then(|| self.party.config.chunks.chunk_size.max(least).min(most).max(1))
    }

    async fn ask(&self, upload: &Upload) -> Result<ResponseToPartialStoreDelivery, Error> {
        self.partial(upload, StoreWish::InfoOnly, None, None).await
    }

    async fn send_chunk(
        &self,
        upload: &Upload,
        number: u64,
        size: u64,
        total: u64,
    ) -> Result<ResponseToPartialStoreDelivery, Error> {
        let (start, whole) = ((number - 1) * size * UNIT, upload.message.len());
        let chunk: Arc<dyn ReadAt> =
            Arc::new(Slice::new(Arc::clone(&upload.message), start..start.saturating_add(size * UNIT)));
        let information = ChunkInformation {
            number: Some(number),
            size: Some(size),
            total: Some(total),
            message_size: Some(whole / UNIT),
            received: None,
        };
        debug!(number, total, "sending a chunk");
        let on_progress = self.on_progress.as_ref().map(|on_progress| of_the_whole(on_progress, start, whole));
        self.partial(upload, StoreWish::Chunk(information), Some(chunk), on_progress.as_ref()).await
    }

    async fn partial(
        &self,
        upload: &Upload,
        wish: StoreWish,
        chunk: Option<Arc<dyn ReadAt>>,
        on_progress: Option<&OnProgress>,
    ) -> Result<ResponseToPartialStoreDelivery, Error> {
        let (addressee, id) = (upload.addressee.clone(), PartialStoreDelivery::id_for(&upload.message_id));
        let id = id.map_err(|source| BlockError::BadIdentifier { element: "MessageId".to_owned(), source });
        let id = id.map_err(Unusable::from)?;
        let compose = move |party: &Party, control: ControlBlock| {
            let header = party.header(control, vec![party.cipher_entry(), addressee])?;
            let (creation, message_id) = (TimestampQuality::Plain, Some(id));
            PartialStoreDelivery { header, creation, message_id, subject: None, wish }.compose(chunk)
        };
        let (order, mut course) = (MessageType::PartialStoreDelivery, Course::default());
        match self.party.order(&mut course, order, Repeat::IfLost, on_progress, compose).await?.response {
            Response::PartialStoreDelivery(answer) => Ok(*answer),
            _ => unreachable!("a dialog takes no answer of another type"),
        }
    }
}

/// How often, and after which pauses, the intermediary is asked what became of a complete delivery.
const PATIENCE: u32 = 120;
const PAUSE: Duration = Duration::from_secs(1);

/// What the intermediary says of the delivery itself.
fn concluded(upload: &Upload, answer: ResponseToPartialStoreDelivery, repeated: bool) -> Result<Stored, Error> {
    let feedback: Feedback = answer.inside.unwrap_or(answer.feedback);
    if !feedback.is_executed() {
        return Err(Error::Refused(Refusal { order: MessageType::StoreDelivery, feedback, correlation_id: None }));
    }
    Ok(Stored { message_id: upload.message_id.clone(), card: answer.card, feedback, repeated })
}

/// The whole order, neither signed nor encrypted: the messages around its chunks are.
fn write_whole<W: Write>(party: &Party, shipment: Shipment, id: MessageId, out: W) -> Result<W, Error> {
    let random = &*party.config.random;
    let control = ControlBlock {
        challenge: Some(Challenge::generate(random)),
        sequence_number: Some(0),
        ..ControlBlock::default()
    };
    let outgoing = shipment.build(party, Way::Mailbox)?.compose(party, control, id).map_err(Unusable::from)?;
    let written = outgoing.write(None, &Boundary::generate(random), out);
    written.map_err(|error| match error {
        rohrpost_osci::compose::ComposeError::Io(error) => Error::Storage(error),
        error => Unusable::Compose(error.into()).into(),
    })
}

/// Progress of one chunk as progress of the whole.
fn of_the_whole(on_progress: &OnProgress, before: u64, whole: u64) -> OnProgress {
    let on_progress = Arc::clone(on_progress);
    Arc::new(move |moved| {
        if let Moved::Sent { bytes, .. } = moved {
            on_progress(Moved::Sent { bytes: (before + bytes).min(whole), total: whole });
        }
    })
}

/// A new file for our eyes only.
pub(crate) fn private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

/// Shows no content.
impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upload({}, {} bytes)", self.message_id, self.message.len())
    }
}
