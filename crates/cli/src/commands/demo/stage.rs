//! What the demo plays on: a folder with certificates, a configuration and the data of an intermediary.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rohrpost_client::{Client, Clock, Config};
use rohrpost_crypto::policy::Policy;
use rohrpost_gateway::clock::{Clock as _, SystemClock};
use rohrpost_pipeline::keyring::{CipherPair, KeyRing, SignaturePair};
use rohrpost_pki::{Anchors, Certificate, Inspector};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::args::{ConfigArgs, DemoArgs};
use crate::commands::party;
use crate::config;
use crate::failure::{Failure, Kind};
use crate::test_pki::{self, Order, Party};

/// Sends: the person has moved there.
const SENDER: &str = "Meldebehörde Musterstadt";
/// Receives: the person has lived there.
const RECEIVER: &str = "Meldebehörde Beispielhausen";
const INTERMEDIARY: &str = "OSCI-Intermediär Beispielland";

/// Long enough for the policy of today, short enough to be made at once.
const KEY_BITS: u32 = 3072;

/// The folder and who is in it.
pub(super) struct Stage {
    pub(super) directory: PathBuf,
    pub(super) config: PathBuf,
    pub(super) pin_file: PathBuf,
    /// Whether the certificates were made just now.
    pub(super) fresh: bool,
    pub(super) root: Certificate,
    pub(super) intermediary: Office,
    pub(super) sender: Office,
    pub(super) receiver: Office,
    temporary: Option<TempDir>,
}

/// A party with its keys and their files.
pub(super) struct Office {
    pub(super) name: String,
    pub(super) cipher: CipherPair,
    pub(super) signature: SignaturePair,
    pub(super) cipher_file: PathBuf,
    pub(super) signature_file: PathBuf,
    pub(super) cipher_certificate: PathBuf,
    pub(super) signature_certificate: PathBuf,
}

impl Stage {
    /// Makes the folder ready, or takes what an earlier demo left there.
    pub(super) fn set(args: &DemoArgs) -> Result<Self> {
        let (directory, temporary) = folder(args)?;
        let names = [INTERMEDIARY, SENDER, RECEIVER].map(str::to_owned);
        let certs = directory.join("certs");
        let fresh = !test_pki::exists(&certs);
        let pki = if fresh {
            let order = Order { parties: &names, bits: KEY_BITS, days: 730, now: SystemClock.now() };
            test_pki::generate(&certs, &order, |_| {})?
        } else {
            test_pki::open(&certs, &names)?
        };
        let config = directory.join("rohrpost.toml");
        if !config.exists() {
            let snippet = pki.config_snippet(&pki.parties[0], |path| relative(path, &directory));
            fs::write(&config, format!("{HEADER}{snippet}")).with_context(|| unwritable(&config))?;
        }
        let [intermediary, sender, receiver] = <[Party; 3]>::try_from(pki.parties)
            .map_err(|_| Failure::new(Kind::Other, "the test authority does not know three parties"))?
            .map(Office::open);
        Ok(Self {
            directory,
            config,
            pin_file: pki.pin_file,
            fresh,
            root: pki.root,
            intermediary: intermediary?,
            sender: sender?,
            receiver: receiver?,
            temporary,
        })
    }

    /// Whether the folder goes with the end of the demo.
    pub(super) fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    /// The configuration of the intermediary, listening where the command line says.
    pub(super) fn config(&self, args: &DemoArgs) -> Result<config::Config> {
        let sets = vec![format!("http.listen=[{:?}]", args.listen), "management.listen=127.0.0.1:0".to_owned()];
        config::load(&ConfigArgs { config: Some(self.config.clone()), sets })
    }

    /// A specialist application of an office.
    pub(super) fn client(&self, office: &Office, url: &str) -> Result<Client> {
        let keys = KeyRing::new(vec![office.cipher.clone()], Some(office.signature.clone()));
        let clock = Clock::new(|| SystemClock.now());
        let mut config = Config::new(url, self.intermediary.cipher.certificate.clone(), keys, party::spools(), clock);
        config.intermediary_signature = Some(self.intermediary.signature.certificate.clone());
        let mut anchors = Anchors::new();
        anchors.add(self.root.clone())?;
        config.inspector = Some(Inspector::new(anchors, Policy::standard()).into());
        Client::new(config).map_err(party::failure)
    }

    /// A subfolder.
    pub(super) fn subfolder(&self, name: &str) -> Result<PathBuf> {
        let path = self.directory.join(name);
        fs::create_dir_all(&path).with_context(|| unwritable(&path))?;
        Ok(path)
    }

    /// Everything a program needs to join in.
    pub(super) fn report(&self) -> Value {
        let offices = [&self.intermediary, &self.sender, &self.receiver].map(|office| {
            json!({
                "name": office.name,
                "cipher": office.cipher_file,
                "signature": office.signature_file,
                "cipher_certificate": office.cipher_certificate,
                "signature_certificate": office.signature_certificate,
            })
        });
        json!({ "directory": self.directory, "config": self.config, "pin_file": self.pin_file, "parties": offices })
    }
}

const HEADER: &str = "\
# Written by `rohrpost demo`: test keys, for trying things out and never for production.
# `rohrpost config print-default` explains every key. Start it with `rohrpost serve --config` and this file.

[storage]
directory = \"data\"

";

impl Office {
    fn open(party: Party) -> Result<Self> {
        Ok(Self {
            cipher: config::cipher(party.cipher.entry.into(), &party.name)?,
            signature: config::signature(party.signature.entry.into(), &party.name)?,
            name: party.name,
            cipher_file: party.cipher.archive,
            signature_file: party.signature.archive,
            cipher_certificate: party.cipher.public,
            signature_certificate: party.signature.public,
        })
    }
}

fn folder(args: &DemoArgs) -> Result<(PathBuf, Option<TempDir>)> {
    let Some(directory) = &args.directory else {
        let temporary = tempfile::Builder::new()
            .prefix("rohrpost-demo-")
            .tempdir()
            .with_context(|| unwritable(&std::env::temp_dir()))?;
        return Ok((temporary.path().to_owned(), Some(temporary)));
    };
    fs::create_dir_all(directory).with_context(|| unwritable(directory))?;
    let directory = fs::canonicalize(directory).with_context(|| unwritable(directory))?;
    Ok((directory, None))
}

fn relative(path: &Path, directory: &Path) -> String {
    path.strip_prefix(directory).unwrap_or(path).display().to_string()
}

fn unwritable(path: &Path) -> Failure {
    Failure::new(Kind::Configuration, format!("cannot write {}", path.display()))
        .remedy("give a folder that can be written: --directory DIR")
}
