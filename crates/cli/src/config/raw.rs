//! The configuration as it was written: one struct per table of the file, unknown keys refused.
//!
//! Defaults come from `config/rohrpost.toml` itself, which is built in: what the file documents is what holds.

use std::path::PathBuf;

use serde::Deserialize;

/// The commented default configuration, also printed by `rohrpost config print-default`.
pub(crate) const DEFAULT: &str = include_str!("../../../../config/rohrpost.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawConfig {
    pub(crate) storage: Storage,
    pub(crate) keys: Keys,
    pub(crate) trust: Trust,
    pub(crate) revocation: Revocation,
    pub(crate) timestamps: Timestamps,
    pub(crate) orders: Orders,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) forwarding: Forwarding,
    pub(crate) chunks: Chunks,
    pub(crate) retention: Retention,
    pub(crate) http: Http,
    pub(crate) https: Https,
    pub(crate) management: Management,
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) log: Log,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Storage {
    pub(crate) directory: PathBuf,
    pub(crate) reserve_bytes: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keys {
    pub(crate) cipher: KeyFiles,
    pub(crate) signature: KeyFiles,
    #[serde(default)]
    pub(crate) previous_ciphers: Vec<KeyFiles>,
    #[serde(default)]
    pub(crate) changes: Vec<KeyChange>,
}

/// Key pairs that take over at some time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyChange {
    pub(crate) from: String,
    pub(crate) cipher: Option<KeyFiles>,
    pub(crate) signature: Option<KeyFiles>,
}

/// Where one key pair lies: PKCS#12 with a PIN file, certificate and key as PEM, or a certificate with the key on a token.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyFiles {
    pub(crate) pkcs12: Option<PathBuf>,
    pub(crate) pin_file: Option<PathBuf>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) token: Option<TokenKey>,
}

/// A private key on a token.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(feature = "pkcs11"), expect(dead_code, reason = "read so that the message can say what is missing"))]
pub(crate) struct TokenKey {
    pub(crate) module: PathBuf,
    pub(crate) label: String,
    pub(crate) key: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trust {
    pub(crate) anchors: Vec<PathBuf>,
    pub(crate) intermediates: Vec<PathBuf>,
    pub(crate) policy_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revocation {
    pub(crate) mode: String,
    pub(crate) nonce: String,
    pub(crate) only_hosts: Vec<String>,
    pub(crate) private_hosts: Vec<String>,
    pub(crate) answer_seconds: u64,
    pub(crate) total_seconds: u64,
    pub(crate) max_age_minutes: u32,
    pub(crate) retry_seconds: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Timestamps {
    pub(crate) url: Option<String>,
    pub(crate) authorities: Vec<PathBuf>,
    pub(crate) internal: bool,
    pub(crate) answer_seconds: u64,
    pub(crate) retry_seconds: u64,
    pub(crate) tolerance_seconds: u32,
    pub(crate) at_once: usize,
    pub(crate) service_down: String,
    pub(crate) without_service: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Orders {
    pub(crate) require_signature: Vec<String>,
    pub(crate) dialog_timeout_minutes: u32,
    pub(crate) max_dialogs: usize,
    pub(crate) message_id_lifetime_days: u32,
    pub(crate) max_deliveries_per_mailbox: u64,
    pub(crate) max_bytes_per_mailbox: u64,
    pub(crate) max_cards_per_answer: u32,
    pub(crate) default_language: String,
    pub(crate) accept_repeated_request_object: bool,
    pub(crate) dangerous_fetch_without_encryption: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mailboxes {
    pub(crate) mode: String,
    pub(crate) only_registered: bool,
    pub(crate) registered: Vec<String>,
    pub(crate) unknown_code: u16,
    pub(crate) blocked: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Forwarding {
    pub(crate) receivers: Vec<Receiver>,
    pub(crate) authorities: Vec<PathBuf>,
    pub(crate) at_once: usize,
    pub(crate) answer_seconds: u32,
    pub(crate) attempt_minutes: u32,
    pub(crate) store_and_forward: bool,
    pub(crate) first_pause_seconds: u32,
    pub(crate) longest_pause_minutes: u32,
    pub(crate) give_up_after_hours: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) internal: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Chunks {
    pub(crate) offered: bool,
    pub(crate) min_chunk_kib: u64,
    pub(crate) max_chunk_kib: u64,
    pub(crate) max_message_kib: u64,
    pub(crate) timeout_hours: u32,
    pub(crate) uploads_per_client: u64,
    pub(crate) bytes_per_client: u64,
    pub(crate) uploads: u64,
    pub(crate) bytes: u64,
    pub(crate) handling_seconds: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retention {
    pub(crate) received_bodies_days: u32,
    pub(crate) unreceived_bodies_days: u32,
    pub(crate) cards_days: u32,
    pub(crate) interval_minutes: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    pub(crate) listen: Vec<String>,
    pub(crate) path: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Https {
    pub(crate) listen: Vec<String>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) client_authorities: Option<PathBuf>,
    pub(crate) client_certificates: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Management {
    pub(crate) listen: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) message_bytes: u64,
    pub(crate) spooled_bytes: u64,
    pub(crate) header_bytes: usize,
    pub(crate) headers: usize,
    pub(crate) connections: usize,
    pub(crate) connections_per_peer: usize,
    pub(crate) concurrent_orders: usize,
    pub(crate) waiting_orders: usize,
    pub(crate) waiting_orders_per_client: usize,
    pub(crate) processor_turns: usize,
    pub(crate) spool_memory_bytes: usize,
}

/// All in seconds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Timeouts {
    pub(crate) header: u64,
    pub(crate) body_idle: u64,
    pub(crate) body_total: u64,
    pub(crate) turn: u64,
    pub(crate) write: u64,
    pub(crate) keep_alive: u64,
    pub(crate) retry_after: u64,
    pub(crate) drain_notice: u64,
    pub(crate) shutdown: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) format: String,
    pub(crate) level: String,
}
