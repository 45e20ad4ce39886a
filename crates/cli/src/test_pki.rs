//! A small authority of one's own for trying things out: `rohrpost certs generate` and `rohrpost demo`. Never for production.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rohrpost_crypto::{PrivateKey, Random as _, SystemRandom};
use rohrpost_pki::issue::{Authority, Name, Template, Validity};
use rohrpost_pki::pkcs12::{self, Pin};
use rohrpost_pki::{Certificate, KeyEntry, pem};
use time::{Duration, OffsetDateTime};

use crate::secrets::write_secret;

/// What to make.
pub(crate) struct Order<'a> {
    pub(crate) parties: &'a [String],
    pub(crate) bits: u32,
    pub(crate) days: u32,
    pub(crate) now: OffsetDateTime,
}

/// One party's key pairs, and where they were written.
pub(crate) struct Party {
    pub(crate) name: String,
    pub(crate) cipher: KeyEntry,
    pub(crate) signature: KeyEntry,
}

/// What was made: the root, the parties, and the file with the PIN of all PKCS#12 files.
pub(crate) struct TestPki {
    pub(crate) root: Certificate,
    pub(crate) root_file: PathBuf,
    pub(crate) pin_file: PathBuf,
    pub(crate) parties: Vec<Party>,
}

/// Makes a root and two key pairs per party in `directory`; `made` hears the name of each file.
pub(crate) fn generate(directory: &Path, order: &Order<'_>, mut made: impl FnMut(&Path)) -> Result<TestPki> {
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    // Clocks of partners differ; a certificate made now should be good for all of them.
    let from = order.now - Duration::hours(1);
    let validity = Validity::new(from, from + Duration::days(i64::from(order.days)));
    let root_key = PrivateKey::generate_rsa(order.bits)?;
    let root_name = Name::new().country("DE").organization("Rohrpost Test").common_name("Rohrpost Test Root");
    let root = Authority::root(&Template::authority(root_name, validity, Some(0)), root_key, &SystemRandom)?;
    let root_file = directory.join("root.pem");
    fs::write(&root_file, pem::write_certificate(root.certificate()))?;
    made(&root_file);

    let pin = fresh_pin();
    let pin_file = directory.join("pin");
    write_secret(&pin_file, pin.as_bytes())?;
    made(&pin_file);
    let pin = Pin::from(pin.as_str());

    let mut parties = Vec::new();
    for name in order.parties {
        let mut entry = |purpose: &str, template: fn(Name, Validity) -> Template| -> Result<KeyEntry> {
            let subject =
                Name::new().country("DE").organization("Rohrpost Test").common_name(&format!("{name} {purpose}"));
            let key = PrivateKey::generate_rsa(order.bits)?;
            let certificate = root.issue(&template(subject, validity), key.public_key(), &SystemRandom)?;
            let entry = KeyEntry { key, certificate, chain: vec![root.certificate().clone()] };
            let archive = directory.join(format!("{name}-{purpose}.p12"));
            write_secret(&archive, &pkcs12::store(&entry, name, &pin)?)?;
            made(&archive);
            let public = directory.join(format!("{name}-{purpose}.cert.pem"));
            fs::write(&public, pem::write_certificate(&entry.certificate))?;
            made(&public);
            Ok(entry)
        };
        let cipher = entry("cipher", Template::encryption)?;
        let signature = entry("signature", Template::signature)?;
        parties.push(Party { name: name.clone(), cipher, signature });
    }
    Ok(TestPki { root: root.certificate().clone(), root_file, pin_file, parties })
}

impl TestPki {
    /// The party of this name.
    pub(crate) fn party(&self, name: &str) -> Option<&Party> {
        self.parties.iter().find(|party| party.name == name)
    }
}

fn fresh_pin() -> zeroize::Zeroizing<String> {
    let mut random = [0; 9];
    SystemRandom.fill(&mut random);
    zeroize::Zeroizing::new(random.iter().map(|byte| format!("{byte:02x}")).collect())
}
