//! A gateway with a handler made of a closure, and a client that speaks bytes.

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rohrpost_gateway::config::{Config, Limits, Listener, Timeouts};
use rohrpost_gateway::{
    Gateway, Handler, OrderResult, Originator, Outcome, Promptness, Reply, RequestContext, Running,
};
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// No test waits longer for anything.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A handler made of a closure.
pub(crate) struct With<F>(pub(crate) F);

impl<F> Handler for With<F>
where
    F: Fn(Spool, &RequestContext) -> Spool + Send + Sync + 'static,
{
    fn handle(&self, request: Spool, context: &RequestContext) -> Reply {
        let body = (self.0)(request, context);
        Reply {
            body,
            outcome: Outcome { order: "Test", result: OrderResult::Accepted, codes: vec![800] },
            originator: None,
            promptness: Promptness::Prompt,
        }
    }
}

/// A handler that echoes evenly.
pub(crate) struct Evenly;

impl Handler for Evenly {
    fn handle(&self, request: Spool, context: &RequestContext) -> Reply {
        let reply = With(|request, _: &RequestContext| request).handle(request, context);
        Reply { promptness: Promptness::Even, ..reply }
    }
}

/// A handler that echoes, and whose orders are whosever the closure says.
pub(crate) struct By<F>(pub(crate) F);

impl<F> Handler for By<F>
where
    F: Fn(&[u8]) -> Option<Originator> + Send + Sync + 'static,
{
    fn handle(&self, request: Spool, context: &RequestContext) -> Reply {
        let originator = (self.0)(&bytes(&request));
        Reply { originator, ..With(|request, _: &RequestContext| request).handle(request, context) }
    }
}

/// Answers with what it got.
pub(crate) fn echo() -> Arc<dyn Handler> {
    Arc::new(With(|request, _: &RequestContext| request))
}

pub(crate) fn bytes(spool: &Spool) -> Vec<u8> {
    let mut bytes = Vec::new();
    spool.reader(0..spool.len()).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Keeps orders inside the handler until it is opened.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A handler that waits at the gate, then echoes.
    pub(crate) fn handler(self: &Arc<Self>) -> Arc<dyn Handler> {
        let gate = Arc::clone(self);
        Arc::new(With(move |request, _: &RequestContext| {
            gate.pass();
            request
        }))
    }

    pub(crate) fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.1 += 1;
        self.changed.notify_all();
        let _open = self.changed.wait_while(state, |state| !state.0).unwrap();
    }

    pub(crate) fn open(&self) {
        self.state.lock().unwrap().0 = true;
        self.changed.notify_all();
    }

    /// How many orders have come to the gate so far.
    pub(crate) fn arrived(&self) -> usize {
        self.state.lock().unwrap().1
    }
}

/// A running gateway with one listener for orders and one for management.
pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) spools: TempDir,
}

pub(crate) struct Setup {
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) handler: Arc<dyn Handler>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            timeouts: Timeouts { linger: ms(500), ..Timeouts::default() },
            handler: echo(),
        }
    }
}

impl Setup {
    pub(crate) async fn start(self) -> Server {
        self.start_on(Listener::http(any_port())).await
    }

    pub(crate) async fn start_on(self, listener: Listener) -> Server {
        let spools = tempfile::tempdir().unwrap();
        let running = Gateway::new(self.config(spools.path(), listener), self.handler).start().await.unwrap();
        Server { running, spools }
    }

    pub(crate) fn config(&self, spools: &Path, listener: Listener) -> Config {
        let mut config =
            Config::new(SpoolDir::new(spools)).with_listener(listener).with_listener(Listener::management(any_port()));
        config.limits = self.limits;
        config.timeouts = self.timeouts;
        config
    }
}

pub(crate) fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

impl Server {
    pub(crate) fn address(&self) -> SocketAddr {
        self.running.addresses()[0]
    }

    pub(crate) fn management(&self) -> SocketAddr {
        self.running.addresses()[1]
    }

    pub(crate) async fn connect(&self) -> Client<TcpStream> {
        Client::connect(self.address()).await
    }

    /// One POST on a new connection.
    pub(crate) async fn post(&self, body: &[u8]) -> Response {
        let mut client = self.connect().await;
        client.post(body).await;
        client.response().await
    }

    pub(crate) async fn metrics(&self) -> String {
        get(self.management(), "/metrics").await.text()
    }

    /// The value of a sample without labels, or with exactly these.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = self.metrics().await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    pub(crate) async fn until_metric(&self, name: &str, expected: f64) {
        until(async || self.metric(name).await == expected, name).await;
    }

    /// Waits until no spool file is left.
    pub(crate) async fn until_no_files(&self) {
        until(async || std::fs::read_dir(self.spools.path()).unwrap().count() == 0, "no spool files").await;
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Response {
    let mut client = Client::connect(address).await;
    client.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    client.response().await
}

pub(crate) async fn until(condition: impl AsyncFn() -> bool, what: &str) {
    let met = timeout(LONG, async {
        while !condition().await {
            tokio::time::sleep(ms(5)).await;
        }
    });
    assert!(met.await.is_ok(), "never happened: {what}");
}

/// The client's end of a connection.
pub(crate) struct Client<S> {
    pub(crate) stream: S,
    /// Bytes received and not yet looked at.
    pending: Vec<u8>,
}

impl Client<TcpStream> {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, pending: Vec::new() }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes()).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    pub(crate) async fn post(&mut self, body: &[u8]) {
        self.send(&format!("POST /osci HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len())).await;
        self.send_bytes(body).await;
    }

    pub(crate) async fn post_head(&mut self, headers: &str) {
        self.send(&format!("POST /osci HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n")).await;
    }

    /// The next response, whole.
    pub(crate) async fn response(&mut self) -> Response {
        timeout(LONG, self.read_response()).await.expect("a response in time")
    }

    /// Everything up to the end of the connection. A reset counts as an end.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.pending);
        let _ = timeout(LONG, self.stream.read_to_end(&mut rest)).await.expect("an end in time");
        rest
    }

    async fn read_response(&mut self) -> Response {
        let end = loop {
            if let Some(at) = self.pending.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.more().await > 0, "connection closed within headers: {:?}", self.pending);
        };
        let head = String::from_utf8(self.pending.drain(..end).collect()).unwrap();
        let mut response = Response { head, body: Vec::new() };
        let len: usize = response.header("content-length").map_or(0, |len| len.parse().unwrap());
        while self.pending.len() < len {
            assert!(self.more().await > 0, "connection closed within body");
        }
        response.body = self.pending.drain(..len).collect();
        response
    }

    async fn more(&mut self) -> usize {
        self.stream.read_buf(&mut self.pending).await.unwrap_or(0)
    }
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// Checks status and code of a refusal, and that it explains itself.
    pub(crate) fn assert_problem(&self, status: u16, code: &str) {
        let text = self.text();
        assert_eq!(self.status(), status, "{text}");
        let id = self.header("x-correlation-id").expect("a correlation id");
        for part in [format!("Code: {code}\n"), "Likely cause: ".into(), "What to do: ".into(), id.to_owned()] {
            assert!(text.contains(&part), "{part} not in {text}");
        }
        assert_eq!(self.header("retry-after").is_some(), status == 503);
    }
}
