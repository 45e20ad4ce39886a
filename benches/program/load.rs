//! The load generator: a process of its own, so that the server's CPU time is the server's alone.
//!
//! It loads its requests, connects, says `ready`, waits for a line, sends, prints what came of it as JSON, and stays until its
//! input ends, so that its own CPU time can still be read.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rohrpost_benches::Pattern;
use rohrpost_pki::pem;
use serde_json::{Value, json};

use crate::http::Connection;
use crate::letters::{self, Ids};
use crate::line::median;
use crate::machine;
use crate::server::{Server, read_json};

/// What the hidden subcommand is told.
#[derive(Debug, clap::Args)]
pub(crate) struct LoadArgs {
    /// The server.
    #[arg(long)]
    address: SocketAddr,
    /// File of prepared requests.
    #[arg(long)]
    letters: Option<PathBuf>,
    /// Connections at once.
    #[arg(long, default_value_t = 1)]
    clients: usize,
    /// Requests per second, whatever the server does; as fast as answers come if absent.
    #[arg(long)]
    rate: Option<f64>,
    /// Instead of prepared requests: each client makes and sends one delivery with so many bytes.
    #[arg(long)]
    bytes: Option<u64>,
    /// For those: as an attachment, not as content.
    #[arg(long)]
    attachment: bool,
    /// For those: folder of the server, with its certificate and the secret of message ids.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// What came of a load.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// Answers with status 200.
    pub(crate) answered: usize,
    /// Answers with status 503 that said when to come back.
    pub(crate) sent_away: usize,
    /// Everything else: other answers, broken connections.
    pub(crate) broken: usize,
    /// From the first request to the last answer, in seconds.
    pub(crate) seconds: f64,
    /// Latencies of the answered, in seconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// A load generator that is ready to go.
pub(crate) struct Load {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    expects_a_crash: bool,
}

impl Load {
    /// Prepared requests, each sent once: by `clients` that wait for their answers, or at a `rate` per second.
    pub(crate) fn of_letters(server: &Server, letters: &Path, clients: usize, rate: Option<f64>) -> Result<Self> {
        let mut args =
            vec!["--letters".to_owned(), letters.display().to_string(), "--clients".to_owned(), clients.to_string()];
        if let Some(rate) = rate {
            args.extend(["--rate".to_owned(), rate.to_string()]);
        }
        Self::start(server, args)
    }

    /// So many deliveries of so many bytes, all at once.
    pub(crate) fn of_bytes(server: &Server, bytes: u64, as_attachment: bool, clients: usize) -> Result<Self> {
        let data = server.data();
        let folder = data.parent().context("the server has a folder")?.display().to_string();
        let mut args = vec!["--bytes".to_owned(), bytes.to_string(), "--folder".to_owned(), folder];
        args.extend(["--clients".to_owned(), clients.to_string()]);
        if as_attachment {
            args.push("--attachment".to_owned());
        }
        Self::start(server, args)
    }

    fn start(server: &Server, args: Vec<String>) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["load", "--address", &server.address.to_string()])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the load generator cannot be started")?;
        let mut output = BufReader::new(child.stdout.take().context("its output is a pipe")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        ensure!(line == "ready\n", "the load generator is not ready: {line}");
        Ok(Self { child, output, expects_a_crash: false })
    }

    /// Broken connections are no surprise.
    pub(crate) fn expecting_a_crash(mut self) -> Self {
        self.expects_a_crash = true;
        self
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends everything and waits for all answers.
    pub(crate) fn go(&mut self) -> Result<Outcome> {
        self.child.stdin.as_mut().context("its input is a pipe")?.write_all(b"go\n")?;
        let found = read_json(&mut self.output)?;
        let count = |name: &str| found[name].as_u64().and_then(|count| usize::try_from(count).ok());
        let number = |name: &str| found[name].as_f64();
        let read = || {
            Some(Outcome {
                answered: count("answered")?,
                sent_away: count("sent_away")?,
                broken: count("broken")?,
                seconds: number("seconds")?,
                p50: number("p50")?,
                p99: number("p99")?,
            })
        };
        let outcome = read().with_context(|| format!("the load generator said {found}"))?;
        if outcome.broken > 0 && !self.expects_a_crash {
            eprintln!("  unexpected: {}", found["unexpected"]);
        }
        Ok(outcome)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The hidden subcommand.
pub(crate) fn run(args: LoadArgs) -> Result<()> {
    let tally = Arc::new(Tally::default());
    let letters = match &args.letters {
        Some(path) => letters::read(path)?,
        None => Vec::new(),
    };
    let connect = || Connection::open(args.address);
    let connections = (0..args.clients).map(|_| connect()).collect::<io::Result<Vec<_>>>()?;
    println!("ready");
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let began = Instant::now();
    match (args.bytes, args.rate) {
        (Some(bytes), _) => large(&args, bytes, connections, &tally)?,
        (None, rate) => small(&args, &letters, rate, connections, &tally),
    }
    println!("{}", tally.json(began.elapsed()));
    io::stdin().read_line(&mut line)?;
    Ok(())
}

/// Every client takes the next request; at a rate, each request has its moment, and waiting for it is not part of the latency.
fn small(args: &LoadArgs, letters: &[Arc<[u8]>], rate: Option<f64>, connections: Vec<Connection>, tally: &Tally) {
    let (next, start) = (AtomicUsize::new(0), Barrier::new(connections.len()));
    let begin = Mutex::new(None);
    let (next, start, begin) = (&next, &start, &begin);
    thread::scope(|scope| {
        for mut connection in connections {
            let work = move || {
                start.wait();
                let begin = *begin.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(letter) = letters.get(at) else { return };
                    let due = rate.map_or_else(Instant::now, |rate| begin + Duration::from_secs_f64(at as f64 / rate));
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    let reply = connection.post(letter);
                    let is_usable = reply.as_ref().is_ok_and(|reply| !reply.closed);
                    tally.add(reply, due.elapsed());
                    if !is_usable {
                        match Connection::open(args.address) {
                            Ok(fresh) => connection = fresh,
                            Err(_) => return,
                        }
                    }
                }
            };
            let spawned = thread::Builder::new().stack_size(128 * 1024).spawn_scoped(scope, work);
            spawned.expect("the operating system can start a thread");
        }
    });
}

fn large(args: &LoadArgs, bytes: u64, connections: Vec<Connection>, tally: &Tally) -> Result<()> {
    let folder = args.folder.as_ref().context("--folder is needed")?;
    let certificate = std::fs::read(folder.join("cipher.cert.pem"))?;
    let certificate = pem::certificates(&certificate)?.remove(0);
    let secret = std::fs::read(folder.join("data/message-id.key"))?;
    let secret = <[u8; 32]>::try_from(secret.as_slice()).context("the secret has 32 bytes")?;
    let ids = Ids::new(secret, machine::now());
    let source = Arc::new(Pattern(bytes));
    let messages = letters::sender(&certificate);
    let messages = if args.attachment { messages.with_attachment(source) } else { messages.with_content(source) };
    thread::scope(|scope| {
        for connection in connections {
            scope.spawn(|| {
                let began = Instant::now();
                let reply = connection.stream(|chunks| messages.stream_delivery(ids.next(), chunks));
                tally.add(reply, began.elapsed());
            });
        }
    });
    Ok(())
}

/// What came back so far.
#[derive(Default)]
struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    latencies: Vec<f64>,
    sent_away: usize,
    unexpected: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&self, reply: io::Result<crate::http::Reply>, latency: Duration) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match reply {
            Ok(reply) if reply.status == 200 => counts.latencies.push(latency.as_secs_f64()),
            Ok(reply) if reply.status == 503 && reply.retry_after => counts.sent_away += 1,
            Ok(reply) => *counts.unexpected.entry(format!("status {}", reply.status)).or_default() += 1,
            Err(error) => *counts.unexpected.entry(error.to_string()).or_default() += 1,
        }
    }

    fn json(&self, took: Duration) -> Value {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.latencies.sort_unstable_by(f64::total_cmp);
        let late = (counts.latencies.len() * 99 / 100).min(counts.latencies.len().saturating_sub(1));
        json!({
            "answered": counts.latencies.len(),
            "sent_away": counts.sent_away,
            "broken": counts.unexpected.values().sum::<usize>(),
            "unexpected": counts.unexpected,
            "seconds": took.as_secs_f64(),
            "p50": median(&counts.latencies).unwrap_or(0.0),
            "p99": counts.latencies.get(late).copied().unwrap_or(0.0),
        })
    }
}
