//! `rohrpost serve`: wires store, intermediary and gateway, and runs until it is told to stop.

use std::io::IsTerminal as _;

use anyhow::Result;
use rohrpost_gateway::Shutdown;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::args::ConfigArgs;
use crate::config::{self, Config};
use crate::failure::{Failure, Kind};
use crate::node::Node;
use crate::output::Output;

/// Runs the intermediary.
pub(crate) fn run(args: &ConfigArgs, output: Output) -> Result<()> {
    let config = config::load(args)?;
    start_logging(&LogSettings::of(&config))?;
    for key in config.dangerous() {
        warn!(key, "a setting that weakens security is on");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(serve(config, args, output));
    // An attempt to reach a passive recipient may go on for minutes. It may end at any point and is made again.
    runtime.shutdown_background();
    served
}

async fn serve(config: Config, args: &ConfigArgs, output: Output) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut reload = signal(SignalKind::hangup())?;
    let node = Node::start(config).await?;
    let report = json!({ "osci": node.osci_urls(), "management": node.management_url() });
    output.result(&report, || {
        format!("OSCI at {}\nhealth and metrics at {}", node.osci_urls().join(", "), node.management_url())
    })?;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = reload.recv() => node.reload(config::admission(args)),
        }
    }
    info!("stopping; accepted orders are finished first");
    match node.stop().await {
        Shutdown::Finished => Ok(()),
        _ => Err(Failure::new(Kind::Other, "some orders did not finish in time")
            .cause("timeouts.shutdown passed")
            .remedy("nothing acknowledged was lost; clients will ask again")
            .into()),
    }
}

/// How to log, taken from a configuration that is used up elsewhere.
pub(super) struct LogSettings {
    json: bool,
    level: String,
}

impl LogSettings {
    pub(super) fn of(config: &Config) -> Self {
        Self::new(config.log_json, &config.log_level)
    }

    pub(super) fn new(json: bool, level: &str) -> Self {
        Self { json, level: level.to_owned() }
    }
}

/// Logs to standard error from now on.
pub(super) fn start_logging(settings: &LogSettings) -> Result<()> {
    let filter = config::log_filter(&settings.level)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = if settings.json { builder.json().try_init() } else { builder.try_init() };
    started.map_err(|error| anyhow::anyhow!("logging cannot be started: {error}"))
}
