use expect_test::expect;
use proptest::prelude::*;
use rohrpost_xmlsec::c14n::{Dialect, canonicalize};
use rohrpost_xmlsec::tree::Element;
use rohrpost_xmlsec::{Limits, NsContext};

use super::*;
use crate::dialog::ControlBlock;
use crate::ids::{Challenge, ConversationId};
use crate::ns::{self, NS5, NS6};

/// The block as a reader of our envelope sees it; fails if its text is not its canonical form there.
fn reread(block: &Block) -> Element {
    let text = block.canonical().as_bytes();
    let scope = ns::envelope_context();
    let bare = NsContext::empty();
    let canonical = canonicalize(text, &scope, &bare, Dialect::EscapeGtInAttributes, &Limits::default(), Vec::new());
    assert_eq!(String::from_utf8(canonical.unwrap()).unwrap(), block.canonical());
    let element = Element::parse(text, &Limits::default(), &scope).unwrap();
    assert_eq!(element.attr("Id"), Some(block.id()));
    element
}

fn short(block: &Block) -> String {
    block.canonical().replace(NS6, " NS6").replace(NS5, " NS5")
}

fn parse(text: &str) -> Element {
    Element::parse(text.as_bytes(), &Limits::default(), &ns::envelope_context().with("osci2017", ns::OSCI2017)).unwrap()
}

fn x509(der: &str) -> String {
    format!("<ds:X509Data><ds:X509Certificate>{der}</ds:X509Certificate></ds:X509Data>")
}

#[test]
fn control_blocks_are_written_in_canonical_order() {
    let control = ControlBlock {
        response: Some(Challenge::new("a<b").unwrap()),
        challenge: Some(Challenge::new("q83vEjRWeJA=").unwrap()),
        conversation_id: Some(ConversationId::new("4711").unwrap()),
        sequence_number: Some(0),
    };
    let block = control_block_to_block(&control);
    expect![[r#"<osci:ControlBlock NS5 ConversationId="4711" Id="controlblock" SequenceNumber="0" soap:actor="http://schemas.xmlsoap.org/soap/actor/next" soap:mustUnderstand="1"><osci:Response>a&lt;b</osci:Response><osci:Challenge>q83vEjRWeJA=</osci:Challenge></osci:ControlBlock>"#]]
        .assert_eq(&short(&block));
    assert_eq!(control_block_from(&reread(&block)).unwrap(), control);
    let empty = ControlBlock::default();
    assert_eq!(control_block_from(&reread(&control_block_to_block(&empty))).unwrap(), empty);
}

#[test]
fn control_blocks_are_closed() {
    for (attributes, inside) in [
        ("", "<osci:Response>a</osci:Response><osci:Response>a</osci:Response>"),
        ("", "<osci:Other>a</osci:Other>"),
        ("", "<Response>a</Response>"),
        ("", "<osci:Challenge></osci:Challenge>"),
        ("", "<osci:Challenge><osci:Challenge>a</osci:Challenge></osci:Challenge>"),
        ("", "text"),
        ("SequenceNumber='-1'", ""),
        ("SequenceNumber='+1'", ""),
        ("SequenceNumber=''", ""),
        ("SequenceNumber=' 1'", ""),
        ("SequenceNumber='2147483648'", ""),
        ("ConversationId=''", ""),
    ] {
        let element = parse(&format!("<osci:ControlBlock {attributes}>{inside}</osci:ControlBlock>"));
        assert!(control_block_from(&element).is_err(), "{attributes} {inside}");
    }
    let element = parse(
        "<osci:ControlBlock SequenceNumber='2147483647'>\n <osci:Challenge> a </osci:Challenge>\n</osci:ControlBlock>",
    );
    let control = control_block_from(&element).unwrap();
    assert_eq!(control.sequence_number, Some(i32::MAX as u32));
    assert_eq!(control.challenge.unwrap().as_str(), " a ");
}

#[test]
fn languages_and_time_stamps() {
    let languages = DesiredLanguages::new(["de", "en-GB"]);
    expect![[r#"<osci:DesiredLanguages NS5 Id="desiredlanguages" LanguagesList="de en-GB" soap:actor="http://schemas.xmlsoap.org/soap/actor/next" soap:mustUnderstand="1"></osci:DesiredLanguages>"#]]
        .assert_eq(&short(&languages.to_block()));
    assert_eq!(DesiredLanguages::from_element(&reread(&languages.to_block())).unwrap(), languages);
    let spaced = parse("<osci:DesiredLanguages LanguagesList='  de   en-GB '/>");
    assert_eq!(DesiredLanguages::from_element(&spaced).unwrap(), languages);
    assert!(DesiredLanguages::from_element(&parse("<osci:DesiredLanguages/>")).is_err());

    let stamp = QualityOfTimestamp { service: TimestampService::Reception, quality: TimestampQuality::Cryptographic };
    expect![[r#"<osci:QualityOfTimestamp NS5 Id="qualityoftimestamp_reception" Quality="cryptographic" Service="reception" soap:actor="http://schemas.xmlsoap.org/soap/actor/next" soap:mustUnderstand="1"></osci:QualityOfTimestamp>"#]]
        .assert_eq(&short(&stamp.to_block()));
    assert_eq!(QualityOfTimestamp::from_element(&reread(&stamp.to_block())).unwrap(), stamp);
    for attributes in ["Quality='plain'", "Quality='Plain' Service='creation'", "Quality='plain' Service='sending'"] {
        let element = parse(&format!("<osci:QualityOfTimestamp {attributes}/>"));
        assert!(QualityOfTimestamp::from_element(&element).is_err(), "{attributes}");
    }
}

#[test]
fn features_are_written_as_the_reference_implementation_writes_them() {
    let mut description = FeatureDescription::announcing([Feature::DisableBase64, Feature::TwelveByteIv]);
    description.min_chunk_size = Some(1000);
    description.max_chunk_size = Some(50_000);
    description.max_message_size = Some(500_000);
    let block = description.to_block();
    expect![[r#"<osci2017:FeatureDescription NS6 Id="featuredescription" MaxChunkSize="50000" MaxMessageSize="500000" MinChunkSize="1000"><osci2017:SupportedFeatures><osci2017:Feature Key="DisableBase64" Version="1.2.0"></osci2017:Feature><osci2017:Feature Key="Support96Bit12ByteIV" Version="1.9.0"></osci2017:Feature></osci2017:SupportedFeatures></osci2017:FeatureDescription>"#]]
        .assert_eq(&short(&block));
    let read = FeatureDescription::from_element(&reread(&block)).unwrap();
    assert_eq!(read, description);
    assert!(read.announces(Feature::TwelveByteIv) && !read.announces(Feature::GcmMode));
    description.chunk_timeout = Some(60);
    assert!(description.to_block().canonical().contains(r#" ChunkMessageTimeout="60" Id="#));
}

#[test]
fn both_spellings_of_the_chunk_timeout_are_read() {
    for name in ["ChunkMessageTimeout", "ChunkMessageTimeOut"] {
        let element = parse(&format!("<osci2017:FeatureDescription {name}='60'/>"));
        assert_eq!(FeatureDescription::from_element(&element).unwrap().chunk_timeout, Some(60));
    }
    let unknown = parse(
        "<osci2017:FeatureDescription><osci2017:SupportedFeatures><osci2017:Feature Key='New'/></osci2017:SupportedFeatures></osci2017:FeatureDescription>",
    );
    assert_eq!(FeatureDescription::from_element(&unknown).unwrap().features, [("New".to_owned(), String::new())]);
    for bad in [
        "<osci2017:FeatureDescription MaxChunkSize='x'/>",
        "<osci2017:FeatureDescription><osci2017:More/></osci2017:FeatureDescription>",
    ] {
        assert!(FeatureDescription::from_element(&parse(bad)).is_err(), "{bad}");
    }
}

#[test]
fn certificates_keep_ids_and_order() {
    let entry = |role, purpose, number, der: &[u8]| CertificateEntry::new(role, purpose, number, der);
    let addressee = entry(CertificateRole::Addressee, CertificateUse::Cipher, 0, b"A");
    let author = entry(CertificateRole::OtherAuthor, CertificateUse::Signature, 3, b"B");
    let originator = entry(CertificateRole::Originator, CertificateUse::Cipher, 0, b"C");
    assert_eq!(addressee.id, "addressee_cipher_559aead08264d5795d3909718cdd05abd49572e84fe55590eef31a88a08fdffd");
    assert_eq!(author.person(), "author3");
    let certificates =
        NonIntermediaryCertificates::new(vec![author.clone(), addressee.clone(), originator.clone()]).unwrap();
    assert_eq!(certificates.entries(), [originator, addressee.clone(), author]);
    let block = certificates.to_block();
    assert_eq!(NonIntermediaryCertificates::from_element(&reread(&block)).unwrap(), certificates);
    assert_eq!(NonIntermediaryCertificates::from_text(block.canonical()).unwrap(), certificates);
    assert_eq!(certificates.by_id(&addressee.id), Some(&addressee));
    assert_eq!(certificates.first(CertificateRole::Addressee, CertificateUse::Cipher), Some(&addressee));
    expect![[r#"<osci:IntermediaryCertificates NS5 Id="intermediarycertificates" soap:actor="http://www.w3.org/2001/12/soap-envelope/actor/none" soap:mustUnderstand="1"><osci:SignatureCertificateIntermediary Id="intermed_signature_6b23c0d5f35d1b11f9b683f0b0a617355deb11277d91ae091d399c655b87940d"><ds:X509Data><ds:X509Certificate>Qw==</ds:X509Certificate></ds:X509Data></osci:SignatureCertificateIntermediary></osci:IntermediaryCertificates>"#]].assert_eq(&short(
        &IntermediaryCertificates {
            cipher: None,
            signature: Some(entry(CertificateRole::Intermediary, CertificateUse::Signature, 0, b"C")),
        }
        .to_block(),
    ));
}

#[test]
fn every_certificate_is_found_by_id() {
    let authors = |count: usize| -> Vec<CertificateEntry> {
        let number = |at: usize| u32::try_from(at).unwrap();
        let author = |at| CertificateEntry::new(CertificateRole::OtherAuthor, CertificateUse::Cipher, number(at), b"A");
        (0..count).rev().map(author).collect()
    };
    let most = NonIntermediaryCertificates::new(authors(NonIntermediaryCertificates::MAX_ENTRIES)).unwrap();
    assert!(most.entries().iter().all(|entry| most.by_id(&entry.id) == Some(entry)));
    assert_eq!(most.by_id("author0"), None);
}

#[test]
fn the_order_of_received_certificates_is_kept() {
    let text = format!(
        "<osci:NonIntermediaryCertificates{NS5} Id='n'>\n<osci:SignatureCertificateOriginator Id='b'>{}</osci:SignatureCertificateOriginator><osci:CipherCertificateAddressee Id='a'>{}</osci:CipherCertificateAddressee></osci:NonIntermediaryCertificates>",
        x509("Qg==\n"),
        x509("QQ==")
    );
    let certificates = NonIntermediaryCertificates::from_text(&text).unwrap();
    assert_eq!(certificates.id(), "n");
    let ids: Vec<&str> = certificates.entries().iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids, ["b", "a"]);
    assert_eq!(NonIntermediaryCertificates::from_element(&reread(&certificates.to_block())).unwrap(), certificates);
}

#[test]
fn malformed_certificates_are_refused() {
    let good = x509("QQ==");
    let twice = String::from(
        "<ds:X509Data><ds:X509Certificate>QQ==</ds:X509Certificate><ds:X509Certificate>QQ==</ds:X509Certificate></ds:X509Data>",
    );
    for inside in [
        format!("<osci:CipherCertificateAddressee>{good}</osci:CipherCertificateAddressee>"),
        format!("<osci:CipherCertificateAddressee Id='a'>{good}{good}</osci:CipherCertificateAddressee>"),
        format!("<osci:CipherCertificateAddressee Id='a'>{twice}</osci:CipherCertificateAddressee>"),
        format!("<osci:CipherCertificateAddressee Id='a'>{}</osci:CipherCertificateAddressee>", x509("Q")),
        format!("<osci:CipherCertificateAddressee Id='a'>{}</osci:CipherCertificateAddressee>", x509("")),
        format!("<osci:CipherCertificateIntermediary Id='a'>{good}</osci:CipherCertificateIntermediary>"),
        format!("<osci:SignatureCertificateOtherReader Id='a'>{good}</osci:SignatureCertificateOtherReader>"),
        "<osci:CipherCertificateAddressee Id='a'/>".to_owned(),
        "<osci:CipherCertificateAddressee Id='a'><ds:X509Data><ds:X509SubjectName>C</ds:X509SubjectName></ds:X509Data></osci:CipherCertificateAddressee>".to_owned(),
        format!("<osci:CipherCertificateAddressee Id='a'>{good}</osci:CipherCertificateAddressee><osci:CipherCertificateAddressee Id='b'>{good}</osci:CipherCertificateAddressee>"),
    ] {
        let element = parse(&format!("<osci:NonIntermediaryCertificates Id='n'>{inside}</osci:NonIntermediaryCertificates>"));
        assert!(NonIntermediaryCertificates::from_element(&element).is_err(), "{inside}");
    }
    let entry = CertificateEntry::new(CertificateRole::OtherReader, CertificateUse::Cipher, 0, b"A".as_slice());
    assert!(NonIntermediaryCertificates::new(vec![entry.clone(), entry.clone()]).is_err());
    let reader = CertificateEntry { purpose: CertificateUse::Signature, ..entry };
    assert!(NonIntermediaryCertificates::new(vec![reader]).is_err());
}

#[test]
fn custom_blocks_get_the_scope_of_our_envelope() {
    let custom = CustomBlock::new("<m:Meta xmlns:m='urn:m' Id='MetaData'><m:a/></m:Meta>").unwrap();
    assert_eq!(custom.id(), CustomBlock::META_DATA_ID);
    let block = custom.to_block().unwrap();
    reread(&block);
    assert_eq!(
        block.canonical(),
        format!(
            r#"<m:Meta xmlns:ds="{}" xmlns:m="urn:m" xmlns:osci="{}" xmlns:soap="{}" xmlns:xenc="{}" xmlns:xsi="{}" Id="MetaData"><m:a></m:a></m:Meta>"#,
            ns::DS,
            ns::OSCI,
            ns::SOAP,
            ns::XENC,
            ns::XSI
        )
    );
    assert_eq!(Block::adopt("MetaData", block.canonical()).unwrap(), block);
    for bad in [
        "<m:Meta xmlns:m='urn:m'/>",
        "<m:Meta Id='a'/>",
        "text",
        "<a Id='a'/><b/>",
        "<o:Feedback xmlns:o='http://www.osci.de/2002/04/osci' Id='a'/>",
    ] {
        assert!(CustomBlock::new(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn control_blocks_survive(
        response in proptest::option::of("[ -~äöü€]{1,40}"),
        challenge in proptest::option::of("[ -~]{1,40}"),
        conversation in proptest::option::of("[0-9]{1,32}"),
        sequence_number in proptest::option::of(0..=i32::MAX as u32),
    ) {
        let control = ControlBlock {
            response: response.map(|text| Challenge::new(text).unwrap()),
            challenge: challenge.map(|text| Challenge::new(text).unwrap()),
            conversation_id: conversation.map(|text| ConversationId::new(text).unwrap()),
            sequence_number,
        };
        prop_assert_eq!(control_block_from(&reread(&control_block_to_block(&control))).unwrap(), control);
    }

    #[test]
    fn certificates_survive(ders in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..6)) {
        let entries = ders.into_iter().enumerate().map(|(number, der)| {
            CertificateEntry::new(CertificateRole::OtherReader, CertificateUse::Cipher, number as u32, der)
        });
        let certificates = NonIntermediaryCertificates::new(entries.collect()).unwrap();
        prop_assert_eq!(NonIntermediaryCertificates::from_element(&reread(&certificates.to_block())).unwrap(), certificates);
    }
}

#[test]
fn a_custom_block_that_was_taken_can_be_written() {
    let block = |declarations: usize| {
        let declared: String = (0..declarations).map(|number| format!(" xmlns:p{number}=\"urn:{number}\"")).collect();
        CustomBlock::new(format!("<p0:Meta{declared} Id=\"meta\"></p0:Meta>"))
    };
    // Five are ours, and added.
    assert!(block(75).is_ok_and(|block| block.to_block().is_ok()));
    for declarations in 76..=81 {
        assert!(block(declarations).is_err(), "{declarations}");
    }
}
