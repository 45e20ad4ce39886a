//! The package of all containers.

use std::io::Write;
use std::sync::Arc;

use super::container::NewContainer;
use super::seal::SealedContainer;
use super::{BuildError, Ids};
use crate::compose::{OutAttachment, OutContent, OutDelivery};
use crate::content::Blobs;
use crate::ns::envelope_context;

/// Containers on their way into a message.
#[derive(Debug, Default)]
pub struct PackageBuilder {
    containers: Vec<NewContainer>,
    sealed: Vec<SealedContainer>,
}

impl PackageBuilder {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a container that everybody can read.
    #[must_use]
    pub fn container(mut self, container: NewContainer) -> Self {
        self.containers.push(container);
        self
    }

    /// Adds an encrypted container.
    #[must_use]
    pub fn sealed(mut self, container: SealedContainer) -> Self {
        self.sealed.push(container);
        self
    }

    /// Writes the package to a blob; the result is ready for a message.
    ///
    /// # Errors
    /// If `Id`s or attachment names collide, or contents cannot be read or written.
    pub fn build(self, blobs: &dyn Blobs) -> Result<OutDelivery, BuildError> {
        let mut ids = Ids::default();
        self.containers.iter().try_for_each(|container| container.collect_ids(&mut ids))?;
        self.sealed.iter().try_for_each(|sealed| sealed.collect_ids(&mut ids))?;
        let attachments = self.attachments()?;
        let mut out = blobs.create()?;
        out.write_all(b"<osci:ContentPackage>")?;
        self.sealed.iter().try_for_each(|sealed| sealed.write(&mut out))?;
        self.containers.iter().try_for_each(|container| container.write("", &[], &mut out))?;
        out.write_all(b"</osci:ContentPackage>")?;
        let source = out.finish()?;
        let package = OutContent { range: 0..source.len(), source, in_scope: envelope_context() };
        Ok(OutDelivery { package, attachments })
    }

    fn attachments(&self) -> Result<Vec<OutAttachment>, BuildError> {
        let mut found: Vec<OutAttachment> = Vec::new();
        let open = self.containers.iter().flat_map(|container| {
            let own = container.attachments().into_iter().map(|a| a.transmitted(Arc::clone(&a.source)));
            own.chain(container.all_sealed().into_iter().flat_map(|sealed| sealed.attachments.iter().cloned()))
        });
        for attachment in open.chain(self.sealed.iter().flat_map(|sealed| sealed.attachments.iter().cloned())) {
            match found.iter().find(|known| known.content_id == attachment.content_id) {
                None => found.push(attachment),
                Some(known) if known.is_same(&attachment) => {}
                Some(_) => return Err(BuildError::AttachmentNameTaken),
            }
        }
        Ok(found)
    }
}
