//! The right edge of the tree: all that appending needs to know.

use crate::hash::Hash;
use crate::proof::{HashReader, subtree};

/// The complete subtrees a tree of `size` leaves consists of, largest first.
///
/// Appending a leaf and computing the root need nothing else; the state is at most 64 hashes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

/// A hash that has become final and is stored in a tile above level 0: the root of `256^level` leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileNode {
    /// Level of the tile that lists this hash, 1 or more.
    pub level: u8,
    /// Position among all hashes of this level.
    pub index: u64,
    /// The root of the subtree.
    pub hash: Hash,
}

impl Frontier {
    /// The tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rebuilds the edge of a tree of `size` leaves from stored hashes.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn load<R: HashReader>(reader: &R, size: u64) -> Result<Self, R::Error> {
        let mut peaks = Vec::new();
        let mut start = 0;
        for level in (0..64_u8).rev().filter(|level| size >> level & 1 == 1) {
            peaks.push(subtree(reader, level, start >> level)?);
            start += 1 << level;
        }
        Ok(Self { size, peaks })
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds the hash of the next leaf and returns the hashes that higher tiles must now list (mostly none).
    pub fn append(&mut self, leaf: Hash) -> Vec<TileNode> {
        let index = self.size;
        let mut finished = Vec::new();
        let mut hash = leaf;
        let mut level = 0_u8;
        while index >> level & 1 == 1 {
            let left = self.peaks.pop().expect("one peak for every bit of the size");
            hash = Hash::of_node(&left, &hash);
            level += 1;
            if level.is_multiple_of(8) {
                finished.push(TileNode { level: level / 8, index: index >> level, hash });
            }
        }
        self.peaks.push(hash);
        self.size += 1;
        finished
    }

    /// The Merkle tree hash over all leaves.
    pub fn root(&self) -> Hash {
        self.peaks
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| Hash::of_node(&left, &right))
            .unwrap_or_else(Hash::of_empty_tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MemoryLog, naive_root};

    /// The eight inputs and roots that Certificate Transparency implementations (trillian, certificate-transparency-go)
    /// share as reference values for RFC 6962 hashing.
    const CT_INPUTS: [&[u8]; 8] = [
        &[],
        &[0x00],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
    ];
    const CT_ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    #[test]
    fn roots_are_those_of_certificate_transparency() {
        let mut frontier = Frontier::new();
        assert_eq!(frontier.root().to_string(), CT_ROOTS[0]);
        for (input, root) in CT_INPUTS.iter().zip(&CT_ROOTS[1..]) {
            frontier.append(Hash::of_leaf(input));
            assert_eq!(&frontier.root().to_string(), root);
        }
    }

    #[test]
    fn root_equals_the_recursive_definition_and_survives_loading() {
        let mut log = MemoryLog::default();
        for i in 0..1_030_u32 {
            log.append(i.to_string().into_bytes());
            if i % 37 == 0 || (250..260).contains(&i) {
                assert_eq!(log.frontier.root(), naive_root(&log.leaf_hashes()), "{i}");
                let loaded = Frontier::load(&log, log.frontier.size()).unwrap();
                assert_eq!(loaded, log.frontier);
            }
        }
    }

    #[test]
    fn tile_nodes_appear_when_a_tile_is_full() {
        let mut frontier = Frontier::new();
        let mut seen = Vec::new();
        for i in 0..65_536_u32 {
            for node in frontier.append(Hash::of_leaf(&i.to_be_bytes())) {
                seen.push((frontier.size(), node.level, node.index));
            }
        }
        assert_eq!(seen.len(), 256 + 1);
        assert_eq!(seen[0], (256, 1, 0));
        assert_eq!(seen[255], (65_536, 1, 255));
        assert_eq!(seen[256], (65_536, 2, 0));
    }
}
