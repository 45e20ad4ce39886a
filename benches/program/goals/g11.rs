//! Latency without load: one client, one order after the other, beside what cannot be avoided.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use rohrpost_benches::{Bits, Party};

use super::Bench;
use crate::letters;
use crate::line::{Bar, Line};
use crate::load::Load;
use crate::machine::Watch;
use crate::roof;
use crate::server::Server;

const ORDERS: usize = 200;

pub(super) fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let party = Arc::new(Party::intermediary(Bits::Rsa2048));
    let server = Server::start(&bench.server, &party, &[])?;
    let sender = letters::sender(&party.cipher);
    let file = bench.folder.path().join("letters");
    let line = bench.quiet_rounds(Line::new("G11", "rsa2048", Bar::AtMost(1.6)), |line| {
        letters::write(&file, ORDERS, || sender.store_delivery(server.ids.next()))?;
        let mut load = Load::of_letters(&server, &file, 1, None)?;
        let watch = Watch::new(&[server.pid(), load.pid()]);
        let (before, flush) = (roof::rsa_alone(&party, Duration::from_millis(150)), roof::flush(bench.folder.path())?);
        let outcome = load.go()?;
        let (after, flush_after) =
            (roof::rsa_alone(&party, Duration::from_millis(150)), roof::flush(bench.folder.path())?);
        ensure!(outcome.answered == ORDERS, "of {ORDERS} orders {} were answered", outcome.answered);
        let floor = (before.both() + after.both() + flush + flush_after) / 2.0;
        line.note("p50_ms", outcome.p50 * 1e3);
        line.note("p99_ms", outcome.p99 * 1e3);
        line.note("floor_ms", floor * 1e3);
        Ok((outcome.p50 / floor, watch.others()))
    })?;
    Ok(vec![line])
}
