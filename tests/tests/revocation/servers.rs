//! Servers of the test, one port each: whoever misbehaves spoils only its own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// A request as far as it matters.
pub struct Request {
    pub path: String,
    pub body: Vec<u8>,
}

/// A server that hands every request to a script. Lives as long as the process.
pub struct Server(SocketAddr);

impl Server {
    pub fn new(script: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, script) = (listener.local_addr().unwrap(), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let script = Arc::clone(&script);
                std::thread::spawn(move || {
                    if let Some(request) = read(&mut stream) {
                        script(&request, &mut stream);
                    }
                });
            }
        });
        Self(address)
    }

    /// Answers every request with a body of this type, 404 if there is none.
    pub fn of(kind: &'static str, body: impl Fn(&Request) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self::new(move |request, stream| match body(request) {
            Some(body) => respond(stream, 200, &format!("Content-Type: {kind}\r\n"), &body),
            None => respond(stream, 404, "", b""),
        })
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.0)
    }
}

pub fn respond(stream: &mut TcpStream, status: u16, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    // The other side may have gone; that is its business.
    drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)));
}

fn read(stream: &mut TcpStream) -> Option<Request> {
    let (mut head, mut octet) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut octet).ok()?;
        head.push(octet[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let path = head.split(' ').nth(1)?.trim_start_matches('/').to_owned();
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some(Request { path, body })
}
