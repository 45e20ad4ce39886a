//! The bytes of a file: as the process sees them, and as the disk has them.

use std::mem;

use super::fault::FaultCounts;
use crate::chance::Chance;

/// What a disk writes at once or not at all.
const SECTOR: usize = 512;

#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Resize(usize),
}

/// A file.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    /// What reading shows.
    pub(super) seen: Vec<u8>,
    /// What is on the disk for certain.
    stable: Vec<u8>,
    /// What may or may not be on the disk, in the order it was written.
    pending: Vec<Change>,
}

impl Contents {
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self { seen: bytes.clone(), stable: bytes, pending: Vec::new() }
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        put(&mut self.seen, offset, bytes);
        self.pending.push(Change::Write { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn resize(&mut self, length: usize) {
        self.seen.resize(length, 0);
        self.pending.push(Change::Resize(length));
    }

    pub(super) fn sync(&mut self) {
        for change in mem::take(&mut self.pending) {
            match change {
                Change::Write { offset, bytes } => put(&mut self.stable, offset, &bytes),
                Change::Resize(length) => self.stable.resize(length, 0),
            }
        }
    }

    /// The disk forgets what is pending but for some of it; the process goes on to see it.
    pub(super) fn lose_pending(&mut self, chance: &mut Chance, kept: u32, counts: &mut FaultCounts) {
        for change in mem::take(&mut self.pending) {
            match change {
                Change::Write { offset, bytes } => self.tear(offset, &bytes, chance, kept, counts),
                Change::Resize(length) if chance.percent(kept) => self.stable.resize(length, 0),
                Change::Resize(_) => counts.lost_writes += 1,
            }
        }
    }

    /// Each sector of a write is kept or lost for itself.
    fn tear(&mut self, offset: usize, bytes: &[u8], chance: &mut Chance, kept: u32, counts: &mut FaultCounts) {
        let (mut start, mut any, mut lost) = (0, false, 0);
        while start < bytes.len() {
            let room = SECTOR - (offset + start) % SECTOR;
            let end = bytes.len().min(start + room);
            if chance.percent(kept) {
                put(&mut self.stable, offset + start, &bytes[start..end]);
                any = true;
            } else {
                lost += 1;
            }
            start = end;
        }
        counts.lost_writes += lost;
        counts.torn_writes += u64::from(any && lost > 0);
    }

    /// After a power cut only what is on the disk is there.
    pub(super) fn forget(&mut self) {
        self.seen.clone_from(&self.stable);
    }
}

fn put(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(bytes);
}
