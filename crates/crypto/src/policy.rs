//! Which algorithm may be used for what, and until when.
//!
//! A policy is data: rulings with dates, so that a message can be judged by the rules of its day and a change of the
//! rules is a change of a text file. What a policy does not name is refused.

use std::collections::HashMap;

use serde::Deserialize;
use thiserror::Error;
use time::Date;

/// What an algorithm or a key is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Signatures over whole messages.
    TransportSignature,
    /// Signatures of authors over their content.
    ContentSignature,
    /// Signatures on certificates, revocation lists and OCSP responses.
    CertificateSignature,
    /// Digests inside signatures of XML-DSig.
    Digest,
    /// Encryption of session keys, whatever the hashes inside.
    KeyTransport,
    /// Encryption of whole messages.
    TransportEncryption,
    /// Encryption of content for its readers.
    ContentEncryption,
    /// Length of a key; the algorithm is then the kind of the key ([`KeyKind::name`](crate::KeyKind::name)).
    KeyLength,
}

impl Purpose {
    /// The name in policies and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TransportSignature => "transport-signature",
            Self::ContentSignature => "content-signature",
            Self::CertificateSignature => "certificate-signature",
            Self::Digest => "digest",
            Self::KeyTransport => "key-transport",
            Self::TransportEncryption => "transport-encryption",
            Self::ContentEncryption => "content-encryption",
            Self::KeyLength => "key-length",
        }
    }
}

/// What a policy says, from worst to best; each includes those before it except `Refuse`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ruling {
    /// Must not be used, neither written nor believed.
    Refuse,
    /// May be read; the reader is told.
    Warn,
    /// May be read.
    Accept,
    /// May be read and written.
    Produce,
}

impl Ruling {
    /// The name in policies and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Warn => "warn",
            Self::Accept => "accept",
            Self::Produce => "produce",
        }
    }

    /// Whether we may write it.
    pub fn may_produce(self) -> bool {
        self == Self::Produce
    }

    /// Whether we may read it.
    pub fn may_read(self) -> bool {
        self != Self::Refuse
    }
}

/// A set of dated rulings.
///
/// ```
/// use rohrpost_crypto::policy::{Policy, Purpose, Ruling};
/// use time::macros::date;
///
/// let policy = Policy::standard();
/// let sha256 = "http://www.w3.org/2001/04/xmlenc#sha256";
/// assert_eq!(policy.judge(Purpose::Digest, sha256, None, date!(2026 - 11 - 22)), Ruling::Produce);
/// assert_eq!(policy.judge(Purpose::Digest, "urn:unknown", None, date!(2026 - 11 - 22)), Ruling::Refuse);
/// ```
#[derive(Clone, Debug)]
pub struct Policy {
    name: String,
    algorithms: HashMap<(Purpose, String), Algorithm>,
    keys: HashMap<String, Vec<KeyLength>>,
}

#[derive(Clone, Debug)]
struct Algorithm {
    key: Option<String>,
    rulings: Timeline,
}

#[derive(Clone, Debug)]
struct KeyLength {
    bits: u32,
    rulings: Timeline,
}

/// Rulings with the day from which each holds, in ascending order.
#[derive(Clone, Debug)]
struct Timeline(Vec<(Date, Ruling)>);

impl Policy {
    /// The policy that comes with the product; `config/policy/standard.toml` explains each ruling.
    pub fn standard() -> Self {
        Self::from_toml(include_str!("../../../config/policy/standard.toml"))
            .expect("a test reads the policy that comes with the product")
    }

    /// Reads a policy. The format is explained in `config/policy/standard.toml`.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] with the place.
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        let raw: RawPolicy = toml::from_str(text)?;
        let mut policy = Self { name: raw.name, algorithms: HashMap::new(), keys: HashMap::new() };
        for key in raw.key {
            policy.add_key(key)?;
        }
        for algorithm in raw.algorithm {
            policy.add_algorithm(algorithm)?;
        }
        Ok(policy)
    }

    /// The name it gives itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The ruling for an algorithm on a day.
    ///
    /// `algorithm` is an identifier (URI), or the kind of a key if the purpose is [`Purpose::KeyLength`]. If
    /// `key_bits` is given, the key is judged too and the worse ruling counts. Unknown algorithms, key kinds and days
    /// before the first ruling are refused.
    pub fn judge(&self, purpose: Purpose, algorithm: &str, key_bits: Option<u32>, at: Date) -> Ruling {
        if purpose == Purpose::KeyLength {
            return key_bits.map_or(Ruling::Refuse, |bits| self.judge_key(algorithm, bits, at));
        }
        let Some(entry) = self.algorithms.get(&(purpose, algorithm.to_owned())) else {
            return Ruling::Refuse;
        };
        let ruling = entry.rulings.at(at);
        match (key_bits, &entry.key) {
            (Some(bits), Some(kind)) => ruling.min(self.judge_key(kind, bits, at)),
            _ => ruling,
        }
    }

    fn judge_key(&self, kind: &str, bits: u32, at: Date) -> Ruling {
        let lengths = self.keys.get(kind).map_or(&[][..], Vec::as_slice);
        let fitting = lengths.iter().rev().find(|length| length.bits <= bits);
        fitting.map_or(Ruling::Refuse, |length| length.rulings.at(at))
    }

    fn add_key(&mut self, raw: RawKey) -> Result<(), PolicyError> {
        let rulings = Timeline::new(&raw.kind, raw.rulings)?;
        let lengths = self.keys.entry(raw.kind.clone()).or_default();
        if lengths.last().is_some_and(|last| last.bits >= raw.bits) {
            return Err(PolicyError::KeyOrder { kind: raw.kind });
        }
        lengths.push(KeyLength { bits: raw.bits, rulings });
        Ok(())
    }

    fn add_algorithm(&mut self, raw: RawAlgorithm) -> Result<(), PolicyError> {
        let rulings = Timeline::new(&raw.uri, raw.rulings)?;
        if let Some(kind) = raw.key.as_ref().filter(|kind| !self.keys.contains_key(*kind)) {
            return Err(PolicyError::UnknownKey { uri: raw.uri, kind: kind.clone() });
        }
        for purpose in raw.purposes {
            let entry = Algorithm { key: raw.key.clone(), rulings: rulings.clone() };
            if purpose == Purpose::KeyLength || self.algorithms.insert((purpose, raw.uri.clone()), entry).is_some() {
                return Err(PolicyError::Purpose { uri: raw.uri, purpose });
            }
        }
        Ok(())
    }
}

impl Timeline {
    fn new(subject: &str, raw: Vec<RawRuling>) -> Result<Self, PolicyError> {
        let invalid = || PolicyError::Dates { subject: subject.to_owned() };
        let rulings = raw
            .into_iter()
            .map(|raw| Some((raw.from.map_or(Some(Date::MIN), to_date)?, raw.ruling)))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(invalid)?;
        let ascending = rulings.windows(2).all(|pair| pair[0].0 < pair[1].0);
        (ascending && !rulings.is_empty()).then_some(Self(rulings)).ok_or_else(invalid)
    }

    fn at(&self, day: Date) -> Ruling {
        self.0.iter().rev().find(|(from, _)| *from <= day).map_or(Ruling::Refuse, |(_, ruling)| *ruling)
    }
}

/// A text is not a policy.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Not TOML, or fields are missing, unknown or of the wrong type.
    #[error("the policy cannot be read: {0}")]
    Syntax(#[from] toml::de::Error),
    /// The rulings of one entry are missing or not in ascending order of their dates.
    #[error("the rulings of `{subject}` need dates in ascending order; only the first may have none")]
    Dates {
        /// The algorithm or kind of key.
        subject: String,
    },
    /// The lengths of one kind of key are not in ascending order.
    #[error("the key lengths of `{kind}` are not in ascending order")]
    KeyOrder {
        /// The kind of key.
        kind: String,
    },
    /// An algorithm names a kind of key without rulings.
    #[error("`{uri}` refers to keys of kind `{kind}`, about which the policy says nothing")]
    UnknownKey {
        /// The algorithm.
        uri: String,
        /// The kind of key.
        kind: String,
    },
    /// An algorithm has a purpose twice, or one that only keys have.
    #[error("`{uri}` has the purpose {} twice, or only keys can have it", purpose.name())]
    Purpose {
        /// The algorithm.
        uri: String,
        /// The purpose.
        purpose: Purpose,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicy {
    name: String,
    #[serde(default)]
    key: Vec<RawKey>,
    #[serde(default)]
    algorithm: Vec<RawAlgorithm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    kind: String,
    bits: u32,
    rulings: Vec<RawRuling>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAlgorithm {
    uri: String,
    purposes: Vec<Purpose>,
    key: Option<String>,
    rulings: Vec<RawRuling>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRuling {
    from: Option<toml::value::Datetime>,
    ruling: Ruling,
}

/// A date without time of day.
fn to_date(datetime: toml::value::Datetime) -> Option<Date> {
    let date = datetime.date.filter(|_| datetime.time.is_none() && datetime.offset.is_none())?;
    Date::from_calendar_date(i32::from(date.year), date.month.try_into().ok()?, date.day).ok()
}
