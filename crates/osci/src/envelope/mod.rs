//! The SOAP envelope of a received message, read in one pass and constant memory.
//!
//! [`Envelope::read`] takes the root part of a MIME message and checks its structure (OSCI-Transport 1.2, SOAP
//! envelope): the message type, the order of the header blocks, an `Id` on each of them and on the body, every `Id` only
//! once. Header blocks and small bodies are kept as their canonical text, which is what a transport signature covers, and as a
//! tree made **from that text**, so that what is hashed is what is used. A content package is not kept: its digest is
//! computed while it streams by, and its place in the part is remembered.

mod capture;
mod ids;
mod kinds;
mod outline;
mod read;

pub(crate) use ids::is_header_id;

use std::fmt;
use std::io::BufRead;
use std::ops::Range;

use rohrpost_crypto::{Digest, DigestAlgorithm};
use rohrpost_xmlsec::NsContext;
use rohrpost_xmlsec::c14n::{self, Dialect};
use rohrpost_xmlsec::dsig::{self, Signature, SignatureMalformed};
use rohrpost_xmlsec::reader::{self, XmlError};
use rohrpost_xmlsec::tree::Element;
use thiserror::Error;

use crate::header::{BlockError, NonIntermediaryCertificates};
use crate::ns::MessageType;

/// A received message without its attachments.
#[derive(Debug)]
pub struct Envelope {
    message_type: MessageType,
    blocks: Vec<HeaderBlock>,
    certificates: Option<NonIntermediaryCertificates>,
    signature: Option<TransportSignature>,
    body: Body,
    reserved_ids: Vec<String>,
}

/// One header block other than the signature.
#[derive(Clone)]
pub struct HeaderBlock {
    /// What the block is.
    pub kind: BlockKind,
    /// Its `Id`.
    pub id: String,
    /// Its canonical text, every declaration in scope on the first tag, `>` in attributes escaped.
    pub canonical: String,
    /// The element, read from [`Self::canonical`].
    pub tree: Element,
    saw_gt: bool,
}

/// The header blocks that OSCI-Transport 1.2 knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlockKind {
    /// `ControlBlock`.
    ControlBlock,
    /// `DesiredLanguages`.
    DesiredLanguages,
    /// `QualityOfTimestamp`.
    QualityOfTimestamp,
    /// The order of a message with content, or its result: `storeDelivery`, `responseToFetchDelivery`, …
    Order,
    /// `IntermediaryCertificates`.
    IntermediaryCertificates,
    /// `NonIntermediaryCertificates`.
    NonIntermediaryCertificates,
    /// `FeatureDescription`.
    FeatureDescription,
    /// Anything else.
    Custom,
}

/// The signature over a message, not verified yet.
pub struct TransportSignature {
    /// In which role the signer signed.
    pub by: SignedBy,
    /// The signature.
    pub signature: Signature,
}

/// In which role a message is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignedBy {
    /// As the asking side (`ClientSignature`).
    Client,
    /// As the answering side (`SupplierSignature`).
    Supplier,
}

/// The SOAP body.
#[derive(Debug)]
pub struct Body {
    /// Its `Id`.
    pub id: String,
    /// Digest of its canonical form, with the algorithm that the signature states for it. `None` without a signature that
    /// covers the body.
    pub digest: Option<(DigestAlgorithm, Digest)>,
    /// What it holds.
    pub content: BodyContent,
    /// Bytes of its canonical form, which may be several times as many as were read.
    pub canonical_bytes: u64,
    saw_gt: bool,
}

/// What a body holds.
pub enum BodyContent {
    /// No element.
    Empty,
    /// The order, or its result, of a message without content.
    Order(Element),
    /// A content package, left where it is.
    Package(PackagePlace),
}

/// Where a content package lies in the root part.
#[derive(Clone, PartialEq, Eq)]
pub struct PackagePlace {
    /// The bytes of the element `ContentPackage`, counted from the start of the root part.
    pub range: Range<u64>,
    /// The declarations in scope around it.
    pub in_scope: NsContext,
    /// Whether the package has neither containers nor encrypted data.
    pub is_empty: bool,
}

/// Bounds for reading an envelope.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bounds of the XML itself.
    pub xml: reader::Limits,
    /// Bounds of the transport signature.
    pub signature: dsig::Limits,
    /// Header blocks together, canonical, in bytes. Their trees together have as many nodes as [`Self::xml`] allows one.
    pub header_bytes: usize,
    /// Number of header blocks.
    pub header_blocks: usize,
    /// A body that is kept (all but content packages), canonical, in bytes.
    pub body_bytes: usize,
}

impl Default for Limits {
    /// 16 MiB and 72 blocks of header, 16 MiB of kept body.
    fn default() -> Self {
        Self {
            xml: reader::Limits::default(),
            signature: dsig::Limits::default(),
            header_bytes: 16 << 20,
            header_blocks: 72,
            body_bytes: 16 << 20,
        }
    }
}

impl Limits {
    /// Narrower bounds for whoever hands on what it reads: written canonically, and together with blocks, certificates, card and
    /// signature of an answer, it is within the default. What nobody could read must not get into a mailbox.
    pub fn for_handing_on() -> Self {
        let mut limits = Self { header_bytes: 4 << 20, header_blocks: 64, ..Self::default() };
        limits.signature.references = 10_000;
        let xml = &mut limits.xml;
        xml.namespaces = 64;
        xml.namespace_bytes = 8 * 1024;
        // Escaped, a tag becomes six times as long.
        xml.token_len = 64 * 1024;
        xml.ids = 50_000;
        xml.id_bytes = 8 << 20;
        xml.tree_nodes = 200_000;
        xml.tree_bytes = 8 << 20;
        limits
    }
}

/// Why a root part is no OSCI message. Apart from [`Self::Sealed`] and reading errors inside [`Self::Xml`], the sender is at
/// fault and the answer is feedback 9100.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The XML is not well-formed, forbidden, beyond its bounds, or could not be read.
    #[error("the root part is not acceptable XML")]
    Xml(#[from] XmlError),
    /// The document element is no SOAP 1.1 envelope.
    #[error("the root part is no SOAP envelope")]
    NotAnEnvelope,
    /// No attribute that is literally named `xsi:schemaLocation`. The message may be a SOAP fault.
    #[error("the envelope states no message type")]
    NoMessageType,
    /// The schema location names no message type.
    #[error("the envelope states an unknown message type")]
    UnknownMessageType,
    /// An encrypted message where a readable one must be (feedback 9300).
    #[error("the message is encrypted once more")]
    Sealed,
    /// An element where it may not be.
    #[error("{element} may not stand in {parent}")]
    Misplaced {
        /// Local name of the element.
        element: String,
        /// Local name of its parent.
        parent: &'static str,
    },
    /// An element that may occur once occurs again.
    #[error("{element} occurs more than once")]
    Repeated {
        /// Local name of the element.
        element: String,
    },
    /// An element that must be there is not.
    #[error("{element} is missing")]
    Missing {
        /// Local name of the element.
        element: &'static str,
    },
    /// The signature block stands before the control block.
    #[error("the signature stands before the control block")]
    SignatureBeforeControlBlock,
    /// A header block or the body has no `Id`.
    #[error("{element} has no Id")]
    MissingId {
        /// Local name of the element.
        element: String,
    },
    /// Text where only elements may be.
    #[error("{parent} contains text where only elements may be")]
    Text {
        /// Local name of the element.
        parent: &'static str,
    },
    /// More header than the limit allows.
    #[error("the header is larger than {limit}")]
    HeaderTooLarge {
        /// Bytes or blocks.
        limit: usize,
    },
    /// A larger body than this message type may have.
    #[error("the body is larger than {limit} bytes")]
    BodyTooLarge {
        /// Bytes.
        limit: usize,
    },
    /// The transport signature is no signature we can read.
    #[error("the transport signature is malformed")]
    Signature(#[from] SignatureMalformed),
    /// A header block is not what it should be.
    #[error("a header block is malformed")]
    Block(#[from] BlockError),
    /// Content refers to a certificate that the message does not carry.
    #[error("content refers to a certificate that the message does not carry")]
    UnresolvedCertificate,
}

impl Envelope {
    /// Reads the root part of a message.
    ///
    /// # Errors
    /// If it is no OSCI message within the limits; see [`EnvelopeError`].
    pub fn read(root_part: impl BufRead, limits: &Limits) -> Result<Self, EnvelopeError> {
        read::envelope(root_part, limits)
    }

    /// What the message is.
    pub fn message_type(&self) -> MessageType {
        self.message_type
    }

    /// The header blocks in the order of the message, without the signature.
    pub fn blocks(&self) -> &[HeaderBlock] {
        &self.blocks
    }

    /// The header blocks of one kind, in the order of the message.
    pub fn blocks_of(&self, kind: BlockKind) -> impl Iterator<Item = &HeaderBlock> {
        self.blocks.iter().filter(move |block| block.kind == kind)
    }

    /// The certificates of everybody but the intermediary.
    pub fn certificates(&self) -> Option<&NonIntermediaryCertificates> {
        self.certificates.as_ref()
    }

    /// The transport signature, not verified.
    pub fn signature(&self) -> Option<&TransportSignature> {
        self.signature.as_ref()
    }

    /// The body.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// `Id`s in the content, the certificates and the custom blocks that an intermediary needs for header blocks of its own when
    /// it hands the delivery on. A delivery that has any cannot be handed on unchanged.
    pub fn reserved_ids(&self) -> &[String] {
        &self.reserved_ids
    }
}

impl HeaderBlock {
    /// Digest of the canonical form in the dialect of the reference implementation.
    pub fn digest(&self, algorithm: DigestAlgorithm) -> Digest {
        algorithm.digest(self.canonical.as_bytes())
    }

    /// Digest of the textbook canonical form, if that is another one.
    pub fn textbook_digest(&self, algorithm: DigestAlgorithm) -> Option<Digest> {
        if !self.saw_gt {
            return None;
        }
        let hasher = algorithm.hasher();
        let bare = NsContext::empty();
        let limits = reader::Limits::default();
        let hasher = c14n::canonicalize(self.canonical.as_bytes(), &bare, &bare, Dialect::Textbook, &limits, hasher);
        Some(hasher.ok()?.finish())
    }
}

impl Body {
    /// Digest of the textbook canonical form, if that may be another one; reads the root part again.
    ///
    /// # Errors
    /// If the part cannot be read.
    pub fn textbook_digest(
        &self,
        root_part: impl BufRead,
        algorithm: DigestAlgorithm,
        limits: &Limits,
    ) -> Result<Option<Digest>, EnvelopeError> {
        if !self.saw_gt {
            return Ok(None);
        }
        read::body_digest(root_part, algorithm, limits).map(Some)
    }

    /// The place of the content package, if there is one.
    pub fn package(&self) -> Option<&PackagePlace> {
        match &self.content {
            BodyContent::Package(place) => Some(place),
            _ => None,
        }
    }
}

/// Shows no references: they hold the names of attachments.
impl fmt::Debug for TransportSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, algorithm) = (self.signature.references().len(), self.signature.algorithm());
        write!(f, "TransportSignature({:?}, {algorithm:?}, {count} references)", self.by)
    }
}

/// Shows no content.
impl fmt::Debug for HeaderBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeaderBlock({:?}, {}, {} bytes)", self.kind, self.id, self.canonical.len())
    }
}

/// Shows no content.
impl fmt::Debug for BodyContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Order(_) => f.write_str("Order"),
            Self::Package(place) => place.fmt(f),
        }
    }
}

impl fmt::Debug for PackagePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Package({:?})", self.range)
    }
}
