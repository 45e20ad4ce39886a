//! The memory of another process.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

use memchr::memmem;

/// Everything a process can read, but files it only maps.
pub(crate) struct Memory {
    regions: Vec<(String, Vec<u8>)>,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> Self {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
        let regions = maps.lines().filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (range, rights) = (fields.next()?, fields.next()?);
            let name = fields.nth(3).unwrap_or("anonymous").to_owned();
            // The kernel's own pages cannot be read, and what is not writable is the program.
            if !rights.starts_with("rw") || name.starts_with("[v") {
                return None;
            }
            let (start, end) = range.split_once('-')?;
            let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
            let mut bytes = vec![0; usize::try_from(end - start).ok()?];
            memory.read_exact_at(&mut bytes, start).ok()?;
            Some((name, bytes))
        });
        Self { regions: regions.collect() }
    }

    /// How often some bytes occur.
    pub(crate) fn count(&self, what: &[u8]) -> usize {
        self.regions.iter().map(|(_, bytes)| memmem::find_iter(bytes, what).count()).sum()
    }
}
