//! Looking up extensions that only some checks need, each time anew: they are rarely asked for.

use super::Certificate;
use crate::der;

/// One extension (RFC 5280, 4.1.2.9), of a certificate, a revocation list or an OCSP response.
#[derive(Clone, Copy)]
pub(crate) struct Extension<'a> {
    /// Content octets of its object identifier.
    pub(crate) oid: &'a [u8],
    /// Whether who does not understand it must not go on.
    pub(crate) critical: bool,
    /// The encoded value.
    pub(crate) value: &'a [u8],
}

impl<'a> Extension<'a> {
    /// The extensions of an encoded `Extensions`; `None` if it is malformed or has one twice.
    pub(crate) fn all(encoded: &'a [u8]) -> Option<Vec<Self>> {
        let (list, rest) = der::expect(der::SEQUENCE, encoded)?;
        if !rest.is_empty() {
            return None;
        }
        let found = der::elements(list.content)?.into_iter().map(Self::read).collect::<Option<Vec<_>>>()?;
        let is_repeated = |at: usize| found[..at].iter().any(|other: &Self| other.oid == found[at].oid);
        (!(0..found.len()).any(is_repeated)).then_some(found)
    }

    fn read(element: der::Element<'a>) -> Option<Self> {
        if element.tag != der::SEQUENCE {
            return None;
        }
        let (oid, rest) = der::expect(der::OID, element.content)?;
        let (critical, rest) = match rest.first() {
            Some(&der::BOOLEAN) => {
                let (flag, rest) = der::read(rest)?;
                (flag.content != [0], rest)
            }
            _ => (false, rest),
        };
        let (value, rest) = der::expect(der::OCTET_STRING, rest)?;
        rest.is_empty().then_some(Self { oid: oid.content, critical, value: value.content })
    }
}

impl Certificate {
    /// All extensions; `None` if they cannot be read.
    pub(crate) fn extensions(&self) -> Option<Vec<Extension<'_>>> {
        const EXTENSIONS: u8 = 0xa3;
        let (tbs, _) = der::expect(der::SEQUENCE, self.tbs_der())?;
        match der::elements(tbs.content)?.iter().find(|part| part.tag == EXTENSIONS) {
            Some(wrapped) => Extension::all(wrapped.content),
            None => Some(Vec::new()),
        }
    }

    /// The encoded value of an extension, by the content octets of its object identifier.
    pub(crate) fn extension(&self, oid: &[u8]) -> Option<&[u8]> {
        self.extensions()?.into_iter().find(|extension| extension.oid == oid).map(|extension| extension.value)
    }
}
