//! What a server takes that nobody uses, and how soon it answers after its start.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rohrpost_benches::{Bits, Party};

use super::Bench;
use crate::http::Connection;
use crate::letters;
use crate::line::{Bar, Line};
use crate::machine::{Watch, memory_of};
use crate::server::Server;

pub(super) fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let party = Party::intermediary(Bits::Rsa2048);
    let request = letters::sender(&party.cipher).get_message_id();
    let request = request.in_memory().expect("requests are small");
    let mut memory = Line::new("G14", "megabytes", Bar::AtMost(40.0));
    let mut start = Line::new("G14", "seconds", Bar::AtMost(0.3));
    for _ in 0..bench.options.rounds {
        let prepared = Server::prepare(&party)?;
        let watch = Watch::new(&[]);
        let began = Instant::now();
        let server = prepared.start(&bench.server, &[])?;
        let reply = Connection::open(server.address)?.post(request)?;
        let took = began.elapsed().as_secs_f64();
        ensure!(reply.status == 200, "the first answer has status {}", reply.status);
        start.add(took, watch.others());
        thread::sleep(Duration::from_millis(300));
        memory.add(memory_of(server.pid(), "VmRSS") as f64 / 1e6, watch.others());
    }
    Ok(vec![memory, start])
}
