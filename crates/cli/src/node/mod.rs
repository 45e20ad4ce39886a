//! A running intermediary: store, orders and gateway wired together, with the jobs that run beside them. Used by `serve` and
//! by `demo`.

mod adapter;
mod jobs;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rohrpost_audit::{LogSigner, LogVerifier};
use rohrpost_crypto::SystemRandom;
use rohrpost_crypto::ed25519::SigningKey;
use rohrpost_crypto::policy::Policy;
use rohrpost_gateway::{Gateway, Handler, Readiness, Running, Shutdown};
use rohrpost_intermediary::{Admission, Courier, Intermediary, Parts, TokenAuthority};
use rohrpost_pipeline::gate::Gate;
use rohrpost_pki::Inspector;
use rohrpost_store::{Recovery, SqliteOptions, SqliteStore, Store};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tracing::{error, info};

pub(crate) use self::adapter::UNDECRYPTABLE;
use self::adapter::{Adapter, Turns, expiries};
use crate::config::Config;
use crate::courier::{Carriage, HttpCourier};
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
    intermediary: Arc<Intermediary>,
    path: String,
    tls: Vec<bool>,
    jobs: JoinSet<()>,
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
            courier: courier(config.carriage.as_ref())?,
            timestamps: config.timestamps.as_ref().map(|service| service.over_http(Handle::current())),
            random: Arc::new(SystemRandom),
        };
        let intermediary = Arc::new(Intermediary::new(parts, config.settings));
        intermediary.admit(config.admission);
        let path = config.gateway.path.clone();
        let tls = config.gateway.listeners.iter().map(|listener| listener.tls.is_some()).collect();
        let adapter = Arc::new(Adapter { intermediary: Arc::clone(&intermediary), gate, spools, certificates });
        let gateway = Gateway::new(config.gateway, Arc::clone(&adapter) as Arc<dyn Handler>)
            .with_readiness(Arc::clone(&adapter) as Arc<dyn Readiness>)
            .with_figures(adapter)
            .start()
            .await
            .with_context(|| Failure::new(Kind::Configuration, "the gateway cannot start"))?;
        let pause = config.timestamps.map(|service| service.pause);
        let jobs = jobs::start(&intermediary, config.retention, config.retention_interval, pause);
        Ok(Self { gateway, intermediary, path, tls, jobs })
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

    /// Reads the TLS files again, and who is served at the moment.
    pub(crate) fn reload(&self, admission: Result<Admission>) {
        match admission {
            Ok(admission) => {
                info!(mode = ?admission.mode, blocked = admission.blocked.len(), "mailboxes were read again");
                self.intermediary.admit(admission);
            }
            Err(error) => {
                error!(error = format!("{error:#}"), "mailboxes cannot be read again; the old ones stay in use")
            }
        }
        match self.gateway.reload_certificates() {
            Ok(()) => info!("TLS certificates were read again"),
            Err(error) => error!(%error, "TLS certificates cannot be read again; the old ones stay in use"),
        }
    }

    /// Finishes accepted orders and ends.
    pub(crate) async fn stop(mut self) -> Shutdown {
        self.jobs.abort_all();
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

/// The way to passive recipients, if there are any.
fn courier(carriage: Option<&Carriage>) -> Result<Option<Arc<dyn Courier>>> {
    let Some(carriage) = carriage else { return Ok(None) };
    let courier = HttpCourier::new(carriage, Handle::current()).with_context(|| {
        Failure::new(Kind::Configuration, "forwarding.authorities: the certificates cannot be used for TLS")
    })?;
    Ok(Some(Arc::new(courier)))
}
