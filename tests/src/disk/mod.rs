//! A disk in memory that can fail in every way a disk does, and always the same way for the same seed.
//!
//! It keeps apart what a process sees from what would still be there after a power cut: bytes until their file was synced, names
//! until their folder was synced. What is in between survives a power cut by chance, sector by sector and out of order. A sync
//! that fails loses what it should have brought to the disk, and the next one does not know, as on Linux.
//!
//! Store and SQLite lie on the same disk: [`SimulatedDisk::platform`] gives both the [`Disk`] and a VFS of the same files.
//! What the VFS tells SQLite about the disk is what SQLite assumes of every disk (no bytes beside the written ones change), and
//! nothing more: writes are neither atomic nor in order, appending is not safe.
//!
//! ```
//! use rohrpost_audit::{LogSigner, SigningKey};
//! use rohrpost_store::{SqliteOptions, SqliteStore};
//! use rohrpost_tests::disk::{DIRECTORY, Fault, SimulatedDisk};
//!
//! let disk = SimulatedDisk::new(7);
//! let signer = || LogSigner::new("log.example", SigningKey::from_seed(&[7; 32])).unwrap();
//! let open = || SqliteStore::open_on(disk.platform(), DIRECTORY.as_ref(), signer(), SqliteOptions::default());
//!
//! disk.fail(30, Fault::PowerCut);
//! assert!(open().is_err());
//! disk.restart();
//! assert!(open().is_ok());
//! ```

mod fault;
mod file;
mod names;
mod shared;
mod vfs;

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rohrpost_osci::source::ReadAt;
use rohrpost_store::disk::{Disk, DiskLock, Entry, Pace, Platform};
use tempfile::{PathPersistError, TempPath};

pub use fault::{Fault, FaultCounts};
use names::Node;
use shared::State;

/// The folder of the store.
pub const DIRECTORY: &str = "/disk/data";

/// A disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimulatedDisk(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    slot: vfs::Slot,
    /// Virtual time in microseconds that waiting for the disk took.
    waited: AtomicU64,
}

impl SimulatedDisk {
    /// An empty disk. All chance on it follows from the seed.
    pub fn new(seed: u64) -> Self {
        let shared = Arc::new_cyclic(|disk| Shared {
            state: Mutex::new(State::new(seed)),
            slot: vfs::Slot::take(disk),
            waited: AtomicU64::new(0),
        });
        Self(shared)
    }

    /// Another disk with the same content, if nothing is in the works. Its chance follows from the seed.
    pub fn copy(&self, seed: u64) -> Self {
        let copy = Self::new(seed);
        copy.0.lock().copy_from(&self.0.lock());
        copy
    }

    /// What a store is opened on: it lies on this disk until the next [`restart`](Self::restart), and its callers commit for
    /// themselves.
    pub fn platform(&self) -> Platform {
        self.platform_at(Arc::new(AtOnce))
    }

    /// The same with another pace of commits.
    pub fn platform_at(&self, pace: Arc<dyn Pace>) -> Platform {
        let mounted = Mounted { disk: Arc::clone(&self.0), boot: self.0.lock().boot };
        Platform { disk: Arc::new(mounted), vfs: Some(self.0.slot.name()), pace: Some(pace) }
    }

    /// Lets the `nth` operation from now on fail that the fault can hit, counted from 0. One such appointment at a time.
    pub fn fail(&self, nth: u64, fault: Fault) {
        self.0.lock().appointment = Some((nth, fault));
    }

    /// Withdraws the appointment; tells whether it was still to come.
    pub fn spare(&self) -> bool {
        self.0.lock().appointment.take().is_some()
    }

    /// Lets each operation fail in that many of 100,000 cases, with a fault of these.
    pub fn fail_often(&self, in_100_000: u64, faults: &[Fault]) {
        self.0.lock().weather = (in_100_000, faults.to_vec());
    }

    /// From now on there is no space left, or there is again.
    pub fn set_full(&self, full: bool) {
        self.0.lock().full = full;
    }

    /// Kills the process, or cuts the power, between two operations.
    pub fn stop(&self, fault: Fault) {
        self.0.lock().stop(fault);
    }

    /// Whether process or power are gone. Whatever is tried then fails and changes nothing.
    pub fn is_stopped(&self) -> bool {
        self.0.lock().stopped.is_some()
    }

    /// Starts again: after a power cut without what was lost. Everything opened before fails from now on. Drop it before.
    pub fn restart(&self) {
        self.0.lock().restart();
    }

    /// Does something without faults and without counting, such as looking at what became of a store.
    pub fn undisturbed<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = std::mem::replace(&mut self.0.lock().quiet, true);
        let result = work();
        self.0.lock().quiet = before;
        result
    }

    /// Spool files are on another file system from now on.
    pub fn set_spools_elsewhere(&self) {
        self.0.lock().spools_elsewhere = true;
    }

    /// Operations so far.
    pub fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    /// How often what went wrong.
    pub fn counts(&self) -> FaultCounts {
        self.0.lock().counts
    }

    /// Takes the virtual time that waiting for the disk took since the last call.
    pub fn take_waited(&self) -> Duration {
        Duration::from_micros(self.0.waited.swap(0, Ordering::Relaxed))
    }

    /// Names of the files below a folder.
    pub fn files_below(&self, folder: &Path) -> Vec<String> {
        self.0.lock().names.files_below(folder)
    }
}

/// Every caller commits its own change.
struct AtOnce;

impl Pace for AtOnce {
    fn queued(&self, commit: &dyn Fn()) {
        commit();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, time: Duration) {
        self.waited.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn sync_file(&self, boot: u64, number: u64) -> io::Result<()> {
        let slow = self.lock().sync(boot, number)?;
        self.wait(slow);
        Ok(())
    }

    fn sync_folder(&self, boot: u64, folder: &Path) -> io::Result<()> {
        let slow = self.lock().sync_names(boot, folder)?;
        self.wait(slow);
        Ok(())
    }
}

/// The disk as one run of a process has it.
struct Mounted {
    disk: Arc<Shared>,
    boot: u64,
}

impl Disk for Mounted {
    fn lock(&self, path: &Path) -> io::Result<Option<DiskLock>> {
        let mut state = self.disk.lock();
        state.create_file(self.boot, path)?;
        if !state.held.insert(path.to_owned()) {
            return Ok(None);
        }
        drop(state);
        Ok(Some(Box::new(Held { disk: Arc::clone(&self.disk), boot: self.boot, path: path.to_owned() })))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.disk.lock().create_folder(self.boot, path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let mut state = self.disk.lock();
        state.read(self.boot)?;
        let found = state.names.list(folder)?;
        Ok(found.map(|(name, node)| Entry { name: name.clone(), is_file: matches!(node, Node::File(_)) }).collect())
    }

    fn create_file(&self, path: &Path) -> io::Result<()> {
        self.disk.lock().create_file(self.boot, path).map(drop)
    }

    fn write_file(&self, path: &Path, content: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        let mut state = self.disk.lock();
        let number = state.create_file(self.boot, path)?;
        // As io::copy does it.
        bytes
            .chunks(8 * 1024)
            .enumerate()
            .try_for_each(|(at, piece)| state.write(self.boot, number, at * 8 * 1024, piece))
    }

    fn adopt(&self, spool: TempPath, path: &Path) -> Result<(), PathPersistError> {
        let adopted = fs::read(&spool).and_then(|bytes| self.disk.lock().adopt(self.boot, &spool, path, bytes));
        adopted.map_err(|error| PathPersistError { error, path: spool })
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadAt>> {
        let mut state = self.disk.lock();
        state.read(self.boot)?;
        let number = state.names.file(path)?;
        drop(state);
        Ok(Arc::new(Opened { disk: Arc::clone(&self.disk), boot: self.boot, number }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.lock().rename(self.boot, from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.lock().remove(self.boot, path)
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        if path.starts_with("/disk") {
            let number = self.disk.lock().names.file(path)?;
            return self.disk.sync_file(self.boot, number);
        }
        let slow = self.disk.lock().sync_spool(self.boot, path)?;
        self.disk.wait(slow);
        Ok(())
    }

    fn rewrite(&self, path: &Path) -> io::Result<bool> {
        let mut state = self.disk.lock();
        state.read(self.boot)?;
        let number = match state.names.file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            found => found?,
        };
        let bytes = state.contents(number)?.seen.clone();
        state.write(self.boot, number, 0, &bytes).map(|()| true)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_folder(self.boot, path)
    }
}

struct Held {
    disk: Arc<Shared>,
    boot: u64,
    path: std::path::PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.disk.lock();
        if state.boot == self.boot {
            state.held.remove(&self.path);
        }
    }
}

/// A file open for reading; goes on to be readable when its name is gone.
struct Opened {
    disk: Arc<Shared>,
    boot: u64,
    number: u64,
}

impl ReadAt for Opened {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.disk.lock();
        state.read(self.boot)?;
        let bytes = &state.contents(self.number)?.seen;
        let start = bytes.len().min(usize::try_from(offset).unwrap_or(usize::MAX));
        let count = buf.len().min(bytes.len() - start);
        buf[..count].copy_from_slice(&bytes[start..start + count]);
        Ok(count)
    }

    fn len(&self) -> u64 {
        self.disk.lock().contents(self.number).map_or(0, |file| file.seen.len() as u64)
    }
}

fn failed() -> io::Error {
    io::Error::other("simulated: input/output error")
}

fn full() -> io::Error {
    io::Error::new(ErrorKind::StorageFull, "simulated: no space left on device")
}
