//! The pass over the root part.

use std::io::BufRead;

use rohrpost_crypto::{Digest, DigestAlgorithm, Hasher};
use rohrpost_xmlsec::NsContext;
use rohrpost_xmlsec::c14n::{Canonicalizer, Dialect};
use rohrpost_xmlsec::dsig::Signature;
use rohrpost_xmlsec::reader::{Event, StartTag, StrictReader, XmlError};
use rohrpost_xmlsec::tree::{Element, Node};

use super::capture::{Captured, DIALECT, Hashing, canonical, captured, is_full};
use super::ids::Reserved;
use super::kinds::kind_of;
use super::outline::Outline;
use super::{
    BlockKind, Body, BodyContent, Envelope, EnvelopeError, HeaderBlock, Limits, PackagePlace, SignedBy,
    TransportSignature,
};
use crate::header::NonIntermediaryCertificates;
use crate::header::read::is_white;
use crate::ns::{BodyKind, Direction, MessageType, OSCI, SOAP, XSI};

pub(super) fn envelope(root_part: impl BufRead, limits: &Limits) -> Result<Envelope, EnvelopeError> {
    let mut reading = Reading {
        xml: StrictReader::new(root_part, &limits.xml),
        limits,
        room: limits.header_bytes,
        nodes: limits.xml.tree_nodes,
        blocks: Vec::new(),
        certificates: None,
        signature: None,
        reserved: Reserved::default(),
    };
    let message_type = reading.message_type()?;
    reading.header(message_type)?;
    let body = reading.body(message_type)?;
    reading.rest()?;
    Ok(Envelope {
        message_type,
        blocks: reading.blocks,
        certificates: reading.certificates,
        signature: reading.signature,
        body,
        reserved_ids: reading.reserved.found,
    })
}

/// Digest of the textbook canonical form of the body.
pub(super) fn body_digest(
    root_part: impl BufRead,
    algorithm: DigestAlgorithm,
    limits: &Limits,
) -> Result<Digest, EnvelopeError> {
    let mut xml = StrictReader::new(root_part, &limits.xml);
    loop {
        match xml.next()? {
            Event::Start(tag) if tag.name().is(SOAP, "Body") => {}
            Event::Eof => return Err(EnvelopeError::Missing { element: "Body" }),
            _ => continue,
        }
        if xml.depth() == 2 {
            let (hasher, _) = canonical(&mut xml, algorithm.hasher(), Dialect::Textbook)?;
            return Ok(hasher.finish());
        }
    }
}

struct Reading<'a, R> {
    xml: StrictReader<R>,
    limits: &'a Limits,
    /// Bytes, and nodes of trees, that the header may still take.
    room: usize,
    nodes: usize,
    blocks: Vec<HeaderBlock>,
    certificates: Option<NonIntermediaryCertificates>,
    signature: Option<TransportSignature>,
    reserved: Reserved,
}

impl<R: BufRead> Reading<'_, R> {
    fn message_type(&mut self) -> Result<MessageType, EnvelopeError> {
        self.next_child("document")?;
        let tag = self.tag();
        if !tag.name().is(SOAP, "Envelope") {
            return Err(EnvelopeError::NotAnEnvelope);
        }
        let location = tag
            .attributes()
            .iter()
            .find(|a| a.name().qname() == "xsi:schemaLocation" && a.name().uri() == Some(XSI))
            .ok_or(EnvelopeError::NoMessageType)?;
        match MessageType::from_schema_location(location.value()) {
            None => Err(EnvelopeError::UnknownMessageType),
            Some(MessageType::MessageEncrypted) => Err(EnvelopeError::Sealed),
            Some(message_type) => Ok(message_type),
        }
    }

    fn header(&mut self, message_type: MessageType) -> Result<(), EnvelopeError> {
        if !self.next_child("Envelope")? || !self.tag().name().is(SOAP, "Header") {
            return Err(EnvelopeError::Missing { element: "Header" });
        }
        while self.next_child("Header")? {
            self.block(message_type)?;
        }
        if self.has(BlockKind::ControlBlock) { Ok(()) } else { Err(EnvelopeError::Missing { element: "ControlBlock" }) }
    }

    fn block(&mut self, message_type: MessageType) -> Result<(), EnvelopeError> {
        let name = self.tag().name().clone();
        let element = || name.local().to_owned();
        let id = self.id()?;
        if name.uri() == Some(OSCI) && matches!(name.local(), "ClientSignature" | "SupplierSignature") {
            return self.signature(message_type, name.local());
        }
        let kind = kind_of(name.uri(), name.local(), message_type)
            .ok_or_else(|| EnvelopeError::Misplaced { element: element(), parent: "Header" })?;
        if !matches!(kind, BlockKind::Custom | BlockKind::QualityOfTimestamp) && self.has(kind) {
            return Err(EnvelopeError::Repeated { element: element() });
        }
        if self.blocks.len() == self.limits.header_blocks {
            return Err(EnvelopeError::HeaderTooLarge { limit: self.limits.header_blocks });
        }
        let Captured { tree, canonical, saw_gt } = self.captured()?;
        if matches!(kind, BlockKind::Custom | BlockKind::NonIntermediaryCertificates) {
            self.reserved.watch_all(&tree);
        }
        if kind == BlockKind::NonIntermediaryCertificates {
            self.certificates = Some(NonIntermediaryCertificates::from_element(&tree)?);
        }
        self.blocks.push(HeaderBlock { kind, id, canonical, tree, saw_gt });
        Ok(())
    }

    fn signature(&mut self, message_type: MessageType, element: &str) -> Result<(), EnvelopeError> {
        let by = if element == "ClientSignature" { SignedBy::Client } else { SignedBy::Supplier };
        if (by == SignedBy::Supplier) != (message_type.direction() == Direction::Response) {
            return Err(EnvelopeError::Misplaced { element: element.to_owned(), parent: "Header" });
        }
        if self.signature.is_some() {
            return Err(EnvelopeError::Repeated { element: element.to_owned() });
        }
        if !self.has(BlockKind::ControlBlock) {
            return Err(EnvelopeError::SignatureBeforeControlBlock);
        }
        let block = self.captured()?;
        let signature =
            only_element(&block.tree, "signature block")?.ok_or(EnvelopeError::Missing { element: "Signature" })?;
        let signature = Signature::parse(signature, &self.limits.signature)?;
        self.signature = Some(TransportSignature { by, signature });
        Ok(())
    }

    fn body(&mut self, message_type: MessageType) -> Result<Body, EnvelopeError> {
        if !self.next_child("Envelope")? || !self.tag().name().is(SOAP, "Body") {
            return Err(EnvelopeError::Missing { element: "Body" });
        }
        let id = self.id()?;
        let reference = self.signature.as_ref().and_then(|s| s.signature.reference(&format!("#{id}")));
        let algorithm = reference.map(|reference| reference.digest_algorithm);
        match message_type.body() {
            BodyKind::Order | BodyKind::Empty => self.kept_body(id, algorithm),
            BodyKind::Content | BodyKind::ContentOrEmpty => self.content_body(id, algorithm, message_type),
        }
    }

    fn kept_body(&mut self, id: String, algorithm: Option<DigestAlgorithm>) -> Result<Body, EnvelopeError> {
        let limit = self.limits.body_bytes;
        let Captured { tree, canonical, saw_gt } = captured(&mut self.xml, self.limits.xml.tree_nodes, limit)
            .map_err(|error| if is_full(&error) { EnvelopeError::BodyTooLarge { limit } } else { error.into() })?;
        let digest = algorithm.map(|algorithm| (algorithm, algorithm.digest(canonical.as_bytes())));
        let content = match only_element(&tree, "Body")? {
            Some(order) => BodyContent::Order(order.clone()),
            None => BodyContent::Empty,
        };
        Ok(Body { id, digest, content, canonical_bytes: canonical.len() as u64, saw_gt })
    }

    fn content_body(
        &mut self,
        id: String,
        algorithm: Option<DigestAlgorithm>,
        message_type: MessageType,
    ) -> Result<Body, EnvelopeError> {
        let in_scope = self.xml.in_scope().clone();
        let none = NonIntermediaryCertificates::default();
        let resolve = message_type.direction() != Direction::Response;
        let mut outline = Outline::new(resolve.then(|| self.certificates.as_ref().unwrap_or(&none)));
        let sink = Hashing { hasher: algorithm.map(DigestAlgorithm::hasher), bytes: 0 };
        let mut out = Canonicalizer::new(sink, DIALECT, &NsContext::empty());
        out.start(self.tag(), Some(&in_scope)).map_err(XmlError::Output)?;
        let (mut start, mut range) = (0, None);
        loop {
            match self.xml.next()? {
                Event::Start(tag) => {
                    out.start(tag, None).map_err(XmlError::Output)?;
                    let opens_package = outline.at_body();
                    outline.start(tag)?;
                    self.reserved.watch(tag);
                    if opens_package {
                        start = self.xml.event_start();
                    }
                }
                Event::Text(text) => {
                    out.text(text).map_err(XmlError::Output)?;
                    outline.text(text)?;
                }
                Event::End(_) | Event::Eof => {
                    out.end().map_err(XmlError::Output)?;
                    if outline.at_body() {
                        break;
                    }
                    outline.end();
                    if outline.at_body() {
                        range = Some(start..self.xml.offset());
                    }
                }
            }
        }
        let saw_gt = out.saw_gt_in_attribute();
        let Hashing { hasher, bytes } = out.finish().map_err(XmlError::Output)?;
        let digest = hasher.map(Hasher::finish);
        let content = match range {
            Some(range) => BodyContent::Package(PackagePlace { range, in_scope, is_empty: outline.is_empty() }),
            None if message_type.body() == BodyKind::Content => {
                return Err(EnvelopeError::Missing { element: "ContentPackage" });
            }
            None => BodyContent::Empty,
        };
        Ok(Body { id, digest: algorithm.zip(digest), content, canonical_bytes: bytes, saw_gt })
    }

    /// What follows the body: the end of the document.
    fn rest(&mut self) -> Result<(), EnvelopeError> {
        if self.next_child("Envelope")? {
            let element = self.tag().name().local().to_owned();
            return Err(EnvelopeError::Misplaced { element, parent: "Envelope" });
        }
        self.xml.next()?;
        Ok(())
    }

    /// Goes to the next child of the open element; `false` at its end.
    fn next_child(&mut self, parent: &'static str) -> Result<bool, EnvelopeError> {
        loop {
            match self.xml.next()? {
                Event::Start(_) => return Ok(true),
                Event::Text(text) if text.chars().all(is_white) => {}
                Event::Text(_) => return Err(EnvelopeError::Text { parent }),
                Event::End(_) | Event::Eof => return Ok(false),
            }
        }
    }

    /// A header block. All of them together are bounded as if they were one.
    fn captured(&mut self) -> Result<Captured, EnvelopeError> {
        let limit = self.limits.header_bytes;
        let captured = captured(&mut self.xml, self.nodes, self.room)
            .map_err(|error| if is_full(&error) { EnvelopeError::HeaderTooLarge { limit } } else { error.into() })?;
        self.room -= captured.canonical.len();
        self.nodes = self.nodes.saturating_sub(count(&captured.tree));
        Ok(captured)
    }

    fn has(&self, kind: BlockKind) -> bool {
        self.blocks.iter().any(|block| block.kind == kind)
    }

    fn id(&self) -> Result<String, EnvelopeError> {
        let tag = self.tag();
        let missing = || EnvelopeError::MissingId { element: tag.name().local().to_owned() };
        tag.attr("Id").filter(|id| !id.is_empty()).map(str::to_owned).ok_or_else(missing)
    }

    fn tag(&self) -> &StartTag {
        self.xml.start_tag().expect("called only where an element was just opened")
    }
}

/// Nodes of a tree, counted at least as its limit counts them.
fn count(element: &Element) -> usize {
    let declarations = element.start_tag().declarations().len();
    let scope = if declarations == 0 { 0 } else { element.in_scope().len() };
    let inside: usize =
        element.nodes().iter().map(|node| if let Node::Element(inner) = node { count(inner) } else { 1 }).sum();
    1 + element.attributes().len() + declarations + scope + inside
}

fn only_element<'a>(parent: &'a Element, name: &'static str) -> Result<Option<&'a Element>, EnvelopeError> {
    if !parent.has_only_elements() {
        return Err(EnvelopeError::Text { parent: name });
    }
    let mut children = parent.children();
    let first = children.next();
    match children.next() {
        Some(more) => Err(EnvelopeError::Misplaced { element: more.name().local().to_owned(), parent: name }),
        None => Ok(first),
    }
}
