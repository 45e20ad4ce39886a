//! How fast orders are answered when time passes for everybody: server, load generator and whoever else is there.

use anyhow::Result;
use rohrpost_benches::Bits;

use super::Bench;
use crate::line::{Bar, Line};
use crate::machine::{QUIET, cores};

/// For looking at: the load generator takes its part of the same cores.
pub(super) fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for bits in [Bits::Rsa2048, Bits::Rsa4096] {
        let mut line = Line::new("G2", bits.name(), Bar::None);
        for round in bench.saturation(bits)?.iter().filter(|round| round.others < QUIET) {
            let (rate, roof) = (round.requests / round.seconds, cores() as f64 / round.rsa.both());
            line.add(rate / roof, round.others);
            line.note("orders_per_second", rate.round());
        }
        lines.push(if line.is_measured() { line } else { line.skipped("no round was quiet") });
    }
    Ok(lines)
}
