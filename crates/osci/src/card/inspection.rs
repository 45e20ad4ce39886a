//! What the check of one certificate gave.

use rohrpost_xmlsec::tree::Element;
use rohrpost_xmlsec::{Limits, NsContext};

use super::{Timestamp, base64};
use crate::datetime::DateTime;
use crate::header::{BlockError, read};
use crate::ns::{ENVELOPE, OSCI};
use crate::xml::XmlWriter;

/// The checks of one delivery, one entry per certificate.
///
/// Kept as canonical text: a card is made once and handed out often. What is in it was read or written entry by entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InspectionReport {
    entries: String,
}

impl InspectionReport {
    /// Takes checks just made.
    pub fn new<'a>(inspections: impl IntoIterator<Item = &'a Inspection>) -> Self {
        let mut xml = XmlWriter::new();
        inspections.into_iter().for_each(|inspection| inspection.write(&mut xml));
        Self { entries: xml.finish() }
    }

    /// Takes what [`as_str`](Self::as_str) gave, from our own store.
    pub fn from_stored(entries: String) -> Self {
        Self { entries }
    }

    /// The canonical text of the entries, for the namespace context of the envelope.
    pub fn as_str(&self) -> &str {
        &self.entries
    }

    /// The entries.
    ///
    /// # Errors
    /// If a stored text is not what was put into the store.
    pub fn inspections(&self) -> Result<Vec<Inspection>, BlockError> {
        let report = format!("<osci:InspectionReport>{}</osci:InspectionReport>", self.entries);
        let context = NsContext::from_pairs(ENVELOPE);
        inspections(&Element::parse(report.as_bytes(), &Limits::default(), &context)?)
    }

    /// Writes `osci:InspectionReport`.
    pub fn write(&self, xml: &mut XmlWriter) {
        xml.open("osci:InspectionReport", &[]).raw(&self.entries).close();
    }

    /// Reads `osci:InspectionReport`.
    ///
    /// # Errors
    /// If it holds anything but well-formed inspections.
    pub fn from_element(element: &Element) -> Result<Self, BlockError> {
        Ok(Self::new(&inspections(element)?))
    }
}

/// The check of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// When it was made.
    pub timestamp: Timestamp,
    /// The certificate's subject, RFC 2253.
    pub subject_name: String,
    /// The certificate's issuer, RFC 2253.
    pub issuer_name: String,
    /// The certificate's serial number, decimal.
    pub serial_number: String,
    /// The kind of certificate; some peers leave it out.
    pub certificate_type: Option<CertificateType>,
    /// The issuer's signature over the certificate.
    pub math: MathResult,
    /// The validity period at the time of the check.
    pub offline: OfflineResult,
    /// The revocation check, if one was made.
    pub online: Option<OnlineResult>,
}

/// Defines an enumeration of the words that one attribute can have.
macro_rules! words {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $word_doc:literal])+ $variant:ident = $word:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[doc = $word_doc])+ $variant,)+
        }

        impl $name {
            /// All values.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            fn from_attribute(element: &Element, attribute: &'static str) -> Result<Self, BlockError> {
                match read::attribute(element, attribute)? {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(read::bad_value(element, "a word that the schema does not know")),
                }
            }
        }
    };
}

words! {
    /// The kind of a certificate.
    CertificateType {
        /// An advanced certificate.
        Advanced = "advanced",
        /// A qualified certificate.
        Qualified = "qualified",
        /// A qualified certificate of an accredited provider.
        Accredited = "accredited",
        /// Not known.
        Unknown = "unknown",
    }
}

words! {
    /// What the check of the issuer's signature gave.
    MathResult {
        /// The signature is right.
        Ok = "ok",
        /// The signature is wrong.
        Corrupted = "corrupted",
        /// The issuer is not known.
        Indeterminate = "indeterminate",
    }
}

words! {
    /// What the check of the validity period gave.
    OfflineResult {
        /// Inside the period.
        Valid = "valid",
        /// Outside the period.
        Invalid = "invalid",
        /// Not known.
        Indeterminate = "indeterminate",
    }
}

words! {
    /// Whether the issuer revoked the certificate.
    Revocation {
        /// Not revoked.
        Ok = "ok",
        /// Revoked.
        Revoked = "revoked",
    }
}

/// The revocation check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnlineResult {
    /// Its outcome.
    pub revocation: Revocation,
    /// What the outcome is based on, as far as told.
    pub evidence: Vec<OnlineEvidence>,
}

/// What a revocation check is based on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnlineEvidence {
    /// An OCSP response, DER. The element is called `OCSP`, as the reference implementation has it; the schema's
    /// `OSCP` is read, too.
    Ocsp(Vec<u8>),
    /// A revocation list of this date.
    Crl(DateTime),
    /// What a directory answered.
    Ldap(Vec<u8>),
}

impl Inspection {
    /// Writes `osci:Inspection`.
    pub fn write(&self, xml: &mut XmlWriter) {
        xml.open("osci:Inspection", &[]);
        self.timestamp.write_as("osci:Timestamp", xml);
        xml.leaf("osci:X509SubjectName", &[], &self.subject_name);
        xml.leaf("osci:X509IssuerName", &[], &self.issuer_name);
        xml.leaf("osci:X509SerialNumber", &[], &self.serial_number);
        if let Some(kind) = self.certificate_type {
            xml.leaf("osci:CertType", &[("Type", kind.as_str())], "");
        }
        xml.leaf("osci:MathResult", &[("Result", self.math.as_str())], "");
        xml.leaf("osci:OfflineResult", &[("Result", self.offline.as_str())], "");
        if let Some(online) = &self.online {
            online.write(xml);
        }
        xml.close();
    }

    /// Reads `osci:Inspection`. Children in any order; the kind of certificate may be missing.
    ///
    /// # Errors
    /// If anything else is missing, repeated, unknown or malformed.
    pub fn from_element(element: &Element) -> Result<Self, BlockError> {
        let mut found = Found::default();
        for child in read::children(element)? {
            found.take(element, child)?;
        }
        let missing = |name| move || read::missing(element, name);
        Ok(Self {
            timestamp: found.timestamp.ok_or_else(missing("Timestamp"))?,
            subject_name: found.subject_name.ok_or_else(missing("X509SubjectName"))?,
            issuer_name: found.issuer_name.ok_or_else(missing("X509IssuerName"))?,
            serial_number: found.serial_number.ok_or_else(missing("X509SerialNumber"))?,
            certificate_type: found.certificate_type,
            math: found.math.ok_or_else(missing("MathResult"))?,
            offline: found.offline.ok_or_else(missing("OfflineResult"))?,
            online: found.online,
        })
    }
}

impl OnlineResult {
    fn write(&self, xml: &mut XmlWriter) {
        xml.open("osci:OnlineResult", &[("Result", self.revocation.as_str())]);
        for evidence in &self.evidence {
            match evidence {
                OnlineEvidence::Ocsp(der) => xml.leaf("osci:OCSP", &[], &rohrpost_xmlsec::base64::encode(der)),
                OnlineEvidence::Crl(at) => xml.leaf("osci:CRL", &[], at.as_str()),
                OnlineEvidence::Ldap(data) => xml.leaf("osci:LDAP", &[], &rohrpost_xmlsec::base64::encode(data)),
            };
        }
        xml.close();
    }

    fn from_element(element: &Element) -> Result<Self, BlockError> {
        let revocation = Revocation::from_attribute(element, "Result")?;
        let mut evidence = Vec::new();
        for child in read::children(element)? {
            evidence.push(match child.name().local() {
                _ if child.name().uri() != Some(OSCI) => return Err(read::unexpected(element, child)),
                "OCSP" | "OSCP" => OnlineEvidence::Ocsp(base64(child)?),
                "LDAP" => OnlineEvidence::Ldap(base64(child)?),
                "CRL" => {
                    let at = DateTime::parse(read::leaf(child)?);
                    OnlineEvidence::Crl(at.map_err(|_| read::bad_value(child, "no date and time"))?)
                }
                _ => return Err(read::unexpected(element, child)),
            });
        }
        Ok(Self { revocation, evidence })
    }
}

/// The parts of an inspection as they are met.
#[derive(Default)]
struct Found {
    timestamp: Option<Timestamp>,
    subject_name: Option<String>,
    issuer_name: Option<String>,
    serial_number: Option<String>,
    certificate_type: Option<CertificateType>,
    math: Option<MathResult>,
    offline: Option<OfflineResult>,
    online: Option<OnlineResult>,
}

impl Found {
    fn take(&mut self, parent: &Element, child: &Element) -> Result<(), BlockError> {
        let text = || read::leaf(child).map(str::to_owned);
        match child.name().local() {
            _ if child.name().uri() != Some(OSCI) => Err(read::unexpected(parent, child)),
            "Timestamp" => read::once(&mut self.timestamp, Timestamp::from_element(child)?, parent, child),
            "X509SubjectName" => read::once(&mut self.subject_name, text()?, parent, child),
            "X509IssuerName" => read::once(&mut self.issuer_name, text()?, parent, child),
            "X509SerialNumber" => read::once(&mut self.serial_number, serial_number(child)?, parent, child),
            "CertType" => {
                let kind = CertificateType::from_attribute(child, "Type")?;
                read::once(&mut self.certificate_type, kind, parent, child)
            }
            "MathResult" => read::once(&mut self.math, MathResult::from_attribute(child, "Result")?, parent, child),
            "OfflineResult" => {
                read::once(&mut self.offline, OfflineResult::from_attribute(child, "Result")?, parent, child)
            }
            "OnlineResult" => read::once(&mut self.online, OnlineResult::from_element(child)?, parent, child),
            _ => Err(read::unexpected(parent, child)),
        }
    }
}

fn inspections(report: &Element) -> Result<Vec<Inspection>, BlockError> {
    let entry = |child: &&Element| match child.is(OSCI, "Inspection") {
        true => Inspection::from_element(child),
        false => Err(read::unexpected(report, child)),
    };
    read::children(report)?.iter().map(entry).collect()
}

fn serial_number(element: &Element) -> Result<String, BlockError> {
    let text = read::leaf(element)?.trim_ascii();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(read::bad_value(element, "no integer"));
    }
    Ok(text.to_owned())
}
