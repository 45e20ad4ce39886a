//! Admission: how many orders run, how many wait, and who is sent away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::config::Limits;
use crate::metrics::{Metrics, Raised};

/// Hands out turns, first come, first served. Who waits holds no thread.
pub(crate) struct OrderPool {
    turns: Arc<Semaphore>,
    concurrent: usize,
    waiting: AtomicUsize,
    waiting_limit: usize,
    patience: Duration,
    metrics: Arc<Metrics>,
}

/// The right to work on one order, given back on drop.
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
    _running: Raised,
    /// How long it took to get it.
    pub(crate) waited: Duration,
}

/// Nobody can say when a turn would come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overloaded;

impl OrderPool {
    pub(crate) fn new(limits: &Limits, patience: Duration, metrics: Arc<Metrics>) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(limits.concurrent_orders)),
            concurrent: limits.concurrent_orders,
            waiting: AtomicUsize::new(0),
            waiting_limit: limits.waiting_orders,
            patience,
            metrics,
        }
    }

    /// Whether a request that arrives now would be sent away.
    pub(crate) fn is_full(&self) -> bool {
        self.turns.available_permits() == 0 && self.waiting.load(Ordering::Relaxed) >= self.waiting_limit
    }

    /// Waits for a turn, unless too many wait already or it takes too long.
    pub(crate) async fn turn(&self) -> Result<Turn, Overloaded> {
        let asked = Instant::now();
        let permit = match Arc::clone(&self.turns).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.wait().await?,
        };
        let waited = asked.elapsed();
        self.metrics.turn_seconds.observe(waited.as_secs_f64());
        Ok(Turn { _permit: permit, _running: Raised::by_one(&self.metrics.running), waited })
    }

    /// Waits until no order runs.
    pub(crate) async fn idle(&self) {
        let all = u32::try_from(self.concurrent).unwrap_or(u32::MAX);
        // The semaphore is never closed: an error cannot happen, and would mean that nothing runs.
        let _ = self.turns.acquire_many(all).await;
    }

    async fn wait(&self) -> Result<OwnedSemaphorePermit, Overloaded> {
        let _place = self.place()?;
        timeout(self.patience, Arc::clone(&self.turns).acquire_owned())
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or(Overloaded)
    }

    fn place(&self) -> Result<Place<'_>, Overloaded> {
        self.waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
                (waiting < self.waiting_limit).then_some(waiting + 1)
            })
            .map_err(|_| Overloaded)?;
        Ok(Place { waiting: &self.waiting, _gauge: Raised::by_one(&self.metrics.waiting) })
    }
}

/// A place in the queue, freed on drop, also when the client goes away.
struct Place<'a> {
    waiting: &'a AtomicUsize,
    _gauge: Raised,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(concurrent_orders: usize, waiting_orders: usize, patience_ms: u64) -> Arc<OrderPool> {
        let limits = Limits { concurrent_orders, waiting_orders, ..Limits::default() };
        let patience = Duration::from_millis(patience_ms);
        Arc::new(OrderPool::new(&limits, patience, Arc::new(Metrics::new(None))))
    }

    async fn until(condition: impl Fn() -> bool) {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn runs_so_many_queues_so_many_refuses_the_rest() {
        let pool = pool(1, 1, 10_000);
        let first = pool.turn().await.expect("free");
        assert!(!pool.is_full());
        let second = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.turn().await.map(|turn| turn.waited) }
        });
        until(|| pool.waiting.load(Ordering::Relaxed) == 1).await;
        assert!(pool.is_full());
        assert_eq!(pool.turn().await.err(), Some(Overloaded));
        drop(first);
        let waited = second.await.expect("no panic").expect("its turn came");
        assert!(waited > Duration::ZERO);
        assert!(pool.turn().await.is_ok(), "turns are given back");
    }

    #[tokio::test]
    async fn patience_ends() {
        let pool = pool(1, 1, 10);
        let _first = pool.turn().await.expect("free");
        assert_eq!(pool.turn().await.err(), Some(Overloaded));
        assert!(!pool.is_full(), "the place in the queue is free again");
    }

    #[tokio::test]
    async fn who_goes_away_frees_its_place() {
        let pool = pool(1, 1, 10_000);
        let first = pool.turn().await.expect("free");
        let waiting = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.turn().await.is_ok() }
        });
        until(|| pool.is_full()).await;
        waiting.abort();
        until(|| !pool.is_full()).await;
        drop(first);
        pool.idle().await;
    }

    #[tokio::test]
    async fn idle_waits_for_the_last_order() {
        let pool = pool(2, 0, 10);
        let turn = pool.turn().await.expect("free");
        assert!(timeout(Duration::from_millis(20), pool.idle()).await.is_err());
        drop(turn);
        pool.idle().await;
    }
}
