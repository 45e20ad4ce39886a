//! Header fields: reading one block of them, and the parameters of `Content-Type`.

use std::fmt;

use memchr::memchr;

use super::error::MimeError;
use super::window::Window;

/// One header field. The value is unfolded and trimmed, and free of control characters.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    pub(super) name: String,
    pub(super) value: String,
}

impl Header {
    /// A field to be written; `None` if the name is no token or the value cannot stand in one line.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Option<Self> {
        let (name, value) = (name.into(), value.into());
        let trimmed = value.trim_matches(BLANKS).len() == value.len();
        (is_token(&name) && trimmed && is_field_text(&value)).then_some(Self { name, value })
    }

    /// The field's name as it was written; compare without regard to case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The field's value.
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// Without the value: it may hold a file name.
impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Header({:?})", self.name)
    }
}

const BLANKS: [char; 2] = [' ', '\t'];

/// Reads lines up to and including the empty one. Returns the fields, how many bytes they took, and the offset
/// behind the empty line.
pub(super) fn read_block(
    window: &mut Window<'_>,
    mut position: u64,
    max_bytes: usize,
    max_fields: usize,
) -> Result<(Vec<Header>, u64), MimeError> {
    let start = position;
    let mut fields: Vec<Header> = Vec::new();
    loop {
        let used = usize::try_from(position - start).unwrap_or(usize::MAX);
        let line = read_line(window, position, max_bytes.saturating_sub(used))?;
        position += line.len() as u64 + 2;
        if line.is_empty() {
            break;
        }
        let line = std::str::from_utf8(line).map_err(|_| MimeError::HeaderNotUtf8)?;
        if line.starts_with(BLANKS) {
            let last = fields.last_mut().ok_or(MimeError::HeaderMalformed)?;
            unfold(&mut last.value, line)?;
        } else if fields.len() == max_fields {
            return Err(MimeError::TooManyHeaders);
        } else {
            fields.push(parse_field(line)?);
        }
    }
    Ok((fields, position))
}

/// The only field of that name.
pub(super) fn single<'a>(fields: &'a [Header], name: &'static str) -> Result<Option<&'a str>, MimeError> {
    let mut found = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
    let first = found.next();
    match found.next() {
        Some(_) => Err(MimeError::HeaderRepeated { name }),
        None => Ok(first.map(|field| field.value.as_str())),
    }
}

/// `Content-Type` taken apart.
pub(super) struct MediaType<'a> {
    /// Type and subtype as written.
    pub(super) essence: &'a str,
    parameters: Vec<(&'a str, String)>,
}

impl<'a> MediaType<'a> {
    pub(super) fn parse(value: &'a str) -> Result<Self, MimeError> {
        let (essence, mut rest) = value.split_once(';').unwrap_or((value, ""));
        let mut parameters = Vec::new();
        while !rest.trim_matches(BLANKS).is_empty() {
            let ((name, value), behind) = parse_parameter(rest)?;
            if let Some(name) = name {
                parameters.push((name, value));
            }
            rest = behind;
        }
        Ok(Self { essence: essence.trim_matches(BLANKS), parameters })
    }

    pub(super) fn is(&self, essence: &str) -> bool {
        self.essence.eq_ignore_ascii_case(essence)
    }

    /// The only parameter of that name, whose case does not matter.
    pub(super) fn parameter(&self, name: &'static str) -> Result<Option<&str>, MimeError> {
        let mut found = self.parameters.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let first = found.next();
        match found.next() {
            Some(_) => Err(MimeError::HeaderRepeated { name }),
            None => Ok(first.map(|(_, value)| value.as_str())),
        }
    }
}

/// Printable text without line breaks: what may stand behind the colon.
pub(super) fn is_field_text(value: &str) -> bool {
    value.chars().all(|c| c == '\t' || !c.is_control())
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':')
}

fn parse_field(line: &str) -> Result<Header, MimeError> {
    let (name, value) = line.split_once(':').ok_or(MimeError::HeaderMalformed)?;
    Header::new(name, value.trim_matches(BLANKS)).ok_or(MimeError::HeaderMalformed)
}

fn unfold(value: &mut String, line: &str) -> Result<(), MimeError> {
    let more = line.trim_matches(BLANKS);
    if !is_field_text(more) {
        return Err(MimeError::HeaderMalformed);
    }
    if !value.is_empty() && !more.is_empty() {
        value.push(' ');
    }
    value.push_str(more);
    Ok(())
}

/// One line without its CRLF, which must follow within `limit` bytes.
fn read_line<'a>(window: &'a mut Window<'_>, position: u64, limit: usize) -> Result<&'a [u8], MimeError> {
    let mut wanted = 1;
    let length = loop {
        let bytes = window.from(position, wanted)?;
        let seen = &bytes[..bytes.len().min(limit)];
        match memchr(b'\n', seen) {
            Some(0) => return Err(MimeError::BareLineFeed),
            Some(end) if seen[end - 1] != b'\r' => return Err(MimeError::BareLineFeed),
            Some(end) => break end - 1,
            None if bytes.len() >= limit => return Err(MimeError::HeaderTooLarge),
            None if bytes.len() < wanted => return Err(MimeError::Truncated),
            None => wanted = (2 * bytes.len()).clamp(256, limit.max(256)),
        }
    };
    Ok(&window.from(position, length)?[..length])
}

type Parameter<'a> = (Option<&'a str>, String);

/// The first parameter of `text`, and what follows its semicolon. An empty parameter has no name.
fn parse_parameter(text: &str) -> Result<(Parameter<'_>, &str), MimeError> {
    let text = text.trim_start_matches(BLANKS);
    if let Some(rest) = text.strip_prefix(';') {
        return Ok(((None, String::new()), rest));
    }
    let (name, value) = text.split_once('=').ok_or(MimeError::HeaderMalformed)?;
    let name = name.trim_matches(BLANKS);
    if !is_token(name) || name.contains([';', '"']) {
        return Err(MimeError::HeaderMalformed);
    }
    let value = value.trim_start_matches(BLANKS);
    if let Some(quoted) = value.strip_prefix('"') {
        let (value, rest) = parse_quoted(quoted)?;
        return Ok(((Some(name), value), rest));
    }
    let (value, rest) = value.split_once(';').unwrap_or((value, ""));
    Ok(((Some(name), value.trim_matches(BLANKS).to_owned()), rest))
}

/// The rest of a quoted string, and what follows the semicolon behind it.
fn parse_quoted(text: &str) -> Result<(String, &str), MimeError> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let rest = text[at + 1..].trim_start_matches(BLANKS);
                return match rest.strip_prefix(';') {
                    Some(rest) => Ok((value, rest)),
                    None if rest.is_empty() => Ok((value, rest)),
                    None => Err(MimeError::HeaderMalformed),
                };
            }
            '\\' => value.push(chars.next().ok_or(MimeError::HeaderMalformed)?.1),
            c => value.push(c),
        }
    }
    Err(MimeError::HeaderMalformed)
}
