//! The requesting side of OSCI-Transport 1.2 over HTTP and HTTPS: stores deliveries at an intermediary, fetches them from a
//! mailbox, looks at process cards. For specialist applications, and for whatever else sends requests.
//!
//! A [`Client`] stands for one party and one intermediary. Storing needs one call; fetching needs a [`Dialog`], in which
//! **the next request acknowledges what was fetched before it**. Content and attachments come from and go to streams; memory does
//! not grow with them. Work that computes or waits for disks runs on tokio's blocking threads.
//!
//! What an [`Error`] means is grouped by who can do something about it; each has a likely cause and a remedy to show to people.
//!
//! # What is checked
//!
//! * The answer belongs to the request (challenge, number, conversation, type), is encrypted if the request was, signed if the
//!   request was, by the certificate configured.
//! * SOAP faults come outside of all that: they are believed only insofar as there is no answer.
//! * Content: who signed it, whether the signature stands for everything in its container, what the certificate is worth
//!   ([`ContentSignature`]). That is a finding, never a reason to withhold a delivery.
//!
//! # Not in here
//!
//! No store: whoever fetches keeps what it got before it acknowledges. No clock: [`Clock`] is given. The answering side of passive recipients is a room of its own and shares [`ContentReader`] and [`MadeContent`]. Which organisation has which address and certificate is a matter of the directory.
//!
//! # Example
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use rohrpost_client::{Bytes, Client, Clock, Config, NewAttachment, NewContainer, Shipment, stream};
//! use rohrpost_crypto::SignatureAlgorithm;
//! use rohrpost_osci::selection::DeliverySelection;
//! use rohrpost_pipeline::keyring::{CipherPair, KeyRing, SignaturePair};
//! use rohrpost_pipeline::spool::SpoolDir;
//! use rohrpost_pki::{Certificate, pkcs12};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cipher = pkcs12::load(&std::fs::read("alice-cipher.p12")?, &"123456".into())?;
//! let signature = pkcs12::load(&std::fs::read("alice-signature.p12")?, &"123456".into())?;
//! let cipher = CipherPair { key: Arc::new(cipher.key.decryptor()?), certificate: cipher.certificate };
//! let signer = signature.key.signer(SignatureAlgorithm::RsaSha256)?;
//! let signature = SignaturePair { key: Arc::new(signer), certificate: signature.certificate };
//!
//! let intermediary = Certificate::from_der(&std::fs::read("intermediary-cipher.der")?)?;
//! let bob = Certificate::from_der(&std::fs::read("bob-cipher.der")?)?;
//! let client = Client::new(Config::new(
//!     "http://127.0.0.1:4080/osci",
//!     intermediary,
//!     KeyRing::new(vec![cipher], Some(signature.clone())),
//!     SpoolDir::new(std::env::temp_dir()).unnamed(),
//!     Clock::new(time::OffsetDateTime::now_utc),
//! ))?;
//!
//! // store
//! let container = NewContainer::new()
//!     .data("<notice>moved in</notice>")
//!     .attachment(NewAttachment::new("form.pdf", "application/pdf", Bytes::from_file("form.pdf")?))
//!     .signed_by(signature)
//!     .sealed_for(bob.clone());
//! let stored = client.store(Shipment::to(bob).with_subject("move-in notice").with_container(container)).await?;
//! println!("stored as {}", stored.message_id);
//!
//! // fetch
//! let mut dialog = client.open_dialog().await?;
//! while let Some(delivery) = dialog.fetch(DeliverySelection::Oldest).await? {
//!     let contents = delivery.open(&[]).await?;
//!     for attachment in &contents.attachments {
//!         if let Some(bytes) = attachment.bytes() {
//!             std::io::copy(&mut stream(bytes), &mut std::io::sink())?; // keep it durably, then go on
//!         }
//!     }
//!     dialog.acknowledge().await?;
//! }
//! dialog.exit().await?;
//! # Ok(()) }
//! ```

mod blocking;
mod chunks;
mod client;
mod clock;
mod config;
mod contents;
mod delivery;
mod dialog;
mod download;
mod error;
mod exchange;
mod shipment;
mod spools;
pub mod transport;

pub use chunks::{ChunkUse, Upload};
pub use client::{Client, Stored};
pub use clock::Clock;
pub use config::{Config, Limits, Retries};
pub use contents::{ContentReader, ContentSignature, Contents, Enclosed, stream};
pub use delivery::Delivery;
pub use dialog::{Cards, Dialog, Mediated};
pub use error::{Error, PeerError, ReceivedFault, Refusal, Unusable};
pub use shipment::{Bytes, MadeContent, NewAttachment, NewContainer, Shipment};
