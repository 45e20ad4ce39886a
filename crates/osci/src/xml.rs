//! Writes XML that is already canonical, so that the bytes written are the bytes hashed (Canonical XML 1.0, section 2.3).
//!
//! The caller gives namespace declarations and attributes in canonical order; this writer does the escaping, pairs start
//! with end tags and never adds white space. `>` is escaped in attribute values too, because the reference
//! implementation of OSCI hashes it that way; avoiding `>` in attributes keeps both readings equal.
//!
//! ```
//! use rohrpost_osci::xml::XmlWriter;
//!
//! let mut xml = XmlWriter::new();
//! xml.open("osci:ProcessCard", &[("RecentModification", "2024-05-01T10:00:00Z")]);
//! xml.leaf("osci:Subject", &[], "A & B");
//! xml.close();
//! assert_eq!(
//!     xml.finish(),
//!     r#"<osci:ProcessCard RecentModification="2024-05-01T10:00:00Z"><osci:Subject>A &amp; B</osci:Subject></osci:ProcessCard>"#
//! );
//! ```

use std::borrow::Cow;

/// Appends elements to a string.
#[derive(Debug, Default)]
pub struct XmlWriter {
    out: String,
    open: Vec<Cow<'static, str>>,
}

impl XmlWriter {
    /// An empty writer.
    pub fn new() -> Self {
        Self { out: String::with_capacity(ROOM), open: Vec::new() }
    }

    /// Writes a start tag; attributes in the order given.
    pub fn open(&mut self, name: impl Into<Cow<'static, str>>, attributes: &[(&str, &str)]) -> &mut Self {
        self.open_declaring(name, "", attributes)
    }

    /// Writes a start tag with namespace declarations (a ready string that starts with a blank, or is empty) before
    /// the attributes.
    pub fn open_declaring(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        declarations: &str,
        attributes: &[(&str, &str)],
    ) -> &mut Self {
        let name = name.into();
        self.out.push('<');
        self.out.push_str(&name);
        self.out.push_str(declarations);
        for (key, value) in attributes {
            self.out.push(' ');
            self.out.push_str(key);
            self.out.push_str("=\"");
            self.out.push_str(&escape_attribute(value));
            self.out.push('"');
        }
        self.out.push('>');
        self.open.push(name);
        self
    }

    /// Writes the end tag of the element opened last.
    ///
    /// # Panics
    /// If no element is open: a mistake in the calling code, not in its data.
    pub fn close(&mut self) -> &mut Self {
        let name = self.open.pop().expect("every close follows an open");
        self.out.push_str("</");
        self.out.push_str(&name);
        self.out.push('>');
        self
    }

    /// Writes escaped character data.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.out.push_str(&escape_text(text));
        self
    }

    /// Writes an element that holds nothing but text.
    pub fn leaf(&mut self, name: impl Into<Cow<'static, str>>, attributes: &[(&str, &str)], text: &str) -> &mut Self {
        self.open(name, attributes).text(text).close()
    }

    /// Writes text that is canonical XML already.
    pub fn raw(&mut self, canonical: &str) -> &mut Self {
        self.out.push_str(canonical);
        self
    }

    /// What was written.
    ///
    /// # Panics
    /// If an element is still open: a mistake in the calling code, not in its data.
    pub fn finish(self) -> String {
        assert!(self.open.is_empty(), "every open is followed by a close");
        self.out
    }
}

/// Bytes that most texts have at most.
const ROOM: usize = 1024;

/// Escapes character data: `&`, `<`, `>` and carriage return. Characters that XML 1.0 cannot carry become U+FFFD, so
/// that the result is always well-formed; check with [`is_representable`] where a silent change would matter.
pub fn escape_text(text: &str) -> Cow<'_, str> {
    escape(text, |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '\r' => Some("&#xD;"),
        _ => None,
    })
}

/// Escapes an attribute value for double quotes: `&`, `<`, `>`, `"`, tab, line feed and carriage return.
/// Characters that XML cannot carry become U+FFFD.
pub fn escape_attribute(value: &str) -> Cow<'_, str> {
    escape(value, |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\t' => Some("&#x9;"),
        '\n' => Some("&#xA;"),
        '\r' => Some("&#xD;"),
        _ => None,
    })
}

/// Whether XML 1.0 can carry every character of this text (production `Char`).
pub fn is_representable(text: &str) -> bool {
    text.chars().all(is_xml_char)
}

fn escape(text: &str, entity: impl Fn(char) -> Option<&'static str>) -> Cow<'_, str> {
    let Some(first) = text.find(|c| entity(c).is_some() || !is_xml_char(c)) else {
        return Cow::Borrowed(text);
    };
    let (clean, rest) = text.split_at(first);
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(clean);
    for c in rest.chars() {
        match entity(c) {
            Some(entity) => out.push_str(entity),
            None if is_xml_char(c) => out.push(c),
            None => out.push(char::REPLACEMENT_CHARACTER),
        }
    }
    Cow::Owned(out)
}

fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_attributes_are_escaped_canonically() {
        let mut xml = XmlWriter::new();
        xml.open_declaring("a:b", " xmlns:a=\"urn:a\"", &[("Id", "x<>&\"'\t\n\r")]).text("<>&\"'\t\n\r").close();
        assert_eq!(
            xml.finish(),
            "<a:b xmlns:a=\"urn:a\" Id=\"x&lt;&gt;&amp;&quot;'&#x9;&#xA;&#xD;\">&lt;&gt;&amp;\"'\t\n&#xD;</a:b>"
        );
    }

    #[test]
    fn empty_elements_are_pairs_and_raw_text_is_kept() {
        let mut xml = XmlWriter::new();
        xml.open("a", &[]).leaf("b", &[("k", "v")], "").raw("<c></c>").close();
        assert_eq!(xml.finish(), r#"<a><b k="v"></b><c></c></a>"#);
    }

    #[test]
    fn what_xml_cannot_carry_is_replaced() {
        assert_eq!(escape_text("a\u{0}b\u{FFFE}ü😀"), "a\u{FFFD}b\u{FFFD}ü😀");
        assert!(!is_representable("\u{1}"));
        assert!(is_representable("\t\n\r äöü 😀"));
        assert!(matches!(escape_text("clean"), Cow::Borrowed(_)));
    }
}
