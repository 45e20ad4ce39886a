//! Revocation lists (RFC 5280, 5).

use proptest::prelude::*;
use rohrpost_crypto::policy::Policy;
use rohrpost_crypto::{SystemRandom, X509SignatureAlgorithm};
use rohrpost_pki::issue::{Authority, ListTemplate, Revoked, Template, Validity};
use rohrpost_pki::revocation::crl::{self, RevocationList, UnverifiedList};
use rohrpost_pki::revocation::{Doubt, EvidenceSource, Revocation, RevocationReason};
use rohrpost_pki::{Certificate, KeyUsage, pem};
use time::Duration;

use crate::pki::{LIST, NOW, Pki, authority, current, issue, key, long, name, tlv};

const SINCE: time::OffsetDateTime = time::macros::datetime!(2026-05-01 8:00 UTC);

fn verified(der: &[u8], issuer: &Authority) -> Result<RevocationList, Doubt> {
    UnverifiedList::parse(der)?.verify(issuer.certificate(), &Policy::standard(), NOW)
}

fn look_up(der: &[u8], pki: &Pki) -> Result<Option<Revocation>, Doubt> {
    verified(der, &pki.root)?.look_up(&pki.leaf, NOW)
}

fn revoked(certificate: &Certificate, reason: Option<RevocationReason>) -> Revoked<'_> {
    Revoked { certificate, since: SINCE, reason }
}

/// An empty list with one more extension.
fn extended(pki: &Pki, oid: &str, critical: bool, value: Vec<u8>) -> Result<Option<Revocation>, Doubt> {
    let list = ListTemplate::new(&[], current(), 1).extension(oid, critical, value);
    look_up(&pki.root.publish(&list).unwrap(), pki)
}

#[test]
fn tells_who_is_revoked_since_when_and_why() {
    let pki = Pki::new();
    let list = |certificate, reason| pki.root.revoke(&[revoked(certificate, reason)], current(), 7).unwrap();
    assert_eq!(look_up(&list(&pki.other, None), &pki), Ok(None));
    assert_eq!(look_up(&list(&pki.leaf, None), &pki), Ok(Some(Revocation { since: SINCE, reason: None })));
    for reason in [RevocationReason::KeyCompromise, RevocationReason::CertificateHold, RevocationReason::Superseded] {
        let found = look_up(&list(&pki.leaf, Some(reason)), &pki);
        assert_eq!(found, Ok(Some(Revocation { since: SINCE, reason: Some(reason) })));
    }
    assert_eq!(look_up(&pki.root.revoke(&[], current(), 8).unwrap(), &pki), Ok(None));
}

#[test]
fn an_entry_of_a_list_of_changes_says_nothing_in_a_complete_list() {
    let pki = Pki::new();
    let entry = revoked(&pki.leaf, Some(RevocationReason::RemoveFromList));
    let found = look_up(&pki.root.revoke(&[entry], current(), 1).unwrap(), &pki);
    assert!(matches!(found, Err(Doubt::NotUnderstood(_))), "{found:?}");
}

#[test]
fn is_read_from_pem_and_kept_as_evidence() {
    let pki = Pki::new();
    let der = pki.root.revoke(&[revoked(&pki.leaf, None)], current(), 1).unwrap();
    let text = pem::write(pem::REVOCATION_LIST, &der);
    let list = verified(text.as_bytes(), &pki.root).unwrap();
    assert!(list.look_up(&pki.leaf, NOW).unwrap().is_some());
    let evidence = list.evidence(LIST);
    assert_eq!((&*evidence.der, evidence.source), (&der[..], EvidenceSource::List));
    assert_eq!((evidence.made, evidence.until), (NOW - Duration::HOUR, NOW + Duration::HOUR));
    assert_eq!((evidence.signer.as_str(), evidence.url.as_str()), ("CN=Root,C=DE", LIST));
}

#[test]
fn only_the_issuer_may_sign_it() {
    let pki = Pki::new();
    let not_authorised = |der: &[u8]| matches!(look_up(der, &pki), Err(Doubt::NotAuthorised(_)));
    assert!(not_authorised(&authority("Stranger").revoke(&[], current(), 1).unwrap()));
    // Another key under the same name: told by the key identifier, and by the signature if that is left out.
    let namesake = authority("Root");
    assert!(not_authorised(&namesake.revoke(&[], current(), 1).unwrap()));
    let mut der = pki.root.revoke(&[], current(), 1).unwrap();
    *der.last_mut().unwrap() ^= 1;
    assert_eq!(look_up(&der, &pki), Err(Doubt::SignatureWrong));
}

#[test]
fn an_issuer_who_may_not_sign_lists_does_not() {
    let template = Template::authority(name("Root"), long(), None).key_usage(Some(KeyUsage::KEY_CERT_SIGN));
    let root = Authority::root(&template, key(), &SystemRandom).unwrap();
    let der = root.revoke(&[], current(), 1).unwrap();
    assert!(matches!(verified(&der, &root), Err(Doubt::NotAuthorised(_))));
}

#[test]
fn a_signature_that_the_policy_refuses_does_not_count() {
    let key = rohrpost_crypto::PrivateKey::generate_rsa(2048).unwrap();
    let root = Authority::root(&Template::authority(name("Root"), long(), None), key, &SystemRandom).unwrap();
    let der = root.revoke(&[], current(), 1).unwrap();
    assert!(verified(&der, &root).is_ok());
    // The object identifier of SHA-1 in the place of that of SHA-256, twice.
    let sha1: Vec<u8> = replace(&der, &[0xf7, 0x0d, 0x01, 0x01, 0x0b], &[0xf7, 0x0d, 0x01, 0x01, 0x05]);
    assert!(matches!(verified(&sha1, &root), Err(Doubt::Algorithm(_))));
    let root = root.with_algorithm(X509SignatureAlgorithm::PssSha256 { salt_len: 32 });
    assert!(verified(&root.revoke(&[], current(), 2).unwrap(), &root).is_ok());
}

fn replace(octets: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = octets.to_vec();
    for at in 0..out.len() - from.len() {
        if out[at..].starts_with(from) {
            out[at..at + to.len()].copy_from_slice(to);
        }
    }
    out
}

#[test]
fn only_a_current_list_counts() {
    let pki = Pki::new();
    let published = |from, until| pki.root.revoke(&[], Validity::new(from, until), 1).unwrap();
    let (hour, minute) = (Duration::HOUR, Duration::MINUTE);
    let stale = look_up(&published(NOW - 2 * hour, NOW - hour), &pki);
    assert_eq!(stale, Err(Doubt::Stale { since: NOW - hour }));
    let future = look_up(&published(NOW + hour, NOW + 2 * hour), &pki);
    assert_eq!(future, Err(Doubt::NotYet { from: NOW + hour }));
    assert_eq!(look_up(&published(NOW + minute, NOW + hour), &pki), Ok(None), "clocks differ a little");
    assert_eq!(look_up(&published(NOW - hour, NOW), &pki), Ok(None), "its last second");
    let undated = pki.root.publish(&ListTemplate::new(&[], current(), 1).without_next_update()).unwrap();
    assert_eq!(look_up(&undated, &pki), Err(Doubt::Undated));
}

#[test]
fn says_nothing_about_certificates_of_others() {
    let (pki, stranger) = (Pki::new(), authority("Stranger"));
    let list = verified(&pki.root.revoke(&[], current(), 1).unwrap(), &pki.root).unwrap();
    let leaf = issue(&stranger, &Template::signature(name("Leaf"), long()));
    assert!(matches!(list.look_up(&leaf, NOW), Err(Doubt::OutOfScope(_))));
}

const ISSUING_POINT: &str = "2.5.29.28";

#[test]
fn honours_what_the_list_is_about() {
    let pki = Pki::new();
    let point = |parts: &[u8]| extended(&pki, ISSUING_POINT, true, tlv(0x30, parts));
    let full_name = |url: &str| tlv(0xa0, &tlv(0xa0, &tlv(0x86, url.as_bytes())));
    assert_eq!(point(&[]), Ok(None));
    assert_eq!(point(&[0x81, 1, 0xff]), Ok(None), "no authorities");
    assert_eq!(point(&full_name(LIST)), Ok(None), "the part that the certificate names");
    let out_of_scope = |found: Result<_, Doubt>| matches!(found, Err(Doubt::OutOfScope(_)));
    assert!(out_of_scope(point(&[0x82, 1, 0xff])), "authorities only");
    assert!(out_of_scope(point(&[0x85, 1, 0xff])), "attribute certificates only");
    assert!(out_of_scope(point(&full_name("http://lists.example/part-2.crl"))));
    assert!(out_of_scope(point(&[0x83, 2, 1, 0x40])), "some reasons only");
    let not_understood = |found: Result<_, Doubt>| matches!(found, Err(Doubt::NotUnderstood(_)));
    assert!(not_understood(point(&[0x84, 1, 0xff])), "indirect");
    assert!(not_understood(point(&tlv(0xa0, &tlv(0xa1, &[])))), "a name relative to that of the issuer");
    for malformed in [&[0x81][..], &[0x86, 1, 0xff], &[0x82, 1, 0, 0x81, 1, 0]] {
        assert!(matches!(point(malformed), Err(Doubt::Malformed(_))), "{malformed:x?}");
    }
}

#[test]
fn a_list_about_authorities_is_not_about_others() {
    let pki = Pki::new();
    let sub = pki.root.subordinate(&Template::authority(name("Sub"), long(), None), key(), &SystemRandom).unwrap();
    let users = ListTemplate::new(&[], current(), 1).extension(ISSUING_POINT, true, tlv(0x30, &[0x81, 1, 0xff]));
    let users = verified(&pki.root.publish(&users).unwrap(), &pki.root).unwrap();
    assert!(matches!(users.look_up(sub.certificate(), NOW), Err(Doubt::OutOfScope(_))));
    let all =
        verified(&pki.root.revoke(&[revoked(sub.certificate(), None)], current(), 1).unwrap(), &pki.root).unwrap();
    assert!(all.look_up(sub.certificate(), NOW).unwrap().is_some());
}

/// Being on a list for some reasons is being on a list.
#[test]
fn a_list_about_some_reasons_can_revoke() {
    let pki = Pki::new();
    let entries = [revoked(&pki.leaf, Some(RevocationReason::KeyCompromise))];
    let some = ListTemplate::new(&entries, current(), 1).extension(ISSUING_POINT, true, tlv(0x30, &[0x83, 2, 1, 0x40]));
    assert!(look_up(&pki.root.publish(&some).unwrap(), &pki).unwrap().is_some());
}

#[test]
fn what_must_be_understood_and_is_not_makes_the_list_void() {
    let pki = Pki::new();
    let not_understood = |found: Result<_, Doubt>| matches!(found, Err(Doubt::NotUnderstood(_)));
    assert!(not_understood(extended(&pki, "2.5.29.27", true, vec![2, 1, 1])), "delta");
    assert!(not_understood(extended(&pki, "2.5.29.27", false, vec![2, 1, 1])), "delta, whatever it says of itself");
    assert!(not_understood(extended(&pki, "1.2.3.4", true, vec![5, 0])));
    assert_eq!(extended(&pki, "1.2.3.4", false, vec![5, 0]), Ok(None));
    assert_eq!(extended(&pki, "2.5.29.46", false, vec![0x30, 0]), Ok(None), "where changes are published");
    let twice = extended(&pki, "2.5.29.20", false, vec![2, 1, 1]);
    assert!(matches!(twice, Err(Doubt::Malformed(_))), "an extension twice");
}

/// One entry that is not understood could be about anybody (RFC 5280, 5.3).
#[test]
fn an_entry_that_is_not_understood_makes_the_list_void() {
    let pki = Pki::new();
    let der = pki.root.revoke(&[revoked(&pki.other, Some(RevocationReason::KeyCompromise))], current(), 1).unwrap();
    let reason: &[u8] = &[0x06, 3, 0x55, 0x1d, 0x15];
    for (oid, kind) in [(0x1d, "of another issuer"), (0x15, "")] {
        let other = replace(&der, reason, &[0x06, 3, 0x55, 0x1d, oid]);
        let found = UnverifiedList::parse(&other);
        assert_eq!(matches!(found, Err(Doubt::NotUnderstood(_))), oid == 0x1d, "{kind}");
    }
    let no_reason = replace(&der, &[0x0a, 1, 1], &[0x0a, 1, 7]);
    assert!(matches!(UnverifiedList::parse(&no_reason), Err(Doubt::Malformed(_))), "7 is no reason");
}

#[test]
fn size_is_bounded_before_anything_else() {
    let mut large = vec![0; crl::MAX_LEN + 1];
    large[0] = 0x30;
    assert!(matches!(UnverifiedList::parse(&large), Err(Doubt::TooLarge { unit: "octets", .. })));
    large[0] = b'-';
    assert!(matches!(UnverifiedList::parse(&large), Err(Doubt::Malformed(_))));
}

#[test]
fn a_long_list_is_searched_in_place() {
    let pki = Pki::new();
    let mut entries = vec![revoked(&pki.other, None); 20_000];
    entries.push(revoked(&pki.leaf, Some(RevocationReason::AffiliationChanged)));
    let der = pki.root.revoke(&entries, current(), 1).unwrap();
    let found = look_up(&der, &pki).unwrap().unwrap();
    assert_eq!(found.reason, Some(RevocationReason::AffiliationChanged));
}

#[test]
fn other_things_are_no_lists() {
    let pki = Pki::new();
    let der = pki.root.revoke(&[], current(), 1).unwrap();
    for octets in [&b""[..], b"\xff", b"<html>", b"0", b"-----BEGIN X509 CRL-----\nAA==\n", pki.leaf.der(), &der[1..]] {
        assert!(matches!(UnverifiedList::parse(octets), Err(Doubt::Malformed(_))), "{octets:x?}");
    }
    let trailing = [&der[..], &[0]].concat();
    assert!(matches!(UnverifiedList::parse(&trailing), Err(Doubt::Malformed(_))));
}

proptest! {
    #[test]
    fn never_panics(at in 0usize..400, change in any::<[u8; 3]>(), cut in any::<bool>()) {
        thread_local! {
            static LIST: (Pki, Vec<u8>) = {
                let pki = Pki::new();
                let der = pki.root.revoke(&[revoked(&pki.leaf, Some(RevocationReason::Superseded))], current(), 1).unwrap();
                (pki, der)
            };
        }
        LIST.with(|(pki, der)| {
            let mut der = der.clone();
            let at = at % (der.len() - 3);
            der[at..at + 3].copy_from_slice(&change);
            if cut {
                der.truncate(at + 3);
            }
            // Whatever was changed, nobody gets away with it.
            let found = look_up(&der, pki);
            prop_assert!(!matches!(found, Ok(None)));
            Ok(())
        })?;
    }
}
