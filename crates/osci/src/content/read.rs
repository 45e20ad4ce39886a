//! Reads a content package into a tree. Data goes to blobs, everything large stays where it is.

use std::fmt;
use std::io::{self, BufReader};
use std::sync::Arc;

use rohrpost_xmlsec::base64::DecodeWriter;
use rohrpost_xmlsec::enc::{self, EncryptedData, EncryptionMalformed};
use rohrpost_xmlsec::reader::{Event, StartTag, StrictReader};
use rohrpost_xmlsec::tree::Element;
use rohrpost_xmlsec::{Limits, NsContext, XmlError};
use thiserror::Error;

use super::blob::Blobs;
use super::decrypt::{AttachmentKey, Sealed};
use super::place::{Place, Source};
use crate::compose::OutContent;
use crate::header::read::is_white;
use crate::ns::{DS, OSCI, XENC};
use crate::source::{ReadAt, reader};

/// A content package (OSCI-Transport 1.2, content data). The order of its parts means nothing.
#[derive(Debug, Clone, Default)]
pub struct Package {
    /// The readable containers.
    pub containers: Vec<Container>,
    /// The encrypted containers.
    pub encrypted: Vec<EncryptedContainer>,
}

/// A container: contents, and the signatures of their authors.
#[derive(Debug, Clone)]
pub struct Container {
    /// Its `Id`, unique in the message.
    pub id: String,
    /// The contents.
    pub contents: Vec<Content>,
    /// Encrypted containers within.
    pub encrypted: Vec<EncryptedContainer>,
    /// The signatures over it, not verified; see [`Package::verify`].
    pub signatures: Vec<Element>,
    pub(super) attachment_keys: Vec<AttachmentKey>,
}

/// One content of a container.
#[derive(Debug, Clone)]
pub enum Content {
    /// Data in the message itself.
    Data(Data),
    /// A reference to an attachment.
    Attachment(AttachmentReference),
    /// A container within the container.
    Container(NestedContainer),
}

/// Data in the message itself, decoded.
#[derive(Clone)]
pub struct Data {
    /// Its `Id`.
    pub id: String,
    /// The bytes.
    pub bytes: Arc<dyn ReadAt>,
}

/// A reference to an attachment of the message.
#[derive(Clone)]
pub struct AttachmentReference {
    /// `Id` of the content.
    pub id: String,
    /// The attachment's name, which the sender chose.
    pub content_id: String,
    pub(super) place: Place,
}

/// A container within a container.
#[derive(Debug, Clone)]
pub struct NestedContainer {
    /// `Id` of the content around it.
    pub id: String,
    /// The container.
    pub container: Container,
    pub(super) place: Place,
}

/// An encrypted container.
#[derive(Debug, Clone)]
pub struct EncryptedContainer {
    /// `Id` of the encrypted data, if it has one.
    pub id: Option<String>,
    /// Algorithms and readers, if they are known to us.
    pub encryption: Option<EncryptedData>,
    /// What became of it. Fresh from reading, it is [`Sealed::Untried`].
    pub content: Result<Box<Container>, Sealed>,
    pub(super) place: Place,
}

/// Why content cannot be read as what it should be.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ContentError {
    /// Reading or writing failed; not the sender's fault.
    #[error("the content could not be read or its data could not be written")]
    Io(#[from] io::Error),
    /// The XML is not well-formed or not allowed.
    #[error("the content is not acceptable XML")]
    Xml(#[source] XmlError),
    /// An element where it may not be.
    #[error("{element} may not stand in {parent}")]
    Misplaced {
        /// Local name of the element.
        element: String,
        /// Local name of its parent.
        parent: &'static str,
    },
    /// Text where only elements may be.
    #[error("{parent} contains text where only elements may be")]
    Text {
        /// Local name of the element.
        parent: &'static str,
    },
    /// A container or content without the `Id` that signatures refer to.
    #[error("{element} has no Id")]
    MissingId {
        /// Local name of the element.
        element: &'static str,
    },
    /// A content that is neither data nor attachment nor container.
    #[error("a content holds neither data nor a container, and refers to no attachment")]
    EmptyContent,
    /// A reference that does not begin with `cid:`.
    #[error("a content refers to something that is no attachment")]
    NoAttachment,
    /// Data that are not base64.
    #[error("the data of a content are not base64")]
    NotBase64,
    /// Signatures and encrypted keys that are too large to be kept in memory.
    #[error("the content holds more signatures or encrypted keys than anybody needs")]
    TooMuchKept,
}

impl Package {
    /// Reads the package that lies at `place`; data goes to `blobs`.
    ///
    /// # Errors
    /// [`ContentError`].
    pub fn read(place: &OutContent, blobs: &dyn Blobs) -> Result<Self, ContentError> {
        let OutContent { source, range, in_scope } = place;
        let input = BufReader::new(reader(Arc::clone(source), range.clone()));
        let mut reading = Reading {
            xml: StrictReader::fragment(input, &Limits::default(), in_scope),
            source: Arc::clone(source),
            start: range.start,
            blobs,
            last_scope: Arc::default(),
            kept: 0,
        };
        reading.next_child("document")?;
        let package = reading.package()?;
        reading.xml.next()?;
        Ok(package)
    }
}

impl Container {
    /// Reads a document that is one container: what encrypted data hold.
    pub(super) fn read_document(source: Arc<dyn ReadAt>, blobs: &dyn Blobs) -> Result<Self, ContentError> {
        let input = BufReader::new(reader(Arc::clone(&source), 0..source.len()));
        let xml = StrictReader::new(input, &Limits::default());
        let mut reading = Reading { xml, source, start: 0, blobs, last_scope: Arc::default(), kept: 0 };
        reading.next_child("document")?;
        let container = reading.container("document")?;
        reading.xml.next()?;
        Ok(container)
    }
}

struct Reading<'a> {
    xml: StrictReader<Source>,
    source: Arc<dyn ReadAt>,
    /// Where in the source the reader began.
    start: u64,
    blobs: &'a dyn Blobs,
    last_scope: Arc<NsContext>,
    kept: u64,
}

/// Bytes of an encrypted key beside the key itself, roughly.
const KEY_OVERHEAD: u64 = 128;

/// Bytes of signatures and encrypted keys of one document: everything else is left where it is or goes to blobs.
const KEPT_BYTES: u64 = 16 << 20;

impl Reading<'_> {
    fn package(&mut self) -> Result<Package, ContentError> {
        self.expect(OSCI, "ContentPackage", "document")?;
        let mut package = Package::default();
        while self.next_child("ContentPackage")? {
            if self.tag().name().is(XENC, "EncryptedData") {
                package.encrypted.push(self.encrypted()?);
            } else {
                package.containers.push(self.container("ContentPackage")?);
            }
        }
        Ok(package)
    }

    fn container(&mut self, parent: &'static str) -> Result<Container, ContentError> {
        self.expect(OSCI, "ContentContainer", parent)?;
        let id = self.id("ContentContainer")?;
        let mut container = Container {
            id,
            contents: Vec::new(),
            encrypted: Vec::new(),
            signatures: Vec::new(),
            attachment_keys: Vec::new(),
        };
        while self.next_child("ContentContainer")? {
            let name = self.tag().name();
            if name.is(DS, "Signature") {
                let start = self.xml.event_start();
                container.signatures.push(Element::read_element(&mut self.xml)?);
                self.keep(self.xml.offset() - start)?;
            } else if name.is(XENC, "EncryptedData") {
                container.encrypted.push(self.encrypted()?);
            } else {
                container.contents.push(self.content()?);
            }
        }
        container.take_attachment_keys();
        Ok(container)
    }

    fn content(&mut self) -> Result<Content, ContentError> {
        self.expect(OSCI, "Content", "ContentContainer")?;
        let start = self.xml.event_start();
        let in_scope = self.scope();
        let id = self.id("Content");
        let href = self.tag().attr("href").map(str::to_owned);
        let mut inside = None;
        while self.next_child("Content")? {
            let tag = self.tag();
            if inside.is_some() || href.is_some() {
                return Err(ContentError::Misplaced { element: tag.name().local().to_owned(), parent: "Content" });
            }
            inside = Some(if tag.name().is(OSCI, "Base64Content") {
                Inside::Data(self.data()?)
            } else {
                Inside::Container(self.container("Content")?)
            });
        }
        let place = self.place(start, in_scope);
        match (inside, href) {
            (Some(Inside::Data(data)), _) => Ok(Content::Data(data)),
            (Some(Inside::Container(container)), _) => {
                Ok(Content::Container(NestedContainer { id: id?, container, place }))
            }
            (None, Some(href)) => {
                let content_id = href.strip_prefix("cid:").ok_or(ContentError::NoAttachment)?.to_owned();
                Ok(Content::Attachment(AttachmentReference { id: id?, content_id, place }))
            }
            (None, None) => Err(ContentError::EmptyContent),
        }
    }

    fn data(&mut self) -> Result<Data, ContentError> {
        let id = self.id("Base64Content")?;
        let mut out = DecodeWriter::new(self.blobs.create()?);
        loop {
            match self.xml.next()? {
                Event::Text(text) => io::Write::write_all(&mut out, text.as_bytes()).map_err(base64_or_io)?,
                Event::End(_) | Event::Eof => break,
                Event::Start(tag) => {
                    return Err(ContentError::Misplaced {
                        element: tag.name().local().to_owned(),
                        parent: "Base64Content",
                    });
                }
            }
        }
        let bytes = out.finish().map_err(base64_or_io)?.finish()?;
        Ok(Data { id, bytes })
    }

    fn encrypted(&mut self) -> Result<EncryptedContainer, ContentError> {
        let start = self.xml.event_start();
        let in_scope = self.scope();
        let id = self.tag().attr("Id").map(str::to_owned);
        let outside = self.xml.depth() - 1;
        let encryption = match EncryptedData::read_streaming(&mut self.xml, &enc::Limits::default(), io::sink()) {
            Ok(encryption) => Some(encryption),
            Err(EncryptionMalformed::Xml(error)) => return Err(error.into()),
            // The element was read to its end: what else there is can still be used.
            Err(_) if self.xml.depth() == outside => None,
            Err(_) => return Err(ContentError::NotBase64),
        };
        let keys = encryption.iter().flat_map(|encryption| &encryption.keys);
        self.keep(keys.map(|key| key.wrapped.len() as u64 + KEY_OVERHEAD).sum())?;
        let sealed = if encryption.is_some() { Sealed::Untried } else { Sealed::Malformed };
        let place = self.place(start, in_scope);
        Ok(EncryptedContainer { id, encryption, content: Err(sealed), place })
    }

    /// The element that began at `start` and has just ended.
    fn place(&self, start: u64, in_scope: Arc<NsContext>) -> Place {
        let range = self.start + start..self.start + self.xml.offset();
        Place { source: Arc::clone(&self.source), range, in_scope }
    }

    /// What is in scope, kept once for all places that have the same.
    fn scope(&mut self) -> Arc<NsContext> {
        if *self.last_scope != *self.xml.in_scope() {
            self.last_scope = Arc::new(self.xml.in_scope().clone());
        }
        Arc::clone(&self.last_scope)
    }

    /// Counts what is kept in memory of signatures and encrypted keys.
    fn keep(&mut self, bytes: u64) -> Result<(), ContentError> {
        self.kept += bytes;
        if self.kept > KEPT_BYTES { Err(ContentError::TooMuchKept) } else { Ok(()) }
    }

    fn expect(&self, uri: &str, local: &str, parent: &'static str) -> Result<(), ContentError> {
        let name = self.tag().name();
        if name.is(uri, local) {
            return Ok(());
        }
        Err(ContentError::Misplaced { element: name.local().to_owned(), parent })
    }

    fn id(&self, element: &'static str) -> Result<String, ContentError> {
        let id = self.tag().attr("Id").filter(|id| !id.is_empty());
        id.map(str::to_owned).ok_or(ContentError::MissingId { element })
    }

    /// Goes to the next child of the open element; `false` at its end.
    fn next_child(&mut self, parent: &'static str) -> Result<bool, ContentError> {
        loop {
            match self.xml.next()? {
                Event::Start(_) => return Ok(true),
                Event::Text(text) if text.chars().all(is_white) => {}
                Event::Text(_) => return Err(ContentError::Text { parent }),
                Event::End(_) | Event::Eof => return Ok(false),
            }
        }
    }

    fn tag(&self) -> &StartTag {
        self.xml.start_tag().expect("called only where an element was just opened")
    }
}

enum Inside {
    Data(Data),
    Container(Container),
}

impl From<XmlError> for ContentError {
    fn from(error: XmlError) -> Self {
        match error {
            XmlError::Input(error) | XmlError::Output(error) => Self::Io(error),
            other => Self::Xml(other),
        }
    }
}

fn base64_or_io(error: io::Error) -> ContentError {
    if error.kind() == io::ErrorKind::InvalidData { ContentError::NotBase64 } else { ContentError::Io(error) }
}

/// Shows no content.
impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Data({}, {} bytes)", self.id, self.bytes.len())
    }
}

/// Does not show the attachment's name, which is content.
impl fmt::Debug for AttachmentReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AttachmentReference({})", self.id)
    }
}
