use std::fs;
use std::path::{Path, PathBuf};

use rohrpost_tests::{Server, certs_test};
use tempfile::TempDir;

use crate::{Ended, run};

/// An intermediary, and a place for what auditors take home.
struct Audit {
    server: Server,
    home: TempDir,
}

impl Audit {
    fn new() -> Self {
        Self { server: Server::start(&[]), home: TempDir::new().unwrap() }
    }

    fn at(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    /// Stores a delivery and gives its id.
    fn send(&self) -> String {
        let (pin, content) = (self.at("sender-pin"), self.at("content"));
        fs::write(&pin, "123456").unwrap();
        fs::write(&content, "content").unwrap();
        let p12 = |name: &str| certs_test(&format!("p12/{name}.p12")).display().to_string();
        let pem = |name: &str| certs_test(&format!("pem/{name}.cert.pem")).display().to_string();
        let (cipher, own, to) = (pem("intermediary-cipher"), p12("alice-cipher"), pem("bob-cipher"));
        let party =
            ["--url", self.server.url(), "--intermediary-cipher", &cipher, "--cipher", &own, "--pin-file", &pin];
        let what = ["--to", &to, "--subject", "secret subject", "--content", &content];
        let sent = run(["--json", "send"].into_iter().chain(party).chain(what));
        assert_eq!(sent.code, 0, "{}{}", sent.stdout, sent.stderr);
        sent.json()["message_id"].as_str().unwrap().to_owned()
    }

    /// An `audit` command that reads the data directory.
    fn read(&self, args: &[&str]) -> Ended {
        let config = self.server.config_args();
        run(["--json", "audit"].into_iter().chain(args.iter().copied()).map(str::to_owned).chain(config))
    }

    fn verify(&self, path: &str, more: &[&str]) -> Ended {
        let key = self.at("log.pub");
        run(["--json", "audit", "verify", path, "--key", &key].iter().chain(more))
    }

    /// A checkpoint in a file.
    fn keep(&self, name: &str) -> String {
        let taken = self.read(&["checkpoint", "--key-to", &self.at("log.pub")]);
        assert_eq!(taken.code, 0, "{}", taken.stderr);
        fs::write(self.at(name), taken.json()["checkpoint"].as_str().unwrap()).unwrap();
        self.at(name)
    }
}

#[test]
fn the_log_is_verified_and_proven_beside_a_running_server_and_without_it() {
    let mut audit = Audit::new();
    let id = audit.send();
    let early = audit.keep("early");
    let export = audit.at("export");
    let first = audit.read(&["export", "--to", &export]).json();
    assert_eq!((first["size"].as_u64(), first["added"].as_u64()), (Some(1), Some(1)));
    let good = audit.verify(&export, &["--since", &early]);
    assert_eq!(good.code, 0, "{}", good.stdout);
    assert_eq!((good.json()["good"].as_bool(), good.json()["size"].as_u64()), (Some(true), Some(1)));

    let proofs = audit.at("proofs");
    let proven = audit.read(&["prove", &id, "--to", &proofs]);
    assert_eq!(proven.code, 0, "{}", proven.stderr);
    let proven = proven.json();
    let entry = &proven["entries"][0];
    assert_eq!((&entry["entry"]["event"], &entry["entry"]["message_id"]), (&"accepted".into(), &id.as_str().into()));
    assert!(!proven.to_string().contains("secret subject"), "subjects do not enter the log");
    let file = proven["files"][0].as_str().unwrap();
    assert_eq!(audit.verify(file, &[]).json()["good"], true);

    audit.send();
    let grown = audit.read(&["export", "--to", &export]).json();
    assert_eq!((grown["size"].as_u64(), grown["added"].as_u64()), (Some(2), Some(1)));
    assert_eq!(audit.verify(&export, &["--since", &early]).code, 0);
    assert_eq!(audit.read(&["prove", "0815"]).code, 5);

    assert!(audit.server.terminate());
    assert_eq!(audit.read(&["prove", &id]).code, 0, "the server need not run");
    let last = audit.read(&["export", "--to", &export]).json();
    assert_eq!((last["size"].as_u64(), last["added"].as_u64()), (Some(2), Some(0)));
    audit.server.restart();
}

#[test]
fn people_are_told_what_was_checked() {
    let audit = Audit::new();
    let id = audit.send();
    audit.keep("checkpoint");
    let config = audit.server.config_args();
    let for_people = |args: &[&str]| {
        let ended = run(["audit"].into_iter().chain(args.iter().copied()).map(str::to_owned).chain(config.clone()));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended
    };
    let checkpoint = for_people(&["checkpoint"]);
    assert!(
        checkpoint.stdout.starts_with("rohrpost\n1\n"),
        "standard output is the signed note: {}",
        checkpoint.stdout
    );
    assert!(checkpoint.stderr.contains("--since"));
    let export = audit.at("export");
    assert!(for_people(&["export", "--to", &export]).stdout.contains("audit verify"));
    let proven = for_people(&["prove", &id]).stdout;
    assert!(proven.contains("accepted") && proven.contains("Proven:"), "{proven}");
    let verified = run(["audit", "verify", &export, "--key", &audit.at("log.pub")]).stdout;
    for words in ["The export holds.", "Checked:", "Proven:", "Not proven:"] {
        assert!(verified.contains(words), "{verified}");
    }
}

#[test]
fn any_change_of_an_export_is_found() {
    let audit = Audit::new();
    audit.send();
    let early = audit.keep("early");
    audit.send();
    let (export, late) = (audit.at("export"), audit.keep("late"));
    assert_eq!(audit.read(&["export", "--to", &export]).code, 0);
    let files = files(Path::new(&export));
    assert_eq!(files.len(), 3, "{files:?}");
    let found = |what: &str| {
        let ended = audit.verify(&export, &[]);
        assert_eq!(ended.code, 6, "{what}: {}", ended.stdout);
        let report = ended.json();
        assert_eq!(report["good"], false);
        assert!(!report["problems"].as_array().unwrap().is_empty());
        assert_eq!(report["error"]["code"], "verification");
        assert!(report["error"]["remedy"].is_string());
    };
    for file in &files {
        let whole = fs::read(file).unwrap();
        for position in (0..whole.len()).step_by(97) {
            let mut changed = whole.clone();
            changed[position] ^= 4;
            fs::write(file, changed).unwrap();
            found(&format!("byte {position} of {}", file.display()));
        }
        fs::write(file, &whole[..whole.len() - 1]).unwrap();
        found("shortened");
        fs::remove_file(file).unwrap();
        found("removed");
        fs::write(file, &whole).unwrap();
        assert_eq!(audit.verify(&export, &[]).code, 0);
    }
    fs::write(Path::new(&export).join("tile/entries/001"), "more").unwrap();
    found("a stranger");
    fs::remove_file(Path::new(&export).join("tile/entries/001")).unwrap();

    // An older, honest export in place of the newer one shows against a checkpoint kept elsewhere.
    let old = Audit::new();
    old.send();
    let (old_export, old_early) = (old.at("export"), old.keep("early"));
    old.read(&["export", "--to", &old_export]);
    old.send();
    let newer = old.keep("newer");
    assert_eq!(old.verify(&old_export, &["--since", &newer]).code, 6);
    assert_eq!(old.verify(&old_export, &["--since", &old_early]).code, 0);
    // Checkpoints and keys of another log prove nothing.
    assert_eq!(audit.verify(&export, &["--since", &early, "--since", &late]).code, 0);
    assert_eq!(audit.verify(&export, &["--since", &newer]).code, 6);
    assert_eq!(run(["audit", "verify", &export, "--key", &old.at("log.pub")]).code, 6);
    // One export is not continued by another log.
    assert_eq!(audit.read(&["export", "--to", &old_export]).code, 2);
}

#[test]
fn a_changed_proof_is_found() {
    let audit = Audit::new();
    let id = audit.send();
    audit.keep("checkpoint");
    let proven = audit.read(&["prove", &id, "--to", &audit.at("proofs")]).json();
    let file = proven["files"][0].as_str().unwrap().to_owned();
    let whole = fs::read(&file).unwrap();
    for position in (0..whole.len()).step_by(101) {
        let mut changed = whole.clone();
        changed[position] ^= 1;
        fs::write(&file, changed).unwrap();
        let code = audit.verify(&file, &[]).code;
        assert_eq!(code, 6, "byte {position}");
    }
}

#[test]
fn what_is_not_there_is_told_apart_from_what_was_changed() {
    let home = TempDir::new().unwrap();
    let at = |name: &str| home.path().join(name).display().to_string();
    fs::write(at("no-key"), "hello").unwrap();
    let nowhere = format!("storage.directory={}", at("data"));
    for args in [
        vec!["checkpoint", "--set", &nowhere],
        vec!["prove", "0815", "--set", &nowhere],
        vec!["export", "--to", &at("export"), "--set", &nowhere],
        vec!["verify", &at("export"), "--key", &at("no-key")],
        vec!["verify", &at("export"), "--key", &at("missing")],
    ] {
        let ended = run(["audit"].iter().chain(&args));
        assert_eq!(ended.code, 2, "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("what to do:"), "{args:?}: {}", ended.stderr);
    }
    assert!(!home.path().join("data").exists(), "reading makes nothing");
    let audit = Audit::new();
    audit.keep("checkpoint");
    assert_eq!(audit.verify(&at("mistyped"), &[]).code, 2);
    fs::create_dir(at("empty")).unwrap();
    assert_eq!(audit.verify(&at("empty"), &[]).code, 6, "a log without checkpoint is no log");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}
