//! SQLite on the simulated disk.
//!
//! VFSs of SQLite are registered for ever and by name, so there is a pool of them; a disk borrows one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sqlite_vfs::wip::{WalIndex, WalIndexLock};
use sqlite_vfs::{DatabaseHandle, LockKind, OpenAccess, OpenKind, OpenOptions, Vfs};

use super::names::Node;
use super::{Shared, failed};

/// Bytes of a region of shared memory.
const REGION: usize = 32_768;

/// A registered VFS that belongs to one disk.
pub(super) struct Slot(Arc<Registered>);

struct Registered {
    name: String,
    disk: Mutex<Weak<Shared>>,
}

static FREE: Mutex<Vec<Arc<Registered>>> = Mutex::new(Vec::new());
static COUNT: Mutex<u32> = Mutex::new(0);

impl Slot {
    pub(super) fn take(disk: &Weak<Shared>) -> Self {
        let free = unpoisoned(&FREE).pop();
        let slot = Self(free.unwrap_or_else(register));
        *unpoisoned(&slot.0.disk) = disk.clone();
        slot
    }

    pub(super) fn name(&self) -> String {
        self.0.name.clone()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        unpoisoned(&FREE).push(Arc::clone(&self.0));
    }
}

fn register() -> Arc<Registered> {
    let mut count = unpoisoned(&COUNT);
    *count += 1;
    let registered = Arc::new(Registered { name: format!("simulated-{count}"), disk: Mutex::new(Weak::new()) });
    sqlite_vfs::register(&registered.name, SimulatedVfs(Arc::clone(&registered)), false)
        .expect("SQLite takes any number of file systems");
    registered
}

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct SimulatedVfs(Arc<Registered>);

impl SimulatedVfs {
    fn disk(&self) -> io::Result<Arc<Shared>> {
        unpoisoned(&self.0.disk).upgrade().ok_or_else(failed)
    }
}

impl Vfs for SimulatedVfs {
    type Handle = Handle;

    fn open(&self, path: &str, options: OpenOptions) -> io::Result<Handle> {
        let disk = self.disk()?;
        let path = Path::new(path);
        let mut state = disk.lock();
        let boot = state.boot;
        let number = match options.access {
            OpenAccess::Create | OpenAccess::CreateNew => state.create_file(boot, path)?,
            OpenAccess::Read | OpenAccess::Write => {
                state.read(boot)?;
                state.names.file(path)?
            }
        };
        state.next_handle += 1;
        let id = state.next_handle;
        drop(state);
        // SQLite syncs the folder itself when it first syncs a log it may have made, and only then.
        let is_log = matches!(options.kind, OpenKind::Wal | OpenKind::MainJournal | OpenKind::SuperJournal);
        let unsynced_name = is_log.then(|| path.parent().map(Path::to_owned)).flatten();
        Ok(Handle { disk, boot, number, id, unsynced_name })
    }

    fn delete(&self, path: &str) -> io::Result<()> {
        let disk = self.disk()?;
        let mut state = disk.lock();
        let boot = state.boot;
        state.remove(boot, Path::new(path))
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        let disk = self.disk()?;
        let mut state = disk.lock();
        let boot = state.boot;
        state.read(boot)?;
        // As SQLite does it: an empty file is none.
        match state.names.get(Path::new(path)) {
            Some(Node::File(number)) => Ok(!state.contents(number)?.seen.is_empty()),
            Some(Node::Folder) => Ok(true),
            None => Ok(false),
        }
    }

    fn temporary_name(&self) -> String {
        let next = self.disk().map_or(0, |disk| {
            let mut state = disk.lock();
            state.next_handle += 1;
            state.next_handle
        });
        format!("/disk/temporary-{next}")
    }

    fn random(&self, buffer: &mut [i8]) {
        buffer.fill(7);
    }

    fn sleep(&self, time: Duration) -> Duration {
        if let Ok(disk) = self.disk() {
            disk.wait(time);
        }
        time
    }
}

/// An open file of a database.
pub(super) struct Handle {
    disk: Arc<Shared>,
    boot: u64,
    number: u64,
    id: u64,
    /// The folder whose name of this file is to be synced with the first sync of its bytes.
    unsynced_name: Option<PathBuf>,
}

/// What connections to one database share.
#[derive(Debug, Default)]
pub(super) struct Locks {
    shared: BTreeSet<u64>,
    reserved: Option<u64>,
    pending: Option<u64>,
    exclusive: Option<u64>,
    regions: BTreeMap<u32, Box<[u8; REGION]>>,
    index_shared: [BTreeSet<u64>; 8],
    index_exclusive: [Option<u64>; 8],
}

impl Locks {
    fn lock(&mut self, id: u64, kind: LockKind) -> bool {
        let by_other = |holder: Option<u64>| holder.is_some_and(|holder| holder != id);
        let release = |holder: &mut Option<u64>| *holder = holder.filter(|holder| *holder != id);
        match kind {
            LockKind::None => {
                self.shared.remove(&id);
                [&mut self.reserved, &mut self.pending, &mut self.exclusive].into_iter().for_each(release);
                true
            }
            LockKind::Shared => {
                let has_it = self.shared.contains(&id);
                if !has_it && (by_other(self.pending) || by_other(self.exclusive)) {
                    return false;
                }
                self.shared.insert(id);
                [&mut self.reserved, &mut self.pending, &mut self.exclusive].into_iter().for_each(release);
                true
            }
            LockKind::Reserved => {
                if by_other(self.reserved) || by_other(self.pending) || by_other(self.exclusive) {
                    return false;
                }
                self.reserved = Some(id);
                true
            }
            LockKind::Pending | LockKind::Exclusive => {
                if by_other(self.reserved) || by_other(self.pending) || by_other(self.exclusive) {
                    return false;
                }
                self.pending = Some(id);
                let alone = self.shared.iter().all(|holder| *holder == id);
                if alone && kind == LockKind::Exclusive {
                    self.exclusive = Some(id);
                }
                alone || kind == LockKind::Pending
            }
        }
    }

    fn held_by(&self, id: u64) -> LockKind {
        let mine = |holder: Option<u64>| holder == Some(id);
        if mine(self.exclusive) {
            LockKind::Exclusive
        } else if mine(self.pending) {
            LockKind::Pending
        } else if mine(self.reserved) {
            LockKind::Reserved
        } else if self.shared.contains(&id) {
            LockKind::Shared
        } else {
            LockKind::None
        }
    }

    fn lock_index(&mut self, id: u64, range: Range<u8>, lock: WalIndexLock) -> bool {
        let places = usize::from(range.start)..usize::from(range.end);
        let by_other = |at: usize| self.index_exclusive[at].is_some_and(|holder| holder != id);
        let free = match lock {
            WalIndexLock::None => true,
            WalIndexLock::Shared => !places.clone().any(by_other),
            WalIndexLock::Exclusive => {
                !places.clone().any(|at| by_other(at) || self.index_shared[at].iter().any(|holder| *holder != id))
            }
        };
        if free {
            for at in places {
                self.index_shared[at].remove(&id);
                self.index_exclusive[at] = self.index_exclusive[at].filter(|holder| *holder != id);
                match lock {
                    WalIndexLock::None => {}
                    WalIndexLock::Shared => drop(self.index_shared[at].insert(id)),
                    WalIndexLock::Exclusive => self.index_exclusive[at] = Some(id),
                }
            }
        }
        free
    }
}

impl Handle {
    fn locks<T>(&self, work: impl FnOnce(&mut Locks) -> T) -> io::Result<T> {
        let mut state = self.disk.lock();
        state.alive(self.boot)?;
        Ok(work(state.databases.entry(self.number).or_default()))
    }
}

impl DatabaseHandle for Handle {
    type WalIndex = Index;

    fn size(&self) -> io::Result<u64> {
        let state = self.disk.lock();
        state.alive(self.boot)?;
        Ok(state.contents(self.number)?.seen.len() as u64)
    }

    fn read_exact_at(&mut self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.read(self.boot)?;
        let bytes = &state.contents(self.number)?.seen;
        let start = bytes.len().min(usize::try_from(offset).unwrap_or(usize::MAX));
        let count = buf.len().min(bytes.len() - start);
        buf[..count].copy_from_slice(&bytes[start..start + count]);
        // SQLite demands zeros behind the end.
        buf[count..].fill(0);
        if count == buf.len() { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    fn write_all_at(&mut self, buf: &[u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(|_| failed())?;
        self.disk.lock().write(self.boot, self.number, offset, buf).map_err(|error| match error.kind() {
            // The way to tell SQLite that the disk is full.
            ErrorKind::StorageFull => ErrorKind::WriteZero.into(),
            _ => error,
        })
    }

    fn sync(&mut self, _data_only: bool) -> io::Result<()> {
        self.disk.sync_file(self.boot, self.number)?;
        if let Some(folder) = self.unsynced_name.take() {
            // SQLite does not look at the result.
            let _ = self.disk.sync_folder(self.boot, &folder);
        }
        Ok(())
    }

    fn set_len(&mut self, size: u64) -> io::Result<()> {
        let length = usize::try_from(size).map_err(|_| failed())?;
        self.disk.lock().resize(self.boot, self.number, length)
    }

    fn lock(&mut self, lock: LockKind) -> io::Result<bool> {
        self.locks(|locks| locks.lock(self.id, lock))
    }

    fn reserved(&mut self) -> io::Result<bool> {
        self.locks(|locks| locks.reserved.is_some() || locks.pending.is_some() || locks.exclusive.is_some())
    }

    fn current_lock(&self) -> io::Result<LockKind> {
        self.locks(|locks| locks.held_by(self.id))
    }

    fn wal_index(&self, _readonly: bool) -> io::Result<Index> {
        Ok(Index { disk: Arc::clone(&self.disk), boot: self.boot, number: self.number, id: self.id })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _ = self.locks(|locks| locks.lock(self.id, LockKind::None));
    }
}

/// The shared memory of a write-ahead log.
pub(super) struct Index {
    disk: Arc<Shared>,
    boot: u64,
    number: u64,
    id: u64,
}

impl Index {
    fn locks<T>(&self, work: impl FnOnce(&mut Locks) -> T) -> io::Result<T> {
        let mut state = self.disk.lock();
        state.alive(self.boot)?;
        Ok(work(state.databases.entry(self.number).or_default()))
    }
}

impl WalIndex for Index {
    fn map(&mut self, region: u32) -> io::Result<[u8; REGION]> {
        self.locks(|locks| **locks.regions.entry(region).or_insert_with(|| Box::new([0; REGION])))
    }

    fn lock(&mut self, range: Range<u8>, lock: WalIndexLock) -> io::Result<bool> {
        self.locks(|locks| locks.lock_index(self.id, range, lock))
    }

    fn delete(self) -> io::Result<()> {
        self.locks(|locks| locks.regions.clear())
    }

    fn pull(&mut self, region: u32, data: &mut [u8; REGION]) -> io::Result<()> {
        self.locks(|locks| {
            if let Some(found) = locks.regions.get(&region) {
                data.copy_from_slice(&found[..]);
            }
        })
    }

    fn push(&mut self, region: u32, data: &[u8; REGION]) -> io::Result<()> {
        self.locks(|locks| {
            locks.regions.entry(region).or_insert_with(|| Box::new([0; REGION])).copy_from_slice(data);
        })
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        let _ = self.locks(|locks| locks.lock_index(self.id, 0..8, WalIndexLock::None));
    }
}
