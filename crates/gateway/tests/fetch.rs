//! Getting lists and answers from servers that are not as they should be.

#![allow(clippy::unwrap_used, reason = "a failing helper fails the test")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rohrpost_gateway::destinations::Destinations;
use rohrpost_gateway::fetch::{FetchConfig, HttpFetcher};
use rohrpost_pki::revocation::{FetchError, Fetcher as _, Question};

/// A server that hands every connection, after having read the head of a request, to a script.
struct Server {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(script: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, heads) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let (noted, script) = (Arc::clone(&heads), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let (noted, script) = (Arc::clone(&noted), Arc::clone(&script));
                std::thread::spawn(move || {
                    if let Some(head) = head(&mut stream) {
                        noted.lock().unwrap().push(head);
                        script(stream);
                    }
                });
            }
        });
        Self { address, heads }
    }

    /// Always answers the same.
    fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::new(move |mut stream| drop(stream.write_all(&answer)))
    }

    fn url(&self) -> String {
        format!("http://{}/path?query", self.address)
    }

    fn calls(&self) -> usize {
        self.heads.lock().unwrap().len()
    }
}

fn head(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    let mut octet = [0];
    while !read.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut octet).ok()?;
        read.push(octet[0]);
    }
    Some(String::from_utf8_lossy(&read).to_lowercase())
}

fn response(kind: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

struct Setup {
    runtime: tokio::runtime::Runtime,
    config: FetchConfig,
}

impl Setup {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let private = vec!["127.0.0.1".parse().unwrap()];
        let destinations = Destinations { private, ..Destinations::default() };
        Self { runtime, config: FetchConfig { destinations, ..FetchConfig::default() } }
    }

    fn hasty() -> Self {
        let mut setup = Self::new();
        (setup.config.head, setup.config.total) = (Duration::from_millis(300), Duration::from_millis(600));
        setup
    }

    fn fetcher(&self) -> HttpFetcher {
        HttpFetcher::new(self.runtime.handle().clone(), self.config.clone())
    }

    fn list(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        self.fetcher().fetch(&Question { url, request: None, max_len: 100 })
    }

    fn answer(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        self.fetcher().fetch(&Question { url, request: Some(b"question"), max_len: 100 })
    }
}

#[test]
fn lists_are_got_and_questions_posted() {
    let setup = Setup::new();
    let server = Server::answering(response("application/pkix-crl", "list"));
    assert_eq!(setup.list(&server.url()).unwrap(), b"list");
    let server_of_answers = Server::answering(response("Application/OCSP-Response; x=y", "answer"));
    assert_eq!(setup.answer(&server_of_answers.url()).unwrap(), b"answer");
    let (got, posted) = (server.heads.lock().unwrap()[0].clone(), server_of_answers.heads.lock().unwrap()[0].clone());
    assert!(got.starts_with("get /path?query http/1.1\r\n") && got.contains(&format!("host: {}\r\n", server.address)));
    assert!(posted.starts_with("post /path?query http/1.1\r\n"));
    assert!(posted.contains("content-type: application/ocsp-request\r\n") && posted.contains("content-length: 8\r\n"));
}

#[test]
fn redirections_are_not_followed() {
    let target = Server::answering(response("application/pkix-crl", "list"));
    for status in [301, 302, 303, 307, 308] {
        let answer = format!("HTTP/1.1 {status} X\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", target.url());
        let server = Server::answering(answer);
        assert_eq!(Setup::new().list(&server.url()), Err(FetchError::Status(status)));
    }
    assert_eq!(target.calls(), 0);
}

#[test]
fn other_statuses_bring_nothing() {
    for status in [204, 206, 401, 404, 500, 503] {
        let server = Server::answering(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(Setup::new().list(&server.url()), Err(FetchError::Status(status)));
    }
}

#[test]
fn something_else_than_asked_for_is_not_looked_at() {
    let setup = Setup::new();
    for answer in [
        response("text/html", "<html>"),
        response("application/ocsp-request", "question"),
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx".to_owned(),
        response("application/ocsp-response\r\nContent-Encoding: gzip", "x"),
    ] {
        let server = Server::answering(answer.clone());
        assert_eq!(setup.answer(&server.url()), Err(FetchError::WrongContent), "{answer}");
    }
    for answer in ["", "nonsense", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "HTTP/9.9 200 OK\r\n\r\n"] {
        let server = Server::answering(answer);
        assert_eq!(setup.list(&server.url()), Err(FetchError::Broken), "{answer}");
    }
}

#[test]
fn too_much_is_cut_off() {
    let setup = Setup::new();
    let fits = Server::answering(response("x", &"x".repeat(100)));
    assert_eq!(setup.list(&fits.url()).unwrap().len(), 100);
    let announced = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n");
    assert_eq!(setup.list(&announced.url()), Err(FetchError::TooLarge));
    let endless = Server::new(|mut stream| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
        while stream.write_all(b"10\r\n0123456789abcdef\r\n").is_ok() {}
    });
    assert_eq!(setup.list(&endless.url()), Err(FetchError::TooLarge));
    let until_closed = Server::answering([b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 101]].concat());
    assert_eq!(setup.list(&until_closed.url()), Err(FetchError::TooLarge));
    let head = Server::new(|mut stream| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n"));
        while stream.write_all(b"X: 0123456789abcdef\r\n").is_ok() {}
    });
    assert_eq!(setup.list(&head.url()), Err(FetchError::Broken));
}

#[test]
fn nobody_is_waited_for_without_end() {
    let setup = Setup::hasty();
    let silent = Server::new(|stream| {
        std::thread::sleep(Duration::from_secs(60));
        drop(stream);
    });
    assert_eq!(setup.list(&silent.url()), Err(FetchError::TimedOut));
    let trickling = Server::new(|mut stream| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n"));
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert_eq!(setup.list(&trickling.url()), Err(FetchError::TimedOut));
    let trickling_head = Server::new(|mut stream| {
        while stream.write_all(b"H").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert!(setup.list(&trickling_head.url()).is_err());
}

#[test]
fn private_addresses_are_not_called_without_an_entry() {
    let server = Server::answering(response("x", "secret"));
    let mut setup = Setup::new();
    let port = server.address.port();
    setup.config.destinations = Destinations::default();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "[::1]", "2130706433"] {
        let found = setup.list(&format!("http://{host}:{port}/"));
        assert!(matches!(found, Err(FetchError::Forbidden(_) | FetchError::Unreachable)), "{host}: {found:?}");
    }
    assert!(matches!(setup.list(&server.url()), Err(FetchError::Forbidden(_))));
    assert_eq!(server.calls(), 0);
    setup.config.destinations.private = vec![format!("127.0.0.1:{port}").parse().unwrap()];
    assert_eq!(setup.list(&server.url()).unwrap(), b"secret");
}

#[test]
fn with_a_list_of_hosts_nobody_else_is_called() {
    let server = Server::answering(response("x", "list"));
    let mut setup = Setup::new();
    setup.config.destinations.only = vec!["lists.example".parse().unwrap()];
    assert_eq!(setup.list(&server.url()).unwrap(), b"list", "private ones are on a list of their own");
    setup.config.destinations.private.clear();
    assert!(matches!(setup.list(&server.url()), Err(FetchError::Forbidden(_))));
    setup.config.destinations.only = vec!["127.0.0.1".parse().unwrap()];
    assert!(matches!(setup.list(&server.url()), Err(FetchError::Forbidden(_))), "on the list, and still private");
}

#[test]
fn only_plain_http_addresses_are_called() {
    let setup = Setup::new();
    for url in [
        "",
        "x",
        "https://127.0.0.1/",
        "ldap://127.0.0.1/",
        "file:///etc/passwd",
        "http://",
        "http://u:p@127.0.0.1/",
        "//127.0.0.1/",
    ] {
        assert!(matches!(setup.list(url), Err(FetchError::Forbidden(_))), "{url}");
    }
}

#[test]
fn who_fails_again_and_again_is_left_alone() {
    let server = Server::answering("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n");
    let setup = Setup::new();
    let fetcher = setup.fetcher();
    let url = server.url();
    let call = || fetcher.fetch(&Question { url: &url, request: None, max_len: 100 });
    for _ in 0..3 {
        assert_eq!(call(), Err(FetchError::Status(503)));
    }
    assert_eq!(call(), Err(FetchError::LeftAlone));
    assert_eq!(server.calls(), 3);
    let missing = Server::answering("HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n");
    for _ in 0..6 {
        let question = Question { url: &missing.url(), request: None, max_len: 100 };
        assert_eq!(fetcher.fetch(&question), Err(FetchError::Status(404)), "no trouble, only nothing there");
    }
}

#[test]
fn nobody_there() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(Setup::new().list(&url), Err(FetchError::Unreachable));
}
