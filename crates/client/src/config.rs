use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rohrpost_crypto::policy::Policy;
use rohrpost_crypto::{Random, SystemRandom};
use rohrpost_osci::algorithms::Encryption;
use rohrpost_osci::{envelope, mime};
use rohrpost_pipeline::keyring::KeyRing;
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_pki::{Certificate, Inspector};

use crate::chunks::ChunkUse;
use crate::clock::Clock;
use crate::transport::{Timeouts, Tls};

/// Who we are, whom we talk to, and how. [`new`](Self::new) asks for what has no default.
#[non_exhaustive]
pub struct Config {
    /// Address of the intermediary, `http://…` or `https://…`.
    pub url: String,
    /// For whom requests are encrypted.
    pub intermediary_cipher: Certificate,
    /// The certificate that must have signed answers. Without it, any that the intermediary sends along is taken, as far as
    /// [`inspector`](Self::inspector) does not reject it.
    pub intermediary_signature: Option<Certificate>,
    /// Our cipher pairs (the first one is what we are known by and the owner of our mailbox), and the pair that signs
    /// requests; without that, requests are not signed.
    pub keys: KeyRing,
    /// Languages for the texts of the intermediary, the dearest first. German and English unless changed.
    pub languages: Vec<String>,
    /// How requests are encrypted. Other than the default only for old intermediaries.
    pub encryption: Encryption,
    /// Send requests in clear. Nobody can fetch anything then, unless the intermediary is configured dangerously too.
    pub dangerous_clear_requests: bool,
    /// Take unsigned answers to signed requests.
    pub dangerous_accept_unsigned_answers: bool,
    /// For `https` addresses.
    pub tls: Option<Tls>,
    /// How long exchanges may take.
    pub timeouts: Timeouts,
    /// How often an order is tried.
    pub retries: Retries,
    /// When deliveries are stored in chunks.
    pub chunks: ChunkUse,
    /// Where messages and content lie meanwhile. Everything there is removed when its last handle is dropped.
    pub spools: SpoolDir,
    /// Which algorithms may be used and believed.
    pub policy: Arc<Policy>,
    /// Judges the certificates of authors, and of the intermediary. Without it, signatures are checked, but nothing is said
    /// about who made them.
    pub inspector: Option<Arc<Inspector>>,
    /// Bounds for answers.
    pub limits: Limits,
    /// Tells the time.
    pub clock: Clock,
    /// Makes keys and identifiers.
    pub random: Arc<dyn Random>,
}

/// Bounds for answers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one answer. 4 GiB unless changed.
    pub answer_bytes: u64,
    /// Bounds of the MIME framing.
    pub mime: mime::Limits,
    /// Bounds of the envelope.
    pub envelope: envelope::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self { answer_bytes: 4 << 30, mime: mime::Limits::default(), envelope: envelope::Limits::default() }
    }
}

/// How often an order is tried, and how long the pauses are.
///
/// Only what is safe is repeated: an order that certainly was not executed, and outside of explicit dialogs also one whose
/// answer was lost, since the message id keeps a delivery from being stored twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Tries in all. 5 unless changed; 1 does without repetition.
    pub tries: u32,
    /// The first pause; each further one is twice as long, with some chance in it. Half a second unless changed.
    pub first_pause: Duration,
    /// The longest pause, also where the intermediary asks for a longer one. 30 seconds unless changed.
    pub longest_pause: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { tries: 5, first_pause: Duration::from_millis(500), longest_pause: Duration::from_secs(30) }
    }
}

impl Retries {
    /// The pause after `tries` tries.
    pub(crate) fn pause(&self, tries: u32, asked: Option<Duration>, random: &dyn Random) -> Duration {
        let doubled = self.first_pause.saturating_mul(1 << tries.saturating_sub(1).min(16));
        let mut chance = [0];
        random.fill(&mut chance);
        // Three to five quarters, so that many clients do not come back at once.
        let spread = doubled.saturating_mul(192 + u32::from(chance[0]) / 2) / 256;
        spread.max(asked.unwrap_or_default()).min(self.longest_pause)
    }
}

impl Config {
    /// The defaults with these choices.
    pub fn new(
        url: impl Into<String>,
        intermediary_cipher: Certificate,
        keys: KeyRing,
        spools: SpoolDir,
        clock: Clock,
    ) -> Self {
        Self {
            url: url.into(),
            intermediary_cipher,
            intermediary_signature: None,
            keys,
            languages: vec!["de".to_owned(), "en".to_owned()],
            encryption: Encryption::STANDARD,
            dangerous_clear_requests: false,
            dangerous_accept_unsigned_answers: false,
            tls: None,
            timeouts: Timeouts::default(),
            retries: Retries::default(),
            chunks: ChunkUse::default(),
            spools,
            policy: Arc::new(Policy::standard()),
            inspector: None,
            limits: Limits::default(),
            clock,
            random: Arc::new(SystemRandom),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("url", &self.url).field("keys", &self.keys).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u8);

    impl Random for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }

    #[test]
    fn pauses_double_spread_and_end() {
        let retries = Retries::default();
        let pause = |tries, chance| retries.pause(tries, None, &Fixed(chance)).as_millis();
        assert_eq!((pause(1, 0), pause(1, 128), pause(1, 255)), (375, 500, 623));
        assert_eq!((pause(2, 128), pause(3, 128), pause(6, 128)), (1000, 2000, 16_000));
        assert_eq!((pause(7, 128), pause(u32::MAX, 128)), (30_000, 30_000));
        let asked = |seconds| retries.pause(1, Some(Duration::from_secs(seconds)), &Fixed(0)).as_secs();
        assert_eq!((asked(7), asked(3600)), (7, 30));
    }
}
