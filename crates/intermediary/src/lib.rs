//! The intermediary: orders to decisions (OSCI-Transport 1.2, semantics of the intermediary).
//!
//! Bytes of a request in, bytes of its answer out. In between: the transport envelope is opened, structure, dialog and
//! signature are checked, certificates inspected, deliveries acknowledged and the order executed against the store; the
//! answer is signed and sealed as the request was. One file per order lies in `orders`.
//!
//! Deliberately not here: content keys (the intermediary is a blind relay and has no type that could hold one), HTTP, TLS,
//! SQL, the clock. All methods block; run them on threads that may wait.
//!
//! ```
//! use rohrpost_intermediary::{Context, Intermediary, Parts, Settings};
//! use rohrpost_pipeline::spool::Spool;
//!
//! fn answer(parts: Parts, request: Spool) -> Spool {
//!     let intermediary = Intermediary::new(parts, Settings::default());
//!     let context = Context { now: time::macros::datetime!(2026-11-24 12:00 UTC), correlation_id: "c1".to_owned() };
//!     let handled = intermediary.handle(request, &context);
//!     println!("{} bytes for {}", handled.answer.len(), handled.order);
//!     handled.answer
//! }
//! ```

mod admission;
mod answer;
mod certificates;
mod chunks;
mod counters;
mod dialogs;
mod entrance;
mod forwarding;
mod hand_out;
mod handle;
mod message_ids;
mod orders;
mod rechecks;
mod settings;
mod slots;
mod timestamps;

use std::sync::{Arc, PoisonError, RwLock};

use rohrpost_crypto::Random;
use rohrpost_crypto::policy::Policy;
use rohrpost_osci::dialog::IntermediaryDialog;
use rohrpost_osci::header::IntermediaryCertificates;
use rohrpost_pipeline::keyring::KeyRing;
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_pki::{Fingerprint, Inspector};
use rohrpost_store::Store;
use time::OffsetDateTime;

pub use admission::{Admission, Mode};
pub use chunks::Chunks;
pub use counters::Counts;
pub use forwarding::{Courier, Forwarding, Retries, Returned, Undelivered};
pub use handle::{Context, Handled, Outcome};
pub use message_ids::{MessageIdAuthority, TokenAuthority};
pub use settings::{Settings, SignatureDemand, UnknownRevocation};
pub use timestamps::{
    NoStamp, RFC_3161, ServiceDown, Stamping, TimestampService, Timestamps, WithoutService, stamped_text,
};

use chunks::InHand;
use counters::Counters;
use dialogs::DialogRegistry;
use forwarding::Receivers;
use slots::Slots;

/// What an intermediary is made of.
pub struct Parts {
    /// Its cipher and signature key pairs.
    pub keys: KeyRing,
    /// Issues and recognises message ids.
    pub message_ids: Arc<dyn MessageIdAuthority>,
    /// Keeps everything durable.
    pub store: Arc<dyn Store>,
    /// Inspects certificates.
    pub inspector: Arc<Inspector>,
    /// Judges algorithms and keys.
    pub policy: Arc<Policy>,
    /// Where opened messages and answers are written.
    pub spools: SpoolDir,
    /// Takes messages to passive recipients; without one, nothing is forwarded.
    pub courier: Option<Arc<dyn Courier>>,
    /// Stamps times; without one, all are those of our own clock.
    pub timestamps: Option<Arc<dyn TimestampService>>,
    /// Challenges, conversation ids, session keys.
    pub random: Arc<dyn Random>,
}

/// An intermediary at work. Share it between threads.
pub struct Intermediary {
    parts: Parts,
    settings: Settings,
    dialogs: DialogRegistry,
    counters: Counters,
    receivers: Receivers,
    stamping: Slots,
    admission: RwLock<Arc<Admission>>,
    /// Uploads that are being made deliveries of.
    in_hand: InHand,
    /// The certificates we sign with, one after the other, as they stand in answers.
    own: Vec<(Fingerprint, IntermediaryCertificates)>,
}

impl Intermediary {
    /// An intermediary without open dialogs.
    pub fn new(parts: Parts, settings: Settings) -> Self {
        let dialogs = DialogRegistry::new(settings.dialog_timeout, settings.max_dialogs);
        let own = answer::certificates(&parts.keys);
        Self {
            parts,
            settings,
            dialogs,
            counters: Counters::default(),
            receivers: Receivers::default(),
            stamping: Slots::default(),
            admission: RwLock::default(),
            in_hand: InHand::default(),
            own,
        }
    }

    /// The store, for jobs beside the orders.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.parts.store
    }

    /// Serves whom `admission` says from now on. Everybody at first.
    pub fn admit(&self, admission: Admission) {
        *self.admission.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(admission);
    }

    /// The certificate we sign with at some time, as it stands in answers.
    pub(crate) fn own(&self, now: OffsetDateTime) -> Option<&IntermediaryCertificates> {
        let signing = self.parts.keys.signature_at(now)?.certificate.fingerprint();
        self.own.iter().find(|(fingerprint, _)| *fingerprint == signing).map(|(_, own)| own)
    }

    pub(crate) fn admission(&self) -> Arc<Admission> {
        Arc::clone(&self.admission.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Forgets dialogs that rested too long. Call it now and then.
    pub fn expire_dialogs(&self, now: OffsetDateTime) {
        self.dialogs.expire(now);
    }

    /// Goes on with an explicit dialog that was begun elsewhere: for handing over between processes. Requests of the dialog are
    /// accepted from now on; a dialog with the same id is replaced.
    ///
    /// The last answer is not handed over, so a retransmission of the request before is refused.
    pub fn restore_dialog(&self, dialog: IntermediaryDialog, now: OffsetDateTime) {
        self.dialogs.insert(dialog, None, now);
    }

    /// Private-key operations since the start, and open dialogs.
    pub fn counts(&self) -> Counts {
        Counts {
            open_dialogs: self.dialogs.len() as u64,
            max_dialogs: self.settings.max_dialogs as u64,
            forwarding: self.receivers.waiting() as u64,
            max_forwarding: self.settings.forwarding.at_once as u64,
            ..self.counters.counts()
        }
    }
}
