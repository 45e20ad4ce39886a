//! Parsing of start tags and the resolution of their names.

use std::sync::{Arc, LazyLock};

use super::chars::{self, is_space};
use super::error::{Bound, Fault, XmlError};
use super::limits::Limits;
use super::names::Name;
use super::ns::{Declaration, Scope, XML_NAMESPACE, XMLNS_NAMESPACE};
use super::tag::StartTag;

static XML: LazyLock<Arc<str>> = LazyLock::new(|| XML_NAMESPACE.into());

/// Why a tag is refused, without the position.
pub(super) enum Refusal {
    Fault(Fault),
    Bound(Bound),
}

impl Refusal {
    pub(super) fn at(self, at: u64) -> XmlError {
        match self {
            Self::Fault(fault) => XmlError::NotWellFormed { fault, at },
            Self::Bound(bound) => XmlError::Limit { bound, at },
        }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Parses what lies between `<` and `>`, binds its declarations in `scope` and resolves its names.
/// Returns whether the element is empty (`<a/>`).
pub(super) fn parse(
    token: &[u8],
    limits: &Limits,
    scope: &mut Scope,
    recent: &mut Recent,
    tag: &mut StartTag,
) -> Result<bool, Refusal> {
    let (text, census) = chars::checked_tag(token)?;
    if census.less {
        return Err(Fault::LessThanInTag.into());
    }
    let (text, empty) = match text.strip_suffix('/') {
        Some(text) => (text, true),
        None => (text, false),
    };
    tag.clear();
    let name_end = text.bytes().position(is_space).unwrap_or(text.len());
    assign(&mut tag.name, &text[..name_end], limits)?;
    let mut rest = &text[name_end..];
    let mut value = std::mem::take(&mut recent.value);
    while let Some(attribute) = next_attribute(&mut rest)? {
        if let Some(prefix) = declared_prefix(attribute.qname) {
            value.clear();
            normalise(attribute.raw, census.unusual, limits, &mut value)?;
            declare(prefix, &value, limits, scope.now(), recent, tag)?;
        } else {
            if tag.used == limits.attributes {
                return Err(Refusal::Bound(Bound::Attributes));
            }
            let buffer = tag.next_attribute();
            assign(&mut buffer.name, attribute.qname, limits)?;
            normalise(attribute.raw, census.unusual, limits, &mut buffer.value)?;
        }
    }
    recent.value = value;
    bind(limits, scope, tag)?;
    resolve(scope, tag)?;
    Ok(empty)
}

struct RawAttribute<'a> {
    qname: &'a str,
    raw: &'a str,
}

/// Splits the next attribute off; `None` at the end of the tag.
fn next_attribute<'a>(rest: &mut &'a str) -> Result<Option<RawAttribute<'a>>, Fault> {
    let trimmed = skip_space(rest);
    if trimmed.is_empty() {
        return Ok(None);
    }
    if trimmed.len() == rest.len() {
        return Err(Fault::MissingSpace);
    }
    let name_end = trimmed.bytes().position(|b| b == b'=' || is_space(b)).unwrap_or(trimmed.len());
    let (qname, after) = trimmed.split_at(name_end);
    let after = skip_space(after).strip_prefix('=').ok_or(Fault::AttributeValue)?;
    let after = skip_space(after);
    let quote = after.bytes().next().filter(|b| matches!(b, b'"' | b'\'')).ok_or(Fault::AttributeValue)?;
    let end = memchr::memchr(quote, &after.as_bytes()[1..]).ok_or(Fault::AttributeValue)?;
    *rest = &after[end + 2..];
    Ok(Some(RawAttribute { qname, raw: &after[1..=end] }))
}

fn skip_space(text: &str) -> &str {
    let spaces = text.bytes().take_while(|&byte| is_space(byte)).count();
    &text[spaces..]
}

/// The prefix that an attribute declares, empty for `xmlns`; `None` for other attributes.
fn declared_prefix(qname: &str) -> Option<&str> {
    let rest = qname.strip_prefix("xmlns")?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(':').map(|p| if p.is_empty() { ":" } else { p }) }
}

fn assign(name: &mut Name, qname: &str, limits: &Limits) -> Result<(), Refusal> {
    if qname.len() > limits.name_len {
        return Err(Refusal::Bound(Bound::Name));
    }
    if name.assign(qname) { Ok(()) } else { Err(Fault::Name.into()) }
}

/// Attribute value normalisation (XML 1.0, 3.3.3) after line end normalisation (2.11), if there may be anything to do.
fn normalise(raw: &str, unusual: bool, limits: &Limits, value: &mut String) -> Result<(), Refusal> {
    let mut rest = raw;
    while unusual && let Some(at) = rest.bytes().position(|b| matches!(b, b'&' | b'\t' | b'\n' | b'\r')) {
        value.push_str(&rest[..at]);
        let special = rest.as_bytes()[at];
        rest = &rest[at + 1..];
        if special == b'&' {
            let end = memchr::memchr(b';', rest.as_bytes()).ok_or(Fault::CharacterReference)?;
            value.push(chars::reference(&rest.as_bytes()[..end])?);
            rest = &rest[end + 1..];
        } else {
            value.push(' ');
            if special == b'\r' {
                rest = rest.strip_prefix('\n').unwrap_or(rest);
            }
        }
    }
    value.push_str(rest);
    if value.len() > limits.attribute_value_len {
        return Err(Refusal::Bound(Bound::AttributeValue));
    }
    Ok(())
}

/// Checks a namespace declaration (Namespaces in XML 1.0, 3 and 5) and notes it in the tag.
fn declare(
    prefix: &str,
    uri: &str,
    limits: &Limits,
    scope: &super::NsContext,
    recent: &mut Recent,
    tag: &mut StartTag,
) -> Result<(), Refusal> {
    if prefix.len() > limits.name_len {
        return Err(Refusal::Bound(Bound::Name));
    }
    if !prefix.is_empty() && !super::names::is_ncname(prefix) {
        return Err(Fault::Name.into());
    }
    let reserved = prefix == "xmlns" || uri == XMLNS_NAMESPACE || (prefix == "xml") != (uri == XML_NAMESPACE);
    if reserved || (uri.is_empty() && !prefix.is_empty()) {
        return Err(Fault::Declaration.into());
    }
    let place = tag.declarations.binary_search_by(|d| d.prefix.as_ref().cmp(prefix));
    let Err(place) = place else { return Err(Fault::DuplicateAttribute.into()) };
    if tag.declarations.len() == limits.namespaces {
        return Err(Refusal::Bound(Bound::Namespaces));
    }
    tag.declarations.insert(place, recent.declaration(prefix, uri, scope));
    Ok(())
}

fn bind(limits: &Limits, scope: &mut Scope, tag: &mut StartTag) -> Result<(), Refusal> {
    tag.declarations.retain(|d| d.prefix.as_ref() != "xml"); // it cannot say anything new
    if tag.declarations.is_empty() {
        return Ok(());
    }
    for declaration in &tag.declarations {
        scope.bind(declaration);
    }
    let now = scope.now();
    let bytes: usize = now.iter().map(|(prefix, uri)| prefix.len() + uri.len()).sum();
    if now.len() > limits.namespaces || bytes > limits.namespace_bytes {
        return Err(Refusal::Bound(Bound::Namespaces));
    }
    Ok(())
}

fn resolve(scope: &Scope, tag: &mut StartTag) -> Result<(), Fault> {
    let uri = if tag.name.prefix().is_empty() { default_uri(scope) } else { Some(prefixed(&tag.name, scope)?) };
    tag.name.resolve(uri);
    for attribute in &mut tag.buffers[..tag.used] {
        if !attribute.name.prefix().is_empty() {
            let uri = prefixed(&attribute.name, scope)?;
            attribute.name.resolve(Some(uri));
        }
    }
    let attributes = tag.attributes();
    for (index, attribute) in attributes.iter().enumerate() {
        if attributes[..index].iter().any(|before| before.name.same_expanded(&attribute.name)) {
            return Err(Fault::DuplicateAttribute);
        }
    }
    Ok(())
}

fn default_uri(scope: &Scope) -> Option<Arc<str>> {
    scope.now().get("").map(|binding| binding.uri.clone())
}

fn prefixed(name: &Name, scope: &Scope) -> Result<Arc<str>, Fault> {
    match name.prefix() {
        "xml" => Ok(XML.clone()),
        "xmlns" => Err(Fault::Declaration),
        prefix => scope.now().get(prefix).map(|binding| binding.uri.clone()).ok_or(Fault::UndeclaredPrefix),
    }
}

/// Declarations seen lately, so that the same ones, repeated all over a document, share memory.
#[derive(Debug, Default)]
pub(super) struct Recent {
    seen: Vec<Declaration>,
    next: usize,
    /// Buffer for the name that is being read.
    value: String,
}

impl Recent {
    const KEPT: usize = 32;

    fn declaration(&mut self, prefix: &str, uri: &str, scope: &super::NsContext) -> Declaration {
        let same = |d: &&Declaration| d.prefix.as_ref() == prefix && d.uri.as_ref() == uri;
        if let Some(known) = scope.get(prefix).filter(same).or_else(|| self.seen.iter().find(same)) {
            return known.clone();
        }
        let new = Declaration { prefix: prefix.into(), uri: uri.into() };
        if self.seen.len() < Self::KEPT {
            self.seen.push(new.clone());
        } else {
            self.seen[self.next] = new.clone();
            self.next = (self.next + 1) % Self::KEPT;
        }
        new
    }
}
