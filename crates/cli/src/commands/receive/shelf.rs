//! Deliveries as folders: complete and on the disk before they are accepted, and accepted once.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rohrpost_client::{Bytes, NewAttachment, NewContainer};
use rohrpost_pipeline::keyring::SignaturePair;
use rohrpost_recipient::{Received, Recipient, Refusal, Reply};
use serde_json::{Value, json};
use tracing::{error, info};

use super::decider::{Decider, Said};
use crate::commands::folder::{FILLING, Folder, name_of, sync};
use crate::commands::{kept, party, send};
use crate::failure::{Failure, Kind};
use crate::secrets::private_folder;

/// What is known of a delivery beside its files.
const ABOUT: &str = "delivery.json";
/// The folder for what becomes the reply.
const REPLY: &str = "reply";
/// Held while the process lives.
const LOCK: &str = ".rohrpost.lock";

/// The folder of folders.
pub(super) struct Shelf {
    directory: PathBuf,
    decider: Option<Decider>,
    /// Who signs replies.
    author: Option<SignaturePair>,
    _lock: File,
}

impl Shelf {
    /// Takes possession of a folder, and removes what a process that was killed left unfinished there.
    pub(super) fn open(directory: &Path, decider: Option<Decider>, author: Option<SignaturePair>) -> Result<Self> {
        let unusable = || {
            Failure::new(Kind::Configuration, format!("cannot use {}", directory.display()))
                .remedy("check path and rights")
        };
        // Content in clear is for nobody else, unless somebody made the folder who wants it so.
        private_folder(directory).with_context(unusable)?;
        // Programs get to see the path, and may be somewhere else.
        let directory = directory.canonicalize().with_context(unusable)?;
        let lock = File::create(directory.join(LOCK)).with_context(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::new(Kind::Configuration, format!("{} is in use", directory.display()))
                    .cause("another `rohrpost receive` keeps its deliveries there")
                    .remedy("end it, or give this one a folder of its own")
                    .into());
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(unusable),
        }
        for entry in fs::read_dir(&directory).with_context(unusable)? {
            let entry = entry.with_context(unusable)?;
            if entry.file_name().to_string_lossy().starts_with(FILLING) && entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path()).with_context(unusable)?;
            }
        }
        Ok(Self { directory, decider, author, _lock: lock })
    }

    /// The folder of the delivery; made, unless it is there already.
    fn keep(&self, delivery: &Received, wants_reply: bool) -> Result<Result<PathBuf, Refusal>> {
        if let Some(folder) = self.kept_before(delivery)? {
            info!(folder = ?name(&folder), "delivered again; it is kept already");
            return Ok(Ok(folder));
        }
        let mut folder = Folder::new(self.directory.clone())?;
        folder.reserve(ABOUT);
        folder.reserve(REPLY);
        let items = kept::fill(&mut folder, &delivery.contents)?;
        let mut about = kept::contents_json(Path::new(""), &items, &delivery.contents);
        describe(&mut about, delivery, wants_reply);
        durable(&folder.path().join(ABOUT), about.to_string().as_bytes())?;
        if let Some(refusal) = self.refused(&folder, delivery, wants_reply)? {
            return Ok(Err(refusal));
        }
        let folder = match delivery.message_id() {
            Some(id) => folder.finish_as(&name_of(id.as_str()))?,
            None => folder.finish("without-id")?,
        };
        info!(folder = ?name(&folder), "delivery kept");
        Ok(Ok(folder))
    }

    fn kept_before(&self, delivery: &Received) -> Result<Option<PathBuf>> {
        let Some(id) = delivery.message_id() else { return Ok(None) };
        let folder = self.directory.join(name_of(id.as_str()));
        let about = match fs::read(folder.join(ABOUT)) {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let about: Value = serde_json::from_slice(&about)?;
        if about["message_id"] != json!(id.as_str()) {
            bail!("the folder is taken by a delivery with another message id");
        }
        // Who gave it its name may have been killed before that was on the disk.
        sync(&self.directory)?;
        Ok(Some(folder))
    }

    /// What the one who decides says, if there is one.
    fn refused(&self, folder: &Folder, delivery: &Received, wants_reply: bool) -> Result<Option<Refusal>> {
        let Some(decider) = &self.decider else { return Ok(wants_reply.then_some(Refusal::Declined)) };
        let reply = folder.path().join(REPLY);
        if wants_reply {
            fs::create_dir(&reply)?;
        }
        let name = delivery.message_id().map(|id| self.directory.join(name_of(id.as_str())));
        let said = decider.ask(folder.path(), name.as_deref(), wants_reply.then_some(&*reply))?;
        info!(%said, "asked about the delivery");
        match said {
            Said::Yes => {}
            Said::No => return Ok(Some(Refusal::Declined)),
            Said::Failed(_) => return Ok(Some(Refusal::Failed)),
        }
        if wants_reply {
            if files(&reply)?.is_empty() {
                error!("there is no reply");
                return Ok(Some(Refusal::Failed));
            }
            for file in files(&reply)? {
                File::open(file)?.sync_all()?;
            }
            sync(&reply)?;
        }
        Ok(None)
    }

    /// The reply from the files that the program or application left.
    fn reply(&self, folder: &Path, delivery: &Received) -> Result<Reply> {
        let sender = delivery.originator().context("there is no certificate to seal the reply for")?;
        let mut container = NewContainer::new();
        for file in files(&folder.join(REPLY))? {
            let name = file.file_name().unwrap_or_default().to_str().context("the name of a file is not UTF-8")?;
            let bytes = Bytes::from_file(&file)?;
            container = match name.split('.').next() {
                Some("content") => container.data(bytes),
                _ => container.attachment(NewAttachment::new(name, send::media_type(&file), bytes)),
            };
        }
        if let Some(author) = &self.author {
            container = container.signed_by(author.clone());
        }
        let reply = Reply::new().with_container(container.sealed_for(sender));
        let subject = delivery.card.as_ref().and_then(|card| card.card.subject.clone());
        Ok(subject.into_iter().fold(reply, Reply::with_subject))
    }
}

impl Recipient for Shelf {
    fn accept(&self, delivery: &Received) -> Result<(), Refusal> {
        self.keep(delivery, false).unwrap_or_else(|error| Err(failed(&error))).map(drop)
    }

    fn process(&self, delivery: &Received) -> Result<Reply, Refusal> {
        if delivery.originator().is_none() {
            error!("the sender gave no certificate to seal a reply for");
            return Err(Refusal::Failed);
        }
        let folder = self.keep(delivery, true).unwrap_or_else(|error| Err(failed(&error)))?;
        self.reply(&folder, delivery).map_err(|error| failed(&error))
    }
}

fn failed(error: &anyhow::Error) -> Refusal {
    error!(error = format!("{error:#}"), "the delivery cannot be taken");
    Refusal::Failed
}

fn describe(about: &mut Value, delivery: &Received, wants_reply: bool) {
    about["message_id"] = json!(delivery.message_id().map(|id| id.as_str()));
    about["wants_reply"] = json!(wants_reply);
    about["reply_id"] = json!(delivery.reply_id.as_ref().map(|id| id.as_str()));
    about["intermediary"] = json!(delivery.intermediary.as_ref().map(|signer| signer.fingerprint().to_string()));
    about["originator"] = json!(delivery.originator().map(|originator| originator.fingerprint().to_string()));
    about["card"] = json!(delivery.card.as_ref().map(party::card_json));
    about["correlation_id"] = json!(delivery.correlation_id);
}

fn durable(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The last part of a path, for the log.
fn name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The files of a folder, by name; neither links nor folders.
pub(super) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}
