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
fn who_refuses_before_changing_anything_needs_no_savepoint() {
    let dir = tempfile::tempdir().unwrap();
    let writer = start(&dir, "", Duration::ZERO);
    let results =
        together(&writer, 20, |number| {
            writer.change_if(move |batch| {
                if number % 3 == 0 { Err(AcceptError::MessageIdUsed) } else { Ok(batch.append(&leaf(0))?) }
            })
        });
    let mut kept: Vec<u64> = results.iter().filter_map(|result| result.as_ref().ok().copied()).collect();
    kept.sort_unstable();
    assert_eq!(kept, (0..13).collect::<Vec<_>>());
    assert_eq!(results.iter().filter(|result| matches!(result, Err(AcceptError::MessageIdUsed))).count(), 7);
}

#[test]
fn who_promised_that_and_fails_halfway_takes_the_transaction_along() {
    let dir = tempfile::tempdir().unwrap();
    let writer = start(&dir, "", Duration::ZERO);
    let failed = together(&writer, 1, |_| {
        writer.change_if(|batch| {
            batch.append(&leaf(0))?;
            Err::<(), _>(AcceptError::MessageIdUsed)
        })
    });
    assert!(matches!(failed[..], [Err(AcceptError::Storage(StorageError::Database { .. }))]), "{failed:?}");
    assert_eq!(writer.change(|batch| batch.append(&leaf(0))).unwrap(), 0, "the log has turned back");
    drop(writer);
    drop(start(&dir, "", Duration::ZERO));
}

/// Makes changes until the writer has seen that lingering gains nothing.
fn until_alone(writer: &Writer) -> u64 {
    let mut seq = writer.change(|batch| batch.append(&leaf(0))).unwrap();
    while !writer.shared.alone.load(Ordering::Relaxed) {
        seq = writer.change(|batch| batch.append(&leaf(0))).unwrap();
    }
    // The thread answers a moment before it is done.
    drop(writer.shared.lock());
    seq
}

#[test]
fn who_is_alone_commits_without_the_thread() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = start(&dir, "", Duration::from_millis(1));
    let counted = Counted::default();
    let counts = Arc::clone(&counted.0);
    let before = until_alone(&writer);
    writer.set_waiting(Arc::new(counted));
    let (seq, thread) =
        writer.change(|batch| Ok::<_, StorageError>((batch.append(&leaf(0))?, thread::current().id()))).unwrap();
    assert_eq!((seq, thread), (before + 1, thread::current().id()));
    assert_eq!(counts[0].load(Ordering::SeqCst), 0, "there was nobody to wait for");
    assert_eq!(writer.counts(), (seq + 1, seq + 1));
    drop(writer);
    drop(start(&dir, "", Duration::ZERO));
}

#[test]
fn others_may_come_while_one_commits_alone() {
    let dir = tempfile::tempdir().unwrap();
    let writer = start(&dir, "", Duration::from_millis(1));
    let first = until_alone(&writer) + 1;
    let mut kept = together(&writer, 20, |_| writer.change(|batch| batch.append(&leaf(0))).unwrap());
    kept.sort_unstable();
    assert_eq!(kept, (first..first + 20).collect::<Vec<_>>());
    drop(writer);
    drop(start(&dir, "", Duration::ZERO));
}

#[test]
fn a_panic_of_who_is_alone_ends_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let writer = start(&dir, "", Duration::from_millis(1));
    until_alone(&writer);
    let result = writer.change(|_| -> Result<(), StorageError> { panic!("as a test") });
    assert!(matches!(result, Err(StorageError::Stopped)));
    assert!(writer.has_ended());
    let result = writer.change(|batch| batch.append(&leaf(0)));
    assert!(matches!(result, Err(StorageError::Stopped)));
}

#[test]
fn a_change_is_made_whether_somebody_waits_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = start(&dir, "", Duration::ZERO);
    let counted = Counted::default();
    let counts = Arc::clone(&counted.0);
    writer.set_waiting(Arc::new(counted));
    let begin = || writer.begin_change_if(|batch| batch.append(&leaf(0)));
    drop(begin());
    let (second, third) = (begin(), begin());
    assert_eq!(third.wait().unwrap(), 2);
    assert_eq!(second.wait().unwrap(), 1);
    let late = begin();
    while writer.counts().0 < 4 || !late.alarm.is_over() {
        thread::yield_now();
    }
    let slept = counts[0].load(Ordering::SeqCst);
    assert_eq!(late.wait().unwrap(), 3);
    assert_eq!(counts[0].load(Ordering::SeqCst), slept, "who comes late does not sleep");
    assert_eq!(writer.waiting(), 0);
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
        undo: Undo::Alone,
        outcome: None,
        reply,
        alarm: RingOnDrop(Arc::default()),
    };
    let (reply, answer) = sync_channel(2);
    // Runs in the same transaction after the first.
    let second = move |_: &mut Batch<'_>| Ok::<_, StorageError>(first_answer.try_recv().is_err());
    let second =
        Task { work: Some(second), undo: Undo::WithAll, outcome: None, reply, alarm: RingOnDrop(Arc::default()) };
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
fn who_sleeps_is_woken() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = start(&dir, "", Duration::ZERO);
    let counted = Counted::default();
    let counts = Arc::clone(&counted.0);
    writer.set_waiting(Arc::new(counted));
    let count = |which: usize| counts[which].load(Ordering::SeqCst);
    writer.change(|batch| batch.append(&leaf(0))).unwrap();
    assert_eq!(count(0), count(1));
    writer.change(|_| Err::<(), _>(AcceptError::MessageIdUsed)).unwrap_err();
    assert_eq!(count(0), count(1));
    writer.change(|_| -> Result<(), StorageError> { panic!("as a test") }).unwrap_err();
    assert_eq!(count(0), count(1), "nobody sleeps for ever");
    while !writer.has_ended() {
        thread::yield_now();
    }
    writer.change(|batch| batch.append(&leaf(0))).unwrap_err();
    assert_eq!(count(0), count(1), "nor when nothing is taken any more");
}
