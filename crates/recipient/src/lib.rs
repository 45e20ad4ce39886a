//! The passive recipient: the side that an intermediary hands deliveries to, instead of keeping them in a mailbox
//! (OSCI-Transport 1.2, AcceptDelivery and ProcessDelivery).
//!
//! Bytes of a request in, bytes of its answer out, as with the intermediary: the transport envelope is opened, structure, dialog and
//! signature are checked, it is settled whether this intermediary is one of ours; then the content is opened and a [`Recipient`] is
//! asked what becomes of it. The answer is signed and sealed as the request was.
//!
//! # What a recipient has to keep
//!
//! An answer can get lost, and the intermediary hands the delivery over again then, under the same message id. This room keeps
//! nothing: **whoever implements [`Recipient`] makes a delivery durable before it says yes, and says yes again, without acting a
//! second time, when the same message id comes once more.** A folder named after the message id that appears by renaming does it.
//! Requests with the same message id never reach the recipient at the same time.
//!
//! # Not in here
//!
//! HTTP and TLS (mount [`Endpoint::handle`] into the gateway, or anything else that takes a POST), the clock. All methods block.
//!
//! ```
//! use std::sync::Arc;
//!
//! use rohrpost_pipeline::spool::Spool;
//! use rohrpost_recipient::{Context, Endpoint, Parts, Received, Recipient, Refusal, Settings};
//!
//! struct Archive;
//!
//! impl Recipient for Archive {
//!     fn accept(&self, delivery: &Received) -> Result<(), Refusal> {
//!         let id = delivery.message_id().ok_or(Refusal::Declined)?;
//!         for attachment in &delivery.contents.attachments {
//!             println!("{id}: {} bytes", attachment.bytes().map_or(0, |bytes| bytes.len())); // keep them durably, then say yes
//!         }
//!         Ok(())
//!     }
//! }
//!
//! fn answer(parts: Parts, request: Spool) -> Spool {
//!     let endpoint = Endpoint::new(parts, Settings::default(), Arc::new(Archive));
//!     let context = Context { now: time::macros::datetime!(2026-12-01 12:00 UTC), correlation_id: "c1".to_owned() };
//!     endpoint.handle(request, &context).answer
//! }
//! ```

//!
//! Over HTTP and HTTPS, with the limits and time-outs of the gateway:
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use rohrpost_pipeline::spool::{Spool, SpoolDir};
//! # use rohrpost_recipient::{Context, Endpoint, Outcome as Became};
//! use rohrpost_gateway::config::{Config, Listener};
//! use rohrpost_gateway::{Gateway, Handler, OrderResult, Originator, Outcome, Promptness, Reply, RequestContext};
//!
//! struct Mounted(Endpoint);
//!
//! impl Handler for Mounted {
//!     fn handle(&self, request: Spool, context: &RequestContext) -> Reply {
//!         let context = Context { now: context.now, correlation_id: context.correlation_id.to_string() };
//!         let handled = self.0.handle(request, &context);
//!         let result = match handled.outcome {
//!             Became::Taken => OrderResult::Accepted,
//!             Became::Refused => OrderResult::Refused,
//!             Became::Fault => OrderResult::Fault,
//!         };
//!         // What cannot be decrypted is answered after a time that tells nothing.
//!         let promptness = if handled.codes == [9202] { Promptness::Even } else { Promptness::Prompt };
//!         Reply {
//!             body: handled.answer,
//!             outcome: Outcome { order: handled.request, result, codes: handled.codes },
//!             originator: handled.intermediary.map(|fingerprint| Originator::new(*fingerprint.as_bytes())),
//!             promptness,
//!         }
//!     }
//! }
//!
//! # async fn mount(endpoint: Endpoint) -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::new(SpoolDir::new(std::env::temp_dir())).with_listener(Listener::http("127.0.0.1:4081".parse()?));
//! let running = Gateway::new(config, Arc::new(Mounted(endpoint))).start().await?; // POST to http://127.0.0.1:4081/osci
//! # running.shutdown().await;
//! # Ok(()) }
//! ```

mod answer;
mod handle;
mod recipient;
mod turns;

use std::sync::Arc;

use rohrpost_crypto::Random;
use rohrpost_crypto::policy::Policy;
use rohrpost_osci::feedback::Language;
use rohrpost_osci::{envelope, mime};
use rohrpost_pipeline::keyring::KeyRing;
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_pki::{Fingerprint, Inspector};

pub use handle::{Context, Handled, Outcome};
pub use recipient::{Received, Recipient, Refusal, Reply};

use turns::Turns;

/// What the endpoint of a recipient is made of.
pub struct Parts {
    /// The recipient's cipher pairs, and the pair that signs its answers. Without that, answers to signed requests are unsigned, of
    /// which the intermediary warns the sender.
    pub keys: KeyRing,
    /// Who may hand over deliveries.
    pub intermediaries: Intermediaries,
    /// Judges the certificates of authors, and of intermediaries. Without it, signatures are checked, but nothing is said about who
    /// made them.
    pub inspector: Option<Arc<Inspector>>,
    /// Judges algorithms and keys.
    pub policy: Arc<Policy>,
    /// Where messages and content lie meanwhile.
    pub spools: SpoolDir,
    /// Session keys.
    pub random: Arc<dyn Random>,
}

/// Who may hand over deliveries, by the certificate that signed the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intermediaries {
    /// The owners of these signature certificates, as far as an inspector (if there is one) does not reject them.
    Listed(Vec<Fingerprint>),
    /// Whoever has a certificate that the inspector finds valid. Where senders have certificates of the same authorities, each of
    /// them can pass for an intermediary.
    Trusted,
}

/// How requests are met.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// For the texts of answers to who names no language that we speak.
    pub default_language: Language,
    /// Take unsigned requests: deliveries from anybody who can reach us.
    pub dangerous_unsigned_requests: bool,
    /// Bounds of the MIME framing.
    pub mime: mime::Limits,
    /// Bounds of the envelope.
    pub envelope: envelope::Limits,
}

impl Default for Settings {
    /// German, nothing dangerous.
    fn default() -> Self {
        Self {
            default_language: Language::German,
            dangerous_unsigned_requests: false,
            mime: mime::Limits::default(),
            envelope: envelope::Limits::default(),
        }
    }
}

/// A recipient that can be reached. Share it between threads.
pub struct Endpoint {
    parts: Parts,
    settings: Settings,
    recipient: Arc<dyn Recipient>,
    turns: Turns,
}

impl Endpoint {
    /// The endpoint through which a recipient is reached.
    pub fn new(parts: Parts, settings: Settings, recipient: Arc<dyn Recipient>) -> Self {
        Self { parts, settings, recipient, turns: Turns::default() }
    }
}
