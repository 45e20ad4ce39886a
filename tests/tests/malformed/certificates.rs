//! Certificates that are not as they should be, in every role, and the code that each costs (OSCI-Transport 1.2, feedback codes for
//! certificates).

use rohrpost_crypto::SystemRandom;
use rohrpost_crypto::policy::Policy;
use rohrpost_osci::header::CertificateUse::{Cipher, Signature};
use rohrpost_osci::header::{CertificateEntry, CertificateRole as Role, CertificateUse};
use rohrpost_osci::ids::MessageId;
use rohrpost_osci::mime::Limits;
use rohrpost_pipeline::open::open;
use rohrpost_pipeline::spool::{Spool, SpoolDir};

use super::stage::{Expected, executed, fault, outcome, refused};
use crate::harness::{Bench, Client, Delivery, Draft, NOW, Seal, certificates, der, key, key_ring, rsa_signer};

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    Expired,
    NotYetValid,
    /// Issued by nobody we know.
    UnknownIssuer,
    SelfSigned,
    WrongUsage,
    /// The issuer's signature does not hold.
    Corrupted,
    /// Not a certificate at all.
    Unreadable,
}

const FLAWS: [Flaw; 7] = [
    Flaw::Expired,
    Flaw::NotYetValid,
    Flaw::UnknownIssuer,
    Flaw::SelfSigned,
    Flaw::WrongUsage,
    Flaw::Corrupted,
    Flaw::Unreadable,
];

/// The name of a key whose certificate has the flaw, or of a good one whose certificate gets it.
fn owner(flaw: Flaw, purpose: CertificateUse) -> String {
    let person = match flaw {
        Flaw::Expired => "expired",
        Flaw::NotYetValid => "future",
        Flaw::UnknownIssuer => "mallory",
        Flaw::SelfSigned => "self-signed",
        Flaw::WrongUsage => "wrong-usage",
        Flaw::Corrupted | Flaw::Unreadable => "dave",
    };
    format!("{person}-{}", if purpose == Cipher { "cipher" } else { "signature" })
}

fn flawed(flaw: Flaw, purpose: CertificateUse) -> Vec<u8> {
    let mut der = der(&owner(flaw, purpose));
    match flaw {
        Flaw::Corrupted => *der.last_mut().unwrap() ^= 1,
        Flaw::Unreadable => der = b"no certificate".to_vec(),
        _ => {}
    }
    der
}

/// A signed delivery in clear with one flawed certificate; everybody else's are good.
fn message(role: Role, purpose: CertificateUse, flaw: Flaw, id: &MessageId, sealed: bool) -> Vec<u8> {
    let mut alice = Client::alice();
    alice.sealed = sealed;
    let entry = CertificateEntry::new(role, purpose, 0, flawed(flaw, purpose));
    let mut delivery = Delivery::to("bob-cipher", id);
    let is_originator = role == Role::Originator;
    match role {
        Role::Originator => {}
        Role::Addressee => delivery.certificates = vec![entry.clone()],
        _ => delivery.certificates.push(entry.clone()),
    }
    let mut draft = alice.store(delivery);
    if is_originator {
        replace_originator(&mut draft, entry, purpose);
    }
    let signer =
        if is_originator && purpose == Signature { owner(flaw, purpose) } else { "alice-signature".to_owned() };
    let block = draft.signature().sign(&rsa_signer(&signer));
    let message = draft.mime(&draft.envelope(Some(&block)));
    if sealed { Seal::new(&message, key("intermediary-cipher")).write() } else { message }
}

fn replace_originator(draft: &mut Draft, entry: CertificateEntry, purpose: CertificateUse) {
    let addressee = CertificateEntry::new(Role::Addressee, Cipher, 0, der("bob-cipher"));
    let block = match purpose {
        Cipher => certificates(None, Some("alice-signature"), vec![addressee, entry]),
        Signature => certificates(Some("alice-cipher"), None, vec![addressee, entry]),
    }
    .to_block();
    draft.block("nonintermediarycertificates").text = block.canonical().to_owned();
}

/// The outcome for a role: by outside validity, incomplete check, and forged.
fn expected(role: Role, purpose: CertificateUse, flaw: Flaw) -> Expected {
    let (outside, incomplete, forged) = match (role, purpose) {
        (Role::Originator, Cipher) => (3500, 3501, 9501),
        (Role::Originator, Signature) => (3700, 3707, 9700),
        (Role::Addressee, _) => (3705, 3707, 9706),
        (Role::OtherAuthor, Cipher) => (3704, 3707, 9704),
        (Role::OtherAuthor, Signature) => (3701, 3707, 3702),
        _ => (3706, 3707, 9708),
    };
    let code = match flaw {
        Flaw::Expired | Flaw::NotYetValid => outside,
        Flaw::UnknownIssuer | Flaw::SelfSigned | Flaw::WrongUsage => incomplete,
        Flaw::Corrupted | Flaw::Unreadable => forged,
    };
    // A transport signature needs a certificate that it can be checked with and that is meant for it.
    let unusable =
        role == Role::Originator && purpose == Signature && matches!(flaw, Flaw::WrongUsage | Flaw::Unreadable);
    match code {
        _ if unusable && flaw == Flaw::WrongUsage => refused(&[9601, code]),
        _ if unusable => refused(&[9601]),
        9500..=9503 => fault(code),
        9000.. => refused(&[code]),
        _ => executed(&[800, code]),
    }
}

const ROLES: [(Role, CertificateUse); 6] = [
    (Role::Originator, Cipher),
    (Role::Originator, Signature),
    (Role::Addressee, Cipher),
    (Role::OtherAuthor, Cipher),
    (Role::OtherAuthor, Signature),
    (Role::OtherReader, Cipher),
];

#[test]
fn every_flaw_in_every_role() {
    let bench = Bench::default();
    let mut failures = Vec::new();
    for (role, purpose) in ROLES {
        for flaw in FLAWS {
            let before = bench.stats();
            let answer = bench.handle(message(role, purpose, flaw, &bench.fresh_id(), false));
            let (found, expected) = (outcome(&answer), expected(role, purpose, flaw));
            if found != expected {
                failures.push(format!("{role:?} {purpose:?} {flaw:?}: {found:?}, not {expected:?}"));
            }
            let after = bench.stats();
            let left = (after.waiting - before.waiting, after.log_size - before.log_size);
            let traces = match expected {
                Expected::Executed(_) => (1, 1),
                Expected::Refused(_) => (0, 1),
                Expected::Fault(_) => (0, 0),
            };
            if left != traces {
                failures.push(format!("{role:?} {purpose:?} {flaw:?}: left {left:?}, not {traces:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

/// When the answer has to be encrypted, a cipher certificate of the client that cannot be encrypted for stops the order before it is
/// executed: an order whose answer cannot be given must not have happened.
#[test]
fn an_order_is_not_executed_if_its_answer_cannot_be_encrypted() {
    let bench = Bench::default();
    let mut cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("no certificate", Vec::new(), 9500),
        ("an elliptic key", der("ec-p256-signature"), 9503),
        ("a forged certificate", flawed(Flaw::Corrupted, Cipher), 9501),
        ("an unreadable certificate", flawed(Flaw::Unreadable, Cipher), 9501),
    ];
    let mut cut = der("alice-cipher");
    cut.truncate(600);
    cases.push(("half a certificate", cut, 9501));
    for (name, certificate, code) in cases {
        let mut alice = Client::alice();
        let mut draft = alice.store(Delivery::to("bob-cipher", &bench.fresh_id()));
        let addressee = CertificateEntry::new(Role::Addressee, Cipher, 0, der("bob-cipher"));
        let mut entries = vec![addressee];
        if !certificate.is_empty() {
            entries.push(CertificateEntry::new(Role::Originator, Cipher, 0, certificate));
        }
        let block = certificates(None, Some("alice-signature"), entries).to_block();
        draft.block("nonintermediarycertificates").text = block.canonical().to_owned();
        let answer = bench.handle(alice.encode(&draft));
        assert_eq!(answer.fault(), Some(code), "{name}");
        assert_eq!((bench.stats().waiting, bench.stats().log_size), (0, 0), "{name}");
    }
}

#[test]
fn several_flaws_are_all_told() {
    let bench = Bench::default();
    let mut alice = Client::alice().in_clear();
    let mut delivery = Delivery::to("expired-cipher", &bench.fresh_id());
    let add = |delivery: &mut Delivery, role, purpose, number, flaw| {
        delivery.certificates.push(CertificateEntry::new(role, purpose, number, flawed(flaw, purpose)));
    };
    add(&mut delivery, Role::OtherAuthor, Signature, 0, Flaw::Corrupted);
    add(&mut delivery, Role::OtherReader, Cipher, 0, Flaw::Expired);
    add(&mut delivery, Role::OtherReader, Cipher, 1, Flaw::UnknownIssuer);
    add(&mut delivery, Role::OtherReader, Cipher, 2, Flaw::NotYetValid);
    let draft = alice.store(delivery);
    let mut codes = alice.codes(&bench, &draft);
    assert_eq!(codes.remove(0), 800);
    codes.sort_unstable();
    assert_eq!(codes, [3702, 3705, 3706, 3707], "every code once");
}

#[test]
fn an_error_is_told_before_the_warnings_and_nothing_is_stored() {
    let bench = Bench::default();
    let mut alice = Client::alice().in_clear();
    let mut delivery = Delivery::to("expired-cipher", &bench.fresh_id());
    let forged = flawed(Flaw::Corrupted, Cipher);
    delivery.certificates.push(CertificateEntry::new(Role::OtherReader, Cipher, 0, forged));
    let draft = alice.store(delivery);
    assert_eq!(alice.codes(&bench, &draft), [9708, 3705]);
    assert_eq!(bench.stats().waiting, 0);
}

/// InitDialog with a certificate of somebody else gets an answer that only that one can read.
#[test]
fn nobody_can_open_a_dialog_for_somebody_else() {
    let bench = Bench::default();
    let mut mallory = Client::new("bob-cipher", "mallory-signature");
    let draft = mallory.init();
    let answer = bench.handle(mallory.encode(&draft));
    assert_eq!(answer.codes, [801, 3707]);
    let sealed_for_bob = super::stage::find(&answer.bytes, &base64_prefix(&der("bob-cipher")));
    assert!(sealed_for_bob > 0);
    let keys = key_ring(key("mallory-cipher"), None);
    let spools = SpoolDir::new(std::env::temp_dir());
    let (answer, policy) = (Spool::from_bytes(answer.bytes), Policy::standard());
    let opened = open(answer, &keys, &policy, NOW, &spools, &SystemRandom, &Limits::default());
    assert!(opened.is_err());
}

/// The beginning of a certificate in base64, as it stands in one line.
fn base64_prefix(der: &[u8]) -> Vec<u8> {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &der[..54]).into_bytes()
}
