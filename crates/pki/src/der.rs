//! The few DER primitives this crate needs: a bounded reader over raw octets and small writers.

use time::{Date, Month, OffsetDateTime, Time};

/// One element of a DER encoding, still in place.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    /// Identifier, length and content octets.
    pub(crate) raw: &'a [u8],
    /// Content octets only.
    pub(crate) content: &'a [u8],
}

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const ENUMERATED: u8 = 0x0a;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// Reads the first element of `input` and returns it with what follows. `None` for anything that is
/// not DER: indefinite or over-long lengths, multi-octet tags, missing octets.
pub(crate) fn read(input: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, rest) = input.split_first()?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => read_long_length(usize::from(first & 0x7f), rest)?,
        _ => return None,
    };
    let header = input.len() - rest.len();
    let content = rest.get(..length)?;
    Some((Element { tag, raw: &input[..header + length], content }, &rest[length..]))
}

fn read_long_length(octets: usize, rest: &[u8]) -> Option<(usize, &[u8])> {
    let length = rest
        .get(..octets)?
        .iter()
        .try_fold(0usize, |sum, &octet| sum.checked_mul(256)?.checked_add(usize::from(octet)))?;
    let minimal = length > 0x7f && rest[0] != 0;
    minimal.then_some((length, &rest[octets..]))
}

/// Reads one element with the given tag.
pub(crate) fn expect(tag: u8, input: &[u8]) -> Option<(Element<'_>, &[u8])> {
    read(input).filter(|(element, _)| element.tag == tag)
}

/// All elements of a constructed value; `None` if they do not fill it exactly.
pub(crate) fn elements(mut content: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut found = Vec::new();
    while !content.is_empty() {
        let (element, rest) = read(content)?;
        found.push(element);
        content = rest;
    }
    Some(found)
}

/// Reads the elements of a constructed value one by one.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(content: &'a [u8]) -> Self {
        Self(content)
    }

    /// The next element, which must have this tag.
    pub(crate) fn take(&mut self, tag: u8) -> Option<Element<'a>> {
        let (element, rest) = expect(tag, self.0)?;
        self.0 = rest;
        Some(element)
    }

    /// The next element if it has this tag; the outer `None` is for octets that are no DER.
    pub(crate) fn optional(&mut self, tag: u8) -> Option<Option<Element<'a>>> {
        if self.0.first() != Some(&tag) {
            return Some(None);
        }
        self.take(tag).map(Some)
    }

    /// The tag of the next element.
    pub(crate) fn next_tag(&self) -> Option<u8> {
        self.0.first().copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `Some` if everything was read.
    pub(crate) fn end(&self) -> Option<()> {
        self.is_empty().then_some(())
    }
}

/// The moment that a UTCTime or a GeneralizedTime tells, in the only forms that certificates have (RFC 5280, 4.1.2.5): to the
/// second, in UTC.
pub(crate) fn moment(element: Element<'_>) -> Option<OffsetDateTime> {
    let digits = element.content.strip_suffix(b"Z")?;
    let number = |octets: &[u8]| -> Option<u16> {
        octets.iter().try_fold(0, |sum, octet| octet.is_ascii_digit().then(|| sum * 10 + u16::from(octet - b'0')))
    };
    let (year, rest) = match (element.tag, digits.len()) {
        (UTC_TIME, 12) => match number(&digits[..2])? {
            year @ 50.. => (1900 + year, &digits[2..]),
            year => (2000 + year, &digits[2..]),
        },
        (GENERALIZED_TIME, 14) => (number(&digits[..4])?, &digits[4..]),
        _ => return None,
    };
    let mut parts = [0; 5];
    for (part, pair) in parts.iter_mut().zip(rest.chunks(2)) {
        *part = u8::try_from(number(pair)?).ok()?;
    }
    let [month, day, hour, minute, second] = parts;
    let date = Date::from_calendar_date(i32::from(year), Month::try_from(month).ok()?, day).ok()?;
    Some(date.with_time(Time::from_hms(hour, minute, second).ok()?).assume_utc())
}

/// The dotted form of an object identifier's content octets; arcs may have up to 128 bits (UUIDs).
pub(crate) fn dotted(content: &[u8]) -> Option<String> {
    let mut arcs = Vec::new();
    let mut arc = 0u128;
    let mut open = false;
    for &octet in content {
        if !open && octet == 0x80 {
            return None;
        }
        arc = arc.checked_mul(128)?.checked_add(u128::from(octet & 0x7f))?;
        open = octet & 0x80 != 0;
        if !open {
            arcs.push(std::mem::take(&mut arc));
        }
    }
    let (&first, others) = arcs.split_first().filter(|_| !open)?;
    let root = (first / 40).min(2);
    let mut text = format!("{root}.{}", first - root * 40);
    for arc in others {
        text.push('.');
        text.push_str(&arc.to_string());
    }
    Some(text)
}

/// Decimal text of a two's complement big-endian integer.
pub(crate) fn decimal(content: &[u8]) -> String {
    let negative = content.first().is_some_and(|octet| octet & 0x80 != 0);
    let mut magnitude = content.to_vec();
    if negative {
        negate(&mut magnitude);
    }
    let mut digits = Vec::new();
    while magnitude.iter().any(|&octet| octet != 0) {
        let mut remainder = 0u32;
        for octet in &mut magnitude {
            let value = remainder * 256 + u32::from(*octet);
            *octet = u8::try_from(value / 10).expect("a remainder below 10 keeps the quotient below 256");
            remainder = value % 10;
        }
        digits.push(char::from_digit(remainder, 10).expect("a remainder of 10 is a digit"));
    }
    if digits.is_empty() {
        return "0".to_owned();
    }
    if negative {
        digits.push('-');
    }
    digits.iter().rev().collect()
}

fn negate(octets: &mut [u8]) {
    let mut carry = true;
    for octet in octets.iter_mut().rev() {
        let (value, overflow) = (!*octet).overflowing_add(u8::from(carry));
        *octet = value;
        carry = overflow;
    }
}

/// Encodes one element.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    if length < 0x80 {
        out.push(u8::try_from(length).expect("below 128"));
    } else {
        let octets = length.to_be_bytes();
        let used = &octets[octets.iter().take_while(|&&octet| octet == 0).count()..];
        out.push(0x80 | u8::try_from(used.len()).expect("at most 8"));
        out.extend_from_slice(used);
    }
    out.extend_from_slice(content);
    out
}

/// Encodes a SEQUENCE of already encoded parts.
pub(crate) fn sequence<P: AsRef<[u8]>>(parts: &[P]) -> Vec<u8> {
    constructed(SEQUENCE, parts)
}

/// Encodes a constructed element of already encoded parts.
pub(crate) fn constructed<P: AsRef<[u8]>>(tag: u8, parts: &[P]) -> Vec<u8> {
    let content: Vec<u8> = parts.iter().flat_map(|part| part.as_ref()).copied().collect();
    tlv(tag, &content)
}

/// Encodes a non-negative INTEGER from big-endian octets.
pub(crate) fn unsigned(octets: &[u8]) -> Vec<u8> {
    let start = octets.iter().take_while(|&&octet| octet == 0).count();
    let mut content = Vec::with_capacity(octets.len() + 1);
    if octets.get(start).is_none_or(|octet| octet & 0x80 != 0) {
        content.push(0);
    }
    content.extend_from_slice(&octets[start..]);
    tlv(INTEGER, &content)
}

/// Encodes an OBJECT IDENTIFIER from its dotted text.
pub(crate) fn oid(text: &str) -> Option<Vec<u8>> {
    let arcs: Vec<u64> = text.split('.').map(|arc| arc.parse().ok()).collect::<Option<_>>()?;
    let (&[first, second], others) = arcs.split_first_chunk()?;
    if first > 2 || (first < 2 && second > 39) {
        return None;
    }
    let mut content = Vec::new();
    push_arc(&mut content, first.checked_mul(40)?.checked_add(second)?);
    others.iter().for_each(|&arc| push_arc(&mut content, arc));
    Some(tlv(OID, &content))
}

fn push_arc(content: &mut Vec<u8>, arc: u64) {
    let groups = (0..10).rev().skip_while(|&group| group > 0 && arc >> (7 * group) == 0);
    for group in groups {
        let bits = u8::try_from((arc >> (7 * group)) & 0x7f).expect("seven bits");
        content.push(if group > 0 { bits | 0x80 } else { bits });
    }
}

/// Encodes a BIT STRING of whole octets.
pub(crate) fn bit_string(octets: &[u8]) -> Vec<u8> {
    let mut content = vec![0];
    content.extend_from_slice(octets);
    tlv(BIT_STRING, &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_round_trip() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 70_000] {
            let encoded = tlv(OCTET_STRING, &vec![7; length]);
            let (element, rest) = read(&encoded).unwrap();
            assert_eq!((element.content.len(), rest.len()), (length, 0));
            assert_eq!(element.raw, encoded);
        }
    }

    #[test]
    fn refuses_what_is_not_der() {
        for bytes in [
            &[][..],
            &[0x30],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x81, 0x05, 1, 2, 3, 4, 5],
            &[0x30, 0x82, 0x00, 0x80],
            &[0x30, 0x02, 1],
            &[0x1f, 0x01, 0x00],
            &[0x30, 0x85, 1, 1, 1, 1, 1],
        ] {
            assert!(read(bytes).is_none(), "{bytes:02x?}");
        }
    }

    #[test]
    fn object_identifiers_round_trip() {
        for text in [
            "2.5.4.3",
            "1.2.840.113549.1.1.11",
            "0.9.2342.19200300.100.1.25",
            "2.999.1",
            "0.0",
            "1.39.18446744073709551615",
        ] {
            let encoded = oid(text).unwrap();
            assert_eq!(dotted(read(&encoded).unwrap().0.content).unwrap(), text);
        }
        for text in ["", "1", "3.1", "1.40", "1.x", "1..2"] {
            assert!(oid(text).is_none(), "{text}");
        }
        for content in [&[][..], &[0x80, 0x01], &[0x2a, 0x86]] {
            assert!(dotted(content).is_none());
        }
        let mut uuid = vec![0x69, 0x83];
        uuid.extend([0xff; 17]);
        uuid.push(0x7f);
        assert_eq!(dotted(&uuid).unwrap(), format!("2.25.{}", u128::MAX));
    }

    #[test]
    fn moments_are_read_to_the_second() {
        let read = |tag, text: &str| moment(Element { tag, raw: &[], content: text.as_bytes() });
        assert_eq!(read(UTC_TIME, "491231235959Z"), Some(time::macros::datetime!(2049-12-31 23:59:59 UTC)));
        assert_eq!(read(UTC_TIME, "500101000000Z"), Some(time::macros::datetime!(1950-01-01 0:00 UTC)));
        assert_eq!(read(GENERALIZED_TIME, "20260229000000Z"), None, "no leap year");
        assert_eq!(read(GENERALIZED_TIME, "20280229120000Z"), Some(time::macros::datetime!(2028-02-29 12:00 UTC)));
        for text in
            ["20260101000000", "20260101000000.5Z", "202601010000Z", "2026010100000xZ", "20261301000000Z", "Z", ""]
        {
            assert_eq!(read(GENERALIZED_TIME, text), None, "{text}");
        }
        assert_eq!(read(UTC_TIME, "20260101000000Z"), None);
        assert_eq!(read(INTEGER, "20260101000000Z"), None);
    }

    #[test]
    fn integers_print_as_decimal() {
        for (octets, text) in [
            (&[0u8][..], "0"),
            (&[], "0"),
            (&[0x7f], "127"),
            (&[0x00, 0x80], "128"),
            (&[0x80], "-128"),
            (&[0xff], "-1"),
            (&[0xfe, 0x00], "-512"),
            (&[0x18, 0x40, 0x3a, 0x0c, 0xfc, 0x1f, 0xbd, 0x5b], "1747460482863709531"),
        ] {
            assert_eq!(decimal(octets), text);
        }
    }

    #[test]
    fn unsigned_integers_are_minimal_and_positive() {
        assert_eq!(unsigned(&[]), [2, 1, 0]);
        assert_eq!(unsigned(&[0, 0, 5]), [2, 1, 5]);
        assert_eq!(unsigned(&[0x80]), [2, 2, 0, 0x80]);
    }
}
