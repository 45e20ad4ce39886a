//! Starting and stopping the whole.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, warn};

use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigError, Role};
use crate::connection::Stage;
use crate::correlation::CorrelationIds;
use crate::handler::{Figures, Handler, Readiness};
use crate::listener::{Door, MANAGEMENT_CONNECTIONS};
use crate::metrics::Metrics;
use crate::peers::Peers;
use crate::pool::OrderPool;
use crate::receive::Space;
use crate::service::Shared;
use crate::tls::{TlsError, TlsKeys};

/// A gateway that is not started yet.
pub struct Gateway {
    config: Config,
    handler: Arc<dyn Handler>,
    readiness: Option<Arc<dyn Readiness>>,
    figures: Option<Arc<dyn Figures>>,
    clock: Arc<dyn Clock>,
    ids: CorrelationIds,
}

/// Why a gateway could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The keys of a listener cannot be used.
    #[error("listener {address}: {source}")]
    Tls {
        /// The listener's address.
        address: SocketAddr,
        /// What happened.
        source: TlsError,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}; another process may use the port, or it needs more rights")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What happened.
        source: io::Error,
    },
}

impl Gateway {
    /// A gateway that passes requests to `handler`, with the system's clock and without hooks.
    pub fn new(config: Config, handler: Arc<dyn Handler>) -> Self {
        Self {
            config,
            handler,
            readiness: None,
            figures: None,
            clock: Arc::new(SystemClock),
            ids: CorrelationIds::random(),
        }
    }

    /// Asks `readiness` whenever somebody asks `/readyz`.
    #[must_use]
    pub fn with_readiness(mut self, readiness: Arc<dyn Readiness>) -> Self {
        self.readiness = Some(readiness);
        self
    }

    /// Adds `figures` to `/metrics`.
    #[must_use]
    pub fn with_figures(mut self, figures: Arc<dyn Figures>) -> Self {
        self.figures = Some(figures);
        self
    }

    /// Takes the time from `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Takes correlation ids from `ids`.
    #[must_use]
    pub fn with_correlation_ids(mut self, ids: CorrelationIds) -> Self {
        self.ids = ids;
        self
    }

    /// Opens all listeners and serves them on the present tokio runtime, which needs its timer and network.
    ///
    /// # Errors
    /// When the configuration, a key or an address cannot be used. Nothing is left open then.
    pub async fn start(self) -> Result<Running, StartError> {
        self.config.check()?;
        let clock = Arc::clone(&self.clock);
        let shared = self.into_shared();
        let limits = shared.config.limits;
        let orders = Floor::new(limits.connections, limits.connections_per_peer);
        let management = Floor::new(MANAGEMENT_CONNECTIONS, MANAGEMENT_CONNECTIONS);
        let (mut doors, mut addresses, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for listener in &shared.config.listeners {
            let address = listener.address;
            let tls = match &listener.tls {
                Some(tls) => Some(TlsKeys::load(tls, &clock).map_err(|source| StartError::Tls { address, source })?),
                None => None,
            }
            .map(Arc::new);
            let bound = TcpListener::bind(address).await.map_err(|source| StartError::Bind { address, source })?;
            addresses.push(bound.local_addr().map_err(|source| StartError::Bind { address, source })?);
            keys.extend(tls.clone());
            let floor = if listener.role == Role::Orders { &orders } else { &management };
            doors.push(floor.door(bound, tls, listener.role, &shared));
        }
        for (door, address) in doors.into_iter().zip(&addresses) {
            info!(%address, tls = door.tls.is_some(), role = ?door.role, "listening");
            tokio::spawn(door.accept());
        }
        Ok(Running { addresses, keys, shared, orders, management })
    }

    fn into_shared(self) -> Arc<Shared> {
        let limits = self.config.limits;
        let mut metrics = Metrics::new(self.figures);
        metrics.limits(&limits);
        let metrics = Arc::new(metrics);
        Arc::new(Shared {
            pool: OrderPool::new(&limits, self.config.timeouts.turn, Arc::clone(&metrics)),
            space: Space::new(limits.spooled_bytes, metrics.spooled_bytes.clone()),
            answer_space: Space::new(limits.spooled_bytes, metrics.answer_bytes.clone()),
            config: Config { spools: self.config.spools.clone().with_limit(limits.body_bytes), ..self.config },
            handler: self.handler,
            readiness: self.readiness,
            clock: self.clock,
            ids: self.ids,
            metrics,
            handshakes: Semaphore::new(handshakes_at_once()),
            draining: AtomicBool::new(false),
            last_check: tokio::sync::Mutex::new(None),
        })
    }
}

/// Half of the threads that serve the network, so that the others go on however many new connections there are.
fn handshakes_at_once() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

/// A gateway at work. Dropping it closes everything at once; [`shutdown`](Self::shutdown) does it properly.
pub struct Running {
    addresses: Vec<SocketAddr>,
    keys: Vec<Arc<TlsKeys>>,
    shared: Arc<Shared>,
    orders: Floor,
    management: Floor,
}

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Everything that was accepted was also finished.
    Finished,
    /// The deadline passed first: connections were cut. Orders still running go on until the process ends; what they
    /// acknowledge is durable all the same.
    Cut,
}

impl Running {
    /// Where the gateway listens, in the order of [`Config::listeners`], with the ports the system chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Reads the TLS files of all listeners again, for new connections. Meant for SIGHUP.
    ///
    /// # Errors
    /// The first listener whose files cannot be used; it goes on with its old ones.
    pub fn reload_certificates(&self) -> Result<(), TlsError> {
        self.keys.iter().try_for_each(|keys| keys.reload())
    }

    /// Says no on `/readyz`, stops accepting after [`Timeouts::drain_notice`](crate::config::Timeouts::drain_notice),
    /// finishes what was accepted within [`Timeouts::shutdown`](crate::config::Timeouts::shutdown), then closes the
    /// rest.
    pub async fn shutdown(mut self) -> Shutdown {
        let timeouts = self.shared.config.timeouts;
        self.shared.draining.store(true, Ordering::Relaxed);
        sleep(timeouts.drain_notice).await;
        let deadline = Instant::now() + timeouts.shutdown;
        let connections_ended = self.orders.close(deadline).await;
        let orders_ended = timeout_at(deadline, self.shared.pool.idle()).await.is_ok();
        self.management.close(Instant::now()).await;
        if connections_ended && orders_ended {
            info!("shut down, everything accepted was finished");
            Shutdown::Finished
        } else {
            warn!(
                "shut down at the deadline, some requests were cut off: raise timeouts.shutdown if this happens often"
            );
            Shutdown::Cut
        }
    }
}

/// The connections of one role.
struct Floor {
    slots: Arc<Semaphore>,
    peers: Arc<Peers>,
    stage: watch::Sender<Stage>,
    alive: Option<mpsc::Sender<()>>,
    ended: mpsc::Receiver<()>,
}

impl Floor {
    fn new(connections: usize, connections_per_peer: usize) -> Self {
        let (alive, ended) = mpsc::channel(1);
        Self {
            slots: Arc::new(Semaphore::new(connections)),
            peers: Peers::new(connections_per_peer),
            stage: watch::Sender::new(Stage::Open),
            alive: Some(alive),
            ended,
        }
    }

    fn door(&self, listener: TcpListener, tls: Option<Arc<TlsKeys>>, role: Role, shared: &Arc<Shared>) -> Door {
        Door {
            listener,
            tls,
            role,
            slots: Arc::clone(&self.slots),
            peers: Arc::clone(&self.peers),
            shared: Arc::clone(shared),
            stage: self.stage.subscribe(),
            alive: self.alive.clone().expect("doors are made before the floor is closed"),
        }
    }

    /// Closes the doors, waits for the connections until `deadline`, cuts the rest. Says whether none was left.
    async fn close(&mut self, deadline: Instant) -> bool {
        self.alive = None;
        self.stage.send_replace(Stage::Closing);
        let finished = timeout_at(deadline, self.ended.recv()).await.is_ok();
        self.stage.send_replace(Stage::Closed);
        if !finished {
            self.ended.recv().await;
        }
        finished
    }
}
