//! What the machine is, and what others do on it meanwhile.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use time::OffsetDateTime;

/// Ticks per second of the times in `/proc`: fixed in the interface of the kernel to programs.
const TICKS: f64 = 100.0;

/// Other programs' share of the machine above which figures of waiting mean nothing.
pub(crate) const QUIET: f64 = 0.05;

/// Cores.
pub(crate) fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// CPU time that a process has used, all its threads together.
pub(crate) fn cpu_of(process: u32) -> f64 {
    ticks(process, 2) as f64 / TICKS
}

/// A line of `/proc/PID/status` in kB, as bytes: `VmHWM`, `VmRSS`.
pub(crate) fn memory_of(process: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Flushes the disk of a folder was asked for since the machine started, by whomever.
pub(crate) fn flushes(folder: &std::path::Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let device = fs::metadata(folder).ok()?.dev();
    // As the C library of Linux encodes them; large numbers do not occur among disks.
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
    let stat = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
    stat.split_whitespace().nth(15)?.parse().ok()
}

/// Watches the machine from now on.
pub(crate) struct Watch {
    began: Instant,
    busy: u64,
    processes: Vec<u32>,
    own: u64,
}

impl Watch {
    /// Everything but this process, its children that have ended by then, and `processes` are the others.
    pub(crate) fn new(processes: &[u32]) -> Self {
        Self { began: Instant::now(), busy: busy(), own: own(processes), processes: processes.to_vec() }
    }

    /// The others' share of the machine so far, from 0 to 1.
    pub(crate) fn others(&self) -> f64 {
        let others = (busy() - self.busy).saturating_sub(own(&self.processes).saturating_sub(self.own));
        let all = self.began.elapsed().as_secs_f64() * cores() as f64;
        if all > 0.0 { (others as f64 / TICKS / all).min(1.0) } else { 0.0 }
    }
}

/// Waits until the others have been quiet for a moment; false if they are not within `patience`.
pub(crate) fn wait_until_quiet(processes: &[u32], patience: Duration) -> bool {
    let began = Instant::now();
    loop {
        let watch = Watch::new(processes);
        std::thread::sleep(Duration::from_millis(500));
        if watch.others() < QUIET {
            return true;
        }
        if began.elapsed() > patience {
            return false;
        }
    }
}

/// Whether the processor has what makes RSA three times as fast and nothing else.
pub(crate) fn has_fast_rsa() -> bool {
    fs::read_to_string("/proc/cpuinfo").unwrap_or_default().contains(" avx512ifma")
}

/// Processor, cores, memory, kernel: what figures belong to.
pub(crate) fn describe() -> Value {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let flags = field(&cpuinfo, "flags");
    let wanted = ["adx", "bmi2", "avx2", "sha_ni", "vaes", "vpclmulqdq", "avx512ifma"];
    let features: Vec<&str> = wanted.into_iter().filter(|flag| flags.split(' ').any(|found| found == *flag)).collect();
    json!({
        "processor": field(&cpuinfo, "model name"),
        "features": features,
        "cores": cores(),
        "memory": field(&meminfo, "MemTotal"),
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "copy_gigabytes_per_second": copy_speed(),
    })
}

/// The time. The programs of this package have a clock of their own, because they depend on no room that has one.
pub(crate) fn now() -> OffsetDateTime {
    let time = clock_gettime(ClockId::Realtime);
    let nanoseconds = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).expect("the system's clock is set to a year that exists")
}

/// The commit that is measured, with a mark if files were changed since.
pub(crate) fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| !text.is_empty());
    if changed { format!("{commit}+") } else { commit }
}

/// Copies of 256 KB. Below 10 GB/s the processor has a bad moment with copies between addresses that are alike, and every
/// figure of large messages suffers.
fn copy_speed() -> f64 {
    let (source, mut target) = (vec![1_u8; 256 * 1024], vec![0_u8; 256 * 1024]);
    let began = Instant::now();
    for _ in 0..1000 {
        target.copy_from_slice(std::hint::black_box(&source));
        std::hint::black_box(&target);
    }
    (256.0 * 1024.0 * 1000.0 / began.elapsed().as_secs_f64() / 1e8).round() / 10.0
}

fn busy() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let numbers: Vec<u64> = fields.filter_map(|field| field.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guests are part of user.
    numbers.iter().take(8).sum::<u64>() - numbers.get(3..5).map_or(0, |idle| idle.iter().sum())
}

fn own(processes: &[u32]) -> u64 {
    ticks(std::process::id(), 4) + processes.iter().map(|process| ticks(*process, 4)).sum::<u64>()
}

/// The first `count` of utime, stime, cutime and cstime.
fn ticks(process: u32, count: usize) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name of the program, in brackets, may contain anything.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace().skip(11).take(count).filter_map(|field| field.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_time_and_memory() {
        let watch = Watch::new(&[]);
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(60) {
            std::hint::black_box(vec![0_u8; 10_000]);
        }
        assert!(cpu_of(std::process::id()) > 0.0);
        assert!((0.0..=1.0).contains(&watch.others()));
        let (now, most) = (memory_of(std::process::id(), "VmRSS"), memory_of(std::process::id(), "VmHWM"));
        assert!(now > 100_000 && most >= now);
        assert_eq!(memory_of(std::process::id(), "Nothing"), 0);
    }
}
