//! Reading a signature.

use std::collections::HashMap;

use rohrpost_crypto::{Digest, DigestAlgorithm, PublicKey, SignatureAlgorithm, SignatureInvalid};

use super::{NAMESPACE, SignatureMalformed, XADES_NAMESPACE};
use crate::NsContext;
use crate::base64;
use crate::c14n::{self, Dialect};
use crate::cursor::{Cursor, empty, leaf};
use crate::tree::Element;

/// Bounds of one signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// References.
    pub references: usize,
    /// Transforms of one reference.
    pub transforms: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { references: 12_000, transforms: 8 }
    }
}

/// A signature as it stands in a document. Nothing about it is verified yet.
#[derive(Debug, Clone)]
pub struct Signature {
    algorithm: SignatureAlgorithm,
    references: Vec<Reference>,
    /// Index of the reference with this URI.
    by_uri: HashMap<String, usize>,
    signed_info: String,
    /// The textbook's form where the dialects differ.
    signed_info_textbook: Option<String>,
    value: Vec<u8>,
    key_reference: Option<String>,
    signing_time: Option<SigningTime>,
}

/// What one `Reference` says. Its digest is a claim until the caller has computed the same.
#[derive(Clone, PartialEq, Eq)]
pub struct Reference {
    /// `#id` or `cid:…`, as written (after unescaping).
    pub uri: String,
    /// Identifiers of the transforms in order. None is executed here; which ones make sense for the object is the
    /// caller's to decide.
    pub transforms: Vec<String>,
    /// How the object was digested.
    pub digest_algorithm: DigestAlgorithm,
    /// The digest that is claimed, of whatever length.
    pub digest: Vec<u8>,
}

/// The XAdES signing time that a signature carries.
#[derive(Debug, Clone)]
pub struct SigningTime {
    /// The `SignedProperties` element; a reference should name its `Id`.
    pub signed_properties: Element,
    /// The time, as written.
    pub time: String,
}

impl Signature {
    /// Reads a `ds:Signature`. The canonical form of `SignedInfo` inherits what was in scope where it was read.
    ///
    /// # Errors
    /// [`SignatureMalformed`] for everything outside the closed list of parts.
    pub fn parse(element: &Element, limits: &Limits) -> Result<Self, SignatureMalformed> {
        if !element.is(NAMESPACE, "Signature") {
            return Err(SignatureMalformed::Missing("Signature"));
        }
        let mut parts = Cursor::new(element)?;
        let signed_info = parts.required(NAMESPACE, "SignedInfo")?;
        let value = parts.required(NAMESPACE, "SignatureValue")?;
        let key_info = parts.optional(NAMESPACE, "KeyInfo");
        let object = parts.optional(NAMESPACE, "Object");
        parts.end()?;
        let (algorithm, references) = parse_signed_info(signed_info, limits)?;
        let by_uri: HashMap<_, _> = references.iter().enumerate().map(|(n, r)| (r.uri.clone(), n)).collect();
        if by_uri.len() < references.len() {
            return Err(SignatureMalformed::DuplicateReference);
        }
        let canonical = |dialect| signed_info.to_canonical(&NsContext::empty(), dialect);
        Ok(Self {
            algorithm,
            references,
            by_uri,
            signed_info: canonical(Dialect::EscapeGtInAttributes),
            signed_info_textbook: signed_info.has_gt_in_attribute().then(|| canonical(Dialect::Textbook)),
            value: base64::decode(leaf(value)?)?,
            key_reference: key_info.map(parse_key_info).transpose()?,
            signing_time: object.map(parse_object).transpose()?,
        })
    }

    /// Checks the signature value over `SignedInfo`. If a `>` stands in an attribute there, both
    /// [dialects](crate::c14n::Dialect) are tried.
    ///
    /// # Errors
    /// [`SignatureInvalid`].
    pub fn verify_value(&self, key: &PublicKey) -> Result<(), SignatureInvalid> {
        let verify = |signed_info: &str| key.verify(self.algorithm, signed_info.as_bytes(), &self.value);
        verify(&self.signed_info).or_else(|invalid| match &self.signed_info_textbook {
            Some(textbook) => verify(textbook),
            None => Err(invalid),
        })
    }

    /// The signature algorithm.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// All references in document order; their URIs differ.
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// The reference with this URI, compared character by character.
    pub fn reference(&self, uri: &str) -> Option<&Reference> {
        self.by_uri.get(uri).map(|&index| &self.references[index])
    }

    /// Canonical octets of `SignedInfo`.
    pub fn signed_info(&self) -> &[u8] {
        self.signed_info.as_bytes()
    }

    /// The signature value.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// URI of the `RetrievalMethod` that names the signer's certificate.
    pub fn key_reference(&self) -> Option<&str> {
        self.key_reference.as_deref()
    }

    /// The XAdES signing time.
    pub fn signing_time(&self) -> Option<&SigningTime> {
        self.signing_time.as_ref()
    }
}

impl Reference {
    /// Whether the digest claimed is this one.
    pub fn matches(&self, digest: &Digest) -> bool {
        digest.matches(&self.digest)
    }
}

impl std::fmt::Debug for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reference({:?})", self.digest_algorithm) // the URI may be a file name
    }
}

fn parse_signed_info(
    element: &Element,
    limits: &Limits,
) -> Result<(SignatureAlgorithm, Vec<Reference>), SignatureMalformed> {
    let mut parts = Cursor::new(element)?;
    if algorithm(parts.required(NAMESPACE, "CanonicalizationMethod")?)? != c14n::ALGORITHM {
        return Err(SignatureMalformed::UnknownCanonicalization);
    }
    let signature_method = algorithm(parts.required(NAMESPACE, "SignatureMethod")?)?;
    let signature_algorithm =
        SignatureAlgorithm::from_uri(signature_method).ok_or(SignatureMalformed::UnknownSignatureAlgorithm)?;
    let mut references = Vec::new();
    while let Some(element) = parts.optional(NAMESPACE, "Reference") {
        if references.len() == limits.references {
            return Err(SignatureMalformed::TooMany);
        }
        references.push(parse_reference(element, limits)?);
    }
    parts.end()?;
    if references.is_empty() { Err(SignatureMalformed::NoReference) } else { Ok((signature_algorithm, references)) }
}

fn parse_reference(element: &Element, limits: &Limits) -> Result<Reference, SignatureMalformed> {
    let mut parts = Cursor::new(element)?;
    let transforms = parts.optional(NAMESPACE, "Transforms");
    let digest_method = algorithm(parts.required(NAMESPACE, "DigestMethod")?)?;
    let digest = leaf(parts.required(NAMESPACE, "DigestValue")?)?;
    parts.end()?;
    Ok(Reference {
        uri: element.attr("URI").ok_or(SignatureMalformed::Missing("URI"))?.to_owned(),
        transforms: transforms.map_or_else(|| Ok(Vec::new()), |element| parse_transforms(element, limits))?,
        digest_algorithm: DigestAlgorithm::from_uri(digest_method).ok_or(SignatureMalformed::UnknownDigestAlgorithm)?,
        digest: base64::decode(digest)?,
    })
}

fn parse_transforms(element: &Element, limits: &Limits) -> Result<Vec<String>, SignatureMalformed> {
    let mut parts = Cursor::new(element)?;
    let mut transforms = Vec::new();
    while let Some(element) = parts.optional(NAMESPACE, "Transform") {
        if transforms.len() == limits.transforms {
            return Err(SignatureMalformed::TooMany);
        }
        transforms.push(algorithm(element)?.to_owned());
    }
    parts.end()?;
    Ok(transforms)
}

/// The attribute `Algorithm` of a method without parameters.
fn algorithm(element: &Element) -> Result<&str, SignatureMalformed> {
    empty(element)?;
    element.attr("Algorithm").ok_or(SignatureMalformed::Missing("Algorithm"))
}

fn parse_key_info(element: &Element) -> Result<String, SignatureMalformed> {
    let mut parts = Cursor::new(element)?;
    let method = parts.required(NAMESPACE, "RetrievalMethod")?;
    parts.end()?;
    empty(method)?;
    Ok(method.attr("URI").ok_or(SignatureMalformed::Missing("URI"))?.to_owned())
}

fn parse_object(element: &Element) -> Result<SigningTime, SignatureMalformed> {
    let qualifying = only_child(element, "QualifyingProperties")?;
    let signed_properties = only_child(qualifying, "SignedProperties")?;
    let signature_properties = only_child(signed_properties, "SignedSignatureProperties")?;
    let time = leaf(only_child(signature_properties, "SigningTime")?)?.to_owned();
    Ok(SigningTime { signed_properties: signed_properties.clone(), time })
}

fn only_child<'a>(element: &'a Element, local: &'static str) -> Result<&'a Element, SignatureMalformed> {
    let mut parts = Cursor::new(element)?;
    let child = parts.required(XADES_NAMESPACE, local)?;
    parts.end()?;
    Ok(child)
}
