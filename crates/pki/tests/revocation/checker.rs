//! Who is asked, in which order, how often, and what is made of the answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use rohrpost_crypto::policy::Policy;
use rohrpost_crypto::{DigestAlgorithm, SystemRandom};
use rohrpost_pki::issue::{OcspAnswer, OcspStatus, Revoked, Template};
use rohrpost_pki::revocation::{
    Doubt, EvidenceSource, FetchError, Fetcher, NoncePolicy, Question, Revocation, RevocationChecker,
    RevocationSettings, RevocationStatus,
};
use time::{Duration, OffsetDateTime};

use crate::pki::{LIST, NOW, Pki, RESPONDER, authority, current, issue, long, name};

type Page = Box<dyn Fn(&Question<'_>) -> Result<Vec<u8>, FetchError> + Send + Sync>;

/// A network of a few pages that counts calls.
#[derive(Default)]
pub(crate) struct Net {
    pages: HashMap<&'static str, Page>,
    calls: Mutex<Vec<String>>,
}

impl Net {
    pub(crate) fn with(
        mut self,
        url: &'static str,
        page: impl Fn(&Question<'_>) -> Result<Vec<u8>, FetchError> + Send + Sync + 'static,
    ) -> Self {
        self.pages.insert(url, Box::new(page));
        self
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Net")
    }
}

impl Fetcher for Net {
    fn fetch(&self, question: &Question<'_>) -> Result<Vec<u8>, FetchError> {
        self.calls.lock().unwrap().push(question.url.to_owned());
        self.pages.get(question.url).ok_or(FetchError::Unreachable)?(question)
    }
}

struct Desk {
    pki: Arc<Pki>,
    net: Arc<Net>,
    checker: RevocationChecker,
}

impl Desk {
    fn new(pki: Pki, net: impl FnOnce(&Arc<Pki>) -> Net) -> Self {
        Self::with(pki, net, RevocationSettings::default())
    }

    fn with(pki: Pki, net: impl FnOnce(&Arc<Pki>) -> Net, settings: RevocationSettings) -> Self {
        let pki = Arc::new(pki);
        let net = Arc::new(net(&pki));
        let checker = RevocationChecker::new(Arc::clone(&net) as Arc<dyn Fetcher>, Arc::new(SystemRandom), settings);
        Self { pki, net, checker }
    }

    fn check(&self, at: OffsetDateTime) -> RevocationStatus {
        self.checker.check(&self.pki.leaf, self.pki.root.certificate(), &Policy::standard(), at)
    }

    fn doubts(&self) -> Vec<(String, Doubt)> {
        match self.check(NOW) {
            RevocationStatus::Indeterminate { tried } => {
                tried.into_iter().map(|tried| (tried.url, tried.doubt)).collect()
            }
            other => panic!("{other}"),
        }
    }
}

/// A responder that repeats the nonce, which is the end of our questions.
fn responder(pki: &Arc<Pki>, status: OcspStatus) -> impl Fn(&Question<'_>) -> Result<Vec<u8>, FetchError> + use<> {
    let pki = Arc::clone(pki);
    move |question| {
        let request = question.request.unwrap();
        let answer = OcspAnswer {
            certificate: &pki.leaf,
            issuer: pki.root.certificate(),
            status,
            this_update: NOW,
            next_update: Some(NOW + Duration::HOUR),
            nonce: Some(request[request.len() - 32..].to_vec()),
            hash: DigestAlgorithm::Sha1,
            by_key: true,
            certificates: &[],
        };
        Ok(pki.root.answer(&answer).unwrap())
    }
}

fn list(pki: &Arc<Pki>, revoked: bool) -> impl Fn(&Question<'_>) -> Result<Vec<u8>, FetchError> + use<> {
    let entries = [Revoked { certificate: &pki.leaf, since: NOW - Duration::DAY, reason: None }];
    let der = pki.root.revoke(&entries[..usize::from(revoked)], current(), 1).unwrap();
    move |_| Ok(der.clone())
}

const GONE: Revocation = Revocation { since: time::macros::datetime!(2026-05-01 8:00 UTC), reason: None };

#[test]
fn the_responder_is_asked_first_and_its_word_is_enough() {
    let desk = Desk::new(Pki::new(), |pki| Net::default().with(RESPONDER, responder(pki, OcspStatus::Good)));
    let RevocationStatus::Good(evidence) = desk.check(NOW) else { panic!() };
    assert_eq!((evidence.source, evidence.url.as_str()), (EvidenceSource::Ocsp, RESPONDER));
    assert_eq!(desk.net.calls(), [RESPONDER]);
    let desk = Desk::new(Pki::new(), |pki| {
        let net = Net::default().with(RESPONDER, responder(pki, OcspStatus::Revoked(GONE)));
        net.with(LIST, list(pki, false))
    });
    assert!(matches!(desk.check(NOW), RevocationStatus::Revoked(gone, _) if gone == GONE));
    assert_eq!(desk.net.calls(), [RESPONDER]);
}

#[test]
fn the_list_is_asked_for_when_the_responder_does_not_help() {
    for status in [None, Some(OcspStatus::Unknown)] {
        for revoked in [true, false] {
            let desk = Desk::new(Pki::new(), |pki| {
                let net = Net::default().with(LIST, list(pki, revoked));
                match status {
                    Some(status) => net.with(RESPONDER, responder(pki, status)),
                    None => net,
                }
            });
            let found = desk.check(NOW);
            assert_eq!(found.evidence().map(|evidence| evidence.source), Some(EvidenceSource::List));
            assert_eq!(matches!(found, RevocationStatus::Revoked(..)), revoked);
            assert_eq!(desk.net.calls(), [RESPONDER, LIST]);
        }
    }
}

#[test]
fn when_nobody_helps_it_is_told_why() {
    let desk = Desk::new(Pki::new(), |_| {
        Net::default().with(RESPONDER, |_| Err(FetchError::TimedOut)).with(LIST, |_| Ok(b"<html>".to_vec()))
    });
    let doubts = desk.doubts();
    assert_eq!(doubts[0], (RESPONDER.to_owned(), Doubt::Fetch(FetchError::TimedOut)));
    assert!(matches!(&doubts[1], (url, Doubt::Malformed(_)) if url == LIST));
    let text = desk.check(NOW).to_string();
    assert_eq!(text, format!("{RESPONDER}: took too long; {LIST}: cannot be read: neither DER nor PEM"));
}

#[test]
fn addresses_that_are_not_asked_are_told() {
    let mut pki = Pki::new();
    let template = Template::signature(name("Leaf"), long())
        .responder("https://ocsp.example/")
        .revocation_list("ldap://directory.example/cn=Root?certificateRevocationList");
    pki.leaf = issue(&pki.root, &template);
    let desk = Desk::new(pki, |_| Net::default());
    let doubts = desk.doubts();
    assert_eq!(doubts.len(), 2);
    assert!(doubts.iter().all(|(_, doubt)| *doubt == Doubt::AddressNotAsked));
    assert!(desk.net.calls().is_empty());

    let mut pki = Pki::new();
    pki.leaf = pki.other.clone();
    let desk = Desk::new(pki, |_| Net::default());
    assert_eq!(desk.check(NOW), RevocationStatus::Indeterminate { tried: Vec::new() });
    assert_eq!(desk.check(NOW).to_string(), "the certificate does not say whom to ask");
}

#[test]
fn not_everybody_that_a_certificate_names_is_asked() {
    let mut pki = Pki::new();
    let mut template = Template::signature(name("Leaf"), long());
    for number in 0..20 {
        template = template
            .responder(&format!("http://{number}.example/"))
            .revocation_list(&format!("http://{number}.example/l"));
    }
    template = template.responder(&format!("http://long.example/{}", "x".repeat(2000)));
    pki.leaf = issue(&pki.root, &template);
    let desk = Desk::new(pki, |_| Net::default());
    assert_eq!(desk.doubts().len(), 6);
    assert_eq!(desk.net.calls().len(), 6);
}

#[test]
fn damaged_addresses_are_told() {
    let mut pki = Pki::new();
    let template = Template::signature(name("Leaf"), long()).extension("1.3.6.1.5.5.7.1.1", false, vec![0x30, 5]);
    pki.leaf = issue(&pki.root, &template);
    let desk = Desk::new(pki, |_| Net::default());
    assert!(matches!(&desk.doubts()[..], [(url, Doubt::Malformed(_))] if url.is_empty()));
}

#[test]
fn answers_count_until_there_is_news() {
    let desk = Desk::new(Pki::new(), |pki| Net::default().with(RESPONDER, responder(pki, OcspStatus::Good)));
    assert_eq!(desk.checker.recall(&desk.pki.leaf, desk.pki.root.certificate(), NOW), None);
    for minutes in [0, 30, 59] {
        assert!(matches!(desk.check(NOW + Duration::minutes(minutes)), RevocationStatus::Good(_)));
    }
    assert!(desk.checker.recall(&desk.pki.leaf, desk.pki.root.certificate(), NOW).is_some());
    assert_eq!(desk.net.calls(), [RESPONDER]);
    let _ = desk.check(NOW + Duration::HOUR + Duration::SECOND);
    assert_eq!(desk.net.calls(), [RESPONDER, LIST]);
}

#[test]
fn no_answer_counts_for_longer_than_wanted() {
    let settings = RevocationSettings { max_age: Duration::minutes(5), ..RevocationSettings::default() };
    let net = |pki: &Arc<Pki>| Net::default().with(RESPONDER, responder(pki, OcspStatus::Good));
    let desk = Desk::with(Pki::new(), net, settings);
    let _ = (desk.check(NOW), desk.check(NOW + Duration::minutes(4)));
    assert_eq!(desk.net.calls().len(), 1);
    let _ = desk.check(NOW + Duration::minutes(5));
    assert_eq!(desk.net.calls().len(), 1);
}

#[test]
fn whoever_was_asked_in_vain_is_left_alone_for_a_while() {
    let desk = Desk::new(Pki::new(), |_| Net::default());
    for seconds in [0, 1, 59] {
        assert!(matches!(desk.check(NOW + Duration::seconds(seconds)), RevocationStatus::Indeterminate { .. }));
    }
    assert_eq!(desk.net.calls(), [RESPONDER, LIST]);
    let _ = desk.check(NOW + Duration::seconds(60));
    assert_eq!(desk.net.calls(), [RESPONDER, LIST]);
}

#[test]
fn a_list_is_got_once_for_all_its_certificates() {
    let mut pki = Pki::new();
    let template = |common| Template::signature(name(common), long()).revocation_list(LIST);
    (pki.leaf, pki.other) = (issue(&pki.root, &template("Leaf")), issue(&pki.root, &template("Other")));
    let desk = Desk::new(pki, |pki| Net::default().with(LIST, list(pki, true)));
    assert!(matches!(desk.check(NOW), RevocationStatus::Revoked(..)));
    let root = desk.pki.root.certificate();
    assert!(matches!(desk.checker.check(&desk.pki.other, root, &Policy::standard(), NOW), RevocationStatus::Good(_)));
    assert_eq!(desk.net.calls(), [LIST]);
}

#[test]
fn what_is_remembered_is_bounded_in_octets() {
    let settings = |max_answer_octets, max_list_octets| RevocationSettings {
        max_answer_octets,
        max_list_octets,
        ..RevocationSettings::default()
    };
    for (settings, calls) in [
        (settings(1 << 20, 1 << 20), vec![RESPONDER, LIST]),
        // Without the status, the list is looked into again; without the list, it is got again.
        (settings(1024, 1 << 20), vec![RESPONDER, LIST, RESPONDER]),
        (settings(1024, 1024), vec![RESPONDER, LIST, RESPONDER, LIST]),
    ] {
        let desk = Desk::with(Pki::new(), |pki| Net::default().with(LIST, list(pki, false)), settings);
        for _ in 0..2 {
            assert!(matches!(desk.check(NOW), RevocationStatus::Good(_)));
        }
        assert_eq!(desk.net.calls(), calls);
    }
}

#[test]
fn many_who_want_the_same_ask_once() {
    let desk = Desk::new(Pki::new(), |pki| Net::default().with(RESPONDER, responder(pki, OcspStatus::Good)));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert!(matches!(desk.check(NOW), RevocationStatus::Good(_))));
        }
    });
    assert_eq!(desk.net.calls(), [RESPONDER]);
}

#[test]
fn an_answer_to_another_question_does_not_count() {
    let desk = Desk::new(Pki::new(), |pki| {
        let (first, answer) = (Mutex::new(None), responder(pki, OcspStatus::Good));
        // Always the answer to the first question.
        Net::default()
            .with(RESPONDER, move |question| first.lock().unwrap().get_or_insert_with(|| answer(question)).clone())
    });
    assert!(matches!(desk.check(NOW), RevocationStatus::Good(_)));
    match desk.check(NOW + Duration::HOUR) {
        RevocationStatus::Indeterminate { tried } => assert_eq!(tried[0].doubt, Doubt::NonceWrong),
        other => panic!("{other}"),
    }
}

#[test]
fn without_nonces_none_is_sent() {
    let settings = RevocationSettings { nonces: NoncePolicy::Off, ..RevocationSettings::default() };
    let len = |settings: RevocationSettings| {
        let seen = Arc::new(Mutex::new(0));
        let noted = Arc::clone(&seen);
        let net = Net::default().with(RESPONDER, move |question| {
            *noted.lock().unwrap() = question.request.unwrap().len();
            Err(FetchError::Broken)
        });
        let _ = Desk::with(Pki::new(), |_| net, settings).check(NOW);
        *seen.lock().unwrap()
    };
    assert!(len(settings) + 32 < len(RevocationSettings::default()));
}

/// The responder's own certificate is looked up in the list it names.
#[test]
fn a_responder_whose_certificate_is_revoked_is_not_believed() {
    for (revoked, exempt) in [(false, false), (true, false), (true, true)] {
        let pki = Pki::new();
        let mut template =
            Template::ocsp_signing(name("Responder"), long()).revocation_list("http://lists.example/own.crl");
        if exempt {
            template = template.extension("1.3.6.1.5.5.7.48.1.5", false, vec![5, 0]);
        }
        let delegate = pki.delegate_by(&template);
        let entries = [Revoked { certificate: delegate.certificate(), since: NOW, reason: None }];
        let list = pki.root.revoke(&entries[..usize::from(revoked)], current(), 1).unwrap();
        let answer = OcspAnswer {
            certificate: &pki.leaf,
            issuer: pki.root.certificate(),
            status: OcspStatus::Good,
            this_update: NOW,
            next_update: None,
            nonce: None,
            hash: DigestAlgorithm::Sha256,
            by_key: false,
            certificates: &[delegate.certificate().clone()],
        };
        let answer = delegate.answer(&answer).unwrap();
        let desk = Desk::new(pki, |_| {
            let net = Net::default().with("http://lists.example/own.crl", move |_| Ok(list.clone()));
            net.with(RESPONDER, move |_| Ok(answer.clone()))
        });
        match desk.check(NOW) {
            RevocationStatus::Good(_) => assert!(exempt || !revoked),
            RevocationStatus::Indeterminate { tried } => {
                assert!(revoked && !exempt);
                assert_eq!(tried[0].doubt, Doubt::SignerRevoked);
            }
            RevocationStatus::Revoked(..) => panic!(),
        }
    }
}

#[test]
fn a_list_of_somebody_else_at_the_address_does_not_count() {
    let desk = Desk::new(Pki::new(), |_| {
        let der = authority("Stranger").revoke(&[], current(), 1).unwrap();
        Net::default().with(LIST, move |_| Ok(der.clone()))
    });
    assert!(matches!(desk.doubts()[1].1, Doubt::NotAuthorised(_)));
}
