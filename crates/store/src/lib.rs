//! Everything durable of an intermediary: deliveries in mailboxes, process cards, used message ids and the log.
//!
//! [`Store`] is the contract, [`SqliteStore`] keeps it in one folder: a database, files for large bodies, and a spool
//! folder on the same file system. Two rules hold for every implementation:
//!
//! * When a method returns, what it did is durable. Crash and power loss at any moment lose nothing that was returned and
//!   leave nothing half done; opening the store again is all the recovery there is.
//! * Every change writes its entry of the log ([`rohrpost_audit::Leaf`]) in the same transaction.
//!
//! Deliberately not in here: XML (cards and certificates pass through as text), HTTP, keys other than the one that signs
//! the log, and a clock: every time is an argument, kept, compared and given back in whole milliseconds, UTC.
//!
//! ```
//! use rohrpost_audit::{LogSigner, SigningKey, verify_export};
//!
//! use rohrpost_osci::ids::MessageId;
//! use rohrpost_store::{BodySource, Delivery, FetchRule, Fingerprint, SqliteOptions, SqliteStore, Store};
//! use time::macros::datetime;
//!
//! let dir = tempfile::tempdir()?;
//! let signer = LogSigner::new("intermediary.example/log", SigningKey::from_seed(&[7; 32]))?;
//! let verifier = signer.verifier().clone();
//! let store = SqliteStore::open(&dir.path().join("data"), signer, SqliteOptions::default())?;
//!
//! let mailbox = Fingerprint::of_der(b"the addressee's certificate");
//! let id = MessageId::new("4711")?;
//! let now = datetime!(2024-05-01 10:00 UTC);
//! store.accept(Delivery::new(id.clone(), mailbox, now, BodySource::Inline(b"MIME-Version: 1.0".to_vec())))?;
//!
//! let found = store.next_delivery(&mailbox, FetchRule::Oldest { not_in: &[] })?.expect("just accepted");
//! assert_eq!((found.card.message_id, found.body.len()), (id, 17));
//! store.export_audit(&dir.path().join("log"), &mut |_, _| {})?;
//! assert!(verify_export(&dir.path().join("log"), &verifier)?.is_good());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chunks;
mod contract;
mod delivery;
pub mod disk;
mod error;
mod outbound;
mod recheck;
mod retention;
mod rules;
mod sqlite;
mod stamp;
mod stamping;
mod waiting;

pub use chunks::{KeepChunkError, NewChunk, Upload, UploadEnd, UploadKey, UploadLimits, UploadPlan};
pub use contract::{Accepting, Stats, Store};
pub use delivery::{Attachment, BodySource, Card, Content, Delivery, MailboxLimits, StoredDelivery};
pub use error::{AcceptError, ExportError, StorageError};
pub use outbound::{Outbound, OutboundDelivery, OutboundEnd};
pub use recheck::{Amendment, DueRecheck, Recheck};
pub use retention::{Retention, RetentionReport};
pub use rohrpost_audit::Fingerprint;
pub use rules::{CardPage, CardRole, CardRule, CardSelection, FetchRule};
pub use sqlite::{Recovery, SqliteOptions, SqliteReader, SqliteStore};
pub use stamping::{Stamp, StampedEvent, Stamps, WantedStamp};
pub use waiting::{Wait, Waiting};
