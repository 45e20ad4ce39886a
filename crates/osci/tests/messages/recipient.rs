//! What an intermediary and a passive recipient say to each other is composed, read again and checked.

use expect_test::expect;
use rohrpost_crypto::{Curve, PrivateKey};
use rohrpost_osci::card::{InspectionReport, ProcessCard, ProcessCardBundle, Timestamp};
use rohrpost_osci::compose::Outgoing;
use rohrpost_osci::datetime::DateTime;
use rohrpost_osci::dialog::{ClientDialog, ControlBlock, Misplaced, NotAnswerable, Part, answer_intermediary};
use rohrpost_osci::envelope::SignedBy;
use rohrpost_osci::feedback::{Code, Feedback, Language};
use rohrpost_osci::header::{
    CertificateEntry, CertificateRole, CertificateUse, CustomBlock, DesiredLanguages, Feature, FeatureDescription,
    IntermediaryCertificates, NonIntermediaryCertificates, TimestampQuality,
};
use rohrpost_osci::ids::{Challenge, ConversationId, MessageId};
use rohrpost_osci::message::{
    AcceptDelivery, MessageError, ProcessDelivery, RecipientRequest, RecipientResponse, ReplyWithCard, Request,
    RequestHeader, RequestWithCard, Response, ResponseHeader, ResponseToAcceptDelivery, ResponseToProcessDelivery,
};
use rohrpost_osci::ns::{MessageType, NS5};

use super::{check, delivery, read, write, write_signed};

/// The certificates of a delivery under way, or of a reply.
fn certificates() -> NonIntermediaryCertificates {
    NonIntermediaryCertificates::new(vec![
        CertificateEntry::new(CertificateRole::Originator, CertificateUse::Cipher, 0, b"originator"),
        CertificateEntry::new(CertificateRole::Addressee, CertificateUse::Cipher, 0, b"addressee"),
        CertificateEntry::new(CertificateRole::OtherAuthor, CertificateUse::Signature, 0, b"author"),
    ])
    .unwrap()
}

fn signature_of_addressee() -> CertificateEntry {
    CertificateEntry::new(CertificateRole::Addressee, CertificateUse::Signature, 0, b"signature")
}

fn intermediary() -> Option<IntermediaryCertificates> {
    let entry = |purpose, der: &[u8]| Some(CertificateEntry::new(CertificateRole::Intermediary, purpose, 0, der));
    Some(IntermediaryCertificates {
        cipher: entry(CertificateUse::Cipher, b"cipher"),
        signature: entry(CertificateUse::Signature, b"signature"),
    })
}

fn request_header() -> RequestHeader {
    RequestHeader {
        control: ControlBlock { challenge: Some(Challenge::new("C").unwrap()), ..ControlBlock::default() },
        languages: Some(DesiredLanguages::new(["de"])),
        certificates: certificates(),
        features: Some(FeatureDescription::announcing([Feature::GcmMode])),
        custom: vec![CustomBlock::new(format!(r#"<a:Meta xmlns:a="urn:a"{NS5} Id="meta">1</a:Meta>"#)).unwrap()],
    }
}

fn response_header(certificates: NonIntermediaryCertificates) -> ResponseHeader {
    ResponseHeader {
        control: ControlBlock { response: Some(Challenge::new("C").unwrap()), ..ControlBlock::default() },
        certificates,
        ..ResponseHeader::default()
    }
}

fn card() -> ProcessCardBundle {
    let at = |text| DateTime::parse(text).unwrap();
    ProcessCardBundle {
        message_id: MessageId::new("12345").unwrap(),
        card: ProcessCard {
            recent_modification: at("2024-05-01T10:00:01Z"),
            creation: Some(Timestamp::Plain(at("2024-05-01T10:00:00Z"))),
            forwarding: Some(Timestamp::Plain(at("2024-05-01T10:00:01Z"))),
            reception: None,
            subject: Some("A & B".to_owned()),
        },
        report: InspectionReport::default(),
    }
}

fn accept() -> AcceptDelivery {
    AcceptDelivery { header: request_header(), intermediary: intermediary(), card: card() }
}

fn process() -> ProcessDelivery {
    let with_card = Some(RequestWithCard { reply_id: MessageId::new("54321").unwrap(), card: card() });
    ProcessDelivery { header: request_header(), intermediary: intermediary(), with_card }
}

fn accepted() -> ResponseToAcceptDelivery {
    let certificates = NonIntermediaryCertificates::new(vec![signature_of_addressee()]).unwrap();
    ResponseToAcceptDelivery { header: response_header(certificates), feedback: feedback() }
}

fn processed() -> ResponseToProcessDelivery {
    ResponseToProcessDelivery {
        header: response_header(certificates()),
        feedback: feedback(),
        with_card: Some(ReplyWithCard {
            message_id: MessageId::new("54321").unwrap(),
            subject: Some("Re: A & B <ü>".to_owned()),
            creation: TimestampQuality::Plain,
            reception: TimestampQuality::Cryptographic,
        }),
    }
}

fn feedback() -> Feedback {
    Feedback::new(Code::ExecutedDialogClosed, Language::English)
}

fn parse_request(text: &str) -> Result<RecipientRequest, MessageError> {
    RecipientRequest::parse(&read(text.as_bytes()).1)
}

fn parse_response(text: &str) -> Result<RecipientResponse, MessageError> {
    RecipientResponse::parse(&read(text.as_bytes()).1)
}

/// The message in clear, with one thing replaced that must be there.
fn changed(message: &Outgoing, from: &str, to: &str) -> String {
    let text = String::from_utf8(write(message, None)).unwrap();
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

#[test]
fn requests_survive() {
    let bare = ProcessDelivery { intermediary: None, with_card: None, ..process() };
    let requests = [
        (accept().compose(delivery()), RecipientRequest::AcceptDelivery(accept())),
        (process().compose(delivery()), RecipientRequest::ProcessDelivery(process())),
        (bare.compose(delivery()), RecipientRequest::ProcessDelivery(bare)),
    ];
    let key = PrivateKey::generate_ec(Curve::P256).unwrap();
    for (outgoing, request) in requests {
        let octets = write_signed(&outgoing.unwrap(), &key, SignedBy::Client);
        check(&octets, &key).unwrap();
        let (multipart, envelope) = read(&octets);
        let found = RecipientRequest::parse(&envelope).unwrap();
        match (&found, &request) {
            (RecipientRequest::AcceptDelivery(one), RecipientRequest::AcceptDelivery(other)) => {
                assert_eq!((&one.intermediary, &one.card), (&other.intermediary, &other.card));
            }
            (RecipientRequest::ProcessDelivery(one), RecipientRequest::ProcessDelivery(other)) => {
                assert_eq!((&one.intermediary, &one.with_card), (&other.intermediary, &other.with_card));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(found.message_type(), envelope.message_type());
        assert_eq!(found.control(), request.control());
        assert_eq!(found.card(), request.card());
        assert_eq!(found.intermediary(), request.intermediary());
        assert_eq!(found.header().certificates, request.header().certificates);
        assert_eq!(found.header().custom[0].id(), "meta");
        assert!(envelope.body().package().is_some_and(|package| !package.is_empty));
        assert!(multipart.attachment("größe ä.txt").is_some());
        assert!(matches!(RecipientResponse::parse(&envelope), Err(MessageError::WrongDirection(_))));
        assert!(matches!(Request::parse(&envelope), Err(MessageError::WrongDirection(_))));
    }
}

#[test]
fn answers_survive() {
    let refused = ResponseToProcessDelivery {
        feedback: Feedback::new(Code::OrderFailed, Language::German),
        with_card: None,
        ..processed()
    };
    let unsigned = ResponseToAcceptDelivery { header: response_header(Default::default()), feedback: feedback() };
    let answers = [
        (accepted().compose(), RecipientResponse::AcceptDelivery(accepted())),
        (unsigned.compose(), RecipientResponse::AcceptDelivery(unsigned)),
        (processed().compose(Some(delivery())), RecipientResponse::ProcessDelivery(processed())),
        (processed().compose(None), RecipientResponse::ProcessDelivery(processed())),
        (refused.compose(None), RecipientResponse::ProcessDelivery(refused)),
    ];
    let key = PrivateKey::generate_ec(Curve::P256).unwrap();
    for (outgoing, answer) in answers {
        let octets = write_signed(&outgoing.unwrap(), &key, SignedBy::Supplier);
        check(&octets, &key).unwrap();
        let (_, envelope) = read(&octets);
        let found = RecipientResponse::parse(&envelope).unwrap();
        match (&found, &answer) {
            (RecipientResponse::AcceptDelivery(one), RecipientResponse::AcceptDelivery(other)) => {
                assert_eq!(one, other)
            }
            (RecipientResponse::ProcessDelivery(one), RecipientResponse::ProcessDelivery(other)) => {
                assert_eq!(one, other);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(found.message_type(), envelope.message_type());
        assert_eq!((found.control(), found.feedback()), (answer.control(), answer.feedback()));
        assert!(matches!(RecipientRequest::parse(&envelope), Err(MessageError::WrongDirection(_))));
        assert!(Response::parse(&envelope).is_err());
    }
}

#[test]
fn the_order_of_the_blocks_is_that_of_the_schemas() {
    let names = |message: &Outgoing| {
        let octets = write(message, None);
        read(&octets).1.blocks().iter().map(|block| block.id.clone()).collect::<Vec<_>>().join(" ")
    };
    expect!["controlblock desiredlanguages acceptdelivery intermediarycertificates nonintermediarycertificates featuredescription meta"]
        .assert_eq(&names(&accept().compose(delivery()).unwrap()));
    expect!["controlblock desiredlanguages processdelivery intermediarycertificates nonintermediarycertificates featuredescription meta"]
        .assert_eq(&names(&process().compose(delivery()).unwrap()));
    expect!["controlblock responsetoacceptdelivery nonintermediarycertificates"]
        .assert_eq(&names(&accepted().compose().unwrap()));
    expect!["controlblock qualityoftimestamp_creation qualityoftimestamp_reception responsetoprocessdelivery nonintermediarycertificates"]
        .assert_eq(&names(&processed().compose(None).unwrap()));
}

#[test]
fn requests_that_no_recipient_may_take() {
    let accept = accept().compose(delivery()).unwrap();
    let process = process().compose(delivery()).unwrap();
    let stamp = "<osci:Reception><osci:Plain>2024-05-01T10:00:00Z</osci:Plain></osci:Reception><osci:Subject>";
    let quality = r#"</osci:DesiredLanguages><osci:QualityOfTimestamp Id="q" Quality="plain" Service="creation"></osci:QualityOfTimestamp>"#;
    let twice = r#"<osci:MessageIdResponse>NTQzMjE=</osci:MessageIdResponse><osci:MessageIdResponse>NTQzMjE="#;
    for message in [&accept, &process] {
        assert!(matches!(
            parse_request(&changed(message, "<osci:Subject>", stamp)),
            Err(MessageError::Block(error)) if error.to_string().contains("received")
        ));
        let unknown =
            changed(message, "<osci:ProcessCardBundle>", "<osci:Subject>x</osci:Subject><osci:ProcessCardBundle>");
        assert!(matches!(parse_request(&unknown), Err(MessageError::Block(_))));
        assert!(matches!(
            parse_request(&changed(message, "</osci:DesiredLanguages>", quality)),
            Err(MessageError::UnexpectedBlock("QualityOfTimestamp"))
        ));
    }
    assert!(parse_request(&changed(&process, "<osci:MessageIdResponse>NTQzMjE=", twice)).is_err());
    for (message, without) in
        [(&accept, "ProcessCardBundle"), (&process, "ProcessCardBundle"), (&process, "MessageIdResponse")]
    {
        let text = changed(message, "", "");
        let (start, end) = (format!("<osci:{without}>"), format!("</osci:{without}>"));
        let range = text.find(&start).unwrap()..text.find(&end).unwrap() + end.len();
        assert!(matches!(parse_request(&text.replacen(&text[range], "", 1)), Err(MessageError::Block(_))));
    }
    let mut entries = certificates().entries().to_vec();
    entries.push(signature_of_addressee());
    let mut header = request_header();
    header.certificates = NonIntermediaryCertificates::new(entries).unwrap();
    let accept = AcceptDelivery { header: header.clone(), ..self::accept() }.compose(delivery()).unwrap();
    let process = ProcessDelivery { header, ..self::process() }.compose(delivery()).unwrap();
    for message in [accept, process] {
        let parsed = parse_request(&changed(&message, "", ""));
        assert!(matches!(parsed, Err(MessageError::UnexpectedCertificate("SignatureCertificateAddressee"))));
    }
}

#[test]
fn answers_that_no_intermediary_may_take() {
    let accepted = accepted().compose().unwrap();
    let processed = processed().compose(Some(delivery())).unwrap();
    let certificates = intermediary().unwrap().to_block();
    for message in [&accepted, &processed] {
        let with = format!("{}</soap:Header>", certificates.canonical());
        assert!(matches!(
            parse_response(&changed(message, "</soap:Header>", &with)),
            Err(MessageError::UnexpectedBlock("IntermediaryCertificates"))
        ));
        let languages = r#"<osci:DesiredLanguages Id="d" LanguagesList="de"></osci:DesiredLanguages></soap:Header>"#;
        assert!(matches!(
            parse_response(&changed(message, "</soap:Header>", languages)),
            Err(MessageError::UnexpectedBlock("DesiredLanguages"))
        ));
    }
    let quality = r#"<osci:QualityOfTimestamp Id="q" Quality="plain" Service="creation"></osci:QualityOfTimestamp></soap:Header>"#;
    assert!(matches!(
        parse_response(&changed(&accepted, "</soap:Header>", quality)),
        Err(MessageError::UnexpectedBlock("QualityOfTimestamp"))
    ));
    assert!(parse_response(&changed(&processed, "</soap:Header>", quality)).is_err(), "one stamp twice");
    for end in ["</osci:responseToAcceptDelivery>", "</osci:responseToProcessDelivery>"] {
        let message = if end.contains("Accept") { &accepted } else { &processed };
        let more = format!("<osci:ProcessCardBundle></osci:ProcessCardBundle>{end}");
        assert!(matches!(parse_response(&changed(message, end, &more)), Err(MessageError::Block(_))));
    }
    // Without its id, a reply has neither subject nor stamps.
    let id = "<osci:MessageId>NTQzMjE=</osci:MessageId>";
    assert!(matches!(parse_response(&changed(&processed, id, "")), Err(MessageError::Block(_))));
    let mut without = self::processed();
    without.with_card.as_mut().unwrap().subject = None;
    let without = changed(&without.compose(None).unwrap(), id, "");
    assert!(matches!(parse_response(&without), Err(MessageError::UnexpectedBlock("QualityOfTimestamp"))));
    // Who only takes deliveries shows one certificate.
    let header = response_header(self::certificates());
    let other = ResponseToAcceptDelivery { header, feedback: feedback() }.compose().unwrap();
    assert!(matches!(parse_response(&changed(&other, "", "")), Err(MessageError::UnexpectedCertificate(_))));
    let mut header = response_header(NonIntermediaryCertificates::new(vec![signature_of_addressee()]).unwrap());
    header.features = None;
    let other = ResponseToProcessDelivery { header, feedback: feedback(), with_card: None }.compose(None).unwrap();
    assert!(matches!(parse_response(&changed(&other, "", "")), Err(MessageError::UnexpectedCertificate(_))));
}

#[test]
fn one_request_and_its_answer() {
    for (request, response) in [
        (MessageType::AcceptDelivery, MessageType::ResponseToAcceptDelivery),
        (MessageType::ProcessDelivery, MessageType::ResponseToProcessDelivery),
    ] {
        let mut intermediary = ClientDialog::new();
        let asked = intermediary.request(request, Challenge::new("C").unwrap()).unwrap();
        assert_eq!(asked, request_header().control);
        let answer = answer_intermediary(request, &asked).unwrap();
        assert_eq!(answer, response_header(Default::default()).control);
        intermediary.response(response, &answer).unwrap();

        let asked = intermediary.request(request, Challenge::new("D").unwrap()).unwrap();
        assert!(intermediary.response(response, &answer).is_err(), "the answer to an earlier request");
        for (part, wrong) in [
            (Part::Response, ControlBlock { response: asked.challenge.clone(), ..asked.clone() }),
            (Part::ConversationId, ControlBlock { conversation_id: ConversationId::new("1").ok(), ..asked.clone() }),
            (Part::SequenceNumber, ControlBlock { sequence_number: Some(0), ..asked.clone() }),
        ] {
            let expected = NotAnswerable::Misplaced(Misplaced::Unexpected(part));
            assert_eq!(answer_intermediary(request, &wrong), Err(expected));
        }
        let nothing = answer_intermediary(request, &ControlBlock::default());
        assert_eq!(nothing, Err(NotAnswerable::Misplaced(Misplaced::Missing(Part::Challenge))));
    }
    let order = answer_intermediary(MessageType::StoreDelivery, &request_header().control);
    assert_eq!(order, Err(NotAnswerable::NotForRecipients(MessageType::StoreDelivery)));
}
