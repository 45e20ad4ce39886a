//! The list of entries in a response.

use std::fmt;
use std::str::FromStr;

use rohrpost_xmlsec::tree::Element;
use thiserror::Error;

use super::code::severity;
use super::{Code, Language, Level, Severity};
use crate::header::{BlockError, read};
use crate::ns::OSCI;
use crate::xml::XmlWriter;

/// A feedback code as received: four digits, known to the table or not. Unknown codes survive a round trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CodeNumber(u16);

/// Not four digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a feedback code has four digits")]
pub struct CodeNumberInvalid;

impl CodeNumber {
    /// The code of the table with this number.
    pub fn known(self) -> Option<Code> {
        Code::try_from(self.0).ok()
    }

    /// What the first digit says.
    pub fn severity(self) -> Severity {
        severity(self.0)
    }
}

impl From<Code> for CodeNumber {
    fn from(code: Code) -> Self {
        Self(code.number())
    }
}

impl PartialEq<Code> for CodeNumber {
    fn eq(&self, other: &Code) -> bool {
        self.0 == other.number()
    }
}

impl FromStr for CodeNumber {
    type Err = CodeNumberInvalid;

    fn from_str(text: &str) -> Result<Self, CodeNumberInvalid> {
        let text = text.trim_ascii();
        let digits = text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten();
        number.map(Self).ok_or(CodeNumberInvalid)
    }
}

/// The four digits.
impl fmt::Display for CodeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.0)
    }
}

/// One code with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The code.
    pub code: CodeNumber,
    /// `xml:lang`, as received; some peers write a whole list of languages.
    pub language: Option<String>,
    /// The words; some peers leave them out.
    pub text: Option<String>,
}

/// The entries of a response.
///
/// Made here, it is never empty and keeps this order: a single success first, or, without success, the errors first;
/// warnings follow. Read from a response, it is as the peer sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feedback {
    entries: Vec<Entry>,
}

impl Feedback {
    /// A list with one entry, in one language: readers find entries by position, not by language.
    pub fn new(code: Code, language: Language) -> Self {
        let mut feedback = Self { entries: Vec::new() };
        feedback.insert(0, code, language.tag().to_owned(), language);
        feedback
    }

    /// What became of a message within another one: unlike the feedback of an answer, it may also hold codes that are faults otherwise.
    pub fn of_inner(success: Code, codes: &[Code], language: Language) -> Self {
        let error = codes.iter().copied().find(|code| code.severity() == Severity::Error);
        let mut feedback = Self { entries: Vec::new() };
        for code in [error.unwrap_or(success)].iter().chain(codes) {
            if !feedback.contains(*code) {
                feedback.place(feedback.entries.len(), *code, language.tag().to_owned(), language);
            }
        }
        feedback
    }

    /// Takes received entries as they are.
    pub fn from_entries(entries: Vec<Entry>) -> Self {
        Self { entries }
    }

    /// Adds a code in the language of the first entry, where the order demands it. A code that is present is not
    /// repeated, an error displaces a success, and a success is not added to an error or to another success.
    pub fn add(&mut self, code: Code) -> &mut Self {
        let tag = self.entries.first().and_then(|first| first.language.clone()).unwrap_or_default();
        let language = Language::negotiate(&tag);
        if self.contains(code) {
            return self;
        }
        let leading = self.entries.iter().take_while(|entry| entry.code.severity() == Severity::Error).count();
        match code.severity() {
            Severity::Warning => self.insert(self.entries.len(), code, tag, language),
            Severity::Error => {
                self.entries.retain(|entry| entry.code.severity() != Severity::Success);
                self.insert(leading, code, tag, language);
            }
            Severity::Success if leading == 0 && !self.has(Severity::Success) => self.insert(0, code, tag, language),
            Severity::Success => {}
        }
        self
    }

    /// The entries in their order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether an entry has this code.
    pub fn contains(&self, code: Code) -> bool {
        self.entries.iter().any(|entry| entry.code == code)
    }

    /// Whether the order was executed: there is an entry, and none is an error.
    pub fn is_executed(&self) -> bool {
        !self.entries.is_empty() && !self.has(Severity::Error)
    }

    /// Writes `osci:Feedback`, canonical, for a context in which the prefix is declared.
    pub fn write(&self, xml: &mut XmlWriter) {
        self.write_as("osci:Feedback", xml);
    }

    /// Writes the entries within an element of another name: `osci2017:InsideFeedback`.
    pub fn write_as(&self, name: &'static str, xml: &mut XmlWriter) {
        xml.open(name, &[]);
        for entry in &self.entries {
            let language: &[_] = match &entry.language {
                Some(language) => &[("xml:lang", language.as_str())],
                None => &[],
            };
            xml.open("osci:Entry", language);
            xml.leaf("osci:Code", &[], &entry.code.to_string());
            if let Some(text) = &entry.text {
                xml.leaf("osci:Text", &[], text);
            }
            xml.close();
        }
        xml.close();
    }

    /// Reads `osci:Feedback`. Language and text of an entry may be missing, and codes may be unknown.
    ///
    /// # Errors
    /// If there is anything but entries with one code of four digits each.
    pub fn from_element(element: &Element) -> Result<Self, BlockError> {
        let entry = |child: &&Element| match child.is(OSCI, "Entry") {
            true => Entry::from_element(child),
            false => Err(read::unexpected(element, child)),
        };
        let entries = read::children(element)?.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        if entries.is_empty() { Err(read::missing(element, "Entry")) } else { Ok(Self { entries }) }
    }

    fn insert(&mut self, at: usize, code: Code, tag: String, language: Language) {
        debug_assert!(code.level() == Level::Order, "{code} is a fault, not feedback");
        self.place(at, code, tag, language);
    }

    fn place(&mut self, at: usize, code: Code, tag: String, language: Language) {
        let text = Some(code.text(language).to_owned());
        self.entries.insert(at, Entry { code: code.into(), language: Some(tag), text });
    }

    fn has(&self, severity: Severity) -> bool {
        self.entries.iter().any(|entry| entry.code.severity() == severity)
    }
}

impl Entry {
    fn from_element(element: &Element) -> Result<Self, BlockError> {
        let (mut code, mut text) = (None, None);
        for child in read::children(element)? {
            if child.is(OSCI, "Code") {
                let number = read::leaf(child)?.parse();
                let number = number.map_err(|_| read::bad_value(child, "a feedback code has four digits"))?;
                read::once(&mut code, number, element, child)?;
            } else if child.is(OSCI, "Text") {
                read::once(&mut text, read::leaf(child)?.to_owned(), element, child)?;
            } else {
                return Err(read::unexpected(element, child));
            }
        }
        let language = element.attr_ns("http://www.w3.org/XML/1998/namespace", "lang").map(str::to_owned);
        Ok(Self { code: code.ok_or_else(|| read::missing(element, "Code"))?, language, text })
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn codes(feedback: &Feedback) -> Vec<String> {
        feedback.entries().iter().map(|entry| entry.code.to_string()).collect()
    }

    #[test]
    fn success_comes_first_and_once() {
        let mut feedback = Feedback::new(Code::FurtherDeliveries, Language::German);
        feedback.add(Code::CertificateCheckIncomplete).add(Code::ExecutedDialogOpen).add(Code::ExecutedDialogClosed);
        feedback.add(Code::FurtherDeliveries);
        assert_eq!(codes(&feedback), ["0801", "3800", "3707"]);
        assert!(feedback.is_executed());
    }

    #[test]
    fn an_inner_message_may_have_failed_in_any_way() {
        let of = |inner: &[Code]| codes(&Feedback::of_inner(Code::ExecutedDialogOpen, inner, Language::English));
        assert_eq!(of(&[]), ["0801"]);
        assert_eq!(of(&[Code::CertificateCheckIncomplete, Code::CertificateCheckIncomplete]), ["0801", "3707"]);
        assert_eq!(of(&[Code::CertificateCheckIncomplete, Code::NotAMessage]), ["9100", "3707"]);
    }

    #[test]
    fn errors_come_first_and_displace_success() {
        let mut feedback = Feedback::new(Code::ExecutedDialogOpen, Language::English);
        feedback.add(Code::CertificateCheckIncomplete).add(Code::MessageIdIllegal).add(Code::OrderFailed);
        feedback.add(Code::ExecutedDialogClosed);
        assert_eq!(codes(&feedback), ["9801", "9811", "3707"]);
        assert!(!feedback.is_executed());
        assert!(feedback.entries().iter().all(|entry| entry.language.as_deref() == Some("en")));
        assert_eq!(feedback.entries()[0].text.as_deref(), Some(Code::MessageIdIllegal.text(Language::English)));
    }

    #[test]
    fn the_element_is_canonical() {
        let mut feedback = Feedback::new(Code::ExecutedDialogClosed, Language::English);
        feedback.add(Code::CertificateCheckIncomplete);
        let mut xml = XmlWriter::new();
        feedback.write(&mut xml);
        expect![[r#"<osci:Feedback><osci:Entry xml:lang="en"><osci:Code>0800</osci:Code><osci:Text>The order is executed, the dialog is closed.</osci:Text></osci:Entry><osci:Entry xml:lang="en"><osci:Code>3707</osci:Code><osci:Text>The certificates could not be checked completely.</osci:Text></osci:Entry></osci:Feedback>"#]]
            .assert_eq(&xml.finish());
    }

    #[test]
    fn code_numbers_are_four_digits() {
        for (text, known) in [("0800", true), (" 9811\n", true), ("9999", false)] {
            assert_eq!(text.parse::<CodeNumber>().unwrap().known().is_some(), known, "{text:?}");
        }
        for text in ["", "800", "09800", "+800", "x800", "٠٨٠٠"] {
            assert_eq!(text.parse::<CodeNumber>(), Err(CodeNumberInvalid), "{text:?}");
        }
        let unknown: CodeNumber = "3999".parse().unwrap();
        assert_eq!((unknown.severity(), unknown.to_string().as_str()), (Severity::Warning, "3999"));
    }
}
