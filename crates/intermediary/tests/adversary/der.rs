//! Certificates that are made to be large.

/// The certificate with a further extension of so many octets. Its signature does not fit any more.
pub(crate) fn stuffed(certificate: &[u8], size: usize) -> Vec<u8> {
    let parts = elements(content(certificate));
    let mut tbs: Vec<Vec<u8>> = elements(content(parts[0])).into_iter().map(<[u8]>::to_vec).collect();
    let extensions = tbs.pop().unwrap();
    assert_eq!(extensions[0], EXTENSIONS);
    let mut list = content(content(&extensions)).to_vec();
    list.extend(tlv(SEQUENCE, &[&[0x06, 0x03, 0x2a, 0x03, 0x04][..], &tlv(OCTETS, &vec![0; size])].concat()));
    tbs.push(tlv(EXTENSIONS, &tlv(SEQUENCE, &list)));
    tlv(SEQUENCE, &[&tlv(SEQUENCE, &tbs.concat()), parts[1], parts[2]].concat())
}

const OCTETS: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
const EXTENSIONS: u8 = 0xa3;

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32).to_be_bytes();
    let length = &length[length.iter().take_while(|octet| **octet == 0).count()..];
    let mut out = vec![tag];
    match length {
        [] => out.push(0),
        [short @ 0..0x80] => out.push(*short),
        long => {
            out.push(0x80 | long.len() as u8);
            out.extend(long);
        }
    }
    out.extend(content);
    out
}

/// Where the content of the first element begins and ends.
fn bounds(octets: &[u8]) -> (usize, usize) {
    let long = if octets[1] < 0x80 { 0 } else { usize::from(octets[1] & 0x7f) };
    let number = octets[2..2 + long].iter().fold(0, |number, octet| number << 8 | usize::from(*octet));
    let length = if long == 0 { usize::from(octets[1]) } else { number };
    (2 + long, 2 + long + length)
}

fn content(octets: &[u8]) -> &[u8] {
    let (start, end) = bounds(octets);
    &octets[start..end]
}

fn elements(mut octets: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !octets.is_empty() {
        let (element, rest) = octets.split_at(bounds(octets).1);
        found.push(element);
        octets = rest;
    }
    found
}
