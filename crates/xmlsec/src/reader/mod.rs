//! The strict streaming reader.
//!
//! It reads XML 1.0 (fifth edition) with Namespaces in XML 1.0, in UTF-8, without document type
//! declarations and processing instructions, and refuses everything else before the caller sees
//! it. Memory is bounded by [`Limits`] and does not depend on the length of the document or of any
//! text node.

mod chars;
mod error;
mod input;
mod limits;
mod markup;
mod names;
mod ns;
mod start;
mod tag;
mod text;

use std::collections::HashSet;
use std::io::BufRead;
use std::sync::Arc;

pub use error::{Bound, Construct, Fault, XmlError};
pub use limits::Limits;
pub use names::{Name, is_ncname};
pub(crate) use ns::Scope;
pub use ns::{Declaration, NsContext, XML_NAMESPACE, XMLNS_NAMESPACE};
pub use tag::{Attribute, StartTag};

use input::Input;

/// A piece of a document.
#[derive(Debug)]
pub enum Event<'a> {
    /// An element begins. `<a/>` gives a `Start` and an `End`. To look at the tag and at the reader
    /// together, let go of the event and ask for [`StrictReader::start_tag`].
    Start(&'a StartTag),
    /// Never empty; a text node may come in any number of pieces. References are replaced, CDATA
    /// sections unwrapped, line ends are LF. Comments vanish, the text around them does not join.
    Text(&'a str),
    /// The element of this name ends.
    End(&'a Name),
    /// The document ends. Comes once its end was checked, and again on every further call.
    Eof,
}

/// Reads a document piece by piece; see the [module](self).
///
/// ```
/// use rohrpost_xmlsec::reader::{Event, Limits, StrictReader};
/// # fn main() -> Result<(), rohrpost_xmlsec::XmlError> {
/// let mut reader = StrictReader::new(&b"<a x='1'>t&#x65;xt</a>"[..], &Limits::default());
/// let mut text = String::new();
/// loop {
///     match reader.next()? {
///         Event::Start(tag) => assert_eq!(tag.attr("x"), Some("1")),
///         Event::Text(piece) => text.push_str(piece),
///         Event::End(_) => {}
///         Event::Eof => break,
///     }
/// }
/// assert_eq!(text, "text");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct StrictReader<R> {
    input: Input<R>,
    limits: Limits,
    place: Place,
    fragment: bool,
    event_start: u64,
    at_start_tag: bool,
    tag: StartTag,
    /// Raw bytes of the tag, comment or reference that is being read.
    token: Vec<u8>,
    /// Text that does not lie in the input as it is.
    scratch: String,
    /// Names of the open elements; buffers beyond `depth` are kept for later.
    open: Vec<Open>,
    depth: usize,
    empty_element: bool,
    /// `]` that ended the last piece of text.
    brackets: usize,
    scope: Scope,
    recent: start::Recent,
    ids: HashSet<Box<str>>,
    id_bytes: usize,
}

#[derive(Debug, Default)]
struct Open {
    name: Name,
    mark: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Prolog,
    Content,
    Cdata,
    Epilog,
    Done,
    Failed,
}

/// What was read; borrowed from the reader only at the very end.
enum Step {
    Start,
    /// So many bytes of the input are text.
    Run(usize),
    Scratch,
    End,
    Eof,
}

impl<R: BufRead> StrictReader<R> {
    /// Reads a whole document: byte order mark and XML declaration may come first, comments and
    /// white space may surround the root element.
    pub fn new(source: R, limits: &Limits) -> Self {
        Self::start(source, limits, &NsContext::empty(), false)
    }

    /// Reads one element and nothing around it, where `in_scope` is in scope.
    pub fn fragment(source: R, limits: &Limits, in_scope: &NsContext) -> Self {
        Self::start(source, limits, in_scope, true)
    }

    fn start(source: R, limits: &Limits, in_scope: &NsContext, fragment: bool) -> Self {
        Self {
            input: Input::new(source),
            limits: limits.clone(),
            place: if fragment { Place::Prolog } else { Place::Start },
            fragment,
            event_start: 0,
            at_start_tag: false,
            tag: StartTag::default(),
            token: Vec::new(),
            scratch: String::new(),
            open: Vec::new(),
            depth: 0,
            empty_element: false,
            brackets: 0,
            scope: Scope::new(in_scope),
            recent: start::Recent::default(),
            ids: HashSet::new(),
            id_bytes: 0,
        }
    }

    /// Reads on.
    ///
    /// # Errors
    /// [`XmlError`] at the first thing that is wrong; after that, every call fails.
    #[allow(clippy::should_implement_trait, reason = "events borrow from the reader")]
    pub fn next(&mut self) -> Result<Event<'_>, XmlError> {
        self.input.release();
        let step = self.advance().inspect_err(|_| self.place = Place::Failed)?;
        self.at_start_tag = matches!(step, Step::Start);
        match step {
            Step::Start => Ok(Event::Start(&self.tag)),
            Step::End => Ok(Event::End(&self.open[self.depth].name)),
            Step::Scratch => Ok(Event::Text(&self.scratch)),
            Step::Eof => Ok(Event::Eof),
            Step::Run(length) => match std::str::from_utf8(self.input.hold(length)?) {
                Ok(text) => Ok(Event::Text(text)),
                Err(_) => {
                    self.place = Place::Failed;
                    Err(XmlError::NotWellFormed { fault: Fault::NotUtf8, at: self.event_start })
                }
            },
        }
    }

    /// Byte position after the last event, relative to where the source stood at the beginning.
    pub fn offset(&self) -> u64 {
        self.input.position()
    }

    /// Byte position where the markup of the last event begins. For the end of `<a/>` it equals
    /// [`offset`](Self::offset). An element reaches from the `event_start` of its start to the
    /// `offset` of its end.
    pub fn event_start(&self) -> u64 {
        self.event_start
    }

    /// What is in scope: within the element after its start, around it again after its end.
    pub fn in_scope(&self) -> &NsContext {
        self.scope.now()
    }

    /// The same, to be kept.
    pub(crate) fn shared_scope(&self) -> &Arc<NsContext> {
        self.scope.now()
    }

    /// Number of open elements.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The start tag read last, if that was the last event.
    pub fn start_tag(&self) -> Option<&StartTag> {
        self.at_start_tag.then_some(&self.tag)
    }

    /// Whether an element with this `Id` began so far.
    pub fn contains_id(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// All values of `Id` attributes so far, in no order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().map(AsRef::as_ref)
    }

    /// The bounds in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The source, standing behind the last event as far as it was buffered by itself.
    pub fn into_inner(self) -> R {
        self.input.into_inner()
    }

    fn advance(&mut self) -> Result<Step, XmlError> {
        if self.empty_element {
            self.event_start = self.input.position();
            return Ok(self.close());
        }
        loop {
            self.event_start = self.input.position();
            let step = match self.place {
                Place::Start => self.byte_order_mark()?,
                Place::Prolog | Place::Epilog => self.around()?,
                Place::Content => self.content()?,
                Place::Cdata => self.cdata()?,
                Place::Done => Some(Step::Eof),
                Place::Failed => return Err(self.fault(Fault::AfterError)),
            };
            if let Some(step) = step {
                return Ok(step);
            }
        }
    }

    fn byte_order_mark(&mut self) -> Result<Option<Step>, XmlError> {
        self.place = Place::Prolog;
        if self.input.peek()? == Some(0xEF) && !self.input.take_exact(b"\xEF\xBB\xBF")? {
            return Err(self.fault(Fault::TextOutsideRoot));
        }
        self.event_start = self.input.position();
        if self.input.peek()? == Some(b'<') {
            self.input.consume(1);
            return self.markup(true);
        }
        Ok(None)
    }

    /// Outside the root element.
    fn around(&mut self) -> Result<Option<Step>, XmlError> {
        let Some(byte) = self.input.peek()? else { return self.end_of_document() };
        let before = self.place == Place::Prolog;
        match byte {
            b'<' if before || !self.fragment => {
                self.input.consume(1);
                self.markup(false)
            }
            _ if self.fragment => Err(self.fault(Fault::AroundFragment)),
            _ if chars::is_space(byte) => {
                self.input.consume(1);
                Ok(None)
            }
            _ => Err(self.fault(Fault::TextOutsideRoot)),
        }
    }

    fn end_of_document(&mut self) -> Result<Option<Step>, XmlError> {
        if self.place == Place::Prolog {
            return Err(self.fault(Fault::Empty));
        }
        self.place = Place::Done;
        Ok(Some(Step::Eof))
    }

    fn content(&mut self) -> Result<Option<Step>, XmlError> {
        match self.input.peek()? {
            None => Err(self.input.truncated()),
            Some(b'<') => {
                self.input.consume(1);
                self.brackets = 0;
                self.markup(false)
            }
            Some(_) => self.text(),
        }
    }

    fn fault(&self, fault: Fault) -> XmlError {
        XmlError::NotWellFormed { fault, at: self.event_start }
    }
}

/// Reads a whole document and forgets it: succeeds exactly if the document is acceptable.
/// Returns its length in bytes.
///
/// # Errors
/// The first [`XmlError`].
pub fn check<R: BufRead>(source: R, limits: &Limits) -> Result<u64, XmlError> {
    let mut reader = StrictReader::new(source, limits);
    while !matches!(reader.next()?, Event::Eof) {}
    Ok(reader.offset())
}

/// The error for whoever wants an element where no start tag was read last.
pub(crate) fn not_at_element(at: u64) -> XmlError {
    XmlError::NotWellFormed { fault: Fault::NotAtElement, at }
}
