//! The attachments of a delivery, decrypted where a container that we opened holds their key.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use super::blob::Blobs;
use super::decrypt::{AttachmentKey, opened};
use super::read::{Container, Content, EncryptedContainer, Package};
use crate::mime::{Encoding, Header, Multipart, Part};
use crate::source::{ReadAt, Slice};

/// An attachment as its sender made it.
#[derive(Clone)]
pub struct Attachment {
    /// Its name, which contents refer to. Chosen by the sender: content, not for logs.
    pub content_id: String,
    /// Its media type.
    pub content_type: String,
    /// Further MIME headers.
    pub extra_headers: Vec<Header>,
    /// Its bytes.
    pub content: AttachmentContent,
}

/// The bytes of an attachment.
#[derive(Clone)]
pub enum AttachmentContent {
    /// As they were transmitted. If no readable content refers to the attachment, it is probably encrypted for somebody else.
    Transmitted(Arc<dyn ReadAt>),
    /// Decrypted.
    Decrypted(Arc<dyn ReadAt>),
    /// They could not be decrypted.
    Failed,
}

impl Attachment {
    /// The bytes, if they are readable.
    pub fn bytes(&self) -> Option<&Arc<dyn ReadAt>> {
        match &self.content {
            AttachmentContent::Transmitted(bytes) | AttachmentContent::Decrypted(bytes) => Some(bytes),
            AttachmentContent::Failed => None,
        }
    }
}

impl Package {
    /// The attachments of the message that this package came with. Keys are looked for in everything that
    /// [`decrypt`](Self::decrypt) opened. `source` is what `multipart` was found in.
    ///
    /// # Errors
    /// If the message cannot be read or `blobs` cannot be written.
    pub fn attachments(
        &self,
        multipart: &Multipart,
        source: &Arc<dyn ReadAt>,
        blobs: &dyn Blobs,
    ) -> io::Result<Vec<Attachment>> {
        let mut keys = HashMap::new();
        self.containers.iter().for_each(|container| collect(container, &mut keys));
        self.encrypted.iter().for_each(|encrypted| collect_opened(encrypted, &mut keys));
        let attachment = |part: &Part| {
            let content = match keys.get(part.content_id.as_str()) {
                None => AttachmentContent::Transmitted(transmitted(part, source, blobs)?),
                Some(AttachmentKey { cipher, iv, key, .. }) => {
                    match opened(*cipher, *iv, key, part.reader(Arc::clone(source)), blobs)? {
                        Some(bytes) => AttachmentContent::Decrypted(bytes),
                        None => AttachmentContent::Failed,
                    }
                }
            };
            Ok(Attachment {
                content_id: part.content_id.clone(),
                content_type: part.content_type.clone(),
                extra_headers: part.extra_headers.clone(),
                content,
            })
        };
        multipart.attachments().iter().map(attachment).collect()
    }
}

/// A raw part stays where it is; an encoded one is decoded to a blob.
fn transmitted(part: &Part, source: &Arc<dyn ReadAt>, blobs: &dyn Blobs) -> io::Result<Arc<dyn ReadAt>> {
    match part.encoding {
        Encoding::Raw => Ok(Arc::new(Slice::new(Arc::clone(source), part.range.clone()))),
        Encoding::Base64 => {
            let mut blob = blobs.create()?;
            io::copy(&mut part.reader(source), &mut blob)?;
            blob.finish()
        }
    }
}

type Keys<'a> = HashMap<&'a str, &'a AttachmentKey>;

fn collect<'a>(container: &'a Container, keys: &mut Keys<'a>) {
    keys.extend(container.attachment_keys.iter().map(|key| (key.content_id.as_str(), key)));
    for content in &container.contents {
        if let Content::Container(nested) = content {
            collect(&nested.container, keys);
        }
    }
    container.encrypted.iter().for_each(|encrypted| collect_opened(encrypted, keys));
}

fn collect_opened<'a>(encrypted: &'a EncryptedContainer, keys: &mut Keys<'a>) {
    if let Ok(container) = &encrypted.content {
        collect(container, keys);
    }
}

/// Shows neither name nor content.
impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.content {
            AttachmentContent::Transmitted(bytes) => format!("{} bytes", bytes.len()),
            AttachmentContent::Decrypted(bytes) => format!("{} bytes, decrypted", bytes.len()),
            AttachmentContent::Failed => "not decrypted".to_owned(),
        };
        write!(f, "Attachment({state})")
    }
}
