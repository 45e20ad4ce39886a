//! A server whose every word is kept.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rohrpost_client::Clock;
use rohrpost_client::transport::{Timeouts, Transport, TransportError};
use rohrpost_osci::source::read_range;
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_tests::load::now;
use rohrpost_tests::{Server, binary};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) struct Process {
    child: Child,
    papers: TempDir,
    /// What it said about its addresses.
    started: serde_json::Value,
}

impl Process {
    /// Starts on the data of a server that is not running, saying everything it can say.
    pub(crate) fn start(server: &Server, format: &str) -> Self {
        let papers = tempfile::tempdir().unwrap();
        let file = |name: &str| File::create(papers.path().join(name)).unwrap();
        let child = Command::new(binary())
            .args(["--json", "serve"])
            .args(server.config_args())
            .args(["--set", "log.level=trace", "--set", &format!("log.format={format}")])
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap();
        let mut process = Self { child, papers, started: serde_json::Value::Null };
        let deadline = Instant::now() + Duration::from_secs(60);
        while process.started.is_null() {
            assert!(Instant::now() < deadline, "{}", String::from_utf8_lossy(&process.paper("stderr")));
            std::thread::sleep(Duration::from_millis(10));
            process.started = serde_json::from_slice(&process.paper("stdout")).unwrap_or_default();
        }
        process
    }

    fn paper(&self, name: &str) -> Vec<u8> {
        fs::read(self.papers.path().join(name)).unwrap()
    }

    pub(crate) fn http_url(&self) -> String {
        self.started["osci"][0].as_str().unwrap().to_owned()
    }

    /// Under the name in its certificate.
    pub(crate) fn https_url(&self) -> String {
        self.started["osci"][1].as_str().unwrap().replace("127.0.0.1", "localhost")
    }

    pub(crate) fn http_address(&self) -> String {
        address(&self.http_url())
    }

    pub(crate) fn metrics(&self) -> String {
        self.get("/metrics")
    }

    /// What monitoring gets from the management listener, head and body.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(address(self.started["management"].as_str().unwrap())).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// Posts bytes as they are; the bytes of the answer.
    pub(crate) fn post(
        &self,
        runtime: &Runtime,
        request: &Spool,
        spools: &SpoolDir,
    ) -> Result<Vec<u8>, TransportError> {
        let clock = Clock::new(now);
        let transport = Transport::new(None, Timeouts::default(), &clock).unwrap();
        let answer = runtime.block_on(transport.post(&self.http_url().parse().unwrap(), request, spools, None))?.body;
        Ok(read_range(&answer, 0..answer.len()).unwrap())
    }

    /// Asks it to end; all it ever said.
    pub(crate) fn end(mut self) -> [(&'static str, Vec<u8>); 2] {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(self.child.wait().unwrap().success());
        [("standard output", self.paper("stdout")), ("standard error", self.paper("stderr"))]
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address(url: &str) -> String {
    let (_, rest) = url.split_once("://").unwrap();
    rest.split('/').next().unwrap().to_owned()
}
