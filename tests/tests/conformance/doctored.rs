//! The suite notices: each answer is changed in one place on its way, and the cell must fail for that reason. Unchanged, it passes.

use rohrpost_conformance::{Outcome, Party, Setup, Wire, run};
use rohrpost_pki::{Certificate, KeyEntry};

use crate::harness::{Bench, NOW, certs_test, key};

/// What is done to an answer.
type Change = fn(&mut String);

/// An intermediary in the process of the test, and what is done to its answers.
struct Doctor {
    bench: Bench,
    signed: bool,
    change: fn(&mut String),
}

impl Wire for Doctor {
    fn post(&self, _: &str, message: Vec<u8>) -> Result<Vec<u8>, String> {
        let mut answer = String::from_utf8(self.bench.handle_at(message, NOW).bytes).unwrap();
        // What the suite prepares the cell with is signed.
        if self.signed || !answer.contains("SupplierSignature") {
            (self.change)(&mut answer);
        }
        Ok(answer.into_bytes())
    }
}

fn party(name: &str) -> Party {
    let entry = |purpose: &str| {
        let file = |what: &str| std::fs::read(certs_test(&format!("pem/{name}-{purpose}.{what}.pem"))).unwrap();
        KeyEntry::from_pem(&file("cert"), &file("key")).unwrap()
    };
    Party { cipher: entry("cipher"), signature: entry("signature") }
}

fn setup() -> Setup {
    let certificate = |name: &str| -> Certificate { key(name).certificate.clone() };
    Setup {
        url: "here".to_owned(),
        demanding_url: None,
        intermediary_cipher: certificate("intermediary-cipher"),
        intermediary_signature: Some(certificate("intermediary-signature")),
        client: party("alice"),
        addressee: party("bob"),
        expired: None,
        revoked: None,
        untrusted: None,
        unknown: None,
        recipient: None,
        refused_subject_bytes: None,
        chunk_kib: None,
    }
}

/// The outcome of one cell.
fn outcome(setup: &Setup, cell: &str, change: fn(&mut String)) -> Outcome {
    let doctor = Doctor { bench: Bench::default(), signed: cell.contains("/signed"), change };
    let report = run(setup, &doctor, None, NOW, |name| name == cell, &|_, _| ()).unwrap();
    assert_eq!(report.results.len(), 1, "{cell}");
    report.results[0].1.clone()
}

fn replace(text: &mut String, from: &str, to: &str) {
    assert!(text.contains(from), "{from} does not occur in {text}");
    *text = text.replacen(from, to, 1);
}

fn cut(text: &mut String, from: &str, to: &str) {
    let start = text.find(from).unwrap_or_else(|| panic!("{from} does not occur in {text}"));
    let rest = start + from.len();
    let end = rest + text[rest..].find(to).unwrap() + to.len();
    text.replace_range(start..end, "");
}

const ID: &str = "GetMessageId/0800/unsigned+clear+implicit";
const SIGNED_ID: &str = "GetMessageId/0800/signed+clear+implicit";
const INIT: &str = "InitDialog/0801/unsigned+clear+explicit";
const STORE: &str = "StoreDelivery/0800/unsigned+clear+implicit";
const FAULT: &str = "GetMessageId/9100/unsigned+clear+implicit";

#[test]
fn a_change_in_an_answer_is_noticed() {
    let changes: [(&str, &str, Change); 17] = [
        (ID, "SequenceNumber", |text| replace(text, r#"SequenceNumber="0""#, r#"SequenceNumber="1""#)),
        (ID, "Response", |text| replace(text, "<osci:Response>", "<osci:Response>A")),
        (ID, "lacks ConversationId", |text| cut(text, " ConversationId=\"", "\"")),
        (ID, "feedback 0801 instead of 0800", |text| replace(text, ">0800<", ">0801<")),
        (ID, "not in German", |text| replace(text, r#"xml:lang="de""#, r#"xml:lang="en""#)),
        (ID, "has no text", |text| cut(text, "<osci:Text>", "</osci:Text>")),
        (ID, "the message id is missing", |text| cut(text, "<osci:MessageId>", "</osci:MessageId>")),
        (ID, "cannot be opened", |text| text.truncate(100)),
        (SIGNED_ID, "signature: false instead of true", |text| {
            cut(text, "<osci:SupplierSignature", "</osci:SupplierSignature>");
        }),
        (SIGNED_ID, "does not hold", |text| replace(text, "<osci:Text>", "<osci:Text>x")),
        (INIT, "lacks Challenge", |text| cut(text, "<osci:Challenge>", "</osci:Challenge>")),
        (INIT, "may not carry", |text| {
            *text = text.replace("SignatureCertificateIntermediary", "CipherCertificateIntermediary");
        }),
        (STORE, "the process card is missing", |text| {
            cut(text, "<osci:ProcessCardBundle>", "</osci:ProcessCardBundle>");
        }),
        (STORE, "Reception", |text| {
            let stamp = "<osci:Reception><osci:Plain>2026-11-24T12:00:00Z</osci:Plain></osci:Reception>";
            replace(text, "</osci:Creation>", &format!("</osci:Creation>{stamp}"));
        }),
        (STORE, "another delivery", |text| {
            cut(text, "<osci:MessageId>", "</osci:MessageId>");
            replace(text, "<osci:ProcessCardBundle>", "<osci:ProcessCardBundle><osci:MessageId>eA==</osci:MessageId>");
        }),
        (FAULT, "code", |text| replace(text, "9100", "9300")),
        (FAULT, "side", |text| replace(text, "soap:Client", "soap:Server")),
    ];
    let setup = setup();
    for (cell, what, change) in changes {
        assert_eq!(outcome(&setup, cell, |_| ()), Outcome::Passed, "{cell}");
        match outcome(&setup, cell, change) {
            Outcome::Failed(found) => assert!(found.contains(what), "{cell}: {found}, not {what}"),
            other => panic!("{cell}: {other:?} in spite of {what}"),
        }
    }
}

#[test]
fn what_the_profile_lacks_is_skipped() {
    let setup = setup();
    for cell in [
        "GetMessageId/9600/unsigned+clear+implicit",
        "GetMessageId/9502/signed+encrypted+implicit",
        "StoreDelivery/9811/signed+encrypted+implicit",
        "ForwardDelivery/0800/signed+encrypted+implicit",
        "PartialStoreDelivery/0800/signed+encrypted+implicit",
    ] {
        assert!(matches!(outcome(&setup, cell, |_| ()), Outcome::Skipped(_)), "{cell}");
    }
}
