//! What goes on beside the orders: cleaning up, deliveries that could not be delivered at once, time stamps that process cards wait
//! for, and certificates that could not be judged at once.

use std::sync::Arc;
use std::time::Duration;

use rohrpost_gateway::clock::{Clock as _, SystemClock};
use rohrpost_intermediary::{Intermediary, Stamping};
use rohrpost_store::{Retention, StorageError};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::MissedTickBehavior;
use tracing::{error, info, warn};

/// Begins all of it. Ends with the set.
///
/// `stamping` is the pause after a time-stamp service gave nothing, if there is one.
pub(super) fn start(
    intermediary: &Arc<Intermediary>,
    retention: Retention,
    interval: Duration,
    stamping: Option<Duration>,
) -> JoinSet<()> {
    let mut jobs = JoinSet::new();
    jobs.spawn(clean_up(Arc::clone(intermediary), retention, interval));
    jobs.spawn(recheck(Arc::clone(intermediary)));
    if let Some(pause) = stamping {
        jobs.spawn(stamp(Arc::clone(intermediary), pause));
    }
    for _ in 0..DELIVERERS {
        jobs.spawn(deliver(Arc::clone(intermediary)));
    }
    jobs
}

/// Retention and forgotten dialogs, beside the orders.
async fn clean_up(intermediary: Arc<Intermediary>, retention: Retention, interval: Duration) {
    let mut minute = tokio::time::interval(Duration::from_secs(60).min(interval));
    let mut next_retention = tokio::time::Instant::now();
    loop {
        minute.tick().await;
        let now = SystemClock.now();
        intermediary.expire_dialogs(now);
        if tokio::time::Instant::now() < next_retention {
            continue;
        }
        next_retention = tokio::time::Instant::now() + interval;
        let store = Arc::clone(intermediary.store());
        match spawn_blocking(move || store.retention(now, &retention)).await {
            Ok(Ok(report)) => {
                let unfinished = report.uploads + report.prepared;
                info!(bodies = report.bodies, expired = report.expired, cards = report.cards, unfinished, "cleaned up")
            }
            Ok(Err(error)) => error!(%error, "the clean-up failed"),
            Err(error) => warn!(%error, "the clean-up was interrupted"),
        }
    }
}

/// Asks again about certificates of which nobody could say whether they are revoked.
async fn recheck(intermediary: Arc<Intermediary>) {
    let mut minute = tokio::time::interval(Duration::from_secs(60));
    minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        minute.tick().await;
        let intermediary = Arc::clone(&intermediary);
        let round = spawn_blocking(move || {
            while intermediary.recheck_next(SystemClock.now())? {}
            Ok::<_, StorageError>(())
        });
        match round.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => error!(%error, "certificates of accepted deliveries cannot be looked at again"),
            Err(error) => error!(%error, "looking again at certificates was interrupted"),
        }
    }
}

/// Gets time stamps that process cards wait for.
async fn stamp(intermediary: Arc<Intermediary>, pause: Duration) {
    let mut next = tokio::time::interval(Duration::from_secs(1));
    next.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        next.tick().await;
        let intermediary = Arc::clone(&intermediary);
        let round = spawn_blocking(move || {
            loop {
                match intermediary.stamp_next(SystemClock.now())? {
                    Stamping::Done => {}
                    ended => return Ok::<_, StorageError>(ended),
                }
            }
        });
        match round.await {
            Ok(Ok(Stamping::InVain)) => tokio::time::sleep(pause).await,
            Ok(Ok(_)) => {}
            Ok(Err(error)) => error!(%error, "the time stamps that process cards wait for cannot be read"),
            Err(error) => error!(%error, "getting time stamps was interrupted"),
        }
    }
}

/// Attempts at a time to deliver what could not be delivered at once.
const DELIVERERS: usize = 4;

/// Tries again and again to deliver what is on its way to passive recipients.
async fn deliver(intermediary: Arc<Intermediary>) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        second.tick().await;
        let intermediary = Arc::clone(&intermediary);
        let round = spawn_blocking(move || {
            while intermediary.deliver_next(SystemClock.now())? {}
            Ok::<_, StorageError>(())
        });
        match round.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => error!(%error, "what is on its way to passive recipients cannot be read"),
            Err(error) => error!(%error, "a delivery to a passive recipient was interrupted"),
        }
    }
}
