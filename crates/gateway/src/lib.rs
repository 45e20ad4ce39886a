//! The gateway: HTTP and HTTPS listeners in front of an OSCI intermediary.
//!
//! It accepts connections, receives each request into a spool with constant memory, waits for the request's turn,
//! passes it to a [`Handler`] on a thread that may block, and streams the answer back. Limits and deadlines bound
//! everything a stranger can make it do; what is refused is refused with an explanation. Beside orders it serves
//! health checks and metrics, and it shuts down without losing what it accepted.
//!
//! Deliberately not here: anything about OSCI itself. The gateway cannot tell a delivery from noise; it never looks into
//! a body, and no byte of one reaches a log. Signals, configuration files and log formats belong to the binary.
//!
//! ```
//! use std::sync::Arc;
//! use rohrpost_gateway::config::{Config, Listener};
//! use rohrpost_gateway::{Gateway, Handler, OrderResult, Outcome, Promptness, Reply, RequestContext, Shutdown};
//! use rohrpost_pipeline::spool::{Spool, SpoolDir};
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     fn handle(&self, request: Spool, _context: &RequestContext) -> Reply {
//!         let outcome = Outcome { order: "echo", result: OrderResult::Accepted, codes: vec![] };
//!         Reply { body: request, outcome, originator: None, promptness: Promptness::Prompt }
//!     }
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::new(SpoolDir::new(std::env::temp_dir()))
//!     .with_listener(Listener::http("127.0.0.1:0".parse()?))
//!     .with_listener(Listener::management("127.0.0.1:0".parse()?));
//! let running = Gateway::new(config, Arc::new(Echo)).start().await?;
//! let osci = running.addresses()[0]; // POST to http://{osci}/osci
//! # assert!(tokio::net::TcpStream::connect(osci).await.is_ok());
//! assert_eq!(running.shutdown().await, Shutdown::Finished);
//! # Ok(())
//! # }
//! ```
//!
//! # How a request travels
//!
//! | step | bounded by | beyond |
//! |---|---|---|
//! | connection | [`Limits::connections`](config::Limits::connections), [`Limits::connections_per_peer`](config::Limits::connections_per_peer) | 503, over TLS closed |
//! | TLS handshake, headers | [`Timeouts::header`](config::Timeouts::header), [`Limits::header_bytes`](config::Limits::header_bytes) | 408, 431 |
//! | body | [`Limits::body_bytes`](config::Limits::body_bytes), [`Timeouts::body_idle`](config::Timeouts::body_idle), [`Timeouts::body_total`](config::Timeouts::body_total), [`Limits::body_bytes_per_second`](config::Limits::body_bytes_per_second) | 413, 408 |
//! | all bodies together | [`Limits::spooled_bytes`](config::Limits::spooled_bytes) | 503 |
//! | waiting, with a spool but without a thread | [`Limits::waiting_orders`](config::Limits::waiting_orders), [`Limits::waiting_orders_per_client`](config::Limits::waiting_orders_per_client), [`Timeouts::turn`](config::Timeouts::turn) | 503 |
//! | working | [`Limits::concurrent_orders`](config::Limits::concurrent_orders) | waiting |
//! | all answers together | [`Limits::spooled_bytes`](config::Limits::spooled_bytes) | 503 |
//! | answering | [`Timeouts::write`](config::Timeouts::write) | closed |
//! | next request | [`Timeouts::keep_alive`](config::Timeouts::keep_alive) | closed |
//!
//! Whatever the handler answers, SOAP faults included, goes out with status 200: OSCI clients look for faults in the
//! body. Other statuses mean that the request never became an order; they carry a short text (JSON for whoever asks with
//! `Accept`) and, like every response, an `X-Correlation-Id` that is also in the log. Requests that are not HTTP at all
//! get a bare 400 or 431.

mod answer;
pub mod clock;
pub mod config;
mod connection;
mod correlation;
pub mod destinations;
pub mod fetch;
mod gateway;
mod handler;
mod listener;
mod metrics;
mod peers;
mod pool;
pub mod probe;
pub mod problem;
mod receive;
mod service;
mod share;
mod tls;
mod wire;

pub use correlation::{CorrelationId, CorrelationIds};
pub use gateway::{Gateway, Running, Shutdown, StartError};
pub use handler::{
    Figure, FigureValue, Figures, Handler, NotReady, OrderResult, Outcome, Promptness, Readiness, Reply, RequestContext,
};
pub use share::Originator;
pub use tls::TlsError;
