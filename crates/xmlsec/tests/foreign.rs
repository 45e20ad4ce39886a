//! Comparison with libxml2 (`xmllint`) and with `xmlsec1`, which must be installed.

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::Generator;
use rohrpost_crypto::{Digest, DigestAlgorithm, PrivateKey, PublicKey, SignatureAlgorithm};
use rohrpost_xmlsec::c14n::{Canonicalizer, Dialect, canonicalize_document};
use rohrpost_xmlsec::dsig::{self, Signature, SignatureBuilder};
use rohrpost_xmlsec::reader::{Event, StrictReader};
use rohrpost_xmlsec::tree::Element;
use rohrpost_xmlsec::{Limits, NsContext, base64};

/// Runs a program; says clearly if it is not there.
fn run(program: &str, arguments: &[&str]) -> Output {
    match Command::new(program).args(arguments).output() {
        Ok(output) => output,
        Err(error) => {
            panic!(
                "cannot run {program} ({error}): install libxml2-utils, xmlsec1 and openssl, as the check script does"
            )
        }
    }
}

fn succeed(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = run(program, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    output.stdout
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary directories have simple names")
}

fn canonical(document: &[u8]) -> Vec<u8> {
    canonicalize_document(document, Dialect::Textbook, &Limits::default(), Vec::new()).expect("an acceptable document")
}

fn assert_same(ours: &[u8], theirs: &[u8], what: &str) {
    assert!(
        ours == theirs,
        "{what}\nours:   {}\ntheirs: {}",
        String::from_utf8_lossy(ours),
        String::from_utf8_lossy(theirs)
    );
}

#[test]
fn generated_documents_are_canonicalised_as_by_libxml2() {
    let directory = tempfile::tempdir().unwrap();
    for seed in 0..300 {
        let document = Generator::document(seed);
        let file = directory.path().join(format!("{seed}.xml"));
        std::fs::write(&file, &document.without_comments).unwrap();
        let theirs = succeed("xmllint", &["--c14n", path(&file)]);
        assert_same(&canonical(document.without_comments.as_bytes()), &theirs, &document.without_comments);
        assert_same(&canonical(document.with_comments.as_bytes()), &theirs, &document.with_comments);
    }
}

#[test]
fn written_documents_are_canonicalised_as_by_libxml2() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut compared = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "xml") {
            let document = std::fs::read_to_string(&file).unwrap();
            let root_only = without_outer_comments(&document);
            let copy = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(copy.path(), root_only).unwrap();
            let theirs = succeed("xmllint", &["--c14n", path(copy.path())]);
            assert_same(&canonical(document.as_bytes()), &theirs, path(&file));
            compared += 1;
        }
    }
    assert!(compared >= 12);
}

fn without_outer_comments(document: &str) -> String {
    match document.split_once("<!--") {
        Some((before, rest)) => before.to_owned() + rest.split_once("-->").expect("a comment ends").1,
        None => document.to_owned(),
    }
}

struct Keys {
    directory: tempfile::TempDir,
    private: PrivateKey,
    public: PublicKey,
}

impl Keys {
    /// Has OpenSSL make a key pair.
    fn generate(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let file = |name: &str| directory.path().join(name).to_str().expect("simple name").to_owned();
        let (pem, der, public_pem, public_der) =
            (file("key.pem"), file("key.der"), file("public.pem"), file("public.der"));
        succeed("openssl", &[&["genpkey", "-out", &pem], arguments].concat());
        succeed("openssl", &["pkcs8", "-topk8", "-nocrypt", "-in", &pem, "-outform", "DER", "-out", &der]);
        succeed("openssl", &["pkey", "-in", &pem, "-pubout", "-out", &public_pem]);
        succeed("openssl", &["pkey", "-in", &pem, "-pubout", "-outform", "DER", "-out", &public_der]);
        let read = |name: &str| std::fs::read(name).expect("written by openssl");
        let private = PrivateKey::from_pkcs8_der(&read(&der)).expect("a key");
        let public = PublicKey::from_spki_der(&read(&public_der)).expect("a key");
        Self { directory, private, public }
    }

    fn rsa() -> Self {
        Self::generate(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
    }

    fn p256() -> Self {
        Self::generate(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])
    }

    fn file(&self, name: &str) -> String {
        path(&self.directory.path().join(name)).to_owned()
    }
}

/// Parts in a context with more namespaces than they use; the second is nested.
const BEFORE: &str = "<r xmlns=\"urn:default\" xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" xmlns:o=\"urn:o\" xmlns:z=\"urn:z\">\n\
    <o:part o:b='1' a=\"&quot;&#10;>\" Id='one'><![CDATA[<ä>]]>\r\n<x xmlns=''/></o:part>\
    <wrap xmlns:w='urn:w'><o:part Id='two' xmlns:o='urn:o'/></wrap>";
const AFTER: &str = "</r>\n";

fn context() -> NsContext {
    NsContext::from_pairs([("", "urn:default"), ("ds", dsig::NAMESPACE), ("o", "urn:o"), ("z", "urn:z")])
}

/// Digests every element with an `Id` and gives back the signature as well.
fn read(document: &[u8], algorithm: DigestAlgorithm) -> (Vec<(String, Digest)>, Option<Signature>) {
    let mut reader = StrictReader::new(document, &Limits::default());
    let (mut digests, mut signature) = (Vec::new(), None);
    loop {
        let (id, is_signature) = match reader.next().expect("acceptable") {
            Event::Start(tag) => (tag.attr("Id").map(str::to_owned), tag.name().is(dsig::NAMESPACE, "Signature")),
            Event::Eof => return (digests, signature),
            _ => continue,
        };
        if is_signature {
            let element = Element::read_element(&mut reader).expect("small");
            signature = Some(Signature::parse(&element, &dsig::Limits::default()).expect("a signature"));
        } else if let Some(id) = id {
            let mut canonicalizer = Canonicalizer::new(algorithm.hasher(), Dialect::Textbook, &NsContext::empty());
            canonicalizer.copy_element(&mut reader).expect("acceptable");
            digests.push((id, canonicalizer.finish().expect("hashers take everything").finish()));
        }
    }
}

fn xmlsec1_verifies_ours(keys: &Keys, algorithm: SignatureAlgorithm) {
    let sha256 = DigestAlgorithm::Sha256;
    let mut builder = SignatureBuilder::new();
    let (digests, _) = read(format!("{BEFORE}{AFTER}").as_bytes(), sha256);
    assert_eq!(digests.len(), 2);
    for (id, digest) in &digests {
        builder.add_reference(&format!("#{id}"), &[dsig::TRANSFORM_C14N], sha256, digest);
    }
    let signer = keys.private.signer(algorithm).expect("fits");
    let signature = builder.sign(&signer, &context(), None, None).expect("signs");
    let signed = format!("{BEFORE}{signature}{AFTER}");

    let file = keys.file("signed.xml");
    let public = keys.file("public.pem");
    let arguments = ["--verify", "--pubkey-pem", &public, "--id-attr:Id", "urn:o:part", &file];
    std::fs::write(&file, &signed).expect("the directory is ours");
    succeed("xmlsec1", &arguments);
    for (from, to) in
        [("<ä>", "<ö>"), ("xmlns:z=\"urn:z\"", "xmlns:z=\"urn:y\""), ("xmlns:w='urn:w'", "xmlns:v='urn:w'")]
    {
        std::fs::write(&file, signed.replace(from, to)).expect("the directory is ours");
        assert!(!run("xmlsec1", &arguments).status.success(), "xmlsec1 notices {from} -> {to}");
    }
}

fn we_verify_what_xmlsec1_signs(keys: &Keys, algorithm: SignatureAlgorithm) {
    let method = |element: &str, uri: &str| format!("<ds:{element} Algorithm='{uri}'/>");
    let reference = |id: &str| {
        let transform = method("Transform", dsig::TRANSFORM_C14N);
        let digest = method("DigestMethod", DigestAlgorithm::Sha512.uri());
        format!(
            "<ds:Reference URI='#{id}'><ds:Transforms>{transform}</ds:Transforms>{digest}<ds:DigestValue/></ds:Reference>"
        )
    };
    let template = format!(
        "{BEFORE}<ds:Signature>\n <ds:SignedInfo>{}{}{}{}\n</ds:SignedInfo><ds:SignatureValue/></ds:Signature>{AFTER}",
        method("CanonicalizationMethod", dsig::TRANSFORM_C14N),
        method("SignatureMethod", algorithm.uri()),
        reference("two"),
        reference("one"),
    );
    let file = keys.file("template.xml");
    std::fs::write(&file, template).expect("the directory is ours");
    let key = keys.file("key.pem");
    let signed = succeed("xmlsec1", &["--sign", "--privkey-pem", &key, "--id-attr:Id", "urn:o:part", &file]);

    let (digests, signature) = read(&signed, DigestAlgorithm::Sha512);
    let signature = signature.expect("there is one");
    signature.verify_value(&keys.public).expect("a valid signature");
    assert_eq!(signature.references().len(), 2);
    for (id, digest) in &digests {
        let reference = signature.reference(&format!("#{id}")).expect("both are referenced");
        assert!(reference.matches(digest), "{id}: {digest:?} is not {}", base64::encode(&reference.digest));
    }
}

#[test]
fn rsa_signatures_both_ways() {
    let keys = Keys::rsa();
    xmlsec1_verifies_ours(&keys, SignatureAlgorithm::RsaSha256);
    we_verify_what_xmlsec1_signs(&keys, SignatureAlgorithm::RsaSha256);
    we_verify_what_xmlsec1_signs(&keys, SignatureAlgorithm::RsaSha512);
}

#[test]
fn ecdsa_signatures_both_ways() {
    let keys = Keys::p256();
    xmlsec1_verifies_ours(&keys, SignatureAlgorithm::EcdsaSha256);
    we_verify_what_xmlsec1_signs(&keys, SignatureAlgorithm::EcdsaSha256);
}
