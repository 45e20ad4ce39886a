//! From an HTTP request to an HTTP response: routing, receiving, waiting for a turn, handing over, answering.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HeaderName, HeaderValue,
    RETRY_AFTER,
};
use hyper::{Method, Request, Response, StatusCode};
use rohrpost_pipeline::spool::Spool;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{Instrument, Span, debug, error, info, info_span};

use crate::answer::Answer;
use crate::clock::Clock;
use crate::config::{Config, Role};
use crate::correlation::{CorrelationId, CorrelationIds};
use crate::handler::{Handler, NotReady, Outcome, Promptness, Readiness, Reply, RequestContext, even};
use crate::metrics::{self, Metrics};
use crate::pool::{OrderPool, Overloaded, Turn};
use crate::problem::{Form, Problem};
use crate::receive::{Received, Share, Space, discard, linger, receive};
use crate::share::{Originator, Sharers};
use crate::wire::Activity;

const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
const READINESS_PATIENCE: Duration = Duration::from_secs(5);
const READINESS_FRESH: Duration = Duration::from_millis(500);
/// Bytes of a body that are read although its request is refused, because a new connection costs more.
const SPARED_BODY: u64 = 128 * 1024;

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) readiness: Option<Arc<dyn Readiness>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: CorrelationIds,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) pool: OrderPool,
    pub(crate) space: Arc<Space>,
    pub(crate) answer_space: Arc<Space>,
    /// Turns for the work that TLS handshakes cost.
    pub(crate) handshakes: Semaphore,
    pub(crate) draining: AtomicBool,
    /// The last answer of the readiness check, so that probes cannot overrun it.
    pub(crate) last_check: tokio::sync::Mutex<Option<(Instant, Result<(), NotReady>)>>,
}

/// The circumstances of a connection.
pub(crate) struct Client {
    pub(crate) peer: SocketAddr,
    pub(crate) role: Role,
    pub(crate) encrypted: bool,
    pub(crate) certificate: Option<Arc<[u8]>>,
    pub(crate) sharers: Sharers,
}

impl Client {
    pub(crate) fn new(peer: SocketAddr, role: Role, encrypted: bool, certificate: Option<Arc<[u8]>>) -> Self {
        let sharers = Sharers::new(peer, certificate.as_ref());
        Self { peer, role, encrypted, certificate, sharers }
    }
}

impl Shared {
    /// Answers one request of a connection.
    pub(crate) async fn respond(
        self: Arc<Self>,
        request: Request<Incoming>,
        client: Arc<Client>,
        activity: Arc<Activity>,
    ) -> Response<Answer> {
        activity.serving();
        let id = self.ids.next();
        let span = info_span!("request", correlation_id = %id);
        let mut response = self.route(request, &client, id).instrument(span).await;
        response.headers_mut().insert(CORRELATION_ID, header(&id.to_string()));
        response.map(|answer| answer.on(activity))
    }

    async fn route(
        self: &Arc<Self>,
        request: Request<Incoming>,
        client: &Client,
        id: CorrelationId,
    ) -> Response<Answer> {
        let form = Form::wanted(request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()));
        match (client.role, request.uri().path()) {
            (_, "/healthz") => probe(&request, id, form).unwrap_or_else(|| text(StatusCode::OK, "alive\n")),
            (role, "/readyz") => match probe(&request, id, form) {
                Some(refused) => refused,
                None => self.readiness(role).await,
            },
            (Role::Management, "/metrics") => {
                probe(&request, id, form).unwrap_or_else(|| with_type(self.metrics.text(), metrics::CONTENT_TYPE))
            }
            (Role::Orders, path) if path == self.config.path => self.order(request, client, id, form).await,
            _ => self.refuse(&Problem::NotFound { served: self.config.path.clone() }, id, form),
        }
    }

    async fn order(
        self: &Arc<Self>,
        mut request: Request<Incoming>,
        client: &Client,
        id: CorrelationId,
        form: Form,
    ) -> Response<Answer> {
        let received = match self.admit(&request, client) {
            Ok(()) => self.receive(&mut request).await,
            Err(problem) => {
                self.spare(&problem, &mut request).await;
                Err(problem)
            }
        };
        let result = match received {
            Ok(received) => self.run(received, client, id).await,
            Err(problem) => Err(problem),
        };
        match result {
            Ok((body, share)) => {
                let mut response = Response::new(Answer::spool(&body, share, &self.metrics, id));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/xml; charset=utf-8"));
                response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                response
            }
            Err(problem) => {
                let mut response = self.refuse(&problem, id, form);
                if matches!(problem, Problem::Overloaded { .. }) && request.body().is_end_stream() {
                    // Whoever comes back soon need not pay for a new connection, and neither need we.
                    response.headers_mut().remove(CONNECTION);
                }
                self.let_go(request, &problem);
                response
            }
        }
    }

    /// What can be refused before reading a byte of the body.
    fn admit(&self, request: &Request<Incoming>, client: &Client) -> Result<(), Problem> {
        let limit = self.config.limits.body_bytes;
        if request.method() != Method::POST {
            return Err(Problem::MethodNotAllowed { allowed: "POST" });
        }
        let encoding = request.headers().get(CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(Problem::EncodedBody);
        }
        if request.body().size_hint().lower() > limit {
            return Err(Problem::BodyTooLarge { limit });
        }
        match self.pool.refusal(&client.sharers.current()) {
            Some(overloaded) => Err(self.overloaded(overloaded)),
            None => Ok(()),
        }
    }

    /// Reads what little is left of a request that comes too early, so that its connection stays usable.
    async fn spare(&self, problem: &Problem, request: &mut Request<Incoming>) {
        let is_small = request.body().size_hint().upper().is_some_and(|bytes| bytes <= SPARED_BODY);
        if is_small && matches!(problem, Problem::Overloaded { .. }) && !request.headers().contains_key(EXPECT) {
            discard(request.body_mut(), self.config.timeouts.linger).await;
        }
    }

    async fn receive(&self, request: &mut Request<Incoming>) -> Result<Received, Problem> {
        let Config { spools, limits, timeouts, .. } = &self.config;
        let received = receive(request.body_mut(), spools, &self.space, limits, timeouts).await?;
        self.metrics.received_bytes.inc_by(received.len);
        Ok(received)
    }

    async fn run(
        self: &Arc<Self>,
        received: Received,
        client: &Client,
        id: CorrelationId,
    ) -> Result<(Spool, Share), Problem> {
        let turn = self.pool.turn(&client.sharers.current()).await.map_err(|cause| self.overloaded(cause))?;
        let context = RequestContext {
            peer: client.peer,
            correlation_id: id,
            now: self.clock.now(),
            encrypted_connection: client.encrypted,
            client_certificate: client.certificate.clone(),
        };
        let (shared, span, bytes) = (Arc::clone(self), Span::current(), received.len);
        let (done, worked) = oneshot::channel();
        let order = move || {
            // Whoever waited may have gone.
            let _ = done.send(span.in_scope(|| shared.work(received, &context, turn)));
        };
        self.handler.run(bytes, Box::new(order));
        let Worked { answer, originator, due } = worked.await.unwrap_or_else(|_| Worked::badly());
        if let Some(originator) = originator {
            client.sharers.learn(originator);
        }
        // Without a turn: nobody else waits meanwhile.
        if let Some(due) = due {
            sleep_until(due).await;
        }
        answer
    }

    /// Runs on a thread that may block, and to its end even when the client goes away.
    fn work(&self, received: Received, context: &RequestContext, turn: Turn) -> Worked {
        let Received { spool, len, share } = received;
        let began = Instant::now();
        let handled = catch_unwind(AssertUnwindSafe(|| self.handler.handle(spool.into_inner(), context)));
        let took = began.elapsed();
        drop(share);
        let Ok(Reply { body, outcome, originator, promptness }) = handled else {
            error!("an order ended in a panic: this is an error in the software");
            return Worked::badly();
        };
        self.metrics.order(&outcome, took);
        log(&outcome, len, body.len(), turn.waited, took);
        let due = (promptness == Promptness::Even).then(|| began + even(len, took));
        Worked { answer: self.keep(&body).map(|share| (body, share)), originator, due }
    }

    /// Takes space for an answer, which stays on the disk for as long as the client takes to read it.
    fn keep(&self, answer: &Spool) -> Result<Share, Problem> {
        let mut share = Share::none(&self.answer_space);
        let fits = answer.in_memory().is_some() || share.grow_to(answer.len());
        fits.then_some(share).ok_or(Problem::NoSpace { retry_after: self.config.timeouts.retry_after })
    }

    /// Takes leave of a request whose body was not read to its end.
    fn let_go(&self, request: Request<Incoming>, problem: &Problem) {
        // A client that waits for "100 Continue" has not sent its body and need not.
        let sending = !request.body().is_end_stream() && !request.headers().contains_key(EXPECT);
        if sending && !matches!(problem, Problem::BodyTimeout | Problem::BodyBroken) {
            tokio::spawn(linger(request.into_body(), self.config.timeouts.linger));
        }
    }

    fn refuse(&self, problem: &Problem, id: CorrelationId, form: Form) -> Response<Answer> {
        self.metrics.refused(problem);
        if problem.is_noise() {
            debug!(cause = problem.code(), "request refused");
        } else {
            info!(cause = problem.code(), "request refused");
        }
        refusal(problem, id, form)
    }

    fn overloaded(&self, cause: Overloaded) -> Problem {
        debug!(cause = cause.as_str(), "no turn for a request");
        Problem::Overloaded { retry_after: self.config.timeouts.retry_after }
    }

    async fn readiness(&self, role: Role) -> Response<Answer> {
        let ready = if self.draining.load(Ordering::Relaxed) {
            Err(NotReady("shutting down".into()))
        } else {
            self.check().await
        };
        match (ready, role) {
            (Ok(()), _) => text(StatusCode::OK, "ready\n"),
            (Err(reason), Role::Management) => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
            (Err(_), Role::Orders) => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        }
    }

    async fn check(&self) -> Result<(), NotReady> {
        let Some(readiness) = &self.readiness else { return Ok(()) };
        let mut last = self.last_check.lock().await;
        if let Some((at, result)) = &*last
            && at.elapsed() < READINESS_FRESH
        {
            return result.clone();
        }
        let readiness = Arc::clone(readiness);
        let result = match timeout(READINESS_PATIENCE, spawn_blocking(move || readiness.ready())).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(NotReady("the check failed".into())),
            Err(_) => Err(NotReady("the check takes too long".into())),
        };
        *last = Some((Instant::now(), result.clone()));
        result
    }
}

/// What came of an order.
struct Worked {
    answer: Result<(Spool, Share), Problem>,
    originator: Option<Originator>,
    /// Not to be answered before.
    due: Option<Instant>,
}

impl Worked {
    fn badly() -> Self {
        Self { answer: Err(Problem::Internal), originator: None, due: None }
    }
}

/// The response to a request that is not passed on.
pub(crate) fn refusal(problem: &Problem, id: CorrelationId, form: Form) -> Response<Answer> {
    let mut response = with_type(problem.text(id, form), form.content_type());
    *response.status_mut() = problem.status();
    let headers = response.headers_mut();
    if let Some(after) = problem.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds(after)));
    }
    if let Problem::MethodNotAllowed { allowed } = problem {
        headers.insert(ALLOW, HeaderValue::from_static(allowed));
    } else if !problem.is_noise() {
        // What is left of the request cannot be trusted to end where the next one begins.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whole seconds, at least one.
pub(crate) fn seconds(duration: Duration) -> u64 {
    let rounded_up = u64::from(duration.subsec_nanos() > 0);
    (duration.as_secs() + rounded_up).max(1)
}

/// Refuses methods that do not fit a page without effect.
fn probe(request: &Request<Incoming>, id: CorrelationId, form: Form) -> Option<Response<Answer>> {
    let fits = matches!(*request.method(), Method::GET | Method::HEAD);
    (!fits).then(|| refusal(&Problem::MethodNotAllowed { allowed: "GET" }, id, form))
}

fn log(outcome: &Outcome, request_bytes: u64, answer_bytes: u64, waited: Duration, took: Duration) {
    info!(
        order = outcome.order,
        result = outcome.result.as_str(),
        codes = ?outcome.codes,
        request_bytes,
        answer_bytes,
        waited_ms = millis(waited),
        took_ms = millis(took),
        "order"
    );
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn text(status: StatusCode, text: impl Into<hyper::body::Bytes>) -> Response<Answer> {
    let mut response = with_type(text, Form::Text.content_type());
    *response.status_mut() = status;
    response
}

fn with_type(text: impl Into<hyper::body::Bytes>, content_type: &'static str) -> Response<Answer> {
    let mut response = Response::new(Answer::text(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn header(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("hexadecimal digits are a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_up_and_are_never_zero() {
        assert_eq!(seconds(Duration::ZERO), 1);
        assert_eq!(seconds(Duration::from_secs(5)), 5);
        assert_eq!(seconds(Duration::from_millis(5001)), 6);
    }
}
