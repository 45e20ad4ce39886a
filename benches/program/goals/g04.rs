//! Exactly one decryption and one signature per order, by the server's own counters.

use anyhow::Result;
use rohrpost_benches::Bits;

use super::Bench;
use crate::line::{Bar, Line};

pub(super) fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let mut decryptions = Line::new("G4", "decryptions", Bar::Exactly(1.0));
    let mut signatures = Line::new("G4", "signatures", Bar::Exactly(1.0));
    for round in bench.saturation(Bits::Rsa2048)? {
        decryptions.add(round.decryptions / round.requests, round.others);
        signatures.add(round.signatures / round.requests, round.others);
    }
    Ok(vec![decryptions, signatures])
}
