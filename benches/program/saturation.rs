//! The server under full load of deliveries, with the RSA roof before and after: what several goals look at.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use rohrpost_benches::{Bits, Party};

use crate::goals::Bench;
use crate::letters;
use crate::load::Load;
use crate::machine::{self, Watch};
use crate::roof::{self, Rsa};
use crate::server::Server;

/// Clients at once.
pub(crate) const CLIENTS: usize = 32;

/// One round that counts.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    /// The roof around it.
    pub(crate) rsa: Rsa,
    /// Requests.
    pub(crate) requests: f64,
    /// CPU seconds of the server.
    pub(crate) cpu: f64,
    /// Seconds that passed.
    pub(crate) seconds: f64,
    /// What the server counted meanwhile.
    pub(crate) decryptions: f64,
    pub(crate) signatures: f64,
    pub(crate) commits: f64,
    /// Flushes of the disk meanwhile, whoever wanted them.
    pub(crate) flushes: Option<f64>,
    /// The others' share of the machine.
    pub(crate) others: f64,
}

/// Runs rounds until as many as wanted count. Rounds whose roofs before and after differ too much do not.
pub(crate) fn run(bench: &Bench, bits: Bits) -> Result<Vec<Round>> {
    let party = Arc::new(Party::intermediary(bits));
    let server = Server::start(&bench.server, &party, &[])?;
    let sender = letters::sender(&party.cipher);
    let file = bench.folder.path().join("letters");
    let count = match bits {
        Bits::Rsa2048 => 2400,
        Bits::Rsa3072 => 1200,
        Bits::Rsa4096 => 500,
    } / if bench.options.quick { 3 } else { 1 };
    // The first requests pay for what every connection and every thread needs once.
    letters::write(&file, 4 * CLIENTS, || sender.store_delivery(server.ids.next()))?;
    Load::of_letters(&server, &file, CLIENTS, None)?.go()?;
    let roof_time = Duration::from_millis(if bits == Bits::Rsa4096 { 400 } else { 250 });
    let mut rounds = Vec::new();
    for attempt in 0..3 * bench.options.rounds {
        if rounds.len() == bench.options.rounds {
            break;
        }
        eprintln!("  {}: round {}", bits.name(), attempt + 1);
        letters::write(&file, count, || sender.store_delivery(server.ids.next()))?;
        let mut load = Load::of_letters(&server, &file, CLIENTS, None)?;
        let before = roof::rsa(&party, roof_time);
        let round = round(&server, &mut load, count)?;
        let after = roof::rsa(&party, roof_time);
        match Rsa::between(before, after) {
            Some(rsa) => rounds.push(Round { rsa, ..round }),
            None => eprintln!("  the roofs before and after differ by more than 10 %: the round does not count"),
        }
    }
    Ok(rounds)
}

fn round(server: &Server, load: &mut Load, count: usize) -> Result<Round> {
    let before = server.metrics()?;
    let data = server.data();
    let (flushes, watch) = (machine::flushes(&data), Watch::new(&[server.pid(), load.pid()]));
    let cpu = server.cpu();
    let outcome = load.go()?;
    let cpu = server.cpu() - cpu;
    let others = watch.others();
    let flushes = machine::flushes(&data).zip(flushes).map(|(after, before)| (after - before) as f64);
    let after = server.metrics()?;
    let more = |name: &str| after.get(name).unwrap_or(&0.0) - before.get(name).unwrap_or(&0.0);
    let accepted = more(r#"rohrpost_orders_total{order="StoreDelivery",result="accepted"}"#);
    ensure!(
        outcome.answered == count && (accepted - count as f64).abs() < 0.5,
        "of {count} deliveries {} were answered and {accepted} accepted",
        outcome.answered
    );
    let nothing = Rsa { decrypt: 0.0, sign: 0.0 };
    Ok(Round {
        rsa: nothing,
        requests: count as f64,
        cpu,
        seconds: outcome.seconds,
        decryptions: more("rohrpost_private_key_decryptions_total"),
        signatures: more("rohrpost_private_key_signatures_total"),
        commits: more("rohrpost_store_commits_total"),
        flushes,
        others,
    })
}
