//! Makes the test certificates of this repository anew:
//!
//! ```text
//! cargo run -p rohrpost-pki --example generate-certs-test -- certs-test
//! ```
//!
//! Names and layout are always the same, keys and serial numbers are fresh each time.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use rohrpost_crypto::{Curve, PrivateKey, SystemRandom};
use rohrpost_pki::issue::{Authority, Name, Revoked, Template, Validity, self_signed};
use rohrpost_pki::pkcs12::{Pin, store};
use rohrpost_pki::{Certificate, KeyEntry, KeyUsage, pem};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::datetime;

const PIN: &str = "123456";
/// Where the revocation list would be published; nothing answers there.
const REVOCATION_LIST: &str = "http://pki.rohrpost.test/registry-ca.crl";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let target = std::env::args_os().nth(1).map(PathBuf::from).ok_or("usage: generate-certs-test DIRECTORY")?;
    let mut output = Output::new(&target)?;
    let pki = Pki::new(&mut output)?;
    for wanted in end_entities() {
        pki.make(&wanted, &mut output)?;
    }
    output.finish(&pki)
}

/// Who has issued a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Registry,
    Transport,
    Rogue,
    Itself,
}

#[derive(Clone, Copy)]
enum Kind {
    Rsa(u32),
    Ec(Curve),
}

impl Kind {
    fn generate(self) -> Outcome<PrivateKey> {
        Ok(match self {
            Self::Rsa(bits) => PrivateKey::generate_rsa(bits)?,
            Self::Ec(curve) => PrivateKey::generate_ec(curve)?,
        })
    }

    fn label(self) -> String {
        match self {
            Self::Rsa(bits) => format!("rsa-{bits}"),
            Self::Ec(Curve::P256) => "ec-p256".to_owned(),
            Self::Ec(Curve::P384) => "ec-p384".to_owned(),
            Self::Ec(_) => "ec-p521".to_owned(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Signature,
    Cipher,
    Both,
    Server,
}

impl Use {
    fn label(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Cipher => "cipher",
            Self::Both => "both",
            Self::Server => "tls-server",
        }
    }
}

/// One end entity to be made.
struct Wanted {
    name: String,
    common_name: String,
    role: &'static str,
    condition: &'static str,
    kind: Kind,
    usage: Use,
    by: By,
    validity: Validity,
}

fn end_entities() -> Vec<Wanted> {
    let mut list = Vec::new();
    let mut add = |name: &str, common_name: &str, role, condition, kind, usage, by, validity| {
        list.push(Wanted {
            name: name.to_owned(),
            common_name: common_name.to_owned(),
            role,
            condition,
            kind,
            usage,
            by,
            validity,
        });
    };
    let good = Validity::new(datetime!(2025-01-01 0:00 UTC), datetime!(2045-01-01 0:00 UTC));
    let past = Validity::new(datetime!(2022-01-01 0:00 UTC), datetime!(2024-01-01 0:00 UTC));
    let future = Validity::new(datetime!(2044-01-01 0:00 UTC), datetime!(2045-01-01 0:00 UTC));
    let uses = [Use::Signature, Use::Cipher];
    for usage in uses {
        let label = usage.label();
        let mut pair = |name: &str, common_name: &str, role, condition, kind, by, validity| {
            add(
                &format!("{name}-{label}"),
                &format!("{common_name} {label}"),
                role,
                condition,
                kind,
                usage,
                by,
                validity,
            );
        };
        let (rsa, registry) = (Kind::Rsa(3072), By::Registry);
        pair("intermediary", "Intermediary", "intermediary", "good", Kind::Rsa(4096), By::Transport, good);
        pair("intermediary-2048", "Intermediary 2048", "intermediary", "good", Kind::Rsa(2048), By::Transport, good);
        pair("alice", "Alice", "originator", "good", rsa, registry, good);
        pair("bob", "Bob", "addressee", "good", rsa, registry, good);
        pair("carol", "Carol", "author or reader", "good", rsa, registry, good);
        pair("dave", "Dave", "author or reader", "good", rsa, registry, good);
        pair("erin", "Erin", "second addressee", "good", rsa, registry, good);
        pair("rsa-2048", "RSA 2048", "any", "good", Kind::Rsa(2048), registry, good);
        pair("rsa-4096", "RSA 4096", "any", "good", Kind::Rsa(4096), registry, good);
        pair("expired", "Expired", "any", "expired", rsa, registry, past);
        pair("future", "Future", "any", "not yet valid", rsa, registry, future);
        pair("mallory", "Mallory", "any", "unknown issuer", rsa, By::Rogue, good);
        pair("revoked", "Revoked", "any", "revoked", rsa, registry, good);
        pair("self-signed", "Self-signed", "any", "self-signed", rsa, By::Itself, good);
        pair("wrong-usage", "Wrong usage", "any", "wrong usage", rsa, registry, good);
    }
    add("alice-both", "Alice both", "originator", "good", Kind::Rsa(3072), Use::Both, By::Registry, good);
    for (curve, label) in [(Curve::P256, "P-256"), (Curve::P384, "P-384"), (Curve::P521, "P-521")] {
        let name = format!("ec-{}-signature", label.to_lowercase().replace('-', ""));
        let common_name = format!("EC {label} signature");
        add(&name, &common_name, "any", "good", Kind::Ec(curve), Use::Signature, By::Registry, good);
    }
    add("localhost", "localhost", "TLS server", "good", Kind::Ec(Curve::P256), Use::Server, By::Transport, good);
    list
}

/// The authorities.
struct Pki {
    root: Authority,
    registry: Authority,
    transport: Authority,
    rogue: Authority,
    revoked: std::cell::RefCell<Vec<Certificate>>,
}

fn name(unit: &str, common_name: &str) -> Name {
    Name::new().country("DE").organization("Rohrpost Test").organizational_unit(unit).common_name(common_name)
}

/// Units with umlauts and commas, since real names have them.
fn unit(wanted: &Wanted) -> &'static str {
    match wanted.role {
        "originator" => "Meldebehörde Nord",
        "addressee" => "Meldebehörde Süd, Bürgeramt",
        "second addressee" => "Standesamt",
        "author or reader" => "Fachverfahren",
        "intermediary" => "Vermittlungsstelle",
        _ => "Test",
    }
}

impl Pki {
    fn new(output: &mut Output) -> Outcome<Self> {
        // Older than the expired end entities, so that only those are expired.
        let validity = Validity::new(datetime!(2020-01-01 0:00 UTC), datetime!(2045-01-01 0:00 UTC));
        let template = |common: &str, length| Template::authority(name("Test PKI", common), validity, length);
        let key = || PrivateKey::generate_rsa(3072);
        let root =
            Authority::root(&template("Rohrpost Test Root CA", None), PrivateKey::generate_rsa(4096)?, &SystemRandom)?;
        let registry = root.subordinate(&template("Registry CA", Some(0)), key()?, &SystemRandom)?;
        let transport = root.subordinate(&template("Transport CA", Some(0)), key()?, &SystemRandom)?;
        let rogue = Authority::root(&template("Rogue CA", None), key()?, &SystemRandom)?;
        for (file, authority) in
            [("root-ca", &root), ("registry-ca", &registry), ("transport-ca", &transport), ("rogue-ca", &rogue)]
        {
            output.authority(file, authority)?;
        }
        Ok(Self { root, registry, transport, rogue, revoked: std::cell::RefCell::default() })
    }

    fn make(&self, wanted: &Wanted, output: &mut Output) -> Outcome<()> {
        let key = wanted.kind.generate()?;
        let subject = name(unit(wanted), &wanted.common_name);
        let allows = match (wanted.condition, wanted.usage) {
            ("wrong usage", Use::Signature) => Use::Cipher,
            ("wrong usage", _) => Use::Signature,
            (_, usage) => usage,
        };
        let mut template = match allows {
            Use::Signature => Template::signature(subject, wanted.validity),
            Use::Cipher => Template::encryption(subject, wanted.validity),
            Use::Both => Template::signature(subject, wanted.validity).key_usage(Some(
                KeyUsage::DIGITAL_SIGNATURE
                    | KeyUsage::NON_REPUDIATION
                    | KeyUsage::KEY_ENCIPHERMENT
                    | KeyUsage::DATA_ENCIPHERMENT,
            )),
            Use::Server => Template::tls_server(subject, wanted.validity, &["localhost"]),
        };
        if wanted.by == By::Registry {
            template = template.revocation_list(REVOCATION_LIST);
        }
        let certificate = match self.issuer(wanted.by) {
            Some((issuer, _)) => issuer.issue(&template, key.public_key(), &SystemRandom)?,
            None => self_signed(&template, &key, &SystemRandom)?,
        };
        if wanted.condition == "revoked" {
            self.revoked.borrow_mut().push(certificate.clone());
        }
        let chain = self.issuer(wanted.by).map(|(_, chain)| chain).unwrap_or_default();
        output.end_entity(wanted, KeyEntry { key, certificate, chain })
    }

    /// The issuing authority and the certificates from it up to its root.
    fn issuer(&self, by: By) -> Option<(&Authority, Vec<Certificate>)> {
        let chain =
            |authorities: &[&Authority]| authorities.iter().map(|authority| authority.certificate().clone()).collect();
        match by {
            By::Registry => Some((&self.registry, chain(&[&self.registry, &self.root]))),
            By::Transport => Some((&self.transport, chain(&[&self.transport, &self.root]))),
            By::Rogue => Some((&self.rogue, chain(&[&self.rogue]))),
            By::Itself => None,
        }
    }
}

fn authority_kind(authority: &Authority) -> String {
    format!("{}-{}", authority.key().kind().name(), authority.key().kind().bits())
}

/// The directory that is written, and its table of contents.
struct Output {
    root: PathBuf,
    index: Vec<Value>,
}

impl Output {
    fn new(root: &Path) -> Outcome<Self> {
        for folder in ["ca", "p12", "pem"] {
            let path = root.join(folder);
            if path.exists() {
                fs::remove_dir_all(&path)?;
            }
            fs::create_dir_all(&path)?;
        }
        Ok(Self { root: root.to_owned(), index: Vec::new() })
    }

    fn authority(&mut self, file: &str, authority: &Authority) -> Outcome<()> {
        self.write(&format!("ca/{file}.cert.pem"), pem::write_certificate(authority.certificate()))?;
        self.write(
            &format!("ca/{file}.key.pem"),
            pem::write(pem::PRIVATE_KEY, &authority.key().to_pkcs8_der()).as_bytes(),
        )?;
        let entry = json!({ "name": file, "role": "authority", "use": "authority", "condition": "good", "kind": authority_kind(authority) });
        self.list(entry, authority.certificate())
    }

    fn end_entity(&mut self, wanted: &Wanted, entry: KeyEntry) -> Outcome<()> {
        let name = &wanted.name;
        self.write(&format!("p12/{name}.p12"), store(&entry, name, &Pin::from(PIN))?)?;
        self.write(&format!("pem/{name}.cert.pem"), pem::write_certificate(&entry.certificate))?;
        self.write(&format!("pem/{name}.key.pem"), pem::write(pem::PRIVATE_KEY, &entry.key.to_pkcs8_der()).as_bytes())?;
        let listed = json!({
            "name": name,
            "role": wanted.role,
            "use": wanted.usage.label(),
            "condition": wanted.condition,
            "kind": wanted.kind.label(),
        });
        self.list(listed, &entry.certificate)
    }

    fn list(&mut self, mut entry: Value, certificate: &Certificate) -> Outcome<()> {
        let instant = |at: OffsetDateTime| at.format(&Rfc3339);
        entry["subject"] = certificate.subject().into();
        entry["issuer"] = certificate.issuer().into();
        entry["serial"] = certificate.serial().into();
        entry["valid_from"] = instant(certificate.not_before())?.into();
        entry["valid_to"] = instant(certificate.not_after())?.into();
        entry["fingerprint"] = certificate.fingerprint().to_string().into();
        self.index.push(entry);
        Ok(())
    }

    fn finish(self, pki: &Pki) -> Outcome<()> {
        let published = Validity::new(datetime!(2025-06-01 0:00 UTC), datetime!(2045-01-01 0:00 UTC));
        let since = datetime!(2025-03-01 0:00 UTC);
        let certificates = pki.revoked.borrow();
        let revoked: Vec<_> =
            certificates.iter().map(|certificate| Revoked { certificate, since, reason: None }).collect();
        let list = pki.registry.revoke(&revoked, published, 1)?;
        self.write("ca/registry-ca.crl.pem", pem::write(pem::REVOCATION_LIST, &list).as_bytes())?;
        self.write("index.json", serde_json::to_string_pretty(&self.index)? + "\n")
    }

    fn write(&self, file: &str, content: impl AsRef<[u8]>) -> Outcome<()> {
        Ok(fs::write(self.root.join(file), content)?)
    }
}
