//! Are our answers built like recorded ones: the same elements and attributes in the same order, whatever their values.

use rohrpost_osci::dialog::Rule;
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::message::Response;
use rohrpost_osci::mime::{Limits, Multipart};
use rohrpost_osci::source::read_range;
use rohrpost_pipeline::verify::Verified;
use rohrpost_xmlsec::reader::StrictReader;
use rohrpost_xmlsec::tree::Element;

use super::vector::Vector;
use super::world::World;
use crate::harness::Bench;

pub fn compare(world: &World, request: &Vector, recorded: &Vector) -> Vec<String> {
    let bench = world.bench();
    seed(world, &bench, request, recorded);
    world.prepare(&bench, request);
    let answer = bench.handle_at(request.octets(), request.time());
    let mut failures = Vec::new();
    let codes = Vector::codes(&recorded.facts["message"]["feedback"]);
    if answer.codes != codes {
        failures.push(format!("codes {:?}, recorded {codes:?}", answer.codes));
    }
    let Some(reader) = world.reader(request) else {
        failures.push("nobody can read the answer".to_owned());
        return failures;
    };
    let verified = answer.opened(reader);
    let response = Response::parse(verified.read().envelope()).unwrap();
    let message_type = verified.read().envelope().message_type();
    if let Err(misplaced) = Rule::of(message_type).unwrap().check(response.control()) {
        failures.push(misplaced.to_string());
    }
    let (ours, theirs) = (ours(&verified), envelope(&recorded.inner()));
    let (ours, theirs) = (outline(&ours, ""), outline(&theirs, ""));
    if ours != theirs {
        let differences: Vec<String> = ours
            .iter()
            .filter(|line| !theirs.contains(line))
            .map(|line| format!("only ours: {line}"))
            .chain(theirs.iter().filter(|line| !ours.contains(line)).map(|line| format!("only recorded: {line}")))
            .collect();
        failures.push(match differences.as_slice() {
            [] => format!("another order:\n{}\n{}", ours.join("\n"), theirs.join("\n")),
            some => some.join("\n    "),
        });
    }
    failures
}

fn ours(verified: &Verified) -> Element {
    let opened = verified.read().opened();
    parse(&read_range(opened.message(), opened.parts().root().range.clone()).unwrap())
}

fn envelope(message: &[u8]) -> Element {
    let multipart = Multipart::scan(&message, &Limits::default()).unwrap();
    parse(&read_range(&message, multipart.root().range.clone()).unwrap())
}

fn parse(root: &[u8]) -> Element {
    let mut reader = StrictReader::new(root, &rohrpost_xmlsec::Limits::default());
    reader.next().unwrap();
    Element::read_element(&mut reader).unwrap()
}

/// One line for each kind of element below `path`, in the order of their first appearance: its path and its attributes.
fn outline(element: &Element, path: &str) -> Vec<String> {
    let path = format!("{path}/{}", name(element));
    let mut attributes: Vec<&str> = element.attributes().iter().map(|attribute| attribute.name().qname()).collect();
    attributes.sort_unstable();
    let mut lines = vec![format!("{path} [{}]", attributes.join(" "))];
    for child in element.children().filter(|child| counts(element, child)) {
        for line in outline(child, &path) {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}

/// Entries of certificates are named alike: whose they are depends on the delivery.
fn name(element: &Element) -> String {
    let local = element.name().local();
    let is_entry = local.starts_with("CipherCertificate") || local.starts_with("SignatureCertificate");
    if is_entry && !local.ends_with("Intermediary") { "entry".to_owned() } else { element.name().qname().to_owned() }
}

/// What depends on the delivery is left out: its content and its custom blocks; a package without content says no more than none.
/// So is the stamp that the recording intermediary forgot: the card in an answer to FetchDelivery has Forwarding
/// (OSCI-Transport 1.2, process cards).
fn counts(parent: &Element, child: &Element) -> bool {
    let (parent, name) = (parent.name(), child.name());
    match (parent.local(), name.local()) {
        ("Header", _) => name.qname().starts_with("osci"),
        ("Body", "ContentPackage") => child.children().next().is_some(),
        ("ContentPackage", _) => false,
        ("ProcessCard", stamp) => !matches!(stamp, "Forwarding" | "Reception"),
        _ => true,
    }
}

/// Stores what the recorded answer tells of: the very deliveries where they are recorded as well, others under their ids.
fn seed(world: &World, bench: &Bench, request: &Vector, recorded: &Vector) {
    let cards = recorded.facts["message"]["process_cards"].as_array();
    let ids: Vec<&str> = cards.into_iter().flatten().filter_map(|card| card["message_id"].as_str()).collect();
    for id in &ids {
        let found = world.requests.iter().find(|vector| {
            vector.facts["message"]["message_id"] == **id && vector.facts["expected"]["outcome"] == "accept"
        });
        match found {
            Some(vector) if request.message_type() != Some("StoreDelivery") => {
                world.prepare(bench, vector);
                let answer = bench.handle_at(vector.octets(), vector.time());
                assert!(answer.codes[0] < 1000, "{}: {:?}", vector.name, answer.codes);
            }
            Some(_) => {}
            None => store_another(world, bench, request, id),
        }
    }
    let codes = Vector::codes(&recorded.facts["message"]["feedback"]);
    if codes.contains(&3800) || codes.contains(&3801) {
        store_another(world, bench, request, "one-more");
    }
}

/// Stores a delivery like a recorded one under another id, with the client as originator and addressee.
fn store_another(world: &World, bench: &Bench, request: &Vector, id: &str) {
    use base64::Engine as _;
    let plain = |vector: &&Vector| {
        vector.message_type() == Some("StoreDelivery")
            && vector.facts["origin"] == "recorded"
            && vector.facts["context"]["dialog"] == "implicit"
            && vector.facts["expected"]["transport_signature"] == "absent"
            && !vector.is_encrypted()
            && vector.facts["message"]["subject"].is_string()
    };
    let template = world.requests.iter().find(plain).expect("a delivery in clear is recorded");
    let mut text = String::from_utf8(template.octets()).unwrap();
    let id = MessageId::new(id).unwrap();
    bench.ids.add(id.clone());
    replace_content(&mut text, "osci:MessageId", &id.to_base64());
    let certificate = world.reader(request).expect("the client is known").certificate.der();
    let certificate = base64::engine::general_purpose::STANDARD.encode(certificate);
    for entry in ["osci:CipherCertificateAddressee", "osci:CipherCertificateOriginator"] {
        let data = format!("<ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data>");
        replace_content(&mut text, entry, &data);
    }
    let answer = bench.handle_at(text, template.time());
    assert_eq!(answer.codes, [800], "{}", template.name);
}

fn replace_content(text: &mut String, element: &str, content: &str) {
    let start = text.find(&format!("<{element}")).expect("the element is there");
    let start = start + text[start..].find('>').unwrap() + 1;
    let end = start + text[start..].find(&format!("</{element}>")).unwrap();
    text.replace_range(start..end, content);
}
