//! Files that only their owner may read. A crash or a power cut at any moment leaves such a file whole or absent, and
//! nothing relies on it before it is on the disk.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use rohrpost_crypto::{Random as _, SystemRandom};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::failure::{Failure, Kind};

/// 32 secret bytes.
pub(crate) type Secret = Zeroizing<[u8; 32]>;

/// Writes a file only its owner can read, in place of an older one.
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        whole_file(path, bytes)?.persist(path)?;
        sync_folder(folder_of(path))
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// The secret in a file, which is made at first use. Of several processes that come first, one makes it and all use it.
pub(crate) fn secret_or_new(path: &Path) -> Result<Secret> {
    if let Some(secret) = read(path)? {
        return Ok(secret);
    }
    make(path).with_context(|| format!("cannot write {}", path.display()))?;
    secret(path)
}

/// The secret in a file that must be there.
pub(crate) fn secret(path: &Path) -> Result<Secret> {
    read(path)?.with_context(|| Failure::new(Kind::Configuration, format!("{} is missing", path.display())))
}

/// Makes a folder only its owner can enter, with all folders above it.
pub(crate) fn private_folder(path: &Path) -> Result<()> {
    let make = || {
        let missing: Vec<&Path> = path.ancestors().take_while(|folder| !is_there(folder)).collect();
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        missing.into_iter().map(folder_of).try_for_each(sync_folder)
    };
    make().with_context(|| format!("cannot create {}", path.display()))
}

fn read(path: &Path) -> Result<Option<Secret>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let secret = <[u8; 32]>::try_from(bytes.as_slice()).ok();
    let wrong = || Failure::new(Kind::Configuration, format!("{} does not hold 32 bytes", path.display()));
    secret.map(Zeroizing::new).map(Some).with_context(wrong)
}

fn make(path: &Path) -> io::Result<()> {
    let mut secret = Zeroizing::new([0; 32]);
    SystemRandom.fill(&mut *secret);
    match whole_file(path, &*secret)?.persist_noclobber(path) {
        Ok(_) => {}
        // Somebody else was faster; both use theirs.
        Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(failed) => return Err(failed.error),
    }
    sync_folder(folder_of(path))
}

/// A complete file on the disk, beside the place it is meant for.
fn whole_file(path: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new_in(folder_of(path))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn is_there(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.exists()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::thread;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_secret_is_made_once_and_belongs_to_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        assert!(secret(&path).is_err());
        let made = secret_or_new(&path).unwrap();
        assert_eq!(*secret_or_new(&path).unwrap(), *made);
        assert_eq!(*secret(&path).unwrap(), *made);
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn all_that_come_first_use_the_same_secret() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let secrets: Vec<Secret> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| secret_or_new(&path).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0]));
    }

    #[test]
    fn what_is_no_secret_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        for wrong in [&b""[..], &[1; 31], &[1; 33]] {
            fs::write(&path, wrong).unwrap();
            let error = format!("{:#}", secret_or_new(&path).unwrap_err());
            assert!(error.contains("does not hold 32 bytes"), "{error}");
            assert_eq!(fs::read(&path).unwrap(), wrong);
        }
    }

    #[test]
    fn folders_are_private_and_files_replaced_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("a/b");
        private_folder(&folder).unwrap();
        private_folder(&folder).unwrap();
        assert_eq!((mode(&folder), mode(&directory.path().join("a"))), (0o700, 0o700));
        let path = folder.join("pin");
        for text in ["a long one", "short"] {
            write_secret(&path, text.as_bytes()).unwrap();
            assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), (text, 0o600));
        }
    }
}
