//! Revocation lists (RFC 5280, 5).
//!
//! Read are complete lists signed by the issuer of the certificates. Lists of changes (delta) and lists on behalf of other issuers
//! (indirect) are refused, as is everything else that a critical extension says and that is not understood.
//!
//! A list stays in its encoding, however long it is: it is walked once when it is read, and once for each certificate that is
//! looked up.

use std::ops::Range;
use std::sync::Arc;

use rohrpost_crypto::policy::Policy;
use time::OffsetDateTime;

use super::signed::{Signed, key_of, must_have_begun, same_serial, verify};
use super::sources::Sources;
use super::{Doubt, Evidence, EvidenceSource, Revocation, RevocationReason};
use crate::certificate::{Certificate, Extension};
use crate::der::{self, Reader};
use crate::key_usage::KeyUsage;
use crate::pem;

/// The largest list read, in octets of DER.
pub const MAX_LEN: usize = 32 * 1024 * 1024;
/// The largest number of entries in a list.
pub const MAX_ENTRIES: usize = 1_000_000;

const REASON_CODE: &[u8] = &[0x55, 0x1d, 0x15];
const DELTA: &[u8] = &[0x55, 0x1d, 0x1b];
const ISSUING_POINT: &[u8] = &[0x55, 0x1d, 0x1c];
const CERTIFICATE_ISSUER: &[u8] = &[0x55, 0x1d, 0x1d];
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];
/// `[0]`, constructed and primitive.
const EXTENSIONS: u8 = 0xa0;

/// A list that was read, and signed by nobody knows whom.
#[derive(Debug)]
pub struct UnverifiedList {
    der: Arc<[u8]>,
    at: Places,
    this_update: OffsetDateTime,
    next_update: Option<OffsetDateTime>,
    scope: Scope,
}

/// Where the parts lie in the encoding.
#[derive(Debug)]
struct Places {
    tbs: Range<usize>,
    algorithm: Range<usize>,
    signature: Range<usize>,
    issuer: Range<usize>,
    /// The entries one after the other.
    entries: Range<usize>,
    authority_key_id: Option<Range<usize>>,
}

/// Which certificates a list is about (RFC 5280, 5.2.5).
#[derive(Debug, Default)]
struct Scope {
    /// Encoded names of the distribution points, one of which a certificate must name.
    points: Option<Vec<Vec<u8>>>,
    /// Only authorities, or only others.
    authorities: Option<bool>,
    some_reasons: bool,
}

/// A list signed by the issuer of the certificates that it is about.
#[derive(Debug)]
pub struct RevocationList {
    list: UnverifiedList,
    signer: String,
}

impl UnverifiedList {
    /// Reads a list in DER or PEM.
    ///
    /// # Errors
    /// [`Doubt`] if it is too large, cannot be read, or demands to be understood in ways that it is not.
    pub fn parse(octets: &[u8]) -> Result<Self, Doubt> {
        // Base64 with its line ends is longer by some 37 per cent.
        let too_large = |octets: &[u8], limit| octets.len() > limit;
        if too_large(octets, if octets.first() == Some(&der::SEQUENCE) { MAX_LEN } else { MAX_LEN / 2 * 3 }) {
            return Err(Doubt::TooLarge { limit: MAX_LEN, unit: "octets" });
        }
        let der: Arc<[u8]> = match octets.first() {
            Some(&der::SEQUENCE) => octets.into(),
            _ => unarmoured(octets).ok_or(Doubt::Malformed("neither DER nor PEM"))?.into(),
        };
        if too_large(&der, MAX_LEN) {
            return Err(Doubt::TooLarge { limit: MAX_LEN, unit: "octets" });
        }
        let outline = Outline::read(&der).ok_or(Doubt::Malformed("not a revocation list"))?;
        walk(outline.entries)?;
        let scope = outline.scope()?;
        let (this_update, next_update) = (outline.this_update, outline.next_update);
        Ok(Self { at: outline.places(&der), this_update, next_update, scope, der })
    }

    /// Makes sure that the issuer signed it.
    ///
    /// # Errors
    /// [`Doubt`] if somebody else did, or in a way that the policy refuses.
    pub fn verify(self, issuer: &Certificate, policy: &Policy, at: OffsetDateTime) -> Result<RevocationList, Doubt> {
        if self.raw(&self.at.issuer) != issuer.subject_der() {
            return Err(Doubt::NotAuthorised("it is the list of another issuer"));
        }
        if issuer.key_usage().is_some_and(|usage| !usage.contains(KeyUsage::CRL_SIGN)) {
            return Err(Doubt::NotAuthorised("the issuer may not sign lists"));
        }
        if let (Some(named), Some(own)) = (&self.at.authority_key_id, issuer.subject_key_id())
            && self.raw(named) != own
        {
            return Err(Doubt::NotAuthorised("it is signed with another key of the issuer"));
        }
        let Places { tbs, algorithm, signature, .. } = &self.at;
        verify(self.raw(tbs), self.raw(algorithm), self.raw(signature), &key_of(issuer)?, policy, at)?;
        Ok(RevocationList { list: self, signer: issuer.subject().to_owned() })
    }

    fn raw(&self, range: &Range<usize>) -> &[u8] {
        &self.der[range.clone()]
    }
}

impl RevocationList {
    /// What it says about a certificate; `None` if it is not revoked.
    ///
    /// # Errors
    /// [`Doubt`] if the list is not current, or not about this certificate.
    pub fn look_up(&self, certificate: &Certificate, at: OffsetDateTime) -> Result<Option<Revocation>, Doubt> {
        let list = &self.list;
        if certificate.issuer_der() != list.raw(&list.at.issuer) {
            return Err(Doubt::OutOfScope("it has another issuer"));
        }
        must_have_begun(list.this_update, at)?;
        let until = list.next_update.ok_or(Doubt::Undated)?;
        if at > until {
            return Err(Doubt::Stale { since: until });
        }
        list.scope.must_include(certificate)?;
        let found = find(list.raw(&list.at.entries), certificate.serial_der())?;
        match found {
            None if list.scope.some_reasons => Err(Doubt::OutOfScope("it is about some reasons only")),
            found => Ok(found),
        }
    }

    /// When the next list is due; `None` if it does not say so.
    #[must_use]
    pub fn next_update(&self) -> Option<OffsetDateTime> {
        self.list.next_update
    }

    /// Length of the encoding in octets.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.list.der.len()
    }

    /// The list as evidence for what it [says](Self::look_up).
    #[must_use]
    pub fn evidence(&self, url: &str) -> Evidence {
        Evidence {
            source: EvidenceSource::List,
            der: Arc::clone(&self.list.der),
            signer: self.signer.clone(),
            made: self.list.this_update,
            until: self.list.next_update.unwrap_or(self.list.this_update),
            url: url.to_owned(),
        }
    }
}

impl Scope {
    fn must_include(&self, certificate: &Certificate) -> Result<(), Doubt> {
        match self.authorities {
            Some(true) if !certificate.is_authority() => {
                return Err(Doubt::OutOfScope("it is about authorities only"));
            }
            Some(false) if certificate.is_authority() => {
                return Err(Doubt::OutOfScope("it is not about authorities"));
            }
            _ => {}
        }
        let Some(points) = &self.points else { return Ok(()) };
        let named = Sources::points(certificate);
        match points.iter().any(|point| named.iter().any(|name| name == point)) {
            true => Ok(()),
            false => Err(Doubt::OutOfScope("the certificate does not name the part of the list that this is")),
        }
    }
}

/// The list of a PEM text.
fn unarmoured(text: &[u8]) -> Option<Vec<u8>> {
    let blocks = pem::parse(std::str::from_utf8(text).ok()?).ok()?;
    blocks.into_iter().find(|block| block.label == pem::REVOCATION_LIST).map(|block| block.content.to_vec())
}

/// The parts of a `CertificateList` in place.
struct Outline<'a> {
    signed: Signed<'a>,
    issuer: &'a [u8],
    this_update: OffsetDateTime,
    next_update: Option<OffsetDateTime>,
    entries: &'a [u8],
    extensions: Vec<Extension<'a>>,
}

impl<'a> Outline<'a> {
    fn read(octets: &'a [u8]) -> Option<Self> {
        let mut outer = Reader::new(octets);
        let mut list = Reader::new(outer.take(der::SEQUENCE)?.content);
        outer.end()?;
        let signed = Signed::read(&mut list)?;
        list.end()?;
        let mut tbs = Reader::new(signed.tbs.content);
        let is_second = tbs.optional(der::INTEGER)?.map(|version| version.content == [1]);
        if is_second == Some(false) || tbs.take(der::SEQUENCE)?.raw != signed.algorithm {
            return None;
        }
        let issuer = tbs.take(der::SEQUENCE)?.raw;
        let this_update = time(&mut tbs)??;
        let next_update = time(&mut tbs)?;
        let entries = tbs.optional(der::SEQUENCE)?.map_or(&[][..], |entries| entries.content);
        let extensions = match tbs.optional(EXTENSIONS)? {
            // Only the second version has extensions.
            Some(_) if is_second.is_none() => return None,
            Some(wrapped) => Extension::all(wrapped.content)?,
            None => Vec::new(),
        };
        tbs.end()?;
        Some(Self { signed, issuer, this_update, next_update, entries, extensions })
    }

    /// What the list is about, if all it demands to be understood is.
    fn scope(&self) -> Result<Scope, Doubt> {
        let mut scope = Scope::default();
        for extension in &self.extensions {
            match extension.oid {
                DELTA => return Err(Doubt::NotUnderstood("a list of changes")),
                ISSUING_POINT => scope = Scope::read(extension.value)?,
                AUTHORITY_KEY_ID => {}
                _ if extension.critical => return Err(Doubt::NotUnderstood("a critical extension of the list")),
                _ => {}
            }
        }
        Ok(scope)
    }

    fn places(&self, der: &[u8]) -> Places {
        let place = |part: &[u8]| match part.is_empty() {
            true => 0..0,
            false => {
                let start = part.as_ptr() as usize - der.as_ptr() as usize;
                start..start + part.len()
            }
        };
        Places {
            tbs: place(self.signed.tbs.raw),
            algorithm: place(self.signed.algorithm),
            signature: place(self.signed.signature),
            issuer: place(self.issuer),
            entries: place(self.entries),
            authority_key_id: self.authority_key_id().map(place),
        }
    }

    /// Only a hint at which key of the issuer; one that cannot be read is like none.
    fn authority_key_id(&self) -> Option<&'a [u8]> {
        const KEY_ID: u8 = 0x80;
        let found = self.extensions.iter().find(|extension| extension.oid == AUTHORITY_KEY_ID)?;
        let (id, _) = der::expect(der::SEQUENCE, found.value)?;
        der::expect(KEY_ID, id.content).map(|(id, _)| id.content)
    }
}

/// A time, if the next element is one; the outer `None` if it is malformed.
fn time(from: &mut Reader<'_>) -> Option<Option<OffsetDateTime>> {
    match from.next_tag() {
        Some(tag @ (der::UTC_TIME | der::GENERALIZED_TIME)) => der::moment(from.take(tag)?).map(Some),
        _ => Some(None),
    }
}

impl Scope {
    /// Reads an `IssuingDistributionPoint`.
    fn read(value: &[u8]) -> Result<Self, Doubt> {
        let mut point = Reader::new(value);
        let content = point.take(der::SEQUENCE).filter(|_| point.is_empty());
        let content = content.ok_or(Doubt::Malformed("the scope of the list"))?.content;
        Self::read_parts(&mut Reader::new(content)).ok_or(Doubt::Malformed("the scope of the list"))?
    }

    fn read_parts(parts: &mut Reader<'_>) -> Option<Result<Self, Doubt>> {
        let point = parts.optional(0xa0)?;
        let mut flag = |tag: u8| Some(parts.optional(tag)?.is_some_and(|flag| flag.content != [0]));
        let (users, authorities) = (flag(0x81)?, flag(0x82)?);
        let some_reasons = parts.optional(0x83)?.is_some();
        let mut flag = |tag: u8| Some(parts.optional(tag)?.is_some_and(|flag| flag.content != [0]));
        let (indirect, attributes) = (flag(0x84)?, flag(0x85)?);
        parts.end()?;
        if indirect {
            return Some(Err(Doubt::NotUnderstood("a list on behalf of other issuers")));
        }
        if attributes || (users && authorities) {
            return Some(Err(Doubt::OutOfScope("it is about none of the certificates that are looked at")));
        }
        let points = match point {
            None => None,
            Some(name) => match Sources::full_name(name.content) {
                Some(names) => Some(names),
                None => return Some(Err(Doubt::NotUnderstood("the name of its distribution point"))),
            },
        };
        let authorities = (users || authorities).then_some(authorities);
        Some(Ok(Self { points, authorities, some_reasons }))
    }
}

/// Makes sure that every entry can be read and understood: one that is not could be that of any certificate.
fn walk(mut entries: &[u8]) -> Result<(), Doubt> {
    let mut count = 0;
    while !entries.is_empty() {
        count += 1;
        if count > MAX_ENTRIES {
            return Err(Doubt::TooLarge { limit: MAX_ENTRIES, unit: "entries" });
        }
        let (entry, rest) = der::expect(der::SEQUENCE, entries).ok_or(UNREADABLE_ENTRY)?;
        Entry::read(entry.content)?;
        entries = rest;
    }
    Ok(())
}

const UNREADABLE_ENTRY: Doubt = Doubt::Malformed("an entry of the list");

/// The first entry of this serial number; any at all means that the certificate is not good.
fn find(mut entries: &[u8], serial: &[u8]) -> Result<Option<Revocation>, Doubt> {
    while !entries.is_empty() {
        let (entry, rest) = der::expect(der::SEQUENCE, entries).ok_or(UNREADABLE_ENTRY)?;
        let (number, _) = der::expect(der::INTEGER, entry.content).ok_or(UNREADABLE_ENTRY)?;
        if same_serial(number.content, serial) {
            let Entry { since, reason } = Entry::read(entry.content)?;
            return match reason {
                Some(RevocationReason::RemoveFromList) => {
                    Err(Doubt::NotUnderstood("a complete list with an entry of a list of changes"))
                }
                reason => Ok(Some(Revocation { since, reason })),
            };
        }
        entries = rest;
    }
    Ok(None)
}

struct Entry {
    since: OffsetDateTime,
    reason: Option<RevocationReason>,
}

impl Entry {
    fn read(content: &[u8]) -> Result<Self, Doubt> {
        let mut parts = Reader::new(content);
        let mut basics = || {
            parts.take(der::INTEGER).filter(|serial| !serial.content.is_empty())?;
            let since = time(&mut parts)??;
            let extensions = match parts.is_empty() {
                true => Vec::new(),
                false => Extension::all(parts.take(der::SEQUENCE)?.raw)?,
            };
            parts.end()?;
            Some((since, extensions))
        };
        let (since, extensions) = basics().ok_or(UNREADABLE_ENTRY)?;
        let mut reason = None;
        for extension in extensions {
            match extension.oid {
                REASON_CODE => reason = Some(reason_code(extension.value).ok_or(UNREADABLE_ENTRY)?),
                CERTIFICATE_ISSUER => return Err(Doubt::NotUnderstood("an entry on behalf of another issuer")),
                _ if extension.critical => return Err(Doubt::NotUnderstood("a critical extension of an entry")),
                _ => {}
            }
        }
        Ok(Self { since, reason })
    }
}

/// Reads a `CRLReason`.
pub(super) fn reason_code(value: &[u8]) -> Option<RevocationReason> {
    let (code, rest) = der::expect(der::ENUMERATED, value)?;
    match code.content {
        [number] if rest.is_empty() => RevocationReason::from_number(*number),
        _ => None,
    }
}
