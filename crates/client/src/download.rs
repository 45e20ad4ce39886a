//! Large deliveries fetched in chunks (OSCI-Transport 1.2, chunked transfer): what was fetched is kept, whatever breaks.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rohrpost_osci::dialog::ControlBlock;
use rohrpost_osci::feedback::Code;
use rohrpost_osci::header::Feature;
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::{ChunkInformation, PartialFetchDelivery, Response};
use rohrpost_osci::ns::MessageType;
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_pipeline::open::Opened;

use crate::blocking::blocking;
use crate::chunks::{UNIT, private};
use crate::delivery::{Delivery, Handed};
use crate::dialog::Dialog;
use crate::error::{Error, PeerError, Unusable};
use crate::exchange::{Answered, Party, Repeat};

/// The chunks that are there, one behind the other, in a file whose first line says of what.
struct Kept {
    path: PathBuf,
    size: u64,
    message_id: MessageId,
    /// Bytes of the first line.
    head: u64,
    /// Chunks that are complete.
    count: u64,
}

/// How the first line begins.
const MAGIC: &str = "rohrpost-chunks";

impl Kept {
    /// What an earlier try left. Its last chunk is fetched again: then something is left to ask for in any case.
    fn read(path: &Path) -> Result<Option<Self>, Error> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(Error::Storage)?,
        };
        let length = file.metadata().map_err(Error::Storage)?.len();
        let mut line = String::new();
        BufReader::new(file.take(1024)).read_line(&mut line).map_err(Error::Storage)?;
        let words: Vec<&str> = line.trim_end().split(' ').collect();
        let parsed = match words.as_slice() {
            [MAGIC, size, id] => size.parse().ok().zip(MessageId::from_base64(id).ok()),
            _ => None,
        };
        let other = || io::Error::new(io::ErrorKind::InvalidData, "the file holds no chunks of a delivery");
        let (size, message_id): (u64, MessageId) = parsed.ok_or_else(other).map_err(Error::Storage)?;
        let head = line.len() as u64;
        let count = ((length - head) / (size.max(1) * UNIT)).saturating_sub(1);
        Ok(Some(Self { path: path.to_owned(), size, message_id, head, count }))
    }

    fn begin(path: &Path, size: u64, message_id: MessageId) -> Result<Self, Error> {
        let line = format!("{MAGIC} {size} {}\n", message_id.to_base64());
        private(path).and_then(|mut file| file.write_all(line.as_bytes())).map_err(Error::Storage)?;
        Ok(Self { path: path.to_owned(), size, message_id, head: line.len() as u64, count: 0 })
    }

    /// Adds the next chunk, which must be complete unless it is the last.
    fn add(&mut self, chunk: &Opened, is_last: bool) -> Result<(), Error> {
        let [part] = chunk.parts().attachments() else {
            return Err(PeerError::Lacking { what: "the chunk" }.into());
        };
        let at = self.head + self.count * self.size * UNIT;
        let write = || {
            let mut file = File::options().write(true).open(&self.path)?;
            file.set_len(at)?;
            file.seek(SeekFrom::Start(at))?;
            let count = io::copy(&mut part.reader(chunk.message()), &mut file)?;
            file.sync_data().map(|()| count)
        };
        let count = write().map_err(Error::Storage)?;
        if count > self.size * UNIT || (!is_last && count < self.size * UNIT) {
            return Err(PeerError::Lacking { what: "a chunk of the size that was asked for" }.into());
        }
        self.count += 1;
        Ok(())
    }
}

impl Dialog {
    /// Fetches a delivery chunk by chunk and keeps the chunks in this file, which stays until somebody removes it: called again, in
    /// another dialog or after a crash, it goes on with the delivery in the file. What fits into one chunk comes at once, without the
    /// file. Acknowledges the delivery fetched before.
    ///
    /// # Errors
    /// [`Error::Unusable`] if the intermediary offers no chunks. If what came makes no sense as a whole, the file is removed.
    pub async fn fetch_in_chunks(
        &mut self,
        selection: DeliverySelection,
        path: &Path,
    ) -> Result<Option<Delivery>, Error> {
        let party = Arc::clone(&self.client.party);
        let offer = party.offer().filter(|offer| offer.announces(Feature::PartialMessageTransmission));
        let offer = offer.ok_or(Unusable::NoChunks)?;
        let (least, most) = (offer.min_chunk_size.unwrap_or(1), offer.max_chunk_size.unwrap_or(u64::MAX));
        let mut kept = Kept::read(path)?;
        loop {
            let size = kept
                .as_ref()
                .map_or_else(|| party.config.chunks.chunk_size.max(least).min(most).max(1), |kept| kept.size);
            let count = kept.as_ref().map_or(0, |kept| kept.count);
            let wanted = kept
                .as_ref()
                .map_or_else(|| selection.clone(), |kept| DeliverySelection::ById(kept.message_id.clone()));
            let chunk = ChunkInformation {
                number: Some(count + 1),
                size: Some(size),
                received: Some((1..=count).collect()),
                ..ChunkInformation::default()
            };
            let compose = move |party: &Party, control: ControlBlock| {
                let header = party.header(control, Vec::new())?;
                PartialFetchDelivery { header, selection: wanted, chunk }.compose()
            };
            let (order, on_progress) = (MessageType::PartialFetchDelivery, self.client.on_progress.as_ref());
            let answered = match party.order(&mut self.course, order, Repeat::IfUntouched, on_progress, compose).await {
                Err(error) if error.is_refused_with(Code::NoMatchingDelivery) => return Ok(None),
                answered => answered?,
            };
            let Answered { response, opened, envelope, signer } = answered;
            match response {
                Response::FetchDelivery(answer) => {
                    let answer = Handed { header: answer.header, feedback: answer.feedback, card: answer.card };
                    return Ok(Some(Delivery::received(&party, answer, &opened, &envelope, signer)?));
                }
                Response::PartialFetchDelivery(answer) => {
                    let lacking = PeerError::Lacking { what: "the number of chunks" };
                    let total = answer.chunk.and_then(|chunk| chunk.total).ok_or(lacking)?;
                    let id = answer.message_id.ok_or(PeerError::Lacking { what: "the message id" })?;
                    let (path, number) = (path.to_owned(), count + 1);
                    let known = kept.take();
                    let now = blocking(move || {
                        let mut now = match known {
                            Some(known) => known,
                            None => Kept::begin(&path, size, id)?,
                        };
                        now.add(&opened, number >= total)?;
                        Ok(now)
                    })
                    .await?;
                    if number >= total {
                        return self.whole(now).await.map(Some);
                    }
                    kept = Some(now);
                }
                _ => unreachable!("a dialog takes no answer of another type"),
            }
        }
    }

    /// The delivery that all chunks together are.
    async fn whole(&self, kept: Kept) -> Result<Delivery, Error> {
        let party = Arc::clone(&self.client.party);
        blocking(move || {
            let copied = || {
                let mut file = File::open(&kept.path)?;
                file.seek(SeekFrom::Start(kept.head))?;
                let mut writer = party.config.spools.writer();
                io::copy(&mut file, &mut writer)?;
                writer.finish()
            };
            let read = party.receive_whole(copied().map_err(Error::Storage)?).and_then(|answered| {
                let Answered { response, opened, envelope, signer } = answered;
                let Response::FetchDelivery(answer) = response else {
                    return Err(PeerError::Lacking { what: "a delivery" }.into());
                };
                let answer = Handed { header: answer.header, feedback: answer.feedback, card: answer.card };
                Ok(Delivery::received(&party, answer, &opened, &envelope, signer)?)
            });
            if matches!(read, Err(Error::Peer(_))) {
                fs::remove_file(&kept.path).map_err(Error::Storage)?;
            }
            read
        })
        .await
    }
}
