//! On SoftHSM, a token in software. The test runs itself once more with the configuration of a token of its own: the module reads
//! that from the environment.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and tell the process that started it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rohrpost_crypto::{
    Decryptor as _, KeyTransport, OaepHash, PrivateKey, PublicKey, SessionKey, SignatureAlgorithm, Signer as _,
    SystemRandom, wrap_key,
};
use rohrpost_token::{Pin, Token, TokenError};

const PIN: &str = "123456";

fn module() -> PathBuf {
    let known = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"];
    let mut known = known.map(PathBuf::from).into_iter();
    known.find(|path| path.exists()).expect("SoftHSM is installed (tests/run installs it)")
}

fn key(name: &str) -> PrivateKey {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../certs-test/pem/{name}.key.pem"));
    let text = fs::read_to_string(path).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    PrivateKey::from_pkcs8_der(&STANDARD.decode(body).unwrap()).unwrap()
}

fn public(name: &str) -> PublicKey {
    key(name).public_key().clone()
}

/// Runs one of the tests below in a process that has a token with these keys.
fn on_a_token(test: &str, keys: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    let config = folder.path().join("softhsm2.conf");
    fs::write(&config, format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display())).unwrap();
    let util = |args: &[&str]| {
        let output = Command::new("softhsm2-util").env("SOFTHSM2_CONF", &config).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    util(&["--init-token", "--free", "--label", "rohrpost", "--so-pin", "87654321", "--pin", PIN]);
    for (number, name) in keys.iter().enumerate() {
        let file = format!("{}/../../certs-test/pem/{name}.key.pem", env!("CARGO_MANIFEST_DIR"));
        let id = format!("{:02x}", number + 1);
        util(&["--import", &file, "--token", "rohrpost", "--label", name, "--id", &id, "--pin", PIN]);
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .env("SOFTHSM2_CONF", &config)
        .env("ROHRPOST_ON_A_TOKEN", test)
        .args(["--exact", test, "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("on the token"), "{text}");
}

/// Whether this is the process with the token.
fn is_there(test: &str) -> bool {
    let there = std::env::var("ROHRPOST_ON_A_TOKEN").is_ok_and(|name| name == test);
    if there {
        println!("on the token");
    }
    there
}

fn token() -> Token {
    Token::open(&module(), "rohrpost", Pin::from(PIN)).unwrap()
}

#[test]
fn signatures_verify() {
    let keys = ["alice-signature", "ec-p256-signature", "ec-p384-signature", "ec-p521-signature"];
    if !is_there("signatures_verify") {
        return on_a_token("signatures_verify", &keys);
    }
    let token = token();
    for (name, algorithms) in [
        (
            "alice-signature",
            &[
                SignatureAlgorithm::RsaSha256,
                SignatureAlgorithm::RsaSha512,
                SignatureAlgorithm::PssSha256,
                SignatureAlgorithm::PssSha512,
            ][..],
        ),
        ("ec-p256-signature", &[SignatureAlgorithm::EcdsaSha256, SignatureAlgorithm::EcdsaSha512]),
        ("ec-p384-signature", &[SignatureAlgorithm::EcdsaSha512]),
        ("ec-p521-signature", &[SignatureAlgorithm::EcdsaSha512]),
    ] {
        for algorithm in algorithms {
            let signer = token.signer(name, public(name), *algorithm).unwrap();
            assert_eq!((signer.algorithm(), signer.public_key()), (*algorithm, &public(name)));
            std::thread::scope(|scope| {
                for number in 0..4 {
                    let signer = &signer;
                    scope.spawn(move || {
                        for round in 0..5 {
                            let message = format!("message {number} {round}");
                            let signature = signer.sign(message.as_bytes()).unwrap();
                            public(name).verify(*algorithm, message.as_bytes(), &signature).unwrap();
                            assert!(public(name).verify(*algorithm, b"another", &signature).is_err());
                        }
                    });
                }
            });
        }
    }
}

#[test]
fn session_keys_are_opened() {
    if !is_there("session_keys_are_opened") {
        return on_a_token("session_keys_are_opened", &["alice-cipher"]);
    }
    let decryptor = token().decryptor("alice-cipher", &public("alice-cipher")).unwrap();
    assert_eq!(decryptor.key_bits(), public("alice-cipher").kind().bits());
    let session_key = SessionKey::random(32, &SystemRandom);
    let wrapped = wrap_key(&public("alice-cipher"), KeyTransport::Rsa15, &session_key).unwrap();
    let opened = |wrapped: &[u8], length| decryptor.unwrap_key(KeyTransport::Rsa15, wrapped, length);
    assert_eq!(opened(&wrapped, 32).unwrap().expose(), session_key.expose());
    // Whatever is wrong, the result is a key that nobody knows.
    let mut damaged = wrapped.clone();
    damaged[100] ^= 1;
    for (wrapped, length) in [(&damaged, 32), (&wrapped, 16)] {
        let first = opened(wrapped, length).unwrap();
        assert_eq!(first.len(), length);
        assert_ne!(first.expose(), opened(wrapped, length).unwrap().expose());
        assert_ne!(first.expose(), &session_key.expose()[..length]);
    }
    assert!(opened(&wrapped[1..], 32).is_err());
    // SoftHSM knows OAEP with SHA-1 only; that it refuses others has to look like any failure.
    let oaep = KeyTransport::RsaOaep { digest: OaepHash::Sha256, mgf: OaepHash::Sha256 };
    let wrapped = wrap_key(&public("alice-cipher"), oaep, &session_key).unwrap();
    assert!(decryptor.unwrap_key(oaep, &wrapped, 32).is_err());
    // And the next one is opened again.
    let wrapped = wrap_key(&public("alice-cipher"), KeyTransport::Rsa15, &session_key).unwrap();
    assert_eq!(opened(&wrapped, 32).unwrap().expose(), session_key.expose());
}

#[test]
fn what_does_not_fit_is_said() {
    if !is_there("what_does_not_fit_is_said") {
        return on_a_token("what_does_not_fit_is_said", &["alice-signature", "ec-p256-signature"]);
    }
    let open = |label: &str, pin: &str| Token::open(&module(), label, Pin::from(pin));
    assert!(matches!(open("rohrpost", "wrong"), Err(TokenError::Pin(_))));
    let missing = open("another", PIN).unwrap_err();
    assert!(matches!(&missing, TokenError::Missing { present, .. } if present.iter().any(|label| label == "rohrpost")));
    assert!(matches!(Token::open("/nowhere.so".as_ref(), "x", Pin::from(PIN)), Err(TokenError::Module { .. })));
    let token = token();
    let rsa = SignatureAlgorithm::RsaSha256;
    let none = token.signer("nobody", public("alice-signature"), rsa).unwrap_err();
    assert!(matches!(none, TokenError::NoKey { found: 0, .. }));
    let other = token.signer("alice-signature", public("bob-signature"), rsa).unwrap_err();
    assert!(matches!(other, TokenError::Unfit(_)), "{other}");
    let old = token.signer("alice-signature", public("alice-signature"), SignatureAlgorithm::RsaSha1).unwrap_err();
    assert!(matches!(old, TokenError::Unfit(_)));
    assert!(token.signer("alice-signature", public("alice-signature"), SignatureAlgorithm::EcdsaSha256).is_err());
    let elliptic = token.decryptor("ec-p256-signature", &public("ec-p256-signature")).unwrap_err();
    assert!(matches!(elliptic, TokenError::Unfit(_)));
    assert!(!format!("{token:?} {:?}", Pin::from(PIN)).contains(PIN));
}
