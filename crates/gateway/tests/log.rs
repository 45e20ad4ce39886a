//! What the log says about an order, and what it must never say. In a process of its own, because there is one log.

#![allow(clippy::unwrap_used)]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use rohrpost_gateway::config::{Config, Limits, Listener};
use rohrpost_gateway::{CorrelationIds, Gateway, Handler, OrderResult, Outcome, Promptness, Reply, RequestContext};
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::Level;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Refuser;

impl Handler for Refuser {
    fn handle(&self, request: Spool, _: &RequestContext) -> Reply {
        let outcome = Outcome { order: "StoreDelivery", result: OrderResult::Refused, codes: vec![9801, 3501] };
        Reply { body: request, outcome, originator: None, promptness: Promptness::Prompt }
    }
}

#[tokio::test]
async fn one_line_per_order_and_no_payload_at_any_level() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_max_level(Level::TRACE).with_ansi(false).with_writer(move || writer.clone()).init();
    let spools = tempfile::tempdir().unwrap();
    let mut config =
        Config::new(SpoolDir::new(spools.path())).with_listener(Listener::http(([127, 0, 0, 1], 0).into()));
    config.limits = Limits { body_bytes: 100_000, ..Limits::default() };
    let gateway = Gateway::new(config, Arc::new(Refuser)).with_correlation_ids(CorrelationIds::seeded(5));
    let running = gateway.start().await.unwrap();
    let ids = CorrelationIds::seeded(5);

    let secret = "CONFIDENTIAL".repeat(100);
    let oversized = "CONFIDENTIAL".repeat(10_000);
    for body in [&secret, &oversized] {
        let mut stream = TcpStream::connect(running.addresses()[0]).await.unwrap();
        let head = "POST /osci HTTP/1.1\r\nX-Name: CONFIDENTIAL\r\nConnection: close\r\nContent-Length";
        stream.write_all(format!("{head}: {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
    }
    running.shutdown().await;

    let text = log.text();
    assert!(!text.contains("CONFIDENTIAL"), "{text}");
    let lines = |part: &str| text.lines().filter(|line| line.contains(part)).collect::<Vec<_>>();
    let [order] = lines("order=\"StoreDelivery\"")[..] else { panic!("one line expected in\n{text}") };
    for part in [
        " INFO connection{number=",
        "peer=127.0.0.1:",
        &format!("request{{correlation_id={}}}", ids.next()),
        "result=\"refused\"",
        "codes=[9801, 3501]",
        "request_bytes=1200 answer_bytes=1200",
        "took_ms=",
    ] {
        assert!(order.contains(part), "{part} not in {order}");
    }
    let [refused] = lines("request refused")[..] else { panic!("one line expected in\n{text}") };
    assert!(refused.contains("cause=\"body_too_large\"") && refused.contains(&ids.next().to_string()), "{refused}");
}
