//! Changes the database: takes all changes that are waiting, makes them in one transaction, and answers all of them after the
//! commit, so that they share the wait for the disk. One thread does so, unless a [`Pace`] is given; a caller who is alone commits
//! by itself and spares the way to the thread and back.

mod patience;
mod queue;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, mem};

use rohrpost_audit::{Frontier, Leaf};
use rohrpost_planted::planted;
use rusqlite::{Connection, ErrorCode};

use self::patience::Patience;
pub(super) use self::queue::QUEUE;
use self::queue::Queue;
use super::log::{Appender, Entry};
use super::schema::failed;
use crate::disk::Pace;
use crate::error::StorageError;
use crate::waiting::{Alarm, RingOnDrop, Waiting};

/// The way to have changes made. Dropping it ends the thread after the last queued change.
pub(super) struct Writer {
    shared: Arc<Shared>,
    driver: Driver,
    waiting: Option<Arc<dyn Waiting>>,
}

enum Driver {
    Thread(Option<JoinHandle<()>>),
    Callers(Arc<dyn Pace>),
}

/// What the thread and the callers have in common.
struct Shared {
    queue: Queue,
    /// Gone once no change will succeed any more.
    committer: Mutex<Option<Box<Committer>>>,
    has_ended: AtomicBool,
    /// Whether changes came one at a time lately, so that waiting for more is in vain.
    alone: AtomicBool,
    /// Changes that callers wait for.
    waiting: AtomicU64,
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
        self.append_entry(&leaf.into())
    }

    /// The same with an entry that the caller has made before, which spares the time in the transaction.
    pub(super) fn append_entry(&mut self, entry: &Entry) -> Result<u64, StorageError> {
        self.appender.append(self.connection, entry)
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
        let shared = Arc::new(Shared {
            queue: Queue::new(),
            committer: Mutex::new(Some(Box::new(committer))),
            has_ended: AtomicBool::new(false),
            alone: AtomicBool::new(false),
            waiting: AtomicU64::new(0),
            counters,
        });
        let driver = match pace {
            None => Driver::start_thread(Arc::clone(&shared), linger),
            Some(pace) => Driver::Callers(pace),
        };
        Self { shared, driver, waiting: None }
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
        self.make(work, Undo::Alone)
    }

    /// The same, cheaper, for `work` that refuses before it has changed anything. If it fails later, nothing of the transaction
    /// is kept, of nobody.
    pub(super) fn change_if<T, E>(
        &self,
        work: impl FnOnce(&mut Batch<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        self.make(work, Undo::WithAll)
    }

    /// The same for a caller that has something else to do while the disk is asked.
    pub(super) fn begin_change_if<T, E>(
        &self,
        work: impl FnOnce(&mut Batch<'_>) -> Result<T, E> + Send + 'static,
    ) -> Pending<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        let (task, pending) = self.task(work, Undo::WithAll);
        self.queue(Box::new(task));
        pending
    }

    fn make<T, E>(&self, work: impl FnOnce(&mut Batch<'_>) -> Result<T, E> + Send + 'static, undo: Undo) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        let (task, pending) = self.task(work, undo);
        match self.shared.if_alone() {
            Some(committer) => self.shared.serve_alone(committer, Box::new(task)),
            None => self.queue(Box::new(task)),
        }
        pending.wait()
    }

    fn task<W, T, E>(&self, work: W, undo: Undo) -> (Task<W, T, E>, Pending<T, E>) {
        let (reply, answer) = sync_channel(1);
        let alarm = Arc::new(Alarm::default());
        let task = Task { work: Some(work), undo, outcome: None, reply, alarm: RingOnDrop(Arc::clone(&alarm)) };
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        let awaited = Awaited(Arc::clone(&self.shared));
        (task, Pending { answer, alarm, waiting: self.waiting.clone(), _awaited: awaited })
    }

    fn queue(&self, job: Box<dyn Job>) {
        if self.shared.queue.push(job)
            && let Driver::Callers(pace) = &self.driver
        {
            pace.queued(&|| self.shared.serve_all());
        }
    }

    /// Changes that callers wait for.
    pub(super) fn waiting(&self) -> u64 {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// Whether no change will succeed any more.
    pub(super) fn has_ended(&self) -> bool {
        self.shared.has_ended.load(Ordering::Relaxed)
    }

    /// Durable changes and transactions so far.
    pub(super) fn counts(&self) -> (u64, u64) {
        let Counters { changes, commits } = &*self.shared.counters;
        (changes.load(Ordering::Relaxed), commits.load(Ordering::Relaxed))
    }
}

/// A change that is being made. It is made whether somebody waits for it or not.
pub(super) struct Pending<T, E> {
    answer: Receiver<Result<T, E>>,
    alarm: Arc<Alarm>,
    waiting: Option<Arc<dyn Waiting>>,
    _awaited: Awaited,
}

impl<T, E: From<StorageError>> Pending<T, E> {
    /// Waits until the change is durable or failed.
    pub(super) fn wait(self) -> Result<T, E> {
        if let Some(waiting) = &self.waiting {
            self.alarm.sleep(waiting.as_ref());
        }
        self.answer.recv().map_err(|_| StorageError::Stopped)?
    }
}

/// One of the changes that callers wait for.
struct Awaited(Arc<Shared>);

impl Drop for Awaited {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Driver {
    fn start_thread(shared: Arc<Shared>, linger: Duration) -> Self {
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || shared.run(Patience::new(linger)))
            .expect("the operating system can start a thread");
        Self::Thread(Some(thread))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Driver::Thread(thread) = &mut self.driver
            && let Some(thread) = thread.take()
        {
            // A panic was reported when it happened; the callers got `Stopped`.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// The thread: makes changes until the queue is closed and empty.
    fn run(&self, mut patience: Patience) {
        loop {
            let jobs = patience.gather(&self.queue);
            self.alone.store(jobs.len() == 1 && patience.is_in_vain(), Ordering::Relaxed);
            if jobs.is_empty() || !self.serve(&mut self.lock(), jobs) {
                return;
            }
        }
    }

    /// Makes everything durable that is queued.
    fn serve_all(&self) {
        let mut committer = self.lock();
        let jobs = self.queue.take(usize::MAX);
        if !jobs.is_empty() {
            self.serve(&mut committer, jobs);
        }
    }

    /// For a caller with whom nobody could share a transaction.
    fn if_alone(&self) -> Option<MutexGuard<'_, Option<Box<Committer>>>> {
        let is_alone = self.alone.load(Ordering::Relaxed) && self.queue.is_empty();
        is_alone.then(|| self.committer.try_lock().ok()).flatten()
    }

    fn serve_alone(&self, mut committer: MutexGuard<'_, Option<Box<Committer>>>, job: Box<dyn Job>) {
        self.serve(&mut committer, vec![job]);
        drop(committer);
        if !self.queue.is_empty() {
            self.alone.store(false, Ordering::Relaxed);
        }
    }

    /// Makes changes durable and answers. Says whether there can be further ones. Jobs that are dropped without an answer tell
    /// their callers that nothing is taken any more.
    fn serve(&self, committer: &mut Option<Box<Committer>>, jobs: Vec<Box<dyn Job>>) -> bool {
        let Some(mut alive) = committer.take() else { return false };
        // After a panic nobody knows what was done.
        let is_healthy = catch_unwind(AssertUnwindSafe(|| alive.serve(jobs))).unwrap_or(false);
        if is_healthy {
            *committer = Some(alive);
        } else {
            self.has_ended.store(true, Ordering::Relaxed);
            self.queue.close();
            drop(self.queue.take(usize::MAX));
        }
        is_healthy
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<Committer>>> {
        self.committer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is undone with a change that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Undo {
    /// Only what it did itself.
    Alone,
    /// If it did anything, the transaction.
    WithAll,
}

/// A queued change without its types.
trait Job: Send {
    fn undo(&self) -> Undo;
    /// Does the work. Says whether it shall stay.
    fn run(&mut self, batch: &mut Batch<'_>) -> bool;
    /// Tells the caller, after the transaction has ended.
    fn answer(self: Box<Self>, transaction: Result<(), StorageError>);
}

struct Task<W, T, E> {
    work: Option<W>,
    undo: Undo,
    outcome: Option<Result<T, E>>,
    reply: SyncSender<Result<T, E>>,
    /// Last, so that there is an answer or none to come when the caller wakes.
    alarm: RingOnDrop,
}

impl<W, T, E> Job for Task<W, T, E>
where
    W: FnOnce(&mut Batch<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StorageError> + Send,
{
    fn undo(&self) -> Undo {
        self.undo
    }

    fn run(&mut self, batch: &mut Batch<'_>) -> bool {
        self.outcome = self.work.take().map(|work| work(batch));
        let keep = matches!(self.outcome, Some(Ok(_)));
        if planted("answered-before-commit")
            && let Some(outcome) = self.outcome.take()
        {
            let _ = self.reply.send(outcome);
            drop(mem::replace(&mut self.alarm, RingOnDrop(Arc::default())));
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
            kept += u64::from(self.run(job.as_mut())?);
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

    fn run(&mut self, job: &mut dyn Job) -> Result<bool, StorageError> {
        match job.undo() {
            Undo::Alone => self.savepoint(job),
            Undo::WithAll => self.bare(job),
        }
    }

    fn savepoint(&mut self, job: &mut dyn Job) -> Result<bool, StorageError> {
        execute(&self.connection, "SAVEPOINT job")?;
        let before: Frontier = self.appender.frontier.clone();
        let keep = self.work(job)?;
        if !keep {
            execute(&self.connection, "ROLLBACK TO job")?;
            if !planted("log-not-turned-back-after-refusal") {
                self.appender.frontier = before;
            }
        }
        execute(&self.connection, "RELEASE job")?;
        Ok(keep)
    }

    /// Without a savepoint, for which SQLite keeps a copy of every page that changes.
    fn bare(&mut self, job: &mut dyn Job) -> Result<bool, StorageError> {
        let before = (self.connection.total_changes(), self.appender.frontier.size());
        let keep = self.work(job)?;
        if keep || (self.connection.total_changes(), self.appender.frontier.size()) == before {
            return Ok(keep);
        }
        Err(undone("a change failed halfway"))
    }

    fn work(&mut self, job: &mut dyn Job) -> Result<bool, StorageError> {
        let keep = job.run(&mut Batch { connection: &self.connection, appender: &mut self.appender });
        // Full disk or I/O error: SQLite has undone the whole transaction, and with it the changes of the others.
        if self.connection.is_autocommit() {
            return Err(undone("the transaction was undone, as when the disk is full or fails"));
        }
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

fn undone(reason: &str) -> StorageError {
    StorageError::Database { action: "keep the transaction", source: Arc::new(io::Error::other(reason)) }
}

fn execute(connection: &Connection, sql: &'static str) -> Result<(), StorageError> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map_err(failed(sql))?;
    Ok(())
}
