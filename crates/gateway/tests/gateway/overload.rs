//! More orders than can be worked on.

use rohrpost_gateway::config::Limits;

use crate::harness::{Client, Gate, Server, Setup, until};
use std::sync::Arc;
use tokio::net::TcpStream;

async fn small(gate: &Arc<Gate>) -> Server {
    let limits = Limits { concurrent_orders: 1, waiting_orders: 1, ..Limits::default() };
    Setup { limits, handler: gate.handler(), ..Setup::default() }.start().await
}

/// One order running and one waiting.
async fn fill(server: &Server, gate: &Gate) -> (Client<TcpStream>, Client<TcpStream>) {
    let mut running = server.connect().await;
    running.post(b"first").await;
    until(async || gate.arrived() == 1, "the first order runs").await;
    let mut waiting = server.connect().await;
    waiting.post(b"second").await;
    server.until_metric("rohrpost_orders_waiting", 1.0).await;
    (running, waiting)
}

#[tokio::test]
async fn beyond_the_queue_is_503_and_then_all_is_well_again() {
    let gate = Gate::new();
    let server = small(&gate).await;
    let (mut running, mut waiting) = fill(&server, &gate).await;

    let refused = server.post(b"third").await;
    refused.assert_problem(503, "overloaded");
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert_eq!(server.metric(r#"rohrpost_requests_refused_total{cause="overloaded"}"#).await, 1.0);
    assert_eq!(crate::harness::get(server.address(), "/healthz").await.status(), 200, "health is no order");

    gate.open();
    assert_eq!(running.response().await.body, b"first");
    assert_eq!(waiting.response().await.body, b"second");
    assert_eq!(server.post(b"third").await.status(), 200);
    assert_eq!(server.metric("rohrpost_orders_waiting").await, 0.0);
    assert_eq!(server.metric(r#"rohrpost_orders_total{order="Test",result="accepted"}"#).await, 3.0);
}

#[tokio::test]
async fn overload_is_said_before_the_body_is_sent() {
    let gate = Gate::new();
    let server = small(&gate).await;
    let (_running, _waiting) = fill(&server, &gate).await;
    let mut client = server.connect().await;
    client.post_head("Content-Length: 100000000").await;
    client.response().await.assert_problem(503, "overloaded");
    gate.open();
}

#[tokio::test]
async fn who_leaves_the_queue_is_not_worked_for() {
    let gate = Gate::new();
    let server = small(&gate).await;
    let (mut running, waiting) = fill(&server, &gate).await;
    drop(waiting);
    server.until_metric("rohrpost_orders_waiting", 0.0).await;
    gate.open();
    assert_eq!(running.response().await.status(), 200);
    server.until_metric("rohrpost_orders_running", 0.0).await;
    assert_eq!(gate.arrived(), 1);
}

#[tokio::test]
async fn order_that_runs_is_finished_although_its_client_left() {
    let gate = Gate::new();
    let server = small(&gate).await;
    let (running, mut waiting) = fill(&server, &gate).await;
    drop(running);
    server.until_metric("rohrpost_connections", 1.0).await;
    assert_eq!(server.metric("rohrpost_orders_running").await, 1.0);
    gate.open();
    assert_eq!(waiting.response().await.status(), 200);
    assert_eq!(server.metric(r#"rohrpost_orders_total{order="Test",result="accepted"}"#).await, 2.0);
}

#[tokio::test]
async fn many_clients_at_once_all_get_their_own_answer() {
    let limits = Limits { concurrent_orders: 4, ..Limits::default() };
    let server = Arc::new(Setup { limits, ..Setup::default() }.start().await);
    let clients = (0..64_u32).map(|number| {
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let body = number.to_string().repeat(5000);
            let response = server.post(body.as_bytes()).await;
            assert_eq!(response.status(), 200);
            assert!(response.body == body.as_bytes());
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    server.until_no_files().await;
}

/// Who asks too early may ask again on the same connection, if there was little to send.
#[tokio::test]
async fn a_small_request_that_is_sent_away_keeps_its_connection() {
    let gate = Gate::new();
    let server = small(&gate).await;
    let (_running, _waiting) = fill(&server, &gate).await;
    let mut client = server.connect().await;
    for _ in 0..3 {
        client.post(b"third").await;
        let refused = client.response().await;
        refused.assert_problem(503, "overloaded");
        assert_eq!(refused.header("connection"), None);
    }
    gate.open();
    server.until_metric("rohrpost_orders_running", 0.0).await;
    client.post(b"third").await;
    assert_eq!(client.response().await.body, b"third");
    assert_eq!(server.metric(r#"rohrpost_orders_shed_total{cause="queue_full"}"#).await, 3.0);
}

/// Clients are told apart by who signed their last order, whatever address they have in common.
#[tokio::test]
async fn one_originator_does_not_shut_out_another() {
    let gate = Gate::new();
    let limits = Limits { concurrent_orders: 1, waiting_orders: 8, waiting_orders_per_client: 2, ..Limits::default() };
    let handler = crate::harness::By({
        let gate = Arc::clone(&gate);
        move |body: &[u8]| {
            if body.ends_with(b"wait") {
                gate.pass();
            }
            // The first byte says whose order it is.
            Some(rohrpost_gateway::Originator::new([body[0]; 32]))
        }
    });
    let server = Setup { limits, handler: Arc::new(handler), ..Setup::default() }.start().await;
    let mut clients = Vec::new();
    for name in [b"a", b"a", b"a", b"a", b"b", b"b"] {
        let mut client = server.connect().await;
        client.post(name).await;
        assert_eq!(client.response().await.status(), 200);
        clients.push(client);
    }
    // The first of "a" runs, two wait, the fourth finds its line full; for "b" there is room.
    clients[0].post(b"a wait").await;
    until(async || gate.arrived() == 1, "the first order runs").await;
    for (waiting, index) in [(1.0, 1), (2.0, 2)] {
        clients[index].post(b"a more").await;
        server.until_metric("rohrpost_orders_waiting", waiting).await;
    }
    clients[3].post(b"a more").await;
    clients[3].response().await.assert_problem(503, "overloaded");
    assert_eq!(server.metric(r#"rohrpost_orders_shed_total{cause="line_full"}"#).await, 1.0);
    clients[4].post(b"b more").await;
    server.until_metric("rohrpost_orders_waiting", 3.0).await;
    gate.open();
    for index in [0, 1, 2, 4] {
        assert_eq!(clients[index].response().await.status(), 200);
    }
}
