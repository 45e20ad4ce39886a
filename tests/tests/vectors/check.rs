//! What is checked of one vector.

use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use rohrpost_crypto::{DigestAlgorithm, PublicKey};
use rohrpost_osci::compose::{OutAttachment, OutContent, OutDelivery};
use rohrpost_osci::envelope::{BlockKind, Envelope, Limits, SignedBy};
use rohrpost_osci::feedback::{Code, Feedback, Language};
use rohrpost_osci::header::{CertificateEntry, CertificateRole, CertificateUse, DesiredLanguages, FeatureDescription};
use rohrpost_osci::message::{Request, ResponseHeader, ResponseToFetchDelivery};
use rohrpost_osci::mime::{self, Encoding, Multipart, Part};
use rohrpost_osci::ns::MessageType;
use rohrpost_osci::signature::{self, Covered, MessageParts, Parts as _, TransportSignatureError};
use rohrpost_osci::source::{ReadAt, read_range, reader};
use serde_json::{Value, json};

use super::facts::{Failures, base64, list, sha256_hex, text};
use super::keys::Keys;
use super::{content, order, transport};

/// How much was looked at: a run that checks nothing must not look like a success.
#[derive(Debug, Default)]
pub struct Counts {
    pub accepted: usize,
    pub refused: usize,
    pub faults: usize,
    pub signatures: usize,
    pub contents: usize,
    pub handed_on: usize,
    pub skipped: usize,
}

/// A message that was read.
pub struct Message {
    pub source: Arc<dyn ReadAt>,
    pub multipart: Multipart,
    pub envelope: Envelope,
}

pub fn vector(directory: &Path, keys: &Keys, counts: &mut Counts) -> Vec<String> {
    let mut failures = Failures::default();
    let file = std::fs::read(directory.join("facts.json")).expect("facts can be read");
    let facts: Value = serde_json::from_slice(&file).expect("facts are JSON");
    let octets = |name: &Value| std::fs::read(directory.join(text(name))).expect("a file of a vector can be read");
    let outer = octets(&facts["files"]["mime"]);
    let inner = facts["files"]["inner"].is_string().then(|| octets(&facts["files"]["inner"]));
    let expected = &facts["expected"];
    match (text(&expected["outcome"]), text(&expected["stage"])) {
        ("accept", _) if facts["message"]["faultcode"].is_string() => {
            counts.faults += 1;
            let outcome = format!("fault {}", text(&facts["message"]["detail"]));
            transport::fault(&outcome, &facts["message"], &outer, &mut failures);
        }
        ("accept" | "accept-with-warning", _) => {
            counts.accepted += 1;
            let opened = transport::check(&facts["transport"], outer, keys, counts, &mut failures);
            let readable = inner.or(opened);
            match readable.map(read) {
                Some(Ok(message)) => accepted(directory, &facts, &message, keys, counts, &mut failures),
                Some(Err(error)) => failures.add(error),
                None => failures.add("was not opened"),
            }
        }
        (outcome, _) if outcome.starts_with("fault") => {
            counts.faults += 1;
            transport::fault(outcome, &facts["message"], &outer, &mut failures);
        }
        ("reject", "mime" | "xml" | "decrypt" | "transport-signature") => {
            counts.refused += 1;
            refused(expected, outer, keys, &mut failures);
        }
        _ => counts.skipped += 1,
    }
    failures.into_vec()
}

/// Somewhere between the first octet and the signature the message must be found wrong.
fn refused(expected: &Value, outer: Vec<u8>, keys: &Keys, failures: &mut Failures) {
    let allows = |code: &str| list(&expected["codes"]).iter().any(|allowed| allowed == code);
    match transport::open(outer, keys) {
        Err(_) => {}
        // Here, every key there is belongs to us.
        Ok(_) if allows("9200") => {}
        Ok(inner) => match read(inner) {
            Err(_) => {}
            Ok(message) => match check_signature(&message, keys) {
                Ok(_) => failures.add("was not refused"),
                Err(error) => signature_fault(expected, &error, failures),
            },
        },
    }
}

fn read(octets: Vec<u8>) -> Result<Message, String> {
    let source: Arc<dyn ReadAt> = Arc::new(octets);
    let multipart = Multipart::scan(&*source, &mime::Limits::default()).map_err(|error| format!("MIME: {error}"))?;
    let root = BufReader::new(reader(&*source, multipart.root().range.clone()));
    let envelope = Envelope::read(root, &Limits::default()).map_err(|error| format!("envelope: {error:?}"))?;
    Ok(Message { source, multipart, envelope })
}

fn accepted(
    directory: &Path,
    facts: &Value,
    message: &Message,
    keys: &Keys,
    counts: &mut Counts,
    failures: &mut Failures,
) {
    let signature = check_signature(message, keys);
    match (text(&facts["expected"]["transport_signature"]), &signature) {
        ("valid" | "valid-as-the-library-hashes", Ok(_)) => counts.signatures += 1,
        ("absent", Err(TransportSignatureError::Absent)) => {}
        _ if lacks_key(message, keys) => counts.skipped += 1,
        (stated, read) => failures.add(format!("transport signature: stated {stated}, read {read:?}")),
    }
    if facts["message"].is_object() {
        mime_parts(&facts["mime_parts"], message, failures);
        header(&facts["message"], &message.envelope, failures);
        certificates(&facts["certificates"], &message.envelope, keys, failures);
        references(directory, &facts["transport_signature"], message, failures);
        order::check(&facts["message"], &message.envelope, failures);
    }
    content::check(facts, message, keys, counts, failures);
    if let Ok(Request::StoreDelivery(_)) = Request::parse(&message.envelope) {
        counts.handed_on += 1;
        let received = handed_on(message);
        let text = |message: &Message, kind| -> Vec<String> {
            message.envelope.blocks_of(kind).map(|block| block.canonical.clone()).collect()
        };
        failures.same("custom blocks", &json!(text(message, BlockKind::Custom)), text(&received, BlockKind::Custom));
        content::check(facts, &received, keys, &mut Counts::default(), failures);
    }
}

/// The delivery as its recipient would get it: nothing that a signature covers may have changed.
fn handed_on(message: &Message) -> Message {
    let Ok(Request::StoreDelivery(store)) = Request::parse(&message.envelope) else { panic!("it was one before") };
    let certificates = store.header.certificates.to_block();
    let certificates = rohrpost_osci::header::NonIntermediaryCertificates::from_text(certificates.canonical()).unwrap();
    let header = ResponseHeader { certificates, custom: store.header.custom, ..ResponseHeader::default() };
    let feedback = Feedback::new(Code::ExecutedDialogOpen, Language::German);
    let answer = ResponseToFetchDelivery { header, feedback, selection: None, card: None };
    let attachment = |part: &Part| {
        let length = std::io::copy(&mut part.reader(&*message.source), &mut std::io::sink()).expect("in memory");
        OutAttachment::received(Arc::clone(&message.source), part, length, None)
    };
    let place = message.envelope.body().package().expect("a delivery has content");
    let root = message.multipart.root().range.start;
    let delivery = OutDelivery {
        package: OutContent::received(Arc::clone(&message.source), root, place),
        attachments: message.multipart.attachments().iter().map(attachment).collect(),
    };
    let boundary = mime::Boundary::new("handed_on_1d1b5a9c7f3e").unwrap();
    read(answer.compose(Some(delivery)).unwrap().write(None, &boundary, Vec::new()).unwrap()).unwrap()
}

/// Checks the transport signature with the key of the certificate that it should be made with.
fn check_signature(message: &Message, keys: &Keys) -> Result<Covered, TransportSignatureError> {
    let envelope = &message.envelope;
    let transport = envelope.signature().ok_or(TransportSignatureError::Absent)?;
    let signer = signer(envelope, transport.by, keys).ok_or(TransportSignatureError::Value)?;
    let mut parts = MessageParts::new(&message.multipart, &*message.source);
    signature::check(envelope, &mut parts, &signer, &Limits::default())
}

/// Whether the signer's key is of a kind that our cryptography does not know.
fn lacks_key(message: &Message, keys: &Keys) -> bool {
    message.envelope.signature().is_some_and(|transport| signer(&message.envelope, transport.by, keys).is_none())
}

fn signer(envelope: &Envelope, by: SignedBy, keys: &Keys) -> Option<PublicKey> {
    let entries = all_certificates(envelope);
    let wanted = match (by, envelope.message_type()) {
        (SignedBy::Client, MessageType::AcceptDelivery | MessageType::ProcessDelivery) => CertificateRole::Intermediary,
        (SignedBy::Client, _) | (_, MessageType::ResponseToProcessDelivery) => CertificateRole::Originator,
        (SignedBy::Supplier, MessageType::ResponseToAcceptDelivery) => CertificateRole::Addressee,
        (SignedBy::Supplier, _) => CertificateRole::Intermediary,
    };
    let entry = entries.iter().find(|entry| (entry.role, entry.purpose) == (wanted, CertificateUse::Signature))?;
    keys.of_certificate(&entry.der)?.public.clone()
}

fn signature_fault(expected: &Value, error: &TransportSignatureError, failures: &mut Failures) {
    let code = match error {
        TransportSignatureError::Incomplete { .. } => "9602",
        TransportSignatureError::Absent => "9600",
        _ => "9601",
    };
    if !list(&expected["codes"]).iter().any(|allowed| allowed == code) {
        failures.add(format!("refused with {error:?}, allowed are {}", expected["codes"]));
    }
}

fn mime_parts(facts: &Value, message: &Message, failures: &mut Failures) {
    let root = message.multipart.root();
    let parts: Vec<&Part> = std::iter::once(root).chain(message.multipart.attachments()).collect();
    failures.same("number of parts", &json!(list(facts).len()), parts.len());
    for (fact, part) in list(facts).iter().zip(parts) {
        let raw = read_range(&*message.source, part.range.clone()).expect("in memory");
        failures.same("content id", &fact["content_id"], part.content_id.as_str());
        failures.same("length of a part", &fact["length"], raw.len());
        failures.same("sha256 of a part", &fact["sha256"], sha256_hex(&raw));
        failures.same("content type", &fact["headers"]["content-type"], part.content_type.as_str());
        let base64 = text(&fact["headers"]["content-transfer-encoding"]) == "base64";
        failures.same("transfer encoding", &json!(base64), part.encoding == Encoding::Base64);
        for header in &part.extra_headers {
            failures.same("header", &fact["headers"][header.name().to_lowercase()], header.value());
        }
        if !fact["decoded_sha256"].is_null() {
            let mut decoded = Vec::new();
            part.reader(&*message.source).read_to_end(&mut decoded).expect("in memory");
            failures.same("sha256 of a decoded part", &fact["decoded_sha256"], sha256_hex(&decoded));
        }
    }
}

fn header(facts: &Value, envelope: &Envelope, failures: &mut Failures) {
    failures.same("type", &facts["type"], envelope.message_type().name());
    failures.same("schema location", &facts["schema_location"], envelope.message_type().schema_location());
    let names: Vec<&str> = envelope.blocks().iter().map(|block| block.tree.name().local()).collect();
    let stated: Vec<&Value> =
        list(&facts["header_order"]).iter().filter(|name| !text(name).ends_with("Signature")).collect();
    failures.same("header order", &json!(stated), json!(names));
    let tree = |kind| envelope.blocks_of(kind).next().map(|block| &block.tree);
    let languages =
        tree(BlockKind::DesiredLanguages).map(|tree| DesiredLanguages::from_element(tree).unwrap().tags().join(" "));
    failures.same("languages", &facts["desired_languages"], languages);
    let features = tree(BlockKind::FeatureDescription).map(|tree| FeatureDescription::from_element(tree).unwrap());
    if let (Some(features), Value::Object(stated)) = (features, &facts["features"]) {
        let read: serde_json::Map<_, _> =
            features.features.into_iter().map(|(key, value)| (key, json!(value))).collect();
        failures.same("features", &json!(stated), read);
    }
    let custom: Vec<Value> = envelope
        .blocks_of(BlockKind::Custom)
        .map(|block| {
            json!({
                "name": block.tree.name().local(),
                "namespace": block.tree.name().uri(),
                "id": block.id,
                "c14n_sha256": sha256_hex(block.canonical.as_bytes()),
            })
        })
        .collect();
    let stated: Vec<&Value> = list(&facts["custom_headers"]).iter().collect();
    failures.same("number of custom headers", &json!(stated.len()), custom.len());
    for (stated, read) in stated.iter().zip(custom) {
        for name in ["name", "namespace", "id"] {
            failures.same("custom header", &stated[name], read[name].clone());
        }
        // Where attributes hold `>`, the fact is the digest of the textbook form.
        if stated["c14n_sha256"] != read["c14n_sha256"] {
            let block = envelope.blocks_of(BlockKind::Custom).find(|block| stated["id"] == block.id.as_str()).unwrap();
            let textbook =
                block.textbook_digest(DigestAlgorithm::Sha256).map(|digest| super::facts::hex(digest.as_bytes()));
            failures.same("canonical form of a custom header", &stated["c14n_sha256"], textbook);
        }
    }
}

fn all_certificates(envelope: &Envelope) -> Vec<CertificateEntry> {
    let mut entries = envelope.certificates().map(|block| block.entries().to_vec()).unwrap_or_default();
    if let Some(block) = envelope.blocks_of(BlockKind::IntermediaryCertificates).next() {
        let own = rohrpost_osci::header::IntermediaryCertificates::from_element(&block.tree).unwrap();
        entries.extend(own.cipher);
        entries.extend(own.signature);
    }
    entries
}

fn certificates(facts: &Value, envelope: &Envelope, keys: &Keys, failures: &mut Failures) {
    let role = |role| match role {
        CertificateRole::Originator => "Originator",
        CertificateRole::OtherAuthor => "OtherAuthor",
        CertificateRole::Addressee => "Addressee",
        CertificateRole::OtherReader => "OtherReader",
        CertificateRole::Intermediary => "Intermediary",
    };
    let entries = all_certificates(envelope);
    failures.same("number of certificates", &json!(list(facts).len()), entries.len());
    for stated in list(facts) {
        let Some(entry) = entries.iter().find(|entry| stated["id"] == entry.id.as_str()) else {
            failures.add(format!("certificate {} is missing", stated["id"]));
            continue;
        };
        failures.same("role", &stated["role"], role(entry.role));
        let purpose = if entry.purpose == CertificateUse::Cipher { "cipher" } else { "signature" };
        failures.same("use", &stated["use"], purpose);
        failures.same("fingerprint", &stated["sha256"], sha256_hex(&entry.der));
        if let Some(key) = keys.named(text(&stated["key"])) {
            failures.same("key", &json!(base64(&key.certificate)), base64(&entry.der));
        }
    }
}

fn references(directory: &Path, facts: &Value, message: &Message, failures: &mut Failures) {
    let Some(transport) = message.envelope.signature() else {
        failures.same("signature", facts, Value::Null);
        return;
    };
    let element = if transport.by == SignedBy::Client { "ClientSignature" } else { "SupplierSignature" };
    failures.same("signature element", &facts["element"], element);
    let signature = &transport.signature;
    failures.same("signature algorithm", &facts["signature_algorithm"], signature.algorithm().uri());
    failures.same("signer", &facts["signer_certificate_id"], signature.key_reference());
    failures.same("SignedInfo", &facts["signed_info_sha256"], sha256_hex(signature.signed_info()));
    octets(directory, &facts["signed_info_file"], signature.signed_info(), failures);
    failures.same("number of references", &json!(list(&facts["references"]).len()), signature.references().len());
    for (stated, reference) in list(&facts["references"]).iter().zip(signature.references()) {
        failures.same("reference", &stated["uri"], reference.uri.as_str());
        failures.same("transforms", &stated["transforms"], json!(reference.transforms));
        failures.same("digest algorithm", &stated["digest_algorithm"], reference.digest_algorithm.uri());
        failures.same("stated digest", &stated["digest_stated"], base64(&reference.digest));
        let id = reference.uri.trim_start_matches('#');
        if let Some(block) = message.envelope.blocks().iter().find(|block| block.id == id) {
            if stated["library_hashes"].is_null() {
                octets(directory, &stated["octets_file"], block.canonical.as_bytes(), failures);
            }
        } else if let Some(name) = reference.uri.strip_prefix("cid:") {
            let mut parts = MessageParts::new(&message.multipart, &*message.source);
            let digest = parts.digest(name, reference.digest_algorithm).expect("in memory");
            failures.same("digest of an attachment", &stated["digest_computed"], base64(digest.as_bytes()));
        } else if let Some((_, digest)) = &message.envelope.body().digest {
            failures.same("digest of the body", &stated["digest_computed"], base64(digest.as_bytes()));
        }
    }
}

fn octets(directory: &Path, file: &Value, read: &[u8], failures: &mut Failures) {
    if let Value::String(name) = file {
        let stated = std::fs::read(directory.join(name)).expect("a file of a vector can be read");
        if stated != read {
            failures.add(format!("canonical octets differ from {name}"));
        }
    }
}
