//! SOAP faults: what takes the place of a response if there is none to give (SOAP 1.1, section 4.4; OSCI-Transport 1.2,
//! message level feedback). They travel unencrypted and unsigned.

use std::io::{self, Write};

use rohrpost_xmlsec::XmlError;
use rohrpost_xmlsec::tree::Element;
use thiserror::Error;

use crate::feedback::{Code, CodeNumber, FaultSide, Language};
use crate::mime::{Boundary, Multipart, Writer};
use crate::ns::{OSCI, SOAP};
use crate::outer::{envelope, only_element_in_body, schema_location};
use crate::source::ReadAt;
use crate::xml::XmlWriter;

/// A fault to be sent or received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Whose mistake it is.
    pub side: FaultSide,
    /// The code, if there is a proper one.
    pub code: Option<CodeNumber>,
    /// The words, of us or of the peer.
    pub text: String,
}

/// The answer seems to be a fault, but is none.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FaultMalformed {
    /// The source could not be read; not the sender's fault.
    #[error("the message could not be read")]
    Io(#[source] io::Error),
    /// Its XML is unacceptable.
    #[error("the fault is not acceptable XML")]
    Xml(#[source] XmlError),
    /// The envelope names no message type, but holds no fault either.
    #[error("the message has no type and is not a fault")]
    Structure,
}

impl Fault {
    /// The fault for one code, with our own words.
    ///
    /// ```
    /// use rohrpost_osci::fault::Fault;
    /// use rohrpost_osci::feedback::{Code, Language};
    /// use rohrpost_osci::mime::{Limits, Multipart};
    ///
    /// let sent = Fault::new(Code::DialogViolated, Language::German);
    /// let bytes = sent.write(Vec::new())?;
    /// let multipart = Multipart::scan(&bytes, &Limits::default())?;
    /// assert_eq!(Fault::parse(&bytes, &multipart)?, Some(sent));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(code: Code, language: Language) -> Self {
        debug_assert!(code.fault_side().is_some(), "{code} is feedback, not a fault");
        Self {
            side: code.fault_side().unwrap_or(FaultSide::Client),
            code: Some(code.into()),
            text: code.text(language).to_owned(),
        }
    }

    /// The code of the table. An unknown or missing one counts as [`Code::OrderFailed`].
    pub fn known_code(&self) -> Code {
        self.code.and_then(CodeNumber::known).unwrap_or(Code::OrderFailed)
    }

    /// Writes the complete message and hands the writer back.
    ///
    /// # Errors
    /// As the writer.
    pub fn write<W: Write>(&self, out: W) -> io::Result<W> {
        // Our own words never contain it, and words of others are escaped.
        let boundary = Boundary::new("MIME_boundary").expect("plain letters");
        let mut mime = Writer::new(out, &boundary)?;
        mime.root()?.write_all(self.to_envelope().as_bytes())?;
        mime.finish()
    }

    /// Reads a message as a fault; `None` if it names a message type and so is something else.
    ///
    /// # Errors
    /// If it does neither.
    pub fn parse(source: &dyn ReadAt, multipart: &Multipart) -> Result<Option<Self>, FaultMalformed> {
        let envelope = envelope(source, multipart, |tag| schema_location(tag).is_none());
        let Some(envelope) = envelope? else { return Ok(None) };
        let fault = only_element_in_body(&envelope).filter(|element| element.is(SOAP, "Fault"));
        Self::from_element(fault.ok_or(FaultMalformed::Structure)?).map(Some)
    }

    /// Elements that SOAP allows beside those we use are not looked at.
    fn from_element(element: &Element) -> Result<Self, FaultMalformed> {
        let child = |local| element.children().find(|child| child.name().local() == local);
        let faultcode = child("faultcode").ok_or(FaultMalformed::Structure)?.text();
        let (prefix, name) = faultcode.trim_ascii().split_once(':').unwrap_or_default();
        // Only the qualified name is an accusation of the server; that is how every peer reads it.
        let is_server = name == "Server" && element.in_scope().uri(prefix) == Some(SOAP);
        let code = child("detail").and_then(|detail| detail.child(OSCI, "Code"));
        Ok(Self {
            side: if is_server { FaultSide::Server } else { FaultSide::Client },
            code: code.and_then(|code| code.text().parse().ok()),
            text: child("faultstring").map(Element::text).unwrap_or_default(),
        })
    }

    fn to_envelope(&self) -> String {
        let side = match self.side {
            FaultSide::Client => "soap:Client",
            FaultSide::Server => "soap:Server",
        };
        let mut xml = XmlWriter::new();
        let declarations = format!(r#" xmlns:soap="{SOAP}" xmlns:osci="{OSCI}""#);
        xml.open_declaring("soap:Envelope", &declarations, &[]).open("soap:Body", &[]).open("soap:Fault", &[]);
        xml.leaf("faultcode", &[], side).leaf("faultstring", &[], &self.text).open("detail", &[]);
        if let Some(code) = self.code {
            xml.leaf("osci:Code", &[], &code.to_string());
        }
        xml.close().close().close().close();
        xml.finish()
    }
}

impl From<XmlError> for FaultMalformed {
    fn from(error: XmlError) -> Self {
        match error {
            XmlError::Input(error) => Self::Io(error),
            error => Self::Xml(error),
        }
    }
}
