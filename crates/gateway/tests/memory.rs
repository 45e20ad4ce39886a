//! 50 MB in and out with flat memory. In a process of its own, because it measures the process.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use rohrpost_gateway::config::{Config, Listener};
use rohrpost_gateway::{Gateway, Handler, OrderResult, Outcome, Promptness, Reply, RequestContext, Shutdown};
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PIECE: usize = 64 * 1024;
const PIECES: usize = 800;
const ALLOWED_KIB: u64 = 8 * 1024;

struct Echo;

impl Handler for Echo {
    fn handle(&self, request: Spool, _: &RequestContext) -> Reply {
        Reply {
            body: request,
            outcome: Outcome { order: "Test", result: OrderResult::Accepted, codes: vec![] },
            originator: None,
            promptness: Promptness::Prompt,
        }
    }
}

/// The most memory this process ever had, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Sends so many pieces, reads the echo, and returns how many bytes came back.
async fn exchange(stream: &mut TcpStream, pieces: usize) -> usize {
    let piece = vec![b'x'; PIECE];
    let len = PIECE * pieces;
    stream.write_all(format!("POST /osci HTTP/1.1\r\nContent-Length: {len}\r\n\r\n").as_bytes()).await.unwrap();
    for _ in 0..pieces {
        stream.write_all(&piece).await.unwrap();
    }
    let (mut got, mut buf) = (0, piece);
    while got < len {
        let read = stream.read(&mut buf).await.unwrap();
        assert!(read > 0, "closed after {got} bytes");
        got += buf[..read].iter().filter(|byte| **byte == b'x').count();
    }
    got
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_does_not_grow_with_the_message() {
    let spools = tempfile::tempdir().unwrap();
    let config = Config::new(SpoolDir::new(spools.path())).with_listener(Listener::http(([127, 0, 0, 1], 0).into()));
    let running = Gateway::new(config, Arc::new(Echo)).start().await.unwrap();
    let mut stream = TcpStream::connect(running.addresses()[0]).await.unwrap();
    exchange(&mut stream, 8).await;

    let before = peak_kib();
    // Header lines of the answer have an x or two of their own.
    assert!(exchange(&mut stream, PIECES).await >= PIECE * PIECES);
    let grown = peak_kib() - before;
    assert!(grown < ALLOWED_KIB, "{grown} KiB for {} KiB in and out", PIECE * PIECES / 1024);
    println!("{} KiB in and out took {grown} KiB more than {} KiB did", PIECE * PIECES / 1024, 8 * PIECE / 1024);
    drop(stream);
    assert_eq!(running.shutdown().await, Shutdown::Finished);
}
