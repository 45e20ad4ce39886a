//! Does a request end as its facts say.

use rohrpost_crypto::policy::{Policy, Purpose, Ruling};
use rohrpost_intermediary::Outcome;
use rohrpost_osci::feedback::Severity;
use rohrpost_osci::message::Response;
use rohrpost_pipeline::verify::SignatureState;
use rohrpost_pki::KeyEntry;
use serde_json::Value;

use super::vector::Vector;
use super::world::World;
use crate::harness::{Answer, Bench};

/// How often what happened: a run that checks nothing must not look like a success.
#[derive(Debug, Default)]
pub struct Counts {
    pub executed: usize,
    pub refused: usize,
    pub faults: usize,
    /// Answers that were opened and verified with the client's key.
    pub read: usize,
    /// Messages to somebody else than an intermediary.
    pub skipped: usize,
}

/// Codes that say what an order found in the store, which is no matter of the request.
const FOUND_NOTHING: [u16; 2] = [9803, 9804];

/// Messages that may end otherwise than their facts say, and why.
const EXCEPTIONS: [(&str, u16, &str); 4] = [
    ("neg-fetch-implicit", 9500, "outside of a dialog nobody is known for whom the answer could be encrypted"),
    (
        "algo-ecdsa-explicit-p256",
        9601,
        "curve parameters are spelled out: RFC 5480 forbids it, we know named curves only",
    ),
    ("algo-ecdsa-explicit-prime192v3", 9601, "the same, and 192 bits are too few"),
    ("algo-ecdsa-explicit-prime239v1", 9601, "the same, and 239 bits are too few"),
];

/// The code that an algorithm costs which the policy does not let pass at the time of the message.
fn refused_by_policy(vector: &Vector) -> Option<u16> {
    let policy = Policy::standard();
    let refuses = |purpose, uri: &Value| {
        uri.as_str().is_some_and(|uri| policy.judge(purpose, uri, None, vector.time().date()) == Ruling::Refuse)
    };
    let (transport, signature) = (&vector.facts["transport"], &vector.facts["transport_signature"]);
    if refuses(Purpose::TransportEncryption, &transport["content_encryption"]) {
        return Some(9202);
    }
    let references = signature["references"].as_array().map_or(&[][..], Vec::as_slice);
    let digests = references.iter().any(|reference| refuses(Purpose::Digest, &reference["digest_algorithm"]));
    (digests || refuses(Purpose::TransportSignature, &signature["signature_algorithm"])).then_some(9601)
}

pub fn request(world: &World, vector: &Vector, counts: &mut Counts) -> Vec<String> {
    if !vector.facts["context"].is_object() {
        counts.skipped += 1;
        return Vec::new();
    }
    let bench = world.bench();
    world.prepare(&bench, vector);
    let answer = bench.handle_at(vector.octets(), vector.time());
    match answer.outcome {
        Outcome::Executed => counts.executed += 1,
        Outcome::Refused => counts.refused += 1,
        Outcome::Fault => counts.faults += 1,
    }
    let mut failures = Vec::new();
    if let Err(failure) = outcome(vector, &answer) {
        failures.push(failure);
    }
    if let Err(failure) = traces(&bench, &answer) {
        failures.push(failure);
    }
    if answer.outcome == Outcome::Fault {
        assert_eq!(answer.fault(), answer.codes.first().copied());
    } else if let Some(reader) = world.reader(vector) {
        counts.read += 1;
        if let Err(failure) = readable(vector, &answer, reader) {
            failures.push(failure);
        }
    }
    failures
}

fn outcome(vector: &Vector, answer: &Answer) -> Result<(), String> {
    let expected = &vector.facts["expected"];
    let (outcome, level) = (expected["outcome"].as_str().unwrap(), expected["level"].as_str().unwrap_or("either"));
    let codes = Vector::codes(&expected["codes"]);
    let said = format!("{:?} {:?}", answer.outcome, answer.codes);
    if !vector.is_offered() {
        let right = (answer.outcome, answer.codes.as_slice()) == (Outcome::Fault, &[9300]);
        return if right { Ok(()) } else { Err(format!("{said} for an order that is not offered")) };
    }
    if let Some(code) = EXCEPTIONS.iter().find(|(name, ..)| *name == vector.name).map(|(_, code, _)| *code) {
        return if answer.codes[0] == code { Ok(()) } else { Err(format!("{said}, expected {code}")) };
    }
    if let Some(code) = refused_by_policy(vector) {
        return if answer.codes == [code] { Ok(()) } else { Err(format!("{said}, the policy demands {code}")) };
    }
    let executed = match answer.outcome {
        Outcome::Executed => true,
        Outcome::Refused => FOUND_NOTHING.contains(&answer.codes[0]),
        Outcome::Fault => false,
    };
    let warnings: Vec<u16> = answer.codes[1..].to_vec();
    let right = match outcome {
        "accept" => executed && warnings.is_empty(),
        "accept-with-warning" => executed && warnings == codes,
        "accept-or-reject" => executed || codes.contains(&answer.codes[0]),
        "reject" => {
            let level_is_right = match answer.outcome {
                Outcome::Executed => false,
                Outcome::Refused => level != "soap-fault",
                Outcome::Fault => level != "feedback",
            };
            level_is_right && codes.contains(&answer.codes[0])
        }
        other => return Err(format!("unknown outcome {other}")),
    };
    if right { Ok(()) } else { Err(format!("{said}, expected {outcome} {level} {codes:?}")) }
}

/// What an order leaves behind: a delivery and its entry in the log, the entry of a refusal, or nothing.
fn traces(bench: &Bench, answer: &Answer) -> Result<(), String> {
    let stats = bench.stats();
    let expected = match (answer.order, answer.outcome) {
        ("StoreDelivery", Outcome::Executed) => (1, 1),
        ("StoreDelivery", Outcome::Refused) => (0, 1),
        _ => (0, 0),
    };
    let found = (stats.waiting, stats.log_size);
    if found == expected { Ok(()) } else { Err(format!("deliveries and log entries: {found:?}, not {expected:?}")) }
}

/// The answer is protected as the request was, and says what we think it says.
fn readable(vector: &Vector, answer: &Answer, reader: &KeyEntry) -> Result<(), String> {
    let verified = answer.opened(reader);
    let encrypted = verified.read().opened().protection().is_some();
    if encrypted != vector.is_encrypted() {
        return Err(format!("encrypted: request {}, answer {encrypted}", vector.is_encrypted()));
    }
    let signed = match verified.signature() {
        SignatureState::Absent => false,
        SignatureState::Covered { .. } => true,
        other => return Err(format!("the signature of the answer: {other:?}")),
    };
    let request_signed = vector.inner().windows(16).any(|window| window == b":ClientSignature");
    if signed != request_signed {
        return Err(format!("signed: request {request_signed}, answer {signed}"));
    }
    let response = Response::parse(verified.read().envelope()).map_err(|error| format!("{error}"))?;
    let said: Vec<_> = response.feedback().entries().iter().filter_map(|entry| entry.code.known()).collect();
    let numbers: Vec<u16> = said.iter().map(|code| code.number()).collect();
    if numbers != answer.codes {
        return Err(format!("the answer says {numbers:?}, the log {:?}", answer.codes));
    }
    let succeeded = said.iter().filter(|code| code.severity() == Severity::Success).count();
    let in_order = said.first().is_some_and(|code| code.severity() != Severity::Warning) && succeeded <= 1;
    if in_order { Ok(()) } else { Err(format!("the order of the entries: {numbers:?}")) }
}
