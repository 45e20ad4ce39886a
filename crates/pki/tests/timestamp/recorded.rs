//! What OpenSSL answers, recorded by the example `record-timestamps`.

use std::path::Path;

use rohrpost_crypto::SystemRandom;
use rohrpost_pki::Anchors;
use rohrpost_pki::timestamp::{FailureInfo, TimestampError, TimestampRequest, TimestampTrust};

use super::{Fixed, IMPRINT};

/// Settings of the service that answered.
const KINDS: [&str; 4] = ["sha256", "sha384", "sha512", "rsa"];

fn read(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/timestamp/recorded");
    std::fs::read(folder.join(name)).unwrap()
}

fn trust() -> TimestampTrust {
    TimestampTrust::new(Anchors::from_pem(&read("root.pem")).unwrap())
}

#[test]
fn stamps_of_openssl_count() {
    let question = TimestampRequest::new(IMPRINT, &Fixed);
    assert_eq!(
        question.der(),
        read("question.tsq"),
        "recorded answers are no answers any more: run the example `record-timestamps`"
    );
    for kind in KINDS {
        let answer = read(&format!("{kind}.tsr"));
        let at = time_of(&answer, &question);
        let token = trust().accept(&answer, &question, at).unwrap();
        assert_eq!((token.policy(), token.time()), ("1.2.3.4.1", at), "{kind}");
        trust().verify(token.der(), &IMPRINT).unwrap();
        let other = TimestampRequest::new(IMPRINT, &SystemRandom);
        assert_eq!(trust().accept(&answer, &other, at), Err(TimestampError::NonceWrong));
    }
}

#[test]
fn refusals_of_openssl_say_why() {
    let question = TimestampRequest::new(IMPRINT, &Fixed);
    let outcome = trust().accept(&read("refused.tsr"), &question, super::NOW);
    assert_eq!(outcome, Err(TimestampError::Refused { status: 2, info: Some(FailureInfo::UnacceptedPolicy) }));
}

/// When the recorded answer was made.
fn time_of(answer: &[u8], question: &TimestampRequest) -> time::OffsetDateTime {
    match trust().accept(answer, question, super::datetime!(2001-01-01 0:00 UTC)) {
        Err(TimestampError::NotNow { time }) => time,
        other => panic!("{other:?}"),
    }
}
