//! Inclusion and consistency proofs: RFC 6962 sections 2.1.1 and 2.1.2, checked as RFC 9162 sections 2.1.3.2 and 2.1.4.2.

use thiserror::Error;

use crate::hash::{Hash, fold};

/// Gives the hashes that tiles consist of.
pub trait HashReader {
    /// What can go wrong while reading.
    type Error;

    /// `count` consecutive hashes of a tile level from position `start` on: at level 0 leaf hashes, at level `n` the roots
    /// of complete subtrees of `256^n` leaves. Never asks for more than one tile (256 hashes) at once.
    ///
    /// # Errors
    /// If a hash cannot be read or does not exist.
    fn hashes(&self, level: u8, start: u64, count: usize) -> Result<Vec<Hash>, Self::Error>;
}

/// Why a proof does not prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProofInvalid {
    /// The claimed sizes or positions contradict each other.
    #[error("the position or size lies outside the tree")]
    OutOfRange,
    /// The number of hashes does not fit the sizes.
    #[error("the proof has the wrong number of hashes")]
    WrongLength,
    /// The hashes lead to another root.
    #[error("the proof leads to another root than the checkpoint states")]
    RootMismatch,
}

/// The hashes that lead from leaf `index` to the root of a tree of `size` leaves, leaf side first.
///
/// # Errors
/// Those of the reader.
///
/// # Panics
/// If `index` is not below `size`.
pub fn inclusion<R: HashReader>(reader: &R, index: u64, size: u64) -> Result<Vec<Hash>, R::Error> {
    assert!(index < size, "leaf {index} is not in a tree of {size}");
    let mut path = Vec::new();
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let middle = start + largest_power_below(end - start);
        if index < middle {
            path.push(range_root(reader, middle, end)?);
            end = middle;
        } else {
            path.push(range_root(reader, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The hashes that show that the tree of `old` leaves is a prefix of the tree of `new` leaves.
///
/// Empty if `old` is 0 or equals `new`.
///
/// # Errors
/// Those of the reader.
///
/// # Panics
/// If `old` is above `new`.
pub fn consistency<R: HashReader>(reader: &R, old: u64, new: u64) -> Result<Vec<Hash>, R::Error> {
    assert!(old <= new, "a tree of {new} cannot contain one of {old}");
    let mut path = Vec::new();
    if old == 0 || old == new {
        return Ok(path);
    }
    let (mut start, mut end) = (0, new);
    // Once the walk has gone right, the old root is no longer known to the verifier and must be part of the proof.
    let mut known = true;
    while old < end {
        let middle = start + largest_power_below(end - start);
        if old <= middle {
            path.push(range_root(reader, middle, end)?);
            end = middle;
        } else {
            path.push(range_root(reader, start, middle)?);
            start = middle;
            known = false;
        }
    }
    if !known {
        path.push(range_root(reader, start, end)?);
    }
    path.reverse();
    Ok(path)
}

/// Checks that `leaf` is number `index` of the tree with `size` leaves and this `root`.
///
/// # Errors
/// If the proof does not show it.
pub fn verify_inclusion(leaf: Hash, index: u64, size: u64, root: &Hash, path: &[Hash]) -> Result<(), ProofInvalid> {
    if index >= size {
        return Err(ProofInvalid::OutOfRange);
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = leaf;
    for sibling in path {
        if last == 0 {
            return Err(ProofInvalid::WrongLength);
        }
        if node & 1 == 1 || node == last {
            hash = Hash::of_node(sibling, &hash);
            let step = node.trailing_zeros();
            (node, last) = (node >> step, last >> step);
        } else {
            hash = Hash::of_node(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(ProofInvalid::WrongLength);
    }
    if hash == *root { Ok(()) } else { Err(ProofInvalid::RootMismatch) }
}

/// Checks that the tree (`old_size`, `old_root`) is a prefix of (`new_size`, `new_root`).
///
/// # Errors
/// If the proof does not show it.
pub fn verify_consistency(
    (old_size, old_root): (u64, &Hash),
    (new_size, new_root): (u64, &Hash),
    path: &[Hash],
) -> Result<(), ProofInvalid> {
    if old_size > new_size {
        return Err(ProofInvalid::OutOfRange);
    }
    if old_size == 0 || old_size == new_size {
        return verify_trivial(old_size, old_root, new_root, path);
    }
    let mut rest = path.iter();
    let (mut node, mut last) = (old_size - 1, new_size - 1);
    let step = node.trailing_ones();
    (node, last) = (node >> step, last >> step);
    let seed = if node == 0 { old_root } else { rest.next().ok_or(ProofInvalid::WrongLength)? };
    let (mut old, mut new) = (*seed, *seed);
    for sibling in rest {
        if last == 0 {
            return Err(ProofInvalid::WrongLength);
        }
        if node & 1 == 1 || node == last {
            old = Hash::of_node(sibling, &old);
            new = Hash::of_node(sibling, &new);
            let step = node.trailing_zeros().min(63);
            (node, last) = (node >> step, last >> step);
        } else {
            new = Hash::of_node(&new, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(ProofInvalid::WrongLength);
    }
    if old == *old_root && new == *new_root { Ok(()) } else { Err(ProofInvalid::RootMismatch) }
}

/// The root of the complete subtree of `2^level` leaves with the given position among its kind.
pub(crate) fn subtree<R: HashReader>(reader: &R, level: u8, index: u64) -> Result<Hash, R::Error> {
    let below = level % 8;
    let hashes = reader.hashes(level / 8, index << below, 1 << below)?;
    Ok(fold(hashes))
}

fn verify_trivial(old_size: u64, old_root: &Hash, new_root: &Hash, path: &[Hash]) -> Result<(), ProofInvalid> {
    if !path.is_empty() {
        return Err(ProofInvalid::WrongLength);
    }
    let expected = if old_size == 0 { Hash::of_empty_tree() } else { *new_root };
    if *old_root == expected { Ok(()) } else { Err(ProofInvalid::RootMismatch) }
}

/// The Merkle tree hash of the leaves `start..end`, where `start` is a multiple of the smallest power of two that is not
/// below the length: the only ranges the definitions ask for.
fn range_root<R: HashReader>(reader: &R, start: u64, end: u64) -> Result<Hash, R::Error> {
    let length = end - start;
    if length.is_power_of_two() {
        let level = length.trailing_zeros() as u8;
        return subtree(reader, level, start >> level);
    }
    let middle = start + largest_power_below(length);
    let left = range_root(reader, start, middle)?;
    let right = range_root(reader, middle, end)?;
    Ok(Hash::of_node(&left, &right))
}

/// The largest power of two that is smaller than `n` (`n` is at least 2).
fn largest_power_below(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frontier::Frontier;
    use crate::testing::MemoryLog;

    fn log(size: u64) -> MemoryLog {
        let mut log = MemoryLog::default();
        (0..size).for_each(|i| log.append(i.to_be_bytes().to_vec()));
        log
    }

    fn root(log: &MemoryLog, size: u64) -> Hash {
        Frontier::load(log, size).unwrap().root()
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_provable() {
        let log = log(70);
        for size in 1..=70 {
            let root = root(&log, size);
            for index in 0..size {
                let path = inclusion(&log, index, size).unwrap();
                let leaf = Hash::of_leaf(&index.to_be_bytes());
                assert_eq!(verify_inclusion(leaf, index, size, &root, &path), Ok(()));
                assert!(verify_inclusion(root, index, size, &root, &path).is_err() || size == 1);
                assert!(verify_inclusion(leaf, index ^ 1, size, &root, &path).is_err() || size == 1);
                let mut longer = path.clone();
                longer.push(leaf);
                assert_eq!(verify_inclusion(leaf, index, size, &root, &longer), Err(ProofInvalid::WrongLength));
                if let Some((_, shorter)) = path.split_last() {
                    assert_eq!(verify_inclusion(leaf, index, size, &root, shorter), Err(ProofInvalid::WrongLength));
                }
            }
            assert_eq!(verify_inclusion(root, size, size, &root, &[]), Err(ProofInvalid::OutOfRange));
        }
    }

    #[test]
    fn every_pair_of_small_trees_is_consistent() {
        let log = log(70);
        for new in 0..=70 {
            for old in 0..=new {
                let path = consistency(&log, old, new).unwrap();
                let (a, b) = (root(&log, old), root(&log, new));
                assert_eq!(verify_consistency((old, &a), (new, &b), &path), Ok(()), "{old} {new}");
                let wrong = Hash::of_leaf(b"wrong");
                assert!(verify_consistency((old, &wrong), (new, &b), &path).is_err());
                if old > 0 {
                    assert!(verify_consistency((old, &a), (new, &wrong), &path).is_err());
                }
                let mut longer = path.clone();
                longer.push(wrong);
                assert!(verify_consistency((old, &a), (new, &b), &longer).is_err());
                if !path.is_empty() {
                    assert!(verify_consistency((old, &a), (new, &b), &path[1..]).is_err());
                }
            }
        }
        let empty = Hash::of_empty_tree();
        assert_eq!(verify_consistency((2, &empty), (1, &empty), &[]), Err(ProofInvalid::OutOfRange));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn larger_trees(new in 1_u64..2_000, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()) {
            let log = log(new);
            let (index, old) = (a.index(new as usize) as u64, b.index(new as usize) as u64);
            let (new_root, old_root) = (root(&log, new), root(&log, old));
            let leaf = Hash::of_leaf(&index.to_be_bytes());
            let mut path = inclusion(&log, index, new).unwrap();
            prop_assert_eq!(verify_inclusion(leaf, index, new, &new_root, &path), Ok(()));
            if !path.is_empty() {
                let damaged = index as usize % path.len();
                path[damaged] = Hash::of_leaf(path[damaged].as_bytes());
                prop_assert!(verify_inclusion(leaf, index, new, &new_root, &path).is_err());
            }
            let path = consistency(&log, old, new).unwrap();
            prop_assert_eq!(verify_consistency((old, &old_root), (new, &new_root), &path), Ok(()));
        }
    }
}
