//! A small authority of one's own for trying things out: `rohrpost certs generate` and `rohrpost demo`. Never for production.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rohrpost_crypto::{PrivateKey, Random as _, SystemRandom};
use rohrpost_pki::issue::{Authority, Name, Template, Validity};
use rohrpost_pki::pkcs12::{self, Pin};
use rohrpost_pki::{Certificate, KeyEntry, pem};
use time::{Duration, OffsetDateTime};

use crate::config::keys;
use crate::failure::{Failure, Kind};
use crate::secrets::write_secret;

/// What to make.
pub(crate) struct Order<'a> {
    pub(crate) parties: &'a [String],
    pub(crate) bits: u32,
    pub(crate) days: u32,
    pub(crate) now: OffsetDateTime,
}

/// One party's key pairs, with the files they are in.
pub(crate) struct Party {
    pub(crate) name: String,
    pub(crate) cipher: Pair,
    pub(crate) signature: Pair,
}

/// A key pair, its PKCS#12 file and the file with the certificate alone.
pub(crate) struct Pair {
    pub(crate) entry: KeyEntry,
    pub(crate) archive: PathBuf,
    pub(crate) public: PathBuf,
}

/// The root, the parties, and the file with the PIN of all PKCS#12 files.
pub(crate) struct TestPki {
    pub(crate) root: Certificate,
    pub(crate) root_file: PathBuf,
    pub(crate) pin_file: PathBuf,
    pub(crate) parties: Vec<Party>,
}

/// Makes a root and two key pairs per party in `directory`; `made` hears of each key.
///
/// Refuses a folder that has such files already: keys somebody may be using are not replaced.
pub(crate) fn generate(directory: &Path, order: &Order<'_>, mut made: impl FnMut(&str)) -> Result<TestPki> {
    check_names(order.parties)?;
    if exists(directory) {
        let what = format!("{} already holds a test authority", directory.display());
        return Err(Failure::new(Kind::Configuration, what).remedy("choose another folder, or remove this one").into());
    }
    fs::create_dir_all(directory).with_context(|| unwritable(directory))?;
    // Clocks of partners differ; a certificate made now should be good for all of them.
    let from = order.now - Duration::hours(1);
    let validity = Validity::new(from, from + Duration::days(i64::from(order.days)));
    let root_name = Name::new().country("DE").organization("Rohrpost Test").common_name("Rohrpost Test Root");
    let template = Template::authority(root_name, validity, Some(0));
    let root = Authority::root(&template, PrivateKey::generate_rsa(order.bits)?, &SystemRandom)?;
    made("root");

    let pin = fresh_pin();
    let pin_file = directory.join(PIN);
    write_secret(&pin_file, pin.as_bytes())?;
    let pin = Pin::from(pin.as_str());

    let mut parties = Vec::new();
    for name in order.parties {
        let mut pair = |purpose: &str, template: fn(Name, Validity) -> Template| -> Result<Pair> {
            let subject =
                Name::new().country("DE").organization("Rohrpost Test").common_name(&format!("{name} {purpose}"));
            let key = PrivateKey::generate_rsa(order.bits)?;
            let certificate = root.issue(&template(subject, validity), key.public_key(), &SystemRandom)?;
            let entry = KeyEntry { key, certificate, chain: vec![root.certificate().clone()] };
            let (archive, public) = files(directory, name, purpose);
            write_secret(&archive, &pkcs12::store(&entry, name, &pin)?)?;
            fs::write(&public, pem::write_certificate(&entry.certificate)).with_context(|| unwritable(&public))?;
            made(&format!("{name} {purpose}"));
            Ok(Pair { entry, archive, public })
        };
        let cipher = pair(CIPHER, Template::encryption)?;
        let signature = pair(SIGNATURE, Template::signature)?;
        parties.push(Party { name: name.clone(), cipher, signature });
    }
    // Last: a folder with it is complete.
    let root_file = directory.join(ROOT);
    fs::write(&root_file, pem::write_certificate(root.certificate())).with_context(|| unwritable(&root_file))?;
    Ok(TestPki { root: root.certificate().clone(), root_file, pin_file, parties })
}

/// Whether [`generate`] has finished in this folder before.
pub(crate) fn exists(directory: &Path) -> bool {
    directory.join(ROOT).exists()
}

/// Reads what [`generate`] made before for these parties.
pub(crate) fn open(directory: &Path, parties: &[String]) -> Result<TestPki> {
    let (root_file, pin_file) = (directory.join(ROOT), directory.join(PIN));
    let pair = |name: &str, purpose: &str| -> Result<Pair> {
        let (archive, public) = files(directory, name, purpose);
        Ok(Pair { entry: keys::pkcs12_file(&archive, &pin_file)?, archive, public })
    };
    let party = |name: &String| -> Result<Party> {
        Ok(Party { name: name.clone(), cipher: pair(name, CIPHER)?, signature: pair(name, SIGNATURE)? })
    };
    let parties = parties.iter().map(party).collect::<Result<_>>()?;
    Ok(TestPki { root: keys::certificate(&root_file)?, root_file, pin_file, parties })
}

impl TestPki {
    /// The part of a configuration that makes this party the intermediary. Paths are written as `shown` gives them.
    pub(crate) fn config_snippet(&self, intermediary: &Party, shown: impl Fn(&Path) -> String) -> String {
        let quoted = |path: &Path| toml::Value::from(shown(path)).to_string();
        let (pin, root) = (quoted(&self.pin_file), quoted(&self.root_file));
        let pair = |name: &str, pair: &Pair| {
            format!("[keys.{name}]\npkcs12 = {}\npin_file = {pin}\n\n", quoted(&pair.archive))
        };
        let (cipher, signature) = (pair(CIPHER, &intermediary.cipher), pair(SIGNATURE, &intermediary.signature));
        format!("{cipher}{signature}[trust]\nanchors = [{root}]\n")
    }
}

const ROOT: &str = "root.pem";
const PIN: &str = "pin";
const CIPHER: &str = "cipher";
const SIGNATURE: &str = "signature";

fn files(directory: &Path, name: &str, purpose: &str) -> (PathBuf, PathBuf) {
    let stem = format!("{}-{purpose}", file_stem(name));
    (directory.join(format!("{stem}.p12")), directory.join(format!("{stem}.cert.pem")))
}

/// A party's name as part of a file name: small letters, digits and hyphens.
fn file_stem(name: &str) -> String {
    let mut stem = String::new();
    for c in name.to_lowercase().chars() {
        match c {
            'ä' => stem.push_str("ae"),
            'ö' => stem.push_str("oe"),
            'ü' => stem.push_str("ue"),
            'ß' => stem.push_str("ss"),
            c if c.is_ascii_alphanumeric() => stem.push(c),
            _ if stem.is_empty() || stem.ends_with('-') => {}
            _ => stem.push('-'),
        }
    }
    stem.trim_end_matches('-').to_owned()
}

fn check_names(names: &[String]) -> Result<()> {
    let mut stems = BTreeSet::new();
    for name in names {
        let stem = file_stem(name);
        if stem.is_empty() || !stems.insert(stem) {
            return Err(Failure::new(Kind::Configuration, format!("{name:?} cannot be the name of a party here"))
                .remedy("give names with letters or digits that make different file names")
                .into());
        }
    }
    Ok(())
}

fn fresh_pin() -> zeroize::Zeroizing<String> {
    let mut random = [0; 9];
    SystemRandom.fill(&mut random);
    zeroize::Zeroizing::new(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn unwritable(path: &Path) -> Failure {
    Failure::new(Kind::Configuration, format!("cannot write {}", path.display()))
        .remedy("check the path, its rights and the space on the disk")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_file_names() {
        for (name, stem) in [
            ("alice", "alice"),
            ("Meldebehörde Musterstadt", "meldebehoerde-musterstadt"),
            ("../../etc/passwd", "etc-passwd"),
            ("Straße & Söhne (Übung)", "strasse-soehne-uebung"),
            ("…", ""),
        ] {
            assert_eq!(file_stem(name), stem);
        }
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(check_names(&names(&["a", "b"])).is_ok());
        for bad in [&["a", "A"][..], &["/"], &["a b", "a-b"]] {
            assert!(check_names(&names(bad)).is_err(), "{bad:?}");
        }
    }
}
