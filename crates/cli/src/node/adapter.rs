//! What the gateway sees of the intermediary: orders, turns at the processor, readiness and figures.

use std::sync::Arc;

use rohrpost_gateway::{
    Figure, FigureValue, Figures, Handler, NotReady, OrderResult, Originator, Outcome, Promptness, Readiness, Reply,
    RequestContext,
};
use rohrpost_intermediary::{self as intermediary, Context, Intermediary};
use rohrpost_pipeline::gate::{Gate, GateFigures, Sleeper, TURN_BYTES, Waits};
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_pki::Certificate;
use rohrpost_store::{Wait, Waiting};
use tokio::task::spawn_blocking;

use crate::config::{Config, keys};

/// The fault for every message that cannot be decrypted, for whatever reason (OSCI-Transport 1.2, feedback codes).
pub(crate) const UNDECRYPTABLE: u16 = 9202;

/// What the gateway sees of the intermediary.
pub(super) struct Adapter {
    pub(super) intermediary: Arc<Intermediary>,
    pub(super) gate: Arc<Gate>,
    pub(super) spools: SpoolDir,
    /// Name, help and value of figures about our certificates.
    pub(super) certificates: Vec<(&'static str, &'static str, f64)>,
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
pub(super) struct Turns(pub(super) Arc<Gate>);

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
            gauge("forwarding_running", "Orders waiting for passive recipients", counts.forwarding),
            gauge("forwarding_limit", "Orders that may wait for passive recipients", counts.max_forwarding),
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
                gauge("deliveries_outbound", "Deliveries on their way to passive recipients", stats.outbound),
                gauge("wanted_stamps", "Time stamps that process cards wait for", stats.wanted_stamps),
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
pub(super) fn expiries(config: &Config) -> Vec<(&'static str, &'static str, f64)> {
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
