//! Asking.

use rohrpost_crypto::Random;

use super::SHA256;
use crate::der;

/// A question for a stamp of one SHA-256 value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimestampRequest {
    der: Vec<u8>,
    imprint: [u8; 32],
    /// Content octets of the INTEGER.
    nonce: Vec<u8>,
}

impl TimestampRequest {
    /// Asks for a stamp of `imprint`, with a random nonce and the certificate of the service in the answer.
    #[must_use]
    pub fn new(imprint: [u8; 32], random: &dyn Random) -> Self {
        const TRUE: [u8; 3] = [der::BOOLEAN, 1, 0xff];
        let mut octets = [0; Self::NONCE_LEN];
        random.fill(&mut octets);
        // A positive number without leading zeros: services encode it anew.
        octets[0] = octets[0] & 0x3f | 0x40;
        let parts = [der::unsigned(&[1]), message_imprint(&imprint), der::tlv(der::INTEGER, &octets), TRUE.to_vec()];
        Self { der: der::sequence(&parts), imprint, nonce: octets.to_vec() }
    }

    /// Octets of a nonce.
    pub const NONCE_LEN: usize = 16;

    /// The encoding, to be posted as `application/timestamp-query`.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// What is to be stamped.
    #[must_use]
    pub fn imprint(&self) -> &[u8; 32] {
        &self.imprint
    }

    pub(crate) fn nonce(&self) -> &[u8] {
        &self.nonce
    }
}

fn message_imprint(value: &[u8]) -> Vec<u8> {
    const NULL: [u8; 2] = [0x05, 0];
    let algorithm = der::sequence(&[der::tlv(der::OID, SHA256), NULL.to_vec()]);
    der::sequence(&[algorithm, der::tlv(der::OCTET_STRING, value)])
}
