//! What a store stands on: the operations on files and folders that it needs beside its database.
//!
//! [`Platform::default`] is the machine. A simulation gives a [`Disk`] of its own, an SQLite VFS on the same disk, and a
//! [`Pace`] instead of the thread that writes, so that everything a store does can be made to fail and can be repeated.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt as _, FileExt, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use rohrpost_osci::source::ReadAt;
use tempfile::{PathPersistError, TempPath};

/// What a store stands on.
#[derive(Clone)]
pub struct Platform {
    /// Where bodies lie.
    pub disk: Arc<dyn Disk>,
    /// Name of a registered SQLite VFS for the database; without it, SQLite's own.
    pub vfs: Option<String>,
    /// When changes are made durable; without it, a thread of the store decides.
    pub pace: Option<Arc<dyn Pace>>,
}

impl Default for Platform {
    /// The machine.
    fn default() -> Self {
        Self { disk: Arc::new(SystemDisk), vfs: None, pace: None }
    }
}

/// Decides in the place of a thread when changes are made durable.
pub trait Pace: Send + Sync {
    /// Called by each caller of a changing method once its change is queued. Returns when the change was made durable or failed:
    /// after a call of `commit` here, or in another caller's place. `commit` takes all changes that are queued.
    fn queued(&self, commit: &dyn Fn());
}

/// Holds a lock until dropped.
pub type DiskLock = Box<dyn Send + Sync>;

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name. Names that are not UTF-8 are never ours and may be shown as anything else.
    pub name: String,
    /// Whether it is a file.
    pub is_file: bool,
}

/// Files and folders. What is made can be read and written by the owner only. Nothing is durable before it was synced: the bytes of a
/// file by [`sync_file`](Self::sync_file), its name by [`sync_folder`](Self::sync_folder).
pub trait Disk: Send + Sync {
    /// Takes the lock that this file stands for; `None` if somebody else has it. It goes with the process at the latest.
    ///
    /// # Errors
    /// As the operating system.
    fn lock(&self, path: &Path) -> io::Result<Option<DiskLock>>;

    /// Makes a folder, and those above that are missing.
    ///
    /// # Errors
    /// As the operating system.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// What is in a folder.
    ///
    /// # Errors
    /// As the operating system.
    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>>;

    /// Makes an empty file, unless there is one.
    ///
    /// # Errors
    /// As the operating system.
    fn create_file(&self, path: &Path) -> io::Result<()>;

    /// Makes a new file with this content.
    ///
    /// # Errors
    /// As the operating system; a part of the file may be left then.
    fn write_file(&self, path: &Path, content: &mut dyn Read) -> io::Result<()>;

    /// Gives a spool file, whose bytes were synced, another name.
    ///
    /// # Errors
    /// As the operating system, with the spool file; `CrossesDevices` if that lies on another file system.
    fn adopt(&self, spool: TempPath, path: &Path) -> Result<(), PathPersistError>;

    /// Opens a file for reading.
    ///
    /// # Errors
    /// As the operating system.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadAt>>;

    /// Renames a file.
    ///
    /// # Errors
    /// As the operating system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file, or a folder with all that is in it.
    ///
    /// # Errors
    /// As the operating system.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Waits until the bytes of a file, or of a spool file elsewhere, are on the disk.
    ///
    /// # Errors
    /// As the operating system. What was not on the disk by then may never get there.
    fn sync_file(&self, path: &Path) -> io::Result<()>;

    /// Writes the bytes of a file over themselves and tells whether there is one. A sync that failed may have left bytes that every process sees and
    /// that no later sync brings to the disk; after this the next one does.
    ///
    /// # Errors
    /// As the operating system.
    fn rewrite(&self, path: &Path) -> io::Result<bool>;

    /// Waits until the names in a folder are on the disk.
    ///
    /// # Errors
    /// As the operating system.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// The file systems of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn lock(&self, path: &Path) -> io::Result<Option<DiskLock>> {
        let file = private().create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let entry = |entry: fs::DirEntry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            Ok(Entry { name, is_file: entry.file_type()?.is_file() })
        };
        fs::read_dir(folder)?.map(|found| found.and_then(entry)).collect()
    }

    fn create_file(&self, path: &Path) -> io::Result<()> {
        private().create(true).truncate(false).open(path).map(drop)
    }

    fn write_file(&self, path: &Path, content: &mut dyn Read) -> io::Result<()> {
        io::copy(content, &mut private().create_new(true).open(path)?).map(drop)
    }

    fn adopt(&self, spool: TempPath, path: &Path) -> Result<(), PathPersistError> {
        spool.persist(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadAt>> {
        Ok(Arc::new(File::open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if fs::symlink_metadata(path)?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rewrite(&self, path: &Path) -> io::Result<bool> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        let (mut buffer, mut offset) = (vec![0; 1 << 20], 0);
        loop {
            let count = FileExt::read_at(&file, &mut buffer, offset)?;
            if count == 0 {
                return Ok(true);
            }
            file.write_all_at(&buffer[..count], offset)?;
            offset += count as u64;
        }
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn rewriting_writes_everything_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        assert!(!SystemDisk.rewrite(&path).unwrap(), "there is none");
        assert!(!path.exists());
        // Longer than what is read at a time, and no multiple of it.
        for length in [0, 1, 1 << 20, (5 << 19) + 7] {
            let bytes: Vec<u8> =
                (0_u32..length).map(|number| number.wrapping_mul(0x9e37_79b1).to_be_bytes()[0]).collect();
            fs::write(&path, &bytes).unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
            let inode = fs::metadata(&path).unwrap().ino();
            assert!(SystemDisk.rewrite(&path).unwrap());
            assert!(fs::read(&path).unwrap() == bytes, "{length} bytes");
            let after = fs::metadata(&path).unwrap();
            assert_eq!(after.ino(), inode, "the same file: a new one would not cover the bytes of the old one");
            assert_eq!(after.modified().unwrap() > std::time::UNIX_EPOCH, length > 0, "it was written");
        }
    }
}
