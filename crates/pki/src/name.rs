//! Distinguished names as RFC 2253 strings, spelled the way `X500Principal.getName()` of the JDK
//! spells them, because OSCI peers compare and display exactly that text.
//!
//! Two deliberate differences, both where the JDK's text is of no use: BMPString and T61String values
//! are decoded (the JDK reads their octets as UTF-8), and control characters are written as `\XX`
//! pairs, so that every name can stand in an XML document.

use std::fmt::Write as _;

use crate::der::{self, Element};

/// The string form of an encoded `Name` (RFC 5280, 4.1.2.4), last component first. `None` if the
/// octets are not a `Name`.
pub(crate) fn rfc2253(name: &[u8]) -> Option<String> {
    let (outer, rest) = der::expect(der::SEQUENCE, name)?;
    if !rest.is_empty() {
        return None;
    }
    let mut components = der::elements(outer.content)?.into_iter().map(component).collect::<Option<Vec<_>>>()?;
    components.reverse();
    Some(components.join(","))
}

fn component(set: Element<'_>) -> Option<String> {
    if set.tag != der::SET || set.content.is_empty() {
        return None;
    }
    let attributes = der::elements(set.content)?.into_iter().map(attribute).collect::<Option<Vec<_>>>()?;
    Some(attributes.join("+"))
}

fn attribute(pair: Element<'_>) -> Option<String> {
    if pair.tag != der::SEQUENCE {
        return None;
    }
    let (kind, rest) = der::expect(der::OID, pair.content)?;
    let (value, rest) = der::read(rest)?;
    if !rest.is_empty() {
        return None;
    }
    let oid = der::dotted(kind.content)?;
    Some(match (keyword(&oid), text(value)) {
        (Some(keyword), Some(text)) => format!("{keyword}={}", escape(&text)),
        (Some(keyword), None) => format!("{keyword}=#{}", hex(value.raw)),
        (None, _) => format!("{oid}=#{}", hex(value.raw)),
    })
}

/// The nine keywords of RFC 2253, 2.3. Every other attribute is written as a dotted OID.
fn keyword(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        _ => return None,
    })
}

/// The characters of the string types that the JDK shows as text; everything else is shown in hex.
fn text(value: Element<'_>) -> Option<String> {
    const UTF8: u8 = 0x0c;
    const PRINTABLE: u8 = 0x13;
    const T61: u8 = 0x14;
    const IA5: u8 = 0x16;
    const GENERAL: u8 = 0x1b;
    const BMP: u8 = 0x1e;
    match value.tag {
        UTF8 | PRINTABLE | IA5 | GENERAL => Some(String::from_utf8_lossy(value.content).into_owned()),
        T61 => Some(match std::str::from_utf8(value.content) {
            Ok(text) => text.to_owned(),
            Err(_) => value.content.iter().map(|&octet| char::from(octet)).collect(),
        }),
        BMP => {
            let units = value.content.chunks(2).map(|unit| match unit {
                &[high, low] => u16::from_be_bytes([high, low]),
                _ => 0xfffd,
            });
            Some(char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect())
        }
        _ => None,
    }
}

fn escape(text: &str) -> String {
    let first = text.find(|c| c != ' ').unwrap_or(text.len());
    let end = text.rfind(|c| c != ' ').map_or(0, |last| last + 1);
    let mut out = String::with_capacity(text.len() + 2);
    for (at, c) in text.char_indices() {
        match c {
            ',' | '=' | '+' | '<' | '>' | '#' | ';' | '"' | '\\' => out.extend(['\\', c]),
            ' ' if at < first || at >= end => out.push_str("\\ "),
            '\0'..='\u{1f}' | '\u{7f}' | '\u{fffe}' | '\u{ffff}' => {
                for octet in c.encode_utf8(&mut [0; 4]).bytes() {
                    write!(out, "\\{octet:02X}").expect("writing to a string does not fail");
                }
            }
            _ => out.push(c),
        }
    }
    out
}

pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(2 * octets.len()), |mut out, octet| {
        write!(out, "{octet:02x}").expect("writing to a string does not fail");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with JDK 17.0.15: `java tests/names/Names.java > tests/names/jdk17.tsv`.
    const JDK: &str = include_str!("../tests/names/jdk17.tsv");

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn spells_names_as_the_jdk_does() {
        let mut checked = 0;
        for line in JDK.lines() {
            let [what, der, expected] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
            let ours = rfc2253(&unhex(der)).unwrap();
            // Control characters stand as {xxxx} in the file; we write them as \XX.
            let control = expected.contains("{00");
            if control || what == "t61 latin1" || what == "bmp" {
                continue;
            }
            assert_eq!(ours, expected, "{what}");
            checked += 1;
        }
        assert!(checked > 50, "{checked}");
    }

    #[test]
    fn differs_from_the_jdk_only_where_its_text_is_useless() {
        let value = |tag: u8, content: &[u8]| {
            let pair = der::sequence(&[der::oid("2.5.4.3").unwrap(), der::tlv(tag, content)]);
            rfc2253(&der::sequence(&[der::tlv(der::SET, &pair)])).unwrap()
        };
        assert_eq!(value(0x14, b"M\xfcn"), "CN=Mün");
        assert_eq!(value(0x1e, b"\0M\0\xfc\0n"), "CN=Mün");
        assert_eq!(value(0x1e, b"\0M\0"), "CN=M\u{fffd}");
        assert_eq!(value(0x0c, b"a\tb\r"), "CN=a\\09b\\0D");
        assert_eq!(value(0x0c, b"\x7f"), "CN=\\7F");
        assert_eq!(value(0x0c, "\u{ffff}".as_bytes()), "CN=\\EF\\BF\\BF");
    }

    #[test]
    fn refuses_octets_that_are_no_name() {
        for name in ["", "30", "3100", "300030", "30023000", "30023100", "3004310230 00", "30063104300206 00"] {
            let octets = unhex(&name.replace(' ', ""));
            assert!(rfc2253(&octets).is_none(), "{name}");
        }
    }
}
