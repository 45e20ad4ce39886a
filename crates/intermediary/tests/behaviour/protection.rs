//! How answers are protected, and whose signature a request must have (OSCI-Transport 1.2, encryption agreement and roles).

use std::collections::BTreeSet;

use rohrpost_crypto::cipher::IvLength;
use rohrpost_crypto::{BlockCipher, KeyTransport};
use rohrpost_intermediary::{Context, SignatureDemand};
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_pipeline::spool::Spool;
use rohrpost_pipeline::verify::SignatureState;

use crate::harness::{Bench, Client, Draft, NOW, Seal, Setup, key, rsa_signer};

const NIC: &str = "nonintermediarycertificates";

fn without(draft: &mut Draft, id: &str) {
    draft.blocks.retain(|block| block.id != id);
}

#[test]
fn an_answer_is_protected_as_its_request_was() {
    let bench = Bench::default();
    for signed in [false, true] {
        for sealed in [false, true] {
            let mut alice = Client::alice();
            alice.sealed = sealed;
            if !signed {
                alice.signature = None;
            }
            let draft = alice.get_message_id();
            let answer = bench.handle(alice.encode(&draft));
            let verified = alice.read(&answer);
            assert_eq!(verified.read().opened().protection().is_some(), sealed);
            assert_eq!(matches!(verified.signature(), SignatureState::Covered { .. }), signed);
        }
    }
}

#[test]
fn the_algorithms_of_the_answer_are_those_the_client_can_read() {
    let bench = Bench::default();
    for (cipher, iv, features, answer_cipher, answer_iv) in [
        (BlockCipher::Aes256Gcm, IvLength::Twelve, true, BlockCipher::Aes256Gcm, IvLength::Twelve),
        (BlockCipher::Aes256Gcm, IvLength::Sixteen, true, BlockCipher::Aes256Gcm, IvLength::Twelve),
        (BlockCipher::Aes256Gcm, IvLength::Sixteen, false, BlockCipher::Aes256Gcm, IvLength::Sixteen),
        (BlockCipher::Aes128Gcm, IvLength::Twelve, false, BlockCipher::Aes256Gcm, IvLength::Twelve),
    ] {
        let mut alice = Client::alice().unsigned();
        let mut draft = alice.get_message_id();
        if !features {
            without(&mut draft, "featuredescription");
        }
        let message = draft.mime(&draft.envelope(None));
        let answer = bench.handle(Seal::with(&message, key("intermediary-cipher"), cipher, iv).write());
        let verified = alice.read(&answer);
        let used = verified.read().opened().protection().unwrap().encryption;
        assert_eq!((used.cipher, used.iv), (answer_cipher, answer_iv), "{cipher:?} {iv:?} {features}");
        assert_eq!(used.transport, KeyTransport::OAEP_SHA256);
        let states_length = String::from_utf8_lossy(&answer.bytes).contains("IvLength");
        assert_eq!(states_length, answer_iv == IvLength::Twelve, "16 octets are meant where nothing is stated");
    }
}

/// Whom a request counts for when turns are shared out: nobody may use up the share of another.
#[test]
fn only_who_signs_with_a_trusted_certificate_counts_as_originator() {
    let bench = Bench::default();
    let originator = |bytes: Vec<u8>| {
        let context = Context { now: NOW, correlation_id: "test".to_owned() };
        bench.intermediary.handle(Spool::from_bytes(bytes), &context).originator
    };
    let mut alice = Client::alice();
    let draft = alice.get_message_id();
    assert_eq!(originator(alice.encode(&draft)), Some(key("alice-signature").certificate.fingerprint()));
    let tampered = Client::alice().get_message_id();
    let signature = tampered.signature().sign(&rsa_signer("mallory-signature"));
    let message = tampered.mime(&tampered.envelope(Some(&signature)));
    assert_eq!(originator(message), None, "signed by somebody else");
    let mut unsigned = Client::alice().unsigned();
    let draft = unsigned.get_message_id();
    assert_eq!(originator(unsigned.encode(&draft)), None, "not signed");
    let mut stranger = Client::new("self-signed-cipher", "self-signed-signature");
    let draft = stranger.get_message_id();
    assert_eq!(originator(stranger.encode(&draft)), None, "a certificate that anybody can make");
}

#[test]
fn within_a_dialog_the_signer_is_known_from_its_opening() {
    let bench = Bench::default();
    let mut alice = Client::alice().open(&bench);
    let mut draft = alice.fetch(DeliverySelection::Oldest);
    without(&mut draft, NIC);
    assert_eq!(alice.codes(&bench, &draft), [9803]);
    // Somebody else's signature does not become good by leaving the certificate out.
    let mut draft = alice.fetch(DeliverySelection::Oldest);
    without(&mut draft, NIC);
    let forged = draft.signature().sign(&rsa_signer("bob-signature"));
    let message = draft.mime(&draft.envelope(Some(&forged)));
    let answer = bench.handle(Seal::new(&message, key("intermediary-cipher")).write());
    alice.read(&answer);
    assert_eq!(answer.codes, [9601]);
}

#[test]
fn a_dialog_opened_without_signature_knows_no_signer() {
    let bench = Bench::default();
    let mut alice = Client::alice().unsigned().open(&bench);
    alice.signature = Some("alice-signature");
    let mut draft = alice.fetch(DeliverySelection::Oldest);
    without(&mut draft, NIC);
    assert_eq!(alice.codes(&bench, &draft), [9601]);
    let draft = alice.fetch(DeliverySelection::Oldest);
    assert_eq!(alice.codes(&bench, &draft), [9803]);
}

#[test]
fn signatures_can_be_demanded_for_some_orders() {
    let demand = SignatureDemand::Only(BTreeSet::from(["StoreDelivery"]));
    let bench = Setup::with(|settings| settings.signatures = demand).start();
    let mut alice = Client::alice().unsigned();
    let draft = alice.get_message_id();
    assert_eq!(alice.codes(&bench, &draft), [800]);
    let mut alice = Client::alice().unsigned();
    let draft = alice.store(crate::harness::Delivery::to("bob-cipher", &bench.fresh_id()));
    assert_eq!(alice.codes(&bench, &draft), [9600]);
    let mut alice = Client::alice();
    let draft = alice.store(crate::harness::Delivery::to("bob-cipher", &bench.fresh_id()));
    assert_eq!(alice.codes(&bench, &draft), [800]);
}

#[test]
fn private_keys_are_used_no_more_than_needed() {
    let bench = Bench::default();
    let mut alice = Client::alice();
    let draft = alice.get_message_id();
    alice.codes(&bench, &draft);
    let mut plain = Client::alice().unsigned().in_clear();
    let draft = plain.get_message_id();
    plain.codes(&bench, &draft);
    assert_eq!(bench.handle(&b"no message"[..]).fault(), Some(9100));
    let foreign = Seal::new(b"x", key("mallory-cipher")).write();
    assert_eq!(bench.handle(foreign).fault(), Some(9200));
    let counts = bench.intermediary.counts();
    assert_eq!((counts.decryptions, counts.signatures), (1, 1));
}
