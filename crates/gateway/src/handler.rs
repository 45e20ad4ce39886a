//! What the gateway needs from the rest of the product: somebody who turns a request into an answer, and
//! hooks for readiness and figures.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rohrpost_pipeline::spool::Spool;
use time::OffsetDateTime;
use tokio::task::spawn_blocking;

use crate::correlation::CorrelationId;
use crate::share::Originator;

/// Answers OSCI requests. Called on threads that may block, never more than
/// [`Limits::concurrent_orders`](crate::config::Limits::concurrent_orders) at a time.
///
/// A handler always has an answer: whatever goes wrong inside the protocol is a SOAP fault, and a SOAP fault
/// is an answer. A panic is caught, logged and answered with HTTP 500.
pub trait Handler: Send + Sync + 'static {
    /// Answers `request`, the HTTP body as it came. Runs to its end even when the client has gone.
    fn handle(&self, request: Spool, context: &RequestContext) -> Reply;

    /// Has `order`, which calls [`handle`](Self::handle) for a request of so many bytes, run on a thread that may block. Returns at
    /// once. If that cannot be, `order` is dropped, and the request answered with HTTP 500.
    fn run(&self, request_bytes: u64, order: Box<dyn FnOnce() + Send>) {
        let _ = request_bytes;
        spawn_blocking(order);
    }
}

/// The circumstances of a request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RequestContext {
    /// Who is at the other end of the TCP connection (possibly a proxy).
    pub peer: SocketAddr,
    /// Names the request in logs and answers.
    pub correlation_id: CorrelationId,
    /// The moment the order starts to be worked on.
    pub now: OffsetDateTime,
    /// Whether the request came over TLS that ends here.
    pub encrypted_connection: bool,
    /// The client's TLS certificate (DER), if it showed one. Checked against the listener's authorities.
    pub client_certificate: Option<Arc<[u8]>>,
}

impl RequestContext {
    /// A request over plain HTTP, without certificate.
    pub fn new(peer: SocketAddr, correlation_id: CorrelationId, now: OffsetDateTime) -> Self {
        Self { peer, correlation_id, now, encrypted_connection: false, client_certificate: None }
    }
}

/// The answer to a request.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP body: a whole MIME message, SOAP faults included. Sent with status 200.
    pub body: Spool,
    /// What happened, for the log and the metrics.
    pub outcome: Outcome,
    /// Whose order it was, if that was proven: whom further requests of the connection count for when turns are shared out.
    pub originator: Option<Originator>,
    /// When it is sent.
    pub promptness: Promptness,
}

/// When an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promptness {
    /// As soon as there is one.
    Prompt,
    /// After a time that follows from the size of the request and not from the work: how long that took is nobody's business. The
    /// answer to what cannot be decrypted would tell otherwise how far somebody got (OSCI-Transport 1.2 allows CBC, which authenticates
    /// nothing; how such messages are decrypted by their answers is known since Jager and Somorovsky, 2011).
    Even,
}

/// How much time a request may take at most, or whole multiples of it, before it is answered evenly: far more than it takes.
pub(crate) fn even(request_bytes: u64, took: Duration) -> Duration {
    let step = Duration::from_millis(250 + (request_bytes >> 20) * 40);
    let steps = took.as_nanos().div_ceil(step.as_nanos()).max(1);
    step * u32::try_from(steps).unwrap_or(u32::MAX)
}

/// What became of an order: the part of it that may be logged and counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The order's name, from a fixed set (it labels metrics): `StoreDelivery`, or `unreadable`.
    pub order: &'static str,
    /// How it ended.
    pub result: OrderResult,
    /// The feedback or fault codes of the answer, in its order.
    pub codes: Vec<u16>,
}

/// How an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderResult {
    /// It was carried out, perhaps with warnings.
    Accepted,
    /// It was understood and not carried out.
    Refused,
    /// It was answered with a SOAP fault.
    Fault,
}

impl OrderResult {
    /// The word used in log lines and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Fault => "fault",
        }
    }
}

/// Says whether orders can be carried out, for `/readyz`. May block for a short while.
pub trait Readiness: Send + Sync + 'static {
    /// Checks what orders depend on.
    ///
    /// # Errors
    /// What is missing, in words that may be shown to whoever can reach the health check.
    fn ready(&self) -> Result<(), NotReady>;
}

/// Why the product cannot work at the moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotReady(pub String);

/// Supplies figures that are counted elsewhere (private key operations, stored deliveries) to `/metrics`.
pub trait Figures: Send + Sync + 'static {
    /// The figures of this moment. Called for every scrape.
    fn figures(&self) -> Vec<Figure>;
}

/// One figure for `/metrics`.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Name without the `rohrpost_` in front and, for counters, without the `_total` behind:
    /// lower case with underscores. The same name must not be supplied twice.
    pub name: &'static str,
    /// One sentence for whoever reads it, without full stop.
    pub help: &'static str,
    /// The value, with its kind.
    pub value: FigureValue,
}

/// A value, and how it may change.
#[derive(Debug, Clone, PartialEq)]
pub enum FigureValue {
    /// Only ever grows.
    Counter(u64),
    /// Goes up and down.
    Gauge(f64),
    /// A distribution, of seconds as a rule.
    Histogram {
        /// Upper bounds, growing, the last one infinite; each with the values up to it and above the one before.
        buckets: Vec<(f64, u64)>,
        /// All values together.
        sum: f64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_does_not_show_in_an_even_answer() {
        let ms = Duration::from_millis;
        let micro = Duration::from_micros;
        assert_eq!([even(4000, Duration::ZERO), even(4000, micro(1)), even(4000, ms(240))], [ms(250); 3]);
        assert_eq!([even(4000, ms(251)), even(4000, ms(500))], [ms(500); 2]);
        assert_eq!(even(100 << 20, ms(1)), ms(4250));
    }
}
