//! A server that takes HTTP apart by hand, so that tests can misbehave on the wire.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the server does once it has a whole request.
#[derive(Debug, Clone)]
pub(crate) enum Reaction {
    /// Sends these bytes and keeps the connection.
    Answer(Vec<u8>),
    /// Sends these bytes and closes the connection.
    AnswerAndClose(Vec<u8>),
    /// Says nothing more.
    Hang,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Request line and headers.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: Vec<u8>,
}

type React = dyn Fn(Request) -> Reaction + Send + Sync;

/// A running server; ends with the runtime.
pub(crate) struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Listens on any free port of the loopback interface.
    pub(crate) async fn start(react: impl Fn(Request) -> Reaction + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (react, count): (Arc<React>, _) = (Arc::new(react), Arc::clone(&connections));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&react)));
            }
        });
        Self { address, connections }
    }

    /// Its address for OSCI requests.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/osci", self.address)
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A 200 answer with a length.
pub(crate) fn ok(body: &[u8]) -> Vec<u8> {
    with_status("200 OK", "", body)
}

/// An answer with a status, further header lines (each ended by CRLF) and a length.
pub(crate) fn with_status(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

async fn serve(mut stream: TcpStream, react: Arc<React>) {
    let mut received = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut received).await {
        // A handler may block: it stands for a whole intermediary.
        let react = Arc::clone(&react);
        let reaction = tokio::task::spawn_blocking(move || react(request)).await.unwrap();
        match reaction {
            Reaction::Answer(bytes) => stream.write_all(&bytes).await.unwrap_or_default(),
            Reaction::AnswerAndClose(bytes) => {
                stream.write_all(&bytes).await.unwrap_or_default();
                let _ = stream.shutdown().await;
                return;
            }
            Reaction::Hang => std::future::pending().await,
        }
    }
}

async fn read_request(stream: &mut TcpStream, received: &mut Vec<u8>) -> Option<Request> {
    let end = loop {
        if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(stream, received).await?;
    };
    let head = String::from_utf8(received.drain(..end).collect()).unwrap();
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(str::to_owned));
    let length: usize = length.unwrap().trim().parse().unwrap();
    while received.len() < length {
        read_more(stream, received).await?;
    }
    Some(Request { head, body: received.drain(..length).collect() })
}

async fn read_more(stream: &mut TcpStream, received: &mut Vec<u8>) -> Option<()> {
    let mut piece = vec![0; 64 * 1024];
    match stream.read(&mut piece).await {
        Ok(0) | Err(_) => None,
        Ok(read) => {
            received.extend_from_slice(&piece[..read]);
            Some(())
        }
    }
}
