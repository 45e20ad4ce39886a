//! Key pairs and certificates from the files that a configuration or a command line names.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rohrpost_pki::pkcs12::{self, Pin};
use rohrpost_pki::{Certificate, KeyEntry, pem};

use super::OwnKey;
use super::raw::{KeyFiles, TokenKey};
use crate::failure::{Failure, Kind};

/// Reads a key pair, or finds it on its token; relative paths start at `base`.
pub(crate) fn key_pair(files: &KeyFiles, base: &Path, name: &str) -> Result<OwnKey> {
    let at = |path: &PathBuf| base.join(path);
    let read = match (&files.pkcs12, &files.pin_file, &files.certificate, &files.key, &files.token) {
        (Some(file), Some(pin_file), None, None, None) => pkcs12_file(&at(file), &at(pin_file)).map(OwnKey::from),
        (None, None, Some(certificate), Some(key), None) => pem_files(&at(certificate), &at(key)).map(OwnKey::from),
        (None, Some(pin_file), Some(certificate), None, Some(token)) => {
            on_token(token, &at(certificate), &at(pin_file))
        }
        _ => Err(Failure::new(Kind::Configuration, "no key pair is named")
            .remedy("give either `pkcs12` and `pin_file`, or `certificate` and `key`, or `token`, `pin_file` and `certificate`")
            .into()),
    };
    read.map_err(|error| Failure::at_key(name, error))
}

#[cfg(feature = "pkcs11")]
fn on_token(token: &TokenKey, certificate: &Path, pin_file: &Path) -> Result<OwnKey> {
    use rohrpost_token::{Pin, Token};
    let pin = zeroize::Zeroizing::new(fs::read_to_string(pin_file).with_context(|| unreadable(pin_file))?);
    let pin = Pin::from(pin.lines().next().unwrap_or_default());
    let open = Token::open(&token.module, &token.label, pin).with_context(|| {
        Failure::new(Kind::Configuration, format!("the token {:?} cannot be used", token.label))
            .remedy("check `module`, `label` and the PIN; `pkcs11-tool --module FILE -L` lists what is there")
    })?;
    let mut certificates = certificates(certificate)?;
    Ok(OwnKey::on_token(certificates.remove(0), certificates, open, &token.key))
}

#[cfg(not(feature = "pkcs11"))]
fn on_token(_: &TokenKey, _: &Path, _: &Path) -> Result<OwnKey> {
    Err(Failure::new(Kind::Configuration, "this program was built without PKCS#11")
        .remedy("build it with it: cargo install --locked --path crates/cli --features pkcs11")
        .into())
}

/// Reads a PKCS#12 file with the PIN in the first line of another file.
pub(crate) fn pkcs12_file(file: &Path, pin_file: &Path) -> Result<KeyEntry> {
    let pin = pin(pin_file)?;
    pkcs12::load(&read(file)?, &pin).with_context(|| {
        Failure::new(Kind::Configuration, format!("cannot use the key file {}", file.display()))
            .remedy(format!("check that it is PKCS#12 and that {} holds its PIN", pin_file.display()))
    })
}

/// The first line of a PIN file.
pub(crate) fn pin(file: &Path) -> Result<Pin> {
    let text = zeroize::Zeroizing::new(fs::read_to_string(file).with_context(|| unreadable(file))?);
    Ok(Pin::from(text.lines().next().unwrap_or_default()))
}

/// All certificates of a PEM file, or the one of a DER file.
pub(crate) fn certificates(file: &Path) -> Result<Vec<Certificate>> {
    let bytes = read(file)?;
    let found = pem::certificates(&bytes).with_context(|| no_certificate(file))?;
    if found.is_empty() {
        return Err(no_certificate(file).into());
    }
    Ok(found)
}

/// The one certificate of a file.
pub(crate) fn certificate(file: &Path) -> Result<Certificate> {
    let mut all = certificates(file)?;
    Ok(all.swap_remove(0))
}

/// A certificate and its unencrypted key, each PEM.
pub(crate) fn pem_files(certificate_file: &Path, key_file: &Path) -> Result<KeyEntry> {
    let key = zeroize::Zeroizing::new(read(key_file)?);
    KeyEntry::from_pem(&read(certificate_file)?, &key).with_context(|| {
        let what = format!("{} and {} are no key pair", certificate_file.display(), key_file.display());
        Failure::new(Kind::Configuration, what)
            .remedy("give a certificate (PEM) and its unencrypted PKCS#8 key (openssl pkcs8 -topk8 -nocrypt)")
    })
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| unreadable(file))
}

fn unreadable(file: &Path) -> Failure {
    Failure::new(Kind::Configuration, format!("cannot read {}", file.display()))
        .remedy("check the path and the rights of the file; relative paths start at the folder of the configuration")
}

fn no_certificate(file: &Path) -> Failure {
    Failure::new(Kind::Configuration, format!("{} holds no usable certificate", file.display()))
        .remedy("give an X.509 certificate as PEM or DER")
}
