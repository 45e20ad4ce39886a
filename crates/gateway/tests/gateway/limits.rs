//! Too much of something.

use rohrpost_gateway::config::{Limits, Timeouts};

use crate::harness::{Gate, Setup, ms, until};

fn limited(limits: Limits) -> Setup {
    Setup { limits, ..Setup::default() }
}

#[tokio::test]
async fn endless_header_ends_at_the_limit() {
    let server = limited(Limits { header_bytes: 4096, ..Limits::default() }).start().await;
    let mut client = server.connect().await;
    client.send("POST /osci HTTP/1.1\r\nX-Endless: ").await;
    client.send(&"a".repeat(5000)).await;
    assert_eq!(client.response().await.status(), 431);
    assert!(client.rest().await.is_empty());
    assert_eq!(server.metric(r#"rohrpost_requests_refused_total{cause="malformed"}"#).await, 1.0);

    let fits = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "a".repeat(3900));
    let mut client = server.connect().await;
    client.send(&fits).await;
    assert_eq!(client.response().await.status(), 200);
}

#[tokio::test]
async fn too_many_headers() {
    let server = limited(Limits { headers: 8, ..Limits::default() }).start().await;
    for (count, status) in [(8, 200), (9, 431)] {
        let mut client = server.connect().await;
        let headers: String = (0..count).map(|i| format!("X-{i}: y\r\n")).collect();
        client.send(&format!("GET /healthz HTTP/1.1\r\n{headers}\r\n")).await;
        assert_eq!(client.response().await.status(), status);
    }
}

#[tokio::test]
async fn garbage_is_refused_and_the_connection_closed() {
    let server = Setup::default().start().await;
    let cases: [&[u8]; 7] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 no TLS here\r\n\r\n",
        b"what is this\r\n\r\n",
        b"POST /osci\r\n\r\n",
        b"POST /osci HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /osci HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"POST /osci HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /osci HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
    ];
    for case in cases {
        let mut client = server.connect().await;
        client.send_bytes(case).await;
        let response = client.response().await;
        assert_eq!(response.status(), 400, "{}", String::from_utf8_lossy(case));
        assert!(client.rest().await.is_empty());
    }
    assert_eq!(server.post(b"ok").await.status(), 200);
}

#[tokio::test]
async fn broken_chunks_are_refused() {
    let server = Setup::default().start().await;
    let mut client = server.connect().await;
    client.post_head("Transfer-Encoding: chunked").await;
    client.send("2\r\nhe\r\nzz\r\n").await;
    client.response().await.assert_problem(400, "body_broken");
}

#[tokio::test]
async fn body_that_ends_early_reaches_nobody() {
    let gate = Gate::new();
    let server = Setup { handler: gate.handler(), ..Setup::default() }.start().await;
    let mut client = server.connect().await;
    client.post_head("Content-Length: 100000").await;
    client.send_bytes(&[b'a'; 99_999]).await;
    drop(client);
    server.until_metric("rohrpost_connections", 0.0).await;
    server.until_no_files().await;
    assert_eq!(gate.arrived(), 0);
}

#[tokio::test]
async fn announced_size_is_refused_before_the_body() {
    let server = limited(Limits { body_bytes: 100, ..Limits::default() }).start().await;
    let mut client = server.connect().await;
    client.post_head("Content-Length: 101").await;
    let response = client.response().await;
    response.assert_problem(413, "body_too_large");
    assert!(response.text().contains("larger than 100 bytes"));
    assert_eq!(response.header("connection"), Some("close"));

    let mut client = server.connect().await;
    client.post_head("Content-Length: 101\r\nExpect: 100-continue").await;
    assert_eq!(client.response().await.status(), 413, "and not 100");
    assert!(client.rest().await.is_empty());

    assert_eq!(server.post(&[0; 100]).await.status(), 200);
}

#[tokio::test]
async fn client_that_sends_first_and_reads_later_still_sees_why() {
    let server = limited(Limits { body_bytes: 100, ..Limits::default() }).start().await;
    let response = server.post(&vec![0; 8 * 1024 * 1024]).await;
    response.assert_problem(413, "body_too_large");
}

#[tokio::test]
async fn unannounced_size_is_refused_when_the_limit_is_passed() {
    let server = limited(Limits { body_bytes: 200_000, ..Limits::default() }).start().await;
    let mut client = server.connect().await;
    client.post_head("Transfer-Encoding: chunked").await;
    let chunk = format!("{:x}\r\n{}\r\n", 100_000, "a".repeat(100_000));
    client.send(&chunk).await;
    client.send(&chunk).await;
    until(async || std::fs::read_dir(server.spools.path()).unwrap().count() == 1, "a spool file").await;
    client.send("1\r\na\r\n").await;
    client.response().await.assert_problem(413, "body_too_large");
    server.until_no_files().await;
}

#[tokio::test]
async fn all_bodies_together_are_bounded() {
    let gate = Gate::new();
    let limits = Limits { spooled_bytes: 100, ..Limits::default() };
    let server = Setup { limits, handler: gate.handler(), ..Setup::default() }.start().await;
    let mut first = server.connect().await;
    first.post(&[0; 60]).await;
    until(async || gate.arrived() == 1, "the first order runs").await;
    server.post(&[0; 41]).await.assert_problem(503, "no_space");
    gate.open();
    assert_eq!(first.response().await.status(), 200);
    server.until_metric("rohrpost_spooled_bytes", 0.0).await;
    assert_eq!(server.post(&[0; 100]).await.status(), 200);
}

/// Whoever has large answers made and does not read them must not fill the disk.
#[tokio::test]
async fn all_answers_together_are_bounded() {
    const LARGE: usize = 16 << 20;
    let limits = Limits { spooled_bytes: 40 << 20, ..Limits::default() };
    let server = Setup { limits, ..Setup::default() }.start().await;
    let large = vec![0; LARGE];
    let mut lazy = Vec::new();
    for _ in 0..2 {
        let mut client = server.connect().await;
        client.post(&large).await;
        lazy.push(client);
    }
    until(async || server.metrics().await.contains("result=\"accepted\"} 2"), "two answers").await;

    server.post(&large).await.assert_problem(503, "no_space");
    assert_eq!(server.post(&[0; 1000]).await.status(), 200, "small ones are in memory");

    assert_eq!(lazy.pop().unwrap().response().await.body.len(), LARGE);
    server.until_metric("rohrpost_answer_bytes", LARGE as f64).await;
    assert_eq!(server.post(&large).await.status(), 200);
    drop(lazy);
    server.until_metric("rohrpost_answer_bytes", 0.0).await;
    server.until_no_files().await;
}

#[tokio::test]
async fn full_disk_is_not_the_clients_fault() {
    let server = Setup::default().start().await;
    std::fs::remove_dir(server.spools.path()).unwrap();
    server.post(&[0; 100_000]).await.assert_problem(503, "no_space");
    assert_eq!(server.post(&[0; 10]).await.status(), 200, "small ones need no disk");
    std::fs::create_dir(server.spools.path()).unwrap();
    assert_eq!(server.post(&[0; 100_000]).await.status(), 200);
}

#[tokio::test]
async fn nobody_takes_all_connections() {
    let limits = Limits { connections: 4, connections_per_peer: 2, ..Limits::default() };
    let timeouts = Timeouts { linger: ms(100), ..Timeouts::default() };
    let server = Setup { limits, timeouts, ..Setup::default() }.start().await;
    let greedy = (server.connect().await, server.connect().await);
    server.until_metric("rohrpost_connections", 2.0).await;
    server.post(b"x").await.assert_problem(503, "too_many_connections");

    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 2], 0).into()).unwrap();
    let _other = socket.connect(server.address()).await.unwrap();
    server.until_metric("rohrpost_connections", 3.0).await;

    drop(greedy);
    server.until_metric("rohrpost_connections", 1.0).await;
    assert_eq!(server.post(b"x").await.status(), 200);
}

#[tokio::test]
async fn who_has_many_connections_makes_room() {
    let limits = Limits { connections: 3, ..Limits::default() };
    let server = Setup { limits, ..Setup::default() }.start().await;
    let mut greedy = Vec::new();
    for _ in 0..3 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 2], 0).into()).unwrap();
        greedy.push(socket.connect(server.address()).await.unwrap());
    }
    server.until_metric("rohrpost_connections", 3.0).await;
    let mut honest = server.connect().await;
    for _ in 0..2 {
        honest.post(b"x").await;
        assert_eq!(honest.response().await.status(), 200);
    }
    let mut end = [0; 1];
    let ended = tokio::io::AsyncReadExt::read(&mut greedy[0], &mut end).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "the one that rested longest");
}

#[tokio::test]
async fn too_many_connections_are_told_so() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let timeouts = Timeouts { linger: ms(100), ..Timeouts::default() };
    let server = Setup { limits, timeouts, ..Setup::default() }.start().await;
    let (mut one, two) = (server.connect().await, server.connect().await);
    one.post(b"x").await;
    assert_eq!(one.response().await.status(), 200);
    server.until_metric("rohrpost_connections", 2.0).await;

    server.post(b"x").await.assert_problem(503, "too_many_connections");
    one.post(b"x").await;
    assert_eq!(one.response().await.status(), 200, "who is in stays in");

    drop(two);
    server.until_metric("rohrpost_connections", 1.0).await;
    assert_eq!(server.post(b"x").await.status(), 200);
}
