//! Names to put on certificates.

use crate::der;

/// A distinguished name under construction, in the order it is encoded (country first, common name
/// last); it is shown in the reverse order.
///
/// ```
/// use rohrpost_pki::issue::Name;
///
/// let name = Name::new().country("DE").organization("Stadt Musterhausen").common_name("Bürgeramt");
/// assert_eq!(name.to_string(), "CN=Bürgeramt,O=Stadt Musterhausen,C=DE");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name {
    attributes: Vec<Vec<u8>>,
}

const PRINTABLE: u8 = 0x13;
const UTF8: u8 = 0x0c;

impl Name {
    /// The empty name.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a country (C), two letters of ISO 3166.
    #[must_use]
    pub fn country(self, value: &str) -> Self {
        self.attribute("2.5.4.6", PRINTABLE, value)
    }

    /// Adds a state or province (ST).
    #[must_use]
    pub fn state(self, value: &str) -> Self {
        self.attribute("2.5.4.8", UTF8, value)
    }

    /// Adds a locality (L).
    #[must_use]
    pub fn locality(self, value: &str) -> Self {
        self.attribute("2.5.4.7", UTF8, value)
    }

    /// Adds an organization (O).
    #[must_use]
    pub fn organization(self, value: &str) -> Self {
        self.attribute("2.5.4.10", UTF8, value)
    }

    /// Adds an organizational unit (OU).
    #[must_use]
    pub fn organizational_unit(self, value: &str) -> Self {
        self.attribute("2.5.4.11", UTF8, value)
    }

    /// Adds a common name (CN).
    #[must_use]
    pub fn common_name(self, value: &str) -> Self {
        self.attribute("2.5.4.3", UTF8, value)
    }

    fn attribute(mut self, oid: &str, tag: u8, value: &str) -> Self {
        let kind = der::oid(oid).expect("the attribute types above are well-formed");
        let pair = der::sequence(&[kind, der::tlv(tag, value.as_bytes())]);
        self.attributes.push(der::tlv(der::SET, &pair));
        self
    }

    pub(super) fn to_der(&self) -> Vec<u8> {
        der::sequence(&self.attributes)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::name::rfc2253(&self.to_der()).expect("what was encoded here can be read"))
    }
}
