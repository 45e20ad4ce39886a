//! `[mailboxes]`: who is served at the moment.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use rohrpost_intermediary::{Admission, Mode};
use rohrpost_osci::feedback::Code;
use rohrpost_store::Fingerprint;

use super::{RawConfig, bad, keys};
use crate::failure::Failure;

/// What the table says, with every certificate it names.
pub(super) fn admission(raw: &RawConfig, base: &Path) -> Result<Admission> {
    let raw = &raw.mailboxes;
    let mode = match raw.mode.as_str() {
        "normal" => Mode::Normal,
        "store-only" => Mode::StoreOnly,
        "stopped" => Mode::Stopped,
        other => return Err(bad("mailboxes.mode", other, "write \"normal\", \"store-only\" or \"stopped\"")),
    };
    let unknown = match raw.unknown_code {
        9811 => Code::OrderFailed,
        9805 => Code::RecipientRefused,
        9706 => Code::RecipientCipherCertificateCorrupted,
        other => return Err(bad("mailboxes.unknown_code", &other.to_string(), "write 9811, 9805 or 9706")),
    };
    let registered = fingerprints("mailboxes.registered", &raw.registered, base)?;
    Ok(Admission {
        mode,
        registered: raw.only_registered.then_some(registered),
        unknown,
        blocked: fingerprints("mailboxes.blocked", &raw.blocked, base)?,
    })
}

fn fingerprints(name: &str, entries: &[String], base: &Path) -> Result<BTreeSet<Fingerprint>> {
    let mut all = BTreeSet::new();
    for entry in entries {
        if let Some(fingerprint) = from_hex(entry) {
            all.insert(fingerprint);
            continue;
        }
        let certificates = keys::certificates(&base.join(entry)).map_err(|error| Failure::at_key(name, error))?;
        all.extend(certificates.iter().map(|certificate| Fingerprint::of_der(certificate.der())));
    }
    Ok(all)
}

/// SHA-256 as people copy it: in either case, with or without colons.
fn from_hex(text: &str) -> Option<Fingerprint> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(Fingerprint::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_as_they_are_copied() {
        let expected = Fingerprint::from_bytes([0xab; 32]);
        assert_eq!(from_hex(&"ab".repeat(32)), Some(expected));
        assert_eq!(from_hex(&["AB"; 32].join(":")), Some(expected));
        for text in ["", "ab", &"ab".repeat(33), &"xy".repeat(32), &"ä".repeat(32), "keys/bob.pem"] {
            assert_eq!(from_hex(text), None, "{text}");
        }
    }
}
