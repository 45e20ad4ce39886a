//! Characters (XML 1.0 fifth edition, production 2) and references.

use super::error::Fault;

/// What a run of bytes contains, found in one pass that compiles to vector instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Census {
    /// A control character other than tab, LF and CR.
    pub(super) control: bool,
    /// A `>`.
    pub(super) greater: bool,
    /// A byte beyond ASCII.
    pub(super) beyond_ascii: bool,
}

pub(super) fn census(bytes: &[u8]) -> Census {
    let (mut control, mut greater, mut all) = (0_u8, 0_u8, 0_u8);
    for &byte in bytes {
        control |= u8::from(byte < 0x20) & u8::from(byte != 9) & u8::from(byte != 10) & u8::from(byte != 13);
        greater |= u8::from(byte == b'>');
        all |= byte;
    }
    Census { control: control != 0, greater: greater != 0, beyond_ascii: all >= 0x80 }
}

/// What a tag contains, found in one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TagCensus {
    /// A `<`.
    pub(super) less: bool,
    /// A `&`, tab, LF or CR: values must be normalised.
    pub(super) unusual: bool,
}

/// A tag as text of allowed characters.
pub(super) fn checked_tag(bytes: &[u8]) -> Result<(&str, TagCensus), Fault> {
    let (mut less, mut ampersand, mut low) = (0_u8, 0_u8, 0_u8);
    for &byte in bytes {
        less |= u8::from(byte == b'<');
        ampersand |= u8::from(byte == b'&');
        low |= u8::from(byte < 0x20);
    }
    let census = TagCensus { less: less != 0, unusual: (ampersand | low) != 0 };
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if low == 0 && text.is_ascii() => text,
        _ => checked_str(bytes)?,
    };
    Ok((text, census))
}

/// Refuses characters that are UTF-8 but not XML.
pub(super) fn check(bytes: &[u8]) -> Result<Census, Fault> {
    let census = census(bytes);
    if census.control || (census.beyond_ascii && has_noncharacter(bytes)) {
        return Err(Fault::Character);
    }
    Ok(census)
}

/// Bytes as text of allowed characters.
pub(super) fn checked_str(bytes: &[u8]) -> Result<&str, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|_| Fault::NotUtf8)?;
    check(bytes).map(|_| text)
}

/// Whether U+FFFE or U+FFFF (EF BF BE, EF BF BF) occurs.
fn has_noncharacter(bytes: &[u8]) -> bool {
    memchr::memchr_iter(0xEF, bytes).any(|at| matches!(bytes.get(at + 1..at + 3), Some([0xBF, 0xBE | 0xBF])))
}

/// Whether production 2 allows the character.
pub(super) fn is_char(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// The character that `&name;` stands for; `name` is what lies between `&` and `;`.
pub(super) fn reference(name: &[u8]) -> Result<char, Fault> {
    match name {
        b"amp" => Ok('&'),
        b"lt" => Ok('<'),
        b"gt" => Ok('>'),
        b"quot" => Ok('"'),
        b"apos" => Ok('\''),
        [b'#', b'x', digits @ ..] => numeric(digits, 16),
        [b'#', digits @ ..] => numeric(digits, 10),
        _ => Err(Fault::UnknownEntity),
    }
}

fn numeric(digits: &[u8], radix: u32) -> Result<char, Fault> {
    let mut value = 0_u32;
    for &digit in digits {
        let digit = char::from(digit).to_digit(radix).ok_or(Fault::CharacterReference)?;
        value = value * radix + digit;
        if value > 0x10_FFFF {
            return Err(Fault::CharacterReference);
        }
    }
    let character = char::from_u32(value).filter(|&c| is_char(c)).ok_or(Fault::CharacterReference)?;
    if digits.is_empty() { Err(Fault::CharacterReference) } else { Ok(character) }
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Length of `bytes` without a UTF-8 sequence that the end cuts off.
pub(super) fn whole_characters(bytes: &[u8]) -> usize {
    let length = bytes.len();
    for back in 1..=length.min(3) {
        let byte = bytes[length - back];
        if byte < 0x80 {
            break;
        }
        if byte >= 0xC0 {
            return if sequence_len(byte) > back { length - back } else { length };
        }
    }
    length
}

/// Bytes of the UTF-8 sequence that `lead` announces; 1 for what cannot lead.
pub(super) fn sequence_len(lead: u8) -> usize {
    match lead {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        for (name, character) in [
            ("amp", '&'),
            ("#65", 'A'),
            ("#x41", 'A'),
            ("#x0000000041", 'A'),
            ("#xD", '\r'),
            ("#x10FFFF", '\u{10FFFF}'),
        ] {
            assert_eq!(reference(name.as_bytes()), Ok(character), "{name}");
        }
        for name in [
            "",
            "#",
            "#x",
            "#0",
            "#1",
            "#xD800",
            "#xFFFE",
            "#xFFFF",
            "#x110000",
            "#99999999999",
            "#X41",
            "#+65",
            "#6 5",
            "Amp",
            "nbsp",
        ] {
            assert!(reference(name.as_bytes()).is_err(), "{name}");
        }
    }

    #[test]
    fn cut_off_sequences_are_left_out() {
        for (bytes, whole) in [
            (&b"ab"[..], 2),
            ("aé".as_bytes(), 3),
            (&"aé".as_bytes()[..2], 1),
            (&"€".as_bytes()[..2], 0),
            (&"😀".as_bytes()[..3], 0),
            (b"a\x80\x80\x80", 4),
            (b"\xFF", 1),
            (b"", 0),
        ] {
            assert_eq!(whole_characters(bytes), whole, "{bytes:x?}");
        }
    }

    #[test]
    fn characters() {
        assert!(checked_str("a\t\n\rä\u{FFFD}\u{E000}".as_bytes()).is_ok());
        for bytes in ["\0", "\u{1F}", "\u{FFFE}", "a\u{FFFF}"] {
            assert_eq!(checked_str(bytes.as_bytes()), Err(Fault::Character), "{bytes:?}");
        }
        assert_eq!(checked_str(b"\xC0\x80"), Err(Fault::NotUtf8));
        assert_eq!(checked_str(b"\xED\xA0\x80"), Err(Fault::NotUtf8));
    }
}
