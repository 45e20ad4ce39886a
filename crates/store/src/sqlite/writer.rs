//! Changes the database: takes all changes that are waiting, makes them in one transaction, and answers all of them after the
//! commit, so that they share the wait for the disk. One thread does so, unless a [`Pace`] is given.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, mem};

use rohrpost_audit::{Frontier, Leaf};
use rohrpost_planted::planted;
use rusqlite::{Connection, ErrorCode};

use super::log::Appender;
use super::schema::failed;
use crate::disk::Pace;
use crate::error::StorageError;
use crate::waiting::{Waiting, WakeOnDrop};

/// Changes waiting for the writer before further callers have to wait to queue.
pub(super) const QUEUE: usize = 1_024;
/// Changes in one transaction at most.
const MAX_BATCH: usize = 256;
/// Changes that make a transaction worth its wait for the disk, so that lingering for more ends.
const GOOD_BATCH: usize = 8;
/// Times the writer lingers for one transaction at most.
const MAX_LINGER: u32 = 4;
/// Transactions without lingering after lingering was in vain several times.
const MAX_PAUSE: u32 = 64;

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
        let state = Thread { committer, waiting, patience: Patience { linger, pause: 0, next_pause: 1 } };
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

#[cfg(test)]
mod tests {
    use rohrpost_audit::{Event, LogSigner, SigningKey};
    use time::OffsetDateTime;

    use super::super::log::Log;
    use super::super::schema;
    use super::*;
    use crate::error::AcceptError;
    use crate::waiting::Wait;

    fn start(dir: &tempfile::TempDir, sql: &str, linger: Duration) -> Writer {
        let connection = schema::open_writer(&dir.path().join("x.db"), None).unwrap();
        connection.execute_batch(sql).unwrap();
        let signer = LogSigner::new("log.example", SigningKey::from_seed(&[7; 32])).unwrap();
        let appender = Appender::load(&connection, signer).unwrap();
        Writer::start(connection, appender, linger, None)
    }

    fn leaf(bytes: usize) -> Leaf {
        let mut leaf = Leaf::new(OffsetDateTime::UNIX_EPOCH, Event::Refused);
        leaf.algorithms = vec!["x".repeat(500); bytes / 500];
        leaf
    }

    /// Keeps the thread busy while others queue up, so that they share transactions.
    fn together<T: Send>(writer: &Writer, count: usize, change: impl Fn(usize) -> T + Sync) -> Vec<T> {
        let (busy, begun) = sync_channel(1);
        thread::scope(|scope| {
            let hold = scope.spawn(|| {
                writer.change(move |_| {
                    busy.send(()).unwrap();
                    thread::sleep(Duration::from_millis(150));
                    Ok::<_, StorageError>(())
                })
            });
            begun.recv().unwrap();
            let change = &change;
            let threads: Vec<_> = (0..count).map(|number| scope.spawn(move || change(number))).collect();
            hold.join().unwrap().unwrap();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn one_that_fails_spoils_nothing_for_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let writer = start(&dir, "", Duration::ZERO);
        let results = together(&writer, 20, |number| {
            writer.change(move |batch| {
                let seq = batch.append(&leaf(0))?;
                if number % 3 == 0 { Err(AcceptError::MessageIdUsed) } else { Ok(seq) }
            })
        });
        let mut kept: Vec<u64> = results.iter().filter_map(|result| result.as_ref().ok().copied()).collect();
        kept.sort_unstable();
        assert_eq!(kept, (0..13).collect::<Vec<_>>());
        assert_eq!(results.iter().filter(|result| matches!(result, Err(AcceptError::MessageIdUsed))).count(), 7);
        let (changes, commits) = writer.counts();
        assert_eq!(changes, 14);
        assert!(commits <= 3, "{commits}");
        drop(writer);
        let connection = schema::open_writer(&dir.path().join("x.db"), None).unwrap();
        assert_eq!(Log(&connection).size().unwrap(), 13);
    }

    #[test]
    fn nobody_is_answered_before_the_commit() {
        let dir = tempfile::tempdir().unwrap();
        let connection = schema::open_writer(&dir.path().join("x.db"), None).unwrap();
        let signer = LogSigner::new("log.example", SigningKey::from_seed(&[7; 32])).unwrap();
        let appender = Appender::load(&connection, signer).unwrap();
        let mut committer = Committer { connection, appender, counters: Arc::default(), in_doubt: false };
        let (reply, first_answer) = sync_channel(2);
        let first = Task {
            work: Some(|_: &mut Batch<'_>| Ok::<_, StorageError>(())),
            outcome: None,
            reply,
            wake: WakeOnDrop(None),
        };
        let (reply, answer) = sync_channel(2);
        // Runs in the same transaction after the first.
        let second = move |_: &mut Batch<'_>| Ok::<_, StorageError>(first_answer.try_recv().is_err());
        let second = Task { work: Some(second), outcome: None, reply, wake: WakeOnDrop(None) };
        assert!(committer.serve(vec![Box::new(first), Box::new(second)]));
        assert!(answer.recv().unwrap().unwrap(), "the first had its answer before the commit");
    }

    #[test]
    fn a_full_disk_is_survived() {
        let dir = tempfile::tempdir().unwrap();
        let pages: i64 = {
            let connection = schema::open_writer(&dir.path().join("x.db"), None).unwrap();
            connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap()
        };
        let writer = start(&dir, &format!("PRAGMA max_page_count = {}", pages + 20), Duration::ZERO);
        let append = |bytes| writer.change(move |batch| batch.append(&leaf(bytes)));
        assert_eq!(append(0).unwrap(), 0);
        let mut last = 0;
        let failed = loop {
            match append(16_000) {
                Ok(seq) => last = seq,
                Err(error) => break error,
            }
            assert!(last < 100, "the limit does not work");
        };
        assert!(matches!(failed, StorageError::Database { .. }), "{failed}");
        assert!(matches!(append(16_000), Err(StorageError::Database { .. })));
        // Also if the first of two entries still found room.
        let both = writer.change(|batch| batch.append(&leaf(0)).and_then(|_| batch.append(&leaf(16_000))));
        assert!(matches!(both, Err(StorageError::Database { .. })));
        // What is small still fits, and the log goes on where it was.
        assert_eq!(append(0).unwrap(), last + 1);
        drop(writer);
        // Opening checks the log against its checkpoint.
        drop(start(&dir, "", Duration::ZERO));
    }

    #[test]
    fn after_the_end_nothing_hangs() {
        let dir = tempfile::tempdir().unwrap();
        let writer = start(&dir, "", Duration::from_millis(1));
        assert!(!writer.has_ended());
        let result = writer.change(|_| -> Result<(), StorageError> { panic!("as a test") });
        assert!(matches!(result, Err(StorageError::Stopped)));
        // The answer comes while the thread is still on its way out.
        while !writer.has_ended() {
            thread::yield_now();
        }
        let result = writer.change(|batch| batch.append(&leaf(0)));
        assert!(matches!(result, Err(StorageError::Stopped)));
    }

    /// Counts sleeping and waking.
    #[derive(Default)]
    struct Counted(Arc<[AtomicU64; 2]>);

    impl Waiting for Counted {
        fn begin(&self) -> Arc<dyn Wait> {
            Arc::new(Self(Arc::clone(&self.0)))
        }
    }

    impl Wait for Counted {
        fn sleep(&self) {
            while self.0[1].load(Ordering::SeqCst) == self.0[0].load(Ordering::SeqCst) {
                thread::yield_now();
            }
            self.0[0].fetch_add(1, Ordering::SeqCst);
        }

        fn wake(&self) {
            self.0[1].fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn every_change_sleeps_once_and_is_woken_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = start(&dir, "", Duration::ZERO);
        let counted = Counted::default();
        let counts = Arc::clone(&counted.0);
        writer.set_waiting(Arc::new(counted));
        let count = |which: usize| counts[which].load(Ordering::SeqCst);
        writer.change(|batch| batch.append(&leaf(0))).unwrap();
        assert_eq!((count(0), count(1)), (1, 1));
        writer.change(|_| Err::<(), _>(AcceptError::MessageIdUsed)).unwrap_err();
        assert_eq!((count(0), count(1)), (2, 2));
        writer.change(|_| -> Result<(), StorageError> { panic!("as a test") }).unwrap_err();
        assert_eq!((count(0), count(1)), (3, 3), "nobody sleeps for ever");
        while !writer.has_ended() {
            thread::yield_now();
        }
        writer.change(|batch| batch.append(&leaf(0))).unwrap_err();
        assert_eq!((count(0), count(1)), (4, 4), "nor when nothing is taken any more");
    }

    #[test]
    fn lingering_where_it_gains_nothing_becomes_rare() {
        let (_queue, waiting) = sync_channel(1);
        let mut patience = Patience { linger: Duration::from_nanos(1), pause: 0, next_pause: 1 };
        let mut lingered = 0;
        for _ in 0..400 {
            lingered += u32::from(patience.pause == 0);
            patience.gather(&mut Vec::new(), &waiting);
        }
        assert!((8..16).contains(&lingered), "{lingered}");
    }
}
