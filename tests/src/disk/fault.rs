//! What can go wrong on a disk, when, and how often it did.

use std::ops::AddAssign;
use std::time::Duration;

/// What an operation does to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// Opens, lists or reads.
    Read,
    /// Makes, renames or removes a name.
    Name,
    /// Writes or resizes.
    Write,
    /// Waits for the disk.
    Sync,
}

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// There is no space left (ENOSPC).
    NoSpace,
    /// A change fails (EIO) and leaves nothing.
    Io,
    /// Reading, opening or listing fails (EIO).
    ReadIo,
    /// A part is written, then the space is gone.
    ShortWrite,
    /// Waiting for the disk fails (EIO). What was written is lost then, and nobody is told again, as on Linux.
    SyncFails,
    /// Waiting for the disk takes this long.
    SlowSync(Duration),
    /// The process is killed in the middle of the operation. The disk keeps everything that was written.
    Kill,
    /// The power fails in the middle of the operation. Of what was not synced, nobody knows what is kept.
    PowerCut,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::NoSpace,
        Self::Io,
        Self::ReadIo,
        Self::ShortWrite,
        Self::SyncFails,
        Self::SlowSync(Duration::from_secs(2)),
        Self::Kill,
        Self::PowerCut,
    ];

    pub(super) fn hits(self, op: Op) -> bool {
        match self {
            Self::NoSpace => matches!(op, Op::Name | Op::Write),
            Self::Io => op != Op::Read,
            Self::ReadIo => op == Op::Read,
            Self::ShortWrite => op == Op::Write,
            Self::SyncFails | Self::SlowSync(_) => op == Op::Sync,
            Self::Kill | Self::PowerCut => op != Op::Read,
        }
    }
}

/// How often what went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FaultCounts {
    /// Operations refused for lack of space.
    pub no_space: u64,
    /// Changes that failed.
    pub io: u64,
    /// Reads that failed.
    pub read_io: u64,
    /// Writes that ended early.
    pub short_writes: u64,
    /// Waits for the disk that failed.
    pub syncs_failed: u64,
    /// Waits for the disk that took long.
    pub slow_syncs: u64,
    /// Kills in the middle of an operation.
    pub kills: u64,
    /// Power cuts.
    pub power_cuts: u64,
    /// Pieces of files that a power cut or a failed sync took.
    pub lost_writes: u64,
    /// Writes of which a power cut took a part.
    pub torn_writes: u64,
    /// Names made, renamed or removed whose change a power cut took.
    pub lost_names: u64,
}

impl FaultCounts {
    pub(super) fn count(&mut self, fault: Fault) {
        *match fault {
            Fault::NoSpace => &mut self.no_space,
            Fault::Io => &mut self.io,
            Fault::ReadIo => &mut self.read_io,
            Fault::ShortWrite => &mut self.short_writes,
            Fault::SyncFails => &mut self.syncs_failed,
            Fault::SlowSync(_) => &mut self.slow_syncs,
            Fault::Kill => &mut self.kills,
            Fault::PowerCut => &mut self.power_cuts,
        } += 1;
    }
}

impl AddAssign for FaultCounts {
    fn add_assign(&mut self, other: Self) {
        self.no_space += other.no_space;
        self.io += other.io;
        self.read_io += other.read_io;
        self.short_writes += other.short_writes;
        self.syncs_failed += other.syncs_failed;
        self.slow_syncs += other.slow_syncs;
        self.kills += other.kills;
        self.power_cuts += other.power_cuts;
        self.lost_writes += other.lost_writes;
        self.torn_writes += other.torn_writes;
        self.lost_names += other.lost_names;
    }
}
