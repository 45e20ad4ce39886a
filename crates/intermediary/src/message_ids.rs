//! Message ids as stateless tokens (OSCI-Transport 1.2, GetMessageId): issuing one writes nothing, and any node that
//! knows the secret recognises it again.
//!
//! A token is 42 letters and digits: ten for the time in milliseconds, sixteen random ones, sixteen that authenticate
//! the others. Because the time comes first, tokens sort by age, which keeps the indexes of the store compact. The
//! store alone knows whether a token was used.

use rohrpost_crypto::{Random, constant_time_eq, hmac_sha256};
use rohrpost_osci::ids::MessageId;
use time::{Duration, OffsetDateTime};

/// Digits before letters, in ASCII order, without `I L O U`: tokens compare like the numbers they encode.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TIME_CHARS: usize = 10;
const RANDOM_CHARS: usize = 16;
const TAG_CHARS: usize = 16;
const TOKEN_CHARS: usize = TIME_CHARS + RANDOM_CHARS + TAG_CHARS;

/// Issues message ids and recognises its own.
pub trait MessageIdAuthority: Send + Sync {
    /// A fresh id, unique for ever.
    fn issue(&self, random: &dyn Random, now: OffsetDateTime) -> MessageId;

    /// Whether `id` was issued here and has not expired; says nothing about its having been used.
    fn recognises(&self, id: &MessageId, now: OffsetDateTime) -> bool;
}

/// The authority of the product: an HMAC-SHA-256 over time and randomness, cut to 80 bits.
pub struct TokenAuthority {
    secret: [u8; 32],
    lifetime: Duration,
}

impl TokenAuthority {
    /// Tokens under `secret`, good for `lifetime` after they were issued.
    pub fn new(secret: [u8; 32], lifetime: Duration) -> Self {
        Self { secret, lifetime }
    }

    fn tag(&self, body: &str) -> String {
        let mac = hmac_sha256(&self.secret, body.as_bytes());
        encode(&mac[..10])
    }
}

impl Drop for TokenAuthority {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.secret);
    }
}

impl MessageIdAuthority for TokenAuthority {
    fn issue(&self, random: &dyn Random, now: OffsetDateTime) -> MessageId {
        let mut noise = [0; 10];
        random.fill(&mut noise);
        let mut token = encode_time(milliseconds(now));
        token.push_str(&encode(&noise));
        let tag = self.tag(&token);
        token.push_str(&tag);
        MessageId::new(token).expect("letters and digits make a valid message id")
    }

    fn recognises(&self, id: &MessageId, now: OffsetDateTime) -> bool {
        let token = id.as_str();
        if token.len() != TOKEN_CHARS || !token.bytes().all(|b| ALPHABET.contains(&b)) {
            return false;
        }
        let (body, tag) = token.split_at(TIME_CHARS + RANDOM_CHARS);
        if !constant_time_eq(self.tag(body).as_bytes(), tag.as_bytes()) {
            return false;
        }
        let age = milliseconds(now).saturating_sub(decode_time(&token[..TIME_CHARS]));
        age <= u64::try_from(self.lifetime.whole_milliseconds()).unwrap_or(u64::MAX)
    }
}

fn milliseconds(at: OffsetDateTime) -> u64 {
    u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0)
}

/// Five bits per character, most significant first.
fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for group in bytes.chunks(5) {
        let value = group.iter().fold(0u64, |all, byte| all << 8 | u64::from(*byte));
        push_base32(&mut out, value, group.len() * 8 / 5);
    }
    out
}

fn encode_time(milliseconds: u64) -> String {
    let mut out = String::with_capacity(TIME_CHARS);
    push_base32(&mut out, milliseconds, TIME_CHARS);
    out
}

fn push_base32(out: &mut String, value: u64, chars: usize) {
    for position in (0..chars).rev() {
        let index = (value >> (5 * position)) & 31;
        out.push(char::from(ALPHABET[usize::try_from(index).unwrap_or(0)]));
    }
}

fn decode_time(chars: &str) -> u64 {
    chars.bytes().fold(0, |all, byte| {
        let digit = ALPHABET.iter().position(|known| *known == byte).unwrap_or(0);
        all << 5 | digit as u64
    })
}

#[cfg(test)]
mod tests {
    use rohrpost_crypto::SystemRandom;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-24 12:00 UTC);

    fn authority() -> TokenAuthority {
        TokenAuthority::new([7; 32], Duration::days(30))
    }

    #[test]
    fn recognises_its_own_until_they_expire() {
        let id = authority().issue(&SystemRandom, NOW);
        assert_eq!(id.as_str().len(), 42);
        assert!(authority().recognises(&id, NOW));
        assert!(authority().recognises(&id, NOW + Duration::days(30)));
        assert!(!authority().recognises(&id, NOW + Duration::days(30) + Duration::milliseconds(1)));
    }

    #[test]
    fn refuses_foreign_changed_and_malformed_ids() {
        let id = authority().issue(&SystemRandom, NOW);
        let other = TokenAuthority::new([8; 32], Duration::days(30));
        assert!(!other.recognises(&id, NOW));
        for position in 0..42 {
            let mut changed = id.as_str().to_owned().into_bytes();
            changed[position] = if changed[position] == b'0' { b'1' } else { b'0' };
            let changed = MessageId::new(String::from_utf8(changed).unwrap()).unwrap();
            assert!(!authority().recognises(&changed, NOW), "position {position}");
        }
        for text in ["x", "selbst erfunden", &id.as_str().to_lowercase(), &id.as_str()[1..]] {
            assert!(!authority().recognises(&MessageId::new(text.to_owned()).unwrap(), NOW), "{text}");
        }
    }

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        let ids: Vec<String> = (0..200)
            .map(|i| authority().issue(&SystemRandom, NOW + Duration::milliseconds(i * 37)).as_str().to_owned())
            .collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn does_not_repeat() {
        let mut ids: Vec<String> =
            (0..1000).map(|_| authority().issue(&SystemRandom, NOW).as_str().to_owned()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 1000);
    }
}
