use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;
use tokio::time::timeout;

use super::{Moved, OnProgress, Phase, Timeouts, TransportError};

/// How far one exchange has come.
pub(super) struct Progress {
    sent: AtomicU64,
    total: u64,
    complete: AtomicBool,
    completed: Notify,
    on_progress: Option<OnProgress>,
}

impl Progress {
    pub(super) fn new(total: u64, on_progress: Option<OnProgress>) -> Arc<Self> {
        let (sent, complete, completed) = (AtomicU64::new(0), AtomicBool::new(false), Notify::new());
        Arc::new(Self { sent, total, complete, completed, on_progress })
    }

    /// Whether the network took all of the request.
    pub(super) fn is_sent(&self) -> bool {
        self.complete.load(Ordering::Relaxed)
    }

    pub(super) fn sent(&self, bytes: u64) {
        let bytes = self.sent.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if bytes >= self.total {
            self.complete.store(true, Ordering::Relaxed);
            self.completed.notify_one();
        }
        self.tell(Moved::Sent { bytes, total: self.total });
    }

    pub(super) fn received(&self, bytes: u64, total: Option<u64>) {
        self.tell(Moved::Received { bytes, total });
    }

    fn tell(&self, moved: Moved) {
        if let Some(on_progress) = &self.on_progress {
            on_progress(moved);
        }
    }
}

/// Waits for the head of an answer as long as the request moves, and then for the time that an answer may take.
pub(super) async fn head<T>(
    progress: &Progress,
    timeouts: &Timeouts,
    answer: impl Future<Output = T>,
) -> Result<T, TransportError> {
    let mut answer = pin!(answer);
    while !progress.is_sent() {
        let before = progress.sent.load(Ordering::Relaxed);
        tokio::select! {
            answer = &mut answer => return Ok(answer),
            sent = timeout(timeouts.idle, progress.completed.notified()) => {
                if sent.is_err() && before == progress.sent.load(Ordering::Relaxed) {
                    return Err(TransportError::Timeout { phase: Phase::Send, after: timeouts.idle });
                }
            }
        }
    }
    let late = |_| TransportError::Timeout { phase: Phase::Answer, after: timeouts.answer };
    timeout(timeouts.answer, answer).await.map_err(late)
}
