use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use rohrpost_tests::binary;
use serde_json::Value;
use tempfile::TempDir;

use crate::run;

#[test]
fn sends_fetches_verifies_and_proves() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().to_str().unwrap();
    let first = run(["--json", "demo", "--once", "--directory", path]);
    assert_eq!(first.code, 0, "{}{}", first.stdout, first.stderr);
    let demo = first.json();
    let checks = demo["checks"].as_array().unwrap();
    assert!(checks.len() >= 15 && checks.iter().all(|check| check["holds"] == true), "{demo}");
    assert_eq!(demo["good"], true);
    let card = &demo["process_card"];
    assert_eq!(card["message_id"], demo["message_id"]);
    for stamp in ["created", "forwarded", "received"] {
        assert!(card[stamp].is_string(), "{card}");
    }
    let inspections = card["inspections"].as_array().unwrap();
    assert!(inspections.len() >= 3);
    assert!(inspections.iter().all(|found| found["math"] == "ok" && found["offline"] == "valid"), "{card}");
    assert_eq!(demo["log"]["events"], serde_json::json!(["accepted", "forwarded", "received"]));

    // What it leaves can be used: keys, configuration, messages, the export of the log.
    let file = |name: &str| directory.path().join(name);
    let sent = fs::read_to_string(file("sent/notice.xml")).unwrap();
    assert!(sent.contains("BEISPIEL") && sent.contains("Größmann"));
    assert_eq!(fs::read_to_string(file("received/notice.xml")).unwrap(), sent);
    let pdf = fs::read(file("received/wohnungsgeberbestaetigung.pdf")).unwrap();
    assert!(pdf.starts_with(b"%PDF-1.4") && pdf.ends_with(b"%%EOF\n"));
    let config = file("rohrpost.toml").display().to_string();
    assert_eq!(run(["config", "check", "--config", &config]).code, 0);
    let (export, key) = (file("log-export").display().to_string(), file("log.pub").display().to_string());
    assert_eq!(run(["audit", "verify", &export, "--key", &key]).code, 0);
    let id = demo["message_id"].as_str().unwrap();
    assert_eq!(run(["audit", "prove", id, "--config", &config]).code, 0);
    let changed = file("log-export-changed").display().to_string();
    assert_eq!(run(["audit", "verify", &changed, "--key", &key]).code, 6);

    // Once more in the same folder, for people.
    let second = run(["demo", "--once", "--directory", path]);
    assert_eq!(second.code, 0, "{}{}", second.stdout, second.stderr);
    for words in ["Meldebehörde Musterstadt", "does not know", "Laufzettel", "Reception", "Merkle tree", "checks hold"]
    {
        assert!(second.stdout.contains(words), "{words} in {}", second.stdout);
    }
    assert!(!second.stdout.contains('\u{1b}') && !second.stderr.contains('\u{1b}'), "colours are for terminals");
    assert!(!second.stdout.contains("NOT:"));
}

#[test]
fn stays_up_until_it_is_told_to_stop() {
    let mut child =
        Command::new(binary()).args(["--json", "demo"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    let demo: Value = loop {
        assert!(lines.read_line(&mut text).unwrap() > 0, "it ended early: {text}");
        if let Ok(value) = serde_json::from_str(&text) {
            break value;
        }
    };
    let stage = &demo["stage"];
    let directory = stage["directory"].as_str().unwrap().to_owned();
    let (intermediary, sender) = (&stage["parties"][0], &stage["parties"][1]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let cards = run([
        "--json".to_owned(),
        "cards".to_owned(),
        "--url".to_owned(),
        text(&demo["osci"]),
        "--intermediary-cipher".to_owned(),
        text(&intermediary["cipher_certificate"]),
        "--cipher".to_owned(),
        text(&sender["cipher"]),
        "--pin-file".to_owned(),
        text(&stage["pin_file"]),
    ]);
    assert_eq!(cards.code, 0, "{}", cards.stderr);
    assert_eq!(cards.json()["cards"][0]["message_id"], demo["message_id"]);

    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(!std::path::Path::new(&directory).exists(), "a temporary folder goes with the demo");
}

#[test]
fn an_address_that_cannot_be_listened_on_is_named() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().to_str().unwrap();
    let ended = run(["--json", "demo", "--once", "--directory", path, "--listen", "nowhere"]);
    assert_eq!(ended.code, 2, "{}", ended.stdout);
    let error = &ended.json()["error"];
    assert!(error["what"].as_str().unwrap().contains("nowhere"), "{error}");
    assert!(error["remedy"].is_string());
}
