//! RSA efficiency: which part of the server's CPU time at saturation is private-key operations, which nobody can do without.

use anyhow::Result;
use rohrpost_benches::Bits;

use super::Bench;
use crate::line::{Bar, Line};

pub(super) fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (bits, bar) in [(Bits::Rsa2048, 0.70), (Bits::Rsa3072, 0.80), (Bits::Rsa4096, 0.88)] {
        let mut line = Line::new("G1", bits.name(), Bar::AtLeast(bar));
        for round in bench.saturation(bits)? {
            line.add(round.requests * round.rsa.both() / round.cpu, round.others);
            line.note("cpu_microseconds_per_order", (round.cpu / round.requests * 1e6).round());
            line.note("rsa_microseconds_per_order", (round.rsa.both() * 1e6).round());
        }
        lines.push(line);
    }
    lines.extend(bench.with_native_rsa("G1")?);
    Ok(lines)
}
