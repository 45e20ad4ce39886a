//! Where a certificate says that its issuer can be asked.

use crate::certificate::Certificate;
use crate::der::{self, Reader};

const AUTHORITY_INFORMATION: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01];
const OCSP: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01];
const DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 0x1f];
/// `[6]`, the uniformResourceIdentifier of a GeneralName.
const URI: u8 = 0x86;

/// Addresses of each kind at most; whoever issues certificates could name thousands.
const MAX_ADDRESSES: usize = 3;
/// Octets of an address at most.
const MAX_ADDRESS_LEN: usize = 1024;

/// The addresses in a certificate (RFC 5280, 4.2.1.13 and 4.2.2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Responders, `http`.
    pub responders: Vec<String>,
    /// Revocation lists, `http`.
    pub lists: Vec<String>,
    /// Addresses of other kinds (LDAP, HTTPS), which are not asked.
    pub others: Vec<String>,
    /// Whether there are addresses that cannot be read.
    pub is_damaged: bool,
}

impl Sources {
    /// Reads the addresses of a certificate.
    #[must_use]
    pub fn of(certificate: &Certificate) -> Self {
        let mut sources = Self::default();
        let Some(extensions) = certificate.extensions() else { return Self { is_damaged: true, ..sources } };
        for extension in extensions {
            let found = match extension.oid {
                AUTHORITY_INFORMATION => responders(extension.value),
                DISTRIBUTION_POINTS => {
                    points(extension.value).map(|points| points.iter().filter_map(|name| uri(name)).collect())
                }
                _ => continue,
            };
            match found {
                Some(found) => sources.take(extension.oid == AUTHORITY_INFORMATION, found),
                None => sources.is_damaged = true,
            }
        }
        sources
    }

    fn take(&mut self, are_responders: bool, found: Vec<String>) {
        for url in found {
            let is_http = url.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"));
            let list = match (is_http, are_responders) {
                (false, _) => &mut self.others,
                (true, true) => &mut self.responders,
                (true, false) => &mut self.lists,
            };
            if list.len() < MAX_ADDRESSES && !list.contains(&url) {
                list.push(url);
            }
        }
    }

    /// The encoded names of the certificate's distribution points.
    pub(super) fn points(certificate: &Certificate) -> Vec<Vec<u8>> {
        certificate.extension(DISTRIBUTION_POINTS).and_then(points).unwrap_or_default()
    }

    /// The encoded names of a `DistributionPointName` that spells them in full.
    pub(super) fn full_name(content: &[u8]) -> Option<Vec<Vec<u8>>> {
        const FULL_NAME: u8 = 0xa0;
        let mut name = Reader::new(content);
        let full = name.take(FULL_NAME)?;
        name.end()?;
        Some(der::elements(full.content)?.iter().map(|name| name.raw.to_vec()).collect())
    }
}

/// The responders of an `AuthorityInfoAccessSyntax`.
fn responders(value: &[u8]) -> Option<Vec<String>> {
    let (list, rest) = der::expect(der::SEQUENCE, value)?;
    let mut found = Vec::new();
    for description in der::elements(list.content)? {
        let (method, place) = der::expect(der::OID, description.content)?;
        if method.content == OCSP {
            found.extend(uri(place));
        }
    }
    rest.is_empty().then_some(found)
}

/// The encoded names in `CRLDistributionPoints`, without those that are for some reasons only or for lists of other issuers.
fn points(value: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (list, rest) = der::expect(der::SEQUENCE, value)?;
    let mut found = Vec::new();
    for point in der::elements(list.content)? {
        let mut parts = Reader::new(point.content);
        let name = parts.optional(0xa0)?;
        if !parts.is_empty() {
            continue;
        }
        // A name relative to the issuer's is one in a directory, which is not asked.
        found.extend(name.and_then(|name| Sources::full_name(name.content)).into_iter().flatten());
    }
    rest.is_empty().then_some(found)
}

/// The text of a general name, if it is an address.
fn uri(name: &[u8]) -> Option<String> {
    let (uri, rest) = der::expect(URI, name)?;
    let is_address =
        rest.is_empty() && uri.content.len() <= MAX_ADDRESS_LEN && uri.content.iter().all(u8::is_ascii_graphic);
    is_address.then(|| String::from_utf8_lossy(uri.content).into_owned())
}
