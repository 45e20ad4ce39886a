//! The outline of a content package that streams by: which elements may stand where (OSCI-Transport 1.2, content data).

use std::collections::HashSet;

use rohrpost_xmlsec::reader::StartTag;

use super::EnvelopeError;
use crate::header::NonIntermediaryCertificates;
use crate::header::read::is_white;
use crate::ns::{DS, OSCI, XENC};

/// Follows the events inside a body that may hold a content package.
pub(super) struct Outline<'a> {
    open: Vec<Place>,
    packages: usize,
    empty: bool,
    /// `Id`s that references to certificates must resolve to; `None` leaves them to whoever reads the content.
    certificates: Option<HashSet<&'a str>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Package,
    Container,
    Content,
    Data,
    /// Inside a signature or encrypted data: read by whoever reads the content.
    Opaque,
}

impl<'a> Outline<'a> {
    pub(super) fn new(certificates: Option<&'a NonIntermediaryCertificates>) -> Self {
        let ids = |all: &'a NonIntermediaryCertificates| all.entries().iter().map(|entry| entry.id.as_str()).collect();
        Self { open: Vec::new(), packages: 0, empty: true, certificates: certificates.map(ids) }
    }

    /// Whether the next start is that of a child of the body.
    pub(super) fn at_body(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.empty
    }

    pub(super) fn start(&mut self, tag: &StartTag) -> Result<(), EnvelopeError> {
        let name = tag.name();
        let place = match self.open.last() {
            None if name.is(OSCI, "ContentPackage") => {
                self.packages += 1;
                Place::Package
            }
            Some(Place::Package | Place::Content) if name.is(OSCI, "ContentContainer") => Place::Container,
            Some(Place::Package | Place::Container) if name.is(XENC, "EncryptedData") => Place::Opaque,
            Some(Place::Container) if name.is(OSCI, "Content") => Place::Content,
            Some(Place::Container) if name.is(DS, "Signature") => Place::Opaque,
            Some(Place::Content) if name.is(OSCI, "Base64Content") => Place::Data,
            Some(Place::Opaque) => {
                self.resolve(tag)?;
                Place::Opaque
            }
            _ => return Err(EnvelopeError::Misplaced { element: name.local().to_owned(), parent: self.parent() }),
        };
        if self.packages > 1 {
            return Err(EnvelopeError::Repeated { element: name.local().to_owned() });
        }
        self.empty &= place == Place::Package;
        self.open.push(place);
        Ok(())
    }

    pub(super) fn text(&self, text: &str) -> Result<(), EnvelopeError> {
        match self.open.last() {
            Some(Place::Data | Place::Opaque) => Ok(()),
            _ if text.chars().all(is_white) => Ok(()),
            _ => Err(EnvelopeError::Text { parent: self.parent() }),
        }
    }

    pub(super) fn end(&mut self) {
        self.open.pop();
    }

    fn resolve(&self, tag: &StartTag) -> Result<(), EnvelopeError> {
        let Some(certificates) = self.certificates.as_ref().filter(|_| tag.name().is(DS, "RetrievalMethod")) else {
            return Ok(());
        };
        match tag.attr("URI").and_then(|uri| uri.strip_prefix('#')) {
            Some(id) if certificates.contains(id) => Ok(()),
            _ => Err(EnvelopeError::UnresolvedCertificate),
        }
    }

    fn parent(&self) -> &'static str {
        match self.open.last() {
            None => "Body",
            Some(Place::Package) => "ContentPackage",
            Some(Place::Container) => "ContentContainer",
            Some(Place::Content) => "Content",
            Some(Place::Data) => "Base64Content",
            Some(Place::Opaque) => "Signature or EncryptedData",
        }
    }
}
