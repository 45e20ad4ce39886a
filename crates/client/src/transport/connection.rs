use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::upload::Upload;
use super::{Address, TransportError};

/// An open connection, closed when dropped.
pub(super) struct Connection {
    sender: SendRequest<Upload>,
    driver: AbortHandle,
}

impl Connection {
    pub(super) async fn over(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Self, TransportError> {
        let shaken = http1::handshake(TokioIo::new(io)).await;
        let (sender, driver) = shaken.map_err(|error| TransportError::Broken(error.into()))?;
        // What goes wrong here is also told to whoever waits for the answer.
        let driver = tokio::spawn(async move { drop(driver.await) }).abort_handle();
        Ok(Self { sender, driver })
    }

    /// Sends one request. The error gives the request back if nothing of it was sent.
    pub(super) fn send(
        &mut self,
        message: Request<Upload>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Upload>>>> + use<> {
        self.sender.try_send_request(message)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Connections between requests.
#[derive(Default)]
pub(super) struct Pool(Mutex<HashMap<Address, Vec<Idle>>>);

struct Idle {
    connection: Connection,
    since: Instant,
}

/// Servers close idle connections; one that has waited longer is not trusted to be alive.
const KEPT_FOR: Duration = Duration::from_secs(15);
/// Kept per address.
const KEPT_AT_MOST: usize = 8;

impl Pool {
    /// A connection that seems to be alive.
    pub(super) async fn take(&self, to: &Address) -> Option<Connection> {
        loop {
            let Idle { mut connection, since } = self.newest(to)?;
            let alive = since.elapsed() < KEPT_FOR
                && matches!(timeout(Duration::from_millis(100), connection.sender.ready()).await, Ok(Ok(())));
            if alive {
                return Some(connection);
            }
        }
    }

    pub(super) fn put(&self, to: &Address, connection: Connection) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = all.entry(to.clone()).or_default();
        kept.retain(|idle| idle.since.elapsed() < KEPT_FOR);
        if kept.len() < KEPT_AT_MOST && !connection.sender.is_closed() {
            kept.push(Idle { connection, since: Instant::now() });
        }
    }

    fn newest(&self, to: &Address) -> Option<Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(to)?.pop()
    }
}
