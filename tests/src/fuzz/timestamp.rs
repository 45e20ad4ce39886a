//! Answers of time-stamp services. So that not everything ends at the signature, the input is also taken for what is stamped, and
//! signed by a service that the test PKI trusts.

use std::sync::LazyLock;

use rohrpost_crypto::{Curve, PrivateKey, Random, SystemRandom};
use rohrpost_pki::issue::{Authority, Name, Template, TimestampAnswer, Validity};
use rohrpost_pki::timestamp::{MAX_LEN, TimestampRequest, TimestampTrust};
use rohrpost_pki::{Anchors, Certificate, pem};
use time::OffsetDateTime;
use time::macros::datetime;

use super::certificates::test_key;

struct Pki {
    service: Authority,
    certificates: [Certificate; 1],
    trust: TimestampTrust,
    question: TimestampRequest,
}

/// The question whose answers the seeds are.
struct Fixed;

impl Random for Fixed {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0x5a);
    }
}

const IMPRINT: [u8; 32] = [7; 32];
const AT: OffsetDateTime = datetime!(2026-11-25 15:30 UTC);

static PKI: LazyLock<Pki> = LazyLock::new(|| {
    let file = std::fs::read(crate::certs_test("ca/registry-ca.cert.pem")).expect("the test PKI is committed");
    let issuer = pem::certificates(&file).expect("a certificate").remove(0);
    let mut anchors = Anchors::new();
    anchors.add(issuer.clone()).expect("an authority");
    let issuer = Authority::new(issuer, test_key("../ca/registry-ca")).expect("they belong together");
    let validity = Validity::new(datetime!(2026-01-01 0:00 UTC), datetime!(2028-01-01 0:00 UTC));
    let template = Template::time_stamping(Name::new().common_name("Stamps"), validity);
    let key = PrivateKey::generate_ec(Curve::P256).expect("a key");
    let service = issuer.subordinate(&template, key, &SystemRandom).expect("a certificate");
    let certificates = [service.certificate().clone()];
    let mut trust = TimestampTrust::new(anchors);
    trust.tolerance = time::Duration::days(36_500);
    Pki { service, certificates, trust, question: TimestampRequest::new(IMPRINT, &Fixed) }
});

/// Bytes as the answer of a service, and as what is stamped in one.
pub fn timestamp_response(data: &[u8]) {
    answer(data);
    let mut stamped = TimestampAnswer::to(&PKI.question, AT, &PKI.certificates);
    stamped.info = Some(data);
    answer(&PKI.service.stamp(&stamped).expect("everything can be encoded"));
}

fn answer(octets: &[u8]) {
    let Ok(token) = PKI.trust.accept(octets, &PKI.question, AT) else { return };
    assert!(octets.len() <= MAX_LEN);
    assert!(octets.ends_with(token.der()), "the token is what was given");
    for said in [PKI.question.imprint().as_slice(), &[0x5a; 15]] {
        assert!(octets.windows(said.len()).any(|window| window == said), "a stamp repeats imprint and nonce");
    }
    assert_eq!(PKI.trust.verify(token.der(), &IMPRINT), Ok(token.clone()), "what counts goes on counting");
    assert!(PKI.trust.verify(token.der(), &[8; 32]).is_err(), "for nothing else");
}
