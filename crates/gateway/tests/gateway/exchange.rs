//! Requests that are served.

use std::sync::{Arc, Mutex};

use rohrpost_gateway::clock::Clock;
use rohrpost_gateway::config::Listener;
use rohrpost_gateway::{CorrelationIds, Gateway, RequestContext};
use rohrpost_pipeline::spool::Spool;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::harness::{Setup, With, any_port, bytes};

#[tokio::test]
async fn sized_body_of_any_type_is_answered() {
    let server = Setup::default().start().await;
    let mut client = server.connect().await;
    client.post_head("Content-Type: image/png\r\ncharset: utf-8\r\nContent-Length: 5").await;
    client.send("hello").await;
    let response = client.response().await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.body, b"hello");
    assert_eq!(response.header("content-type"), Some("text/xml; charset=utf-8"));
    assert_eq!(response.header("content-length"), Some("5"));
    assert_eq!(response.header("x-correlation-id").map(str::len), Some(16));
}

#[tokio::test]
async fn chunked_body_with_trailer_is_answered() {
    let server = Setup::default().start().await;
    let mut client = server.connect().await;
    client.post_head("Transfer-Encoding: chunked").await;
    client.send("2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: x\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!((response.status(), &*response.body), (200, &b"hello"[..]));
}

#[tokio::test]
async fn empty_body_is_the_handlers_business() {
    let server = Setup::default().start().await;
    let response = server.post(b"").await;
    assert_eq!((response.status(), response.header("content-length")), (200, Some("0")));
}

#[tokio::test]
async fn connection_serves_one_request_after_the_other_even_pipelined() {
    let server = Setup::default().start().await;
    let mut client = server.connect().await;
    client.post(b"one").await;
    assert_eq!(client.response().await.body, b"one");
    client.post(b"two").await;
    client.post(b"three").await;
    let (two, three) = (client.response().await, client.response().await);
    assert_eq!((&*two.body, &*three.body), (&b"two"[..], &b"three"[..]));
    assert_ne!(two.header("x-correlation-id"), three.header("x-correlation-id"));
    assert_eq!(server.metric("rohrpost_connections_accepted_total").await, 1.0);
}

#[tokio::test]
async fn large_body_goes_through_a_file_that_does_not_stay() {
    let server = Setup::default().start().await;
    let body: Vec<u8> = (0..=255).cycle().take(3_000_001).collect();
    let response = server.post(&body).await;
    assert_eq!(response.status(), 200);
    assert!(response.body == body);
    server.until_no_files().await;
    assert_eq!(server.metric("rohrpost_received_bytes_total").await, 3_000_001.0);
    assert_eq!(server.metric("rohrpost_sent_bytes_total").await, 3_000_001.0);
    server.until_metric("rohrpost_spooled_bytes", 0.0).await;
}

#[tokio::test]
async fn client_that_waits_for_continue_gets_it() {
    let server = Setup::default().start().await;
    let mut client = server.connect().await;
    client.post_head("Content-Length: 2\r\nExpect: 100-continue").await;
    assert_eq!(client.response().await.status(), 100);
    client.send("ok").await;
    assert_eq!(client.response().await.body, b"ok");
}

#[derive(Debug)]
struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> OffsetDateTime {
        datetime!(2026-03-04 05:06:07 UTC)
    }
}

#[tokio::test]
async fn handler_learns_the_circumstances() {
    let seen: Arc<Mutex<Option<RequestContext>>> = Arc::default();
    let keep = Arc::clone(&seen);
    let handler = With(move |_: Spool, context: &RequestContext| {
        *keep.lock().unwrap() = Some(context.clone());
        Spool::from_bytes(b"ok".to_vec())
    });
    let spools = tempfile::tempdir().unwrap();
    let config = Setup::default().config(spools.path(), Listener::http(any_port()));
    let running = Gateway::new(config, Arc::new(handler))
        .with_clock(Arc::new(Fixed))
        .with_correlation_ids(CorrelationIds::seeded(7))
        .start()
        .await
        .unwrap();
    let mut client = crate::harness::Client::connect(running.addresses()[0]).await;
    client.post(b"x").await;
    let response = client.response().await;
    let context = seen.lock().unwrap().take().expect("the handler was called");
    assert_eq!(context.now, datetime!(2026-03-04 05:06:07 UTC));
    assert_eq!(context.correlation_id, CorrelationIds::seeded(7).next());
    assert_eq!(response.header("x-correlation-id"), Some(&*context.correlation_id.to_string()));
    assert_eq!(context.peer, client.stream.local_addr().unwrap());
    assert!(!context.encrypted_connection);
    assert_eq!(context.client_certificate, None);
}

#[tokio::test]
async fn panic_in_the_handler_is_one_failed_request() {
    let handler = With(|request: Spool, _: &RequestContext| {
        assert!(bytes(&request) != b"bad", "deliberate");
        request
    });
    let server = Setup { handler: Arc::new(handler), ..Setup::default() }.start().await;
    server.post(b"bad").await.assert_problem(500, "internal");
    assert_eq!(server.post(b"good").await.status(), 200);
    server.until_metric("rohrpost_orders_running", 0.0).await;
}

#[tokio::test]
async fn what_is_not_an_order_is_explained() {
    let server = Setup::default().start().await;
    let cases = [
        ("POST /OSCI HTTP/1.1\r\nContent-Length: 0\r\n", 404, "not_found"),
        ("POST /osci/ HTTP/1.1\r\nContent-Length: 0\r\n", 404, "not_found"),
        ("GET / HTTP/1.1\r\n", 404, "not_found"),
        ("GET /osci HTTP/1.1\r\n", 405, "method_not_allowed"),
        ("PUT /osci HTTP/1.1\r\nContent-Length: 0\r\n", 405, "method_not_allowed"),
        ("POST /healthz HTTP/1.1\r\nContent-Length: 0\r\n", 405, "method_not_allowed"),
        ("POST /osci HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n", 415, "encoded_body"),
    ];
    for (head, status, code) in cases {
        let mut client = server.connect().await;
        client.send(&format!("{head}Host: x\r\n\r\n")).await;
        let response = client.response().await;
        response.assert_problem(status, code);
        assert_eq!(response.header("allow").is_some(), status == 405);
    }
    // A query, a fragment of an absolute address and HTTP/1.0 are all the same to us.
    for head in ["POST /osci?x=y HTTP/1.1", "POST http://x/osci HTTP/1.1", "POST /osci HTTP/1.0"] {
        let mut client = server.connect().await;
        client.send(&format!("{head}\r\nHost: x\r\nContent-Length: 2\r\n\r\nok")).await;
        assert_eq!(client.response().await.status(), 200, "{head}");
    }
}

#[tokio::test]
async fn programs_get_json() {
    let server = Setup::default().start().await;
    let mut client = server.connect().await;
    client.send("GET /osci HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!(response.header("content-type"), Some("application/json"));
    let id = response.header("x-correlation-id").unwrap();
    assert!(response.text().ends_with(&format!("\"correlation_id\":\"{id}\"}}\n")));
}
