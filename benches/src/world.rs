//! An intermediary with everything it needs, in this process and in a folder of its own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rohrpost_audit::{LogSigner, SigningKey};
use rohrpost_crypto::policy::Policy;
use rohrpost_crypto::{Decryptor as _, KeyTransport, Random as _, SessionKey, Signer as _, SystemRandom, wrap_key};
use rohrpost_intermediary::{
    Context, Handled, Intermediary, MessageIdAuthority as _, Outcome, Parts, Settings, TokenAuthority,
};
use rohrpost_osci::ids::MessageId;
use rohrpost_pipeline::keyring::{CipherPair, KeyRing, SignaturePair};
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_pki::Inspector;
use rohrpost_store::{SqliteOptions, SqliteStore, Store};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::parties::trust;
use crate::{Bits, Clock, Meter, Party, Task};

/// The time at which everything in a benchmark happens: what an intermediary remembers of a certificate for a minute, it
/// remembers here for ever, as a busy one nearly does.
pub const NOW: OffsetDateTime = datetime!(2026-11-24 12:00 UTC);

/// An intermediary, its store on the disk, and the meter around its private keys.
pub struct World {
    /// Counts what the private keys do.
    pub meter: Meter,
    /// Where its spools go, and those of clients.
    pub spools: SpoolDir,
    intermediary: Intermediary,
    message_ids: Arc<TokenAuthority>,
    issued: AtomicU64,
}

impl World {
    /// A new one in `folder`.
    pub fn new(folder: &Path, bits: Bits) -> Self {
        let store = store(folder);
        let spools = SpoolDir::new(store.incoming());
        let meter = Meter::default();
        let mut secret = [0; 32];
        SystemRandom.fill(&mut secret);
        let message_ids = Arc::new(TokenAuthority::new(secret, Duration::days(30)));
        let (anchors, authorities) = trust();
        let policy = Arc::new(Policy::standard());
        let parts = Parts {
            keys: keys(bits, &meter),
            message_ids: Arc::clone(&message_ids) as _,
            store: Arc::new(store) as Arc<dyn Store>,
            inspector: Arc::new(Inspector::new(anchors, Policy::clone(&policy)).with_intermediates(authorities)),
            policy,
            spools: spools.clone(),
            courier: None,
            timestamps: None,
            random: Arc::new(SystemRandom),
        };
        let intermediary = Intermediary::new(parts, Settings::default());
        Self { meter, spools, intermediary, message_ids, issued: AtomicU64::new(0) }
    }

    /// An id as GetMessageId gives it. They are a millisecond apart, so that they sort as those of a real day do.
    pub fn message_id(&self) -> MessageId {
        let age = Duration::milliseconds(self.issued.fetch_add(1, Ordering::Relaxed) as i64);
        self.message_ids.issue(&SystemRandom, NOW - Duration::days(1) + age)
    }

    /// Has a request handled, which must succeed.
    ///
    /// # Panics
    /// If the request was not executed: then nothing that is measured means anything.
    pub fn handle(&self, request: Spool) -> Spool {
        let context = Context { now: NOW, correlation_id: "benchmark".to_owned() };
        let Handled { answer, outcome, codes, .. } = self.intermediary.handle(request, &context);
        assert_eq!(outcome, Outcome::Executed, "codes {codes:?}");
        answer
    }
}

/// The store in `folder`, empty if there was none.
pub fn store(folder: &Path) -> SqliteStore {
    let signer = LogSigner::new("benchmark", SigningKey::from_seed(&[7; 32])).expect("the name is a name");
    SqliteStore::open(folder, signer, SqliteOptions::default()).expect("the store can be opened")
}

/// Keys of the intermediary, metered.
pub fn keys(bits: Bits, meter: &Meter) -> KeyRing {
    let party = Party::intermediary(bits);
    let cipher = CipherPair { key: meter.decryptor(party.decryptor()), certificate: party.cipher.clone() };
    let signature = SignaturePair { key: meter.signer(party.signer()), certificate: party.signature };
    KeyRing::new(vec![cipher], Some(signature))
}

/// One bare private-key operation to decrypt, without meter.
pub fn decrypting(bits: Bits) -> Task<'static> {
    let party = Party::intermediary(bits);
    let key = party.cipher.public_key().expect("the intermediary has an RSA key");
    let session_key = SessionKey::random(32, &SystemRandom);
    let wrapped = wrap_key(&key, KeyTransport::OAEP_SHA256, &session_key).expect("the key can be wrapped");
    let decryptor = party.decryptor();
    Task::each(Clock::Thread, move || decryptor.unwrap_key(KeyTransport::OAEP_SHA256, &wrapped, 32).is_ok())
}

/// One bare private-key operation to sign, without meter.
pub fn signing(bits: Bits) -> Task<'static> {
    let signer = Party::intermediary(bits).signer();
    Task::each(Clock::Thread, move || signer.sign(b"a message").is_ok())
}
