//! Overload: orders arrive twice as fast as they can be answered. The server does as much as before and sends the rest away.

use anyhow::{Result, ensure};
use rohrpost_benches::{Bits, Party};

use super::Bench;
use crate::letters;
use crate::line::{Bar, Line};
use crate::load::Load;
use crate::machine::Watch;
use crate::saturation::CLIENTS;
use crate::server::Server;

/// Connections that keep up with the rate while the server makes them wait.
const CONNECTIONS: usize = 400;

pub(super) fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let seconds = if bench.options.quick { 1.5 } else { 3.0 };
    let party = Party::intermediary(Bits::Rsa2048);
    // All clients have one address here.
    let server = Server::start(&bench.server, &party, &["limits.connections_per_peer=1000"])?;
    let sender = letters::sender(&party.cipher);
    let file = bench.folder.path().join("letters");
    let accepted = || -> Result<f64> {
        let name = r#"rohrpost_orders_total{order="StoreDelivery",result="accepted"}"#;
        Ok(server.metrics()?.get(name).copied().unwrap_or(0.0))
    };
    let mut unclean = Line::new("G12", "unclean", Bar::Exactly(0.0));
    let goodput = bench.quiet_rounds(Line::new("G12", "goodput", Bar::AtLeast(0.9)), |line| {
        letters::write(&file, 1500, || sender.store_delivery(server.ids.next()))?;
        let closed = Load::of_letters(&server, &file, CLIENTS, None)?.go()?;
        ensure!(closed.broken == 0 && closed.sent_away == 0, "the closed loop was not answered");
        let capacity = closed.answered as f64 / closed.seconds;
        let count = (2.0 * capacity * seconds) as usize;
        letters::write(&file, count, || sender.store_delivery(server.ids.next()))?;
        let mut load = Load::of_letters(&server, &file, CONNECTIONS, Some(2.0 * capacity))?;
        let (watch, before) = (Watch::new(&[server.pid(), load.pid()]), accepted()?);
        let outcome = load.go()?;
        let others = watch.others();
        let good = (accepted()? - before) / outcome.seconds;
        // Whoever is not served is told so, and when to come back.
        unclean.add(outcome.broken as f64, others);
        line.note("capacity_per_second", capacity.round());
        line.note("sent_away", outcome.sent_away);
        line.note("accepted_p50_ms", outcome.p50 * 1e3);
        line.note("accepted_p99_ms", outcome.p99 * 1e3);
        Ok((good / capacity, others))
    })?;
    Ok(vec![goodput, unclean])
}
