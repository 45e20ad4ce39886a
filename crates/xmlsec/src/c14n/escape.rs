//! Escaping.

use std::borrow::Cow;

/// Text as it stands in canonical XML.
pub fn escape_text(text: &str) -> Cow<'_, str> {
    escape(text, |byte| match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        b'\r' => Some("&#xD;"),
        _ => None,
    })
}

/// An attribute value as it stands in canonical XML, in the dialect that we write
/// ([`EscapeGtInAttributes`](super::Dialect::EscapeGtInAttributes)).
pub fn escape_attribute(value: &str) -> Cow<'_, str> {
    escape(value, |byte| attribute_entity(byte).map(|entity| std::str::from_utf8(entity).expect("ASCII")))
}

pub(super) static ESCAPED_IN_ATTRIBUTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = attribute_entity(byte as u8).is_some();
        byte += 1;
    }
    table
};

pub(super) const fn attribute_entity(byte: u8) -> Option<&'static [u8]> {
    match byte {
        b'&' => Some(b"&amp;"),
        b'<' => Some(b"&lt;"),
        b'>' => Some(b"&gt;"),
        b'"' => Some(b"&quot;"),
        b'\t' => Some(b"&#x9;"),
        b'\n' => Some(b"&#xA;"),
        b'\r' => Some(b"&#xD;"),
        _ => None,
    }
}

fn escape(text: &str, entity: impl Fn(u8) -> Option<&'static str>) -> Cow<'_, str> {
    let Some(first) = text.bytes().position(|byte| entity(byte).is_some()) else { return Cow::Borrowed(text) };
    let mut escaped = String::with_capacity(text.len() + 16);
    let (mut from, bytes) = (0, text.as_bytes());
    for (at, &byte) in bytes.iter().enumerate().skip(first) {
        if let Some(entity) = entity(byte) {
            escaped.push_str(&text[from..at]);
            escaped.push_str(entity);
            from = at + 1;
        }
    }
    escaped.push_str(&text[from..]);
    Cow::Owned(escaped)
}
