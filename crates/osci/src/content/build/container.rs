//! Containers and what is in them.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use rohrpost_crypto::DigestAlgorithm;
use rohrpost_xmlsec::NsContext;
use rohrpost_xmlsec::base64::EncodeWriter;
use rohrpost_xmlsec::enc::EncryptedData;
use zeroize::Zeroizing;

use super::seal::SealedContainer;
use super::sign::NewReference;
use super::{Blob, BuildError, Ids};
use crate::compose::OutAttachment;
use crate::mime::Header;
use crate::source::ReadAt;
use crate::xml::escape_attribute;

/// A container while contents are added to it. [`build`](Self::build) ends that: what is signed cannot be added to.
#[derive(Debug, Default)]
pub struct ContainerBuilder {
    id: String,
    contents: Vec<NewContent>,
    sealed: Vec<SealedContainer>,
}

/// A container with all its contents, to be signed, encrypted, or put into a package.
#[derive(Debug)]
pub struct NewContainer {
    pub(super) id: String,
    pub(super) contents: Vec<NewContent>,
    pub(super) sealed: Vec<SealedContainer>,
    pub(super) signatures: Vec<String>,
    /// References of the first signature, which further ones repeat.
    pub(super) references: Option<(DigestAlgorithm, Vec<NewReference>)>,
}

/// An attachment to be sent with content.
#[derive(Clone)]
pub struct NewAttachment {
    /// Its name, unique in the message.
    pub content_id: String,
    /// Its media type.
    pub content_type: String,
    /// Further MIME headers.
    pub extra_headers: Vec<Header>,
    /// Whether it is encrypted when the container is.
    pub encryption: AttachmentEncryption,
    /// Its bytes.
    pub source: Arc<dyn ReadAt>,
}

/// Whether an attachment is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AttachmentEncryption {
    /// When its container is encrypted, with a key of its own that is kept in the container.
    #[default]
    WithContainer,
    /// Never.
    Never,
}

#[derive(Debug)]
pub(super) enum NewContent {
    Data { id: String, bytes: Blob },
    Attachment { id: String, attachment: NewAttachment },
    Container { id: String, container: NewContainer },
}

impl ContainerBuilder {
    /// An empty container with this `Id`.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }

    /// Adds data.
    #[must_use]
    pub fn data(mut self, id: impl Into<String>, bytes: Arc<dyn ReadAt>) -> Self {
        self.contents.push(NewContent::Data { id: id.into(), bytes: Blob(bytes) });
        self
    }

    /// Adds an attachment.
    #[must_use]
    pub fn attachment(mut self, id: impl Into<String>, attachment: NewAttachment) -> Self {
        self.contents.push(NewContent::Attachment { id: id.into(), attachment });
        self
    }

    /// Adds a container within this one.
    #[must_use]
    pub fn container(mut self, id: impl Into<String>, container: NewContainer) -> Self {
        self.contents.push(NewContent::Container { id: id.into(), container });
        self
    }

    /// Adds an encrypted container within this one.
    #[must_use]
    pub fn sealed(mut self, container: SealedContainer) -> Self {
        self.sealed.push(container);
        self
    }

    /// The container with these contents.
    pub fn build(self) -> NewContainer {
        let Self { id, contents, sealed } = self;
        NewContainer { id, contents, sealed, signatures: Vec::new(), references: None }
    }
}

impl NewContainer {
    /// The attachments of the container and of those nested in it, each name once.
    pub(super) fn attachments(&self) -> Vec<&NewAttachment> {
        let mut found: Vec<&NewAttachment> = Vec::new();
        for content in &self.contents {
            let more = match content {
                NewContent::Attachment { attachment, .. } => vec![attachment],
                NewContent::Container { container, .. } => container.attachments(),
                NewContent::Data { .. } => Vec::new(),
            };
            for attachment in more {
                if !found.iter().any(|known| known.content_id == attachment.content_id) {
                    found.push(attachment);
                }
            }
        }
        found
    }

    /// Encrypted containers of the container and of those nested in it.
    pub(super) fn all_sealed(&self) -> Vec<&SealedContainer> {
        let nested = self.contents.iter().flat_map(|content| match content {
            NewContent::Container { container, .. } => container.all_sealed(),
            _ => Vec::new(),
        });
        self.sealed.iter().chain(nested).collect()
    }

    pub(super) fn write(
        &self,
        declarations: &str,
        attachment_keys: &[EncryptedData],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        write!(out, r#"<osci:ContentContainer{declarations} Id="{}">"#, escape_attribute(&self.id))?;
        self.signatures.iter().try_for_each(|signature| out.write_all(signature.as_bytes()))?;
        self.contents.iter().try_for_each(|content| content.write("", out))?;
        self.sealed.iter().try_for_each(|sealed| sealed.write(out))?;
        for key in attachment_keys {
            out.write_all(Zeroizing::new(key.to_xml(&NsContext::empty())).as_bytes())?;
        }
        out.write_all(b"</osci:ContentContainer>")
    }

    pub(super) fn collect_ids(&self, ids: &mut Ids) -> Result<(), BuildError> {
        ids.add(&self.id)?;
        for content in &self.contents {
            match content {
                NewContent::Data { id, .. } | NewContent::Attachment { id, .. } => ids.add(id)?,
                NewContent::Container { id, container } => {
                    ids.add(id)?;
                    container.collect_ids(ids)?;
                }
            }
        }
        self.sealed.iter().try_for_each(|sealed| sealed.collect_ids(ids))
    }
}

impl NewContent {
    pub(super) fn write(&self, declarations: &str, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "<osci:Content{declarations}")?;
        match self {
            Self::Data { id, bytes } => {
                write!(out, r#"><osci:Base64Content Id="{}">"#, escape_attribute(id))?;
                let mut encoded = EncodeWriter::new(&mut *out);
                bytes.copy_to(&mut encoded)?;
                encoded.finish()?;
                out.write_all(b"</osci:Base64Content>")?;
            }
            Self::Attachment { id, attachment } => {
                let href = escape_attribute(&attachment.content_id);
                write!(out, r#" Id="{}" href="cid:{href}">"#, escape_attribute(id))?;
            }
            Self::Container { id, container } => {
                write!(out, r#" Id="{}">"#, escape_attribute(id))?;
                container.write("", &[], out)?;
            }
        }
        out.write_all(b"</osci:Content>")
    }
}

impl NewAttachment {
    /// An attachment that is encrypted with its container.
    pub fn new(content_id: impl Into<String>, content_type: impl Into<String>, source: Arc<dyn ReadAt>) -> Self {
        Self {
            content_id: content_id.into(),
            content_type: content_type.into(),
            extra_headers: Vec::new(),
            encryption: AttachmentEncryption::default(),
            source,
        }
    }

    pub(super) fn transmitted(&self, source: Arc<dyn ReadAt>) -> OutAttachment {
        let mut out = OutAttachment::new(&self.content_id, &self.content_type, source);
        out.extra_headers.clone_from(&self.extra_headers);
        out
    }
}

/// Shows neither name nor content.
impl fmt::Debug for NewAttachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewAttachment({} bytes)", self.source.len())
    }
}
