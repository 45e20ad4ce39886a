//! A small authority with everything around it.

use rohrpost_crypto::{Curve, PrivateKey, SystemRandom};
use rohrpost_pki::Certificate;
use rohrpost_pki::issue::{Authority, Name, Template, Validity};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

pub(crate) const NOW: OffsetDateTime = datetime!(2026-06-01 12:00 UTC);
pub(crate) const RESPONDER: &str = "http://ocsp.example/";
pub(crate) const LIST: &str = "http://lists.example/all.crl";

/// From an hour ago until in an hour.
pub(crate) fn current() -> Validity {
    Validity::new(NOW - Duration::HOUR, NOW + Duration::HOUR)
}

pub(crate) fn long() -> Validity {
    Validity::new(datetime!(2025-01-01 0:00 UTC), datetime!(2035-01-01 0:00 UTC))
}

pub(crate) fn key() -> PrivateKey {
    PrivateKey::generate_ec(Curve::P256).unwrap()
}

pub(crate) fn name(common: &str) -> Name {
    Name::new().country("DE").common_name(common)
}

pub(crate) struct Pki {
    pub(crate) root: Authority,
    pub(crate) leaf: Certificate,
    pub(crate) other: Certificate,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let root = authority("Root");
        let leaf = issue(&root, &Template::signature(name("Leaf"), long()).responder(RESPONDER).revocation_list(LIST));
        let other = issue(&root, &Template::signature(name("Other"), long()));
        Self { root, leaf, other }
    }

    /// Somebody who answers for the root.
    pub(crate) fn delegate(&self) -> Authority {
        self.delegate_by(&Template::ocsp_signing(name("Responder"), long()))
    }

    pub(crate) fn delegate_by(&self, template: &Template) -> Authority {
        delegate_of(&self.root, template)
    }
}

pub(crate) fn delegate_of(issuer: &Authority, template: &Template) -> Authority {
    let key = key();
    let certificate = issuer.issue(template, key.public_key(), &SystemRandom).unwrap();
    Authority::new(certificate, key).unwrap()
}

pub(crate) fn authority(common: &str) -> Authority {
    Authority::root(&Template::authority(name(common), long(), None), key(), &SystemRandom).unwrap()
}

pub(crate) fn issue(issuer: &Authority, template: &Template) -> Certificate {
    issuer.issue(template, key().public_key(), &SystemRandom).unwrap()
}

/// One element of DER with short or two-octet length.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    let head = if length < 128 { vec![tag, length] } else { vec![tag, 0x81, length] };
    [&head, content].concat()
}
