use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rohrpost_tests::certs_test;
use tempfile::TempDir;

use crate::run;

#[test]
fn made_certificates_are_good_for_their_use_and_a_configuration() {
    let directory = TempDir::new().unwrap();
    let to = directory.path().join("pki").display().to_string();
    let generate =
        ["--json", "certs", "generate", "--bits", "2048", "--to", &to, "--party", "Amt Köln", "--party", "b"];
    let made = run(generate);
    assert_eq!(made.code, 0, "{}{}", made.stdout, made.stderr);
    let made = made.json();
    let pairs = made["key_pairs"].as_array().unwrap();
    assert_eq!(pairs.len(), 4);
    let root = made["root"].as_str().unwrap();
    let pin = made["pin_file"].as_str().unwrap();
    for pair in pairs {
        let file = pair["pkcs12"].as_str().unwrap();
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        let seen = run(["--json", "certs", "inspect", file, "--pin-file", pin, "--anchor", root]);
        assert_eq!(seen.code, 0, "{}", seen.stdout);
        let seen = seen.json();
        assert_eq!(seen["fingerprint"], pair["fingerprint"]);
        assert_eq!(seen["has_private_key"], true);
        assert!(seen["subject"].as_str().unwrap().contains(pair["party"].as_str().unwrap()), "{seen}");
        let verdicts: Vec<_> = seen["uses"].as_array().unwrap().iter().map(|found| &found["verdict"]).collect();
        let expected = match pair["purpose"].as_str() {
            Some("cipher") => ["invalid", "invalid", "valid"],
            _ => ["valid", "valid", "invalid"],
        };
        assert_eq!(verdicts, expected, "{seen}");
    }
    // The snippet is a configuration as it stands.
    let config = directory.path().join("rohrpost.toml");
    fs::write(&config, made["config"].as_str().unwrap()).unwrap();
    let checked = run(["config", "check", "--config", config.to_str().unwrap()]);
    assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);

    let to_file = directory.path().join("more").display().to_string();
    let printed = run(["certs", "generate", "--bits", "2048", "--to", &to_file, "--party", "intermediary"]);
    fs::write(&config, &printed.stdout).unwrap();
    assert!(printed.stderr.contains("never for production"), "{}", printed.stderr);
    assert_eq!(run(["config", "check", "--config", config.to_str().unwrap()]).code, 0, "{}", printed.stdout);

    let again = run(generate);
    assert_eq!(again.code, 2, "keys in use are not replaced");
    let other = directory.path().join("other").display().to_string();
    for names in [["--party", "a", "--party", "A"], ["--party", "b", "--party", "/"]] {
        let ended = run(["certs", "generate", "--to", &other].into_iter().chain(names));
        assert_eq!(ended.code, 2);
    }
    assert!(!directory.path().join("other").exists());
}

#[test]
fn bad_certificates_are_told_with_reasons() {
    let pem = |name: &str| certs_test(&format!("pem/{name}.cert.pem")).display().to_string();
    let root = certs_test("ca/root-ca.cert.pem").display().to_string();
    let between = certs_test("ca/registry-ca.cert.pem").display().to_string();
    let trust = ["--anchor", &root, "--intermediate", &between, "--at", "2026-11-01T00:00:00Z"];
    for (name, code, reason) in [
        ("alice-cipher", 0, ""),
        ("expired-cipher", 6, "expired"),
        ("future-signature", 6, "not valid before"),
        ("mallory-cipher", 0, "unknown"),
        ("self-signed-signature", 0, "self-signed"),
    ] {
        let ended = run(["--json", "certs", "inspect", &pem(name)].into_iter().chain(trust));
        assert_eq!(ended.code, code, "{name}: {}", ended.stdout);
        assert!(ended.json()["uses"].to_string().contains(reason), "{name}: {}", ended.stdout);
    }
    let at_its_time = run(["certs", "inspect", &pem("expired-cipher"), "--anchor", &root, "--intermediate", &between]
        .into_iter()
        .chain(["--at", "2023-06-01T00:00:00Z"]));
    assert_eq!(at_its_time.code, 0, "{}", at_its_time.stdout);
    assert!(at_its_time.stdout.contains("nothing speaks against it"));
}

#[test]
fn what_is_no_certificate_is_explained() {
    let directory = TempDir::new().unwrap();
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let (text, pin) = (file("text", "hello"), file("pin", "wrong"));
    let archive = certs_test("p12/alice-cipher.p12").display().to_string();
    for (args, words) in [
        (vec![text.as_str()], "PEM or DER"),
        (vec!["/nonexistent"], "check the path"),
        (vec![&archive], "--pin-file"),
        (vec![&archive, "--pin-file", &pin], "PIN"),
        (vec![&archive, "--at", "yesterday"], "2026-"),
    ] {
        let ended = run(["certs", "inspect"].into_iter().chain(args));
        assert_eq!(ended.code, 2, "{words}");
        assert!(ended.stderr.contains(words) && ended.stderr.contains("what to do:"), "{words}: {}", ended.stderr);
    }
}
