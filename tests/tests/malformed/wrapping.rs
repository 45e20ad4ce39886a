//! Signature wrapping: what was signed stays in the message, and something else takes its place. Alice has signed a delivery;
//! whoever has it in hand tries to have another one executed under her signature.

use super::stage::{Case, Order, cut, executed, fault, refused, replace, run};
use crate::harness::{Bench, Client, DraftBlock};

const STORE: Order = Order::StoreDelivery;

/// The signed message is changed after signing.
fn forged(name: &str, code: u16, edit: impl Fn(&mut String) + 'static) -> Case {
    let expected = if code == 9100 { fault(code) } else { refused(&[code]) };
    Case::new(name, STORE, expected).envelope(edit)
}

/// Cuts the body out and gives it together with a forged one under another `Id`.
fn bodies(xml: &mut String) -> (String, String) {
    let genuine = cut(xml, "<soap:Body", "</soap:Body>");
    let forged = genuine
        .replace("Id=\"body\"", "Id=\"forged\"")
        .replace("Id=\"container\"", "Id=\"container2\"")
        .replace("Id=\"data\"", "Id=\"data2\"")
        .replace("Id=\"attachment0\"", "Id=\"attachment2\"")
        .replace("SW5oYWx0", "RmFsc2No");
    assert_ne!(genuine, forged);
    (genuine, forged)
}

fn into_header(xml: &mut String, block: &str) {
    replace(xml, "</soap:Header>", &format!("{block}</soap:Header>"));
}

fn into_envelope(xml: &mut String, element: &str) {
    let end = xml.rfind("</soap:Envelope>").unwrap();
    xml.insert_str(end, element);
}

fn wrapped(element: &str) -> String {
    format!("<w:Wrapper xmlns:w=\"urn:w\" Id=\"wrapper\">{element}</w:Wrapper>")
}

/// Two cases. What is moved has an Id that we need when we hand a delivery on, so a delivery is refused for that; in an order
/// that nobody hands on it is the signature that stops it.
fn both(name: &str, edit: impl Fn(&mut String) + Clone + 'static) -> [Case; 2] {
    [
        forged(name, 9100, edit.clone()),
        Case::new(format!("{name}, of GetMessageId"), Order::GetMessageId, refused(&[9602])).envelope(edit),
    ]
}

#[test]
pub(super) fn of_the_body() {
    let mut cases = vec![
        forged("the body within a header block, the forged one with its Id", 9100, |xml| {
            let (genuine, forged) = bodies(xml);
            into_header(xml, &wrapped(&genuine));
            into_envelope(xml, &forged.replace("\"forged\"", "\"body\""));
        }),
        forged("the body as a header block, another one in its place", 9100, |xml| {
            let (genuine, forged) = bodies(xml);
            into_header(xml, &genuine);
            into_envelope(xml, &forged);
        }),
        forged("the body within the forged one", 9100, |xml| {
            let (genuine, forged) = bodies(xml);
            into_envelope(xml, &forged.replace("</soap:Body>", &format!("{genuine}</soap:Body>")));
        }),
        forged("the body within the forged package", 9100, |xml| {
            let (genuine, forged) = bodies(xml);
            let package = "<osci:ContentPackage>";
            into_envelope(xml, &forged.replace(package, &format!("{package}{genuine}")));
        }),
        forged("the body behind the forged one", 9100, |xml| {
            let (genuine, forged) = bodies(xml);
            into_envelope(xml, &format!("{forged}{genuine}"));
        }),
        forged("the forged one behind the body", 9100, |xml| {
            let (genuine, forged) = bodies(xml);
            into_envelope(xml, &format!("{genuine}{forged}"));
        }),
        forged("the body in an object of the signature", 9100, |xml| {
            let (genuine, forged) = bodies(xml);
            replace(xml, "</ds:Signature>", &format!("<ds:Object>{genuine}</ds:Object></ds:Signature>"));
            into_envelope(xml, &forged);
        }),
        forged("the body beside the signature in its block", 9100, |xml| {
            let (genuine, forged) = bodies(xml);
            replace(xml, "</ds:Signature>", &format!("</ds:Signature>{genuine}"));
            into_envelope(xml, &forged);
        }),
    ];
    cases.extend(both("the body within a header block, another one in its place", |xml| {
        let (genuine, forged) = bodies(xml);
        into_header(xml, &wrapped(&genuine));
        into_envelope(xml, &forged);
    }));
    cases.extend(both("the same with the Id in another namespace", |xml| {
        let (genuine, forged) = bodies(xml);
        into_header(xml, &wrapped(&genuine));
        into_envelope(xml, &forged.replace(" Id=\"forged\"", " Id=\"forged\" xml:id=\"body\""));
    }));
    cases.extend(both("the same with the Id in another case", |xml| {
        let (genuine, forged) = bodies(xml);
        into_header(xml, &wrapped(&genuine));
        into_envelope(xml, &forged.replace(" Id=\"forged\"", " Id=\"forged\" ID=\"body\" id=\"body\""));
    }));
    cases.extend(both("the whole message within another", |xml| {
        let (genuine, forged) = bodies(xml);
        let header = cut(&mut xml.clone(), "<soap:Header>", "</soap:Header>");
        let header = header.replace(" Id=\"", " Id=\"old_");
        into_header(xml, &wrapped(&format!("<soap:Envelope>{header}{genuine}</soap:Envelope>")));
        into_envelope(xml, &forged);
    }));
    run(cases);
}

#[test]
pub(super) fn of_header_blocks() {
    let mut cases = vec![
        forged("the order within a custom block, another one in its place", 9602, |xml| {
            let genuine = cut(xml, "<osci:storeDelivery", "</osci:storeDelivery>");
            let forged = genuine.replace("\"storedelivery\"", "\"forged\"").replace("Anmeldung", "Abmeldung");
            into_header(xml, &forged);
            into_header(xml, &wrapped(&genuine));
        }),
        forged("the same with the Id of the order", 9100, |xml| {
            let genuine = cut(xml, "<osci:storeDelivery", "</osci:storeDelivery>");
            into_header(xml, &genuine.replace("Anmeldung", "Abmeldung"));
            into_header(xml, &wrapped(&genuine));
        }),
        forged("the order within the forged one", 9100, |xml| {
            let genuine = cut(xml, "<osci:storeDelivery", "</osci:storeDelivery>");
            let forged = genuine.replace("\"storedelivery\"", "\"forged\"");
            into_header(xml, &forged.replace("</osci:storeDelivery>", &format!("{genuine}</osci:storeDelivery>")));
        })
        .alone(),
        forged("the certificates wrapped, so that somebody else gets the delivery", 9602, |xml| {
            let genuine = cut(xml, "<osci:NonIntermediaryCertificates", "</osci:NonIntermediaryCertificates>");
            let forged = genuine
                .replace("\"nonintermediarycertificates\"", "\"forged\"")
                .replace(" Id=\"originator_", " Id=\"o_")
                .replace(" Id=\"addressee_", " Id=\"a_");
            into_header(xml, &forged);
            into_header(xml, &wrapped(&genuine));
        }),
        forged("a block added", 9602, |xml| into_header(xml, &wrapped(""))),
        forged("a block taken away", 9601, |xml| {
            cut(xml, "<osci2017:FeatureDescription", "</osci2017:FeatureDescription>");
        }),
        forged("two blocks that exchange their Ids", 9601, |xml| {
            replace(xml, " Id=\"qualityoftimestamp_creation\"", " Id=\"x\"");
            replace(xml, " Id=\"qualityoftimestamp_reception\"", " Id=\"qualityoftimestamp_creation\"");
            replace(xml, " Id=\"x\"", " Id=\"qualityoftimestamp_reception\"");
        }),
        forged("a namespace added around everything", 9601, |xml| {
            replace(xml, "<soap:Envelope ", "<soap:Envelope xmlns:x=\"urn:x\" ");
        }),
        forged("a language inherited from the envelope", 9601, |xml| {
            // An attribute of xml is inherited in textbook canonicalisation; what nobody signed must not matter.
            replace(xml, "<soap:Envelope ", "<soap:Envelope xmlns:y=\"urn:y\" xml:lang=\"en\" ");
        }),
        Case::new("blocks in another order", STORE, executed(&[800])).envelope(|xml| {
            let features = cut(xml, "<osci2017:FeatureDescription", "</osci2017:FeatureDescription>");
            replace(xml, "<osci:storeDelivery", &format!("{features}<osci:storeDelivery"));
        }),
    ];
    cases.extend(both("the control block wrapped", |xml| {
        let genuine = cut(xml, "<osci:ControlBlock", "</osci:ControlBlock>");
        let forged = genuine.replace("\"controlblock\"", "\"forged\"").replace("<osci:Challenge>", "<osci:Challenge>x");
        replace(xml, "<soap:Header>", &format!("<soap:Header>{forged}"));
        into_header(xml, &wrapped(&genuine));
    }));
    cases.extend(both("signed blocks hidden in another one", |xml| {
        let features = cut(xml, "<osci2017:FeatureDescription", "</osci2017:FeatureDescription>");
        let languages = cut(xml, "<osci:DesiredLanguages", "</osci:DesiredLanguages>");
        into_header(xml, &wrapped(&format!("{features}{languages}")));
    }));
    run(cases);
}

#[test]
pub(super) fn of_attachments() {
    let part = "\r\n--BND\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: 8-bit\r\nContent-ID: <";
    let exchanged = move |name: &str, genuine: &'static str, code: u16| {
        Case::new(name, STORE, refused(&[code])).message(move |bytes| {
            let from = super::stage::find(bytes, b"\r\n--BND\r\nContent-Type: application");
            let forged =
                format!("{part}plan.pdf>\r\n\r\nfalsch{part}{genuine}>\r\n\r\n%PDF-1.7 Lageplan\r\n--BND--\r\n");
            bytes.splice(from.., forged.into_bytes());
        })
    };
    run(vec![
        exchanged("the attachment under another name, another one in its place", "genuine.pdf", 9602),
        exchanged("the attachment under its name in capitals", "PLAN.PDF", 9602),
        exchanged("the attachment under its name with a blank", "plan.pdf ", 9602),
    ]);
}

/// Whoever has a signed and encrypted order of Alice in hand has its ciphertext only; whoever is in a dialog with her, more.
#[test]
pub(super) fn of_dialogs_and_encryption() {
    let fetch = |name: &str, expected, edit: fn(&mut String)| {
        Case::new(name, Order::FetchDelivery, expected).sealed().envelope(edit)
    };
    run(vec![
        fetch("the body for another one, within a dialog", refused(&[9602]), |xml| {
            let genuine = cut(xml, "<soap:Body", "</soap:Body>");
            let forged = genuine.replace("\"body\"", "\"forged\"").replace("fetchDelivery", "fetchProcessCard");
            into_header(xml, &wrapped(&genuine));
            into_envelope(xml, &forged);
        }),
        fetch("the selection wrapped, another one in its place", refused(&[9602]), |xml| {
            let genuine = cut(xml, "<osci:fetchDelivery", "</osci:fetchDelivery>");
            let forged = genuine.replace("\"fetchdelivery\"", "\"forged\"");
            into_header(xml, &forged);
            into_header(xml, &wrapped(&genuine));
        }),
        fetch("the selection under the control block", fault(9100), |xml| {
            let genuine = cut(xml, "<osci:fetchDelivery", "</osci:fetchDelivery>");
            let forged = genuine.replace("\"fetchdelivery\"", "\"forged\"");
            into_header(xml, &forged);
            replace(xml, "</osci:ControlBlock>", &format!("{genuine}</osci:ControlBlock>"));
        }),
        fetch("two control blocks, the signed one second", fault(9100), |xml| {
            let genuine = cut(xml, "<osci:ControlBlock", "</osci:ControlBlock>");
            let forged = genuine.replace("\"controlblock\"", "\"forged\"");
            replace(xml, "<soap:Header>", &format!("<soap:Header>{forged}{genuine}"));
        }),
        Case::new("a second signature over what was added", STORE, fault(9100)).envelope(|xml| {
            let signature = cut(&mut xml.clone(), "<osci:ClientSignature", "</osci:ClientSignature>");
            into_header(xml, &wrapped(""));
            into_header(xml, &signature.replace("\"clientsignature\"", "\"other\"").replace("#body", "#wrapper"));
        }),
        Case::new("the signature of an intermediary beside it", STORE, fault(9100)).envelope(|xml| {
            let signature = cut(&mut xml.clone(), "<osci:ClientSignature", "</osci:ClientSignature>");
            into_header(
                xml,
                &signature.replace("ClientSignature", "SupplierSignature").replace("\"clientsignature\"", "\"other\""),
            );
        }),
        Case::new("the signature within a custom block, nothing signed", STORE, fault(9100)).envelope(|xml| {
            let signature = cut(xml, "<osci:ClientSignature", "</osci:ClientSignature>");
            into_header(xml, &wrapped(&signature));
        }),
        Case::new("the header behind the body", STORE, fault(9100)).envelope(|xml| {
            let header = cut(xml, "<soap:Header>", "</soap:Header>");
            into_envelope(xml, &header);
        }),
        Case::new("two headers, the signed one first", STORE, fault(9100)).envelope(|xml| {
            replace(
                xml,
                "</soap:Header>",
                "</soap:Header><soap:Header><w:W xmlns:w=\"urn:w\" Id=\"w\"></w:W></soap:Header>",
            );
        }),
        Case::new("the attachment named by an Id of the header", STORE, refused(&[9602]))
            .swap("Content-ID: <plan.pdf>", "Content-ID: <controlblock>"),
        Case::new("a second part with the name of the attachment", STORE, fault(9100)).message(|bytes| {
            let end = bytes.len() - b"\r\n--BND--\r\n".len();
            bytes.splice(end..end, *b"\r\n--BND\r\nContent-Type: text/plain\r\nContent-ID: <plan.pdf>\r\n\r\nfalsch");
        }),
        Case::new("the signed root as an attachment, a forged one in its place", STORE, refused(&[9602])).message(
            |bytes| {
                let from = super::stage::find(bytes, b"<soap:Envelope");
                let to = from + super::stage::find(&bytes[from..], b"</soap:Envelope>") + b"</soap:Envelope>".len();
                let genuine = bytes[from..to].to_vec();
                let forged = String::from_utf8(genuine.clone()).unwrap().replace("Anmeldung", "Abmeldung");
                bytes.splice(from..to, forged.into_bytes());
                let end = bytes.len() - b"\r\n--BND--\r\n".len();
                let part =
                    [b"\r\n--BND\r\nContent-Type: text/xml\r\nContent-ID: <x>\r\n\r\n", genuine.as_slice()].concat();
                bytes.splice(end..end, part);
            },
        ),
    ]);
}

/// A comment within a text must not cut it off for one reader and not for another.
#[test]
fn comments_do_not_split_what_was_signed() {
    let bench = Bench::default();
    let case = Case::new("comments", STORE, executed(&[800]));
    let mut draft = case.base(&bench);
    draft.blocks.push(DraftBlock::new("n", "<a:Note xmlns:a=\"urn:a\" Id=\"n\">alles zusammen</a:Note>"));
    let case = case.envelope(|xml| {
        replace(xml, "Anmeldung", "An<!-- -->mel<![CDATA[d]]>ung");
        let id = cut(&mut xml.clone(), "<osci:MessageId>", "</osci:MessageId>");
        let (head, tail) = id.split_at(id.len() - 20);
        replace(xml, &id, &format!("{head}<!---->{tail}"));
        replace(xml, "alles zusammen", "alles<!-- --> zusammen");
    });
    let answer = bench.handle(case.build(&draft, true));
    assert_eq!(answer.codes, [800]);
    let (_, delivered) = Client::bob().open(&bench).fetch_at(&bench, Default::default(), crate::harness::NOW);
    let delivered = delivered.unwrap();
    assert_eq!(delivered.subject.as_deref(), Some("Anmeldung"));
    assert!(delivered.custom[0].contains(">alles zusammen<"));
    assert_eq!(bench.stats().waiting, 1);
}
