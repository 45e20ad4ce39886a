//! Composes messages: header blocks, body and attachments become a signed MIME message, written as a stream.
//!
//! The text written is the text hashed: blocks and small bodies are canonical already; a content package is canonicalised
//! while it streams, once for its digest and once into the message. Memory does not grow with content or attachments.

use std::fmt;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::Arc;

use rohrpost_crypto::{Digest, DigestAlgorithm, Signer, SigningFailed};
use rohrpost_xmlsec::c14n::{self, Dialect};
use rohrpost_xmlsec::dsig::SignatureBuilder;
use rohrpost_xmlsec::{Limits, NsContext, XmlError};
use thiserror::Error;

use crate::dialog::ControlBlock;
use crate::envelope::{PackagePlace, SignedBy};
use crate::header::{Block, control_block_to_block};
use crate::mime::{self, Boundary, Encoding, Header, Part, PartHead};
use crate::ns::{ACTOR_NEXT, MessageType, NS5, envelope_context};
use crate::source::{ReadAt, buffered, reader};

/// A message to be written.
#[derive(Debug)]
pub struct Outgoing {
    /// What the message is.
    pub message_type: MessageType,
    /// The header blocks but the signature, the control block first.
    pub blocks: Vec<Block>,
    /// The body.
    pub body: OutBody,
    /// The attachments.
    pub attachments: Vec<OutAttachment>,
}

/// The body of a message to be written.
pub enum OutBody {
    /// Canonical text of the children of the body, in which the prefixes of the envelope need no declaration. May be empty.
    Inline(String),
    /// A content package that lies somewhere else.
    Content(OutContent),
}

/// A content package where it lies: what an intermediary hands on, or what a client built.
#[derive(Clone)]
pub struct OutContent {
    /// Where it lies.
    pub source: Arc<dyn ReadAt>,
    /// The bytes of the element `ContentPackage` in the source.
    pub range: Range<u64>,
    /// The declarations in scope there. Those that our own envelope does not make are made anew on the package, so that
    /// signatures inside of it stay valid.
    pub in_scope: NsContext,
}

/// The content of a delivery to be written.
#[derive(Debug)]
pub struct OutDelivery {
    /// The content package.
    pub package: OutContent,
    /// Every attachment that belongs to it.
    pub attachments: Vec<OutAttachment>,
}

/// An attachment to be written.
#[derive(Clone)]
pub struct OutAttachment {
    /// Its name.
    pub content_id: String,
    /// Its media type.
    pub content_type: String,
    /// Further MIME headers.
    pub extra_headers: Vec<Header>,
    /// How it is to be written.
    pub encoding: Encoding,
    /// Its SHA-256, if known: saves a pass over it when the message is signed with that digest.
    pub sha256: Option<Digest>,
    length: u64,
    part: Option<Part>,
    source: Arc<dyn ReadAt>,
}

/// How a message is to be signed.
pub struct Signing<'a> {
    /// Who signs.
    pub signer: &'a dyn Signer,
    /// In which role.
    pub by: SignedBy,
    /// `Id` of the signer's certificate entry in the message. Peers do not look at it, but the schemas demand it.
    pub certificate_id: Option<&'a str>,
    /// Digest algorithm of all references.
    pub digest: DigestAlgorithm,
}

/// Why a message could not be written. Half a message may have been written then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// Reading or writing failed.
    #[error("the message could not be written")]
    Io(#[from] io::Error),
    /// The content package is no acceptable XML.
    #[error("the content package is not acceptable XML")]
    Content(#[source] XmlError),
    /// The signer failed.
    #[error("the message could not be signed")]
    Signing(#[from] SigningFailed),
}

impl Outgoing {
    /// A message without attachments.
    pub fn new(message_type: MessageType, control: &ControlBlock, body: OutBody) -> Self {
        let blocks = vec![control_block_to_block(control)];
        Self { message_type, blocks, body, attachments: Vec::new() }
    }

    /// Writes the message, signed or not.
    ///
    /// # Errors
    /// [`ComposeError`].
    pub fn write<W: Write>(
        &self,
        signing: Option<&Signing<'_>>,
        boundary: &Boundary,
        out: W,
    ) -> Result<W, ComposeError> {
        let signature = match signing {
            Some(signing) => self.signature(signing)?,
            None => String::new(),
        };
        let mut mime = mime::Writer::new(out, boundary)?;
        self.write_envelope(&signature, mime.root()?)?;
        for attachment in &self.attachments {
            let head = PartHead {
                content_id: &attachment.content_id,
                content_type: &attachment.content_type,
                encoding: attachment.encoding,
                extra_headers: &attachment.extra_headers,
            };
            mime.attachment(&head, attachment.length, &mut *attachment.open())?;
        }
        Ok(mime.finish()?)
    }

    fn signature(&self, signing: &Signing<'_>) -> Result<String, ComposeError> {
        let mut builder = SignatureBuilder::new();
        let canonical = [c14n::ALGORITHM];
        for block in &self.blocks {
            let digest = signing.digest.digest(block.canonical().as_bytes());
            builder.add_reference(&format!("#{}", block.id()), &canonical, signing.digest, &digest);
        }
        let mut hasher = signing.digest.hasher();
        self.write_body(&mut hasher)?;
        builder.add_reference(&format!("#{BODY_ID}"), &canonical, signing.digest, &hasher.finish());
        for attachment in &self.attachments {
            let digest = attachment.digest(signing.digest)?;
            builder.add_reference(&format!("cid:{}", attachment.content_id), &[], signing.digest, &digest);
        }
        let reference = signing.certificate_id.map(|id| format!("#{id}"));
        let signature = builder.sign(signing.signer, &envelope_context(), reference.as_deref(), None)?;
        let (name, id) = match signing.by {
            SignedBy::Client => ("osci:ClientSignature", "clientsignature"),
            SignedBy::Supplier => ("osci:SupplierSignature", "suppliersignature"),
        };
        Ok(format!(r#"<{name} Id="{id}"{ACTOR_NEXT}>{signature}</{name}>"#))
    }

    fn write_envelope(&self, signature: &str, out: &mut dyn Write) -> Result<(), ComposeError> {
        let location = self.message_type.schema_location();
        write!(out, r#"<soap:Envelope{NS5} xsi:schemaLocation="{location}"><soap:Header>"#)?;
        for (at, block) in self.blocks.iter().enumerate() {
            out.write_all(block.canonical().as_bytes())?;
            if at == 0 {
                out.write_all(signature.as_bytes())?;
            }
        }
        out.write_all(b"</soap:Header>")?;
        self.write_body(out)?;
        out.write_all(b"</soap:Envelope>")?;
        Ok(())
    }

    fn write_body(&self, out: &mut dyn Write) -> Result<(), ComposeError> {
        write!(out, r#"<soap:Body{NS5} Id="{BODY_ID}">"#)?;
        match &self.body {
            OutBody::Inline(text) => out.write_all(text.as_bytes())?,
            OutBody::Content(content) => content.write_canonical(out)?,
        }
        out.write_all(b"</soap:Body>")?;
        Ok(())
    }
}

impl OutContent {
    /// The package of a received message: its place in the root part, which begins at `root_start` in `source`.
    pub fn received(source: Arc<dyn ReadAt>, root_start: u64, place: &PackagePlace) -> Self {
        let range = root_start + place.range.start..root_start + place.range.end;
        Self { source, range, in_scope: place.in_scope.clone() }
    }

    /// A package that was kept: its place in `source` and the declarations that were in scope there.
    pub fn kept(source: Arc<dyn ReadAt>, range: Range<u64>, namespaces: &[(String, String)]) -> Self {
        let in_scope = NsContext::from_pairs(namespaces.iter().map(|(prefix, uri)| (prefix, uri)));
        Self { source, range, in_scope }
    }

    /// Writes the package as it stands in the canonical form of our body.
    fn write_canonical(&self, out: &mut dyn Write) -> Result<(), ComposeError> {
        let fragment = buffered(&*self.source, self.range.clone());
        let (rendered, limits) = (envelope_context(), Limits::default());
        c14n::canonicalize(fragment, &self.in_scope, &rendered, Dialect::EscapeGtInAttributes, &limits, out).map_err(
            |error| match error {
                XmlError::Input(error) | XmlError::Output(error) => ComposeError::Io(error),
                error => ComposeError::Content(error),
            },
        )?;
        Ok(())
    }
}

impl OutAttachment {
    /// An attachment whose bytes are those of `source`, written raw.
    pub fn new(content_id: impl Into<String>, content_type: impl Into<String>, source: Arc<dyn ReadAt>) -> Self {
        Self {
            content_id: content_id.into(),
            content_type: content_type.into(),
            extra_headers: Vec::new(),
            encoding: Encoding::Raw,
            sha256: None,
            length: source.len(),
            part: None,
            source,
        }
    }

    /// An attachment of a received message, to be handed on: part of `source`, `decoded_length` bytes after decoding.
    /// Written raw whatever it was.
    pub fn received(source: Arc<dyn ReadAt>, part: &Part, decoded_length: u64, sha256: Option<Digest>) -> Self {
        Self {
            content_id: part.content_id.clone(),
            content_type: part.content_type.clone(),
            extra_headers: part.extra_headers.clone(),
            encoding: Encoding::Raw,
            sha256,
            length: decoded_length,
            part: Some(part.clone()),
            source,
        }
    }

    /// Whether both are the same bytes of the same source under the same name.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source) && self.part == other.part && self.content_id == other.content_id
    }

    fn open(&self) -> Box<dyn Read + '_> {
        match &self.part {
            Some(part) => Box::new(part.reader(&*self.source)),
            None => Box::new(reader(&*self.source, 0..self.length)),
        }
    }

    fn digest(&self, algorithm: DigestAlgorithm) -> io::Result<Digest> {
        match &self.sha256 {
            Some(known) if algorithm == DigestAlgorithm::Sha256 => Ok(*known),
            _ => {
                let mut hasher = algorithm.hasher();
                io::copy(&mut self.open(), &mut hasher)?;
                Ok(hasher.finish())
            }
        }
    }
}

/// Shows no content.
impl fmt::Debug for OutBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(text) => write!(f, "Inline({} bytes)", text.len()),
            Self::Content(content) => content.fmt(f),
        }
    }
}

impl fmt::Debug for OutContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutContent({:?})", self.range)
    }
}

/// Shows neither name nor content.
impl fmt::Debug for OutAttachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutAttachment({} bytes)", self.length)
    }
}

impl fmt::Debug for Signing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signing").field("by", &self.by).field("digest", &self.digest).finish_non_exhaustive()
    }
}

const BODY_ID: &str = "body";
