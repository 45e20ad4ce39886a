//! One connection: HTTP over a watched byte stream, with deadlines for every phase.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

use crate::config::{Limits, Timeouts};
use crate::peers::Guest;
use crate::problem::{Form, Problem};
use crate::service::{Client, Shared, seconds};
use crate::wire::{Activity, Phase, Wire};

/// How the whole gateway is doing, as seen by listeners and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Everything is served.
    Open,
    /// What was accepted is finished, nothing new is taken.
    Closing,
    /// Everything is dropped.
    Closed,
}

/// Serves a connection to its end.
pub(crate) async fn serve<S>(
    stream: S,
    client: Client,
    guest: &Guest,
    shared: Arc<Shared>,
    mut stage: watch::Receiver<Stage>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let timeouts = shared.config.timeouts;
    let activity = Arc::clone(&guest.activity);
    activity.opened();
    let wire = Wire::new(stream, Arc::clone(&activity), timeouts.write);
    let client = Arc::new(client);
    let service = service_fn(|request: Request<Incoming>| {
        let response = Arc::clone(&shared).respond(request, Arc::clone(&client), Arc::clone(&activity));
        async move { Ok::<_, Infallible>(response.await) }
    });
    let mut connection = http(&shared.config.limits).serve_connection(TokioIo::new(wire), service);

    let mut timer = pin!(sleep_until(Instant::now() + timeouts.header));
    loop {
        tokio::select! {
            biased;
            ended = &mut connection => {
                if let Err(error) = ended {
                    note(&error, &shared);
                }
                return;
            }
            phase = expired(&activity, &timeouts, timer.as_mut()) => match phase {
                Phase::Head(_) => {
                    shared.metrics.refused(&Problem::HeaderTimeout);
                    debug!("headers did not arrive in time");
                    let wire = connection.into_parts().io.into_inner();
                    let _ = timeout(timeouts.write, say(wire, &Problem::HeaderTimeout, &shared)).await;
                    return;
                }
                Phase::Closing(_) => return,
                _ => {
                    activity.closing();
                    Pin::new(&mut connection).graceful_shutdown();
                }
            },
            // Unless a request has come in meanwhile.
            () = guest.asked_to_leave.notified() => if activity.is_closing() {
                debug!("a connection at rest made room for another client");
                return;
            },
            changed = stage.changed() => {
                if changed.is_err() || *stage.borrow() == Stage::Closed {
                    return;
                }
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    }
}

/// Writes a refusal without HTTP machinery, on a connection where none is left or wanted, and closes it.
pub(crate) async fn say<S>(mut stream: S, problem: &Problem, shared: &Shared) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let id = shared.ids.next();
    let text = problem.text(id, Form::Text);
    let retry = problem.retry_after().map(|after| format!("Retry-After: {}\r\n", seconds(after))).unwrap_or_default();
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\n{retry}\
         X-Correlation-Id: {id}\r\nConnection: close\r\n\r\n{text}",
        status = problem.status(),
        kind = Form::Text.content_type(),
        len = text.len(),
    );
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await?;
    // Unread bytes would turn our closing into a reset that can overtake the answer.
    let mut sink = [0; 1024];
    let read_all = async { while matches!(stream.read(&mut sink).await, Ok(read) if read > 0) {} };
    let _ = timeout(shared.config.timeouts.linger, read_all).await;
    Ok(())
}

fn http(limits: &Limits) -> Builder {
    let mut builder = Builder::new();
    builder
        // Waiting for headers is watched here: hyper's own timer does not tell idle from slow.
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes)
        .max_headers(limits.headers)
        .max_buf_size(BUFFER.max(limits.header_bytes * 2));
    builder
}

/// Bytes buffered per connection and direction.
const BUFFER: usize = 64 * 1024;

async fn expired(activity: &Activity, timeouts: &Timeouts, mut timer: Pin<&mut tokio::time::Sleep>) -> Phase {
    // Polled again whenever the connection has moved, so the deadline is always the present one.
    poll_fn(|cx| {
        let Some((phase, deadline)) = activity.deadline(timeouts) else { return Poll::Pending };
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(phase)
    })
    .await
}

fn note(error: &hyper::Error, shared: &Shared) {
    if error.is_parse() {
        shared.metrics.refused_for("malformed");
    }
    debug!(%error, "connection ended with an error");
}
