//! Where hashes and entries lie in files: C2SP tlog-tiles.

use crate::hash::Hash;

/// Hashes in a full tile, entries in a full bundle.
pub(crate) const WIDTH: u64 = 256;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Hashes of this level.
    Hashes(u8),
    /// The entries themselves.
    Entries,
}

/// One tile or entry bundle: `width` of at most 256 neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tile {
    pub(crate) kind: Kind,
    pub(crate) index: u64,
    pub(crate) width: u16,
}

impl Tile {
    /// All tiles of a kind that a tree of `size` leaves consists of: full ones, then at most one partial.
    pub(crate) fn all(kind: Kind, size: u64) -> impl Iterator<Item = Self> {
        let count = count(kind, size);
        (0..count.div_ceil(WIDTH)).map(move |index| Self {
            kind,
            index,
            width: (count - index * WIDTH).min(WIDTH) as u16,
        })
    }

    /// Levels of hashes that a tree of `size` leaves has.
    pub(crate) fn levels(size: u64) -> impl Iterator<Item = u8> {
        (0..8).take_while(move |level| count(Kind::Hashes(*level), size) > 0)
    }

    pub(crate) fn is_full(&self) -> bool {
        u64::from(self.width) == WIDTH
    }

    /// Number of the first hash or entry.
    pub(crate) fn start(&self) -> u64 {
        self.index * WIDTH
    }

    /// Path below the folder of the log, with `/`.
    pub(crate) fn path(&self) -> String {
        let (mut rest, mut number) = (self.index / 1000, format!("{:03}", self.index % 1000));
        while rest > 0 {
            number = format!("x{:03}/{number}", rest % 1000);
            rest /= 1000;
        }
        let kind = match self.kind {
            Kind::Hashes(level) => level.to_string(),
            Kind::Entries => "entries".to_owned(),
        };
        let suffix = if self.is_full() { String::new() } else { format!(".p/{}", self.width) };
        format!("tile/{kind}/{number}{suffix}")
    }

    /// Reads such a path; only the one spelling that [`Tile::path`] writes.
    pub(crate) fn from_path(path: &str) -> Option<Self> {
        let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let kind = match kind {
            "entries" => Kind::Entries,
            level => Kind::Hashes(level.parse().ok()?),
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, width.parse().ok()?),
            None => (rest, WIDTH as u16),
        };
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        let tile = Self { kind, index: digits.parse().ok()?, width };
        (width > 0 && tile.path() == path).then_some(tile)
    }
}

/// How many hashes (or entries) of a kind a tree of `size` leaves has.
pub(crate) fn count(kind: Kind, size: u64) -> u64 {
    match kind {
        Kind::Entries => size,
        Kind::Hashes(level) => size.checked_shr(8 * u32::from(level)).unwrap_or(0),
    }
}

/// The bytes of a hash tile.
pub(crate) fn encode_hashes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// The hashes in a tile, if its length is a multiple of that of a hash.
pub(crate) fn decode_hashes(bytes: &[u8]) -> Option<Vec<Hash>> {
    bytes.chunks(Hash::LEN).map(Hash::from_slice).collect()
}

/// The bytes of an entry bundle: every record with its length before it, 16 bits big-endian.
///
/// # Panics
/// If a record is longer than 65535 bytes, which [`crate::Leaf::to_bytes`] never is.
pub(crate) fn encode_entries<R: AsRef<[u8]>>(records: &[R]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records.iter().map(AsRef::as_ref) {
        let length = u16::try_from(record.len()).expect("records of the log are bounded to 65535 bytes");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(record);
    }
    bytes
}

/// The records in an entry bundle, or nothing if the lengths do not add up.
pub(crate) fn decode_entries(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (record, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        records.push(record);
        bytes = rest;
    }
    Some(records)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_specification() {
        let tile = |kind, index, width| Tile { kind, index, width };
        assert_eq!(tile(Kind::Hashes(0), 1_234_067, 256).path(), "tile/0/x001/x234/067");
        assert_eq!(tile(Kind::Entries, 7, 3).path(), "tile/entries/007.p/3");
        let all: Vec<_> = Tile::levels(70_000).flat_map(|l| Tile::all(Kind::Hashes(l), 70_000)).collect();
        assert_eq!(all.len(), 274 + 2 + 1);
        assert_eq!(all[272], tile(Kind::Hashes(0), 272, 256));
        assert_eq!(all[273], tile(Kind::Hashes(0), 273, 112));
        assert_eq!(all[274], tile(Kind::Hashes(1), 0, 256));
        assert_eq!(all[275], tile(Kind::Hashes(1), 1, 17));
        assert_eq!(all[276], tile(Kind::Hashes(2), 0, 1));
        let all: Vec<_> = Tile::levels(256).flat_map(|l| Tile::all(Kind::Hashes(l), 256)).collect();
        assert_eq!(all, [tile(Kind::Hashes(0), 0, 256), tile(Kind::Hashes(1), 0, 1)]);
        assert_eq!(Tile::levels(0).count(), 0);
    }

    #[test]
    fn other_spellings_are_no_tiles() {
        for bad in [
            "",
            "checkpoint",
            "tile/0/1",
            "tile/00/001",
            "tile/+0/001",
            "tile/0/001.p/0001",
            "tile/0/001.p/256",
            "tile/0/001.p/0",
            "tile/0/001.p/",
            "tile/0/x000/001",
            "tile/0/001/002",
            "tile/entries/001.tmp",
            "tile/x/001",
        ] {
            assert_eq!(Tile::from_path(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn paths_go_both_ways(index in any::<u64>().prop_map(|i| i >> 8), width in 1_u16..=256, level in 0_u8..9) {
            let kind = if level == 8 { Kind::Entries } else { Kind::Hashes(level) };
            let tile = Tile { kind, index, width };
            prop_assert_eq!(Tile::from_path(&tile.path()), Some(tile));
        }

        #[test]
        fn bundles_go_both_ways(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let bytes = encode_entries(&records);
            prop_assert_eq!(decode_entries(&bytes).unwrap(), records);
            if !bytes.is_empty() {
                prop_assert_eq!(decode_entries(&bytes[..bytes.len() - 1]), None);
            }
        }
    }
}
