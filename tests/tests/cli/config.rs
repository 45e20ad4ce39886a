use std::fs;

use rohrpost_tests::certs_test;
use tempfile::TempDir;

use crate::{run, run_with};

/// A folder with a configuration that works.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(TempDir::new().unwrap());
        fs::write(folder.0.path().join("pin"), "123456").unwrap();
        folder
    }

    /// Writes the working configuration with `more` at its end and gives the path.
    fn with(&self, more: &str) -> String {
        let p12 = |role| certs_test(&format!("p12/intermediary-{role}.p12"));
        let ca = |name: &str| certs_test(&format!("ca/{name}-ca.cert.pem"));
        let text = format!(
            "[keys]\ncipher = {{ pkcs12 = {:?}, pin_file = \"pin\" }}\nsignature = {{ pkcs12 = {:?}, pin_file = \"pin\" }}\n\
             [trust]\nanchors = [{:?}]\nintermediates = [{:?}, {:?}]\n{more}\n",
            p12("cipher"),
            p12("signature"),
            ca("root"),
            ca("registry"),
            ca("transport"),
        );
        let path = self.0.path().join("rohrpost.toml");
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

fn finding(report: &serde_json::Value, key: &str) -> serde_json::Value {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["key"] == key).unwrap().clone()
}

#[test]
fn the_default_configuration_can_be_printed_and_read() {
    let printed = run(["config", "print-default"]);
    assert_eq!(printed.code, 0);
    assert!(printed.stdout.contains("[orders]"));
    let folder = Folder::new();
    let file = folder.0.path().join("default.toml");
    fs::write(&file, printed.stdout).unwrap();
    let checked = run(["--json", "config", "check", "--config", file.to_str().unwrap()]);
    assert_eq!(checked.code, 2, "its keys do not exist");
    let report = checked.json();
    for key in ["keys.cipher", "keys.signature", "trust.anchors"] {
        let found = finding(&report, key);
        assert_eq!(found["ok"], false);
        assert!(found["error"].as_str().unwrap().starts_with(key), "{found}");
        assert!(found["remedy"].is_string());
    }
    assert_eq!(finding(&report, "orders")["ok"], true);
}

#[test]
fn later_layers_win() {
    let folder = Folder::new();
    let file = folder.with("[http]\nlisten = [\"127.0.0.1:1001\"]");
    let check = ["--json", "config", "check", "--config", &file];
    let listeners = |ended: crate::Ended| {
        assert_eq!(ended.code, 0, "{}", ended.stdout);
        finding(&ended.json(), "listeners")["finding"].as_str().unwrap().to_owned()
    };
    assert!(listeners(run(check)).contains("127.0.0.1:1001/osci"));
    let environment = [("ROHRPOST__HTTP__LISTEN", "[\"127.0.0.1:1002\"]"), ("ROHRPOST__HTTP__PATH", "/post")];
    assert!(listeners(run_with(check, &environment)).contains("127.0.0.1:1002/post"));
    let set = check.into_iter().chain(["--set", "http.listen=[\"127.0.0.1:1003\"]"]);
    let both = listeners(run_with(set, &environment));
    assert!(both.contains("127.0.0.1:1003/post") && !both.contains("1002"), "{both}");
    let from_environment = run_with(["config", "check"], &[("ROHRPOST_CONFIG", file.as_str())]);
    assert_eq!(from_environment.code, 0);
}

#[test]
fn mistakes_are_named_with_their_place_and_remedy() {
    let folder = Folder::new();
    let named = |ended: crate::Ended, words: &[&str]| {
        assert_eq!(ended.code, 2, "{words:?}");
        let printed = format!("{}{}", ended.stdout, ended.stderr);
        for words in words.iter().chain(&["what to do:"]) {
            assert!(printed.contains(words), "{words}: {printed}");
        }
    };
    for (more, words) in [
        ("[orders]\nmax_dialog = 1", ["rohrpost.toml", "[orders]: unknown field `max_dialog`"]),
        ("[orders]\nmax_dialogs = \"many\"", ["rohrpost.toml", "[orders]: invalid type"]),
        ("[orders", ["rohrpost.toml is not valid TOML", "line"]),
    ] {
        named(run(["config", "check", "--config", &folder.with(more)]), &words);
    }
    let file = folder.with("");
    for (set, words) in [
        ("log.levle=info", ["--set log.levle=info", "[log]: unknown field `levle`"]),
        ("orders.max_dialogs=many", ["--set orders.max_dialogs=many", "[orders]: invalid type"]),
        ("nonsense", ["--set nonsense", "section.key=value"]),
        ("http.listen=[\"localhost\"]", ["http.listen cannot be \"localhost\"", "127.0.0.1:4080"]),
        ("orders.require_signature=[\"Delivery\"]", ["orders.require_signature cannot be", "name of an order"]),
        ("log.level=a=b=c", ["log.level cannot be", "info"]),
    ] {
        named(run(["config", "check", "--config", &file, "--set", set]), &words);
    }
    let environment = [("ROHRPOST__LOG__LEVLE", "info")];
    let words = ["environment variable ROHRPOST__LOG__LEVLE", "unknown field `levle`"];
    named(run_with(["config", "check", "--config", &file], &environment), &words);
}

#[test]
fn files_and_folders_are_tried() {
    let folder = Folder::new();
    let file = folder.with("");
    let check = |set: &str| run(["--json", "config", "check", "--config", &file, "--set", set]);
    let cipher = check(&format!("keys.cipher.pkcs12={}", certs_test("p12/ec-p256-signature.p12").display()));
    assert!(finding(&cipher.json(), "keys.cipher")["error"].as_str().unwrap().contains("cannot decrypt"));
    let signature = check(&format!("keys.signature.pkcs12={}", certs_test("p12/intermediary-cipher.p12").display()));
    assert!(
        finding(&signature.json(), "keys.signature")["error"].as_str().unwrap().contains("does not allow signatures")
    );
    let policy = check("trust.policy_file=pin");
    assert!(finding(&policy.json(), "trust.policy_file")["error"].as_str().unwrap().contains("is no policy"));
    let storage = check("storage.directory=/proc/nowhere");
    assert!(finding(&storage.json(), "storage.directory")["error"].as_str().unwrap().contains("cannot be written"));
    let tls = check("https.listen=[\"127.0.0.1:0\"]");
    assert!(finding(&tls.json(), "listeners")["error"].as_str().unwrap().contains("https"), "{}", tls.stdout);
    for ended in [cipher, signature, policy, storage, tls] {
        assert_eq!(ended.code, 2);
        assert_eq!(ended.json()["valid"], false);
    }
    assert!(!folder.0.path().join("data").exists(), "a check leaves nothing behind");
}

#[test]
fn what_weakens_is_warned_of() {
    let folder = Folder::new();
    let file = folder.with("[orders]\ndangerous_fetch_without_encryption = true");
    let ended = run(["--json", "config", "check", "--config", &file, "--set", "management.listen=0.0.0.0:1"]);
    assert_eq!(ended.code, 0);
    let report = ended.json();
    assert!(finding(&report, "orders")["warnings"].to_string().contains("dangerous_fetch_without_encryption"));
    assert!(finding(&report, "listeners")["warnings"].to_string().contains("other machines"));
    let expired = certs_test("p12/expired-cipher.p12").display().to_string();
    let ended = run(["config", "check", "--config", &file, "--set", &format!("keys.cipher.pkcs12={expired}")]);
    assert_eq!(ended.code, 0, "partners will complain, but it works");
    assert!(ended.stdout.contains("warning") && ended.stdout.contains("expired at"), "{}", ended.stdout);
}

#[test]
fn serve_says_what_keeps_it_from_starting() {
    let ended = run(["--json", "serve", "--config", "/nonexistent/rohrpost.toml"]);
    assert_eq!(ended.code, 2);
    assert!(ended.json()["error"]["what"].as_str().unwrap().contains("/nonexistent/rohrpost.toml"));
    let folder = Folder::new();
    let file = folder.with("[http]\nlisten = [\"203.0.113.1:1\"]");
    let ended = run(["--json", "serve", "--config", &file]);
    assert_eq!(ended.code, 2);
    assert!(ended.json()["error"]["cause"].as_str().unwrap().contains("203.0.113.1:1"), "{}", ended.stdout);
}
