//! HTTPS, with keys made by `tests/tls/make`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rohrpost_gateway::config::{ClientCertificates, Limits, Listener, Timeouts, Tls};
use rohrpost_gateway::{RequestContext, StartError};
use rohrpost_pipeline::spool::Spool;
use rustls::client::{ClientConfig, ResolvesClientCert};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::{Client, Server, Setup, With, any_port, ms};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}

fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file(name)).unwrap()
}

fn https(clients: ClientCertificates) -> Listener {
    Listener::https(any_port(), Tls { certificates: file("server.pem"), key: file("server.key"), clients })
}

fn authority() -> PathBuf {
    file("authority.pem")
}

/// A handler that keeps what it learns about its clients.
fn watched() -> (Setup, Arc<Mutex<Vec<RequestContext>>>) {
    let seen: Arc<Mutex<Vec<RequestContext>>> = Arc::default();
    let keep = Arc::clone(&seen);
    let handler = With(move |request: Spool, context: &RequestContext| {
        keep.lock().unwrap().push(context.clone());
        request
    });
    (Setup { handler: Arc::new(handler), ..Setup::default() }, seen)
}

async fn dial(
    address: SocketAddr,
    identity: Option<&str>,
    versions: &[&'static SupportedProtocolVersion],
) -> std::io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate("authority.pem")).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let key = PrivateKeyDer::from_pem_file(file(&format!("{name}.key"))).unwrap();
            let chain = vec![certificate(&format!("{name}.pem"))];
            let key = CertifiedKey::from_der(chain, key, &provider).unwrap();
            // Shown whatever the server's list of authorities says.
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)) as Arc<dyn ResolvesClientCert>)
        }
    };
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// Whether a POST is answered. In TLS 1.3 a refused client certificate shows only after the client's handshake.
async fn post(server: &Server, identity: Option<&str>) -> bool {
    let Ok(mut stream) = dial(server.address(), identity, &[&TLS13]).await else { return false };
    let request = b"POST /osci HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    let mut answer = Vec::new();
    let sent = tokio::io::AsyncWriteExt::write_all(&mut stream, request).await;
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await;
    sent.is_ok() && read.is_ok() && answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.ends_with(b"ok")
}

#[tokio::test]
async fn both_versions_without_client_certificate() {
    let (setup, seen) = watched();
    let server = setup.start_on(https(ClientCertificates::Ignored)).await;
    for version in [&TLS12, &TLS13] {
        let stream = dial(server.address(), Some("client"), &[version]).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        let mut client = Client::over(stream);
        client.post(&[7; 200_000]).await;
        let response = client.response().await;
        assert_eq!(response.status(), 200);
        assert!(response.body == [7; 200_000]);
    }
    let seen = seen.lock().unwrap();
    assert!(seen.iter().all(|context| context.encrypted_connection && context.client_certificate.is_none()));
    assert_eq!(seen.len(), 2);
}

#[tokio::test]
async fn optional_client_certificate() {
    let (setup, seen) = watched();
    let server = setup.start_on(https(ClientCertificates::Optional(authority()))).await;
    assert!(post(&server, None).await);
    assert!(post(&server, Some("client")).await);
    assert!(!post(&server, Some("stranger")).await, "a wrong one is worse than none");
    let certificates: Vec<_> = seen.lock().unwrap().iter().map(|context| context.client_certificate.clone()).collect();
    let expected: Arc<[u8]> = Arc::from(certificate("client.pem").as_ref());
    assert_eq!(certificates, [None, Some(expected)]);
    server.until_metric("rohrpost_tls_handshakes_failed_total", 1.0).await;
}

#[tokio::test]
async fn required_client_certificate() {
    let (setup, seen) = watched();
    let server = setup.start_on(https(ClientCertificates::Required(authority()))).await;
    assert!(!post(&server, None).await);
    assert!(!post(&server, Some("stranger")).await);
    assert!(post(&server, Some("client")).await);
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn plain_http_on_the_https_port_is_closed() {
    let server = Setup::default().start_on(https(ClientCertificates::Ignored)).await;
    let mut client = server.connect().await;
    client.post(b"x").await;
    let rest = client.rest().await;
    assert!(!rest.starts_with(b"HTTP/"), "{rest:?}");
    server.until_metric("rohrpost_connections", 0.0).await;
}

#[tokio::test]
async fn slow_handshake_is_closed() {
    let timeouts = Timeouts { header: ms(100), ..Timeouts::default() };
    let server = Setup { timeouts, ..Setup::default() }.start_on(https(ClientCertificates::Ignored)).await;
    let mut client = server.connect().await;
    client.send_bytes(&[0x16, 0x03, 0x01]).await;
    assert!(client.rest().await.is_empty());
    server.until_metric("rohrpost_tls_handshakes_failed_total", 1.0).await;
}

/// The work of a handshake waits for a turn; who stops in the middle of one must not keep it.
#[tokio::test]
async fn unfinished_handshakes_hold_up_nobody() {
    let server = Setup::default().start_on(https(ClientCertificates::Ignored)).await;
    let mut unfinished = Vec::new();
    for _ in 0..32 {
        let mut client = server.connect().await;
        client.send_bytes(&client_hello()).await;
        // The server has done its part and waits for ours.
        let mut first = [0];
        tokio::io::AsyncReadExt::read_exact(&mut client.stream, &mut first).await.unwrap();
        assert_eq!(first, [0x16], "a handshake record");
        unfinished.push(client);
    }
    for _ in 0..8 {
        let mut silent = server.connect().await;
        silent.send_bytes(&client_hello()[..20]).await;
        unfinished.push(silent);
    }
    assert!(post(&server, None).await);
    drop(unfinished);
}

/// The first bytes of a client.
fn client_hello() -> Vec<u8> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut hello = Vec::new();
    ClientConnection::new(Arc::new(config), name).unwrap().write_tls(&mut hello).unwrap();
    hello
}

#[tokio::test]
async fn idle_and_slow_connections_are_ended_politely() {
    let timeouts = Timeouts { header: ms(150), keep_alive: ms(150), ..Timeouts::default() };
    let server = Setup { timeouts, ..Setup::default() }.start_on(https(ClientCertificates::Ignored)).await;
    let mut idle = Client::over(dial(server.address(), None, &[&TLS13]).await.unwrap());
    idle.post(b"x").await;
    assert_eq!(idle.response().await.status(), 200);
    let mut rest = Vec::new();
    // Without close_notify rustls reports an error here.
    tokio::io::AsyncReadExt::read_to_end(&mut idle.stream, &mut rest).await.expect("a proper end");
    let mut slow = Client::over(dial(server.address(), None, &[&TLS13]).await.unwrap());
    slow.send("POST /os").await;
    slow.response().await.assert_problem(408, "header_timeout");
}

#[tokio::test]
async fn too_many_connections_cost_no_handshake() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let server = Setup { limits, ..Setup::default() }.start_on(https(ClientCertificates::Ignored)).await;
    let first = dial(server.address(), None, &[&TLS13]).await.unwrap();
    assert!(dial(server.address(), None, &[&TLS13]).await.is_err());
    drop(first);
    server.until_metric("rohrpost_connections", 0.0).await;
    assert!(post(&server, None).await);
}

#[tokio::test]
async fn reloaded_certificate_serves_new_connections() {
    let directory = tempfile::tempdir().unwrap();
    let install = |name: &str| {
        for kind in ["pem", "key"] {
            std::fs::copy(file(&format!("{name}.{kind}")), directory.path().join(format!("tls.{kind}"))).unwrap();
        }
    };
    install("server");
    let tls = Tls {
        certificates: directory.path().join("tls.pem"),
        key: directory.path().join("tls.key"),
        clients: ClientCertificates::Ignored,
    };
    let server = Setup::default().start_on(Listener::https(any_port(), tls)).await;
    let shown = async || {
        let stream = dial(server.address(), None, &[&TLS13]).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    };
    assert_eq!(shown().await, certificate("server.pem"));
    let mut old = Client::over(dial(server.address(), None, &[&TLS13]).await.unwrap());

    install("other");
    assert_eq!(shown().await, certificate("server.pem"), "not before it is asked for");
    server.running.reload_certificates().unwrap();
    assert_eq!(shown().await, certificate("other.pem"));
    old.post(b"x").await;
    assert_eq!(old.response().await.status(), 200, "old connections go on");

    std::fs::write(directory.path().join("tls.key"), "").unwrap();
    assert!(server.running.reload_certificates().is_err());
    assert_eq!(shown().await, certificate("other.pem"));
}

#[tokio::test]
async fn missing_key_prevents_the_start() {
    let tls = Tls { certificates: file("server.pem"), key: file("absent.key"), clients: ClientCertificates::Ignored };
    let setup = Setup::default();
    let spools = tempfile::tempdir().unwrap();
    let config = setup.config(spools.path(), Listener::https(any_port(), tls));
    let error = rohrpost_gateway::Gateway::new(config, setup.handler).start().await.err().expect("no key");
    assert!(matches!(error, StartError::Tls { .. }));
    assert!(error.to_string().contains("absent.key"), "{error}");
}
