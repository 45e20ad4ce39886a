//! Bodies that are files: `bodies/<2 hex>/<16 hex>`, made durable before any row mentions them.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::{NamedTempFile, TempPath};

use crate::delivery::BodySource;
use crate::error::StorageError;

/// Bodies up to this size lie in the database.
pub(super) const MAX_INLINE: u64 = 64 * 1024;

/// Whether [`Bodies::place`] may have to make a file of the body.
pub(super) fn needs_file(source: &BodySource) -> bool {
    match source {
        BodySource::Inline(bytes) => bytes.len() as u64 > MAX_INLINE,
        BodySource::File(_) => true,
    }
}

/// A body that is ready to be mentioned in a row.
pub(super) enum Placed {
    /// To be written into the row.
    Row(Vec<u8>),
    /// A durable file of this name and size.
    File {
        /// Name below the folder of bodies.
        name: String,
        /// Bytes.
        bytes: u64,
    },
}

impl Placed {
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Row(bytes) => bytes.len() as u64,
            Self::File { bytes, .. } => *bytes,
        }
    }
}

/// The folders of a store.
pub(super) struct Bodies {
    root: PathBuf,
    incoming: PathBuf,
    /// The next name as a number: count of starts in the upper half, files since then in the lower.
    next: AtomicU64,
}

/// What start-up found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Found {
    pub(super) orphans: u64,
    pub(super) missing: Vec<String>,
}

impl Bodies {
    pub(super) fn new(dir: &Path) -> Self {
        Self { root: dir.join("bodies"), incoming: dir.join("incoming"), next: AtomicU64::new(0) }
    }

    /// `start` counts the starts of this store: with it in the names, none is ever used twice.
    pub(super) fn begin_names(&self, start: u32) {
        self.next.store(u64::from(start) << 32, Ordering::Relaxed);
    }

    pub(super) fn incoming(&self) -> &Path {
        &self.incoming
    }

    /// Makes all folders, so that storing a body never has to make one durable.
    pub(super) fn create_folders(&self) -> Result<(), StorageError> {
        for shard in 0..=u8::MAX {
            let folder = self.root.join(format!("{shard:02x}"));
            fs::create_dir_all(&folder).map_err(|error| StorageError::io(&folder, error))?;
        }
        fs::create_dir_all(&self.incoming).map_err(|error| StorageError::io(&self.incoming, error))?;
        sync_folder(&self.root)?;
        self.root.parent().map_or(Ok(()), sync_folder)
    }

    /// Removes everything from the spool folder: whoever wrote it is gone.
    pub(super) fn empty_incoming(&self) -> Result<(), StorageError> {
        for path in list(&self.incoming)? {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(|error| StorageError::io(&path, error))?;
        }
        Ok(())
    }

    /// Brings a body to where it stays. After this a crash leaves at worst a file that no row mentions.
    pub(super) fn place(&self, source: BodySource) -> Result<Placed, StorageError> {
        match source {
            BodySource::Inline(bytes) if bytes.len() as u64 <= MAX_INLINE => Ok(Placed::Row(bytes)),
            BodySource::Inline(bytes) => self.adopt(self.spool(&mut bytes.as_slice())?),
            BodySource::File(path) => {
                let length = fs::metadata(&path).map_err(|error| StorageError::io(&path, error))?.len();
                if length > MAX_INLINE {
                    return self.adopt(path);
                }
                let bytes = fs::read(&path).map_err(|error| StorageError::io(&path, error))?;
                Ok(Placed::Row(bytes))
            }
        }
    }

    pub(super) fn open(&self, name: &str) -> Result<File, StorageError> {
        let path = self.path(name);
        File::open(&path).map_err(|error| StorageError::io(&path, error))
    }

    /// Removes a file that no row mentions (any more). If that fails, the next start does it.
    pub(super) fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.path(name));
    }

    /// Removes files that no row mentions; leaves everything alone that is not named like a body.
    pub(super) fn remove_orphans(&self, mut mentioned: HashSet<String>) -> Result<Found, StorageError> {
        let mut orphans = 0;
        for name in self.names()? {
            if !mentioned.remove(&name) {
                let path = self.path(&name);
                fs::remove_file(&path).map_err(|error| StorageError::io(&path, error))?;
                orphans += 1;
            }
        }
        let mut missing: Vec<String> = mentioned.into_iter().collect();
        missing.sort_unstable();
        Ok(Found { orphans, missing })
    }

    /// Names of all files that can be bodies.
    pub(super) fn names(&self) -> Result<Vec<String>, StorageError> {
        let mut names = Vec::new();
        for shard in 0..=u8::MAX {
            for path in list(&self.root.join(format!("{shard:02x}")))? {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let ours = name.len() == 16
                    && name.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
                    && self.path(&name) == path
                    && path.is_file();
                if ours {
                    names.push(name);
                }
            }
        }
        Ok(names)
    }

    /// Makes a file durable and gives it its final name.
    fn adopt(&self, path: TempPath) -> Result<Placed, StorageError> {
        let bytes = sync_file(&path)?;
        let name = format!("{:016x}", self.next.fetch_add(1, Ordering::Relaxed));
        let target = self.path(&name);
        match path.persist(&target) {
            Ok(()) => {}
            // The spool lies on another file system, so copying is all that is left.
            Err(failed) if failed.error.kind() == io::ErrorKind::CrossesDevices => {
                let mut file = File::open(&failed.path).map_err(|error| StorageError::io(&failed.path, error))?;
                let copy = self.spool(&mut file)?;
                sync_file(&copy)?;
                copy.persist(&target).map_err(|failed| StorageError::io(&target, failed.error))?;
            }
            Err(failed) => return Err(StorageError::io(&target, failed.error)),
        }
        target.parent().map_or(Ok(()), sync_folder)?;
        Ok(Placed::File { name, bytes })
    }

    fn spool(&self, source: &mut dyn io::Read) -> Result<TempPath, StorageError> {
        let mut write = || {
            let mut file = NamedTempFile::new_in(&self.incoming)?;
            io::copy(source, &mut file)?;
            file.flush()?;
            Ok(file.into_temp_path())
        };
        write().map_err(|error| StorageError::io(&self.incoming, error))
    }

    /// The last two digits choose the folder: neighbours in time spread over all of them.
    fn path(&self, name: &str) -> PathBuf {
        let shard = name.get(name.len().saturating_sub(2)..).unwrap_or_default();
        self.root.join(shard).join(name)
    }
}

/// Waits until a file's bytes are on the disk; returns how many.
fn sync_file(path: &Path) -> Result<u64, StorageError> {
    let sync = || {
        let file = File::open(path)?;
        file.sync_all()?;
        Ok(file.metadata()?.len())
    };
    sync().map_err(|error| StorageError::io(path, error))
}

/// Waits until the names in a folder are on the disk.
pub(super) fn sync_folder(path: &Path) -> Result<(), StorageError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|error| StorageError::io(path, error))
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, StorageError> {
    fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(|error| StorageError::io(folder, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(dir: &Path) -> Bodies {
        let bodies = Bodies::new(dir);
        bodies.create_folders().unwrap();
        bodies.begin_names(1);
        bodies
    }

    fn file(dir: &Path, bytes: &[u8]) -> BodySource {
        let mut file = NamedTempFile::new_in(dir).unwrap();
        file.write_all(bytes).unwrap();
        BodySource::File(file.into_temp_path())
    }

    #[test]
    fn small_ones_go_to_the_row_and_large_ones_to_files() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let bodies = bodies(dir.path());
        let (small, large) = (vec![1; MAX_INLINE as usize], vec![2; MAX_INLINE as usize + 1]);
        for source in [BodySource::Inline(small.clone()), file(bodies.incoming(), &small)] {
            assert!(matches!(bodies.place(source).unwrap(), Placed::Row(bytes) if bytes == small));
        }
        let mut names = HashSet::new();
        for source in
            [BodySource::Inline(large.clone()), file(bodies.incoming(), &large), file(elsewhere.path(), &large)]
        {
            let Placed::File { name, bytes } = bodies.place(source).unwrap() else { panic!("no file") };
            assert_eq!(bytes, large.len() as u64);
            assert_eq!(fs::read(bodies.path(&name)).unwrap(), large);
            assert!(names.insert(name));
        }
        assert_eq!(list(bodies.incoming()).unwrap().len(), 0, "nothing is left behind");
        assert_eq!(bodies.names().unwrap().into_iter().collect::<HashSet<_>>(), names);
    }

    #[test]
    fn only_orphans_go() {
        let dir = tempfile::tempdir().unwrap();
        let bodies = bodies(dir.path());
        let (kept, orphan) = ("0000000100000001", "0000000100000002");
        fs::write(bodies.path(kept), "x").unwrap();
        fs::write(bodies.path(orphan), "x").unwrap();
        let strangers =
            ["bodies/README", "bodies/01/notes.txt", "bodies/01/0000000100000002", "bodies/02/000000010000000A"];
        strangers.iter().for_each(|name| fs::write(dir.path().join(name), "x").unwrap());
        let mentioned = [kept, "0000000100000003"].map(str::to_owned);
        let found = bodies.remove_orphans(mentioned.into()).unwrap();
        assert_eq!(found, Found { orphans: 1, missing: vec!["0000000100000003".into()] });
        assert!(bodies.open(kept).is_ok() && bodies.open(orphan).is_err());
        assert!(strangers.iter().all(|name| dir.path().join(name).exists()));
    }

    #[test]
    fn incoming_is_emptied() {
        let dir = tempfile::tempdir().unwrap();
        let bodies = bodies(dir.path());
        fs::write(bodies.incoming().join("spool-1"), "x").unwrap();
        fs::create_dir(bodies.incoming().join("folder")).unwrap();
        fs::write(bodies.incoming().join("folder/x"), "x").unwrap();
        bodies.empty_incoming().unwrap();
        assert_eq!(list(bodies.incoming()).unwrap().len(), 0);
    }
}
