//! The one thread that changes the database. It takes all changes that are waiting, makes them in one transaction, and
//! answers all of them after the commit: they share the wait for the disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rohrpost_audit::{Frontier, Leaf};
use rusqlite::Connection;

use super::log::Appender;
use super::schema::failed;
use crate::error::StorageError;

/// Changes waiting for the writer before further callers have to wait to queue.
const QUEUE: usize = 1_024;
/// Changes in one transaction at most.
const MAX_BATCH: usize = 256;
/// Changes that make a transaction worth its wait for the disk, so that lingering for more ends.
const GOOD_BATCH: usize = 8;
/// Times the writer lingers for one transaction at most.
const MAX_LINGER: u32 = 4;
/// Transactions without lingering after lingering was in vain several times.
const MAX_PAUSE: u32 = 64;

/// A handle to the thread. Dropping it ends the thread after the last queued change.
pub(super) struct Writer {
    queue: Option<SyncSender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    changes: AtomicU64,
    commits: AtomicU64,
}

/// What a change works with.
pub(super) struct Batch<'c> {
    pub(super) connection: &'c Connection,
    appender: &'c mut Appender,
}

impl Batch<'_> {
    /// Writes an entry of the log in this transaction and returns its number.
    pub(super) fn append(&mut self, leaf: &Leaf) -> Result<u64, StorageError> {
        self.appender.append(self.connection, leaf)
    }
}

impl Writer {
    pub(super) fn start(connection: Connection, appender: Appender, linger: Duration) -> Self {
        let (queue, waiting) = sync_channel(QUEUE);
        let counters = Arc::new(Counters::default());
        let state = Thread {
            connection,
            appender,
            waiting,
            counters: Arc::clone(&counters),
            patience: Patience { linger, pause: 0, next_pause: 1 },
        };
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || state.run())
            .expect("the operating system can start a thread");
        Self { queue: Some(queue), thread: Some(thread), counters }
    }

    /// Makes a change and waits until it is durable. If `work` fails, everything it did is undone.
    pub(super) fn change<T, E>(
        &self,
        work: impl FnOnce(&mut Batch<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        let (reply, answer) = sync_channel(1);
        let job = Task { work: Some(work), outcome: None, reply };
        let queue = self.queue.as_ref().ok_or(StorageError::Stopped)?;
        queue.send(Box::new(job)).map_err(|_| StorageError::Stopped)?;
        answer.recv().map_err(|_| StorageError::Stopped)?
    }

    /// Durable changes and transactions so far.
    pub(super) fn counts(&self) -> (u64, u64) {
        let Counters { changes, commits } = &*self.counters;
        (changes.load(Ordering::Relaxed), commits.load(Ordering::Relaxed))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic was reported when it happened; the callers got `Stopped`.
            let _ = thread.join();
        }
    }
}

/// A queued change without its types.
trait Job: Send {
    /// Does the work. Says whether it shall stay.
    fn run(&mut self, batch: &mut Batch<'_>) -> bool;
    /// Tells the caller, after the transaction has ended.
    fn answer(self: Box<Self>, transaction: Result<(), StorageError>);
}

struct Task<W, T, E> {
    work: Option<W>,
    outcome: Option<Result<T, E>>,
    reply: SyncSender<Result<T, E>>,
}

impl<W, T, E> Job for Task<W, T, E>
where
    W: FnOnce(&mut Batch<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StorageError> + Send,
{
    fn run(&mut self, batch: &mut Batch<'_>) -> bool {
        self.outcome = self.work.take().map(|work| work(batch));
        matches!(self.outcome, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, transaction: Result<(), StorageError>) {
        let outcome = match (self.outcome, transaction) {
            // A refusal stands whatever became of the others.
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (_, Err(error)) => Err(error.into()),
            (None, Ok(())) => Err(StorageError::Stopped.into()),
        };
        // The caller may have gone away; nobody else needs the answer.
        let _ = self.reply.send(outcome);
    }
}

struct Thread {
    connection: Connection,
    appender: Appender,
    waiting: Receiver<Box<dyn Job>>,
    counters: Arc<Counters>,
    patience: Patience,
}

impl Thread {
    fn run(mut self) {
        while let Ok(first) = self.waiting.recv() {
            let mut jobs = vec![first];
            self.patience.gather(&mut jobs, &self.waiting);
            if !self.serve(jobs) {
                return;
            }
        }
    }

    /// Makes the changes durable and answers. Says whether the thread can go on.
    fn serve(&mut self, mut jobs: Vec<Box<dyn Job>>) -> bool {
        let result = self.transaction(&mut jobs);
        let healthy = match &result {
            Ok(kept) => {
                self.counters.changes.fetch_add(*kept, Ordering::Relaxed);
                self.counters.commits.fetch_add(u64::from(*kept > 0), Ordering::Relaxed);
                true
            }
            Err(_) => self.recover(),
        };
        let result = result.map(|_| ());
        jobs.into_iter().for_each(|job| job.answer(result.clone()));
        healthy
    }

    /// Returns how many changes stayed.
    fn transaction(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<u64, StorageError> {
        execute(&self.connection, "BEGIN IMMEDIATE")?;
        let start = self.appender.frontier.size();
        let mut kept = 0;
        for job in jobs {
            kept += u64::from(self.savepoint(job.as_mut())?);
        }
        if self.appender.frontier.size() > start {
            self.appender.seal(&self.connection)?;
        }
        execute(&self.connection, "COMMIT")?;
        Ok(kept)
    }

    fn savepoint(&mut self, job: &mut dyn Job) -> Result<bool, StorageError> {
        execute(&self.connection, "SAVEPOINT job")?;
        let before: Frontier = self.appender.frontier.clone();
        let keep = job.run(&mut Batch { connection: &self.connection, appender: &mut self.appender });
        if self.connection.is_autocommit() {
            // Full disk or I/O error: SQLite has undone the whole transaction, and with it the changes of the others.
            let reason = io::Error::other("the transaction was undone, as when the disk is full or fails");
            return Err(StorageError::Database { action: "keep the transaction", source: Arc::new(reason) });
        }
        if !keep {
            execute(&self.connection, "ROLLBACK TO job")?;
            self.appender.frontier = before;
        }
        execute(&self.connection, "RELEASE job")?;
        Ok(keep)
    }

    /// After a failed transaction: clean up and find out where the log ends. Without that knowledge nothing may be written.
    fn recover(&mut self) -> bool {
        if !self.connection.is_autocommit() && execute(&self.connection, "ROLLBACK").is_err() {
            return false;
        }
        self.appender.reload(&self.connection).is_ok()
    }
}

fn execute(connection: &Connection, sql: &'static str) -> Result<(), StorageError> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map_err(failed(sql))?;
    Ok(())
}

/// Whether to wait a moment for further changes before the disk is asked. It pays when callers come in numbers and
/// costs a lone caller time, so it is tried again and again, and more and more seldom where it gains nothing.
struct Patience {
    linger: Duration,
    pause: u32,
    next_pause: u32,
}

impl Patience {
    fn gather(&mut self, jobs: &mut Vec<Box<dyn Job>>, waiting: &Receiver<Box<dyn Job>>) {
        take_all(jobs, waiting);
        if self.linger.is_zero() || jobs.len() >= GOOD_BATCH {
            return;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return;
        }
        let before = jobs.len();
        for _ in 0..MAX_LINGER {
            let length = jobs.len();
            thread::sleep(self.linger);
            take_all(jobs, waiting);
            if jobs.len() == length || jobs.len() >= GOOD_BATCH {
                break;
            }
        }
        if jobs.len() > before {
            self.next_pause = 1;
        } else {
            self.pause = self.next_pause;
            self.next_pause = (self.next_pause * 2).min(MAX_PAUSE);
        }
    }
}

fn take_all(jobs: &mut Vec<Box<dyn Job>>, waiting: &Receiver<Box<dyn Job>>) {
    jobs.extend(waiting.try_iter().take(MAX_BATCH - jobs.len().min(MAX_BATCH)));
}
