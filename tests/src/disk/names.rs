//! The names on a disk: as the process sees them, and as the disk has them.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind};
use std::mem;
use std::path::{Path, PathBuf};

use super::fault::FaultCounts;
use crate::chance::Chance;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Folder,
    /// The file with this number.
    File(u64),
}

#[derive(Debug, Clone, Default)]
struct Folder {
    seen: BTreeMap<String, Node>,
    stable: BTreeMap<String, Node>,
}

#[derive(Debug, Clone)]
struct Change {
    folder: PathBuf,
    name: String,
    /// What the name stands for now; nothing if it is gone.
    node: Option<Node>,
}

/// All folders.
#[derive(Debug, Clone)]
pub(super) struct Names {
    folders: HashMap<PathBuf, Folder>,
    pending: Vec<Change>,
}

impl Names {
    /// One empty folder that was always there.
    pub(super) fn new(root: &Path) -> Self {
        Self { folders: HashMap::from([(root.to_owned(), Folder::default())]), pending: Vec::new() }
    }

    pub(super) fn get(&self, path: &Path) -> Option<Node> {
        if self.folders.contains_key(path) {
            return Some(Node::Folder);
        }
        let (folder, name) = split(path);
        self.folders.get(folder)?.seen.get(name).copied()
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<u64> {
        match self.get(path) {
            Some(Node::File(number)) => Ok(number),
            Some(Node::Folder) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn list(&self, folder: &Path) -> io::Result<impl Iterator<Item = (&String, &Node)>> {
        Ok(self.folders.get(folder).ok_or(ErrorKind::NotFound)?.seen.iter())
    }

    pub(super) fn set(&mut self, path: &Path, node: Option<Node>) -> io::Result<()> {
        let (folder, name) = split(path);
        let entries = &mut self.folders.get_mut(folder).ok_or(ErrorKind::NotFound)?.seen;
        match node {
            Some(node) => entries.insert(name.to_owned(), node),
            None => entries.remove(name),
        };
        match node {
            Some(Node::Folder) => drop(self.folders.insert(path.to_owned(), Folder::default())),
            _ => drop(self.folders.remove(path)),
        }
        self.pending.push(Change { folder: folder.to_owned(), name: name.to_owned(), node });
        Ok(())
    }

    pub(super) fn sync(&mut self, folder: &Path) -> io::Result<()> {
        let found = self.folders.get_mut(folder).ok_or(ErrorKind::NotFound)?;
        found.stable.clone_from(&found.seen);
        self.pending.retain(|change| change.folder != folder);
        Ok(())
    }

    /// Keeps some of the changes that were not synced and goes back to what the disk has.
    pub(super) fn cut(&mut self, chance: &mut Chance, kept: u32, counts: &mut FaultCounts) {
        for change in mem::take(&mut self.pending) {
            let Some(folder) = self.folders.get_mut(&change.folder) else { continue };
            if !chance.percent(kept) {
                counts.lost_names += 1;
                continue;
            }
            match change.node {
                Some(node) => folder.stable.insert(change.name, node),
                None => folder.stable.remove(&change.name),
            };
        }
        self.folders.values_mut().for_each(|folder| folder.seen.clone_from(&folder.stable));
        self.drop_unreachable();
    }

    /// Numbers of all files that have a name.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        let nodes = self.folders.values().flat_map(|folder| folder.seen.values().chain(folder.stable.values()));
        nodes.filter_map(|node| match node {
            Node::File(number) => Some(*number),
            Node::Folder => None,
        })
    }

    pub(super) fn files_below(&self, folder: &Path) -> Vec<String> {
        let inside = self.folders.iter().filter(|(path, _)| path.starts_with(folder));
        let entries = inside.flat_map(|(_, folder)| folder.seen.iter());
        let mut names: Vec<String> =
            entries.filter(|(_, node)| **node != Node::Folder).map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names
    }

    fn drop_unreachable(&mut self) {
        // Folders whose removal came back to life are empty: what was in them is forgotten with them.
        loop {
            let lost: Vec<PathBuf> = self
                .folders
                .keys()
                .filter(|path| {
                    let (above, name) = split(path);
                    !name.is_empty()
                        && above != Path::new("/")
                        && self.folders.get(above).is_none_or(|folder| folder.seen.get(name) != Some(&Node::Folder))
                })
                .cloned()
                .collect();
            if lost.is_empty() {
                break;
            }
            lost.iter().for_each(|path| drop(self.folders.remove(path)));
        }
        let named: Vec<PathBuf> = self
            .folders
            .iter()
            .flat_map(|(path, folder)| {
                let inside = folder.seen.iter().filter(|(_, node)| **node == Node::Folder);
                inside.map(|(name, _)| path.join(name)).collect::<Vec<_>>()
            })
            .collect();
        for path in named {
            self.folders.entry(path).or_default();
        }
    }
}

fn split(path: &Path) -> (&Path, &str) {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    (path.parent().unwrap_or(path), name)
}
