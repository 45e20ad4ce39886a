//! A log in memory and the textbook definition of the root, for tests in this crate.

use std::convert::Infallible;

use crate::export::LogReader;
use crate::frontier::Frontier;
use crate::hash::Hash;
use crate::proof::HashReader;

#[derive(Default)]
pub(crate) struct MemoryLog {
    pub(crate) frontier: Frontier,
    pub(crate) records: Vec<Vec<u8>>,
    levels: Vec<Vec<Hash>>,
}

impl MemoryLog {
    pub(crate) fn of(records: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut log = Self::default();
        records.into_iter().for_each(|record| log.append(record));
        log
    }

    pub(crate) fn append(&mut self, record: Vec<u8>) {
        let hash = Hash::of_leaf(&record);
        self.push(0, hash);
        for node in self.frontier.append(hash) {
            self.push(usize::from(node.level), node.hash);
        }
        self.records.push(record);
    }

    pub(crate) fn leaf_hashes(&self) -> Vec<Hash> {
        self.records.iter().map(|r| Hash::of_leaf(r)).collect()
    }

    fn push(&mut self, level: usize, hash: Hash) {
        if self.levels.len() <= level {
            self.levels.resize(level + 1, Vec::new());
        }
        self.levels[level].push(hash);
    }
}

impl HashReader for MemoryLog {
    type Error = Infallible;

    fn hashes(&self, level: u8, start: u64, count: usize) -> Result<Vec<Hash>, Infallible> {
        assert!(count <= 256);
        let start = start as usize;
        Ok(self.levels[usize::from(level)][start..start + count].to_vec())
    }
}

impl LogReader for MemoryLog {
    fn records(&self, start: u64, count: usize) -> Result<Vec<Vec<u8>>, Infallible> {
        let start = start as usize;
        Ok(self.records[start..start + count].to_vec())
    }
}

/// RFC 6962, section 2.1, word for word.
pub(crate) fn naive_root(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => Hash::of_empty_tree(),
        [one] => *one,
        _ => {
            let k = hashes.len().next_power_of_two() / 2;
            Hash::of_node(&naive_root(&hashes[..k]), &naive_root(&hashes[k..]))
        }
    }
}

pub(crate) fn signer(name: &str) -> crate::LogSigner {
    let key = rohrpost_crypto::ed25519::SigningKey::from_seed(&[name.len() as u8; 32]);
    crate::LogSigner::new(name, key).unwrap()
}
