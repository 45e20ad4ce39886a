//! Too slow in something.

use std::time::{Duration, Instant};

use rohrpost_gateway::config::{Limits, Timeouts};
use rohrpost_pipeline::spool::Spool;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::harness::{Client, Gate, Setup, With, ms, until};

const SHORT: Duration = ms(150);

fn timed(timeouts: Timeouts) -> Setup {
    Setup { timeouts, ..Setup::default() }
}

/// What it says about time is a lower bound.
#[tokio::test]
async fn even_answers_hide_how_long_the_work_took_and_keep_no_turn() {
    let limits = Limits { concurrent_orders: 1, ..Limits::default() };
    let server =
        Setup { limits, handler: std::sync::Arc::new(crate::harness::Evenly), ..Setup::default() }.start().await;
    let began = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..40 {
        let mut client = server.connect().await;
        client.post(b"x").await;
        clients.push(client);
    }
    for client in &mut clients {
        assert_eq!(client.response().await.status(), 200);
        assert!(began.elapsed() >= ms(250));
    }
    // One after the other, with a turn each, they would have taken 10 s.
    assert!(server.metric("rohrpost_orders_running").await == 0.0);
}

#[tokio::test]
async fn slow_header() {
    let server = timed(Timeouts { header: SHORT, ..Timeouts::default() }).start().await;
    let mut client = server.connect().await;
    let began = Instant::now();
    // Every byte is in time, the whole is not.
    for byte in "POST /osci HT".chars() {
        client.send(&byte.to_string()).await;
        sleep(ms(10)).await;
    }
    client.response().await.assert_problem(408, "header_timeout");
    assert!(client.rest().await.is_empty());
    assert!(began.elapsed() >= SHORT);
}

#[tokio::test]
async fn slow_header_of_a_second_request() {
    let server = timed(Timeouts { header: SHORT, ..Timeouts::default() }).start().await;
    let mut client = server.connect().await;
    client.post(b"one").await;
    assert_eq!(client.response().await.status(), 200);
    client.send("POST").await;
    client.response().await.assert_problem(408, "header_timeout");
}

#[tokio::test]
async fn connection_that_says_nothing() {
    let server = timed(Timeouts { header: SHORT, ..Timeouts::default() }).start().await;
    let mut client = server.connect().await;
    assert!(client.rest().await.is_empty(), "nothing was asked, nothing is answered");
    server.until_metric("rohrpost_connections", 0.0).await;
}

#[tokio::test]
async fn idle_connection_is_closed_after_its_own_time() {
    let timeouts = Timeouts { header: SHORT, keep_alive: ms(500), ..Timeouts::default() };
    let server = timed(timeouts).start().await;
    let mut client = server.connect().await;
    client.post(b"one").await;
    assert_eq!(client.response().await.status(), 200);
    sleep(ms(250)).await;
    client.post(b"two").await;
    assert_eq!(client.response().await.status(), 200, "idle is not slow");
    let began = Instant::now();
    assert!(client.rest().await.is_empty());
    assert!(began.elapsed() >= ms(400));
}

#[tokio::test]
async fn body_that_pauses() {
    let server = timed(Timeouts { body_idle: SHORT, ..Timeouts::default() }).start().await;
    let mut client = server.connect().await;
    client.post_head("Content-Length: 10").await;
    client.send("12345").await;
    let response = client.response().await;
    response.assert_problem(408, "body_timeout");
    assert_eq!(response.header("connection"), Some("close"));
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn body_that_trickles_past_the_end_of_its_time() {
    let timeouts = Timeouts { body_total: ms(300), ..Timeouts::default() };
    trickle(timed(timeouts)).await;
}

#[tokio::test]
async fn body_that_trickles_below_the_lowest_rate() {
    let timeouts = Timeouts { body_idle: ms(200), ..Timeouts::default() };
    let limits = Limits { body_bytes_per_second: 1_000_000, ..Limits::default() };
    trickle(Setup { limits, timeouts, ..Setup::default() }).await;
}

/// A byte every 20 ms, until it is refused.
async fn trickle(setup: Setup) {
    let server = setup.start().await;
    let mut client = server.connect().await;
    client.post_head("Content-Length: 1000").await;
    let (mut reading, mut writing) = tokio::io::split(client.stream);
    let trickle = tokio::spawn(async move {
        while writing.write_all(b"a").await.is_ok() {
            sleep(ms(20)).await;
        }
    });
    let mut answer = Client::over(tokio::io::join(&mut reading, tokio::io::sink()));
    answer.response().await.assert_problem(408, "body_timeout");
    answer.rest().await;
    trickle.abort();
}

#[tokio::test]
async fn client_that_does_not_take_its_answer() {
    let server = timed(Timeouts { write: SHORT, ..Timeouts::default() }).start().await;
    let mut client = server.connect().await;
    client.post(&vec![0; 16 * 1024 * 1024]).await;
    server.until_metric("rohrpost_answers_abandoned_total", 1.0).await;
    server.until_metric("rohrpost_connections", 0.0).await;
    server.until_no_files().await;
    assert!(client.rest().await.len() < 16 * 1024 * 1024);
}

#[tokio::test]
async fn slow_reader_that_keeps_reading_is_served() {
    let handler = With(|_: Spool, _: &_| Spool::from_bytes(vec![7; 12 * 1024 * 1024]));
    let timeouts = Timeouts { write: ms(400), keep_alive: ms(100), header: ms(100), ..Timeouts::default() };
    let server = Setup { handler: std::sync::Arc::new(handler), timeouts, ..Setup::default() }.start().await;
    let mut client = server.connect().await;
    client.post(b"x").await;
    let mut got = 0;
    let mut buf = vec![0; 1024 * 1024];
    while got < 12 * 1024 * 1024 {
        sleep(ms(50)).await;
        let read = client.stream.read(&mut buf).await.unwrap();
        assert!(read > 0, "closed after {got} bytes");
        got += read;
    }
}

#[tokio::test]
async fn turn_that_does_not_come() {
    let gate = Gate::new();
    let limits = Limits { concurrent_orders: 1, ..Limits::default() };
    let timeouts = Timeouts { turn: SHORT, ..Timeouts::default() };
    let server = Setup { limits, timeouts, handler: gate.handler() }.start().await;
    let mut first = server.connect().await;
    first.post(b"1").await;
    until(async || gate.arrived() == 1, "the first order runs").await;
    server.post(b"2").await.assert_problem(503, "overloaded");
    gate.open();
    assert_eq!(first.response().await.status(), 200);
    assert_eq!(gate.arrived(), 1, "the refused order never ran");
}

#[tokio::test]
async fn order_may_take_longer_than_any_network_deadline() {
    let handler = With(|request: Spool, _: &_| {
        std::thread::sleep(ms(500));
        request
    });
    let timeouts = Timeouts {
        header: SHORT,
        body_idle: SHORT,
        body_total: SHORT,
        write: SHORT,
        keep_alive: SHORT,
        ..Timeouts::default()
    };
    let server = Setup { handler: std::sync::Arc::new(handler), timeouts, ..Setup::default() }.start().await;
    assert_eq!(server.post(b"x").await.status(), 200);
}
