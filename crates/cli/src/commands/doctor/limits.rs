//! Whether the machine can give what the configuration promises.

use std::fs;

use super::finding::{Finding, text};
use crate::config::RawConfig;

/// Files that an order may have open: request, opened message, answer, database.
const FILES_PER_ORDER: u64 = 8;
/// Listeners, database, logs and whatever libraries need.
const OTHER_FILES: u64 = 64;

/// What an open dialog, a connection and the program itself may take of the memory, in bytes.
const PER_DIALOG: u64 = 50 << 10;
const PER_CONNECTION: u64 = 160 << 10;
const PROGRAM: u64 = 200 << 20;

pub(super) fn examine(raw: &RawConfig) -> Vec<Finding> {
    let limits = &raw.limits;
    let mut findings = Vec::new();
    let needed = limits.connections as u64
        + FILES_PER_ORDER * limits.concurrent_orders as u64
        + 2 * limits.waiting_orders as u64
        + OTHER_FILES;
    match open_files() {
        Some(allowed) if allowed < needed => findings.push(
            Finding::warning(
                "limits.files",
                text!("{allowed} Dateien dürfen offen sein, {needed} können nötig werden.", "{allowed} files may be open, {needed} may be needed."),
            )
            .cause(text!(
                "Die Grenze des Betriebssystems (ulimit -n) ist kleiner als limits.connections und limits.concurrent_orders zusammen brauchen.",
                "The limit of the operating system (ulimit -n) is less than limits.connections and limits.concurrent_orders need together."
            ))
            .remedy(text!(
                "LimitNOFILE={needed} in die systemd-Unit schreiben oder limits.connections verkleinern.",
                "Write LimitNOFILE={needed} into the systemd unit, or lower limits.connections."
            )),
        ),
        Some(allowed) => {
            findings.push(Finding::ok("limits.files", text!("{allowed} Dateien dürfen offen sein, {needed} können nötig werden.", "{allowed} files may be open, {needed} may be needed.")));
        }
        None => {}
    }
    let memory = PROGRAM
        + PER_CONNECTION * limits.connections as u64
        + PER_DIALOG * raw.orders.max_dialogs as u64
        + limits.spool_memory_bytes as u64 * (4 * limits.concurrent_orders + limits.waiting_orders) as u64;
    if let Some(total) = total_memory() {
        let (needed, there) = (memory >> 20, total >> 20);
        let what = text!(
            "höchstens etwa {needed} MiB von {there} MiB Speicher",
            "at most some {needed} MiB of {there} MiB of memory"
        );
        findings.push(if memory > total {
            Finding::warning("limits.memory", what).remedy(text!(
                "orders.max_dialogs oder limits.connections verkleinern.",
                "Lower orders.max_dialogs or limits.connections."
            ))
        } else {
            Finding::ok("limits.memory", what)
        });
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let turns = limits.processor_turns;
    if turns > 2 * cores {
        findings.push(
            Finding::warning(
                "limits.processor_turns",
                text!("{turns} Aufträge zugleich auf {cores} Kernen", "{turns} orders at a time on {cores} cores"),
            )
            .cause(text!("Alle dauern länger, keine wird früher fertig.", "All take longer, none ends sooner."))
            .remedy(text!("0 eintragen: so viele, wie es Kerne gibt.", "Give 0: as many as there are cores.")),
        );
    }
    findings
}

/// The limit that a process started here gets.
fn open_files() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

fn total_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}
