//! The transport alone, against servers that behave and such that do not.

#![allow(clippy::unwrap_used)] // helpers of tests, too

#[path = "support/http.rs"]
#[allow(dead_code)]
mod http;

use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Reaction, Server, ok, with_status};
use rohrpost_client::Clock;
use rohrpost_client::transport::{Address, Moved, Phase, Reach, Timeouts, Transport, TransportError, is_internal};
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use tempfile::TempDir;
use time::macros::datetime;

fn clock() -> Clock {
    Clock::new(|| datetime!(2026-12-01 12:00 UTC))
}

fn transport(change: impl FnOnce(&mut Timeouts)) -> Transport {
    let mut timeouts = Timeouts::default();
    change(&mut timeouts);
    Transport::new(None, timeouts, &clock()).unwrap()
}

fn address(server: &Server) -> Address {
    server.url().parse().unwrap()
}

fn spools() -> (TempDir, SpoolDir) {
    let directory = tempfile::tempdir().unwrap();
    let spools = SpoolDir::new(directory.path());
    (directory, spools)
}

fn bytes(spool: &Spool) -> Vec<u8> {
    let mut bytes = Vec::new();
    spool.reader(0..spool.len()).read_to_end(&mut bytes).unwrap();
    bytes
}

async fn post(transport: &Transport, to: &Address, request: &[u8]) -> Result<Vec<u8>, TransportError> {
    let (_directory, spools) = spools();
    let request = Spool::from_bytes(request.to_vec());
    let answer = transport.post(to, &request, &spools, None).await?;
    Ok(bytes(&answer.body))
}

#[tokio::test]
async fn nothing_is_connected_to_that_is_out_of_reach() {
    let server = Server::start(|request| Reaction::Answer(ok(&request.body))).await;
    let public_only = Reach::new(|_, ip| !is_internal(ip));
    let transport = Transport::within(public_only, None, Timeouts::default(), &clock()).unwrap();
    let numeric = server.url();
    let named = numeric.replace("127.0.0.1", "localhost");
    for url in [&numeric, &named] {
        let error = post(&transport, &url.parse().unwrap(), b"question").await.unwrap_err();
        assert!(matches!(error, TransportError::OutOfReach { .. }), "{error}");
        assert!(!error.may_have_arrived() && !error.may_pass());
    }
    let port = address(&server).port();
    let this_one = Reach::new(move |to, ip| to.port() == port && ip.is_loopback());
    let transport = Transport::within(this_one, None, Timeouts::default(), &clock()).unwrap();
    assert_eq!(post(&transport, &address(&server), b"question").await.unwrap(), b"question");
}

#[tokio::test]
async fn a_request_is_what_intermediaries_expect_and_connections_are_kept() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let server = Server::start(move |request| {
        log.lock().unwrap().push(request.head);
        Reaction::Answer(ok(&request.body))
    })
    .await;
    let (transport, to) = (transport(|_| ()), address(&server));
    for round in 0..5 {
        let message = format!("message {round}");
        assert_eq!(post(&transport, &to, message.as_bytes()).await.unwrap(), message.as_bytes());
    }
    assert_eq!(server.connections(), 1);
    let head = seen.lock().unwrap()[0].to_lowercase();
    assert!(head.starts_with("post /osci http/1.1\r\n"), "{head}");
    for line in ["content-type: text/xml; charset=utf-8\r\n", "content-length: 9\r\n", "host: 127.0.0.1:"] {
        assert!(head.contains(line), "{head}");
    }
}

#[tokio::test]
async fn large_bodies_travel_both_ways_through_files() {
    let server = Server::start(|request| Reaction::Answer(ok(&request.body))).await;
    let (_directory, spools) = spools();
    let message: Vec<u8> = (0..=250).cycle().take(3_000_000).collect();
    let mut writer = spools.writer();
    writer.write_all(&message).unwrap();
    let request = writer.finish().unwrap();
    let moved = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&moved);
    let on_progress = Arc::new(move |step: Moved| log.lock().unwrap().push(step));
    let transport = transport(|_| ());
    let answer = transport.post(&address(&server), &request, &spools, Some(on_progress)).await.unwrap();
    assert!(bytes(&answer.body) == message);
    assert!(answer.body.in_memory().is_none());
    let moved = moved.lock().unwrap();
    assert!(moved.contains(&Moved::Sent { bytes: 3_000_000, total: 3_000_000 }));
    assert_eq!(moved.last(), Some(&Moved::Received { bytes: 3_000_000, total: Some(3_000_000) }));
}

#[tokio::test]
async fn a_connection_the_server_closed_meanwhile_is_replaced() {
    let server = Server::start(|request| Reaction::AnswerAndClose(ok(&request.body))).await;
    let (transport, to) = (transport(|_| ()), address(&server));
    for _ in 0..3 {
        assert_eq!(post(&transport, &to, b"x").await.unwrap(), b"x");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn nobody_listening_is_said_so_and_nothing_can_have_arrived() {
    let to: Address = "http://127.0.0.1:1/osci".parse().unwrap();
    let error = post(&transport(|_| ()), &to, b"x").await.unwrap_err();
    assert!(matches!(&error, TransportError::Connect { port: 1, .. }), "{error}");
    assert!(!error.may_have_arrived() && error.may_pass());

    let to: Address = "https://127.0.0.1:1/osci".parse().unwrap();
    let error = post(&transport(|_| ()), &to, b"x").await.unwrap_err();
    assert!(matches!(&error, TransportError::NoAuthorities), "{error}");
    assert!(!error.may_have_arrived() && !error.may_pass());
}

#[tokio::test]
async fn busy_carries_when_to_come_back() {
    let headers = "Retry-After: 7\r\nX-Correlation-Id: abc\r\n";
    let server = Server::start(move |_| Reaction::Answer(with_status("503 Nope", headers, b"later"))).await;
    let error = post(&transport(|_| ()), &address(&server), b"x").await.unwrap_err();
    let TransportError::Busy { retry_after, correlation_id } = &error else { panic!("{error}") };
    assert_eq!((*retry_after, correlation_id.as_deref()), (Some(Duration::from_secs(7)), Some("abc")));
    assert!(!error.may_have_arrived() && error.may_pass());
}

#[tokio::test]
async fn other_statuses_are_errors_and_redirects_are_not_followed() {
    let elsewhere = Server::start(|_| Reaction::Answer(ok(b"secret"))).await;
    let location = format!("Location: {}\r\n", elsewhere.url());
    let server = Server::start(move |_| Reaction::Answer(with_status("307 Go", &location, b""))).await;
    let error = post(&transport(|_| ()), &address(&server), b"x").await.unwrap_err();
    assert!(matches!(error, TransportError::Status { status: 307, words: None, .. }), "{error}");
    assert_eq!(elsewhere.connections(), 0);

    let text = "Content-Type: text/plain\r\n";
    let server = Server::start(move |_| Reaction::Answer(with_status("404 No", text, b"use /osci\x1b[2J\n"))).await;
    let error = post(&transport(|_| ()), &address(&server), b"x").await.unwrap_err();
    let TransportError::Status { status: 404, words: Some(words), .. } = &error else { panic!("{error}") };
    assert_eq!(words, "use /osci[2J");
    assert!(!error.may_have_arrived() && !error.may_pass());

    let server = Server::start(|_| Reaction::Answer(with_status("502 Bad", "", b"<html>"))).await;
    let error = post(&transport(|_| ()), &address(&server), b"x").await.unwrap_err();
    assert!(error.may_have_arrived() && error.may_pass(), "{error}");
}

#[tokio::test]
async fn answers_are_bounded_announced_or_not() {
    let (_directory, spools) = spools();
    let spools = spools.with_limit(10);
    let request = Spool::from_bytes(b"x".to_vec());
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n".to_vec();
    for answer in [ok(b"hello world"), chunked] {
        let server = Server::start(move |_| Reaction::Answer(answer.clone())).await;
        let error = transport(|_| ()).post(&address(&server), &request, &spools, None).await.unwrap_err();
        assert!(matches!(error, TransportError::TooLarge { limit: 10 }), "{error}");
    }
}

#[tokio::test]
async fn a_broken_answer_may_mean_that_the_order_was_executed() {
    for answer in [&b""[..], b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", b"SSH-2.0-OpenSSH\r\n"] {
        let server = Server::start(move |_| Reaction::AnswerAndClose(answer.to_vec())).await;
        let error = post(&transport(|_| ()), &address(&server), b"x").await.unwrap_err();
        assert!(matches!(error, TransportError::Broken(_)), "{error}");
        assert!(error.may_have_arrived() && error.may_pass());
    }
}

#[tokio::test]
async fn waiting_has_an_end() {
    let short = Duration::from_millis(100);
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc".to_vec();
    let silent = Server::start(|_| Reaction::Hang).await;
    let stalling = Server::start(move |_| Reaction::Answer(half.clone())).await;
    let began = Instant::now();
    for (server, timeouts, expected) in [
        (&silent, transport(|t| t.answer = short), Phase::Answer),
        (&stalling, transport(|t| t.idle = short), Phase::Receive),
        (&silent, transport(|t| t.total = short), Phase::Total),
    ] {
        let error = post(&timeouts, &address(server), b"x").await.unwrap_err();
        let TransportError::Timeout { phase, after } = error else { panic!("{error}") };
        assert_eq!((phase, after), (expected, short));
    }
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_server_that_takes_nothing_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to: Address = format!("http://{}/osci", listener.local_addr().unwrap()).parse().unwrap();
    let _accepted = tokio::spawn(async move {
        let (_stream, _) = listener.accept().await.unwrap();
        std::future::pending::<()>().await
    });
    let (_directory, spools) = spools();
    let request = Spool::from_bytes(vec![0; 1]);
    let large = {
        let mut writer = spools.writer();
        writer.write_all(&vec![0; 32 << 20]).unwrap();
        writer.finish().unwrap()
    };
    let transport = transport(|t| t.idle = Duration::from_millis(300));
    let error = transport.post(&to, &large, &spools, None).await.unwrap_err();
    assert!(matches!(error, TransportError::Timeout { phase: Phase::Send, .. }), "{error}");
    drop(request);
}
