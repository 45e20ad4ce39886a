//! Canonical XML 1.0 without comments, inclusive (<https://www.w3.org/TR/2001/REC-xml-c14n-20010315>).
//!
//! A [`Canonicalizer`] takes the events of a [reader](crate::reader) and writes canonical octets to
//! any sink, a [`Hasher`](rohrpost_crypto::Hasher) for instance. The apex of a subset gets every
//! namespace declaration in scope that is not in the *rendered* context; with an empty rendered
//! context that is the standard's document subset.
//!
//! Where it is less than the standard: attributes like `xml:lang` on ancestors of the apex are not
//! inherited by it (OSCI peers do not do that either; where no ancestor has one there is no
//! difference), comments and processing instructions do not exist, and relative namespace names are
//! not refused.

mod escape;

use std::io::{self, BufRead, BufWriter, IntoInnerError, Write};

pub use escape::{escape_attribute, escape_text};

use escape::{ESCAPED_IN_ATTRIBUTES, attribute_entity};

use crate::reader::{Attribute, Declaration, Event, Limits, NsContext, Scope, StartTag, StrictReader, XmlError};

/// Identifier of the algorithm.
pub const ALGORITHM: &str = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";

/// How `>` is written in attribute values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// As Canonical XML says: unchanged.
    Textbook,
    /// As `&gt;`, which is what the common OSCI library hashes and therefore what we write.
    EscapeGtInAttributes,
}

/// Writes canonical octets; see the [module](self).
///
/// ```
/// use rohrpost_xmlsec::c14n::{canonicalize, Dialect};
/// use rohrpost_xmlsec::{Limits, NsContext};
/// # fn main() -> Result<(), rohrpost_xmlsec::XmlError> {
/// let outer = NsContext::from_pairs([("a", "urn:a")]);
/// let canonical = canonicalize(&b"<a:x c='1' b='2'/>"[..], &outer, &NsContext::empty(), Dialect::Textbook, &Limits::default(), Vec::new())?;
/// assert_eq!(canonical, br#"<a:x xmlns:a="urn:a" b="2" c="1"></a:x>"#);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Canonicalizer<W> {
    sink: W,
    dialect: Dialect,
    rendered: Scope,
    /// Names of the open elements, one after the other.
    names: String,
    open: Vec<Open>,
    /// Attributes of the tag at hand in canonical order.
    order: Vec<usize>,
    saw_gt: bool,
}

#[derive(Debug)]
struct Open {
    name: usize,
    mark: usize,
}

/// Small pieces are collected up to this size before the sink gets them.
const BUFFER: usize = 4096;

impl<W: Write> Canonicalizer<BufWriter<W>> {
    /// Writes to `sink`, in pieces that are not small; the declarations in `rendered` count as written already.
    pub fn new(sink: W, dialect: Dialect, rendered: &NsContext) -> Self {
        Self::unbuffered(BufWriter::with_capacity(BUFFER, sink), dialect, rendered)
    }

    /// Hands the rest to the sink and returns it.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn finish(self) -> io::Result<W> {
        self.sink.into_inner().map_err(IntoInnerError::into_error)
    }
}

impl<W: Write> Canonicalizer<W> {
    /// The same for a sink to which small pieces may be written, memory for instance.
    pub fn unbuffered(sink: W, dialect: Dialect, rendered: &NsContext) -> Self {
        Self {
            sink,
            dialect,
            rendered: Scope::new(rendered),
            names: String::new(),
            open: Vec::new(),
            order: Vec::new(),
            saw_gt: false,
        }
    }

    /// Writes a start tag. For the apex give what is in scope at it (its own declarations
    /// included, see [`StrictReader::in_scope`]); for all other elements, and for an apex that
    /// shall not inherit, `None`: then only the tag's own declarations count.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn start(&mut self, tag: &StartTag, in_scope_for_apex: Option<&NsContext>) -> io::Result<()> {
        let name = self.names.len();
        self.names.push_str(tag.name().qname());
        self.open.push(Open { name, mark: self.rendered.mark() });
        self.sink.write_all(b"<")?;
        self.sink.write_all(tag.name().qname().as_bytes())?;
        let declarations = match in_scope_for_apex {
            Some(in_scope) if self.rendered.now().is_empty() => {
                self.rendered.fill(in_scope);
                in_scope.bindings().iter().try_for_each(|binding| self.write_declaration(binding))?;
                &[]
            }
            Some(in_scope) => {
                if in_scope.get("").is_none() && self.rendered.now().get("").is_some() {
                    self.declaration(&Declaration { prefix: "".into(), uri: "".into() })?;
                }
                in_scope.bindings()
            }
            None => tag.declarations(),
        };
        declarations.iter().try_for_each(|binding| self.declaration(binding))?;
        self.attributes(tag.attributes())?;
        self.sink.write_all(b">")
    }

    /// Writes a piece of text.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        let mut rest = text.as_bytes();
        loop {
            let plain = plain_text(rest);
            self.sink.write_all(&rest[..plain])?;
            let Some(&special) = rest.get(plain) else { return Ok(()) };
            self.sink.write_all(match special {
                b'&' => b"&amp;",
                b'<' => b"&lt;",
                b'>' => b"&gt;",
                _ => b"&#xD;",
            })?;
            rest = &rest[plain + 1..];
        }
    }

    /// Writes the end tag of the innermost open element.
    ///
    /// # Errors
    /// Those of the sink.
    ///
    /// # Panics
    /// If no element is open.
    pub fn end(&mut self) -> io::Result<()> {
        let open = self.open.pop().expect("as many ends as starts");
        self.sink.write_all(b"</")?;
        self.sink.write_all(&self.names.as_bytes()[open.name..])?;
        self.sink.write_all(b">")?;
        self.names.truncate(open.name);
        self.rendered.back_to(open.mark);
        Ok(())
    }

    /// Writes the element whose start tag `reader` handed out last, up to its end. If no element
    /// is open here it is an apex and inherits what is in scope.
    ///
    /// # Errors
    /// Those of the reader and the sink; [`Fault::NotAtElement`](crate::reader::Fault) if the
    /// reader's last event was no start.
    pub fn copy_element<R: BufRead>(&mut self, reader: &mut StrictReader<R>) -> Result<(), XmlError> {
        let outside = self.open.len();
        let tag = reader.start_tag().ok_or_else(|| crate::reader::not_at_element(reader.event_start()))?;
        let apex = (outside == 0).then(|| reader.in_scope());
        self.start(tag, apex).map_err(XmlError::Output)?;
        while self.open.len() > outside {
            match reader.next()? {
                Event::Start(tag) => self.start(tag, None),
                Event::Text(text) => self.text(text),
                Event::End(_) => self.end(),
                Event::Eof => break,
            }
            .map_err(XmlError::Output)?;
        }
        Ok(())
    }

    /// Whether a `>` was met in an attribute value, so that the two dialects differ.
    pub fn saw_gt_in_attribute(&self) -> bool {
        self.saw_gt
    }

    /// The sink, which got everything.
    pub fn into_sink(self) -> W {
        self.sink
    }

    fn declaration(&mut self, declaration: &Declaration) -> io::Result<()> {
        if self.rendered.bind(declaration) { self.write_declaration(declaration) } else { Ok(()) }
    }

    fn write_declaration(&mut self, declaration: &Declaration) -> io::Result<()> {
        let prefix = declaration.prefix();
        self.sink.write_all(if prefix.is_empty() { b" xmlns" } else { b" xmlns:" })?;
        self.sink.write_all(prefix.as_bytes())?;
        self.value(declaration.uri())
    }

    fn attributes(&mut self, attributes: &[Attribute]) -> io::Result<()> {
        let key = |index: usize| {
            let name = attributes[index].name();
            (name.uri().unwrap_or_default(), name.local())
        };
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        order.extend(0..attributes.len());
        if order.len() > 1 {
            order.sort_unstable_by(|a, b| key(*a).cmp(&key(*b)));
        }
        for &index in &order {
            self.sink.write_all(b" ")?;
            self.sink.write_all(attributes[index].name().qname().as_bytes())?;
            self.value(attributes[index].value())?;
        }
        self.order = order;
        Ok(())
    }

    fn value(&mut self, value: &str) -> io::Result<()> {
        self.sink.write_all(b"=\"")?;
        let mut rest = value.as_bytes();
        while let Some(at) = rest.iter().position(|&byte| ESCAPED_IN_ATTRIBUTES[usize::from(byte)]) {
            self.sink.write_all(&rest[..at])?;
            let special = rest[at];
            self.saw_gt |= special == b'>';
            match attribute_entity(special) {
                Some(entity) if special != b'>' || self.dialect == Dialect::EscapeGtInAttributes => {
                    self.sink.write_all(entity)?;
                }
                _ => self.sink.write_all(&[special])?,
            }
            rest = &rest[at + 1..];
        }
        self.sink.write_all(rest)?;
        self.sink.write_all(b"\"")
    }
}

/// Canonicalises one element, given alone, with `in_scope` in scope around it.
///
/// # Errors
/// Those of the reader, the source and the sink.
pub fn canonicalize<R: BufRead, W: Write>(
    fragment: R,
    in_scope: &NsContext,
    rendered: &NsContext,
    dialect: Dialect,
    limits: &Limits,
    sink: W,
) -> Result<W, XmlError> {
    run(StrictReader::fragment(fragment, limits, in_scope), rendered, dialect, sink)
}

/// Canonicalises a whole document.
///
/// # Errors
/// Those of the reader, the source and the sink.
pub fn canonicalize_document<R: BufRead, W: Write>(
    document: R,
    dialect: Dialect,
    limits: &Limits,
    sink: W,
) -> Result<W, XmlError> {
    run(StrictReader::new(document, limits), &NsContext::empty(), dialect, sink)
}

fn run<R: BufRead, W: Write>(
    mut reader: StrictReader<R>,
    rendered: &NsContext,
    dialect: Dialect,
    sink: W,
) -> Result<W, XmlError> {
    let mut canonicalizer = Canonicalizer::new(sink, dialect, rendered);
    reader.next()?;
    canonicalizer.copy_element(&mut reader)?;
    reader.next()?; // the end of the document, or what must not follow
    canonicalizer.finish().map_err(XmlError::Output)
}

/// Length of the part of `text` before the first character that is escaped in text.
fn plain_text(text: &[u8]) -> usize {
    let end = memchr::memchr3(b'&', b'<', b'>', text).unwrap_or(text.len());
    memchr::memchr(b'\r', &text[..end]).unwrap_or(end)
}
