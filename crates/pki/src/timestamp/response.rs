//! What a service sends: a status, and a token if all went well (RFC 3161, 2.4.2).

use super::{FailureInfo, MAX_LEN, TimestampError};
use crate::der::{self, Reader};

const GRANTED: u8 = 0;
const GRANTED_WITH_MODS: u8 = 1;

/// The encoded token in an answer.
pub(super) fn token(octets: &[u8]) -> Result<&[u8], TimestampError> {
    if octets.len() > MAX_LEN {
        return Err(TimestampError::TooLarge);
    }
    let answer = read(octets).ok_or(TimestampError::Malformed("not an answer of a time-stamp service"))?;
    match (answer.status, answer.token) {
        // We ask for nothing that anybody might have to change.
        (GRANTED_WITH_MODS, _) => Err(TimestampError::Modified),
        (GRANTED, Some(token)) => Ok(token),
        (GRANTED, None) => Err(TimestampError::Malformed("granted, but nothing is there")),
        (status, _) => Err(TimestampError::Refused { status, info: answer.info }),
    }
}

struct Answer<'a> {
    status: u8,
    info: Option<FailureInfo>,
    token: Option<&'a [u8]>,
}

fn read(octets: &[u8]) -> Option<Answer<'_>> {
    let mut outer = Reader::new(octets);
    let mut answer = Reader::new(outer.take(der::SEQUENCE)?.content);
    outer.end()?;
    let mut info = Reader::new(answer.take(der::SEQUENCE)?.content);
    let &[status] = info.take(der::INTEGER)?.content else { return None };
    info.optional(der::SEQUENCE)?;
    let failure = info.optional(der::BIT_STRING)?.and_then(|bits| first_bit(bits.content));
    info.end()?;
    let token = answer.optional(der::SEQUENCE)?.map(|token| token.raw);
    answer.end()?;
    Some(Answer { status, info: failure.and_then(FailureInfo::from_bit), token })
}

/// The number of the first bit that is set.
fn first_bit(bit_string: &[u8]) -> Option<usize> {
    let (_unused, octets) = bit_string.split_first()?;
    let at = octets.iter().position(|&octet| octet != 0)?;
    Some(at * 8 + usize::try_from(octets[at].leading_zeros()).ok()?)
}
