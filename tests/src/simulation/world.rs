//! Moves time from event to event.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rohrpost_audit::{LogSigner, SigningKey};
use rohrpost_crypto::Random;
use rohrpost_crypto::policy::Policy;
use rohrpost_intermediary::{Context, Intermediary, Outcome, Parts, Settings, TokenAuthority};
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_store::{FetchRule, Fingerprint, Retention, SqliteOptions, SqliteStore, StorageError, Store};
use tempfile::TempDir;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::client::{Client, Exchange, Numbers};
use super::oracle::{Handling, Oracle};
use super::party::{Party, Said};
use super::turns::Turns;
use super::{MAX_INLINE, Summary, keys};
use crate::chance::Chance;
use crate::disk::{DIRECTORY, Fault, SimulatedDisk};

const START: OffsetDateTime = datetime!(2026-11-24 12:00 UTC);
const NAMES: [&str; 3] = ["alice", "bob", "carol"];
/// Virtual milliseconds after which no new trouble begins and clients finish what they began.
const TROUBLED: u64 = 60_000;
/// How long a client waits for an answer.
const PATIENCE: u64 = 8_000;
/// How long bodies are kept that were received.
const KEPT: Duration = Duration::seconds(8);
/// When a run that does not come to an end has failed.
const END: u64 = 400_000;

enum Happening {
    /// A client thinks of something to do.
    Wake(usize),
    /// A request arrives, so many percent of it.
    Arrive(Arc<Exchange>, usize),
    /// An answer arrives.
    Answer(Arc<Exchange>, Said),
    /// A client has waited long enough for the answer to what it sent for this many times.
    Impatient(usize, u64, u32),
    /// The process is started (again).
    Start,
    /// Bodies whose time is over are removed.
    Retention,
    /// Something else begins to go wrong on the disk.
    Weather,
    /// No more trouble.
    Calm,
}

/// The process.
struct Node {
    intermediary: Intermediary,
    store: Arc<SqliteStore>,
}

/// Everything there is.
pub(super) struct World {
    now: u64,
    coming: BTreeMap<(u64, u64), Happening>,
    next: u64,
    chance: Chance,
    disk: SimulatedDisk,
    node: Option<Node>,
    /// Requests in the works when the process ended.
    interrupted: Vec<Handling>,
    turns: Arc<Turns>,
    clients: Vec<Client>,
    numbers: Numbers,
    oracle: Oracle,
    random: Arc<SeededRandom>,
    policy: Arc<Policy>,
    encrypted: bool,
    calm: bool,
    directory: TempDir,
    history: Vec<String>,
    summary: Summary,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let random = Arc::new(SeededRandom(Mutex::new(chance.fork())));
        // Dialogs in clear are as good for all of this, and spare the time for RSA.
        let (encrypted, signed) = (chance.percent(15), chance.percent(15));
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder");
        std::fs::create_dir(directory.path().join("spool")).expect("a folder for spools");
        let policy = Arc::new(Policy::standard());
        let spools = SpoolDir::new(directory.path());
        let clients = NAMES.iter().enumerate().map(|(index, name)| {
            let random = Arc::clone(&random) as Arc<dyn Random>;
            let party = Party::new(name, encrypted, signed, Arc::clone(&policy), spools.clone(), random);
            Client::new(party, index, chance.fork())
        });
        Self {
            clients: clients.collect(),
            now: 0,
            coming: BTreeMap::new(),
            next: 0,
            disk: SimulatedDisk::new(chance.number()),
            node: None,
            interrupted: Vec::new(),
            turns: Arc::default(),
            numbers: Numbers { shipments: 0, exchanges: 0, names: NAMES.to_vec() },
            oracle: Oracle::new(&NAMES, signer().verifier().clone()),
            random,
            policy,
            encrypted,
            calm: false,
            directory,
            history: Vec::new(),
            summary: Summary { runs: 1, ..Summary::default() },
            chance,
        }
    }

    pub(super) fn summary(&self) -> Summary {
        Summary {
            requests: self.numbers.exchanges,
            seconds: self.now / 1_000,
            operations: self.disk.operations(),
            disk: self.disk.counts(),
            ..self.summary
        }
    }

    pub(super) fn into_history(self) -> Vec<String> {
        self.history
    }

    /// From the first start to the last look.
    pub(super) fn run(&mut self) -> Result<(), String> {
        self.after(0, Happening::Start);
        for client in 0..self.clients.len() {
            let pause = self.chance.below(200);
            self.after(10 + pause, Happening::Wake(client));
        }
        self.after(500, Happening::Weather);
        self.after(15_000, Happening::Retention);
        self.after(TROUBLED, Happening::Calm);
        self.go_on()?;
        // What was stored after its addressee had looked for the last time.
        for index in 0..self.clients.len() {
            if self.oracle.waiting(index) {
                self.clients[index].wind_up();
                self.after(10, Happening::Wake(index));
                self.go_on()?;
            }
            if self.oracle.waiting(index) || !self.clients[index].is_done() {
                return Err(format!(
                    "{} does not get everything although nothing is wrong",
                    self.clients[index].party.name
                ));
            }
        }
        self.finish()
    }

    fn go_on(&mut self) -> Result<(), String> {
        while let Some(((at, _), happening)) = self.coming.pop_first() {
            self.now = self.now.max(at);
            if self.now > END {
                return Err("the clients do not come to an end".to_owned());
            }
            self.happen(happening)?;
            self.now += u64::try_from(self.disk.take_waited().as_millis()).unwrap_or(0);
        }
        Ok(())
    }

    fn happen(&mut self, happening: Happening) -> Result<(), String> {
        match happening {
            Happening::Wake(client) => self.wake(client),
            Happening::Arrive(exchange, percent) if percent < 100 => self.arrive_cut(&exchange, percent)?,
            Happening::Arrive(exchange, _) => self.arrive(exchange)?,
            Happening::Answer(exchange, said) => self.answer(&exchange, &said)?,
            Happening::Impatient(client, number, sent) => self.impatient(client, number, sent),
            Happening::Start => self.start()?,
            Happening::Retention => self.retention()?,
            Happening::Weather => self.weather(),
            Happening::Calm => self.become_calm(),
        }
        Ok(())
    }

    // --- clients and network

    fn wake(&mut self, index: usize) {
        let now = self.time();
        let Some(exchange) = self.clients[index].ask(&mut self.numbers, now) else {
            if !self.clients[index].is_done() && !self.calm {
                self.after(1_000, Happening::Wake(index));
            }
            return;
        };
        let name = self.clients[index].party.name;
        self.tell(format!("{name} #{}: {:?}", exchange.number, exchange.ask));
        self.oracle.sent(&exchange);
        self.send(exchange, 1);
    }

    fn send(&mut self, exchange: Arc<Exchange>, times: u32) {
        self.after(PATIENCE, Happening::Impatient(exchange.client, exchange.number, times));
        let fate = if self.calm { 99 } else { self.chance.below(100) };
        match fate {
            0..8 => {
                self.summary.lost_requests += 1;
                self.tell(format!("request #{} is lost", exchange.number));
                return;
            }
            8..11 => {
                self.summary.cut_requests += 1;
                let percent = self.chance.below(100) as usize;
                let delay = self.delay();
                return self.after(delay, Happening::Arrive(exchange, percent));
            }
            11..17 => {
                self.summary.duplicates += 1;
                let delay = self.delay();
                self.after(delay, Happening::Arrive(Arc::clone(&exchange), 100));
            }
            17..23 => {
                self.summary.late_duplicates += 1;
                let delay = 1_000 + self.chance.below(30_000);
                self.after(delay, Happening::Arrive(Arc::clone(&exchange), 100));
            }
            _ => {}
        }
        let delay = self.delay();
        self.after(delay, Happening::Arrive(exchange, 100));
    }

    /// Milliseconds on the network.
    fn delay(&mut self) -> u64 {
        if self.calm || !self.chance.percent(10) {
            return 2 + self.chance.below(20);
        }
        self.summary.delayed += 1;
        100 + self.chance.below(12_000)
    }

    fn impatient(&mut self, client: usize, number: u64, sent: u32) {
        match self.clients[client].give_up_waiting(number, sent) {
            Some((exchange, tries)) => {
                self.summary.repetitions += 1;
                self.tell(format!("#{number} again"));
                self.send(exchange, tries);
            }
            None => self.after(500, Happening::Wake(client)),
        }
    }

    fn answer(&mut self, exchange: &Exchange, said: &Said) -> Result<(), String> {
        if self.clients[exchange.client].hear(exchange, said)? {
            self.oracle.heard(exchange, said);
            let pause = 20 + self.chance.below(3_000);
            self.after(pause, Happening::Wake(exchange.client));
        }
        Ok(())
    }

    // --- requests

    fn arrive_cut(&mut self, exchange: &Exchange, percent: usize) -> Result<(), String> {
        let Some(node) = &self.node else { return Ok(()) };
        let bytes = exchange.bytes[..exchange.bytes.len() * percent / 100].to_vec();
        let context = self.context(exchange);
        let handled = node.intermediary.handle(Spool::from_bytes(bytes), &context);
        self.tell(format!("{percent} % of #{} arrive: {:?} {:?}", exchange.number, handled.outcome, handled.codes));
        if handled.outcome != Outcome::Fault {
            return Err("the beginning of a request was taken for a request".to_owned());
        }
        self.handled(Vec::new())
    }

    /// A request arrives; those that arrive about then are handled together with it.
    fn arrive(&mut self, exchange: Arc<Exchange>) -> Result<(), String> {
        let mut batch = vec![exchange];
        if self.chance.percent(60) {
            let near: Vec<(u64, u64)> = self.coming.range(..(self.now + 300, 0)).map(|(key, _)| *key).collect();
            for key in near {
                let fits = match &self.coming[&key] {
                    // Requests of one dialog wait for each other.
                    Happening::Arrive(other, 100) => {
                        other.conversation.is_none() || batch.iter().all(|one| one.conversation != other.conversation)
                    }
                    _ => false,
                };
                if fits && let Some(Happening::Arrive(other, _)) = self.coming.remove(&key) {
                    batch.push(other);
                }
            }
        }
        let Some(node) = &self.node else {
            self.tell(format!("#{} finds nobody", batch[0].number));
            return Ok(());
        };
        let work = |exchange: &Arc<Exchange>| {
            let (request, context) = (Spool::from_bytes(exchange.bytes.clone()), self.context(exchange));
            move || node.intermediary.handle(request, &context)
        };
        let handled = if let [alone] = batch.as_slice() {
            vec![work(alone)()]
        } else {
            self.turns.together(batch.iter().map(|exchange| Box::new(work(exchange)) as Box<_>).collect())
        };
        self.summary.handled += handled.len() as u64;
        if handled.len() > 1 {
            self.summary.together += handled.len() as u64;
        }
        let mut handlings = Vec::new();
        for (exchange, handled) in batch.into_iter().zip(handled) {
            if self.disk.is_stopped() {
                self.tell(format!("#{} in the works", exchange.number));
                handlings.push(Handling { exchange, outcome: None });
                continue;
            }
            self.tell(format!("#{} is answered: {:?} {:?}", exchange.number, handled.outcome, handled.codes));
            let Some(node) = &self.node else { continue };
            if self.calm && handled.codes == [9000] {
                let again = self.clients[exchange.client].party.name;
                let again = node_fault(node, again);
                return Err(format!("an internal error for #{} although nothing is wrong: {again}", exchange.number));
            }
            self.summary.fault_answers += u64::from(handled.outcome == Outcome::Fault);
            self.summary.refusals += u64::from(handled.outcome == Outcome::Refused);
            let said = self.clients[exchange.client].party.read(&handled.answer, self.time())?;
            handlings.push(Handling { exchange, outcome: Some((handled.outcome, said)) });
        }
        self.handled(handlings)
    }

    /// What follows from requests that were handled: checks, answers on their way, or the end of the process.
    fn handled(&mut self, handlings: Vec<Handling>) -> Result<(), String> {
        if self.disk.is_stopped() {
            self.interrupted = handlings;
            self.end("the process ends");
            return Ok(());
        }
        let Some(node) = &self.node else { return Ok(()) };
        let store = Arc::clone(&node.store);
        if matches!(self.disk.undisturbed(|| store.stats()), Err(StorageError::Stopped)) {
            drop(store);
            self.summary.stopped_stores += 1;
            self.interrupted = handlings;
            self.end("the store takes no more changes");
            return Ok(());
        }
        self.disk.undisturbed(|| self.oracle.judge(&store, &handlings))?;
        for handling in handlings {
            let Some((_, said)) = handling.outcome else { continue };
            if !self.calm && self.chance.percent(8) {
                self.summary.lost_answers += 1;
                self.tell(format!("the answer to #{} is lost", handling.exchange.number));
                continue;
            }
            let delay = self.delay();
            self.after(delay, Happening::Answer(handling.exchange, said));
        }
        Ok(())
    }

    fn retention(&mut self) -> Result<(), String> {
        if !self.calm {
            let pause = 5_000 + self.chance.below(15_000);
            self.after(pause, Happening::Retention);
        }
        let Some(node) = &self.node else { return Ok(()) };
        let rules = Retention { received_bodies: Some(KEPT), ..Retention::default() };
        let result = node.store.retention(self.time(), &rules);
        self.oracle.removed(self.time() - KEPT);
        self.summary.expired += result.as_ref().map_or(0, |report| report.bodies);
        self.tell(format!("retention: {:?}", result.map(|report| report.bodies).map_err(|error| chain(&error))));
        self.handled(Vec::new())
    }

    // --- the process

    fn end(&mut self, why: &str) {
        self.tell(why.to_owned());
        self.node = None;
        self.after(200, Happening::Start);
    }

    fn start(&mut self) -> Result<(), String> {
        if self.node.is_some() {
            return Ok(());
        }
        if self.disk.is_stopped() {
            self.disk.restart();
        }
        if !self.calm && self.chance.percent(25) {
            let fault =
                *self.chance.pick(&[Fault::Kill, Fault::PowerCut, Fault::SyncFails, Fault::Io, Fault::ShortWrite]);
            let nth = self.chance.below(60);
            self.disk.fail(nth, fault);
        }
        let opened = self.open();
        let appointed = self.disk.spare();
        let store = match opened {
            Ok(store) if !self.disk.is_stopped() => Arc::new(store),
            Ok(_) => return self.start_again("it ends while it starts".to_owned()),
            Err(error @ (StorageError::Io { .. } | StorageError::Database { .. })) if !self.calm || !appointed => {
                return self.start_again(format!("it cannot start: {}", chain(&error)));
            }
            Err(error) => return Err(format!("the store does not open: {}", chain(&error))),
        };
        self.summary.restarts += 1;
        self.summary.orphans += store.recovery().orphans;
        self.tell(format!("started, {} orphans", store.recovery().orphans));
        let interrupted = std::mem::take(&mut self.interrupted);
        self.disk.undisturbed(|| self.oracle.judge(&store, &interrupted))?;
        self.oracle.restarted();
        self.inspect(&store)?;
        self.node = Some(Node { intermediary: self.intermediary(&store), store });
        Ok(())
    }

    fn start_again(&mut self, why: String) -> Result<(), String> {
        self.summary.failed_starts += 1;
        self.tell(why);
        if self.calm && self.summary.failed_starts > 1_000 {
            return Err("the store does not open although nothing is wrong".to_owned());
        }
        self.after(300, Happening::Start);
        Ok(())
    }

    fn open(&self) -> Result<SqliteStore, StorageError> {
        let mut options = SqliteOptions::default();
        options.readers = NAMES.len();
        options.max_inline = MAX_INLINE;
        let platform = self.disk.platform_at(Arc::clone(&self.turns) as _);
        SqliteStore::open_on(platform, DIRECTORY.as_ref(), signer(), options)
    }

    fn inspect(&mut self, store: &SqliteStore) -> Result<(), String> {
        let files = self.disk.files_below(&PathBuf::from(DIRECTORY).join("bodies")).len();
        let log = self.directory.path().join("log");
        self.summary.entries = self.disk.undisturbed(|| self.oracle.inspect(store, files, &log))?;
        Ok(())
    }

    fn intermediary(&self, store: &Arc<SqliteStore>) -> Intermediary {
        let parts = Parts {
            keys: keys::key_ring("intermediary-2048-cipher", Some("intermediary-2048-signature")),
            message_ids: Arc::new(TokenAuthority::new([9; 32], Duration::days(30))),
            store: Arc::clone(store) as Arc<dyn Store>,
            inspector: keys::inspector(),
            policy: Arc::clone(&self.policy),
            spools: SpoolDir::new(self.directory.path().join("spool")).with_memory_threshold(MAX_INLINE as usize),
            courier: None,
            timestamps: None,
            random: Arc::clone(&self.random) as Arc<dyn Random>,
        };
        let settings = Settings { dangerous_fetch_without_encryption: !self.encrypted, ..Settings::default() };
        Intermediary::new(parts, settings)
    }

    fn context(&self, exchange: &Exchange) -> Context {
        Context { now: self.time(), correlation_id: format!("exchange-{}", exchange.number) }
    }

    // --- trouble

    fn weather(&mut self) {
        if self.calm {
            return;
        }
        let faults = [Fault::NoSpace, Fault::Io, Fault::ReadIo, Fault::ShortWrite, Fault::SyncFails];
        let slow = Fault::SlowSync(std::time::Duration::from_millis(500 + self.chance.below(3_000)));
        self.disk.set_full(false);
        self.disk.fail_often(0, &[]);
        match self.chance.below(100) {
            0..35 => {
                let fault = if self.chance.percent(50) { Fault::Kill } else { Fault::PowerCut };
                let nth = self.chance.below(120);
                self.tell(format!("{fault:?} {nth} operations from now"));
                self.disk.fail(nth, fault);
            }
            35..45 => {
                let fault = if self.chance.percent(50) { Fault::Kill } else { Fault::PowerCut };
                if self.node.is_some() {
                    self.disk.stop(fault);
                    self.end(&format!("{fault:?} between two requests"));
                }
            }
            45..55 => {
                self.tell("the disk is full".to_owned());
                self.disk.set_full(true);
            }
            55..85 => {
                let often = *self.chance.pick(&[500, 3_000, 15_000]);
                let faults = [*self.chance.pick(&faults), *self.chance.pick(&faults), slow];
                self.tell(format!("{faults:?} in {often} of 100,000 operations"));
                self.disk.fail_often(often, &faults);
            }
            _ => self.tell("nothing is wrong with the disk".to_owned()),
        }
        let pause = 2_000 + self.chance.below(8_000);
        self.after(pause, Happening::Weather);
    }

    fn become_calm(&mut self) {
        self.tell("from now on nothing goes wrong".to_owned());
        self.calm = true;
        self.disk.set_full(false);
        self.disk.fail_often(0, &[]);
        self.disk.spare();
        for index in 0..self.clients.len() {
            self.clients[index].wind_up();
            self.after(10, Happening::Wake(index));
        }
    }

    /// The last look: all of it is still there after another power cut, and after a start like any other.
    fn finish(&mut self) -> Result<(), String> {
        for cut in [true, false] {
            if cut {
                self.disk.stop(Fault::PowerCut);
            }
            self.node = None;
            self.start()?;
        }
        let (deliveries, received) = self.oracle.totals();
        (self.summary.deliveries, self.summary.received) = (deliveries, received);
        Ok(())
    }

    fn after(&mut self, milliseconds: u64, happening: Happening) {
        self.next += 1;
        self.coming.insert((self.now + milliseconds, self.next), happening);
    }

    fn time(&self) -> OffsetDateTime {
        START + Duration::milliseconds(self.now as i64)
    }

    fn tell(&mut self, what: String) {
        let mut line = String::new();
        let _ = write!(line, "{:>8.3} s  {what}", self.now as f64 / 1_000.0);
        self.history.push(line);
    }
}

/// What the store says to somebody who looks into this mailbox.
fn node_fault(node: &Node, name: &str) -> String {
    let mailbox = Fingerprint::of_der(keys::entry(&format!("{name}-cipher")).certificate.der());
    match node.store.next_delivery(&mailbox, FetchRule::Oldest { not_in: &[] }) {
        Ok(found) => format!("{found:?}"),
        Err(error) => chain(&error),
    }
}

fn signer() -> LogSigner {
    LogSigner::new("rohrpost.test", SigningKey::from_seed(&[11; 32])).expect("a good name")
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

/// Randomness of intermediary and clients that follows from the seed.
struct SeededRandom(Mutex<Chance>);

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        let mut chance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.iter_mut().for_each(|byte| *byte = chance.number() as u8);
    }
}
