//! Stopping without losing what was accepted.

use std::net::SocketAddr;
use std::sync::Arc;

use rohrpost_gateway::config::{Limits, Timeouts};
use rohrpost_gateway::{Shutdown, StartError};
use tokio::net::TcpStream;

use crate::harness::{Client, Gate, Server, Setup, get, ms, until};

async fn gated(gate: &Arc<Gate>, timeouts: Timeouts) -> Server {
    let limits = Limits { concurrent_orders: 1, ..Limits::default() };
    Setup { limits, timeouts, handler: gate.handler() }.start().await
}

async fn until_closed(address: SocketAddr) {
    until(async || TcpStream::connect(address).await.is_err(), "the listener is closed").await;
}

#[tokio::test]
async fn running_and_waiting_orders_are_finished() {
    let gate = Gate::new();
    let server = gated(&gate, Timeouts::default()).await;
    let (address, management) = (server.address(), server.management());
    let mut idle = server.connect().await;
    let (mut one, mut two, mut half) = (server.connect().await, server.connect().await, server.connect().await);
    one.post(b"1").await;
    until(async || gate.arrived() == 1, "an order runs").await;
    two.post(b"2").await;
    server.until_metric("rohrpost_orders_waiting", 1.0).await;
    half.post_head("Content-Length: 2").await;
    half.send("3").await;
    server.until_metric("rohrpost_spooled_bytes", 3.0).await;

    let Server { running, spools: _spools } = server;
    let stopping = tokio::spawn(running.shutdown());
    until_closed(address).await;
    assert!(idle.rest().await.is_empty(), "idle connections are closed");
    let ready = get(management, "/readyz").await;
    assert_eq!((ready.status(), &*ready.text()), (503, "not ready: shutting down\n"));
    assert_eq!(get(management, "/healthz").await.status(), 200);
    assert!(!stopping.is_finished());

    half.send("3").await;
    gate.open();
    assert_eq!(one.response().await.body, b"1");
    assert_eq!(two.response().await.body, b"2");
    assert_eq!(half.response().await.body, b"33");
    assert!(one.rest().await.is_empty());
    assert_eq!(stopping.await.unwrap(), Shutdown::Finished);
    until_closed(management).await;
}

#[tokio::test]
async fn deadline_cuts_what_does_not_end() {
    let gate = Gate::new();
    let server = gated(&gate, Timeouts { shutdown: ms(100), ..Timeouts::default() }).await;
    let mut client = server.connect().await;
    client.post(b"1").await;
    until(async || gate.arrived() == 1, "an order runs").await;
    assert_eq!(server.running.shutdown().await, Shutdown::Cut);
    assert!(client.rest().await.is_empty());
    gate.open();
}

#[tokio::test]
async fn order_without_a_client_is_waited_for_too() {
    let gate = Gate::new();
    let server = gated(&gate, Timeouts::default()).await;
    let mut client = server.connect().await;
    client.post(b"1").await;
    until(async || gate.arrived() == 1, "an order runs").await;
    drop(client);
    server.until_metric("rohrpost_connections", 0.0).await;
    let Server { running, spools: _spools } = server;
    let stopping = tokio::spawn(running.shutdown());
    tokio::time::sleep(ms(100)).await;
    assert!(!stopping.is_finished());
    gate.open();
    assert_eq!(stopping.await.unwrap(), Shutdown::Finished);
}

#[tokio::test]
async fn load_balancers_are_warned_before_the_door_closes() {
    let server =
        Setup { timeouts: Timeouts { drain_notice: ms(400), ..Timeouts::default() }, ..Setup::default() }.start().await;
    let address = server.address();
    assert_eq!(get(address, "/readyz").await.status(), 200);
    let Server { running, spools: _spools } = server;
    let stopping = tokio::spawn(running.shutdown());
    until(async || get(address, "/readyz").await.status() == 503, "not ready").await;
    let mut late = Client::connect(address).await;
    late.post(b"late").await;
    assert_eq!(late.response().await.status(), 200);
    assert_eq!(stopping.await.unwrap(), Shutdown::Finished);
}

#[tokio::test]
async fn address_in_use_is_explained_and_leaves_nothing_open() {
    let first = Setup::default().start().await;
    let second = Setup::default();
    let spools = tempfile::tempdir().unwrap();
    let listener = rohrpost_gateway::config::Listener::http(first.address());
    let config = second.config(spools.path(), listener);
    let error = rohrpost_gateway::Gateway::new(config, second.handler).start().await.err().expect("the port is taken");
    assert!(matches!(error, StartError::Bind { .. }));
    assert!(error.to_string().contains("another process may use the port"), "{error}");
}
