//! Checks an exported log with nothing but its files and the public key.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use thiserror::Error;
use time::OffsetDateTime;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::export::leaf_hashes;
use crate::frontier::Frontier;
use crate::hash::Hash;
use crate::leaf::Leaf;
use crate::note::LogVerifier;
use crate::tile::{self, Kind, Tile};

/// What was found in an export.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Name of the log.
    pub origin: String,
    /// Number of leaves the checkpoint vouches for.
    pub size: u64,
    /// The root the checkpoint vouches for.
    pub root: Hash,
    /// Earliest and latest time in the leaves.
    pub time_range: Option<(OffsetDateTime, OffsetDateTime)>,
    /// Everything that is not as it must be. The export is good if this is empty.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Whether nothing was found wrong.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }
}

/// One thing that is wrong with an export.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The checkpoint is missing, malformed or not signed by the key. Nothing else was checked.
    #[error("the checkpoint cannot be trusted: {0}")]
    Checkpoint(String),
    /// A file that must be there is not.
    #[error("{0} is missing")]
    Missing(String),
    /// A file does not have the content that the leaves and the checkpoint demand.
    #[error("{0} was changed")]
    Changed(String),
    /// A file that does not belong to a log of this size.
    #[error("{0} does not belong to a log of this size")]
    Unexpected(String),
    /// The leaves do not lead to the root in the checkpoint: something was changed, removed, inserted or reordered.
    #[error("the leaves do not lead to the signed root")]
    RootMismatch,
    /// A leaf is no readable entry.
    #[error("entry {0} cannot be read")]
    UnreadableLeaf(u64),
    /// A checkpoint seen earlier does not fit: the log was rewritten since.
    #[error("the log was rewritten after the checkpoint of size {0}")]
    Rewritten(u64),
    /// A checkpoint seen earlier covers more than this export: the log was cut.
    #[error("the log had {known} entries once, now it has {found}")]
    Shortened {
        /// Leaves in the known checkpoint.
        known: u64,
        /// Leaves in the export.
        found: u64,
    },
}

/// The folder could not be read at all.
#[derive(Debug, Error)]
#[error("cannot read {path}")]
pub struct VerifyError {
    /// The file or folder.
    pub path: String,
    /// What the operating system said.
    pub source: io::Error,
}

/// Checks that the folder holds exactly the log that its checkpoint speaks of and that `verifier` signed it.
///
/// Memory stays small whatever the size of the log.
///
/// # Errors
/// Only if files cannot be read; whatever is wrong with their content is a [`Problem`].
pub fn verify_export(dir: &Path, verifier: &LogVerifier) -> Result<Report, VerifyError> {
    verify_export_since(dir, verifier, &[], &mut |_, _| {})
}

/// Like [`verify_export`], and checks that the log continues every checkpoint in `known`: an export alone cannot show that
/// it is not an old one, or that history was not rewritten and signed anew. `progress` is told leaves done and in all.
///
/// # Errors
/// As [`verify_export`].
pub fn verify_export_since(
    dir: &Path,
    verifier: &LogVerifier,
    known: &[Checkpoint],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, VerifyError> {
    let checkpoint = match open_checkpoint(dir, verifier)? {
        Ok(checkpoint) => checkpoint,
        Err(reason) => return Ok(Report::without_checkpoint(verifier, reason)),
    };
    let mut check = Check {
        dir,
        frontier: Frontier::new(),
        rows: BTreeMap::new(),
        report: Report {
            origin: checkpoint.origin.clone(),
            size: checkpoint.size,
            root: checkpoint.root,
            time_range: None,
            problems: Vec::new(),
        },
    };
    let complete = check.leaves(known, progress)?;
    if complete && check.frontier.root() != checkpoint.root {
        check.problem(Problem::RootMismatch);
    }
    check.known_sizes(known);
    check.strangers()?;
    Ok(check.report)
}

/// Files of one export are bounded by their definition: 256 records of 65535 bytes with their lengths.
const MAX_FILE: u64 = 256 * (2 + 65_535);
/// More problems than this say nothing new.
const MAX_PROBLEMS: usize = 100;

struct Check<'a> {
    dir: &'a Path,
    frontier: Frontier,
    /// Per level, what is computed but not yet compared with a tile.
    rows: BTreeMap<u8, Row>,
    report: Report,
}

/// Hashes of one level, collected until they fill a tile.
#[derive(Default)]
struct Row {
    tiles_done: u64,
    hashes: Vec<Hash>,
}

impl Check<'_> {
    /// Goes through all leaves. Says whether all of them were there.
    fn leaves(&mut self, known: &[Checkpoint], progress: &mut dyn FnMut(u64, u64)) -> Result<bool, VerifyError> {
        let size = self.report.size;
        for bundle in Tile::all(Kind::Entries, size) {
            let Some(hashes) = self.bundle(&bundle)? else {
                return Ok(false);
            };
            for hash in hashes {
                self.known_roots(known);
                self.append(hash)?;
            }
            progress(self.frontier.size(), size);
        }
        self.known_roots(known);
        let rest: Vec<u8> = self.rows.keys().copied().collect();
        rest.into_iter().try_for_each(|level| self.compare(level))?;
        Ok(true)
    }

    /// The leaf hashes of a bundle, or nothing if the bundle is unusable.
    fn bundle(&mut self, bundle: &Tile) -> Result<Option<Vec<Hash>>, VerifyError> {
        let path = bundle.path();
        let Some(bytes) = read(self.dir, &path)? else {
            self.problem(Problem::Missing(path));
            return Ok(None);
        };
        let records = tile::decode_entries(&bytes).filter(|records| records.len() == usize::from(bundle.width));
        let Some(records) = records else {
            self.problem(Problem::Changed(path));
            return Ok(None);
        };
        for (number, record) in (bundle.start()..).zip(&records) {
            match Leaf::parse(record) {
                Ok(leaf) => self.saw(leaf.time),
                Err(_) => self.problem(Problem::UnreadableLeaf(number)),
            }
        }
        Ok(Some(leaf_hashes(&records)))
    }

    fn append(&mut self, hash: Hash) -> Result<(), VerifyError> {
        self.add(0, hash)?;
        for node in self.frontier.append(hash) {
            self.add(node.level, node.hash)?;
        }
        Ok(())
    }

    fn add(&mut self, level: u8, hash: Hash) -> Result<(), VerifyError> {
        let row = self.rows.entry(level).or_default();
        row.hashes.push(hash);
        if row.hashes.len() as u64 == tile::WIDTH {
            self.compare(level)?;
        }
        Ok(())
    }

    /// Compares the computed hashes of a tile with its file.
    fn compare(&mut self, level: u8) -> Result<(), VerifyError> {
        let row = self.rows.entry(level).or_default();
        if row.hashes.is_empty() {
            return Ok(());
        }
        let tile = Tile { kind: Kind::Hashes(level), index: row.tiles_done, width: row.hashes.len() as u16 };
        let expected = tile::encode_hashes(&row.hashes);
        row.tiles_done += 1;
        row.hashes.clear();
        let path = tile.path();
        match read(self.dir, &path)? {
            None => self.problem(Problem::Missing(path)),
            Some(bytes) if bytes != expected => self.problem(Problem::Changed(path)),
            Some(_) => {}
        }
        Ok(())
    }

    fn known_roots(&mut self, known: &[Checkpoint]) {
        let size = self.frontier.size();
        let rewritten =
            known.iter().any(|checkpoint| checkpoint.size == size && checkpoint.root != self.frontier.root());
        if rewritten && !self.report.problems.contains(&Problem::Rewritten(size)) {
            self.problem(Problem::Rewritten(size));
        }
    }

    fn known_sizes(&mut self, known: &[Checkpoint]) {
        let found = self.report.size;
        for checkpoint in known.iter().filter(|checkpoint| checkpoint.size > found) {
            self.problem(Problem::Shortened { known: checkpoint.size, found });
        }
    }

    /// Looks for files that a log of this size does not have.
    fn strangers(&mut self) -> Result<(), VerifyError> {
        let mut found = Vec::new();
        list(self.dir, "tile", &mut found)?;
        found.sort_unstable();
        for path in found {
            let Some(tile) = Tile::from_path(&path) else {
                self.problem(Problem::Unexpected(path));
                continue;
            };
            let current = tile::count(tile.kind, self.report.size);
            let expected = current.saturating_sub(tile.index.saturating_mul(tile::WIDTH)).min(tile::WIDTH);
            if u64::from(tile.width) > expected {
                self.problem(Problem::Unexpected(path));
            } else if u64::from(tile.width) < expected && !self.is_prefix(&tile, expected as u16)? {
                self.problem(Problem::Changed(path));
            }
        }
        Ok(())
    }

    /// Whether a left-over partial tile says what the wider one says.
    fn is_prefix(&self, tile: &Tile, width: u16) -> Result<bool, VerifyError> {
        let part = read(self.dir, &tile.path())?;
        let whole = read(self.dir, &Tile { width, ..*tile }.path())?;
        let (Some(part), Some(whole)) = (part, whole) else {
            return Ok(true);
        };
        let items = match tile.kind {
            Kind::Entries => tile::decode_entries(&part).map(|records| records.len()),
            Kind::Hashes(_) => tile::decode_hashes(&part).map(|hashes| hashes.len()),
        };
        Ok(whole.starts_with(&part) && items == Some(usize::from(tile.width)))
    }

    fn saw(&mut self, time: OffsetDateTime) {
        let (first, last) = self.report.time_range.unwrap_or((time, time));
        self.report.time_range = Some((first.min(time), last.max(time)));
    }

    fn problem(&mut self, problem: Problem) {
        if self.report.problems.len() < MAX_PROBLEMS {
            self.report.problems.push(problem);
        }
    }
}

impl Report {
    fn without_checkpoint(verifier: &LogVerifier, reason: String) -> Self {
        Self {
            origin: verifier.name().to_owned(),
            size: 0,
            root: Hash::of_empty_tree(),
            time_range: None,
            problems: vec![Problem::Checkpoint(reason)],
        }
    }
}

fn open_checkpoint(dir: &Path, verifier: &LogVerifier) -> Result<Result<Checkpoint, String>, VerifyError> {
    // A folder that does not exist is a mistake of the caller, not a manipulated log.
    fs::read_dir(dir).map_err(|source| VerifyError { path: dir.display().to_string(), source })?;
    let Some(note) = read(dir, "checkpoint")? else {
        return Ok(Err("the file `checkpoint` is missing".to_owned()));
    };
    Ok(Checkpoint::open(&note, verifier).map_err(|error: CheckpointError| error.to_string()))
}

/// A file of the export; nothing if there is none or if it is far too large to be right.
fn read(dir: &Path, path: &str) -> Result<Option<Vec<u8>>, VerifyError> {
    let full = dir.join(path);
    let result = fs::metadata(&full).and_then(|metadata| {
        if metadata.is_file() && metadata.len() <= MAX_FILE { fs::read(&full).map(Some) } else { Ok(None) }
    });
    match result {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        other => other.map_err(|source| VerifyError { path: full.display().to_string(), source }),
    }
}

/// All files below a folder of the export, as relative paths with `/`. Depth is bounded by the layout: deeper is not ours.
fn list(dir: &Path, folder: &str, found: &mut Vec<String>) -> Result<(), VerifyError> {
    let path = dir.join(folder);
    let failed = |source| VerifyError { path: path.display().to_string(), source };
    let entries = match fs::read_dir(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
        let deeper = entry.file_type().map_err(failed)?.is_dir() && name.matches('/').count() < 12;
        if deeper {
            list(dir, &name, found)?;
        } else {
            found.push(name);
        }
    }
    Ok(())
}
