//! Policies.

use rohrpost_crypto::policy::{Policy, Purpose, Ruling};
use time::Date;

/// A text as policy.
pub fn policy(data: &[u8]) {
    const PURPOSES: [Purpose; 8] = [
        Purpose::TransportSignature,
        Purpose::ContentSignature,
        Purpose::CertificateSignature,
        Purpose::Digest,
        Purpose::KeyTransport,
        Purpose::TransportEncryption,
        Purpose::ContentEncryption,
        Purpose::KeyLength,
    ];
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(policy) = Policy::from_toml(text) else { return };
    // Every quoted string of the text is an algorithm, or a kind of key, or neither.
    for word in text.split('"').take(200) {
        for purpose in PURPOSES {
            for at in [Date::MIN, time::macros::date!(2026 - 12 - 01), Date::MAX] {
                let alone = policy.judge(purpose, word, None, at);
                for bits in [0, 256, 2048, u32::MAX] {
                    let with_key = policy.judge(purpose, word, Some(bits), at);
                    assert!(purpose == Purpose::KeyLength || with_key <= alone, "a key never makes it better");
                    assert!(!with_key.may_produce() || with_key.may_read(), "what is produced can be read");
                }
            }
        }
    }
    let unknown = policy.judge(Purpose::Digest, "\u{1}", None, Date::MAX);
    assert_eq!(unknown, Ruling::Refuse, "what is not listed is refused");
}
