//! The intermediary changes its keys without a restart.

use rohrpost_crypto::SignatureAlgorithm;
use rohrpost_pipeline::keyring::{CipherPair, KeyChange, SignaturePair};
use rohrpost_pipeline::verify::SignatureState;
use std::sync::Arc;
use time::Duration;

use crate::harness::{Bench, Client, NOW, Setup, der, key};

/// From an hour later on, the keys with 2048 bits.
fn bench() -> Bench {
    let (cipher, signature) = (key("intermediary-2048-cipher"), key("intermediary-2048-signature"));
    let change = KeyChange {
        from: NOW + Duration::HOUR,
        cipher: Some(CipherPair {
            certificate: cipher.certificate.clone(),
            key: Arc::new(cipher.key.decryptor().unwrap()),
        }),
        signature: Some(SignaturePair {
            certificate: signature.certificate.clone(),
            key: Arc::new(signature.key.signer(SignatureAlgorithm::RsaSha256).unwrap()),
        }),
    };
    let mut setup = Setup::default();
    setup.keys = setup.keys.with_change(change);
    setup.start()
}

fn signer(bench: &Bench, later: Duration) -> Vec<u8> {
    let mut alice = Client::alice();
    let draft = alice.get_message_id();
    let answer = bench.handle_at(alice.encode(&draft), NOW + later);
    assert_eq!(answer.codes, [800]);
    let verified = alice.read(&answer);
    let SignatureState::Covered { signer, .. } = verified.signature() else { panic!("not signed") };
    signer.der().to_vec()
}

#[test]
fn answers_are_signed_with_the_new_key_from_the_date_on() {
    let bench = bench();
    assert_eq!(signer(&bench, Duration::minutes(59)), der("intermediary-signature"));
    assert_eq!(signer(&bench, Duration::HOUR), der("intermediary-2048-signature"));
}

#[test]
fn requests_for_either_cipher_key_are_opened_before_and_after() {
    let bench = bench();
    for intermediary in ["intermediary-cipher", "intermediary-2048-cipher"] {
        for later in [Duration::ZERO, Duration::hours(2)] {
            let mut alice = Client::alice();
            alice.intermediary = intermediary;
            let draft = alice.get_message_id();
            assert_eq!(alice.codes_at(&bench, &draft, NOW + later), [800], "{intermediary} {later}");
        }
    }
}

#[test]
fn a_dialog_goes_on_across_the_change() {
    let bench = bench();
    let mut alice = Client::alice().open_at(&bench, NOW + Duration::minutes(55));
    let draft = alice.get_message_id();
    assert_eq!(alice.codes_at(&bench, &draft, NOW + Duration::minutes(65)), [801]);
}
