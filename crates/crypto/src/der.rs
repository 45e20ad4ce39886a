//! As much DER (X.690) as public keys and algorithm identifiers need.

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;

/// The context-specific constructed tag `[number]`.
pub(crate) const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// Reads one value after the other; every failure is `None`.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    /// The content of the next value, which must have this tag.
    pub(crate) fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, content, rest) = split(self.0)?;
        (found == tag).then(|| {
            self.0 = rest;
            content
        })
    }

    /// A reader for the content of the next value, which must have this tag.
    pub(crate) fn nested(&mut self, tag: u8) -> Option<Self> {
        self.value(tag).map(Self)
    }

    /// The next value if it has this tag; `None` without moving on otherwise.
    pub(crate) fn optional(&mut self, tag: u8) -> Option<Self> {
        if self.0.first() == Some(&tag) { self.nested(tag) } else { None }
    }

    /// A positive integer without its leading zero.
    pub(crate) fn positive(&mut self) -> Option<&'a [u8]> {
        match self.value(INTEGER)? {
            [0, rest @ ..] if rest.first().is_some_and(|byte| *byte >= 0x80) => Some(rest),
            octets if octets.first().is_some_and(|byte| (1..0x80).contains(byte)) => Some(octets),
            _ => None,
        }
    }

    /// The octets of a bit string whose length is a multiple of eight.
    pub(crate) fn bit_string(&mut self) -> Option<&'a [u8]> {
        self.value(BIT_STRING)?.strip_prefix(&[0])
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Tag, content and what follows. Only single-byte tags and definite, minimal lengths below 16 MiB.
fn split(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let length = match first {
        0..=0x7f => usize::from(first),
        0x81..=0x83 => {
            let (octets, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
            rest = after;
            let length = octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet));
            let minimal = if octets.len() == 1 { 0x80 } else { 1 << (8 * (octets.len() - 1)) };
            (length >= minimal).then_some(length)?
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// One value with its tag and length in front.
pub(crate) fn encode(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 5);
    out.push(tag);
    match length {
        0..=0x7f => out.push(length as u8),
        0x80..=0xff => out.extend([0x81, length as u8]),
        _ => {
            let octets = (length as u32).to_be_bytes();
            let skip = octets.iter().take_while(|octet| **octet == 0).count();
            out.push(0x80 | (4 - skip) as u8);
            out.extend(&octets[skip..]);
        }
    }
    parts.iter().for_each(|part| out.extend(*part));
    out
}

/// A non-negative integer from big-endian octets.
pub(crate) fn encode_integer(octets: &[u8]) -> Vec<u8> {
    let skip = octets.iter().take_while(|octet| **octet == 0).count();
    match &octets[skip..] {
        [] => encode(INTEGER, &[&[0]]),
        significant if significant[0] >= 0x80 => encode(INTEGER, &[&[0], significant]),
        significant => encode(INTEGER, &[significant]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_length_are_read_back() {
        for length in [0, 1, 127, 128, 129, 255, 256, 257, 65_535, 65_536, 70_000] {
            let content = vec![7; length];
            let encoded = encode(OCTET_STRING, &[&content]);
            let mut reader = Reader::new(&encoded);
            assert_eq!(reader.value(OCTET_STRING), Some(&content[..]), "{length}");
            assert!(reader.is_empty());
            for cut in [0, 1, encoded.len() - 1] {
                assert!(cut == encoded.len() || Reader::new(&encoded[..cut]).value(OCTET_STRING).is_none());
            }
        }
    }

    #[test]
    fn only_minimal_definite_lengths_are_read() {
        for encoded in [
            &[OCTET_STRING, 0x80, 0, 0][..],
            &[OCTET_STRING, 0x81, 1, 7],
            &[OCTET_STRING, 0x82, 0, 1, 7],
            &[OCTET_STRING, 0x84, 0, 0, 0, 1, 7],
            &[OCTET_STRING, 0xff, 7],
            &[OCTET_STRING, 2, 7],
            &[OCTET_STRING],
            &[],
        ] {
            assert_eq!(Reader::new(encoded).value(OCTET_STRING), None, "{encoded:x?}");
        }
    }

    #[test]
    fn integers_are_positive_and_minimal() {
        for (encoded, expected) in [
            (&[INTEGER, 1, 5][..], Some(&[5][..])),
            (&[INTEGER, 2, 0, 0x80], Some(&[0x80])),
            (&[INTEGER, 2, 0, 0x7f], None),
            (&[INTEGER, 1, 0x80], None),
            (&[INTEGER, 1, 0], None),
            (&[INTEGER, 0], None),
        ] {
            assert_eq!(Reader::new(encoded).positive(), expected, "{encoded:x?}");
        }
        for (octets, expected) in [
            (&[][..], &[INTEGER, 1, 0][..]),
            (&[0, 0], &[INTEGER, 1, 0]),
            (&[0, 0x7f], &[INTEGER, 1, 0x7f]),
            (&[0x80], &[INTEGER, 2, 0, 0x80]),
        ] {
            assert_eq!(encode_integer(octets), expected);
        }
    }
}
