//! Everything that begins with `<`.

use std::io::BufRead;

use super::chars::{self, is_space};
use super::error::{Bound, Construct, Fault, XmlError};
use super::{Open, Place, Step, StrictReader, start};

impl<R: BufRead> StrictReader<R> {
    /// Reads on after a `<`; `first` if nothing but a byte order mark precedes it.
    pub(super) fn markup(&mut self, first: bool) -> Result<Option<Step>, XmlError> {
        match self.input.peek()? {
            None => Err(self.input.truncated()),
            Some(b'/') => self.end_tag().map(Some),
            Some(b'!') => {
                self.input.consume(1);
                self.declaration().map(|()| None)
            }
            Some(b'?') => self.xml_declaration(first).map(|()| None),
            Some(_) => self.start_tag_markup().map(Some),
        }
    }

    fn start_tag_markup(&mut self) -> Result<Step, XmlError> {
        if self.place == Place::Epilog {
            return Err(self.fault(Fault::SecondRoot));
        }
        self.token.clear();
        self.input.take_tag(&mut self.token, self.limits.token_len)?;
        if self.depth == self.limits.depth {
            return Err(XmlError::Limit { bound: Bound::Depth, at: self.event_start });
        }
        let mark = self.scope.mark();
        let parsed = start::parse(&self.token, &self.limits, &mut self.scope, &mut self.recent, &mut self.tag);
        self.empty_element = parsed.map_err(|refusal| refusal.at(self.event_start))?;
        self.note_id()?;
        if self.open.len() == self.depth {
            self.open.push(Open::default());
        }
        let open = &mut self.open[self.depth];
        open.name.assign_name(self.tag.name());
        open.mark = mark;
        self.depth += 1;
        self.place = Place::Content;
        Ok(Step::Start)
    }

    fn note_id(&mut self) -> Result<(), XmlError> {
        let Some(id) = self.tag.attr("Id") else { return Ok(()) };
        let at = self.event_start;
        self.id_bytes += id.len();
        if self.ids.len() >= self.limits.ids || self.id_bytes > self.limits.id_bytes {
            return Err(XmlError::Limit { bound: Bound::Ids, at });
        }
        if self.ids.insert(id.into()) { Ok(()) } else { Err(XmlError::DuplicateId { at }) }
    }

    fn end_tag(&mut self) -> Result<Step, XmlError> {
        self.token.clear();
        let limit = self.limits.token_len;
        self.input.take_until(b'>', &mut self.token, limit, Bound::Token)?;
        let mut name = &self.token[1..];
        while let [before @ .., last] = name
            && is_space(*last)
        {
            name = before;
        }
        if self.depth == 0 || self.open[self.depth - 1].name.qname().as_bytes() != name {
            return Err(self.fault(Fault::EndTag));
        }
        Ok(self.close())
    }

    /// Leaves the innermost element.
    pub(super) fn close(&mut self) -> Step {
        self.empty_element = false;
        self.depth -= 1;
        self.scope.back_to(self.open[self.depth].mark);
        if self.depth == 0 {
            self.place = Place::Epilog;
        }
        Step::End
    }

    /// After `<!`.
    fn declaration(&mut self) -> Result<(), XmlError> {
        match self.input.take()? {
            b'-' => self.comment(),
            b'[' if self.input.take_exact(b"CDATA[")? => {
                if self.depth == 0 {
                    return Err(self.fault(Fault::CdataOutsideRoot));
                }
                self.place = Place::Cdata;
                Ok(())
            }
            b'D' => Err(self.forbidden(Construct::Doctype)),
            _ => Err(self.fault(Fault::Markup)),
        }
    }

    fn comment(&mut self) -> Result<(), XmlError> {
        if self.input.take()? != b'-' {
            return Err(self.fault(Fault::Markup));
        }
        if self.fragment && self.depth == 0 {
            return Err(self.fault(Fault::AroundFragment));
        }
        self.token.clear();
        let limit = self.limits.token_len;
        loop {
            self.input.take_until(b'>', &mut self.token, limit, Bound::Token)?;
            if self.token.ends_with(b"--") {
                break;
            }
            self.token.push(b'>');
        }
        self.token.truncate(self.token.len() - 2);
        if memchr::memmem::find(&self.token, b"--").is_some() || self.token.ends_with(b"-") {
            return Err(self.fault(Fault::Comment));
        }
        chars::checked_str(&self.token).map(drop).map_err(|fault| self.fault(fault))
    }

    /// After `<`, before `?`.
    fn xml_declaration(&mut self, first: bool) -> Result<(), XmlError> {
        if !first || !self.input.take_exact(b"?xml")? || !self.input.peek()?.is_some_and(is_space) {
            return Err(self.forbidden(Construct::ProcessingInstruction));
        }
        self.token.clear();
        self.input.take_until(b'>', &mut self.token, 256, Bound::Token)?;
        check_xml_declaration(&self.token).map_err(|fault| self.fault(fault))
    }

    fn forbidden(&self, construct: Construct) -> XmlError {
        XmlError::Forbidden { construct, at: self.event_start }
    }
}

/// Checks what lies between `<?xml` and `>` (XML 1.0, productions 23 to 26, 32, 80).
fn check_xml_declaration(token: &[u8]) -> Result<(), Fault> {
    let text = std::str::from_utf8(token).map_err(|_| Fault::NotUtf8)?;
    let mut rest = text.strip_suffix('?').ok_or(Fault::XmlDeclaration)?;
    if pseudo_attribute(&mut rest, "version")? != Some("1.0") {
        return Err(Fault::XmlDeclaration);
    }
    if let Some(encoding) = pseudo_attribute(&mut rest, "encoding")?
        && !encoding.eq_ignore_ascii_case("UTF-8")
    {
        return Err(Fault::Encoding);
    }
    let standalone = pseudo_attribute(&mut rest, "standalone")?;
    let known = matches!(standalone, None | Some("yes" | "no"));
    if known && rest.bytes().all(is_space) { Ok(()) } else { Err(Fault::XmlDeclaration) }
}

/// Splits ` name="value"` off if it comes next.
fn pseudo_attribute<'a>(rest: &mut &'a str, name: &str) -> Result<Option<&'a str>, Fault> {
    const SPACE: [char; 4] = ['\x20', '\t', '\n', '\r'];
    let trimmed = rest.trim_start_matches(SPACE);
    let Some(after) = trimmed.strip_prefix(name) else { return Ok(None) };
    let after = after.trim_start_matches(SPACE).strip_prefix('=').ok_or(Fault::XmlDeclaration)?;
    let after = after.trim_start_matches(SPACE);
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or(Fault::XmlDeclaration)?;
    let (value, after) = after[1..].split_once(quote).ok_or(Fault::XmlDeclaration)?;
    if trimmed.len() == rest.len() {
        return Err(Fault::XmlDeclaration); // no white space before it
    }
    *rest = after;
    Ok(Some(value))
}
