//! Checks the signatures of authors over containers (OSCI-Transport 1.2, content signatures).

use std::collections::HashMap;
use std::io::{self, BufReader};

use rohrpost_crypto::{Digest, DigestAlgorithm, PublicKey, SignatureAlgorithm};
use rohrpost_xmlsec::c14n::{Dialect, canonicalize_document};
use rohrpost_xmlsec::dsig::{Limits, Reference, Signature, SignatureMalformed, TRANSFORM_BASE64, TRANSFORM_C14N};
use rohrpost_xmlsec::{NsContext, XmlError};
use thiserror::Error;

use super::attachments::Attachment;
use super::place::Declarations;
use super::read::{Container, Content, EncryptedContainer, Package};
use crate::header::{CertificateRole, CertificateUse, NonIntermediaryCertificates};
use crate::source::{ReadAt, reader};

/// What is to be said about one signature over a container.
#[derive(Debug, Clone)]
pub struct SignatureVerdict {
    /// `Id` of the container.
    pub container_id: String,
    /// `Id` of the signer's certificate entry, if the signature names one.
    pub signer: Option<String>,
    /// How the signature was made, if that is known.
    pub algorithm: Option<SignatureAlgorithm>,
    /// Every digest algorithm that its references use, each once.
    pub digests: Vec<DigestAlgorithm>,
    /// The time of signing as the signer states it.
    pub signing_time: Option<String>,
    /// Whether the signature stands for everything in the container. Says nothing about the certificate.
    pub outcome: Result<(), ContentSignatureFault>,
}

/// Why a signature does not stand for its container.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ContentSignatureFault {
    /// It is no signature that we can read.
    #[error("the signature is malformed: {0}")]
    Malformed(SignatureMalformed),
    /// It names no certificate, or one that the message does not carry.
    #[error("the signer's certificate is not in the message")]
    SignerUnknown,
    /// The certificate is not one for signatures of the originator or an author.
    #[error("the signer is neither originator nor author")]
    SignerNotAuthor,
    /// The certificate holds no usable key.
    #[error("the signer's certificate holds no usable key")]
    KeyUnusable,
    /// A content is not covered.
    #[error("the signature does not cover everything in the container")]
    Incomplete,
    /// It refers to something that is not in the container.
    #[error("the signature covers something that is not in the container")]
    Surplus,
    /// It transforms what it covers in a way that we do not know.
    #[error("the signature transforms what it covers in a way that is not allowed")]
    Transform,
    /// A content was changed.
    #[error("the content was changed after it was signed")]
    Digest,
    /// An attachment is missing or could not be decrypted.
    #[error("an attachment that is covered cannot be read")]
    AttachmentUnreadable,
    /// The signature value was not made with the signer's key over this list of references.
    #[error("the signature value is wrong")]
    Value,
}

impl Package {
    /// Checks every signature over every container that can be read. `attachments` are those of the message, decrypted as far as
    /// possible; `key_of` finds the public key in a certificate (DER).
    ///
    /// A wrong signature is a verdict, not an error: content stays readable.
    ///
    /// # Errors
    /// If content cannot be read again.
    pub fn verify(
        &self,
        attachments: &[Attachment],
        certificates: &NonIntermediaryCertificates,
        key_of: &dyn Fn(&[u8]) -> Option<PublicKey>,
    ) -> io::Result<Vec<SignatureVerdict>> {
        let attachments = attachments.iter().map(|attachment| (attachment.content_id.as_str(), attachment)).collect();
        let mut check = Check { attachments, certificates, key_of, digests: HashMap::new(), verdicts: Vec::new() };
        self.containers.iter().try_for_each(|container| check.container(container))?;
        self.encrypted.iter().try_for_each(|encrypted| check.encrypted(encrypted))?;
        Ok(check.verdicts)
    }
}

struct Check<'a> {
    attachments: HashMap<&'a str, &'a Attachment>,
    certificates: &'a NonIntermediaryCertificates,
    key_of: &'a dyn Fn(&[u8]) -> Option<PublicKey>,
    /// Digests of what signatures of the container at hand cover: several may cover the same, and a sender may add as many as it
    /// likes.
    digests: HashMap<Key, Vec<Digest>>,
    verdicts: Vec<SignatureVerdict>,
}

/// Which object of a container was digested, and how.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    uri: String,
    algorithm: DigestAlgorithm,
    canonicalized: bool,
}

/// An error of the medium, or a fault of the signature.
enum Stop {
    Io(io::Error),
    Fault(ContentSignatureFault),
}

impl<'a> Check<'a> {
    fn container(&mut self, container: &'a Container) -> io::Result<()> {
        // What a URI means depends on the container; only attachments are the same everywhere.
        self.digests.retain(|key, _| key.uri.starts_with("cid:"));
        for element in &container.signatures {
            let verdict = self.signature(container, &Signature::parse(element, &Limits::default()))?;
            self.verdicts.push(verdict);
        }
        for content in &container.contents {
            if let Content::Container(nested) = content {
                self.container(&nested.container)?;
            }
        }
        container.encrypted.iter().try_for_each(|encrypted| self.encrypted(encrypted))
    }

    fn encrypted(&mut self, encrypted: &'a EncryptedContainer) -> io::Result<()> {
        match &encrypted.content {
            Ok(container) => self.container(container),
            Err(_) => Ok(()),
        }
    }

    fn signature(
        &mut self,
        container: &'a Container,
        signature: &Result<Signature, SignatureMalformed>,
    ) -> io::Result<SignatureVerdict> {
        let mut verdict = SignatureVerdict {
            container_id: container.id.clone(),
            signer: None,
            algorithm: None,
            digests: Vec::new(),
            signing_time: None,
            outcome: Ok(()),
        };
        let signature = match signature {
            Ok(signature) => signature,
            Err(malformed) => {
                verdict.outcome = Err(ContentSignatureFault::Malformed(*malformed));
                return Ok(verdict);
            }
        };
        verdict.signer = signature.key_reference().and_then(|uri| uri.strip_prefix('#')).map(str::to_owned);
        verdict.algorithm = Some(signature.algorithm());
        verdict.signing_time = signature.signing_time().map(|stated| stated.time.clone());
        for reference in signature.references() {
            if !verdict.digests.contains(&reference.digest_algorithm) {
                verdict.digests.push(reference.digest_algorithm);
            }
        }
        verdict.outcome = match self.covers(container, signature) {
            Ok(()) => Ok(()),
            Err(Stop::Fault(fault)) => Err(fault),
            Err(Stop::Io(error)) => return Err(error),
        };
        Ok(verdict)
    }

    fn covers(&mut self, container: &'a Container, signature: &Signature) -> Result<(), Stop> {
        let signer = self.signer(signature)?;
        let objects = Objects::of(container, signature);
        for uri in objects.required.keys() {
            if signature.reference(uri).is_none() {
                return Err(Stop::Fault(ContentSignatureFault::Incomplete));
            }
        }
        signature.verify_value(&signer).map_err(|_| Stop::Fault(ContentSignatureFault::Value))?;
        for reference in signature.references() {
            let object = objects.find(&reference.uri).ok_or(Stop::Fault(ContentSignatureFault::Surplus))?;
            check_transforms(object, reference)?;
            if !self.digest_is_right(object, reference)? {
                return Err(Stop::Fault(ContentSignatureFault::Digest));
            }
        }
        Ok(())
    }

    fn signer(&self, signature: &Signature) -> Result<PublicKey, Stop> {
        let entry = signature
            .key_reference()
            .and_then(|uri| uri.strip_prefix('#'))
            .and_then(|id| self.certificates.by_id(id))
            .ok_or(Stop::Fault(ContentSignatureFault::SignerUnknown))?;
        let author = matches!(entry.role, CertificateRole::Originator | CertificateRole::OtherAuthor);
        if !author || entry.purpose != CertificateUse::Signature {
            return Err(Stop::Fault(ContentSignatureFault::SignerNotAuthor));
        }
        (self.key_of)(&entry.der).ok_or(Stop::Fault(ContentSignatureFault::KeyUnusable))
    }

    fn digest_is_right(&mut self, object: Object<'_>, reference: &Reference) -> Result<bool, Stop> {
        let algorithm = reference.digest_algorithm;
        let is_right = |digests: &[Digest]| digests.iter().any(|digest| reference.matches(digest));
        if let Object::SigningTime(element) = object {
            let digest = |dialect| algorithm.digest(element.to_canonical(&NsContext::empty(), dialect).as_bytes());
            return Ok(is_right(&[Dialect::EscapeGtInAttributes, Dialect::Textbook].map(digest)));
        }
        let key = Key { uri: reference.uri.clone(), algorithm, canonicalized: is_canonicalized(reference) };
        if let Some(known) = self.digests.get(&key) {
            return Ok(is_right(known));
        }
        let digests = self.digests(object, &key)?;
        let right = is_right(&digests);
        self.digests.insert(key, digests);
        Ok(right)
    }

    /// Every digest that may stand for an object.
    fn digests(&self, object: Object<'_>, key: &Key) -> Result<Vec<Digest>, Stop> {
        let algorithm = key.algorithm;
        Ok(match object {
            Object::Data(bytes) => {
                let mut digests = vec![digest_of(bytes, algorithm)?];
                if key.canonicalized {
                    digests.extend(canonical_digests(bytes, algorithm)?);
                }
                digests
            }
            Object::Element(place) => place.digests(Declarations::InScope, algorithm)?,
            Object::Encrypted(place) => {
                let mut digests = place.digests(Declarations::None, algorithm)?;
                digests.extend(place.digests(Declarations::InScope, algorithm)?);
                digests
            }
            Object::Attachment(name) => {
                let bytes = self.attachments.get(name).and_then(|attachment| attachment.bytes());
                let bytes = bytes.ok_or(Stop::Fault(ContentSignatureFault::AttachmentUnreadable))?;
                vec![digest_of(&**bytes, algorithm)?]
            }
            Object::SigningTime(_) => Vec::new(),
        })
    }
}

/// What a signature over a container has to cover, and may cover.
struct Objects<'a> {
    required: HashMap<String, Object<'a>>,
    signing_time: Option<(String, Object<'a>)>,
}

#[derive(Clone, Copy)]
enum Object<'a> {
    Data(&'a dyn ReadAt),
    Element(&'a super::place::Place),
    Encrypted(&'a super::place::Place),
    Attachment(&'a str),
    SigningTime(&'a rohrpost_xmlsec::tree::Element),
}

impl<'a> Objects<'a> {
    fn of(container: &'a Container, signature: &'a Signature) -> Self {
        let mut required = HashMap::new();
        for content in &container.contents {
            let (id, object) = match content {
                Content::Data(data) => (&data.id, Object::Data(&*data.bytes)),
                Content::Attachment(reference) => (&reference.id, Object::Element(&reference.place)),
                Content::Container(nested) => (&nested.id, Object::Element(&nested.place)),
            };
            required.insert(format!("#{id}"), object);
        }
        for encrypted in &container.encrypted {
            // Without an Id nothing can refer to it: XML cannot hold this character, so it counts as not covered.
            let uri = encrypted.id.as_ref().map_or_else(|| "\0".to_owned(), |id| format!("#{id}"));
            required.insert(uri, Object::Encrypted(&encrypted.place));
        }
        add_attachments(container, &mut required);
        let signing_time = signature.signing_time().and_then(|stated| {
            let id = stated.signed_properties.attr("Id")?;
            Some((format!("#{id}"), Object::SigningTime(&stated.signed_properties)))
        });
        Self { required, signing_time }
    }

    fn find(&self, uri: &str) -> Option<Object<'a>> {
        let own = self.required.get(uri).copied();
        own.or_else(|| self.signing_time.as_ref().filter(|(id, _)| id == uri).map(|(_, object)| *object))
    }
}

/// The attachments of a container and of those nested in it.
fn add_attachments<'a>(container: &'a Container, objects: &mut HashMap<String, Object<'a>>) {
    for content in &container.contents {
        match content {
            Content::Attachment(reference) => {
                let name = reference.content_id.as_str();
                objects.insert(format!("cid:{name}"), Object::Attachment(name));
            }
            Content::Container(nested) => add_attachments(&nested.container, objects),
            Content::Data(_) => {}
        }
    }
}

/// Whether an application chose to sign the canonical form of data that are XML themselves.
fn is_canonicalized(reference: &Reference) -> bool {
    matches!(reference.transforms.as_slice(), [first, second] if first == TRANSFORM_BASE64 && second == TRANSFORM_C14N)
}

fn canonical_digests(bytes: &dyn ReadAt, algorithm: DigestAlgorithm) -> io::Result<Vec<Digest>> {
    let mut digests = Vec::new();
    for dialect in [Dialect::Textbook, Dialect::EscapeGtInAttributes] {
        let document = BufReader::new(reader(bytes, 0..bytes.len()));
        let limits = rohrpost_xmlsec::Limits::default();
        match canonicalize_document(document, dialect, &limits, algorithm.hasher()) {
            Ok(hasher) => digests.push(hasher.finish()),
            Err(XmlError::Input(error)) => return Err(error),
            Err(_) => {}
        }
    }
    Ok(digests)
}

/// Of data, the decoded bytes are signed, or their canonical form; further transforms that an application names are not executed,
/// as nowhere.
fn check_transforms(object: Object<'_>, reference: &Reference) -> Result<(), Stop> {
    let transforms: Vec<&str> = reference.transforms.iter().map(String::as_str).collect();
    let right = match object {
        Object::Data(_) => transforms.contains(&TRANSFORM_BASE64),
        Object::Attachment(_) => transforms.is_empty(),
        Object::Element(_) | Object::Encrypted(_) | Object::SigningTime(_) => {
            matches!(transforms.as_slice(), [] | [TRANSFORM_C14N])
        }
    };
    if right { Ok(()) } else { Err(Stop::Fault(ContentSignatureFault::Transform)) }
}

fn digest_of(bytes: &dyn ReadAt, algorithm: DigestAlgorithm) -> io::Result<Digest> {
    let mut hasher = algorithm.hasher();
    io::copy(&mut reader(bytes, 0..bytes.len()), &mut hasher)?;
    Ok(hasher.finish())
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
