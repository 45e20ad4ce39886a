//! The state of a disk, and the one gate through which every operation goes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fault::{Fault, FaultCounts, Op};
use super::file::Contents;
use super::names::{Names, Node};
use super::vfs::Locks;
use super::{failed, full};
use crate::chance::Chance;

#[derive(Debug)]
pub(super) struct State {
    pub(super) names: Names,
    files: BTreeMap<u64, Contents>,
    next_file: u64,
    /// Spool files elsewhere whose bytes were synced.
    spools: BTreeSet<PathBuf>,
    pub(super) spools_elsewhere: bool,
    /// Lock files that somebody holds.
    pub(super) held: BTreeSet<PathBuf>,
    /// Locks and shared memory of databases.
    pub(super) databases: BTreeMap<u64, Locks>,
    pub(super) next_handle: u64,
    /// Counts the restarts; what was opened before the last one is dead.
    pub(super) boot: u64,
    /// Since when nothing works, and why.
    pub(super) stopped: Option<Fault>,
    pub(super) appointment: Option<(u64, Fault)>,
    pub(super) weather: (u64, Vec<Fault>),
    pub(super) full: bool,
    /// Nothing fails and nothing is counted.
    pub(super) quiet: bool,
    pub(super) operations: u64,
    pub(super) counts: FaultCounts,
    chance: Chance,
}

/// What the gate says about an operation.
enum Verdict {
    Go,
    /// Only so many of a hundred bytes, then this error.
    Part(u64, ErrorKind),
    Slow(Duration),
    SyncFails,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            names: Names::new(Path::new("/disk")),
            files: BTreeMap::new(),
            next_file: 0,
            spools: BTreeSet::new(),
            spools_elsewhere: false,
            held: BTreeSet::new(),
            databases: BTreeMap::new(),
            next_handle: 0,
            boot: 0,
            stopped: None,
            appointment: None,
            weather: (0, Vec::new()),
            full: false,
            quiet: false,
            operations: 0,
            counts: FaultCounts::default(),
            chance: Chance::new(seed),
        }
    }

    pub(super) fn copy_from(&mut self, other: &Self) {
        self.names = other.names.clone();
        self.files = other.files.clone();
        self.next_file = other.next_file;
    }

    pub(super) fn stop(&mut self, fault: Fault) {
        if self.stopped.is_none() {
            self.counts.count(fault);
            self.stopped = Some(fault);
        }
    }

    pub(super) fn restart(&mut self) {
        if self.stopped.take() == Some(Fault::PowerCut) {
            // Nothing, everything, and all between.
            let kept = *self.chance.pick(&[0, 0, 10, 50, 90, 100]);
            for file in self.files.values_mut() {
                file.lose_pending(&mut self.chance, kept, &mut self.counts);
                file.forget();
            }
            self.names.cut(&mut self.chance, kept, &mut self.counts);
        }
        let named: BTreeSet<u64> = self.names.numbers().collect();
        self.files.retain(|number, _| named.contains(number));
        self.boot += 1;
        self.held.clear();
        self.databases.clear();
        self.spools.clear();
        self.appointment = None;
    }

    pub(super) fn alive(&self, boot: u64) -> io::Result<()> {
        if self.stopped.is_some() || boot != self.boot { Err(failed()) } else { Ok(()) }
    }

    /// Whether an operation may be done.
    fn gate(&mut self, boot: u64, op: Op) -> io::Result<Verdict> {
        self.alive(boot)?;
        if self.quiet {
            return Ok(Verdict::Go);
        }
        self.operations += 1;
        let Some(fault) = self.due(op) else {
            if self.full && Fault::NoSpace.hits(op) {
                self.counts.no_space += 1;
                return Err(full());
            }
            return Ok(Verdict::Go);
        };
        if !matches!(fault, Fault::Kill | Fault::PowerCut) {
            self.counts.count(fault);
        }
        match fault {
            Fault::NoSpace => Err(full()),
            Fault::Io | Fault::ReadIo => Err(failed()),
            Fault::ShortWrite => Ok(Verdict::Part(self.chance.below(100), ErrorKind::StorageFull)),
            Fault::SyncFails => Ok(Verdict::SyncFails),
            Fault::SlowSync(time) => Ok(Verdict::Slow(time)),
            Fault::Kill | Fault::PowerCut => {
                self.stop(fault);
                Ok(Verdict::Part(self.chance.below(101), ErrorKind::Other))
            }
        }
    }

    fn due(&mut self, op: Op) -> Option<Fault> {
        if let Some((left, fault)) = &mut self.appointment
            && fault.hits(op)
        {
            if *left == 0 {
                let fault = *fault;
                self.appointment = None;
                return Some(fault);
            }
            *left -= 1;
        }
        let (often, faults) = &self.weather;
        let fitting: Vec<Fault> = faults.iter().copied().filter(|fault| fault.hits(op)).collect();
        if fitting.is_empty() || self.chance.below(100_000) >= *often {
            return None;
        }
        Some(*self.chance.pick(&fitting))
    }

    /// For operations that are done or not: those that end the process are done by chance.
    fn whole(&mut self, boot: u64, op: Op) -> io::Result<bool> {
        match self.gate(boot, op)? {
            Verdict::Part(part, _) => Ok(part >= 50),
            _ => Ok(true),
        }
    }

    fn answer(&self) -> io::Result<()> {
        if self.stopped.is_some() { Err(failed()) } else { Ok(()) }
    }

    pub(super) fn read(&mut self, boot: u64) -> io::Result<()> {
        self.gate(boot, Op::Read).map(drop)
    }

    pub(super) fn contents(&self, number: u64) -> io::Result<&Contents> {
        self.files.get(&number).ok_or_else(failed)
    }

    pub(super) fn create_folder(&mut self, boot: u64, path: &Path) -> io::Result<()> {
        self.alive(boot)?;
        match self.names.get(path) {
            Some(Node::Folder) => return Ok(()),
            Some(Node::File(_)) => return Err(ErrorKind::AlreadyExists.into()),
            None => {}
        }
        self.create_folder(boot, path.parent().ok_or(ErrorKind::NotFound)?)?;
        if self.whole(boot, Op::Name)? {
            self.names.set(path, Some(Node::Folder))?;
        }
        self.answer()
    }

    /// The file of this name; makes an empty one if there is none.
    pub(super) fn create_file(&mut self, boot: u64, path: &Path) -> io::Result<u64> {
        self.alive(boot)?;
        match self.names.file(path) {
            Ok(number) => return Ok(number),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let number = self.add(Contents::default());
        if self.whole(boot, Op::Name)? {
            self.names.set(path, Some(Node::File(number)))?;
        }
        self.answer().map(|()| number)
    }

    pub(super) fn adopt(&mut self, boot: u64, spool: &Path, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
        self.alive(boot)?;
        if self.spools_elsewhere {
            return Err(ErrorKind::CrossesDevices.into());
        }
        if self.whole(boot, Op::Name)? {
            let contents = if self.spools.remove(spool) {
                Contents::durable(bytes)
            } else {
                let mut contents = Contents::default();
                contents.write(0, &bytes);
                contents
            };
            let number = self.add(contents);
            self.names.set(path, Some(Node::File(number)))?;
        }
        self.answer()
    }

    pub(super) fn rename(&mut self, boot: u64, from: &Path, to: &Path) -> io::Result<()> {
        let number = self.names.file(from)?;
        if self.whole(boot, Op::Name)? {
            self.names.set(from, None)?;
            self.names.set(to, Some(Node::File(number)))?;
        }
        self.answer()
    }

    pub(super) fn remove(&mut self, boot: u64, path: &Path) -> io::Result<()> {
        match self.names.get(path) {
            None => return Err(ErrorKind::NotFound.into()),
            Some(Node::Folder) => {
                let inside: Vec<String> = self.names.list(path)?.map(|(name, _)| name.clone()).collect();
                inside.iter().try_for_each(|name| self.remove(boot, &path.join(name)))?;
            }
            Some(Node::File(_)) => {}
        }
        if self.whole(boot, Op::Name)? {
            self.names.set(path, None)?;
        }
        self.answer()
    }

    pub(super) fn write(&mut self, boot: u64, number: u64, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let verdict = self.gate(boot, Op::Write)?;
        let file = self.files.get_mut(&number).ok_or_else(failed)?;
        match verdict {
            Verdict::Part(part, error) => {
                let length = bytes.len() * usize::try_from(part).unwrap_or(0) / 100;
                file.write(offset, &bytes[..length.min(bytes.len())]);
                Err(error.into())
            }
            _ => {
                file.write(offset, bytes);
                Ok(())
            }
        }
    }

    pub(super) fn resize(&mut self, boot: u64, number: u64, length: usize) -> io::Result<()> {
        if self.whole(boot, Op::Write)? {
            self.files.get_mut(&number).ok_or_else(failed)?.resize(length);
        }
        self.answer()
    }

    /// Returns how long it takes.
    pub(super) fn sync(&mut self, boot: u64, number: u64) -> io::Result<Duration> {
        let verdict = self.gate(boot, Op::Sync)?;
        let file = self.files.get_mut(&number).ok_or_else(failed)?;
        match verdict {
            Verdict::SyncFails => {
                // Perhaps all of it is on the disk after all, and only the end of it could not be confirmed.
                let kept = *self.chance.pick(&[0, 30, 100]);
                file.lose_pending(&mut self.chance, kept, &mut self.counts);
                Err(failed())
            }
            Verdict::Part(..) => Err(failed()),
            Verdict::Slow(time) => {
                file.sync();
                Ok(time)
            }
            Verdict::Go => {
                file.sync();
                Ok(Duration::ZERO)
            }
        }
    }

    pub(super) fn sync_spool(&mut self, boot: u64, path: &Path) -> io::Result<Duration> {
        let verdict = self.gate(boot, Op::Sync)?;
        self.synced(verdict, |state| {
            state.spools.insert(path.to_owned());
            Ok(())
        })
    }

    pub(super) fn sync_names(&mut self, boot: u64, folder: &Path) -> io::Result<Duration> {
        let verdict = self.gate(boot, Op::Sync)?;
        // The folder above that of the store.
        let above = folder.ends_with("..").then(|| folder.parent().and_then(Path::parent)).flatten();
        let folder = above.unwrap_or(folder).to_owned();
        self.synced(verdict, |state| state.names.sync(&folder))
    }

    fn synced(&mut self, verdict: Verdict, done: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<Duration> {
        match verdict {
            Verdict::SyncFails | Verdict::Part(..) => Err(failed()),
            Verdict::Slow(time) => done(self).map(|()| time),
            Verdict::Go => done(self).map(|()| Duration::ZERO),
        }
    }

    fn add(&mut self, contents: Contents) -> u64 {
        self.next_file += 1;
        self.files.insert(self.next_file, contents);
        self.next_file
    }
}
