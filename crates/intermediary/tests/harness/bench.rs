//! The intermediary under test.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use rohrpost_audit::LogSigner;
use rohrpost_crypto::ed25519::SigningKey;
use rohrpost_crypto::policy::Policy;
use rohrpost_crypto::{Random, SystemRandom};
use rohrpost_intermediary::{
    Context, Courier, Intermediary, MessageIdAuthority, Outcome, Parts, Settings, TimestampService,
};
use rohrpost_osci::fault::Fault;
use rohrpost_osci::feedback::CodeNumber;
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::mime::{self, Multipart};
use rohrpost_pipeline::keyring::KeyRing;
use rohrpost_pipeline::open::open;
use rohrpost_pipeline::read::read;
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_pipeline::verify::{Signer, Verified, verify};
use rohrpost_pki::revocation::RevocationChecker;
use rohrpost_pki::{Anchors, Certificate, Inspector, KeyEntry, pem, pkcs12};
use rohrpost_store::{SqliteOptions, SqliteStore, Stats, Store};
use tempfile::TempDir;
use time::OffsetDateTime;

use super::{NOW, certs_test, key_ring};

/// What an intermediary under test is made of.
pub struct Setup {
    pub keys: KeyRing,
    pub anchors: Anchors,
    pub intermediates: Vec<Certificate>,
    pub policy: Policy,
    pub settings: Settings,
    /// Asks about revocation, if anybody is to.
    pub revocation: Option<RevocationChecker>,
    /// Bytes of an opened message at most.
    pub message_bytes: u64,
    /// Who takes messages to passive recipients.
    pub courier: Option<Arc<dyn Courier>>,
    /// Who stamps times.
    pub timestamps: Option<Arc<dyn TimestampService>>,
}

impl Default for Setup {
    /// The intermediary of `certs-test/` with default settings.
    fn default() -> Self {
        static KEYS: LazyLock<[KeyEntry; 2]> = LazyLock::new(|| {
            ["cipher", "signature"].map(|role| {
                let file = std::fs::read(certs_test(&format!("p12/intermediary-{role}.p12"))).unwrap();
                pkcs12::load(&file, &"123456".into()).unwrap()
            })
        });
        let authority = |name: &str| std::fs::read(certs_test(&format!("ca/{name}-ca.cert.pem"))).unwrap();
        Self {
            keys: key_ring(&KEYS[0], Some(&KEYS[1])),
            anchors: Anchors::from_pem(&authority("root")).unwrap(),
            intermediates: ["registry", "transport"]
                .iter()
                .flat_map(|name| pem::certificates(&authority(name)).unwrap())
                .collect(),
            policy: Policy::standard(),
            settings: Settings::default(),
            revocation: None,
            message_bytes: u64::MAX,
            courier: None,
            timestamps: None,
        }
    }
}

impl Setup {
    /// The defaults with other settings.
    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut setup = Self::default();
        change(&mut setup.settings);
        setup
    }

    /// Starts it over an empty store.
    pub fn start(self) -> Bench {
        self.start_with(|store| store)
    }

    /// Starts it over an empty store that it sees only through something else.
    pub fn start_with(self, wrap: impl FnOnce(Arc<SqliteStore>) -> Arc<dyn Store>) -> Bench {
        let directory = temporary_directory();
        let signer = LogSigner::new("rohrpost.test", SigningKey::from_seed(&LOG_SEED)).unwrap();
        let store = Arc::new(SqliteStore::open(directory.path(), signer, SqliteOptions::default()).unwrap());
        let ids = Arc::new(IssuedIds::default());
        let inspector = Inspector::new(self.anchors, self.policy.clone()).with_intermediates(self.intermediates);
        let inspector = match self.revocation {
            Some(checker) => inspector.with_revocation(checker),
            None => inspector,
        };
        let intermediary = Intermediary::new(
            Parts {
                keys: self.keys,
                message_ids: Arc::clone(&ids) as Arc<dyn MessageIdAuthority>,
                store: wrap(Arc::clone(&store)),
                inspector: Arc::new(inspector),
                policy: Arc::new(self.policy),
                spools: SpoolDir::new(store.incoming()).with_limit(self.message_bytes),
                courier: self.courier,
                timestamps: self.timestamps,
                random: Arc::new(SystemRandom),
            },
            self.settings,
        );
        Bench { intermediary, store, ids, directory }
    }
}

/// In memory, where the machine has a file system there: hundreds of stores are opened, and nothing is tested about disks.
fn temporary_directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Any seed would do.
const LOG_SEED: [u8; 32] = [11; 32];

/// An intermediary with its store, gone when dropped.
pub struct Bench {
    pub intermediary: Intermediary,
    pub store: Arc<SqliteStore>,
    pub ids: Arc<IssuedIds>,
    directory: TempDir,
}

impl Default for Bench {
    fn default() -> Self {
        Setup::default().start()
    }
}

impl Bench {
    /// Hands a request in at [`NOW`].
    pub fn handle(&self, request: impl Into<Vec<u8>>) -> Answer {
        self.handle_at(request, NOW)
    }

    /// Hands a request in.
    pub fn handle_at(&self, request: impl Into<Vec<u8>>, now: OffsetDateTime) -> Answer {
        let context = Context { now, correlation_id: "test".to_owned() };
        let handled = self.intermediary.handle(Spool::from_bytes(request.into()), &context);
        let mut bytes = Vec::new();
        handled.answer.reader(0..handled.answer.len()).read_to_end(&mut bytes).unwrap();
        Answer { bytes, order: handled.order, outcome: handled.outcome, codes: handled.codes }
    }

    /// A message id that counts as issued.
    pub fn fresh_id(&self) -> MessageId {
        self.ids.issue(&SystemRandom, NOW)
    }

    /// Figures of the store.
    pub fn stats(&self) -> Stats {
        self.store.stats().unwrap()
    }

    /// Where the store lies.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The key that the log's checkpoints are signed with.
    pub fn log_key() -> SigningKey {
        SigningKey::from_seed(&LOG_SEED)
    }
}

/// Recognises the ids it was told and those it issued.
#[derive(Default)]
pub struct IssuedIds {
    known: Mutex<HashSet<MessageId>>,
    count: AtomicU32,
}

impl IssuedIds {
    /// Counts as issued from now on.
    pub fn add(&self, id: MessageId) {
        self.known.lock().unwrap().insert(id);
    }
}

impl MessageIdAuthority for IssuedIds {
    fn issue(&self, _random: &dyn Random, _now: OffsetDateTime) -> MessageId {
        let id = MessageId::new(format!("test-{}", self.count.fetch_add(1, Ordering::Relaxed))).unwrap();
        self.add(id.clone());
        id
    }

    fn recognises(&self, id: &MessageId, _now: OffsetDateTime) -> bool {
        self.known.lock().unwrap().contains(id)
    }
}

/// What came of a request.
#[derive(Debug)]
pub struct Answer {
    /// The message.
    pub bytes: Vec<u8>,
    /// What the intermediary took it for.
    pub order: &'static str,
    /// How the intermediary says it ended.
    pub outcome: Outcome,
    /// The codes the intermediary says it gave.
    pub codes: Vec<u16>,
}

impl Answer {
    /// The code, if the answer is a fault. Checks that the fault says what the intermediary says.
    pub fn fault(&self) -> Option<u16> {
        let multipart = Multipart::scan(&self.bytes, &mime::Limits::default()).unwrap();
        let code = Fault::parse(&self.bytes, &multipart).unwrap()?.known_code().number();
        assert_eq!((self.outcome, self.codes.as_slice()), (Outcome::Fault, &[code][..]));
        Some(code)
    }

    /// Opens, reads and verifies the answer.
    pub fn opened(&self, reader: &KeyEntry) -> Verified {
        assert_ne!(self.outcome, Outcome::Fault, "a fault: {:?}", self.codes);
        let (policy, spools) = (Policy::standard(), SpoolDir::new(std::env::temp_dir()));
        let spool = Spool::from_bytes(self.bytes.clone());
        let keys = key_ring(reader, None);
        let opened = open(spool, &keys, &policy, NOW, &spools, &SystemRandom, &mime::Limits::default()).unwrap();
        let limits = rohrpost_osci::envelope::Limits::default();
        verify(read(opened, &limits).unwrap(), Signer::Intermediary { expected: None }, &policy, NOW, &limits)
    }
}

/// Codes as numbers.
pub(super) fn numbers(codes: impl IntoIterator<Item = CodeNumber>) -> Vec<u16> {
    codes.into_iter().map(|code| code.known().map_or(0, |code| code.number())).collect()
}
