//! One message there, one answer back: HTTP/1.1 over TCP or TLS.
//!
//! Knows nothing of OSCI but that a request is a `POST` and that every answer, faults included, has a 2xx status
//! (OSCI-Transport 1.2, transport binding). Connections are kept and used again; redirects are never followed.

mod address;
mod connection;
mod download;
mod error;
mod reach;
mod tls;
mod upload;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
pub use hyper::header::HeaderValue;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{HeaderMap, Request, Response, StatusCode};
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use tokio::time::timeout;

pub use address::{Address, AddressInvalid};
pub use error::{Phase, TransportError};
pub use reach::{Reach, is_internal};
pub use tls::{Tls, TlsUnusable};

use crate::clock::Clock;
use connection::{Connection, Pool};
use tls::Connector;
use upload::Upload;
use watch::Progress;

/// How long each step may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// To be connected, TLS included. 10 seconds unless changed.
    pub connect: Duration,
    /// In which no byte moves while a request is sent or an answer is received. 60 seconds unless changed.
    pub idle: Duration,
    /// From the last byte of the request to the head of the answer. 5 minutes unless changed.
    pub answer: Duration,
    /// For all of it. One hour unless changed.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            answer: Duration::from_secs(300),
            total: Duration::from_secs(3600),
        }
    }
}

/// Sends messages over HTTP and HTTPS. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Transport(Arc<Shared>);

struct Shared {
    timeouts: Timeouts,
    connector: Connector,
    pool: Pool,
}

/// A 2xx answer.
#[derive(Debug)]
pub struct Answer {
    /// Its body.
    pub body: Spool,
    /// The name under which the other side's log knows this exchange, if it gave one.
    pub correlation_id: Option<String>,
}

/// Told how much of a request has been handed to the network, and how much of the answer has arrived. Called often and on
/// the reactor: it must return at once.
pub type OnProgress = Arc<dyn Fn(Moved) + Send + Sync>;

/// Bytes of one exchange so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Moved {
    /// Of the request.
    Sent {
        /// So far.
        bytes: u64,
        /// In all.
        total: u64,
    },
    /// Of the answer.
    Received {
        /// So far.
        bytes: u64,
        /// In all, if the other side said so.
        total: Option<u64>,
    },
}

impl Transport {
    /// Without `tls`, only `http` addresses can be reached. `clock` is what server certificates are checked against.
    ///
    /// # Errors
    /// If the authorities or the key in `tls` cannot be used.
    pub fn new(tls: Option<&Tls>, timeouts: Timeouts, clock: &Clock) -> Result<Self, TlsUnusable> {
        Self::within(Reach::everywhere(), tls, timeouts, clock)
    }

    /// The same, connecting only to where `reach` allows: for addresses that others choose.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn within(reach: Reach, tls: Option<&Tls>, timeouts: Timeouts, clock: &Clock) -> Result<Self, TlsUnusable> {
        let connector = Connector::new(reach, tls, clock)?;
        Ok(Self(Arc::new(Shared { timeouts, connector, pool: Pool::default() })))
    }

    /// Whether `https` addresses can be reached.
    pub fn has_tls(&self) -> bool {
        self.0.connector.has_tls()
    }

    /// Sends `request` and spools the answer, which may be as large as `answers` allows.
    ///
    /// # Errors
    /// [`TransportError`]; [`TransportError::may_have_arrived`] says whether the request can have been executed.
    pub async fn post(
        &self,
        to: &Address,
        request: &Spool,
        answers: &SpoolDir,
        on_progress: Option<OnProgress>,
    ) -> Result<Answer, TransportError> {
        self.post_as(HeaderValue::from_static("text/xml; charset=utf-8"), to, request, answers, on_progress).await
    }

    /// The same with another media type: for messages that are not OSCI's.
    ///
    /// # Errors
    /// As [`post`](Self::post).
    pub async fn post_as(
        &self,
        media_type: HeaderValue,
        to: &Address,
        request: &Spool,
        answers: &SpoolDir,
        on_progress: Option<OnProgress>,
    ) -> Result<Answer, TransportError> {
        let total = self.0.timeouts.total;
        let progress = Progress::new(request.len(), on_progress);
        match timeout(total, self.exchange(media_type, to, request, answers, &progress)).await {
            Ok(result) => result,
            Err(_) => Err(TransportError::Timeout { phase: Phase::Total, after: total }),
        }
    }

    async fn exchange(
        &self,
        media_type: HeaderValue,
        to: &Address,
        request: &Spool,
        answers: &SpoolDir,
        progress: &Arc<Progress>,
    ) -> Result<Answer, TransportError> {
        let timeouts = &self.0.timeouts;
        let message = post_request(media_type, to, Upload::new(request, progress));
        let (connection, response) = self.send(to, message, progress).await?;
        let (head, body) = response.into_parts();
        let correlation_id = correlation_id(&head.headers);
        if !head.status.is_success() {
            return Err(refusal(head.status, &head.headers, body, correlation_id).await);
        }
        let body = download::spool(body, answers, timeouts.idle, progress).await?;
        if progress.is_sent() {
            self.0.pool.put(to, connection);
        }
        Ok(Answer { body, correlation_id })
    }

    /// Sends on a kept connection if there is one that is still alive, otherwise on a new one.
    async fn send(
        &self,
        to: &Address,
        mut message: Request<Upload>,
        progress: &Arc<Progress>,
    ) -> Result<(Connection, Response<Incoming>), TransportError> {
        let timeouts = &self.0.timeouts;
        while let Some(mut connection) = self.0.pool.take(to).await {
            let sent = watch::head(progress, timeouts, connection.send(message)).await?;
            match sent {
                Ok(response) => return Ok((connection, response)),
                // The other side closed the connection before it saw anything of the request.
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => message = unsent,
                    None => return Err(error::broken(failed.into_error())),
                },
            }
        }
        let mut connection = self.0.connector.connect(to, timeouts.connect).await?;
        match watch::head(progress, timeouts, connection.send(message)).await? {
            Ok(response) => Ok((connection, response)),
            Err(failed) => Err(error::broken(failed.into_error())),
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("timeouts", &self.0.timeouts).finish_non_exhaustive()
    }
}

const PRODUCT: &str = concat!("rohrpost/", env!("CARGO_PKG_VERSION"));

fn post_request(media_type: HeaderValue, to: &Address, body: Upload) -> Request<Upload> {
    Request::post(to.path())
        .header(HOST, to.authority())
        .header(CONTENT_TYPE, media_type)
        .header(USER_AGENT, PRODUCT)
        .body(body)
        .expect("an address holds only what may stand in a request")
}

fn correlation_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("x-correlation-id")?.to_str().ok()?;
    (id.len() <= 128).then(|| id.to_owned())
}

async fn refusal(
    status: StatusCode,
    headers: &HeaderMap,
    body: Incoming,
    correlation_id: Option<String>,
) -> TransportError {
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        return TransportError::Busy { retry_after: error::retry_after(headers), correlation_id };
    }
    let is_text = headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/plain"));
    let words = if is_text { download::words(body).await } else { None };
    TransportError::Status { status: status.as_u16(), words, correlation_id }
}
