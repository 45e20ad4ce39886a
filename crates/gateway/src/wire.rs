//! The byte stream under HTTP, watched: what the connection is waiting for, and since when.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::config::Timeouts;

/// What a connection is doing. Shared by the stream, the service and the task that drives both.
pub(crate) struct Activity(Mutex<State>);

struct State {
    phase: Phase,
    write_blocked: bool,
}

/// Who has to do something next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The client, which has not sent anything yet.
    Fresh(Instant),
    /// The client, which has had an answer and may send another request.
    Idle(Instant),
    /// The client, which is in the middle of request line and headers.
    Head(Instant),
    /// The service, which has its own deadlines.
    Serving,
    /// The connection, which is being closed.
    Closing(Instant),
}

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { phase: Phase::Fresh(Instant::now()), write_blocked: false })))
    }

    /// The handshake is done: only now does the time for the first request start.
    pub(crate) fn opened(&self) {
        let mut state = self.state();
        if let Phase::Fresh(since) = &mut state.phase {
            *since = Instant::now();
        }
    }

    /// Since when nothing has been going on that would be lost if the connection ended.
    pub(crate) fn at_rest_since(&self) -> Option<Instant> {
        match self.state().phase {
            Phase::Fresh(since) | Phase::Idle(since) | Phase::Head(since) => Some(since),
            Phase::Serving | Phase::Closing(_) => None,
        }
    }

    /// The service has got a request.
    pub(crate) fn serving(&self) {
        self.state().phase = Phase::Serving;
    }

    /// The answer is through.
    pub(crate) fn answered(&self) {
        self.state().phase = Phase::Idle(Instant::now());
    }

    /// The connection is on its way down.
    pub(crate) fn closing(&self) {
        self.state().phase = Phase::Closing(Instant::now());
    }

    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.state().phase, Phase::Closing(_))
    }

    /// Who has to do something, until when. Nobody while bytes are stuck: the stream itself watches those.
    pub(crate) fn deadline(&self, timeouts: &Timeouts) -> Option<(Phase, Instant)> {
        let State { phase, write_blocked } = *self.state();
        if write_blocked {
            return None;
        }
        let deadline = match phase {
            Phase::Fresh(since) | Phase::Head(since) => since + timeouts.header,
            Phase::Idle(since) => since + timeouts.keep_alive,
            Phase::Closing(since) => since + timeouts.write,
            Phase::Serving => return None,
        };
        Some((phase, deadline))
    }

    fn received(&self) {
        let mut state = self.state();
        if matches!(state.phase, Phase::Fresh(_) | Phase::Idle(_)) {
            state.phase = Phase::Head(Instant::now());
        }
    }

    fn blocked(&self) {
        self.state().write_blocked = true;
    }

    /// Bytes move again: only now does the client's time start.
    fn unblocked(&self) {
        let mut state = self.state();
        state.write_blocked = false;
        if let Phase::Idle(since) | Phase::Head(since) | Phase::Closing(since) = &mut state.phase {
            *since = Instant::now();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A byte stream that reports what happens and gives up when the client takes nothing for too long.
pub(crate) struct Wire<S> {
    stream: S,
    activity: Arc<Activity>,
    patience: Duration,
    stuck: Option<Pin<Box<Sleep>>>,
}

impl<S> Wire<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>, patience: Duration) -> Self {
        Self { stream, activity, patience, stuck: None }
    }

    /// Lets a write pass if it moves, and fails it if it has not moved for too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.stuck.take().is_some() {
                self.activity.unblocked();
            }
            return written;
        }
        self.activity.blocked();
        let patience = self.patience;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(patience)));
        match stuck.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.received();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn stuck_writes_give_up_and_moving_ones_do_not() {
        let (near, mut far) = tokio::io::duplex(8);
        let activity = Activity::new();
        let mut wire = Wire::new(near, Arc::clone(&activity), Duration::from_secs(2));
        let reader = tokio::spawn(async move {
            let mut buf = [0; 8];
            for _ in 0..4 {
                sleep(Duration::from_millis(30)).await;
                far.read_exact(&mut buf).await.unwrap();
            }
            far
        });
        wire.write_all(&[1; 32]).await.expect("moves now and then");
        let _far = reader.await.unwrap();
        wire.write_all(&[1; 8]).await.expect("there is room again");
        assert!(activity.deadline(&Timeouts::default()).is_some());
        let error = wire.write_all(&[1; 8]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(activity.deadline(&Timeouts::default()), None);
    }

    #[tokio::test]
    async fn phases_follow_the_bytes() {
        let (near, mut far) = tokio::io::duplex(8);
        let activity = Activity::new();
        let timeouts = Timeouts::default();
        let phase = || activity.deadline(&timeouts).map(|(phase, _)| phase);
        let mut wire = Wire::new(near, Arc::clone(&activity), Duration::from_secs(1));
        assert!(matches!(phase(), Some(Phase::Fresh(_))));
        far.write_all(b"G").await.unwrap();
        wire.read_u8().await.unwrap();
        let head = phase();
        assert!(matches!(head, Some(Phase::Head(_))));
        far.write_all(b"E").await.unwrap();
        wire.read_u8().await.unwrap();
        assert_eq!(phase(), head, "more bytes give no more time");
        activity.serving();
        assert_eq!(phase(), None);
        far.write_all(b"b").await.unwrap();
        wire.read_u8().await.unwrap();
        assert_eq!(phase(), None, "a body is not a header");
        activity.answered();
        assert!(matches!(phase(), Some(Phase::Idle(_))));
    }
}
