//! What was stored is handed out unchanged: content, attachments, certificates, custom blocks (OSCI-Transport 1.2, what an
//! intermediary must preserve).

use std::sync::Arc;

use rohrpost_crypto::{Digest, DigestAlgorithm, PublicKey};
use rohrpost_osci::content::{InMemory, Package, SignatureVerdict};
use rohrpost_osci::header::{CertificateEntry, CertificateRole, CertificateUse, CustomBlock};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::ns::{NS5, envelope_context};
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_osci::source::{ReadAt, read_range};
use rohrpost_pipeline::verify::Verified;
use rohrpost_pki::Certificate;
use rohrpost_xmlsec::c14n::{self, Dialect};
use rohrpost_xmlsec::dsig::{SignatureBuilder, TRANSFORM_BASE64, TRANSFORM_C14N};
use rohrpost_xmlsec::{Limits, NsContext};

use crate::harness::{
    Bench, Client, Delivered, Delivery, Draft, DraftAttachment, DraftBlock, NOW, content, der, rsa_signer,
};

/// Stores a draft of Alice's and lets Bob fetch it.
fn pass(bench: &Bench, request: Vec<u8>) -> Verified {
    let answer = bench.handle(request);
    assert_eq!(answer.codes, [800]);
    let mut bob = Client::bob().open(bench);
    let draft = bob.fetch(DeliverySelection::Oldest);
    let answer = bench.handle(bob.encode(&draft));
    assert_eq!(answer.codes, [801]);
    bob.read(&answer)
}

/// A delivery of Alice's to Bob, with Carol as author.
fn draft(bench: &Bench) -> (MessageId, Draft) {
    let id = bench.fresh_id();
    let mut delivery = Delivery::to("bob-cipher", &id);
    delivery.certificates.push(carol());
    delivery.content = content(b"Inhalt", &[("plan.pdf", b"Lageplan")]);
    (id, Client::alice().in_clear().store(delivery))
}

fn carol() -> CertificateEntry {
    CertificateEntry::new(CertificateRole::OtherAuthor, CertificateUse::Signature, 0, der("carol-signature"))
}

fn canonical(text: &str, scope: &NsContext, dialect: Dialect) -> String {
    let bare = NsContext::empty();
    let out = c14n::canonicalize(text.as_bytes(), scope, &bare, dialect, &Limits::default(), Vec::new()).unwrap();
    String::from_utf8(out).unwrap()
}

/// The canonical form of the package that an answer carries, with everything in scope.
fn package_text(answer: &Verified) -> String {
    let (opened, envelope) = (answer.read().opened(), answer.read().envelope());
    let (start, place) = (opened.parts().root().range.start, envelope.body().package().unwrap());
    let range = start + place.range.start..start + place.range.end;
    let text = String::from_utf8(read_range(opened.message(), range).unwrap()).unwrap();
    canonical(&text, &place.in_scope, Dialect::Textbook)
}

fn verdicts(answer: &Verified) -> Vec<SignatureVerdict> {
    let package: Package = Delivered::package(answer).unwrap();
    let opened = answer.read().opened();
    let source: Arc<dyn ReadAt> = Arc::new(opened.message().clone());
    let attachments = package.attachments(opened.parts(), &source, &InMemory).unwrap();
    let certificates = answer.read().envelope().certificates().unwrap().clone();
    let key_of = |der: &[u8]| -> Option<PublicKey> { Certificate::from_der(der).ok()?.public_key().ok() };
    package.verify(&attachments, &certificates, &key_of).unwrap()
}

/// A package that Carol signed where `scope` holds, with an attribute of the application's that contains `>`.
fn signed_package(scope: &NsContext, dialect: Dialect) -> String {
    let sha256 = |bytes: &[u8]| -> Digest { DigestAlgorithm::Sha256.digest(bytes) };
    let reference = r#"<osci:Content fv:note="a &gt; b &amp; c" Id="plan" href="cid:plan.pdf"></osci:Content>"#;
    let mut signature = SignatureBuilder::new();
    let algorithm = DigestAlgorithm::Sha256;
    signature.add_reference("#data", &[TRANSFORM_BASE64], algorithm, &sha256(b"Inhalt"));
    let text = canonical(reference, scope, dialect);
    assert_eq!(text.contains("a > b"), dialect == Dialect::Textbook);
    signature.add_reference("#plan", &[TRANSFORM_C14N], algorithm, &sha256(text.as_bytes()));
    signature.add_reference("cid:plan.pdf", &[], algorithm, &sha256(b"Lageplan"));
    let key = format!("#{}", carol().id);
    let signature = signature.sign(&rsa_signer("carol-signature"), scope, Some(&key), None).unwrap();
    format!(
        r#"<osci:ContentPackage><osci:ContentContainer Id="container">{signature}<osci:Content><osci:Base64Content Id="data">SW5oYWx0</osci:Base64Content></osci:Content>{reference}</osci:ContentContainer></osci:ContentPackage>"#
    )
}

#[test]
fn an_authors_signature_holds_under_further_declarations() {
    let more = [("", "urn:default"), ("fv", "urn:fachverfahren"), ("unused", "urn:unused")];
    let mut scope = envelope_context();
    more.iter().for_each(|(prefix, uri)| scope = scope.with(prefix, uri));
    let declared: String = more
        .iter()
        .map(|(prefix, uri)| match *prefix {
            "" => format!(" xmlns=\"{uri}\""),
            prefix => format!(" xmlns:{prefix}=\"{uri}\""),
        })
        .collect();
    for dialect in [Dialect::Textbook, Dialect::EscapeGtInAttributes] {
        let package = signed_package(&scope, dialect);
        for place in ["envelope", "body", "package"] {
            let bench = Bench::default();
            let (id, mut draft) = draft(&bench);
            let (in_body, in_package) = match place {
                "body" => (declared.as_str(), ""),
                "package" => ("", declared.as_str()),
                _ => ("", ""),
            };
            let package = package.replacen("<osci:ContentPackage", &format!("<osci:ContentPackage{in_package}"), 1);
            draft.body = format!("<soap:Body{NS5}{in_body} Id=\"body\">{package}</soap:Body>");
            let mut alice = Client::alice().in_clear();
            let request = if place == "envelope" {
                // The transport signature of a draft knows the usual declarations only.
                alice.signature = None;
                let envelope = draft.envelope(None).replacen("<soap:Envelope", &format!("<soap:Envelope{declared}"), 1);
                draft.mime(&envelope)
            } else {
                alice.encode(&draft)
            };
            let answer = pass(&bench, request);
            let delivered = Delivered::read(&answer).unwrap();
            assert_eq!((delivered.message_id, delivered.data), (id, vec![("data".to_owned(), b"Inhalt".to_vec())]));
            let verdicts = verdicts(&answer);
            assert_eq!(verdicts.len(), 1);
            assert_eq!(verdicts[0].outcome, Ok(()), "{place} {dialect:?}");
            assert_eq!(verdicts[0].signer.as_deref(), Some(carol().id.as_str()));
            // Not one declaration more or less, not one character else.
            let bare = package.replace(in_package, "");
            assert_eq!(package_text(&answer), canonical(&bare, &scope, Dialect::Textbook), "{place}");
        }
    }
}

/// A sender may call things by other prefixes than we do, even use ours for something else.
#[test]
fn other_prefixes_are_kept() {
    let bench = Bench::default();
    let (_, mut draft) = draft(&bench);
    let inside = "<o:ContentPackage><o:ContentContainer Id=\"container\"><o:Content><o:Base64Content Id=\"data\">SW5oYWx0\
                  </o:Base64Content></o:Content><o:Content osci:a=\"1\" xsi:b=\"2\" Id=\"p\" href=\"cid:plan.pdf\"></o:Content>\
                  </o:ContentContainer></o:ContentPackage>";
    let declared = " xmlns:o=\"http://www.osci.de/2002/04/osci\" xmlns:osci=\"urn:other\" xmlns:xsi=\"urn:another\"";
    draft.body = format!("<soap:Body{declared} Id=\"body\">{inside}</soap:Body>");
    let answer = pass(&bench, Client::alice().in_clear().encode(&draft));
    assert_eq!(Delivered::read(&answer).unwrap().data, [("data".to_owned(), b"Inhalt".to_vec())]);
    let scope = envelope_context()
        .with("o", "http://www.osci.de/2002/04/osci")
        .with("osci", "urn:other")
        .with("xsi", "urn:another");
    assert_eq!(package_text(&answer), canonical(inside, &scope, Dialect::Textbook));
}

#[test]
fn an_authors_signature_that_is_wrong_is_none_of_our_business() {
    let bench = Bench::default();
    let scope = envelope_context().with("fv", "urn:fachverfahren");
    let (_, mut draft) = draft(&bench);
    let package = signed_package(&scope, Dialect::Textbook).replace("SW5oYWx0", "QW5kZXJlcw==");
    draft.body = format!("<soap:Body{NS5} xmlns:fv=\"urn:fachverfahren\" Id=\"body\">{package}</soap:Body>");
    let answer = pass(&bench, Client::alice().in_clear().encode(&draft));
    let verdicts = verdicts(&answer);
    assert!(verdicts[0].outcome.is_err());
    assert_eq!(Delivered::read(&answer).unwrap().data[0].1, b"Anderes");
}

#[test]
fn white_space_comments_and_characters_survive_as_far_as_they_count() {
    let bench = Bench::default();
    let (_, mut draft) = draft(&bench);
    let inside = "<osci:ContentPackage>\r\n <!-- a comment -->\t<osci:ContentContainer Id='container'\n>\
                  <osci:Content><osci:Base64Content Id=\"data\">SW5o\r\nYWx0\n</osci:Base64Content></osci:Content>\
                  <osci:Content Id=\"äöü\" href=\"cid:plan.pdf\"/></osci:ContentContainer> </osci:ContentPackage>";
    draft.body = format!("<soap:Body{NS5} Id=\"body\">{inside}</soap:Body>");
    let answer = pass(&bench, Client::alice().in_clear().encode(&draft));
    assert_eq!(package_text(&answer), canonical(inside, &envelope_context(), Dialect::Textbook));
    assert_eq!(Delivered::read(&answer).unwrap().data, [("data".to_owned(), b"Inhalt".to_vec())]);
}

#[test]
fn custom_blocks_and_certificates_keep_every_character_and_their_ids() {
    let bench = Bench::default();
    let (_, mut draft) = draft(&bench);
    let custom = [
        "<fv:Vermerk xmlns:fv=\"urn:fv\" xmlns:z=\"urn:z\" Id=\"vermerk\" z:a=\"x &gt; y\" b=\"&quot;&#xA;\">Zeile 1\n  <fv:Teil>ä &amp; &lt;</fv:Teil></fv:Vermerk>",
        "<MessageMetaData xmlns=\"http://www.osci.eu/ws/2014/10/transport\" Id=\"MetaData\" TestMsg=\"false\"><a xmlns=\"\"/></MessageMetaData>",
        "<osci:Novelty Id=\"novelty\">new</osci:Novelty>",
    ];
    for (text, id) in custom.iter().zip(["vermerk", "MetaData", "novelty"]) {
        draft.blocks.push(DraftBlock::new(id, *text));
    }
    draft.replace("nonintermediarycertificates", "Id=\"nonintermediarycertificates\"", "Id=\"meine-zertifikate\"");
    draft.blocks.iter_mut().filter(|block| block.id == "nonintermediarycertificates").for_each(|block| {
        block.id = "meine-zertifikate".to_owned();
        block.text = block.text.replace("author0_signature_", "frau.müller_");
    });
    let sent = draft.block_text("meine-zertifikate").to_owned();
    let answer = pass(&bench, Client::alice().in_clear().encode(&draft));
    let delivered = Delivered::read(&answer).unwrap();
    let expected: Vec<String> =
        custom.iter().map(|text| canonical(text, &envelope_context(), Dialect::EscapeGtInAttributes)).collect();
    assert_eq!(delivered.custom, expected);
    assert_eq!(delivered.certificates.id(), "meine-zertifikate");
    assert_eq!(delivered.certificates.to_block().canonical(), sent);
    assert!(CustomBlock::kept(delivered.custom[1].clone()).unwrap().id() == CustomBlock::META_DATA_ID);
}

#[test]
fn attachments_keep_name_type_headers_and_bytes_whatever_their_encoding() {
    let bench = Bench::default();
    let (_, mut draft) = draft(&bench);
    let large: Vec<u8> = (0..300_000u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    draft.attachments = vec![
        DraftAttachment::raw("plan.pdf", "application/pdf", b"Lageplan"),
        DraftAttachment::base64("Änderung 1; \"Entwurf\".txt", "text/plain; charset=utf-8", b"a\r\n--BND\r\nb"),
        DraftAttachment::base64("large.bin", "application/octet-stream", &large),
        DraftAttachment::raw("large-raw.bin", "application/octet-stream", &large),
        DraftAttachment::raw("empty", "text/plain", b""),
        DraftAttachment::base64("empty in base64", "text/plain", b""),
        DraftAttachment::raw("lookalike", "text/plain", b"\r\n--BN\r\n--BNX\r\nContent-Type: text/xml\r\n"),
    ];
    draft.attachments[0].headers += "Content-Description: Lageplan, Blatt 3\r\nX-Fach: 1\r\n";
    let sent: Vec<_> = draft.attachments.iter().map(|one| (one.name.clone(), one.decoded.clone())).collect();
    let request = Client::alice().encode(&draft);
    let answer = pass(&bench, request);
    let delivered = Delivered::read(&answer).unwrap();
    let got: Vec<_> = delivered.attachments.iter().map(|(name, _, bytes)| (name.clone(), bytes.clone())).collect();
    assert!(got == sent, "names or bytes differ");
    assert_eq!(delivered.attachments[1].1, "text/plain; charset=utf-8");
    let part = answer.read().opened().parts().attachment("plan.pdf").unwrap();
    let extra: Vec<_> = part.extra_headers.iter().map(|header| format!("{header:?}")).collect();
    assert!(extra.len() == 2, "{extra:?}");
}

#[test]
fn subjects_are_escaped_on_the_way_out() {
    let bench = Bench::default();
    for subject in ["Müller & Söhne <GmbH>", "]]>", "a\nb\tc", "  ", "", "\u{1F4EE}", "\"'&amp;"] {
        let mut delivery = Delivery::to("bob-cipher", &bench.fresh_id());
        delivery.subject = Some(subject.to_owned());
        let mut alice = Client::alice();
        let draft = alice.store(delivery);
        assert_eq!(alice.codes(&bench, &draft), [800]);
        let mut bob = Client::bob().open(&bench);
        let (_, delivered) = bob.fetch_at(&bench, DeliverySelection::Oldest, NOW);
        assert_eq!(delivered.unwrap().subject.as_deref(), Some(subject));
        let exit = bob.exit();
        bob.send(&bench, &exit);
    }
}

#[test]
fn a_delivery_reads_the_same_every_time_it_is_fetched() {
    let bench = Bench::default();
    let (id, draft) = draft(&bench);
    let first = Delivered::read(&pass(&bench, Client::alice().encode(&draft)));
    let mut bob = Client::bob().open(&bench);
    for _ in 0..2 {
        let (_, again) = bob.fetch_at(&bench, DeliverySelection::ById(id.clone()), NOW);
        assert_eq!(again, first);
    }
}
