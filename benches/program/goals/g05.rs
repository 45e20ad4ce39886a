//! How often the disk is asked to be sure, per message that is sure; and that what was acknowledged survives `kill -9`.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use rohrpost_benches::{Bits, Party};

use super::Bench;
use crate::letters;
use crate::line::{Bar, Line};
use crate::load::Load;
use crate::saturation::CLIENTS;
use crate::server::Server;

pub(super) fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let mut waits = Line::new("G5", "waits", Bar::AtMost(0.25));
    for round in bench.saturation(Bits::Rsa2048)? {
        waits.add(round.commits / round.requests, round.others);
        if let Some(flushes) = round.flushes {
            waits.note("flushes_of_the_disk_by_anybody_per_message", flushes / round.requests);
        }
    }
    Ok(vec![waits, lost(bench)?])
}

/// Kills the server in the middle of a load and compares what clients were told with what the store has afterwards.
fn lost(bench: &Bench) -> Result<Line> {
    let mut line = Line::new("G5", "lost", Bar::Exactly(0.0));
    let party = Party::intermediary(Bits::Rsa2048);
    let sender = letters::sender(&party.cipher);
    let file = bench.folder.path().join("letters");
    for round in 0..3 {
        let mut server = Server::start(&bench.server, &party, &[])?;
        letters::write(&file, 1000, || sender.store_delivery(server.ids.next()))?;
        let mut load = Load::of_letters(&server, &file, CLIENTS, None)?.expecting_a_crash();
        let killer = server.killer();
        let killer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(150 + 100 * round));
            killer.kill();
        });
        let outcome = load.go()?;
        let _ = killer.join();
        server.restart(&bench.server)?;
        let kept = server.metrics()?.get("rohrpost_deliveries_waiting").copied().unwrap_or(0.0);
        line.add((outcome.answered as f64 - kept).max(0.0), 0.0);
        line.note("acknowledged", outcome.answered);
        line.note("kept", kept);
    }
    Ok(line)
}
