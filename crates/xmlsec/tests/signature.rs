//! Signatures: what is read, what is refused, what is written.

use rohrpost_crypto::{
    Curve, DigestAlgorithm, PrivateKey, PublicKey, SignatureAlgorithm, Signer, SigningFailed, SoftwareSigner,
};
use rohrpost_xmlsec::dsig::{self, Limits, Signature, SignatureBuilder, SignatureMalformed};
use rohrpost_xmlsec::tree::Element;
use rohrpost_xmlsec::{NsContext, base64};

fn context() -> NsContext {
    NsContext::from_pairs([("ds", dsig::NAMESPACE), ("o", "urn:o")])
}

fn element(text: &str) -> Element {
    Element::parse(text.as_bytes(), &rohrpost_xmlsec::Limits::default(), &context()).expect("well-formed")
}

fn parse(text: &str) -> Result<Signature, SignatureMalformed> {
    Signature::parse(&element(text), &Limits::default())
}

fn signer() -> SoftwareSigner {
    let key = PrivateKey::generate_ec(Curve::P256).expect("a key");
    key.signer(SignatureAlgorithm::EcdsaSha256).expect("fits")
}

/// A signature with everything that may be in one.
fn full(signer: &dyn Signer) -> String {
    let sha512 = DigestAlgorithm::Sha512;
    let mut builder = SignatureBuilder::new();
    builder
        .add_reference("#a", &[dsig::TRANSFORM_C14N], DigestAlgorithm::Sha256, &DigestAlgorithm::Sha256.digest(b"a"))
        .add_reference("cid:ä & <b> \"c\"", &[], sha512, &sha512.digest(b"b"))
        .add_reference("#t", &[], DigestAlgorithm::Sha3_256, &DigestAlgorithm::Sha3_256.digest(b"t"));
    let object = format!(
        "<xades:QualifyingProperties xmlns:xades=\"{}\"><xades:SignedProperties Id=\"t\">\
         <xades:SignedSignatureProperties><xades:SigningTime>2024-05-01T10:00:00+02:00</xades:SigningTime>\
         </xades:SignedSignatureProperties></xades:SignedProperties></xades:QualifyingProperties>",
        dsig::XADES_NAMESPACE
    );
    builder.sign(signer, &context(), Some("#key"), Some(&object)).expect("signs")
}

#[test]
fn what_is_written_is_read_and_verifies() {
    let signer = signer();
    let text = full(&signer);
    let signature = parse(&text).unwrap();
    signature.verify_value(signer.public_key()).unwrap();
    assert_eq!(signature.algorithm(), SignatureAlgorithm::EcdsaSha256);
    assert_eq!(signature.key_reference(), Some("#key"));
    assert_eq!(signature.signing_time().unwrap().time, "2024-05-01T10:00:00+02:00");
    assert_eq!(signature.signing_time().unwrap().signed_properties.attr("Id"), Some("t"));
    assert_eq!(signature.value().len(), 64);
    let reference = signature.reference("cid:ä & <b> \"c\"").unwrap();
    assert!(reference.matches(&DigestAlgorithm::Sha512.digest(b"b")));
    assert!(!reference.matches(&DigestAlgorithm::Sha512.digest(b"c")));
    assert_eq!(signature.references()[0].transforms, [dsig::TRANSFORM_C14N]);
    assert!(signature.reference("#b").is_none());
    let expected = format!("<ds:SignedInfo xmlns:ds=\"{}\" xmlns:o=\"urn:o\">\n<ds:Canon", dsig::NAMESPACE);
    assert!(signature.signed_info().starts_with(expected.as_bytes()));
}

#[test]
fn the_layout() {
    let text = full(&signer());
    let (before, after) = text.split_once("<ds:SignatureValue>").unwrap();
    assert!(before.starts_with(
        "<ds:Signature><ds:SignedInfo>\n\
         <ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/TR/2001/REC-xml-c14n-20010315\"></ds:CanonicalizationMethod>\n\
         <ds:SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256\"></ds:SignatureMethod>\n\
         <ds:Reference URI=\"#a\">\n<ds:Transforms>\n\
         <ds:Transform Algorithm=\"http://www.w3.org/TR/2001/REC-xml-c14n-20010315\"></ds:Transform>\n</ds:Transforms>\n\
         <ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"></ds:DigestMethod>\n\
         <ds:DigestValue>ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs=</ds:DigestValue>\n</ds:Reference>\n\
         <ds:Reference URI=\"cid:ä &amp; &lt;b&gt; &quot;c&quot;\">\n<ds:DigestMethod"
    ), "{before}");
    assert!(before.ends_with("</ds:Reference>\n</ds:SignedInfo>"));
    assert!(after.contains(
        "</ds:SignatureValue><ds:KeyInfo><ds:RetrievalMethod URI=\"#key\"></ds:RetrievalMethod></ds:KeyInfo><ds:Object>"
    ));
    assert!(after.ends_with("</ds:Object></ds:Signature>"));
}

#[test]
fn where_the_prefix_is_not_bound_it_is_declared() {
    let signer = signer();
    let mut builder = SignatureBuilder::new();
    builder.add_reference("#a", &[], DigestAlgorithm::Sha256, &DigestAlgorithm::Sha256.digest(b"a"));
    let text = builder.sign(&signer, &NsContext::empty(), None, None).unwrap();
    let element = Element::parse(text.as_bytes(), &rohrpost_xmlsec::Limits::default(), &NsContext::empty()).unwrap();
    let signature = Signature::parse(&element, &Limits::default()).unwrap();
    signature.verify_value(signer.public_key()).unwrap();
    assert_eq!(signature.key_reference(), None);
}

#[test]
fn any_change_of_what_is_signed_shows() {
    let signer = signer();
    let text = full(&signer);
    for (from, to) in [
        ("URI=\"#a\"", "URI=\"#b\""),
        ("ypeB", "ypeC"),
        ("</ds:Transforms>\n", "</ds:Transforms>"),
        ("xmlenc#sha256", "xmlenc#sha512"),
        ("<ds:SignedInfo>", "<ds:SignedInfo Id=\"x\">"),
        ("<ds:SignedInfo>", "<ds:SignedInfo xmlns:p=\"urn:p\">"),
        ("<ds:Signature>", "<ds:Signature xmlns:p=\"urn:p\">"),
    ] {
        assert!(text.contains(from));
        let signature = parse(&text.replacen(from, to, 1)).unwrap();
        assert!(signature.verify_value(signer.public_key()).is_err(), "{from} -> {to}");
    }
    for (from, to) in [
        ("<ds:KeyInfo>", "<ds:KeyInfo >"),
        ("URI=\"#a\"", "URI = '&#35;a'"),
        ("ypeB", "<!-- -->ypeB"),
        ("<ds:Signature>", "<ds:Signature xmlns:o=\"urn:o\">"),
        ("\n", "\r\n"),
    ] {
        let signature = parse(&text.replace(from, to)).unwrap();
        assert!(signature.verify_value(signer.public_key()).is_ok(), "{from} -> {to}");
    }
    let other = PrivateKey::generate_ec(Curve::P256).unwrap();
    assert!(parse(&text).unwrap().verify_value(other.public_key()).is_err());
    let start = text.find("<ds:SignatureValue>").unwrap();
    let end = text.find("</ds:SignatureValue>").unwrap();
    let empty = format!("{}<ds:SignatureValue>{}", &text[..start], &text[end..]);
    assert!(parse(&empty).unwrap().verify_value(signer.public_key()).is_err());
}

/// Signs the textbook's form, where `>` in attributes stays.
struct Textbook(SoftwareSigner);

impl Signer for Textbook {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }
    fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        let message = std::str::from_utf8(message).expect("XML");
        self.0.sign(message.replace("<b&gt;", "<b>").replace("&lt;b&gt;", "&lt;b>").as_bytes())
    }
}

#[test]
fn both_dialects_verify() {
    let signer = Textbook(signer());
    parse(&full(&signer)).unwrap().verify_value(signer.public_key()).unwrap();
}

#[test]
fn what_must_not_be_in_a_signature() {
    use SignatureMalformed::*;
    let text = full(&signer());
    let reference = "<ds:Reference URI=\"#a\">";
    let key = "<ds:RetrievalMethod URI=\"#key\"></ds:RetrievalMethod>";
    let table = [
        ("<ds:Signature>", "<ds:Signature>text", Forbidden),
        ("<ds:SignedInfo>", "<o:x/><ds:SignedInfo>", Missing("SignedInfo")),
        ("</ds:Signature>", "<o:x/></ds:Signature>", Forbidden),
        ("</ds:Object></ds:Signature>", "</ds:Object><ds:Object/></ds:Signature>", Forbidden),
        ("</ds:SignedInfo>", "<ds:Manifest/></ds:SignedInfo>", Forbidden),
        ("</ds:SignedInfo>", "text</ds:SignedInfo>", Forbidden),
        ("</ds:SignatureMethod>", "<ds:HMACOutputLength>0</ds:HMACOutputLength></ds:SignatureMethod>", Forbidden),
        ("</ds:CanonicalizationMethod>", "<o:InclusiveNamespaces/></ds:CanonicalizationMethod>", Forbidden),
        ("Algorithm=\"http://www.w3.org/TR/2001/REC-xml-c14n-20010315\"", "", Missing("Algorithm")),
        ("REC-xml-c14n-20010315", "REC-xml-c14n-20010315#WithComments", UnknownCanonicalization),
        ("xmldsig-more#ecdsa-sha256", "xmldsig-more#ecdsa-sha384", UnknownSignatureAlgorithm),
        ("xmldsig-more#ecdsa-sha256", "xmldsig-more#hmac-sha256", UnknownSignatureAlgorithm),
        (
            "http://www.w3.org/2001/04/xmlenc#sha256",
            "http://www.w3.org/2001/04/xmldsig-more#sha384",
            UnknownDigestAlgorithm,
        ),
        ("http://www.w3.org/2001/04/xmlenc#sha256", "", UnknownDigestAlgorithm),
        ("URI=\"#t\"", "URI=\"#a\"", DuplicateReference),
        ("URI=\"#t\"", "", Missing("URI")),
        (reference, "<ds:Reference URI=\"#a\"><o:x/>", Missing("DigestMethod")),
        (reference, "<ds:Reference URI=\"#a\">text", Forbidden),
        ("</ds:DigestValue>", "<o:x/></ds:DigestValue>", Forbidden),
        ("</ds:DigestValue>", "=</ds:DigestValue>", Base64),
        ("</ds:DigestMethod>", "<o:x/></ds:DigestMethod>", Forbidden),
        ("</ds:Transform>", "<o:stylesheet/></ds:Transform>", Forbidden),
        ("</ds:Transforms>", "<o:x/></ds:Transforms>", Forbidden),
        ("</ds:SignatureValue>", "a</ds:SignatureValue>", Base64),
        ("<ds:KeyInfo>", "<ds:KeyInfo><ds:KeyName>k</ds:KeyName>", Missing("RetrievalMethod")),
        (key, "<ds:X509Data/>", Missing("RetrievalMethod")),
        (key, "", Missing("RetrievalMethod")),
        (key, "<ds:RetrievalMethod/>", Missing("URI")),
        (key, "<ds:RetrievalMethod URI=\"#a\"/><ds:RetrievalMethod URI=\"#b\"/>", Forbidden),
        (key, "<ds:RetrievalMethod URI=\"#a\"><ds:Transforms/></ds:RetrievalMethod>", Forbidden),
        ("<ds:Object>", "<ds:Object><ds:Manifest/>", Missing("QualifyingProperties")),
        ("<ds:Object>", "<ds:Object><ds:SignatureProperties/>", Missing("QualifyingProperties")),
        ("</ds:Object>", "<o:x/></ds:Object>", Forbidden),
        ("</xades:SigningTime>", "</xades:SigningTime><xades:SignaturePolicyIdentifier/>", Forbidden),
        ("</xades:SigningTime>", "<o:x/></xades:SigningTime>", Forbidden),
    ];
    for (from, to, expected) in table {
        assert!(text.contains(from), "{from}");
        assert_eq!(parse(&text.replacen(from, to, 1)).err(), Some(expected), "{from} -> {to}");
    }
    assert_eq!(parse("<o:Signature/>").err(), Some(Missing("Signature")));
    assert_eq!(parse("<ds:Signature/>").err(), Some(Missing("SignedInfo")));
    let empty = SignatureBuilder::new().sign(&signer(), &context(), None, None).unwrap();
    assert_eq!(parse(&empty).err(), Some(NoReference));
}

#[test]
fn counts_are_limited() {
    let text = full(&signer());
    let with = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        Signature::parse(&element(&text), &limits).err()
    };
    assert_eq!(with(|l| l.references = 3), None);
    assert_eq!(with(|l| l.references = 2), Some(SignatureMalformed::TooMany));
    assert_eq!(with(|l| l.transforms = 0), Some(SignatureMalformed::TooMany));
}

#[test]
fn digests_longer_than_a_line_are_broken() {
    let mut builder = SignatureBuilder::new();
    let digest = DigestAlgorithm::Sha512.digest(b"");
    builder.add_reference("#a", &[], DigestAlgorithm::Sha512, &digest);
    let text = builder.sign(&signer(), &context(), None, None).unwrap();
    assert!(text.contains(&format!("<ds:DigestValue>{}</ds:DigestValue>", base64::encode(digest))));
    assert!(text.contains("oGl\nODJ6+"), "after 76 characters: {text}");
}
