//! Changes the database: takes all changes that are waiting, makes them in one transaction, and answers all of them after the
//! commit, so that they share the wait for the disk. One thread does so, unless a [`Pace`] is given.

mod patience;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, mem};

use rohrpost_audit::{Frontier, Leaf};
use rohrpost_planted::planted;
use rusqlite::{Connection, ErrorCode};

use self::patience::Patience;
use super::log::Appender;
use super::schema::failed;
use crate::disk::Pace;
use crate::error::StorageError;
use crate::waiting::{Waiting, WakeOnDrop};

/// Changes waiting for the writer before further callers have to wait to queue.
pub(super) const QUEUE: usize = 1_024;

/// The way to have changes made. Dropping it ends the thread after the last queued change.
pub(super) struct Writer {
    driver: Driver,
    counters: Arc<Counters>,
    waiting: Option<Arc<dyn Waiting>>,
}

enum Driver {
    Thread {
        queue: Option<SyncSender<Box<dyn Job>>>,
        thread: Option<JoinHandle<()>>,
    },
    Callers {
        pace: Arc<dyn Pace>,
        queue: Mutex<Vec<Box<dyn Job>>>,
        /// Gone once no change will succeed any more.
        committer: Mutex<Option<Box<Committer>>>,
    },
}

#[derive(Default)]
struct Counters {
    changes: AtomicU64,
    commits: AtomicU64,
    waiting: AtomicU64,
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
    /// Starts the thread, or lets `pace` decide when callers commit.
    pub(super) fn start(
        connection: Connection,
        appender: Appender,
        linger: Duration,
        pace: Option<Arc<dyn Pace>>,
    ) -> Self {
        let counters = Arc::new(Counters::default());
        let committer = Committer { connection, appender, counters: Arc::clone(&counters), in_doubt: false };
        let driver = match pace {
            None => Driver::start_thread(committer, linger),
            Some(pace) => {
                Driver::Callers { pace, queue: Mutex::default(), committer: Mutex::new(Some(Box::new(committer))) }
            }
        };
        Self { driver, counters, waiting: None }
    }

    /// Lets callers wait in this way.
    pub(super) fn set_waiting(&mut self, waiting: Arc<dyn Waiting>) {
        self.waiting = Some(waiting);
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
        self.counters.waiting.fetch_add(1, Ordering::Relaxed);
        let wait = self.waiting.as_ref().map(|waiting| waiting.begin());
        let wake = WakeOnDrop(wait.clone());
        let queued = self.driver.queue(Box::new(Task { work: Some(work), outcome: None, reply, wake }));
        if let Some(wait) = wait {
            wait.sleep();
        }
        let outcome = queued.map(|()| answer.recv());
        self.counters.waiting.fetch_sub(1, Ordering::Relaxed);
        outcome?.map_err(|_| StorageError::Stopped)?
    }

    /// Changes that callers wait for.
    pub(super) fn waiting(&self) -> u64 {
        self.counters.waiting.load(Ordering::Relaxed)
    }

    /// Whether no change will succeed any more.
    pub(super) fn has_ended(&self) -> bool {
        match &self.driver {
            Driver::Thread { thread, .. } => thread.as_ref().is_none_or(JoinHandle::is_finished),
            Driver::Callers { committer, .. } => lock(committer).is_none(),
        }
    }

    /// Durable changes and transactions so far.
    pub(super) fn counts(&self) -> (u64, u64) {
        let Counters { changes, commits, .. } = &*self.counters;
        (changes.load(Ordering::Relaxed), commits.load(Ordering::Relaxed))
    }
}

impl Driver {
    fn start_thread(committer: Committer, linger: Duration) -> Self {
        let (queue, waiting) = sync_channel(QUEUE);
        let state = Thread { committer, waiting, patience: Patience::new(linger) };
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || state.run())
            .expect("the operating system can start a thread");
        Self::Thread { queue: Some(queue), thread: Some(thread) }
    }

    fn queue(&self, job: Box<dyn Job>) -> Result<(), StorageError> {
        match self {
            Self::Thread { queue, .. } => {
                let queue = queue.as_ref().ok_or(StorageError::Stopped)?;
                queue.send(job).map_err(|_| StorageError::Stopped)
            }
            Self::Callers { pace, queue, committer } => {
                lock(queue).push(job);
                pace.queued(&|| commit(queue, committer));
                Ok(())
            }
        }
    }
}

/// Makes everything durable that is queued.
fn commit(queue: &Mutex<Vec<Box<dyn Job>>>, committer: &Mutex<Option<Box<Committer>>>) {
    let mut committer = lock(committer);
    let jobs = mem::take(&mut *lock(queue));
    // Jobs that are dropped without an answer tell their callers that nothing is taken any more.
    if let Some(alive) = committer.as_mut().filter(|_| !jobs.is_empty())
        && !alive.serve(jobs)
    {
        *committer = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Driver::Thread { queue, thread } = &mut self.driver {
            drop(queue.take());
            if let Some(thread) = thread.take() {
                // A panic was reported when it happened; the callers got `Stopped`.
                let _ = thread.join();
            }
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
    /// Last, so that there is an answer or none to come when the caller wakes.
    wake: WakeOnDrop,
}

impl<W, T, E> Job for Task<W, T, E>
where
    W: FnOnce(&mut Batch<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StorageError> + Send,
{
    fn run(&mut self, batch: &mut Batch<'_>) -> bool {
        self.outcome = self.work.take().map(|work| work(batch));
        let keep = matches!(self.outcome, Some(Ok(_)));
        if planted("answered-before-commit")
            && let Some(outcome) = self.outcome.take()
        {
            let _ = self.reply.send(outcome);
            drop(mem::replace(&mut self.wake, WakeOnDrop(None)));
        }
        keep
    }

    fn answer(self: Box<Self>, transaction: Result<(), StorageError>) {
        let outcome = match (self.outcome, transaction) {
            // Also to those who were refused: perhaps because of a change that was not kept.
            (_, Err(error)) => Err(error.into()),
            (Some(outcome), Ok(())) => outcome,
            (None, Ok(())) => Err(StorageError::Stopped.into()),
        };
        // The caller may have gone away; nobody else needs the answer.
        let _ = self.reply.send(outcome);
    }
}

struct Thread {
    committer: Committer,
    waiting: Receiver<Box<dyn Job>>,
    patience: Patience,
}

impl Thread {
    fn run(mut self) {
        while let Ok(first) = self.waiting.recv() {
            let mut jobs = vec![first];
            self.patience.gather(&mut jobs, &self.waiting);
            if !self.committer.serve(jobs) {
                return;
            }
        }
    }
}

/// Turns changes into transactions.
struct Committer {
    connection: Connection,
    appender: Appender,
    counters: Arc<Counters>,
    /// Whether the last transaction failed so late that it may be on the disk.
    in_doubt: bool,
}

impl Committer {
    /// Makes the changes durable and answers. Says whether there can be further ones.
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
        // Without a healthy end nobody knows what the disk will say.
        let result = if healthy { result.map(|_| ()) } else { Err(StorageError::Stopped) };
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
        if self.appender.frontier.size() > start && !planted("checkpoint-in-another-transaction") {
            self.appender.seal(&self.connection)?;
        }
        let committed = execute(&self.connection, "COMMIT");
        self.in_doubt = committed.as_ref().is_err_and(|error| !is_full(error));
        if !planted("failed-commit-taken-for-success") {
            committed?;
        }
        if planted("checkpoint-in-another-transaction") {
            self.appender.seal(&self.connection)?;
        }
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
            if !planted("log-not-turned-back-after-refusal") {
                self.appender.frontier = before;
            }
        }
        execute(&self.connection, "RELEASE job")?;
        Ok(keep)
    }

    /// After a failed transaction: clean up and find out where the log ends. Without that knowledge nothing may be written.
    fn recover(&mut self) -> bool {
        if !self.connection.is_autocommit() && execute(&self.connection, "ROLLBACK").is_err() {
            return false;
        }
        self.appender.reload(&self.connection).is_ok() && (!mem::take(&mut self.in_doubt) || self.settle())
    }

    /// A transaction whose commit failed may be on the disk all the same, and would be there again after a crash although its
    /// callers were told that it is not. A further one takes its place.
    fn settle(&self) -> bool {
        execute(&self.connection, "UPDATE start SET count = count + 1").is_ok()
    }
}

/// Whether there was no space: then the end of the transaction was not written.
fn is_full(error: &StorageError) -> bool {
    let StorageError::Database { source, .. } = error else { return false };
    let code = source.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code);
    code == Some(ErrorCode::DiskFull)
}

fn execute(connection: &Connection, sql: &'static str) -> Result<(), StorageError> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map_err(failed(sql))?;
    Ok(())
}
