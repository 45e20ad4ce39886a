//! Messages as drafts: everything about them can be changed before and after they are signed. What is signed is signed
//! properly, so that a refusal is due to the change and not to a signature that would not have held anyway.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rohrpost_crypto::{DigestAlgorithm, Signer};
use rohrpost_osci::compose::Outgoing;
use rohrpost_osci::mime::{Boundary, Limits, Multipart};
use rohrpost_osci::ns::{NS5, envelope_context};
use rohrpost_osci::source::read_range;
use rohrpost_xmlsec::NsContext;
use rohrpost_xmlsec::c14n::{self, Dialect};

/// A message before it is signed.
#[derive(Clone)]
pub struct Draft {
    /// Value of `xsi:schemaLocation`.
    pub schema_location: String,
    /// Header blocks but the signature, the control block first.
    pub blocks: Vec<DraftBlock>,
    /// The element `soap:Body`.
    pub body: String,
    /// Further MIME parts.
    pub attachments: Vec<DraftAttachment>,
}

/// A header block.
#[derive(Clone)]
pub struct DraftBlock {
    pub id: String,
    pub text: String,
}

/// A further MIME part.
#[derive(Clone)]
pub struct DraftAttachment {
    pub name: String,
    /// Header lines but `Content-ID`, each with its line end.
    pub headers: String,
    /// What is transmitted.
    pub bytes: Vec<u8>,
    /// What a signature covers.
    pub decoded: Vec<u8>,
}

/// A transport signature before it is made.
#[derive(Clone)]
pub struct DraftSignature {
    pub element: String,
    pub id: String,
    pub canonicalization: String,
    /// The algorithm that is stated, if it is not the signer's.
    pub method: Option<String>,
    pub references: Vec<DraftReference>,
    pub key_info: String,
    /// Further children of `ds:Signature`.
    pub objects: String,
}

/// One reference of a transport signature.
#[derive(Clone)]
pub struct DraftReference {
    pub uri: String,
    pub transforms: Vec<String>,
    pub algorithm: String,
    pub digest: String,
}

impl Draft {
    /// Takes apart what would have been sent.
    pub fn of(message: &Outgoing) -> Self {
        let bytes = message.write(None, &Boundary::new("draft").unwrap(), Vec::new()).unwrap();
        let multipart = Multipart::scan(&bytes, &Limits::default()).unwrap();
        let root = read_range(&bytes, multipart.root().range.clone()).unwrap();
        let root = String::from_utf8(root).unwrap();
        let (_, body) = root.split_once("</soap:Header>").unwrap();
        let attachments = multipart.attachments().iter().map(|part| {
            let content = read_range(&bytes, part.range.clone()).unwrap();
            DraftAttachment::raw(&part.content_id, &part.content_type, &content)
        });
        Self {
            schema_location: message.message_type.schema_location(),
            blocks: message.blocks.iter().map(|block| DraftBlock::new(block.id(), block.canonical())).collect(),
            body: body.strip_suffix("</soap:Envelope>").unwrap().to_owned(),
            attachments: attachments.collect(),
        }
    }

    /// The block with this `Id`.
    pub fn block(&mut self, id: &str) -> &mut DraftBlock {
        self.blocks.iter_mut().find(|block| block.id == id).unwrap_or_else(|| panic!("no block {id}"))
    }

    /// The text of the block with this `Id`.
    pub fn block_text(&self, id: &str) -> &str {
        let block = self.blocks.iter().find(|block| block.id == id);
        &block.unwrap_or_else(|| panic!("no block {id}")).text
    }

    /// Puts other text into the place of some text of a block.
    pub fn replace(&mut self, id: &str, from: &str, to: &str) {
        let text = &mut self.block(id).text;
        assert!(text.contains(from), "{id} does not contain {from}: {text}");
        *text = text.replacen(from, to, 1);
    }

    /// Puts other text into the place of some text of the body.
    pub fn replace_in_body(&mut self, from: &str, to: &str) {
        assert!(self.body.contains(from), "the body does not contain {from}: {}", self.body);
        self.body = self.body.replacen(from, to, 1);
    }

    /// The signature that covers the message as it stands.
    pub fn signature(&self) -> DraftSignature {
        let algorithm = DigestAlgorithm::Sha256;
        let element = |uri: String, text: &str| {
            let digest = algorithm.digest(canonical(text).as_bytes());
            DraftReference::new(uri, &[c14n::ALGORITHM], algorithm, digest.as_ref())
        };
        let mut references: Vec<_> =
            self.blocks.iter().map(|block| element(format!("#{}", block.id), &block.text)).collect();
        references.push(element("#body".to_owned(), &self.body));
        references.extend(self.attachments.iter().map(|attachment| {
            let digest = algorithm.digest(&attachment.decoded);
            DraftReference::new(format!("cid:{}", attachment.name), &[], algorithm, digest.as_ref())
        }));
        DraftSignature {
            element: "osci:ClientSignature".to_owned(),
            id: "clientsignature".to_owned(),
            canonicalization: c14n::ALGORITHM.to_owned(),
            method: None,
            references,
            key_info: String::new(),
            objects: String::new(),
        }
    }

    /// The envelope, with a signature block behind the control block if there is one.
    pub fn envelope(&self, signature: Option<&str>) -> String {
        let mut xml = format!(r#"<soap:Envelope{NS5} xsi:schemaLocation="{}"><soap:Header>"#, self.schema_location);
        for (at, block) in self.blocks.iter().enumerate() {
            xml.push_str(&block.text);
            xml.push_str(signature.filter(|_| at == 0).unwrap_or_default());
        }
        xml + "</soap:Header>" + &self.body + "</soap:Envelope>"
    }

    /// The message around an envelope.
    pub fn mime(&self, envelope: &str) -> Vec<u8> {
        mime(envelope.as_bytes(), &self.attachments)
    }
}

impl DraftBlock {
    pub fn new(id: impl Into<String>, text: impl Into<String>) -> Self {
        Self { id: id.into(), text: text.into() }
    }
}

impl DraftAttachment {
    /// An attachment that is transmitted as it is.
    pub fn raw(name: &str, content_type: &str, bytes: &[u8]) -> Self {
        let headers = format!("Content-Type: {content_type}\r\nContent-Transfer-Encoding: 8-bit\r\n");
        Self { name: name.to_owned(), headers, bytes: bytes.to_vec(), decoded: bytes.to_vec() }
    }

    /// An attachment that is transmitted in base64.
    pub fn base64(name: &str, content_type: &str, bytes: &[u8]) -> Self {
        let headers = format!("Content-Type: {content_type}\r\nContent-Transfer-Encoding: base64\r\n");
        let lines: Vec<String> =
            STANDARD.encode(bytes).as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line).into()).collect();
        Self { name: name.to_owned(), headers, bytes: lines.join("\n").into(), decoded: bytes.to_vec() }
    }
}

impl DraftReference {
    pub fn new(uri: String, transforms: &[&str], algorithm: DigestAlgorithm, digest: &[u8]) -> Self {
        Self {
            uri,
            transforms: transforms.iter().map(|uri| (*uri).to_owned()).collect(),
            algorithm: algorithm.uri().to_owned(),
            digest: STANDARD.encode(digest),
        }
    }
}

impl DraftSignature {
    /// The reference with this URI.
    pub fn reference(&mut self, uri: &str) -> &mut DraftReference {
        self.references.iter_mut().find(|reference| reference.uri == uri).unwrap_or_else(|| panic!("no {uri}"))
    }

    /// The signature block.
    pub fn sign(&self, signer: &dyn Signer) -> String {
        let stated = self.method.as_deref().unwrap_or_else(|| signer.algorithm().uri());
        let mut inner = format!(
            "<ds:CanonicalizationMethod Algorithm=\"{}\"></ds:CanonicalizationMethod>\
             <ds:SignatureMethod Algorithm=\"{stated}\"></ds:SignatureMethod>",
            self.canonicalization
        );
        for reference in &self.references {
            let uri = reference.uri.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
            write!(inner, "<ds:Reference URI=\"{uri}\">").unwrap();
            if !reference.transforms.is_empty() {
                let transforms = reference.transforms.iter().map(|transform| match transform.strip_prefix('<') {
                    Some(_) => transform.clone(),
                    None => format!("<ds:Transform Algorithm=\"{transform}\"></ds:Transform>"),
                });
                write!(inner, "<ds:Transforms>{}</ds:Transforms>", transforms.collect::<String>()).unwrap();
            }
            let (algorithm, digest) = (&reference.algorithm, &reference.digest);
            write!(inner, "<ds:DigestMethod Algorithm=\"{algorithm}\"></ds:DigestMethod>").unwrap();
            write!(inner, "<ds:DigestValue>{digest}</ds:DigestValue></ds:Reference>").unwrap();
        }
        let signed_info = canonical(&format!("<ds:SignedInfo>{inner}</ds:SignedInfo>"));
        let value = STANDARD.encode(signer.sign(signed_info.as_bytes()).unwrap());
        format!(
            "<{element} Id=\"{id}\"{ACTOR_NEXT}><ds:Signature><ds:SignedInfo>{inner}</ds:SignedInfo>\
             <ds:SignatureValue>{value}</ds:SignatureValue>{key_info}{objects}</ds:Signature></{element}>",
            element = self.element,
            id = self.id,
            key_info = self.key_info,
            objects = self.objects,
        )
    }
}

/// The attributes of most header blocks.
const ACTOR_NEXT: &str = r#" soap:actor="http://schemas.xmlsoap.org/soap/actor/next" soap:mustUnderstand="1""#;

/// Frames an envelope and attachments.
pub fn mime(envelope: &[u8], attachments: &[DraftAttachment]) -> Vec<u8> {
    // A part may be a message itself.
    let is_in = |boundary: &String| {
        let line = format!("--{boundary}");
        attachments.iter().any(|part| part.bytes.windows(line.len()).any(|bytes| bytes == line.as_bytes()))
    };
    let boundary = (1..).map(|count| "BND".repeat(count)).find(|boundary| !is_in(boundary)).unwrap();
    let mut out = format!(
        "MIME-Version: 1.0\r\nContent-Type: Multipart/Related; boundary={boundary}; type=text/xml\r\n\r\n--{boundary}\r\n\
        Content-Type: text/xml; charset=UTF-8\r\nContent-Transfer-Encoding: 8bit\r\nContent-ID: <osci@message>\r\n\r\n"
    )
    .into_bytes();
    out.extend_from_slice(envelope);
    for attachment in attachments {
        out.extend_from_slice(format!("\r\n--{boundary}\r\n").as_bytes());
        out.extend_from_slice(attachment.headers.as_bytes());
        out.extend_from_slice(format!("Content-ID: <{}>\r\n\r\n", attachment.name).as_bytes());
        out.extend_from_slice(&attachment.bytes);
    }
    out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    out
}

/// The canonical form of an element below our envelope; what is no XML is left as it is.
fn canonical(text: &str) -> String {
    let (scope, bare) = (envelope_context(), NsContext::empty());
    let limits = rohrpost_xmlsec::Limits::default();
    let out = c14n::canonicalize(text.as_bytes(), &scope, &bare, Dialect::EscapeGtInAttributes, &limits, Vec::new());
    out.map_or_else(|_| text.to_owned(), |bytes| String::from_utf8(bytes).unwrap())
}
