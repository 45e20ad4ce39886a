//! Signatures of authors over containers.

use std::fmt;
use std::io;

use rohrpost_crypto::{Digest, DigestAlgorithm, Signer};
use rohrpost_xmlsec::dsig::{SignatureBuilder, TRANSFORM_BASE64, TRANSFORM_C14N};

use super::BuildError;
use super::container::{NewContainer, NewContent};
use crate::datetime::DateTime;
use crate::ns::{NS5, XADES, envelope_context};
use crate::source::reader;
use crate::xml::{escape_attribute, escape_text};

/// An author who signs a container.
pub struct Author<'a> {
    /// The key.
    pub signer: &'a dyn Signer,
    /// `Id` of the author's certificate entry in the message.
    pub certificate_id: &'a str,
    /// Digest algorithm of the references. All signatures of a container use that of the first.
    pub digest: DigestAlgorithm,
    /// The time of signing, if it is to be stated.
    pub signing_time: Option<DateTime>,
}

#[derive(Debug, Clone)]
pub(super) struct NewReference {
    pub(super) uri: String,
    pub(super) transform: Option<&'static str>,
    pub(super) digest: Digest,
}

impl NewContainer {
    /// Signs everything in the container, attachments included. Several authors may sign.
    ///
    /// # Errors
    /// If there is nothing in the container, the contents cannot be read, or the signer fails.
    pub fn sign(&mut self, author: &Author<'_>) -> Result<&mut Self, BuildError> {
        let (algorithm, references) = match &self.references {
            Some(references) => references.clone(),
            None => {
                let references = (author.digest, self.all_references(author.digest)?);
                self.references.insert(references).clone()
            }
        };
        if references.is_empty() {
            return Err(BuildError::NothingToSign);
        }
        let mut builder = SignatureBuilder::new();
        for NewReference { uri, transform, digest } in &references {
            builder.add_reference(uri, transform.as_slice(), algorithm, digest);
        }
        let object = author.signing_time.as_ref().map(|time| {
            let id = format!("{}TS{}", self.id, self.signatures.len());
            let properties = SignedProperties { id: &id, time: time.as_str() };
            let digest = algorithm.digest(properties.canonical().as_bytes());
            builder.add_reference(&format!("#{id}"), &[], algorithm, &digest);
            properties.object()
        });
        let key = format!("#{}", author.certificate_id);
        let signature = builder.sign(author.signer, &envelope_context(), Some(&key), object.as_deref())?;
        self.signatures.push(signature);
        Ok(self)
    }

    fn all_references(&self, algorithm: DigestAlgorithm) -> io::Result<Vec<NewReference>> {
        let mut references = Vec::new();
        for content in &self.contents {
            let mut hasher = algorithm.hasher();
            let (id, transform) = match content {
                NewContent::Data { id, bytes } => {
                    bytes.copy_to(&mut hasher)?;
                    (id, TRANSFORM_BASE64)
                }
                NewContent::Attachment { id, .. } | NewContent::Container { id, .. } => {
                    content.write(NS5, &mut hasher)?;
                    (id, TRANSFORM_C14N)
                }
            };
            references.push(NewReference {
                uri: format!("#{id}"),
                transform: Some(transform),
                digest: hasher.finish(),
            });
        }
        for sealed in &self.sealed {
            let mut hasher = algorithm.hasher();
            sealed.write(&mut hasher)?;
            let uri = format!("#{}", sealed.encryption.id.as_deref().unwrap_or_default());
            references.push(NewReference { uri, transform: Some(TRANSFORM_C14N), digest: hasher.finish() });
        }
        for attachment in self.attachments() {
            let mut hasher = algorithm.hasher();
            io::copy(&mut reader(&*attachment.source, 0..attachment.source.len()), &mut hasher)?;
            let uri = format!("cid:{}", attachment.content_id);
            references.push(NewReference { uri, transform: None, digest: hasher.finish() });
        }
        Ok(references)
    }
}

/// The signing time as a property of a signature (XAdES 1.3.2).
struct SignedProperties<'a> {
    id: &'a str,
    time: &'a str,
}

impl SignedProperties<'_> {
    /// What the reference to it covers.
    fn canonical(&self) -> String {
        self.element(&envelope_context().with("xades", XADES).to_declarations())
    }

    /// The content of the signature's object.
    fn object(&self) -> String {
        format!(
            r#"<xades:QualifyingProperties xmlns:xades="{XADES}">{}</xades:QualifyingProperties>"#,
            self.element("")
        )
    }

    fn element(&self, declarations: &str) -> String {
        format!(
            r#"<xades:SignedProperties{declarations} Id="{}"><xades:SignedSignatureProperties><xades:SigningTime>{}</xades:SigningTime></xades:SignedSignatureProperties></xades:SignedProperties>"#,
            escape_attribute(self.id),
            escape_text(self.time)
        )
    }
}

impl fmt::Debug for Author<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Author({})", self.certificate_id)
    }
}
