//! Transport signatures (XML-DSig; OSCI-Transport 1.2, transport signatures). What is changed before signing is signed properly: such
//! a signature is right about everything it says, and still must not be enough.

use rohrpost_crypto::{DigestAlgorithm, SignatureAlgorithm};
use rohrpost_intermediary::SignatureDemand;

use super::stage::{Case, Order, cut, executed, fault, refused, replace, run, run_with};
use crate::harness::{Bench, Client, Draft, DraftReference, DraftSignature, NOW, der, key};

const STORE: Order = Order::StoreDelivery;
const C14N: &str = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";

/// A signature that says something else, properly made over what it says.
fn says(name: &str, code: u16, edit: impl Fn(&mut DraftSignature) + 'static) -> Case {
    with_draft(name, code, move |signature, _| edit(signature))
}

fn with_draft(name: &str, code: u16, edit: impl Fn(&mut DraftSignature, &Draft) + 'static) -> Case {
    let expected = if code == 9100 { fault(code) } else { refused(&[code]) };
    Case::new(name, STORE, expected).signature(edit)
}

/// A signature block that is changed after signing.
fn changed(name: &str, code: u16, edit: impl Fn(&mut String) + 'static) -> Case {
    let expected = if code == 9100 { fault(code) } else { refused(&[code]) };
    Case::new(name, STORE, expected).block(edit)
}

fn reference_to(uri: &str, text: &str) -> DraftReference {
    let algorithm = DigestAlgorithm::Sha256;
    DraftReference::new(uri.to_owned(), &[C14N], algorithm, algorithm.digest(text.as_bytes()).as_ref())
}

#[test]
pub(super) fn missing_references() {
    let mut cases = vec![says("no reference at all", 9100, |signature| signature.references.clear())];
    for uri in [
        "#controlblock",
        "#desiredlanguages",
        "#qualityoftimestamp_creation",
        "#storedelivery",
        "#nonintermediarycertificates",
        "#featuredescription",
        "#body",
        "cid:plan.pdf",
    ] {
        cases.push(says(&format!("{uri} is not covered"), 9602, move |signature| {
            signature.references.retain(|reference| reference.uri != uri);
        }));
    }
    for (name, from, to) in [
        ("an Id in other case", "#body", "#Body"),
        ("a URI in escapes", "#body", "#bod%79"),
        ("a blank in a URI", "#body", " #body"),
        ("an XPointer instead of an Id", "#body", "#xpointer(id('body'))"),
        ("the whole document instead of the body", "#body", ""),
        ("an XPointer to the root instead of the body", "#body", "#xpointer(/)"),
        ("an attachment's name in escapes", "cid:plan.pdf", "cid:plan%2Epdf"),
        ("an attachment as element", "cid:plan.pdf", "#plan.pdf"),
        ("an attachment under another scheme", "cid:plan.pdf", "http://127.0.0.1/plan.pdf"),
        ("a body as attachment", "#body", "cid:body"),
    ] {
        cases.push(says(name, 9602, move |signature| signature.reference(from).uri = to.to_owned()));
    }
    run(cases);
}

#[test]
pub(super) fn surplus_references() {
    let to = |name: &str, uri: &'static str| {
        says(name, 9601, move |signature| signature.references.push(reference_to(uri, "anything")))
    };
    run(vec![
        to("to nothing", "#nothing"),
        to("to content", "#data"),
        to("to a container", "#container"),
        to("to the signature itself", "#clientsignature"),
        to("to the whole document", ""),
        to("to an attachment that is not there", "cid:nothing"),
        to("to the root part", "cid:osci@message"),
        to("to a file", "file:///etc/passwd"),
        to("to another machine", "http://127.0.0.1:1/"),
        with_draft("to a certificate, with its right digest", 9601, |signature, draft| {
            let mut text = draft.block_text("nonintermediarycertificates").to_owned();
            let entry = cut(&mut text, "<osci:CipherCertificateAddressee", "</osci:CipherCertificateAddressee>");
            let id = cut(&mut entry.clone(), "Id=\"", "\"");
            let id = id.trim_start_matches("Id=\"").trim_end_matches('"').to_owned();
            signature.references.push(reference_to(&format!("#{id}"), &entry));
        }),
        says("the same twice", 9100, |signature| {
            let twin = signature.reference("#body").clone();
            signature.references.push(twin);
        }),
        says("the same twice with two digests", 9100, |signature| {
            signature.references.push(reference_to("#body", "anything"));
        }),
        says("a reference without URI", 9100, |signature| signature.references.push(reference_to("", "")))
            .block(|block| replace(block, " URI=\"\"", "")),
        says("11000 references", 9100, |signature| {
            signature.references.extend((0..11_000).map(|n| reference_to(&format!("#r{n}"), "")));
        }),
    ]);
}

#[test]
pub(super) fn digests() {
    let digest = |name: &str, code, digest: &'static str| {
        says(name, code, move |signature| signature.reference("#body").digest = digest.to_owned())
    };
    let algorithm = |name: &str, code, uri: &'static str| {
        says(name, code, move |signature| signature.reference("#body").algorithm = uri.to_owned())
    };
    run(vec![
        digest("of something else", 9601, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
        digest("empty", 9601, ""),
        digest("too short", 9601, "AAAA"),
        digest("no character of base64", 9601, "!"),
        digest("badly padded", 9100, "AAA"),
        says("cut off", 9601, |signature| {
            let whole = &mut signature.reference("#body").digest;
            *whole = format!("{}==", &whole[..42]);
        }),
        says("with something behind it", 9601, |signature| {
            let whole = &mut signature.reference("#body").digest;
            *whole = whole.replace('=', "A");
        }),
        algorithm("SHA-384, which OSCI does not know", 9100, "http://www.w3.org/2001/04/xmldsig-more#sha384"),
        algorithm("MD5", 9100, "http://www.w3.org/2001/04/xmldsig-more#md5"),
        algorithm("an algorithm nobody knows", 9100, "urn:x"),
        algorithm("no algorithm", 9100, ""),
        algorithm("the digest of another algorithm", 9601, DigestAlgorithm::Sha512.uri()),
        with_draft("SHA-1, rightly computed", 9601, |signature, draft| {
            let digest = DigestAlgorithm::Sha1.digest(draft.body.as_bytes());
            *signature.reference("#body") =
                DraftReference::new("#body".to_owned(), &[C14N], DigestAlgorithm::Sha1, digest.as_ref());
        }),
        changed("a digest method with parameters", 9100, |block| {
            replace(block, "></ds:DigestMethod>", "><ds:X></ds:X></ds:DigestMethod>");
        }),
        changed("two digest values", 9100, |block| {
            let one = cut(&mut block.clone(), "<ds:DigestValue>", "</ds:DigestValue>");
            replace(block, &one, &one.repeat(2));
        }),
        Case::new("SHA-512, rightly computed", STORE, executed(&[800])).signature(|signature, draft| {
            let digest = DigestAlgorithm::Sha512.digest(draft.block_text("storedelivery").as_bytes());
            *signature.reference("#storedelivery") =
                DraftReference::new("#storedelivery".to_owned(), &[C14N], DigestAlgorithm::Sha512, digest.as_ref());
        }),
    ]);
}

#[test]
pub(super) fn transforms() {
    let of = |name: &str, code, uri: &'static str, transforms: &'static [&'static str]| {
        says(name, code, move |signature| {
            signature.reference(uri).transforms = transforms.iter().map(|uri| (*uri).to_owned()).collect();
        })
    };
    const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
    const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
    const STYLESHEET: &str = "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"><xsl:stylesheet \
        xmlns:xsl=\"http://www.w3.org/1999/XSL/Transform\" version=\"1.0\"></xsl:stylesheet></ds:Transform>";
    const XPATH: &str = "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xpath-19991116\">\
        <ds:XPath>true()</ds:XPath></ds:Transform>";
    run(vec![
        of("XSLT", 9601, "#body", &["http://www.w3.org/TR/1999/REC-xslt-19991116"]),
        of("XPath", 9601, "#body", &["http://www.w3.org/TR/1999/REC-xpath-19991116"]),
        of("XPath filter", 9601, "#body", &["http://www.w3.org/2002/06/xmldsig-filter2"]),
        of("enveloped signature", 9601, "#body", &[ENVELOPED]),
        of("enveloped signature and canonicalisation", 9601, "#body", &[ENVELOPED, C14N]),
        of("exclusive canonicalisation", 9601, "#body", &[EXCLUSIVE]),
        of(
            "canonicalisation with comments",
            9601,
            "#body",
            &["http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments"],
        ),
        of("canonicalisation 1.1", 9601, "#body", &["http://www.w3.org/2006/12/xml-c14n11"]),
        of("canonicalisation twice", 9601, "#body", &[C14N, C14N]),
        of("base64 of an element", 9601, "#body", &["http://www.w3.org/2000/09/xmldsig#base64"]),
        of("base64 of an attachment", 9601, "cid:plan.pdf", &["http://www.w3.org/2000/09/xmldsig#base64"]),
        of("canonicalisation of an attachment", 9601, "cid:plan.pdf", &[C14N]),
        of("something nobody knows", 9601, "#body", &["urn:x"]),
        of("a style sheet", 9100, "#body", &[STYLESHEET]),
        of("an XPath expression", 9100, "#body", &[XPATH]),
        of("too many", 9100, "#body", &[C14N; 20]),
        Case::new("none", STORE, executed(&[800]))
            .signature(|signature, _| signature.reference("#body").transforms.clear()),
    ]);
}

#[test]
pub(super) fn methods_and_values() {
    let method = |name: &str, code, uri: &'static str| {
        says(name, code, move |signature| signature.method = Some(uri.to_owned()))
    };
    let canonicalization =
        |name: &str, uri: &'static str| says(name, 9100, move |signature| signature.canonicalization = uri.to_owned());
    run(vec![
        method("HMAC, with the certificate as key", 9100, "http://www.w3.org/2000/09/xmldsig#hmac-sha1"),
        method("RSA with SHA-384, which OSCI does not know", 9100, "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384"),
        method("RSA with MD5", 9100, "http://www.w3.org/2001/04/xmldsig-more#rsa-md5"),
        method("DSA", 9100, "http://www.w3.org/2000/09/xmldsig#dsa-sha1"),
        method("a method nobody knows", 9100, "urn:x"),
        method("RSA with SHA-1, which the policy refuses", 9601, SignatureAlgorithm::RsaSha1.uri()),
        method("RSA with SHA-512 instead", 9601, SignatureAlgorithm::RsaSha512.uri()),
        method("PSS instead", 9601, SignatureAlgorithm::PssSha256.uri()),
        method("ECDSA with an RSA key", 9601, SignatureAlgorithm::EcdsaSha256.uri()),
        canonicalization("exclusive canonicalisation", "http://www.w3.org/2001/10/xml-exc-c14n#"),
        canonicalization(
            "canonicalisation with comments",
            "http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments",
        ),
        canonicalization("no canonicalisation", ""),
        changed("a length of the HMAC", 9100, |block| {
            replace(
                block,
                "></ds:SignatureMethod>",
                "><ds:HMACOutputLength>1</ds:HMACOutputLength></ds:SignatureMethod>",
            );
        }),
        changed("an octet of the value", 9601, |block| {
            let value = cut(block, "<ds:SignatureValue>", "</ds:SignatureValue>");
            let (head, tail) = value.split_at(40);
            let other = if tail.starts_with('A') { "B" } else { "A" };
            replace(block, "</ds:Signature>", &format!("{head}{other}{}</ds:Signature>", &tail[1..]));
        }),
        changed("an empty value", 9601, |block| {
            cut(block, "<ds:SignatureValue>", "</ds:SignatureValue>");
            replace(block, "</ds:Signature>", "<ds:SignatureValue></ds:SignatureValue></ds:Signature>");
        }),
        changed("a value that is no base64", 9100, |block| {
            cut(block, "<ds:SignatureValue>", "</ds:SignatureValue>");
            replace(block, "</ds:Signature>", "<ds:SignatureValue>=</ds:SignatureValue></ds:Signature>");
        }),
        changed("no value", 9100, |block| {
            cut(block, "<ds:SignatureValue>", "</ds:SignatureValue>");
        }),
        changed("two values", 9100, |block| {
            let value = cut(&mut block.clone(), "<ds:SignatureValue>", "</ds:SignatureValue>");
            replace(block, &value, &value.repeat(2));
        }),
        changed("the value before what is signed", 9100, |block| {
            let value = cut(block, "<ds:SignatureValue>", "</ds:SignatureValue>");
            replace(block, "<ds:SignedInfo>", &format!("{value}<ds:SignedInfo>"));
        }),
        changed("no signed info", 9100, |block| {
            cut(block, "<ds:SignedInfo>", "</ds:SignedInfo>");
        }),
        changed("two signed infos", 9100, |block| {
            let info = cut(&mut block.clone(), "<ds:SignedInfo>", "</ds:SignedInfo>");
            replace(block, &info, &info.repeat(2));
        }),
        changed("no signature in the block", 9100, |block| {
            cut(block, "<ds:Signature>", "</ds:Signature>");
        }),
        changed("two signatures in the block", 9100, |block| {
            let signature = cut(&mut block.clone(), "<ds:Signature>", "</ds:Signature>");
            replace(block, &signature, &signature.repeat(2));
        }),
        changed("text in the block", 9100, |block| replace(block, "<ds:Signature>", "x<ds:Signature>")),
        changed("references in another order", 9601, |block| {
            let first = cut(block, "<ds:Reference ", "</ds:Reference>");
            replace(block, "</ds:SignedInfo>", &format!("{first}</ds:SignedInfo>"));
        }),
        changed("a blank in what is signed", 9601, |block| replace(block, "<ds:Reference ", " <ds:Reference ")),
        Case::new("a comment in what is signed", STORE, executed(&[800]))
            .block(|block| replace(block, "<ds:Reference ", "<!-- a --><ds:Reference ")),
        Case::new("the value in lines", STORE, executed(&[800])).block(|block| {
            replace(block, "<ds:SignatureValue>", "<ds:SignatureValue>\n  ");
        }),
    ]);
}

#[test]
pub(super) fn further_children() {
    let key_info = |name: &str, text: &'static str| {
        says(name, 9100, move |signature| signature.key_info = format!("<ds:KeyInfo>{text}</ds:KeyInfo>"))
    };
    let object = |name: &str, text: &'static str| {
        says(name, 9100, move |signature| signature.objects = format!("<ds:Object>{text}</ds:Object>"))
    };
    run(vec![
        key_info("a key value", "<ds:KeyValue><ds:RSAKeyValue></ds:RSAKeyValue></ds:KeyValue>"),
        key_info("a key name", "<ds:KeyName>alice</ds:KeyName>"),
        key_info(
            "a certificate of the attacker's",
            "<ds:X509Data><ds:X509Certificate>AA==</ds:X509Certificate></ds:X509Data>",
        ),
        key_info("nothing", ""),
        key_info(
            "a retrieval with transforms",
            "<ds:RetrievalMethod URI=\"#x\"><ds:Transforms></ds:Transforms></ds:RetrievalMethod>",
        ),
        object("a manifest", "<ds:Manifest><ds:Reference URI=\"#body\"></ds:Reference></ds:Manifest>"),
        object("properties", "<ds:SignatureProperties></ds:SignatureProperties>"),
        object("an element", "<osci:a></osci:a>"),
        object("an object in an object", "<ds:Object></ds:Object>"),
        says("two objects", 9100, |signature| signature.objects = "<ds:Object></ds:Object>".repeat(2)),
        says("an element nobody knows", 9100, |signature| signature.objects = "<ds:Extra></ds:Extra>".to_owned()),
        // Whose signature it must be is known without it.
        Case::new("a retrieval from nowhere", STORE, executed(&[800])).signature(|signature, _| {
            signature.key_info =
                "<ds:KeyInfo><ds:RetrievalMethod URI=\"http://127.0.0.1:1/key\"></ds:RetrievalMethod></ds:KeyInfo>"
                    .to_owned();
        }),
        Case::new("a retrieval of somebody else's certificate", STORE, refused(&[9601]))
            .signer("mallory-signature")
            .signature(|signature, _| {
                signature.key_info =
                    "<ds:KeyInfo><ds:RetrievalMethod URI=\"#mallory\"></ds:RetrievalMethod></ds:KeyInfo>".to_owned();
            }),
    ]);
}

#[test]
pub(super) fn signers() {
    let other_certificate = |name: &'static str| {
        move |draft: &mut Draft| {
            let text = &mut draft.block("nonintermediarycertificates").text;
            let (own, other) = (encoded("alice-signature"), encoded(name));
            *text = text.replace('\n', "");
            replace(text, &own, &other);
        }
    };
    run(vec![
        Case::new("somebody else's key", STORE, refused(&[9601])).signer("mallory-signature"),
        Case::new("the cipher key of the same person", STORE, refused(&[9601])).signer("alice-cipher"),
        Case::new("somebody else's certificate", STORE, refused(&[9601])).draft(other_certificate("carol-signature")),
        Case::new("somebody else's certificate and no such key", STORE, refused(&[9601]))
            .draft(other_certificate("ec-p256-signature")),
        Case::new("a certificate that is not for signatures", STORE, refused(&[9601, 3707]))
            .draft(other_certificate("wrong-usage-signature"))
            .signer("wrong-usage-signature"),
        Case::new("no certificate of the signer", STORE, refused(&[9601])).draft(|draft| {
            let text = &mut draft.block("nonintermediarycertificates").text;
            cut(text, "<osci:SignatureCertificateOriginator", "</osci:SignatureCertificateOriginator>");
        }),
        Case::new("the certificate of the signer as that of an author", STORE, refused(&[9601])).draft(|draft| {
            let text = &mut draft.block("nonintermediarycertificates").text;
            *text = text.replace("SignatureCertificateOriginator", "SignatureCertificateOtherAuthor");
        }),
        // In order as signatures go; what is to be said about the certificate is said.
        Case::new("somebody else altogether", STORE, executed(&[800]))
            .draft(other_certificate("carol-signature"))
            .signer("carol-signature"),
        Case::new("somebody nobody knows", STORE, executed(&[800, 3707]))
            .draft(other_certificate("mallory-signature"))
            .signer("mallory-signature"),
    ]);
}

fn encoded(name: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(der(name))
}

#[test]
fn elliptic_signatures_in_the_wrong_form() {
    let bench = Bench::default();
    let mut alice = Client::new("alice-cipher", "ec-p256-signature").in_clear();
    let draft = alice.get_message_id();
    let signer = key("ec-p256-signature").key.signer(SignatureAlgorithm::EcdsaSha256).unwrap();
    let good = draft.signature().sign(&signer);
    let mut bad = good.clone();
    let value = cut(&mut bad, "<ds:SignatureValue>", "</ds:SignatureValue>");
    let value = value.trim_start_matches("<ds:SignatureValue>").trim_end_matches("</ds:SignatureValue>");
    let raw = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, value).unwrap();
    let integer = |bytes: &[u8]| {
        let sign = if bytes[0] < 0x80 { &[][..] } else { &[0][..] };
        [&[2, u8::try_from(bytes.len() + sign.len()).unwrap()], sign, bytes].concat()
    };
    let der = [integer(&raw[..32]), integer(&raw[32..])].concat();
    let der = [&[0x30, u8::try_from(der.len()).unwrap()], &der[..]].concat();
    for wrong in [der, raw[..63].to_vec(), [&raw[..], &[0]].concat(), vec![0; 64], vec![0xFF; 64]] {
        let wrong = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, wrong);
        let block =
            bad.replace("</ds:Signature>", &format!("<ds:SignatureValue>{wrong}</ds:SignatureValue></ds:Signature>"));
        assert_eq!(bench.handle(draft.mime(&draft.envelope(Some(&block)))).codes, [9601]);
    }
    assert_eq!(bench.handle_at(draft.mime(&draft.envelope(Some(&good))), NOW).codes, [800]);
}

#[test]
pub(super) fn where_signatures_are_demanded() {
    run_with(
        |settings| settings.signatures = SignatureDemand::All,
        vec![
            Case::new("not signed", STORE, refused(&[9600])).unsigned().alone(),
            Case::new("the signature stripped", STORE, refused(&[9600])).envelope(|xml| {
                cut(xml, "<osci:ClientSignature", "</osci:ClientSignature>");
            }),
            Case::new("the signature stripped from InitDialog", Order::InitDialog, refused(&[9600])).envelope(|xml| {
                cut(xml, "<osci:ClientSignature", "</osci:ClientSignature>");
            }),
            Case::new("the signature called something else", Order::GetMessageId, refused(&[9600])).envelope(|xml| {
                *xml = xml.replace("osci:ClientSignature", "osci:ClientSignatur");
            }),
        ],
    );
}
