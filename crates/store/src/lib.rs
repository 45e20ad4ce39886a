//! Everything durable of an intermediary: deliveries in mailboxes, process cards, used message ids and the log.
//!
//! [`Store`] is the contract, `SqliteStore` keeps it in one folder: a database, files for large bodies, and a spool
//! folder on the same file system. Two rules hold for every implementation:
//!
//! * When a method returns, what it did is durable. Crash and power loss at any moment lose nothing that was returned and
//!   leave nothing half done; opening the store again is all the recovery there is.
//! * Every change writes its entry of the log ([`rohrpost_audit::Leaf`]) in the same transaction.
//!
//! Deliberately not in here: XML (cards and certificates pass through as text), HTTP, keys other than the one that signs
//! the log, and a clock: every time is an argument, kept, compared and given back in whole milliseconds, UTC.

mod contract;
mod delivery;
mod error;
mod retention;
mod rules;
mod stamp;

pub use contract::{Stats, Store};
pub use delivery::{Attachment, BodySource, Card, Content, Delivery, MailboxLimits, StoredDelivery};
pub use error::{AcceptError, ExportError, StorageError};
pub use retention::{Retention, RetentionReport};
pub use rohrpost_audit::Fingerprint;
pub use rules::{CardPage, CardRole, CardRule, CardSelection, FetchRule};
