//! `rohrpost conformance`: tries everything that an intermediary can be asked and has to answer, and reports what it does otherwise.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use rohrpost_client::Clock;
use rohrpost_client::transport::{Address, Timeouts, Tls, Transport};
use rohrpost_conformance::{Party, Recipient, Setup, Wire};
use rohrpost_gateway::clock::{Clock as _, SystemClock};
use rohrpost_osci::feedback::Language;
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use serde::Deserialize;
use tokio::runtime::Runtime;

use super::party;
use crate::args::ConformanceArgs;
use crate::config::keys;
use crate::failure::{Failure, Kind};
use crate::output::{Output, Tone};

/// Runs the suite and prints its report; fails if anything failed.
pub(crate) fn run(args: &ConformanceArgs, output: Output) -> Result<()> {
    let base = args.profile.parent().map(Path::to_owned).unwrap_or_default();
    let profile = Profile::read(&args.profile)?;
    let wire = Network::new(profile.tls_authorities.as_ref().map(|file| base.join(file)).as_deref())?;
    let listen = profile.recipient.as_ref().map(|recipient| recipient.listen);
    let setup = Arc::new(profile.setup(&args.url, &base)?);
    let recipient = match listen {
        Some(listen) => Some(start(&setup, listen)?),
        None => None,
    };
    let bar = output.counter("trying");
    let done = |done: usize, all: usize| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    };
    let chosen = |name: &str| args.only.is_empty() || args.only.iter().any(|part| name.contains(part));
    let report = rohrpost_conformance::run(&setup, &wire, recipient.as_deref(), SystemClock.now(), chosen, &done)
        .map_err(broken)?;
    bar.finish_and_clear();
    if report.results.is_empty() {
        return Err(Failure::new(Kind::Configuration, "--only leaves nothing to try")
            .remedy("write a part of a name like StoreDelivery/9801/signed+encrypted+implicit")
            .into());
    }
    if let Some(file) = &args.html {
        let language = if args.language == "en" { Language::English } else { Language::German };
        fs::write(file, report.html(language)).with_context(|| {
            Failure::new(Kind::Configuration, format!("cannot write {}", file.display()))
                .remedy("check path and rights")
        })?;
    }
    if report.is_conforming() {
        return output.result(&report.json(), || output.paint(Tone::Good, report.text()));
    }
    output.step(&report.text());
    let failed = report.failed().count() + report.deviations.len();
    Err(Failure::new(Kind::Other, format!("{failed} answers are not what they have to be"))
        .remedy("look at each with --only; what a profile promises but the server is not configured for fails, too")
        .report(report.json())
        .into())
}

fn broken(what: String) -> anyhow::Error {
    Failure::new(Kind::Configuration, what).into()
}

/// The passive recipient, listening.
fn start(setup: &Arc<Setup>, listen: SocketAddr) -> Result<Arc<Recipient>> {
    let listener = TcpListener::bind(listen).with_context(|| {
        Failure::new(Kind::Configuration, format!("cannot listen on {listen}"))
            .remedy("choose another `recipient.listen` in the profile, or end what listens there")
    })?;
    let recipient = Recipient::new(Arc::clone(setup), || SystemClock.now()).map_err(broken)?;
    let recipient = Arc::new(recipient);
    recipient.listen(listener);
    Ok(recipient)
}

/// The way to the intermediary.
struct Network {
    runtime: Runtime,
    transport: Transport,
    answers: SpoolDir,
}

impl Network {
    fn new(authorities: Option<&Path>) -> Result<Self> {
        let tls = match authorities {
            Some(file) => Some(Tls::trusting(keys::certificates(file)?)),
            None => None,
        };
        let transport = Transport::new(tls.as_ref(), Timeouts::default(), &Clock::new(|| SystemClock.now()))?;
        Ok(Self { runtime: party::runtime()?, transport, answers: party::spools().with_limit(LONGEST_ANSWER) })
    }
}

/// Bytes of an answer at most; those to what is sent here are much shorter.
const LONGEST_ANSWER: u64 = 64 << 20;

impl Wire for Network {
    fn post(&self, url: &str, message: Vec<u8>) -> Result<Vec<u8>, String> {
        let address: Address = url.parse().map_err(|_| format!("{url} is no address"))?;
        let message = Spool::from_bytes(message);
        let answer = self.runtime.block_on(self.transport.post(&address, &message, &self.answers, None));
        let body = answer.map_err(|error| anyhow!(error)).map_err(|error| format!("no answer: {error:#}"))?.body;
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut body.reader(0..body.len()), &mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    }
}

/// Everything beside the address: `config/conformance.toml` explains it. Relative paths start at its folder.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    demanding_url: Option<String>,
    tls_authorities: Option<PathBuf>,
    refused_subject_bytes: Option<usize>,
    chunk_kib: Option<u64>,
    intermediary: Intermediary,
    recipient: Option<RecipientAddress>,
    client: Pairs,
    addressee: Pairs,
    expired: Option<Pairs>,
    revoked: Option<Pairs>,
    untrusted: Option<Pairs>,
    unknown: Option<Pairs>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Intermediary {
    cipher: PathBuf,
    signature: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecipientAddress {
    listen: SocketAddr,
    url: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pairs {
    cipher: Pair,
    signature: Pair,
}

/// PEM; the key unencrypted: these are keys for tests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

impl Profile {
    fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| {
            Failure::new(Kind::Configuration, format!("cannot read {}", file.display())).remedy("check path and rights")
        })?;
        toml::from_str(&text).map_err(|error| {
            Failure::new(Kind::Configuration, format!("{}: {error}", file.display()))
                .remedy("config/conformance.toml explains every key")
                .into()
        })
    }

    fn setup(self, url: &str, base: &Path) -> Result<Setup> {
        let pair = |pair: &Pair| keys::pem_files(&base.join(&pair.certificate), &base.join(&pair.key));
        let party = |pairs: &Pairs| -> Result<Party> {
            Ok(Party { cipher: pair(&pairs.cipher)?, signature: pair(&pairs.signature)? })
        };
        let optional = |pairs: &Option<Pairs>| pairs.as_ref().map(party).transpose();
        let signature = self.intermediary.signature.as_ref().map(|file| keys::certificate(&base.join(file)));
        Ok(Setup {
            url: url.to_owned(),
            demanding_url: self.demanding_url,
            intermediary_cipher: keys::certificate(&base.join(&self.intermediary.cipher))?,
            intermediary_signature: signature.transpose()?,
            client: party(&self.client)?,
            addressee: party(&self.addressee)?,
            expired: optional(&self.expired)?,
            revoked: optional(&self.revoked)?,
            untrusted: optional(&self.untrusted)?,
            unknown: optional(&self.unknown)?,
            recipient: self.recipient.map(|recipient| recipient.url),
            refused_subject_bytes: self.refused_subject_bytes,
            chunk_kib: self.chunk_kib,
        })
    }
}
