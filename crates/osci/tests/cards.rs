//! Process cards, inspection reports, selection rules and feedback: their XML, what is read beyond it and what is not.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use std::num::NonZeroU32;

use expect_test::expect;
use proptest::prelude::*;
use rohrpost_osci::card::{
    CertificateType, Inspection, InspectionReport, MathResult, OfflineResult, OnlineEvidence, OnlineResult,
    ProcessCard, ProcessCardBundle, Revocation, Timestamp,
};
use rohrpost_osci::datetime::DateTime;
use rohrpost_osci::feedback::{Code, CodeNumber, Entry, Feedback, Language, Severity};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::ns::ENVELOPE;
use rohrpost_osci::selection::{CardFilter, CardRule, CardSelection, DeliverySelection, Role};
use rohrpost_osci::xml::XmlWriter;
use rohrpost_xmlsec::tree::Element;
use rohrpost_xmlsec::{Limits, NsContext};

fn parse(xml: &str) -> Element {
    Element::parse(xml.as_bytes(), &Limits::default(), &NsContext::from_pairs(ENVELOPE)).unwrap()
}

fn written(write: impl FnOnce(&mut XmlWriter)) -> String {
    let mut xml = XmlWriter::new();
    write(&mut xml);
    xml.finish()
}

fn at(text: &str) -> DateTime {
    DateTime::parse(text).unwrap()
}

fn inspection() -> Inspection {
    Inspection {
        timestamp: Timestamp::Plain(at("2024-05-01T10:00:00+02:00")),
        subject_name: "CN=a<b&c,O=ü".to_owned(),
        issuer_name: "CN=ca".to_owned(),
        serial_number: "1234567890".to_owned(),
        certificate_type: Some(CertificateType::Advanced),
        math: MathResult::Ok,
        offline: OfflineResult::Valid,
        online: Some(OnlineResult {
            revocation: Revocation::Revoked,
            evidence: vec![OnlineEvidence::Ocsp(vec![1, 2, 3]), OnlineEvidence::Crl(at("2024-05-01T09:00:00Z"))],
        }),
    }
}

fn bundle() -> ProcessCardBundle {
    ProcessCardBundle {
        message_id: MessageId::new("12345").unwrap(),
        card: ProcessCard {
            recent_modification: at("2024-05-01T10:00:02.000Z"),
            creation: Some(Timestamp::Plain(at("2024-05-01T10:00:00.000Z"))),
            forwarding: Some(Timestamp::Cryptographic { algorithm: "urn:x".to_owned(), token: b"token".to_vec() }),
            reception: None,
            subject: Some("A & B <\r>".to_owned()),
        },
        report: InspectionReport::new(&[inspection()]),
    }
}

#[test]
fn a_bundle_is_written_in_the_order_of_the_schema() {
    expect![[r#"
        <osci:ProcessCardBundle>
        <osci:MessageId>MTIzNDU=</osci:MessageId>
        <osci:ProcessCard RecentModification="2024-05-01T10:00:02.000Z">
        <osci:Creation>
        <osci:Plain>2024-05-01T10:00:00.000Z</osci:Plain>
        </osci:Creation>
        <osci:Forwarding>
        <osci:Cryptographic Algorithm="urn:x">dG9rZW4=</osci:Cryptographic>
        </osci:Forwarding>
        <osci:Subject>A &amp; B &lt;&#xD;&gt;</osci:Subject>
        </osci:ProcessCard>
        <osci:InspectionReport>
        <osci:Inspection>
        <osci:Timestamp>
        <osci:Plain>2024-05-01T10:00:00+02:00</osci:Plain>
        </osci:Timestamp>
        <osci:X509SubjectName>CN=a&lt;b&amp;c,O=ü</osci:X509SubjectName>
        <osci:X509IssuerName>CN=ca</osci:X509IssuerName>
        <osci:X509SerialNumber>1234567890</osci:X509SerialNumber>
        <osci:CertType Type="advanced">
        </osci:CertType>
        <osci:MathResult Result="ok">
        </osci:MathResult>
        <osci:OfflineResult Result="valid">
        </osci:OfflineResult>
        <osci:OnlineResult Result="revoked">
        <osci:OCSP>AQID</osci:OCSP>
        <osci:CRL>2024-05-01T09:00:00Z</osci:CRL>
        </osci:OnlineResult>
        </osci:Inspection>
        </osci:InspectionReport>
        </osci:ProcessCardBundle>"#]]
    .assert_eq(&written(|xml| bundle().write(xml)).replace("><", ">\n<"));
}

#[test]
fn bundles_come_back() {
    for name in ["osci:ProcessCardBundle", "osci:RequestProcessCardBundle", "osci:ReplyProcessCardBundle"] {
        let text = written(|xml| bundle().write_as(name, xml));
        let read = ProcessCardBundle::from_element(&parse(&text)).unwrap();
        assert_eq!(read, bundle());
        assert_eq!(read.report.inspections().unwrap(), [inspection()]);
    }
    let shown = format!("{:?}", bundle());
    assert!(!shown.contains("A & B"), "the subject is content");
}

#[test]
fn bundles_are_read_liberally() {
    let text = "<o:B xmlns:o='http://www.osci.de/2002/04/osci'>\n \
        <o:ProcessCard RecentModification=' 2024-05-01T10:00:00.123456+02:00 '><o:Subject>a&amp;b</o:Subject><o:Creation>\
        <o:Plain>2024-05-01T10:00:00Z</o:Plain></o:Creation></o:ProcessCard><o:MessageId>MTIz\n NDU=</o:MessageId></o:B>";
    let read = ProcessCardBundle::from_element(&parse(text)).unwrap();
    assert_eq!(read.card.subject.as_deref(), Some("a&b"));
    assert_eq!(read.card.recent_modification.as_str(), "2024-05-01T10:00:00.123456+02:00");
    assert_eq!(read.report, InspectionReport::default());
    assert_eq!(read.message_id.as_str(), "12345");
}

#[test]
fn malformed_bundles_are_refused() {
    let good = written(|xml| bundle().write(xml));
    for (from, to) in [
        ("<osci:MessageId>MTIzNDU=</osci:MessageId>", ""),
        (
            "<osci:MessageId>MTIzNDU=</osci:MessageId>",
            "<osci:MessageId>MTIzNDU=</osci:MessageId><osci:MessageId>MTIzNDU=</osci:MessageId>",
        ),
        ("MTIzNDU=", "MTIzNDU"),
        ("MTIzNDU=", "<osci:x></osci:x>"),
        (" RecentModification=\"2024-05-01T10:00:02.000Z\"", ""),
        ("RecentModification=\"2024", "RecentModification=\"yesterday"),
        ("<osci:Creation>", "<osci:Creation></osci:Creation><osci:Creation>"),
        ("<osci:Plain>2024-05-01T10:00:00.000Z</osci:Plain>", ""),
        ("<osci:Plain>2024-05-01T10:00:00.000Z</osci:Plain>", "2024-05-01T10:00:00.000Z"),
        ("2024-05-01T10:00:00.000Z</osci:Plain>", "2024-05-01</osci:Plain>"),
        ("</osci:Plain></osci:Creation>", "</osci:Plain><osci:Plain>2024-05-01T10:00:00Z</osci:Plain></osci:Creation>"),
        (" Algorithm=\"urn:x\"", ""),
        ("dG9rZW4=", "dG9rZW4"),
        ("<osci:Subject>", "<osci:Subject>x</osci:Subject><osci:Subject>"),
        ("<osci:Subject>", "<osci:Title></osci:Title><osci:Subject>"),
        ("<osci:InspectionReport>", "stray text<osci:InspectionReport>"),
        ("<osci:InspectionReport>", "<osci:InspectionReport></osci:InspectionReport><osci:InspectionReport>"),
        ("<osci:Inspection>", "<osci:Other></osci:Other><osci:Inspection>"),
        ("<osci:MathResult Result=\"ok\"></osci:MathResult>", ""),
        ("<osci:OfflineResult Result=\"valid\"></osci:OfflineResult>", ""),
        ("Result=\"ok\"", "Result=\"fine\""),
        ("Result=\"ok\"", ""),
        ("Result=\"revoked\"", "Result=\"indeterminate\""),
        ("Type=\"advanced\"", "Type=\"super\""),
        ("1234567890", "0x12"),
        ("AQID", "AQI"),
        ("<osci:OCSP>", "<osci:Other></osci:Other><osci:OCSP>"),
        ("2024-05-01T09:00:00Z", "today"),
        ("<osci:Creation>", "<ds:Creation xmlns:osci='urn:other'><osci:x></osci:x></ds:Creation><osci:Creation>"),
    ] {
        assert!(good.contains(from), "{from}");
        let bad = good.replacen(from, to, 1);
        assert!(ProcessCardBundle::from_element(&parse(&bad)).is_err(), "{from} -> {to}");
    }
}

#[test]
fn inspections_are_read_as_peers_write_them() {
    let text = "<osci:Inspection><osci:OfflineResult Result='indeterminate'/><osci:MathResult Result='corrupted'/>\
        <osci:OnlineResult Result='ok'><osci:OSCP>AQID</osci:OSCP><osci:LDAP/></osci:OnlineResult>\
        <osci:X509SerialNumber> -5 </osci:X509SerialNumber><osci:X509SubjectName/><osci:X509IssuerName/>\
        <osci:Timestamp><osci:Plain>2024-05-01T10:00:00Z</osci:Plain></osci:Timestamp></osci:Inspection>";
    let read = Inspection::from_element(&parse(text)).unwrap();
    assert_eq!(
        (read.certificate_type, read.math, read.offline),
        (None, MathResult::Corrupted, OfflineResult::Indeterminate)
    );
    assert_eq!(read.serial_number, "-5");
    let online = read.online.unwrap();
    assert_eq!(online.evidence, [OnlineEvidence::Ocsp(vec![1, 2, 3]), OnlineEvidence::Ldap(vec![])]);
}

#[test]
fn a_stored_report_that_is_none_is_told() {
    for stored in ["<osci:Inspection>", "text", "<osci:Other></osci:Other>", "<a:b></a:b>"] {
        assert!(InspectionReport::from_stored(stored.to_owned()).inspections().is_err(), "{stored}");
    }
    let stored = InspectionReport::from_stored(bundle().report.as_str().to_owned());
    assert_eq!(stored.inspections().unwrap(), [inspection()]);
}

fn delivery_selection(content: &str) -> Result<DeliverySelection, String> {
    let order = parse(&format!("<osci:fetchDelivery Id='x'>{content}</osci:fetchDelivery>"));
    DeliverySelection::from_order(&order).map_err(|error| error.to_string())
}

fn card_selection(content: &str) -> Result<CardSelection, String> {
    let order = parse(&format!("<osci:fetchProcessCard>{content}</osci:fetchProcessCard>"));
    CardSelection::from_order(&order).map_err(|error| error.to_string())
}

#[test]
fn selections_are_written_as_clients_do() {
    let since = at("2024-01-01T00:00:00Z");
    let text = written(|xml| DeliverySelection::Since(since.clone()).write(xml));
    assert_eq!(
        text,
        "<osci:SelectionRule><osci:ReceptionOfDelivery>2024-01-01T00:00:00Z</osci:ReceptionOfDelivery></osci:SelectionRule>"
    );
    assert_eq!(written(|xml| DeliverySelection::Oldest.write(xml)), "");
    let filter = CardFilter { since, role: Some(Role::Addressee), no_reception: true };
    let selection = CardSelection { rule: CardRule::Modified(filter), limit: NonZeroU32::new(5) };
    assert_eq!(
        written(|xml| selection.write(xml)),
        "<osci:SelectionRule><osci:RecentModification NoReception=\"true\" Role=\"Addressee\">2024-01-01T00:00:00Z\
         </osci:RecentModification></osci:SelectionRule><osci:Quantity Limit=\"5\"></osci:Quantity>"
    );
    assert_eq!(written(|xml| CardSelection::default().write(xml)), "");
}

#[test]
fn selections_are_read_liberally() {
    assert_eq!(delivery_selection(" \n "), Ok(DeliverySelection::Oldest));
    assert_eq!(delivery_selection("<osci:SelectionRule/>"), Ok(DeliverySelection::Oldest));
    assert_eq!(card_selection("<osci:SelectionRule/>"), Ok(CardSelection::default()));
    let read = card_selection("<osci:Quantity Limit=' 007 '/><osci:SelectionRule> <osci:ReceptionOfDelivery NoReception='0' Role='Originator'>\n2024-01-01T00:00:00.000+01:00</osci:ReceptionOfDelivery></osci:SelectionRule>").unwrap();
    assert_eq!(read.limit, NonZeroU32::new(7));
    let CardRule::Accepted(filter) = read.rule else { panic!("{read:?}") };
    assert_eq!((filter.role, filter.no_reception), (Some(Role::Originator), false));
    let read = card_selection("<osci:Quantity Limit='99999999999999999999'/>").unwrap();
    assert_eq!(read.limit, NonZeroU32::new(u32::MAX));
}

#[test]
fn malformed_selections_are_refused() {
    let id = "<osci:MessageId>MTIzNDU=</osci:MessageId>";
    let date = "<osci:ReceptionOfDelivery>2024-01-01T00:00:00Z</osci:ReceptionOfDelivery>";
    for content in [
        format!("<osci:SelectionRule>{id}{id}</osci:SelectionRule>"),
        format!("<osci:SelectionRule>{id}{date}</osci:SelectionRule>"),
        format!("<osci:SelectionRule>{date}</osci:SelectionRule><osci:SelectionRule>{date}</osci:SelectionRule>"),
        "<osci:SelectionRule><osci:RecentModification>2024-01-01T00:00:00Z</osci:RecentModification></osci:SelectionRule>".to_owned(),
        "<osci:SelectionRule><osci:MessageId/></osci:SelectionRule>".to_owned(),
        "<osci:SelectionRule><osci:ReceptionOfDelivery>2024</osci:ReceptionOfDelivery></osci:SelectionRule>".to_owned(),
        "<osci:SelectionRule>text</osci:SelectionRule>".to_owned(),
        "<osci:Quantity Limit='1'/>".to_owned(),
        id.to_owned(),
    ] {
        assert!(delivery_selection(&content).is_err(), "{content}");
    }
    for content in [
        format!("<osci:SelectionRule>{id}{date}</osci:SelectionRule>"),
        format!("<osci:SelectionRule>{date}{date}</osci:SelectionRule>"),
        format!("<osci:SelectionRule>{}</osci:SelectionRule>", date.replace("y>2", "y Role='Reader'>2")),
        format!("<osci:SelectionRule>{}</osci:SelectionRule>", date.replace("y>2", "y NoReception='yes'>2")),
        "<osci:Quantity Limit='0'/>".to_owned(),
        "<osci:Quantity Limit='-1'/>".to_owned(),
        "<osci:Quantity Limit=''/>".to_owned(),
        "<osci:Quantity/>".to_owned(),
        "<osci:Quantity Limit='1'/><osci:Quantity Limit='1'/>".to_owned(),
        "<osci:Other/>".to_owned(),
        "text".to_owned(),
    ] {
        assert!(card_selection(&content).is_err(), "{content}");
    }
}

fn feedback(content: &str) -> Result<Feedback, String> {
    let element = parse(&format!("<osci:Feedback>{content}</osci:Feedback>"));
    Feedback::from_element(&element).map_err(|error| error.to_string())
}

#[test]
fn feedback_is_read_liberally() {
    let read = feedback("\n<osci:Entry xml:lang='de en'><osci:Text>ok</osci:Text><osci:Code> 0800 </osci:Code></osci:Entry><osci:Entry><osci:Code>3999</osci:Code></osci:Entry>").unwrap();
    assert!(read.is_executed() && read.contains(Code::ExecutedDialogClosed));
    assert_eq!(read.entries()[0].language.as_deref(), Some("de en"));
    assert_eq!((&read.entries()[1].text, read.entries()[1].code.known()), (&None, None));
    assert_eq!(read.entries()[1].code.severity(), Severity::Warning);
}

#[test]
fn malformed_feedback_is_refused() {
    for content in [
        "",
        "text",
        "<osci:Entry/>",
        "<osci:Entry><osci:Text>only</osci:Text></osci:Entry>",
        "<osci:Entry><osci:Code>80</osci:Code></osci:Entry>",
        "<osci:Entry><osci:Code>0800</osci:Code><osci:Code>0801</osci:Code></osci:Entry>",
        "<osci:Entry><osci:Code>0800</osci:Code><osci:Other/></osci:Entry>",
        "<osci:Entry><osci:Code>0800</osci:Code>stray</osci:Entry>",
        "<osci:Other/>",
        "<ds:Entry><osci:Code>0800</osci:Code></ds:Entry>",
    ] {
        assert!(feedback(content).is_err(), "{content}");
    }
}

/// Text that XML can carry.
fn text() -> impl Strategy<Value = String> {
    "[\\t\\n\\r -~äöüß€😀\u{FFFD}]{0,20}"
}

fn any_date() -> impl Strategy<Value = DateTime> {
    (0_i64..4_000_000_000).prop_map(|seconds| time::OffsetDateTime::from_unix_timestamp(seconds).unwrap().into())
}

fn any_id() -> impl Strategy<Value = MessageId> {
    "[ -~ü😀]{0,20}x".prop_map(|id| MessageId::new(id).unwrap())
}

fn any_stamp() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        any_date().prop_map(Timestamp::Plain),
        (text(), proptest::collection::vec(any::<u8>(), 0..99))
            .prop_map(|(algorithm, token)| Timestamp::Cryptographic { algorithm, token }),
    ]
}

fn any_inspection() -> impl Strategy<Value = Inspection> {
    let evidence = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..99).prop_map(OnlineEvidence::Ocsp),
        proptest::collection::vec(any::<u8>(), 0..99).prop_map(OnlineEvidence::Ldap),
        any_date().prop_map(OnlineEvidence::Crl),
    ];
    let online = (prop::sample::select(Revocation::ALL), proptest::collection::vec(evidence, 0..3))
        .prop_map(|(revocation, evidence)| OnlineResult { revocation, evidence });
    (
        any_stamp(),
        text(),
        text(),
        any::<u128>(),
        prop::option::of(prop::sample::select(CertificateType::ALL)),
        prop::sample::select(MathResult::ALL),
        prop::sample::select(OfflineResult::ALL),
        prop::option::of(online),
    )
        .prop_map(|(timestamp, subject_name, issuer_name, serial, certificate_type, math, offline, online)| {
            Inspection {
                timestamp,
                subject_name,
                issuer_name,
                serial_number: serial.to_string(),
                certificate_type,
                math,
                offline,
                online,
            }
        })
}

fn any_filter() -> impl Strategy<Value = CardFilter> {
    let role = prop_oneof![Just(None), Just(Some(Role::Addressee)), Just(Some(Role::Originator))];
    (any_date(), role, any::<bool>()).prop_map(|(since, role, no_reception)| CardFilter { since, role, no_reception })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cards_survive_the_wire(
        message_id in any_id(),
        recent_modification in any_date(),
        (creation, forwarding, reception) in (prop::option::of(any_stamp()), prop::option::of(any_stamp()), prop::option::of(any_stamp())),
        subject in prop::option::of(text()),
        inspections in proptest::collection::vec(any_inspection(), 0..3),
    ) {
        let report = InspectionReport::new(&inspections);
        let card = ProcessCard { recent_modification, creation, forwarding, reception, subject };
        let bundle = ProcessCardBundle { message_id, card, report };
        let read = ProcessCardBundle::from_element(&parse(&written(|xml| bundle.write(xml)))).unwrap();
        prop_assert_eq!(&read, &bundle);
        prop_assert_eq!(read.report.inspections().unwrap(), inspections);
    }

    #[test]
    fn selections_survive_the_wire(
        delivery in prop_oneof![
            Just(DeliverySelection::Oldest),
            any_id().prop_map(DeliverySelection::ById),
            any_date().prop_map(DeliverySelection::Since),
        ],
        rule in prop_oneof![
            Just(CardRule::All),
            proptest::collection::vec(any_id(), 1..5).prop_map(CardRule::ByIds),
            any_filter().prop_map(CardRule::Accepted),
            any_filter().prop_map(CardRule::Modified),
        ],
        limit in any::<u32>().prop_map(NonZeroU32::new),
    ) {
        prop_assert_eq!(delivery_selection(&written(|xml| delivery.write(xml))), Ok(delivery));
        let cards = CardSelection { rule, limit };
        prop_assert_eq!(card_selection(&written(|xml| cards.write(xml))), Ok(cards));
    }

    #[test]
    fn feedback_survives_the_wire(
        received in proptest::collection::vec((0u16..10_000, prop::option::of("[a-zA-Z ]{0,8}"), prop::option::of(text())), 1..6),
        ours in proptest::collection::vec(prop::sample::select(Code::ALL), 1..9),
        english in any::<bool>(),
    ) {
        let entries = received.into_iter().map(|(number, language, text)| {
            let code: CodeNumber = format!("{number:04}").parse().unwrap();
            Entry { code, language, text }
        });
        let list = Feedback::from_entries(entries.collect());
        let read = Feedback::from_element(&parse(&written(|xml| list.write(xml)))).unwrap();
        prop_assert_eq!(&read, &list);

        let mut ours = ours.into_iter().filter(|code| code.fault_side().is_none());
        let Some(first) = ours.next() else { return Ok(()) };
        let mut list = Feedback::new(first, if english { Language::English } else { Language::German });
        ours.for_each(|code| { list.add(code); });
        let read = Feedback::from_element(&parse(&written(|xml| list.write(xml)))).unwrap();
        prop_assert_eq!(&read, &list);
        let severities: Vec<_> = list.entries().iter().map(|entry| entry.code.severity()).collect();
        let errors = severities.iter().filter(|s| **s == Severity::Error).count();
        let successes = severities.iter().filter(|s| **s == Severity::Success).count();
        prop_assert!(successes <= 1 && !(errors > 0 && successes > 0));
        prop_assert!(severities[errors + successes..].iter().all(|s| *s == Severity::Warning));
    }
}
