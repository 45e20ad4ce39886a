//! Content as far as our keys open it, and what is to be said about its signatures.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::sync::Arc;

use rohrpost_crypto::policy::{Policy, Purpose, Ruling};
use rohrpost_osci::compose::OutContent;
use rohrpost_osci::content::{
    Attachment, Container, Content, ContentKey, EncryptedContainer, Package, SignatureVerdict,
};
use rohrpost_osci::envelope::PackagePlace;
use rohrpost_osci::header::{CertificateUse, NonIntermediaryCertificates};
use rohrpost_osci::mime::Multipart;
use rohrpost_osci::source::{ReadAt, reader};
use rohrpost_pipeline::keyring::{CipherPair, KeyRing};
use rohrpost_pipeline::open::Opened;
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_pki::{Certificate, Inspection, Inspector, Use, Verdict};
use time::OffsetDateTime;

use crate::error::Error;
use crate::spools::SpoolBlobs;

/// The content of a delivery, opened as far as our keys go, and what is to be said about its signatures.
///
/// Data and attachments lie in spools and are removed with the last handle. Names and content are the sender's: do not use
/// names as paths.
#[derive(Debug)]
#[non_exhaustive]
pub struct Contents {
    /// Containers as they lie in each other.
    pub package: Package,
    /// Attachments, decrypted if a container that could be opened holds their key.
    pub attachments: Vec<Attachment>,
    /// One entry per signature over a container that could be read.
    pub signatures: Vec<ContentSignature>,
    /// The worst that the policy says of how containers were sealed that could be opened; `None` if there are none. What the
    /// policy refuses is opened all the same: whether to rely on it is for the reader to say.
    pub sealing: Option<Ruling>,
}

/// What is to be said about one signature over a container.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ContentSignature {
    /// Whether it stands for its container, and how it was made.
    pub signature: SignatureVerdict,
    /// What the policy says of its algorithms.
    pub ruling: Ruling,
    /// Whose signature it claims to be.
    pub signer: Option<Certificate>,
    /// What the signer's certificate is worth, if there is an inspector.
    pub inspection: Option<Inspection>,
}

impl ContentSignature {
    /// The sum of it: signature, algorithms and certificate. Indeterminate at best if nobody inspected the certificate.
    pub fn verdict(&self) -> Verdict {
        if self.signature.outcome.is_err() || self.ruling == Ruling::Refuse {
            return Verdict::Invalid;
        }
        let certificate = self.inspection.as_ref().map_or(Verdict::Indeterminate, |inspection| inspection.verdict);
        certificate.max(if self.ruling == Ruling::Warn { Verdict::Indeterminate } else { Verdict::Valid })
    }
}

/// Opens content: with which keys, and by what its seals and signatures are judged.
#[derive(Clone)]
pub struct ContentReader {
    /// Our own cipher pairs.
    pub keys: KeyRing,
    /// Further cipher pairs to open with.
    pub readers: Vec<CipherPair>,
    /// Which algorithms may be believed.
    pub policy: Arc<Policy>,
    /// Judges the certificates of authors.
    pub inspector: Option<Arc<Inspector>>,
    /// Where opened content lies.
    pub spools: SpoolDir,
}

/// The content of a received message, not looked at yet.
#[derive(Clone)]
pub struct Enclosed {
    package: OutContent,
    parts: Multipart,
    message: Arc<dyn ReadAt>,
    certificates: NonIntermediaryCertificates,
}

impl Enclosed {
    /// The content of a message: what its body holds, with its attachments and its certificates.
    pub fn new(opened: &Opened, place: &PackagePlace, certificates: NonIntermediaryCertificates) -> Self {
        let message: Arc<dyn ReadAt> = Arc::new(opened.message().clone());
        let package = OutContent::received(Arc::clone(&message), opened.parts().root().range.start, place);
        Self { package, parts: opened.parts().clone(), message, certificates }
    }
}

impl ContentReader {
    /// Reads content: opens what is sealed for one of the keys, and checks every signature as of `at`. Blocks.
    ///
    /// A container that cannot be opened and a signature that does not hold are findings, not errors.
    ///
    /// # Errors
    /// [`PeerError::Content`](crate::PeerError::Content) if there is no sense in the content, [`Error::Storage`].
    pub fn open(&self, enclosed: &Enclosed, at: OffsetDateTime) -> Result<Contents, Error> {
        Opening { reader: self, enclosed, at }.run()
    }
}

struct Opening<'a> {
    reader: &'a ContentReader,
    enclosed: &'a Enclosed,
    at: OffsetDateTime,
}

impl Opening<'_> {
    fn run(&self) -> Result<Contents, Error> {
        let Enclosed { package, parts, message, certificates } = self.enclosed;
        let blobs = SpoolBlobs::new(self.reader.spools.clone());
        let mut package = Package::read(package, &blobs)?;
        package.decrypt(&self.keys(), certificates, &blobs).map_err(Error::Storage)?;
        let attachments = package.attachments(parts, message, &blobs).map_err(Error::Storage)?;
        let key_of = |der: &[u8]| signing_key(&Certificate::from_der(der).ok()?);
        let verdicts = package.verify(&attachments, certificates, &key_of).map_err(Error::Storage)?;
        let signatures = verdicts.into_iter().map(|verdict| self.judge(verdict)).collect();
        let mut contents = Contents { package, attachments, signatures, sealing: None };
        contents.sealing = contents.encrypted().filter_map(|encrypted| self.sealing(encrypted)).min();
        Ok(contents)
    }

    /// Every key of ours that some certificate of the delivery belongs to.
    fn keys(&self) -> Vec<ContentKey<'_>> {
        let ours = |der: &[u8]| {
            let reader = self.reader.readers.iter().find(|pair| pair.certificate.der() == der);
            reader.or_else(|| self.reader.keys.cipher_for(der))
        };
        let ciphers =
            self.enclosed.certificates.entries().iter().filter(|entry| entry.purpose == CertificateUse::Cipher);
        let pairs = ciphers.filter_map(|entry| ours(&entry.der));
        pairs.map(|pair| ContentKey { certificate: pair.certificate.der(), decryptor: &*pair.key }).collect()
    }

    fn judge(&self, signature: SignatureVerdict) -> ContentSignature {
        let entry = signature.signer.as_deref().and_then(|id| self.enclosed.certificates.by_id(id));
        let signer = entry.and_then(|entry| Certificate::from_der(&entry.der).ok());
        let inspector = self.reader.inspector.as_ref();
        let inspection = inspector
            .zip(signer.as_ref())
            .map(|(inspector, signer)| inspector.inspect(signer, &[], Use::ContentSignature, self.at));
        let ruling = self.ruling(&signature, signer.as_ref());
        ContentSignature { signature, ruling, signer, inspection }
    }

    /// The worst ruling for algorithm, key and digests.
    fn ruling(&self, signature: &SignatureVerdict, signer: Option<&Certificate>) -> Ruling {
        let Some(algorithm) = signature.algorithm else { return Ruling::Refuse };
        let (policy, day) = (&self.reader.policy, self.at.date());
        let bits = signer.and_then(signing_key).map(|key| key.kind().bits());
        let digests = signature.digests.iter().map(|digest| policy.judge(Purpose::Digest, digest.uri(), None, day));
        digests.fold(policy.judge(Purpose::ContentSignature, algorithm.uri(), bits, day), Ruling::min)
    }
}

impl Opening<'_> {
    /// What the policy says of how a container was sealed, if it could be opened.
    fn sealing(&self, encrypted: &EncryptedContainer) -> Option<Ruling> {
        opened(encrypted)?;
        let data = encrypted.encryption.as_ref()?;
        let (policy, day) = (&self.reader.policy, self.at.date());
        let transports =
            data.keys.iter().map(|key| policy.judge(Purpose::KeyTransport, key.transport.uri(), None, day));
        let cipher = policy.judge(Purpose::ContentEncryption, data.cipher.uri(), None, day);
        Some(transports.fold(cipher, Ruling::min))
    }
}

/// The key of a certificate, if it may be used for signatures.
fn signing_key(certificate: &Certificate) -> Option<rohrpost_crypto::PublicKey> {
    let forbidden = certificate.key_usage().is_some_and(|usage| !usage.allows_signature());
    if forbidden { None } else { certificate.public_key().ok() }
}

impl Contents {
    /// Every container that can be read, outer ones before those within them.
    pub fn containers(&self) -> Vec<&Container> {
        self.walk().into_iter().map(|(container, _)| container).collect()
    }

    /// Every container that can be read, and whether somebody has signed it or one around it. Whether the signature holds is for
    /// [`signatures`](Self::signatures) to say.
    pub fn walk(&self) -> Vec<(&Container, bool)> {
        let mut found = Vec::new();
        self.package.containers.iter().for_each(|container| collect(container, false, &mut found));
        let opened = self.package.encrypted.iter().filter_map(opened);
        opened.for_each(|container| collect(container, false, &mut found));
        found
    }

    /// How many containers could not be opened.
    pub fn sealed(&self) -> usize {
        self.encrypted().filter(|encrypted| encrypted.content.is_err()).count()
    }

    /// The container that refers to an attachment, by the attachment's name, and whether it is signed; a signed one if there are
    /// several. If it is none of those that can be read, the attachment is probably sealed with one that cannot.
    pub fn referring(&self) -> HashMap<&str, (&Container, bool)> {
        let mut found: HashMap<&str, (&Container, bool)> = HashMap::new();
        for (container, signed) in self.walk() {
            for content in &container.contents {
                if let Content::Attachment(reference) = content {
                    let first = found.entry(&reference.content_id).or_insert((container, signed));
                    if signed && !first.1 {
                        *first = (container, signed);
                    }
                }
            }
        }
        found
    }

    /// The attachment of this name.
    pub fn attachment(&self, name: &str) -> Option<&Attachment> {
        self.attachments.iter().find(|attachment| attachment.content_id == name)
    }

    /// The sum of all signatures: the worst verdict, `None` if nothing is signed. Indeterminate at best if there is something
    /// readable beside what is signed: a delivery is no better than what anybody could have put into it.
    pub fn verdict(&self) -> Option<Verdict> {
        let worst = self.signatures.iter().map(ContentSignature::verdict).max()?;
        Some(if self.has_unsigned() { worst.max(Verdict::Indeterminate) } else { worst })
    }

    fn has_unsigned(&self) -> bool {
        let is_own = |content: &Content| !matches!(content, Content::Container(_));
        let open = self.walk().iter().any(|(container, signed)| !signed && container.contents.iter().any(is_own));
        let referring = self.referring();
        let is_stray = |attachment: &Attachment| {
            attachment.bytes().is_some() && !referring.contains_key(attachment.content_id.as_str())
        };
        // With something sealed for others, an attachment that nothing refers to may well belong to that.
        open || (self.sealed() == 0 && self.attachments.iter().any(is_stray))
    }
}

impl Contents {
    fn encrypted(&self) -> impl Iterator<Item = &EncryptedContainer> {
        let within = self.containers().into_iter().flat_map(|container| &container.encrypted);
        within.chain(&self.package.encrypted)
    }
}

/// Data or an attachment as a stream. Blocks as files do.
pub fn stream(bytes: &Arc<dyn ReadAt>) -> impl Read + Send + use<> {
    reader(Arc::clone(bytes), 0..bytes.len())
}

fn collect<'a>(container: &'a Container, around: bool, found: &mut Vec<(&'a Container, bool)>) {
    let signed = around || !container.signatures.is_empty();
    found.push((container, signed));
    for content in &container.contents {
        if let Content::Container(nested) = content {
            collect(&nested.container, signed, found);
        }
    }
    container.encrypted.iter().filter_map(opened).for_each(|within| collect(within, signed, found));
}

fn opened(encrypted: &EncryptedContainer) -> Option<&Container> {
    encrypted.content.as_deref().ok()
}

/// Shows no content.
impl fmt::Debug for Enclosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Enclosed({:?})", self.package)
    }
}

impl fmt::Debug for ContentReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentReader({:?}, {} readers)", self.keys, self.readers.len())
    }
}
