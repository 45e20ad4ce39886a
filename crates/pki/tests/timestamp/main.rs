//! Time stamps: what of a service's answer counts, and what does not.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod recorded;

use proptest::prelude::*;
use rohrpost_crypto::{Curve, PrivateKey, Random, SystemRandom, X509SignatureAlgorithm};
use rohrpost_pki::issue::{Authority, Name, Template, TimestampAnswer, Validity};
use rohrpost_pki::timestamp::{FailureInfo, MAX_LEN, TimestampError, TimestampRequest, TimestampToken, TimestampTrust};
use rohrpost_pki::{Anchors, Certificate, Reason};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

const NOW: OffsetDateTime = datetime!(2026-11-25 12:00 UTC);
const IMPRINT: [u8; 32] = [7; 32];

/// The same bytes each time, so that recorded answers stay answers.
pub(crate) struct Fixed;

impl Random for Fixed {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0x5a);
    }
}

struct Service {
    root: Authority,
    authority: Authority,
    trust: TimestampTrust,
}

fn validity() -> Validity {
    Validity::new(datetime!(2025-01-01 0:00 UTC), datetime!(2035-01-01 0:00 UTC))
}

fn name(common: &str) -> Name {
    Name::new().country("DE").common_name(common)
}

fn key() -> PrivateKey {
    PrivateKey::generate_ec(Curve::P256).unwrap()
}

impl Service {
    fn new(template: &Template) -> Self {
        Self::with_key(template, key())
    }

    fn with_key(template: &Template, own: PrivateKey) -> Self {
        let root = Authority::root(&Template::authority(name("Root"), validity(), None), key(), &SystemRandom).unwrap();
        let authority = root.subordinate(template, own, &SystemRandom).unwrap();
        let mut anchors = Anchors::new();
        anchors.add(root.certificate().clone()).unwrap();
        Self { root, authority, trust: TimestampTrust::new(anchors) }
    }

    fn proper() -> Self {
        Self::new(&Template::time_stamping(name("Stamps"), validity()))
    }

    fn answer(&self, question: &TimestampRequest, change: impl FnOnce(&mut TimestampAnswer<'_>)) -> Vec<u8> {
        let certificates = [self.authority.certificate().clone()];
        let mut answer = TimestampAnswer::to(question, NOW, &certificates);
        change(&mut answer);
        self.authority.stamp(&answer).unwrap()
    }

    /// What becomes of an answer that was changed before it was signed.
    fn outcome(&self, change: impl FnOnce(&mut TimestampAnswer<'_>)) -> Result<TimestampToken, TimestampError> {
        let question = question();
        self.trust.accept(&self.answer(&question, change), &question, NOW)
    }
}

fn question() -> TimestampRequest {
    TimestampRequest::new(IMPRINT, &SystemRandom)
}

#[test]
fn a_proper_stamp_counts() {
    let token = Service::proper().outcome(|_| ()).unwrap();
    assert_eq!((token.time(), token.serial(), token.authority()), (NOW, "1", "CN=Stamps,C=DE"));
    assert_eq!(token.policy(), "1.3.6.1.4.1.55555.1");
}

#[test]
fn every_usual_kind_of_key_counts() {
    for curve in [Curve::P256, Curve::P384, Curve::P521] {
        let own = PrivateKey::generate_ec(curve).unwrap();
        let service = Service::with_key(&Template::time_stamping(name("Stamps"), validity()), own);
        service.outcome(|_| ()).unwrap();
    }
    let rsa = || PrivateKey::generate_rsa(3072).unwrap();
    for algorithm in [
        X509SignatureAlgorithm::RsaSha256,
        X509SignatureAlgorithm::RsaSha512,
        X509SignatureAlgorithm::PssSha256 { salt_len: 32 },
    ] {
        let mut service = Service::with_key(&Template::time_stamping(name("Stamps"), validity()), rsa());
        service.authority = service.authority.with_algorithm(algorithm);
        service.outcome(|_| ()).unwrap();
    }
}

#[test]
fn a_kept_token_can_be_verified_later_by_others() {
    let service = Service::proper();
    let token = service.outcome(|_| ()).unwrap();
    assert_eq!(service.trust.verify(token.der(), &IMPRINT).unwrap(), token);
    assert_eq!(service.trust.verify(token.der(), &[8; 32]), Err(TimestampError::ImprintWrong));
    let strangers = Service::proper().trust;
    assert!(matches!(strangers.verify(token.der(), &IMPRINT), Err(TimestampError::NotTrusted { .. })));
}

#[test]
fn a_stamp_of_something_else_does_not_count() {
    let service = Service::proper();
    assert_eq!(service.outcome(|answer| answer.imprint = [8; 32]), Err(TimestampError::ImprintWrong));
    assert_eq!(service.outcome(|answer| answer.nonce = None), Err(TimestampError::NonceWrong));
    assert_eq!(service.outcome(|answer| answer.nonce = Some(vec![1])), Err(TimestampError::NonceWrong));
    let (question, earlier) = (question(), question());
    let answer = service.answer(&earlier, |_| ());
    assert_eq!(service.trust.accept(&answer, &question, NOW), Err(TimestampError::NonceWrong), "sent again");
}

#[test]
fn a_stamp_of_another_time_does_not_count() {
    let service = Service::proper();
    for (away, counts) in [(299, true), (301, false), (-299, true), (-301, false)] {
        let time = NOW + Duration::seconds(away);
        let outcome = service.outcome(|answer| answer.time = time);
        assert_eq!(outcome.is_ok(), counts, "{away}");
        assert!(counts || outcome == Err(TimestampError::NotNow { time }));
    }
}

#[test]
fn only_who_may_do_nothing_but_stamp_may_stamp() {
    const PURPOSES: &str = "2.5.29.37";
    let time_stamping = [0x06, 8, 0x2b, 6, 1, 5, 5, 7, 3, 8];
    let server = [0x06, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1];
    let list = |oids: &[[u8; 10]]| [vec![0x30, u8::try_from(oids.len() * 10).unwrap()], oids.concat()].concat();
    let signs = || Template::signature(name("Signs"), validity());
    for (what, template) in [
        ("no purpose", signs()),
        ("another purpose", signs().extension(PURPOSES, true, list(&[server]))),
        ("not critical", signs().extension(PURPOSES, false, list(&[time_stamping]))),
        ("not alone", signs().extension(PURPOSES, true, list(&[time_stamping, server]))),
        ("responder", Template::ocsp_signing(name("Signs"), validity())),
    ] {
        let outcome = Service::new(&template).outcome(|_| ());
        assert!(matches!(outcome, Err(TimestampError::NotForTimestamps { .. })), "{what}: {outcome:?}");
    }
    Service::new(&signs().extension(PURPOSES, true, list(&[time_stamping]))).outcome(|_| ()).unwrap();
}

#[test]
fn an_expired_or_unknown_signer_does_not_count() {
    let past = Validity::new(datetime!(2020-01-01 0:00 UTC), datetime!(2026-11-01 0:00 UTC));
    let expired = Service::new(&Template::time_stamping(name("Stamps"), past)).outcome(|_| ());
    let Err(TimestampError::NotTrusted { reasons, .. }) = expired else { panic!("{expired:?}") };
    assert!(reasons.iter().any(|reason| matches!(reason, Reason::Expired { .. })));

    let (service, mut own) = (Service::proper(), Service::proper());
    own.trust = service.trust;
    assert!(matches!(own.outcome(|_| ()), Err(TimestampError::NotTrusted { .. })));
}

#[test]
fn the_path_may_lead_over_authorities_that_come_along() {
    let mut service = Service::proper();
    let between = Template::authority(name("Between"), validity(), Some(0));
    let between = service.root.subordinate(&between, key(), &SystemRandom).unwrap();
    let stamps = Template::time_stamping(name("Stamps"), validity());
    service.authority = between.subordinate(&stamps, key(), &SystemRandom).unwrap();
    assert!(matches!(service.outcome(|_| ()), Err(TimestampError::NotTrusted { .. })));
    let (question, both) = (question(), [service.authority.certificate().clone(), between.certificate().clone()]);
    let answer = service.authority.stamp(&TimestampAnswer::to(&question, NOW, &both)).unwrap();
    service.trust.accept(&answer, &question, NOW).unwrap();
}

#[test]
fn the_certificate_of_the_signer_must_come_along() {
    let service = Service::proper();
    let missing: &[Certificate] = &[];
    assert_eq!(service.outcome(|answer| answer.certificates = missing), Err(TimestampError::SignerMissing));
}

#[test]
fn what_is_not_granted_says_why() {
    let service = Service::proper();
    assert_eq!(service.outcome(|answer| answer.status = 1), Err(TimestampError::Modified));
    for status in 2..=5 {
        let refused = TimestampError::Refused { status, info: None };
        assert_eq!(service.outcome(|answer| answer.status = status), Err(refused));
    }
    let rejection = [0x30, 9, 0x30, 7, 2, 1, 2, 3, 2, 5, 0x20];
    let refused = TimestampError::Refused { status: 2, info: Some(FailureInfo::BadRequest) };
    assert_eq!(service.trust.accept(&rejection, &question(), NOW), Err(refused.clone()));
    assert_eq!(refused.to_string(), "the service refuses with status 2 (badRequest)");
    let nothing = [0x30, 5, 0x30, 3, 2, 1, 0];
    assert!(matches!(service.trust.accept(&nothing, &question(), NOW), Err(TimestampError::Malformed(_))));
}

#[test]
fn sizes_are_bounded_before_anything_is_read() {
    let trust = Service::proper().trust;
    assert_eq!(trust.accept(&vec![0; MAX_LEN + 1], &question(), NOW), Err(TimestampError::TooLarge));
    assert_eq!(trust.verify(&vec![0; MAX_LEN + 1], &IMPRINT), Err(TimestampError::TooLarge));
}

#[test]
fn no_changed_bit_goes_unnoticed() {
    let (service, question) = (Service::proper(), TimestampRequest::new(IMPRINT, &Fixed));
    let answer = service.answer(&question, |_| ());
    let token = service.trust.accept(&answer, &question, NOW).unwrap();
    for bit in 0..answer.len() * 8 {
        let mut changed = answer.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(accepted) = service.trust.accept(&changed, &question, NOW) {
            // Versions, sets of algorithms and the like say nothing that counts.
            let said = |token: &TimestampToken| (token.time(), token.serial().to_owned(), token.policy().to_owned());
            assert_eq!(said(&accepted), said(&token), "bit {bit}");
        }
    }
}

proptest! {
    #[test]
    fn garbage_is_refused(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        let trust = TimestampTrust::new(Anchors::new());
        prop_assert!(trust.accept(&octets, &question(), NOW).is_err());
        prop_assert!(trust.verify(&octets, &IMPRINT).is_err());
    }

    #[test]
    fn what_is_cut_off_is_refused(part in 0.0..1.0f64) {
        let (service, question) = (Service::proper(), TimestampRequest::new(IMPRINT, &Fixed));
        let mut answer = service.answer(&question, |_| ());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "small")]
        answer.truncate((answer.len() as f64 * part) as usize);
        prop_assert!(service.trust.accept(&answer, &question, NOW).is_err());
    }
}
