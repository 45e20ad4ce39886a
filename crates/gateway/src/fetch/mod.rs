//! Getting revocation lists, answers of responders and time stamps over HTTP.
//!
//! The other side is chosen by whoever issued a certificate, and anybody may have taken its place on the way: what it sends is
//! bounded in size and time, redirections are not followed, and only [destinations](Destinations) are called that may be. Plain
//! HTTP, as usual for this: lists, answers and stamps are signed.

mod breaker;

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::http::uri::Scheme;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rohrpost_pki::revocation::{FetchError, Fetcher, Question};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tracing::warn;

use self::breaker::Breaker;
use crate::destinations::Destinations;

/// How an [`HttpFetcher`] works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchConfig {
    /// Who may be called.
    pub destinations: Destinations,
    /// Until the head of the answer is there. 5 seconds unless changed.
    pub head: Duration,
    /// For the whole exchange. 20 seconds unless changed.
    pub total: Duration,
}

impl Default for FetchConfig {
    fn default() -> Self {
        let destinations = Destinations::default();
        Self { destinations, head: Duration::from_secs(5), total: Duration::from_secs(20) }
    }
}

/// Calls responders and time-stamp services, and gets lists. Hosts that fail several times in a row are left alone for a while.
///
/// [`fetch`](Fetcher::fetch) blocks: it is for threads that may, not for those of the runtime.
pub struct HttpFetcher {
    runtime: Handle,
    config: FetchConfig,
    breaker: Mutex<Breaker>,
}

impl HttpFetcher {
    /// Does its networking on this runtime.
    pub fn new(runtime: Handle, config: FetchConfig) -> Self {
        Self { runtime, config, breaker: Mutex::default() }
    }

    /// Posts a question to a time-stamp service (RFC 3161, 3.4); its answer, of at most `max_len` octets. Blocks as
    /// [`fetch`](Fetcher::fetch) does.
    ///
    /// # Errors
    /// [`FetchError`] if there is no answer that may be looked at.
    pub fn stamp(&self, url: &str, question: &[u8], max_len: usize) -> Result<Vec<u8>, FetchError> {
        self.call(&Call { url, post: Some(Post { body: question, kinds: TIMESTAMP }), max_len })
    }

    fn call(&self, call: &Call<'_>) -> Result<Vec<u8>, FetchError> {
        let target = Target::parse(call.url).ok_or(FetchError::Forbidden("no plain http address"))?;
        if !self.config.destinations.allow(&target.host, target.port) {
            return Err(FetchError::Forbidden("it is not on the list of hosts"));
        }
        let host = target.authority.to_ascii_lowercase();
        if !self.breaker(|breaker| breaker.admit(&host, Instant::now())) {
            return Err(FetchError::LeftAlone);
        }
        let exchange = async { timeout(self.config.total, self.exchange(&target, call)).await };
        let outcome = self.runtime.block_on(exchange).unwrap_or(Err(FetchError::TimedOut));
        self.breaker(|breaker| match &outcome {
            Err(error) if tells_of_trouble(error) => breaker.failed(&host, Instant::now()),
            _ => breaker.succeeded(&host),
        });
        if let Err(error) = &outcome {
            warn!(host, %error, "a responder, a server of revocation lists or a time-stamp service gave nothing");
        }
        outcome
    }

    fn breaker<T>(&self, work: impl FnOnce(&mut Breaker) -> T) -> T {
        work(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn exchange(&self, target: &Target, call: &Call<'_>) -> Result<Vec<u8>, FetchError> {
        let head = timeout(self.config.head, async {
            let stream = self.connect(target).await?;
            ask(stream, target, call).await
        });
        let (response, _driver) = head.await.map_err(|_| FetchError::TimedOut)??;
        check(&response, call)?;
        let body =
            Limited::new(response.into_body(), call.max_len).collect().await.map_err(|error| match error
                .is::<LengthLimitError>(
            ) {
                true => FetchError::TooLarge,
                false => FetchError::Broken,
            })?;
        Ok(body.to_bytes().into())
    }

    async fn connect(&self, target: &Target) -> Result<TcpStream, FetchError> {
        let Target { host, port, .. } = target;
        let found = tokio::net::lookup_host((host.as_str(), *port)).await.map_err(|_| FetchError::Unreachable)?;
        let may = |address: &SocketAddr| self.config.destinations.allow_address(host, *port, address.ip());
        let (allowed, others): (Vec<_>, Vec<_>) = found.partition(may);
        for address in &allowed {
            if let Ok(stream) = TcpStream::connect(address).await {
                return Ok(stream);
            }
        }
        match allowed.is_empty() && !others.is_empty() {
            true => Err(FetchError::Forbidden("its address is a private one")),
            false => Err(FetchError::Unreachable),
        }
    }
}

impl Fetcher for HttpFetcher {
    fn fetch(&self, question: &Question<'_>) -> Result<Vec<u8>, FetchError> {
        let post = question.request.map(|body| Post { body, kinds: OCSP });
        self.call(&Call { url: question.url, post, max_len: question.max_len })
    }
}

impl fmt::Debug for HttpFetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpFetcher").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Whether the host is in trouble, and not only without an answer to this question.
fn tells_of_trouble(error: &FetchError) -> bool {
    match error {
        FetchError::Unreachable | FetchError::TimedOut | FetchError::Broken | FetchError::TooLarge => true,
        FetchError::Status(status) => *status >= 500,
        _ => false,
    }
}

/// An address to call.
struct Target {
    /// Host and port as the address spells them.
    authority: String,
    /// Without brackets.
    host: String,
    port: u16,
    path: String,
}

impl Target {
    fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let authority = uri.authority().filter(|_| uri.scheme() == Some(&Scheme::HTTP))?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return None;
        }
        let bare = authority.host().strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        Some(Self {
            authority: authority.to_string(),
            host: bare.unwrap_or_else(|| authority.host()).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }
}

/// What is asked; without anything to post, a revocation list is got.
struct Call<'a> {
    url: &'a str,
    post: Option<Post<'a>>,
    max_len: usize,
}

struct Post<'a> {
    body: &'a [u8],
    kinds: Kinds,
}

/// Media types of a question and of its answer.
#[derive(Clone, Copy)]
struct Kinds {
    question: &'static str,
    answer: &'static str,
}

const OCSP: Kinds = Kinds { question: "application/ocsp-request", answer: "application/ocsp-response" };
const TIMESTAMP: Kinds = Kinds { question: "application/timestamp-query", answer: "application/timestamp-reply" };

/// Octets of an answer's head at most.
const MAX_HEAD: usize = 16 * 1024;

/// Ends the connection when dropped.
struct Driver(tokio::task::AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn ask(stream: TcpStream, target: &Target, call: &Call<'_>) -> Result<(Response<Incoming>, Driver), FetchError> {
    let mut http = http1::Builder::new();
    let shaken = http.max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|_| FetchError::Broken)?;
    let driver = Driver(tokio::spawn(async move { drop(connection.await) }).abort_handle());
    let request = Request::builder().uri(&target.path).header(HOST, &target.authority).header(USER_AGENT, "rohrpost");
    let request = match &call.post {
        Some(Post { body, kinds }) => {
            let request = request.method(Method::POST);
            let request = request.header(CONTENT_TYPE, kinds.question).header(ACCEPT, kinds.answer);
            request.body(Full::new(Bytes::copy_from_slice(body)))
        }
        None => request.method(Method::GET).header(ACCEPT, "application/pkix-crl, */*").body(Full::default()),
    };
    let request = request.map_err(|_| FetchError::Forbidden("no plain http address"))?;
    let response = sender.send_request(request).await.map_err(|_| FetchError::Broken)?;
    Ok((response, driver))
}

/// Whether the answer is one that may be looked at.
fn check(response: &Response<Incoming>, call: &Call<'_>) -> Result<(), FetchError> {
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let kind = header(CONTENT_TYPE).and_then(|kind| kind.split(';').next()).map_or("", str::trim);
    if call.post.as_ref().is_some_and(|post| !kind.eq_ignore_ascii_case(post.kinds.answer)) {
        return Err(FetchError::WrongContent);
    }
    if header(CONTENT_ENCODING).is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err(FetchError::WrongContent);
    }
    if response.body().size_hint().lower() > call.max_len as u64 {
        return Err(FetchError::TooLarge);
    }
    Ok(())
}
