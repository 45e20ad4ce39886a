//! What happened in a run, for the reader and for the test that everything happens.

use std::fmt;
use std::ops::AddAssign;

use crate::disk::FaultCounts;

/// What happened in one run or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Summary {
    /// Runs.
    pub runs: u64,
    /// Requests that clients made, repetitions not counted.
    pub requests: u64,
    /// Requests that the intermediary handled.
    pub handled: u64,
    /// Faults it answered with.
    pub fault_answers: u64,
    /// Orders it refused.
    pub refusals: u64,
    /// Deliveries stored.
    pub deliveries: u64,
    /// Of these, received.
    pub received: u64,
    /// Entries of the log.
    pub entries: u64,
    /// Requests that were handled together with others.
    pub together: u64,
    /// Requests or answers that took so long that others overtook them.
    pub delayed: u64,
    /// Requests that got lost.
    pub lost_requests: u64,
    /// Answers that got lost.
    pub lost_answers: u64,
    /// Requests that arrived twice.
    pub duplicates: u64,
    /// Requests that arrived twice, the second time long after.
    pub late_duplicates: u64,
    /// Requests of which only the beginning arrived.
    pub cut_requests: u64,
    /// Requests that a client sent again.
    pub repetitions: u64,
    /// Process ended and started again, whatever the reason.
    pub restarts: u64,
    /// Starts that failed or ended by a kill or a power cut in their midst.
    pub failed_starts: u64,
    /// Times the store said that it takes no more changes.
    pub stopped_stores: u64,
    /// Bodies that were removed because their time was over.
    pub expired: u64,
    /// Files without row that a start removed.
    pub orphans: u64,
    /// Seconds of virtual time.
    pub seconds: u64,
    /// Operations of the disk.
    pub operations: u64,
    /// What went wrong on the disk.
    pub disk: FaultCounts,
}

impl AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.runs += other.runs;
        self.requests += other.requests;
        self.handled += other.handled;
        self.fault_answers += other.fault_answers;
        self.refusals += other.refusals;
        self.deliveries += other.deliveries;
        self.received += other.received;
        self.entries += other.entries;
        self.together += other.together;
        self.delayed += other.delayed;
        self.lost_requests += other.lost_requests;
        self.lost_answers += other.lost_answers;
        self.duplicates += other.duplicates;
        self.late_duplicates += other.late_duplicates;
        self.cut_requests += other.cut_requests;
        self.repetitions += other.repetitions;
        self.restarts += other.restarts;
        self.failed_starts += other.failed_starts;
        self.stopped_stores += other.stopped_stores;
        self.expired += other.expired;
        self.orphans += other.orphans;
        self.seconds += other.seconds;
        self.operations += other.operations;
        self.disk += other.disk;
    }
}

impl Summary {
    /// Every count with its name.
    pub fn counts(&self) -> [(&'static str, u64); 35] {
        let disk = &self.disk;
        [
            ("runs", self.runs),
            ("requests", self.requests),
            ("handled", self.handled),
            ("fault answers", self.fault_answers),
            ("refusals", self.refusals),
            ("deliveries", self.deliveries),
            ("received", self.received),
            ("log entries", self.entries),
            ("handled together", self.together),
            ("delayed", self.delayed),
            ("lost requests", self.lost_requests),
            ("lost answers", self.lost_answers),
            ("duplicates", self.duplicates),
            ("late duplicates", self.late_duplicates),
            ("cut requests", self.cut_requests),
            ("repetitions", self.repetitions),
            ("restarts", self.restarts),
            ("failed starts", self.failed_starts),
            ("stopped stores", self.stopped_stores),
            ("bodies removed", self.expired),
            ("orphans removed", self.orphans),
            ("virtual seconds", self.seconds),
            ("disk operations", self.operations),
            ("disk full", disk.no_space),
            ("failed changes", disk.io),
            ("failed reads", disk.read_io),
            ("short writes", disk.short_writes),
            ("failed syncs", disk.syncs_failed),
            ("slow syncs", disk.slow_syncs),
            ("kills", disk.kills),
            ("power cuts", disk.power_cuts),
            ("lost writes", disk.lost_writes),
            ("torn writes", disk.torn_writes),
            ("lost names", disk.lost_names),
            ("disk faults", disk.no_space + disk.io + disk.read_io + disk.short_writes + disk.syncs_failed),
        ]
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts().iter().try_for_each(|(name, count)| writeln!(f, "{name:>18} {count}"))
    }
}
