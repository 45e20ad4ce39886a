//! Reads the two small envelopes that are no messages of their own: the one around a ciphertext and the one of a
//! fault. Both come from strangers and are read before anything is known about them, hence the tight bounds.

use rohrpost_xmlsec::reader::{StartTag, StrictReader};
use rohrpost_xmlsec::tree::Element;
use rohrpost_xmlsec::{Limits, XmlError};

use crate::mime::Multipart;
use crate::ns::SOAP;
use crate::source::{ReadAt, buffered};

/// The envelope of a message as tree, if its start tag is the one looked for.
#[allow(clippy::field_reassign_with_default, reason = "limits cannot be written as one expression outside their crate")]
pub(crate) fn envelope(
    source: &dyn ReadAt,
    multipart: &Multipart,
    is_wanted: impl FnOnce(&StartTag) -> bool,
) -> Result<Option<Element>, XmlError> {
    let mut limits = Limits::default();
    limits.depth = 16;
    limits.attributes = 16;
    limits.namespaces = 32;
    limits.token_len = 16 * 1024;
    limits.attribute_value_len = 4 * 1024;
    limits.ids = 64;
    limits.id_bytes = 16 * 1024;
    limits.tree_nodes = 2_000;
    limits.tree_bytes = 512 * 1024;
    let mut reader = StrictReader::new(buffered(source, multipart.root().range.clone()), &limits);
    reader.next()?;
    if !reader.start_tag().is_some_and(is_wanted) {
        return Ok(None);
    }
    let envelope = Element::read_element(&mut reader)?;
    reader.next()?;
    Ok(Some(envelope))
}

/// The attribute by which a message tells its type. Its prefix is part of its name.
pub(crate) fn schema_location(tag: &StartTag) -> Option<&str> {
    let found = tag.attributes().iter().find(|attribute| attribute.name().qname() == "xsi:schemaLocation");
    found.map(|attribute| attribute.value())
}

/// The only element within the only body of an envelope without header.
pub(crate) fn only_element_in_body(envelope: &Element) -> Option<&Element> {
    let body = only_child(envelope)?;
    let is_soap = envelope.is(SOAP, "Envelope") && body.is(SOAP, "Body");
    if is_soap { only_child(body) } else { None }
}

fn only_child(element: &Element) -> Option<&Element> {
    let mut children = element.children();
    let only = children.next().filter(|_| element.has_only_elements())?;
    children.next().is_none().then_some(only)
}
