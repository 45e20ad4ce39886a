//! A running intermediary: store, orders and gateway wired together, with the jobs that run beside them. Used by `serve` and
//! by `demo`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rohrpost_audit::{LogSigner, LogVerifier};
use rohrpost_crypto::SystemRandom;
use rohrpost_crypto::ed25519::SigningKey;
use rohrpost_crypto::policy::Policy;
use rohrpost_gateway::clock::{Clock as _, SystemClock};
use rohrpost_gateway::{
    Figure, FigureValue, Figures, Gateway, Handler, NotReady, OrderResult, Originator, Outcome, Promptness, Readiness,
    Reply, RequestContext, Running, Shutdown,
};
use rohrpost_intermediary::{self as intermediary, Context, Intermediary, Parts, TokenAuthority};
use rohrpost_pipeline::gate::{Gate, GateFigures, Sleeper, TURN_BYTES, Waits};
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_pki::{Certificate, Inspector};
use rohrpost_store::{Recovery, Retention, SqliteOptions, SqliteStore, Store, Wait, Waiting};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use crate::config::{Config, keys};
use crate::failure::{Failure, Kind};
use crate::secrets::{private_folder, secret, secret_or_new};

/// Name of the log in checkpoints (C2SP signed note).
const LOG_NAME: &str = "rohrpost";

/// Files of secrets in the data directory.
pub(crate) const LOG_KEY: &str = "audit-signing.key";
pub(crate) const MESSAGE_ID_KEY: &str = "message-id.key";

/// A running intermediary.
pub(crate) struct Node {
    gateway: Running,
    path: String,
    tls: Vec<bool>,
    jobs: tokio::task::JoinHandle<()>,
}

impl Node {
    /// Opens the store, recovers what a crash left, and listens.
    pub(crate) async fn start(config: Config) -> Result<Self> {
        let gate = Arc::new(Gate::new(config.processor_turns));
        let store = open_store(&config.data_directory, &gate)?;
        let (spools, certificates) = (config.gateway.spools.clone(), expiries(&config));
        let secret = secret_or_new(&config.data_directory.join(MESSAGE_ID_KEY))?;
        let mut inspector =
            Inspector::new(config.anchors, Policy::clone(&config.policy)).with_intermediates(config.intermediates);
        if let Some(revocation) = &config.revocation {
            inspector = inspector.with_revocation(revocation.checker(Handle::current()));
        }
        let parts = Parts {
            keys: config.keys.behind(&gate),
            message_ids: Arc::new(TokenAuthority::new(*secret, config.message_id_lifetime)),
            store,
            inspector: Arc::new(inspector),
            policy: config.policy,
            spools: config.gateway.spools.clone(),
            courier: None,
            random: Arc::new(SystemRandom),
        };
        let intermediary = Arc::new(Intermediary::new(parts, config.settings));
        let path = config.gateway.path.clone();
        let tls = config.gateway.listeners.iter().map(|listener| listener.tls.is_some()).collect();
        let adapter = Arc::new(Adapter { intermediary: Arc::clone(&intermediary), gate, spools, certificates });
        let gateway = Gateway::new(config.gateway, Arc::clone(&adapter) as Arc<dyn Handler>)
            .with_readiness(Arc::clone(&adapter) as Arc<dyn Readiness>)
            .with_figures(adapter)
            .start()
            .await
            .with_context(|| Failure::new(Kind::Configuration, "the gateway cannot start"))?;
        let jobs = tokio::spawn(run_jobs(intermediary, config.retention, config.retention_interval));
        Ok(Self { gateway, path, tls, jobs })
    }

    /// Addresses of the OSCI endpoints.
    pub(crate) fn osci_urls(&self) -> Vec<String> {
        let addresses = self.gateway.addresses().iter().zip(&self.tls);
        let all = addresses.map(|(address, tls)| {
            let scheme = if *tls { "https" } else { "http" };
            format!("{scheme}://{address}{}", self.path)
        });
        all.take(self.tls.len() - 1).collect()
    }

    /// Base address of health and metrics: the last listener.
    pub(crate) fn management_url(&self) -> String {
        self.gateway.addresses().last().map(|address| format!("http://{address}")).unwrap_or_default()
    }

    /// Reads the TLS files again.
    pub(crate) fn reload_certificates(&self) {
        match self.gateway.reload_certificates() {
            Ok(()) => info!("TLS certificates were read again"),
            Err(error) => error!(%error, "TLS certificates cannot be read again; the old ones stay in use"),
        }
    }

    /// Finishes accepted orders and ends.
    pub(crate) async fn stop(self) -> Shutdown {
        self.jobs.abort();
        self.gateway.shutdown().await
    }
}

/// Opens the store of a data directory with its log key; both are made at first use.
fn open_store(directory: &Path, gate: &Arc<Gate>) -> Result<Arc<dyn Store>> {
    private_folder(directory)?;
    // A log goes on with the key it was begun with or not at all, so a lost one is not replaced.
    let key = match SqliteStore::is_in(directory) {
        true => signing_key(directory)?,
        false => SigningKey::from_seed(&*secret_or_new(&directory.join(LOG_KEY))?),
    };
    let signer = LogSigner::new(LOG_NAME, key)?;
    let store = SqliteStore::open(directory, signer, SqliteOptions::default())
        .with_context(|| Failure::new(Kind::Other, format!("cannot open the store in {}", directory.display())))?;
    tell(store.recovery());
    Ok(Arc::new(store.with_waiting(Arc::new(Turns(Arc::clone(gate))))))
}

/// What the last end of the process left behind.
fn tell(recovery: &Recovery) {
    if recovery.orphans > 0 {
        info!(files = recovery.orphans, "removed the bodies of deliveries that nobody was told to be stored");
    }
    for file in &recovery.missing {
        error!(file, "a stored body is missing: restore this file below bodies/ from a backup");
    }
}

/// The key that signs the checkpoints of an existing log.
fn signing_key(directory: &Path) -> Result<SigningKey> {
    let seed = secret(&directory.join(LOG_KEY)).with_context(|| {
        Failure::new(Kind::Configuration, format!("the key of the log in {} cannot be read", directory.display()))
            .remedy("restore audit-signing.key from a backup: only with it can this log be continued")
    })?;
    Ok(SigningKey::from_seed(&seed))
}

/// The public half of the key that signs the checkpoints of an existing log.
pub(crate) fn log_verifier(directory: &Path) -> Result<LogVerifier> {
    Ok(LogVerifier::new(LOG_NAME, signing_key(directory)?.verifying_key())?)
}

/// Retention and forgotten dialogs, beside the orders.
async fn run_jobs(intermediary: Arc<Intermediary>, retention: Retention, interval: Duration) {
    let mut minute = tokio::time::interval(Duration::from_secs(60).min(interval));
    let mut next_retention = tokio::time::Instant::now();
    loop {
        minute.tick().await;
        let now = SystemClock.now();
        intermediary.expire_dialogs(now);
        if tokio::time::Instant::now() < next_retention {
            continue;
        }
        next_retention = tokio::time::Instant::now() + interval;
        let store = Arc::clone(intermediary.store());
        match spawn_blocking(move || store.retention(now, &retention)).await {
            Ok(Ok(report)) => {
                info!(bodies = report.bodies, expired = report.expired, cards = report.cards, "cleaned up")
            }
            Ok(Err(error)) => error!(%error, "the clean-up failed"),
            Err(error) => warn!(%error, "the clean-up was interrupted"),
        }
    }
}

/// The fault for every message that cannot be decrypted, for whatever reason (OSCI-Transport 1.2, feedback codes).
pub(crate) const UNDECRYPTABLE: u16 = 9202;

/// What the gateway sees of the intermediary.
struct Adapter {
    intermediary: Arc<Intermediary>,
    gate: Arc<Gate>,
    spools: SpoolDir,
    certificates: Vec<(&'static str, &'static str, f64)>,
}

impl Handler for Adapter {
    fn handle(&self, request: Spool, context: &RequestContext) -> Reply {
        let context = Context { now: context.now, correlation_id: context.correlation_id.to_string() };
        let handled = self.intermediary.handle(request, &context);
        let result = match handled.outcome {
            intermediary::Outcome::Executed => OrderResult::Accepted,
            intermediary::Outcome::Refused => OrderResult::Refused,
            intermediary::Outcome::Fault => OrderResult::Fault,
        };
        let promptness = match handled.codes[..] {
            [UNDECRYPTABLE] => Promptness::Even,
            _ => Promptness::Prompt,
        };
        let originator = handled.originator.map(|fingerprint| Originator::new(*fingerprint.as_bytes()));
        Reply {
            body: handled.answer,
            outcome: Outcome { order: handled.order, result, codes: handled.codes },
            originator,
            promptness,
        }
    }

    fn run(&self, request_bytes: u64, order: Box<dyn FnOnce() + Send>) {
        match request_bytes <= TURN_BYTES {
            true => self.gate.start(order),
            false => drop(spawn_blocking(order)),
        }
    }
}

/// Lets others have the turn of an order that waits for the disk.
struct Turns(Arc<Gate>);

struct Asleep(Arc<Sleeper>);

impl Waiting for Turns {
    fn begin(&self) -> Arc<dyn Wait> {
        Arc::new(Asleep(self.0.sleeper()))
    }
}

impl Wait for Asleep {
    fn sleep(&self) {
        self.0.sleep();
    }

    fn wake(&self) {
        self.0.wake();
    }
}

impl Readiness for Adapter {
    fn ready(&self) -> Result<(), NotReady> {
        self.intermediary.store().stats().map(|_| ()).map_err(|error| NotReady(error.to_string()))
    }
}

impl Figures for Adapter {
    fn figures(&self) -> Vec<Figure> {
        let counts = self.intermediary.counts();
        let counter = |name, help, value| Figure { name, help, value: FigureValue::Counter(value) };
        #[expect(clippy::cast_precision_loss, reason = "gauges are floats; counts stay far below 2^52")]
        let gauge = |name, help, value: u64| Figure { name, help, value: FigureValue::Gauge(value as f64) };
        let mut figures = vec![
            counter("private_key_decryptions", "Session keys unwrapped with a private key", counts.decryptions),
            counter("private_key_signatures", "Answers signed with a private key", counts.signatures),
            gauge("open_dialogs", "Explicit dialogs that are open", counts.open_dialogs),
            gauge("open_dialogs_limit", "Explicit dialogs kept at most", counts.max_dialogs),
            gauge("disk_reserve_bytes", "Bytes of the disk that deliveries must leave free", self.spools.reserve()),
        ];
        if let Ok(free) = self.spools.free() {
            figures.push(gauge("disk_free_bytes", "Bytes free on the disk of the store", free));
        }
        figures.extend(self.certificates.iter().map(|(name, help, expiry)| Figure {
            name,
            help,
            value: FigureValue::Gauge(*expiry),
        }));
        figures.extend(gate_figures(self.gate.figures()));
        if let Ok(stats) = self.intermediary.store().stats() {
            figures.extend([
                gauge("deliveries_waiting", "Deliveries not yet received", stats.waiting),
                gauge("deliveries_waiting_bytes", "Bytes of deliveries not yet received", stats.waiting_bytes),
                gauge("log_entries", "Entries in the message log", stats.log_size),
                counter("store_changes", "Changes made durable", stats.changes),
                counter("store_commits", "Transactions that took", stats.commits),
                gauge("store_waiting", "Changes waiting to be made durable", stats.waiting_changes),
                gauge("store_waiting_limit", "Changes that may wait", stats.max_waiting_changes),
            ]);
        }
        figures
    }
}

/// When our certificates end, in seconds since 1970.
#[expect(clippy::cast_precision_loss, reason = "seconds stay far below 2^52")]
fn expiries(config: &Config) -> Vec<(&'static str, &'static str, f64)> {
    let end = |certificate: &Certificate| certificate.not_after().unix_timestamp() as f64;
    let cipher = config.keys.current_cipher().map(|pair| end(&pair.certificate));
    let signature = config.keys.signature().map(|pair| end(&pair.certificate));
    let tls = config.gateway.listeners.iter().find_map(|listener| listener.tls.as_ref());
    let tls = tls.and_then(|tls| Some(end(keys::certificates(&tls.certificates).ok()?.first()?)));
    let all = [
        ("cipher_certificate_expiry_seconds", "End of the cipher certificate, in seconds since 1970", cipher),
        ("signature_certificate_expiry_seconds", "End of the signature certificate, in seconds since 1970", signature),
        ("tls_certificate_expiry_seconds", "End of the TLS certificate as of the start, in seconds since 1970", tls),
    ];
    all.into_iter().filter_map(|(name, help, expiry)| Some((name, help, expiry?))).collect()
}

/// The queue for turns at the processor.
#[expect(clippy::cast_precision_loss, reason = "gauges are floats; queues are short")]
fn gate_figures(GateFigures { turns, busy, waiting, waits, .. }: GateFigures) -> [Figure; 4] {
    let gauge = |name, help, value: usize| Figure { name, help, value: FigureValue::Gauge(value as f64) };
    let bounds = Waits::BOUNDS.iter().map(|micros| f64::from(*micros) / 1e6).chain([f64::INFINITY]);
    let buckets = bounds.zip(waits.counts).collect();
    [
        gauge("processor_limit", "Turns at the processor at a time", turns),
        gauge("processor_running", "Turns at the processor going on", busy),
        gauge("processor_waiting", "Orders and private-key operations waiting for a turn at the processor", waiting),
        Figure {
            name: "processor_wait_seconds",
            help: "Time waited for a turn at the processor",
            value: FigureValue::Histogram { buckets, sum: waits.total.as_secs_f64() },
        },
    ]
}
