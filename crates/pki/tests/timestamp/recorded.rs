//! What OpenSSL answers, recorded by `record` below.

use std::path::{Path, PathBuf};
use std::process::Command;

use rohrpost_crypto::{PrivateKey, SystemRandom};
use rohrpost_pki::issue::{Authority, Template};
use rohrpost_pki::timestamp::{FailureInfo, TimestampError, TimestampRequest, TimestampTrust};
use rohrpost_pki::{Anchors, pem};

use super::{Fixed, IMPRINT, key, name, validity};

/// Settings of the service: hash of the signature, that of the reference to the certificate, and whether the name goes along.
const KINDS: [(&str, &str, &str, &str); 4] = [
    ("sha256", "sha256", "sha256", "yes"),
    ("sha384", "sha384", "sha256", "no"),
    ("sha512", "sha512", "sha1", "no"),
    ("rsa", "sha256", "sha256", "yes"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/timestamp/recorded")
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

fn trust() -> TimestampTrust {
    TimestampTrust::new(Anchors::from_pem(&read("root.pem")).unwrap())
}

#[test]
fn stamps_of_openssl_count() {
    let question = TimestampRequest::new(IMPRINT, &Fixed);
    assert_eq!(question.der(), read("question.tsq"), "recorded answers are no answers any more: run `record`");
    for (kind, ..) in KINDS {
        let answer = read(&format!("{kind}.tsr"));
        let at = time_of(&answer, &question);
        let token = trust().accept(&answer, &question, at).unwrap();
        assert_eq!((token.policy(), token.time()), ("1.2.3.4.1", at), "{kind}");
        trust().verify(token.der(), &IMPRINT).unwrap();
        let other = TimestampRequest::new(IMPRINT, &SystemRandom);
        assert_eq!(trust().accept(&answer, &other, at), Err(TimestampError::NonceWrong));
    }
}

#[test]
fn refusals_of_openssl_say_why() {
    let question = TimestampRequest::new(IMPRINT, &Fixed);
    let outcome = trust().accept(&read("refused.tsr"), &question, super::NOW);
    assert_eq!(outcome, Err(TimestampError::Refused { status: 2, info: Some(FailureInfo::UnacceptedPolicy) }));
}

/// When the recorded answer was made.
fn time_of(answer: &[u8], question: &TimestampRequest) -> time::OffsetDateTime {
    match trust().accept(answer, question, super::datetime!(2001-01-01 0:00 UTC)) {
        Err(TimestampError::NotNow { time }) => time,
        other => panic!("{other:?}"),
    }
}

/// Makes the recordings anew: `cargo test -p rohrpost-pki --test timestamp -- --ignored record`.
#[test]
#[ignore = "writes into the source tree, and needs OpenSSL"]
fn record() {
    let (dir, out) = (tempfile(), folder());
    let root = Authority::root(&Template::authority(name("Root"), validity(), None), key(), &SystemRandom).unwrap();
    std::fs::write(out.join("root.pem"), pem::write_certificate(root.certificate())).unwrap();
    let question = TimestampRequest::new(IMPRINT, &Fixed);
    std::fs::write(out.join("question.tsq"), question.der()).unwrap();
    for (kind, digest, reference, tsa) in KINDS {
        let own = if kind == "rsa" { PrivateKey::generate_rsa(3072).unwrap() } else { key() };
        let template = Template::time_stamping(name("Stamps"), validity());
        let certificate = root.issue(&template, own.public_key(), &SystemRandom).unwrap();
        std::fs::write(dir.join("tsa.pem"), pem::write_certificate(&certificate)).unwrap();
        std::fs::write(dir.join("tsa.key"), &*pem::write("PRIVATE KEY", &own.to_pkcs8_der())).unwrap();
        std::fs::write(dir.join("tsa.cnf"), configuration(&dir, digest, reference, tsa)).unwrap();
        reply(&dir, &out.join("question.tsq"), &out.join(format!("{kind}.tsr")));
    }
    let refused = dir.join("refused.tsq");
    let asked = Command::new("openssl")
        .args(["ts", "-query", "-digest", &"07".repeat(32), "-sha256", "-tspolicy", "1.2.3.4.99", "-out"])
        .arg(&refused)
        .status();
    assert!(asked.unwrap().success());
    reply(&dir, &refused, &out.join("refused.tsr"));
    std::fs::remove_dir_all(dir).unwrap();
}

fn tempfile() -> PathBuf {
    let dir = std::env::temp_dir().join(format!("rohrpost-timestamp-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn reply(dir: &Path, question: &Path, answer: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args(["ts", "-reply", "-config"]).arg(dir.join("tsa.cnf")).arg("-queryfile").arg(question);
    let done = openssl.arg("-out").arg(answer).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn configuration(dir: &Path, digest: &str, reference: &str, tsa: &str) -> String {
    let dir = dir.display();
    format!(
        "[tsa]\ndefault_tsa = t\n[t]\nserial = {dir}/serial\ncrypto_device = builtin\nsigner_cert = {dir}/tsa.pem\n\
         signer_key = {dir}/tsa.key\nsigner_digest = {digest}\ndefault_policy = 1.2.3.4.1\nother_policies = 1.2.3.4.5\n\
         digests = sha256\naccuracy = secs:1\nordering = no\ntsa_name = {tsa}\ness_cert_id_chain = no\n\
         ess_cert_id_alg = {reference}\n"
    )
}
