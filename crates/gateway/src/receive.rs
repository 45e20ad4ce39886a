//! From the network to a spool, with constant memory and without blocking the reactor.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Incoming};
use prometheus_client::metrics::gauge::Gauge;
use rohrpost_pipeline::spool::{Spool, SpoolDir, SpoolWriter};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::error;

use crate::config::{Limits, Timeouts};
use crate::problem::Problem;

/// Bytes collected before they are written to disk in one go.
const PIECE: usize = 128 * 1024;

/// A received body and its share of the space for bodies.
pub(crate) struct Received {
    pub(crate) spool: Heavy<Spool>,
    pub(crate) len: u64,
    pub(crate) share: Share,
}

/// Receives `body`. On an error the body may not be at its end.
pub(crate) async fn receive(
    body: &mut Incoming,
    spools: &SpoolDir,
    space: &Arc<Space>,
    limits: &Limits,
    timeouts: &Timeouts,
) -> Result<Received, Problem> {
    let no_space = || Problem::NoSpace { retry_after: timeouts.retry_after };
    // Only what has arrived is taken: announcing much and sending nothing must not cost others their space.
    if !space.has_room(body.size_hint().lower()) {
        return Err(no_space());
    }
    // Nor is what stays in memory worth a question: it may be an order that makes space.
    if body.size_hint().lower() > spools.memory_threshold() as u64 && !spools.has_room(body.size_hint().lower()) {
        return Err(no_room(spools, no_space()));
    }
    let mut share = Share::none(space);
    let mut intake = Intake::new(spools);
    let pace = Pace { began: Instant::now(), timeouts, bytes_per_second: limits.body_bytes_per_second };
    while let Some(data) = next_data(body, pace.deadline(intake.len)).await? {
        let len = intake.len + data.len() as u64;
        if len > limits.body_bytes {
            return Err(Problem::BodyTooLarge { limit: limits.body_bytes });
        }
        if !share.grow_to(len) {
            return Err(no_space());
        }
        if len / PIECE as u64 > intake.len / PIECE as u64 && !spools.has_room(0) {
            return Err(no_room(spools, no_space()));
        }
        intake.push(&data).await.map_err(|error| disk(&error, no_space()))?;
    }
    let spool = intake.finish().await.map_err(|error| disk(&error, no_space()))?;
    Ok(Received { len: spool.len(), spool: Heavy::new(spool), share })
}

/// Reads and forgets what is left of a refused body, for a while, so that the client gets to read the answer.
pub(crate) async fn linger(mut body: Incoming, patience: Duration) {
    discard(&mut body, patience).await;
}

/// Reads and forgets what is left of a body, for a while.
pub(crate) async fn discard(body: &mut Incoming, patience: Duration) {
    let read_all = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = timeout(patience, read_all).await;
}

/// Something whose removal may block, because a large file goes with it. Forgotten, it is dropped off the reactor.
pub(crate) struct Heavy<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Heavy<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }

    pub(crate) fn as_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("it is taken only when it is gone")
    }

    pub(crate) fn into_inner(mut self) -> T {
        self.0.take().expect("it is taken only when it is gone")
    }
}

impl<T: Send + 'static> Drop for Heavy<T> {
    fn drop(&mut self) {
        let Some(value) = self.0.take() else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(value))),
            Err(_) => drop(value),
        }
    }
}

/// How fast a body has to arrive.
struct Pace<'a> {
    began: Instant,
    timeouts: &'a Timeouts,
    bytes_per_second: u64,
}

impl Pace<'_> {
    /// When the next piece must be here, given that `received` bytes are.
    fn deadline(&self, received: u64) -> Instant {
        let idle = Instant::now() + self.timeouts.body_idle;
        let total = self.began + self.timeouts.body_total;
        let earned = received.checked_div(self.bytes_per_second).map(Duration::from_secs);
        let slow = earned.map_or(total, |earned| self.began + self.timeouts.body_idle + earned);
        idle.min(total).min(slow)
    }
}

async fn next_data(body: &mut Incoming, deadline: Instant) -> Result<Option<Bytes>, Problem> {
    loop {
        let frame = timeout_at(deadline, body.frame()).await.map_err(|_| Problem::BodyTimeout)?;
        match frame {
            None => return Ok(None),
            Some(Err(_)) => return Err(Problem::BodyBroken),
            // Trailers are allowed and mean nothing to us.
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => return Ok(Some(data)),
                Err(_) => continue,
            },
        }
    }
}

fn no_room(spools: &SpoolDir, problem: Problem) -> Problem {
    error!(reserve = spools.reserve(), "no space for a large request: make some on the disk");
    problem
}

fn disk(error: &io::Error, problem: Problem) -> Problem {
    error!(%error, "a request cannot be spooled: check space and rights of the spool directory");
    problem
}

/// Collects pieces and has them written while the next one arrives.
struct Intake {
    spools: SpoolDir,
    len: u64,
    buffer: Vec<u8>,
    writing: Option<Heavy<Writing>>,
}

type Writing = JoinHandle<io::Result<Written>>;

struct Written {
    writer: SpoolWriter,
    /// An empty buffer to use again.
    buffer: Vec<u8>,
}

impl Intake {
    fn new(spools: &SpoolDir) -> Self {
        Self { spools: spools.clone(), len: 0, buffer: Vec::new(), writing: None }
    }

    async fn push(&mut self, data: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(data);
        self.len += data.len() as u64;
        if self.buffer.len() >= PIECE {
            self.write_out().await?;
        }
        Ok(())
    }

    async fn finish(mut self) -> io::Result<Spool> {
        if self.writing.is_none() && self.buffer.len() <= self.spools.memory_threshold() {
            return Ok(Spool::from_bytes(self.buffer));
        }
        self.write_out().await?;
        let writer = self.written().await?.writer;
        unpanicked(spawn_blocking(|| writer.finish()).await)
    }

    async fn write_out(&mut self) -> io::Result<()> {
        let Written { mut writer, buffer } = self.written().await?;
        let piece = mem::replace(&mut self.buffer, buffer);
        self.writing = Some(Heavy::new(spawn_blocking(move || {
            writer.write_all(&piece)?;
            let mut buffer = piece;
            buffer.clear();
            Ok(Written { writer, buffer })
        })));
        Ok(())
    }

    /// Waits for the write under way. One at most, so memory is bounded by two pieces.
    async fn written(&mut self) -> io::Result<Written> {
        match self.writing.take() {
            Some(writing) => unpanicked(writing.into_inner().await),
            None => Ok(Written { writer: self.spools.writer(), buffer: Vec::new() }),
        }
    }
}

fn unpanicked<T>(joined: Result<io::Result<T>, tokio::task::JoinError>) -> io::Result<T> {
    joined.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// The space for all bodies, of requests or of answers, at a time.
pub(crate) struct Space {
    used: AtomicU64,
    limit: u64,
    gauge: Gauge,
}

impl Space {
    pub(crate) fn new(limit: u64, gauge: Gauge) -> Arc<Self> {
        Arc::new(Self { used: AtomicU64::new(0), limit, gauge })
    }

    fn has_room(&self, bytes: u64) -> bool {
        bytes <= self.limit.saturating_sub(self.used.load(Ordering::Relaxed))
    }
}

/// What one body takes of it, given back on drop.
pub(crate) struct Share {
    space: Arc<Space>,
    taken: u64,
}

impl Share {
    pub(crate) fn none(space: &Arc<Space>) -> Self {
        Self { space: Arc::clone(space), taken: 0 }
    }

    /// Takes `bytes` in all; says no if that is too much.
    pub(crate) fn grow_to(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.taken);
        let granted = self
            .space
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(more).filter(|sum| *sum <= self.space.limit)
            })
            .is_ok();
        if granted {
            self.taken += more;
            self.space.gauge.inc_by(signed(more));
        }
        granted
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.space.used.fetch_sub(self.taken, Ordering::Relaxed);
        self.space.gauge.dec_by(signed(self.taken));
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_shared_and_given_back() {
        let gauge = Gauge::default();
        let space = Space::new(100, gauge.clone());
        let (mut one, mut two) = (Share::none(&space), Share::none(&space));
        assert!(one.grow_to(60));
        assert!(space.has_room(40) && !space.has_room(41));
        assert!(one.grow_to(50), "shrinking is not growing");
        assert!(!two.grow_to(41));
        assert!(two.grow_to(40));
        assert!(!one.grow_to(61));
        assert_eq!(gauge.get(), 100);
        drop(one);
        assert!(two.grow_to(100));
        drop(two);
        assert_eq!(gauge.get(), 0);
        assert!(!Share::none(&space).grow_to(u64::MAX));
    }

    #[tokio::test]
    async fn pace_is_the_strictest_of_three() {
        let timeouts = Timeouts {
            body_idle: Duration::from_secs(10),
            body_total: Duration::from_secs(100),
            ..Timeouts::default()
        };
        let seconds = |age: u64, received: u64, bytes_per_second: u64| {
            let now = Instant::now();
            let began = now - Duration::from_secs(age);
            let deadline = Pace { began, timeouts: &timeouts, bytes_per_second }.deadline(received);
            (deadline - now).as_secs_f64().round()
        };
        assert_eq!(seconds(0, 0, 1000), 10.0, "a pause");
        assert_eq!(seconds(95, 1_000_000, 1000), 5.0, "the whole");
        assert_eq!(seconds(14, 9_000, 1000), 5.0, "the rate");
        assert_eq!(seconds(14, 9_000, 0), 10.0, "no rate asked for");
    }

    #[tokio::test]
    async fn intake_is_the_same_in_memory_and_in_files() {
        let directory = tempfile::tempdir().unwrap();
        let spools = SpoolDir::new(directory.path());
        for (pieces, size) in [(1, 10), (8, 8192), (9, 8192), (3, PIECE), (100, 5000)] {
            let mut intake = Intake::new(&spools);
            let mut expected = Vec::new();
            for i in 0..pieces {
                let piece = vec![u8::try_from(i % 251).unwrap(); size];
                expected.extend_from_slice(&piece);
                intake.push(&piece).await.unwrap();
            }
            let spool = intake.finish().await.unwrap();
            let mut got = Vec::new();
            io::Read::read_to_end(&mut spool.reader(0..spool.len()), &mut got).unwrap();
            assert!(got == expected, "{pieces} x {size}");
            assert_eq!(spool.in_memory().is_some(), expected.len() <= 65536);
        }
    }

    #[tokio::test]
    async fn disk_errors_come_out() {
        let mut intake = Intake::new(&SpoolDir::new("/nonexistent"));
        intake.push(&vec![0; PIECE]).await.unwrap();
        assert!(intake.finish().await.is_err());
    }
}
