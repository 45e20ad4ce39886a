//! Content packages: structure, plaintexts and the signatures of authors, with every key there is.

use std::sync::Arc;

use rohrpost_crypto::cipher::IvLength;
use rohrpost_crypto::{BlockCipher, Decryptor, sha256};
use rohrpost_osci::compose::OutContent;
use rohrpost_osci::content::{
    Attachment, AttachmentContent, Container, Content, ContentKey, ContentSignatureFault, EncryptedContainer, InMemory,
    Package, Sealed, SignatureVerdict,
};
use rohrpost_osci::source::{ReadAt, read_range};
use rohrpost_pki::Certificate;
use rohrpost_xmlsec::enc::Recipient;
use serde_json::{Value, json};

use super::check::{Counts, Message};
use super::facts::{Failures, hex, list, text};
use super::keys::{Keys, usable_key};

/// What was made of the content of one message.
struct Opened {
    package: Package,
    attachments: Vec<Attachment>,
    verdicts: Vec<SignatureVerdict>,
}

pub fn check(facts: &Value, message: &Message, keys: &Keys, counts: &mut Counts, failures: &mut Failures) {
    let opened = match open(message, keys) {
        Ok(Some(opened)) => opened,
        Ok(None) => return failures.same("content", &json!(list(&facts["content_package"]).len()), 0),
        Err(error) => return failures.add(format!("content: {error}")),
    };
    counts.contents += 1;
    let lacks_key = |verdict: &SignatureVerdict| verdict.outcome == Err(ContentSignatureFault::KeyUnusable);
    if opened.verdicts.iter().any(lacks_key) {
        counts.skipped += 1;
        return;
    }
    counts.signatures += opened.verdicts.len();
    let wrong = opened.verdicts.iter().any(|verdict| verdict.outcome.is_err());
    match text(&facts["expected"]["content_signatures"]) {
        "valid" | "valid-as-the-library-hashes" if !opened.verdicts.is_empty() && !wrong => {}
        "invalid" if wrong => {}
        "absent" | "" if opened.verdicts.is_empty() => {}
        stated => failures.add(format!("content signatures: stated {stated}, read {:?}", opened.verdicts)),
    }
    if facts["content_package"].is_array() {
        package(&facts["content_package"], &opened, failures);
    }
}

fn open(message: &Message, keys: &Keys) -> Result<Option<Opened>, String> {
    let Some(place) = message.envelope.body().package() else { return Ok(None) };
    let root = message.multipart.root().range.start;
    let content = OutContent::received(Arc::clone(&message.source), root, place);
    let mut package = Package::read(&content, &InMemory).map_err(|error| format!("{error:?}"))?;
    let owned: Vec<ContentKey<'_>> = keys
        .pairs
        .iter()
        .filter_map(|pair| {
            let decryptor: &dyn Decryptor = pair.decryptor.as_ref()?;
            Some(ContentKey { certificate: &pair.certificate, decryptor })
        })
        .collect();
    let certificates = message.envelope.certificates().cloned().unwrap_or_default();
    let io = |error: std::io::Error| error.to_string();
    package.decrypt(&owned, &certificates, &InMemory).map_err(io)?;
    let attachments = package.attachments(&message.multipart, &message.source, &InMemory).map_err(io)?;
    let key_of = |der: &[u8]| usable_key(&Certificate::from_der(der).ok()?);
    let verdicts = package.verify(&attachments, &certificates, &key_of).map_err(io)?;
    Ok(Some(Opened { package, attachments, verdicts }))
}

fn package(facts: &Value, opened: &Opened, failures: &mut Failures) {
    let of_kind = |kind: &str| list(facts).iter().filter(|fact| fact["kind"] == kind).collect::<Vec<_>>();
    containers(&of_kind("container"), &opened.package.containers, opened, failures);
    encrypted(&of_kind("encrypted"), &opened.package.encrypted, opened, failures);
}

fn containers(facts: &[&Value], read: &[Container], opened: &Opened, failures: &mut Failures) {
    failures.same("number of containers", &json!(facts.len()), read.len());
    facts.iter().zip(read).for_each(|(fact, container)| self::container(fact, container, opened, failures));
}

fn container(fact: &Value, read: &Container, opened: &Opened, failures: &mut Failures) {
    failures.same("container", &fact["id"], read.id.as_str());
    signatures(&fact["signatures"], &read.id, opened, failures);
    failures.same("number of contents", &json!(list(&fact["contents"]).len()), read.contents.len());
    for (fact, content) in list(&fact["contents"]).iter().zip(&read.contents) {
        self::content(fact, content, opened, failures);
    }
    let sealed: Vec<&Value> = list(&fact["encrypted_data"]).iter().collect();
    encrypted(&sealed, &read.encrypted, opened, failures);
}

fn content(fact: &Value, read: &Content, opened: &Opened, failures: &mut Failures) {
    match read {
        Content::Data(data) => {
            failures.same("kind", &fact["kind"], "data");
            failures.same("data", &fact["id"], data.id.as_str());
            plaintext(fact, &data.bytes, failures);
        }
        Content::Attachment(reference) => {
            failures.same("kind", &fact["kind"], "attachment");
            failures.same("attachment", &fact["id"], reference.id.as_str());
            failures.same("name", &fact["content_id"], reference.content_id.as_str());
            let found = opened.attachments.iter().find(|attachment| attachment.content_id == reference.content_id);
            let Some(attachment) = found else { return failures.add(format!("no attachment {}", fact["content_id"])) };
            let decrypted = matches!(attachment.content, AttachmentContent::Decrypted(_));
            failures.same("encrypted", &fact["encrypted"], decrypted);
            failures.same("media type", &fact["media_type"], attachment.content_type.as_str());
            match attachment.bytes() {
                Some(bytes) => plaintext(fact, bytes, failures),
                None => failures.add("an attachment could not be decrypted"),
            }
        }
        Content::Container(nested) => {
            failures.same("kind", &fact["kind"], "container");
            failures.same("nested container", &fact["id"], nested.id.as_str());
            container(&fact["container"], &nested.container, opened, failures);
        }
    }
}

fn plaintext(fact: &Value, bytes: &Arc<dyn ReadAt>, failures: &mut Failures) {
    let bytes = read_range(bytes, 0..bytes.len()).expect("in memory");
    failures.same("length of a plaintext", &fact["plaintext_length"], bytes.len());
    failures.same("sha256 of a plaintext", &fact["plaintext_sha256"], hex(&sha256(&bytes)));
}

fn encrypted(facts: &[&Value], read: &[EncryptedContainer], opened: &Opened, failures: &mut Failures) {
    failures.same("number of encrypted containers", &json!(facts.len()), read.len());
    for (fact, sealed) in facts.iter().zip(read) {
        failures.same("encrypted container", &fact["id"], sealed.id.as_deref());
        let Some(encryption) = &sealed.encryption else {
            failures.add("an encrypted container is malformed");
            continue;
        };
        failures.same("cipher", &fact["content_encryption"], encryption.cipher.uri());
        if fact["iv_length_element"] == 12 {
            failures.same("IV", &json!(true), encryption.iv == IvLength::Twelve);
        }
        failures.same("number of readers", &json!(list(&fact["readers"]).len()), encryption.keys.len());
        for (fact, key) in list(&fact["readers"]).iter().zip(&encryption.keys) {
            failures.same("key transport", &fact["key_transport"], key.transport.uri());
            let Recipient::Retrieval(uri) = &key.recipient else { continue };
            failures.same("reader", &fact["certificate_id"], uri.as_str());
        }
        match &sealed.content {
            Ok(read) => container(&fact["container"], read, opened, failures),
            Err(_) if fact["container"].is_null() => {}
            // The reference library makes keys whose thirds repeat, which our backend refuses.
            Err(Sealed::Failed) if encryption.cipher == BlockCipher::TripleDesCbc => {}
            Err(sealed) => failures.add(format!("{} is {sealed:?}", fact["id"])),
        }
    }
}

fn signatures(facts: &Value, container: &str, opened: &Opened, failures: &mut Failures) {
    let verdicts: Vec<&SignatureVerdict> =
        opened.verdicts.iter().filter(|verdict| verdict.container_id == container).collect();
    failures.same("number of signatures", &json!(list(facts).len()), verdicts.len());
    for (fact, verdict) in list(facts).iter().zip(verdicts) {
        let valid = fact["valid"] == true || fact["valid_as_the_library_hashes"] == true;
        failures.same("signature", &json!(valid), verdict.outcome.is_ok());
        failures.same("signature algorithm", &fact["signature_algorithm"], verdict.algorithm.map(|a| a.uri()));
        failures.same("signer", &fact["signer_certificate_id"], verdict.signer.as_ref().map(|id| format!("#{id}")));
        failures.same("signing time", &fact["signing_time"], verdict.signing_time.as_deref());
    }
}
