//! Answers of responders (RFC 6960).

use proptest::prelude::*;
use rohrpost_crypto::policy::Policy;
use rohrpost_crypto::{DigestAlgorithm, SystemRandom};
use rohrpost_pki::issue::{Authority, OcspAnswer, OcspStatus, Template, Validity};
use rohrpost_pki::revocation::ocsp::{self, NoncePolicy, OcspRequest, Refusal, UnverifiedResponse};
use rohrpost_pki::revocation::{Doubt, EvidenceSource, Revocation, RevocationReason};
use rohrpost_pki::{Certificate, KeyUsage};
use time::{Duration, OffsetDateTime};

use crate::pki::{NOW, Pki, authority, delegate_of, long, name, tlv};

const GONE: Revocation =
    Revocation { since: time::macros::datetime!(2026-05-01 8:00 UTC), reason: Some(RevocationReason::KeyCompromise) };

fn answer<'a>(pki: &'a Pki, status: OcspStatus) -> OcspAnswer<'a> {
    OcspAnswer {
        certificate: &pki.leaf,
        issuer: pki.root.certificate(),
        status,
        this_update: NOW - Duration::MINUTE,
        next_update: Some(NOW + Duration::HOUR),
        nonce: None,
        hash: DigestAlgorithm::Sha1,
        by_key: false,
        certificates: &[],
    }
}

type Told = Result<Option<Revocation>, Doubt>;

fn told(octets: &[u8], pki: &Pki) -> Told {
    asked(octets, pki, None, NoncePolicy::Preferred)
}

fn asked(octets: &[u8], pki: &Pki, nonce: Option<&[u8]>, nonces: NoncePolicy) -> Told {
    let response = UnverifiedResponse::parse(octets)?.verify(pki.root.certificate(), &Policy::standard(), NOW)?;
    response.look_up(&pki.leaf, nonce, nonces, NOW).map(|(found, _)| found)
}

fn by_root(pki: &Pki, answer: &OcspAnswer<'_>) -> Told {
    told(&pki.root.answer(answer).unwrap(), pki)
}

#[test]
fn the_issuer_answers_for_itself() {
    let pki = Pki::new();
    for hash in [DigestAlgorithm::Sha1, DigestAlgorithm::Sha256] {
        for by_key in [false, true] {
            let say = |status| by_root(&pki, &OcspAnswer { hash, by_key, ..answer(&pki, status) });
            assert_eq!(say(OcspStatus::Good), Ok(None));
            assert_eq!(say(OcspStatus::Revoked(GONE)), Ok(Some(GONE)));
            assert_eq!(say(OcspStatus::Unknown), Err(Doubt::UnknownThere));
        }
    }
    let no_reason = Revocation { reason: None, ..GONE };
    assert_eq!(by_root(&pki, &answer(&pki, OcspStatus::Revoked(no_reason))), Ok(Some(no_reason)));
}

#[test]
fn is_evidence() {
    let pki = Pki::new();
    let delegate = pki.delegate();
    let certificates = [delegate.certificate().clone()];
    let der = delegate.answer(&OcspAnswer { certificates: &certificates, ..answer(&pki, OcspStatus::Good) }).unwrap();
    let response = UnverifiedResponse::parse(&der).unwrap();
    let response = response.verify(pki.root.certificate(), &Policy::standard(), NOW).unwrap();
    let (_, evidence) = response.look_up(&pki.leaf, None, NoncePolicy::Off, NOW).unwrap();
    assert_eq!((&*evidence.der, evidence.source), (&der[..], EvidenceSource::Ocsp));
    assert_eq!((evidence.made, evidence.until), (NOW - Duration::MINUTE, NOW + Duration::HOUR));
    assert_eq!(evidence.signer, "CN=Responder,C=DE");
    assert_eq!(response.delegate_to_check(), Some(delegate.certificate()));
}

fn by_delegate(pki: &Pki, delegate: &Authority) -> Told {
    let certificates = [pki.other.clone(), delegate.certificate().clone()];
    told(&delegate.answer(&OcspAnswer { certificates: &certificates, ..answer(pki, OcspStatus::Good) }).unwrap(), pki)
}

#[test]
fn a_delegate_answers_if_the_issuer_says_so() {
    let pki = Pki::new();
    let template = || Template::ocsp_signing(name("Responder"), long());
    assert_eq!(by_delegate(&pki, &pki.delegate()), Ok(None));
    let exempt = pki.delegate_by(&template().extension("1.3.6.1.5.5.7.48.1.5", false, vec![5, 0]));
    assert_eq!(by_delegate(&pki, &exempt), Ok(None));
    assert_eq!(by_delegate(&pki, &pki.delegate_by(&template().key_usage(None))), Ok(None));

    let refused = |delegate: &Authority| matches!(by_delegate(&pki, delegate), Err(Doubt::NotAuthorised(_)));
    let without_purpose = pki.delegate_by(&Template::signature(name("Responder"), long()));
    assert!(refused(&without_purpose), "any certificate of the issuer");
    let server = Template::tls_server(name("Responder"), long(), &["ocsp.example"]);
    assert!(refused(&pki.delegate_by(&server)), "another purpose");
    assert!(refused(&delegate_of(&authority("Stranger"), &template())), "of another issuer");
    assert!(refused(&delegate_of(&authority("Root"), &template())), "of a namesake of the issuer");
    let expired = Validity::new(NOW - Duration::WEEK, NOW - Duration::DAY);
    assert!(refused(&pki.delegate_by(&Template::ocsp_signing(name("Responder"), expired))));
    let sealing = template().key_usage(Some(KeyUsage::KEY_ENCIPHERMENT));
    assert!(refused(&pki.delegate_by(&sealing)));
    let odd = pki.delegate_by(&template().extension("1.2.3", true, vec![5, 0]));
    assert!(matches!(by_delegate(&pki, &odd), Err(Doubt::NotUnderstood(_))));
}

#[test]
fn nobody_else_answers() {
    let pki = Pki::new();
    let good = answer(&pki, OcspStatus::Good);
    let refused = |told: Told| matches!(told, Err(Doubt::NotAuthorised(_)));
    assert!(refused(told(&authority("Stranger").answer(&good).unwrap(), &pki)));
    assert_eq!(told(&authority("Root").answer(&good).unwrap(), &pki), Err(Doubt::SignatureWrong), "a namesake");
    assert!(refused(told(&pki.delegate().answer(&good).unwrap(), &pki)), "its certificate does not go with it");
    let mut damaged = pki.root.answer(&good).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(told(&damaged, &pki), Err(Doubt::SignatureWrong));
}

#[test]
fn only_a_current_answer_counts() {
    let pki = Pki::new();
    let (hour, minute) = (Duration::HOUR, Duration::MINUTE);
    let say = |this_update: OffsetDateTime, next_update| {
        by_root(&pki, &OcspAnswer { this_update, next_update, ..answer(&pki, OcspStatus::Good) })
    };
    assert_eq!(say(NOW - 2 * hour, Some(NOW - hour)), Err(Doubt::Stale { since: NOW - hour }));
    assert_eq!(say(NOW + hour, Some(NOW + 2 * hour)), Err(Doubt::NotYet { from: NOW + hour }));
    assert_eq!(say(NOW + minute, Some(NOW + hour)), Ok(None), "clocks differ a little");
    assert_eq!(say(NOW - hour, Some(NOW)), Ok(None), "its last second");
    assert_eq!(say(NOW - minute, None), Ok(None), "news at any time");
    assert!(matches!(say(NOW - hour, None), Err(Doubt::Stale { .. })), "news at any time, not for long");
    let stale = OcspAnswer {
        this_update: NOW - 2 * hour,
        next_update: Some(NOW - hour),
        ..answer(&pki, OcspStatus::Revoked(GONE))
    };
    assert_eq!(by_root(&pki, &stale), Err(Doubt::Stale { since: NOW - hour }));
}

#[test]
fn an_answer_about_somebody_else_says_nothing() {
    let pki = Pki::new();
    let stranger = authority("Stranger");
    let namesake = authority("Root");
    let out_of_scope = |told: Told| matches!(told, Err(Doubt::OutOfScope(_)));
    assert!(out_of_scope(by_root(&pki, &OcspAnswer { certificate: &pki.other, ..answer(&pki, OcspStatus::Good) })));
    for issuer in [stranger.certificate(), namesake.certificate()] {
        assert!(out_of_scope(by_root(&pki, &OcspAnswer { issuer, ..answer(&pki, OcspStatus::Good) })));
    }
}

#[test]
fn a_nonce_binds_the_answer_to_the_question() {
    let pki = Pki::new();
    let request = OcspRequest::new(&pki.leaf, pki.root.certificate(), Some(&SystemRandom)).unwrap();
    let nonce = request.nonce().unwrap();
    let say = |nonce: Option<&[u8]>| {
        pki.root.answer(&OcspAnswer { nonce: nonce.map(<[u8]>::to_vec), ..answer(&pki, OcspStatus::Good) }).unwrap()
    };
    let (right, wrong, none) = (say(Some(nonce)), say(Some(&[7; 32])), say(None));
    for policy in [NoncePolicy::Preferred, NoncePolicy::Required] {
        assert_eq!(asked(&right, &pki, Some(nonce), policy), Ok(None));
        assert_eq!(asked(&wrong, &pki, Some(nonce), policy), Err(Doubt::NonceWrong));
    }
    assert_eq!(asked(&none, &pki, Some(nonce), NoncePolicy::Preferred), Ok(None));
    assert_eq!(asked(&none, &pki, Some(nonce), NoncePolicy::Required), Err(Doubt::NonceMissing));
    assert_eq!(asked(&wrong, &pki, None, NoncePolicy::Off), Ok(None), "nobody asked for one");
    assert_eq!(asked(&wrong, &pki, None, NoncePolicy::Required), Err(Doubt::NonceWrong));
}

#[test]
fn refusals_are_no_answers() {
    let pki = Pki::new();
    for (number, refusal) in [
        (1, Refusal::MalformedRequest),
        (2, Refusal::InternalError),
        (3, Refusal::TryLater),
        (5, Refusal::SignatureRequired),
        (6, Refusal::Unauthorized),
    ] {
        assert_eq!(told(&[0x30, 3, 0x0a, 1, number], &pki), Err(Doubt::Refused(refusal)));
    }
    for octets in [&[0x30, 3, 0x0a, 1, 4][..], &[0x30, 3, 0x0a, 1, 0], &[], b"<html>", &[0x30, 0]] {
        assert!(matches!(told(octets, &pki), Err(Doubt::Malformed(_))), "{octets:x?}");
    }
    let typed = tlv(0x30, &[&tlv(6, &[0x2a, 3])[..], &tlv(4, b"x")].concat());
    let other = tlv(0x30, &[&[0x0a, 1, 0][..], &tlv(0xa0, &typed)].concat());
    assert!(matches!(told(&other, &pki), Err(Doubt::NotUnderstood(_))), "another type of answer");
    assert!(matches!(told(&vec![0x30; ocsp::MAX_LEN + 1], &pki), Err(Doubt::TooLarge { .. })));
}

#[test]
fn too_many_certificates_are_not_looked_at() {
    let pki = Pki::new();
    let many: Vec<Certificate> = vec![pki.other.clone(); 17];
    let found = by_root(&pki, &OcspAnswer { certificates: &many, ..answer(&pki, OcspStatus::Good) });
    assert!(matches!(found, Err(Doubt::TooLarge { unit: "parts", .. })));
}

/// Written out for the eye: what `openssl ocsp -reqin` shows.
#[test]
fn a_question_names_the_certificate_by_hashes_of_its_issuer() {
    let pki = Pki::new();
    let request = OcspRequest::new(&pki.leaf, pki.root.certificate(), None).unwrap();
    let root = pki.root.certificate().public_key().unwrap();
    let key = DigestAlgorithm::Sha1.digest(root.subject_public_key());
    let at = |part: &[u8]| request.der().windows(part.len()).position(|window| window == part);
    let algorithm = [0x30, 9, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0];
    assert!(at(&algorithm) < at(key.as_bytes()) && at(key.as_bytes()).is_some());
    assert_eq!(request.nonce(), None);
    let (one, two) = (0..2)
        .map(|_| OcspRequest::new(&pki.leaf, pki.root.certificate(), Some(&SystemRandom)).unwrap())
        .fold((None, None), |(_, last), request| (last, Some(request)));
    assert_ne!(one.unwrap().nonce(), two.unwrap().nonce());
}

proptest! {
    #[test]
    fn never_panics(at in 0usize..1000, change in any::<[u8; 3]>(), cut in any::<bool>()) {
        thread_local! {
            static ANSWER: (Pki, Vec<u8>) = {
                let pki = Pki::new();
                let delegate = pki.delegate();
                let certificates = [delegate.certificate().clone()];
                let answer = OcspAnswer { nonce: Some(vec![1; 32]), certificates: &certificates, ..answer(&pki, OcspStatus::Revoked(GONE)) };
                let der = delegate.answer(&answer).unwrap();
                (pki, der)
            };
        }
        ANSWER.with(|(pki, der)| {
            let mut der = der.clone();
            let at = at % (der.len() - 3);
            der[at..at + 3].copy_from_slice(&change);
            if cut {
                der.truncate(at + 3);
            }
            prop_assert!(!matches!(told(&der, pki), Ok(None)));
            Ok(())
        })?;
    }
}
