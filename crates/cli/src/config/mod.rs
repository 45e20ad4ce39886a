//! The configuration: what was written ([`mod@raw`]), layer upon layer ([`layers`]), becomes what it means ([`Config`]):
//! validated, typed, every file it names read. Nothing behind this module sees raw input.

mod chunks;
mod examine;
mod forwarding;
pub(crate) mod keys;
mod layers;
mod mailboxes;
mod own_key;
mod raw;
mod revocation;
pub(crate) mod timestamps;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rohrpost_crypto::SignatureAlgorithm;
use rohrpost_crypto::policy::Policy;
use rohrpost_gateway::config::{self as gateway, ClientCertificates, Listener, Tls};
use rohrpost_intermediary::{Admission, Settings, SignatureDemand};
use rohrpost_osci::feedback::Language;
use rohrpost_osci::ns::MessageType;
use rohrpost_pipeline::keyring::{CipherPair, KeyChange, KeyRing, SignaturePair};
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_pki::{Anchors, Certificate, KeyUsage};
use rohrpost_store::{MailboxLimits, Retention};
use tracing_subscriber::EnvFilter;

pub(crate) use examine::{Finding, examine};
pub(crate) use own_key::OwnKey;
pub(crate) use raw::DEFAULT;
pub(crate) use raw::{KeyFiles, RawConfig};
pub(crate) use revocation::Revocation;

use crate::args::ConfigArgs;
use crate::courier::Carriage;
use crate::failure::{Failure, Kind};

/// A configuration that can be worked with.
pub(crate) struct Config {
    pub(crate) data_directory: PathBuf,
    pub(crate) keys: KeyRing,
    pub(crate) anchors: Anchors,
    pub(crate) intermediates: Vec<Certificate>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) revocation: Option<Revocation>,
    /// Who stamps times, if anybody does.
    pub(crate) timestamps: Option<timestamps::Service>,
    pub(crate) settings: Settings,
    pub(crate) admission: Admission,
    /// How messages get to passive recipients, if there are any.
    pub(crate) carriage: Option<Carriage>,
    pub(crate) message_id_lifetime: time::Duration,
    pub(crate) retention: Retention,
    pub(crate) retention_interval: Duration,
    pub(crate) gateway: gateway::Config,
    pub(crate) processor_turns: NonZeroUsize,
    pub(crate) log_json: bool,
    pub(crate) log_level: String,
}

/// Reads file, environment and overrides, and everything they name.
pub(crate) fn load(args: &ConfigArgs) -> Result<Config> {
    let raw = raw(args)?;
    let base = base(args);
    Config::check(&raw, &base).map_err(|error| match error.downcast_ref::<Failure>() {
        Some(_) => error,
        None => error.context(Failure::new(Kind::Configuration, "the configuration cannot be used")),
    })
}

/// Only what may change while the server runs.
pub(crate) fn admission(args: &ConfigArgs) -> Result<Admission> {
    mailboxes::admission(&raw(args)?, &base(args))
}

/// Only the data directory: for commands that must work without the private keys.
pub(crate) fn data_directory(args: &ConfigArgs) -> Result<PathBuf> {
    Ok(base(args).join(raw(args)?.storage.directory))
}

pub(crate) fn raw(args: &ConfigArgs) -> Result<RawConfig> {
    layers::load(args.config.as_deref(), std::env::vars(), &args.sets).map_err(|error| {
        let failure = Failure::new(Kind::Configuration, error.to_string())
            .remedy("compare with `rohrpost config print-default`, which explains every key");
        error.context(failure)
    })
}

/// Where relative paths start.
pub(crate) fn base(args: &ConfigArgs) -> PathBuf {
    args.config.as_deref().and_then(Path::parent).map(Path::to_owned).unwrap_or_default()
}

impl Config {
    fn check(raw: &RawConfig, base: &Path) -> Result<Self> {
        let days = |days: u32| (days > 0).then(|| time::Duration::days(i64::from(days)));
        let message_id_lifetime = time::Duration::days(i64::from(raw.orders.message_id_lifetime_days));
        Ok(Self {
            keys: keyring(raw, base)?,
            anchors: anchors(raw, base)?,
            intermediates: certificates("trust.intermediates", &raw.trust.intermediates, base)?,
            policy: Arc::new(policy(raw, base)?),
            revocation: Revocation::check(&raw.revocation)?,
            timestamps: timestamps::Service::check(&raw.timestamps, &policy(raw, base)?, base)?,
            settings: settings(raw)?,
            admission: mailboxes::admission(raw, base)?,
            carriage: forwarding::carriage(raw, base)?,
            retention: Retention {
                received_bodies: days(raw.retention.received_bodies_days),
                unreceived_bodies: days(raw.retention.unreceived_bodies_days),
                cards: days(raw.retention.cards_days),
                unused_ids: Some(message_id_lifetime),
                unfinished: Some(chunks::timeout(&raw.chunks)),
            },
            retention_interval: Duration::from_secs(60 * u64::from(raw.retention.interval_minutes.max(1))),
            gateway: gateway_config(raw, base)?,
            processor_turns: processor_turns(raw),
            log_json: log_json(raw)?,
            log_level: raw.log.level.clone(),
            message_id_lifetime,
            data_directory: base.join(&raw.storage.directory),
        })
    }

    /// The weakening settings that are on.
    pub(crate) fn dangerous(&self) -> Vec<&'static str> {
        dangerous(&self.settings)
    }
}

fn dangerous(settings: &Settings) -> Vec<&'static str> {
    let mut on = Vec::new();
    if settings.dangerous_fetch_without_encryption {
        on.push("orders.dangerous_fetch_without_encryption");
    }
    if settings.tolerance.dangerous_clear_requests {
        on.push("orders.dangerous_clear_requests");
    }
    on
}

/// Which events are logged.
pub(crate) fn log_filter(level: &str) -> Result<EnvFilter> {
    EnvFilter::try_new(level)
        .map_err(|_| bad("log.level", level, "write a level, e.g. \"info\" or \"info,rohrpost_gateway=debug\""))
}

fn log_json(raw: &RawConfig) -> Result<bool> {
    match raw.log.format.as_str() {
        "json" => Ok(true),
        "text" => Ok(false),
        other => Err(bad("log.format", other, "write \"text\" or \"json\"")),
    }
}

fn keyring(raw: &RawConfig, base: &Path) -> Result<KeyRing> {
    let ciphers = [("keys.cipher", &raw.keys.cipher)]
        .into_iter()
        .chain(raw.keys.previous_ciphers.iter().map(|files| ("keys.previous_ciphers", files)))
        .map(|(name, files)| cipher(keys::key_pair(files, base, name)?, name))
        .collect::<Result<_>>()?;
    let name = "keys.signature";
    let mut ring = KeyRing::new(ciphers, Some(signature(keys::key_pair(&raw.keys.signature, base, name)?, name)?));
    let name = "keys.changes";
    for change in &raw.keys.changes {
        let cipher = change.cipher.as_ref().map(|files| cipher(keys::key_pair(files, base, name)?, name));
        let signature = change.signature.as_ref().map(|files| signature(keys::key_pair(files, base, name)?, name));
        ring = ring.with_change(KeyChange {
            from: beginning(&change.from)?,
            cipher: cipher.transpose()?,
            signature: signature.transpose()?,
        });
    }
    Ok(ring)
}

/// When a change of keys begins.
fn beginning(text: &str) -> Result<time::OffsetDateTime> {
    time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339)
        .map_err(|_| bad("keys.changes", text, "write `from` like \"2027-01-11T00:00:00Z\""))
}

/// Only the keys: for commands that look at them.
pub(crate) fn keys_of(args: &ConfigArgs) -> Result<KeyRing> {
    keyring(&raw(args)?, &base(args))
}

/// A key pair that opens messages.
pub(crate) fn cipher(entry: OwnKey, name: &str) -> Result<CipherPair> {
    let unfit =
        || Failure::new(Kind::Configuration, format!("{name}: the key cannot decrypt")).remedy("use an RSA key");
    let key = entry.decryptor().with_context(unfit)?;
    Ok(CipherPair { certificate: entry.certificate, key })
}

/// A key pair that signs messages: RSA with SHA-256, elliptic curves with the digest of their size.
pub(crate) fn signature(entry: OwnKey, name: &str) -> Result<SignaturePair> {
    if entry.certificate.key_usage().is_some_and(|usage: KeyUsage| !usage.allows_signature()) {
        return Err(Failure::new(Kind::Configuration, format!("{name}: the certificate does not allow signatures"))
            .remedy("use a certificate whose key usage has digitalSignature or nonRepudiation")
            .into());
    }
    let algorithm = match entry.kind()? {
        rohrpost_crypto::KeyKind::Rsa { .. } => SignatureAlgorithm::RsaSha256,
        rohrpost_crypto::KeyKind::Ec { curve } if curve.bits() > 256 => SignatureAlgorithm::EcdsaSha512,
        _ => SignatureAlgorithm::EcdsaSha256,
    };
    let unfit = || Failure::new(Kind::Configuration, format!("{name}: the key cannot sign"));
    let key = entry.signer(algorithm).with_context(unfit)?;
    Ok(SignaturePair { certificate: entry.certificate, key })
}

fn certificates(name: &str, files: &[PathBuf], base: &Path) -> Result<Vec<Certificate>> {
    let mut all = Vec::new();
    for file in files {
        all.extend(keys::certificates(&base.join(file)).map_err(|error| Failure::at_key(name, error))?);
    }
    Ok(all)
}

fn anchors(raw: &RawConfig, base: &Path) -> Result<Anchors> {
    let name = "trust.anchors";
    trusted(certificates(name, &raw.trust.anchors, base)?).map_err(|error| Failure::at_key(name, error))
}

/// Certificates at which trust begins.
pub(crate) fn trusted(certificates: Vec<Certificate>) -> Result<Anchors> {
    let mut anchors = Anchors::new();
    for certificate in certificates {
        anchors.add(certificate).map_err(|error| {
            let failure = Failure::new(Kind::Configuration, error.to_string());
            anyhow::Error::from(error).context(failure.remedy("give certificates of authorities"))
        })?;
    }
    Ok(anchors)
}

/// Only the policy: for commands that judge something by it.
pub(crate) fn policy(raw: &RawConfig, base: &Path) -> Result<Policy> {
    let Some(file) = &raw.trust.policy_file else { return Ok(Policy::standard()) };
    let file = base.join(file);
    let unusable = |what: &str| {
        Failure::new(Kind::Configuration, format!("trust.policy_file: {} {what}", file.display()))
            .remedy("leave the key out for the built-in policy")
    };
    let text = fs::read_to_string(&file).with_context(|| unusable("cannot be read"))?;
    Policy::from_toml(&text).with_context(|| unusable("is no policy"))
}

fn settings(raw: &RawConfig) -> Result<Settings> {
    let orders = &raw.orders;
    let mut settings = Settings {
        forwarding: forwarding::settings(&raw.forwarding),
        chunks: chunks::settings(&raw.chunks)?,
        timestamps: timestamps::settings(&raw.timestamps)?,
        signatures: signature_demand(&orders.require_signature)?,
        dialog_timeout: time::Duration::minutes(i64::from(orders.dialog_timeout_minutes)),
        max_dialogs: orders.max_dialogs,
        mailbox: MailboxLimits { deliveries: orders.max_deliveries_per_mailbox, bytes: orders.max_bytes_per_mailbox },
        max_cards_per_answer: orders.max_cards_per_answer as usize,
        dangerous_fetch_without_encryption: orders.dangerous_fetch_without_encryption,
        default_language: match orders.default_language.as_str() {
            "de" => Language::German,
            "en" => Language::English,
            other => return Err(bad("orders.default_language", other, "write \"de\" or \"en\"")),
        },
        ..Settings::default()
    };
    settings.tolerance.reused_control_block = orders.accept_repeated_request_object;
    if let Some(revocation) = Revocation::check(&raw.revocation)? {
        settings.unknown_revocation = revocation.unknown;
    }
    Ok(settings)
}

fn signature_demand(names: &[String]) -> Result<SignatureDemand> {
    if names.iter().any(|name| name == "all") {
        return Ok(SignatureDemand::All);
    }
    let mut known = BTreeSet::new();
    for name in names {
        let order = MessageType::ALL.into_iter().find(|order| order.name() == name);
        let order =
            order.ok_or_else(|| bad("orders.require_signature", name, "write the name of an order, or \"all\""))?;
        known.insert(order.name());
    }
    Ok(if known.is_empty() { SignatureDemand::None } else { SignatureDemand::Only(known) })
}

fn gateway_config(raw: &RawConfig, base: &Path) -> Result<gateway::Config> {
    let spools = SpoolDir::new(base.join(&raw.storage.directory).join("incoming"))
        .with_memory_threshold(raw.limits.spool_memory_bytes)
        .with_limit(raw.limits.message_bytes)
        .with_reserve(raw.storage.reserve_bytes);
    let mut config = gateway::Config::new(spools);
    for address in &raw.http.listen {
        config = config.with_listener(Listener::http(socket("http.listen", address)?));
    }
    if !raw.https.listen.is_empty() {
        let tls = tls(raw, base)?;
        for address in &raw.https.listen {
            config = config.with_listener(Listener::https(socket("https.listen", address)?, tls.clone()));
        }
    }
    config = config.with_listener(Listener::management(socket("management.listen", &raw.management.listen)?));
    config.path.clone_from(&raw.http.path);
    let limits = &mut config.limits;
    limits.body_bytes = raw.limits.message_bytes;
    limits.spooled_bytes = raw.limits.spooled_bytes;
    limits.header_bytes = raw.limits.header_bytes;
    limits.headers = raw.limits.headers;
    limits.connections = raw.limits.connections;
    limits.connections_per_peer = raw.limits.connections_per_peer;
    limits.concurrent_orders = raw.limits.concurrent_orders;
    limits.waiting_orders = raw.limits.waiting_orders;
    limits.waiting_orders_per_client = raw.limits.waiting_orders_per_client;
    let timeouts = &mut config.timeouts;
    timeouts.header = Duration::from_secs(raw.timeouts.header);
    timeouts.body_idle = Duration::from_secs(raw.timeouts.body_idle);
    timeouts.body_total = Duration::from_secs(raw.timeouts.body_total);
    timeouts.turn = Duration::from_secs(raw.timeouts.turn);
    timeouts.write = Duration::from_secs(raw.timeouts.write);
    timeouts.keep_alive = Duration::from_secs(raw.timeouts.keep_alive);
    timeouts.retry_after = Duration::from_secs(raw.timeouts.retry_after);
    timeouts.drain_notice = Duration::from_secs(raw.timeouts.drain_notice);
    timeouts.shutdown = Duration::from_secs(raw.timeouts.shutdown);
    Ok(config)
}

/// As many as configured, or as there are cores.
fn processor_turns(raw: &RawConfig) -> NonZeroUsize {
    NonZeroUsize::new(raw.limits.processor_turns)
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN)
}

fn tls(raw: &RawConfig, base: &Path) -> Result<Tls> {
    let https = &raw.https;
    let (Some(certificates), Some(key)) = (&https.certificate, &https.key) else {
        return Err(bad("https.certificate", "", "https.listen needs https.certificate and https.key"));
    };
    let authorities = || {
        let file = https.client_authorities.as_ref();
        file.map(|file| base.join(file))
            .ok_or_else(|| bad("https.client_authorities", "", "name the authorities that issue client certificates"))
    };
    let clients = match https.client_certificates.as_str() {
        "none" => ClientCertificates::Ignored,
        "optional" => ClientCertificates::Optional(authorities()?),
        "required" => ClientCertificates::Required(authorities()?),
        other => return Err(bad("https.client_certificates", other, "write \"none\", \"optional\" or \"required\"")),
    };
    Ok(Tls { certificates: base.join(certificates), key: base.join(key), clients })
}

fn socket(key: &str, text: &str) -> Result<SocketAddr> {
    text.parse().map_err(|_| bad(key, text, "write an IP address and a port, e.g. \"127.0.0.1:4080\""))
}

fn bad(key: &str, value: &str, remedy: &str) -> anyhow::Error {
    Failure::new(Kind::Configuration, format!("{key} cannot be {value:?}")).remedy(remedy).into()
}
