//! What an operator can choose.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rohrpost_pipeline::spool::SpoolDir;

/// The gateway's configuration. Every field has a usable default except the listeners and the spools.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen. At least one must serve orders.
    pub listeners: Vec<Listener>,
    /// The path of OSCI requests, starting with a slash. Compared exactly. Default `/osci`.
    pub path: String,
    /// Where request bodies wait. Their size limit is [`Limits::body_bytes`], whatever this says.
    pub spools: SpoolDir,
    /// How much of everything.
    pub limits: Limits,
    /// How long everything may take.
    pub timeouts: Timeouts,
}

impl Config {
    /// Default path, limits and timeouts; no listener yet.
    pub fn new(spools: SpoolDir) -> Self {
        Self {
            listeners: Vec::new(),
            path: "/osci".to_owned(),
            spools,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
        }
    }

    /// Adds a listener.
    #[must_use]
    pub fn with_listener(mut self, listener: Listener) -> Self {
        self.listeners.push(listener);
        self
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        let timeouts = &self.timeouts;
        let zero = [
            ("limits.connections", limits.connections == 0),
            ("limits.connections_per_peer", limits.connections_per_peer == 0),
            ("limits.concurrent_orders", limits.concurrent_orders == 0),
            ("limits.headers", limits.headers == 0),
            ("timeouts.header", timeouts.header.is_zero()),
            ("timeouts.body_idle", timeouts.body_idle.is_zero()),
            ("timeouts.body_total", timeouts.body_total.is_zero()),
            ("timeouts.turn", timeouts.turn.is_zero()),
            ("timeouts.write", timeouts.write.is_zero()),
            ("timeouts.keep_alive", timeouts.keep_alive.is_zero()),
        ];
        if let Some((field, _)) = zero.iter().find(|(_, is_zero)| *is_zero) {
            return Err(ConfigError::Zero { field });
        }
        if !(MIN_HEADER_BYTES..=MAX_HEADER_BYTES).contains(&limits.header_bytes) {
            return Err(ConfigError::HeaderBytes(limits.header_bytes));
        }
        if !self.path.starts_with('/') || RESERVED_PATHS.contains(&self.path.as_str()) {
            return Err(ConfigError::Path(self.path.clone()));
        }
        if !self.listeners.iter().any(|listener| listener.role == Role::Orders) {
            return Err(ConfigError::NoListener);
        }
        Ok(())
    }
}

const MIN_HEADER_BYTES: usize = 1024;
const MAX_HEADER_BYTES: usize = 1024 * 1024;
const RESERVED_PATHS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// A contradiction in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A limit or timeout of zero would refuse everything.
    #[error("{field} is 0, so nothing could ever be served")]
    Zero {
        /// The field.
        field: &'static str,
    },
    /// The header limit is useless or dangerous.
    #[error("limits.header_bytes is {0}: give a value from 1024 to 1048576")]
    HeaderBytes(usize),
    /// The path cannot be served.
    #[error("path is {0:?}: it must start with a slash and differ from /healthz, /readyz and /metrics")]
    Path(String),
    /// Nobody could send an order.
    #[error("no listener serves orders: add one with the role `orders`")]
    NoListener,
}

/// One address to listen on.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Address and port; port 0 lets the operating system choose.
    pub address: SocketAddr,
    /// HTTPS with these keys, or plain HTTP.
    pub tls: Option<Tls>,
    /// What is served there.
    pub role: Role,
}

impl Listener {
    /// Orders over plain HTTP. OSCI has its own encryption; still, TLS hides who talks to whom.
    pub fn http(address: SocketAddr) -> Self {
        Self { address, tls: None, role: Role::Orders }
    }

    /// Orders over HTTPS.
    pub fn https(address: SocketAddr, tls: Tls) -> Self {
        Self { tls: Some(tls), ..Self::http(address) }
    }

    /// Health and metrics over plain HTTP.
    pub fn management(address: SocketAddr) -> Self {
        Self { role: Role::Management, ..Self::http(address) }
    }
}

/// What a listener serves.
///
/// Management has its own listener because metrics tell how much traffic an authority has, which is nobody
/// else's business, and because it must answer just when the other listeners are full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// OSCI requests; also `/healthz` and `/readyz` (status and one word) for load balancers.
    Orders,
    /// `/healthz`, `/readyz` with reasons, `/metrics`. Has its own connection limit.
    Management,
}

/// Keys and certificates of an HTTPS listener. Files are PEM, read at start and by
/// [`Running::reload_certificates`](crate::Running::reload_certificates).
#[derive(Debug, Clone)]
pub struct Tls {
    /// The server's certificate, followed by those of its issuers.
    pub certificates: PathBuf,
    /// The server's private key: PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub key: PathBuf,
    /// Whether clients must show a certificate.
    pub clients: ClientCertificates,
}

/// What is asked of clients during the TLS handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Nothing.
    Ignored,
    /// A certificate is welcome; if there is one, an authority of this file must have issued it.
    Optional(PathBuf),
    /// No connection without a certificate issued by an authority of this file.
    Required(PathBuf),
}

/// Upper bounds. What goes beyond is refused with an explanation, never truncated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of request line and headers together, from 1 KiB to 1 MiB. Beyond: 431. Default 32 KiB.
    pub header_bytes: usize,
    /// Number of headers. Beyond: 431. Default 100.
    pub headers: usize,
    /// Bytes of a request body. Beyond: 413. Default 1.5 GiB, which carries a 1 GiB attachment in base64.
    pub body_bytes: u64,
    /// Bytes of all request bodies that are being received or worked on; and, counted apart, of all answers on disk that
    /// clients have not read yet. Beyond: 503. Default 16 GiB.
    pub spooled_bytes: u64,
    /// Bytes per second that a request body must bring on average, after [`Timeouts::body_idle`] at the start.
    /// Below: 408. 0 asks for nothing. Default 1024.
    pub body_bytes_per_second: u64,
    /// Connections of all listeners for orders together. Beyond: 503 or, over TLS, closed. Default 1000.
    pub connections: usize,
    /// Connections of one IPv4 address or IPv6 /64 network, of all listeners for orders together. Beyond: as for
    /// [`connections`](Self::connections). Behind a proxy, which is one address for all, give as many. Default 250.
    pub connections_per_peer: usize,
    /// Orders being worked on at a time. Each has a thread, part of whose time is waiting for the disk;
    /// orders that wait together share one flush, so this is larger than the number of cores. Default 32.
    pub concurrent_orders: usize,
    /// Complete requests waiting for their turn. Beyond: 503, unless another line is longer, which then loses its last place.
    /// Default 512.
    pub waiting_orders: usize,
    /// Complete requests of one client waiting for their turn. A client is the originator proven by the last order of a
    /// connection; before that a TLS certificate or an address. Beyond: 503. Default 256.
    pub waiting_orders_per_client: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 32 * 1024,
            headers: 100,
            body_bytes: 3 * 512 * 1024 * 1024,
            spooled_bytes: 16 * 1024 * 1024 * 1024,
            body_bytes_per_second: 1024,
            connections: 1000,
            connections_per_peer: 250,
            concurrent_orders: 32,
            waiting_orders: 512,
            waiting_orders_per_client: 256,
        }
    }
}

/// Deadlines. Every wait for somebody else has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a request to the end of its headers, and for the TLS handshake.
    /// Beyond: 408. Default 15 s.
    pub header: Duration,
    /// Between two pieces of a request body. Beyond: 408. Default 30 s.
    pub body_idle: Duration,
    /// For the whole request body. Beyond: 408. Default 30 min.
    pub body_total: Duration,
    /// Waiting for the turn of a complete request. Who would wait longer, as things look, hears 503 at once. If more comes in than
    /// can be done for longer than that, a tenth of it, so that those who are let in are served soon. Default 5 s.
    pub turn: Duration,
    /// Without the client taking a byte of its answer. Beyond: closed. Default 30 s.
    pub write: Duration,
    /// Without a request on an open connection. Beyond: closed. Default 60 s.
    pub keep_alive: Duration,
    /// How long the rest of a refused body is read and thrown away, so that the client sees why it was
    /// refused instead of a broken connection. Default 5 s.
    pub linger: Duration,
    /// What `Retry-After` says on 503. Rounded up to seconds. Default 5 s.
    pub retry_after: Duration,
    /// At shutdown: how long to go on accepting while `/readyz` already says no, so that load balancers
    /// notice. Default 0.
    pub drain_notice: Duration,
    /// At shutdown: how long accepted requests may take to finish. Default 30 s.
    pub shutdown: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(15),
            body_idle: Duration::from_secs(30),
            body_total: Duration::from_secs(30 * 60),
            turn: Duration::from_secs(5),
            write: Duration::from_secs(30),
            keep_alive: Duration::from_secs(60),
            linger: Duration::from_secs(5),
            retry_after: Duration::from_secs(5),
            drain_notice: Duration::ZERO,
            shutdown: Duration::from_secs(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new(SpoolDir::new("/nonexistent")).with_listener(Listener::http(([127, 0, 0, 1], 0).into()))
    }

    #[test]
    fn defaults_are_consistent() {
        assert_eq!(config().check(), Ok(()));
    }

    #[test]
    fn contradictions_name_the_field() {
        type Change = fn(&mut Config);
        let cases: [(Change, ConfigError); 7] = [
            (|c| c.limits.connections = 0, ConfigError::Zero { field: "limits.connections" }),
            (|c| c.limits.concurrent_orders = 0, ConfigError::Zero { field: "limits.concurrent_orders" }),
            (|c| c.timeouts.body_idle = Duration::ZERO, ConfigError::Zero { field: "timeouts.body_idle" }),
            (|c| c.limits.header_bytes = 10, ConfigError::HeaderBytes(10)),
            (|c| c.path = "osci".into(), ConfigError::Path("osci".into())),
            (|c| c.path = "/metrics".into(), ConfigError::Path("/metrics".into())),
            (|c| c.listeners[0].role = Role::Management, ConfigError::NoListener),
        ];
        for (change, expected) in cases {
            let mut changed = config();
            change(&mut changed);
            assert_eq!(changed.check(), Err(expected));
        }
    }
}
