//! What a token states (`TSTInfo` of RFC 3161, 2.4.2).

use time::{Duration, OffsetDateTime};

use super::SHA256;
use crate::certificate::Extension;
use crate::der::{self, Element, Reader};

/// The statement of a service.
pub(super) struct Info<'a> {
    /// Dotted object identifier.
    pub(super) policy: String,
    /// SHA-256 of what is stamped; `None` if another hash was used.
    pub(super) imprint: Option<&'a [u8]>,
    /// Decimal digits.
    pub(super) serial: String,
    pub(super) time: OffsetDateTime,
    /// Content octets of the INTEGER.
    pub(super) nonce: Option<&'a [u8]>,
    /// The encoded name of the service, if it gives one as a directory name.
    pub(super) authority: Option<&'a [u8]>,
    /// Whether an extension must be understood; none is.
    pub(super) has_critical_extension: bool,
}

impl<'a> Info<'a> {
    pub(super) fn read(octets: &'a [u8]) -> Option<Self> {
        const ACCURACY: u8 = der::SEQUENCE;
        const AUTHORITY: u8 = 0xa0;
        const EXTENSIONS: u8 = 0xa1;
        let mut outer = Reader::new(octets);
        let mut info = Reader::new(outer.take(der::SEQUENCE)?.content);
        outer.end()?;
        if info.take(der::INTEGER)?.content != [1] {
            return None;
        }
        let policy = der::dotted(info.take(der::OID)?.content)?;
        let imprint = imprint(info.take(der::SEQUENCE)?)?;
        let serial = der::decimal(info.take(der::INTEGER)?.content);
        let time = moment(info.take(der::GENERALIZED_TIME)?)?;
        info.optional(ACCURACY)?;
        info.optional(der::BOOLEAN)?;
        let nonce = info.optional(der::INTEGER)?.map(|nonce| nonce.content);
        let authority = info.optional(AUTHORITY)?.and_then(|name| directory_name(name.content));
        let extensions = match info.optional(EXTENSIONS)? {
            None => Vec::new(),
            Some(list) => list_of(list.content)?,
        };
        info.end()?;
        let has_critical_extension = extensions.iter().any(|extension| extension.critical);
        Some(Self { policy, imprint, serial, time, nonce, authority, has_critical_extension })
    }
}

/// `Some(None)` for another hash than SHA-256.
fn imprint(element: Element<'_>) -> Option<Option<&[u8]>> {
    let mut parts = Reader::new(element.content);
    let mut algorithm = Reader::new(parts.take(der::SEQUENCE)?.content);
    let oid = algorithm.take(der::OID)?.content;
    let value = parts.take(der::OCTET_STRING)?.content;
    parts.end()?;
    Some((oid == SHA256).then_some(value))
}

fn directory_name(general_name: &[u8]) -> Option<&[u8]> {
    const DIRECTORY_NAME: u8 = 0xa4;
    der::expect(DIRECTORY_NAME, general_name).map(|(name, _)| name.content)
}

/// The extensions are tagged implicitly: the tag stands in for that of the SEQUENCE.
fn list_of(content: &[u8]) -> Option<Vec<ListedExtension>> {
    let encoded = der::tlv(der::SEQUENCE, content);
    let all = Extension::all(&encoded)?;
    Some(all.iter().map(|extension| ListedExtension { critical: extension.critical }).collect())
}

struct ListedExtension {
    critical: bool,
}

/// The time of a stamp: as in certificates, but it may have a fraction of seconds, without zeros at its end.
fn moment(element: Element<'_>) -> Option<OffsetDateTime> {
    let Some(dot) = element.content.iter().position(|&octet| octet == b'.') else { return der::moment(element) };
    let fraction = element.content[dot + 1..].strip_suffix(b"Z")?;
    if fraction.is_empty() || fraction.len() > 9 || fraction.ends_with(b"0") {
        return None;
    }
    let mut nanoseconds = 0i64;
    for at in 0..9 {
        let digit = fraction.get(at).copied().unwrap_or(b'0');
        nanoseconds = nanoseconds * 10 + i64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    let whole = [&element.content[..dot], b"Z"].concat();
    let whole = der::moment(Element { tag: element.tag, raw: &[], content: &whole })?;
    whole.checked_add(Duration::nanoseconds(nanoseconds))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_may_have_fractions() {
        let read = |text: &str| moment(Element { tag: der::GENERALIZED_TIME, raw: &[], content: text.as_bytes() });
        assert_eq!(read("20261125120000Z"), Some(datetime!(2026-11-25 12:00 UTC)));
        assert_eq!(read("20261125120000.25Z"), Some(datetime!(2026-11-25 12:00:00.25 UTC)));
        assert_eq!(read("20261125120000.000000001Z"), Some(datetime!(2026-11-25 12:00:00.000000001 UTC)));
        for text in ["20261125120000.Z", "20261125120000.50Z", "20261125120000.5", "20261125120000.1234567891Z", ".5Z"]
        {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read("20261125120000.x5Z"), None);
    }
}
