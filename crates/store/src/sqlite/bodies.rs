//! Bodies that are files: `bodies/<2 hex>/<16 hex>`, made durable before any row mentions them.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rohrpost_osci::source::ReadAt;
use rohrpost_planted::planted;
use tempfile::TempPath;

use crate::delivery::BodySource;
use crate::disk::Disk;
use crate::error::StorageError;

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
    disk: Arc<dyn Disk>,
    root: PathBuf,
    incoming: PathBuf,
    /// Bodies up to this size lie in the database.
    max_inline: u64,
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
    pub(super) fn new(disk: Arc<dyn Disk>, dir: &Path, max_inline: u64) -> Self {
        Self { disk, root: dir.join("bodies"), incoming: dir.join("incoming"), max_inline, next: AtomicU64::new(0) }
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
            self.disk.create_folder(&folder).map_err(|error| StorageError::io(&folder, error))?;
        }
        self.disk.create_folder(&self.incoming).map_err(|error| StorageError::io(&self.incoming, error))?;
        self.sync_folder(&self.root)?;
        self.root.parent().map_or(Ok(()), |dir| self.sync_folder(dir))
    }

    /// Removes everything from the spool folder: whoever wrote it is gone.
    pub(super) fn empty_incoming(&self) -> Result<(), StorageError> {
        let found = self.disk.list(&self.incoming).map_err(|error| StorageError::io(&self.incoming, error))?;
        for path in found.into_iter().map(|entry| self.incoming.join(entry.name)) {
            self.disk.remove(&path).map_err(|error| StorageError::io(&path, error))?;
        }
        Ok(())
    }

    /// Whether [`place`](Self::place) may have to make a file of the body.
    pub(super) fn needs_file(&self, source: &BodySource) -> bool {
        match source {
            BodySource::Inline(bytes) => bytes.len() as u64 > self.max_inline,
            BodySource::File(_) => true,
        }
    }

    /// Brings a body to where it stays. After this a crash leaves at worst a file that no row mentions.
    pub(super) fn place(&self, source: BodySource) -> Result<Placed, StorageError> {
        match source {
            BodySource::Inline(bytes) if bytes.len() as u64 <= self.max_inline => Ok(Placed::Row(bytes)),
            BodySource::Inline(bytes) => self.write(&mut bytes.as_slice(), bytes.len() as u64),
            BodySource::File(path) => {
                let length = fs::metadata(&path).map_err(|error| StorageError::io(&path, error))?.len();
                if length > self.max_inline {
                    return self.adopt(path, length);
                }
                let bytes = fs::read(&path).map_err(|error| StorageError::io(&path, error))?;
                Ok(Placed::Row(bytes))
            }
        }
    }

    pub(super) fn open(&self, name: &str) -> Result<Arc<dyn ReadAt>, StorageError> {
        let path = self.path(name);
        self.disk.open(&path).map_err(|error| StorageError::io(&path, error))
    }

    /// Removes a file that no row mentions (any more). If that fails, the next start does it.
    pub(super) fn remove(&self, name: &str) {
        let _ = self.disk.remove(&self.path(name));
    }

    /// Removes files that no row mentions; leaves everything alone that is not named like a body.
    pub(super) fn remove_orphans(&self, mut mentioned: HashSet<String>) -> Result<Found, StorageError> {
        let mut orphans = 0;
        for name in self.names()? {
            if planted("mentioned-bodies-are-orphans") || !mentioned.remove(&name) {
                let path = self.path(&name);
                self.disk.remove(&path).map_err(|error| StorageError::io(&path, error))?;
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
            let folder = self.root.join(format!("{shard:02x}"));
            for entry in self.disk.list(&folder).map_err(|error| StorageError::io(&folder, error))? {
                let name = entry.name;
                let ours = name.len() == 16
                    && name.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
                    && self.path(&name) == folder.join(&name)
                    && entry.is_file;
                if ours {
                    names.push(name);
                }
            }
        }
        Ok(names)
    }

    /// Makes a spool file durable and gives it its final name.
    fn adopt(&self, spool: TempPath, bytes: u64) -> Result<Placed, StorageError> {
        if !planted("body-not-fsynced") {
            self.disk.sync_file(&spool).map_err(|error| StorageError::io(&spool, error))?;
        }
        let (name, target) = self.next_name();
        if planted("body-not-renamed") {
            return Ok(Placed::File { name, bytes });
        }
        match self.disk.adopt(spool, &target) {
            Ok(()) => self.named(name, &target, bytes),
            // Copying is all that is left.
            Err(failed) if failed.error.kind() == io::ErrorKind::CrossesDevices => {
                let mut spool = File::open(&failed.path).map_err(|error| StorageError::io(&failed.path, error))?;
                self.write(&mut spool, bytes)
            }
            Err(failed) => Err(StorageError::io(&target, failed.error)),
        }
    }

    /// Makes a durable file of what is not one on this disk.
    fn write(&self, content: &mut dyn Read, bytes: u64) -> Result<Placed, StorageError> {
        let (name, target) = self.next_name();
        let path = self.incoming.join(&name);
        let disk = &self.disk;
        let written = disk
            .write_file(&path, content)
            .and_then(|()| disk.sync_file(&path))
            .and_then(|()| disk.rename(&path, &target));
        if let Err(error) = written {
            // If that fails too, the next start does it.
            let _ = disk.remove(&path);
            return Err(StorageError::io(&path, error));
        }
        self.named(name, &target, bytes)
    }

    /// The file has its final name: makes that durable.
    fn named(&self, name: String, target: &Path, bytes: u64) -> Result<Placed, StorageError> {
        if !planted("folder-of-body-not-fsynced") {
            target.parent().map_or(Ok(()), |folder| self.sync_folder(folder))?;
        }
        Ok(Placed::File { name, bytes })
    }

    fn next_name(&self) -> (String, PathBuf) {
        let name = format!("{:016x}", self.next.fetch_add(1, Ordering::Relaxed));
        let path = self.path(&name);
        (name, path)
    }

    /// Waits until the names in a folder are on the disk.
    fn sync_folder(&self, path: &Path) -> Result<(), StorageError> {
        self.disk.sync_folder(path).map_err(|error| StorageError::io(path, error))
    }

    /// The last two digits choose the folder: neighbours in time spread over all of them.
    fn path(&self, name: &str) -> PathBuf {
        let shard = name.get(name.len().saturating_sub(2)..).unwrap_or_default();
        self.root.join(shard).join(name)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tempfile::NamedTempFile;

    use super::*;
    use crate::disk::SystemDisk;

    const MAX_INLINE: u64 = 1000;

    fn bodies(dir: &Path) -> Bodies {
        let bodies = Bodies::new(Arc::new(SystemDisk), dir, MAX_INLINE);
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
        assert_eq!(fs::read_dir(bodies.incoming()).unwrap().count(), 0, "nothing is left behind");
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
        assert_eq!(fs::read_dir(bodies.incoming()).unwrap().count(), 0);
    }
}
