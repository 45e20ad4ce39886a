//! What an order costs beside its two private-key operations.

use anyhow::Result;
use rohrpost_benches::Bits;

use super::Bench;
use crate::line::{Bar, Line};

pub(super) fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let mut line = Line::new("G3", "rsa2048", Bar::AtMost(0.6));
    for round in bench.saturation(Bits::Rsa2048)? {
        let beside = round.cpu / round.requests - round.rsa.both();
        line.add(beside / round.rsa.one(), round.others);
        line.note("microseconds", (beside * 1e6).round());
    }
    let mut lines = vec![line];
    lines.extend(bench.with_native_rsa("G3")?);
    Ok(lines)
}
