//! A server that is attacked, what that costs it, and an honest client.

use std::fmt;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::AddAssign;
use std::time::Duration;

use rohrpost_client::Client;
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_tests::Server;
use rohrpost_tests::load::{Parcel, Person, client, config, quick_keys, runtime};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(super) const MIB: u64 = 1024 * 1024;

/// What something cost the server.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    /// Resident memory at its peak beyond that before, in bytes.
    pub(super) memory: u64,
    pub(super) processor: Duration,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = self.memory as f64 / MIB as f64;
        write!(f, "{memory:8.1} MiB {:8.3} s", self.processor.as_secs_f64())
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.memory = self.memory.max(other.memory);
        self.processor += other.processor;
    }
}

pub(super) struct Arena {
    server: Server,
    runtime: Runtime,
    honest: Client,
    bob: Person,
    _spools: TempDir,
}

impl Arena {
    /// A server with quick keys and an honest client.
    pub(super) fn start(sets: &[&str]) -> Self {
        let mut all = [quick_keys(), vec!["log.level=warn".to_owned()]].concat();
        all.extend(sets.iter().map(|set| (*set).to_owned()));
        let server = Server::start(&all.iter().map(String::as_str).collect::<Vec<_>>());
        let spools = tempfile::tempdir().unwrap();
        let alice = Person::of_test_pki("rsa-2048");
        let honest = client(config(server.url(), &alice, SpoolDir::new(spools.path())));
        let arena = Self { server, runtime: runtime(), honest, bob: Person::fresh("Bob"), _spools: spools };
        // What is made once is not part of any cost.
        (0..5).for_each(|seed| arena.honest_order(seed, 1000));
        arena
    }

    pub(super) fn address(&self) -> String {
        self.server.url().split('/').nth(2).unwrap().to_owned()
    }

    /// An honest client stores a delivery with `bytes` of attachment, and gets its acknowledgement.
    pub(super) fn honest_order(&self, seed: u64, bytes: u64) {
        self.store(Parcel { seed, data: 500, attachment: Some(bytes) });
    }

    fn store(&self, parcel: Parcel) {
        self.runtime.block_on(self.honest.store(parcel.shipment(&self.bob.cipher.certificate))).unwrap();
    }

    /// What an honest order costs, on the average of some.
    pub(super) fn honest_cost(&self, bytes: u64) -> Cost {
        self.average_cost(Parcel { seed: 1, data: 500, attachment: Some(bytes) })
    }

    /// What an honest order with so much content, which lies within the XML, costs.
    pub(super) fn honest_content_cost(&self, bytes: u64) -> Cost {
        self.average_cost(Parcel { seed: 1, data: bytes, attachment: None })
    }

    fn average_cost(&self, parcel: Parcel) -> Cost {
        let orders = if parcel.data > MIB { 4 } else { 40 };
        let mut cost = self.cost(|| (0..orders).for_each(|_| self.store(parcel)));
        cost.processor /= orders;
        let bytes = parcel.data + parcel.attachment.unwrap_or_default();
        eprintln!("{:58} {cost}", format!("an honest order of {} KiB", bytes / 1024));
        cost
    }

    /// What `work` costs the server.
    pub(super) fn cost(&self, work: impl FnOnce()) -> Cost {
        let pid = self.server.pid().unwrap();
        // Where the peak cannot be forgotten, that since the start is just as good a bound.
        let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        let (memory, processor) = (status(pid, "VmRSS:"), processor(pid));
        work();
        Cost { memory: status(pid, "VmHWM:").saturating_sub(memory), processor: self::processor(pid) - processor }
    }

    /// Posts bytes as they are: status and body of the answer.
    pub(super) fn post(&self, body: &[u8]) -> (u16, Vec<u8>) {
        post(&self.address(), body)
    }

    /// A figure of the metrics.
    pub(super) fn metric(&self, name: &str) -> f64 {
        let mut stream = TcpStream::connect(self.server.management().split('/').nth(2).unwrap()).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    /// Waits, for as long as it takes, until a figure has sunk so far.
    pub(super) fn until_at_most(&self, name: &str, value: f64) {
        while self.metric(name) > value {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Posts bytes as they are: status and body of the answer.
pub(super) fn post(address: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("POST /osci HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    let _ = stream.write_all(body);
    answer(&mut stream)
}

/// Reads an answer to the end of the connection: status and body.
pub(super) fn answer(stream: &mut TcpStream) -> (u16, Vec<u8>) {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer[..answer.len().min(12)]).into_owned();
    let status = text.strip_prefix("HTTP/1.1 ").and_then(|status| status.parse().ok()).unwrap_or_default();
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |at| at + 4);
    (status, answer.split_off(body.min(answer.len())))
}

/// A line of `/proc/PID/status`, in bytes.
fn status(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Processor time of all threads, in user and kernel mode. The unit of the file is 10 ms on every Linux.
fn processor(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}
