//! What lists and answers have in common: a signature, and numbers of certificates.

use rohrpost_crypto::PublicKey;
use rohrpost_crypto::policy::Policy;
use time::{OffsetDateTime, UtcOffset};

use super::{Doubt, SKEW};
use crate::certificate::Certificate;
use crate::der::{self, Reader};
use crate::signatures::acceptable;

/// `SIGNED` (RFC 5280, 4.1.1): what is signed, how, and the signature.
#[derive(Clone, Copy)]
pub(super) struct Signed<'a> {
    pub(super) tbs: der::Element<'a>,
    pub(super) algorithm: &'a [u8],
    pub(super) signature: &'a [u8],
}

impl<'a> Signed<'a> {
    pub(super) fn read(from: &mut Reader<'a>) -> Option<Self> {
        let tbs = from.take(der::SEQUENCE)?;
        let algorithm = from.take(der::SEQUENCE)?.raw;
        match from.take(der::BIT_STRING)?.content {
            [0, signature @ ..] => Some(Self { tbs, algorithm, signature }),
            _ => None,
        }
    }
}

/// Whether `key` signed `octets`, in a way that counts.
pub(super) fn verify(
    octets: &[u8],
    algorithm: &[u8],
    signature: &[u8],
    key: &PublicKey,
    policy: &Policy,
    at: OffsetDateTime,
) -> Result<(), Doubt> {
    let day = at.to_offset(UtcOffset::UTC).date();
    let (algorithm, _) =
        acceptable(algorithm, key, policy, day).map_err(|reason| Doubt::Algorithm(Box::new(reason)))?;
    key.verify_x509(algorithm, octets, signature).map_err(|_| Doubt::SignatureWrong)
}

/// The key of an issuer.
pub(super) fn key_of(issuer: &Certificate) -> Result<PublicKey, Doubt> {
    issuer.public_key().map_err(|_| Doubt::NotAuthorised("the issuer's key cannot be used"))
}

/// Whether two serial numbers are the same, however sloppily they were encoded.
pub(super) fn same_serial(left: &[u8], right: &[u8]) -> bool {
    significant(left) == significant(right)
}

fn significant(octets: &[u8]) -> &[u8] {
    let zeros = octets.iter().take_while(|&&octet| octet == 0).count();
    &octets[zeros..]
}

/// Whether something made at `from` is there by now.
pub(super) fn must_have_begun(from: OffsetDateTime, at: OffsetDateTime) -> Result<(), Doubt> {
    if from > at + SKEW { Err(Doubt::NotYet { from }) } else { Ok(()) }
}
