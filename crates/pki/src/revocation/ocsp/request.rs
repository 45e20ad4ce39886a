//! Asking.

use rohrpost_crypto::Random;

use super::{HASHES, IssuerHashes, NONCE, hash_identifier};
use crate::certificate::Certificate;
use crate::der;

/// A question about one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspRequest {
    der: Vec<u8>,
    nonce: Option<[u8; Self::NONCE_LEN]>,
}

impl OcspRequest {
    /// Octets of a nonce (RFC 9654, 2.1).
    pub const NONCE_LEN: usize = 32;

    /// Asks about a certificate; `random` gives a nonce. `None` if the issuer's key cannot be read.
    #[must_use]
    pub fn new(certificate: &Certificate, issuer: &Certificate, random: Option<&dyn Random>) -> Option<Self> {
        let (oid, hash) = HASHES[0];
        let hashes = IssuerHashes::of(issuer, hash)?;
        let id = der::sequence(&[
            hash_identifier(oid),
            der::tlv(der::OCTET_STRING, &hashes.name),
            der::tlv(der::OCTET_STRING, &hashes.key),
            der::tlv(der::INTEGER, certificate.serial_der()),
        ]);
        let nonce = random.map(|random| {
            let mut nonce = [0; Self::NONCE_LEN];
            random.fill(&mut nonce);
            nonce
        });
        let mut parts = vec![der::sequence(&[der::sequence(&[id])])];
        if let Some(nonce) = &nonce {
            let value = der::tlv(der::OCTET_STRING, &der::tlv(der::OCTET_STRING, nonce));
            let extension = der::sequence(&[der::tlv(der::OID, NONCE), value]);
            parts.push(der::tlv(0xa2, &der::sequence(&[extension])));
        }
        Some(Self { der: der::sequence(&[der::sequence(&parts)]), nonce })
    }

    /// The encoding, to be sent as `application/ocsp-request`.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// What the answer must repeat, if a nonce is sent.
    #[must_use]
    pub fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_ref().map(<[u8; Self::NONCE_LEN]>::as_slice)
    }
}
