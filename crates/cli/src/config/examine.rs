//! Looks at a configuration piece by piece, so that `config check` can tell everything at once.

use std::path::Path;

use anyhow::{Context as _, Result};
use rohrpost_crypto::policy::Policy;
use rohrpost_gateway::clock::{Clock as _, SystemClock};
use rohrpost_pki::{Anchors, Certificate, Use, Verdict, inspect};

use super::raw::{KeyFiles, RawConfig};
use super::{
    OwnKey, Revocation, anchors, base, beginning, certificates, cipher, dangerous, gateway_config, keys, log_filter,
    log_json, policy, raw, settings, signature, timestamps,
};
use crate::args::ConfigArgs;
use crate::failure::{Failure, Kind};
use crate::output::stamp;

/// What was found about one key or table of the configuration.
pub(crate) struct Finding {
    pub(crate) key: String,
    /// What it amounts to, or why it cannot be used.
    pub(crate) outcome: Result<String>,
    /// What can be worked with but should be looked at.
    pub(crate) warnings: Vec<String>,
}

/// A certificate that ends within this time is worth a warning.
const SOON: time::Duration = time::Duration::days(30);

/// Looks at everything, whatever is wrong elsewhere.
///
/// # Errors
/// Only if the configuration cannot be read at all.
pub(crate) fn examine(args: &ConfigArgs) -> Result<Vec<Finding>> {
    let (raw, base) = (raw(args)?, base(args));
    let mut findings = Vec::new();
    let mut found = |key: &str, outcome: Result<String>, warnings: Vec<String>| {
        findings.push(Finding { key: key.to_owned(), outcome, warnings });
    };

    let anchors = anchors(&raw, &base);
    let intermediates = certificates("trust.intermediates", &raw.trust.intermediates, &base);
    let trust = Trust { anchors: anchors.as_ref().ok(), intermediates: intermediates.as_deref().unwrap_or_default() };
    let ciphers = [("keys.cipher", &raw.keys.cipher)].into_iter();
    for (key, files) in ciphers.chain(raw.keys.previous_ciphers.iter().map(|files| ("keys.previous_ciphers", files))) {
        let pair = pair(files, &base, key, |entry| cipher(entry, key).map(drop));
        let warnings = pair.as_ref().map_or_else(|_| Vec::new(), |pair| trust.doubts(pair, Use::Encryption));
        found(key, pair.map(|pair| describe(&pair)), warnings);
    }
    let key = "keys.signature";
    let own = pair(&raw.keys.signature, &base, key, |entry| signature(entry, key).map(drop));
    let warnings = own.as_ref().map_or_else(|_| Vec::new(), |pair| trust.doubts(pair, Use::TransportSignature));
    found(key, own.map(|pair| describe(&pair)), warnings);

    let key = "keys.changes";
    for change in &raw.keys.changes {
        found(key, beginning(&change.from).map(|from| format!("from {}", stamp(from))), Vec::new());
        for (files, usage) in [(&change.cipher, Use::Encryption), (&change.signature, Use::TransportSignature)] {
            let Some(files) = files else { continue };
            let pair = pair(files, &base, key, |entry| match usage {
                Use::Encryption => cipher(entry, key).map(drop),
                _ => signature(entry, key).map(drop),
            });
            let warnings = pair.as_ref().map_or_else(|_| Vec::new(), |pair| trust.doubts(pair, usage));
            found(key, pair.map(|pair| describe(&pair)), warnings);
        }
    }

    let nobody = anchors.as_ref().is_ok_and(|anchors| anchors.certificates().is_empty());
    let warnings =
        if nobody { vec!["nobody is trusted: every certificate will be indeterminate".into()] } else { vec![] };
    found("trust.anchors", anchors.map(|anchors| count(anchors.certificates().len())), warnings);
    found("trust.intermediates", intermediates.map(|all| count(all.len())), Vec::new());
    let own_policy = if raw.trust.policy_file.is_some() { "from the file" } else { "built in" };
    found("trust.policy_file", policy(&raw, &base).map(|_| own_policy.to_owned()), Vec::new());

    let mode = Revocation::check(&raw.revocation).map(|_| raw.revocation.mode.clone());
    found("revocation", mode, Vec::new());

    let service = policy(&raw, &base).and_then(|policy| {
        let service = timestamps::Service::check(&raw.timestamps, &policy, &base)?;
        timestamps::settings(&raw.timestamps)?;
        Ok(if service.is_some() { "a service is asked" } else { "no service" }.to_owned())
    });
    found("timestamps", service, Vec::new());

    let settings = settings(&raw);
    let warnings = settings.as_ref().map_or_else(|_| Vec::new(), dangerous);
    let warnings = warnings.into_iter().map(|key| format!("{key} is on and weakens security")).collect();
    found("orders", settings.map(|_| "understood".to_owned()), warnings);
    let gateway = gateway_config(&raw, &base).map(|_| listeners(&raw));
    found("listeners", gateway, listening_doubts(&raw));
    if !raw.https.listen.is_empty() {
        found("https", tls_files(&raw, &base), Vec::new());
    }
    let directory = base.join(&raw.storage.directory);
    found("storage.directory", writable(&directory), Vec::new());
    found("log", log(&raw), Vec::new());
    Ok(findings)
}

/// Reads a key pair, tries it for its purpose, and keeps what can be shown of it.
fn pair(files: &KeyFiles, base: &Path, key: &str, fits: impl FnOnce(OwnKey) -> Result<()>) -> Result<Shown> {
    let entry = keys::key_pair(files, base, key)?;
    let shown = Shown { certificate: entry.certificate.clone(), chain: entry.chain.clone() };
    fits(entry).map(|()| shown)
}

/// The public part of a key pair.
struct Shown {
    certificate: Certificate,
    chain: Vec<Certificate>,
}

struct Trust<'a> {
    anchors: Option<&'a Anchors>,
    intermediates: &'a [Certificate],
}

impl Trust<'_> {
    /// What partners will find wrong with our certificate, if they trust whom we trust.
    fn doubts(&self, pair: &Shown, usage: Use) -> Vec<String> {
        let Some(anchors) = self.anchors else { return Vec::new() };
        let now = SystemClock.now();
        let extra = [self.intermediates, &pair.chain].concat();
        let judged = inspect(&pair.certificate, &extra, anchors, usage, &Policy::standard(), now);
        let mut doubts: Vec<String> =
            judged.reasons.iter().map(|reason| format!("the certificate: {reason}")).collect();
        let ends = pair.certificate.not_after();
        if judged.verdict == Verdict::Valid && ends - now < SOON {
            doubts.push(format!("the certificate expires at {}: get a new one", stamp(ends)));
        }
        doubts
    }
}

fn describe(pair: &Shown) -> String {
    format!("{}, until {}", pair.certificate.subject(), stamp(pair.certificate.not_after()))
}

fn count(certificates: usize) -> String {
    match certificates {
        1 => "1 certificate".to_owned(),
        many => format!("{many} certificates"),
    }
}

fn listeners(raw: &RawConfig) -> String {
    let osci = raw.http.listen.iter().map(|address| format!("http://{address}{}", raw.http.path));
    let tls = raw.https.listen.iter().map(|address| format!("https://{address}{}", raw.http.path));
    let all: Vec<String> = osci.chain(tls).chain([format!("http://{} (management)", raw.management.listen)]).collect();
    all.join(", ")
}

/// Where we listen is not weakening by itself, but worth a second look.
fn listening_doubts(raw: &RawConfig) -> Vec<String> {
    let mut doubts = Vec::new();
    if raw.http.listen.is_empty() && raw.https.listen.is_empty() {
        doubts.push("nobody can reach the intermediary: neither http.listen nor https.listen names an address".into());
    }
    if raw.management.listen.parse().is_ok_and(|address: std::net::SocketAddr| !address.ip().is_loopback()) {
        doubts.push("management.listen is reachable from other machines; health and metrics need no password".into());
    }
    doubts
}

/// The files of the TLS listeners, as far as they can be read without listening.
fn tls_files(raw: &RawConfig, base: &Path) -> Result<String> {
    let https = &raw.https;
    for (key, file) in
        [("https.certificate", &https.certificate), ("https.client_authorities", &https.client_authorities)]
    {
        if let Some(file) = file {
            keys::certificates(&base.join(file)).map_err(|error| Failure::at_key(key, error))?;
        }
    }
    if let (Some(certificate), Some(key)) = (&https.certificate, &https.key) {
        let files = KeyFiles {
            certificate: Some(certificate.clone()),
            key: Some(key.clone()),
            pkcs12: None,
            pin_file: None,
            token: None,
        };
        keys::key_pair(&files, base, "https.key")?;
    }
    Ok("certificate and key belong together".to_owned())
}

/// Whether the server could write there. Creates nothing that stays.
fn writable(directory: &Path) -> Result<String> {
    let unwritable = |place: &Path| {
        Failure::new(Kind::Configuration, format!("storage.directory: {} cannot be written", place.display()))
            .remedy("create the folder, or give it to the user that runs the server")
    };
    let mut place = directory;
    while !place.exists() {
        place = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
    }
    tempfile::NamedTempFile::new_in(place).with_context(|| unwritable(place))?;
    let there = if place == directory { "can be written" } else { "will be created" };
    Ok(format!("{} {there}", directory.display()))
}

fn log(raw: &RawConfig) -> Result<String> {
    log_json(raw)?;
    log_filter(&raw.log.level)?;
    Ok(format!("{}, {}", raw.log.format, raw.log.level))
}
