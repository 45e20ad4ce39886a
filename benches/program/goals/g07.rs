//! Memory: the peak of a fresh server that takes a message of 1 GB, beside one that takes 1 MB; one client, and four at once.

use anyhow::{Result, ensure};
use rohrpost_benches::{Bits, Party};

use super::Bench;
use crate::line::{Bar, Line};
use crate::load::Load;
use crate::machine::{Watch, memory_of};
use crate::server::Server;

const MEGABYTE: u64 = 1 << 20;

pub(super) fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let large = if bench.options.quick { 128 * MEGABYTE } else { 1024 * MEGABYTE };
    let cases = [(1, true), (4, true), (1, false)];
    let mut lines = Vec::new();
    for (clients, as_attachment) in cases {
        let shape = if as_attachment { "attachment" } else { "content" };
        // Base64 makes content larger: this is as much as the server takes by default.
        let large = if as_attachment { large } else { large / 4 };
        let mut line = Line::new("G7", format!("{shape}x{clients}"), Bar::AtMost(64.0));
        let (small, _, _) = peak(bench, MEGABYTE, as_attachment, clients)?;
        eprintln!("  {clients} x {} MB as {shape}", large / MEGABYTE);
        let (peak, seconds, others) = peak(bench, large, as_attachment, clients)?;
        line.add((peak.saturating_sub(small)) as f64 / MEGABYTE as f64, others);
        line.note("peak_megabytes", peak / MEGABYTE);
        line.note("megabytes_of_payload", large / MEGABYTE);
        line.note("seconds", seconds);
        lines.push(line);
    }
    Ok(lines)
}

/// Peak of resident memory, seconds, the others' share.
fn peak(bench: &Bench, bytes: u64, as_attachment: bool, clients: usize) -> Result<(u64, f64, f64)> {
    let server = Server::start(&bench.server, &Party::intermediary(Bits::Rsa2048), &[])?;
    let mut load = Load::of_bytes(&server, bytes, as_attachment, clients)?;
    let watch = Watch::new(&[server.pid(), load.pid()]);
    let outcome = load.go()?;
    let others = watch.others();
    let stored = server.metrics()?.get("rohrpost_deliveries_waiting").copied().unwrap_or(0.0);
    ensure!((stored - clients as f64).abs() < 0.5, "of {clients} deliveries {stored} were stored");
    Ok((memory_of(server.pid(), "VmHWM"), outcome.seconds, others))
}
