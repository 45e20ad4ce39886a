//! Making a signature.

use rohrpost_crypto::{Digest, DigestAlgorithm, Signer, SigningFailed};

use super::NAMESPACE;
use crate::NsContext;
use crate::base64;
use crate::c14n::{self, escape_attribute};

/// Collects references and signs them.
///
/// ```
/// use rohrpost_crypto::{Curve, DigestAlgorithm, PrivateKey, SignatureAlgorithm, Signer};
/// use rohrpost_xmlsec::{Limits, NsContext, dsig, tree::Element};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = PrivateKey::generate_ec(Curve::P256)?;
/// let context = NsContext::from_pairs([("ds", dsig::NAMESPACE)]);
///
/// let sha256 = DigestAlgorithm::Sha256;
/// let mut builder = dsig::SignatureBuilder::new();
/// builder.add_reference("#body", &[dsig::TRANSFORM_C14N], sha256, &sha256.digest(b"<body Id=\"body\"></body>"));
/// let text = builder.sign(&key.signer(SignatureAlgorithm::EcdsaSha256)?, &context, Some("#certificate"), None)?;
///
/// let element = Element::parse(text.as_bytes(), &Limits::default(), &context)?;
/// let signature = dsig::Signature::parse(&element, &dsig::Limits::default())?;
/// signature.verify_value(key.public_key())?;
/// assert_eq!(signature.references()[0].uri, "#body");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
pub struct SignatureBuilder {
    references: String,
}

impl SignatureBuilder {
    /// No references yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a reference. `digest` must have been made with `algorithm` over what `uri` and `transforms` yield.
    pub fn add_reference(
        &mut self,
        uri: &str,
        transforms: &[&str],
        algorithm: DigestAlgorithm,
        digest: &Digest,
    ) -> &mut Self {
        let text = &mut self.references;
        text.extend(["<ds:Reference URI=\"", &escape_attribute(uri), "\">\n"]);
        if !transforms.is_empty() {
            text.push_str("<ds:Transforms>\n");
            transforms.iter().for_each(|transform| push_method(text, "Transform", transform));
            text.push_str("</ds:Transforms>\n");
        }
        push_method(text, "DigestMethod", algorithm.uri());
        text.extend(["<ds:DigestValue>", &base64::encode(digest), "</ds:DigestValue>\n</ds:Reference>\n"]);
        self
    }

    /// Signs and gives the `ds:Signature` element for a place where `context` is in scope. It is canonical apart from
    /// inherited declarations; if `context` does not bind the prefix `ds`, the element does.
    ///
    /// `object` is canonical XML for `ds:Object`. Nothing signs it unless one of the references does.
    ///
    /// # Errors
    /// [`SigningFailed`].
    pub fn sign(
        &self,
        signer: &dyn Signer,
        context: &NsContext,
        key_reference: Option<&str>,
        object: Option<&str>,
    ) -> Result<String, SigningFailed> {
        let mut inner = String::with_capacity(self.references.len() + 256);
        inner.push('\n');
        push_method(&mut inner, "CanonicalizationMethod", c14n::ALGORITHM);
        push_method(&mut inner, "SignatureMethod", signer.algorithm().uri());
        inner.push_str(&self.references);

        let bound = context.uri("ds") == Some(NAMESPACE);
        let declarations = context.with("ds", NAMESPACE).to_declarations();
        let signed_info = format!("<ds:SignedInfo{declarations}>{inner}</ds:SignedInfo>");
        let value = base64::encode(signer.sign(signed_info.as_bytes())?);

        let mut text = String::with_capacity(inner.len() + value.len() + 512);
        text.push_str("<ds:Signature");
        if !bound {
            text.extend([" xmlns:ds=\"", NAMESPACE, "\""]);
        }
        text.extend([
            "><ds:SignedInfo>",
            &inner,
            "</ds:SignedInfo><ds:SignatureValue>",
            &value,
            "</ds:SignatureValue>",
        ]);
        if let Some(uri) = key_reference {
            let uri = escape_attribute(uri);
            text.extend(["<ds:KeyInfo><ds:RetrievalMethod URI=\"", &uri, "\"></ds:RetrievalMethod></ds:KeyInfo>"]);
        }
        if let Some(object) = object {
            text.extend(["<ds:Object>", object, "</ds:Object>"]);
        }
        text.push_str("</ds:Signature>");
        Ok(text)
    }
}

fn push_method(text: &mut String, element: &str, algorithm: &str) {
    let algorithm = escape_attribute(algorithm);
    text.extend(["<ds:", element, " Algorithm=\"", &algorithm, "\"></ds:", element, ">\n"]);
}
