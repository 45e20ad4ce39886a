//! Reading answers.

use std::ops::Range;
use std::sync::Arc;

use rohrpost_crypto::DigestAlgorithm;
use rohrpost_crypto::policy::Policy;
use time::{Duration, OffsetDateTime};

use super::{HASHES, IssuerHashes, NONCE, NoncePolicy, Refusal};
use crate::certificate::{Certificate, Extension};
use crate::der::{self, Element, Reader};
use crate::key_usage::KeyUsage;
use crate::revocation::crl::reason_code;
use crate::revocation::signed::{Signed, key_of, must_have_begun, same_serial, verify};
use crate::revocation::{Doubt, Evidence, EvidenceSource, Revocation, RevocationReason};

/// The largest answer read, in octets.
pub const MAX_LEN: usize = 32 * 1024;
/// Certificates in an answer, and answers in one, at most.
const MAX_PARTS: usize = 16;
/// Whoever does not say when there will be news always has news; that much later an answer is old.
const WITHOUT_NEXT_UPDATE: Duration = Duration::minutes(10);

const MALFORMED: Doubt = Doubt::Malformed("not an answer of a responder");

const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
const NO_CHECK: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x05];
const PURPOSES: &[u8] = &[0x55, 0x1d, 0x25];
const OCSP_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x09];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];

/// An answer that was read, and signed by nobody knows whom.
#[derive(Debug)]
pub struct UnverifiedResponse {
    der: Arc<[u8]>,
    tbs: Range<usize>,
    algorithm: Range<usize>,
    signature: Range<usize>,
    responder: ResponderId,
    produced: OffsetDateTime,
    answers: Vec<Answer>,
    nonce: Option<Vec<u8>>,
    /// Encodings of the certificates that came with it.
    certificates: Vec<Range<usize>>,
}

/// An answer signed by the issuer of a certificate or for it.
#[derive(Debug)]
pub struct OcspResponse {
    response: UnverifiedResponse,
    issuer: Certificate,
    delegate: Option<Certificate>,
}

#[derive(Debug)]
enum ResponderId {
    Name(Vec<u8>),
    /// SHA-1 of the key.
    Key(Vec<u8>),
}

/// What is said about one certificate.
#[derive(Debug)]
struct Answer {
    hash: DigestAlgorithm,
    issuer_name: Vec<u8>,
    issuer_key: Vec<u8>,
    serial: Vec<u8>,
    status: Status,
    this_update: OffsetDateTime,
    next_update: Option<OffsetDateTime>,
}

/// In the order of gravity.
#[derive(Clone, Copy, Debug)]
enum Status {
    Good,
    Unknown,
    Revoked(Revocation),
}

impl UnverifiedResponse {
    /// Reads an answer.
    ///
    /// # Errors
    /// [`Doubt`] if it is too large, a refusal, cannot be read, or demands to be understood in ways that it is not.
    pub fn parse(octets: &[u8]) -> Result<Self, Doubt> {
        if octets.len() > MAX_LEN {
            return Err(Doubt::TooLarge { limit: MAX_LEN, unit: "octets" });
        }
        let basic = successful(octets)?;
        let der: Arc<[u8]> = octets.into();
        let start = basic.as_ptr() as usize - octets.as_ptr() as usize;
        let basic = &der[start..start + basic.len()];
        read_basic(&der, basic).ok_or(MALFORMED)?
    }

    /// Makes sure that the issuer signed it, or somebody it has entitled to.
    ///
    /// # Errors
    /// [`Doubt`] if somebody else did, or in a way that the policy refuses.
    pub fn verify(self, issuer: &Certificate, policy: &Policy, at: OffsetDateTime) -> Result<OcspResponse, Doubt> {
        let mut doubt = Doubt::NotAuthorised("it is somebody else who signed");
        if self.responder.is(issuer) {
            match self.check_signature(issuer, policy, at) {
                Ok(()) => return Ok(OcspResponse { response: self, issuer: issuer.clone(), delegate: None }),
                Err(found) => doubt = found,
            }
        }
        for range in &self.certificates {
            let Ok(delegate) = Certificate::from_der(&self.der[range.clone()]) else { continue };
            if !self.responder.is(&delegate) || delegate == *issuer {
                continue;
            }
            let entitled = entitled(&delegate, issuer, policy, at);
            match entitled.and_then(|()| self.check_signature(&delegate, policy, at)) {
                Ok(()) => {
                    return Ok(OcspResponse { response: self, issuer: issuer.clone(), delegate: Some(delegate) });
                }
                Err(found) => doubt = found,
            }
        }
        Err(doubt)
    }

    fn check_signature(&self, signer: &Certificate, policy: &Policy, at: OffsetDateTime) -> Result<(), Doubt> {
        let raw = |range: &Range<usize>| &self.der[range.clone()];
        verify(raw(&self.tbs), raw(&self.algorithm), raw(&self.signature), &key_of(signer)?, policy, at)
    }
}

impl OcspResponse {
    /// What it says about a certificate; `None` if it is not revoked. `nonce` is that of the question.
    ///
    /// # Errors
    /// [`Doubt`] if it is not current, not the answer to this question, or not about this certificate.
    pub fn look_up(
        &self,
        certificate: &Certificate,
        nonce: Option<&[u8]>,
        nonces: NoncePolicy,
        at: OffsetDateTime,
    ) -> Result<(Option<Revocation>, Evidence), Doubt> {
        match (&self.response.nonce, nonce) {
            (Some(repeated), Some(nonce)) if repeated != nonce => return Err(Doubt::NonceWrong),
            (None, _) if nonces == NoncePolicy::Required => return Err(Doubt::NonceMissing),
            (Some(_), None) if nonces == NoncePolicy::Required => return Err(Doubt::NonceWrong),
            _ => {}
        }
        must_have_begun(self.response.produced, at)?;
        let about = self.response.answers.iter().filter(|answer| answer.is_about(certificate, &self.issuer));
        let gravest = about.max_by_key(|answer| match answer.status {
            Status::Good => 0,
            Status::Unknown => 1,
            Status::Revoked(_) => 2,
        });
        let answer = gravest.ok_or(Doubt::OutOfScope("it is about others"))?;
        let until = answer.must_be_current(at)?;
        let revocation = match answer.status {
            Status::Good => None,
            Status::Revoked(revocation) => Some(revocation),
            Status::Unknown => return Err(Doubt::UnknownThere),
        };
        Ok((revocation, self.evidence(until)))
    }

    /// The certificate that the issuer entitled the responder with, if that has to be looked up itself. A responder that answers
    /// with the issuer's key has none, and some are exempt (RFC 6960, 4.2.2.2.1).
    #[must_use]
    pub fn delegate_to_check(&self) -> Option<&Certificate> {
        self.delegate.as_ref().filter(|delegate| delegate.extension(NO_CHECK).is_none())
    }

    fn evidence(&self, until: OffsetDateTime) -> Evidence {
        Evidence {
            source: EvidenceSource::Ocsp,
            der: Arc::clone(&self.response.der),
            signer: self.delegate.as_ref().unwrap_or(&self.issuer).subject().to_owned(),
            made: self.response.produced,
            until,
            url: String::new(),
        }
    }
}

impl ResponderId {
    fn is(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Name(name) => name == certificate.subject_der(),
            Self::Key(hash) => certificate
                .public_key()
                .is_ok_and(|key| DigestAlgorithm::Sha1.digest(key.subject_public_key()).matches(hash)),
        }
    }
}

/// Whether the issuer lets the holder of this certificate answer for it (RFC 6960, 4.2.2.2).
fn entitled(delegate: &Certificate, issuer: &Certificate, policy: &Policy, at: OffsetDateTime) -> Result<(), Doubt> {
    let purposes = delegate.extension(PURPOSES).and_then(|value| der::expect(der::SEQUENCE, value));
    let purposes = purposes.and_then(|(list, _)| der::elements(list.content)).unwrap_or_default();
    if !purposes.iter().any(|purpose| purpose.content == OCSP_SIGNING) {
        return Err(Doubt::NotAuthorised("the certificate of the responder is not for that"));
    }
    if delegate.issuer_der() != issuer.subject_der() {
        return Err(Doubt::NotAuthorised("another issuer has entitled the responder"));
    }
    if at < delegate.not_before() || at > delegate.not_after() {
        return Err(Doubt::NotAuthorised("the certificate of the responder is outside its validity"));
    }
    if delegate.key_usage().is_some_and(|usage: KeyUsage| !usage.allows_signature()) {
        return Err(Doubt::NotAuthorised("the certificate of the responder is not for signatures"));
    }
    let understood =
        |extension: &Extension<'_>| [PURPOSES, KEY_USAGE, BASIC_CONSTRAINTS, NO_CHECK].contains(&extension.oid);
    if !delegate.extensions().is_some_and(|all| all.iter().all(|one| !one.critical || understood(one))) {
        return Err(Doubt::NotUnderstood("a critical extension of the responder's certificate"));
    }
    verify(delegate.tbs_der(), delegate.signature_algorithm_der(), delegate.signature(), &key_of(issuer)?, policy, at)
        .map_err(|doubt| match doubt {
            Doubt::SignatureWrong => Doubt::NotAuthorised("the issuer has not signed the certificate of the responder"),
            other => other,
        })
}

impl Answer {
    fn is_about(&self, certificate: &Certificate, issuer: &Certificate) -> bool {
        same_serial(&self.serial, certificate.serial_der())
            && certificate.issuer_der() == issuer.subject_der()
            && IssuerHashes::of(issuer, self.hash)
                .is_some_and(|hashes| hashes.name == self.issuer_name && hashes.key == self.issuer_key)
    }

    /// Until when it counts.
    fn must_be_current(&self, at: OffsetDateTime) -> Result<OffsetDateTime, Doubt> {
        must_have_begun(self.this_update, at)?;
        let until = self.next_update.unwrap_or(self.this_update + WITHOUT_NEXT_UPDATE);
        if at > until { Err(Doubt::Stale { since: until }) } else { Ok(until) }
    }
}

/// The encoded `BasicOCSPResponse` of an `OCSPResponse`.
fn successful(octets: &[u8]) -> Result<&[u8], Doubt> {
    let outer = || {
        let (outer, rest) = der::expect(der::SEQUENCE, octets)?;
        let mut parts = Reader::new(outer.content);
        let status = parts.take(der::ENUMERATED)?.content;
        let wrapped = parts.optional(0xa0)?;
        parts.end()?;
        rest.is_empty().then_some((status, wrapped))
    };
    let (status, wrapped) = outer().ok_or(MALFORMED)?;
    match status {
        [0] => {}
        [1] => return Err(Doubt::Refused(Refusal::MalformedRequest)),
        [2] => return Err(Doubt::Refused(Refusal::InternalError)),
        [3] => return Err(Doubt::Refused(Refusal::TryLater)),
        [5] => return Err(Doubt::Refused(Refusal::SignatureRequired)),
        [6] => return Err(Doubt::Refused(Refusal::Unauthorized)),
        _ => return Err(MALFORMED),
    }
    let inner = || {
        let mut wrapped = Reader::new(wrapped?.content);
        let mut typed = Reader::new(wrapped.take(der::SEQUENCE)?.content);
        wrapped.end()?;
        let (kind, response) = (typed.take(der::OID)?.content, typed.take(der::OCTET_STRING)?.content);
        typed.end()?;
        Some((kind, response))
    };
    match inner().ok_or(MALFORMED)? {
        (BASIC, response) => Ok(response),
        _ => Err(Doubt::NotUnderstood("an answer of another type")),
    }
}

/// `der` is the whole answer, `basic` the part of it that is read.
fn read_basic(der: &Arc<[u8]>, basic: &[u8]) -> Option<Result<UnverifiedResponse, Doubt>> {
    let (outer, rest) = der::expect(der::SEQUENCE, basic)?;
    let mut parts = Reader::new(outer.content);
    let signed = Signed::read(&mut parts)?;
    let certificates = match parts.optional(0xa0)? {
        None => Vec::new(),
        Some(wrapped) => {
            let (list, rest) = der::expect(der::SEQUENCE, wrapped.content)?;
            der::elements(list.content).filter(|_| rest.is_empty())?
        }
    };
    parts.end().filter(|()| rest.is_empty())?;

    let mut data = Reader::new(signed.tbs.content);
    // Only the default version exists, and a default is not encoded; some encode it all the same.
    if data.optional(0xa0)?.is_some_and(|version| version.content != [der::INTEGER, 1, 0]) {
        return None;
    }
    let responder = responder(&mut data)?;
    let produced = der::moment(data.take(der::GENERALIZED_TIME)?)?;
    let answers = der::elements(data.take(der::SEQUENCE)?.content)?;
    let extensions = match data.optional(0xa1)? {
        None => Vec::new(),
        Some(wrapped) => Extension::all(wrapped.content)?,
    };
    data.end()?;
    if answers.len().max(certificates.len()) > MAX_PARTS {
        return Some(Err(Doubt::TooLarge { limit: MAX_PARTS, unit: "parts" }));
    }
    if extensions.iter().any(|extension| extension.critical && extension.oid != NONCE) {
        return Some(Err(Doubt::NotUnderstood("a critical extension of the answer")));
    }
    // Some responders leave out the inner wrapping.
    let unwrapped = |value| der::expect(der::OCTET_STRING, value).map_or(value, |(inner, _)| inner.content);
    let nonce = extensions.iter().find(|extension| extension.oid == NONCE);
    let nonce = nonce.map(|nonce| unwrapped(nonce.value).to_vec());
    let answers = match answers.into_iter().map(answer).collect::<Option<Result<Vec<_>, _>>>()? {
        Ok(answers) => answers.into_iter().flatten().collect(),
        Err(doubt) => return Some(Err(doubt)),
    };
    let place = |part: &[u8]| {
        let start = part.as_ptr() as usize - der.as_ptr() as usize;
        start..start + part.len()
    };
    Some(Ok(UnverifiedResponse {
        tbs: place(signed.tbs.raw),
        algorithm: place(signed.algorithm),
        signature: place(signed.signature),
        certificates: certificates.iter().map(|certificate| place(certificate.raw)).collect(),
        der: Arc::clone(der),
        responder,
        produced,
        answers,
        nonce,
    }))
}

fn responder(data: &mut Reader<'_>) -> Option<ResponderId> {
    if let Some(name) = data.optional(0xa1)? {
        let (name, rest) = der::expect(der::SEQUENCE, name.content)?;
        return rest.is_empty().then(|| ResponderId::Name(name.raw.to_vec()));
    }
    let (key, rest) = der::expect(der::OCTET_STRING, data.take(0xa2)?.content)?;
    rest.is_empty().then(|| ResponderId::Key(key.content.to_vec()))
}

/// A `SingleResponse`; the inner `None` if it names the certificate by a hash that is not known, so that it cannot be the one.
fn answer(element: Element<'_>) -> Option<Result<Option<Answer>, Doubt>> {
    let mut parts = Reader::new(element.content);
    let mut id = Reader::new(parts.take(der::SEQUENCE)?.content);
    let (hash, _) = der::expect(der::OID, id.take(der::SEQUENCE)?.content)?;
    let (name, key) = (id.take(der::OCTET_STRING)?.content, id.take(der::OCTET_STRING)?.content);
    let serial = id.take(der::INTEGER)?.content;
    id.end()?;
    let status = status(&mut parts)?;
    let this_update = der::moment(parts.take(der::GENERALIZED_TIME)?)?;
    let next_update = match parts.optional(0xa0)? {
        None => None,
        Some(wrapped) => {
            let (time, rest) = der::read(wrapped.content)?;
            Some(der::moment(time).filter(|_| rest.is_empty())?)
        }
    };
    let extensions = match parts.optional(0xa1)? {
        None => Vec::new(),
        Some(wrapped) => Extension::all(wrapped.content)?,
    };
    parts.end()?;
    if extensions.iter().any(|extension| extension.critical) {
        return Some(Err(Doubt::NotUnderstood("a critical extension of the answer")));
    }
    let Some(&(_, hash)) = HASHES.iter().find(|(oid, _)| *oid == hash.content) else { return Some(Ok(None)) };
    Some(Ok(Some(Answer {
        hash,
        issuer_name: name.to_vec(),
        issuer_key: key.to_vec(),
        serial: serial.to_vec(),
        status,
        this_update,
        next_update,
    })))
}

fn status(parts: &mut Reader<'_>) -> Option<Status> {
    const GOOD: u8 = 0x80;
    const REVOKED: u8 = 0xa1;
    const UNKNOWN: u8 = 0x82;
    match parts.next_tag()? {
        GOOD => parts.take(GOOD)?.content.is_empty().then_some(Status::Good),
        UNKNOWN => parts.take(UNKNOWN).map(|_| Status::Unknown),
        _ => {
            let mut info = Reader::new(parts.take(REVOKED)?.content);
            let since = der::moment(info.take(der::GENERALIZED_TIME)?)?;
            let reason: Option<RevocationReason> = match info.optional(0xa0)? {
                None => None,
                Some(wrapped) => Some(reason_code(wrapped.content)?),
            };
            info.end()?;
            Some(Status::Revoked(Revocation { since, reason }))
        }
    }
}
