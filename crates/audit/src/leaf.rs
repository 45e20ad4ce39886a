//! What one entry of the log says, and its bytes.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::OffsetDateTime;

use crate::commitment::Commitment;
use crate::fingerprint::Fingerprint;
use crate::hash::Hash;
use crate::stamp;
use crate::words::{Event, Role, Subject, Verdict};

/// One entry of the log: metadata of one decision or change, never subject, file names or content.
///
/// ```
/// use rohrpost_audit::{Event, Leaf};
/// use time::macros::datetime;
///
/// let mut leaf = Leaf::new(datetime!(2024-05-01 10:00:00.1239 +2), Event::Refused);
/// leaf.message_id = Some("4711".into());
/// leaf.feedback = vec![9801];
/// assert_eq!(
///     leaf.to_bytes(),
///     br#"{"v":1,"time":"2024-05-01T08:00:00.123Z","event":"refused","message_id":"4711","feedback":[9801]}"#
/// );
/// assert_eq!(Leaf::parse(&leaf.to_bytes())?, leaf);
/// # Ok::<(), rohrpost_audit::LeafUnreadable>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Leaf {
    /// Version of the serialisation. Fields are only ever added, so every reader reads every version.
    #[serde(rename = "v")]
    version: u32,
    /// When it happened, in whole milliseconds, UTC.
    #[serde(with = "stamp")]
    pub time: OffsetDateTime,
    /// What happened.
    pub event: Event,
    /// The delivery concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The order that led here, by its name in the protocol (`storeDelivery`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// The number under which ordinary logs and error messages speak of the same request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
    /// Size of the message in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Number of attachments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachments: Option<u32>,
    /// How many things the event concerned, for events about many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The certificates involved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateEntry>,
    /// Verdicts about signatures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<VerdictEntry>,
    /// Algorithms used, by URI.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub algorithms: Vec<String>,
    /// Feedback codes given to the peer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feedback: Vec<u16>,
    /// Salted hashes of what may have to be erased one day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commitments: Vec<Commitment>,
    /// SHA-256 of the token that a time-stamp service gave for the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Fingerprint>,
    /// Number of list items left out because the entry would have become too large.
    #[serde(default, skip_serializing_if = "is_zero")]
    omitted: u64,
}

/// A certificate that played a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateEntry {
    /// Which part.
    pub role: Role,
    /// SHA-256 of the DER form.
    pub fingerprint: Fingerprint,
    /// What the check of the certificate said, if it was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

/// A verdict about a signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictEntry {
    /// Which kind of signature.
    pub subject: Subject,
    /// What the check said.
    pub verdict: Verdict,
}

/// The bytes are no entry of a log.
#[derive(Debug, Error)]
#[error("the log entry cannot be read")]
pub struct LeafUnreadable(#[from] serde_json::Error);

impl Leaf {
    /// Largest serialised entry in bytes: entry bundles carry the length in 16 bits.
    pub const MAX_LEN: usize = u16::MAX as usize;
    /// Version that this crate writes.
    pub const VERSION: u32 = 1;

    const MAX_TEXT: usize = 512;
    const MAX_CERTIFICATES: usize = 128;
    const MAX_LIST: usize = 32;

    /// An entry that says nothing but when and what.
    pub fn new(time: OffsetDateTime, event: Event) -> Self {
        Self {
            version: Self::VERSION,
            time: stamp::truncate(time),
            event,
            message_id: None,
            order: None,
            correlation: None,
            bytes: None,
            attachments: None,
            count: None,
            certificates: Vec::new(),
            verdicts: Vec::new(),
            algorithms: Vec::new(),
            feedback: Vec::new(),
            commitments: Vec::new(),
            token: None,
            omitted: 0,
        }
    }

    /// Notes that a certificate played a part.
    pub fn add_certificate(&mut self, role: Role, fingerprint: Fingerprint, verdict: Option<Verdict>) {
        self.certificates.push(CertificateEntry { role, fingerprint, verdict });
    }

    /// The version of the serialisation this entry was read from.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Number of list items that did not fit when the entry was written.
    pub fn omitted(&self) -> u64 {
        self.omitted
    }

    /// The canonical bytes: JSON in one line, fields in fixed order, nothing empty.
    ///
    /// Never more than [`Leaf::MAX_LEN`]: what a peer can make long is cut, and [`Leaf::omitted`] says how much is missing.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.bounded()).expect("strings, numbers and lists always serialise")
    }

    /// Reads an entry of this or any other version. Fields this version does not know are skipped.
    ///
    /// # Errors
    /// If the bytes are no JSON or lack what every entry has.
    pub fn parse(bytes: &[u8]) -> Result<Self, LeafUnreadable> {
        Ok(serde_json::from_slice(bytes)?)
    }

    fn bounded(&self) -> Self {
        let mut leaf = self.clone();
        leaf.time = stamp::truncate(leaf.time);
        for text in [&mut leaf.message_id, &mut leaf.order, &mut leaf.correlation] {
            if let Some(text) = text.as_mut() {
                bound_text(text);
            }
        }
        let omitted = bound_list(&mut leaf.certificates, Self::MAX_CERTIFICATES)
            + bound_list(&mut leaf.verdicts, Self::MAX_LIST)
            + bound_list(&mut leaf.algorithms, Self::MAX_LIST)
            + bound_list(&mut leaf.feedback, Self::MAX_LIST)
            + bound_list(&mut leaf.commitments, Self::MAX_LIST);
        leaf.algorithms.iter_mut().for_each(bound_text);
        leaf.omitted = leaf.omitted.saturating_add(omitted);
        leaf
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Cuts a list and says how much is lost.
fn bound_list<T>(list: &mut Vec<T>, limit: usize) -> u64 {
    let lost = list.len().saturating_sub(limit);
    list.truncate(limit);
    lost as u64
}

/// Replaces a text that is too long, or that JSON would blow up, by its hash: it still can be looked for.
fn bound_text(text: &mut String) {
    if text.len() > Leaf::MAX_TEXT || text.chars().any(char::is_control) {
        let hash = Hash::from_bytes(rohrpost_crypto::sha256(text.as_bytes()));
        *text = format!("sha256:{hash}");
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const AT: OffsetDateTime = datetime!(2024-05-01 10:00:00.123 UTC);

    fn full() -> Leaf {
        let mut leaf = Leaf::new(AT, Event::Accepted);
        leaf.message_id = Some("id-ü\"\\".into());
        leaf.order = Some("storeDelivery".into());
        leaf.correlation = Some("c-1".into());
        leaf.bytes = Some(10_000);
        leaf.attachments = Some(2);
        leaf.count = Some(1);
        leaf.add_certificate(Role::AddresseeCipher, Fingerprint::from_bytes([7; 32]), Some(Verdict::Valid));
        leaf.add_certificate(Role::AuthorSignature, Fingerprint::from_bytes([8; 32]), None);
        leaf.verdicts.push(VerdictEntry { subject: Subject::TransportSignature, verdict: Verdict::Indeterminate });
        leaf.algorithms = vec!["http://www.w3.org/2001/04/xmlenc#sha256".into()];
        leaf.feedback = vec![800, 3500];
        leaf.commitments.push(Commitment::new("body", &crate::Salt::from_bytes([1; 32]), b"digest"));
        leaf
    }

    /// Written once, never changed: what is in somebody's archive must stay readable.
    #[test]
    fn version_1_stays_readable() {
        let written = concat!(
            r#"{"v":1,"time":"2024-05-01T10:00:00.123Z","event":"accepted","message_id":"id-ü\"\\","order":"storeDelivery","#,
            r#""correlation":"c-1","bytes":10000,"attachments":2,"count":1,"certificates":[{"role":"addressee-cipher","#,
            r#""fingerprint":"0707070707070707070707070707070707070707070707070707070707070707","verdict":"valid"},"#,
            r#"{"role":"author-signature","fingerprint":"0808080808080808080808080808080808080808080808080808080808080808"}],"#,
            r#""verdicts":[{"subject":"transport-signature","verdict":"indeterminate"}],"#,
            r#""algorithms":["http://www.w3.org/2001/04/xmlenc#sha256"],"feedback":[800,3500],"#,
            r#""commitments":[{"label":"body","hash":"COMMITMENT"}]}"#
        )
        .replace("COMMITMENT", &full().commitments[0].hash().to_string());
        assert_eq!(String::from_utf8(full().to_bytes()).unwrap(), written);
        assert_eq!(Leaf::parse(written.as_bytes()).unwrap(), full());
    }

    #[test]
    fn later_versions_are_readable() {
        let later = br#"{"v":7,"time":"2031-01-01T00:00:00.000Z","event":"teleported","colour":"red","certificates":[{"role":"pilot","fingerprint":"0000000000000000000000000000000000000000000000000000000000000000","verdict":"maybe"}]}"#;
        let leaf = Leaf::parse(later).unwrap();
        assert_eq!(leaf.version(), 7);
        assert_eq!(leaf.event, Event::Other("teleported".into()));
        assert_eq!(leaf.certificates[0].role, Role::Other("pilot".into()));
    }

    #[test]
    fn rubbish_is_refused() {
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"v":1,"event":"accepted"}"#,
            r#"{"v":1,"time":"yesterday","event":"accepted"}"#,
            r#"{"v":1,"time":"2024-05-01T10:00:00.123Z","event":"accepted"}x"#,
            r#"{"v":1,"v":1,"time":"2024-05-01T10:00:00.123Z","event":"accepted"}"#,
            r#"{"v":1,"time":"2024-05-01T10:00:00.123Z","event":"accepted","certificates":[{"role":"x","fingerprint":"00"}]}"#,
        ] {
            assert!(Leaf::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_peer_makes_long_is_cut() {
        let mut leaf = full();
        leaf.message_id = Some("\u{1}".repeat(512));
        leaf.order = Some("\"".repeat(512));
        leaf.correlation = Some("x".repeat(100_000));
        leaf.algorithms = vec!["\"".repeat(512); 500];
        leaf.feedback = vec![65_535; 500];
        let (cert, verdict) = (leaf.certificates[0].clone(), leaf.verdicts[0].clone());
        leaf.certificates = vec![cert; 5_000];
        leaf.verdicts = vec![verdict; 5_000];
        leaf.commitments = vec![leaf.commitments[0].clone(); 500];
        let bytes = leaf.to_bytes();
        assert!(bytes.len() <= Leaf::MAX_LEN, "{}", bytes.len());
        let read = Leaf::parse(&bytes).unwrap();
        assert_eq!(read.omitted(), 468 + 468 + 4_872 + 4_968 + 468);
        assert!(read.message_id.unwrap().starts_with("sha256:"));
        assert!(read.correlation.unwrap().starts_with("sha256:"));
        assert_eq!(read.certificates.len(), 128);
    }

    #[test]
    fn no_number_of_omissions_is_too_large() {
        let feedback = vec!["1"; 100].join(",");
        let text = format!(
            r#"{{"v":1,"time":"2024-05-01T10:00:00.123Z","event":"accepted","feedback":[{feedback}],"omitted":{}}}"#,
            u64::MAX
        );
        let read = Leaf::parse(text.as_bytes()).unwrap();
        assert_eq!(Leaf::parse(&read.to_bytes()).unwrap().omitted(), u64::MAX);
    }
}
