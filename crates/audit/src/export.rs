//! Writes the log as files in the layout of C2SP tlog-tiles, adding only what a folder does not have yet.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::frontier::Frontier;
use crate::hash::Hash;
use crate::proof::HashReader;
use crate::tile::{self, Kind, Tile};

/// Gives the records of a log beside its hashes.
pub trait LogReader: HashReader {
    /// `count` consecutive records from number `start` on, at most one bundle (256).
    ///
    /// # Errors
    /// If a record cannot be read or does not exist.
    fn records(&self, start: u64, count: usize) -> Result<Vec<Vec<u8>>, Self::Error>;
}

/// What an export did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ExportReport {
    /// Number of leaves the folder now holds.
    pub size: u64,
    /// Number of leaves it held before.
    pub previous_size: u64,
    /// Files written.
    pub files: u64,
}

/// Why an export did not take place. The folder still holds what it held before.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExportError<E> {
    /// A file could not be written.
    #[error("cannot write {path}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The log could not be read.
    #[error("cannot read the log")]
    Log(#[source] E),
    /// The checkpoint to export is malformed.
    #[error("the checkpoint of the log cannot be read")]
    Checkpoint(#[source] CheckpointError),
    /// The folder holds something else than an earlier export of this log: another log, a longer one or a changed one.
    #[error("the folder {0} does not hold an earlier export of this log; use another folder")]
    ForeignFolder(PathBuf),
}

/// Exports the tree that the signed checkpoint `note` speaks of into the folder `dir`.
///
/// Full tiles that an earlier export wrote are kept as they are: they never change. The new checkpoint comes last, so an
/// interrupted export leaves the folder valid for the old one. `progress` is told leaves done and leaves in all.
///
/// # Errors
/// See [`ExportError`].
pub fn export<R: LogReader>(
    log: &R,
    note: &str,
    dir: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<ExportReport, ExportError<R::Error>> {
    let checkpoint = Checkpoint::peek(note.as_bytes()).map_err(ExportError::Checkpoint)?;
    let previous_size = earlier_size(log, &checkpoint, dir)?;
    let mut writer = Writer { dir, files: 0 };
    // What lies in full tiles of the earlier tree is there already.
    for bundle in new_tiles(Kind::Entries, previous_size, checkpoint.size) {
        let records = log.records(bundle.start(), usize::from(bundle.width)).map_err(ExportError::Log)?;
        writer.write(&bundle.path(), &tile::encode_entries(&records))?;
        progress(bundle.start() + u64::from(bundle.width), checkpoint.size);
    }
    for level in Tile::levels(checkpoint.size) {
        for tile in new_tiles(Kind::Hashes(level), previous_size, checkpoint.size) {
            let hashes = log.hashes(level, tile.start(), usize::from(tile.width)).map_err(ExportError::Log)?;
            writer.write(&tile.path(), &tile::encode_hashes(&hashes))?;
        }
    }
    writer.write("checkpoint", note.as_bytes())?;
    remove_outdated(dir, previous_size, checkpoint.size);
    Ok(ExportReport { size: checkpoint.size, previous_size, files: writer.files })
}

/// Tiles of the new tree that are no full tiles of the old one.
fn new_tiles(kind: Kind, old: u64, new: u64) -> impl Iterator<Item = Tile> {
    let kept = tile::count(kind, old) / tile::WIDTH;
    Tile::all(kind, new).skip_while(move |tile| tile.index < kept)
}

/// Size of the tree an earlier export left in the folder, after making sure that it is a prefix of this log.
fn earlier_size<R: LogReader>(log: &R, checkpoint: &Checkpoint, dir: &Path) -> Result<u64, ExportError<R::Error>> {
    let foreign = || ExportError::ForeignFolder(dir.to_owned());
    let path = dir.join("checkpoint");
    let note = match fs::read(&path) {
        Ok(note) => note,
        // Nothing yet, or a first export that was interrupted: begin at the beginning.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(source) => return Err(ExportError::Io { path, source }),
    };
    let earlier = Checkpoint::peek(&note).map_err(|_| foreign())?;
    if earlier.origin != checkpoint.origin || earlier.size > checkpoint.size {
        return Err(foreign());
    }
    let frontier = Frontier::load(log, earlier.size).map_err(ExportError::Log)?;
    if frontier.root() == earlier.root { Ok(earlier.size) } else { Err(foreign()) }
}

/// Partial tiles of the old tree that the new one has replaced. Left-over ones do no harm, so failure is no error.
fn remove_outdated(dir: &Path, old: u64, new: u64) {
    let kinds = Tile::levels(old).map(Kind::Hashes).chain([Kind::Entries]);
    for kind in kinds {
        let current: Option<Tile> = Tile::all(kind, new).last();
        let Some(outdated) = Tile::all(kind, old).last().filter(|tile| !tile.is_full()) else {
            continue;
        };
        if current != Some(outdated) {
            let path = dir.join(outdated.path());
            let _ = fs::remove_file(&path);
            if let Some(folder) = path.parent() {
                let _ = fs::remove_dir(folder);
            }
        }
    }
}

/// Beside the checkpoint, where nobody looks for tiles.
const TEMPORARY: &str = "export.tmp";

struct Writer<'a> {
    dir: &'a Path,
    files: u64,
}

impl Writer<'_> {
    /// Writes a whole file under another name, makes it durable and renames it: readers see all of it or nothing.
    fn write<E>(&mut self, path: &str, bytes: &[u8]) -> Result<(), ExportError<E>> {
        let path = self.dir.join(path);
        write_durably(&self.dir.join(TEMPORARY), &path, bytes).map_err(|source| ExportError::Io { path, source })?;
        self.files += 1;
        Ok(())
    }
}

fn write_durably(temporary: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = File::create(temporary)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(temporary, path)
}

/// The hashes of the leaves in a bundle.
pub(crate) fn leaf_hashes<R: AsRef<[u8]>>(records: &[R]) -> Vec<Hash> {
    records.iter().map(|record| Hash::of_leaf(record.as_ref())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MemoryLog, signer};
    use crate::verify::verify_export;

    fn note(log: &MemoryLog, name: &str) -> String {
        let checkpoint = Checkpoint { origin: name.into(), size: log.frontier.size(), root: log.frontier.root() };
        checkpoint.sign(&signer(name))
    }

    fn grow(log: &mut MemoryLog, size: u64) {
        for i in log.frontier.size()..size {
            let mut leaf = crate::Leaf::new(time::OffsetDateTime::UNIX_EPOCH, crate::Event::Accepted);
            leaf.count = Some(i);
            log.append(leaf.to_bytes());
        }
    }

    #[test]
    fn exports_grow_by_what_is_new() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = MemoryLog::default();
        for (size, files) in [(0, 1), (0, 1), (3, 3), (3, 3), (256, 4), (257, 4), (600, 6), (600, 4)] {
            grow(&mut log, size);
            let mut steps = Vec::new();
            let report =
                export(&log, &note(&log, "log"), dir.path(), &mut |done, all| steps.push((done, all))).unwrap();
            assert_eq!((report.size, report.files), (size, files), "{size}");
            if size > 0 {
                assert_eq!(steps.last(), Some(&(size, size)));
            }
            let verified = verify_export(dir.path(), signer("log").verifier()).unwrap();
            assert!(verified.problems.is_empty(), "{verified:?}");
        }
        assert!(!dir.path().join("tile/entries/000.p/3").exists());
        assert!(!dir.path().join("tile/entries/000.p").exists());
    }

    #[test]
    fn folders_of_others_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = MemoryLog::default();
        grow(&mut log, 10);
        export(&log, &note(&log, "log"), dir.path(), &mut |_, _| {}).unwrap();
        let shorter = MemoryLog::of(log.records[..5].to_vec());
        let changed = MemoryLog::of((0..20).map(|_| vec![1]));
        for (log, name) in [(&shorter, "log"), (&changed, "log"), (&log, "other")] {
            let result = export(log, &note(log, name), dir.path(), &mut |_, _| {});
            assert!(matches!(result, Err(ExportError::ForeignFolder(_))));
        }
        fs::remove_file(dir.path().join("checkpoint")).unwrap();
        // An export that was interrupted before its checkpoint is resumed.
        export(&log, &note(&log, "log"), dir.path(), &mut |_, _| {}).unwrap();
        fs::write(dir.path().join("checkpoint"), "rubbish").unwrap();
        let result = export(&log, &note(&log, "log"), dir.path(), &mut |_, _| {});
        assert!(matches!(result, Err(ExportError::ForeignFolder(_))));
    }
}
