//! Character data, references and CDATA sections.

use std::io::BufRead;

use super::chars;
use super::error::{Bound, Fault, XmlError};
use super::input::WINDOW;
use super::{Place, Step, StrictReader};

/// `]` kept back in a CDATA section before they are handed out as text.
const BRACKETS_KEPT: usize = 1024;

impl<R: BufRead> StrictReader<R> {
    /// Text within an element; the next byte exists and is no `<`.
    pub(super) fn text(&mut self) -> Result<Option<Step>, XmlError> {
        match self.input.peek()? {
            Some(b'&') => self.reference().map(Some),
            Some(b'\r') => self.line_end(),
            _ => self.run(),
        }
    }

    /// The longest piece of text that can be handed out as it lies in the input.
    fn run(&mut self) -> Result<Option<Step>, XmlError> {
        let brackets = self.brackets;
        let buffer = self.input.buffer()?;
        let window = &buffer[..buffer.len().min(WINDOW)];
        let found = memchr::memchr3(b'<', b'&', b'\r', window);
        let mut run = &window[..found.unwrap_or(window.len())];
        let checked = chars::check(run);
        if checked.is_ok_and(|census| census.greater) && closes_cdata(run, brackets) {
            return Err(self.fault(Fault::CdataEndInText));
        }
        if found.is_none() && checked.is_ok_and(|census| census.beyond_ascii) {
            run = &run[..chars::whole_characters(run)];
        }
        let length = run.len();
        let trailing = run.iter().rev().take_while(|&&b| b == b']').count();
        self.brackets = if trailing == length { (brackets + trailing).min(2) } else { trailing.min(2) };
        checked.map_err(|fault| self.fault(fault))?;
        if length == 0 { self.split_character().map(Some) } else { Ok(Some(Step::Run(length))) }
    }

    /// A character whose bytes lie on both sides of a buffer's end.
    fn split_character(&mut self) -> Result<Step, XmlError> {
        self.brackets = 0;
        let first = self.input.take()?;
        let mut bytes = [first, 0, 0, 0];
        let length = chars::sequence_len(first);
        for byte in &mut bytes[1..length] {
            *byte = self.input.take()?;
        }
        let text = chars::checked_str(&bytes[..length]).map_err(|fault| self.fault(fault))?;
        self.scratch.clear();
        self.scratch.push_str(text);
        Ok(Step::Scratch)
    }

    /// CR LF and CR alone are LF (XML 1.0, 2.11).
    fn line_end(&mut self) -> Result<Option<Step>, XmlError> {
        self.brackets = 0;
        self.input.consume(1);
        if self.input.peek()? == Some(b'\n') {
            return Ok(None); // the LF begins the next run
        }
        Ok(Some(self.one_character('\n')))
    }

    fn reference(&mut self) -> Result<Step, XmlError> {
        const LONGEST: usize = 32;
        self.brackets = 0;
        self.input.consume(1);
        self.token.clear();
        let taken = self.input.take_until(b';', &mut self.token, LONGEST, Bound::Token);
        taken.map_err(|error| match error {
            XmlError::Limit { .. } => self.fault(Fault::CharacterReference),
            error => error,
        })?;
        let character = chars::reference(&self.token).map_err(|fault| self.fault(fault))?;
        Ok(self.one_character(character))
    }

    fn one_character(&mut self, character: char) -> Step {
        self.scratch.clear();
        self.scratch.push(character);
        Step::Scratch
    }

    /// Within a CDATA section. `brackets` counts `]` that were consumed but not handed out.
    pub(super) fn cdata(&mut self) -> Result<Option<Step>, XmlError> {
        let Some(byte) = self.input.peek()? else { return Err(self.input.truncated()) };
        match byte {
            b']' if self.brackets < BRACKETS_KEPT => {
                self.input.consume(1);
                self.brackets += 1;
                Ok(None)
            }
            b'>' if self.brackets >= 2 => {
                self.input.consume(1);
                self.place = Place::Content;
                Ok(self.kept_brackets(2))
            }
            b']' => Ok(self.kept_brackets_but(2)),
            _ if self.brackets > 0 => Ok(self.kept_brackets(0)),
            b'\r' => self.line_end(),
            _ => self.cdata_run(),
        }
    }

    fn cdata_run(&mut self) -> Result<Option<Step>, XmlError> {
        let buffer = self.input.buffer()?;
        let window = &buffer[..buffer.len().min(WINDOW)];
        let found = memchr::memchr2(b']', b'\r', window);
        let mut run = &window[..found.unwrap_or(window.len())];
        let checked = chars::check(run);
        if found.is_none() && checked.is_ok_and(|census| census.beyond_ascii) {
            run = &run[..chars::whole_characters(run)];
        }
        let length = run.len();
        checked.map_err(|fault| self.fault(fault))?;
        if length == 0 { self.split_character().map(Some) } else { Ok(Some(Step::Run(length))) }
    }

    /// Hands out all kept `]` but the last `but`, which are dropped.
    fn kept_brackets(&mut self, but: usize) -> Option<Step> {
        let count = std::mem::take(&mut self.brackets) - but;
        self.give_brackets(count)
    }

    /// Hands out all kept `]` but the last `but`, which stay kept.
    fn kept_brackets_but(&mut self, but: usize) -> Option<Step> {
        let count = self.brackets - but;
        self.brackets = but;
        self.give_brackets(count)
    }

    fn give_brackets(&mut self, count: usize) -> Option<Step> {
        self.scratch.clear();
        self.scratch.extend(std::iter::repeat_n(']', count));
        (count > 0).then_some(Step::Scratch)
    }
}

/// Whether `]]>` ends somewhere in `run`, which follows so many `]`.
fn closes_cdata(run: &[u8], brackets: usize) -> bool {
    memchr::memchr_iter(b'>', run).any(|at| match &run[..at] {
        [.., b']', b']'] => true,
        [b']'] => brackets >= 1,
        [] => brackets >= 2,
        _ => false,
    })
}
