//! Asking the issuers of certificates, with a memory.

use std::fmt;
use std::sync::{Arc, Mutex};

use rohrpost_crypto::Random;
use rohrpost_crypto::policy::Policy;
use time::{Duration, OffsetDateTime};

use super::cache::{Flights, Memory, lock};
use super::crl::{self, RevocationList, UnverifiedList};
use super::ocsp::{self, NoncePolicy, OcspRequest, UnverifiedResponse};
use super::sources::Sources;
use super::{Doubt, Evidence, Fetcher, Question, Revocation, RevocationStatus, Tried};
use crate::certificate::Certificate;
use crate::fingerprint::Fingerprint;

/// How a [`RevocationChecker`] works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationSettings {
    /// What is done against old answers being sent again.
    pub nonces: NoncePolicy,
    /// An answer or a list counts until its issuer announces news, but no longer than this after it was got.
    pub max_age: Duration,
    /// Whoever was asked in vain is asked again after this time.
    pub retry: Duration,
    /// Octets of answers, and of lists that answers are based on, that are remembered at most with the status of certificates. Lists
    /// count for each of them: it is their memory that must not grow. Looking into a remembered list again costs little.
    pub max_answer_octets: usize,
    /// Octets of lists that are remembered at most.
    pub max_list_octets: usize,
}

impl Default for RevocationSettings {
    fn default() -> Self {
        Self {
            nonces: NoncePolicy::Preferred,
            max_age: Duration::hours(12),
            retry: Duration::minutes(1),
            max_answer_octets: 64 * 1024 * 1024,
            max_list_octets: 64 * 1024 * 1024,
        }
    }
}

/// Finds out whether certificates are revoked: asks the responders they name, then for the lists they name, and remembers what it
/// was told for as long as that counts.
///
/// [`check`](Self::check) waits for the network; [`recall`](Self::recall) never does.
pub struct RevocationChecker {
    fetcher: Arc<dyn Fetcher>,
    random: Arc<dyn Random>,
    settings: RevocationSettings,
    answers: Mutex<Memory<Pair, RevocationStatus>>,
    lists: Mutex<Memory<ListKey, Result<Arc<RevocationList>, Doubt>>>,
    answers_under_way: Flights<Pair>,
    lists_under_way: Flights<ListKey>,
}

/// What remembering something takes beside evidence, more or less.
const ANSWER_OCTETS: usize = 1024;

/// A certificate and its issuer.
type Pair = (Fingerprint, Fingerprint);
/// The address of a list and the issuer who has to have signed it.
type ListKey = (String, Fingerprint);

/// A statement, and what it is based on.
type Found = (Option<Revocation>, Evidence);

impl RevocationChecker {
    /// A checker that was not told anything yet.
    #[must_use]
    pub fn new(fetcher: Arc<dyn Fetcher>, random: Arc<dyn Random>, settings: RevocationSettings) -> Self {
        Self {
            answers: Mutex::new(Memory::new(settings.max_answer_octets)),
            lists: Mutex::new(Memory::new(settings.max_list_octets)),
            answers_under_way: Flights::new(),
            lists_under_way: Flights::new(),
            fetcher,
            random,
            settings,
        }
    }

    /// The status of a certificate, from the memory or by asking. `issuer` has signed it: that is for the caller to know.
    #[must_use]
    pub fn check(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
        policy: &Policy,
        at: OffsetDateTime,
    ) -> RevocationStatus {
        let key = (certificate.fingerprint(), issuer.fingerprint());
        let _flight = self.answers_under_way.board(key);
        if let Some(known) = self.recall(certificate, issuer, at) {
            return known;
        }
        let status = self.ask(certificate, issuer, policy, at);
        let until = match status.evidence() {
            Some(evidence) => evidence.until.min(at + self.settings.max_age),
            None => at + self.settings.retry,
        };
        let octets = ANSWER_OCTETS + status.evidence().map_or(0, |evidence| evidence.der.len());
        lock(&self.answers).keep(key, status.clone(), octets, at, until);
        status
    }

    /// The status of a certificate as far as it is known, or known that it cannot be known for now.
    #[must_use]
    pub fn recall(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
        at: OffsetDateTime,
    ) -> Option<RevocationStatus> {
        lock(&self.answers).recall(&(certificate.fingerprint(), issuer.fingerprint()), at)
    }

    fn ask(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
        policy: &Policy,
        at: OffsetDateTime,
    ) -> RevocationStatus {
        let sources = Sources::of(certificate);
        let mut tried = Vec::new();
        for url in &sources.responders {
            match self.ask_responder(url, certificate, issuer, policy, at) {
                Ok(found) => return known(found),
                Err(doubt) => tried.push(Tried { url: url.clone(), doubt }),
            }
        }
        match self.search_lists(&sources, certificate, issuer, policy, at) {
            Ok(found) => return known(found),
            Err(more) => tried.extend(more),
        }
        tried.extend(sources.others.into_iter().map(|url| Tried { url, doubt: Doubt::AddressNotAsked }));
        if sources.is_damaged {
            tried.push(Tried { url: String::new(), doubt: Doubt::Malformed("the addresses in the certificate") });
        }
        RevocationStatus::Indeterminate { tried }
    }

    fn ask_responder(
        &self,
        url: &str,
        certificate: &Certificate,
        issuer: &Certificate,
        policy: &Policy,
        at: OffsetDateTime,
    ) -> Result<Found, Doubt> {
        let nonces = self.settings.nonces;
        let random = (nonces != NoncePolicy::Off).then_some(&*self.random);
        let request = OcspRequest::new(certificate, issuer, random);
        let request = request.ok_or(Doubt::NotAuthorised("the issuer's key cannot be used"))?;
        let question = Question { url, request: Some(request.der()), max_len: ocsp::MAX_LEN };
        let answer = self.fetcher.fetch(&question)?;
        let response = UnverifiedResponse::parse(&answer)?.verify(issuer, policy, at)?;
        let (revocation, evidence) = response.look_up(certificate, request.nonce(), nonces, at)?;
        if let Some(delegate) = response.delegate_to_check() {
            self.check_delegate(delegate, issuer, policy, at)?;
        }
        Ok((revocation, Evidence { url: url.to_owned(), ..evidence }))
    }

    /// A responder cannot speak for itself, so its certificate is looked up in lists. One that names none is believed, as the
    /// issuer has left that to us (RFC 6960, 4.2.2.2.1).
    fn check_delegate(
        &self,
        delegate: &Certificate,
        issuer: &Certificate,
        policy: &Policy,
        at: OffsetDateTime,
    ) -> Result<(), Doubt> {
        let sources = Sources::of(delegate);
        match self.search_lists(&sources, delegate, issuer, policy, at) {
            Ok((None, _)) => Ok(()),
            Ok((Some(_), _)) => Err(Doubt::SignerRevoked),
            Err(tried) => tried.into_iter().next_back().map_or(Ok(()), |tried| Err(tried.doubt)),
        }
    }

    fn search_lists(
        &self,
        sources: &Sources,
        certificate: &Certificate,
        issuer: &Certificate,
        policy: &Policy,
        at: OffsetDateTime,
    ) -> Result<Found, Vec<Tried>> {
        let mut tried = Vec::new();
        for url in &sources.lists {
            let found = self.list(url, issuer, policy, at).and_then(|list| {
                let revocation = list.look_up(certificate, at)?;
                Ok((revocation, list.evidence(url)))
            });
            match found {
                Ok(found) => return Ok(found),
                Err(doubt) => tried.push(Tried { url: url.clone(), doubt }),
            }
        }
        Err(tried)
    }

    /// A list of an issuer, from the memory or from its address.
    fn list(
        &self,
        url: &str,
        issuer: &Certificate,
        policy: &Policy,
        at: OffsetDateTime,
    ) -> Result<Arc<RevocationList>, Doubt> {
        let key = (url.to_owned(), issuer.fingerprint());
        let _flight = self.lists_under_way.board(key.clone());
        if let Some(known) = lock(&self.lists).recall(&key, at) {
            return known;
        }
        let question = Question { url, request: None, max_len: crl::MAX_LEN };
        let list = self.fetcher.fetch(&question).map_err(Doubt::from);
        let list = list.and_then(|octets| UnverifiedList::parse(&octets)?.verify(issuer, policy, at)).map(Arc::new);
        let next = list.as_ref().ok().and_then(|list| list.next_update()).filter(|next| *next > at);
        let until = next.map_or(at + self.settings.retry, |next| next.min(at + self.settings.max_age));
        let size = ANSWER_OCTETS + list.as_ref().map_or(0, |list| list.octets());
        lock(&self.lists).keep(key, list.clone(), size, at, until);
        list
    }
}

fn known((revocation, evidence): Found) -> RevocationStatus {
    match revocation {
        None => RevocationStatus::Good(evidence),
        Some(revocation) => RevocationStatus::Revoked(revocation, evidence),
    }
}

impl fmt::Debug for RevocationChecker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationChecker").field("settings", &self.settings).finish_non_exhaustive()
    }
}
