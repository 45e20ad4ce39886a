//! Records anew what OpenSSL answers to a question for a time stamp:
//!
//! ```text
//! cargo run -p rohrpost-pki --example record-timestamps -- crates/pki/tests/timestamp/recorded
//! ```
//!
//! Keys and times are fresh each time; the question is always the same, so that the answers stay answers to it.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rohrpost_crypto::{Curve, PrivateKey, Random, SystemRandom};
use rohrpost_pki::issue::{Authority, Name, Template, Validity};
use rohrpost_pki::pem;
use rohrpost_pki::timestamp::TimestampRequest;
use time::macros::datetime;

/// What is stamped.
const IMPRINT: [u8; 32] = [7; 32];
/// Settings of the service: its hash, that of the reference to its certificate, and whether its name goes along.
const KINDS: [(&str, &str, &str, &str); 4] = [
    ("sha256", "sha256", "sha256", "yes"),
    ("sha384", "sha384", "sha256", "no"),
    ("sha512", "sha512", "sha1", "no"),
    ("rsa", "sha256", "sha256", "yes"),
];

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The same bytes each time.
struct Fixed;

impl Random for Fixed {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0x5a);
    }
}

fn main() -> Outcome<()> {
    let target = std::env::args_os().nth(1).map(PathBuf::from).ok_or("usage: record-timestamps DIRECTORY")?;
    let work = std::env::temp_dir().join(format!("rohrpost-timestamp-{}", std::process::id()));
    fs::create_dir_all(&work)?;
    let outcome = record(&work, &target);
    fs::remove_dir_all(&work)?;
    outcome
}

fn record(work: &Path, target: &Path) -> Outcome<()> {
    let validity = Validity::new(datetime!(2025-01-01 0:00 UTC), datetime!(2035-01-01 0:00 UTC));
    let name = |common: &str| Name::new().country("DE").common_name(common);
    let key = || PrivateKey::generate_ec(Curve::P256);
    let root = Authority::root(&Template::authority(name("Root"), validity, None), key()?, &SystemRandom)?;
    fs::write(target.join("root.pem"), pem::write_certificate(root.certificate()))?;
    let question = target.join("question.tsq");
    fs::write(&question, TimestampRequest::new(IMPRINT, &Fixed).der())?;
    for (kind, digest, reference, tsa) in KINDS {
        let own = if kind == "rsa" { PrivateKey::generate_rsa(3072)? } else { key()? };
        let template = Template::time_stamping(name("Stamps"), validity);
        let certificate = root.issue(&template, own.public_key(), &SystemRandom)?;
        fs::write(work.join("tsa.pem"), pem::write_certificate(&certificate))?;
        fs::write(work.join("tsa.key"), &*pem::write("PRIVATE KEY", &own.to_pkcs8_der()))?;
        fs::write(work.join("tsa.cnf"), configuration(work, digest, reference, tsa))?;
        reply(work, &question, &target.join(format!("{kind}.tsr")))?;
    }
    let refused = work.join("refused.tsq");
    let imprint = "07".repeat(IMPRINT.len());
    openssl(
        Command::new("openssl")
            .args(["ts", "-query", "-digest", &imprint, "-sha256", "-tspolicy", "1.2.3.4.99", "-out"])
            .arg(&refused),
    )?;
    reply(work, &refused, &target.join("refused.tsr"))
}

fn reply(work: &Path, question: &Path, answer: &Path) -> Outcome<()> {
    let mut command = Command::new("openssl");
    command.args(["ts", "-reply", "-config"]).arg(work.join("tsa.cnf")).arg("-queryfile").arg(question);
    openssl(command.arg("-out").arg(answer))
}

fn openssl(command: &mut Command) -> Outcome<()> {
    let done = command.output()?;
    if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into()) }
}

fn configuration(work: &Path, digest: &str, reference: &str, tsa: &str) -> String {
    let work = work.display();
    format!(
        "[tsa]\ndefault_tsa = t\n[t]\nserial = {work}/serial\ncrypto_device = builtin\nsigner_cert = {work}/tsa.pem\n\
         signer_key = {work}/tsa.key\nsigner_digest = {digest}\ndefault_policy = 1.2.3.4.1\nother_policies = 1.2.3.4.5\n\
         digests = sha256\naccuracy = secs:1\nordering = no\ntsa_name = {tsa}\ness_cert_id_chain = no\n\
         ess_cert_id_alg = {reference}\n"
    )
}
