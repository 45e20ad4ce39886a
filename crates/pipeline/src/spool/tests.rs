use std::io::{Read as _, Write as _};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn files(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn spool(directory: &SpoolDir, bytes: &[u8]) -> Spool {
    let mut writer = directory.writer();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn read(spool: &Spool, range: Range<u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    spool.reader(range).read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn the_reserve_is_not_for_everything() {
    let dir = tempfile::tempdir().unwrap();
    let spools = SpoolDir::new(dir.path());
    let free = spools.free().unwrap();
    assert!(free > 0 && spools.has_room(0) && !spools.has_room(u64::MAX));
    assert!(!spools.clone().with_reserve(u64::MAX).has_room(0));
    let nowhere = SpoolDir::new("/nonexistent").with_reserve(1);
    assert!(nowhere.free().is_err() && nowhere.has_room(u64::MAX), "writing will tell");
}

#[test]
fn stays_in_memory_up_to_the_threshold() {
    let directory = tempfile::tempdir().unwrap();
    let spools = SpoolDir::new(directory.path()).with_memory_threshold(4);
    let small = spool(&spools, b"1234");
    assert_eq!(small.in_memory(), Some(&b"1234"[..]));
    assert!(files(directory.path()).is_empty());

    let large = spool(&spools, b"12345");
    assert_eq!(large.in_memory(), None);
    assert_eq!(files(directory.path()).len(), 1);
    assert_eq!(read(&large, 0..5), b"12345");
}

#[test]
fn file_is_readable_by_the_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let _spool = spool(&SpoolDir::new(directory.path()).with_memory_threshold(0), b"x");
    let file = files(directory.path()).remove(0);
    let mode = fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn nothing_survives_drop() {
    let directory = tempfile::tempdir().unwrap();
    let spools = SpoolDir::new(directory.path()).with_memory_threshold(0);
    let mut unfinished = spools.writer();
    unfinished.write_all(b"abc").unwrap();
    let finished = spool(&spools, b"abc");
    let clone = finished.clone();
    let reader = clone.reader(0..3);
    assert_eq!(files(directory.path()).len(), 2);
    drop((unfinished, finished, clone));
    assert_eq!(files(directory.path()).len(), 1, "a reader holds the spool");
    drop(reader);
    assert!(files(directory.path()).is_empty());
}

#[test]
fn limit_is_a_typed_error_and_exact() {
    let spools = SpoolDir::new("/nonexistent").with_limit(5);
    let mut writer = spools.writer();
    writer.write_all(b"12345").unwrap();
    let error = writer.write_all(b"6").unwrap_err();
    assert_eq!(SpoolError::within(&error), Some(SpoolError::TooLarge { limit: 5 }));
    let wrapped = io::Error::other(error);
    assert_eq!(SpoolError::within(&wrapped), Some(SpoolError::TooLarge { limit: 5 }));
    assert_eq!(SpoolError::within(&io::ErrorKind::NotFound.into()), None);
    assert_eq!(writer.len(), 5, "a refused write leaves nothing");
    assert_eq!(read(&writer.finish().unwrap(), 0..9), b"12345");
}

#[test]
fn missing_directory_is_reported_when_it_is_needed() {
    let mut writer = SpoolDir::new("/nonexistent").with_memory_threshold(1).writer();
    let error = writer.write_all(b"12").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn every_split_and_every_range_reads_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..=255).cycle().take(700).collect();
    for threshold in [0, 1, 350, 699, 700, 701] {
        let spools = SpoolDir::new(directory.path()).with_memory_threshold(threshold);
        for piece in [1, 7, 64, 700] {
            let mut writer = spools.writer();
            for chunk in bytes.chunks(piece) {
                writer.write_all(chunk).unwrap();
            }
            let spool = writer.finish().unwrap();
            assert_eq!(spool.len(), 700);
            for range in [0..700, 0..0, 13..14, 600..900, 700..701, 900..1000] {
                let from = (range.start as usize).min(700);
                let to = (range.end as usize).min(700);
                assert_eq!(read(&spool, range), &bytes[from..to]);
            }
        }
    }
}

#[test]
fn positional_reads_do_not_disturb_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let spool = spool(&SpoolDir::new(directory.path()).with_memory_threshold(0), b"abcdef");
    let mut first = spool.reader(0..6);
    let mut two = [0; 2];
    first.read_exact(&mut two).unwrap();
    let mut other = [0; 3];
    assert_eq!(spool.read_at(3, &mut other).unwrap(), 3);
    assert_eq!(&other, b"def");
    first.read_exact(&mut two).unwrap();
    assert_eq!(&two, b"cd");
    assert_eq!(first.remaining(), 2);
}

#[test]
fn file_can_be_adopted_by_rename() {
    let directory = tempfile::tempdir().unwrap();
    let spools = SpoolDir::new(directory.path()).with_memory_threshold(0);
    let SpoolParts::File(path, 3) = spool(&spools, b"abc").into_parts().unwrap() else {
        panic!("a file of three bytes expected");
    };
    let kept = directory.path().join("kept");
    path.persist(&kept).unwrap();
    assert_eq!(fs::read(&kept).unwrap(), b"abc");
    assert_eq!(files(directory.path()), [kept]);
}

#[test]
fn adopting_a_shared_spool_leaves_the_other_handle_alone() {
    let directory = tempfile::tempdir().unwrap();
    let spools = SpoolDir::new(directory.path()).with_memory_threshold(0);
    let other = spool(&spools, b"abc");
    let SpoolParts::File(path, 3) = other.clone().into_parts().unwrap() else {
        panic!("a file of three bytes expected");
    };
    path.persist(directory.path().join("kept")).unwrap();
    assert_eq!(read(&other, 0..3), b"abc");
    drop(other);
    assert_eq!(files(directory.path()), [directory.path().join("kept")]);

    let memory = Spool::from_bytes(b"abc".to_vec());
    let SpoolParts::Memory(bytes) = memory.clone().into_parts().unwrap() else {
        panic!("memory expected");
    };
    assert_eq!(bytes, b"abc");
}

#[test]
fn a_file_without_name_is_never_seen_but_can_be_given_one() {
    let directory = tempfile::tempdir().unwrap();
    let spools = SpoolDir::new(directory.path()).with_memory_threshold(0).unnamed();
    let unnamed = spool(&spools, b"abc");
    assert!(files(directory.path()).is_empty());
    assert_eq!(read(&unnamed, 1..3), b"bc");
    for handle in [unnamed.clone(), unnamed] {
        let SpoolParts::File(path, 3) = handle.into_parts().unwrap() else {
            panic!("a file of three bytes expected");
        };
        assert_eq!(fs::read(&path).unwrap(), b"abc");
    }
}

#[test]
fn cut_file_is_an_error_not_an_end() {
    let directory = tempfile::tempdir().unwrap();
    let spool = spool(&SpoolDir::new(directory.path()).with_memory_threshold(0), b"abcdef");
    let file = fs::OpenOptions::new().write(true).open(files(directory.path()).remove(0)).unwrap();
    file.set_len(2).unwrap();
    let error = spool.reader(0..6).read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn leftovers_are_removed_and_foreign_files_are_not() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("spool-left"), b"x").unwrap();
    fs::write(directory.path().join("other"), b"x").unwrap();
    assert_eq!(SpoolDir::new(directory.path()).remove_leftovers().unwrap(), 1);
    assert_eq!(files(directory.path()), [directory.path().join("other")]);
}

#[test]
fn debug_shows_no_bytes() {
    let text = format!("{:?}", Spool::from_bytes(b"secret".to_vec()));
    assert_eq!(text, "Spool { len: 6, .. }");
}
