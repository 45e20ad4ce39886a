//! In which language the client is told (OSCI-Transport 1.2, DesiredLanguages).

use rohrpost_osci::feedback::{Code, Language};

use crate::harness::{Bench, Client, Setup};

/// Language and text of the only entry of an answer.
fn told(bench: &Bench, languages: &'static str) -> (String, String) {
    let mut alice = Client::alice().unsigned().in_clear();
    alice.languages = languages;
    let draft = alice.get_message_id();
    let response = alice.send(bench, &draft);
    let entry = response.feedback().entries()[0].clone();
    assert_eq!(response.feedback().entries().len(), 1, "one language only");
    (entry.language.unwrap(), entry.text.unwrap())
}

#[test]
fn the_first_language_we_have_is_taken() {
    let bench = Bench::default();
    let german = ("de".to_owned(), Code::ExecutedDialogClosed.text(Language::German).to_owned());
    let english = ("en".to_owned(), Code::ExecutedDialogClosed.text(Language::English).to_owned());
    for languages in ["de", "de en", "de-AT en", "fr de en", "DE", ""] {
        assert_eq!(told(&bench, languages), german, "{languages}");
    }
    for languages in ["en", "en de", "en-GB", "fr en de", "tlh x-unknown en"] {
        assert_eq!(told(&bench, languages), english, "{languages}");
    }
}

#[test]
fn without_a_language_we_have_the_default_is_taken() {
    for (default, tag) in [(Language::German, "de"), (Language::English, "en")] {
        let bench = Setup::with(|settings| settings.default_language = default).start();
        assert_eq!(told(&bench, "fr").0, tag);
        assert_eq!(told(&bench, "").0, tag);
    }
}

#[test]
fn faults_speak_the_language_as_soon_as_it_is_known() {
    let bench = Setup::with(|settings| settings.default_language = Language::German).start();
    let mut alice = Client::alice().unsigned().in_clear();
    alice.languages = "en";
    let mut draft = alice.get_message_id();
    draft.replace("controlblock", "SequenceNumber=\"0\"", "SequenceNumber=\"1\"");
    let answer = bench.handle(alice.encode(&draft));
    assert_eq!(answer.fault(), Some(9400));
    let text = Code::DialogViolated.text(Language::English);
    assert!(String::from_utf8(answer.bytes).unwrap().contains(text));

    let answer = bench.handle(&b"no message"[..]);
    assert_eq!(answer.fault(), Some(9100));
    let text = Code::NotAMessage.text(Language::German);
    assert!(String::from_utf8(answer.bytes).unwrap().contains(text));
}
