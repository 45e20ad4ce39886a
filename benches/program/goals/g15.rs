//! Our client side beside the reference library: building and signing a delivery, opening and verifying it, the same content.
//!
//! The library is no part of this project. `ROHRPOST_REFERENCE` names a command that measures it, called with the seconds of a
//! measurement and a regular expression of the rows wanted; see `README.md` of this package.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rohrpost_benches::{Bits, Clock, Messages, Meter, NOW, Party, keys, scratch};
use rohrpost_crypto::SystemRandom;
use rohrpost_crypto::policy::Policy;
use rohrpost_osci::compose::OutContent;
use rohrpost_osci::content::{InMemory, Package};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::source::{ReadAt, read_range};
use rohrpost_osci::{envelope, mime};
use rohrpost_pipeline::open::open;
use rohrpost_pipeline::read::read;
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_pipeline::verify::{SignatureState, Signer, verify};

use super::Bench;
use crate::line::{Bar, Line, median};
use crate::machine::{QUIET, Watch};
use crate::roof;

const COMMAND: &str = "ROHRPOST_REFERENCE";

/// One kind of delivery.
struct Case {
    name: &'static str,
    bytes: u64,
    as_attachment: bool,
    bits: Bits,
    /// Its row in the library's table: protection, content, threads.
    row: &'static str,
    bar: f64,
}

const CASES: [Case; 3] = [
    Case {
        name: "10MB_content",
        bytes: 10_000_000,
        as_attachment: false,
        bits: Bits::Rsa4096,
        row: "transport, RSA-4096, 10 MB, 1",
        bar: 1.0 / 20.0,
    },
    Case {
        name: "10MB_attachment",
        bytes: 10_000_000,
        as_attachment: true,
        bits: Bits::Rsa4096,
        row: "transport, payload as attachment, RSA-4096, 10 MB, 1",
        bar: 1.0 / 5.0,
    },
    // What a small delivery costs beside RSA, which is the same for everybody.
    Case {
        name: "4KB_beside_RSA",
        bytes: 4_000,
        as_attachment: false,
        bits: Bits::Rsa2048,
        row: "transport, RSA-2048, 4 KB, 1",
        bar: 1.0 / 5.0,
    },
];

/// CPU seconds per message.
#[derive(Debug, Clone, Copy)]
struct Cost {
    build: f64,
    open: f64,
}

pub(super) fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let Some(command) = std::env::var(COMMAND).ok().filter(|command| !command.is_empty()) else {
        let reason =
            format!("{COMMAND} is not set: the reference library is not part of this project, see benches/README.md");
        return Ok(vec![Line::new("G15", "reference", Bar::None).skipped(reason)]);
    };
    let seconds = if bench.options.quick { 0.3 } else { 0.7 };
    let mut lines = Vec::new();
    for case in &CASES {
        eprintln!("  {}", case.name);
        let ours = Ours::new(case);
        let watch = Watch::new(&[]);
        let mut samples = vec![ours.cost(case)];
        let mut reference = reference(&command, seconds, case.row)?;
        if case.bits == Bits::Rsa2048 {
            let own_rsa = bare_rsa(seconds)?;
            reference = Cost { build: reference.build - own_rsa.build, open: reference.open - own_rsa.open };
        }
        let others = watch.others();
        (0..2).for_each(|_| samples.push(ours.cost(case)));
        for (step, of) in [("build", (|cost| cost.build) as fn(&Cost) -> f64), ("open", |cost| cost.open)] {
            let mut line = Line::new("G15", format!("{}_{step}", case.name), Bar::AtMost(case.bar));
            samples.iter().for_each(|sample| line.add(of(sample) / of(&reference), others));
            line.note("ours_ms", median(&samples.iter().map(of).collect::<Vec<_>>()).map(|seconds| seconds * 1e3));
            line.note("reference_ms", of(&reference) * 1e3);
            let loud = others >= QUIET;
            // The library's figures are of time that passes.
            lines.push(if loud { line.skipped("other programs had more than 5 % of the machine") } else { line });
        }
    }
    Ok(lines)
}

/// Our side of a case.
struct Ours {
    messages: Messages,
    spools: SpoolDir,
    party: Party,
    meter: Meter,
    _folder: tempfile::TempDir,
}

impl Ours {
    fn new(case: &Case) -> Self {
        let folder = scratch();
        let spools = SpoolDir::new(folder.path());
        let bytes = read_range(&rohrpost_benches::Pattern(case.bytes), 0..case.bytes).expect("a pattern is readable");
        let messages = Messages::new(case.bits, spools.clone());
        let source = Arc::new(bytes) as Arc<dyn ReadAt>;
        let messages =
            if case.as_attachment { messages.with_attachment(source) } else { messages.with_content(source) };
        Self { messages, spools, party: Party::client(case.bits), meter: Meter::default(), _folder: folder }
    }

    /// The mean of several, without RSA where the case is about the rest.
    fn cost(&self, case: &Case) -> Cost {
        let count = if case.bytes > 1_000_000 { 5 } else { 400 };
        let keys = keys(case.bits, &self.meter);
        let id = || MessageId::new("id").expect("it is an id");
        let mut made = Vec::new();
        let rsa = roof::rsa_alone(&self.party, Duration::from_millis(100));
        let build = Clock::Thread.time(|| made.extend((0..count).map(|_| self.messages.rebuilt_delivery(id()))));
        let open = Clock::Thread.time(|| made.drain(..).for_each(|message| self.open(message, &keys, case)));
        let each = |time: Duration, rsa: f64| {
            time.as_secs_f64() / f64::from(count) - if case.bits == Bits::Rsa2048 { rsa } else { 0.0 }
        };
        Cost { build: each(build, rsa.sign), open: each(open, rsa.decrypt) }
    }

    /// Opens, verifies, and reads the content to its end.
    fn open(&self, message: Spool, keys: &rohrpost_pipeline::keyring::KeyRing, case: &Case) {
        let policy = Policy::standard();
        let (framing, reading) = (mime::Limits::default(), envelope::Limits::default());
        let opened = open(message, keys, &policy, NOW, &self.spools, &SystemRandom, &framing);
        let read = read(opened.expect("our message can be opened"), &reading).expect("our message can be read");
        let verified = verify(read, Signer::Client { remembered: None }, &policy, NOW, &reading);
        assert!(matches!(verified.signature(), SignatureState::Covered { .. }), "our signature is good");
        let read = verified.read();
        let (message, parts) = (read.opened().message(), read.opened().parts());
        let mut found = 0;
        for part in parts.attachments() {
            found += std::io::copy(&mut part.reader(message), &mut std::io::sink()).expect("the message is readable");
        }
        let place = read.envelope().body().package().expect("a delivery has content");
        let content = OutContent::received(Arc::new(message.clone()), parts.root().range.start, place);
        let package = Package::read(&content, &InMemory).expect("our content can be read");
        for content in package.containers.iter().flat_map(|container| &container.contents) {
            if let rohrpost_osci::content::Content::Data(data) = content {
                found += data.bytes.len();
            }
        }
        assert_eq!(found, case.bytes, "all of the content was read");
    }
}

/// What the library needs, from the rows that the command prints.
fn reference(command: &str, seconds: f64, row: &str) -> Result<Cost> {
    let call = format!("{command} {seconds} '{row}'");
    let output = Command::new("sh").args(["-c", &call]).output().context("sh cannot be run")?;
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{call} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(Cost { build: step(&table, "build StoreDelivery")?, open: step(&table, "open StoreDelivery")? })
}

/// What bare RSA costs in the library's Java: to be taken out of what it takes to build and to open.
fn bare_rsa(seconds: f64) -> Result<Cost> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/reference/BareRsa.java");
    let output = Command::new("java").args([source, &seconds.to_string()]).output().context("java cannot be run")?;
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{source} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(Cost { build: step(&table, "sign")?, open: step(&table, "decrypt")? })
}

/// Seconds of a step: the median, in milliseconds, stands in the fifth column.
fn step(table: &str, name: &str) -> Result<f64> {
    let cells = table.lines().map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    let row = cells.into_iter().find(|cells| cells.get(3) == Some(&name));
    let median = row.as_ref().and_then(|cells| cells.get(4)).and_then(|cell| cell.parse::<f64>().ok());
    Ok(median.with_context(|| format!("no row `{name}` in what {COMMAND} printed: {table}"))? / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_table_are_found() {
        let table = "| protection | content | threads | step | median ms | min | max | messages/s | MB/s |\n|---|---|---|---|---|---|---|---|---|\n\
                     | transport, RSA-2048 | 4 KB | 1 | build StoreDelivery | 2.5 | 2.4 | 2.9 | 400.0 | 1.6 |\n";
        assert_eq!(step(table, "build StoreDelivery").unwrap(), 0.0025);
        assert!(step(table, "open StoreDelivery").is_err());
    }
}
