//! The signature over a whole message (OSCI-Transport 1.2, transport signatures).
//!
//! Such a signature must cover every header block but itself, the body and every attachment, no more and no less: what it
//! does not name, nobody signed. [`check`] gives [`Covered`] only if the set of its references is exactly that and every digest
//! and the signature value are right.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, BufRead, BufReader};

use rohrpost_crypto::{Digest, DigestAlgorithm, PublicKey, SignatureAlgorithm};
use rohrpost_xmlsec::c14n;
use rohrpost_xmlsec::dsig::Reference;
use thiserror::Error;

use crate::envelope::{Envelope, EnvelopeError, Limits, SignedBy, TransportSignature};
use crate::mime::Multipart;
use crate::source::{ReadAt, reader};

/// Proof that a signature covers a message: only [`check`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Covered {
    by: SignedBy,
    algorithm: SignatureAlgorithm,
    digests: Vec<DigestAlgorithm>,
}

impl Covered {
    /// In which role the signer signed.
    pub fn by(&self) -> SignedBy {
        self.by
    }

    /// How the signature was made.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// Every digest algorithm that the references use, each once.
    pub fn digests(&self) -> &[DigestAlgorithm] {
        &self.digests
    }
}

/// Why a transport signature does not stand for the message. Its texts do not tell the names of attachments, which are content.
#[derive(Error)]
#[non_exhaustive]
pub enum TransportSignatureError {
    /// There is none (feedback 9600, where one is demanded).
    #[error("the message is not signed")]
    Absent,
    /// A part of the message is not covered (feedback 9602).
    #[error("the signature does not cover {}", shown(uri))]
    Incomplete {
        /// The reference that is missing.
        uri: String,
    },
    /// A reference to something that is no part of the message (feedback 9601).
    #[error("the signature covers {}, which is no part of the message", shown(uri))]
    Surplus {
        /// The reference.
        uri: String,
    },
    /// A reference with transforms that have no place in a transport signature (feedback 9601).
    #[error("the signature transforms {} in a way that is not allowed", shown(uri))]
    Transform {
        /// The reference.
        uri: String,
    },
    /// A part of the message was changed (feedback 9601).
    #[error("the digest of {} is wrong", shown(uri))]
    Digest {
        /// The reference.
        uri: String,
    },
    /// The signature value was not made over these references with the signer's key (feedback 9601).
    #[error("the signature value is wrong")]
    Value,
    /// The message could not be read again; not the sender's fault (feedback 9603).
    #[error("the signed parts could not be read")]
    Io(#[from] io::Error),
}

impl fmt::Debug for TransportSignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn shown(uri: &str) -> &str {
    match uri.strip_prefix('#') {
        Some(id) if id.len() <= 64 => uri,
        _ if uri.starts_with("cid:") => "an attachment",
        _ => "something",
    }
}

/// What a check has to read again: attachments, and the root part in rare cases.
pub trait Parts {
    /// The names (`Content-ID`) of all attachments.
    fn attachments(&self) -> Vec<String>;

    /// Digest of the decoded bytes of one of them.
    ///
    /// # Errors
    /// If they cannot be read.
    fn digest(&mut self, content_id: &str, algorithm: DigestAlgorithm) -> io::Result<Digest>;

    /// The root part from its beginning.
    ///
    /// # Errors
    /// If it cannot be read.
    fn root_part(&self) -> io::Result<impl BufRead>;
}

/// [`Parts`] of a message as [`Multipart::scan`] found them.
#[derive(Debug, Clone, Copy)]
pub struct MessageParts<'a, S> {
    multipart: &'a Multipart,
    source: S,
}

impl<'a, S: ReadAt + Copy> MessageParts<'a, S> {
    /// The parts that were found in `source`.
    pub fn new(multipart: &'a Multipart, source: S) -> Self {
        Self { multipart, source }
    }
}

impl<S: ReadAt + Copy> Parts for MessageParts<'_, S> {
    fn attachments(&self) -> Vec<String> {
        self.multipart.attachments().iter().map(|part| part.content_id.clone()).collect()
    }

    fn digest(&mut self, content_id: &str, algorithm: DigestAlgorithm) -> io::Result<Digest> {
        let part = self.multipart.attachment(content_id).ok_or(io::ErrorKind::NotFound)?;
        let mut hasher = algorithm.hasher();
        io::copy(&mut part.reader(self.source), &mut hasher)?;
        Ok(hasher.finish())
    }

    fn root_part(&self) -> io::Result<impl BufRead> {
        Ok(BufReader::new(reader(self.source, self.multipart.root().range.clone())))
    }
}

/// Checks the signature of a message against the key of the one who should have signed it.
///
/// # Errors
/// [`TransportSignatureError`], completeness first, then the signature value, then the digests.
pub fn check(
    envelope: &Envelope,
    parts: &mut impl Parts,
    signer: &PublicKey,
    limits: &Limits,
) -> Result<Covered, TransportSignatureError> {
    let TransportSignature { by, signature } = envelope.signature().ok_or(TransportSignatureError::Absent)?;
    let attachments = parts.attachments();
    compare_sets(envelope, &attachments, signature.references())?;
    signature.references().iter().try_for_each(check_transforms)?;
    signature.verify_value(signer).map_err(|_| TransportSignatureError::Value)?;
    for reference in signature.references() {
        if !digest_is_right(envelope, parts, reference, limits)? {
            return Err(TransportSignatureError::Digest { uri: reference.uri.clone() });
        }
    }
    let mut digests: Vec<DigestAlgorithm> = Vec::new();
    for reference in signature.references() {
        if !digests.contains(&reference.digest_algorithm) {
            digests.push(reference.digest_algorithm);
        }
    }
    Ok(Covered { by: *by, algorithm: signature.algorithm(), digests })
}

fn compare_sets(
    envelope: &Envelope,
    attachments: &[String],
    references: &[Reference],
) -> Result<(), TransportSignatureError> {
    let ids = envelope.blocks().iter().map(|block| &block.id).chain([&envelope.body().id]);
    let parts = ids.map(|id| format!("#{id}")).chain(attachments.iter().map(|name| format!("cid:{name}")));
    let parts: BTreeSet<String> = parts.collect();
    let named: BTreeSet<&str> = references.iter().map(|reference| reference.uri.as_str()).collect();
    if let Some(uri) = parts.iter().find(|uri| !named.contains(uri.as_str())) {
        return Err(TransportSignatureError::Incomplete { uri: uri.clone() });
    }
    match references.iter().find(|reference| !parts.contains(&reference.uri)) {
        Some(reference) => Err(TransportSignatureError::Surplus { uri: reference.uri.clone() }),
        None if references.len() != parts.len() => Err(TransportSignatureError::Surplus { uri: String::new() }),
        None => Ok(()),
    }
}

fn check_transforms(reference: &Reference) -> Result<(), TransportSignatureError> {
    let is_element = reference.uri.starts_with('#');
    match reference.transforms.as_slice() {
        [] => Ok(()),
        [only] if is_element && only == c14n::ALGORITHM => Ok(()),
        _ => Err(TransportSignatureError::Transform { uri: reference.uri.clone() }),
    }
}

fn digest_is_right(
    envelope: &Envelope,
    parts: &mut impl Parts,
    reference: &Reference,
    limits: &Limits,
) -> Result<bool, TransportSignatureError> {
    let algorithm = reference.digest_algorithm;
    let is = |digest: &Digest| digest.matches(&reference.digest);
    if let Some(name) = reference.uri.strip_prefix("cid:") {
        return match parts.digest(name, algorithm) {
            Ok(digest) => Ok(is(&digest)),
            // Base64 that is none: the sender's fault, not the medium's.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(false),
            Err(error) => Err(error.into()),
        };
    }
    let id = reference.uri.strip_prefix('#').unwrap_or_default();
    if let Some(block) = envelope.blocks().iter().find(|block| block.id == id) {
        return Ok(is(&block.digest(algorithm)) || block.textbook_digest(algorithm).is_some_and(|digest| is(&digest)));
    }
    let body = envelope.body();
    if body.digest.as_ref().is_some_and(|(with, digest)| *with == algorithm && is(digest)) {
        return Ok(true);
    }
    match body.textbook_digest(parts.root_part()?, algorithm, limits) {
        Ok(digest) => Ok(digest.is_some_and(|digest| is(&digest))),
        Err(EnvelopeError::Xml(rohrpost_xmlsec::XmlError::Input(error))) => Err(error.into()),
        Err(_) => Ok(false),
    }
}
